//! Releases that failed their check: nobody deploys them again by mistake.

use super::{permit, refuse};
use crate::context::Context;
use crate::decision::Decision;
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::Role;

/// Refuses what has failed here before and was not allowed since.
pub(super) fn failed(
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Option<Decision> {
    let failed = context.failed_release.as_ref()?;
    let commit = &failed.commit;
    Some(refuse(
        "release-has-failed",
        format!(
            "{commit} failed on {site}.{environment} at {}: {}.",
            failed.when,
            failed.reason.trim_end_matches('.')
        ),
        format!(
            "Deploy another commit; if the cause is gone, allow this one again: release:allow {site}.{environment} {commit}."
        ),
    ))
}

/// Whoever may deploy to an environment may say that a release that failed there may go there again.
pub(super) fn allow(role: Role, site: &SiteName, environment: &Environment) -> Decision {
    let least = if environment.takes_code() {
        Role::Developer
    } else {
        Role::TeamMember
    };
    if role < least {
        return refuse(
            "release-is-for-who-deploys",
            format!(
                "Allowing a failed release on {site}.{environment} is not for the role {role}."
            ),
            "Ask a team member of the site.",
        );
    }
    permit("may-allow-releases")
}
