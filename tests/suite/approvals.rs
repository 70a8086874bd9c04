//! What a second person has to approve: never one's own, exactly that commit, once, for a while.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use support::authority::newcomer;
use support::{Finished, Gateway, Person, Role, Site, wait_for};

use crate::deploys::{push, refs, rows, runs, site};
use crate::freezes::refused;

#[test]
fn a_deploy_to_live_waits_for_a_second_person() {
    let (site, tom, clone) = site("a-live");
    site.deploy_all();
    let bob = member(&site, "a-bob", "team_member");
    let first = push(&clone, "second");
    site.must(&["env:deploy", "SITE.test"]);
    let run = |who: &Person, words: &[&str]| site.console(who, words).run();
    run(&tom, &["site:set", "SITE", "approve-live", "yes"]).code(3);
    site.must(&["site:set", "SITE", "approve-live", "yes"])
        .says("A deploy to Live of a-live needs approval by a second person.");
    let deploy = |who: &Person| run(who, &["env:deploy", "SITE.live", "--note", "the news"]);
    let before = refs(&site);
    let request = asked(&site, deploy(&tom));
    assert_eq!(asked(&site, deploy(&tom)), request, "asked once");
    assert_eq!(refs(&site), before);
    refused(&site, "deploy", "needs-approval");
    let row = &rows(&site, &["deploy:requests", "SITE"])[0];
    assert_eq!(row["id"], request.as_str());
    assert_eq!(
        (&row["user"], &row["status"]),
        (&"tom".into(), &"open".into())
    );
    assert_eq!(
        (&row["commit"], &row["note"]),
        (&first.clone().into(), &"the news".into())
    );
    run(&bob, &[]).ok().says("1 request waits for approval");
    let shown = ["env:info", "SITE.live", "--field", "waiting_for_approval"];
    assert_eq!(run(&bob, &shown).ok().out(), "1\n");

    let approve = |who: &Person| run(who, &["deploy:approve", &request]);
    approve(&tom).code(3).says("by a second person");
    refused(&site, "deploy-approve", "approval-is-a-second-persons");
    approve(site.person(Role::Developer))
        .code(3)
        .says("not for the role developer");
    approve(site.person(Role::Stranger))
        .code(1)
        .says("There is no request");
    run(&bob, &["deploy:approve", "01NOTTHERE"]).code(1);
    deploy(&tom).code(3);
    approve(&bob)
        .ok()
        .says("Approved the deploy of ")
        .says(" to a-live.live by tom, who has until ");
    approve(&bob).code(1).says("approved already by a-bob");
    // It is tom's, and of this commit: nobody else deploys with it, and nothing else.
    deploy(&bob).code(3).says("approved by a second person");
    assert_eq!(refs(&site), before);
    deploy(&tom).ok().says("live_2");
    assert_eq!(runs(&site, "live"), first);
    let audited = rows(&site, &["audit:list", "--site", "SITE", "--env", "live"]);
    let row = audited.last().unwrap();
    let detail = row["detail"].as_str().unwrap();
    assert!(
        detail.contains(&format!("the news; approved by a-bob, request {request}")),
        "{row}"
    );
    for action in ["deploy-ask", "deploy-approve"] {
        let kept = |row: &&Value| row["action"] == action && row["outcome"] == "done";
        let row = audited
            .iter()
            .find(kept)
            .unwrap_or_else(|| panic!("{audited:?}"));
        assert!(row["detail"].as_str().unwrap().contains(&first), "{row}");
    }
    assert_eq!(status(&site, &request), "used");
    deploy(&tom).ok().says("nothing to deploy");

    // The next commit is asked for anew; so is the same one after a rollback.
    site.console(&tom, &["env:rollback", "SITE.live"])
        .run()
        .ok();
    let again = asked(&site, deploy(&tom));
    assert_ne!(again, request, "an approval is used once");
    push(&clone, "third");
    site.must(&["env:deploy", "SITE.test"]);
    run(&bob, &["deploy:approve", &again]).ok();
    let third = asked(&site, deploy(&tom));
    assert_ne!(third, again, "an approval is for one commit");
    site.must(&["site:set", "SITE", "approve-live", "no"]);
    deploy(&tom).ok();
}

#[test]
fn a_request_is_denied_or_its_approval_taken_back() {
    let (site, tom, clone) = site("a-deny");
    site.deploy_all();
    let bob = member(&site, "a-dan", "team_member");
    push(&clone, "second");
    site.must(&["env:deploy", "SITE.test"]);
    site.must(&["site:set", "SITE", "approve-live", "yes"]);
    let run = |who: &Person, words: &[&str]| site.console(who, words).run();
    let deploy = || run(&tom, &["env:deploy", "SITE.live"]);
    let request = asked(&site, deploy());
    let deny = |id: &str, why: &str| run(&bob, &["deploy:deny", id, "--reason", why]);
    run(&bob, &["deploy:deny", &request]).code(2);
    deny(&request, " ").code(1).says("needs a reason");
    deny(&request, "not on a Friday").ok();
    run(&tom, &["deploy:requests", "SITE"])
        .ok()
        .says("not on a Friday")
        .says("denied");
    run(&bob, &["deploy:approve", &request])
        .code(1)
        .says("denied already by a-dan");
    let second = asked(&site, deploy());
    assert_ne!(second, request);
    run(&bob, &["deploy:approve", &second]).ok();
    deny(&second, "I was wrong").ok();
    let third = asked(&site, deploy());
    assert_ne!(third, second);

    // An approval ends with the role of who gave it; another person's takes its place.
    run(&bob, &["deploy:approve", &third]).ok();
    site.must(&["site:team:role", "SITE", "a-dan", "developer"]);
    deploy()
        .code(3)
        .says("a-dan had approved this one, but may not any more");
    assert_eq!(status(&site, &third), "withdrawn");
    let before = refs(&site);
    site.must(&["site:team:remove", "SITE", "a-dan"]);
    deploy().code(3);
    assert_eq!(refs(&site), before);
    run(
        site.person(Role::Administrator),
        &["deploy:approve", &third],
    )
    .ok();
    deploy().ok();
}

#[test]
fn a_hotfix_is_pushed_again_when_it_is_approved() {
    let (site, tom, clone) = site("a-fix");
    site.deploy_all();
    site.must(&["site:set", "SITE", "approve-hotfix", "yes"]);
    clone.must(&["fetch", "--quiet", "--tags", "live"]);
    clone.must(&["checkout", "--quiet", "-b", "hotfix/typo", "live_1"]);
    let fix = clone.commit("lib/menu.php", "<?php // fixed\n");
    let push = |to: &str| {
        clone
            .git(&["push", "-o", "reason=a typo", to, "hotfix/typo"])
            .run()
    };
    // To try it on Test needs nobody's approval, and shows the others what it is.
    push("test").ok();
    let before = refs(&site);
    let refused_push = push("live")
        .fails()
        .says("a hotfix to Live approved by a second person")
        .says("push again");
    let request = id_in(&refused_push);
    assert_eq!(refs(&site), before);
    let row = &rows(&site, &["deploy:requests", "SITE"])[0];
    assert_eq!(
        (&row["what"], &row["commit"]),
        (&"hotfix".into(), &fix.clone().into())
    );
    assert!(row["note"].as_str().unwrap().contains("a typo"), "{row}");
    refused(&site, "update-ref", "needs-approval");
    site.console(&tom, &["deploy:approve", &request])
        .run()
        .code(3);
    site.console(
        site.person(Role::Administrator),
        &["deploy:approve", &request],
    )
    .run()
    .ok();
    // Another commit is another hotfix.
    clone.commit("lib/menu.php", "<?php // fixed differently\n");
    assert_ne!(id_in(&push("live").fails()), request);
    clone.must(&["reset", "--quiet", "--hard", &fix]);
    push("live").ok().says("live_2");
    assert_eq!(runs(&site, "live"), fix);
    assert_eq!(status(&site, &request), "used");
    // A deploy needs none on this site.
    site.must(&["hotfix:merge", "SITE", "typo"]);
    site.must(&["env:deploy", "SITE.test"]);
    site.console(&tom, &["env:deploy", "SITE.live"]).run().ok();
}

#[test]
fn requests_and_approvals_expire() {
    let gateway = Arc::new(Gateway::start_with(&[(
        "workflows",
        "approval_seconds",
        "4",
    )]));
    let site = gateway.site("a-late");
    let tom = site.person(Role::TeamMember);
    site.set_mode("git");
    site.must(&["env:deploy", "SITE.test"]);
    site.must(&["site:set", "SITE", "approve-live", "yes"]);
    let deploy = || site.console(tom, &["env:deploy", "SITE.live"]).run();
    let approve = |id: &str| site.command(&["deploy:approve", id]).run();
    let soon = Duration::from_secs(60);
    let first = asked(&site, deploy());
    wait_for("the request to expire", soon, || {
        (status(&site, &first) == "expired").then_some(())
    });
    approve(&first)
        .code(1)
        .says("has expired; tom has to ask again");
    // On a slow machine an approval may come too late; each time it is asked for anew.
    let second = wait_for("an approval in time", soon, || {
        let request = asked(&site, deploy());
        (approve(&request).code == Some(0)).then_some(request)
    });
    wait_for("the approval to expire", soon, || {
        (status(&site, &second) == "expired").then_some(())
    });
    let third = asked(&site, deploy());
    assert_ne!(third, second);
    assert!(!site.disk("live", "code").join("index.php").exists());
}

/// Requires that something was refused for want of an approval, and returns the request's id.
#[track_caller]
fn asked(site: &Site, deploy: Finished) -> String {
    let deploy = deploy.code(3);
    let wanted = format!(
        "{} wants a deploy to Live approved by a second person",
        site.name
    );
    id_in(&deploy.says(&wanted).says("repeat the command"))
}

#[track_caller]
fn id_in(refused: &Finished) -> String {
    let screen = refused.screen();
    let id = screen
        .split_once("deploy:approve ")
        .unwrap_or_else(|| panic!("{refused}"))
        .1;
    id.split_whitespace().next().unwrap().to_owned()
}

fn status(site: &Site, request: &str) -> String {
    let all = rows(site, &["deploy:requests", "SITE"]);
    let row = all.iter().find(|row| row["id"] == request);
    row.unwrap_or_else(|| panic!("{all:?}"))["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A further person of the team, with a key of their own.
fn member(site: &Site, name: &str, role: &str) -> Person {
    let person = newcomer(&site.gateway, name);
    let key = person.public_key().display().to_string();
    site.must(&["user:add", name]);
    site.must(&["ssh-key:add", &key, "--user", name]);
    site.must(&["site:team:add", "SITE", name, role]);
    person
}
