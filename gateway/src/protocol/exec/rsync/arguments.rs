//! The arguments of `rsync --server`: one closed list of options. What is not in it is refused.
//!
//! Options as rsync's client sends them (rsync(1), and `server_options` in its options.c). An option
//! that shapes the bytes on the wire is handed on unchanged, since both ends must have the same;
//! those that say where the server keeps unfinished files are ours to say.

use crate::protocol::exec::words::Word;

/// What a client asks rsync to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Arguments {
    /// Whether the server sends (a download).
    pub(super) sends: bool,
    /// Options to hand on.
    pub(super) options: Vec<Vec<u8>>,
    /// The words after the first `.`: what is read, or the one place to write to.
    pub(super) paths: Vec<Word>,
    /// Whether the arguments come over standard input (`--secluded-args`).
    pub(super) secluded: bool,
    /// Whether anything that is there may be removed.
    pub(super) deletes: bool,
    /// Whether symbolic links are made.
    pub(super) links: bool,
    /// Whether hard links are made.
    pub(super) hard_links: bool,
    /// Whether the client sends a list of what it wants.
    pub(super) has_list: bool,
    /// Whether nothing is to be changed at all.
    pub(super) dry_run: bool,
    /// Whether what arrived of a file is kept when the transfer is cut off.
    pub(super) keeps_partial: bool,
    /// Whether all files take their places at the end.
    pub(super) delays: bool,
}

/// Why arguments are refused, as a sentence, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unwanted {
    pub(super) sentence: String,
    pub(super) hint: &'static str,
}

impl Unwanted {
    fn new(sentence: impl Into<String>, hint: &'static str) -> Self {
        Self {
            sentence: sentence.into(),
            hint,
        }
    }
}

/// What becomes of an option.
enum Fate {
    /// It is handed on.
    Keep,
    /// The gateway sees to it.
    Ours,
    /// It is refused.
    No(&'static str),
}

/// Options that are handed on as they are.
const KEPT: [&str; 44] = [
    "--bwlimit",
    "--checksum-choice",
    "--checksum-seed",
    "--compress-choice",
    "--compress-level",
    "--compress-threads",
    "--copy-unsafe-links",
    "--delete",
    "--delete-after",
    "--delete-before",
    "--delete-delay",
    "--delete-during",
    "--delete-excluded",
    "--delete-missing-args",
    "--existing",
    "--force",
    "--from0",
    "--fsync",
    "--ignore-errors",
    "--ignore-existing",
    "--ignore-missing-args",
    "--info",
    "--list-only",
    "--max-delete",
    "--max-size",
    "--min-size",
    "--mkpath",
    "--modify-window",
    "--new-compress",
    "--no-implied-dirs",
    "--no-r",
    "--no-relative",
    "--no-W",
    "--numeric-ids",
    "--old-compress",
    "--open-noatime",
    "--preallocate",
    "--recursive",
    "--safe-links",
    "--size-only",
    "--skip-compress",
    "--stats",
    "--timeout",
    "--use-qsort",
];

/// Short options that are handed on; `e` takes the rest of its word.
const LETTERS: &[u8] = b"BCDEFHIJLNOPRSUWcdghklmnopqrtuvxyz";

const HARMFUL_HINT: &str = "Leave the option out, and run rsync again.";

impl Arguments {
    /// Reads the words after `rsync`.
    ///
    /// # Errors
    /// [`Unwanted`]
    pub(super) fn parse(words: &[Word]) -> Result<Self, Unwanted> {
        let Some((first, rest)) = words.split_first().filter(|(first, _)| {
            // Anything else is a client on our side, or a daemon.
            first.text == b"--server"
        }) else {
            return Err(Unwanted::new(
                "Only rsync's server side runs here, as an rsync client starts it.",
                "Run rsync on your own machine: rsync -a FOLDER/ ENV.SITE@HOST:/code/.",
            ));
        };
        let mut arguments = Self::default();
        arguments.options.push(first.text.clone());
        arguments.take(rest)?;
        Ok(arguments)
    }

    /// Reads the words that came over standard input.
    ///
    /// # Errors
    /// [`Unwanted`]
    pub(super) fn take_secluded(&mut self, words: &[Word]) -> Result<(), Unwanted> {
        // The first stands for the program's name.
        self.take(words.get(1..).unwrap_or_default())
    }

    fn take(&mut self, words: &[Word]) -> Result<(), Unwanted> {
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.text.as_slice() {
                b"." => {
                    self.paths.extend(words.cloned());
                    return Ok(());
                }
                [b'-', b'-', ..] => self.long(word, &mut words)?,
                [b'-', letters @ ..] if !letters.is_empty() => self.short(letters)?,
                _ => {
                    return Err(Unwanted::new(
                        "This rsync was called in a way that no rsync client calls it.",
                        "Use an rsync client of version 3.0 or newer.",
                    ));
                }
            }
        }
        Ok(())
    }

    fn long<'a>(
        &mut self,
        word: &Word,
        rest: &mut impl Iterator<Item = &'a Word>,
    ) -> Result<(), Unwanted> {
        let text = String::from_utf8_lossy(&word.text).into_owned();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        let mut value = || -> String {
            value.clone().unwrap_or_else(|| {
                let next = rest.next();
                next.map(|word| String::from_utf8_lossy(&word.text).into_owned())
                    .unwrap_or_default()
            })
        };
        match self.fate(name, &mut value) {
            Some(Fate::Keep) => self.options.push(word.text.clone()),
            Some(Fate::Ours) => {}
            Some(Fate::No(why)) => {
                return Err(Unwanted::new(
                    format!("rsync's option {} is not served: {why}.", shown(name)),
                    HARMFUL_HINT,
                ));
            }
            None => {
                return Err(Unwanted::new(
                    format!(
                        "rsync's option {} is not among those that are served here.",
                        shown(name)
                    ),
                    HARMFUL_HINT,
                ));
            }
        }
        Ok(())
    }

    fn fate(&mut self, name: &str, value: &mut dyn FnMut() -> String) -> Option<Fate> {
        Some(match name {
            "--server" => Fate::Ours,
            "--sender" => {
                self.sends = true;
                Fate::Keep
            }
            "--partial" => {
                self.keeps_partial = true;
                Fate::Ours
            }
            "--partial-dir" => {
                value();
                self.keeps_partial = true;
                Fate::Ours
            }
            "--temp-dir" => {
                value();
                Fate::Ours
            }
            "--delay-updates" => {
                self.delays = true;
                Fate::Ours
            }
            "--no-inc-recursive" | "--no-i-r" => Fate::Ours,
            "--debug" | "--msgs2stderr" | "--no-msgs2stderr" | "--stderr" => Fate::Ours,
            "--files-from" => {
                if value() == "-" {
                    self.has_list = true;
                    self.options.push(b"--files-from=-".to_vec());
                    Fate::Ours
                } else {
                    Fate::No("the list of files would lie on the server")
                }
            }
            "--log-format" => {
                let format = value();
                let harmless = format == "X"
                    || format
                        .bytes()
                        .all(|byte| byte == b'%' || byte.is_ascii_alphabetic());
                if harmless {
                    Fate::Keep
                } else {
                    Fate::No("this format is none that a client sends by itself")
                }
            }
            "--remove-source-files" | "--remove-sent-files" => {
                if self.sends {
                    Fate::No("a download does not remove what it reads")
                } else {
                    Fate::Keep
                }
            }
            "--inplace" | "--append" | "--append-verify" => {
                Fate::No("files would be half-written under their own names")
            }
            "--backup" | "--backup-dir" | "--suffix" => {
                Fate::No("copies of old files would be left in the tree")
            }
            "--link-dest" | "--compare-dest" | "--copy-dest" => {
                Fate::No("it would read from another place than the one that is asked for")
            }
            "--daemon" | "--config" | "--dparam" | "--address" | "--port" => {
                Fate::No("rsync's settings are the gateway's")
            }
            "--log-file" | "--log-file-format" | "--write-batch" | "--only-write-batch"
            | "--read-batch" => Fate::No("it would write or read a file of the server's"),
            "--copy-devices" | "--write-devices" | "--super" | "--fake-super" | "--devices"
            | "--specials" | "--usermap" | "--groupmap" | "--copy-as" | "--chown" => {
                Fate::No("here are neither devices nor other owners")
            }
            "--munge-links" => Fate::No("links would be stored in another form than they have"),
            "--iconv" => Fate::No("names are kept byte by byte"),
            name if KEPT.contains(&name) => {
                self.deletes |= name.starts_with("--delete") || name == "--force";
                Fate::Keep
            }
            _ => return None,
        })
    }

    fn short(&mut self, letters: &[u8]) -> Result<(), Unwanted> {
        let mut kept = vec![b'-'];
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b's' => {
                    self.secluded = true;
                    continue;
                }
                // What the client can do, for the server alone to read.
                b'e' | b'B' | b'@' => {
                    kept.extend_from_slice(letters.get(at..).unwrap_or_default());
                    break;
                }
                b'A' | b'X' => {
                    return Err(Unwanted::new(
                        "rsync's options -A and -X are not served: ACLs and extended attributes are not kept here.",
                        HARMFUL_HINT,
                    ));
                }
                b'b' => {
                    return Err(Unwanted::new(
                        "rsync's option -b is not served: copies of old files would be left in the tree.",
                        HARMFUL_HINT,
                    ));
                }
                b'K' => {
                    return Err(Unwanted::new(
                        "rsync's option -K is not served: it would write through links.",
                        "Name the folder that the link leads to.",
                    ));
                }
                b'l' => self.links = true,
                b'H' => self.hard_links = true,
                b'n' => self.dry_run = true,
                b'P' => {
                    self.keeps_partial = true;
                    continue;
                }
                known if LETTERS.contains(known) => {}
                unknown => {
                    return Err(Unwanted::new(
                        format!(
                            "rsync's option -{} is not among those that are served here.",
                            policy::escape(&[*unknown])
                        ),
                        HARMFUL_HINT,
                    ));
                }
            }
            kept.push(*letter);
        }
        if kept.len() > 1 {
            self.options.push(kept);
        }
        Ok(())
    }
}

fn shown(name: &str) -> String {
    let short: String = name.chars().take(60).collect();
    policy::escape(short.as_bytes())
}

#[cfg(test)]
mod tests;
