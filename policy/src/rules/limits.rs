//! What a limited key may not, before anything is asked about the person who holds it. Looks at
//! the request alone, so that the answer tells nothing about what exists.

use super::refuse;
use crate::action::Action;
use crate::context::Context;
use crate::decision::Decision;
use crate::limits::Limits;
use crate::principal::Principal;
use crate::target::Target;

const HINT: &str = "Use a key without this limit, or have the key's limits changed: ssh-key:remove ID, then ssh-key:add FILE with others.";

/// Returns the refusal of a limit, if one stands in the way.
pub(super) fn refusal(principal: &Principal, action: Action, target: &Target) -> Option<Decision> {
    let limits = &principal.limits;
    let own = *target == Target::Person(principal.person.clone());
    if limits.passing && own && action == Action::ManageOwnKeys {
        return Some(refuse(
            "key-limited-in-time",
            format!(
                "What {} logged in with counts for a time only, or from some addresses; it changes none of their own keys, since a new one would outlive it.",
                principal.person
            ),
            "Log in with a key that has no end, or ask the server's administrator.",
        ));
    }
    if limits.reach_everything() {
        return None;
    }
    let makes_keys = matches!(
        action,
        Action::CreateSite | Action::ManagePeople | Action::ManageOwnKeys
    );
    if makes_keys {
        return Some(refuse(
            "key-limited",
            format!(
                "This key is limited to {limits}, so it makes no sites and changes no people and no keys."
            ),
            HINT,
        ));
    }
    beyond_sites(limits, action, target)
        .or_else(|| beyond_environments(limits, action, target))
        .or_else(|| beyond_actions(limits, action))
}

/// What a key does not reach, it brings no content from either. Where from is said by the request.
pub(super) fn of_source(
    principal: &Principal,
    action: Action,
    target: &Target,
    context: &Context,
) -> Option<Decision> {
    let source = context.content.as_ref()?.source.as_ref()?;
    if !matches!(
        action,
        Action::CloneContent | Action::RestoreBackup | Action::Deploy
    ) {
        return None;
    }
    let from = Target::Environment(target.site()?.clone(), source.environment.clone());
    beyond_environments(&principal.limits, action, &from)
}

fn beyond_sites(limits: &Limits, action: Action, target: &Target) -> Option<Decision> {
    let inside = |site| limits.sites.contains(site);
    if limits.sites.is_empty() || target.site().is_some_and(inside) {
        return None;
    }
    let place = match target.site() {
        Some(site) => site.to_string(),
        None => "the server as a whole".to_owned(),
    };
    Some(refuse(
        "key-limited-to-site",
        format!(
            "This key is limited to {limits}; '{}' on {place} was refused.",
            action.as_str()
        ),
        HINT,
    ))
}

/// A site as a whole is seen with a key for one environment, but nothing about it is changed.
fn beyond_environments(limits: &Limits, action: Action, target: &Target) -> Option<Decision> {
    let inside = match target.environment() {
        Some(environment) => limits.environments.contains(environment),
        None => action == Action::ViewSite,
    };
    if limits.environments.is_empty() || inside {
        return None;
    }
    let place = match (target.environment(), target.site()) {
        (Some(environment), _) => environment.title().to_owned(),
        (None, Some(site)) => format!("{site} as a whole"),
        (None, None) => "the server as a whole".to_owned(),
    };
    Some(refuse(
        "key-limited-to-environment",
        format!(
            "This key is limited to {limits}; '{}' on {place} was refused.",
            action.as_str()
        ),
        HINT,
    ))
}

fn beyond_actions(limits: &Limits, action: Action) -> Option<Decision> {
    if limits.actions.is_empty() || limits.actions.iter().any(|group| group.holds(action)) {
        return None;
    }
    Some(refuse(
        "key-limited-to-action",
        format!(
            "This key is limited to {limits}; '{}' is none of that.",
            action.as_str()
        ),
        HINT,
    ))
}
