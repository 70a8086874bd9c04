//! What happens in a workflow, as entries of its log.

use std::fmt::Write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::state::{StepStatus, WorkflowStatus};

/// One entry of a workflow's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub time: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// It is its turn.
    Started,
    /// A step began.
    StepStarted {
        /// The step.
        step: String,
    },
    /// A step, or the gateway between two steps, says something.
    Output {
        /// The step; absent between two.
        #[serde(skip_serializing_if = "Option::is_none")]
        step: Option<String>,
        /// One line, without control characters.
        line: String,
    },
    /// A step ended.
    StepEnded {
        /// The step.
        step: String,
        /// How.
        status: StepStatus,
        /// How long it took.
        milliseconds: u64,
    },
    /// The workflow ended; nothing follows.
    Ended {
        /// How.
        status: WorkflowStatus,
        /// In words.
        result: String,
    },
}

impl Entry {
    /// Returns the line that people are shown while they follow; none for what they need not see.
    pub fn shown(&self) -> Option<String> {
        match &self.event {
            Event::Started | Event::StepStarted { .. } => None,
            Event::Output { line, .. } => Some(line.clone()),
            Event::StepEnded {
                step,
                status,
                milliseconds,
            } => Some(format!(
                "{step}: {} after {}",
                status.as_str(),
                seconds(*milliseconds)
            )),
            Event::Ended { .. } => None,
        }
    }

    /// Returns the line of the log file: time, step, text.
    pub fn logged(&self) -> String {
        let mut line = format!("{:.3} ", self.time);
        let written = match &self.event {
            Event::Started => write!(line, "{:<10} started", "-"),
            Event::StepStarted { step } => write!(line, "{step:<10} started"),
            Event::Output { step, line: text } => {
                write!(line, "{:<10} | {text}", step.as_deref().unwrap_or("-"))
            }
            Event::StepEnded {
                step,
                status,
                milliseconds,
            } => write!(
                line,
                "{step:<10} {} after {}",
                status.as_str(),
                seconds(*milliseconds)
            ),
            Event::Ended { status, result } => {
                write!(line, "{:<10} {}: {result}", "-", status.as_str())
            }
        };
        // A `String` takes all that is written to it.
        debug_assert!(written.is_ok());
        line.push('\n');
        line
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:02} s", milliseconds / 1000, milliseconds % 1000 / 10)
}

/// Makes one line of what a program or a person wrote: no control characters, a bounded length.
pub(super) fn line(text: &str) -> String {
    let clean: String = text
        .chars()
        .filter(|character| !character.is_control() || *character == '\t')
        .take(LONGEST_LINE)
        .collect();
    clean.trim_end().to_owned()
}

/// In characters; what a program writes without an end of line is cut here.
const LONGEST_LINE: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_a_line_and_as_json() {
        let entry = Entry {
            time: "2026-11-23T10:00:00.1234Z".parse().unwrap(),
            event: Event::StepEnded {
                step: "prepare".to_owned(),
                status: StepStatus::Done,
                milliseconds: 1_234,
            },
        };
        assert_eq!(
            entry.logged(),
            "2026-11-23T10:00:00.123Z prepare    done after 1.23 s\n"
        );
        assert_eq!(entry.shown().unwrap(), "prepare: done after 1.23 s");
        let json = serde_json::to_string(&entry).unwrap();
        assert!(
            json.contains(r#""event":"step_ended","step":"prepare","status":"done""#),
            "{json}"
        );
    }

    #[test]
    fn a_line_plays_with_no_terminal() {
        assert_eq!(line("a\u{1b}[2Jb\r\n"), "a[2Jb");
        assert_eq!(line(&"x".repeat(5000)).len(), LONGEST_LINE);
    }
}
