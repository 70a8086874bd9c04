//! Whether what somebody says of content can be meant, before it is kept.

use crate::database::replace::Replacement;
use crate::database::skipping;

/// Returns how many patterns a list of tables has whose rows are left out.
///
/// # Errors
/// With a sentence, when it is none.
pub fn skipped(said: &str) -> Result<usize, String> {
    skipping::patterns(said)
        .map(|patterns| patterns.len())
        .map_err(sentence)
}

/// Returns whether names of hosts can be replaced by others.
///
/// # Errors
/// With a sentence, when one is no name, or they contradict each other.
pub fn hosts_fit(pairs: &[(String, String)]) -> Result<(), String> {
    Replacement::new(pairs).map(drop).map_err(sentence)
}

fn sentence(fault: crate::fault::Fault) -> String {
    let text = fault.to_string();
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    format!(
        "{}{}.",
        first.unwrap_or_default(),
        letters.as_str().trim_end_matches('.')
    )
}
