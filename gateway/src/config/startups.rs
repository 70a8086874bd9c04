//! How many connections may wait to log in, as OpenSSH's `MaxStartups` (sshd_config(5)) says it.

use serde::Deserialize;

/// `START:RATE:FULL`: from START waiting connections on, RATE per cent of new ones are turned
/// away, by chance, growing to all of them at FULL. A lone number is a hard limit.
///
/// Chance keeps a door open for honest people in a flood: with a hard limit the flood, which
/// tries more often, would take each place that gets free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Startups {
    /// So many may wait before any is turned away.
    pub start: usize,
    /// The chance at that point, in per cent.
    pub rate: u32,
    /// So many wait at most.
    pub full: usize,
}

impl Startups {
    /// Returns the chance, in per cent, that one more is turned away while so many wait.
    pub fn chance(self, waiting: usize) -> u32 {
        if waiting >= self.full {
            return 100;
        }
        let Some(beyond) = waiting.checked_sub(self.start) else {
            return 0;
        };
        // Less than 100 to 100 people: no overflow, and no division by 0 since start <= waiting < full.
        let left = u64::from(100 - self.rate.min(100));
        let more = left * beyond as u64 / (self.full - self.start) as u64;
        self.rate + u32::try_from(more).unwrap_or(0)
    }
}

impl Default for Startups {
    fn default() -> Self {
        Self {
            start: 100,
            rate: 30,
            full: 300,
        }
    }
}

impl TryFrom<String> for Startups {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not START:RATE:FULL, for instance \"100:30:300\", with 0 < START <= FULL and a RATE of 1 to 100"
            )
        };
        let numbers: Vec<usize> = text
            .split(':')
            .map(|part| part.parse().map_err(|_| wrong()))
            .collect::<Result<_, _>>()?;
        let startups = match numbers.as_slice() {
            [full] => Self {
                start: *full,
                rate: 100,
                full: *full,
            },
            [start, rate, full] => Self {
                start: *start,
                rate: u32::try_from(*rate).map_err(|_| wrong())?,
                full: *full,
            },
            _ => return Err(wrong()),
        };
        let sensible = startups.start > 0
            && startups.start <= startups.full
            && (1..=100).contains(&startups.rate);
        if sensible { Ok(startups) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_grows_from_the_rate_to_all() {
        let startups = Startups::try_from("20:30:100".to_owned()).unwrap();
        assert_eq!(startups.chance(0), 0);
        assert_eq!(startups.chance(19), 0);
        assert_eq!(startups.chance(20), 30);
        assert_eq!(startups.chance(60), 65);
        assert_eq!(startups.chance(99), 99);
        assert_eq!(startups.chance(100), 100);
        assert_eq!(startups.chance(usize::MAX), 100);
    }

    #[test]
    fn a_lone_number_is_a_hard_limit() {
        let startups = Startups::try_from("3".to_owned()).unwrap();
        assert_eq!((startups.chance(2), startups.chance(3)), (0, 100));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "0",
            "5:30",
            "20:0:100",
            "20:101:100",
            "100:30:20",
            "a:b:c",
            "1:2:3:4",
            "-1",
        ] {
            assert!(Startups::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
