//! What stands in the way of a request: pipes, sockets and hard links that nobody but a site's own
//! program can have planted. Each client hears why, and each refusal is in the audit with its rule.

use std::fs;
use std::os::unix::net::UnixListener;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use support::{Finished, Role, Shared, Site};

use crate::rsync::{audit, audited};

static SHARED: Shared = Shared::new();

const SPECIAL: &str = "only-files-and-folders";
const LINKED: &str = "hard-link-leaves-its-area";

#[test]
fn pipes_sockets_and_hard_links_are_refused_aloud_and_audited() {
    let site = SHARED.gateway().site("way");
    let tom = site.person(Role::TeamMember).clone();
    let desk = tom.desk("way");
    fs::write(desk.join("new"), "new").unwrap();
    let files = site.disk("dev", "files");
    mkfifo(&files.join("pipe"), Mode::from_bits_truncate(0o666)).unwrap();
    let _socket = UnixListener::bind(files.join("socket")).unwrap();
    let outside = files.parent().unwrap().join("outside");
    fs::write(&outside, "kept").unwrap();
    fs::hard_link(&outside, files.join("hard")).unwrap();
    fs::write(files.join("own"), "own").unwrap();

    for (command, rule) in [
        ("put new /files/pipe", SPECIAL),
        ("put new /files/socket", SPECIAL),
        ("chmod 600 /files/pipe", SPECIAL),
        ("chmod 600 /files/hard", LINKED),
        ("ln /files/own /tmp/own", LINKED),
    ] {
        let batch = format!("lcd {}\n{command}\n", desk.display());
        let refused = site.sftp(&tom, "dev", batch).run().fails();
        kept(&site, &refused, rule);
    }
    let there = |place: &str| format!("{}:{place}", site.destination("dev"));
    for (from, to) in [
        ("new", there("/files/pipe")),
        (&there("/files/pipe"), "down".to_owned()),
        (&there("/files/socket"), "down".to_owned()),
    ] {
        let scp = tom.openssh("scp").folder(&desk);
        let refused = scp.args(["-O", from, &to]).run().fails();
        kept(&site, &refused, SPECIAL);
    }
    let destination = site.destination("dev");
    let sum = tom
        .openssh("ssh")
        .args([&destination, "sha256sum /files/pipe"]);
    kept(&site, &sum.run().fails(), SPECIAL);

    assert_eq!(fs::read(&outside).unwrap(), b"kept");
    assert!(!site.disk("dev", "tmp").join("own").exists());
    assert!(!desk.join("down").exists());
    // An upload gives the name a file of its own, as the sentence says.
    let batch = format!("lcd {}\nput new /files/hard\n", desk.display());
    site.sftp(&tom, "dev", batch).run().ok();
    assert_eq!(fs::read(&outside).unwrap(), b"kept");
    assert_eq!(fs::read(files.join("hard")).unwrap(), b"new");
}

/// Requires a row of this rule for the incident that was shown.
fn kept(site: &Site, refused: &Finished, rule: &str) {
    audited(site, refused);
    let screen = refused.screen();
    let (_, after) = screen.split_once("[incident ").expect("checked above");
    let (incident, _) = after.split_once(']').expect("checked above");
    let rows = audit(site, &["--decision", "refuse", "--rule", rule]);
    assert!(rows.contains(incident), "not by {rule}: {refused}");
}
