//! From rsync's log to the audit: a row for each file that it wrote, made or removed, and for each
//! that it was kept from writing.

use policy::{Action, Area, Refusal, SitePath, TreeChange};

use super::log::Line;
use super::{NAME, Transfer, settings};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::{Denied, Permit};
use crate::protocol::exec::Run;
use crate::site::tree::{Follow, Kind};

/// Where names of the log begin.
#[derive(Debug)]
pub(super) struct Rows {
    /// Whether the place is known to be a folder.
    is_folder: bool,
    /// Whether it was there before, in any form.
    was_there: bool,
    reading: Option<Permit>,
}

impl Rows {
    /// Looks at the place before anything is written to it.
    pub(super) fn new(run: &Run, transfer: &Transfer) -> Self {
        let reading = run
            .authorize(Action::ReadTree, &transfer.tree, &transfer.place, None)
            .ok();
        let mut rows = Self {
            is_folder: false,
            was_there: false,
            reading,
        };
        let found = rows.look(transfer);
        rows.was_there = found.is_some();
        rows.is_folder = found == Some(Kind::Directory);
        rows
    }

    /// Keeps what one line tells; returns what the person is to be told.
    pub(super) fn keep(
        &mut self,
        run: &Run,
        transfer: &Transfer,
        line: Line,
    ) -> Result<Option<Denied>, Fault> {
        match line {
            Line::Changed { .. } if transfer.arguments.sends || transfer.arguments.dry_run => {
                Ok(None)
            }
            Line::Changed {
                change,
                bytes,
                name,
            } => {
                if !self.is_folder {
                    self.is_folder = self.look(transfer) == Some(Kind::Directory);
                    if self.is_folder && !self.was_there {
                        row(transfer, TreeChange::MakeDirectory, 0, &transfer.place.path)?;
                    }
                }
                let path = self.path(transfer, &name)?;
                row(transfer, change, bytes, &path)?;
                Ok(None)
            }
            Line::Forbidden(name) => Ok(Some(self.forbidden(run, transfer, &name)?)),
            Line::Other(text) => {
                tracing::debug!(person = %run.who.person, "rsync: {text}");
                Ok(None)
            }
        }
    }

    fn path(&self, transfer: &Transfer, name: &[u8]) -> Result<SitePath, Fault> {
        if !self.is_folder {
            return Ok(transfer.place.path.clone());
        }
        let name = SitePath::normalize(name).map_err(|_| Fault::new("reading rsync's log"))?;
        Ok(transfer.place.path.join(&name))
    }

    fn look(&self, transfer: &Transfer) -> Option<Kind> {
        let permit = self.reading.as_ref()?;
        let found = transfer
            .tree
            .look(permit, &transfer.place.path, Follow::Links);
        found.ok().map(|stat| Kind::of(&stat))
    }

    fn forbidden(&self, run: &Run, transfer: &Transfer, name: &[u8]) -> Result<Denied, Fault> {
        let path = self.path(transfer, name)?;
        let uploads = transfer.place.area == Area::Code
            && settings::is_uploads(&path, transfer.files_path.as_ref());
        if uploads {
            let refusal = Refusal {
                rule: "uploads-are-not-code",
                message: format!(
                    "/code/{path} is where {} keeps its uploads, which lie in /files; it was not \
                     written by an rsync to /code.",
                    run.site
                ),
                hint: "Leave it out (--exclude), and send it to /files by an rsync of its own."
                    .to_owned(),
            };
            return Ok(run.refuse(NAME, path.as_bytes(), refusal));
        }
        let place = crate::site::tree::Place {
            path: path.clone(),
            ..transfer.place.clone()
        };
        let action = Action::ChangeTree(TreeChange::Write);
        match run.authorize(action, &transfer.tree, &place, None) {
            Err(denied) => Ok(denied),
            Ok(permit) => {
                permit.forget();
                let refusal = Refusal {
                    rule: "rsync-place",
                    message: format!("/{}/{path} was not written.", transfer.place.area),
                    hint: "Give it another name.".to_owned(),
                };
                Ok(run.refuse(NAME, path.as_bytes(), refusal))
            }
        }
    }
}

/// Writes the row of one change, under the permit that rsync was started with.
fn row(transfer: &Transfer, change: TreeChange, bytes: u64, path: &SitePath) -> Result<(), Fault> {
    let action = Action::ChangeTree(change);
    let permit = transfer
        .permits
        .iter()
        .find(|permit| permit.action() == action)
        .ok_or_else(|| Fault::new("rsync did what it was not asked to do"))?;
    // The permit is for any name below the place; the place itself, where it is a file or new, is
    // not below it but as permitted.
    let mut part = permit.part(change, path)?;
    part.add_bytes(bytes);
    part.describe(NAME);
    transfer.tree.changed(transfer.place.area, change, bytes);
    part.finish(Outcome::Done)
}
