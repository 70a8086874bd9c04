//! What the fuzzer of exec lines drives.

#![allow(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a fuzzer tells what it found by a panic"
)]

use super::command::Command;

/// Reads an exec line as on a site's address and as on the console's.
///
/// Whatever it says, the answer is a command of the closed list or a sentence that can be printed.
pub fn exec_line(line: &[u8]) {
    for site in [Some("acme"), None] {
        match Command::parse(line, site) {
            Ok(Command::Console(words)) => {
                assert!(!words.is_empty(), "no word is no command");
            }
            // It is told that it needs an environment.
            Ok(Command::Exec(_)) => {}
            Ok(Command::UploadPack | Command::ReceivePack | Command::UploadArchive) => {
                assert!(site.is_some(), "git without a site");
            }
            Err(unknown) => {
                assert!(unknown.status != 0, "a refusal that looks like success");
                let plays = unknown.sentence.chars().any(char::is_control);
                assert!(!plays, "a sentence that plays with the terminal");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::protocol::fuzzed::corpus;

    #[test]
    fn what_the_fuzzer_knows_of_exec_lines_holds() {
        for (_, line) in corpus("exec_line") {
            super::exec_line(&line);
        }
    }
}
