//! What is left to a key with limits, for somebody who may do everything.

use std::fmt::Write;

use policy::{
    Action, ActionGroup, Area, Context, Decision, DeployFacts, Environment, Limits, Principal,
    RefChange, RefKind, SitePath, Standing, Target, decide,
};

use crate::words::{acme, alice, clone_of, good_push, name};

/// For each limit: the refusals it makes, by place; all else is as without it.
pub fn section() -> String {
    let mut text = String::from(
        "\n\n== Keys with limits, held by a server administrator ==\n\n\
         For each limit, what it refuses; what is not named is answered as above. The matrix's\n\
         site is acme.\n",
    );
    for (title, limits) in limits() {
        writeln!(text, "\nlimited to {title}").unwrap();
        for (place, target) in places() {
            let mut refused: Vec<(&str, Vec<&str>)> = Vec::new();
            for action in Action::all().filter(|action| fits(*action, &target)) {
                let principal = Principal {
                    limits: limits.clone(),
                    ..alice(Standing::ServerAdministrator)
                };
                let Decision::Refuse(refusal) = decide(&principal, action, &target, &facts(action))
                else {
                    continue;
                };
                if !refusal.rule.starts_with("key-limited") {
                    continue;
                }
                match refused.iter_mut().find(|(rule, _)| *rule == refusal.rule) {
                    Some((_, actions)) => actions.push(action.as_str()),
                    None => refused.push((refusal.rule, vec![action.as_str()])),
                }
            }
            for (rule, actions) in refused {
                let actions = actions.join(", ");
                let actions = actions.replace(
                    "write, remove, mkdir, rmdir, rename-from, rename-to, symlink, hardlink, setstat",
                    "every change",
                );
                writeln!(text, "    refuse {rule:<28} {place:<14} {actions}").unwrap();
            }
        }
    }
    text
}

fn limits() -> Vec<(String, Limits)> {
    let none = Limits::default;
    let mut all = vec![
        (
            "the site acme".to_owned(),
            Limits {
                sites: [acme()].into(),
                ..none()
            },
        ),
        (
            "the site beta".to_owned(),
            Limits {
                sites: [name("beta")].into(),
                ..none()
            },
        ),
        (
            "the environment dev".to_owned(),
            Limits {
                environments: [Environment::Dev].into(),
                ..none()
            },
        ),
    ];
    all.push((
        "a time or to some addresses".to_owned(),
        Limits {
            passing: true,
            ..none()
        },
    ));
    all.extend(ActionGroup::ALL.map(|group| {
        let limits = Limits {
            actions: [group].into(),
            ..none()
        };
        (format!("the action {group}"), limits)
    }));
    all
}

fn places() -> Vec<(&'static str, Target)> {
    let path = SitePath::normalize(b"x").unwrap();
    vec![
        ("server", Target::Server),
        ("oneself", Target::Person(name("alice"))),
        ("site", Target::Site(acme())),
        ("dev", Target::Environment(acme(), Environment::Dev)),
        ("live", Target::Environment(acme(), Environment::Live)),
        (
            "dev, a file",
            Target::Tree(acme(), Environment::Dev, Area::Files, path),
        ),
        (
            "dev, a ref",
            Target::Ref(acme(), Environment::Dev, "refs/heads/main".to_owned()),
        ),
    ]
}

/// Leaves out what is asked of no such target.
fn fits(action: Action, target: &Target) -> bool {
    let tree = matches!(action, Action::ReadTree | Action::ChangeTree(_));
    let server = matches!(
        action,
        Action::CreateSite
            | Action::ManagePeople
            | Action::ManageOwnKeys
            | Action::ViewAudit
            | Action::ExplainOthers
    );
    match target {
        Target::Server => server && action != Action::ManageOwnKeys,
        Target::Person(_) => action == Action::ManageOwnKeys,
        Target::Site(_) => matches!(
            action,
            Action::ViewSite
                | Action::ChangeTeam
                | Action::LaunchSite
                | Action::SetContent
                | Action::ViewAudit
                | Action::ExplainOthers
        ),
        Target::Tree(..) => tree,
        Target::Ref(..) => action == Action::UpdateRef,
        Target::Environment(..) => {
            !tree
                && !server
                && !matches!(
                    action,
                    Action::UpdateRef | Action::ChangeTeam | Action::LaunchSite
                )
        }
    }
}

fn facts(action: Action) -> Context {
    let deploy = matches!(action, Action::Deploy | Action::AskApproval);
    Context {
        environment_exists: true,
        push: Some(good_push(RefKind::Trunk, RefChange::FastForward)),
        deploy: Some(DeployFacts {
            source_ready: true,
            on_trunk: true,
            would_lose: Vec::new(),
        }),
        content: (!deploy).then(|| clone_of(Environment::Test)),
        ..Context::default()
    }
}
