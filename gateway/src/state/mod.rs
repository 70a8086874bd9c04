//! What is: people, keys, sites, teams, environments, deploys, hotfixes, workflows.
//!
//! The rows are in SQLite; all that decisions need is also held in memory as one [`Model`], so that
//! a decision costs no query. Knows no rules.

mod approvals;
mod backup_schedules;
mod backups;
mod contents;
mod databases;
mod deliveries;
mod deploy_windows;
mod deployments;
mod fronts;
mod holds;
mod kept_rows;
mod keys;
mod model;
mod multidevs;
mod people;
mod quotas;
mod schema;
mod sites;
mod step_networks;
mod targets;
mod told;
mod workflow_rows;
mod workflows;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, Transaction};

pub use approvals::{Answer, Matter, Request, RequestStatus, Subject};
pub use backup_schedules::BackupSchedule;
pub use backups::{Backup, BackupElements, BackupKind, CodeBackup, DatabaseBackup, FilesBackup};
pub use contents::{Content, ContentChange, ContentState, SiteContent};
pub use deliveries::{Delivery, DeliveryStatus};
pub use deploy_windows::{DeployWindow, NotAWindow};
pub use deployments::{Deployment, DeploymentKind};
pub use fronts::{Failed, Front};
pub use holds::{Freeze, Holds};
pub use model::{Authority, EnvironmentState, Hotfix, HotfixStatus, Key, Model, Person, Site};
pub use multidevs::{DeletedMultidev, MultidevChange};
pub use quotas::Quota;
pub use sites::{NewSite, for_people};
pub use targets::{Host, NewTarget, Reload, Secret, Target, TargetKind};
pub use told::{TargetEvent, Told};
pub use workflows::{Intent, Lease, RefMove, Step, StepStatus, Workflow, WorkflowStatus};

use crate::crash;
use crate::fault::{Fault, OrFault};

/// The state, open for reading and writing.
#[derive(Debug)]
pub struct State {
    connection: Mutex<Connection>,
    model: RwLock<Arc<Model>>,
    epoch: AtomicU64,
}

impl State {
    /// Makes an empty state file.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path) -> Result<(), Fault> {
        schema::create(path)
    }

    /// Opens the state file.
    ///
    /// # Errors
    /// When it is missing, damaged, or of another version of Funicular.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let connection = schema::open(path)?;
        let model = Model::load(&connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
            model: RwLock::new(Arc::new(model)),
            epoch: AtomicU64::new(1),
        })
    }

    /// Returns all that is, as of now.
    pub fn model(&self) -> Arc<Model> {
        Arc::clone(&self.model.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns a number that grows with each change, so that a decision can be known to be stale.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Lets all that was decided so far be decided again: something that decisions rest on has
    /// changed outside of the state, such as the time or a list of revoked keys.
    pub fn touch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Makes one change of what no decision rests on, durable and whole or not at all.
    fn note<T>(
        &self,
        doing: &str,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut connection = self.reading();
        let transaction = connection.transaction().or_fault(|| doing)?;
        let value = change(&transaction)?;
        transaction.commit().or_fault(|| doing)?;
        Ok(value)
    }

    /// The rows, for what is not in the model.
    fn reading(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one change, durable and whole or not at all, and shows it to everybody.
    fn change<T>(
        &self,
        doing: &str,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction().or_fault(|| doing)?;
        let value = change(&transaction)?;
        let model = Model::load(&transaction)?;
        crash::point_of("state-before", doing);
        transaction.commit().or_fault(|| doing)?;
        crash::point_of("state-after", doing);
        *self.model.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(model);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(value)
    }
}
