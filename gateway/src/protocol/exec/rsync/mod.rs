//! rsync: the real one, as a daemon of one module for one client, confined by the kernel to the area
//! that the policy lets it have.
//!
//! The road: the arguments are read into what they ask for ([`arguments`]); the gate is asked; the
//! daemon is started with settings of ours ([`settings`]) and greeted in the client's name
//! ([`greeting`]); bytes go both ways ([`run`]) while its log becomes rows of the audit ([`rows`]).

mod arguments;
mod greeting;
mod log;
mod quota;
mod rows;
mod run;
mod settings;
mod streams;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use policy::{Action, Area, Refusal, TreeChange};

use super::Run;
use super::input::Input;
use super::places::Named;
use super::words::Word;
use crate::fault::Fault;
use crate::gate::{Denied, Permit};
use crate::site::tree::{Place, Tree};
use crate::site::workplace::Partial;
use arguments::{Arguments, Unwanted};

const NAME: &str = "rsync";

/// The exit status when rsync was never run; rsync(1) has no such number.
const REFUSED: u32 = 3;

/// Programs of rsync's that run at once: with [`settings::MEMORY`], the bound of what they take.
pub(super) const MOST: usize = 32;

/// Words that come over standard input, and the length of one.
const MOST_WORDS: usize = 4096;
const LONGEST_WORD: usize = 8192;

/// Folders of partial files that a transfer uses now: no two may write to the same file.
#[derive(Debug, Default, Clone)]
pub(super) struct Partials(Arc<Mutex<HashSet<PathBuf>>>);

/// A folder of partial files that is ours until this is dropped.
#[derive(Debug)]
struct Taken {
    partial: Partial,
    all: Partials,
}

impl Partials {
    fn take(&self, partial: Partial) -> Option<Taken> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(partial.path.clone()).then(|| Taken {
            partial,
            all: self.clone(),
        })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.partial.path);
    }
}

/// A transfer that was permitted.
#[derive(Debug)]
struct Transfer {
    arguments: Arguments,
    named: Vec<Named>,
    place: Place,
    tree: Tree,
    files_path: Option<policy::SitePath>,
    permits: Vec<Permit>,
}

/// Serves one `rsync --server` to its end; returns the exit status.
pub(super) async fn serve(run: &Run, words: &[Word], input: &mut Input) -> u32 {
    let begun = match read(run, words, input).await {
        Ok(arguments) => begin(run, arguments),
        Err(denied) => Err(denied),
    };
    let Ok(_room) = run.service.room.try_acquire() else {
        if let Ok(transfer) = begun {
            forget(transfer.permits);
        }
        let sentence =
            format!("{MOST} rsyncs run on this server, which is the most. Try again later.");
        run.complain(NAME, &sentence).await;
        return REFUSED;
    };
    let done = match begun {
        Ok(transfer) => run::run(run, transfer, input).await,
        Err(denied) => Err(denied),
    };
    match done {
        Ok(status) => status,
        Err(denied) => {
            run.show(NAME, denied).await;
            REFUSED
        }
    }
}

async fn read(run: &Run, words: &[Word], input: &mut Input) -> Result<Arguments, Denied> {
    let shown = words.iter().map(|word| word.text.as_slice());
    let shown = shown.collect::<Vec<_>>().join(&b' ');
    let unwanted = |unwanted: Unwanted| {
        let refusal = Refusal {
            rule: "rsync-option",
            message: unwanted.sentence,
            hint: unwanted.hint.to_owned(),
        };
        run.refuse(NAME, shown.get(..200).unwrap_or(&shown), refusal)
    };
    let mut arguments = Arguments::parse(words).map_err(unwanted)?;
    if arguments.secluded {
        let mut more = Vec::new();
        loop {
            let word = input.until(0, LONGEST_WORD).await;
            let word = word.map_err(|_| Fault::new("reading rsync's secluded arguments"))?;
            if word.is_empty() {
                break;
            }
            if more.len() >= MOST_WORDS {
                return Err(Fault::new("reading too many secluded arguments of rsync").into());
            }
            more.push(Word::of_pattern(&word));
        }
        arguments.take_secluded(&more).map_err(unwanted)?;
    }
    Ok(arguments)
}

/// Asks the gate for all that the arguments may come to.
fn begin(run: &Run, arguments: Arguments) -> Result<Transfer, Denied> {
    let (tree, files_path) = run.tree()?;
    let mut named = Vec::new();
    for word in &arguments.paths {
        let one = Named::of(word, files_path.as_ref())
            .map_err(|_| unfit(run, word, "This is no path.", "Name a folder or file."))?;
        named.push(one);
    }
    let (Some(first), Some(word)) = (named.first(), arguments.paths.first()) else {
        return Err(unfit(
            run,
            &Word::default(),
            "This rsync names no place.",
            "Name one, for instance ENV.SITE@HOST:/code/.",
        ));
    };
    let place = first.place.clone();
    if place.area == Area::Root {
        return Err(unfit(
            run,
            word,
            "rsync works inside one area, and this is none.",
            "Name /code, /files, /tmp, /logs or /backups, or a place inside one of them.",
        ));
    }
    if named.iter().any(|one| one.place.area != place.area) {
        return Err(unfit(
            run,
            word,
            "These places lie in several areas, and one rsync works in one.",
            "Run rsync once for each area.",
        ));
    }
    if arguments.sends
        && named
            .iter()
            .any(|one| one.place.is_files_link && !one.ends_in_slash)
    {
        return Err(unfit(
            run,
            word,
            "This name is a link to /files, which rsync would take for a folder of that name.",
            "Name /files, or end the path with a slash.",
        ));
    }
    let mut permits = Vec::new();
    if arguments.sends {
        for one in &named {
            permits.push(run.authorize(Action::ReadTree, &tree, &one.place, None)?);
        }
    } else {
        if named.len() > 1 {
            return Err(unfit(
                run,
                word,
                "An upload has one place to go to, and this one has several.",
                "If the path has blanks, quote it twice, or use --secluded-args.",
            ));
        }
        permits = writes(run, &arguments, &tree, &place)?;
    }
    Ok(Transfer {
        arguments,
        named,
        place,
        tree,
        files_path,
        permits,
    })
}

/// Asks for each change that an upload may make, of any name below the place.
fn writes(
    run: &Run,
    arguments: &Arguments,
    tree: &Tree,
    place: &Place,
) -> Result<Vec<Permit>, Denied> {
    let mut changes = vec![
        TreeChange::Write,
        TreeChange::MakeDirectory,
        TreeChange::SetAttributes,
        // What stands in the way of a file or folder of the same name is removed.
        TreeChange::Remove,
        TreeChange::RemoveDirectory,
    ];
    if arguments.links {
        changes.push(TreeChange::Symlink);
    }
    if arguments.hard_links {
        changes.push(TreeChange::HardLink);
    }
    let any = policy::SitePath::normalize(b"*")
        .map_err(|_| Fault::new("naming any place below another"))?;
    let below = Place {
        path: place.path.join(&any),
        ..place.clone()
    };
    let mut permits = Vec::new();
    for change in changes {
        match run.authorize(Action::ChangeTree(change), tree, &below, None) {
            Ok(permit) => permits.push(permit),
            Err(denied) => {
                forget(permits);
                return Err(denied);
            }
        }
    }
    Ok(permits)
}

/// Ends permits that need no rows of their own.
fn forget(permits: Vec<Permit>) {
    permits.into_iter().for_each(Permit::forget);
}

fn unfit(run: &Run, word: &Word, sentence: &str, hint: &str) -> Denied {
    let refusal = Refusal {
        rule: "rsync-place",
        message: sentence.to_owned(),
        hint: hint.to_owned(),
    };
    run.refuse(NAME, &word.text, refusal)
}

/// Returns where rsync is installed.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|folder| folder.join(NAME))
        .find(|program| program.is_absolute() && Path::new(program).is_file())
}
