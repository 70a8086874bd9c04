//! Who says where an environment's switches are told.

use super::{permit, refuse};
use crate::action::Action;
use crate::decision::Decision;
use crate::name::SiteName;
use crate::principal::{Principal, Standing};

/// What is told runs programs as the gateway's own user, outside of any sandbox, and reaches its
/// network; and what came back may tell of both. So all of it is for those who have them anyway.
pub(super) fn decide(principal: &Principal, action: Action, site: &SiteName) -> Decision {
    match principal.standing {
        Standing::ServerAdministrator => permit("server-administrator"),
        Standing::Member(_) | Standing::Stranger | Standing::Ended(_) => refuse(
            "server-administrators-only",
            format!(
                "'{}' on {site}: only the server's administrators see and set who is told of its switches; {} is not one.",
                action.as_str(),
                principal.person
            ),
            "Ask the server's administrator.",
        ),
    }
}
