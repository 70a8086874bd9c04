//! Where rsync cannot be served: no rsync, one that is too old, or a kernel that cannot confine it.
//! The reason is on the person's screen and in the audit, and nothing is changed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::signal::Signal;
use support::{Gateway, Role, Site, Tree, wait_for};

use crate::rsync::{audit, audited, fetch, rsync, up_of};

const OLD_RSYNC: &str = env!("CARGO_BIN_EXE_old-rsync");
const WITHOUT_LANDLOCK: &str = env!("CARGO_BIN_EXE_without-landlock");

#[test]
fn without_rsync_the_person_is_told_so() {
    let (gateway, site) = site("r-missing");
    // All that Debian has but rsync.
    let programs = gateway.folder().join("programs");
    fs::create_dir(&programs).unwrap();
    for program in fs::read_dir("/usr/bin").unwrap().flatten() {
        if program.file_name() != "rsync" {
            symlink(program.path(), programs.join(program.file_name())).unwrap();
        }
    }
    gateway.stop(Signal::SIGTERM);
    gateway.serve_with(&[("PATH", programs.to_str().unwrap())]);
    refused(
        &site,
        &[],
        "rsync-unavailable",
        "is not installed on this server",
    );
    served_again(&gateway, &site);
}

#[test]
fn an_rsync_of_the_server_that_is_too_old_is_not_used() {
    let (gateway, site) = site("r-old");
    let programs = gateway.folder().join("programs");
    fs::create_dir(&programs).unwrap();
    fs::copy(OLD_RSYNC, programs.join("rsync")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    gateway.stop(Signal::SIGTERM);
    gateway.serve_with(&[("PATH", &path)]);
    let sentence = "installed on this server is too old";
    refused(&site, &[], "rsync-unavailable", sentence);
    served_again(&gateway, &site);
}

#[test]
fn an_rsync_of_the_client_that_is_too_old_is_told_so() {
    let (_gateway, site) = site("r-ancient");
    let old = &["--protocol=29"];
    refused(&site, old, "rsync-too-old", "This rsync is too old");
}

#[test]
fn without_landlock_no_rsync_is_run() {
    let (gateway, site) = site("r-landlock");
    gateway.stop(Signal::SIGTERM);
    gateway.serve_through(&[Path::new(WITHOUT_LANDLOCK)], &[]);
    let sentence = "this server's kernel cannot confine it";
    refused(&site, &[], "rsync-unavailable", sentence);
    assert!(gateway.logged().contains("asking the kernel for Landlock"));
    // All else is served.
    let tom = site.person(Role::TeamMember);
    site.sftp(tom, "dev", "ls /code\n").run().ok();
    served_again(&gateway, &site);
}

fn site(name: &str) -> (Arc<Gateway>, Site) {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site(name);
    (gateway, site)
}

/// Requires that both ways are refused in these words, and that nothing was changed or is left.
fn refused(site: &Site, flags: &[&str], rule: &str, sentence: &str) {
    let tom = site.person(Role::TeamMember);
    let desk = tom.desk("refused");
    let up = desk.join("up");
    Tree::sample().write(&up);
    let before = disk(site);
    let flags = [&["-a"], flags].concat();
    let down = desk.join("down");
    for client in [
        rsync(site, tom, "dev", &flags, &[&up_of(&up)], "/files/"),
        fetch(site, tom, "dev", &flags, "/code/", &down),
    ] {
        let refused = client.run().fails().says("Refused: ").says(sentence);
        audited(site, &refused);
        let rows = audit(site, &["--decision", "refuse", "--rule", rule]);
        assert!(rows.contains(sentence), "{rows}");
    }
    assert!(disk(site) == before, "something was changed");
    assert_eq!(fs::read_dir(&down).unwrap().count(), 0);
    // What it was to run in is removed when its process has ended.
    let spool = site.disk("dev", "uploads");
    wait_for("an empty spool", std::time::Duration::from_secs(20), || {
        (fs::read_dir(&spool).unwrap().count() == 0).then_some(())
    });
}

/// As it was before, the same transfer goes through.
fn served_again(gateway: &Gateway, site: &Site) {
    gateway.stop(Signal::SIGTERM);
    gateway.serve();
    let tom = site.person(Role::TeamMember);
    let up = tom.desk("refused").join("up");
    rsync(site, tom, "dev", &["-a"], &[&up_of(&up)], "/files/")
        .run()
        .ok();
}

fn disk(site: &Site) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    crate::rsync::everything(site, "dev")
}
