//! A release on its way into service: built and checked before the switch, tried after it. Up to
//! the switch everything may refuse, and nothing has then changed; what fails after it is turned
//! back.

use git2::Oid;
use policy::{Environment, SiteName};

use super::{Run, Undone};
use crate::gate::Permit;
use crate::site::probe::{self, Script, Wanted};
use crate::site::push::short;
use crate::site::release::{self, Origin, Prepared, ReleaseKind};
use crate::site::{Sites, deploy, failed, steps};
use crate::steps_file::{Event, File, Probe, Stage};

/// A release that may be switched to.
#[derive(Debug)]
pub(in crate::site) struct Release {
    prepared: Prepared,
    site: SiteName,
    environment: Environment,
    event: Event,
    file: File,
    commit: Oid,
}

impl Release {
    /// Returns the number of its generation.
    pub(in crate::site) fn generation(&self) -> u64 {
        self.prepared.generation
    }

    /// Removes it: it is not wanted after all.
    pub(in crate::site) fn discard(self, sites: &Sites, permit: &Permit) {
        let environment = sites.layout.site(&self.site).environment(&self.environment);
        if let Err(fault) = release::discard(permit, &environment, self.prepared) {
            tracing::warn!("a release that was not wanted is left: {fault}");
        }
    }
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
) -> Result<Release, Undone> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let file = file_of(origin)?;
    let prepared = run.step("prepare", || {
        deploy::build(sites, permit, &environment, origin, kind).map_err(Undone::from)
    })?;
    let release = Release {
        prepared,
        site,
        environment,
        event,
        file,
        commit: origin.commit,
    };
    match release.check(sites, run, permit) {
        Ok(()) => Ok(release),
        Err(undone) => {
            release.discard(sites, permit);
            Err(undone)
        }
    }
}

fn file_of(origin: &Origin<'_>) -> Result<File, Undone> {
    steps::of_commit(origin.repository, origin.commit)?.map_err(|mistake| {
        Undone::Impossible(format!(
            "{} in {} cannot be used, so nothing was changed: {mistake}",
            steps::NAME,
            short(origin.commit)
        ))
    })
}

impl Release {
    /// Asks everything that may refuse before the switch.
    fn check(&self, sites: &Sites, run: &Run, permit: &Permit) -> Result<(), Undone> {
        if let Some(lacking) = self.lacking(sites) {
            return Err(Undone::Impossible(lacking));
        }
        if self.probes(sites, Stage::Before).next().is_none() {
            return Ok(());
        }
        run.step("check", || {
            self.ask(sites, run, Stage::Before).map_err(|reason| {
                self.mark(sites, run, permit, &reason);
                Undone::Impossible(format!(
                    "The release failed before the switch, so nothing was changed: {reason}. {}",
                    self.not_again()
                ))
            })
        })
    }

    /// Says what a probe needs and the environment has not, before anything depends on it.
    fn lacking(&self, sites: &Sites) -> Option<String> {
        let Self {
            site, environment, ..
        } = self;
        let model = sites.state.model();
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
        if self.probes(sites, Stage::After).next().is_none() {
            return Ok(());
        }
        run.step("verify", || {
            self.ask(sites, run, Stage::After).map_err(|reason| {
                self.mark(sites, run, permit, &reason);
                let Self {
                    site, environment, ..
                } = self;
                Undone::TurnedBack(format!(
                    "The release failed after the switch, so {site}.{environment} runs {} again: \
                     {reason}. {}",
                    self.former(sites),
                    self.not_again()
                ))
            })
        })
    }

    fn former(&self, sites: &Sites) -> String {
        let former = sites
            .state
            .model()
            .environment(&self.site, &self.environment)
            .and_then(|environment| environment.commit);
        former.map_or_else(|| "nothing".to_owned(), short)
    }

    fn not_again(&self) -> String {
        let Self {
            site,
            environment,
            commit,
            ..
        } = self;
        format!(
            "It is not deployed there again until somebody allows it: \
             release:allow {site}.{environment} {}.",
            short(*commit)
        )
    }

    fn mark(&self, sites: &Sites, run: &Run, permit: &Permit, reason: &str) {
        if let Err(fault) = failed::mark(sites, run, permit, self.commit, reason) {
            tracing::error!("a release that failed could not be written down: {fault}");
        }
    }

    fn probes<'a>(&'a self, sites: &'a Sites, stage: Stage) -> impl Iterator<Item = &'a Probe> {
        let _server = sites;
        // The same commit as before runs after a switch of the mode.
        let asks = self.event != Event::ModeChange;
        self.file
            .probes
            .iter()
            .filter(move |probe| asks && probe.is_for(stage, &self.environment))
    }

    /// Asks all probes of a stage, and stops at the first that is not content.
    fn ask(&self, sites: &Sites, run: &Run, stage: Stage) -> Result<(), String> {
        for probe in self.probes(sites, stage) {
            run.say(&format!("Asking '{}' …", probe.name));
            self.ask_one(sites, probe)
                .map_err(|reason| format!("'{}': {reason}", probe.name))?;
        }
        Ok(())
    }

    fn ask_one(&self, sites: &Sites, probe: &Probe) -> Result<(), String> {
        let model = sites.state.model();
        let front = model
            .environment(&self.site, &self.environment)
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
                    .site(&self.site)
                    .environment(&self.environment)
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
                probe::ask_http(&format!("{url}{slash}{path}"), wanted)
            }
            (Stage::Before, None, _) | (Stage::After, _, None) => {
                Err("it is no longer known where to ask".to_owned())
            }
        }
    }
}
