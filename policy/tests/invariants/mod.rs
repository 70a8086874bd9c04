//! What holds of the model's site after every request.

use policy::{Action, ConnectionMode, Environment, RefKind, Role, Standing};
use proptest::prelude::*;

use crate::model::{Ask, Request, Site};

pub fn above_changes_by_deploy_rollback_or_hotfix(
    before: &Site,
    after: &Site,
    request: &Request,
    action: Action,
    environment: &Environment,
) -> Result<(), TestCaseError> {
    if before.code.get(environment) == after.code.get(environment) {
        return Ok(());
    }
    prop_assert_eq!(
        &request.environment,
        environment,
        "another environment's request changed it"
    );
    let new = after.runs(environment).unwrap();
    match (action, &request.ask) {
        (Action::Deploy, _) => {
            let trunk = before.branches["main"];
            prop_assert!(
                before.contains(trunk, new),
                "a deploy of what is not on trunk"
            );
        }
        (Action::Rollback, _) => {
            prop_assert_eq!(before.before[environment].last(), Some(&new));
        }
        (Action::UpdateRef, Ask::Push(RefKind::Hotfix(_), _, is_commit, reason)) => {
            let live = before.runs(&Environment::Live).unwrap();
            prop_assert!(after.contains(new, live) && *is_commit);
            let said = reason
                .as_ref()
                .is_some_and(|reason| !reason.trim().is_empty());
            prop_assert!(said || *environment == Environment::Test, "no reason");
        }
        _any_other => prop_assert!(false, "{:?} changed the code of {}", request, environment),
    }
    Ok(())
}

pub fn below_changes_by_its_mode(
    before: &Site,
    after: &Site,
    request: &Request,
    action: Action,
) -> Result<(), TestCaseError> {
    for (environment, mode) in &before.modes {
        if before.code[environment] == after.code[environment] {
            continue;
        }
        prop_assert_eq!(
            environment,
            &request.environment,
            "another environment's request changed it"
        );
        match action {
            Action::ChangeTree(_) | Action::Commit | Action::Discard | Action::RestoreWork => {
                prop_assert_eq!(*mode, ConnectionMode::Sftp);
            }
            Action::UpdateRef => prop_assert_eq!(*mode, ConnectionMode::Git),
            Action::MergeHotfix => prop_assert_eq!(environment, &Environment::Dev),
            Action::Merge | Action::Revert => prop_assert_eq!(before.code[environment].edits, 0),
            Action::SetConnectionMode => {
                prop_assert_eq!(before.runs(environment), after.runs(environment));
            }
            other => prop_assert!(false, "{:?} changed the code of {}", other, environment),
        }
    }
    Ok(())
}

pub fn nothing_is_lost(
    before: &Site,
    after: &Site,
    request: &Request,
    action: Action,
) -> Result<(), TestCaseError> {
    for (tag, commit) in &before.deploy_tags {
        prop_assert_eq!(
            after.deploy_tags.get(tag),
            Some(commit),
            "a deploy tag moved"
        );
    }
    let trunk = after.branches.get("main");
    prop_assert!(trunk.is_some(), "trunk is gone");
    prop_assert!(
        after.branches.contains_key("feature"),
        "the branch of a Multidev is gone"
    );
    for environment in [Environment::Test, Environment::Live] {
        if let Some(runs) = before.runs(&environment)
            && before.contains(before.branches["main"], runs)
        {
            prop_assert!(
                after.contains(after.branches["main"], runs),
                "trunk lost what {} runs",
                environment
            );
        }
    }
    if let (Some(old), Some(new)) = (
        before.runs(&Environment::Live),
        after.runs(&Environment::Live),
    ) && action != Action::Rollback
    {
        for (hotfix, fix) in &before.hotfixes {
            let was_there = before.contains(old, *fix);
            prop_assert!(
                !was_there || after.contains(new, *fix),
                "{} lost by {:?}",
                hotfix,
                request
            );
        }
    }
    for (hotfix, fix) in &before.hotfixes {
        let merged = after.contains(after.branches["main"], *fix);
        let open = after.hotfixes.contains_key(hotfix);
        prop_assert!(
            open || merged || action == Action::DropHotfix,
            "{} is forgotten",
            hotfix
        );
    }
    for (environment, code) in &before.code {
        let gone = code.edits > 0 && after.code[environment].edits == 0;
        let kept = after.kept_work > before.kept_work || action == Action::Commit;
        prop_assert!(
            !gone || kept,
            "work of {} is gone by {:?}",
            environment,
            action
        );
    }
    Ok(())
}

pub fn lesser_roles_keep_to_their_part(
    before: &Site,
    after: &Site,
    request: &Request,
    done: bool,
) -> Result<(), TestCaseError> {
    match request.standing {
        Standing::ServerAdministrator
        | Standing::Member(Role::Administrator | Role::TeamMember) => {}
        Standing::Member(Role::Developer) => {
            for environment in [Environment::Test, Environment::Live] {
                prop_assert_eq!(before.code.get(&environment), after.code.get(&environment));
                prop_assert_eq!(
                    before.files.get(&environment),
                    after.files.get(&environment)
                );
            }
            for (hotfix, fix) in &before.hotfixes {
                let merged = after.contains(after.branches["main"], *fix);
                prop_assert!(merged || after.hotfixes.get(hotfix) == Some(fix));
            }
            for hotfix in after.hotfixes.keys() {
                prop_assert!(before.hotfixes.contains_key(hotfix));
            }
        }
        Standing::Member(Role::Viewer) | Standing::Stranger | Standing::Ended(_) => {
            prop_assert!(!done, "{:?}", request);
        }
    }
    Ok(())
}
