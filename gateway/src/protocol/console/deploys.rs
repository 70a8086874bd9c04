//! Deploys, rollbacks, hotfixes, and what runs where.

use policy::{Action, Environment, HotfixName, SiteName, Target};

use super::command::SiteEnvironment;
use super::content_command::Beside;
use super::contents::elements;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::gate::{Evidence, Held};
use crate::site::content::{Cloning, Parts};
use crate::site::{blocking, deploy, holds, hotfix, mode, push, repository};
use crate::state::for_people;

/// The longest note, in characters.
const LONGEST_NOTE: usize = 2000;

/// What somebody says of a deploy: a note, and why in spite of what holds the environment.
pub(super) type SaidOfDeploy = (Option<String>, Option<String>);

impl Run<'_> {
    pub(super) async fn deploy(
        &mut self,
        place: SiteEnvironment,
        said: SaidOfDeploy,
        reference: Option<String>,
        beside: Beside,
    ) -> Done {
        // A stranger must not learn from an error whether the site exists.
        self.view(&place.site)?;
        let run = self.begin(&place, "deploy").await?;
        let chosen = reference.clone();
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let plan = blocking(move || {
            Ok(deploy::plan(
                &sites,
                &at.site,
                &at.environment,
                chosen.as_deref(),
            ))
        })
        .await??;
        if reference.is_some() && !matches!(place.environment, Environment::Test) {
            return Err(Stop::Failed(
                "--ref picks a commit for Test only.".to_owned(),
            ));
        }
        self.carry_out(place, run, plan, Action::Deploy, (said, beside))
            .await
    }

    pub(super) async fn rollback(
        &mut self,
        place: SiteEnvironment,
        to: Option<String>,
        said: SaidOfDeploy,
    ) -> Done {
        self.view(&place.site)?;
        let run = self.begin(&place, "rollback").await?;
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let plan = blocking(move || {
            Ok(deploy::plan_rollback(
                &sites,
                &at.site,
                &at.environment,
                to.as_deref(),
            ))
        })
        .await??;
        let said = (said, Beside::default());
        self.carry_out(place, run, plan, Action::Rollback, said)
            .await
    }

    async fn carry_out(
        &mut self,
        place: SiteEnvironment,
        run: crate::site::Run,
        plan: deploy::Plan,
        action: Action,
        ((note, overriding), beside): (SaidOfDeploy, Beside),
    ) -> Done {
        let note: String = note
            .map(|note| note.trim().chars().take(LONGEST_NOTE).collect())
            .filter(|note: &String| !note.is_empty())
            .unwrap_or_else(|| plan.default_note(&self.who.person));
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let content = match beside.sync_content {
            true => Some(self.content_to_sync(&place).await?),
            false => None,
        };
        let evidence = Evidence {
            content,
            deploy: Some(plan.facts.clone()),
            failed_release: plan.failed.clone(),
            detail: Some(note.clone()),
            workflow: Some(run.id().clone()),
            held: Held {
                commit: plan.commit,
                overriding: overriding.map(|why| policy::escape(why.trim().as_bytes())),
                request: Some(holds::new_request()),
                ..Held::default()
            },
            ..Evidence::default()
        };
        let gate = &self.console.gate;
        let asked = gate.authorize(self.who, action, &target, evidence.clone());
        if asked.is_err() {
            self.tell_of_loss(&place, &plan).await;
        }
        let permit = asked.map_err(|denied| {
            let sites = &self.console.sites;
            holds::ask_for_approval(sites, gate, self.who, &target, evidence, denied)
        })?;
        let nothing_beside = !beside.sync_content && !beside.updatedb && !beside.clear_caches;
        if plan.commit.is_some() && plan.commit == plan.running && nothing_beside {
            permit.forget();
            return Err(Stop::Nothing("There is nothing to deploy.".to_owned()));
        }
        let sites = self.console.sites.clone();
        let beside = deploy::Beside {
            content: beside.sync_content.then(from_live),
            update_database: beside.updatedb,
            clear_caches: beside.clear_caches,
        };
        let done = self
            .reply
            .during(run, move |run| {
                deploy::deploy(&sites, run, permit, plan, &note, &beside)
            })
            .await??;
        let text = format!(
            "Deployed code to \"{}\": {} as {}.\n",
            place.environment,
            push::short(done.commit),
            done.tag
        );
        self.tell_open_hotfixes(&place).await;
        self.reply.conclude(&text).await;
        Ok(())
    }

    /// What the policy asks about content that a deploy brings along.
    pub(super) async fn content_to_sync(
        &self,
        place: &SiteEnvironment,
    ) -> Result<policy::ContentFacts, Stop> {
        let wanted = elements(Parts::ALL);
        self.facts_of(place, wanted, Some(&Environment::Live)).await
    }

    pub(super) async fn code_log(&mut self, place: SiteEnvironment, limit: usize) -> Done {
        self.view(&place.site)?;
        let state = self.environment(&place)?;
        let model = self.console.state.model();
        let running: Vec<(String, git2::Oid)> = model
            .sites
            .get(&place.site)
            .map(|site| {
                site.environments
                    .iter()
                    .filter_map(|(environment, state)| {
                        Some((environment.to_string(), state.commit?))
                    })
                    .collect()
            })
            .unwrap_or_default();
        let below = match place.environment {
            Environment::Live => Some(Environment::Test),
            Environment::Test => Some(Environment::Dev),
            Environment::Dev | Environment::Multidev(_) => None,
        };
        let waiting = below.and_then(|below| model.environment(&place.site, &below)?.commit);
        let (sites, at, commit) = (self.console.sites.clone(), place.clone(), state.commit);
        let (pending, rows) = blocking(move || {
            let repository = repository::open(&sites.layout.site(&at.site).repository())?;
            let pending = match waiting {
                Some(waiting) => repository::commits_between(&repository, commit, waiting, limit)?,
                None => Vec::new(),
            };
            let rows = match commit {
                Some(commit) => repository::commits_between(&repository, None, commit, limit)?,
                None => Vec::new(),
            };
            Ok((pending, rows))
        })
        .await?;
        let mut table = Table::new(&["datetime", "author", "labels", "pending", "hash", "message"]);
        let pending = pending.iter().map(|row| (row, true));
        for (row, is_pending) in pending.chain(rows.iter().map(|row| (row, false))) {
            let labels: Vec<&str> = running
                .iter()
                .filter(|(_, commit)| *commit == row.commit)
                .map(|(environment, _)| environment.as_str())
                .collect();
            let message: String = row.summary.chars().take(50).collect();
            table.push(vec![
                for_people(row.time).into(),
                policy::escape(row.author.as_bytes()).into(),
                labels.join(" ").into(),
                if is_pending { "yes" } else { "" }.into(),
                row.commit.to_string().into(),
                policy::escape(message.as_bytes()).into(),
            ]);
        }
        if state.commit.is_none() {
            let line = format!("{place} has never been deployed.");
            self.reply.tell(&line).await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn hotfix_list(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let mut table = Table::new(&["name", "status", "commit", "person", "time", "reason"]);
        for one in self.console.state.hotfixes(&site)? {
            table.push(vec![
                one.name.as_str().into(),
                one.status.as_str().into(),
                one.commit.to_string().into(),
                one.person.as_str().into(),
                for_people(one.time).into(),
                one.reason.as_str().into(),
            ]);
        }
        if table.is_empty() {
            self.reply.tell("There have been no hotfixes.").await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn hotfix_merge(&mut self, site: SiteName, name: HotfixName) -> Done {
        let dev = SiteEnvironment {
            site: site.clone(),
            environment: Environment::Dev,
        };
        self.view(&site)?;
        let run = self.begin(&dev, "hotfix_merge").await?;
        let uncommitted = {
            let (sites, site) = (self.console.sites.clone(), site.clone());
            blocking(move || mode::uncommitted(&sites, &site, &Environment::Dev)).await?
        };
        let evidence = Evidence {
            uncommitted,
            detail: Some(format!("hotfix/{name}")),
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let permit = self.console.gate.authorize(
            self.who,
            Action::MergeHotfix,
            &Target::Environment(site.clone(), Environment::Dev),
            evidence,
        )?;
        let open = match hotfix::open(&self.console.sites, &site, &name) {
            Ok(open) => open,
            Err(undone) => {
                permit.forget();
                return Err(undone.into());
            }
        };
        let sites = self.console.sites.clone();
        self.reply
            .during(run, move |run| hotfix::merge(&sites, run, permit, &open))
            .await??;
        let text = format!("Merged hotfix/{name}; it is no longer open.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn hotfix_drop(
        &mut self,
        site: SiteName,
        name: HotfixName,
        reason: String,
    ) -> Done {
        if reason.trim().is_empty() {
            return Err(Stop::Failed(
                "Giving up a hotfix needs a reason, for those who look at it afterwards: --reason \"why\"."
                    .to_owned(),
            ));
        }
        let permit = self.permit(
            Action::DropHotfix,
            &Target::Environment(site.clone(), Environment::Live),
        )?;
        let open = match hotfix::open(&self.console.sites, &site, &name) {
            Ok(open) => open,
            Err(undone) => {
                permit.forget();
                return Err(undone.into());
            }
        };
        let reason = policy::escape(reason.as_bytes());
        hotfix::drop_by_name(&self.console.sites, permit, &open, &reason)?;
        let text = format!("Dropped hotfix/{name}: the next deploy may take it off Live.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}

/// Content as it comes down with a deploy.
fn from_live() -> Cloning {
    Cloning {
        source: Environment::Live,
        parts: Parts::ALL,
        update_database: false,
        clear_caches: false,
    }
}
