//! What was deployed, what has failed, and leave to deploy it again.

use clap::Subcommand;
use policy::{Action, Target};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::SiteEnvironment;
use super::table::Table;
use super::{Done, Run};
use crate::site::{failed, push};
use crate::state::for_people;

/// The commands about releases.
#[derive(Debug, Clone, Subcommand, Serialize, Deserialize)]
pub enum ReleaseCommand {
    /// List what was deployed to Test or Live, and what has failed anywhere
    #[command(name = "release:list", visible_alias = "releases")]
    List {
        /// SITE.ENV
        environment: SiteEnvironment,
    },
    /// Let a release be deployed again that has failed its check
    #[command(name = "release:allow")]
    Allow {
        /// SITE.ENV
        environment: SiteEnvironment,
        /// Its commit, as release:list shows it
        commit: String,
    },
}

impl Run<'_> {
    pub(super) async fn release(&mut self, command: ReleaseCommand) -> Done {
        match command {
            ReleaseCommand::List { environment } => self.release_list(environment).await,
            ReleaseCommand::Allow {
                environment,
                commit,
            } => self.release_allow(environment, &commit).await,
        }
    }

    async fn release_list(&mut self, place: SiteEnvironment) -> Done {
        self.view(&place.site)?;
        let state = self.environment(&place)?;
        let columns = [
            "release", "status", "commit", "kind", "user", "time", "note",
        ];
        let mut table = Table::new(&columns);
        let mut runs = state.commit;
        for one in self
            .console
            .state
            .deployments(&place.site, &place.environment)?
        {
            // The newest of those with the running commit is the one that runs.
            let status = if runs.take_if(|commit| *commit == one.commit).is_some() {
                "running"
            } else if one.rolled_back {
                "rolled back"
            } else {
                "good"
            };
            table.push(vec![
                format!("{}_{}", place.environment, one.number).into(),
                status.into(),
                one.commit.to_string().into(),
                one.kind.as_str().into(),
                one.person.as_str().into(),
                for_people(one.time).into(),
                one.note.into(),
            ]);
        }
        for one in &state.failed {
            table.push(vec![
                Value::Null,
                "failed".into(),
                one.commit.to_string().into(),
                "".into(),
                "".into(),
                for_people(one.time).into(),
                one.reason.as_str().into(),
            ]);
        }
        if table.is_empty() {
            let line = format!("{place} has never been deployed.");
            self.reply.tell(&line).await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    async fn release_allow(&mut self, place: SiteEnvironment, commit: &str) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::AllowRelease, &target)?;
        let commit = failed::allow(&self.console.sites, permit, commit)?;
        let text = format!(
            "{} may be deployed to {place} again.\n",
            push::short(commit)
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}
