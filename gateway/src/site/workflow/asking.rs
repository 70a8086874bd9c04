//! The questions to a release: what its file and the administrator want asked, before the switch and after it.

use policy::Environment;

use super::Run;
use super::phases::Release;
use crate::site::Sites;
use crate::site::probe::{self, Script, Wanted};
use crate::site::steps::{self, Failed, Surroundings};
use crate::steps_file::{Event, Probe, Stage};

impl Release {
    /// Says what a probe needs and the environment has not, before anything depends on it.
    pub(super) fn lacking(&self, sites: &Sites) -> Option<String> {
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

    /// Those of the administrator come first.
    pub(super) fn probes<'a>(
        &'a self,
        sites: &'a Sites,
        stage: Stage,
    ) -> impl Iterator<Item = &'a Probe> {
        // The same code as before runs after a switch of the mode and after a commit, and nobody
        // serves a Multidev yet that is being made.
        let asks = self.prepared.is_some() && matches!(self.event, Event::SyncCode | Event::Deploy);
        let all = sites.steps.probes().iter().chain(&self.file.probes);
        all.filter(move |probe| asks && probe.is_for(stage, &self.place.environment))
    }

    /// Asks all probes of a stage, and stops at the first that is not content.
    pub(super) fn ask(&self, sites: &Sites, run: &Run, stage: Stage) -> Result<(), Failed> {
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
