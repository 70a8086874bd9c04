//! Keys and certificates that were revoked, by each means that `ssh-keygen -k` has.

use std::fs;
use std::time::Duration;

use support::authority::{Authority, fingerprint, newcomer, try_to_enter};
use support::gateway::change_setting;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Role, wait_for};

use crate::certificates::{audit, refused, site};

const WITHIN: Duration = Duration::from_secs(10);

#[test]
fn what_a_revocation_list_names_lets_nobody_in() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("revoked");
    fs::write(&list, "# nobody yet\n").unwrap();
    let path = format!("{:?}", list.display().to_string());
    let (site, authority) = site("r-means", &[("identity", "revoked", &path)]);
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let robot = newcomer(&site.gateway, "robot");
    authority.sign(&robot, &["-I", "the-robot", "-n", "tom", "-z", "4711"]);
    let key = fs::read_to_string(robot.public_key()).unwrap();
    let key = key.trim();
    let own = fingerprint(&robot.public_key());
    let bitmap: String = (4700..4730)
        .step_by(2)
        .map(|even| format!("serial: {}\n", even + 1))
        .collect();
    let write = |text: &str| {
        let fresh = folder.path().join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::rename(fresh, &list).unwrap();
    };
    let krl = |lines: &str| authority.revoke(&list, lines);
    let authority_key = fs::read_to_string(authority.public_key()).unwrap();
    let means: Vec<Means<'_>> = vec![
        ("serial", Box::new(|| krl("serial: 4711\n"))),
        ("range", Box::new(|| krl("serial: 4000-5000\n"))),
        ("bitmap", Box::new(|| krl(&bitmap))),
        ("id", Box::new(|| krl("id: the-robot\n"))),
        ("key", Box::new(|| krl(&format!("key: {key}\n")))),
        ("sha1", Box::new(|| krl(&format!("sha1: {key}\n")))),
        ("sha256", Box::new(|| krl(&format!("sha256: {key}\n")))),
        ("hash", Box::new(|| krl(&format!("hash: {own}\n")))),
        (
            "authority",
            Box::new(|| krl(&format!("key: {}\n", authority_key.trim()))),
        ),
        (
            "a plain list's fingerprint",
            Box::new(|| write(&format!("# stolen\n{own}\n"))),
        ),
        (
            "a plain list's key",
            Box::new(|| write(&format!("{key}\n"))),
        ),
    ];
    for (name, revoke) in means {
        krl("serial: 1\nserial: 4710\nid: another\n");
        wait_for(name, WITHIN, || {
            (try_to_enter(&robot).code == Some(0)).then_some(())
        });
        let mut raw = Raw::open(&site, &robot, "dev");
        let path = format!("/code/{}", name.replace([' ', '\''], "-"));
        let handle = raw.open_file(&path, packets::FLAG_WRITE | packets::FLAG_CREATE);
        raw.ask(|id| Request::write(id, &handle, 0, b"a"))
            .must_be(packets::OK);
        revoke();
        let (_, told) = wait_for(name, Duration::from_secs(3), || {
            let answer = raw.ask(|id| Request::write(id, &handle, 0, b"b"));
            answer
                .status()
                .filter(|(code, _)| *code == packets::PERMISSION_DENIED)
        });
        assert!(told.contains("has been revoked"), "{name}: {told}");
        refused(&site, &robot, "Your certificate has been revoked");
    }
    assert!(!audit(&site, &["--rule", "key-revoked"]).is_empty());

    // Plain keys too.
    let tom = site.person(Role::TeamMember);
    try_to_enter(tom).code(0);
    write(&fs::read_to_string(tom.public_key()).unwrap());
    wait_for("tom's key", WITHIN, || {
        (try_to_enter(tom).code == Some(255)).then_some(())
    });
    refused(&site, tom, "has been revoked");
}

/// Authorities that the configuration names: a file, which may change, and a key itself.
#[test]
fn authorities_of_the_configuration_are_trusted_as_long_as_they_stand_there() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        Authority::new(folder.path(), "one"),
        Authority::new(folder.path(), "two"),
    );
    let read = |authority: &Authority| fs::read_to_string(authority.public_key()).unwrap();
    let file = folder.path().join("authorities.pub");
    fs::write(&file, format!("# ours\n{}", read(&one))).unwrap();
    let setting = format!(
        "[{:?}, {:?}]",
        file.display().to_string(),
        read(&two).trim()
    );
    let (site, _) = site("r-configured", &[("identity", "authorities", &setting)]);
    site.must(&["ca:list"])
        .says(&one.fingerprint())
        .says(&two.fingerprint());
    site.command(&["ca:remove", &one.fingerprint()])
        .run()
        .code(1)
        .says("stands in the configuration");
    let robot = newcomer(&site.gateway, "robot");
    for authority in [&two, &one] {
        authority.sign(&robot, &["-I", "x", "-n", "tom"]);
        try_to_enter(&robot).code(0).says("Hello, tom!");
    }
    let mut raw = Raw::open(&site, &robot, "dev");
    let handle = raw.open_file("/code/x", packets::FLAG_WRITE | packets::FLAG_CREATE);
    fs::write(&file, "# none\n").unwrap();
    let (_, told) = wait_for("the authority's end", Duration::from_secs(3), || {
        let answer = raw.ask(|id| Request::write(id, &handle, 0, b"b"));
        answer
            .status()
            .filter(|(code, _)| *code == packets::PERMISSION_DENIED)
    });
    assert!(told.contains("no longer trusted"), "{told}");
    refused(&site, &robot, "is no authority that is trusted here");

    let config = site.gateway.config();
    for (section, key, value) in [
        ("identity", "authorities", "[\"ssh-ed25519 AAAA\"]"),
        ("identity", "authorities", "[\"relative.pub\"]"),
        ("identity", "role_principals", "\"{role}\""),
        ("identity", "revoked", "\"relative.krl\""),
        ("identity.principals", "\"x\"", "\"acme:owner\""),
    ] {
        let wrong = folder.path().join("wrong.toml");
        fs::copy(&config, &wrong).unwrap();
        change_setting(&wrong, section, key, value);
        site.gateway
            .command(&["check-config", &wrong.display().to_string()])
            .run()
            .fails()
            .says("identity");
    }
}

/// A means of revoking, and how it is done.
type Means<'a> = (&'static str, Box<dyn Fn() + 'a>);

#[test]
fn a_list_that_cannot_be_read_lets_no_certificate_in() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("revoked.krl");
    fs::write(&list, "").unwrap();
    let path = format!("{:?}", list.display().to_string());
    let (site, authority) = site("r-broken", &[("identity", "revoked", &path)]);
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let robot = newcomer(&site.gateway, "robot");
    authority.sign(&robot, &["-I", "x", "-n", "tom"]);
    let tom = site.person(Role::TeamMember);
    let enters = |code: i32| {
        wait_for("the list's effect", WITHIN, || {
            (try_to_enter(&robot).code == Some(code)).then_some(())
        });
    };
    authority.revoke(&list, "serial: 1\n");
    enters(0);
    let whole = fs::read(&list).unwrap();
    for broken in [&whole[..whole.len() - 1], b"not a list", b"\xff\xff"] {
        fs::write(&list, broken).unwrap();
        enters(255);
        refused(&site, &robot, "cannot read its list of revoked keys");
        try_to_enter(tom).code(0);
        assert!(
            site.gateway
                .logged()
                .contains("cannot be used, so no certificate is taken")
        );
        fs::write(&list, &whole).unwrap();
        enters(0);
    }
    fs::remove_file(&list).unwrap();
    enters(255);
    refused(&site, &robot, "cannot read its list of revoked keys");
    // Never read since the start: no key is known to be good.
    site.gateway.stop(nix::sys::signal::Signal::SIGTERM);
    site.gateway.serve();
    refused(&site, tom, "cannot read its list of revoked keys");
    fs::write(&list, &whole).unwrap();
    wait_for("tom", WITHIN, || {
        (try_to_enter(tom).code == Some(0)).then_some(())
    });
}
