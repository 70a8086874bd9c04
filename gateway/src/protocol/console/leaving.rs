//! What follows when somebody leaves a team: they may know passwords of its databases.

use policy::{Action, SiteName};

use super::Run;
use super::command::SiteEnvironment;
use super::contents::elements;
use crate::site::blocking;
use crate::site::content::{self, Parts};

impl Run<'_> {
    /// Gives the databases of a site other passwords, and says which could not be given one.
    pub(super) async fn lock_out(&mut self, site: &SiteName) {
        let model = self.console.state.model();
        let Some(known) = model.sites.get(site) else {
            return;
        };
        for environment in known.environments.keys() {
            let place = SiteEnvironment {
                site: site.clone(),
                environment: environment.clone(),
            };
            // SQLite's files have no passwords, and what was set by hand is not the gateway's.
            let account = content::account(&self.console.sites, site, environment);
            if matches!(account, Ok(None)) {
                continue;
            }
            let line = match self.change_password(&place).await {
                Ok(()) => format!("The database of {place} has a new password."),
                Err(why) => format!(
                    "The database of {place} still has the password that they may know: {why} \
                     Try again: env:rotate-password {place}."
                ),
            };
            self.reply.tell(&line).await;
        }
    }

    async fn change_password(&mut self, place: &SiteEnvironment) -> Result<(), String> {
        let facts = self
            .facts_of(place, elements(Parts::ALL), None)
            .await
            .map_err(|_| "it is not known where it is.".to_owned())?;
        let permit = self
            .authorize_content(place, Action::RotatePassword, facts)
            .map_err(|_| "it is not yours to change.".to_owned())?;
        let sites = self.console.sites.clone();
        let done = blocking(move || Ok(content::rotate_password(&sites, permit))).await;
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(undone)) => Err(undone.to_string()),
            Err(fault) => Err(format!("{}.", fault.for_person())),
        }
    }
}
