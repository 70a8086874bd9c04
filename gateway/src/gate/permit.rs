//! Proof that the gate allowed an action; the only key to an effect.

use std::sync::Arc;

use jiff::Timestamp;
use policy::{Action, Environment, SiteName, SitePath, Target, TreeChange};

use super::{Denied, Evidence, Gate, Identity};
use crate::audit::{Durability, IncidentId, Outcome, Record};
use crate::fault::Fault;

/// Proof that the gate allowed an action. Its fields are private, so that only the gate makes one.
/// Finishing it writes the audit row; one that is dropped writes the row as interrupted.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    gate: Arc<Gate>,
    who: Identity,
    action: Action,
    target: Target,
    since: Since,
    record: Option<Record>,
    epoch: u64,
    again: Option<Box<Again>>,
}

/// What a change of an environment was permitted by, to decide it once more at its switch.
#[derive(Debug, Clone)]
pub(super) struct Again(Evidence);

impl Again {
    /// Keeps the evidence of a change that is prepared before it is made.
    pub(super) fn new(action: Action, evidence: &Evidence) -> Option<Box<Self>> {
        let prepared = action.changes() && !matches!(action, Action::ChangeTree(_));
        prepared.then(|| {
            let mut evidence = evidence.clone();
            evidence.held.at.get_or_insert_with(Timestamp::now);
            Box::new(Self(evidence))
        })
    }
}

/// What was there when a permit was given, so that what has come in its place is known as another.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Since {
    /// The generation, where the target is in code.
    pub(super) generation: Option<u64>,
    /// When the environment was made.
    pub(super) made: Option<Timestamp>,
}

impl Permit {
    pub(super) fn new(
        gate: Arc<Gate>,
        who: Identity,
        action: Action,
        target: Target,
        since: Since,
        record: Option<Record>,
        (epoch, again): (u64, Option<Box<Again>>),
    ) -> Self {
        Self {
            gate,
            who,
            action,
            target,
            since,
            record,
            epoch,
            again,
        }
    }

    /// Makes the permit of start-up repair, which nobody asked for.
    pub(super) fn resumed(gate: Arc<Gate>, who: Identity, target: Target, record: Record) -> Self {
        Self {
            epoch: gate.state.epoch(),
            gate,
            who,
            action: Action::Deploy,
            target,
            since: Since::default(),
            record: Some(record),
            again: None,
        }
    }

    /// Returns who was permitted.
    pub fn who(&self) -> &Identity {
        &self.who
    }

    /// Returns what was permitted.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Returns on what it was permitted.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the site of the target.
    ///
    /// # Errors
    /// A fault, when the permit is about no site and so no key to an effect on one.
    pub fn site(&self) -> Result<&SiteName, Fault> {
        self.target
            .site()
            .ok_or_else(|| Fault::new("a permit for a site was expected"))
    }

    /// Returns the environment of the target.
    ///
    /// # Errors
    /// A fault, when the permit is about no environment.
    pub fn environment(&self) -> Result<&Environment, Fault> {
        self.target
            .environment()
            .ok_or_else(|| Fault::new("a permit for an environment was expected"))
    }

    /// Returns the generation of the environment that was permitted to be changed, where the target
    /// is in its code.
    pub fn generation(&self) -> Option<u64> {
        self.since.generation
    }

    /// Returns the id of the audit row, if there will be one.
    pub fn incident(&self) -> Option<&IncidentId> {
        self.record.as_ref().map(|record| &record.incident)
    }

    /// Returns a permit for a part of what was permitted: the same kind of change to one place below
    /// the target, which a program made that was started under this permit. It has a row of its own,
    /// and says what was decided before.
    ///
    /// # Errors
    /// A fault, when this permit is for another change, or the place is not below its target.
    pub fn part(&self, change: TreeChange, path: &SitePath) -> Result<Self, Fault> {
        let (Action::ChangeTree(permitted), Target::Tree(site, environment, area, above)) =
            (self.action, &self.target)
        else {
            return Err(Fault::new("a part was asked of a permit for no change"));
        };
        let below = above
            .split_last()
            .is_some_and(|(folder, _any)| path.starts_with(&folder));
        let Some(record) = self.record.clone().filter(|_| below && permitted == change) else {
            return Err(Fault::new("a permit was asked for what is no part of it"));
        };
        let now = Timestamp::now();
        Ok(Self {
            gate: Arc::clone(&self.gate),
            who: self.who.clone(),
            action: self.action,
            target: Target::Tree(site.clone(), environment.clone(), *area, path.clone()),
            since: self.since,
            record: Some(Record {
                time: now,
                incident: IncidentId::new(now),
                object: Some(path.to_string()),
                ..record
            }),
            epoch: self.epoch,
            again: None,
        })
    }

    /// Counts bytes written under this permit.
    pub fn add_bytes(&mut self, bytes: u64) {
        if let Some(record) = &mut self.record {
            record.bytes = record.bytes.saturating_add(bytes);
        }
    }

    /// Says more in the audit row.
    pub fn describe(&mut self, detail: impl Into<String>) {
        if let Some(record) = &mut self.record {
            record.detail = Some(detail.into());
        }
    }

    /// Decides again if anything that decisions rest on has changed since: a role, a key, a
    /// connection mode, an environment. Costs one atomic load when nothing has.
    ///
    /// # Errors
    /// When the answer is now no, or when the audit takes no more records.
    pub fn still_holds(&mut self) -> Result<(), Denied> {
        let epoch = self.gate.state.epoch();
        if self.record.is_some() {
            self.gate.audit.healthy()?;
        }
        if epoch == self.epoch {
            return Ok(());
        }
        let evidence = Evidence {
            opened_in: self.since.generation,
            made: self.since.made,
            ..Evidence::default()
        };
        let fresh = self
            .gate
            .authorize(&self.who, self.action, &self.target, evidence)?;
        fresh.forget();
        self.epoch = epoch;
        Ok(())
    }

    /// Decides once more, on the same evidence, what was permitted a while ago: preparing a change
    /// takes time, in which the person may have lost their role or the environment been frozen. The
    /// hours of deploys count as of the start, so that a deploy which began in them ends.
    ///
    /// # Errors
    /// When the answer is now no, which has a row of its own.
    pub fn confirm(&self) -> Result<(), Denied> {
        let Some(again) = &self.again else {
            return Ok(());
        };
        if self.gate.state.epoch() == self.epoch {
            return Ok(());
        }
        let evidence = Evidence {
            workflow: None,
            ..again.0.clone()
        };
        self.gate
            .authorize(&self.who, self.action, &self.target, evidence)?
            .forget();
        Ok(())
    }

    /// Writes the audit row: the action is over.
    ///
    /// # Errors
    /// When the row cannot be kept.
    pub fn finish(mut self, outcome: Outcome) -> Result<(), Fault> {
        self.write(outcome)
    }

    /// Ends the permit with no row of its own, for a question that a row elsewhere answers.
    pub fn forget(mut self) {
        self.record = None;
    }

    fn write(&mut self, outcome: Outcome) -> Result<(), Fault> {
        let Some(mut record) = self.record.take() else {
            return Ok(());
        };
        record.time = Timestamp::now();
        record.outcome = outcome;
        let durability = match self.action {
            Action::ChangeTree(_) => Durability::Grouped,
            Action::ReadTree
            | Action::Fetch
            | Action::Push
            | Action::UpdateRef
            | Action::Commit
            | Action::Discard
            | Action::RestoreWork
            | Action::SetConnectionMode
            | Action::Deploy
            | Action::Rollback
            | Action::MergeHotfix
            | Action::DropHotfix
            | Action::CreateMultidev
            | Action::DeleteMultidev
            | Action::RestoreMultidev
            | Action::Merge
            | Action::Revert
            | Action::CancelWorkflow
            | Action::AllowRelease
            | Action::Freeze
            | Action::EndFreeze
            | Action::SetWindows
            | Action::AskApproval
            | Action::Approve
            | Action::DenyApproval
            | Action::ConnectDatabase
            | Action::SetDatabase
            | Action::SetFront
            | Action::SetStepNetwork
            | Action::CloneContent
            | Action::UndoContent
            | Action::ImportContent
            | Action::ExportContent
            | Action::WipeContent
            | Action::CreateBackup
            | Action::ReadBackups
            | Action::RestoreBackup
            | Action::ScheduleBackups
            | Action::LaunchSite
            | Action::SetContent
            | Action::RotatePassword
            | Action::ViewStatus
            | Action::ViewTargets
            | Action::ManageTargets
            | Action::ViewSite
            | Action::ChangeTeam
            | Action::CreateSite
            | Action::ManagePeople
            | Action::ManageOwnKeys
            | Action::ViewAudit
            | Action::ExplainOthers => Durability::Durable,
        };
        self.gate.audit.append(record, durability)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Err(fault) = self.write(Outcome::Interrupted) {
            tracing::error!("an interrupted action could not be recorded: {fault}");
        }
    }
}
