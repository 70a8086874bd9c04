//! People of the server and their keys.

use jiff::Timestamp;
use policy::{Action, PersonName, Target};
use serde_json::Value;

use super::table::Table;
use super::{Done, Run, Stop};
use crate::protocol::ssh::PublicKey;
use crate::site::settings;
use crate::state::{Key, for_people};

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
        if !settings::remove_person(&self.console.state, permit, &name)? {
            return Err(Stop::Failed(format!("There is nobody called '{name}'.")));
        }
        let text = format!("Removed {name} with their keys and memberships.\n");
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn key_add(&mut self, file: String, user: Option<PersonName>) -> Done {
        let person = user.unwrap_or_else(|| self.who.person.clone());
        let permit = self.permit(Action::ManageOwnKeys, &Target::Person(person.clone()))?;
        let read = self
            .key_text(&file)
            .await
            .and_then(|text| PublicKey::parse(&text));
        let key = match read {
            Ok(key) => key,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        let model = self.console.state.model();
        let problem = if let Some(there) = model.keys.get(&key.fingerprint) {
            Some(if there.person == person {
                format!("{person} has this key already.")
            } else {
                "This key belongs to somebody else.".to_owned()
            })
        } else if !model.people.contains_key(&person) {
            Some(format!(
                "There is nobody called '{person}' on this server; add them first: user:add {person}."
            ))
        } else {
            None
        };
        if let Some(sentence) = problem {
            permit.forget();
            return Err(Stop::Failed(sentence));
        }
        let row = Key {
            id: short_id(&key.fingerprint),
            person: person.clone(),
            line: key.line,
            fingerprint: key.fingerprint.clone(),
            comment: key.comment,
            created: Timestamp::now(),
        };
        settings::add_key(&self.console.state, permit, &row)?;
        let text = format!("Added SSH key {} for {person}.\n", key.fingerprint);
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn key_list(&mut self, user: Option<PersonName>) -> Done {
        let person = user.unwrap_or_else(|| self.who.person.clone());
        if person != self.who.person {
            self.permit(Action::ManagePeople, &Target::Person(person.clone()))?
                .forget();
        }
        let model = self.console.state.model();
        let mut table = Table::new(&["id", "fingerprint", "description", "created"]);
        for key in model.keys.values().filter(|key| key.person == person) {
            table.push(vec![
                key.id.as_str().into(),
                key.fingerprint.as_str().into(),
                key.comment.as_str().into(),
                for_people(key.created).into(),
            ]);
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn key_remove(&mut self, id: String) -> Done {
        let model = self.console.state.model();
        let found = model
            .keys
            .values()
            .find(|key| key.id == id || key.fingerprint == id)
            .cloned();
        // Somebody who may not see a key is told the same as if there were none.
        let owner = found
            .as_ref()
            .map_or_else(|| self.who.person.clone(), |key| key.person.clone());
        let permit = self.permit(Action::ManageOwnKeys, &Target::Person(owner))?;
        let Some(key) = found else {
            permit.forget();
            return Err(Stop::Failed(format!(
                "There is no key '{}'; ssh-key:list shows the ids.",
                policy::escape(id.as_bytes())
            )));
        };
        settings::remove_key(&self.console.state, permit, &key)?;
        let _ = self.reply.out(&format!("Deleted SSH key {id}!\n")).await;
        Ok(())
    }

    async fn key_text(&mut self, file: &str) -> Result<String, String> {
        if file == "-" {
            return self.reply.standard_input().await;
        }
        if file.contains(' ') {
            return Ok(file.to_owned());
        }
        Err("Over SSH, give the key on standard input: ssh HOST ssh-key:add - < key.pub".to_owned())
    }
}

/// The id of a key: the first letters and digits of its fingerprint, long enough to be one's own.
fn short_id(fingerprint: &str) -> String {
    fingerprint
        .trim_start_matches("SHA256:")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(12)
        .collect()
}
