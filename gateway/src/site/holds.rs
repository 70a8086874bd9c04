//! Freezes, hours of deploys and approvals: what is written to the state under a permit.

use jiff::{SignedDuration, Timestamp};
use policy::{Action, NEEDS_APPROVAL, Target};

use super::Sites;
use crate::audit::{IncidentId, Outcome};
use crate::fault::{Fault, OrFault};
use crate::gate::{Denied, Evidence, Gate, Identity, Permit};
use crate::state::{Answer, DeployWindow, Freeze, Request, RequestStatus, State, Subject};

/// Freezes an environment.
///
/// # Errors
/// When it cannot be written.
pub fn freeze(state: &State, mut permit: Permit, freeze: &Freeze) -> Result<(), Fault> {
    permit.describe(freeze.told());
    state.freeze(permit.site()?, permit.environment()?, freeze)?;
    permit.finish(Outcome::Done)
}

/// Ends a freeze.
///
/// # Errors
/// When it cannot be written.
pub fn end_freeze(state: &State, mut permit: Permit, ended: &Freeze) -> Result<(), Fault> {
    permit.describe(format!("frozen {}", ended.told()));
    state.end_freeze(permit.site()?, permit.environment()?)?;
    permit.finish(Outcome::Done)
}

/// Says in which hours deploys go to an environment; none means at any.
///
/// # Errors
/// When it cannot be written.
pub fn set_windows(
    state: &State,
    mut permit: Permit,
    windows: &[DeployWindow],
) -> Result<(), Fault> {
    let texts: Vec<String> = windows.iter().map(ToString::to_string).collect();
    permit.describe(match texts.as_slice() {
        [] => "at any hour".to_owned(),
        texts => texts.join("; "),
    });
    state.set_windows(permit.site()?, permit.environment()?, windows)?;
    permit.finish(Outcome::Done)
}

/// Says whether a second person has to approve something.
///
/// # Errors
/// When it cannot be written.
pub fn set_approval_rule(
    state: &State,
    mut permit: Permit,
    subject: Subject,
    wanted: bool,
) -> Result<(), Fault> {
    let word = if wanted { "yes" } else { "no" };
    permit.describe(format!("approve-{subject} {word}"));
    state.set_approval_rule(permit.site()?, subject, wanted)?;
    permit.finish(Outcome::Done)
}

/// Asks for the approval for want of which something was refused, unless somebody has asked
/// already. Returns what the person is told.
pub fn ask_for_approval(
    sites: &Sites,
    gate: &std::sync::Arc<Gate>,
    who: &Identity,
    target: &Target,
    evidence: Evidence,
    denied: Denied,
) -> Denied {
    let wanting = match &denied {
        Denied::Refused(refused) => refused.refusal.rule == NEEDS_APPROVAL,
        Denied::Fault(_) => false,
    };
    if !wanting {
        return denied;
    }
    match keep_request(sites, gate, who, target, evidence) {
        Ok(()) => denied,
        Err(denied) => denied,
    }
}

fn keep_request(
    sites: &Sites,
    gate: &std::sync::Arc<Gate>,
    who: &Identity,
    target: &Target,
    mut evidence: Evidence,
) -> Result<(), Denied> {
    let Some(matter) = gate.wanting_approval(who, target, &evidence) else {
        return Ok(());
    };
    let Some(id) = evidence.held.request.clone() else {
        return Err(Fault::new("a request for an approval has no id").into());
    };
    let note = evidence.detail.clone().unwrap_or_default();
    evidence.workflow = Some(id.clone());
    evidence.detail = Some(format!("{} of {}: {note}", matter.subject, matter.commit));
    let permit = gate.authorize(who, Action::AskApproval, target, evidence)?;
    let now = Timestamp::now();
    let request = Request {
        id: id.to_string(),
        site: permit.site()?.clone(),
        matter,
        asked: now,
        note,
        expires: later(sites, now)?,
        status: RequestStatus::Open,
        answered_by: None,
        answered: None,
        reason: None,
    };
    sites.state.add_request(&request)?;
    permit.finish(Outcome::Done)?;
    Ok(())
}

/// Returns the id that a request gets if one has to be made.
pub fn new_request() -> IncidentId {
    IncidentId::new(Timestamp::now())
}

/// Approves what somebody else has asked for. Returns until when it may be used; nothing when
/// somebody has answered it meanwhile.
///
/// # Errors
/// When it cannot be written.
pub fn approve(
    sites: &Sites,
    mut permit: Permit,
    request: &Request,
) -> Result<Option<Timestamp>, Fault> {
    let until = later(sites, Timestamp::now())?;
    permit.describe(about(request));
    let person = permit.who().person.clone();
    let answer = Answer::Approve(until);
    let done = sites.state.answer_request(request, &person, answer)?;
    finish(permit, done)?;
    Ok(done.then_some(until))
}

/// Denies it. Returns false when somebody has answered it meanwhile.
///
/// # Errors
/// When it cannot be written.
pub fn deny(
    sites: &Sites,
    mut permit: Permit,
    request: &Request,
    reason: &str,
) -> Result<bool, Fault> {
    permit.describe(format!("{}: {reason}", about(request)));
    let person = permit.who().person.clone();
    let answer = Answer::Deny(reason);
    let done = sites.state.answer_request(request, &person, answer)?;
    finish(permit, done)?;
    Ok(done)
}

fn about(request: &Request) -> String {
    let matter = &request.matter;
    format!(
        "request {}: {} of {} by {}",
        request.id, matter.subject, matter.commit, matter.person
    )
}

fn finish(permit: Permit, done: bool) -> Result<(), Fault> {
    permit.finish(if done { Outcome::Done } else { Outcome::Failed })
}

fn later(sites: &Sites, now: Timestamp) -> Result<Timestamp, Fault> {
    let seconds = i64::try_from(sites.workflows.approval_seconds()).unwrap_or(i64::MAX);
    now.checked_add(SignedDuration::from_secs(seconds))
        .or_fault(|| "reading how long an approval counts (workflows.approval_seconds)")
}
