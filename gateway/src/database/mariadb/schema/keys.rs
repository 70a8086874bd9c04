//! Indexes that can be made after a table's rows are there: the server then sorts once for each, instead
//! of searching every row's place in every one of them.

use crate::database::mariadb::statement::{Kind, Token, is, meaningful};

/// A table's statement in two.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::database::mariadb) struct Later {
    /// Makes the table without these indexes.
    pub(in crate::database::mariadb) made: String,
    /// The indexes, as the table's statement spells them.
    pub(in crate::database::mariadb) keys: Vec<String>,
}

/// Takes from a `CREATE TABLE` the indexes that only make searching faster. None where there is none of
/// them, or where something needs one from the beginning: a foreign key, a number that counts up. Where
/// a spatial index stands among them they stay as well, so that their order does.
pub(super) fn later(made: &str) -> Option<Later> {
    let (head, items, tail) = parts(made)?;
    let mut kept = Vec::new();
    let mut keys = Vec::new();
    let mut counting = None;
    let mut primary = None;
    for item in items {
        let tokens: Vec<Token<'_>> = meaningful(item.as_bytes()).collect();
        let says = |word: &str| tokens.iter().any(|token| is(token, word));
        let first = tokens.first()?;
        match first.kind {
            Kind::Name if says("AUTO_INCREMENT") => counting = Some(first.text),
            Kind::Word if is(first, "PRIMARY") => {
                let mut names = tokens.iter().filter(|token| token.kind == Kind::Name);
                primary = names.next().map(|token| token.text);
            }
            Kind::Word if is(first, "SPATIAL") || says("FOREIGN") => return None,
            Kind::Word if is(first, "KEY") => {
                keys.push(item.trim().to_owned());
                continue;
            }
            _ => {}
        }
        kept.push(item);
    }
    if keys.is_empty() || counting.is_some() && counting != primary {
        return None;
    }
    let made = format!("{head}{}\n{}", kept.join(",").trim_end(), tail);
    Some(Later { made, keys })
}

/// What is before the columns and indexes, these, and what is after them.
fn parts(made: &str) -> Option<(&str, Vec<&str>, &str)> {
    let mut depth = 0_usize;
    let mut begun = None;
    let mut items = Vec::new();
    for token in meaningful(made.as_bytes()) {
        if token.is_sign(b'(') {
            depth += 1;
            if depth == 1 {
                begun = Some(token.end());
            }
        } else if token.is_sign(b')') {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                let first = begun?;
                items.push(first..token.start);
                break;
            }
        } else if token.is_sign(b',') && depth == 1 {
            items.push(begun?..token.start);
            begun = Some(token.end());
        }
    }
    let head = made.get(..items.first()?.start)?;
    let tail = made.get(items.last()?.end..)?;
    let items: Option<Vec<&str>> = items.into_iter().map(|range| made.get(range)).collect();
    (depth == 0).then_some((head, items?, tail))
}

#[cfg(test)]
mod tests {
    use super::later;

    #[test]
    fn indexes_that_wait_are_taken_out() {
        let made = "CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  \
             `a,b` varchar(9) DEFAULT '(\\',\\n  KEY `no`' COMMENT 'KEY `x` (`y`)',\n  \
             `n` decimal(3,1) GENERATED ALWAYS AS (`id` + 1) VIRTUAL,\n  PRIMARY KEY (`id`),\n  \
             UNIQUE KEY `u` (`a,b`),\n  KEY `one` (`a,b`(3),`id`) COMMENT 'it, (s',\n  KEY `two` (`n`),\n  \
             FULLTEXT KEY `words` (`a,b`),\n  CONSTRAINT `c` CHECK (`id` > 0)\n) ENGINE=InnoDB \
             DEFAULT CHARSET=utf8mb4\n PARTITION BY HASH (`id`)";
        let later = later(made).unwrap();
        assert_eq!(
            later.keys,
            [
                "KEY `one` (`a,b`(3),`id`) COMMENT 'it, (s'",
                "KEY `two` (`n`)"
            ]
        );
        let without = made.replace(
            ",\n  KEY `one` (`a,b`(3),`id`) COMMENT 'it, (s',\n  KEY `two` (`n`)",
            "",
        );
        assert_eq!(later.made, without);
    }

    #[test]
    fn the_last_line_may_be_an_index() {
        let later =
            later("CREATE TABLE `t` (\n  `a` int,\n  KEY `a` (`a`)\n) ENGINE=InnoDB").unwrap();
        assert_eq!(later.made, "CREATE TABLE `t` (\n  `a` int\n) ENGINE=InnoDB");
    }

    #[test]
    fn indexes_that_something_needs_stay() {
        for items in [
            "`id` int, PRIMARY KEY (`id`)",
            "`id` int NOT NULL AUTO_INCREMENT, KEY `id` (`id`)",
            "`a` int, `id` int AUTO_INCREMENT, PRIMARY KEY (`a`,`id`), KEY `id` (`id`)",
            "`id` int, KEY `id` (`id`), CONSTRAINT `f` FOREIGN KEY (`id`) REFERENCES `x` (`id`)",
            "`id` int, `p` point NOT NULL, KEY `id` (`id`), SPATIAL KEY `p` (`p`)",
        ] {
            assert_eq!(
                later(&format!("CREATE TABLE `t` ({items}) ENGINE=InnoDB")),
                None
            );
        }
    }
}
