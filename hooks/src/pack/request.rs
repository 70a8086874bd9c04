//! What makes two requests for a pack the same.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest request that is looked up, in bytes: some hundred thousand object ids.
pub(crate) const LONGEST: u64 = 16 * 1024 * 1024;

/// A request that may be looked up.
#[derive(Debug)]
pub(crate) struct Request {
    /// Names it: SHA-256 of all that the pack's bytes depend on, in hexadecimal. Objects never
    /// change, so what was right for a key stays right.
    pub(crate) key: String,
    /// Whether the client shows what git says.
    pub(crate) chatty: bool,
}

impl Request {
    /// Reads the arguments and the standard input of `git pack-objects`; `None` when there is
    /// something in them that this program does not know.
    pub(crate) fn of(arguments: &[OsString], asked: &[u8]) -> Option<Self> {
        if asked.len() as u64 >= LONGEST {
            return None;
        }
        let mut digest = Sha256::new();
        digest.update(DOMAIN);
        let (mut chatty, mut with_tags) = (false, false);
        let mut words = arguments.iter().map(|word| word.as_bytes());
        if words.next() != Some(b"git") {
            return None;
        }
        for word in words {
            match word {
                b"--progress" => {
                    chatty = true;
                    continue;
                }
                b"-q" => continue,
                b"--include-tag" => with_tags = true,
                known if KNOWN.contains(&known) || known.starts_with(b"--filter=") => {}
                _unknown => return None,
            }
            digest.update((word.len() as u64).to_be_bytes());
            digest.update(word);
        }
        if with_tags {
            // Then the pack holds tags of its objects that the client did not name.
            tags(&mut digest).ok()?;
        }
        digest.update((asked.len() as u64).to_be_bytes());
        digest.update(asked);
        let mut key = String::with_capacity(64);
        for byte in digest.finalize() {
            key.push_str(&format!("{byte:02x}"));
        }
        Some(Self { key, chatty })
    }
}

/// The repository's tags, as git keeps them (gitrepository-layout(5)). Git has made the repository
/// the current folder or names it.
fn tags(digest: &mut Sha256) -> io::Result<()> {
    let repository = std::env::var_os("GIT_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    match fs::read(repository.join("packed-refs")) {
        Ok(packed) => {
            for line in packed.split(|byte| *byte == b'\n') {
                if line
                    .get(40..)
                    .is_some_and(|rest| rest.starts_with(b" refs/tags/"))
                {
                    digest.update(line);
                    digest.update(b"\n");
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    loose_tags(&repository.join("refs/tags"), digest)
}

fn loose_tags(folder: &Path, digest: &mut Sha256) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type()?.is_dir() {
            loose_tags(&entry.path(), digest)?;
        } else {
            let name = entry.path().into_os_string().into_vec();
            digest.update((name.len() as u64).to_be_bytes());
            digest.update(name);
            digest.update(fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Changes when kept packs must not be found any more.
const DOMAIN: &[u8] = b"funicular pack 1\n";

/// What upload-pack passes on, beside what is looked at by name.
const KNOWN: [&[u8]; 8] = [
    b"--shallow-file",
    b"",
    b"pack-objects",
    b"--revs",
    b"--thin",
    b"--stdout",
    b"--shallow",
    b"--delta-base-offset",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(words: &[&str], asked: &str) -> Option<String> {
        let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
        Request::of(&arguments, asked.as_bytes()).map(|request| request.key)
    }

    #[test]
    fn what_is_asked_makes_the_key_and_how_it_is_shown_does_not() {
        let words = ["git", "pack-objects", "--revs", "--thin", "--stdout"];
        let usual = key(&words, "aa\n--not\n\n").unwrap();
        assert_eq!(usual.len(), 64);
        let loud = [&words[..], &["--progress"]].concat();
        assert_eq!(key(&loud, "aa\n--not\n\n").unwrap(), usual);
        let quiet = [&words[..], &["-q"]].concat();
        assert_eq!(key(&quiet, "aa\n--not\n\n").unwrap(), usual);
        assert_ne!(key(&words, "ab\n--not\n\n").unwrap(), usual);
        assert_ne!(key(&words, "aa\n--not\nbb\n\n").unwrap(), usual);
        let filtered = [&words[..], &["--filter=blob:none"]].concat();
        assert_ne!(key(&filtered, "aa\n--not\n\n").unwrap(), usual);
        assert_ne!(key(&words[..4], "aa\n--not\n\n").unwrap(), usual);
    }

    #[test]
    fn what_is_not_known_is_not_looked_up() {
        assert_eq!(
            key(&["git", "pack-objects", "--uri-protocol=https"], "aa\n"),
            None
        );
        assert_eq!(key(&["sh", "pack-objects"], "aa\n"), None);
        assert_eq!(key(&[], "aa\n"), None);
    }
}
