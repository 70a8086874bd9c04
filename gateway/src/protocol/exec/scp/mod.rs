//! scp's own protocol, as `scp -O`, pscp and older clients speak it. It has no specification but its
//! programs: OpenSSH's scp.c, and before it BSD's rcp.c.
//!
//! A side sends a line for each file or folder and waits for a byte: 0 goes on, 1 is a warning with a
//! sentence, after which this file is left out, 2 ends everything.

mod lines;
mod sink;
mod source;

use policy::Refusal;

use super::Run;
use super::input::{Cut, Input};
use super::reading::Unread;
use super::words::Word;
use crate::gate::Denied;
use crate::protocol::refusal_text;

const NAME: &str = "scp";

/// What scp was started to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    from: bool,
    to: bool,
    recursive: bool,
    preserve: bool,
    to_folder: bool,
}

/// The longest line of the other side.
const LONGEST_LINE: usize = 8192;

/// The other side said something that the protocol has no place for, or has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lost;

impl From<Cut> for Lost {
    fn from(_cut: Cut) -> Self {
        Lost
    }
}

impl From<crate::protocol::ssh::Gone> for Lost {
    fn from(_gone: crate::protocol::ssh::Gone) -> Self {
        Lost
    }
}

/// The two ends of one scp, and how much went wrong.
struct Talk<'a> {
    run: &'a Run,
    input: &'a mut Input,
    options: Options,
    errors: u32,
}

/// Serves one scp to its end; returns the exit status.
pub(super) async fn serve(run: &Run, words: &[Word], input: &mut Input) -> u32 {
    let (options, names) = match Options::parse(words) {
        Ok(parsed) => parsed,
        Err(sentence) => {
            let shown = words.iter().map(|word| word.text.as_slice());
            let shown = shown.collect::<Vec<_>>().join(&b' ');
            let refusal = Refusal {
                rule: "scp-option",
                message: sentence,
                hint: "Run scp on your own machine, as scp FILE ENV.SITE@HOST:/code/.".to_owned(),
            };
            let denied = run.refuse(NAME, shown.get(..200).unwrap_or(&shown), refusal);
            run.show(NAME, denied).await;
            return 1;
        }
    };
    let sends = options.from;
    let mut talk = Talk {
        run,
        input,
        options,
        errors: 0,
    };
    let done = match names.as_slice() {
        names if sends => source::send(&mut talk, names).await,
        [target] => sink::receive(&mut talk, target).await,
        _ => {
            run.complain(NAME, "ambiguous target: name one place to copy to")
                .await;
            return 1;
        }
    };
    match done {
        Ok(()) if talk.errors == 0 => 0,
        Ok(()) | Err(Lost) => 1,
    }
}

impl Options {
    fn parse(words: &[Word]) -> Result<(Self, Vec<&Word>), String> {
        let mut options = Self::default();
        let mut names = Vec::new();
        let mut only_names = false;
        for word in words {
            match word.text.as_slice() {
                b"--" if !only_names => only_names = true,
                [b'-', letters @ ..] if !only_names && !letters.is_empty() => {
                    for letter in letters {
                        match letter {
                            b'f' => options.from = true,
                            b't' => options.to = true,
                            b'r' => options.recursive = true,
                            b'p' => options.preserve = true,
                            b'd' => options.to_folder = true,
                            b'v' | b'q' => {}
                            other => {
                                return Err(format!(
                                    "scp's option -{} is not served here.",
                                    policy::escape(&[*other])
                                ));
                            }
                        }
                    }
                }
                _ => {
                    only_names = true;
                    names.push(word);
                }
            }
        }
        if options.from == options.to || names.is_empty() {
            return Err("Only scp's far side runs here, as an scp client starts it.".to_owned());
        }
        Ok((options, names))
    }
}

impl Talk<'_> {
    async fn say(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        Ok(self.run.output.out(bytes).await?)
    }

    async fn go_on(&mut self) -> Result<(), Lost> {
        self.say(&[0]).await
    }

    /// Says what went wrong with one file; the client shows it and goes on with the next.
    async fn warn(&mut self, sentence: &str) -> Result<(), Lost> {
        self.errors = self.errors.saturating_add(1);
        let line = format!("\x01scp: {}\n", sentence.replace(['\n', '\r'], " "));
        self.say(line.as_bytes()).await
    }

    async fn warn_denied(&mut self, denied: Denied) -> Result<(), Lost> {
        self.warn(&refusal_text(denied)).await
    }

    async fn warn_unread(&mut self, name: &[u8], unread: Unread) -> Result<(), Lost> {
        match unread {
            Unread::Denied(denied) => self.warn_denied(denied).await,
            Unread::Full(why) => self.warn(&format!("{}: {why}", policy::escape(name))).await,
            Unread::Cannot(why) => self.warn(&format!("{}: {why}", policy::escape(name))).await,
        }
    }

    /// Waits for the other side's answer; false when it leaves this file out.
    async fn answer(&mut self) -> Result<bool, Lost> {
        match self.input.byte().await? {
            0 => Ok(true),
            1 => {
                self.input.until(b'\n', LONGEST_LINE).await?;
                self.errors = self.errors.saturating_add(1);
                Ok(false)
            }
            _ => Err(Lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::exec::words::split;

    fn parse(line: &str) -> Result<(Options, usize), String> {
        let words = split(line.as_bytes()).unwrap();
        Options::parse(&words).map(|(options, names)| (options, names.len()))
    }

    #[test]
    fn options_are_those_of_scps_far_side() {
        let (options, names) = parse("-v -r -p -d -t -- /code").unwrap();
        assert!(options.to && options.recursive && options.preserve && options.to_folder);
        assert_eq!(names, 1);
        let (options, names) = parse("-rf a b").unwrap();
        assert!(options.from && options.recursive && names == 2);
        for line in [
            "",
            "/code",
            "-f",
            "-f -t x",
            "-S sh -t x",
            "-o x -f y",
            "-t",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
