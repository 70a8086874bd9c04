//! The road from a request to the gate: what its names mean, what it asks for, what came of it.

use std::collections::BTreeMap;

use nix::errno::Errno;
use policy::{Action, Area, InTheWay, PathError, SitePath, Target, TreeChange};

use super::Session;
use super::directory::FilesLink;
use super::operation::Operation;
use super::status::{Code, No, is_everyday};
use crate::audit::Outcome;
use crate::fault::Fault;
use crate::gate::{Evidence, Permit};
use crate::site::tree::{NO_ROOM, Obstacle, Place, Tree};

/// Permits to read, one an area, each with the epoch that it was given in: what may be read is
/// asked once, and again when anything has changed.
#[derive(Debug, Default)]
pub(super) struct Readable(BTreeMap<Area, (Permit, u64)>);

impl Readable {
    pub(super) fn permit(&self, area: Area) -> Result<&Permit, Fault> {
        self.0
            .get(&area)
            .map(|(permit, _)| permit)
            .ok_or_else(|| Fault::new("an area was read before it was asked for"))
    }
}

/// Places, with the permits to change them. Places that are only read have none of their own.
#[derive(Debug, Default)]
pub(super) struct Granted {
    first: Option<(Place, Option<Permit>)>,
    second: Option<(Place, Option<Permit>)>,
}

impl Granted {
    /// Returns the one place, to be read.
    pub(super) fn read(self) -> Result<Place, Fault> {
        self.first
            .map(|(place, _)| place)
            .ok_or_else(|| Fault::new("an operation reads what it did not ask for"))
    }

    /// Returns the one place, to be changed.
    pub(super) fn change(self) -> Result<(Place, Permit), Fault> {
        match self.first {
            Some((place, Some(permit))) => Ok((place, permit)),
            Some((_, None)) | None => {
                Err(Fault::new("an operation changes what it did not ask for"))
            }
        }
    }

    /// Ends the permits of what was not begun.
    fn forget(self) {
        for (_, permit) in [self.first, self.second].into_iter().flatten() {
            if let Some(permit) = permit {
                permit.forget();
            }
        }
    }

    /// Returns both places, to be changed.
    pub(super) fn both(self) -> Result<[(Place, Permit); 2], Fault> {
        match (self.first, self.second) {
            (Some((one, Some(first))), Some((two, Some(second)))) => {
                Ok([(one, first), (two, second)])
            }
            (_, _) => Err(Fault::new("an operation changes what it did not ask for")),
        }
    }
}

impl Session {
    /// Looks up what follows from the state, if anything has changed since.
    pub(super) fn refresh(&mut self) -> Result<(), No> {
        let epoch = self.state.epoch();
        if epoch == self.epoch {
            return Ok(());
        }
        let model = self.state.model();
        let site = model.sites.get(&self.site);
        let environment = site
            .and_then(|site| site.environments.get(&self.environment))
            .filter(|found| Some(found.created) == self.made);
        self.tree
            .turn_to(environment.map_or(0, |environment| environment.generation))?;
        if let Some(environment) = environment {
            self.tree.turn_files_to(environment.content.current.files)?;
        }
        self.files_path = site.and_then(|site| site.files_path.clone());
        self.files_link = self
            .files_path
            .as_ref()
            .and_then(FilesLink::of)
            .map(Box::new);
        self.epoch = epoch;
        Ok(())
    }

    /// Asks the gate for all that the table says an operation needs.
    ///
    /// The top of an area is there whatever the gate would say to making it. Clients that make each
    /// folder of a path go on when they hear so, and give up when they hear a refusal.
    pub(super) fn grant(&mut self, operation: &Operation<'_>) -> Result<Granted, No> {
        let [first, second] = operation.asks();
        let place = |asked: Option<(Action, &[u8])>| -> Result<Option<(Action, Place)>, No> {
            asked
                .map(|(action, name)| Ok((action, self.place(name)?)))
                .transpose()
        };
        let (first, second) = (place(first)?, place(second)?);
        if let Some((Action::ChangeTree(TreeChange::MakeDirectory), place)) = &first
            && place.path.is_empty()
        {
            return Err(No::Obstacle(Obstacle::System(Errno::EEXIST)));
        }
        let mut granted = Granted::default();
        if let Some((action, place)) = first {
            let permit = self.ask(action, &place)?;
            granted.first = Some((place, permit));
        }
        if let Some((action, place)) = second {
            match self.ask(action, &place) {
                Ok(permit) => granted.second = Some((place, permit)),
                Err(no) => {
                    granted.forget();
                    return Err(no);
                }
            }
        }
        match self.way_out(operation, &granted) {
            Ok(None) => Ok(granted),
            Ok(Some((action, place))) => {
                granted.forget();
                Err(self.refuse(action, &place, InTheWay::WayOut))
            }
            Err(no) => {
                granted.forget();
                Err(no)
            }
        }
    }

    /// Asks the gate for what setting attributes needs, of a place that a handle is of.
    pub(super) fn grant_to_set_attributes(&mut self, place: Place) -> Result<Granted, No> {
        let permit = self.ask(Action::ChangeTree(TreeChange::SetAttributes), &place)?;
        Ok(Granted {
            first: Some((place, permit)),
            second: None,
        })
    }

    /// Makes sure that a place may be read; once for each area as long as nothing changes.
    pub(super) fn ask_to_read(&mut self, place: &Place) -> Result<(), No> {
        if place.path.names_git_directory() {
            return Err(No::Status(Code::NoSuchFile, "No such file or directory."));
        }
        let epoch = self.state.epoch();
        let known = self.readable.0.get(&place.area);
        if known.is_some_and(|(_, asked)| *asked == epoch) {
            return Ok(());
        }
        self.readable.0.remove(&place.area);
        let permit = self.authorize(Action::ReadTree, place, None)?;
        self.readable.0.insert(place.area, (permit, epoch));
        Ok(())
    }

    /// Reads something at a place.
    pub(super) fn look<T>(
        &mut self,
        place: &Place,
        look: impl FnOnce(&Tree, &Permit, &SitePath) -> Result<T, Obstacle>,
    ) -> Result<T, No> {
        self.ask_to_read(place)?;
        let permit = self.readable.permit(place.area)?;
        match look(&self.tree, permit, &place.path) {
            Ok(found) => Ok(found),
            Err(obstacle) => Err(match obstacle.in_the_way() {
                Some(met) => self.refuse(Action::ReadTree, place, met),
                None => obstacle.into(),
            }),
        }
    }

    /// Changes something at the one place that was granted.
    pub(super) fn change(
        &mut self,
        granted: Granted,
        detail: Option<String>,
        change: impl FnOnce(&Tree, &Permit) -> Result<(), Obstacle>,
    ) -> Result<(), No> {
        let (place, mut permit) = granted.change()?;
        if let Some(detail) = detail {
            permit.describe(detail);
        }
        match change(&self.tree, &permit) {
            Ok(()) => Ok(permit.finish(Outcome::Done)?),
            Err(obstacle) => Err(self.give_up(permit, &place, obstacle)),
        }
    }

    /// Ends the permit of a change that was not made.
    pub(super) fn give_up(&mut self, mut permit: Permit, place: &Place, obstacle: Obstacle) -> No {
        if let Some(met) = obstacle.in_the_way() {
            let action = permit.action();
            permit.forget();
            return self.refuse(action, place, met);
        }
        if is_everyday(&obstacle) {
            permit.forget();
            return obstacle.into();
        }
        permit.describe(match &obstacle {
            Obstacle::System(errno) => errno.desc().to_owned(),
            Obstacle::Fault(fault) => fault.to_string(),
            Obstacle::NoRoom => NO_ROOM.to_owned(),
            Obstacle::Quota(sentence) => sentence.clone(),
            Obstacle::LeadsOut
            | Obstacle::Special
            | Obstacle::SeveralNames
            | Obstacle::TwoAreas => String::new(),
        });
        match permit.finish(Outcome::Failed) {
            Ok(()) => obstacle.into(),
            Err(fault) => fault.into(),
        }
    }

    /// Has the gate refuse, and keep, a request that met something on its way.
    fn refuse(&mut self, action: Action, place: &Place, met: InTheWay) -> No {
        match self.authorize(action, place, Some(met)) {
            Err(no) => no,
            Ok(permit) => {
                permit.forget();
                Fault::new("the policy permits what must not be touched").into()
            }
        }
    }

    /// Finds what a name means.
    pub(super) fn place(&self, name: &[u8]) -> Result<Place, No> {
        Place::named(name, self.files_path.as_ref()).map_err(no_path)
    }

    fn ask(&mut self, action: Action, place: &Place) -> Result<Option<Permit>, No> {
        if action == Action::ReadTree {
            self.ask_to_read(place)?;
            return Ok(None);
        }
        self.authorize(action, place, None).map(Some)
    }

    fn authorize(
        &self,
        action: Action,
        place: &Place,
        met: Option<InTheWay>,
    ) -> Result<Permit, No> {
        let target = Target::Tree(
            self.site.clone(),
            self.environment.clone(),
            place.area,
            place.path.clone(),
        );
        let evidence = Evidence {
            opened_in: self.tree.opened_in(place.area),
            made: self.made,
            in_the_way: met,
            ..Evidence::default()
        };
        Ok(self.gate.authorize(&self.who, action, &target, evidence)?)
    }

    /// Returns what has to be refused if the operation would make a link that leads out of its
    /// area, or to git's directory: a new one, or one that is renamed.
    fn way_out(
        &mut self,
        operation: &Operation<'_>,
        granted: &Granted,
    ) -> Result<Option<(Action, Place)>, No> {
        match (operation, &granted.first, &granted.second) {
            (Operation::Symlink { content, .. }, Some((place, _)), _) => {
                let action = Action::ChangeTree(TreeChange::Symlink);
                let means = beside(&place.path, content)?;
                if means.names_git_directory() {
                    let hidden = Place {
                        path: means,
                        ..place.clone()
                    };
                    return Ok(Some((action, hidden)));
                }
                let leaves = self.peek(place, |tree, permit, path| {
                    tree.leads_out(permit, path, content)
                })?;
                Ok(leaves.unwrap_or_default().then(|| (action, place.clone())))
            }
            (
                Operation::Rename { .. } | Operation::PosixRename { .. },
                Some((from, _)),
                Some((to, _)),
            ) => {
                let Some(content) = self.peek(from, Tree::read_link)? else {
                    return Ok(None);
                };
                let action = Action::ChangeTree(TreeChange::RenameTo);
                let leaves = self.peek(to, |tree, permit, path| {
                    tree.leads_out(permit, path, &content)
                })?;
                Ok(leaves.unwrap_or_default().then(|| (action, to.clone())))
            }
            (_, _, _) => Ok(None),
        }
    }

    /// Looks at something before it is changed. What cannot be looked at will fail on its own.
    fn peek<T>(
        &mut self,
        place: &Place,
        look: impl FnOnce(&Tree, &Permit, &SitePath) -> Result<T, Obstacle>,
    ) -> Result<Option<T>, No> {
        self.ask_to_read(place)?;
        let permit = self.readable.permit(place.area)?;
        match look(&self.tree, permit, &place.path) {
            Ok(found) => Ok(Some(found)),
            Err(Obstacle::Fault(fault)) => Err(fault.into()),
            Err(
                Obstacle::System(_)
                | Obstacle::LeadsOut
                | Obstacle::Special
                | Obstacle::SeveralNames
                | Obstacle::TwoAreas
                | Obstacle::NoRoom
                | Obstacle::Quota(_),
            ) => Ok(None),
        }
    }
}

/// Returns the path that a link's content names, beside the link.
fn beside(link: &SitePath, content: &[u8]) -> Result<SitePath, No> {
    let above = link
        .split_last()
        .map(|(above, _)| above)
        .unwrap_or_default();
    SitePath::normalize(&[above.as_bytes(), content].join(&b'/')).map_err(no_path)
}

fn no_path(error: PathError) -> No {
    match error {
        PathError::Nul => No::Status(Code::Failure, "No name holds a NUL byte."),
        PathError::TooLong => No::Status(Code::Failure, "The name is too long."),
    }
}
