//! People, names and facts that the tests of the policy share.

use policy::{
    ConnectionMode, ContentFacts, ContentSource, DatabaseKind, Elements, Ended, Environment,
    FailedRelease, Freeze, Holdings, Hours, Limits, ModeFacts, Principal, PushFacts, RefChange,
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
        untested: false,
        reason: Some("the shop is down".to_owned()),
        uploads_path: None,
        forbidden_path: None,
        is_commit: true,
    }
}

/// A freeze by a team member that nothing ends by itself.
pub fn frozen() -> Freeze {
    Freeze {
        by: name("tom"),
        by_administrator: false,
        since: "2026-01-02 03:04 UTC".to_owned(),
        reason: "the sale is on.".to_owned(),
        until: None,
        content: false,
    }
}

/// Hours of deploys that are not now.
pub fn closed() -> Hours {
    Hours {
        text: "mon-thu 09:00-16:00 Europe/Berlin".to_owned(),
        open: false,
        opens: Some("Monday 2026-01-05 09:00 CET".to_owned()),
    }
}

/// Content that nothing speaks against, but for what is asked: a site with a database on a server,
/// before its launch.
pub fn content() -> ContentFacts {
    ContentFacts {
        database: DatabaseKind::Served,
        wanted: Elements {
            code: false,
            database: true,
            files: true,
        },
        initialised: true,
        held: Holdings {
            tables: true,
            files: true,
        },
        source: None,
        launched: false,
        name_typed: true,
        backed_up_first: true,
        former: true,
    }
}

/// The same, from another environment.
pub fn clone_of(environment: Environment) -> ContentFacts {
    ContentFacts {
        source: Some(ContentSource {
            environment,
            ready: true,
            held: Holdings {
                tables: true,
                files: true,
            },
        }),
        ..content()
    }
}
