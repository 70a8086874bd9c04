//! How much an environment may hold.

use policy::{Action, Target};

use super::command::SiteEnvironment;
use super::{Done, Run, Stop};
use crate::site::blocking;
use crate::site::files::{Limits, quota};

impl Run<'_> {
    pub(super) async fn quota_set(
        &mut self,
        place: SiteEnvironment,
        bytes: &str,
        files: &str,
    ) -> Done {
        self.view(&place.site)?;
        self.environment(&place)?;
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::SetContent, &target)?;
        let limits = size(bytes).and_then(|bytes| {
            Ok(Limits {
                bytes,
                files: count(files)?,
            })
        });
        let limits = match limits {
            Ok(limits) => limits,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        let sites = self.console.sites.clone();
        blocking(move || quota::set(&sites, permit, limits)).await?;
        let text = format!("The quota of {place} is {}.\n", quota::told(limits));
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}

/// Reads `500M`, `20GiB` or a number of bytes; units are powers of 1024.
fn size(word: &str) -> Result<Option<u64>, String> {
    let unreadable = || {
        format!(
            "'{}' is no size: give a number of bytes, such as 500M or 20G, or none.",
            policy::escape(word.as_bytes())
        )
    };
    if word == "none" {
        return Ok(None);
    }
    let end = word
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(word.len());
    let (number, unit) = word.split_at_checked(end).ok_or_else(unreadable)?;
    let unit = unit.trim_end_matches("iB").trim_end_matches('B');
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _other => return Err(unreadable()),
    };
    let number: u64 = number.parse().map_err(|_| unreadable())?;
    number
        .checked_mul(1 << shift)
        .map(Some)
        .ok_or_else(unreadable)
}

fn count(word: &str) -> Result<Option<u64>, String> {
    if word == "none" {
        return Ok(None);
    }
    word.parse().map(Some).map_err(|_| {
        format!(
            "'{}' is no number of files: give one, or none.",
            policy::escape(word.as_bytes())
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (word, bytes) in [
            ("none", None),
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("4K", Some(4096)),
            ("500M", Some(500 << 20)),
            ("20GiB", Some(20 << 30)),
            ("2TB", Some(2 << 40)),
        ] {
            assert_eq!(size(word), Ok(bytes), "{word}");
        }
        for word in ["", "M", "-1", "1.5G", "1X", "99999999999T", "1 G"] {
            assert!(size(word).is_err(), "{word}");
        }
    }
}
