//! Hours of the week in a time zone, as `mon-thu 09:00-16:00 Europe/Berlin`, in which deploys go.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// The same hours on some days of each week, by the clock of a time zone.
#[derive(Debug, Clone, PartialEq)]
pub struct DeployWindow {
    /// As it was given, with single blanks.
    text: String,
    days: Vec<Weekday>,
    begins: Time,
    /// Not after `begins`: on the next day.
    ends: Time,
    zone: TimeZone,
}

/// Why a text is no window, as a sentence for the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' are no hours of deploys: {1}. Write days, hours and a time zone, such as \
     \"mon-thu 09:00-16:00 Europe/Berlin\", \"sat,sun 22:00-02:00 UTC\" or \"daily 06:00-07:30 \
     America/New_York\"."
)]
pub struct NotAWindow(String, &'static str);

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A window opens within these days if it ever does, with one more for hours that end past midnight.
const A_WEEK_AND_A_DAY: i64 = 8;

impl DeployWindow {
    /// Returns true if deploys go at this moment. The clock is that of the zone, summer time and
    /// all: an hour that comes twice counts both times, one that is left out makes the window begin
    /// or end with the next.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let today = now.to_zoned(self.zone.clone()).date();
        let yesterday = today.checked_sub(1.day()).ok();
        [Some(today), yesterday]
            .into_iter()
            .flatten()
            .filter_map(|day| self.on(day))
            .any(|(begin, end)| begin <= now && now < end)
    }

    /// Returns when it opens next, by the clock of its zone.
    pub fn opens_after(&self, now: Timestamp) -> Option<Zoned> {
        let today = now.to_zoned(self.zone.clone()).date();
        (0..=A_WEEK_AND_A_DAY)
            .filter_map(|ahead| self.on(today.checked_add(ahead.days()).ok()?))
            .map(|(begin, _)| begin)
            .find(|begin| *begin > now)
            .map(|begin| begin.to_zoned(self.zone.clone()))
    }

    /// Returns from when to when it is open on a day, if it is.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.ends <= self.begins {
            day.checked_add(1.day()).ok()?
        } else {
            day
        };
        let moment = |day: Date, time: Time| {
            let zoned = day.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
            Some(zoned.timestamp())
        };
        Some((moment(day, self.begins)?, moment(last, self.ends)?))
    }
}

impl FromStr for DeployWindow {
    type Err = NotAWindow;
    fn from_str(text: &str) -> Result<Self, NotAWindow> {
        let no = |why| NotAWindow(policy::escape(text.as_bytes()), why);
        let words: Vec<&str> = text.split_whitespace().collect();
        let [days, hours, zone] = words.as_slice() else {
            return Err(no("they have three parts"));
        };
        let days =
            self::days(days).ok_or_else(|| no("a day is mon, tue, wed, thu, fri, sat or sun"))?;
        let (begins, ends) = hours
            .split_once('-')
            .and_then(|(begins, ends)| Some((hour(begins)?, hour(ends)?)))
            .ok_or_else(|| no("hours are HH:MM-HH:MM, on the clock of 24 hours"))?;
        if begins == ends && begins != Time::midnight() {
            return Err(no("they begin when they end"));
        }
        Ok(Self {
            text: words.join(" "),
            days,
            begins,
            ends,
            zone: TimeZone::get(zone).map_err(|_| no("there is no such time zone"))?,
        })
    }
}

impl fmt::Display for DeployWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn days(text: &str) -> Option<Vec<Weekday>> {
    if text == "daily" {
        return Some(DAYS.map(|(_, day)| day).to_vec());
    }
    let day = |word: &str| {
        let known = DAYS.iter().find(|(name, _)| *name == word);
        known.map(|(_, day)| *day)
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut next, last) = (day(first)?, day(last)?);
        days.push(next);
        while next != last {
            next = next.next();
            days.push(next);
        }
    }
    Some(days)
}

/// Reads `HH:MM`; `24:00` is the midnight that ends a day.
fn hour(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i8>().ok().filter(|_| plain)
    };
    match (number(hours)?, number(minutes)?) {
        (24, 0) => Some(Time::midnight()),
        (hours, minutes) => Time::new(hours, minutes, 0, 0).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> DeployWindow {
        text.parse().unwrap()
    }

    fn open(text: &str, at: &str) -> bool {
        window(text).is_open(at.parse().unwrap())
    }

    fn next(text: &str, after: &str) -> String {
        let opens = window(text).opens_after(after.parse().unwrap()).unwrap();
        opens.timestamp().to_string()
    }

    #[test]
    fn hours_are_those_of_their_zone_in_summer_and_winter() {
        let text = "mon-thu 09:00-16:00 Europe/Berlin";
        // 2026-07-01 is a Wednesday, at UTC+2; 2026-12-02 one at UTC+1.
        for (at, is) in [
            ("2026-07-01T06:59:59Z", false),
            ("2026-07-01T07:00:00Z", true),
            ("2026-07-01T13:59:59Z", true),
            ("2026-07-01T14:00:00Z", false),
            ("2026-12-02T07:59:59Z", false),
            ("2026-12-02T08:00:00Z", true),
            ("2026-12-02T14:59:59Z", true),
            ("2026-12-02T15:00:00Z", false),
            // Friday.
            ("2026-12-04T12:00:00Z", false),
        ] {
            assert_eq!(open(text, at), is, "{at}");
        }
        assert_eq!(next(text, "2026-12-04T12:00:00Z"), "2026-12-07T08:00:00Z");
        assert_eq!(next(text, "2026-12-07T08:00:00Z"), "2026-12-08T08:00:00Z");
        // From Thursday in winter time to Monday in summer time (29 March 2026).
        assert_eq!(next(text, "2026-03-26T15:00:00Z"), "2026-03-30T07:00:00Z");
    }

    #[test]
    fn an_hour_that_is_left_out_or_comes_twice_is_no_gap() {
        // On 29 March 2026 the clock in Berlin goes from 02:00 to 03:00, at 01:00 UTC.
        let left_out = "sun 02:15-02:45 Europe/Berlin";
        assert!(open(left_out, "2026-03-29T01:20:00Z"));
        assert!(!open(left_out, "2026-03-29T00:50:00Z"));
        let across = "sun 01:30-03:30 Europe/Berlin";
        assert!(open(across, "2026-03-29T00:30:00Z"));
        assert!(open(across, "2026-03-29T01:29:00Z"));
        assert!(!open(across, "2026-03-29T01:30:00Z"));
        // On 25 October 2026 it goes from 03:00 back to 02:00, at 01:00 UTC.
        let twice = "sun 01:30-03:00 Europe/Berlin";
        assert!(open(twice, "2026-10-25T00:30:00Z"));
        assert!(open(twice, "2026-10-25T01:30:00Z"));
        assert!(!open(twice, "2026-10-25T02:00:00Z"));
    }

    #[test]
    fn hours_may_end_on_the_next_day() {
        let night = "fri 22:00-02:00 UTC";
        assert!(open(night, "2026-12-04T23:00:00Z"));
        assert!(open(night, "2026-12-05T01:59:00Z"));
        assert!(!open(night, "2026-12-05T02:00:00Z"));
        assert!(!open(night, "2026-12-05T22:30:00Z"));
        for all_day in ["daily 00:00-24:00 UTC", "daily 00:00-00:00 UTC"] {
            assert!(open(all_day, "2026-12-05T00:00:00Z"));
            assert!(open(all_day, "2026-12-05T23:59:59Z"));
        }
        let weekend = "fri-sun,wed 10:00-11:00 UTC";
        assert!(open(weekend, "2026-12-06T10:30:00Z"));
        assert!(open(weekend, "2026-12-02T10:30:00Z"));
        assert!(!open(weekend, "2026-12-03T10:30:00Z"));
        assert!(open("sun-mon 10:00-11:00 UTC", "2026-12-07T10:00:00Z"));
    }

    #[test]
    fn what_is_no_window_is_told_why() {
        for (text, why) in [
            ("mon-thu 09:00-16:00", "three parts"),
            ("", "three parts"),
            ("monday 09:00-16:00 UTC", "a day is mon"),
            ("mon- 09:00-16:00 UTC", "a day is mon"),
            ("mon 9:00-16:00 UTC", "HH:MM"),
            ("mon 09:00-25:00 UTC", "HH:MM"),
            ("mon 09:00-16:60 UTC", "HH:MM"),
            ("mon -9:00-16:00 UTC", "HH:MM"),
            ("mon 09:00 UTC", "HH:MM"),
            ("mon 09:00-09:00 UTC", "begin when they end"),
            ("mon 09:00-16:00 Europe/Nowhere", "time zone"),
            ("mon 09:00-16:00 ../../etc/passwd", "time zone"),
        ] {
            let said = text.parse::<DeployWindow>().unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert_eq!(
            window(" mon  09:00-16:00   UTC ").to_string(),
            "mon 09:00-16:00 UTC"
        );
    }
}
