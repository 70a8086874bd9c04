//! Replaces in the texts of a statement that adds rows.

use crate::database::mariadb::statement::{Kind, Tokens};
use crate::database::replace::Replacement;

/// Returns the statement with everything replaced in its texts, and in how many of them.
pub(super) fn replace(statement: Vec<u8>, replacement: &Replacement) -> (Vec<u8>, u64) {
    let mut out = Vec::new();
    let mut at = 0;
    let mut replaced = 0;
    for token in Tokens::new(&statement) {
        if token.kind != Kind::Text {
            continue;
        }
        let Some(value) = replacement.apply(&unescaped(token.text)) else {
            continue;
        };
        out.extend_from_slice(statement.get(at..token.start).unwrap_or_default());
        out.push(b'\'');
        for byte in value {
            match byte {
                b'\'' | b'\\' => out.extend([b'\\', byte]),
                0 => out.extend(b"\\0"),
                _ => out.push(byte),
            }
        }
        out.push(b'\'');
        at = token.end();
        replaced += 1;
    }
    if replaced == 0 {
        return (statement, 0);
    }
    out.extend_from_slice(statement.get(at..).unwrap_or_default());
    (out, replaced)
}

/// The value that a text in quotes stands for.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let quote = text.first().copied().unwrap_or(b'\'');
    let inner = text
        .get(1..text.len().saturating_sub(1))
        .unwrap_or_default();
    let mut value = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == quote {
            // The second of two.
            bytes.next();
            value.push(quote);
            continue;
        }
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => value.push(0),
            Some(b'n') => value.push(b'\n'),
            Some(b'r') => value.push(b'\r'),
            Some(b't') => value.push(b'\t'),
            Some(b'b') => value.push(8),
            Some(b'Z') => value.push(0x1a),
            Some(other) => value.push(other),
            None => {}
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn a_text_is_what_it_stands_for() {
        assert_eq!(
            unescaped(b"'it''s \\'a\\' \\\\ \\n\\0\\x'"),
            b"it's 'a' \\ \n\0x"
        );
        assert_eq!(unescaped(b"\"a'b\"\"c\""), b"a'b\"c");
    }
}
