//! Adding, trying and removing targets, and having something told again.

use std::sync::Arc;

use jiff::Timestamp;

use super::hosts::Keys;
use super::{hosts, sender, webhook};
use crate::audit::{IncidentId, Outcome};
use crate::fault::Fault;
use crate::gate::Permit;
use crate::site::{Sites, blocking};
use crate::state::{
    Delivery, DeliveryStatus, Host, NewTarget, Secret, Target, TargetEvent, TargetKind, Told,
    Workflow, WorkflowStatus,
};

/// A target that somebody asks for.
#[derive(Debug)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// What signs its messages.
    pub secret: Option<Secret>,
    /// The keys that a host may show, as lines of a known_hosts file.
    pub known_hosts: String,
}

/// Returns a target as people are shown it, without what may be secret.
pub fn described(kind: &TargetKind) -> String {
    match kind {
        TargetKind::Command { command, .. } => shell_words::join(command),
        TargetKind::Webhook { url, .. } => webhook::shown(url),
        TargetKind::Rsync(host) => {
            format!("{}@{}:{}{}", host.user, host.host, host.port, host.path)
        }
        TargetKind::Reload(reload) => match reload {
            crate::state::Reload::Signal { file, signal } => format!("{signal} to {file}"),
            crate::state::Reload::Unit(unit) => unit.clone(),
        },
    }
}

/// Says what is wrong with a webhook's address, if anything is.
///
/// # Errors
/// With a sentence.
pub fn check_address(url: &str) -> Result<(), String> {
    webhook::check(url)
}

/// Says what is wrong with the name of a target, if anything is.
///
/// # Errors
/// With a sentence.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-');
    if fits {
        Ok(())
    } else {
        Err("A target's name has 1 to 32 of a-z, 0-9 and -, and begins with no dash.".to_owned())
    }
}

/// Reads the address of a host: `USER@HOST:/PATH`, or `ssh://USER@HOST:PORT/PATH`. All of it is of an
/// alphabet that a shell leaves alone.
///
/// # Errors
/// With a sentence.
pub fn host(text: &str) -> Result<Host, String> {
    let unfit = || {
        "The address of a host is USER@HOST:/PATH or ssh://USER@HOST:PORT/PATH; the path is absolute, \
         of letters, digits and ._-/ only."
            .to_owned()
    };
    let (user, host, port, path) = match text.strip_prefix("ssh://") {
        Some(rest) => {
            let (user, rest) = rest.split_once('@').ok_or_else(unfit)?;
            let start = rest.find('/').ok_or_else(unfit)?;
            let (place, path) = rest.split_at_checked(start).ok_or_else(unfit)?;
            let (host, port) = match place.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => {
                    (host, port.parse().map_err(|_| unfit())?)
                }
                Some(_) | None => (place, 22),
            };
            (user, host, port, path)
        }
        None => {
            let (user, rest) = text.split_once('@').ok_or_else(unfit)?;
            let (host, path) = rest.split_once(":/").ok_or_else(unfit)?;
            let start = text.len().saturating_sub(path.len() + 1);
            (user, host, 22, text.get(start..).ok_or_else(unfit)?)
        }
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let of = |text: &str, others: &[u8]| {
        !text.is_empty()
            && !text.starts_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
    };
    let path = path.trim_end_matches('/');
    let inside = path
        .split('/')
        .skip(1)
        .all(|name| !matches!(name, "" | "." | "..") && of(name.trim_start_matches('-'), b"._-"));
    if !(of(user, b"._-") && of(host, b"._:-") && port > 0 && path.starts_with('/') && inside) {
        return Err(unfit());
    }
    Ok(Host {
        user: user.to_owned(),
        host: host.to_owned(),
        port,
        path: path.to_owned(),
        seconds: 300,
        keep: 3,
        public_key: String::new(),
    })
}

/// Adds a target; returns it as it is kept. A host takes part once it has been tried.
///
/// # Errors
/// When it cannot be kept; nothing is left of it then.
pub fn add(sites: &Sites, mut permit: Permit, asked: Asked) -> Result<Target, Fault> {
    let (site, environment) = (permit.site()?.clone(), permit.environment()?.clone());
    let Asked {
        name,
        kind,
        secret,
        known_hosts,
    } = asked;
    permit.describe(format!("{name}: {} {}", kind.as_str(), described(&kind)));
    let active = !matches!(kind, TargetKind::Rsync(_));
    let new = NewTarget {
        name,
        kind: kind.clone(),
        secret,
        active,
    };
    let id = sites.state.add_target(&site, &environment, &new)?;
    let keys = Keys::of(sites.targets.folder(), id);
    let comment = format!("funicular-{site}-{environment}-{}", new.name);
    let kept = match kind {
        TargetKind::Rsync(host) => keys.make(&known_hosts, &comment).and_then(|public_key| {
            let host = TargetKind::Rsync(Host { public_key, ..host });
            sites.state.set_target_kind(id, &host)
        }),
        TargetKind::Command { .. } | TargetKind::Webhook { .. } | TargetKind::Reload(_) => Ok(()),
    };
    if let Err(fault) = kept {
        if let Err(left) = keys.remove().and(sites.state.remove_target(id)) {
            tracing::warn!("a target that could not be added is left: {left}");
        }
        return Err(fault);
    }
    permit.finish(Outcome::Done)?;
    sites
        .state
        .target(id)?
        .ok_or_else(|| Fault::new("the environment is gone"))
}

/// Removes a target, with its keys and all that it was to be told.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(sites: &Sites, mut permit: Permit, target: &Target) -> Result<(), Fault> {
    permit.describe(format!("removed {}", target.name));
    sites.state.remove_target(target.id)?;
    Keys::of(sites.targets.folder(), target.id).remove()?;
    permit.finish(Outcome::Done)
}

/// Tries a target now, and once. A host that all is well with takes part from now on, and gets what
/// the environment runs. Returns what came of it, in words for people.
///
/// # Errors
/// When it cannot be tried.
pub async fn try_target(
    sites: &Arc<Sites>,
    mut permit: Permit,
    target: Target,
) -> Result<Result<String, String>, Fault> {
    let now = Timestamp::now();
    let id = IncidentId::new(now);
    let person = permit.who().person.clone();
    let delivery = Delivery {
        number: 0,
        id: format!("{id}-{}", target.id),
        target: target.id,
        told: Told {
            event: TargetEvent::Test,
            workflow: id.to_string(),
            kind: "test".to_owned(),
            actor: person.clone(),
            note: String::new(),
            old_commit: None,
            new_commit: None,
            release: None,
            generation: None,
            time: now,
        },
        created: now,
        since: now,
        next: now,
        attempts: 0,
        status: DeliveryStatus::Waiting,
        result: None,
    };
    let tried = {
        let (sites, target) = (Arc::clone(sites), target.clone());
        blocking(move || Ok(sender::tell(&sites, &target, &delivery))).await?
    };
    if let (Ok(_), TargetKind::Rsync(_)) = (&tried, &target.kind) {
        sites.state.activate_target(target.id)?;
        let workflow = Workflow {
            id: id.to_string(),
            site: target.site.clone(),
            environment: target.environment.clone(),
            kind: "test".to_owned(),
            person,
            origin: String::new(),
            note: String::new(),
            started: now,
            finished: None,
            status: WorkflowStatus::Running,
            intent: None,
            result: None,
            steps: Vec::new(),
        };
        hosts::ask_for_sync(sites, &workflow, Some(target.id))?;
    }
    permit.describe(match &tried {
        Ok(said) => format!("tried {}: {said}", target.name),
        Err(why) => format!("tried {}, in vain: {why}", target.name),
    });
    permit.finish(match &tried {
        Ok(_) => Outcome::Done,
        Err(_) => Outcome::Failed,
    })?;
    Ok(tried)
}

/// Has something told again, now.
///
/// # Errors
/// When that cannot be written down.
pub fn retry(sites: &Sites, mut permit: Permit, delivery: &Delivery) -> Result<(), Fault> {
    permit.describe(format!("again: {}", delivery.id));
    sites.state.retry_delivery(delivery.number)?;
    sites.targets.wake();
    permit.finish(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_hosts_hold_nothing_that_a_shell_reads() {
        let short = |text: &str| {
            host(text)
                .ok()
                .map(|host| format!("{} {} {} {}", host.user, host.host, host.port, host.path))
        };
        for (text, read) in [
            ("www@web1:/srv/acme", Some("www web1 22 /srv/acme")),
            (
                "www@web1.example:/srv/acme/",
                Some("www web1.example 22 /srv/acme"),
            ),
            ("ssh://www@web1:2200/srv/a", Some("www web1 2200 /srv/a")),
            ("ssh://www@web1/srv/a", Some("www web1 22 /srv/a")),
            ("ssh://www@[::1]:2200/srv/a", Some("www ::1 2200 /srv/a")),
            ("www@[::1]:/srv/a", Some("www ::1 22 /srv/a")),
            ("web1:/srv/acme", None),
            ("www@web1:srv/acme", None),
            ("www@web1", None),
            ("www@web1:/", None),
            ("www@web1:/srv/../etc", None),
            ("www@web1:/srv//x", None),
            ("www@web1:/srv/a b", None),
            ("www@web1:/srv/$(x)", None),
            ("www@web1:/srv/'x", None),
            ("-oProxyCommand=x@web1:/srv/x", None),
            ("www@-oProxyCommand:/srv/x", None),
            ("ssh://www@web1:0/srv/a", None),
            ("ssh://www@web1:99999/srv/a", None),
            ("", None),
        ] {
            assert_eq!(short(text).as_deref(), read, "{text}");
        }
    }

    #[test]
    fn names_of_targets_are_short_and_plain() {
        for (name, fits) in [
            ("web1", true),
            ("a-b", true),
            ("-a", false),
            ("", false),
            ("A", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fits, "{name}");
        }
        assert!(check_name(&"x".repeat(33)).is_err());
    }
}
