//! Steps of sites: when they are run, what they are told, what they can stop, and how a bad file is
//! refused.

use std::fs;

use support::{Clone, Finished, Person, Role, Shared, Site};

use crate::deploys::{refs, rows, runs};

static SHARED: Shared = Shared::new();

fn site(name: &str) -> (Site, Person, Clone) {
    in_git_mode(SHARED.gateway().site(name))
}

pub(crate) fn in_git_mode(site: Site) -> (Site, Person, Clone) {
    site.set_mode("git");
    let tom = site
        .person(Role::TeamMember)
        .at_another_computer(&site.name);
    let clone = Clone::new(&site, &tom);
    (site, tom, clone)
}

/// One step of a file.
pub(crate) fn step(name: &str, event: &str, stage: &str, script: &str) -> String {
    format!(
        "[[step]]\nname = '{name}'\nevent = {event}\nstage = '{stage}'\n\
         command = ['sh', '-c', '''{script}''']\n"
    )
}

pub(crate) fn push(clone: &Clone, file: &str) -> Finished {
    clone.commit("funicular.toml", file);
    clone.git(&["push", "dev", "main"]).run()
}

fn last_row(site: &Site, environment: &str) -> serde_json::Value {
    let rows = rows(
        site,
        &["audit:list", "--site", "SITE", "--env", environment],
    );
    rows.last().expect("a row").clone()
}

/// Generations on the disk, with what is current.
fn generations(site: &Site, environment: &str) -> Vec<String> {
    let sites = site.gateway.data().join("sites").join(&site.name);
    let folder = sites.join("environments").join(environment);
    let mut found = vec![format!("{:?}", fs::read_link(folder.join("current")).ok())];
    for entry in fs::read_dir(folder.join("generations")).unwrap() {
        found.push(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    found.sort();
    found
}

#[test]
fn a_bad_file_refuses_the_push_with_its_place() {
    let (site, _, clone) = site("s-bad");
    clone.must(&["push", "--quiet", "dev", "main"]);
    let (before, folders) = (refs(&site), generations(&site, "dev"));
    let good = step("a", "'deploy'", "before", "true");
    for (file, place, words) in [
        (
            good.clone() + "timeot = 5\n",
            "line 6, column 1",
            "'timeot' is no key of a step",
        ),
        (
            good.replace("deploy", "deplyo"),
            "line 3, column 9",
            "event is one of: sync_code",
        ),
        (
            good.clone() + "timeout = 99999\n",
            "line 6, column 11",
            "from 1 to 3600",
        ),
        (
            good + "environments = ['prod_1']\n",
            "line 6, column 17",
            "'prod_1' is no environment",
        ),
        (
            "# ü\n[[step\n".to_owned(),
            "line 2, column",
            "cannot be read",
        ),
    ] {
        let pushed = push(&clone, &file).fails();
        pushed
            .says("funicular.toml")
            .says(place)
            .says(words)
            .says("Nothing was changed");
        assert_eq!(refs(&site), before);
        assert_eq!(generations(&site, "dev"), folders);
        let row = last_row(&site, "dev");
        assert_eq!(row["outcome"], "failed", "{row}");
        assert!(row.to_string().contains(place), "{row}");
    }
    // Neither is what is no file at all, or far too large.
    let path = clone.folder().join("funicular.toml");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("index.php", &path).unwrap();
    clone.commit("README", "a link\n");
    let linked = clone.git(&["push", "dev", "main"]).run().fails();
    linked.says("It is a symbolic link");
    fs::remove_file(&path).unwrap();
    clone.commit("funicular.toml/x", "a folder\n");
    let folder = clone.git(&["push", "dev", "main"]).run().fails();
    folder.says("It is a folder");
    fs::remove_dir_all(&path).unwrap();
    push(&clone, &"#".repeat(70_000))
        .fails()
        .says("larger than 64 KiB");
    assert_eq!(refs(&site), before);
    push(&clone, "# well\n").ok();
}

#[test]
fn a_bad_file_that_came_another_way_refuses_the_deploy_and_the_commit() {
    let (site, tom, clone) = site("s-else");
    push(&clone, "# well\n").ok();
    site.set_mode("sftp");
    let bad = tom.desk("bad").join("funicular.toml");
    fs::write(&bad, "[[step]]\nname = 5\n").unwrap();
    let put = format!("put {} /code/funicular.toml\n", bad.display());
    site.sftp(&tom, "dev", put).run().ok();
    let before = refs(&site);
    let commit = site
        .console(&tom, &["env:commit", "SITE.dev", "-m", "Bad"])
        .run();
    commit.code(1).says("line 2, column 8");
    assert_eq!(refs(&site), before);
    assert_eq!(last_row(&site, "dev")["outcome"], "failed");

    // A site that is made from a repository brings what that has.
    let gateway = SHARED.gateway();
    let from = gateway.folder().join("s-from");
    fs::create_dir_all(&from).unwrap();
    fs::write(from.join("funicular.toml"), "[[probe]]\nname = 'x'\n").unwrap();
    gateway.must(&[
        "site:create",
        "s-made",
        "--from",
        &from.display().to_string(),
    ]);
    let deploy = gateway.command(&["env:deploy", "s-made.test"]).run();
    deploy.code(1).says("line 1, column 1").says("has no stage");
    assert!(
        !gateway
            .data()
            .join("sites/s-made/environments/test/current")
            .exists()
    );
}

#[test]
fn steps_are_told_where_they_run_and_why() {
    let (site, tom, clone) = site("s-told");
    site.must(&["env:set", "SITE.dev", "database", "[::1]:3306"]);
    site.must(&["env:set", "SITE.test", "database", "db.example:3307"]);
    let old = clone.ask(&["rev-parse", "HEAD"]);
    let script = r#"printf 'told %s|' "$FUNICULAR_EVENT" "$FUNICULAR_STAGE" "$FUNICULAR_SITE" "$FUNICULAR_ENVIRONMENT" "$FUNICULAR_ACTOR" "$FUNICULAR_OLD_COMMIT" "$FUNICULAR_NEW_COMMIT" "$FUNICULAR_DATABASE_HOST" "$FUNICULAR_DATABASE_PORT"; echo; echo "noted $FUNICULAR_NOTE"; echo "in $FUNICULAR_WORKFLOW at $(pwd)""#;
    let both = "['sync_code', 'deploy', 'mode_change']";
    let file = format!(
        "{}environments = ['dev', 'test']\ndirectory = 'lib'\n{}",
        step("one", both, "before", script),
        step("two", both, "after", script)
    );
    let told =
        |words: &[&str]| -> String { words.iter().map(|word| format!("told {word}|")).collect() };
    let pushed = push(&clone, &file).ok();
    let new = clone.ask(&["rev-parse", "HEAD"]);
    let at = ["s-told", "dev", "tom"];
    let database = ["::1", "3306"];
    for stage in ["before", "after"] {
        let facts = [&["sync_code", stage][..], &at, &[&old, &new], &database].concat();
        assert!(pushed.screen().contains(&told(&facts)), "{pushed}");
    }
    let workflows = rows(&site, &["workflow:list", "SITE"]);
    let id = workflows
        .iter()
        .find(|row| row["workflow"] == "sync_code")
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .unwrap();
    assert!(
        pushed.screen().contains(&format!("in {id} at /code/lib")),
        "{pushed}"
    );
    // In the log, and as steps of the workflow.
    let log = site.must(&["workflow:logs", &id]).out();
    assert!(log.contains("before: one | told sync_code|"), "{log}");
    let info = site.must(&["workflow:info", &id, "--format", "json"]).out();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let steps: Vec<_> = info["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].clone())
        .collect();
    assert_eq!(
        steps,
        ["prepare", "before: one", "switch", "after: two", "record"]
    );

    let note = "It's \"quoted\"; $(id) `id` é";
    let deployed = site
        .console(&tom, &["env:deploy", "SITE.test", "--note", note])
        .run()
        .ok();
    let facts = [
        &["deploy", "before", "s-told", "test", "tom"][..],
        &["", &new, "db.example", "3307"],
    ]
    .concat();
    assert!(deployed.screen().contains(&told(&facts)), "{deployed}");
    assert!(
        deployed.screen().contains(&format!("noted {note}")),
        "{deployed}"
    );
    let switched = site
        .console(&tom, &["connection:set", "SITE.dev", "sftp", "--yes"])
        .run()
        .ok();
    let switched = switched
        .says("told mode_change|told before|")
        .says("told mode_change|told after|");
    assert!(!switched.screen().contains("told sync_code"), "{switched}");
    // What is committed by SFTP is code that arrives, too.
    site.sftp(&tom, "dev", "put /etc/hostname /code/lib/new.txt\n")
        .run()
        .ok();
    let committed = site
        .console(&tom, &["env:commit", "SITE.dev", "-m", "By SFTP"])
        .run()
        .ok();
    committed
        .says("told sync_code|told before|")
        .says("told sync_code|told after|");
    site.console(&tom, &["env:deploy", "SITE.test"]).run().ok();
    let back = site
        .console(&tom, &["env:rollback", "SITE.test"])
        .run()
        .ok();
    back.says("told deploy|told before|")
        .says("told deploy|told after|");
}

#[test]
fn the_commits_own_file_counts_and_sees_its_own_code() {
    let (site, _, clone) = site("s-own");
    push(
        &clone,
        &step("old", "'sync_code'", "before", "echo the old one; exit 1"),
    )
    .fails();
    let own = step("new", "'sync_code'", "before", "cat index.php");
    clone.commit("index.php", "the new code\n");
    let pushed = push(&clone, &own).ok();
    pushed.says("the new code").says_not("the old one");
    assert_eq!(runs(&site, "dev"), clone.ask(&["rev-parse", "HEAD"]));
}

#[test]
fn a_step_before_vetoes_and_one_that_may_fail_does_not() {
    let (site, tom, clone) = site("s-veto");
    push(&clone, "# none\n").ok();
    site.deploy_all();
    let veto = step(
        "check",
        "['sync_code', 'deploy']",
        "before",
        "echo because; exit 7",
    );
    let before = (
        refs(&site),
        generations(&site, "dev"),
        generations(&site, "test"),
    );
    let pushed = push(&clone, &veto).fails();
    pushed
        .says("remote: because")
        .says("The step 'check' failed: exit status 7");
    let now = (
        refs(&site),
        generations(&site, "dev"),
        generations(&site, "test"),
    );
    assert_eq!(now, before);
    assert!(last_row(&site, "dev").to_string().contains("exit status 7"));

    let only_test = format!("{veto}environments = ['test']\n");
    push(&clone, &only_test).ok().says_not("because");
    let folders = generations(&site, "test");
    let before = refs(&site);
    let deploy = site
        .console(&tom, &["env:deploy", "SITE.test"])
        .run()
        .code(1);
    deploy.says("because").says("exit status 7");
    assert_eq!((refs(&site), generations(&site, "test")), (before, folders));
    assert_eq!(last_row(&site, "test")["outcome"], "failed");

    let missing = veto.replace(
        "'sh', '-c', '''echo because; exit 7'''",
        "'no-such-program'",
    );
    push(&clone, &missing)
        .fails()
        .says("its program is not there");
    let tolerant = format!("{veto}on_failure = 'continue'\n");
    let pushed = push(&clone, &tolerant).ok();
    pushed.says("exit status 7. This stops nothing.");
    let after = veto.replace("'before'", "'after'");
    push(&clone, &after).ok().says("This stops nothing");
    assert_eq!(runs(&site, "dev"), clone.ask(&["rev-parse", "HEAD"]));
}
