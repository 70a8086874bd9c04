//! Requests that a second person approves a deploy or hotfix, and answers to them.

use jiff::Timestamp;
use policy::{Action, Environment, SiteName, Target};
use serde_json::Value;

use super::table::Table;
use super::{Done, Run, Stop};
use crate::gate::{Evidence, Held, Permit};
use crate::site::{holds, push};
use crate::state::{Request, RequestStatus, for_people};

impl Run<'_> {
    pub(super) async fn deploy_approve(&mut self, id: &str) -> Done {
        let (request, permit) = self.answering(Action::Approve, id)?;
        if let Some(stop) = self.answered(&request) {
            permit.forget();
            return Err(stop);
        }
        let Some(until) = holds::approve(&self.console.sites, permit, &request)? else {
            return Err(meanwhile(id));
        };
        let matter = &request.matter;
        let text = format!(
            "Approved the {} of {} to {}.{} by {}, who has until {} to do it again.\n",
            matter.subject,
            push::short(matter.commit),
            request.site,
            matter.environment,
            matter.person,
            for_people(until)
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn deploy_deny(&mut self, id: &str, reason: &str) -> Done {
        let (request, permit) = self.answering(Action::DenyApproval, id)?;
        // An approval is taken back in the same way, while nobody has used it.
        let over = match request.status {
            RequestStatus::Open | RequestStatus::Approved => None,
            RequestStatus::Denied | RequestStatus::Used => self.answered(&request),
        };
        let reason = super::holds::reason_of(reason);
        let reason = match (over, reason) {
            (None, Ok(reason)) => reason,
            (Some(stop), _) | (None, Err(stop)) => {
                permit.forget();
                return Err(stop);
            }
        };
        if !holds::deny(&self.console.sites, permit, &request, &reason)? {
            return Err(meanwhile(id));
        }
        let text = format!(
            "Denied request {id}; {} may ask again.\n",
            request.matter.person
        );
        let _ = self.reply.out(&text).await;
        Ok(())
    }

    pub(super) async fn deploy_requests(&mut self, site: SiteName) -> Done {
        self.view(&site)?;
        let columns = [
            "id",
            "env",
            "what",
            "commit",
            "user",
            "asked_at",
            "note",
            "status",
            "answered_by",
            "expires_at",
            "reason",
        ];
        let mut table = Table::new(&columns);
        for one in self.console.state.requests(&site)? {
            let status = self.status(&one);
            table.push(vec![
                one.id.into(),
                one.matter.environment.as_str().into(),
                one.matter.subject.as_str().into(),
                one.matter.commit.to_string().into(),
                one.matter.person.as_str().into(),
                for_people(one.asked).into(),
                one.note.into(),
                status.into(),
                one.answered_by
                    .map_or(Value::Null, |person| person.as_str().into()),
                for_people(one.expires).into(),
                one.reason.map_or(Value::Null, Value::from),
            ]);
        }
        if table.is_empty() {
            self.reply.tell("Nothing was to be approved.").await;
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    /// Counts the requests that wait for an answer.
    pub(super) fn waiting_requests(&self, site: &SiteName, only: Option<&Environment>) -> usize {
        let model = self.console.state.model();
        let requests = &model.holds(site).requests;
        requests
            .iter()
            .filter(|one| only.is_none_or(|only| *only == one.matter.environment))
            .filter(|one| self.status(one) == "open")
            .count()
    }

    /// Finds a request of a site that the person may see, others do not exist for them; and asks
    /// whether they may answer it.
    fn answering(&self, action: Action, id: &str) -> Result<(Request, Permit), Stop> {
        let found = self.console.state.request(id)?;
        let request = match found {
            Some(request) if self.view(&request.site).is_ok() => request,
            _unseen => {
                return Err(Stop::Failed(format!(
                    "There is no request '{}'; deploy:requests SITE shows them.",
                    policy::escape(id.as_bytes())
                )));
            }
        };
        let target = Target::Environment(request.site.clone(), request.matter.environment.clone());
        let evidence = Evidence {
            held: Held {
                own_request: request.matter.person == self.who.person,
                ..Held::default()
            },
            ..Evidence::default()
        };
        let gate = &self.console.gate;
        let permit = gate.authorize(self.who, action, &target, evidence)?;
        Ok((request, permit))
    }

    /// Says why a request can no longer be approved.
    fn answered(&self, request: &Request) -> Option<Stop> {
        let status = self.status(request);
        let by = request
            .answered_by
            .as_ref()
            .map(|person| format!(" by {person}"))
            .unwrap_or_default();
        match status {
            "open" | "withdrawn" => None,
            "expired" => Some(Stop::Failed(format!(
                "Request {} has expired; {} has to ask again.",
                request.id, request.matter.person
            ))),
            other => Some(Stop::Failed(format!(
                "Request {} is {other} already{by}.",
                request.id
            ))),
        }
    }

    /// How a request stands now, in a word.
    fn status(&self, request: &Request) -> &'static str {
        let may_approve = || request.approver(&self.console.state.model()).is_some();
        match request.status {
            RequestStatus::Open | RequestStatus::Approved
                if request.expires <= Timestamp::now() =>
            {
                "expired"
            }
            RequestStatus::Approved if !may_approve() => "withdrawn",
            RequestStatus::Open
            | RequestStatus::Approved
            | RequestStatus::Denied
            | RequestStatus::Used => request.status.as_str(),
        }
    }
}

fn meanwhile(id: &str) -> Stop {
    Stop::Failed(format!(
        "Request {id} was answered by somebody else in the meantime; deploy:requests shows how."
    ))
}
