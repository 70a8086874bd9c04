//! Environments, connections and modes.

use policy::{Action, ConnectionMode, Environment, SiteName, Target};
use serde_json::Value;
use tokio::sync::mpsc;

use super::command::SiteEnvironment;
use super::table::Table;
use super::{Done, Run, Stop};
use crate::fault::Fault;
use crate::gate::Evidence;
use crate::site::files::quota;
use crate::site::workflow::Asked;
use crate::site::{blocking, content, mode};
use crate::state::{EnvironmentState, for_people};

impl Run<'_> {
    pub(super) async fn env_list(&mut self, name: SiteName) -> Done {
        self.view(&name)?;
        let model = self.console.state.model();
        let mut table = Table::new(&["id", "created", "connection_mode", "initialized", "commit"]);
        if let Some(site) = model.sites.get(&name) {
            for (environment, state) in &site.environments {
                table.push(vec![
                    environment.as_str().into(),
                    for_people(state.created).into(),
                    mode_word(state),
                    state.commit.is_some().into(),
                    commit_word(state),
                ]);
            }
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn env_info(&mut self, place: SiteEnvironment) -> Done {
        self.view(&place.site)?;
        let state = self.environment(&place)?;
        let deployments = self
            .console
            .state
            .deployments(&place.site, &place.environment)?;
        let newest = deployments.first();
        let busy = self.busy_with(&place);
        let hotfixes = self.open_hotfixes(&place);
        let frozen = self.frozen(&place.site, &place.environment);
        let hours = self.hours(&place.site, &place.environment);
        let requests = self.waiting_requests(&place.site, Some(&place.environment));
        let unfinished = self.unfinished(&place, None).await?;
        let (holds, quota) = self.storage(&place).await?;
        let mut fields: Vec<(&'static str, Value)> = vec![
            ("id", place.environment.as_str().into()),
            ("created", for_people(state.created).into()),
            ("connection_mode", mode_word(&state)),
            (
                "mode_set_by",
                state
                    .mode
                    .as_ref()
                    .map_or(Value::Null, |mode| mode.set_by.as_str().into()),
            ),
            (
                "mode_set_at",
                state
                    .mode
                    .as_ref()
                    .map_or(Value::Null, |mode| mode.set_at.as_str().into()),
            ),
            ("initialized", state.commit.is_some().into()),
            ("commit", commit_word(&state)),
            ("release", state.generation.into()),
            (
                "deployed_as",
                newest.map_or(Value::Null, |newest| {
                    format!("{}_{}", place.environment, newest.number).into()
                }),
            ),
            (
                "deployed_by",
                newest.map_or(Value::Null, |newest| newest.person.as_str().into()),
            ),
            (
                "deployed_at",
                newest.map_or(Value::Null, |newest| for_people(newest.time).into()),
            ),
            ("busy_with", busy.map_or(Value::Null, Value::from)),
            ("targets", self.told(&place)?),
            ("open_hotfixes", hotfixes.map_or(Value::Null, Value::from)),
            ("frozen", frozen.map_or(Value::Null, Value::from)),
            ("deploy_windows", hours.map_or(Value::Null, Value::from)),
            ("waiting_for_approval", requests.into()),
            ("holds", holds.into()),
            ("quota", quota.into()),
            (
                "unfinished_uploads",
                if unfinished.is_empty() {
                    Value::Null
                } else {
                    unfinished.join("; ").into()
                },
            ),
        ];
        fields.extend(self.content_fields(&place));
        let table = Table::record(fields);
        self.reply.print(&table).await?;
        Ok(())
    }

    /// Returns how much an environment holds, and may hold.
    async fn storage(&self, place: &SiteEnvironment) -> Result<(String, String), Stop> {
        let (sites, place) = (self.console.sites.clone(), place.clone());
        let limits = sites.limits(&place.site, &place.environment);
        let held = blocking(move || sites.held(&place.site, &place.environment)).await?;
        Ok((quota::told_usage(held), quota::told(limits)))
    }

    pub(super) async fn connection_info(&mut self, place: SiteEnvironment) -> Done {
        self.view(&place.site)?;
        let state = self.environment(&place)?;
        let address = self.console.gate.address();
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "2222"));
        let SiteEnvironment { site, environment } = &place;
        let user = format!("{environment}.{site}");
        let git_url = format!("ssh://{user}@{address}/repository.git");
        let mut fields: Vec<(&'static str, Value)> = vec![
            (
                "sftp_command",
                format!("sftp -P {port} {user}@{host}").into(),
            ),
            ("sftp_username", user.clone().into()),
            ("sftp_host", host.into()),
            ("sftp_port", port.into()),
            ("sftp_url", format!("sftp://{user}@{address}").into()),
        ];
        // Only where a push is an ordinary thing; a hotfix remote is shown for Live.
        if environment.takes_code() {
            fields.push(("git_command", format!("git clone {git_url} {site}").into()));
        } else {
            fields.push((
                "hotfix_command",
                format!("git push -o reason=\"why\" {git_url} HEAD:hotfix/NAME").into(),
            ));
        }
        fields.push(("git_url", git_url.into()));
        fields.push(("connection_mode", mode_word(&state)));
        if state.database_address().is_some() {
            fields.push((
                "database_command",
                format!("ssh -N -p {port} -L 3306:database:3306 {user}@{host}").into(),
            ));
        }
        fields.extend(self.database_account(&place)?);
        self.reply.print(&Table::record(fields)).await?;
        Ok(())
    }

    /// What somebody who may connect to the database needs to log in there.
    fn database_account(
        &self,
        place: &SiteEnvironment,
    ) -> Result<Vec<(&'static str, Value)>, Fault> {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let gate = &self.console.gate;
        let nothing_more = Evidence::default();
        let may = gate.explain(self.who, Action::ConnectDatabase, &target, &nothing_more);
        let sites = &self.console.sites;
        let account = match may.is_permit() {
            true => content::account(sites, &place.site, &place.environment)?,
            false => None,
        };
        Ok(account.map_or_else(Vec::new, |(name, user, password)| {
            vec![
                ("database_name", name.into()),
                ("database_username", user.into()),
                ("database_password", password.into()),
            ]
        }))
    }

    pub(super) async fn connection_set(
        &mut self,
        place: SiteEnvironment,
        wanted: ConnectionMode,
    ) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        // Who may not set the mode at all learns that before anything is counted or asked.
        self.permit(Action::SetConnectionMode, &target)?.forget();
        let state = self.environment(&place)?;
        if state
            .mode
            .as_ref()
            .is_some_and(|facts| facts.mode == wanted)
        {
            return Err(Stop::Nothing(format!(
                "The connection mode is already set to {wanted}."
            )));
        }
        let run = self.begin(&place, "connection_mode").await?;
        let uncommitted = {
            let (sites, place) = (self.console.sites.clone(), place.clone());
            blocking(move || mode::uncommitted(&sites, &place.site, &place.environment)).await?
        };
        let mut confirmed = self.reply.yes;
        if uncommitted > 0 && !confirmed {
            self.reply
                .tell(&format!(
                    "This environment has uncommitted changes in {uncommitted} file(s). Switching the \
                     connection mode keeps them aside (env:restore-work {place} brings them back). To \
                     commit them, use env:commit {place}."
                ))
                .await;
            confirmed = self
                .reply
                .confirm(&format!(
                    "Are you sure you want to change the connection mode of {}?",
                    place.environment
                ))
                .await;
        }
        let evidence = Evidence {
            uncommitted,
            confirmed,
            detail: Some(format!("to {wanted}")),
            workflow: Some(run.id().clone()),
            ..Evidence::default()
        };
        let permit =
            self.console
                .gate
                .authorize(self.who, Action::SetConnectionMode, &target, evidence)?;
        let sites = self.console.sites.clone();
        let saved = self
            .reply
            .during(run, move |run| mode::set(&sites, run, permit, wanted))
            .await??;
        if let Some(saved) = saved {
            let line = format!(
                "Kept uncommitted work in {} file(s) as {}; env:restore-work {place} {} brings it back.",
                saved.files, saved.id, saved.id
            );
            self.reply.tell(&line).await;
        }
        let text = format!(
            "Enabled {} mode for \"{}\".\n",
            wanted.title(),
            place.environment
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    /// Returns what is known of an environment.
    pub(super) fn environment(&self, place: &SiteEnvironment) -> Result<EnvironmentState, Stop> {
        self.console
            .state
            .model()
            .environment(&place.site, &place.environment)
            .cloned()
            .ok_or_else(|| {
                Stop::Failed(format!(
                    "{} has no environment '{}'. See which there are: env:list {}.",
                    place.site, place.environment, place.site
                ))
            })
    }

    /// Says which workflow changes an environment now, and since when.
    fn busy_with(&self, place: &SiteEnvironment) -> Option<String> {
        let live = self.console.sites.workflows.of_site(&place.site);
        live.iter()
            .filter(|live| live.asked.environment == place.environment)
            .find_map(|live| {
                Some(format!(
                    "{} since {} (workflow {})",
                    live.described(),
                    for_people(live.started()?),
                    live.id
                ))
            })
    }

    /// Names the hotfixes that trunk lacks, which are everybody's concern but a Multidev's.
    fn open_hotfixes(&self, place: &SiteEnvironment) -> Option<String> {
        let model = self.console.state.model();
        let open = &model.sites.get(&place.site)?.open_hotfixes;
        let names: Vec<&str> = open.iter().map(|hotfix| hotfix.name.as_str()).collect();
        let shown = !matches!(place.environment, Environment::Multidev(_)) && !names.is_empty();
        shown.then(|| names.join(", "))
    }

    /// Begins a workflow on an environment, waiting for those that are before it. Who goes away
    /// while it waits has left the queue.
    pub(super) async fn begin(
        &mut self,
        place: &SiteEnvironment,
        kind: &'static str,
    ) -> Result<crate::site::Run, Stop> {
        let asked = Asked {
            site: place.site.clone(),
            environment: place.environment.clone(),
            kind,
            person: self.who.person.clone(),
            origin: self.who.origin(),
            waits: self.reply.waits,
        };
        let (sender, mut receiver) = mpsc::unbounded_channel::<String>();
        let beginning = self.console.sites.workflows.begin(asked, move |line| {
            let _ = sender.send(line.to_owned());
        });
        tokio::pin!(beginning);
        loop {
            tokio::select! {
                biased;
                Some(line) = receiver.recv() => self.reply.tell(&line).await,
                begun = &mut beginning => {
                    while let Ok(line) = receiver.try_recv() {
                        self.reply.tell(&line).await;
                    }
                    return Ok(begun?);
                }
                () = self.reply.gone() => {
                    return Err(Stop::Failed(
                        "This has left the queue; nothing was changed.".to_owned(),
                    ));
                }
            }
        }
    }
}

fn mode_word(state: &EnvironmentState) -> Value {
    state
        .mode
        .as_ref()
        .map_or(Value::Null, |facts| facts.mode.as_str().into())
}

fn commit_word(state: &EnvironmentState) -> Value {
    state
        .commit
        .map_or(Value::Null, |commit| commit.to_string().into())
}
