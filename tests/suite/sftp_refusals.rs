//! Where the reason of a refusal is found: on the screen of each client, and in the audit.

use std::fs;
use std::time::Duration;

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Person, Role, Site, wait_for};

use crate::sftp_policy::{deployed, refused};

#[test]
fn the_reason_stands_on_the_screen_of_each_client() {
    let site = deployed("e-screen");
    let tom: &Person = site.person(Role::TeamMember);
    let desk = tom.desk("screen");
    fs::write(desk.join("evil.php"), "evil ".repeat(20)).unwrap();
    let before = site.tree("live", "code");
    for forbidden in [
        "put evil.php /code/evil.php",
        "put evil.php /code/index.php",
        "reput evil.php /code/index.php",
        "mkdir /code/evil",
        "rm /code/index.php",
        "rmdir /code/lib",
        "rename /code/index.php /code/evil.php",
        "rename -l /code/index.php /code/evil.php",
        "ln -s index.php /code/evil.php",
        "ln /code/index.php /code/evil.php",
        "chmod 777 /code/index.php",
        "cp /code/index.php /code/evil.php",
        "put -r . /code/evil",
    ] {
        let batch = format!("lcd {}\n{forbidden}\n", desk.display());
        let refused = site.sftp(tom, "live", batch).run().fails();
        let told = refused.err().lines().any(|line| {
            line.contains("[incident ") && line.contains("Live") && line.contains("read-only")
        });
        assert!(told, "no reason for {forbidden:?}: {refused}");
        site.tree("live", "code").must_equal(&before);
    }
    let status = paramiko(&site, tom, "sftp.open('/code/evil.php', 'w')");
    assert!(
        status.contains("[incident ") && status.contains("read-only"),
        "{status}"
    );
    let status = paramiko(&site, tom, "sftp.remove('/code/index.php')");
    assert!(
        status.contains("[incident ") && status.contains("read-only"),
        "{status}"
    );
    site.tree("live", "code").must_equal(&before);
}

#[test]
fn a_refusal_is_audited_under_the_incident_shown() {
    let site = deployed("p-incident");
    let mut raw = Raw::open(&site, site.person(Role::Developer), "live");
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let reply = raw.ask(|id| Request::open(id, "/code/evil.php", flags));
    let message = refused(&reply, "open in Live");
    let (_, id) = message
        .split_once("[incident ")
        .expect("checked by refused");
    let id = id.trim_end_matches(|end: char| !end.is_alphanumeric());
    // Floods are collapsed, so the row may be a moment late.
    wait_for("the audit row", Duration::from_secs(10), || {
        let rows = site.must(&[
            "audit:list",
            "--site",
            "SITE",
            "--decision",
            "refuse",
            "--format",
            "json",
        ]);
        let out = rows.out();
        (out.contains(id) && out.contains("evil.php") && out.contains("dana")).then_some(())
    });
    site.must(&["audit:verify"]);
}

/// Runs one statement and returns what paramiko says of its failure.
fn paramiko(site: &Site, person: &Person, statement: &str) -> String {
    let script = format!(
        "{}\ntry:\n    {statement}\nexcept IOError as error:\n    print(error)\nelse:\n    raise SystemExit('it worked')\n",
        crate::sftp_python::PARAMIKO
    );
    crate::sftp_python::run(
        "paramiko",
        &script,
        site,
        person,
        "live",
        &person.desk("paramiko"),
    )
    .ok()
    .out()
}
