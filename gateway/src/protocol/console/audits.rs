//! The audit, for those who must show who changed what and what was blocked.

use std::time::Duration;

use jiff::Timestamp;
use policy::{Action, Target};
use serde_json::{Value, json};

use super::audit_query::AuditQuery;
use super::table::{Format, Table};
use super::{Done, Run, Stop};
use crate::audit::{self, Decided, Filter, Outcome, Row};
use crate::site::blocking;
use crate::state::for_people;

/// How long a follower sleeps at most before it looks whether its client is still there.
const NAP: Duration = Duration::from_secs(1);

impl Run<'_> {
    pub(super) async fn audit_list(&mut self, query: AuditQuery) -> Done {
        let target = query.site.clone().map_or(Target::Server, Target::Site);
        self.permit(Action::ViewAudit, &target)?.forget();
        let mut filter = filter(&query)?;
        let rows = self.rows(filter.clone()).await?;
        if !query.follow {
            self.reply.print(&table(&rows)).await?;
            return Ok(());
        }
        let mut seen = rows.last().map_or(0, |row| row.seq);
        self.show(&rows).await?;
        filter.since = None;
        loop {
            let audit = self.console.audit.clone();
            let newest = blocking(move || Ok(audit.wait_beyond(seen, NAP))).await?;
            if self.reply.out("").await.is_err() {
                return Ok(());
            }
            // The right to look may have been taken away meanwhile.
            self.permit(Action::ViewAudit, &target)?.forget();
            filter.after_seq = Some(seen);
            let rows = self.rows(filter.clone()).await?;
            seen = rows.last().map_or(newest, |row| row.seq).max(seen);
            self.show(&rows).await?;
        }
    }

    pub(super) async fn audit_verify(&mut self) -> Done {
        self.permit(Action::ViewAudit, &Target::Server)?.forget();
        let path = self.console.audit_path.clone();
        let found = blocking(move || audit::verify(&path)).await?;
        let text = format!("{found}\n");
        if found.is_intact() {
            let _ = self.reply.out(&text).await;
            return Ok(());
        }
        Err(Stop::Failed(text))
    }

    async fn rows(&self, filter: Filter) -> Result<Vec<Row>, Stop> {
        let audit = self.console.audit.clone();
        Ok(blocking(move || audit.list(&filter)).await?)
    }

    /// Prints rows one by one, for a list that has no end.
    async fn show(&mut self, rows: &[Row]) -> Done {
        for row in rows {
            let text = match self.reply.format {
                Format::Json => format!(
                    "{}\n",
                    Value::Object(
                        object(row)
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    )
                ),
                Format::Table => {
                    let cells: Vec<String> = object(row)
                        .into_iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(name, value)| match value {
                            Value::String(text) => format!("{name}={text}"),
                            other => format!("{name}={other}"),
                        })
                        .collect();
                    cells.join("  ") + "\n"
                }
            };
            if self.reply.out(&text).await.is_err() {
                return Err(Stop::Nothing(String::new()));
            }
        }
        Ok(())
    }
}

/// Returns a time without the zone that rows print after it; all times are UTC.
fn bare(text: &str) -> &str {
    text.strip_suffix(" UTC").unwrap_or(text)
}

fn filter(query: &AuditQuery) -> Result<Filter, Stop> {
    let now = Timestamp::now();
    Ok(Filter {
        site: query.site.as_ref().map(ToString::to_string),
        environment: query.env.as_ref().map(ToString::to_string),
        person: query.user.clone(),
        rule: query.rule.clone(),
        decision: match query.decision.as_deref() {
            Some("permit") => Some(Decided::Permit),
            Some(_refuse) => Some(Decided::Refuse),
            None => None,
        },
        path: query.path.clone(),
        incident: query.incident.clone(),
        since: query
            .since
            .as_deref()
            .map(|text| audit::parse_since(bare(text), now))
            .transpose()
            .map_err(|error| Stop::Failed(error.to_string()))?,
        until: query
            .until
            .as_deref()
            .map(|text| audit::parse_until(bare(text), now))
            .transpose()
            .map_err(|error| Stop::Failed(error.to_string()))?,
        limit: Some(query.limit),
        ..Filter::default()
    })
}

fn table(rows: &[Row]) -> Table {
    let names: Vec<&'static str> = COLUMNS.to_vec();
    let mut table = Table::new(&names);
    for row in rows {
        table.push(object(row).into_iter().map(|(_, value)| value).collect());
    }
    table
}

const COLUMNS: [&str; 20] = [
    "seq",
    "time",
    "person",
    "site",
    "environment",
    "mode",
    "area",
    "action",
    "object",
    "decision",
    "rule",
    "outcome",
    "bytes",
    "count",
    "incident",
    "address",
    "client",
    "fingerprint",
    "detail",
    "hash",
];

fn object(row: &Row) -> Vec<(&'static str, Value)> {
    let record = &row.record;
    let outcome = match record.outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
    };
    let values = [
        json!(row.seq),
        json!(for_people(record.time)),
        json!(record.who.person),
        json!(record.site),
        json!(record.environment),
        json!(record.mode),
        json!(record.area),
        json!(record.action),
        json!(record.object),
        json!(record.decision),
        json!(record.rule),
        json!(outcome),
        json!(record.bytes),
        json!(record.count),
        json!(record.incident),
        json!(record.who.address),
        json!(record.who.client),
        json!(record.who.fingerprint),
        json!(record.detail),
        json!(row.hash.to_string()),
    ];
    COLUMNS.into_iter().zip(values).collect()
}
