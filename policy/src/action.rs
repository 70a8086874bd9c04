//! What may be asked: one closed list for all protocols.

use serde::{Deserialize, Serialize};

/// A change of a file tree, by the SFTP operation that makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeChange {
    /// Opens a file to write, create or truncate it.
    Write,
    /// Removes a file or link.
    Remove,
    /// Makes a directory.
    MakeDirectory,
    /// Removes a directory.
    RemoveDirectory,
    /// Takes a name away from its place, as the first half of a rename.
    RenameFrom,
    /// Gives a name a new place, as the second half of a rename.
    RenameTo,
    /// Makes a symbolic link.
    Symlink,
    /// Makes a hard link.
    HardLink,
    /// Sets size, times, permissions or owner.
    SetAttributes,
}

impl TreeChange {
    /// All changes.
    pub const ALL: [TreeChange; 9] = [
        TreeChange::Write,
        TreeChange::Remove,
        TreeChange::MakeDirectory,
        TreeChange::RemoveDirectory,
        TreeChange::RenameFrom,
        TreeChange::RenameTo,
        TreeChange::Symlink,
        TreeChange::HardLink,
        TreeChange::SetAttributes,
    ];

    /// Returns the word for the audit and for `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            TreeChange::Write => "write",
            TreeChange::Remove => "remove",
            TreeChange::MakeDirectory => "mkdir",
            TreeChange::RemoveDirectory => "rmdir",
            TreeChange::RenameFrom => "rename-from",
            TreeChange::RenameTo => "rename-to",
            TreeChange::Symlink => "symlink",
            TreeChange::HardLink => "hardlink",
            TreeChange::SetAttributes => "setstat",
        }
    }
}

/// What a principal asks to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Reads or lists a part of an environment's tree.
    ReadTree,
    /// Changes a part of an environment's tree.
    ChangeTree(TreeChange),
    /// Fetches or clones from the site's repository.
    Fetch,
    /// Begins a push; asked before git starts, so that a person with no right uploads nothing.
    Push,
    /// Creates, moves or deletes one ref by a push.
    UpdateRef,
    /// Makes a commit of the work in an environment's code tree.
    Commit,
    /// Takes work in an environment's code tree away, keeping it on a hidden ref.
    Discard,
    /// Brings work back from a hidden ref.
    RestoreWork,
    /// Sets the connection mode.
    SetConnectionMode,
    /// Moves code up to Test or Live.
    Deploy,
    /// Returns Test or Live to its last good release.
    Rollback,
    /// Merges a hotfix into trunk.
    MergeHotfix,
    /// Gives up a hotfix by name.
    DropHotfix,
    /// Makes a Multidev environment.
    CreateMultidev,
    /// Takes a Multidev environment away, keeping it aside for a while.
    DeleteMultidev,
    /// Brings back a Multidev environment that was deleted.
    RestoreMultidev,
    /// Merges trunk into a Multidev's branch, or that branch into trunk.
    Merge,
    /// Takes back a commit or a deploy by a commit that undoes it.
    Revert,
    /// Has a workflow end before it changes anything.
    CancelWorkflow,
    /// Lets a release be deployed again that has failed its check.
    AllowRelease,
    /// Freezes an environment.
    Freeze,
    /// Ends a freeze.
    EndFreeze,
    /// Says when deploys go to an environment.
    SetWindows,
    /// Asks that a second person approves a deploy or hotfix.
    AskApproval,
    /// Approves somebody else's deploy or hotfix.
    Approve,
    /// Denies the approval of a deploy or hotfix.
    DenyApproval,
    /// Opens a connection to an environment's database.
    ConnectDatabase,
    /// Says where an environment's database is.
    SetDatabase,
    /// Says where an environment is served, so that its releases can be tried there.
    SetFront,
    /// Lets the steps of a site reach the network, or not.
    SetStepNetwork,
    /// Fills an environment with another's content; a deploy that brings content is asked as a deploy.
    CloneContent,
    /// Brings back the content that an environment had before the last was put in its place.
    UndoContent,
    /// Fills an environment from a dump or an archive.
    ImportContent,
    /// Takes an environment's database or files away as a dump or an archive, or those of a backup.
    ExportContent,
    /// Empties an environment's database and files.
    WipeContent,
    /// Makes a backup of an environment.
    CreateBackup,
    /// Lists an environment's backups.
    ReadBackups,
    /// Fills an environment from a backup.
    RestoreBackup,
    /// Says when backups are made by themselves.
    ScheduleBackups,
    /// Says that a site's Live has visitors, or that it has none any more.
    LaunchSite,
    /// Sets what a site's content is made of: engine, skipped tables, domains, quotas.
    SetContent,
    /// Gives an environment's database a new password.
    RotatePassword,
    /// Checks the health of an environment.
    ViewStatus,
    /// Lists where an environment's switches are told, and what could not be told.
    ViewTargets,
    /// Adds, tests or removes those places, or has something told again.
    ManageTargets,
    /// Reads what a site is: environments, log of code, changes, hotfixes, workflows.
    ViewSite,
    /// Adds, changes or removes members of a site's team.
    ChangeTeam,
    /// Makes a site.
    CreateSite,
    /// Adds or removes people of the server, and keys of other people.
    ManagePeople,
    /// Adds or removes one's own keys.
    ManageOwnKeys,
    /// Reads the audit.
    ViewAudit,
    /// Asks what somebody else could do.
    ExplainOthers,
}

impl Action {
    /// All actions.
    pub fn all() -> impl Iterator<Item = Action> {
        let plain = [
            Action::ReadTree,
            Action::Fetch,
            Action::Push,
            Action::UpdateRef,
            Action::Commit,
            Action::Discard,
            Action::RestoreWork,
            Action::SetConnectionMode,
            Action::Deploy,
            Action::Rollback,
            Action::MergeHotfix,
            Action::DropHotfix,
            Action::CreateMultidev,
            Action::DeleteMultidev,
            Action::RestoreMultidev,
            Action::Merge,
            Action::Revert,
            Action::CancelWorkflow,
            Action::AllowRelease,
            Action::Freeze,
            Action::EndFreeze,
            Action::SetWindows,
            Action::AskApproval,
            Action::Approve,
            Action::DenyApproval,
            Action::ConnectDatabase,
            Action::SetDatabase,
            Action::SetFront,
            Action::SetStepNetwork,
            Action::CloneContent,
            Action::UndoContent,
            Action::ImportContent,
            Action::ExportContent,
            Action::WipeContent,
            Action::CreateBackup,
            Action::ReadBackups,
            Action::RestoreBackup,
            Action::ScheduleBackups,
            Action::LaunchSite,
            Action::SetContent,
            Action::RotatePassword,
            Action::ViewStatus,
            Action::ViewTargets,
            Action::ManageTargets,
            Action::ViewSite,
            Action::ChangeTeam,
            Action::CreateSite,
            Action::ManagePeople,
            Action::ManageOwnKeys,
            Action::ViewAudit,
            Action::ExplainOthers,
        ];
        plain
            .into_iter()
            .chain(TreeChange::ALL.into_iter().map(Action::ChangeTree))
    }

    /// Returns the word for the audit and for `explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::ReadTree => "read",
            Action::ChangeTree(change) => change.as_str(),
            Action::Fetch => "fetch",
            Action::Push => "push",
            Action::UpdateRef => "update-ref",
            Action::Commit => "commit",
            Action::Discard => "discard",
            Action::RestoreWork => "restore-work",
            Action::SetConnectionMode => "connection-mode",
            Action::Deploy => "deploy",
            Action::Rollback => "rollback",
            Action::MergeHotfix => "hotfix-merge",
            Action::DropHotfix => "hotfix-drop",
            Action::CreateMultidev => "multidev-create",
            Action::DeleteMultidev => "multidev-delete",
            Action::RestoreMultidev => "multidev-restore",
            Action::Merge => "merge",
            Action::Revert => "revert",
            Action::CancelWorkflow => "workflow-cancel",
            Action::AllowRelease => "release-allow",
            Action::Freeze => "lock-enable",
            Action::EndFreeze => "lock-disable",
            Action::SetWindows => "window-set",
            Action::AskApproval => "deploy-ask",
            Action::Approve => "deploy-approve",
            Action::DenyApproval => "deploy-deny",
            Action::ConnectDatabase => "database-connect",
            Action::SetDatabase => "database-set",
            Action::SetFront => "front-set",
            Action::SetStepNetwork => "step-network",
            Action::CloneContent => "content-clone",
            Action::UndoContent => "content-undo",
            Action::ImportContent => "content-import",
            Action::ExportContent => "content-export",
            Action::WipeContent => "content-wipe",
            Action::CreateBackup => "backup-create",
            Action::ReadBackups => "backup-view",
            Action::RestoreBackup => "backup-restore",
            Action::ScheduleBackups => "backup-schedule",
            Action::LaunchSite => "site-launch",
            Action::SetContent => "content-set",
            Action::RotatePassword => "password-rotate",
            Action::ViewStatus => "status-view",
            Action::ViewTargets => "target-view",
            Action::ManageTargets => "target-manage",
            Action::ViewSite => "view",
            Action::ChangeTeam => "team",
            Action::CreateSite => "site-create",
            Action::ManagePeople => "people",
            Action::ManageOwnKeys => "own-keys",
            Action::ViewAudit => "audit",
            Action::ExplainOthers => "explain",
        }
    }

    /// Returns true if the action changes something, and so is recorded in the audit even when
    /// it is allowed. So is what takes content away, since it may be about people. Refusals are
    /// recorded in any case.
    pub fn changes(self) -> bool {
        match self {
            Action::ReadTree
            | Action::Fetch
            | Action::Push
            | Action::ReadBackups
            | Action::ViewStatus
            | Action::ViewTargets
            | Action::ViewSite
            | Action::ViewAudit
            | Action::ExplainOthers => false,
            Action::ChangeTree(_)
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
            | Action::RestoreBackup
            | Action::ScheduleBackups
            | Action::LaunchSite
            | Action::SetContent
            | Action::RotatePassword
            | Action::ManageTargets
            | Action::ChangeTeam
            | Action::CreateSite
            | Action::ManagePeople
            | Action::ManageOwnKeys => true,
        }
    }
}
