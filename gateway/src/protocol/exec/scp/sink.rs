//! `scp -t`: receives files. A file takes its place when it has come whole.

use nix::errno::Errno;
use policy::{Action, Area, TreeChange};

use super::lines::{Announced, announced, read_times};
use super::{LONGEST_LINE, Lost, Talk};
use crate::audit::Outcome;
use crate::blocking;
use crate::gate::{Denied, Permit};
use crate::protocol::exec::places::Named;
use crate::protocol::exec::reading::{Reading, Unread, cannot, child};
use crate::protocol::exec::words::Word;
use crate::site::tree::{Attributes, Follow, Kind, Obstacle, Opening, Place, Writing};

/// Folders within folders that are made.
const DEEPEST: usize = 200;
const PIECE: usize = 64 * 1024;

/// A folder that is being received, and what to set when it is complete.
struct Level {
    place: Place,
    attributes: Attributes,
}

/// Receives into the place that a word names.
pub(super) async fn receive(talk: &mut Talk<'_>, word: &Word) -> Result<(), Lost> {
    let mut reading = match Reading::new(talk.run) {
        Ok(reading) => reading,
        Err(fault) => return talk.warn_denied(fault.into()).await,
    };
    let Ok(named) = Named::of(word, reading.files_path.as_ref()) else {
        let why = Unread::Cannot("File name too long");
        return talk.warn_unread(&word.text, why).await;
    };
    let target = named.place;
    let mut is_folder = folder(&reading, &target);
    if !is_folder && (talk.options.to_folder || named.ends_in_slash) {
        let why = match reading.look(&target) {
            Err(unread) => unread,
            Ok(_) => Unread::Cannot("Not a directory"),
        };
        return talk.warn_unread(&word.text, why).await;
    }
    // What lies in no area is refused before anything is sent.
    if target.area == Area::Root
        && !target.path.is_empty()
        && let Err(denied) =
            authorize(talk, &reading, &target, TreeChange::Write).map(Permit::forget)
    {
        return talk.warn_denied(denied).await;
    }
    talk.go_on().await?;
    let mut levels: Vec<Level> = Vec::new();
    let mut times = None;
    while let Some(line) = line(talk).await? {
        match line.split_first() {
            Some((b'T', rest)) => {
                times = read_times(rest);
                match times {
                    Some(_) => talk.go_on().await?,
                    None => return broken(talk, "its times are not readable").await,
                }
            }
            Some((b'E', [])) => {
                let Some(level) = levels.pop() else {
                    return broken(talk, "a folder ends that never began").await;
                };
                leave(talk, &reading, level).await?;
            }
            Some((kind @ (b'C' | b'D'), rest)) => {
                let times = times.take();
                let Some(announced) = announced(*kind == b'D', rest) else {
                    return broken(talk, "a name or size is not readable, or hostile").await;
                };
                // A switch or deploy may have come between two files.
                if let Err(fault) = renew(talk, &mut reading) {
                    talk.warn_denied(fault.into()).await?;
                    continue;
                }
                let place = match levels.last() {
                    Some(level) => child(&level.place, &announced.name),
                    None if is_folder => below(&reading, &target, &announced.name),
                    None => Ok(target.clone()),
                };
                let place = match place {
                    Ok(place) => place,
                    Err(unread) => {
                        talk.warn_unread(&announced.name, unread).await?;
                        continue;
                    }
                };
                if announced.is_folder {
                    if levels.len() >= DEEPEST || !talk.options.recursive {
                        return broken(talk, "a folder has no place here").await;
                    }
                    if let Some(level) = enter(talk, &reading, place, &announced, times).await? {
                        levels.push(level);
                    }
                } else {
                    file(talk, &reading, &place, &announced, times).await?;
                }
                is_folder |= levels.is_empty() && folder(&reading, &target);
            }
            Some((1, _)) => talk.errors = talk.errors.saturating_add(1),
            Some((2, _)) => return Err(Lost),
            _ => return broken(talk, "this is not scp's protocol").await,
        }
    }
    Ok(())
}

/// The next line; `None` when the other side has said all.
async fn line(talk: &mut Talk<'_>) -> Result<Option<Vec<u8>>, Lost> {
    let Ok(first) = talk.input.byte().await else {
        return Ok(None);
    };
    if first == b'\n' {
        return Ok(Some(Vec::new()));
    }
    let mut line = vec![first];
    line.extend(talk.input.until(b'\n', LONGEST_LINE).await?);
    Ok(Some(line))
}

/// Ends everything, since nobody knows what the next bytes would mean.
async fn broken(talk: &mut Talk<'_>, what: &str) -> Result<(), Lost> {
    let line = format!("\x02scp: protocol error: {what}\n");
    talk.say(line.as_bytes()).await?;
    Err(Lost)
}

/// Looks at the tree anew when anything has changed since.
fn renew(talk: &Talk<'_>, reading: &mut Reading<'_>) -> Result<(), crate::fault::Fault> {
    let (tree, files_path) = talk.run.tree()?;
    let same = tree.generation() == reading.tree.generation()
        && tree.files_store() == reading.tree.files_store();
    if !same {
        reading.tree = tree;
        reading.files_path = files_path;
    }
    Ok(())
}

fn folder(reading: &Reading<'_>, place: &Place) -> bool {
    let found = reading.look(place);
    found.is_ok_and(|stat| Kind::of(&stat) == Kind::Directory)
}

/// The place of a name in the target; below `/` that is an area, or no place at all.
fn below(reading: &Reading<'_>, target: &Place, name: &[u8]) -> Result<Place, Unread> {
    let is_folder_of_link =
        target.area == Area::Code && reading.files_path.is_some() || target.area == Area::Root;
    if !is_folder_of_link {
        return child(target, name);
    }
    let path = [
        target.area.as_str().as_bytes(),
        target.path.as_bytes(),
        name,
    ]
    .join(&b'/');
    Place::named(&path, reading.files_path.as_ref())
        .map_err(|_| Unread::Cannot("File name too long"))
}

async fn enter(
    talk: &mut Talk<'_>,
    reading: &Reading<'_>,
    place: Place,
    announced: &Announced,
    times: Option<(u32, u32)>,
) -> Result<Option<Level>, Lost> {
    let shown = place.path.as_bytes().to_vec();
    if !folder(reading, &place) {
        let made = change(talk, reading, &place, TreeChange::MakeDirectory, |permit| {
            let attributes = Attributes {
                // So that what is to come can be put into it.
                permissions: Some(announced.mode | 0o700),
                ..Attributes::default()
            };
            reading.tree.make_directory(permit, &attributes)
        });
        if let Err(unread) = made {
            talk.warn_unread(&shown, unread).await?;
            return Ok(None);
        }
    }
    talk.go_on().await?;
    let mut attributes = Attributes::default();
    if talk.options.preserve {
        attributes.permissions = Some(announced.mode | 0o700);
        attributes.times = times;
    }
    Ok(Some(Level { place, attributes }))
}

async fn leave(talk: &mut Talk<'_>, reading: &Reading<'_>, level: Level) -> Result<(), Lost> {
    if level.attributes != Attributes::default() {
        let set = change(
            talk,
            reading,
            &level.place,
            TreeChange::SetAttributes,
            |permit| {
                reading
                    .tree
                    .set_attributes(permit, &level.attributes, Follow::Links)
            },
        );
        if let Err(unread) = set {
            let shown = level.place.path.as_bytes().to_vec();
            return talk.warn_unread(&shown, unread).await;
        }
    }
    talk.go_on().await
}

/// Makes one change, with its permit and its row.
fn change(
    talk: &Talk<'_>,
    reading: &Reading<'_>,
    place: &Place,
    change: TreeChange,
    effect: impl FnOnce(&Permit) -> Result<(), Obstacle>,
) -> Result<(), Unread> {
    let permit = authorize(talk, reading, place, change)?;
    match effect(&permit) {
        Ok(()) => Ok(permit.finish(Outcome::Done)?),
        Err(obstacle) => Err(failed(reading, place, permit, obstacle)),
    }
}

fn authorize(
    talk: &Talk<'_>,
    reading: &Reading<'_>,
    place: &Place,
    change: TreeChange,
) -> Result<Permit, Denied> {
    talk.run
        .authorize(Action::ChangeTree(change), &reading.tree, place, None)
}

fn failed(reading: &Reading<'_>, place: &Place, mut permit: Permit, obstacle: Obstacle) -> Unread {
    if obstacle.in_the_way().is_some() {
        let action = permit.action();
        permit.forget();
        return reading.refused(action, place, obstacle);
    }
    let unread = cannot(obstacle);
    match &unread {
        Unread::Cannot(why) => permit.describe(*why),
        Unread::Full(why) => permit.describe(why.clone()),
        Unread::Denied(_) => {}
    }
    match permit.finish(Outcome::Failed) {
        Ok(()) => unread,
        Err(fault) => fault.into(),
    }
}

/// Receives one file.
async fn file(
    talk: &mut Talk<'_>,
    reading: &Reading<'_>,
    place: &Place,
    announced: &Announced,
    times: Option<(u32, u32)>,
) -> Result<(), Lost> {
    let shown = place.path.as_bytes().to_vec();
    let mut writing = match open(talk, reading, place, announced) {
        Ok(writing) => writing,
        // The other side, so answered, sends no bytes of this file.
        Err(unread) => return talk.warn_unread(&shown, unread).await,
    };
    talk.go_on().await?;
    let mut trouble = None;
    let mut left = announced.size;
    let mut offset = 0;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let bytes = talk.input.some(most).await;
        if bytes.is_empty() {
            // Gone in mid-file: what came of it is thrown away, and the old one stays.
            let _ = writing.end(Outcome::Interrupted);
            return Err(Lost);
        }
        left = left.saturating_sub(bytes.len() as u64);
        if trouble.is_some() {
            continue;
        }
        let written = match writing.still_holds() {
            Ok(()) => writing.write(offset, bytes).map_err(cannot),
            Err(denied) => Err(Unread::Denied(denied)),
        };
        offset += bytes.len() as u64;
        trouble = written.err();
    }
    // The other side says whether its own file could be read to its end.
    let whole = match talk.answer().await {
        Ok(whole) => whole,
        Err(lost) => {
            let _ = writing.end(Outcome::Interrupted);
            return Err(lost);
        }
    };
    match put(talk, writing, whole, trouble, times, announced) {
        Ok(()) => talk.go_on().await,
        Err(unread) => talk.warn_unread(&shown, unread).await,
    }
}

fn open(
    talk: &Talk<'_>,
    reading: &Reading<'_>,
    place: &Place,
    announced: &Announced,
) -> Result<Writing, Unread> {
    let permit = authorize(talk, reading, place, TreeChange::Write)?;
    let how = Opening {
        create: true,
        truncate: true,
        ..Opening::default()
    };
    let attributes = Attributes {
        permissions: Some(announced.mode),
        ..Attributes::default()
    };
    let existing = folder(reading, place);
    let drafted = if existing {
        Err(Errno::EISDIR.into())
    } else {
        reading.tree.draft(&permit, how, &attributes)
    };
    match drafted {
        Ok(draft) => Ok(Writing::new(permit, draft)),
        Err(obstacle) => Err(failed(reading, place, permit, obstacle)),
    }
}

/// Lets a file that has come take its place, or throws it away.
fn put(
    talk: &Talk<'_>,
    mut writing: Writing,
    whole: bool,
    trouble: Option<Unread>,
    times: Option<(u32, u32)>,
    announced: &Announced,
) -> Result<(), Unread> {
    if !whole {
        writing.end(Outcome::Interrupted)?;
        return Err(Unread::Cannot(
            "the file was not read whole, and so not put in its place",
        ));
    }
    if let Some(unread) = trouble {
        let outcome = match &unread {
            Unread::Denied(_) => Outcome::Refused,
            Unread::Cannot(_) | Unread::Full(_) => Outcome::Failed,
        };
        writing.end(outcome)?;
        return Err(unread);
    }
    let mut done = Ok(());
    if talk.options.preserve {
        let attributes = Attributes {
            permissions: Some(announced.mode),
            times,
            ..Attributes::default()
        };
        done = writing.set_attributes(&attributes);
    }
    let done = done.and_then(|()| {
        if let Err(denied) = writing.still_holds() {
            return Ok(Err(denied));
        }
        blocking::wait(|| writing.publish()).map(Ok)
    });
    match done {
        Ok(Ok(())) => Ok(writing.end(Outcome::Done)?),
        Ok(Err(denied)) => {
            writing.end(Outcome::Refused)?;
            Err(Unread::Denied(denied))
        }
        Err(obstacle) => {
            writing.end(Outcome::Failed)?;
            Err(cannot(obstacle))
        }
    }
}
