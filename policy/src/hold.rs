//! Facts about what holds the code of an environment where it is: a freeze, the hours of deploys,
//! the word of a second person.

use crate::name::PersonName;

/// What holds an environment, and what somebody says against it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hold {
    /// The freeze that is in force now.
    pub freeze: Option<Freeze>,
    /// The hours of deploys; absent where deploys go at any hour.
    pub hours: Option<Hours>,
    /// How the approval stands; absent where the site asks for none.
    pub approval: Option<Approval>,
    /// Why an administrator would go on all the same.
    pub overriding: Option<String>,
    /// Whether the request that is answered is the person's own.
    pub own_request: bool,
}

/// A freeze of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Who froze it.
    pub by: PersonName,
    /// Whether they were an administrator then.
    pub by_administrator: bool,
    /// When, as text for people.
    pub since: String,
    /// Why.
    pub reason: String,
    /// When it ends by itself, as text for people.
    pub until: Option<String>,
    /// Whether content is frozen as well as code.
    pub content: bool,
}

/// The hours in which deploys go to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// All of them, as text for people.
    pub text: String,
    /// Whether now is one of them.
    pub open: bool,
    /// When the next begin, as text for people.
    pub opens: Option<String>,
}

/// How the approval of a deploy or hotfix stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The id of the request; absent where nobody asks in earnest.
    pub request: Option<String>,
    /// How it stands.
    pub state: ApprovalState,
}

/// How a request for an approval stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalState {
    /// Nobody has approved it.
    Asked,
    /// A second person has.
    Given(PersonName),
    /// A second person had, who since may not any more.
    Withdrawn(PersonName),
}
