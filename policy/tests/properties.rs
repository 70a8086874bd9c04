//! What holds for every request and every sequence of requests, whatever the rules' wording.

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

mod anything;
mod flows;
mod invariants;
mod model;
mod words;

use anything::{action, change, code_action, context, environment, limits, request, target};
use invariants::{
    above_changes_by_deploy_rollback_or_hotfix, below_changes_by_its_mode,
    lesser_roles_keep_to_their_part, nothing_is_lost,
};
use model::{Ask, Request, Site};
use policy::{
    Action, ApprovalState, Area, ConnectionMode, Context, Decision, Ended, Environment, Hold,
    NEEDS_APPROVAL, Principal, RefKind, Role, Standing, Target, decide,
};
use proptest::prelude::*;
use proptest::sample::select;
use words::{STANDINGS, acme, alice, good_push, name};

proptest! {
    // The smallest failing case is printed; it becomes a named test, not a seed in a file.
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn code_changes_only_by_its_own_ways(
        force_allowed in any::<bool>(),
        requests in prop::collection::vec(request(), 1..120),
    ) {
        let mut site = Site::new(force_allowed);
        for request in &requests {
            let before = site.clone();
            let (action, done) = site.take(request);
            for environment in [Environment::Test, Environment::Live] {
                above_changes_by_deploy_rollback_or_hotfix(&before, &site, request, action, &environment)?;
            }
            below_changes_by_its_mode(&before, &site, request, action)?;
            nothing_is_lost(&before, &site, request, action)?;
            lesser_roles_keep_to_their_part(&before, &site, request, done)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn content_comes_down_to_those_who_may_see_it(
        wishes in prop::collection::vec(flows::wish(), 1..80),
    ) {
        let mut contents = flows::Contents::new();
        for wish in &wishes {
            let before = contents.clone();
            contents.take(wish);
            flows::lesser_roles_keep_away(&before, &contents, wish)?;
            flows::nothing_goes_up_once_launched(&before, &contents, wish)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn those_without_a_part_are_permitted_nothing(
        action in action(), target in target(), context in context(),
    ) {
        let ended = Ended::ALL.map(Standing::Ended);
        for standing in ended.into_iter().chain([Standing::Stranger]) {
            if target.site().is_some() || standing != Standing::Stranger {
                prop_assert!(!decide(&alice(standing), action, &target, &context).is_permit());
            }
        }
    }

    /// What is true of a site that exists must not show in the answer: it is the one that an
    /// unknown site gets.
    #[test]
    fn strangers_cannot_tell_foreign_from_unknown_sites(
        action in action(), target in target(), context in context(),
    ) {
        if target.site().is_none() {
            return Ok(());
        }
        let unknown = Context { address: context.address.clone(), ..Context::default() };
        prop_assert_eq!(
            decide(&alice(Standing::Stranger), action, &target, &context),
            decide(&alice(Standing::Stranger), action, &target, &unknown)
        );
    }

    #[test]
    fn viewers_change_nothing(action in action(), target in target(), context in context()) {
        let own_keys = action == Action::ManageOwnKeys && target == Target::Person(name("alice"));
        if action.changes() && !own_keys {
            let viewer = alice(Standing::Member(Role::Viewer));
            prop_assert!(!decide(&viewer, action, &target, &context).is_permit());
        }
    }

    /// There are no exceptions.
    #[test]
    fn more_standing_never_means_less_permission(
        action in action(), target in target(), context in context(),
    ) {
        let mut lesser_was_permitted = false;
        for standing in STANDINGS.into_iter().rev() {
            let permitted = decide(&alice(standing), action, &target, &context).is_permit();
            prop_assert!(permitted || !lesser_was_permitted, "{standing:?} may not what lesser may");
            lesser_was_permitted = permitted;
        }
    }

    /// A limit only ever takes away, and what it takes away is no matter of what exists.
    #[test]
    fn a_limited_key_never_permits_more(
        standing in select(&STANDINGS[..]), limits in limits(), action in action(),
        target in target(), context in context(),
    ) {
        let limited = Principal { limits: limits.clone(), ..alice(standing) };
        let with = decide(&limited, action, &target, &context);
        let without = decide(&alice(standing), action, &target, &context);
        prop_assert!(!with.is_permit() || without.is_permit(), "{limits:?}");
        if with.is_permit() {
            let site = target.site();
            prop_assert!(limits.sites.is_empty() || site.is_some_and(|site| limits.sites.contains(site)));
            let there = target.environment();
            prop_assert!(
                limits.environments.is_empty()
                    || there.is_some_and(|there| limits.environments.contains(there))
                    || !action.changes()
            );
            prop_assert!(
                limits.actions.is_empty() || limits.actions.iter().any(|group| group.holds(action))
            );
            let keys = matches!(action, Action::ManageOwnKeys | Action::ManagePeople);
            prop_assert!(!keys || limits.reach_everything(), "a limited key could make an unlimited one");
            let own = action == Action::ManageOwnKeys && target == Target::Person(name("alice"));
            prop_assert!(!own || !limits.passing, "a passing key could make a lasting one");
        } else if with != without {
            prop_assert!(with.rule().starts_with("key-limited"), "{with:?}");
            // From where content is to come is part of what is asked.
            let unknown = Context { content: context.content, ..Context::default() };
            prop_assert_eq!(&with, &decide(&limited, action, &target, &unknown));
            let stranger = Principal { standing: Standing::Stranger, ..limited };
            prop_assert_eq!(&with, &decide(&stranger, action, &target, &unknown));
        }
    }

    #[test]
    fn refusals_are_sentences_with_hints(
        standing in any_standing(), limits in limits(), action in action(), target in target(),
        context in context(),
    ) {
        let principal = Principal { limits, ..alice(standing) };
        match decide(&principal, action, &target, &context) {
            Decision::Permit(rule) => is_rule(rule)?,
            Decision::Refuse(refusal) => {
                is_rule(refusal.rule)?;
                let message = &refusal.message;
                let first = message.trim_start_matches('\'').chars().next().unwrap();
                prop_assert!(!first.is_whitespace(), "{message:?}");
                prop_assert!(message.ends_with('.') && !message.ends_with(".."), "{message:?}");
                prop_assert!(!refusal.hint.trim().is_empty());
                for text in [message, &refusal.hint] {
                    prop_assert!(!text.contains('\n'), "{text:?} is more than a line");
                    prop_assert!(!text.contains("{"), "{text:?} has a hole");
                }
            }
        }
    }

    /// A hold only ever takes away; what it takes it tells by a rule of its own.
    #[test]
    fn a_hold_never_permits_more(
        standing in select(&STANDINGS[..]), action in action(), target in target(),
        context in context(),
    ) {
        let free = Context { hold: Hold::default(), ..context.clone() };
        let with = decide(&alice(standing), action, &target, &context);
        let without = decide(&alice(standing), action, &target, &free);
        if matches!(action, Action::AskApproval | Action::Freeze | Action::EndFreeze | Action::Approve) {
            return Ok(());
        }
        prop_assert!(!with.is_permit() || without.is_permit(), "{with:?}");
        if !with.is_permit() && without.is_permit() {
            let rules = [
                "environment-frozen", "override-is-for-administrators", "outside-deploy-window",
                NEEDS_APPROVAL,
            ];
            prop_assert!(rules.contains(&with.rule()), "{with:?}");
        }
    }

    /// However much somebody may, and whatever they say: a frozen environment's code moves by a
    /// repair under an administrator's word only, and what is to be approved by nobody's alone.
    #[test]
    fn a_frozen_environment_takes_no_code(
        standing in select(&STANDINGS[..]), action in code_action(), target in target(),
        context in context(),
    ) {
        let hotfix = matches!(
            context.push.as_ref().map(|facts| &facts.kind), Some(RefKind::Hotfix(_))
        ) && action == Action::UpdateRef;
        let permitted = decide(&alice(standing), action, &target, &context).is_permit();
        let stored = action == Action::UpdateRef && context.push.as_ref().is_some_and(|facts| {
            matches!(facts.kind, RefKind::PlainBranch | RefKind::PlainTag)
        });
        let in_code = !matches!(&target, Target::Tree(_, _, area, _) if *area != Area::Code);
        if permitted && context.hold.freeze.is_some() && in_code && !stored {
            prop_assert!(hotfix || action == Action::Rollback);
            prop_assert!(standing.role() == Some(Role::Administrator));
            prop_assert!(context.hold.overriding.as_deref().is_some_and(|why| !why.trim().is_empty()));
        }
        let owed = context.hold.approval.as_ref().is_some_and(|approval| {
            !matches!(approval.state, ApprovalState::Given(_))
        });
        if owed && (hotfix || action == Action::Deploy) {
            prop_assert!(!permitted);
        }
    }

    #[test]
    fn pushes_never_touch_deploy_tags(
        standing in select(&STANDINGS[..]), remote in environment(), context in context(),
        change in change(),
    ) {
        let mut facts = good_push(RefKind::DeployTag, change);
        facts.force_allowed = true;
        let context = Context { environment_exists: true, push: Some(facts), ..context };
        let target = Target::Ref(acme(), remote, "refs/tags/live_1".to_owned());
        prop_assert!(!decide(&alice(standing), Action::UpdateRef, &target, &context).is_permit());
    }

    /// Nobody changes code where nothing is known, and nobody where one fact that counts is not.
    #[test]
    fn missing_facts_never_permit_a_change_of_code(
        standing in select(&STANDINGS[..]), action in code_action(), target in target(), context in context(),
    ) {
        let in_code = match &target {
            Target::Tree(_, _, area, _) => *area == Area::Code,
            Target::Server | Target::Person(_) | Target::Site(_) | Target::Environment(..) | Target::Ref(..) => true,
        };
        if !in_code {
            return Ok(());
        }
        let ask = |context: &Context| decide(&alice(standing), action, &target, context).is_permit();
        prop_assert!(!ask(&Context::default()));
        prop_assert!(!ask(&Context { environment_exists: false, ..context.clone() }), "missing, and yet permitted");
        let below = target.environment().is_some_and(Environment::takes_code);
        let stored_only = context.push.as_ref().is_some_and(|facts| {
            matches!(facts.kind, RefKind::PlainBranch | RefKind::PlainTag)
        });
        if below && !(action == Action::UpdateRef && stored_only) {
            prop_assert!(!ask(&Context { mode: None, ..context.clone() }), "missing, and yet permitted");
        }
        if matches!(action, Action::Deploy | Action::Rollback) {
            prop_assert!(!ask(&Context { deploy: None, ..context.clone() }), "missing, and yet permitted");
        }
        if action == Action::UpdateRef {
            prop_assert!(!ask(&Context { push: None, ..context }), "missing, and yet permitted");
        }
    }
}

/// Nor is this one: content must go down for team members, up before the launch, and no more after.
#[test]
fn content_flows_where_it_may() {
    let mut contents = flows::Contents::new();
    let mut ask = |role, action, source, target| {
        contents.take(&flows::Wish {
            standing: Standing::Member(role),
            action,
            target,
            source,
            typed: true,
            code: false,
        })
    };
    let (dev, test, live) = (Environment::Dev, Environment::Test, Environment::Live);
    let clone = Action::CloneContent;
    assert!(ask(Role::Administrator, clone, dev.clone(), live.clone()));
    assert!(ask(
        Role::Administrator,
        Action::LaunchSite,
        live.clone(),
        live.clone()
    ));
    assert!(!ask(Role::Administrator, clone, dev.clone(), live.clone()));
    assert!(ask(Role::TeamMember, clone, live.clone(), dev.clone()));
    assert!(ask(
        Role::TeamMember,
        Action::Deploy,
        live.clone(),
        test.clone()
    ));
    assert!(!ask(
        Role::TeamMember,
        Action::WipeContent,
        live.clone(),
        live.clone()
    ));
    assert!(!ask(Role::Developer, clone, test, dev.clone()));
    assert!(ask(Role::Developer, clone, dev, model::feature()));
    assert_eq!(contents.now[&model::feature()].0, [Environment::Dev].into());
}

/// The model is worth nothing if its requests are all refused: deploys, hotfixes, merges, drops,
/// rollbacks and pushes must come about, and change what they should.
#[test]
fn the_model_reaches_what_it_must() {
    let tom = Standing::Member(Role::TeamMember);
    let mut site = Site::new(false);
    let mut must = |environment: Environment, ask: Ask| {
        let request = Request {
            standing: tom,
            environment,
            ask,
        };
        assert!(site.take(&request).1, "{request:?}");
    };
    let push = |kind, base| Ask::Push(kind, base, true, Some("why".to_owned()));
    let fix = || RefKind::Hotfix(name("x"));
    must(Environment::Dev, push(RefKind::Trunk, model::Base::TheRef));
    must(Environment::Test, Ask::Workflow(Action::Deploy));
    must(Environment::Live, Ask::Workflow(Action::Deploy));
    must(Environment::Test, push(fix(), model::Base::Live));
    must(Environment::Live, push(fix(), model::Base::Live));
    must(Environment::Dev, Ask::Workflow(Action::MergeHotfix));
    must(Environment::Test, Ask::Workflow(Action::Deploy));
    must(Environment::Live, Ask::Workflow(Action::Deploy));
    must(Environment::Live, Ask::Workflow(Action::Rollback));
    must(Environment::Dev, Ask::Mode(ConnectionMode::Sftp, false));
    must(
        Environment::Dev,
        Ask::Change(policy::TreeChange::Write, Area::Code, None),
    );
    must(Environment::Dev, Ask::Workflow(Action::Commit));
    must(Environment::Live, push(fix(), model::Base::Live));
    must(Environment::Live, Ask::Workflow(Action::DropHotfix));
    assert!(site.hotfixes.is_empty());
    assert!(site.runs(&Environment::Live) > Some(0));
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let ended = Ended::ALL.map(Standing::Ended).to_vec();
    prop_oneof![3 => select(&STANDINGS[..]), 1 => select(ended)]
}

fn is_rule(rule: &str) -> Result<(), TestCaseError> {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
    prop_assert!(
        !rule.is_empty() && rule.bytes().all(right),
        "{rule:?} is no rule code"
    );
    Ok(())
}
