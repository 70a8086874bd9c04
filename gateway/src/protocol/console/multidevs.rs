//! Multidevs: making, deleting and bringing them back.

use jiff::Timestamp;
use policy::{Action, Area, Environment, MultidevName, Refusal, SitePath, Target};

use super::command::SiteEnvironment;
use super::merges::multidev_name;
use super::multidev_command::MultidevCommand;
use super::{Done, Run, Stop};
use crate::gate::{Denied, Evidence};
use crate::site::content::{Cloning, Parts};
use crate::site::multidev::{self, From};
use crate::site::{blocking, push};

impl Run<'_> {
    pub(super) async fn multidev(&mut self, command: MultidevCommand) -> Done {
        match command {
            MultidevCommand::Create {
                from,
                name,
                no_db,
                no_files,
                from_branch,
            } => {
                let parts = Parts {
                    database: !no_db,
                    files: !no_files,
                };
                self.multidev_create(from, &name, parts, from_branch).await
            }
            MultidevCommand::Delete {
                environment,
                delete_branch,
            } => self.multidev_delete(environment, delete_branch).await,
            MultidevCommand::Restore { environment, id } => {
                self.multidev_restore(environment, id).await
            }
            MultidevCommand::List { site, deleted } => {
                self.view(&site)?;
                if deleted {
                    self.multidev_list_deleted(site).await
                } else {
                    self.multidev_list(site).await
                }
            }
            MultidevCommand::MergeToDev { environment } => {
                let dev = SiteEnvironment {
                    site: environment.site.clone(),
                    environment: Environment::Dev,
                };
                self.multidev_merge(environment.clone(), environment, dev)
                    .await
            }
            MultidevCommand::MergeFromDev { environment } => {
                let dev = SiteEnvironment {
                    site: environment.site.clone(),
                    environment: Environment::Dev,
                };
                self.multidev_merge(environment.clone(), dev, environment)
                    .await
            }
            MultidevCommand::Revert { environment, what } => self.revert(environment, what).await,
        }
    }

    async fn multidev_create(
        &mut self,
        from: SiteEnvironment,
        name: &str,
        parts: Parts,
        from_branch: Option<String>,
    ) -> Done {
        let site = from.site.clone();
        self.view(&site)?;
        let name = self.new_name(&from, name)?;
        let environment = Environment::Multidev(name.clone());
        let place = SiteEnvironment {
            site: site.clone(),
            environment: environment.clone(),
        };
        let source = match from_branch {
            Some(branch) => From::Branch(branch),
            None => {
                self.environment(&from)?;
                From::Environment(from.environment.clone())
            }
        };
        let run = self.begin(&place, multidev::CREATE).await?;
        let (facts, commit) = {
            let (sites, name, source) = (self.console.sites.clone(), name.clone(), source.clone());
            let site = site.clone();
            blocking(move || multidev::facts(&sites, &site, &name, &source)).await?
        };
        let evidence = Evidence {
            multidev: Some(facts),
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let target = Target::Environment(site.clone(), environment);
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, Action::CreateMultidev, &target, evidence)?;
        let Some(commit) = commit else {
            permit.forget();
            return Err(Stop::Failed("There is no commit to begin with.".to_owned()));
        };
        let cloning = match self.content_of(&from, parts) {
            Ok(cloning) => cloning,
            Err(denied) => {
                permit.forget();
                let line = "With its code alone: --no-db --no-files.";
                self.reply.tell(line).await;
                return Err(denied.into());
            }
        };
        let sites = self.console.sites.clone();
        let made = self
            .reply
            .during(run, move |run| {
                multidev::create(&sites, run, permit, &source, commit, cloning.as_ref())
            })
            .await??;
        let text = format!(
            "Created the Multidev environment \"{name}\" at {}, with {} branch of that name. It is in Git mode; connection:info {place} shows how to connect.\n",
            push::short(made.commit),
            if made.new_branch {
                "a new"
            } else {
                "the existing"
            }
        );
        self.reply.conclude(&text).await;
        Ok(())
    }

    /// What a new Multidev gets of an environment's content, if the person may read that.
    fn content_of(&self, from: &SiteEnvironment, parts: Parts) -> Result<Option<Cloning>, Denied> {
        if !(parts.database || parts.files) {
            return Ok(None);
        }
        let files = Target::Tree(
            from.site.clone(),
            from.environment.clone(),
            Area::Files,
            SitePath::default(),
        );
        let gate = &self.console.gate;
        gate.authorize(self.who, Action::ReadTree, &files, Evidence::default())?
            .forget();
        Ok(Some(Cloning {
            source: from.environment.clone(),
            parts,
            update_database: false,
            clear_caches: false,
        }))
    }

    /// Reads the name of a Multidev that is to be. One that none may have is refused like anything
    /// else, with a row of its own.
    fn new_name(&self, from: &SiteEnvironment, name: &str) -> Result<MultidevName, Stop> {
        name.parse().map_err(|error: policy::NameError| {
            let refusal = Refusal {
                rule: "name-not-allowed",
                message: error.to_string(),
                hint: "Pick another name, such as the topic of the work: fix-menu.".to_owned(),
            };
            let target = Target::Environment(from.site.clone(), from.environment.clone());
            let asked = (Action::CreateMultidev.as_str(), name.as_bytes());
            let refused = self
                .console
                .gate
                .refuse_unserved(self.who, &target, asked, refusal);
            match refused {
                Ok(refused) => Stop::Denied(Denied::Refused(refused)),
                Err(fault) => fault.into(),
            }
        })
    }

    async fn multidev_delete(&mut self, place: SiteEnvironment, branch_too: bool) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        // Who may not delete it at all learns that before anything is counted or asked.
        self.permit(Action::DeleteMultidev, &target)?.forget();
        let run = self.begin(&place, multidev::DELETE).await?;
        let uncommitted = self.uncommitted(&place).await?;
        let mut confirmed = self.reply.yes;
        if uncommitted > 0 && !confirmed {
            self.reply
                .tell(&format!(
                    "{place} has uncommitted changes in {uncommitted} file(s). They are kept with it, and env:commit {place} commits them."
                ))
                .await;
            confirmed = self
                .reply
                .confirm(&format!(
                    "Are you sure you want to delete {}?",
                    place.environment
                ))
                .await;
        }
        let evidence = Evidence {
            uncommitted,
            confirmed,
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, Action::DeleteMultidev, &target, evidence)?;
        let sites = self.console.sites.clone();
        let deleted = self
            .reply
            .during(run, move |run| {
                multidev::delete(&sites, run, permit, branch_too)
            })
            .await??;
        let until = self.kept_until(Timestamp::now());
        self.reply
            .tell(&format!(
                "Until {until}, multidev:restore {place} brings it back{}.",
                if deleted.uncommitted > 0 {
                    ", with the work that was not committed"
                } else {
                    ""
                }
            ))
            .await;
        let text = format!(
            "Deleted the multidev environment {}{}.\n",
            place.environment,
            if branch_too {
                " and its branch"
            } else {
                "; its branch stays"
            }
        );
        self.reply.conclude(&text).await;
        Ok(())
    }

    async fn multidev_restore(&mut self, place: SiteEnvironment, id: Option<String>) -> Done {
        self.view(&place.site)?;
        let run = self.begin(&place, multidev::RESTORE).await?;
        let permit = self.on(Action::RestoreMultidev, &place, &run)?;
        let name = multidev_name(&place)?;
        let found = multidev::find(&self.console.sites, &place.site, &name, id.as_deref());
        let kept = match found {
            Ok(kept) => kept,
            Err(undone) => {
                permit.forget();
                return Err(undone.into());
            }
        };
        let sites = self.console.sites.clone();
        let commit = self
            .reply
            .during(run, move |run| {
                multidev::restore(&sites, run, permit, &kept)
            })
            .await??;
        let text = format!(
            "Brought back the multidev environment {name}; it runs {}.\n",
            push::short(commit)
        );
        self.reply.conclude(&text).await;
        Ok(())
    }
}
