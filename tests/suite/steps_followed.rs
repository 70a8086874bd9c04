//! Steps while they run: heard at once, told of while they are silent, with the programs that sites
//! use, and those of the administrator.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Clone, Gateway, Role, wait_for};

use crate::deploys::{refs, rows, runs};
use crate::steps::{in_git_mode, push, step};

#[test]
fn a_silent_step_is_told_of_and_a_talking_one_is_heard_at_once() {
    let gateway = Arc::new(Gateway::start_with(&[("steps", "heartbeat_seconds", "1")]));
    let (_site, _, clone) = in_git_mode(gateway.site("s-slow"));
    let script = "echo first; while ! test -e /tmp/go; do sleep 0.1; done; sleep 2.5; echo last";
    clone.commit(
        "funicular.toml",
        &step("slow", "'sync_code'", "before", script),
    );
    let push = clone
        .git(&["push", "dev", "main"])
        .limit(Duration::from_secs(120))
        .start();
    let environment = gateway.data().join("sites/s-slow/environments/dev");
    let log = || {
        let logs = fs::read_dir(environment.join("logs/workflows"))
            .into_iter()
            .flatten();
        let texts = logs
            .flatten()
            .map(|log| fs::read_to_string(log.path()).unwrap());
        texts.collect::<String>()
    };
    // The step waits for this, so its first line is there long before its end.
    wait_for("the first line", Duration::from_secs(60), || {
        log().contains("| first").then_some(())
    });
    assert!(!log().contains("slow done"));
    fs::write(environment.join("tmp/go"), "").unwrap();
    let began = Instant::now();
    let pushed = push.finish().ok();
    assert!(began.elapsed() >= Duration::from_secs(2));
    let pushed = pushed
        .says("remote: first")
        .says("remote: still running: slow, ")
        .says("remote: last");
    drop(pushed);
}

#[test]
fn the_administrators_steps_come_first_and_are_for_all_sites() {
    let gateway = Arc::new(Gateway::start());
    gateway.stop(Signal::SIGTERM);
    let mut config = fs::read_to_string(gateway.config()).unwrap();
    config += &step(
        "server",
        "['sync_code', 'deploy']",
        "before",
        "echo from the server; ! test -e forbidden",
    );
    config += "environments = ['dev']\n";
    fs::write(gateway.config(), &config).unwrap();
    gateway.serve();
    let site = gateway.site("s-server");
    site.set_mode("git");
    let tom = site.person(Role::TeamMember).clone();
    let clone = Clone::new(&site, &tom);
    let pushed = push(
        &clone,
        &step("own", "'sync_code'", "before", "echo from the site"),
    )
    .ok();
    let screen = pushed.screen();
    let at = |text: &str| {
        screen
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {screen}"))
    };
    assert!(at("from the server") < at("from the site"), "{screen}");
    clone.commit("forbidden", "x\n");
    let refused = clone.git(&["push", "dev", "main"]).run().fails();
    refused.says("The step 'server' failed");
    let bad = config.replace("'before'", "'sometimes'");
    fs::write(gateway.config(), bad).unwrap();
    let config = gateway.config().display().to_string();
    let checked = support::Client::new(support::programs::funicular())
        .args(["check-config", &config])
        .run()
        .fails();
    checked.says("stage is one of: before, after");
}

#[test]
fn the_programs_that_sites_use_run_in_the_sandbox() {
    let gateway = Arc::new(Gateway::start());
    let (_site, _, clone) = in_git_mode(gateway.site("s-tools"));
    clone.commit(
        "package.json",
        r#"{"name": "x", "version": "1.0.0", "scripts": {"build": "node build.js"}}"#,
    );
    clone.commit(
        "build.js",
        "require('fs').mkdirSync('dist'); require('fs').writeFileSync('dist/app.js', 'built');\n",
    );
    // The forms of docs/steps.md.
    let assets = step(
        "assets",
        "'sync_code'",
        "before",
        "rm -rf /tmp/build && cp -R . /tmp/build && cd /tmp/build && npm run build && mkdir -p /files/assets && cp -R dist/. /files/assets",
    );
    let syntax = step(
        "syntax",
        "'sync_code'",
        "before",
        "find . -name \"*.php\" -print0 | xargs -0 -r -n 1 -P 2 php -l >/dev/null",
    );
    let tools = step(
        "tools",
        "'sync_code'",
        "after",
        "php -r \"echo preg_replace(\\\"/[a-z]+(?=b)/\\\", \\\"php \\\", \\\"aab\\\"), PHP_EOL;\"; node -e \"new Worker; \" 2>/dev/null; node -e \"console.log(1 + 1, process.cwd())\"; python3 -c \"import threading as t; x = t.Thread(target=print, args=(\\\"thread\\\",)); x.start(); x.join()\"; git --version; date",
    );
    let pushed = push(&clone, &(assets + &syntax + &tools)).ok();
    let pushed = pushed
        .says("remote: php b")
        .says("remote: 2 /code")
        .says("remote: thread");
    drop(pushed.says("git version"));
    let built = gateway
        .data()
        .join("sites/s-tools/environments/dev/files/assets/app.js");
    assert_eq!(fs::read_to_string(built).unwrap(), "built");
    clone.commit("broken.php", "<?php if (\n");
    let refused = clone.git(&["push", "dev", "main"]).run().fails();
    refused.says("The step 'syntax' failed").says("broken.php");
}

#[test]
fn a_deploy_whose_client_goes_away_during_a_step_ends_by_itself() {
    let gateway = Arc::new(Gateway::start());
    let (site, _, clone) = in_git_mode(gateway.site("s-gone"));
    let before = refs(&site);
    let script = "touch /tmp/up; while ! test -e /tmp/go; do sleep 0.1; done; touch /tmp/over";
    clone.commit(
        "funicular.toml",
        &step("wait", "'sync_code'", "before", script),
    );
    let push = clone.git(&["push", "dev", "main"]).start();
    let scratch = gateway.data().join("sites/s-gone/environments/dev/tmp");
    let soon = Duration::from_secs(60);
    let there = |name: &str| scratch.join(name).exists().then_some(());
    wait_for("the step to run", soon, || there("up"));
    push.kill();
    fs::write(scratch.join("go"), "").unwrap();
    wait_for("the step to end by itself", soon, || there("over"));
    // The deploy ends by itself, done or not, and branch and environment agree on it.
    let ended = || {
        let listed = rows(&site, &["workflow:list", "SITE"]);
        let found = listed.iter().find(|row| row["workflow"] == "sync_code");
        let status = found.expect("the push is a workflow")["status"].clone();
        (status != "running").then_some(status)
    };
    let status = wait_for("the workflow to end", soon, ended);
    let pushed = clone.ask(&["rev-parse", "HEAD"]);
    let moved = refs(&site) != before;
    assert_eq!(moved, status == "succeeded", "{status}");
    assert_eq!(runs(&site, "dev") == pushed, moved);
    clone.must(&["push", "--quiet", "dev", "main"]);
    assert_eq!(runs(&site, "dev"), pushed);
}
