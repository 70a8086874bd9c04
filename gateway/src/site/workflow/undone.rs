//! Why something was not done, in words for the person.

use std::fmt;

use crate::fault::Fault;

/// Why a change was not carried out. Nothing is different from before.
#[derive(Debug)]
pub enum Undone {
    /// A ref was moved by somebody else in the meantime.
    Moved(String),
    /// A merge has conflicts in these files.
    Conflicts(Vec<String>),
    /// There is nothing to do, as the sentence says.
    Nothing(String),
    /// It cannot be done as asked, as the sentence says.
    Impossible(String),
    /// It was switched to and failed there, as the sentence says, and was turned back.
    TurnedBack(String),
    /// Somebody has cancelled it.
    Cancelled(String),
    /// A failure of ours.
    Fault(Fault),
}

impl From<Fault> for Undone {
    fn from(fault: Fault) -> Self {
        Undone::Fault(fault)
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undone::Moved(name) => write!(
                f,
                "{name} was changed by somebody else in the meantime; fetch and try again."
            ),
            Undone::Conflicts(files) => {
                write!(
                    f,
                    "There are conflicts, so nothing was changed, in: {}.",
                    files.join(", ")
                )
            }
            Undone::Nothing(sentence)
            | Undone::Impossible(sentence)
            | Undone::TurnedBack(sentence) => f.write_str(sentence),
            Undone::Cancelled(person) => {
                write!(f, "{person} has cancelled this; nothing was changed.")
            }
            Undone::Fault(fault) => {
                write!(
                    f,
                    "{}. Nothing was changed.",
                    capitalized(&fault.for_person())
                )
            }
        }
    }
}

/// Begins a sentence.
pub(super) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}
