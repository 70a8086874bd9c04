//! Any request, any facts, any path: what the property tests draw from.

use policy::{
    Action, ActionGroup, Approval, ApprovalState, Area, ConnectionMode, ContentFacts,
    ContentSource, Context, DatabaseKind, DeployFacts, Elements, Environment, Freeze, Hold,
    Holdings, Hours, InTheWay, Limits, MultidevFacts, PushFacts, RefChange, RefKind, SitePath,
    Target, TreeChange,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{Ask, Base, Request, feature};
use crate::words::{
    ADDRESS, STANDINGS, acme, closed, failed_release, frozen, good_push, mode, name,
};

/// Any request; people with a right on the site come more often than others.
pub fn request() -> impl Strategy<Value = Request> {
    let standing = prop_oneof![3 => select(&STANDINGS[..4]), 1 => select(&STANDINGS[..])];
    (standing, environment(), ask()).prop_map(|(standing, environment, ask)| Request {
        standing,
        environment,
        ask,
    })
}

pub fn environment() -> impl Strategy<Value = Environment> {
    select(vec![
        Environment::Dev,
        feature(),
        Environment::Test,
        Environment::Live,
    ])
}

fn ref_kind() -> impl Strategy<Value = RefKind> {
    select(vec![
        RefKind::Trunk,
        RefKind::MultidevBranch(name("feature")),
        RefKind::Hotfix(name("x")),
        RefKind::Hotfix(name("y")),
        RefKind::PlainBranch,
        RefKind::DeployTag,
        RefKind::PlainTag,
        RefKind::Reserved,
    ])
}

fn in_the_way() -> impl Strategy<Value = Option<InTheWay>> {
    prop::option::of(select(&InTheWay::ALL[..]))
}

fn ask() -> impl Strategy<Value = Ask> {
    let areas = Area::BELOW_ROOT.to_vec();
    let change = (select(&TreeChange::ALL[..]), select(areas), in_the_way());
    let bases = vec![
        Base::TheRef,
        Base::Trunk,
        Base::Live,
        Base::Nothing,
        Base::Gone,
    ];
    let reasons = vec![Some("why".to_owned()), Some(" ".to_owned()), None];
    let push = (
        ref_kind(),
        select(bases),
        prop::bool::weighted(0.9),
        select(reasons),
    );
    let workflows = vec![
        Action::Commit,
        Action::Discard,
        Action::RestoreWork,
        Action::Deploy,
        Action::Deploy,
        Action::Deploy,
        Action::Rollback,
        Action::MergeHotfix,
        Action::DropHotfix,
        Action::Merge,
        Action::Revert,
    ];
    let modes = select(vec![ConnectionMode::Sftp, ConnectionMode::Git]);
    prop_oneof![
        2 => change.prop_map(|(change, area, met)| Ask::Change(change, area, met)),
        4 => push.prop_map(|(kind, base, commit, why)| Ask::Push(kind, base, commit, why)),
        4 => select(workflows).prop_map(Ask::Workflow),
        1 => (modes, any::<bool>()).prop_map(|(mode, confirmed)| Ask::Mode(mode, confirmed)),
    ]
}

pub fn action() -> impl Strategy<Value = Action> {
    select(Action::all().collect::<Vec<_>>())
}

/// What a key is limited to; often nothing.
pub fn limits() -> impl Strategy<Value = Limits> {
    let sites = prop::collection::btree_set(select(vec![acme(), name("beta")]), 0..2);
    let environments = prop::collection::btree_set(environment(), 0..3);
    let actions = prop::collection::btree_set(select(&ActionGroup::ALL[..]), 0..3);
    (sites, environments, actions, any::<bool>()).prop_map(
        |(sites, environments, actions, passing)| Limits {
            sites,
            environments,
            actions,
            passing,
        },
    )
}

/// An action that changes code, if it is about code.
pub fn code_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        1 => select(&TreeChange::ALL[..]).prop_map(Action::ChangeTree),
        2 => select(vec![
            Action::UpdateRef,
            Action::Commit,
            Action::Discard,
            Action::RestoreWork,
            Action::Deploy,
            Action::Rollback,
            Action::MergeHotfix,
            Action::Merge,
            Action::Revert,
        ]),
    ]
}

pub fn change() -> impl Strategy<Value = RefChange> {
    select(vec![
        RefChange::Create,
        RefChange::FastForward,
        RefChange::Force,
        RefChange::Delete,
    ])
}

pub fn target() -> impl Strategy<Value = Target> {
    let mut areas = Area::BELOW_ROOT.to_vec();
    areas.push(Area::Root);
    let path = select(vec![
        "",
        "index.php",
        "a/b c",
        ".git/config",
        "wp-content/uploads/x.jpg",
    ]);
    let path = path.prop_map(|path| SitePath::normalize(path.as_bytes()).unwrap());
    let reference = select(vec![
        "refs/heads/main",
        "refs/heads/hotfix/x",
        "refs/tags/live_1",
    ]);
    prop_oneof![
        1 => Just(Target::Server),
        1 => select(vec!["alice", "bob"]).prop_map(|person| Target::Person(name(person))),
        1 => Just(Target::Site(acme())),
        3 => environment().prop_map(|environment| Target::Environment(acme(), environment)),
        3 => (environment(), select(areas), path)
            .prop_map(|(environment, area, path)| Target::Tree(acme(), environment, area, path)),
        3 => (environment(), reference)
            .prop_map(|(environment, name)| Target::Ref(acme(), environment, name.to_owned())),
    ]
}

pub fn context() -> impl Strategy<Value = Context> {
    let set = prop::option::of(select(vec![ConnectionMode::Sftp, ConnectionMode::Git]));
    let flags = (
        prop::bool::weighted(0.9),
        any::<bool>(),
        any::<bool>(),
        in_the_way(),
        (
            (any::<bool>(), any::<bool>(), multidev_facts()),
            (hold(), content_facts()),
        ),
    );
    let push = prop::option::weighted(0.9, push_facts());
    let deploy = prop::option::weighted(0.9, deploy_facts());
    let uncommitted = (
        0..3_usize,
        prop::option::weighted(0.2, Just(failed_release())),
    );
    (flags, set, push, deploy, uncommitted).prop_map(|(flags, set, push, deploy, uncommitted)| {
        let (uncommitted, failed_release) = uncommitted;
        let (environment_exists, confirmed, release_replaced, in_the_way, more) = flags;
        let ((has_database, own_workflow, multidev), (hold, content)) = more;
        Context {
            environment_exists,
            mode: set.map(mode),
            push,
            deploy,
            failed_release,
            multidev,
            content,
            uncommitted,
            confirmed,
            release_replaced,
            in_the_way,
            own_workflow,
            has_database,
            hold,
            address: ADDRESS.to_owned(),
        }
    })
}

/// What holds an environment; often nothing.
pub fn hold() -> impl Strategy<Value = Hold> {
    let freeze = (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(by_administrator, content, ends)| Freeze {
            content,
            by_administrator,
            until: ends.then(|| "2026-12-24 UTC".to_owned()),
            ..frozen()
        },
    );
    let hours = (any::<bool>(), any::<bool>()).prop_map(|(open, opens)| Hours {
        open,
        opens: opens.then(|| "Monday 09:00".to_owned()),
        ..closed()
    });
    let states = vec![
        ApprovalState::Asked,
        ApprovalState::Given(name("bob")),
        ApprovalState::Withdrawn(name("bob")),
    ];
    let approval = (any::<bool>(), select(states)).prop_map(|(earnest, state)| Approval {
        request: earnest.then(|| "01ABC".to_owned()),
        state,
    });
    (
        prop::option::weighted(0.3, freeze),
        prop::option::weighted(0.3, hours),
        prop::option::weighted(0.3, approval),
        prop::option::weighted(0.3, select(vec!["the shop is down", " "])),
        any::<bool>(),
    )
        .prop_map(|(freeze, hours, approval, overriding, own_request)| Hold {
            freeze,
            hours,
            approval,
            overriding: overriding.map(str::to_owned),
            own_request,
        })
}

fn push_facts() -> impl Strategy<Value = PushFacts> {
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let path = || prop::option::weighted(0.2, Just("wp-content/uploads".to_owned()));
    let reason = prop::option::of(select(vec!["why", ""]));
    (ref_kind(), change(), flags, path(), path(), reason).prop_map(
        |(kind, change, flags, uploads_path, forbidden_path, reason)| {
            let (force_allowed, loses, live_deployed, descends_from_live, is_commit) = flags;
            PushFacts {
                force_allowed,
                would_lose: if loses {
                    vec![Environment::Live]
                } else {
                    Vec::new()
                },
                live_deployed,
                descends_from_live,
                reason: reason.map(str::to_owned),
                uploads_path,
                forbidden_path,
                is_commit,
                ..good_push(kind, change)
            }
        },
    )
}

fn deploy_facts() -> impl Strategy<Value = DeployFacts> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(source_ready, on_trunk, loses)| {
        let would_lose = if loses { vec![name("x")] } else { Vec::new() };
        DeployFacts {
            source_ready,
            on_trunk,
            would_lose,
        }
    })
}

/// Facts about content, in any combination.
pub fn content_facts() -> impl Strategy<Value = Option<ContentFacts>> {
    let elements = (any::<bool>(), any::<bool>(), any::<bool>());
    let elements = elements.prop_map(|(code, database, files)| Elements {
        code,
        database,
        files,
    });
    let held =
        || (any::<bool>(), any::<bool>()).prop_map(|(tables, files)| Holdings { tables, files });
    let source = (environment(), prop::bool::weighted(0.9), held()).prop_map(
        |(environment, ready, held)| ContentSource {
            environment,
            ready,
            held,
        },
    );
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let facts = (
        select(&DatabaseKind::ALL[..]),
        elements,
        held(),
        prop::option::weighted(0.9, source),
        flags,
    );
    let facts = facts.prop_map(|(database, wanted, held, source, flags)| {
        let (launched, name_typed, backed_up_first, former, initialised) = flags;
        ContentFacts {
            database,
            wanted,
            initialised,
            held,
            source,
            launched,
            name_typed,
            backed_up_first,
            former,
        }
    });
    prop::option::weighted(0.8, facts)
}

fn multidev_facts() -> impl Strategy<Value = Option<MultidevFacts>> {
    let branch = || prop::option::of(select(vec!["feature".to_owned(), "topic".to_owned()]));
    let facts = (any::<bool>(), any::<bool>(), branch(), branch(), branch());
    let facts = facts.prop_map(
        |(source_ready, branch_exists, from_branch, in_the_way, forbidden_path)| MultidevFacts {
            trunk: "main".to_owned(),
            from_branch,
            source_ready,
            branch_exists,
            in_the_way,
            forbidden_path,
        },
    );
    prop::option::weighted(0.9, facts)
}
