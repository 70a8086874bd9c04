//! The console over ssh and on the server: what it prints, how it refuses, and that what it prints
//! can be pasted.

use serde_json::Value;
use support::{Client, Finished, Role, Shared, Site, tree};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn whoever_comes_without_a_command_is_greeted() {
    let site = SHARED.gateway().site("c-greet");
    let tom = site.person(Role::TeamMember);
    let greeted = tom.console(&[]).run().code(0);
    let greeted = greeted.says("Hello, tom!").says("c-greet").says("no shell");
    assert!(greeted.out().contains("sftp -P "), "{greeted}");
    let sten = site.person(Role::Stranger);
    sten.console(&[])
        .run()
        .code(0)
        .says("Hello, sten!")
        .says_not("c-greet");
    tom.openssh("ssh")
        .args(["-T", &site.destination("dev")])
        .run()
        .code(1)
        .says("gives no shell");
}

#[test]
fn help_lists_the_commands() {
    let gateway = SHARED.gateway();
    let tom = gateway.person(Role::TeamMember);
    for helped in [
        tom.console(&["help"]),
        gateway.command(&["help"]),
        gateway.command(&["--help"]),
    ] {
        let mut helped = helped.run().code(0);
        for command in [
            "site:create",
            "env:deploy",
            "hotfix:merge",
            "audit:list",
            "explain",
        ] {
            helped = helped.says(command);
        }
    }
    tom.console(&["env:deploy", "--help"])
        .run()
        .code(0)
        .says("--note");
    gateway
        .command(&["env:deploy", "--help"])
        .run()
        .code(0)
        .says("--note");
    gateway
        .command(&["--version"])
        .run()
        .code(0)
        .says("funicular");
}

#[test]
fn what_is_not_understood_ends_with_two() {
    let site = SHARED.gateway().site("c-usage");
    let tom = site.person(Role::TeamMember);
    for wrong in [
        &["nonsense"][..],
        &["site:nfo", "SITE"],
        &["site:info"],
        &["site:info", "SITE", "more"],
        &["env:info", "SITE"],
        &["env:info", "SITE.nope!"],
        &["env:info", ".dev"],
        &["env:commit", "SITE.dev"],
        &["env:list", "SITE", "--nonsense"],
        &["env:list", "SITE", "--format", "xml"],
        &["site:team:add", "SITE", "vera", "king"],
        &["hotfix:drop", "SITE", "x"],
        &["env:code-log", "SITE.dev", "--limit", "many"],
    ] {
        site.console(tom, wrong).run().code(2);
        site.command(wrong).run().code(2);
    }
    let refused = site.console(tom, &["env:info", "SITE"]).run();
    refused.says("<site_name>.<environment>");
}

#[test]
fn an_open_quote_is_bad_usage() {
    let site = SHARED.gateway().site("c-quote");
    let tom = site.person(Role::TeamMember);
    let words = ["-T", "console@gateway", "env:info 'c-quote.dev"];
    tom.openssh("ssh").args(words).run().code(2).says("quote");
}

#[test]
fn a_refusal_ends_with_three_and_tells_no_stranger_what_there_is() {
    let site = SHARED.gateway().site("c-refused");
    let sten = site.person(Role::Stranger);
    for words in [
        &["site:info", "SITE"][..],
        &["site:team:list", "SITE"],
        &["env:list", "SITE"],
        &["env:info", "SITE.dev"],
        &["connection:info", "SITE.dev"],
        &["env:diffstat", "SITE.dev"],
        &["env:code-log", "SITE.dev"],
        &["hotfix:list", "SITE"],
        &["workflow:list", "SITE"],
        &["env:restore-work", "SITE.dev", "--list"],
        &["env:deploy", "SITE.test"],
        &["env:rollback", "SITE.test"],
        &["connection:set", "SITE.dev", "git"],
        &["site:team:add", "SITE", "sten"],
        &["site:set", "SITE", "force-push", "yes"],
        &["hotfix:merge", "SITE", "x"],
        &["hotfix:drop", "SITE", "x", "--reason", "y"],
        &["audit:list", "--site", "SITE"],
    ] {
        let real = site.console(sten, words).run().code(3);
        let imagined: Vec<String> = words
            .iter()
            .map(|word| word.replace("SITE", "no-site"))
            .collect();
        let imagined: Vec<&str> = imagined.iter().map(String::as_str).collect();
        let imagined = sten.console(&imagined).run().code(3);
        let bare = |said: &Finished| {
            let text = said
                .screen()
                .replace("c-refused", "NAME")
                .replace("no-site", "NAME");
            let (before, after) = text.split_once("[incident ").expect("an incident");
            let after: String = after.chars().skip_while(|c| *c != ']').collect();
            format!("{before}{after}")
        };
        assert_eq!(bare(&real), bare(&imagined), "{words:?}");
    }
    for words in [
        &["user:list"][..],
        &["user:add", "eve", "--administrator"],
        &["user:remove", "vera"],
        &["site:create", "mine"],
        &["audit:list"],
        &["audit:verify"],
        &["ssh-key:list", "--user", "ada"],
        &["explain", "ada", "audit", "server"],
    ] {
        let tom = site.person(Role::TeamMember);
        site.console(tom, words).run().code(3).says("[incident ");
    }
    site.must(&["user:list"]).says_not("eve");
    site.must(&["site:list"]).says_not("mine");
}

#[test]
fn every_list_can_be_read_by_a_program() {
    let site = SHARED.gateway().site("c-json");
    let ada = site.person(Role::Administrator);
    for words in [
        &["site:list"][..],
        &["site:info", "SITE"],
        &["site:team:list", "SITE"],
        &["user:list"],
        &["ssh-key:list", "--user", "ada"],
        &["env:list", "SITE"],
        &["env:info", "SITE.dev"],
        &["env:info", "SITE.live"],
        &["connection:info", "SITE.dev"],
        &["connection:info", "SITE.live"],
        &["env:diffstat", "SITE.dev"],
        &["env:restore-work", "SITE.dev", "--list"],
        &["env:code-log", "SITE.dev"],
        &["env:code-log", "SITE.live"],
        &["hotfix:list", "SITE"],
        &["workflow:list", "SITE"],
        &["audit:list", "--limit", "5"],
        &["explain", "dana", "deploy", "SITE.live"],
    ] {
        let words_json = [words, &["--format", "json"]].concat();
        for printed in [site.command(&words_json), site.console(ada, &words_json)] {
            let printed = printed.run().code(0);
            let value: Value = serde_json::from_slice(&printed.stdout)
                .unwrap_or_else(|error| panic!("{error}: {printed}"));
            let is_record = words[0].ends_with(":info") || words[0] == "explain";
            assert_eq!(value.is_object(), is_record, "{printed}");
            let rows = value.as_array().cloned().unwrap_or_else(|| vec![value]);
            let Some(fields) = rows.first().and_then(Value::as_object) else {
                continue;
            };
            let name = fields.keys().next().expect("a field");
            let one = site
                .command(&[words, &["--field", name]].concat())
                .run()
                .code(0);
            if !words[0].starts_with("audit") {
                assert_eq!(one.out().lines().count(), rows.len(), "{one}");
            }
        }
        site.command(words).run().code(0);
    }
    let refused = site
        .command(&["env:info", "SITE.dev", "--field", "nonsense"])
        .run()
        .fails();
    refused.says("connection_mode");
    site.must(&["env:info", "SITE.dev", "--field", "connection_mode"])
        .says("sftp");
    let team = site
        .must(&["site:team:list", "SITE", "--field", "role"])
        .out();
    let mut team: Vec<&str> = team.lines().collect();
    team.sort_unstable();
    assert_eq!(team, ["developer", "team_member", "viewer"]);
}

#[test]
fn the_lines_of_connection_info_can_be_pasted() {
    let site = SHARED.gateway().site("c-paste");
    let tom = site.person(Role::TeamMember);
    let desk = tom.desk("c-paste");
    let field = |name: &str| {
        let shown = site
            .console(tom, &["connection:info", "SITE.dev", "--field", name])
            .run()
            .ok();
        shown.out().trim().to_owned()
    };
    // As if the settings stood in ~/.ssh/config.
    let sftp = format!(
        "sftp() {{ command sftp -F '{}' \"$@\"; }}\n",
        tom.config().display()
    );
    let sftp_command = field("sftp_command");
    paste(&site, &format!("{sftp}{sftp_command}\n"))
        .folder(&desk)
        .input("get /code/index.php\n")
        .run()
        .ok();
    assert_eq!(
        std::fs::read_to_string(desk.join("index.php")).unwrap(),
        "<?php echo 'first';\n"
    );
    let git_command = field("git_command");
    paste(&site, &git_command).folder(&desk).run().ok();
    tree::Tree::read(desk.join("c-paste"))
        .without(|path| path.starts_with(b".git"))
        .must_equal(&site.tree("dev", "code"));
    // And the lines of the greeting.
    let greeted = tom.console(&[]).run().ok().out();
    let line = |start: &str| {
        let mut found = greeted
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with(start));
        found
            .find(|line| line.contains("c-paste"))
            .expect("the greeting names the site")
            .to_owned()
    };
    let again = tom.desk("c-paste-again");
    paste(&site, &format!("{sftp}{}\n", line("sftp ")))
        .folder(&again)
        .input("get /code/index.php\n")
        .run()
        .ok();
    assert!(again.join("index.php").exists());
    paste(&site, &line("git ")).folder(&again).run().ok();
    let ssh = format!(
        "ssh() {{ command ssh -F '{}' \"$@\"; }}\n",
        tom.config().display()
    );
    paste(&site, &format!("{ssh}{}\n", line("ssh ")))
        .run()
        .ok()
        .says("live");
    site.deploy_all();
    let live = site
        .console(tom, &["connection:info", "SITE.live"])
        .run()
        .ok();
    live.says("hotfix").says_not("git clone");
}

fn paste(site: &Site, lines: &str) -> Client {
    site.person(Role::TeamMember)
        .client("sh")
        .args(["-c", lines])
}
