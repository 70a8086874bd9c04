//! Points in time as people type them for `--since` and `--until`. All without an offset is UTC,
//! as the audit shows it.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, SpanRelativeTo, Timestamp, ToSpan};

/// Why a time was not understood, as a sentence for the person who typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a time; write 2026-11-22, \"2026-11-22 14:00\" or 2026-11-22T14:00:00Z (all \
     UTC unless an offset is given), or how long ago: 30m, 2h, 7d"
)]
pub struct NotATime(String);

/// Reads the text of `--since`: a day means its beginning.
///
/// # Errors
/// When it is no time.
pub fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, NotATime> {
    let text = text.trim();
    match text.parse::<Date>() {
        Ok(day) if is_day(text) => start(day),
        Ok(_) | Err(_) => moment(text, now),
    }
    .ok_or_else(|| not_a_time(text))
}

/// Reads the text of `--until`: a day means its end, so that the same day in both is that day.
///
/// # Errors
/// When it is no time.
pub fn parse_until(text: &str, now: Timestamp) -> Result<Timestamp, NotATime> {
    let text = text.trim();
    match text.parse::<Date>() {
        Ok(day) if is_day(text) => last(day),
        Ok(_) | Err(_) => moment(text, now),
    }
    .ok_or_else(|| not_a_time(text))
}

/// Says whether nothing but a day was typed; a day is also read from the front of longer texts.
fn is_day(text: &str) -> bool {
    text.len() == "2026-11-22".len()
}

fn start(day: Date) -> Option<Timestamp> {
    let zoned = day.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

fn last(day: Date) -> Option<Timestamp> {
    let next = day.checked_add(1.day()).ok()?;
    start(next)?.checked_sub(1.microsecond()).ok()
}

fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    if let Ok(local) = text.parse::<DateTime>() {
        return Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp());
    }
    let ago = text.parse::<Span>().ok()?;
    if ago.is_negative() {
        return None;
    }
    let ago = ago.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    now.checked_sub(ago).ok()
}

fn not_a_time(text: &str) -> NotATime {
    let mut text = policy::escape(text.as_bytes());
    super::record::cut_at(&mut text, SHOWN);
    NotATime(text)
}

const SHOWN: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn since(text: &str) -> String {
        parse_since(text, now()).unwrap().to_string()
    }

    #[test]
    fn all_ways_to_say_when_are_understood() {
        assert_eq!(since("2026-11-22"), "2026-11-22T00:00:00Z");
        assert_eq!(since(" 2026-11-22 14:00 "), "2026-11-22T14:00:00Z");
        assert_eq!(since("2026-11-22 14:00:30"), "2026-11-22T14:00:30Z");
        assert_eq!(since("2026-11-22T14:00:00+02:00"), "2026-11-22T12:00:00Z");
        assert_eq!(since("2026-11-22T14:00:00Z"), "2026-11-22T14:00:00Z");
        assert_eq!(since("30m"), "2026-11-22T11:30:00Z");
        assert_eq!(since("2h"), "2026-11-22T10:00:00Z");
        assert_eq!(since("1h30m"), "2026-11-22T10:30:00Z");
        assert_eq!(since("7d"), "2026-11-15T12:00:00Z");
        assert_eq!(since("2w"), "2026-11-08T12:00:00Z");
    }

    #[test]
    fn a_day_until_which_ends_at_its_end() {
        let until = parse_until("2026-11-22", now()).unwrap().to_string();
        assert_eq!(until, "2026-11-22T23:59:59.999999Z");
        let until = parse_until("2026-11-22 14:00", now()).unwrap().to_string();
        assert_eq!(until, "2026-11-22T14:00:00Z");
    }

    #[test]
    fn what_is_no_time_is_said_in_a_sentence() {
        for wrong in [
            "",
            "yesterday",
            "7",
            "-2h",
            "2026-13-01",
            "3 months",
            "2026-11-22 25:00",
            "99999999999w",
        ] {
            let answer = parse_since(wrong, now()).unwrap_err().to_string();
            assert!(
                answer.contains("is not a time; write 2026-11-22"),
                "{wrong}: {answer}"
            );
        }
        let answer = parse_since(&"\u{1b}x".repeat(500), now())
            .unwrap_err()
            .to_string();
        assert!(answer.len() < 300 && !answer.contains('\u{1b}'));
    }
}
