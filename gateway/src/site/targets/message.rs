//! What targets are told, as JSON and as variables.

use serde_json::{Value, json};

use crate::site::layout::Layout;
use crate::state::{Target, Told};

/// One message, the same at each attempt.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// By which the target knows it when it comes twice.
    pub id: String,
    /// The word for what has happened.
    pub event: &'static str,
    fields: Vec<(&'static str, Value)>,
}

impl Message {
    /// Makes the message to `target` about what has happened.
    pub(super) fn new(layout: &Layout, target: &Target, id: &str, told: &Told) -> Self {
        let environment = layout.site(&target.site).environment(&target.environment);
        let path = told
            .generation
            .map(|generation| environment.code(generation).display().to_string());
        let fields = vec![
            ("version", json!(1)),
            ("id", json!(id)),
            ("event", json!(told.event.as_str())),
            ("site", json!(target.site.as_str())),
            ("environment", json!(target.environment.as_str())),
            ("workflow", json!(told.workflow)),
            ("kind", json!(told.kind)),
            ("actor", json!(told.actor.as_str())),
            ("note", json!(told.note)),
            ("old_commit", json!(told.old_commit)),
            ("new_commit", json!(told.new_commit)),
            ("release", json!(told.release)),
            ("path", json!(path)),
            (
                "current",
                json!(environment.current().join("code").display().to_string()),
            ),
            ("time", json!(told.time.to_string())),
        ];
        Self {
            id: id.to_owned(),
            event: told.event.as_str(),
            fields,
        }
    }

    /// Returns it as a JSON object, its fields in a fixed order.
    pub(super) fn json(&self) -> String {
        let object: serde_json::Map<String, Value> = self
            .fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        Value::Object(object).to_string()
    }

    /// Returns it as variables, `FUNICULAR_SITE` and so on; what is unknown is empty.
    pub(super) fn variables(&self) -> Vec<(String, String)> {
        self.fields
            .iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Null => String::new(),
                    Value::String(text) => text.replace('\0', ""),
                    other => other.to_string(),
                };
                (format!("FUNICULAR_{}", name.to_ascii_uppercase()), value)
            })
            .collect()
    }
}
