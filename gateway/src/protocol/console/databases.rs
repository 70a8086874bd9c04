//! Where environments' databases are.

use policy::{Action, Target};

use super::command::SiteEnvironment;
use super::{Done, Run, Stop};
use crate::site::database;

impl Run<'_> {
    pub(super) async fn env_set_database(&mut self, place: SiteEnvironment, value: &str) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let permit = self.permit(Action::SetDatabase, &target)?;
        let address = if value == "none" {
            None
        } else {
            let Some(address) = database::address(value) else {
                permit.forget();
                return Err(Stop::Failed(format!(
                    "'{}' is no address of a database: give HOST:PORT, such as 127.0.0.1:3306, or none.",
                    policy::escape(value.as_bytes())
                )));
            };
            Some(address)
        };
        database::set(&self.console.sites, permit, address.as_deref())?;
        let text = match &address {
            Some(address) => format!("The database of {place} is at {address}.\n"),
            None => format!("{place} has no database.\n"),
        };
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}
