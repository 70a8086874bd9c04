//! The replacement against PHP, and by hand.

mod by_hand;
mod with_php;

use super::Replacement;

/// Makes a replacement of pairs.
fn replacing(pairs: &[(&str, &str)]) -> Replacement {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()))
        .collect();
    Replacement::new(&pairs).unwrap()
}
