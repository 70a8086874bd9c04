//! What comes of a request: a yes with the rule that gave it, or a refusal for the person.

use std::fmt;

/// The name of a rule; stable, since audits are searched by it.
pub type Rule = &'static str;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Allowed, by this rule.
    Permit(Rule),
    /// Not allowed.
    Refuse(Refusal),
}

impl Decision {
    /// Returns true for a yes.
    pub fn is_permit(&self) -> bool {
        match self {
            Decision::Permit(_) => true,
            Decision::Refuse(_) => false,
        }
    }

    /// Returns the rule that decided.
    pub fn rule(&self) -> Rule {
        match self {
            Decision::Permit(rule) => rule,
            Decision::Refuse(refusal) => refusal.rule,
        }
    }
}

/// A no, written for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rule that refused.
    pub rule: Rule,
    /// One sentence: what was refused, on what, and why.
    pub message: String,
    /// What to do instead.
    pub hint: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.message, self.hint)
    }
}
