//! What targets are told, and whether it has reached them.

use std::str::FromStr;

use jiff::Timestamp;
use policy::{Environment, SiteName};
use rusqlite::{Transaction, params};

use super::State;
use super::model::{parse, rows};
use super::told::{TargetEvent, Told};
use crate::fault::{Fault, OrFault};

/// One message to one target.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its place in the order.
    pub number: i64,
    /// By which the target knows it when it comes twice.
    pub id: String,
    /// The target.
    pub target: i64,
    /// What is told.
    pub told: Told,
    /// When it came to be.
    pub created: Timestamp,
    /// Since when it has been tried.
    pub since: Timestamp,
    /// When it is tried next.
    pub next: Timestamp,
    /// How often it was tried since then.
    pub attempts: u32,
    /// How it stands.
    pub status: DeliveryStatus,
    /// What came of the last attempt.
    pub result: Option<String>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It has not been taken yet, and is tried again.
    Waiting,
    /// It was taken.
    Delivered,
    /// It was tried for too long, and is not tried again by itself.
    Failed,
}

impl DeliveryStatus {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryStatus::Waiting => "waiting",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Failed => "failed",
        }
    }
}

impl FromStr for DeliveryStatus {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "waiting" => Ok(DeliveryStatus::Waiting),
            "delivered" => Ok(DeliveryStatus::Delivered),
            "failed" => Ok(DeliveryStatus::Failed),
            other => Err(Fault::new(format!("'{other}' is no status of a delivery"))),
        }
    }
}

/// Has all targets of an environment told, inside the change that it is told of.
pub(super) fn announce(
    transaction: &Transaction<'_>,
    site: &SiteName,
    environment: &Environment,
    told: &Told,
) -> Result<(), Fault> {
    let doing = || "writing down who is to be told";
    let text = serde_json::to_string(told).or_fault(doing)?;
    // The same happening never makes two deliveries, whoever completes it after a crash.
    let suffix = match told.event {
        TargetEvent::TurnedBack => "-back",
        TargetEvent::Switch
        | TargetEvent::Rollback
        | TargetEvent::Commit
        | TargetEvent::Sync
        | TargetEvent::Test => "",
    };
    transaction
        .execute(
            "INSERT OR IGNORE INTO delivery (id, target, event, told, created, since, next, status)
             SELECT ?1 || '-' || id || ?2, id, ?3, ?4, ?5, ?5, ?5, 'waiting' FROM target
             WHERE site = ?6 AND environment = ?7 AND active AND NOT follows ORDER BY id",
            params![
                told.workflow,
                suffix,
                told.event.as_str(),
                text,
                told.time.to_string(),
                site.as_str(),
                environment.as_str()
            ],
        )
        .or_fault(doing)?;
    Ok(())
}

impl State {
    /// Has all targets of an environment told.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn announce(
        &self,
        site: &SiteName,
        environment: &Environment,
        told: &Told,
    ) -> Result<(), Fault> {
        self.note("having targets told", |transaction| {
            announce(transaction, site, environment, told)
        })
    }

    /// Has the hosts of an environment brought to what it runs: all, or one by its number. One that
    /// is to be anyway is not asked for twice.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn ask_for_sync(
        &self,
        site: &SiteName,
        environment: &Environment,
        only: Option<i64>,
        told: &Told,
    ) -> Result<usize, Fault> {
        let doing = "having hosts brought up to date";
        let text = serde_json::to_string(told).or_fault(|| doing)?;
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR IGNORE INTO delivery (id, target, event, told, created, since, next, status)
                     SELECT ?1 || '-' || id || '-sync', id, 'sync', ?2, ?3, ?3, ?3, 'waiting'
                     FROM target
                     WHERE site = ?4 AND environment = ?5 AND active AND follows
                         AND id = ifnull(?6, id) AND NOT EXISTS (SELECT 1 FROM delivery
                             WHERE target = target.id AND status = 'waiting' AND attempts = 0)
                     ORDER BY id",
                    params![
                        told.workflow,
                        text,
                        told.time.to_string(),
                        site.as_str(),
                        environment.as_str(),
                        only
                    ],
                )
                .or_fault(|| doing)
        })
    }

    /// Returns what each target is to be told next, in the order of the targets.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn next_deliveries(&self) -> Result<Vec<Delivery>, Fault> {
        self.some_deliveries(
            "status = 'waiting' AND number = (SELECT min(number) FROM delivery AS other
                 WHERE other.target = delivery.target AND other.status = 'waiting')
             ORDER BY target",
        )
    }

    /// Returns what the targets of an environment, or of all of a site's, were told and are to be
    /// told, the newest first; all, or those that stand as `status` says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn deliveries(
        &self,
        site: &SiteName,
        environment: Option<&Environment>,
        status: Option<DeliveryStatus>,
    ) -> Result<Vec<Delivery>, Fault> {
        // Names are of an alphabet without quotes, so they may stand in the query.
        let environment = environment.map_or_else(String::new, |environment| {
            format!("AND environment = '{environment}'")
        });
        let status = status.map_or_else(String::new, |status| {
            format!("AND status = '{}'", status.as_str())
        });
        self.some_deliveries(&format!(
            "target IN (SELECT id FROM target WHERE site = '{site}' {environment}) {status}
             ORDER BY number DESC LIMIT 1000"
        ))
    }

    /// Returns one delivery.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn delivery(&self, id: &str) -> Result<Option<Delivery>, Fault> {
        // An id is of an alphabet without quotes.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !id.bytes().all(plain) {
            return Ok(None);
        }
        Ok(self.some_deliveries(&format!("id = '{id}'"))?.pop())
    }

    /// Has something told again, from now on and as if for the first time.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn retry_delivery(&self, number: i64) -> Result<(), Fault> {
        let doing = "having something told again";
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE delivery SET status = 'waiting', attempts = 0, since = ?2, next = ?2
                     WHERE number = ?1",
                    params![number, Timestamp::now().to_string()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says that an attempt failed, why, and when the next one is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn delay_delivery(&self, number: i64, why: &str, next: Timestamp) -> Result<(), Fault> {
        let doing = "putting off a delivery";
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE delivery SET attempts = attempts + 1, result = ?2, next = ?3
                     WHERE number = ?1",
                    params![number, why, next.to_string()],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Says that a delivery was taken or, if not `taken`, given up, and forgets old ones of its
    /// target beyond `kept`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish_delivery(
        &self,
        number: i64,
        taken: bool,
        result: &str,
        kept: usize,
    ) -> Result<(), Fault> {
        let doing = "ending a delivery";
        let status = if taken {
            DeliveryStatus::Delivered
        } else {
            DeliveryStatus::Failed
        };
        self.note(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE delivery SET attempts = attempts + 1, status = ?2, result = ?3
                     WHERE number = ?1",
                    params![number, status.as_str(), result],
                )
                .or_fault(|| doing)?;
            transaction
                .execute(
                    "DELETE FROM delivery WHERE status != 'waiting'
                         AND target = (SELECT target FROM delivery WHERE number = ?1)
                         AND number NOT IN (SELECT number FROM delivery
                             WHERE target = (SELECT target FROM delivery WHERE number = ?1)
                             ORDER BY number DESC LIMIT ?2)",
                    params![number, i64::try_from(kept).unwrap_or(i64::MAX)],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    fn some_deliveries(&self, which: &str) -> Result<Vec<Delivery>, Fault> {
        let connection = self.reading();
        let query = format!(
            "SELECT number, target, attempts, id, told, created, since, next, status, result \
             FROM delivery WHERE {which}"
        );
        let found = rows(&connection, &query, |row| {
            let texts: [String; 6] = [
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
                row.get(6)?,
                row.get(7)?,
                row.get(8)?,
            ];
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, texts, row.get(9)?))
        })?;
        found
            .into_iter()
            .map(|(number, target, attempts, texts, result)| {
                let [id, told, created, since, next, status] = texts;
                Ok(Delivery {
                    number,
                    id,
                    target,
                    told: serde_json::from_str(&told).or_fault(|| "reading a delivery")?,
                    created: parse(&created)?,
                    since: parse(&since)?,
                    next: parse(&next)?,
                    attempts,
                    status: parse(&status)?,
                    result,
                })
            })
            .collect()
    }
}
