//! Decides every request to Funicular. Pure: no input or output, no clock, no async.
//!
//! A request is a [`Principal`] (who), an [`Action`] (what), a [`Target`] (on what) and a
//! [`Context`] (under which facts). [`decide`] answers with a [`Decision`]. The same function
//! answers SFTP, git, the command line and `explain`, so that no door has powers of its own.
//!
//! Where a fact that a rule needs is missing, the answer is a refusal.

mod action;
mod content;
mod context;
mod decision;
mod environment;
mod hold;
mod limits;
mod name;
mod path;
mod principal;
mod rules;
mod target;

pub use action::{Action, TreeChange};
pub use content::{ContentFacts, ContentSource, DatabaseKind, Elements, Holdings};
pub use context::{
    Context, DeployFacts, FailedRelease, InTheWay, ModeFacts, MultidevFacts, PushFacts, RefChange,
    RefKind,
};
pub use decision::{Decision, Refusal, Rule};
pub use environment::{Area, ConnectionMode, Environment};
pub use hold::{Approval, ApprovalState, Freeze, Hold, Hours};
pub use limits::{ActionGroup, Limits};
pub use name::{HotfixName, MultidevName, NameError, PersonName, SiteName};
pub use path::{PathError, SitePath, escape};
pub use principal::{Ended, Principal, Role, Standing};
pub use rules::{NEEDS_APPROVAL, decide};
pub use target::Target;
