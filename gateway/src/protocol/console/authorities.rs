//! Authorities whose certificates let people in.

use jiff::Timestamp;
use policy::{Action, Target};
use serde_json::Value;

use super::table::Table;
use super::{Done, Run, Stop};
use crate::protocol::ssh::PublicKey;
use crate::site::settings;
use crate::state::{Authority, for_people};

impl Run<'_> {
    pub(super) async fn ca_add(&mut self, file: String, name: Option<String>) -> Done {
        let permit = self.permit(Action::ManagePeople, &Target::Server)?;
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
        let name = name.map_or(key.comment, |name| policy::escape(name.as_bytes()));
        let model = self.console.state.model();
        let known = model.authorities.values();
        let problem = if name.trim().is_empty() {
            Some("This key has no comment; give the authority a name: --name NAME.".to_owned())
        } else if model.authorities.contains_key(&key.fingerprint) {
            Some("This authority is trusted already.".to_owned())
        } else if known.clone().any(|authority| authority.name == name) {
            Some(format!(
                "There is an authority called '{name}' already; give this one another name: --name NAME."
            ))
        } else if model.keys.contains_key(&key.fingerprint) {
            Some(
                "This is somebody's own key; an authority needs one that nobody logs in with."
                    .to_owned(),
            )
        } else {
            None
        };
        if let Some(sentence) = problem {
            permit.forget();
            return Err(Stop::Failed(sentence));
        }
        let authority = Authority {
            name,
            line: key.line,
            fingerprint: key.fingerprint,
            created: Timestamp::now(),
        };
        settings::add_authority(&self.console.state, permit, &authority)?;
        let text = format!(
            "Certificates signed by {} ({}) now let in the people of this server that they name.\n",
            authority.name, authority.fingerprint
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn ca_list(&mut self) -> Done {
        self.permit(Action::ManagePeople, &Target::Server)?.forget();
        let mut table = Table::new(&["name", "fingerprint", "from", "created"]);
        for fingerprint in self.console.gate.trust().configured_authorities() {
            table.push(vec![
                Value::Null,
                fingerprint.into(),
                "configuration".into(),
                Value::Null,
            ]);
        }
        for authority in self.console.state.model().authorities.values() {
            table.push(vec![
                authority.name.as_str().into(),
                authority.fingerprint.as_str().into(),
                "ca:add".into(),
                for_people(authority.created).into(),
            ]);
        }
        if table.is_empty() {
            self.reply
                .tell("No authority is trusted; ca:add FILE adds one.")
                .await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn ca_remove(&mut self, name: String) -> Done {
        let permit = self.permit(Action::ManagePeople, &Target::Server)?;
        let model = self.console.state.model();
        let found = model
            .authorities
            .values()
            .find(|authority| authority.name == name || authority.fingerprint == name);
        let Some(authority) = found else {
            permit.forget();
            let configured = self.console.gate.trust().configured_authorities();
            return Err(Stop::Failed(if configured.contains(&name) {
                "This authority stands in the configuration (identity.authorities); take it out there.".to_owned()
            } else {
                format!(
                    "There is no authority '{}'; ca:list shows them.",
                    policy::escape(name.as_bytes())
                )
            }));
        };
        settings::remove_authority(&self.console.state, permit, authority)?;
        let text = format!(
            "Certificates signed by {} let nobody in any more.\n",
            authority.name
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }
}
