//! Content that is put in the place of what an environment has: cloned, emptied, brought back.

use policy::{Action, ContentFacts, Decision, Elements, Environment, SiteName, Target};

use super::command::SiteEnvironment;
use super::content_command::{ContentCommand, Meant};
use super::{Done, Run, Stop};
use crate::gate::Evidence;
use crate::site::content::{self, Cloning, Parts};
use crate::site::{Sites, Undone, blocking};

/// The rule of the policy that asks for a typed name.
const NAME_NOT_TYPED: &str = "name-not-typed";

/// What somebody asks to be put in the place of content.
pub(super) struct Replacing {
    /// Where.
    pub place: SiteEnvironment,
    /// What it is as a workflow.
    pub kind: &'static str,
    /// What it is for the policy.
    pub action: Action,
    /// Which parts.
    pub wanted: Elements,
    /// From where, if from another environment.
    pub source: Option<Environment>,
    /// What was said of it.
    pub meant: Meant,
    /// Whether standard input is data, and so no answer.
    pub reads: bool,
    /// What the audit should say of it beside.
    pub detail: Option<String>,
}

impl Run<'_> {
    pub(super) async fn content(&mut self, command: ContentCommand) -> Done {
        match command {
            ContentCommand::Clone {
                source,
                target,
                db_only,
                files_only,
                updatedb,
                clear_caches,
                meant,
            } => {
                let parts = Parts {
                    database: !files_only,
                    files: !db_only,
                };
                let more = (updatedb, clear_caches);
                self.clone_content(source, target, parts, more, meant).await
            }
            ContentCommand::Undo { environment, meant } => {
                self.undo_content(environment, meant).await
            }
            ContentCommand::Wipe { environment, meant } => {
                self.wipe_content(environment, meant).await
            }
            ContentCommand::RotatePassword { environment } => {
                self.rotate_password(environment).await
            }
            ContentCommand::Launch { site, undo } => self.launch(site, !undo).await,
            ContentCommand::ImportDatabase {
                environment,
                file,
                meant,
            } => self.import_database(environment, &file, meant).await,
            ContentCommand::ImportFiles {
                environment,
                file,
                meant,
            } => self.import_files(environment, &file, meant).await,
            ContentCommand::ImportSite { site, file } => self.import_site(site, &file).await,
            ContentCommand::ExportDatabase { environment, to } => {
                self.export_database(environment, to.to).await
            }
            ContentCommand::ExportFiles {
                environment,
                kind,
                to,
            } => self.export_files(environment, &kind, to.to).await,
            ContentCommand::QuotaSet {
                environment,
                bytes,
                files,
            } => self.quota_set(environment, &bytes, &files).await,
            ContentCommand::DomainMap {
                site,
                source,
                target,
                pairs,
            } => self.domain_map(site, &source, &target, &pairs).await,
            ContentCommand::DomainList { site } => self.domain_list(site).await,
            ContentCommand::DomainUnmap {
                site,
                source,
                target,
            } => self.domain_map(site, &source, &target, &[]).await,
        }
    }

    async fn clone_content(
        &mut self,
        source: SiteEnvironment,
        target: Environment,
        parts: Parts,
        (update_database, clear_caches): (bool, bool),
        meant: Meant,
    ) -> Done {
        let cloning = Cloning {
            source: source.environment.clone(),
            parts,
            update_database,
            clear_caches,
        };
        let replacing = Replacing {
            place: SiteEnvironment {
                site: source.site,
                environment: target,
            },
            kind: "clone_content",
            action: Action::CloneContent,
            wanted: elements(parts),
            source: Some(source.environment),
            meant,
            reads: false,
            detail: Some(format!("{} from {}", parts.words(), cloning.source)),
        };
        self.replace(replacing, move |sites, run, permit| {
            content::clone(sites, run, permit, &cloning)
        })
        .await
    }

    async fn undo_content(&mut self, place: SiteEnvironment, meant: Meant) -> Done {
        let replacing = Replacing {
            place,
            kind: "undo_content",
            action: Action::UndoContent,
            wanted: elements(Parts::ALL),
            source: None,
            meant,
            reads: false,
            detail: None,
        };
        self.replace(replacing, content::undo).await
    }

    async fn wipe_content(&mut self, place: SiteEnvironment, meant: Meant) -> Done {
        let replacing = Replacing {
            place,
            kind: "wipe",
            action: Action::WipeContent,
            wanted: elements(Parts::ALL),
            source: None,
            meant,
            reads: false,
            detail: None,
        };
        self.replace(replacing, |sites, run, permit| {
            content::wipe(sites, run, permit, Parts::ALL)
        })
        .await
    }

    async fn rotate_password(&mut self, place: SiteEnvironment) -> Done {
        self.view(&place.site)?;
        let facts = self.facts_of(&place, elements(Parts::ALL), None).await?;
        let permit = self.authorize_content(&place, Action::RotatePassword, facts)?;
        let sites = self.console.sites.clone();
        blocking(move || Ok(content::rotate_password(&sites, permit))).await??;
        let text = format!("The database of {place} has a new password, and its site knows it.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    async fn launch(&mut self, site: SiteName, launched: bool) -> Done {
        let permit = self.permit(Action::LaunchSite, &Target::Site(site.clone()))?;
        let since = self
            .console
            .state
            .model()
            .sites
            .get(&site)
            .and_then(|site| site.content.launched);
        if since.is_some() == launched {
            permit.forget();
            return Err(Stop::Nothing(match since {
                Some(since) => format!(
                    "{site} is launched already, since {}.",
                    crate::state::for_people(since)
                ),
                None => format!("{site} is not launched."),
            }));
        }
        content::launch(&self.console.sites, permit, launched)?;
        let text = if launched {
            format!(
                "{site} is launched: content comes down from Live, and none goes up any more.\n"
            )
        } else {
            format!(
                "{site} is not launched any more: its administrators may clone content up again.\n"
            )
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    /// Puts other content in the place of what is there, as a workflow.
    pub(super) async fn replace(
        &mut self,
        replacing: Replacing,
        work: impl FnOnce(&Sites, &crate::site::Run, crate::gate::Permit) -> Result<Vec<String>, Undone>
        + Send
        + 'static,
    ) -> Done {
        let place = replacing.place.clone();
        // A stranger must not learn from an error whether the site exists.
        self.view(&place.site)?;
        let name_typed = self.means_it(&replacing).await?;
        let run = self.begin(&place, replacing.kind).await?;
        let facts = self
            .facts_of(&place, replacing.wanted, replacing.source.as_ref())
            .await?;
        let evidence = Evidence {
            content: Some(ContentFacts {
                name_typed,
                ..facts
            }),
            uncommitted: self.uncommitted_under(&place, replacing.wanted).await?,
            detail: replacing.detail,
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, replacing.action, &target, evidence)?;
        let sites = self.console.sites.clone();
        let told = self
            .reply
            .during(run, move |run| work(&sites, run, permit))
            .await??;
        for line in told {
            self.reply.conclude(&format!("{line}\n")).await;
        }
        Ok(())
    }

    /// Returns whether the name of the environment was typed. Whoever is refused for other reasons
    /// learns it here, before they wait for their turn; a person is asked if that is all that lacks.
    async fn means_it(&mut self, replacing: &Replacing) -> Result<bool, Stop> {
        let Replacing {
            place,
            action,
            wanted,
            source,
            meant,
            ..
        } = replacing;
        let name = place.to_string();
        let typed = meant.confirm.as_deref() == Some(name.as_str());
        let facts = self.facts_of(place, *wanted, source.as_ref()).await?;
        let evidence = Evidence {
            content: Some(ContentFacts {
                name_typed: typed,
                ..facts
            }),
            uncommitted: self.uncommitted_under(place, *wanted).await?,
            ..Evidence::default()
        };
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let gate = &self.console.gate;
        let refusal = match gate.explain(self.who, *action, &target, &evidence) {
            Decision::Permit(_) => return Ok(typed),
            Decision::Refuse(refusal) => refusal,
        };
        if refusal.rule == NAME_NOT_TYPED && !replacing.reads {
            let question = format!(
                "This replaces the content of {name}. If you mean it, type its name ({name}):"
            );
            if self.reply.typed(&question, &name).await {
                return Ok(true);
            }
        }
        gate.authorize(self.who, *action, &target, evidence)?
            .forget();
        Ok(typed)
    }

    /// Looks up what the policy asks about content.
    pub(super) async fn facts_of(
        &self,
        place: &SiteEnvironment,
        wanted: Elements,
        source: Option<&Environment>,
    ) -> Result<ContentFacts, Stop> {
        let (sites, at, source) = (self.console.sites.clone(), place.clone(), source.cloned());
        let backed_up_first = sites.backups.unavailable().is_none();
        let facts = blocking(move || {
            content::facts(&sites, &at.site, &at.environment, wanted, source.as_ref())
        });
        Ok(ContentFacts {
            backed_up_first,
            ..facts.await?
        })
    }

    /// Work that code would be put over, where code comes along.
    async fn uncommitted_under(
        &self,
        place: &SiteEnvironment,
        wanted: Elements,
    ) -> Result<usize, Stop> {
        if !wanted.code || !place.environment.takes_code() {
            return Ok(0);
        }
        let (sites, at) = (self.console.sites.clone(), place.clone());
        let count = move || crate::site::mode::uncommitted(&sites, &at.site, &at.environment);
        Ok(blocking(count).await?)
    }

    /// Asks for a permit by facts about content.
    pub(super) fn authorize_content(
        &self,
        place: &SiteEnvironment,
        action: Action,
        facts: ContentFacts,
    ) -> Result<crate::gate::Permit, Stop> {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let evidence = Evidence {
            content: Some(facts),
            ..Evidence::default()
        };
        let gate = &self.console.gate;
        Ok(gate.authorize(self.who, action, &target, evidence)?)
    }
}

/// The same, as the policy knows it.
pub(super) fn elements(parts: Parts) -> Elements {
    Elements {
        code: false,
        database: parts.database,
        files: parts.files,
    }
}
