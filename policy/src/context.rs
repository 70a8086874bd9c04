//! The facts that rules look at. The gate gathers them; a missing fact refuses.

use crate::content::ContentFacts;
use crate::environment::{ConnectionMode, Environment};
use crate::hold::Hold;
use crate::name::{HotfixName, MultidevName, PersonName};

/// Facts about the target of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Whether the environment of the target exists.
    pub environment_exists: bool,
    /// The connection mode of the environment, for Dev and Multidevs.
    pub mode: Option<ModeFacts>,
    /// Facts about the ref that a push would change.
    pub push: Option<PushFacts>,
    /// Facts about a deploy or rollback.
    pub deploy: Option<DeployFacts>,
    /// That the commit in question has failed its check here, and nobody has allowed it since.
    pub failed_release: Option<FailedRelease>,
    /// Facts about a Multidev that is to be made.
    pub multidev: Option<MultidevFacts>,
    /// Facts about content that is asked for, or that a deploy would bring.
    pub content: Option<ContentFacts>,
    /// How many files of code hold work that is not committed.
    pub uncommitted: usize,
    /// Whether the person has said that such work may be put aside.
    pub confirmed: bool,
    /// Whether the code was replaced by another release since the file was opened.
    pub release_replaced: bool,
    /// What was found at the target or on the way to it that keeps it from being touched.
    pub in_the_way: Option<InTheWay>,
    /// Whether the workflow that is asked about was begun by the same person.
    pub own_workflow: bool,
    /// Whether it is known where the environment's database is.
    pub has_database: bool,
    /// What holds the environment's code where it is.
    pub hold: Hold,
    /// How a person reaches this gateway, as `HOST:PORT`, for hints that can be copied.
    pub address: String,
}

/// A release that failed its check, before or after the switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedRelease {
    /// What was deployed, as people are shown it.
    pub commit: String,
    /// Why it failed.
    pub reason: String,
    /// When, as text for people.
    pub when: String,
}

/// What is at a place, or on the way to it, so that the place is not touched by anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InTheWay {
    /// A link that leads out of the area, or would if it were made.
    WayOut,
    /// Something that is neither a regular file nor a directory.
    Special,
    /// A file with a second name (a hard link) that is not in its area.
    SeveralNames,
    /// A hard link whose two names would lie in two areas.
    TwoAreas,
}

impl InTheWay {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::WayOut,
        Self::Special,
        Self::SeveralNames,
        Self::TwoAreas,
    ];
}

/// The connection mode of an environment, and who set it when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeFacts {
    /// The mode.
    pub mode: ConnectionMode,
    /// Who set it.
    pub set_by: PersonName,
    /// When, as text for people.
    pub set_at: String,
}

/// What a ref's name makes of it on this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefKind {
    /// The branch that Dev runs.
    Trunk,
    /// The branch of a Multidev that exists.
    MultidevBranch(MultidevName),
    /// `refs/heads/hotfix/NAME`.
    Hotfix(HotfixName),
    /// Any other branch.
    PlainBranch,
    /// `refs/tags/test_N` or `refs/tags/live_N`.
    DeployTag,
    /// Any other tag.
    PlainTag,
    /// Anything else, the gateway's own refs among them.
    Reserved,
}

/// How a push would change a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefChange {
    /// It does not exist yet.
    Create,
    /// The new commit descends from the old one.
    FastForward,
    /// The new commit does not.
    Force,
    /// It goes away.
    Delete,
}

/// Facts about one ref of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushFacts {
    /// What the ref is.
    pub kind: RefKind,
    /// What would become of it.
    pub change: RefChange,
    /// The branch that Dev runs, without `refs/heads/`.
    pub trunk: String,
    /// Whether the site lets trunk be force-pushed.
    pub force_allowed: bool,
    /// The environments whose running commit trunk would no longer contain.
    pub would_lose: Vec<Environment>,
    /// Whether Live has ever been deployed.
    pub live_deployed: bool,
    /// Whether the new commit has what Live runs among its ancestors and is not that commit.
    pub descends_from_live: bool,
    /// Whether the new commit holds commits of trunk that Live does not run.
    pub brings_trunk: bool,
    /// Whether the site asks that a hotfix runs on Test before Live, and this commit has not.
    pub untested: bool,
    /// The reason given with `-o reason="…"`.
    pub reason: Option<String>,
    /// A path that the new commit holds although uploads live there.
    pub uploads_path: Option<String>,
    /// Paths in the new commit that a release must not hold, such as `.git` in disguise.
    pub forbidden_path: Option<String>,
    /// Whether the new object is a commit, as a branch must be.
    pub is_commit: bool,
}

/// Facts about a deploy or rollback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeployFacts {
    /// Whether there is something to deploy from (or to return to).
    pub source_ready: bool,
    /// Whether the commit is on trunk.
    pub on_trunk: bool,
    /// Open hotfixes on Live that the commit does not contain.
    pub would_lose: Vec<HotfixName>,
}

/// Facts about a Multidev that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultidevFacts {
    /// The branch that Dev runs, without `refs/heads/`.
    pub trunk: String,
    /// The branch that was named to take the code from, without `refs/heads/`.
    pub from_branch: Option<String>,
    /// Whether there is a commit to begin with: that branch, or what the named environment runs.
    pub source_ready: bool,
    /// Whether a branch of the new name exists.
    pub branch_exists: bool,
    /// A branch whose name keeps git from making one of the new name.
    pub in_the_way: Option<String>,
    /// A path in the commit that a release must not hold.
    pub forbidden_path: Option<String>,
}
