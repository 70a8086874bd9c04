//! Names for the owners of files, for clients that ask for them (OpenSSH's PROTOCOL §4.12,
//! `users-groups-by-id@openssh.com`).

use nix::unistd::{Group, User, getegid, geteuid};

use super::reply;
use super::status::{Code, No};
use super::wire::Fields;

/// Answers which names users and groups have. All files are the gateway's own; who else has an
/// account on the server is nobody's business, so that other ids have no name.
pub(super) fn names(id: u32, users: &[u8], groups: &[u8]) -> Result<Vec<u8>, No> {
    let user = |uid| {
        let own = geteuid();
        let found = (uid == own.as_raw()).then(|| User::from_uid(own).ok().flatten());
        found.flatten().map(|user| user.name)
    };
    let group = |gid| {
        let own = getegid();
        let found = (gid == own.as_raw()).then(|| Group::from_gid(own).ok().flatten());
        found.flatten().map(|group| group.name)
    };
    let users = all(users, user)?;
    let groups = all(groups, group)?;
    Ok(reply::names_of_ids(id, &users, &groups))
}

fn all(ids: &[u8], name: impl Fn(u32) -> Option<String>) -> Result<Vec<String>, No> {
    let mut fields = Fields::of(ids);
    if fields.left() > MOST * 4 {
        return Err(No::Status(
            Code::Failure,
            "That is too many at once; ask for fewer.",
        ));
    }
    let mut names = Vec::new();
    while fields.left() > 0 {
        names.push(name(fields.u32()?).unwrap_or_default());
    }
    Ok(names)
}

/// A listing has no more owners than this.
const MOST: usize = 1024;
