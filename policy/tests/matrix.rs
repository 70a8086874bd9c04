//! Every role on every environment in every mode asks for everything; the answers stand in
//! `matrix.txt`, which is reviewed like code. `UPDATE_MATRIX=1` writes it anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::string_slice,
    unreachable_pub,
    reason = "a test says what it expects by failing"
)]

mod cancelling;
mod contents;
mod holds;
mod limited;
mod multidevs;
mod settings;
mod table;
mod words;

use policy::{
    Action, Area, ConnectionMode, Context, Decision, DeployFacts, Environment, InTheWay, RefChange,
    RefKind, SitePath, Target, TreeChange, decide,
};
use table::{Answers, Item, difference, section, vary};
use words::{ADDRESS, STANDINGS, acme, alice, failed_release, good_push, mode, name};

const GOLDEN: &str = include_str!("matrix.txt");

#[test]
fn the_matrix_is_as_reviewed() {
    let now = matrix();
    if updating() {
        write(&now);
    } else {
        assert!(
            now == GOLDEN,
            "policy/tests/matrix.txt says otherwise ('-' it, '+' the policy). If the policy is \
             right: UPDATE_MATRIX=1 cargo test -p funicular-policy\n{}",
            difference(GOLDEN, &now)
        );
    }
}

const HEAD: &str = "\
What the policy answers. Written by policy/tests/matrix.rs; reviewed like code.

Left of the colon: the place or ref; right of it: what is asked there. Below: the answer, its rule,
where it holds, for whom. A fact (if …) is named only where it changes an answer. 'members'
are those with a role on the site: server administrator, administrator, team_member, developer,
viewer.
Environments: dev, a multidev 'feature', test, live, and one that does not exist ('absent').
Modes in [brackets]: sftp, git, and 'unset' for one that is not known; dev alone means all three.
";

fn matrix() -> String {
    let mut text = HEAD.to_owned();
    for (title, items) in [
        ("The tree over SFTP", tree()),
        (
            "Pushes, before git starts, and fetches",
            plain("repository", [Action::Push, Action::Fetch]),
        ),
        ("Pushes, one ref", pushes()),
        ("Workflows", workflows()),
        ("Cancelling", cancelling::items()),
        ("Databases, fronts, failed releases", settings::items()),
        (
            "Who is told of switches",
            plain("environment", [Action::ViewTargets, Action::ManageTargets]),
        ),
        ("Freezes, hours of deploys, approvals", holds::items()),
        ("Content and backups", contents::items()),
        ("Multidevs, merges and reverts", multidevs::items()),
        ("Sites, people, keys, audit", others()),
    ] {
        section(&mut text, title, items);
    }
    text.push_str(&limited::section());
    text
}

fn tree() -> Vec<Item> {
    let mut items = Vec::new();
    for (area, path) in [
        (Area::Root, ""),
        (Area::Root, "x"),
        (Area::Code, ""),
        (Area::Code, "x"),
        (Area::Code, ".git/x"),
        (Area::Files, ""),
        (Area::Files, "x"),
        (Area::Files, ".git/x"),
        (Area::Logs, ""),
        (Area::Logs, "x"),
        (Area::Tmp, ""),
        (Area::Tmp, "x"),
        (Area::Backups, ""),
        (Area::Backups, "x"),
    ] {
        let at = SitePath::normalize(path.as_bytes()).unwrap();
        let subject = format!("/{}/{path}", area.as_str()).replace("//", "/");
        let changes = TreeChange::ALL.map(Action::ChangeTree);
        for action in std::iter::once(Action::ReadTree).chain(changes) {
            let ask = |context: Context| {
                everywhere(action, context, |environment| {
                    Target::Tree(acme(), environment, area, at.clone())
                })
            };
            let usual = ask(Context::default());
            let met = |met| {
                ask(Context {
                    in_the_way: Some(met),
                    ..Context::default()
                })
            };
            let replaced = ask(Context {
                release_replaced: true,
                ..Context::default()
            });
            vary(
                &mut items,
                &subject,
                action.as_str(),
                usual,
                [
                    ("a link leads out of the area", met(InTheWay::WayOut)),
                    ("a hard link to another area", met(InTheWay::TwoAreas)),
                    ("no regular file or directory", met(InTheWay::Special)),
                    (
                        "a hard link leads out of the area",
                        met(InTheWay::SeveralNames),
                    ),
                    ("release replaced since opened", replaced),
                ],
            );
        }
    }
    items
}

/// What is asked of an environment and depends on no further fact.
fn plain(subject: &str, actions: [Action; 2]) -> Vec<Item> {
    actions
        .into_iter()
        .map(|action| Item {
            subject: subject.to_owned(),
            verb: action.as_str().to_owned(),
            answers: everywhere(action, Context::default(), on_environment),
        })
        .collect()
}

fn pushes() -> Vec<Item> {
    let mut items = Vec::new();
    for (reference, kind) in [
        ("refs/heads/main (trunk)", RefKind::Trunk),
        (
            "refs/heads/feature (its multidev's)",
            RefKind::MultidevBranch(name("feature")),
        ),
        (
            "refs/heads/other (another multidev's)",
            RefKind::MultidevBranch(name("other")),
        ),
        ("refs/heads/hotfix/x", RefKind::Hotfix(name("x"))),
        ("refs/heads/topic (no environment's)", RefKind::PlainBranch),
        ("refs/tags/live_1 (a deploy tag)", RefKind::DeployTag),
        ("refs/tags/v1 (any other tag)", RefKind::PlainTag),
        ("refs/funicular/x (any other ref)", RefKind::Reserved),
    ] {
        for (verb, change) in [
            ("create", RefChange::Create),
            ("fast-forward", RefChange::FastForward),
            ("force", RefChange::Force),
            ("delete", RefChange::Delete),
        ] {
            let usual = good_push(kind.clone(), change);
            let ask = |change: &dyn Fn(&mut policy::PushFacts)| {
                let mut facts = usual.clone();
                change(&mut facts);
                let context = Context {
                    push: Some(facts),
                    ..Context::default()
                };
                everywhere(Action::UpdateRef, context, |environment| {
                    Target::Ref(acme(), environment, reference.to_owned())
                })
            };
            let without_facts = everywhere(Action::UpdateRef, Context::default(), |environment| {
                Target::Ref(acme(), environment, reference.to_owned())
            });
            let failed = Context {
                push: Some(usual.clone()),
                failed_release: Some(failed_release()),
                ..Context::default()
            };
            let failed = everywhere(Action::UpdateRef, failed, |environment| {
                Target::Ref(acme(), environment, reference.to_owned())
            });
            let lose: fn(&mut policy::PushFacts) = |facts| facts.would_lose.push(Environment::Live);
            vary(
                &mut items,
                reference,
                verb,
                ask(&|_| {}),
                [
                    ("it has failed there", failed),
                    (
                        "site allows force",
                        ask(&|facts| facts.force_allowed = true),
                    ),
                    ("would lose what live runs", ask(&lose)),
                    (
                        "site allows force, would lose what live runs",
                        ask(&|facts| {
                            facts.force_allowed = true;
                            lose(facts);
                        }),
                    ),
                    ("no reason", ask(&|facts| facts.reason = None)),
                    (
                        "blank reason",
                        ask(&|facts| facts.reason = Some(" \t".to_owned())),
                    ),
                    (
                        "not grown from live",
                        ask(&|facts| facts.descends_from_live = false),
                    ),
                    ("brings trunk", ask(&|facts| facts.brings_trunk = true)),
                    ("Test comes first", ask(&|facts| facts.untested = true)),
                    (
                        "live never deployed",
                        ask(&|facts| facts.live_deployed = false),
                    ),
                    (
                        "holds uploads",
                        ask(&|facts| facts.uploads_path = Some("u".to_owned())),
                    ),
                    (
                        "holds a forbidden path",
                        ask(&|facts| facts.forbidden_path = Some(".git".to_owned())),
                    ),
                    ("not a commit", ask(&|facts| facts.is_commit = false)),
                    ("no facts", without_facts),
                ],
            );
        }
    }
    items
}

fn workflows() -> Vec<Item> {
    let ready = DeployFacts {
        source_ready: true,
        on_trunk: true,
        would_lose: Vec::new(),
    };
    let deploying = |change: &dyn Fn(&mut DeployFacts)| {
        let mut facts = ready.clone();
        change(&mut facts);
        Context {
            deploy: Some(facts),
            ..Context::default()
        }
    };
    let uncommitted = |confirmed| Context {
        uncommitted: 3,
        confirmed,
        ..deploying(&|_| {})
    };
    let contexts = [
        ("uncommitted work", uncommitted(false)),
        ("uncommitted work, confirmed", uncommitted(true)),
        ("no facts", Context::default()),
        (
            "source never deployed",
            deploying(&|facts| facts.source_ready = false),
        ),
        ("not on trunk", deploying(&|facts| facts.on_trunk = false)),
        (
            "would lose a hotfix",
            deploying(&|facts| facts.would_lose.push(name("x"))),
        ),
        (
            "it has failed there",
            Context {
                failed_release: Some(failed_release()),
                ..deploying(&|_| {})
            },
        ),
    ];
    let mut items = Vec::new();
    for action in [
        Action::Commit,
        Action::Discard,
        Action::RestoreWork,
        Action::SetConnectionMode,
        Action::Deploy,
        Action::Rollback,
        Action::MergeHotfix,
        Action::DropHotfix,
    ] {
        let ask = |context: Context| everywhere(action, context, on_environment);
        let variants = contexts.clone().map(|(fact, context)| (fact, ask(context)));
        vary(
            &mut items,
            "environment",
            action.as_str(),
            ask(deploying(&|_| {})),
            variants,
        );
    }
    items
}

fn others() -> Vec<Item> {
    let mut items = Vec::new();
    for (subject, target) in [
        ("the server", Target::Server),
        ("oneself", Target::Person(name("alice"))),
        ("another person", Target::Person(name("bob"))),
        ("a site", Target::Site(acme())),
    ] {
        for action in Action::all() {
            items.push(Item {
                subject: subject.to_owned(),
                verb: action.as_str().to_owned(),
                answers: ask_all(action, &[("", target.clone(), Context::default())]),
            });
        }
    }
    items
}

fn on_environment(environment: Environment) -> Target {
    Target::Environment(acme(), environment)
}

/// Asks on each environment in each mode.
fn everywhere(action: Action, context: Context, target: impl Fn(Environment) -> Target) -> Answers {
    let sftp = Some(ConnectionMode::Sftp);
    let git = Some(ConnectionMode::Git);
    let places = [
        ("dev[sftp]", "dev", sftp),
        ("dev[git]", "dev", git),
        ("dev[unset]", "dev", None),
        ("feature[sftp]", "feature", sftp),
        ("feature[git]", "feature", git),
        ("feature[unset]", "feature", None),
        ("test", "test", None),
        ("live", "live", None),
        ("absent", "feature", None),
    ]
    .map(|(place, environment, set)| {
        let facts = Context {
            environment_exists: place != "absent",
            mode: set.map(mode),
            address: ADDRESS.to_owned(),
            ..context.clone()
        };
        (place, target(name(environment)), facts)
    });
    ask_all(action, &places)
}

fn ask_all(action: Action, places: &[(&'static str, Target, Context)]) -> Answers {
    let mut answers = Answers::new();
    for (index, standing) in STANDINGS.into_iter().enumerate() {
        for (place, target, context) in places {
            let decision = decide(&alice(standing), action, target, context);
            let permitted = matches!(decision, Decision::Permit(_));
            answers.push((index, place, permitted, decision.rule()));
        }
    }
    answers
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test, not the policy, reads its switch"
)]
fn updating() -> bool {
    std::env::var("UPDATE_MATRIX").is_ok_and(|value| value == "1")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test, not the policy, writes the file"
)]
fn write(text: &str) {
    std::fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/matrix.txt"),
        text,
    )
    .unwrap();
}
