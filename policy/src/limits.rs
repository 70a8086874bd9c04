//! What a key is limited to: sites, environments, groups of actions.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::action::Action;
use crate::environment::Environment;
use crate::name::{NameError, SiteName};

/// Actions that a key may be limited to, in the words of the work that they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionGroup {
    /// Reads files, and clones or fetches.
    Read,
    /// Reads and changes files over SFTP, scp or rsync.
    Sftp,
    /// Clones and fetches.
    Fetch,
    /// Clones, fetches and pushes.
    Push,
    /// Commits, puts aside and brings back work; sets the connection mode.
    Work,
    /// Deploys and rolls back.
    Deploy,
    /// Merges and drops hotfixes.
    Hotfix,
    /// Connects to the database, and gives it a new password.
    Database,
    /// Clones, imports, exports, wipes and restores content.
    Content,
    /// Makes backups, says when, lists them and takes them away; restores none.
    Backup,
    /// Reads the audit and asks what others could do.
    Audit,
}

impl ActionGroup {
    /// All groups.
    pub const ALL: [ActionGroup; 11] = [
        ActionGroup::Read,
        ActionGroup::Sftp,
        ActionGroup::Fetch,
        ActionGroup::Push,
        ActionGroup::Work,
        ActionGroup::Deploy,
        ActionGroup::Hotfix,
        ActionGroup::Database,
        ActionGroup::Content,
        ActionGroup::Backup,
        ActionGroup::Audit,
    ];

    /// Returns the word that the command line takes.
    pub fn as_str(self) -> &'static str {
        match self {
            ActionGroup::Read => "read",
            ActionGroup::Sftp => "sftp",
            ActionGroup::Fetch => "fetch",
            ActionGroup::Push => "push",
            ActionGroup::Work => "work",
            ActionGroup::Deploy => "deploy",
            ActionGroup::Hotfix => "hotfix",
            ActionGroup::Database => "database",
            ActionGroup::Content => "content",
            ActionGroup::Backup => "backup",
            ActionGroup::Audit => "audit",
        }
    }

    /// Returns true if an action is one of the group. To see what a site is belongs to each.
    pub fn holds(self, action: Action) -> bool {
        match action {
            Action::ViewSite | Action::ViewStatus => true,
            Action::ReadTree => matches!(self, ActionGroup::Read | ActionGroup::Sftp),
            Action::ChangeTree(_) => self == ActionGroup::Sftp,
            Action::Fetch => matches!(
                self,
                ActionGroup::Read | ActionGroup::Fetch | ActionGroup::Push
            ),
            Action::Push | Action::UpdateRef => self == ActionGroup::Push,
            Action::Commit
            | Action::Discard
            | Action::RestoreWork
            | Action::SetConnectionMode
            | Action::CreateMultidev
            | Action::DeleteMultidev
            | Action::RestoreMultidev
            | Action::Merge
            | Action::Revert => self == ActionGroup::Work,
            Action::Deploy
            | Action::Rollback
            | Action::AllowRelease
            | Action::CancelWorkflow
            | Action::Freeze
            | Action::EndFreeze => self == ActionGroup::Deploy,
            Action::AskApproval => matches!(self, ActionGroup::Deploy | ActionGroup::Push),
            Action::MergeHotfix | Action::DropHotfix => self == ActionGroup::Hotfix,
            Action::ConnectDatabase | Action::RotatePassword => self == ActionGroup::Database,
            Action::CloneContent
            | Action::UndoContent
            | Action::ImportContent
            | Action::WipeContent
            | Action::RestoreBackup => self == ActionGroup::Content,
            Action::ExportContent | Action::ReadBackups => {
                matches!(self, ActionGroup::Content | ActionGroup::Backup)
            }
            Action::CreateBackup | Action::ScheduleBackups => self == ActionGroup::Backup,
            Action::ViewAudit | Action::ExplainOthers => self == ActionGroup::Audit,
            // An approval is the word of a person, and no program's that holds a key for one task.
            Action::Approve | Action::DenyApproval => false,
            // Who may do these could give themselves what the key may not.
            Action::ChangeTeam
            | Action::SetWindows
            | Action::CreateSite
            | Action::SetDatabase
            | Action::SetFront
            | Action::SetStepNetwork
            | Action::LaunchSite
            | Action::SetContent
            | Action::ViewTargets
            | Action::ManageTargets
            | Action::ManagePeople
            | Action::ManageOwnKeys => false,
        }
    }
}

impl FromStr for ActionGroup {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        // `git` is what people say who mean all that git does.
        let word = if text == "git" { "push" } else { text };
        ActionGroup::ALL
            .into_iter()
            .find(|group| group.as_str() == word)
            .ok_or_else(|| {
                let words = ActionGroup::ALL.map(ActionGroup::as_str);
                NameError(format!(
                    "'{}' is nothing that a key can be limited to: use {}.",
                    text.escape_default(),
                    words.join(", ")
                ))
            })
    }
}

impl fmt::Display for ActionGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key is limited to. An empty set limits nothing; several limits hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// The only sites.
    pub sites: BTreeSet<SiteName>,
    /// The only environments.
    pub environments: BTreeSet<Environment>,
    /// The only actions.
    pub actions: BTreeSet<ActionGroup>,
    /// Whether it counts for a time only, or from some addresses: a key with an end, a certificate.
    pub passing: bool,
}

impl Limits {
    /// Returns true if it reaches everything, be it for a time.
    pub fn reach_everything(&self) -> bool {
        self.sites.is_empty() && self.environments.is_empty() && self.actions.is_empty()
    }
}

impl fmt::Display for Limits {
    /// As in "limited to the site acme and to push".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |kind: &str, kinds: &str, words: Vec<&str>| match words.as_slice() {
            [] => None,
            [one] => Some(format!("{kind}{one}")),
            several => Some(format!("{kinds}{}", several.join(", "))),
        };
        let parts: Vec<String> = [
            list(
                "the site ",
                "the sites ",
                self.sites.iter().map(SiteName::as_str).collect(),
            ),
            list(
                "the environment ",
                "the environments ",
                self.environments.iter().map(Environment::as_str).collect(),
            ),
            list(
                "the action ",
                "the actions ",
                self.actions.iter().map(|group| group.as_str()).collect(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        f.write_str(&parts.join(" and "))
    }
}
