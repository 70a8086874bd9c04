//! `scp -f`: sends files.

use std::io::Read;

use nix::sys::stat::FileStat;

use super::{Lost, Talk};
use crate::blocking;
use crate::protocol::exec::reading::{Found, Reading, Unread, child};
use crate::protocol::exec::words::Word;
use crate::site::tree::{Kind, Listing, Place};

/// Folders within folders that are followed.
const DEEPEST: usize = 200;
const PIECE: usize = 64 * 1024;

/// A folder that is being sent.
struct Level {
    place: Place,
    names: Listing,
}

/// Sends what the words name.
pub(super) async fn send(talk: &mut Talk<'_>, words: &[&Word]) -> Result<(), Lost> {
    let reading = match Reading::new(talk.run) {
        Ok(reading) => reading,
        Err(fault) => return talk.warn_denied(fault.into()).await,
    };
    if !talk.answer().await? {
        return Ok(());
    }
    for word in words {
        match blocking::wait(|| reading.expand(word)) {
            Ok(found) => {
                for found in found {
                    one(talk, &reading, &found).await?;
                }
            }
            Err(unread) => talk.warn_unread(&word.text, unread).await?,
        }
    }
    Ok(())
}

async fn one(talk: &mut Talk<'_>, reading: &Reading<'_>, found: &Found) -> Result<(), Lost> {
    let name = match found.place.path.split_last() {
        Some((_, name)) => name.to_vec(),
        None => found.place.area.as_str().as_bytes().to_vec(),
    };
    if name.is_empty() {
        let why = "name an area: /code, /files, /tmp, /logs or /backups";
        return talk.warn_unread(&found.shown, Unread::Cannot(why)).await;
    }
    let stat = match reading.look(&found.place) {
        Ok(stat) => stat,
        Err(unread) => return talk.warn_unread(&found.shown, unread).await,
    };
    match Kind::of(&stat) {
        Kind::Directory if talk.options.recursive => {
            folder(talk, reading, found.place.clone(), &name, &stat).await
        }
        Kind::Directory => {
            let why = "not a regular file";
            talk.warn_unread(&found.shown, Unread::Cannot(why)).await
        }
        _ => file(talk, reading, &found.place, &name, &found.shown).await,
    }
}

/// Sends a folder with all in it.
async fn folder(
    talk: &mut Talk<'_>,
    reading: &Reading<'_>,
    place: Place,
    name: &[u8],
    stat: &FileStat,
) -> Result<(), Lost> {
    let mut levels = Vec::new();
    enter(talk, reading, &mut levels, place, name, stat).await?;
    while let Some(level) = levels.last_mut() {
        let Ok(Some(entry)) = level.names.next_entry() else {
            levels.pop();
            talk.say(b"E\n").await?;
            talk.answer().await?;
            continue;
        };
        let place = match child(&level.place, &entry.name) {
            Ok(place) => place,
            Err(unread) => {
                talk.warn_unread(&entry.name, unread).await?;
                continue;
            }
        };
        // The link to uploads: they are content, to be had from /files.
        let is_link_to_uploads = place.area == policy::Area::Code
            && reading.files_path.as_ref() == Some(&place.path)
            && Kind::of(&entry.stat) == Kind::Link;
        if is_link_to_uploads {
            continue;
        }
        let shown = place.path.as_bytes().to_vec();
        let stat = match reading.look(&place) {
            Ok(stat) => stat,
            Err(unread) => {
                talk.warn_unread(&shown, unread).await?;
                continue;
            }
        };
        match Kind::of(&stat) {
            Kind::Directory if levels.len() >= DEEPEST => {
                let why = "too many folders within each other";
                talk.warn_unread(&shown, Unread::Cannot(why)).await?;
            }
            Kind::Directory => {
                enter(talk, reading, &mut levels, place, &entry.name, &stat).await?;
            }
            _ => file(talk, reading, &place, &entry.name, &shown).await?,
        }
    }
    Ok(())
}

async fn enter(
    talk: &mut Talk<'_>,
    reading: &Reading<'_>,
    levels: &mut Vec<Level>,
    place: Place,
    name: &[u8],
    stat: &FileStat,
) -> Result<(), Lost> {
    let names = match reading.list(&place) {
        Ok(names) => names,
        Err(unread) => return talk.warn_unread(name, unread).await,
    };
    if begin(talk, b'D', stat, 0, name).await? {
        levels.push(Level { place, names });
    }
    Ok(())
}

/// Sends one file.
async fn file(
    talk: &mut Talk<'_>,
    reading: &Reading<'_>,
    place: &Place,
    name: &[u8],
    shown: &[u8],
) -> Result<(), Lost> {
    let (mut file, stat, mut permit) = match reading.open(place) {
        Ok(opened) => opened,
        Err(unread) => return talk.warn_unread(shown, unread).await,
    };
    let size = stat.st_size.unsigned_abs();
    if !begin(talk, b'C', &stat, size, name).await? {
        return Ok(());
    }
    let mut buffer = vec![0; PIECE];
    let mut left = size;
    let mut trouble = None;
    // As many bytes as were announced, whatever becomes of the file; what is then said tells that
    // they are not to be trusted.
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let room = buffer.get_mut(..most).unwrap_or_default();
        let mut length = most;
        if trouble.is_none() {
            match permit.still_holds() {
                Err(denied) => trouble = Some(Unread::Denied(denied)),
                Ok(()) => match blocking::wait(|| file.read(room)) {
                    Ok(0) => trouble = Some(Unread::Cannot("the file became shorter")),
                    Ok(read) => length = read,
                    Err(_) => trouble = Some(Unread::Cannot("Input/output error")),
                },
            }
        }
        if trouble.is_some() {
            room.fill(0);
        }
        talk.run
            .output
            .out(room.get(..length).unwrap_or_default())
            .await?;
        left = left.saturating_sub(length as u64);
    }
    match trouble {
        None => talk.go_on().await?,
        Some(unread) => talk.warn_unread(shown, unread).await?,
    }
    talk.answer().await?;
    Ok(())
}

/// Announces a file or folder; false when the other side leaves it out.
async fn begin(
    talk: &mut Talk<'_>,
    kind: u8,
    stat: &FileStat,
    size: u64,
    name: &[u8],
) -> Result<bool, Lost> {
    if name.iter().any(u8::is_ascii_control) {
        let why = "scp cannot send names with control characters; use SFTP";
        talk.warn_unread(name, Unread::Cannot(why)).await?;
        return Ok(false);
    }
    if talk.options.preserve {
        let (modified, accessed) = (stat.st_mtime.max(0), stat.st_atime.max(0));
        talk.say(format!("T{modified} 0 {accessed} 0\n").as_bytes())
            .await?;
        if !talk.answer().await? {
            return Ok(false);
        }
    }
    let mut line = vec![kind];
    line.extend_from_slice(format!("{:04o} {size} ", stat.st_mode & 0o777).as_bytes());
    line.extend_from_slice(name);
    line.push(b'\n');
    talk.say(&line).await?;
    talk.answer().await
}
