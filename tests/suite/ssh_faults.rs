//! A fault in Funicular ends one session and no other.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Gateway, Role, wait_for};

const SOON: Duration = Duration::from_secs(30);

/// A name at whose sight a daemon built for tests panics.
const TRIGGER: &str = "please-panic-now";

#[test]
fn a_panic_ends_one_session_and_no_other() {
    let gateway = Arc::new(Gateway::start());
    gateway.stop(Signal::SIGTERM);
    gateway.serve_with(&[("FUNICULAR_PANIC_ON", TRIGGER)]);
    let site = gateway.site("t-panic");
    let (tom, dev) = (site.person(Role::TeamMember), site.person(Role::Developer));

    // Two sessions stay open; the one that will panic has a file open for writing in another
    // request of the same connection, so that its permit is alive.
    let mut other = site.sftp(dev, "dev", "").start_piped();
    let mut lines = other.child().stdin.take().unwrap();
    lines.write_all(b"ls /code\n").unwrap();

    let named = tom.desk("panic").join(TRIGGER);
    // The needle stands in the middle of the file's bytes, where an upload is under way.
    let mut bytes = vec![7; 20_000_000];
    bytes.extend(TRIGGER.as_bytes());
    bytes.extend(vec![7; 20_000_000]);
    std::fs::write(&named, bytes).unwrap();
    let local = named.display();
    let cut = site
        .sftp(tom, "dev", format!("put {local} /code/panic.bin\n"))
        .limit(SOON)
        .run();
    // The client may also die of a broken pipe.
    assert_ne!(cut.code, Some(0), "{cut}");
    wait_for("the line in the log", SOON, || {
        gateway
            .logged()
            .contains("ended this connection, and no other")
            .then_some(())
    });

    // Its permit wrote a row all the same.
    let rows = wait_for("the row", SOON, || {
        let rows = site
            .must(&["audit:list", "--site", "SITE", "--format", "json"])
            .out();
        rows.contains("interrupted").then_some(rows)
    });
    assert!(rows.contains("panic.bin"), "{rows}");
    site.must(&["audit:verify"]);

    // The other session goes on, on the same environment, and new ones come.
    let upload = dev.desk("panic").join("after.txt");
    std::fs::write(&upload, "after").unwrap();
    lines
        .write_all(format!("put {} /code/after.txt\nbye\n", upload.display()).as_bytes())
        .unwrap();
    drop(lines);
    let status = other.wait(SOON).expect("the other session hangs");
    assert!(status.success(), "the other session: {status}");
    assert_eq!(
        std::fs::read_to_string(site.disk("dev", "code").join("after.txt")).unwrap(),
        "after"
    );
    site.sftp(
        tom,
        "dev",
        format!("put {} /code/tom.txt\n", upload.display()),
    )
    .limit(SOON)
    .run()
    .ok();
    site.must(&["env:commit", "SITE.dev", "-m", "after a panic"]);

    // A command's task is one of its own; its connection ends in order, with a sentence.
    site.console(tom, &["site:info", TRIGGER])
        .limit(SOON)
        .run()
        .code(1)
        .says("Funicular has a fault");
    site.console(tom, &["site:list"]).limit(SOON).run().ok();
    site.must(&["audit:verify"]);
    assert_eq!(gateway.stop(Signal::SIGTERM), Some(0));
}
