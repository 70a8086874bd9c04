//! Runs what a site wants done around its events: the steps of its `funicular.toml`, in the version
//! that is being deployed, and those of the administrator. Each runs in a sandbox that has its
//! environment and nothing else; where there is no sandbox, nothing runs. docs/steps.md tells it.

mod child;
mod groups;
mod lines;
mod room;
mod usage;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use git2::{ObjectType, Oid, Repository};
use policy::{Environment, PersonName, SiteName, SitePath};

pub use crate::steps_file::{Event, File, Mistake, NAME, OnFailure, Place, Probe, Stage, Step};

use super::{Run, Sites, Undone};
use crate::config;
use crate::fault::{Fault, OrFault};
use crate::state::Content;
use child::{Ended, Limits};
use groups::Groups;
use room::{Proc, Room};

/// What steps may take, and the administrator's own.
#[derive(Debug)]
pub struct Steps {
    settings: config::Steps,
    server: File,
    data: PathBuf,
    groups: Groups,
    /// How `/proc` can be had in a sandbox; nothing while it is not known that there are sandboxes.
    proc: Mutex<Option<Proc>>,
}

/// Where a step is run, and why.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The site.
    pub site: SiteName,
    /// The environment.
    pub environment: Environment,
    /// The release that the step sees: before the switch the prepared one.
    pub generation: u64,
    /// The environment that the code of that release is of, where it is another one.
    pub code_of: Option<Environment>,
    /// The content that the step sees: before the switch the prepared one.
    pub content: Content,
    /// The workflow's id.
    pub workflow: String,
    /// Who began it.
    pub actor: PersonName,
    /// What they said of it.
    pub note: String,
    /// What the environment ran before; none before its first deploy.
    pub old: Option<Oid>,
    /// What it will run, or runs now.
    pub new: Option<Oid>,
}

/// Why steps did not do what they should.
#[derive(Debug)]
pub enum Failed {
    /// A step failed, as the sentence says, or there is no sandbox for it.
    Step(String),
    /// Somebody has cancelled the workflow meanwhile.
    Cancelled(String),
    /// A failure of ours.
    Fault(Fault),
}

/// What a command came to that was not stopped.
#[derive(Debug)]
pub struct Answer {
    /// Its exit status; above 128 for a signal, as a shell has it.
    pub status: i32,
    /// What it said, as far as it is kept.
    pub said: String,
}

impl Steps {
    /// Makes a runner for the sites below the data folder.
    pub fn new(settings: config::Steps, server: File, data: PathBuf) -> Self {
        Self {
            settings,
            server,
            data,
            groups: Groups::find(),
            proc: Mutex::new(None),
        }
    }

    /// Makes sure that there are sandboxes; once there are, it is not asked again.
    ///
    /// # Errors
    /// When there are none, with what to do.
    pub fn available(&self) -> Result<(), String> {
        self.proc().map(drop)
    }

    /// Says how limits are held, for the gateway's log.
    pub fn protection(&self) -> &'static str {
        if self.groups.are_there() {
            "control groups"
        } else {
            "a watch on each step, and limits of its account"
        }
    }

    /// Returns the administrator's probes.
    pub fn probes(&self) -> &[Probe] {
        &self.server.probes
    }

    fn proc(&self) -> Result<Proc, String> {
        let mut known = self.proc.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(proc) = *known {
            return Ok(proc);
        }
        let found = room::try_out(&self.settings)?;
        *known = Some(found);
        Ok(found)
    }
}

/// Reads the steps of a commit; one without a file has none.
///
/// # Errors
/// When the commit cannot be read. What is wrong in the file is no fault but a [`Mistake`].
pub fn of_commit(repository: &Repository, commit: Oid) -> Result<Result<File, Mistake>, Fault> {
    let doing = || format!("reading {NAME} of {commit}");
    let tree = repository
        .find_commit(commit)
        .and_then(|commit| commit.tree())
        .or_fault(doing)?;
    let Some(entry) = tree.get_name(NAME) else {
        return Ok(Ok(File::default()));
    };
    let unfit = |what: &str| {
        Ok(Err(Mistake {
            line: 1,
            column: 1,
            message: format!("It is {what}, and must be a file."),
        }))
    };
    match (entry.kind(), entry.filemode()) {
        (Some(ObjectType::Tree), _) => return unfit("a folder"),
        (_, 0o120_000) => return unfit("a symbolic link"),
        (Some(ObjectType::Blob), _) => {}
        _submodule => return unfit("a submodule"),
    }
    // The size is in the object's header, so that a large one is not read for nothing.
    let (size, _) = repository
        .odb()
        .and_then(|odb| odb.read_header(entry.id()))
        .or_fault(doing)?;
    if size > crate::steps_file::LARGEST {
        return Ok(Err(crate::steps_file::too_large()));
    }
    let blob = repository.find_blob(entry.id()).or_fault(doing)?;
    Ok(File::from_bytes(blob.content()))
}

/// Runs the steps that are for an event and stage, the administrator's first.
///
/// # Errors
/// [`Failed`] for the first step that failed and whose failure stops the event. What follows it is
/// not run.
pub fn run(
    sites: &Sites,
    run: &Run,
    place: &Surroundings,
    event: Event,
    stage: Stage,
    file: &File,
) -> Result<(), Failed> {
    let of = |stage| {
        let all = sites.steps.server.steps.iter().chain(&file.steps);
        all.filter(move |step| step.is_for(event, stage, &place.environment))
    };
    // What cannot be run after the switch is refused before it.
    if stage == Stage::Before && of(Stage::After).next().is_some() {
        sites.steps.available().map_err(Failed::Step)?;
    }
    for step in of(stage) {
        let title = format!("{}: {}", stage.as_str(), step.name);
        let more = [
            ("FUNICULAR_EVENT", event.as_str()),
            ("FUNICULAR_STAGE", stage.as_str()),
            ("FUNICULAR_STEP", &step.name),
        ];
        let done = run.step(&title, || {
            let asked = Asked {
                name: &step.name,
                command: &step.command,
                timeout: step.timeout,
                directory: step.directory.as_ref(),
            };
            let answer = carry_out(sites, run, place, &asked, &more)?;
            match answer.status {
                0 => Ok(()),
                status => Err(Failed::Step(format!(
                    "The step '{}' failed: {}.",
                    step.name,
                    ended_with(status)
                ))),
            }
        });
        match done {
            Err(Failed::Step(sentence)) if step.on_failure == OnFailure::Continue => {
                run.say(&format!("{sentence} This stops nothing."));
            }
            done => done?,
        }
    }
    Ok(())
}

/// Returns whether anything is to be done for an event.
pub fn has(sites: &Sites, place: &Surroundings, event: Event, file: &File) -> bool {
    let mut all = sites.steps.server.steps.iter().chain(&file.steps);
    all.any(|step| {
        [Stage::Before, Stage::After]
            .into_iter()
            .any(|stage| step.is_for(event, stage, &place.environment))
    })
}

/// Runs the command of a probe in the same sandbox, as a step of the workflow.
///
/// # Errors
/// [`Failed`] when it could not be run, was stopped, or was cancelled. How it ended otherwise is in
/// the [`Answer`].
pub fn run_command(
    sites: &Sites,
    run: &Run,
    place: &Surroundings,
    probe: &Probe,
    command: &[String],
) -> Result<Answer, Failed> {
    let more = [
        ("FUNICULAR_STAGE", probe.stage.as_str()),
        ("FUNICULAR_STEP", probe.name.as_str()),
    ];
    let asked = Asked {
        name: &probe.name,
        command,
        timeout: probe.timeout,
        directory: None,
    };
    carry_out(sites, run, place, &asked, &more)
}

/// A command, and the bounds of its file.
struct Asked<'a> {
    name: &'a str,
    command: &'a [String],
    timeout: Duration,
    directory: Option<&'a SitePath>,
}

fn carry_out(
    sites: &Sites,
    run: &Run,
    place: &Surroundings,
    asked: &Asked<'_>,
    more: &[(&str, &str)],
) -> Result<Answer, Failed> {
    let steps = &sites.steps;
    let proc = steps.proc().map_err(Failed::Step)?;
    let group = steps.groups.make(&steps.settings)?;
    let room = Room::of(sites, place, asked.directory)?;
    let mut command = room.command(&steps.settings, proc, group.as_ref(), asked.command)?;
    command.envs(room.variables(place));
    command.envs(more.iter().copied());
    let limits = Limits {
        time: asked.timeout,
        processes: steps.settings.max_processes,
        memory: steps.settings.max_memory_bytes,
        output: steps.settings.max_output_bytes,
        heartbeat: Duration::from_secs(steps.settings.heartbeat_seconds),
    };
    let (ended, said) = child::run(run, asked.name, command, &limits, room.writable())?;
    let oom = group.as_ref().is_some_and(groups::Group::ran_out_of_memory);
    let name = asked.name;
    let why = match ended {
        Ended::Cancelled(person) => return Err(Failed::Cancelled(person)),
        Ended::Status(_) if oom => memory(limits.memory),
        Ended::Status(status) => return Ok(Answer { status, said }),
        Ended::OutOfTime => format!("it took longer than {} s", limits.time.as_secs()),
        Ended::OutOfProcesses => format!("it made more than {} processes", limits.processes),
        Ended::OutOfMemory => memory(limits.memory),
        Ended::OutOfDisk => "it had almost filled the server's disk".to_owned(),
    };
    Err(Failed::Step(format!(
        "The step '{name}' was stopped, with all that it had started: {why}."
    )))
}

fn memory(bytes: u64) -> String {
    format!("it took more than {} MiB of memory", bytes >> 20)
}

fn ended_with(status: i32) -> String {
    match status {
        127 => "its program is not there (exit status 127)".to_owned(),
        126 => "its program cannot be run (exit status 126)".to_owned(),
        signal if signal > 128 => format!("it was ended by signal {}", signal - 128),
        status => format!("exit status {status}"),
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Step(sentence) => f.write_str(sentence),
            Failed::Cancelled(person) => write!(f, "{person} has cancelled this."),
            Failed::Fault(fault) => write!(f, "{}.", fault.for_person()),
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Failed::Fault(fault)
    }
}

impl From<Undone> for Failed {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Cancelled(person) => Failed::Cancelled(person),
            Undone::Fault(fault) => Failed::Fault(fault),
            other => Failed::Step(other.to_string()),
        }
    }
}

impl From<Failed> for Undone {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Step(sentence) => Undone::Impossible(sentence),
            Failed::Cancelled(person) => Undone::Cancelled(person),
            Failed::Fault(fault) => Undone::Fault(fault),
        }
    }
}
