//! Merges between Dev and Multidevs, and commits that take others back.

use policy::{Action, Environment, MultidevName, Target};

use super::command::SiteEnvironment;
use super::{Done, Run, Stop};
use crate::gate::Evidence;
use crate::site::{blocking, mode, multidev, push, revert};

impl Run<'_> {
    pub(super) async fn multidev_merge(
        &mut self,
        named: SiteEnvironment,
        from: SiteEnvironment,
        into: SiteEnvironment,
    ) -> Done {
        self.view(&named.site)?;
        let name = multidev_name(&named)?;
        self.environment(&named)?;
        let run = self.begin(&into, "multidev_merge").await?;
        let evidence = Evidence {
            uncommitted: self.uncommitted(&into).await?,
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let target = Target::Environment(into.site.clone(), into.environment.clone());
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, Action::Merge, &target, evidence)?;
        let left_out = self.uncommitted(&from).await?;
        if left_out > 0 {
            self.reply
                .tell(&format!(
                    "{from} has uncommitted work in {left_out} file(s), which is not merged: env:commit {from} commits it."
                ))
                .await;
        }
        let (sites, source) = (self.console.sites.clone(), from.environment.clone());
        let merged = self
            .reply
            .during(run, move |run| {
                multidev::merge(&sites, run, permit, &source)
            })
            .await??;
        let text = format!(
            "Merged the {} environment into {} as {}.\n",
            match from.environment {
                Environment::Dev => "dev",
                Environment::Test | Environment::Live | Environment::Multidev(_) => name.as_str(),
            },
            into.environment,
            push::short(merged)
        );
        self.reply.conclude(&text).await;
        Ok(())
    }

    pub(super) async fn revert(&mut self, place: SiteEnvironment, what: String) -> Done {
        self.view(&place.site)?;
        let run = self.begin(&place, "revert").await?;
        let evidence = Evidence {
            uncommitted: self.uncommitted(&place).await?,
            detail: Some(policy::escape(what.as_bytes())),
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, Action::Revert, &target, evidence)?;
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let found =
            blocking(move || Ok(revert::find(&sites, &at.site, &at.environment, &what))).await?;
        let taken = match found {
            Ok(taken) => taken,
            Err(undone) => {
                permit.forget();
                return Err(undone.into());
            }
        };
        let name = taken.name.clone();
        let sites = self.console.sites.clone();
        let made = self
            .reply
            .during(run, move |run| revert::revert(&sites, run, permit, &taken))
            .await??;
        let onwards = match &place.environment {
            Environment::Multidev(_) => format!("multidev:merge-to-dev {place}"),
            Environment::Dev | Environment::Test | Environment::Live => {
                format!("env:deploy {}.test", place.site)
            }
        };
        let text = format!(
            "Took {name} back on {place} with the commit {}. From here it goes on with {onwards}\n",
            push::short(made)
        );
        self.reply.conclude(&text).await;
        Ok(())
    }

    /// Counts files with work that is not committed.
    pub(super) async fn uncommitted(&self, place: &SiteEnvironment) -> Result<usize, Stop> {
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let counted =
            blocking(move || mode::uncommitted(&sites, &at.site, &at.environment)).await?;
        Ok(counted)
    }
}

/// Returns the Multidev that somebody named.
pub(super) fn multidev_name(place: &SiteEnvironment) -> Result<MultidevName, Stop> {
    match &place.environment {
        Environment::Multidev(name) => Ok(name.clone()),
        Environment::Dev | Environment::Test | Environment::Live => Err(Stop::Failed(format!(
            "{place} is no Multidev; multidev:list {} shows which there are.",
            place.site
        ))),
    }
}
