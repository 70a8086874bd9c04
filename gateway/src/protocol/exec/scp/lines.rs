//! The lines by which a sender announces what comes next.

/// A line that announces a file or folder.
pub(super) struct Announced {
    pub(super) is_folder: bool,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) name: Vec<u8>,
}

/// `TMODIFIED 0 ACCESSED 0`
pub(super) fn read_times(rest: &[u8]) -> Option<(u32, u32)> {
    let text = std::str::from_utf8(rest).ok()?;
    let numbers: Vec<&str> = text.split(' ').collect();
    let [modified, _, accessed, _] = numbers.as_slice() else {
        return None;
    };
    let whole = |text: &str| text.parse::<u32>().ok();
    Some((whole(accessed)?, whole(modified)?))
}

/// `MODE SIZE NAME`, where the name is one component and nothing else.
pub(super) fn announced(is_folder: bool, rest: &[u8]) -> Option<Announced> {
    let mut parts = rest.splitn(3, |byte| *byte == b' ');
    let (mode, size, name) = (parts.next()?, parts.next()?, parts.next()?);
    let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
    let size = std::str::from_utf8(size).ok()?.parse().ok()?;
    let hostile = matches!(name, b"" | b"." | b"..")
        || name.len() > 255
        || name
            .iter()
            .any(|byte| *byte == b'/' || byte.is_ascii_control());
    (!hostile).then(|| Announced {
        is_folder,
        mode: mode & 0o777,
        size,
        name: name.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_lines_announce_nothing() {
        for line in [
            &b"0644 5 ../x"[..],
            b"0644 5 .",
            b"0644 5 ..",
            b"0644 5 ",
            b"0644 5 a/b",
            b"0644 5 a\x1b[2J",
            b"0644 -5 a",
            b"0644 99999999999999999999999 a",
            b"9999 5 a",
            b"0644 5",
            b"",
        ] {
            assert!(announced(false, line).is_none(), "{line:?}");
        }
        let plain = announced(false, b"4755 5 a b").unwrap();
        assert_eq!(
            (plain.mode, plain.size, plain.name),
            (0o755, 5, b"a b".to_vec())
        );
    }

    #[test]
    fn times_are_two_numbers() {
        assert_eq!(read_times(b"10 0 20 0"), Some((20, 10)));
        for line in [&b""[..], b"1 0 2", b"-1 0 2 0", b"x 0 y 0"] {
            assert_eq!(read_times(line), None, "{line:?}");
        }
    }
}
