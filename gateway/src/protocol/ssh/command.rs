//! What a client may ask to run: one closed list. The only parser of exec lines.

use crate::protocol::exec::words::{self, NoWords};
use crate::protocol::exec::{Program, SHELL_PROBE};

/// A program that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `git-upload-pack`: clone and fetch.
    UploadPack,
    /// `git-receive-pack`: push.
    ReceivePack,
    /// `git-upload-archive`: `git archive --remote`.
    UploadArchive,
    /// `rsync`, `scp`, `md5sum` and their like.
    Exec(Program),
    /// A command of the console.
    Console(Vec<String>),
}

/// Says why an exec line is not one of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownCommand {
    /// The sentence for the person.
    pub sentence: String,
    /// The exit status: bad usage, or a shell's word for a command that is not there.
    pub status: u32,
}

impl UnknownCommand {
    fn unreadable(sentence: &str) -> Self {
        Self {
            sentence: sentence.to_owned(),
            status: crate::protocol::console::status::USAGE,
        }
    }

    fn not_there(sentence: String) -> Self {
        Self {
            sentence,
            status: 127,
        }
    }
}

impl Command {
    /// Reads an exec line. `site` is the site that the login name leads to: git's path may name
    /// it, or just the repository, but no other.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub(super) fn parse(line: &[u8], site: Option<&str>) -> Result<Self, UnknownCommand> {
        if let Some(program) = Self::exec(line)? {
            return Ok(Command::Exec(program));
        }
        let text = std::str::from_utf8(line)
            .map_err(|_| UnknownCommand::unreadable("This command is not UTF-8."))?;
        let words = shell_words::split(text)
            .map_err(|_| UnknownCommand::unreadable("This command has an unclosed quote."))?;
        // Git for Windows says `git upload-pack`.
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (program, path) = match words.as_slice() {
            ["git", program, path] => (format!("git-{program}"), *path),
            [program, path] if program.starts_with("git-") => ((*program).to_owned(), *path),
            _other => return Self::console(&words),
        };
        let service = match program.as_str() {
            "git-upload-pack" => Command::UploadPack,
            "git-receive-pack" => Command::ReceivePack,
            "git-upload-archive" => Command::UploadArchive,
            _other => {
                return Err(UnknownCommand::not_there(format!(
                    "'{}' is not served here.",
                    policy::escape(program.as_bytes())
                )));
            }
        };
        let Some(site) = site else {
            return Err(UnknownCommand::unreadable(
                "Git needs to know the environment: use ssh://dev.SITE@HOST:PORT/repository.git.",
            ));
        };
        let path = path.trim_start_matches(['/', '~']);
        let named = path.strip_suffix(".git").unwrap_or(path);
        if named == "repository" || named == site {
            Ok(service)
        } else {
            Err(UnknownCommand::not_there(format!(
                "There is no repository '{}' at this address; its name is /repository.git.",
                policy::escape(path.as_bytes())
            )))
        }
    }

    /// Reads the line of a program that names files, whose names need not be UTF-8.
    fn exec(line: &[u8]) -> Result<Option<Program>, UnknownCommand> {
        if line == SHELL_PROBE {
            return Ok(Some(Program::ShellProbe));
        }
        let start = line.trim_ascii_start();
        let end = start
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(start.len());
        let (name, rest) = start.split_at_checked(end).unwrap_or((start, &[]));
        if Program::named(name, Vec::new()).is_none() {
            return Ok(None);
        }
        let words = words::split(rest).map_err(|why| match why {
            NoWords::Unclosed => UnknownCommand::unreadable("This command has an unclosed quote."),
            NoWords::NeedsShell(character) => UnknownCommand::unreadable(&format!(
                "There is no shell here that would know what '{character}' means; quote it if it \
                 is part of a name."
            )),
        })?;
        Ok(Program::named(name, words))
    }

    fn console(words: &[&str]) -> Result<Self, UnknownCommand> {
        let (Some(first), served) = (
            words.first(),
            "SFTP, scp, rsync, git and the commands that 'help' lists",
        ) else {
            return Err(UnknownCommand::unreadable("No command was given."));
        };
        let known_elsewhere = ["sh", "bash", "cd", "ls", "internal-sftp"];
        if known_elsewhere.contains(first) || first.contains('/') {
            return Err(UnknownCommand::not_there(format!(
                "'{}' is not run here; this gateway serves {served}.",
                policy::escape(first.as_bytes())
            )));
        }
        Ok(Command::Console(
            words.iter().map(|word| (*word).to_owned()).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_known_in_each_of_its_spellings() {
        for (line, command) in [
            ("git-upload-pack '/repository.git'", Command::UploadPack),
            ("git upload-pack '/acme.git'", Command::UploadPack),
            ("git-receive-pack '~/repository.git'", Command::ReceivePack),
            ("git-receive-pack 'repository.git'", Command::ReceivePack),
            (
                "git-upload-archive '/repository.git'",
                Command::UploadArchive,
            ),
        ] {
            assert_eq!(
                Command::parse(line.as_bytes(), Some("acme")),
                Ok(command),
                "{line}"
            );
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for line in [
            "git-upload-pack '/other.git'",
            "git-upload-pack '../acme.git'",
            "git-upload-pack '/etc/passwd'",
            "git-shell 'x'",
            "git-upload-pack 'unclosed",
            "",
            "/bin/sh -c id",
            "bash",
        ] {
            assert!(
                Command::parse(line.as_bytes(), Some("acme")).is_err(),
                "{line}"
            );
        }
    }

    #[test]
    fn programs_that_name_files_are_known() {
        for (line, name) in [
            (&b"rsync --server -logDtpre.iLsfxCIvu . /code"[..], "rsync"),
            (b"scp -t caf\xe9", "scp"),
            (b" md5sum 'a b'", "md5sum"),
            (b"sha256sum", "sha256sum"),
            (b"echo ${ShellId}%ComSpec%", "echo"),
        ] {
            let parsed = Command::parse(line, Some("acme"));
            assert!(
                matches!(&parsed, Ok(Command::Exec(program)) if program.name() == name),
                "{parsed:?}"
            );
        }
        for line in [
            &b"scp -t x; id"[..],
            b"rsync --server . $(id)",
            b"md5sum x | sh",
            b"md5sum 'x",
            b"/usr/bin/rsync --server . x",
            b"rsyncd",
            b"echo ${ShellId}%ComSpec%; id",
        ] {
            let parsed = Command::parse(line, Some("acme"));
            assert!(!matches!(parsed, Ok(Command::Exec(_))), "{parsed:?}");
        }
    }

    #[test]
    fn other_words_go_to_the_console() {
        assert_eq!(
            Command::parse(b"env:deploy acme.test --note 'a b'", None),
            Ok(Command::Console(
                ["env:deploy", "acme.test", "--note", "a b"]
                    .map(str::to_owned)
                    .to_vec()
            ))
        );
    }
}
