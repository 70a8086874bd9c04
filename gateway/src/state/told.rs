//! What targets are told of.

use jiff::Timestamp;
use policy::PersonName;
use serde::{Deserialize, Serialize};

use super::deployments::DeploymentKind;
use super::workflows::{Intent, Workflow};

/// What has happened to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetEvent {
    /// It runs another release.
    Switch,
    /// It runs an earlier release again, since somebody asked for that.
    Rollback,
    /// A change failed after its switch, so it runs again what it ran before.
    TurnedBack,
    /// Work that was there already is now a commit; no file has changed.
    Commit,
    /// Nothing: a host is to run what the environment runs.
    Sync,
    /// Nothing: somebody tries a target.
    Test,
}

impl TargetEvent {
    /// Returns the word for rows, variables and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetEvent::Switch => "switch",
            TargetEvent::Rollback => "rollback",
            TargetEvent::TurnedBack => "turned_back",
            TargetEvent::Commit => "commit",
            TargetEvent::Sync => "sync",
            TargetEvent::Test => "test",
        }
    }
}

/// What a target is told. Kept, so that each attempt tells the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// What has happened.
    pub event: TargetEvent,
    /// The workflow.
    pub workflow: String,
    /// What that was: `deploy`, `sync_code` …
    pub kind: String,
    /// Who did it.
    pub actor: PersonName,
    /// Their note.
    pub note: String,
    /// What ran before, if anything.
    pub old_commit: Option<String>,
    /// What runs now, if anything.
    pub new_commit: Option<String>,
    /// The deploy tag, on Test and Live.
    pub release: Option<String>,
    /// The generation that runs now.
    pub generation: Option<u64>,
    /// When.
    pub time: Timestamp,
}

impl Told {
    /// Says what a workflow that is complete has done; none when nobody has to know.
    pub(super) fn of(workflow: &Workflow, intent: &Intent, old: Option<String>) -> Option<Self> {
        let event = match (intent.kind, intent.generation, &intent.commit) {
            (Some(DeploymentKind::Rollback), _, _) => TargetEvent::Rollback,
            (_, Some(_), _) => TargetEvent::Switch,
            (_, None, Some(_)) => TargetEvent::Commit,
            (_, None, None) => return None,
        };
        Some(Self {
            event,
            workflow: workflow.id.clone(),
            kind: workflow.kind.clone(),
            actor: workflow.person.clone(),
            note: intent.note.clone(),
            new_commit: intent.commit.clone().or_else(|| old.clone()),
            old_commit: old,
            release: intent
                .number
                .map(|number| format!("{}_{number}", workflow.environment)),
            generation: intent.generation,
            time: Timestamp::now(),
        })
    }
}
