//! Bytes to meaning and back, for each door. Holds no rules and has no effects of its own.

pub mod console;
pub mod digest;
pub mod exec;
#[cfg(test)]
mod fuzzed;
pub mod git;
pub mod intake;
pub mod sftp;
pub mod ssh;

use crate::gate::Denied;

/// Returns what a person is told who is denied something, as one line.
pub fn refusal_text(denied: Denied) -> String {
    refusal_lines(denied).join(" ")
}

/// Returns what a person is told who is denied something: the sentence, what to do instead, and
/// where to find it in the audit.
pub fn refusal_lines(denied: Denied) -> Vec<String> {
    match denied {
        // The hint stands alone on its line and ends it, so that a command in it can be copied.
        Denied::Refused(refused) => {
            let mut lines = vec![
                format!("Refused: {}", refused.refusal.message),
                refused.refusal.hint,
                format!("[incident {}]", refused.incident),
            ];
            lines.retain(|line| !line.is_empty());
            lines
        }
        Denied::Fault(fault) => {
            tracing::error!("refused because of a fault: {fault}");
            vec![format!(
                "Refused, because the gateway has a fault: {}. Nothing was changed.",
                fault.for_person()
            )]
        }
    }
}
