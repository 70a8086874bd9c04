//! Who may reach an environment's database, and who says where it is.

use super::{permit, refuse};
use crate::action::Action;
use crate::context::Context;
use crate::decision::Decision;
use crate::environment::Environment;
use crate::name::SiteName;
use crate::principal::{Principal, Role, Standing};

/// A database holds content, and a connection to it can change all of it; so it is for those who
/// may change content there.
pub(super) fn connect(
    role: Role,
    site: &SiteName,
    environment: &Environment,
    context: &Context,
) -> Decision {
    match (role, environment) {
        (Role::Viewer, _) => refuse(
            "viewer-reads-code-only",
            format!(
                "The database of {site}'s {} environment is not for the role viewer.",
                environment.title()
            ),
            "Ask one of the site's administrators for the role developer or team_member.",
        ),
        (Role::Developer, Environment::Test | Environment::Live) => refuse(
            "developer-stays-below-test",
            format!(
                "The database of {site}'s {} environment is not for the role developer.",
                environment.title()
            ),
            "Work on Dev or a Multidev, or ask one of the site's administrators for the role team_member.",
        ),
        (Role::Developer, Environment::Dev | Environment::Multidev(_))
        | (Role::TeamMember | Role::Administrator, _) => {
            if context.has_database {
                permit("member-connects-to-database")
            } else {
                refuse(
                    "no-database",
                    format!("{site}.{environment} has no database that this gateway knows of."),
                    format!(
                        "Ask the server's administrator, who says where it is: env:set {site}.{environment} database HOST:PORT."
                    ),
                )
            }
        }
    }
}

/// The gateway connects to what is set here, from inside its own network; so setting it is for
/// those who may reach that network anyway.
pub(super) fn set(principal: &Principal, action: Action, site: &SiteName) -> Decision {
    let what = match action {
        Action::SetFront => "an environment",
        _other => "a database",
    };
    match principal.standing {
        Standing::ServerAdministrator => permit("server-administrator"),
        Standing::Member(_) | Standing::Stranger | Standing::Ended(_) => refuse(
            "server-administrators-only",
            format!(
                "Where {what} of {site} is, only the server's administrators set; {} is not one.",
                principal.person
            ),
            "Ask the server's administrator.",
        ),
    }
}
