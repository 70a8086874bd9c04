//! The record of a part: whose it is and where it goes, in a file beside it, by which it survives
//! the gateway.

use std::fs::File;
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use policy::{Area, PersonName, SitePath};

use super::part::{self, Spot};
use super::parts::Parts;

/// What the name of a record ends with; before that, it is the part's.
pub(super) const ENDING: &str = ".part";

/// Writes the record of a part, or writes it anew.
pub(super) fn write(
    parts: &Parts,
    name: &str,
    person: &PersonName,
    place: &Spot,
) -> Result<(), Errno> {
    // Nothing but the end is a NUL, so a record that was cut off is known as such.
    let text = [
        person.as_str().as_bytes(),
        place.area.as_str().as_bytes(),
        place.path.as_bytes(),
    ]
    .join(&b'\n');
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_CLOEXEC;
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let file = openat(parts.folder(), record_of(name).as_str(), flags, mode)?;
    File::from(file)
        .write_all(&[&text[..], b"\0"].concat())
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))
}

/// Reads the record of a part; none if it has none that is whole.
pub(super) fn read(parts: &Parts, name: &str) -> Option<(PersonName, Area, SitePath)> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(
        parts.folder(),
        record_of(name).as_str(),
        flags,
        Mode::empty(),
    );
    let mut text = Vec::new();
    File::from(file.ok()?)
        .take(LONGEST)
        .read_to_end(&mut text)
        .ok()?;
    let text = text.strip_suffix(b"\0")?;
    let mut lines = text.splitn(3, |byte| *byte == b'\n');
    let mut word = || std::str::from_utf8(lines.next()?).ok();
    let person = word()?.parse().ok()?;
    let area = word()?;
    let area = Area::BELOW_ROOT
        .into_iter()
        .find(|one| one.as_str() == area)?;
    let path = SitePath::normalize(lines.next()?).ok()?;
    (!path.is_empty()).then_some((person, area, path))
}

/// Removes the record of a part.
pub(super) fn remove(parts: &Parts, name: &str) {
    part::unlink(parts, &record_of(name));
}

fn record_of(name: &str) -> String {
    format!("{name}{ENDING}")
}

/// A path and two names, with room.
const LONGEST: u64 = 8 << 10;
