//! What a deploy or rollback would do, without doing it; and what is said of hotfixes around one.

use policy::{Action, ContentFacts, Target};

use super::command::SiteEnvironment;
use super::content_command::Beside;
use super::table::Table;
use super::{Done, Run};
use crate::gate::{Evidence, Held};
use crate::site::deploy::{self, Plan};
use crate::site::{blocking, push};
use crate::state::for_people;

impl Run<'_> {
    pub(super) async fn deploy_plan(
        &mut self,
        place: SiteEnvironment,
        reference: Option<String>,
        beside: &Beside,
    ) -> Done {
        self.view(&place.site)?;
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let plan = blocking(move || {
            let chosen = reference.as_deref();
            Ok(deploy::plan(&sites, &at.site, &at.environment, chosen))
        });
        let plan = plan.await??;
        let content = match beside.sync_content {
            true => Some(self.content_to_sync(&place).await?),
            false => None,
        };
        self.show_plan(&place, &plan, (Action::Deploy, content))
            .await
    }

    pub(super) async fn rollback_plan(
        &mut self,
        place: SiteEnvironment,
        to: Option<String>,
    ) -> Done {
        self.view(&place.site)?;
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let plan = blocking(move || {
            let to = to.as_deref();
            Ok(deploy::plan_rollback(&sites, &at.site, &at.environment, to))
        });
        let plan = plan.await??;
        self.show_plan(&place, &plan, (Action::Rollback, None))
            .await
    }

    /// Shows each commit, and then answers as the real thing would: a refusal is one here, too.
    async fn show_plan(
        &mut self,
        place: &SiteEnvironment,
        plan: &Plan,
        (action, content): (Action, Option<ContentFacts>),
    ) -> Done {
        let mut table = Table::new(&["change", "datetime", "author", "hash", "message"]);
        let brings = plan.changes.brings.iter().map(|row| ("brings", row));
        let takes = plan
            .changes
            .takes_away
            .iter()
            .map(|row| ("takes away", row));
        for (change, row) in takes.chain(brings) {
            table.push(vec![
                change.into(),
                for_people(row.time).into(),
                policy::escape(row.author.as_bytes()).into(),
                row.commit.to_string().into(),
                policy::escape(row.summary.as_bytes()).into(),
            ]);
        }
        self.reply.print(&table).await?;
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let evidence = Evidence {
            content,
            deploy: Some(plan.facts.clone()),
            failed_release: plan.failed.clone(),
            held: Held {
                commit: plan.commit,
                ..Held::default()
            },
            ..Evidence::default()
        };
        let gate = &self.console.gate;
        gate.authorize(self.who, action, &target, evidence)?
            .forget();
        let said = match plan.commit {
            Some(commit) if plan.running == Some(commit) => {
                "There is nothing to deploy.".to_owned()
            }
            Some(commit) => format!(
                "{place} would run {}; nothing was changed.",
                push::short(commit)
            ),
            None => "Nothing was changed.".to_owned(),
        };
        self.reply.tell(&said).await;
        Ok(())
    }

    /// Lists the commits that would go away, before a refusal that may be about them.
    pub(super) async fn tell_of_loss(&self, place: &SiteEnvironment, plan: &Plan) {
        for line in plan.changes.told_of_loss(&place.to_string()) {
            self.reply.tell(&line).await;
        }
    }

    /// Reminds of hotfixes that trunk lacks: the next deploy to Live is refused until it has them.
    pub(super) async fn tell_open_hotfixes(&self, place: &SiteEnvironment) {
        let model = self.console.state.model();
        let open = model.sites.get(&place.site);
        for hotfix in open.into_iter().flat_map(|site| &site.open_hotfixes) {
            self.reply
                .tell(&format!(
                    "hotfix/{} of {} is open: trunk lacks it, and until hotfix:merge {} {} no deploy to Live may take it off.",
                    hotfix.name, hotfix.person, place.site, hotfix.name
                ))
                .await;
        }
    }
}
