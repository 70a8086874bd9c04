//! The programs that a client may run by an exec line, without a shell: `rsync` as a confined child,
//! `scp` and the checksum commands as our own.
//!
//! Each asks the gate before it begins, on the areas and paths that its words name.

mod input;
mod places;
mod reading;
mod rsync;
mod scp;
mod sums;
pub mod words;

use std::sync::Arc;

use policy::{Action, Area, Environment, InTheWay, Refusal, SiteName, SitePath, Target};
use tokio::sync::{Semaphore, mpsc};

use crate::fault::Fault;
use crate::gate::{Denied, Evidence, Gate, Identity, Permit};
use crate::protocol::digest::Algorithm;
use crate::protocol::refusal_lines;
use crate::protocol::ssh::Output;
use crate::site::Sites;
use crate::site::tree::{Place, Tree};
use input::Input;
pub use sums::SHELL_PROBE;
use words::Word;

/// A program, with the words after its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// `rsync --server`.
    Rsync(Vec<Word>),
    /// `scp -f` or `scp -t`.
    Scp(Vec<Word>),
    /// `md5sum` and its like.
    Sum(Algorithm, Vec<Word>),
    /// What rclone asks to learn which shell it talks to.
    ShellProbe,
}

impl Program {
    /// Returns the program of this name, if it is one of ours.
    pub fn named(name: &[u8], words: Vec<Word>) -> Option<Self> {
        match name {
            b"rsync" => Some(Self::Rsync(words)),
            b"scp" => Some(Self::Scp(words)),
            name => Some(Self::Sum(Algorithm::of_command(name)?, words)),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rsync(_) => "rsync",
            Self::Scp(_) => "scp",
            Self::Sum(algorithm, _) => algorithm.command(),
            Self::ShellProbe => "echo",
        }
    }
}

/// What one channel asks for.
#[derive(Debug)]
pub struct Request {
    /// The program.
    pub program: Program,
    /// Who asks.
    pub who: Identity,
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
}

/// Runs programs for all connections.
#[derive(Debug)]
pub struct Service {
    gate: Arc<Gate>,
    sites: Arc<Sites>,
    partials: rsync::Partials,
    /// How many more rsyncs may run.
    room: Semaphore,
}

/// One program that runs.
#[derive(Debug)]
struct Run {
    service: Arc<Service>,
    who: Identity,
    site: SiteName,
    environment: Environment,
    output: Output,
}

impl Service {
    /// Makes the service.
    pub fn new(gate: Arc<Gate>, sites: Arc<Sites>) -> Self {
        Self {
            gate,
            sites,
            partials: rsync::Partials::default(),
            room: Semaphore::new(rsync::MOST),
        }
    }

    /// Serves one channel to its end.
    pub async fn serve(
        self: Arc<Self>,
        request: Request,
        input: mpsc::Receiver<Vec<u8>>,
        output: Output,
    ) {
        let mut input = Input::new(input);
        let run = Run {
            service: self,
            who: request.who,
            site: request.site,
            environment: request.environment,
            output: output.clone(),
        };
        if let Err(denied) = run.enter() {
            run.show(request.program.name(), denied).await;
            output.end(NOT_LET_IN).await;
            return;
        }
        let status = match request.program {
            Program::Rsync(words) => rsync::serve(&run, &words, &mut input).await,
            Program::Scp(words) => scp::serve(&run, &words, &mut input).await,
            Program::Sum(algorithm, words) => {
                sums::serve(&run, algorithm, &words, &mut input).await
            }
            Program::ShellProbe => sums::shell_probe(&run).await,
        };
        output.end(status).await;
    }
}

/// The exit status of who is not let in at all.
const NOT_LET_IN: u32 = 1;

impl Run {
    /// Asks whether the person may be in this environment at all, before anything is opened.
    fn enter(&self) -> Result<(), Denied> {
        let target = self.target(Area::Root, &SitePath::default());
        let gate = &self.service.gate;
        let evidence = Evidence::default();
        let permit = gate.authorize(&self.who, Action::ReadTree, &target, evidence)?;
        permit.forget();
        Ok(())
    }

    fn target(&self, area: Area, path: &SitePath) -> Target {
        Target::Tree(
            self.site.clone(),
            self.environment.clone(),
            area,
            path.clone(),
        )
    }

    /// Asks the gate. `tree` is the one that the place was looked up in.
    fn authorize(
        &self,
        action: Action,
        tree: &Tree,
        place: &Place,
        in_the_way: Option<InTheWay>,
    ) -> Result<Permit, Denied> {
        let evidence = Evidence {
            opened_in: tree.opened_in(place.area),
            in_the_way,
            ..Evidence::default()
        };
        let target = self.target(place.area, &place.path);
        self.service
            .gate
            .authorize(&self.who, action, &target, evidence)
    }

    /// Keeps a refusal that needs no policy: what was asked for is never served.
    fn refuse(&self, action: &str, object: &[u8], refusal: Refusal) -> Denied {
        let target = Target::Environment(self.site.clone(), self.environment.clone());
        let gate = &self.service.gate;
        match gate.refuse_unserved(&self.who, &target, (action, object), refusal) {
            Ok(refused) => Denied::Refused(refused),
            Err(fault) => Denied::Fault(fault),
        }
    }

    /// Opens the environment's tree at the generation that is current, with the site's path to its
    /// uploads.
    fn tree(&self) -> Result<(Tree, Option<SitePath>), Fault> {
        let mut tree = self.service.sites.tree(&self.site, &self.environment)?;
        let model = self.service.sites.state.model();
        let site = model.sites.get(&self.site);
        let environment = site.and_then(|site| site.environments.get(&self.environment));
        tree.turn_to(environment.map_or(0, |environment| environment.generation))?;
        if let Some(environment) = environment {
            tree.turn_files_to(environment.content.current.files)?;
        }
        Ok((tree, site.and_then(|site| site.files_path.clone())))
    }

    /// Shows why something was denied, on standard error.
    async fn show(&self, program: &str, denied: Denied) {
        for line in refusal_lines(denied) {
            self.complain(program, &line).await;
        }
    }

    /// Shows a line on standard error.
    async fn complain(&self, program: &str, line: &str) {
        // Whoever has gone needs no telling.
        let _ = self
            .output
            .err(format!("{program}: {line}\r\n").as_bytes())
            .await;
    }
}
