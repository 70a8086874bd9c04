//! A release on its way into service: built and checked before the switch, tried after it. Up to
//! the switch everything may refuse, and nothing has then changed; what fails after it is turned
//! back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use git2::{Oid, Repository};
use policy::Environment;

use super::{Run, Undone};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::probe::{self, Script, Wanted};
use crate::site::push::short;
use crate::site::release::{self, Origin, Prepared, ReleaseKind};
use crate::site::steps::{self, Failed, Surroundings};
use crate::site::{Sites, content, deploy, failed, repository, targets};
use crate::state::Content;
use crate::steps_file::{Event, File, Probe, Stage};

/// How often those who wait are told how far a long step is.
const PROGRESS: Duration = Duration::from_secs(5);

/// What an environment is to run, on its way there.
#[derive(Debug)]
pub(in crate::site) struct Release {
    /// What was built for it; absent when its tree is there already, as the work over SFTP that a
    /// commit is made of.
    prepared: Option<Prepared>,
    event: Event,
    file: File,
    commit: Oid,
    place: Surroundings,
    bringing: Bringing,
}

/// What comes with a release beside its code.
#[derive(Debug, Clone, Default)]
pub(in crate::site) struct Bringing {
    /// A content of its own, which nobody is pointed to yet.
    pub(in crate::site) content: Option<Content>,
    /// Events whose steps are run as well: on a content of its own before anybody is pointed to it, else as
    /// soon as the release is in service.
    pub(in crate::site) more: Vec<Event>,
}

/// Builds a release beside the current one and checks it.
///
/// # Errors
/// [`Undone`]; nothing is left of it then.
pub(in crate::site) fn build(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    event: Event,
    origin: &Origin<'_>,
    kind: ReleaseKind,
    bringing: Bringing,
) -> Result<Release, Undone> {
    let environment = permit.environment()?.clone();
    let file = file_of(origin.repository, origin.commit)?;
    let told = Mutex::new(Instant::now());
    let tell = |done, all| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PROGRESS {
            *told = Instant::now();
            run.say(&format!("{done} of {all} files are written."));
        }
    };
    let watched = Origin {
        progress: Some(&tell),
        ..*origin
    };
    let prepared = run.step("prepare", || {
        deploy::build(sites, permit, &environment, &watched, kind).map_err(Undone::from)
    })?;
    let mut place = surroundings(sites, run, permit, prepared.generation, origin.commit)?;
    if let Some(content) = bringing.content {
        let layout = sites.layout.site(&place.site).environment(&environment);
        content::point(&layout, prepared.generation, content)?;
        place.content = content;
    }
    let release = Release {
        event,
        file,
        commit: origin.commit,
        place,
        prepared: Some(prepared),
        bringing,
    };
    match release.check(sites, run, permit) {
        Ok(()) => Ok(release),
        Err(undone) => {
            release.discard(sites, permit);
            Err(undone)
        }
    }
}

/// Checks a commit whose tree is in its place already.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub(in crate::site) fn in_place(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    repository: &Repository,
    commit: Oid,
) -> Result<Release, Undone> {
    let model = sites.state.model();
    let generation = model
        .environment(permit.site()?, permit.environment()?)
        .map_or(0, |environment| environment.generation);
    let release = Release {
        prepared: None,
        bringing: Bringing::default(),
        event: Event::SyncCode,
        file: file_of(repository, commit)?,
        commit,
        place: surroundings(sites, run, permit, generation, commit)?,
    };
    release.check(sites, run, permit)?;
    Ok(release)
}

/// Checks a content that the running code is to have: its steps see it before anybody is pointed to
/// it.
///
/// # Errors
/// [`Undone`]; nothing has then changed.
pub(in crate::site) fn with_content(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    (event, more): (Event, Vec<Event>),
    content: Content,
) -> Result<Release, Undone> {
    let (site, environment) = (permit.site()?, permit.environment()?);
    let model = sites.state.model();
    let (generation, commit) = model
        .environment(site, environment)
        .and_then(|state| Some((state.generation, state.commit?)))
        .ok_or_else(|| Fault::new("content for an environment that runs nothing"))?;
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let release = Release {
        prepared: None,
        bringing: Bringing {
            content: Some(content),
            more,
        },
        event,
        file: file_of(&repository, commit)?,
        commit,
        place: Surroundings {
            content,
            ..surroundings(sites, run, permit, generation, commit)?
        },
    };
    release.check(sites, run, permit)?;
    Ok(release)
}

/// Runs what an environment has done to each copy of its content, before anybody is pointed to the copy.
/// Its own version and code count, and not those of the copy's environment: whoever may change code
/// there must not be able to leave out what takes personal data away.
///
/// # Errors
/// [`Undone`]; the copy is then not to be used.
pub(in crate::site) fn hand_out(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    source: &Environment,
    content: Content,
) -> Result<(), Undone> {
    let site = permit.site()?;
    let model = sites.state.model();
    let (generation, commit) = model
        .environment(site, source)
        .and_then(|state| Some((state.generation, state.commit?)))
        .ok_or_else(|| Fault::new("content of an environment that runs nothing"))?;
    let repository = repository::open(&sites.layout.site(site).repository())?;
    let place = Surroundings {
        code_of: Some(source.clone()),
        content,
        ..surroundings(sites, run, permit, generation, commit)?
    };
    let file = file_of(&repository, commit)?;
    steps::run(
        sites,
        run,
        &place,
        Event::CloneContent,
        Stage::Before,
        &file,
    )?;
    Ok(())
}

fn surroundings(
    sites: &Sites,
    run: &Run,
    permit: &Permit,
    generation: u64,
    commit: Oid,
) -> Result<Surroundings, Fault> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let model = sites.state.model();
    let old = model
        .environment(&site, &environment)
        .and_then(|state| state.commit);
    let live = run.live();
    let layout = sites.layout.site(&site).environment(&environment);
    Ok(Surroundings {
        code_of: None,
        content: content::current(&layout)?,
        site,
        environment,
        generation,
        workflow: run.id().to_string(),
        actor: live.asked.person.clone(),
        note: live.note(),
        old,
        new: Some(commit),
    })
}

fn file_of(repository: &Repository, commit: Oid) -> Result<File, Undone> {
    steps::of_commit(repository, commit)?.map_err(|mistake| {
        Undone::Impossible(format!(
            "{} of {}, {mistake} Nothing was changed.",
            steps::NAME,
            short(commit)
        ))
    })
}

impl Release {
    /// Returns the number of its generation.
    pub(in crate::site) fn generation(&self) -> u64 {
        self.place.generation
    }

    /// Returns whether a content of its own comes with it.
    pub(super) fn brings_content(&self) -> bool {
        self.bringing.content.is_some()
    }

    /// Removes it: it is not wanted after all.
    pub(in crate::site) fn discard(self, sites: &Sites, permit: &Permit) {
        let environment = sites
            .layout
            .site(&self.place.site)
            .environment(&self.place.environment);
        if let Some(prepared) = self.prepared
            && let Err(fault) = release::discard(permit, &environment, prepared)
        {
            tracing::warn!("a release that was not wanted is left: {fault}");
        }
    }

    /// Asks everything that may refuse before the switch.
    fn check(&self, sites: &Sites, run: &Run, permit: &Permit) -> Result<(), Undone> {
        if let Some(lacking) = self.lacking(sites) {
            return Err(Undone::Impossible(lacking));
        }
        if self.bringing.content.is_some() {
            self.more(sites, run)?;
        }
        // Those of a clone have been run by the environment that it is of.
        if self.event != Event::CloneContent {
            self.steps(sites, run, Stage::Before)?;
        }
        if self.probes(sites, Stage::Before).next().is_none() {
            return Ok(());
        }
        run.step("check", || {
            self.ask(sites, run, Stage::Before)
                .map_err(|failed| match failed {
                    Failed::Step(reason) => {
                        self.mark(sites, run, permit, &reason);
                        Undone::Impossible(format!(
                            "The release failed before the switch, so nothing was changed: \
                             {reason}. {}",
                            self.not_again()
                        ))
                    }
                    other @ (Failed::Cancelled(_) | Failed::Fault(_)) => other.into(),
                })
        })
    }

    fn steps(&self, sites: &Sites, run: &Run, stage: Stage) -> Result<(), Failed> {
        steps::run(sites, run, &self.place, self.event, stage, &self.file)
    }

    fn brings_content_only(&self) -> bool {
        match self.event {
            Event::CloneContent | Event::Import | Event::Wipe | Event::Restore => true,
            Event::SyncCode
            | Event::Deploy
            | Event::Backup
            | Event::MultidevCreate
            | Event::ModeChange
            | Event::UpdateDatabase
            | Event::ClearCaches => false,
        }
    }

    /// Runs the steps of what was asked for beside: the site's updates, its caches.
    fn more(&self, sites: &Sites, run: &Run) -> Result<(), Failed> {
        for event in &self.bringing.more {
            if !steps::has(sites, &self.place, *event, &self.file) {
                return Err(Failed::Step(format!(
                    "'{}' was asked for, and neither {} nor this server says how that is done for \
                     {}; docs/content.md has it for WordPress and Drupal.",
                    event.as_str(),
                    steps::NAME,
                    self.place.environment
                )));
            }
            for stage in [Stage::Before, Stage::After] {
                steps::run(sites, run, &self.place, *event, stage, &self.file)?;
            }
        }
        Ok(())
    }

    /// Says what a probe needs and the environment has not, before anything depends on it.
    fn lacking(&self, sites: &Sites) -> Option<String> {
        let Surroundings {
            site, environment, ..
        } = &self.place;
        let model = sites.state.model();
        // A Multidev is not always served to anybody; it is not asked then.
        if matches!(environment, Environment::Multidev(_)) {
            return None;
        }
        let front = &model.environment(site, environment)?.front;
        Stage::ALL.into_iter().find_map(|stage| {
            let (setting, example, known) = match stage {
                Stage::Before => ("fastcgi", "unix:/run/php/php-fpm.sock", &front.fastcgi),
                Stage::After => ("url", "https://www.example.org", &front.url),
            };
            let probe = self
                .probes(sites, stage)
                .find(|probe| probe.path.is_some())?;
            known.is_none().then(|| {
                format!(
                    "The probe '{}' cannot ask {site}.{environment}, so nothing was changed: it is \
                     not known where that is. The server's administrator says so: \
                     env:set {site}.{environment} {setting} {example}.",
                    probe.name
                )
            })
        })
    }

    /// Does what follows the switch.
    ///
    /// # Errors
    /// [`Undone::TurnedBack`] when the release must not stay. Whoever is told turns it back.
    pub(super) fn stay(&self, sites: &Sites, run: &Run, permit: &Permit) -> Result<(), Undone> {
        let more = match self.bringing.content {
            Some(_) => Ok(()),
            None => self.more(sites, run),
        };
        let done = more
            .and_then(|()| self.steps(sites, run, Stage::After))
            .and_then(|()| {
                if self.probes(sites, Stage::After).next().is_none() {
                    return Ok(());
                }
                // Who keeps compiled code must not answer with that of the release before.
                targets::reload(sites, run, &self.place);
                run.step("verify", || self.ask(sites, run, Stage::After))
            });
        done.map_err(|failed| {
            let reason = failed.to_string();
            let reason = reason.trim_end_matches('.');
            let Surroundings {
                site, environment, ..
            } = &self.place;
            if self.brings_content_only() {
                return Undone::TurnedBack(format!(
                    "What follows the switch failed, so {site}.{environment} has its former content \
                     again: {reason}."
                ));
            }
            if self.prepared.is_none() {
                return Undone::Impossible(format!(
                    "What follows a commit failed, so {site}.{environment} has its work as it was, \
                     not committed: {reason}."
                ));
            }
            if self.event == Event::ModeChange {
                return Undone::TurnedBack(format!(
                    "What follows the switch failed, so {site}.{environment} has its former mode \
                     again: {reason}."
                ));
            }
            self.mark(sites, run, permit, reason);
            Undone::TurnedBack(format!(
                "The release failed after the switch, so {site}.{environment} runs {} again: \
                 {reason}. {}",
                self.former(),
                self.not_again()
            ))
        })
    }

    fn former(&self) -> String {
        self.place.old.map_or_else(|| "nothing".to_owned(), short)
    }

    fn not_again(&self) -> String {
        let Surroundings {
            site, environment, ..
        } = &self.place;
        format!(
            "It is not deployed there again until somebody allows it: \
             release:allow {site}.{environment} {}.",
            short(self.commit)
        )
    }

    fn mark(&self, sites: &Sites, run: &Run, permit: &Permit, reason: &str) {
        if let Err(fault) = failed::mark(sites, run, permit, self.commit, reason) {
            tracing::error!("a release that failed could not be written down: {fault}");
        }
    }

    /// Those of the administrator come first.
    fn probes<'a>(&'a self, sites: &'a Sites, stage: Stage) -> impl Iterator<Item = &'a Probe> {
        // The same code as before runs after a switch of the mode and after a commit, and nobody
        // serves a Multidev yet that is being made.
        let asks = self.prepared.is_some() && matches!(self.event, Event::SyncCode | Event::Deploy);
        let all = sites.steps.probes().iter().chain(&self.file.probes);
        all.filter(move |probe| asks && probe.is_for(stage, &self.place.environment))
    }

    /// Asks all probes of a stage, and stops at the first that is not content.
    fn ask(&self, sites: &Sites, run: &Run, stage: Stage) -> Result<(), Failed> {
        for probe in self.probes(sites, stage) {
            run.say(&format!("Asking '{}' …", probe.name));
            let answer = match &probe.command {
                Some(command) => self.ask_command(sites, run, probe, command)?,
                None => self.ask_page(sites, run, probe),
            };
            answer.map_err(|reason| Failed::Step(format!("'{}': {reason}", probe.name)))?;
        }
        Ok(())
    }

    fn ask_command(
        &self,
        sites: &Sites,
        run: &Run,
        probe: &Probe,
        command: &[String],
    ) -> Result<Result<(), String>, Failed> {
        let answer = steps::run_command(sites, run, &self.place, probe, command)?;
        Ok(match (answer.status, &probe.marker) {
            (0, Some(marker)) if !answer.said.contains(marker.as_str()) => Err(format!(
                "what it said lacks the marker '{}'",
                policy::escape(marker.as_bytes())
            )),
            (0, _) => Ok(()),
            (status, _) => Err(format!("exit status {status}")),
        })
    }

    fn ask_page(&self, sites: &Sites, run: &Run, probe: &Probe) -> Result<(), String> {
        let model = sites.state.model();
        let front = model
            .environment(&self.place.site, &self.place.environment)
            .map(|environment| environment.front.clone())
            .unwrap_or_default();
        let wanted = Wanted {
            status: probe.status,
            marker: probe.marker.as_deref(),
            timeout: probe.timeout,
        };
        let Some(path) = &probe.path else {
            return Ok(());
        };
        match (probe.stage, &front.fastcgi, &front.url) {
            (Stage::Before, Some(address), url) => {
                let code = sites
                    .layout
                    .site(&self.place.site)
                    .environment(&self.place.environment)
                    .code(self.generation());
                let script = Script {
                    code: &code,
                    name: path,
                    url: url.as_deref(),
                };
                probe::ask_fastcgi(address, &script, wanted)
            }
            (Stage::After, _, Some(url)) => {
                let slash = if path.starts_with('/') { "" } else { "/" };
                let authorities = sites.targets.authorities();
                probe::ask_http(&format!("{url}{slash}{path}"), authorities, wanted)
            }
            (Stage::Before, None, _) | (Stage::After, _, None)
                if matches!(self.place.environment, Environment::Multidev(_)) =>
            {
                run.say("It is not known where this Multidev is served, so nobody was asked.");
                Ok(())
            }
            (Stage::Before, None, _) | (Stage::After, _, None) => {
                Err("it is no longer known where to ask".to_owned())
            }
        }
    }
}
