//! What a client may ask to run: one closed list. The only parser of exec lines.

/// A program that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// `git-upload-pack`: clone and fetch.
    UploadPack,
    /// `git-receive-pack`: push.
    ReceivePack,
    /// `git-upload-archive`: `git archive --remote`.
    UploadArchive,
    /// A command of the console.
    Console(Vec<String>),
}

/// Says why an exec line is not one of the list; a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownCommand(pub String);

impl Command {
    /// Reads an exec line. `site` is the site that the login name leads to: git's path may name
    /// it, or just the repository, but no other.
    ///
    /// # Errors
    /// With a sentence for the person.
    pub(super) fn parse(line: &[u8], site: Option<&str>) -> Result<Self, UnknownCommand> {
        let text = std::str::from_utf8(line)
            .map_err(|_| UnknownCommand("This command is not UTF-8.".to_owned()))?;
        let words = shell_words::split(text)
            .map_err(|_| UnknownCommand("This command has an unclosed quote.".to_owned()))?;
        // Git for Windows says `git upload-pack`.
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (program, path) = match words.as_slice() {
            ["git", program, path] => (format!("git-{program}"), *path),
            [program, path] if program.starts_with("git-") => ((*program).to_owned(), *path),
            _other => return Self::console(&words, site),
        };
        let service = match program.as_str() {
            "git-upload-pack" => Command::UploadPack,
            "git-receive-pack" => Command::ReceivePack,
            "git-upload-archive" => Command::UploadArchive,
            _other => {
                return Err(UnknownCommand(format!(
                    "'{}' is not served here.",
                    policy::escape(program.as_bytes())
                )));
            }
        };
        let Some(site) = site else {
            return Err(UnknownCommand(
                "Git needs to know the environment: use ssh://dev.SITE@HOST:PORT/repository.git."
                    .to_owned(),
            ));
        };
        let path = path.trim_start_matches(['/', '~']);
        let named = path.strip_suffix(".git").unwrap_or(path);
        if named == "repository" || named == site {
            Ok(service)
        } else {
            Err(UnknownCommand(format!(
                "There is no repository '{}' at this address; its name is /repository.git.",
                policy::escape(path.as_bytes())
            )))
        }
    }

    fn console(words: &[&str], site: Option<&str>) -> Result<Self, UnknownCommand> {
        let (Some(first), served) = (
            words.first(),
            "SFTP, git and the commands that 'help' lists",
        ) else {
            return Err(UnknownCommand("No command was given.".to_owned()));
        };
        let known_elsewhere = ["scp", "rsync", "sh", "bash", "cd", "ls", "internal-sftp"];
        if known_elsewhere.contains(first) || first.contains('/') {
            return Err(UnknownCommand(format!(
                "'{}' is not run here; this gateway serves {served}.",
                policy::escape(first.as_bytes())
            )));
        }
        let _ = site;
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
