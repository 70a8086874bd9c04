//! What is told to the gate with a question, and its no.

use jiff::Timestamp;
use policy::{
    ContentFacts, DeployFacts, FailedRelease, InTheWay, MultidevFacts, PushFacts, Refusal,
};

use super::Held;
use crate::audit::IncidentId;
use crate::fault::Fault;

/// Facts that the caller has to look up, since they lie in the repository.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// About one ref of a push.
    pub push: Option<PushFacts>,
    /// About a deploy.
    pub deploy: Option<DeployFacts>,
    /// That the commit in question has failed there.
    pub failed_release: Option<FailedRelease>,
    /// About a Multidev that is to be made.
    pub multidev: Option<MultidevFacts>,
    /// About content that is asked for, or that a deploy would bring.
    pub content: Option<ContentFacts>,
    /// How many files hold work that is not committed.
    pub uncommitted: usize,
    /// Whether the person has said that such work may be put aside.
    pub confirmed: bool,
    /// The generation of the environment that an open file belongs to, when it is one of code.
    pub opened_in: Option<u64>,
    /// When the environment was made that the request began on: one of the same name that was made
    /// later is another.
    pub made: Option<Timestamp>,
    /// What was found at the target or on the way to it that keeps it from being touched.
    pub in_the_way: Option<InTheWay>,
    /// Whether the workflow that is asked about was begun by the same person.
    pub own_workflow: bool,
    /// What counts where an environment is held as it is.
    pub held: Held,
    /// What else the audit should say.
    pub detail: Option<String>,
    /// The workflow that the action is part of; the row gets its id.
    pub workflow: Option<IncidentId>,
}

/// A no, with where to find it in the audit.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The policy's words.
    pub refusal: Refusal,
    /// The row.
    pub incident: IncidentId,
}

/// Why there is no permit.
#[derive(Debug)]
pub enum Denied {
    /// The policy says no.
    Refused(Refused),
    /// We could not decide or record, and so refuse.
    Fault(Fault),
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Denied::Fault(fault)
    }
}
