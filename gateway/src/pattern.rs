//! Names that match a pattern, in time that grows with the product of their lengths at most. What git
//! ignores is matched by rules of its own (`site/ignore.rs`).

/// Returns true if a name matches a pattern of `*`, `?`, `[…]` and quoted characters (POSIX.1-2017,
/// Shell Command Language, 2.13).
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    // Where to go on when what follows a `*` did not match: one more byte for the `*`.
    let mut again: Option<(&[u8], &[u8])> = None;
    let (mut pattern, mut name) = (pattern, name);
    loop {
        let next = match pattern {
            [] if name.is_empty() => return true,
            [b'*', rest @ ..] => {
                again = Some((rest, name));
                pattern = rest;
                continue;
            }
            [] => None,
            _ => one(pattern, name),
        };
        match (next, again) {
            (Some((rest, left)), _) => (pattern, name) = (rest, left),
            (None, Some((rest, [_, left @ ..]))) => {
                again = Some((rest, left));
                (pattern, name) = (rest, left);
            }
            (None, _) => return false,
        }
    }
}

/// Matches one byte of a name with what stands for it; returns what is left of both.
fn one<'p, 'n>(pattern: &'p [u8], name: &'n [u8]) -> Option<(&'p [u8], &'n [u8])> {
    let (byte, left) = name.split_first()?;
    match pattern {
        [b'?', rest @ ..] => Some((rest, left)),
        [b'\\', quoted, rest @ ..] => (quoted == byte).then_some((rest, left)),
        [b'[', rest @ ..] => match set(rest, *byte) {
            Some((fits, rest)) => fits.then_some((rest, left)),
            // Without its end it stands for itself.
            None => (*byte == b'[').then_some((rest, left)),
        },
        [plain, rest @ ..] => (plain == byte).then_some((rest, left)),
        [] => None,
    }
}

/// Reads a set after its `[`; returns whether the byte is in it, and what follows.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (mut fits, mut first) = (false, true);
    loop {
        rest = match rest {
            [b']', after @ ..] if !first => return Some((fits != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                fits |= (*low..=*high).contains(&byte);
                after
            }
            [b'\\', quoted, after @ ..] => {
                fits |= *quoted == byte;
                after
            }
            [plain, after @ ..] => {
                fits |= *plain == byte;
                after
            }
            [] => return None,
        };
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn names_match_patterns_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "a"),
            ("*.php", "index.php"),
            ("*a*b*c", "xaybzac"),
            ("a?c", "abc"),
            ("[a-c]x[!0-9]", "bxy"),
            ("[]]", "]"),
            ("\\*", "*"),
            ("[", "["),
            ("a\\[1]", "a[1]"),
        ] {
            assert!(
                matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
        for (pattern, name) in [
            ("*.php", "index.html"),
            ("a?c", "ac"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "x"),
            ("", "a"),
            ("a", ""),
            ("*a", "ab"),
        ] {
            assert!(
                !matches(pattern.as_bytes(), name.as_bytes()),
                "{pattern} {name}"
            );
        }
        let long = "a".repeat(200);
        assert!(!matches("*a*a*a*a*a*a*a*a*b".as_bytes(), long.as_bytes()));
    }
}
