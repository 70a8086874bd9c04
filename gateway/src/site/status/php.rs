//! What a PHP configuration file says, read and never run.

/// Returns PHP without its comments. Strings stay as they are.
pub(super) fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut quote: Option<char> = None;
    while let Some(character) = characters.next() {
        if let Some(open) = quote {
            code.push(character);
            if character == '\\' {
                code.extend(characters.next());
            } else if character == open {
                quote = None;
            }
            continue;
        }
        let next = characters.peek().copied();
        match (character, next) {
            ('\'' | '"', _) => {
                quote = Some(character);
                code.push(character);
            }
            // `#[` is an attribute.
            ('#', next) if next != Some('[') => skip_line(&mut characters, &mut code),
            ('/', Some('/')) => skip_line(&mut characters, &mut code),
            ('/', Some('*')) => {
                characters.next();
                let mut before = ' ';
                for inside in characters.by_ref() {
                    if before == '*' && inside == '/' {
                        break;
                    }
                    before = inside;
                }
                code.push(' ');
            }
            (other, _) => code.push(other),
        }
    }
    code
}

fn skip_line(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, code: &mut String) {
    for inside in characters.by_ref() {
        if inside == '\n' {
            break;
        }
    }
    code.push('\n');
}

/// Returns the expression that `define('NAME', …)` gives a constant, in code without comments.
pub(super) fn defined<'a>(code: &'a str, name: &str) -> Option<&'a str> {
    for quote in ['\'', '"'] {
        let quoted = format!("{quote}{name}{quote}");
        let mut rest = code;
        while let Some((before, after)) = rest.split_once(quoted.as_str()) {
            let before = before.trim_end().strip_suffix('(').map(str::trim_end);
            let is_define = before.is_some_and(|before| before.ends_with("define"));
            if let (true, Some(value)) = (is_define, after.trim_start().strip_prefix(',')) {
                return Some(expression(value));
            }
            rest = after;
        }
    }
    None
}

/// The text up to the bracket that closes.
fn expression(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return text.get(..at).unwrap_or_default().trim(),
            ')' => depth -= 1,
            _inside => {}
        }
    }
    text.trim()
}

/// Whether an expression is plainly true; one that has to be computed is not.
pub(super) fn is_true(expression: &str) -> bool {
    let expression = expression.trim_matches(['\'', '"']);
    expression.eq_ignore_ascii_case("true") || expression == "1"
}

/// Returns what a variable's element is set to: `assigned(code, "$settings['hash_salt']")`.
pub(super) fn assigned<'a>(code: &'a str, variable: &str) -> Option<&'a str> {
    let other = variable.replace('\'', "\"");
    let mut found = None;
    for spelt in [variable, other.as_str()] {
        let mut rest = code;
        while let Some((_, after)) = rest.split_once(spelt) {
            rest = after;
            let Some(value) = after.trim_start().strip_prefix('=') else {
                continue;
            };
            // Not a comparison or `=>`.
            if !value.starts_with(['=', '>']) {
                // The last one counts.
                found = value.split(';').next().map(str::trim);
            }
        }
    }
    found
}

/// Returns the value after a string key in serialised PHP, as it is written there: `i:0`, `b:1`, `s:4:"hide"`.
pub(super) fn serialised<'a>(data: &'a str, key: &str) -> Option<&'a str> {
    let (_, after) = data.split_once(&format!("s:{}:\"{key}\";", key.len()))?;
    after.split(';').next()
}

/// Returns the number in such a value, also where it was kept as a string.
pub(super) fn number(value: &str) -> Option<i64> {
    value.rsplit(':').next()?.trim_matches('"').parse().ok()
}
