//! What `.gitignore` files say, matched as git does, on bytes that are given and on nothing else:
//! git and libgit2 would open files of a tree that others write.

/// The patterns of one `.gitignore`.
#[derive(Debug)]
pub(super) struct Patterns(Vec<Pattern>);

#[derive(Debug)]
struct Pattern {
    bytes: Vec<u8>,
    /// It takes back what an earlier pattern says.
    negated: bool,
    /// It is about folders only.
    folder: bool,
    /// It is about names anywhere below, not about paths.
    name: bool,
}

impl Patterns {
    /// Reads the text of a `.gitignore`.
    pub(super) fn parse(text: &[u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let lines = text.split(|byte| *byte == b'\n');
        Self(lines.filter_map(Pattern::parse).collect())
    }

    /// Returns true if the last pattern that fits ignores the path, false if it takes it back, and
    /// nothing if none fits. The path begins at the folder of the `.gitignore`.
    pub(super) fn ignores(&self, path: &[u8], folder: bool) -> Option<bool> {
        let fits = |pattern: &&Pattern| (folder || !pattern.folder) && pattern.fits(path);
        self.0.iter().rev().find(fits).map(|found| !found.negated)
    }
}

impl Pattern {
    fn parse(line: &[u8]) -> Option<Self> {
        if line.is_empty() || line.starts_with(b"#") {
            return None;
        }
        let line = trim_spaces(line.strip_suffix(b"\r").unwrap_or(line));
        let (negated, line) = match line.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (folder, line) = match line.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        Some(Self {
            name: !line.contains(&b'/'),
            bytes: line.strip_prefix(b"/").unwrap_or(line).to_vec(),
            negated,
            folder,
        })
    }

    fn fits(&self, path: &[u8]) -> bool {
        if self.name {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
            return matches(&self.bytes, name, false);
        }
        // Git compares what stands before the first wildcard by itself, and so lets `a**/b` begin
        // anew after the `a`.
        let literal = self.bytes.iter().position(|byte| is_special(*byte));
        let (literal, rest) = self.bytes.split_at(literal.unwrap_or(self.bytes.len()));
        path.strip_prefix(literal)
            .is_some_and(|path| matches(rest, path, true))
    }
}

/// Takes away spaces at the end, but for those after a backslash.
fn trim_spaces(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut escaped = false;
    for (at, byte) in line.iter().enumerate() {
        if escaped || *byte != b' ' {
            end = at + 1;
        }
        escaped = !escaped && *byte == b'\\';
    }
    // A backslash with nothing after it keeps what stands before it as it is.
    line.get(..end).unwrap_or(line)
}

fn matches(pattern: &[u8], text: &[u8], path: bool) -> bool {
    wild(pattern, text, path, true) == Match::Yes
}

/// What comes of matching a part; the last two spare `*` useless attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    /// The text is too short for anything.
    Abort,
    /// Only a `**` before this could still help.
    AbortToStars,
}

/// Matches as git's wildmatch does. In a `path`, `*`, `?` and sets do not match a slash. `start`
/// says that `pattern` is at its beginning or after a slash.
fn wild(mut pattern: &[u8], mut text: &[u8], path: bool, mut start: bool) -> Match {
    while let Some((&first, rest)) = pattern.split_first() {
        if first == b'*' {
            return star(pattern, text, path, start);
        }
        let Some((&byte, text_rest)) = text.split_first() else {
            return Match::Abort;
        };
        let (fits, rest) = match first {
            b'?' => (!path || byte != b'/', rest),
            b'[' => match set(rest, byte) {
                Some((inside, rest)) => (inside && !(path && byte == b'/'), rest),
                None => return Match::Abort,
            },
            b'\\' => match rest.split_first() {
                Some((&literal, rest)) => (literal == byte, rest),
                None => return Match::No,
            },
            literal => (literal == byte, rest),
        };
        if !fits {
            return Match::No;
        }
        start = first == b'/';
        (pattern, text) = (rest, text_rest);
    }
    if text.is_empty() {
        Match::Yes
    } else {
        Match::No
    }
}

fn star(pattern: &[u8], mut text: &[u8], path: bool, start: bool) -> Match {
    let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
    let rest = pattern.get(stars..).unwrap_or_default();
    let mut slashes = !path;
    let bounded = rest.is_empty() || rest.starts_with(b"/") || rest.starts_with(b"\\/");
    if path && stars > 1 && start && bounded {
        slashes = true;
        // `**/` may stand for nothing at all.
        if let Some(after) = rest.strip_prefix(b"/")
            && wild(after, text, path, true) == Match::Yes
        {
            return Match::Yes;
        }
    }
    let Some(&next) = rest.first() else {
        let fits = slashes || !text.contains(&b'/');
        return if fits {
            Match::Yes
        } else {
            Match::AbortToStars
        };
    };
    if !slashes && next == b'/' {
        return match text.iter().position(|byte| *byte == b'/') {
            Some(slash) => wild(rest, text.get(slash..).unwrap_or_default(), path, false),
            None => Match::Abort,
        };
    }
    while let Some((&byte, after)) = text.split_first() {
        if !is_special(next) && byte != next {
            if !slashes && byte == b'/' {
                return Match::AbortToStars;
            }
            text = after;
            continue;
        }
        match wild(rest, text, path, false) {
            Match::No if !slashes && byte == b'/' => return Match::AbortToStars,
            Match::No => {}
            Match::AbortToStars if slashes => {}
            found => return found,
        }
        text = after;
    }
    Match::Abort
}

/// Matches a set after its `[`. Returns whether the byte is in it and what follows; nothing if the
/// set has no end.
fn set(mut rest: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    if negated {
        rest = rest.get(1..)?;
    }
    let mut inside = false;
    let mut before: Option<u8> = None;
    let mut first = true;
    loop {
        let (&here, after) = rest.split_first()?;
        if here == b']' && !first {
            return Some((inside != negated, after));
        }
        first = false;
        rest = after;
        if here == b'\\' {
            let (&literal, after) = rest.split_first()?;
            inside |= literal == byte;
            (before, rest) = (Some(literal), after);
        } else if let (b'-', Some(low), Some(high)) = (here, before, rest.first())
            && *high != b']'
        {
            let mut high = *high;
            rest = rest.get(1..)?;
            if high == b'\\' {
                high = *rest.first()?;
                rest = rest.get(1..)?;
            }
            inside |= (low..=high).contains(&byte);
            before = None;
        } else if here == b'[' && rest.first() == Some(&b':') {
            let end = rest.iter().skip(1).position(|byte| *byte == b']')? + 1;
            let name = rest.get(1..end)?;
            match name.strip_suffix(b":") {
                Some(name) => {
                    inside |= class(name, byte)?;
                    (before, rest) = (None, rest.get(end + 1..)?);
                }
                // Without `:]` it is a set like any other.
                None => {
                    inside |= byte == b'[';
                    before = Some(b'[');
                }
            }
        } else {
            inside |= here == byte;
            before = Some(here);
        }
    }
}

fn class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        b"blank" => byte == b' ' || byte == b'\t',
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"lower" => byte.is_ascii_lowercase(),
        b"print" => byte == b' ' || byte.is_ascii_graphic(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == b'\x0b',
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _unknown => return None,
    })
}

fn is_special(byte: u8) -> bool {
    b"*?[\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::testing::git;

    /// Asks git and us about many paths and many files of patterns put together by chance.
    #[test]
    fn git_says_the_same() {
        let temporary = tempfile::tempdir().unwrap();
        git(temporary.path(), &["init", "-q"]);
        let mut random = 42_u64;
        let mut pick = |from: &[&str]| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            from[(random >> 33) as usize % from.len()].to_owned()
        };
        let pieces = [
            "a",
            "b",
            "ab",
            "c",
            "*",
            "**",
            "?",
            "/",
            "/",
            "[ab]",
            "[!a]",
            "[a-c]",
            "[^b-]",
            "\\a",
            "\\*",
            " ",
            "\\ ",
            ".",
            "[[:alpha:]]",
            "[]a]",
            "[a",
            "**/",
            "/**",
            "*b",
            "a*",
        ];
        let names = [
            "a", "b", "ab", "c", "abc", "a b", "x", "a.b", "b*", "-", "a ",
        ];
        let mut paths: Vec<String> = Vec::new();
        for _ in 0..150 {
            let mut path = pick(&names);
            for _ in 0..3 {
                if pick(&["y", "n"]) == "y" {
                    path = format!("{path}/{}", pick(&names));
                }
            }
            paths.push(path);
        }
        let (mut asked, mut positive) = (0, 0);
        for _ in 0..300 {
            let mut text = String::new();
            for _ in 0..3 {
                text.push_str(&pick(&["", "", "!", "/", "#", "!/"]));
                for _ in 0..pick(&["x", "xx", "xxx", "xxxx"]).len() {
                    text.push_str(&pick(&pieces));
                }
                text.push_str(&pick(&["\n", "\n", "/\n", "\r\n", " \n", "\\ \n"]));
            }
            std::fs::write(temporary.path().join(".gitignore"), &text).unwrap();
            let patterns = Patterns::parse(text.as_bytes());
            let mut command = crate::site::git::bare_command();
            command.current_dir(temporary.path()).args([
                "check-ignore",
                "--no-index",
                "--stdin",
                "-z",
            ]);
            let input = paths.join("\0") + "\0";
            let said = crate::site::git::run(command, input.as_bytes(), "asking git").unwrap();
            let said: Vec<&[u8]> = said.stdout.split(|byte| *byte == 0).collect();
            for path in &paths {
                asked += 1;
                let bytes = path.as_bytes();
                // Git looks from the top down, as a scan does.
                let ignored = bytes
                    .iter()
                    .enumerate()
                    .filter(|(_, byte)| **byte == b'/')
                    .map(|(at, _)| (&bytes[..at], true))
                    .chain([(bytes, false)])
                    .any(|(path, folder)| patterns.ignores(path, folder) == Some(true));
                positive += usize::from(ignored);
                assert_eq!(ignored, said.contains(&bytes), "{path:?} by {text:?}");
            }
        }
        assert_eq!(asked, 45_000);
        assert!(positive > 5_000, "{positive}");
    }
}
