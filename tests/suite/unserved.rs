//! What is never served, whoever asks: each refusal is in the audit under its rule, once for each time
//! that it was asked for, and the person reads why.

use support::{Client, Role, Shared, Site};

static SHARED: Shared = Shared::new();

#[test]
fn what_is_never_served_is_kept_in_the_audit() {
    let site = SHARED.gateway().site("t-unserved");
    let tom = site.person(Role::TeamMember);
    let there = site.destination("dev");
    let ssh = |words: &[&str]| tom.openssh("ssh").args(words);
    let with_agent = |words: &[&str]| {
        let ssh = ["ssh", "-F", tom.config().to_str().unwrap()].map(str::to_owned);
        tom.client("ssh-agent").args(ssh).args(words)
    };

    for (command, status) in [("bash -c id", 127), ("ls /", 127), ("md5sum $(id)", 2)] {
        let refused = ssh(&["-T", &there, command]).run().code(status);
        kept(&site, "command-not-served", &incident(&refused.screen()));
    }
    let refused = ssh(&["-s", &there, "netconf"]).run().fails();
    kept(&site, "subsystem-not-served", &incident(&refused.screen()));

    let wishes: [(&str, &str, Client); 3] = [
        (
            "no-terminal",
            "has no terminal",
            ssh(&["-tt", &there, "help"]),
        ),
        (
            "no-agent",
            "Your agent was not forwarded",
            with_agent(&["-A", "-o", "IdentityAgent=SSH_AUTH_SOCK", &there, "help"]),
        ),
        (
            "no-x11",
            "X11 was not forwarded",
            ssh(&["-Y", &there, "help"]).env("DISPLAY", "localhost:0"),
        ),
    ];
    for (rule, sentence, client) in wishes {
        // The command is answered all the same.
        client.run().ok().says(sentence);
        kept(&site, rule, sentence);
    }
    site.must(&["audit:verify"]);
}

fn incident(screen: &str) -> String {
    screen
        .split_once("[incident ")
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(incident, _)| incident.to_owned())
        .unwrap_or_else(|| panic!("no incident: {screen}"))
}

#[track_caller]
fn kept(site: &Site, rule: &str, text: &str) {
    let rows = site
        .must(&["audit:list", "--rule", rule, "--format", "json"])
        .out();
    assert!(rows.contains(text) && rows.contains("\"tom\""), "{rows}");
}
