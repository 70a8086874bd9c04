//! Where environments' databases are, and where they are served.

use policy::{Action, Target};

use super::command::SiteEnvironment;
use super::{Done, Run, Stop};
use crate::site::{database, front};

impl Run<'_> {
    pub(super) async fn env_set(
        &mut self,
        place: SiteEnvironment,
        setting: &str,
        value: &str,
    ) -> Done {
        let target = Target::Environment(place.site.clone(), place.environment.clone());
        let action = match setting {
            "database" => Action::SetDatabase,
            _front => Action::SetFront,
        };
        let permit = self.permit(action, &target)?;
        let (kept, example) = match setting {
            "database" => (
                database::address(value),
                "HOST:PORT, such as 127.0.0.1:3306",
            ),
            "url" => (
                front::url(value),
                "an address such as https://www.example.org",
            ),
            _fastcgi => (
                front::fastcgi(value),
                "HOST:PORT, or unix:PATH such as unix:/run/php/php-fpm.sock",
            ),
        };
        if kept.is_none() && value != "none" {
            permit.forget();
            return Err(Stop::Failed(format!(
                "'{}' is no {setting}: give {example}, or none.",
                policy::escape(value.as_bytes())
            )));
        }
        let said = match &kept {
            Some(kept) => format!("The {setting} of {place} is {kept}.\n"),
            None => format!("{place} has no {setting}.\n"),
        };
        if setting == "database" {
            database::set(&self.console.sites, permit, kept.as_deref())?;
        } else {
            let mut known = self.environment(&place)?.front;
            match setting {
                "url" => known.url = kept,
                _fastcgi => known.fastcgi = kept,
            }
            front::set(&self.console.sites, permit, &known)?;
        }
        let _ = self.reply.out(&said).await;
        Ok(())
    }
}
