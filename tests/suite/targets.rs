//! Who may have whom told of switches, what is shown of it, and programs and reloads as targets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::hearer::{Hearer, Manner};
use support::{Clone, Role, Shared, wait_for};

use crate::deliveries::{self, add, text, wait_until, wait_until_told};
use crate::deploys::{push, rows};

static SHARED: Shared = Shared::new();

#[test]
fn only_the_servers_administrators_see_and_set_them() {
    let site = SHARED.gateway().site("tg-who");
    let hearer = Hearer::start();
    add(&site, "live", "ci", &hearer.url("/"));
    let before = rows(&site, &["target:list", "SITE.live"]);
    for role in Role::ALL {
        let person = site.person(role);
        if role == Role::Administrator {
            continue;
        }
        for words in [
            &[
                "target:add",
                "SITE.live",
                "mine",
                "webhook",
                "https://example.org/",
            ][..],
            &["target:list", "SITE.live"],
            &["target:test", "SITE.live", "ci"],
            &["target:remove", "SITE.live", "ci"],
            &["delivery:list", "SITE.live"],
            &["delivery:list", "SITE"],
        ] {
            let refused = site.console(person, words).run().code(3);
            let why = if person_is_outside(role) {
                "no site"
            } else {
                "administrators"
            };
            refused.says(why).says_not(&hearer.url("/"));
        }
    }
    assert_eq!(rows(&site, &["target:list", "SITE.live"]), before);
    assert!(hearer.heard().is_empty());
    let audited = rows(
        &site,
        &[
            "audit:list",
            "--site",
            "SITE",
            "--decision",
            "refuse",
            "--limit",
            "500",
        ],
    );
    for action in ["target-manage", "target-view"] {
        let row = audited.iter().find(|row| row["action"] == action);
        let row = row.unwrap_or_else(|| panic!("no {action}: {audited:?}"));
        assert_eq!(row["rule"], "server-administrators-only");
    }
    // Who may is told so.
    let tom = Role::TeamMember.person();
    site.must(&["explain", tom, "target-manage", "SITE.live"])
        .says("administrators");
}

#[test]
fn over_ssh_nothing_is_added_that_acts_on_the_server_itself() {
    let site = SHARED.gateway().site("tg-door");
    let ada = site.person(Role::Administrator);
    let marker = site.gateway.folder().join("tg-door-marker");
    let marker_shown = marker.display().to_string();
    site.console(
        ada,
        &[
            "target:add",
            "SITE.dev",
            "x",
            "command",
            "--",
            "/usr/bin/touch",
            &marker_shown,
        ],
    )
    .run()
    .code(1)
    .says("on the server itself");
    site.console(
        ada,
        &[
            "target:add",
            "SITE.dev",
            "x",
            "reload",
            "--unit",
            "ssh.service",
        ],
    )
    .run()
    .code(1)
    .says("on the server itself");
    let hearer = Hearer::start();
    site.console(
        ada,
        &["target:add", "SITE.dev", "x", "webhook", &hearer.url("/")],
    )
    .run()
    .ok();
    site.console(ada, &["target:test", "SITE.dev", "x"])
        .run()
        .ok()
        .says("200");
    assert_eq!(hearer.heard()[0].json()["event"], "test");
    assert_eq!(rows(&site, &["target:list", "SITE.dev"]).len(), 1);
    assert!(!marker.exists());
}

#[test]
fn what_makes_no_sense_is_refused_and_adds_nothing() {
    let site = SHARED.gateway().site("tg-sense");
    let refused = |words: &[&str], why: &str| {
        let words = [&["target:add", "SITE.dev"], words].concat();
        site.command(&words).run().code(1).says(why);
    };
    refused(&["UPPER", "webhook", "https://x/"], "a-z");
    refused(&["x", "webhook", "ftp://x/"], "https://");
    refused(&["x", "webhook", "https://u:p@x/"], "no user and password");
    refused(&["x", "webhook"], "takes its URL");
    refused(
        &["x", "webhook", "https://x/", "--timeout", "0"],
        "1 to 3600",
    );
    refused(&["x", "command", "--", "relative"], "absolute path");
    refused(&["x", "command"], "absolute path");
    refused(&["x", "reload"], "--pid-file");
    refused(&["x", "reload", "--unit", "a b"], "--pid-file");
    refused(&["x", "rsync", "web1:/srv/x"], "USER@HOST");
    refused(&["x", "rsync", "u@web1:/srv/$(id)"], "USER@HOST");
    let short = [
        "target:add",
        "SITE.dev",
        "x",
        "webhook",
        "https://x/",
        "--secret-from-stdin",
    ];
    site.command(&short)
        .input("short\n")
        .run()
        .code(1)
        .says("at least 16");
    site.command(&["target:add", "SITE.feature", "x", "webhook", "https://x/"])
        .run()
        .code(3);
    assert!(rows(&site, &["target:list", "SITE.dev"]).is_empty());
    site.must(&["target:add", "SITE.dev", "x", "webhook", "https://x/"]);
    refused(&["x", "webhook", "https://x/"], "already");
    site.command(&["target:remove", "SITE.dev", "y"])
        .run()
        .code(1)
        .says("no target 'y'");
    site.must(&["target:remove", "SITE.dev", "x"]);
    assert!(rows(&site, &["target:list", "SITE.dev"]).is_empty());
}

#[test]
fn secrets_are_shown_once_and_written_nowhere_else() {
    let site = deliveries::site("tg-secret", &[("log", "level", "\"debug\"")]);
    let hearer = Hearer::start();
    hearer.answers(Manner::status("500 No"));
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    let made = add(&site, "dev", "ci", &hearer.url("/T0p/s3cret-path"));
    assert_eq!(made.len(), 64);
    let chosen = "a-chosen-secret-of-ours";
    let url = hearer.url("/?token=s3cret-query");
    let words = [
        "target:add",
        "SITE.dev",
        "own",
        "webhook",
        &url,
        "--secret-from-stdin",
    ];
    site.command(&words)
        .input(format!("{chosen}\n"))
        .run()
        .ok()
        .says_not(chosen);
    push(&clone, "one");
    wait_until(&site, |rows| {
        rows.iter().all(|row| row["attempts"].as_u64() > Some(0))
    });
    site.command(&["target:test", "SITE.dev", "ci"])
        .run()
        .code(1);
    let mut shown = String::new();
    for words in [
        &["target:list", "SITE.dev"][..],
        &["target:list", "SITE.dev", "--format", "json"],
        &["delivery:list", "SITE", "--format", "json"],
        &["audit:list", "--limit", "1000", "--format", "json"],
        &["workflow:list", "SITE"],
        &["env:info", "SITE.dev"],
    ] {
        shown += &site.must(words).screen();
    }
    shown += &site.gateway.logged();
    for entry in fs::read_dir(site.disk("dev", "logs").join("workflows")).unwrap() {
        shown += &fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    assert!(shown.contains("target-manage") && shown.contains("ci: webhook http://127.0.0.1"));
    for secret in [made.as_str(), chosen, "s3cret-path", "s3cret-query"] {
        assert!(!shown.contains(secret), "{secret} stands in {shown}");
    }
    let state = fs::metadata(site.gateway.data().join("state.db")).unwrap();
    assert_eq!(state.permissions().mode() & 0o077, 0);
}

#[test]
fn a_program_gets_variables_and_json() {
    let site = deliveries::site("tg-program", &[]);
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    let folder = site.gateway.folder().join("program");
    let program = script(
        &folder,
        "#!/bin/sh\nset -e\ncd \"$1\"\nenv >env.new; cat >json.new; mv env.new env; mv json.new json\necho \"heard $2\"\n",
    );
    site.must(&[
        "target:add",
        "SITE.dev",
        "purge",
        "command",
        "--",
        &program.display().to_string(),
        &folder.display().to_string(),
        "--all",
    ]);
    let commit = push(&clone, "one");
    wait_until_told(&site, "dev");
    let told: Value = serde_json::from_slice(&fs::read(folder.join("json")).unwrap()).unwrap();
    let variables = fs::read_to_string(folder.join("env")).unwrap();
    let has = |line: &str| variables.lines().any(|one| one == line);
    for (name, value) in [
        ("EVENT", "switch"),
        ("SITE", "tg-program"),
        ("ENVIRONMENT", "dev"),
        ("KIND", "sync_code"),
        ("ACTOR", "tom"),
        ("NEW_COMMIT", &commit),
        ("OLD_COMMIT", text(&told, "old_commit")),
        ("ID", text(&told, "id")),
        ("WORKFLOW", text(&told, "workflow")),
        ("PATH", text(&told, "path")),
        ("CURRENT", text(&told, "current")),
        ("TIME", text(&told, "time")),
    ] {
        assert!(
            has(&format!("FUNICULAR_{name}={value}")),
            "{name}: {variables}"
        );
        assert_eq!(told[name.to_lowercase()], value);
    }
    assert!(!variables.contains("CARGO"), "nothing else: {variables}");
    let row = &rows(&site, &["delivery:list", "SITE.dev"])[0];
    assert_eq!(row["result"], "done: heard --all");
}

#[test]
fn a_program_that_fails_or_hangs_is_run_again() {
    let site = deliveries::site("tg-hangs", &[]);
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    let folder = site.gateway.folder().join("program");
    let program = script(
        &folder,
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\nhow=$(cat how)\necho $$ >pid\n\
         case $how in fails) echo oh no >&2; exit 3;; hangs) sleep 1000; touch late;; esac\n",
    );
    fs::write(folder.join("how"), "fails").unwrap();
    let words = [
        "target:add",
        "SITE.dev",
        "x",
        "command",
        "--timeout",
        "1",
        "--",
    ];
    site.must(&[&words[..], &[&program.display().to_string()]].concat());
    push(&clone, "one");
    wait_until(&site, |rows| {
        text(&rows[0], "result").contains("exit status: 3: oh no")
    });
    fs::write(folder.join("how"), "hangs").unwrap();
    wait_until(&site, |rows| {
        text(&rows[0], "result").contains("took longer than 1 s")
    });
    fs::write(folder.join("how"), "is well").unwrap();
    wait_until_told(&site, "dev");
    assert!(!folder.join("late").exists());
    // Of those that were ended nothing runs any more.
    let processes = support::Client::new("ps")
        .args(["-eo", "args"])
        .run()
        .ok()
        .out();
    assert!(
        !processes.contains(&program.display().to_string()),
        "{processes}"
    );
}

#[test]
fn a_server_is_told_to_reload() {
    let site = deliveries::site("tg-reload", &[]);
    let clone = Clone::new(&site, site.person(Role::TeamMember));
    let folder = site.gateway.folder().join("server");
    let server = script(
        &folder,
        "#!/bin/sh\ncd \"$(dirname \"$0\")\"\ntrap 'echo again >>loaded' USR2\necho first >loaded\n\
         echo $$ >pid.new; mv pid.new pid\nwhile :; do sleep 0.05; done\n",
    );
    let running = support::Client::new(&server).start();
    let file = folder.join("pid");
    wait_for("the server", Duration::from_secs(20), || {
        file.exists().then_some(())
    });
    let shown = file.display().to_string();
    site.must(&[
        "target:add",
        "SITE.dev",
        "php",
        "reload",
        "--pid-file",
        &shown,
        "--signal",
        "USR2",
    ]);
    push(&clone, "one");
    wait_for("the reload", Duration::from_secs(60), || {
        fs::read_to_string(folder.join("loaded"))
            .ok()
            .filter(|text| text.contains("again"))
    });
    wait_until_told(&site, "dev");
    running.kill();
    push(&clone, "two");
    let rows = wait_until(&site, |rows| rows[0]["attempts"].as_u64() > Some(0));
    assert!(
        text(&rows[0], "result").contains("does not run"),
        "{rows:?}"
    );
}

fn person_is_outside(role: Role) -> bool {
    role.in_team().is_none()
}

/// Makes a program in a folder.
fn script(folder: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let path = folder.join("program");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}
