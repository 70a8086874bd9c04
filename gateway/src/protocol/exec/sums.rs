//! `md5sum` and its like, byte for byte as GNU coreutils writes them, so that clients that compare by
//! hash (rclone, scripts) need no shell.

use std::io::Read;

use super::input::Input;
use super::reading::{Reading, Unread};
use super::words::Word;
use super::{Run, reading};
use crate::blocking;
use crate::gate::Permit;
use crate::protocol::digest::{Algorithm, Sum};
use crate::protocol::refusal_text;

fn hex(sum: Sum) -> String {
    data_encoding::HEXLOWER.encode(&sum.end())
}

/// After so much of a file it is looked at whether it may still be read.
const PORTION: usize = 4 << 20;
const PIECE: usize = 64 * 1024;

/// Serves one command to its end; returns the exit status.
pub(super) async fn serve(
    run: &Run,
    algorithm: Algorithm,
    words: &[Word],
    input: &mut Input,
) -> u32 {
    let command = algorithm.command();
    let (mark, names) = match options(words) {
        Ok(read) => read,
        Err(option) => {
            let line = format!(
                "the option {option} is not served here; name files, or send the bytes to sum up"
            );
            run.complain(command, &line).await;
            return 1;
        }
    };
    let standard = [Word::of_pattern(b"-")];
    let names = if names.is_empty() {
        standard.iter().collect()
    } else {
        names
    };
    let reading = match Reading::new(run) {
        Ok(reading) => reading,
        Err(fault) => {
            run.show(command, fault.into()).await;
            return 1;
        }
    };
    let mut status = 0;
    for name in names {
        if name.text == b"-" {
            let mut sum = algorithm.begin();
            loop {
                let bytes = input.some(PIECE).await;
                if bytes.is_empty() {
                    break;
                }
                sum.add(bytes);
            }
            let _ = run.output.out(&line(&hex(sum), mark, b"-")).await;
            continue;
        }
        let found = match blocking::wait(|| reading.expand(name)) {
            Ok(found) => found,
            Err(unread) => {
                complain(run, command, &name.text, unread).await;
                status = 1;
                continue;
            }
        };
        for found in found {
            match of_file(&reading, algorithm, &found).await {
                Ok(sum) => {
                    if run
                        .output
                        .out(&line(&sum, mark, &found.shown))
                        .await
                        .is_err()
                    {
                        return 1;
                    }
                }
                Err(unread) => {
                    complain(run, command, &found.shown, unread).await;
                    status = 1;
                }
            }
        }
    }
    status
}

/// Answers `echo ${ShellId}%ComSpec%`, from which rclone learns whether it talks to PowerShell
/// (which knows the first), to cmd.exe (which knows the second) or to a Unix shell, which knows
/// neither.
pub(super) async fn shell_probe(run: &Run) -> u32 {
    let _ = run.output.out(b"%ComSpec%\n").await;
    0
}

/// The exec line of that question.
pub const SHELL_PROBE: &[u8] = b"echo ${ShellId}%ComSpec%";

async fn of_file(
    reading: &Reading<'_>,
    algorithm: Algorithm,
    found: &reading::Found,
) -> Result<String, Unread> {
    let (mut file, _, mut permit): (_, _, Permit) = reading.open(&found.place)?;
    let mut sum = algorithm.begin();
    let mut buffer = vec![0; PIECE];
    loop {
        let ended = blocking::wait(|| -> std::io::Result<bool> {
            for _ in 0..PORTION / PIECE {
                let length = file.read(&mut buffer)?;
                if length == 0 {
                    return Ok(true);
                }
                sum.add(buffer.get(..length).unwrap_or_default());
            }
            Ok(false)
        });
        match ended {
            Ok(true) => return Ok(hex(sum)),
            Ok(false) => permit.still_holds()?,
            Err(error) => return Err(reading::cannot(error.into())),
        }
        tokio::task::yield_now().await;
    }
}

async fn complain(run: &Run, command: &str, name: &[u8], unread: Unread) {
    let line = match unread {
        Unread::Denied(denied) => refusal_text(denied),
        Unread::Full(why) => format!("{}: {why}", policy::escape(name)),
        Unread::Cannot(why) => format!("{}: {why}", policy::escape(name)),
    };
    run.complain(command, &line).await;
}

/// Reads options; returns the mark between sum and name, and the names.
fn options(words: &[Word]) -> Result<(u8, Vec<&Word>), String> {
    let mut mark = b' ';
    let mut names = Vec::new();
    let mut only_names = false;
    for word in words {
        match word.text.as_slice() {
            _ if only_names => names.push(word),
            b"--" => only_names = true,
            b"-b" | b"--binary" => mark = b'*',
            b"-t" | b"--text" => mark = b' ',
            [b'-', _, ..] => return Err(policy::escape(&word.text)),
            _ => names.push(word),
        }
    }
    Ok((mark, names))
}

/// A line of output; a name that would break it is escaped, which a backslash before the sum tells.
fn line(sum: &str, mark: u8, name: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(sum.len() + name.len() + 4);
    let breaks = name
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'));
    if breaks {
        line.push(b'\\');
    }
    line.extend_from_slice(sum.as_bytes());
    line.extend_from_slice(&[b' ', mark]);
    for byte in name {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            other => line.push(*other),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_nothing_are_those_that_everybody_knows() {
        assert_eq!(
            hex(Algorithm::Md5.begin()),
            "d41d8cd98f00b204e9800998ecf8427e"
        );
        assert_eq!(
            hex(Algorithm::Sha1.begin()),
            "da39a3ee5e6b4b0d3255bfef95601890afd80709"
        );
        let mut sum = Algorithm::Sha256.begin();
        sum.add(b"abc");
        assert_eq!(
            hex(sum),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn names_do_not_break_lines() {
        assert_eq!(line("00", b' ', b"a b"), b"00  a b\n");
        assert_eq!(line("00", b'*', b"-"), b"00 *-\n");
        assert_eq!(line("00", b' ', b"a\\b\nc"), b"\\00  a\\\\b\\nc\n");
    }
}
