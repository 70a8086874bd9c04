//! Requests that a second person approves a deploy or a hotfix.

use std::fmt;
use std::str::FromStr;

use git2::Oid;
use jiff::Timestamp;
use policy::{Environment, PersonName, Role, SiteName};
use rusqlite::{Connection, Transaction, params};

use super::State;
use super::deployments::DeploymentKind;
use super::model::{Model, parse, rows};
use super::workflows::Workflow;
use crate::fault::{Fault, OrFault};

/// What a second person may have to approve, on Live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A deploy.
    Deploy,
    /// A hotfix.
    Hotfix,
}

impl Subject {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Subject::Deploy => "deploy",
            Subject::Hotfix => "hotfix",
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Subject {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "deploy" => Ok(Subject::Deploy),
            "hotfix" => Ok(Subject::Hotfix),
            other => Err(Fault::new(format!("'{other}' is nothing to approve"))),
        }
    }
}

/// What exactly is to be approved: who does what with which commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matter {
    /// Where.
    pub environment: Environment,
    /// What.
    pub subject: Subject,
    /// What would run.
    pub commit: Oid,
    /// Who would do it.
    pub person: PersonName,
}

/// A request for an approval.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// The site.
    pub site: SiteName,
    /// What is to be approved.
    pub matter: Matter,
    /// When it was asked for.
    pub asked: Timestamp,
    /// What the asker said.
    pub note: String,
    /// From when on it can neither be approved nor used.
    pub expires: Timestamp,
    /// How it stands.
    pub status: RequestStatus,
    /// Who has answered it.
    pub answered_by: Option<PersonName>,
    /// When.
    pub answered: Option<Timestamp>,
    /// Why it was denied.
    pub reason: Option<String>,
}

impl Request {
    /// Returns who has approved it, if they are still somebody who may: an approval ends with the
    /// role of who gave it.
    pub fn approver(&self, model: &Model) -> Option<&PersonName> {
        let by = self
            .answered_by
            .as_ref()
            .filter(|by| self.status == RequestStatus::Approved && **by != self.matter.person)?;
        let role = model.standing(by, &self.site).role();
        // Who reaches the gateway on its server stands in no team.
        (role >= Some(Role::TeamMember) || *by == PersonName::local()).then_some(by)
    }
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestStatus {
    /// Nobody has answered.
    Open,
    /// Approved, and not used yet.
    Approved,
    /// Denied.
    Denied,
    /// What was approved has been done.
    Used,
}

impl RequestStatus {
    /// Returns the word for tables and rows.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestStatus::Open => "open",
            RequestStatus::Approved => "approved",
            RequestStatus::Denied => "denied",
            RequestStatus::Used => "used",
        }
    }
}

impl FromStr for RequestStatus {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "open" => Ok(RequestStatus::Open),
            "approved" => Ok(RequestStatus::Approved),
            "denied" => Ok(RequestStatus::Denied),
            "used" => Ok(RequestStatus::Used),
            other => Err(Fault::new(format!("'{other}' is no status of a request"))),
        }
    }
}

/// What somebody answers to a request.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'a> {
    /// Yes; it may be used until then.
    Approve(Timestamp),
    /// No, for this reason.
    Deny(&'a str),
}

impl State {
    /// Says whether a second person has to approve something on a site.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_approval_rule(
        &self,
        site: &SiteName,
        subject: Subject,
        wanted: bool,
    ) -> Result<(), Fault> {
        let doing = "saying what is to be approved";
        let change = if wanted {
            "INSERT OR IGNORE INTO approval_rule (site, subject) VALUES (?1, ?2)"
        } else {
            "DELETE FROM approval_rule WHERE site = ?1 AND subject = ?2"
        };
        self.change(doing, |transaction| {
            transaction
                .execute(change, [site.as_str(), subject.as_str()])
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Keeps a request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add_request(&self, request: &Request) -> Result<(), Fault> {
        let doing = "keeping a request for an approval";
        self.change(doing, |transaction| {
            transaction
                .execute(
                    "INSERT INTO approval (id, site, environment, subject, commit_id, person, asked,
                         note, expires, status)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'open')",
                    params![
                        request.id,
                        request.site.as_str(),
                        request.matter.environment.as_str(),
                        request.matter.subject.as_str(),
                        request.matter.commit.to_string(),
                        request.matter.person.as_str(),
                        request.asked.to_string(),
                        request.note,
                        request.expires.to_string()
                    ],
                )
                .or_fault(|| doing)?;
            Ok(())
        })
    }

    /// Answers a request. Returns false when somebody else has answered it, or used it, meanwhile.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn answer_request(
        &self,
        request: &Request,
        person: &PersonName,
        answer: Answer<'_>,
    ) -> Result<bool, Fault> {
        let doing = "answering a request for an approval";
        let (status, reason, expires) = match answer {
            Answer::Approve(expires) => (RequestStatus::Approved, None, expires),
            Answer::Deny(reason) => (RequestStatus::Denied, Some(reason), request.expires),
        };
        self.change(doing, |transaction| {
            let changed = transaction
                .execute(
                    "UPDATE approval SET status = ?2, answered_by = ?3, answered = ?4, reason = ?5,
                         expires = ?6
                     WHERE id = ?1 AND status = ?7",
                    params![
                        request.id,
                        status.as_str(),
                        person.as_str(),
                        Timestamp::now().to_string(),
                        reason,
                        expires.to_string(),
                        request.status.as_str()
                    ],
                )
                .or_fault(|| doing)?;
            Ok(changed == 1)
        })
    }

    /// Returns one request.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn request(&self, id: &str) -> Result<Option<Request>, Fault> {
        // An id is of an alphabet without quotes.
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        Ok(self.some_requests(&format!("id = '{id}'"))?.pop())
    }

    /// Returns the requests of a site, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn requests(&self, site: &SiteName) -> Result<Vec<Request>, Fault> {
        // A site's name is of an alphabet without quotes, so it may stand in the query.
        self.some_requests(&format!("site = '{site}' ORDER BY asked DESC LIMIT 100"))
    }

    fn some_requests(&self, which: &str) -> Result<Vec<Request>, Fault> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        read(&connection, which)
    }
}

/// Uses up the approval of what a workflow has done, inside the change that completes it.
pub(super) fn consume(
    transaction: &Transaction<'_>,
    workflow: &Workflow,
    kind: DeploymentKind,
    commit: Oid,
) -> Result<(), Fault> {
    let subject = match kind {
        DeploymentKind::Deploy => Subject::Deploy,
        DeploymentKind::Hotfix => Subject::Hotfix,
        DeploymentKind::Rollback => return Ok(()),
    };
    transaction
        .execute(
            "UPDATE approval SET status = 'used'
             WHERE site = ?1 AND environment = ?2 AND subject = ?3 AND commit_id = ?4
                 AND person = ?5 AND status IN ('open', 'approved')",
            [
                workflow.site.as_str(),
                workflow.environment.as_str(),
                subject.as_str(),
                &commit.to_string(),
                workflow.person.as_str(),
            ],
        )
        .or_fault(|| "using up an approval")?;
    Ok(())
}

pub(super) fn load(connection: &Connection, model: &mut Model) -> Result<(), Fault> {
    let rules = rows(
        connection,
        "SELECT site, subject FROM approval_rule",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
    )?;
    for (site, subject) in rules {
        let holds = model.holds.entry(parse(&site)?).or_default();
        holds.approved.push(parse(&subject)?);
    }
    // What has expired needs no decision any more; an hour covers a clock that was set back.
    let hour_ago = Timestamp::now().as_second() - 3600;
    let hour_ago = Timestamp::from_second(hour_ago).or_fault(|| "reading the clock")?;
    let lasting = format!("status IN ('open', 'approved') AND expires > '{hour_ago}'");
    for request in read(connection, &lasting)? {
        let holds = model.holds.entry(request.site.clone()).or_default();
        holds.requests.push(request);
    }
    Ok(())
}

fn read(connection: &Connection, which: &str) -> Result<Vec<Request>, Fault> {
    let query = format!(
        "SELECT id, site, environment, subject, commit_id, person, asked, note, expires, status, \
         answered_by, answered, reason FROM approval WHERE {which}"
    );
    let found = rows(connection, &query, |row| {
        let texts = (0..10)
            .map(|place| row.get::<_, String>(place))
            .collect::<Result<Vec<_>, _>>()?;
        let optional = |place| row.get::<_, Option<String>>(place);
        Ok((texts, [optional(10)?, optional(11)?, optional(12)?]))
    })?;
    found
        .into_iter()
        .map(|(texts, [answered_by, answered, reason])| {
            let Ok(
                [
                    id,
                    site,
                    environment,
                    subject,
                    commit,
                    person,
                    asked,
                    note,
                    expires,
                    status,
                ],
            ) = <[String; 10]>::try_from(texts)
            else {
                return Err(Fault::new("a row of another width"));
            };
            Ok(Request {
                id,
                site: parse(&site)?,
                matter: Matter {
                    environment: parse(&environment)?,
                    subject: parse(&subject)?,
                    commit: parse(&commit)?,
                    person: parse(&person)?,
                },
                asked: parse(&asked)?,
                note,
                expires: parse(&expires)?,
                status: parse(&status)?,
                answered_by: answered_by.map(|person| parse(&person)).transpose()?,
                answered: answered.map(|time| parse(&time)).transpose()?,
                reason,
            })
        })
        .collect()
}
