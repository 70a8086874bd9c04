//! People of the server.

use policy::{Action, PersonName, SiteName, Target};
use serde_json::Value;

use super::table::Table;
use super::{Done, Run, Stop};
use crate::site::settings;

impl Run<'_> {
    pub(super) async fn user_list(&mut self) -> Done {
        self.permit(Action::ManagePeople, &Target::Server)?.forget();
        let model = self.console.state.model();
        let mut table = Table::new(&["name", "email", "administrator", "keys", "sites"]);
        for (name, person) in &model.people {
            let keys = model
                .keys
                .values()
                .filter(|key| key.person == *name)
                .count();
            let sites: Vec<&str> = model
                .sites
                .values()
                .filter(|site| site.team.contains_key(name))
                .map(|site| site.name.as_str())
                .collect();
            table.push(vec![
                name.as_str().into(),
                person.email.clone().map_or(Value::Null, Value::from),
                person.administrator.into(),
                keys.into(),
                sites.join(" ").into(),
            ]);
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn user_add(
        &mut self,
        name: PersonName,
        email: Option<String>,
        administrator: bool,
    ) -> Done {
        let permit = self.permit(Action::ManagePeople, &Target::Person(name.clone()))?;
        let email = email.map(|email| policy::escape(email.as_bytes()));
        if name == PersonName::local() {
            permit.forget();
            return Err(Stop::Failed(
                "'local' stands for whoever works on the server itself.".to_owned(),
            ));
        }
        settings::put_person(
            &self.console.state,
            permit,
            &name,
            email.as_deref(),
            administrator.then_some(true),
        )?;
        let text = format!("Added {name}. Add their key: ssh-key:add FILE --user {name}\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn user_remove(&mut self, name: PersonName) -> Done {
        let permit = self.permit(Action::ManagePeople, &Target::Person(name.clone()))?;
        let model = self.console.state.model();
        let others = model
            .people
            .values()
            .any(|person| person.administrator && person.name != name);
        if !others
            && model
                .people
                .get(&name)
                .is_some_and(|person| person.administrator)
        {
            permit.forget();
            return Err(Stop::Failed(format!(
                "{name} is the only administrator of this server; make another one first: user:add NAME --administrator."
            )));
        }
        let teams: Vec<SiteName> = model
            .sites
            .values()
            .filter(|site| site.team.contains_key(&name))
            .map(|site| site.name.clone())
            .collect();
        if !settings::remove_person(&self.console.state, permit, &name)? {
            return Err(Stop::Failed(format!("There is nobody called '{name}'.")));
        }
        for site in &teams {
            self.lock_out(site).await;
        }
        let text = format!("Removed {name} with their keys and memberships.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}
