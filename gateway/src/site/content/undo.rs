//! Brings back the content that an environment had before the last change of it.

use jiff::Timestamp;

use super::database_in;
use super::fresh::{address, end};
use super::pointer;
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::Sites;
use crate::site::workflow::{self, Change, Run, Undone};
use crate::state::{ContentChange, Intent};

/// Gives an environment its former content again; what it has now is kept in its place, so that this can
/// be undone as well. Returns what the person should know.
///
/// # Errors
/// [`Undone`]; the environment has the content that it had.
pub fn undo(sites: &Sites, run: &Run, permit: Permit) -> Result<Vec<String>, Undone> {
    run.perform("", || {
        let change = match change(sites, &permit) {
            Ok(change) => change,
            Err(undone) => return Err(end(permit, undone)),
        };
        let environment = permit.environment()?.clone();
        let origin = change.origin.clone();
        let change = Change {
            kind: run.live().kind(),
            permits: vec![permit],
            intent: Intent {
                note: origin.clone(),
                content: Some(change),
                ..Intent::default()
            },
            release: None,
        };
        workflow::carry_out(sites, run, change)?;
        Ok(vec![format!(
            "\"{environment}\" has its former content again; what it had is kept in its place."
        )])
    })
}

fn change(sites: &Sites, permit: &Permit) -> Result<ContentChange, Undone> {
    let (site, environment) = (permit.site()?, permit.environment()?);
    let layout = sites.layout.site(site).environment(environment);
    let model = sites.state.model();
    let state = model
        .environment(site, environment)
        .ok_or_else(|| Fault::new("the environment is gone"))?;
    let now = Timestamp::now();
    let (former, until) = state
        .content
        .former
        .filter(|(_, until)| *until > now)
        .ok_or_else(|| {
            Undone::Impossible(format!(
                "{site}.{environment} has no former content that is still kept."
            ))
        })?;
    Ok(ContentChange {
        new: former,
        before: pointer::current(&layout)?,
        keep_until: Some(until),
        address: database_in(sites, &layout, former)?
            .as_ref()
            .and_then(address),
        origin: format!("undo of: {}", state.content.origin),
    })
}
