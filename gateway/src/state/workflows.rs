//! Workflows: what is being done to an environment, with the intent that start-up repair reads.

use std::str::FromStr;

use jiff::Timestamp;
use policy::{ConnectionMode, Environment, HotfixName, PersonName, SiteName};
use serde::{Deserialize, Serialize};

use super::contents::ContentChange;
use super::deployments::DeploymentKind;
use super::multidevs::MultidevChange;
use crate::fault::Fault;

/// What the first release's table lacks: who asked and from where, the steps, and who holds which
/// environment.
pub(super) const FOLLOWED: &str = "
ALTER TABLE workflow ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE workflow ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE workflow ADD COLUMN steps TEXT NOT NULL DEFAULT '[]';
CREATE TABLE lease (
    site TEXT NOT NULL,
    environment TEXT NOT NULL,
    generation INTEGER NOT NULL,
    owner TEXT,
    workflow TEXT,
    reason TEXT,
    since TEXT,
    PRIMARY KEY (site, environment)
) STRICT;
";

/// One operation that changes an environment.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// The incident id of its audit row.
    pub id: String,
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// What is done: `sync_code`, `deploy`, `hotfix`, `rollback` …
    pub kind: String,
    /// Who does it.
    pub person: PersonName,
    /// From where: an address and a program.
    pub origin: String,
    /// The note of who does it.
    pub note: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// How it stands.
    pub status: WorkflowStatus,
    /// What it is about to change; present once everything is prepared.
    pub intent: Option<Intent>,
    /// What came of it, in words.
    pub result: Option<String>,
    /// Its steps, once it has ended.
    pub steps: Vec<Step>,
}

/// A step of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it is called.
    pub name: String,
    /// How it stands.
    pub status: StepStatus,
    /// When it began.
    pub started: Timestamp,
    /// How long it took; 0 while it runs.
    pub milliseconds: u64,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Not done.
    Failed,
}

impl StepStatus {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            StepStatus::Running => "running",
            StepStatus::Done => "done",
            StepStatus::Failed => "failed",
        }
    }
}

/// Who holds an environment while a workflow changes it. Kept beside the workflow, so that after a
/// crash the next gateway knows whose work it takes over.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The run of the gateway.
    pub owner: String,
    /// What it is held for, in words.
    pub reason: String,
}

/// How a workflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkflowStatus {
    /// Under way, or cut off by a crash.
    Running,
    /// Done.
    Succeeded,
    /// Not done; nothing was changed.
    Failed,
    /// Somebody has ended it before it changed anything.
    Cancelled,
}

impl WorkflowStatus {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            WorkflowStatus::Running => "running",
            WorkflowStatus::Succeeded => "succeeded",
            WorkflowStatus::Failed => "failed",
            WorkflowStatus::Cancelled => "cancelled",
        }
    }
}

impl FromStr for WorkflowStatus {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "running" => Ok(WorkflowStatus::Running),
            "succeeded" => Ok(WorkflowStatus::Succeeded),
            "failed" => Ok(WorkflowStatus::Failed),
            "cancelled" => Ok(WorkflowStatus::Cancelled),
            other => Err(Fault::new(format!("'{other}' is no status of a workflow"))),
        }
    }
}

/// Everything that the last step of a workflow changes, written down before it begins. Repair
/// completes it if a ref has moved, and turns it back if none has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Intent {
    /// Refs to move, all or none.
    pub refs: Vec<RefMove>,
    /// The commit that the environment will run; absent when no environment changes.
    pub commit: Option<String>,
    /// The generation that was prepared for it; absent when the tree is already right.
    pub generation: Option<u64>,
    /// The generation that the environment points to before; absent when it has never run anything.
    #[serde(default)]
    pub before: Option<u64>,
    /// The content that the environment will have; absent when it stays.
    #[serde(default)]
    pub content: Option<ContentChange>,
    /// The connection mode that the environment will have; absent when it stays.
    pub mode: Option<ConnectionMode>,
    /// N of the deploy tag, for Test and Live.
    pub number: Option<u64>,
    /// How the deploy came about.
    pub kind: Option<DeploymentKind>,
    /// The note of the deploy.
    pub note: String,
    /// Numbers of deploys that a rollback calls bad.
    pub rolled_back: Vec<u64>,
    /// A hotfix that Live then runs.
    pub hotfix: Option<HotfixName>,
    /// Hotfixes that trunk then contains.
    pub merged: Vec<HotfixName>,
    /// What becomes of its environment itself, if it is a Multidev that comes or goes.
    #[serde(default)]
    pub multidev: Option<MultidevChange>,
}

/// One ref of an intent. Object ids are hexadecimal; absent means that the ref does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefMove {
    /// The full name.
    pub name: String,
    /// What it must be before.
    pub old: Option<String>,
    /// What it becomes.
    pub new: Option<String>,
}
