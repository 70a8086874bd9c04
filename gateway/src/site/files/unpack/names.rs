//! Names in archives.

use crate::database::Trouble;

/// Returns the path that an entry's name means beneath the folder that is filled, without `.` and
/// doubled slashes; empty for the folder itself. `backslashes` says that they part folders, as some
/// programs on Windows write them into a zip.
pub(super) fn path(name: &[u8], backslashes: bool) -> Result<Vec<u8>, String> {
    let parts = |byte: &u8| *byte == b'/' || (backslashes && *byte == b'\\');
    if name.contains(&0) {
        return Err(sentence(name, "has a zero byte in its name"));
    }
    if name.first().is_some_and(parts) {
        return Err(sentence(name, "has an absolute path"));
    }
    if backslashes && matches!(name, [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(sentence(name, "has an absolute path"));
    }
    let mut path = Vec::with_capacity(name.len());
    for part in name.split(parts) {
        match part {
            b"" | b"." => continue,
            b".." => {
                return Err(sentence(
                    name,
                    "has '..' in its path, which leads out of its folder",
                ));
            }
            _ => {}
        }
        // NAME_MAX of limits.h.
        if part.len() > 255 {
            return Err(sentence(
                name,
                "has a name longer than 255 bytes, which no file can have",
            ));
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
    }
    if path.len() > LONGEST {
        return Err(sentence(
            name,
            "has a path longer than 4,000 bytes, which no program could open",
        ));
    }
    Ok(path)
}

/// Refuses an entry.
pub(super) fn refused(name: &[u8], why: &str) -> Trouble {
    Trouble::Refused(sentence(name, why))
}

/// Says what is wrong with an entry.
pub(super) fn sentence(name: &[u8], why: &str) -> String {
    let shown = name.get(..SHOWN).unwrap_or(name);
    let more = if shown.len() < name.len() { "…" } else { "" };
    format!(
        "The archive's entry '{}{more}' {why}. Nothing was changed; make the archive anew without it.",
        policy::escape(shown)
    )
}

const LONGEST: usize = 4000;
const SHOWN: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            &b"../a"[..],
            b"a/../b",
            b"a/..",
            b"/etc/passwd",
            b"..",
            b"a\0b",
        ] {
            assert!(path(name, false).is_err(), "{name:?}");
        }
        for name in [&b"..\\a"[..], b"a\\..\\b", b"\\a", b"C:\\a", b"C:/a"] {
            assert!(path(name, true).is_err(), "{name:?}");
        }
        assert!(path(&[b'a'; 256], false).is_err());
        assert!(path(&b"ab/".repeat(2000), false).is_err());
    }

    #[test]
    fn names_become_plain_paths() {
        for (name, plain) in [
            (&b"./a//b/"[..], &b"a/b"[..]),
            (b"./", b""),
            (b"...", b"..."),
            (b"\xff/a", b"\xff/a"),
        ] {
            assert_eq!(path(name, false).unwrap(), plain);
        }
        assert_eq!(path(b"a\\b", false).unwrap(), b"a\\b");
        assert_eq!(path(b"a\\b", true).unwrap(), b"a/b");
    }
}
