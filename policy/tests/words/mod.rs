//! People, names and facts that the tests of the policy share.

use policy::{
    ConnectionMode, Ended, FailedRelease, Limits, ModeFacts, Principal, PushFacts, RefChange,
    RefKind, Role, SiteName, Standing,
};

/// How requests are asked for hints: an address as the gateway would give it.
pub const ADDRESS: &str = "host.example:2222";

/// Every standing, from most to least.
pub const STANDINGS: [Standing; 7] = [
    Standing::ServerAdministrator,
    Standing::Member(Role::Administrator),
    Standing::Member(Role::TeamMember),
    Standing::Member(Role::Developer),
    Standing::Member(Role::Viewer),
    Standing::Stranger,
    Standing::Ended(Ended::KeyRemoved),
];

/// Reads a name that the test knows to be right.
pub fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

pub fn acme() -> SiteName {
    name("acme")
}

/// Alice, with this standing.
pub fn alice(standing: Standing) -> Principal {
    Principal {
        person: name("alice"),
        standing,
        limits: Limits::default(),
    }
}

pub fn mode(mode: ConnectionMode) -> ModeFacts {
    ModeFacts {
        mode,
        set_by: name("tom"),
        set_at: "2026-01-02 03:04 UTC".to_owned(),
    }
}

/// That what is asked about has failed before.
pub fn failed_release() -> FailedRelease {
    FailedRelease {
        commit: "1234567890".to_owned(),
        reason: "it answered 500".to_owned(),
        when: "2026-01-02 03:04 UTC".to_owned(),
    }
}

/// Facts of a push that nothing speaks against, but for what the ref is.
pub fn good_push(kind: RefKind, change: RefChange) -> PushFacts {
    PushFacts {
        kind,
        change,
        trunk: "main".to_owned(),
        force_allowed: false,
        would_lose: Vec::new(),
        live_deployed: true,
        descends_from_live: true,
        brings_trunk: false,
        reason: Some("the shop is down".to_owned()),
        uploads_path: None,
        forbidden_path: None,
        is_commit: true,
    }
}
