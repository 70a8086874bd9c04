//! A content that is being built, where nobody is pointed to it: begun, filled, and then either given to
//! its environment or taken away again. What a crash leaves of one is nobody's, and collected.

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use policy::{Environment, SiteName};

use super::account::{Account, DATA, database};
use super::{Parts, collect, pointer};
use crate::audit::Outcome;
use crate::database::{Address, Database, Engine};
use crate::fault::{Fault, OrFault};
use crate::gate::Permit;
use crate::site::layout::EnvironmentLayout;
use crate::site::workflow::{self, Change, Release, Undone};
use crate::site::{Run, Sites, crash, folder::Folder, runtime};
use crate::state::{Content, ContentChange, Intent};
use crate::steps_file::Event;

/// A content on its way. Dropping it leaves what is collected later; [`Fresh::discard`] takes it away
/// at once.
#[derive(Debug)]
pub(in crate::site) struct Fresh {
    layout: EnvironmentLayout,
    before: Content,
    content: Content,
    database: Option<Database>,
    origin: String,
}

impl Fresh {
    /// Begins one; the halves that are not named stay those that the environment has. The new
    /// ones are empty.
    ///
    /// # Errors
    /// When the disk or the server of databases does not take it.
    pub(in crate::site) fn begin(
        sites: &Sites,
        permit: &Permit,
        parts: Parts,
        origin: String,
    ) -> Result<Self, Undone> {
        let (site, environment) = (permit.site()?, permit.environment()?);
        let layout = sites.layout.site(site).environment(environment);
        let before = pointer::current(&layout)?;
        let newest = collect::newest(&layout, before)?;
        let content = Content {
            number: newest.number + 1,
            files: if parts.files {
                newest.files + 1
            } else {
                before.files
            },
            database: if parts.database {
                newest.database + 1
            } else {
                before.database
            },
        };
        let mut fresh = Self {
            layout,
            before,
            content,
            database: None,
            origin,
        };
        match fresh.make(sites, site, environment, parts) {
            Ok(()) => Ok(fresh),
            Err(undone) => {
                fresh.discard(sites, permit);
                Err(undone)
            }
        }
    }

    fn make(
        &mut self,
        sites: &Sites,
        site: &SiteName,
        environment: &Environment,
        parts: Parts,
    ) -> Result<(), Undone> {
        if parts.files {
            pointer::make_folder(&self.files())?;
        }
        if parts.database {
            self.make_database(sites, site, environment)?;
        }
        pointer::describe(&self.layout, self.content)?;
        self.database = database(&sites.databases, &self.layout, self.content.database)?;
        if parts.database
            && let Some(database) = &self.database
        {
            database.create()?;
        }
        crash::point("content-begun");
        Ok(())
    }

    fn make_database(
        &mut self,
        sites: &Sites,
        site: &SiteName,
        environment: &Environment,
    ) -> Result<(), Undone> {
        let model = sites.state.model();
        let settings = model
            .sites
            .get(site)
            .map(|site| site.content.clone())
            .unwrap_or_default();
        let store = self.layout.database_store(self.content.database);
        let Some(engine) = settings.engine else {
            self.content.database = 0;
            return Ok(());
        };
        pointer::make_folder(&store)?;
        match engine {
            Engine::Sqlite => pointer::make_folder(&store.join(DATA))?,
            Engine::Mariadb | Engine::Postgresql => {
                let server = sites
                    .databases
                    .choose(engine, settings.server.as_deref())
                    .map_err(Undone::Impossible)?;
                // Before anything is made on the server, so that it is found after a crash.
                Account::new(engine, &server.name, site, environment)?.write(&store)?;
            }
        }
        Ok(())
    }

    /// Gives its new files, which are empty, what an earlier content left, to be brought up to date.
    ///
    /// # Errors
    /// When that cannot be moved.
    pub(in crate::site) fn use_spare(&self) -> Result<(), Fault> {
        collect::take_spare(&self.layout, self.content.files)
    }

    /// Returns the folder of its files.
    pub(in crate::site) fn files(&self) -> PathBuf {
        self.layout.files_store(self.content.files)
    }

    /// Returns its database; none where the site has none.
    pub(in crate::site) fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    /// Returns what it is made of.
    pub(in crate::site) fn content(&self) -> Content {
        self.content
    }

    /// Writes what the site reads of it, and all of it out to the disk: only now may anybody be
    /// pointed to it.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(in crate::site) fn complete(&self, sites: &Sites, permit: &Permit) -> Result<(), Fault> {
        runtime::prepare(sites, permit, &self.layout, self.content)?;
        crash::point("content-described");
        self.sync()
    }

    fn sync(&self) -> Result<(), Fault> {
        Folder::open(self.layout.folder())
            .and_then(|folder| folder.sync_file_system())
            .or_fault(|| "writing a content out to the disk")?;
        crash::point("content-synced");
        Ok(())
    }

    /// Returns what is intended with it.
    pub(in crate::site) fn change(&self, sites: &Sites) -> ContentChange {
        let keep = sites.keep_former;
        ContentChange {
            new: self.content,
            before: self.before,
            keep_until: (!keep.is_zero())
                .then(|| Timestamp::now().checked_add(keep).ok())
                .flatten(),
            address: self.database.as_ref().and_then(address),
            origin: self.origin.clone(),
        }
    }

    /// Takes it away: it is not wanted after all.
    pub(in crate::site) fn discard(self, sites: &Sites, permit: &Permit) {
        if let Err(fault) = collect::remove(sites, permit, &self.layout, self.content, self.before)
        {
            tracing::warn!("a content that was not wanted is left for later: {fault}");
        }
    }

    /// Gives it to its environment, with the steps of an event before and after.
    ///
    /// # Errors
    /// [`Undone`]; the environment has the content that it had, and this one is gone.
    pub(in crate::site) fn switch_to(
        self,
        sites: &Sites,
        run: &Run,
        permit: Permit,
        event: Event,
    ) -> Result<(), Undone> {
        self.switch_with(sites, run, permit, (event, Vec::new()))
    }

    /// As [`Self::switch_to`], with the steps of more events on this content before anybody is pointed to
    /// it.
    ///
    /// # Errors
    /// [`Undone`]; the environment has the content that it had, and this one is gone.
    pub(in crate::site) fn switch_with(
        self,
        sites: &Sites,
        run: &Run,
        permit: Permit,
        events: (Event, Vec<Event>),
    ) -> Result<(), Undone> {
        let release = match self
            .complete(sites, &permit)
            .map_err(Undone::from)
            .and_then(|()| workflow::with_content(sites, run, &permit, events, self.content))
            // Steps have worked on it since it was written out.
            .and_then(|release| Ok(self.sync().map(|()| release)?))
        {
            Ok(release) => release,
            Err(undone) => return Err(self.give_up(sites, permit, undone)),
        };
        self.carry_out(sites, run, permit, Some(release))
    }

    /// Gives it to its environment with nothing around it.
    ///
    /// # Errors
    /// [`Undone`]; the environment has the content that it had.
    pub(in crate::site) fn carry_out(
        self,
        sites: &Sites,
        run: &Run,
        permit: Permit,
        release: Option<Release>,
    ) -> Result<(), Undone> {
        let intent = Intent {
            content: Some(self.change(sites)),
            note: self.origin.clone(),
            ..Intent::default()
        };
        let change = Change {
            kind: run.live().kind(),
            permits: vec![permit],
            intent,
            release,
        };
        // What was not switched to is collected with the next change, or at the next start.
        workflow::carry_out(sites, run, change)
    }

    /// Ends what cannot go on: takes it away, and writes the row of the permit.
    pub(in crate::site) fn give_up(self, sites: &Sites, permit: Permit, undone: Undone) -> Undone {
        self.discard(sites, &permit);
        end(permit, undone)
    }
}

/// Returns where a database is reached over TCP.
pub(super) fn address(database: &Database) -> Option<String> {
    let Database::Served { server, .. } = database else {
        return None;
    };
    match &server.address {
        Address::Tcp { host, port } if host.contains(':') => Some(format!("[{host}]:{port}")),
        Address::Tcp { host, port } => Some(format!("{host}:{port}")),
        Address::Socket(_) => None,
    }
}

/// Writes the row of something that came to nothing.
pub(in crate::site) fn end(mut permit: Permit, undone: Undone) -> Undone {
    if let Undone::Fault(fault) = &undone {
        tracing::error!("content: {fault}");
    }
    permit.describe(undone.to_string());
    if let Err(fault) = permit.finish(Outcome::Failed) {
        tracing::error!("a change that failed could not be recorded: {fault}");
    }
    undone
}

/// Removes a folder with all in it, if it is there.
pub(super) fn remove_folder(path: &std::path::Path) -> Result<(), Fault> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).or_fault(|| format!("removing {}", path.display()))
        }
        _gone => Ok(()),
    }
}
