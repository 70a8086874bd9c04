//! Statements taken apart into their words, as far as it takes to know what they do and to whom, and
//! put together again with another owner and another database.

mod rewrite;
mod tokens;

pub(super) use rewrite::{Changes, rewrite};
pub(super) use tokens::{Kind, Token, Tokens, meaningful};

/// Whether a word of a statement is a keyword, which is written in any case.
pub(super) fn is(token: &Token<'_>, keyword: &str) -> bool {
    token.kind == Kind::Word && token.text.eq_ignore_ascii_case(keyword.as_bytes())
}

/// The name that a word or a quoted name stands for.
pub(super) fn named(token: &Token<'_>) -> Option<String> {
    let inside = |quote: u8| {
        let text = String::from_utf8_lossy(token.text).into_owned();
        let quote = char::from(quote);
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?.to_owned();
        Some(inner.replace(&format!("{quote}{quote}"), &quote.to_string()))
    };
    match token.kind {
        Kind::Word => Some(String::from_utf8_lossy(token.text).into_owned()),
        Kind::Name => inside(b'`'),
        Kind::Text => token.text.first().and_then(|quote| inside(*quote)),
        Kind::Blank | Kind::Guard | Kind::Sign => None,
    }
}
