//! Asks a release whether it works: over FastCGI before the switch, over HTTP after it.

mod fastcgi;
mod http;

use std::path::Path;
use std::time::{Duration, Instant};

pub(super) use fastcgi::Script;

/// What a probe wants to see.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What the page must hold: a release that is broken can answer 200, too.
    pub marker: Option<&'a str>,
    /// How long the answer may take.
    pub timeout: Duration,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// The first [`LONGEST_PAGE`] bytes.
    page: Vec<u8>,
    /// What the server wrote to its error log meanwhile, as far as it told.
    errors: String,
}

/// Why there is no answer.
#[derive(Debug)]
enum NoAnswer {
    /// The server could not be reached; it may be about to start.
    Unreachable(String),
    /// It could, and did not answer as it should.
    Broken(String),
}

/// The bytes of a page that are searched for a marker.
const LONGEST_PAGE: u64 = 1 << 20;

/// Between two attempts at a server that cannot be reached.
const PAUSE: Duration = Duration::from_millis(500);

/// Asks the web server, as a visitor would; `authorities` is whose certificates count, those of the
/// system if absent.
///
/// # Errors
/// In words, why the answer is not what was wanted.
pub(super) fn ask_http(
    url: &str,
    authorities: Option<&Path>,
    wanted: Wanted<'_>,
) -> Result<(), String> {
    insist(wanted, url, |left| http::get(url, left, authorities))
}

/// Asks the web server once; returns the status and the beginning of the page.
///
/// # Errors
/// In words, why there is no answer.
pub(super) fn look(
    url: &str,
    authorities: Option<&Path>,
    timeout: Duration,
) -> Result<(u16, String), String> {
    match http::get(url, timeout, authorities) {
        Ok(answer) => Ok((
            answer.status,
            String::from_utf8_lossy(&answer.page).into_owned(),
        )),
        Err(NoAnswer::Unreachable(why) | NoAnswer::Broken(why)) => Err(why),
    }
}

/// Asks a FastCGI server, such as PHP-FPM, for a page of a release that nobody else is shown.
///
/// # Errors
/// In words, why the answer is not what was wanted.
pub(super) fn ask_fastcgi(
    address: &str,
    script: &Script<'_>,
    wanted: Wanted<'_>,
) -> Result<(), String> {
    insist(wanted, script.name, |left| {
        fastcgi::run(address, script, left)
    })
}

/// Asks until there is an answer or the time is over. A server that is starting, or whose own
/// server is, gets its time; a wrong answer counts at once, since visitors get it, too.
fn insist(
    wanted: Wanted<'_>,
    what: &str,
    ask: impl Fn(Duration) -> Result<Answer, NoAnswer>,
) -> Result<(), String> {
    let end = Instant::now() + wanted.timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let (starting, why) = match ask(left.max(Duration::from_millis(1))) {
            Ok(answer) => match judge(&answer, wanted) {
                Ok(()) => return Ok(()),
                Err(why) => (matches!(answer.status, 502..=504), why),
            },
            Err(NoAnswer::Unreachable(why)) => (true, why),
            Err(NoAnswer::Broken(why)) => (false, why),
        };
        if !starting || Instant::now() + PAUSE >= end {
            return Err(format!("{}: {why}", policy::escape(what.as_bytes())));
        }
        std::thread::sleep(PAUSE);
    }
}

fn judge(answer: &Answer, wanted: Wanted<'_>) -> Result<(), String> {
    let errors = match answer.errors.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => {
            let line: String = line.trim().chars().take(300).collect();
            format!(" ({})", policy::escape(line.as_bytes()))
        }
        None => String::new(),
    };
    if answer.status != wanted.status {
        return Err(format!(
            "it answered {} instead of {}{errors}",
            answer.status, wanted.status
        ));
    }
    match wanted.marker {
        Some(marker) if !holds(&answer.page, marker.as_bytes()) => Err(format!(
            "the page lacks the marker '{}'{errors}",
            policy::escape(marker.as_bytes())
        )),
        Some(_) | None => Ok(()),
    }
}

fn holds(page: &[u8], marker: &[u8]) -> bool {
    marker.is_empty() || page.windows(marker.len()).any(|part| part == marker)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn wanted(marker: Option<&str>) -> Wanted<'_> {
        Wanted {
            status: 200,
            marker,
            timeout: Duration::from_secs(60),
        }
    }

    fn answer(status: u16, page: &str) -> Answer {
        Answer {
            status,
            page: page.as_bytes().to_vec(),
            errors: String::new(),
        }
    }

    #[test]
    fn a_page_must_be_what_was_wanted() {
        assert_eq!(
            judge(&answer(200, "all is well"), wanted(Some("is w"))),
            Ok(())
        );
        assert_eq!(judge(&answer(200, ""), wanted(None)), Ok(()));
        let why = judge(&answer(500, "is w"), wanted(Some("is w"))).unwrap_err();
        assert_eq!(why, "it answered 500 instead of 200");
        let mut broken = answer(200, "Fatal error");
        broken.errors = "\nPHP message: PHP Fatal error:  no\x1b[1m\n more".to_owned();
        let why = judge(&broken, wanted(Some("is w"))).unwrap_err();
        assert!(
            why.contains("the page lacks the marker 'is w' (PHP message"),
            "{why}"
        );
        assert!(!why.contains('\x1b'), "{why}");
    }

    #[test]
    fn a_server_that_starts_is_asked_again_and_a_broken_one_is_not() {
        let asked = Cell::new(0);
        let starting = |_| {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => Err(NoAnswer::Unreachable("refused".to_owned())),
                2 => Ok(answer(503, "")),
                _later => Ok(answer(200, "")),
            }
        };
        insist(wanted(None), "x", starting).unwrap();
        assert_eq!(asked.get(), 3);
        asked.set(0);
        let broken = |_| {
            asked.set(asked.get() + 1);
            Ok(answer(500, ""))
        };
        insist(wanted(None), "x", broken).unwrap_err();
        assert_eq!(asked.get(), 1);
    }
}
