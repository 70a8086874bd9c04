//! People's public keys.

use jiff::Timestamp;
use policy::{Action, PersonName, Target};
use serde_json::Value;

use super::key_limits::{self, KeyLimits, Wanted};
use super::table::Table;
use super::{Done, Run, Stop};
use crate::protocol::ssh::PublicKey;
use crate::site::settings;
use crate::state::{Key, for_people};

impl Run<'_> {
    pub(super) async fn key_add(
        &mut self,
        file: String,
        user: Option<PersonName>,
        limits: KeyLimits,
    ) -> Done {
        let person = user.unwrap_or_else(|| self.who.person.clone());
        let permit = self.permit(Action::ManageOwnKeys, &Target::Person(person.clone()))?;
        let read = self
            .key_text(&file)
            .await
            .and_then(|text| read_line(&text, &limits));
        let (key, wanted) = match read {
            Ok(read) => read,
            Err(sentence) => {
                permit.forget();
                return Err(Stop::Failed(sentence));
            }
        };
        let model = self.console.state.model();
        let problem = if key.is_security_key() && !self.console.gate.trust().takes_security_keys() {
            Some("Security keys (FIDO) are switched off on this server (identity.security_keys); add a key made with: ssh-keygen -t ed25519".to_owned())
        } else if let Some(there) = model.keys.get(&key.fingerprint) {
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
            expires: wanted.expires,
            sources: wanted.sources,
            limits: wanted.limits,
        };
        settings::add_key(&self.console.state, permit, &row)?;
        let text = format!(
            "Added SSH key {} for {person}{}.\n",
            row.fingerprint,
            settings::limits_of(&row)
        );
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
        let mut table = Table::new(&[
            "id",
            "fingerprint",
            "description",
            "created",
            "expires",
            "from",
            "sites",
            "environments",
            "actions",
        ]);
        let mut keys: Vec<&Key> = model
            .keys
            .values()
            .filter(|key| key.person == person)
            .collect();
        keys.sort_by_key(|key| (key.created, &key.id));
        for key in keys {
            table.push(vec![
                key.id.as_str().into(),
                key.fingerprint.as_str().into(),
                key.comment.as_str().into(),
                for_people(key.created).into(),
                key.expires.map_or(Value::Null, |end| {
                    let over = if end <= Timestamp::now() {
                        " (expired)"
                    } else {
                        ""
                    };
                    format!("{}{over}", for_people(end)).into()
                }),
                key.sources.clone().map_or(Value::Null, Value::from),
                words(&key.limits.sites),
                words(&key.limits.environments),
                words(&key.limits.actions),
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

    pub(super) async fn key_text(&mut self, file: &str) -> Result<String, String> {
        if file == "-" {
            return self.reply.standard_input().await;
        }
        if file.contains(' ') {
            return Ok(file.to_owned());
        }
        Err("Over SSH, give the key on standard input: ssh HOST ssh-key:add - < key.pub".to_owned())
    }
}

/// Reads a line of authorized_keys, and adds what the command's options say.
fn read_line(text: &str, limits: &KeyLimits) -> Result<(PublicKey, Wanted), String> {
    let now = Timestamp::now();
    let (options, line) = key_limits::split_options(text);
    let mut wanted = limits.read(now)?;
    key_limits::add_options(&mut wanted, options, now)?;
    Ok((PublicKey::parse(line)?, wanted))
}

fn words<T: ToString>(set: &std::collections::BTreeSet<T>) -> Value {
    if set.is_empty() {
        return Value::Null;
    }
    let words: Vec<String> = set.iter().map(ToString::to_string).collect();
    words.join(" ").into()
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
