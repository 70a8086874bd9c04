//! The team: what is given or taken acts at once, also on sessions that are open.

use std::time::Duration;

use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::{Person, Role, Shared, Site, personas};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn a_role_acts_at_once_on_an_open_session() {
    let site = SHARED.gateway().site("t-role");
    let ada = site.person(Role::Administrator);
    let dana = site.person(Role::Developer);
    let set = |words: &[&str]| site.console(ada, words).run().ok();
    let mut raw = Raw::open(&site, dana, "dev");
    let handle = raw.open_file("/code/new.php", packets::FLAG_WRITE | packets::FLAG_CREATE);
    let write = |raw: &mut Raw| raw.ask(|id| Request::write(id, &handle, 0, b"text"));
    write(&mut raw).must_be(packets::OK);
    set(&["site:team:role", "SITE", "dana", "viewer"]);
    write(&mut raw).must_be(packets::PERMISSION_DENIED);
    open(&mut raw, "/code/other.php").must_be(packets::PERMISSION_DENIED);
    assert_eq!(raw.read_file("/code/index.php"), b"<?php echo 'first';\n");
    set(&["site:team:remove", "SITE", "dana"]);
    raw.ask(|id| Request::open(id, "/code/index.php", packets::FLAG_READ))
        .must_be(packets::PERMISSION_DENIED);
    raw.ask(|id| Request::of(packets::OPENDIR, id, "/code"))
        .must_be(packets::PERMISSION_DENIED);
    site.console(dana, &["site:info", "SITE"]).run().code(3);
    set(&["site:team:add", "SITE", "dana", "developer"]);
    let opened = open(&mut raw, "/code/other.php");
    assert_eq!(opened.kind, packets::HANDLE, "{opened:?}");

    site.must(&["site:team:list", "SITE"]).says("dana");
    for wrong in [
        &["site:team:role", "SITE", "sten", "viewer"][..],
        &["site:team:remove", "SITE", "sten"],
        &["site:team:add", "SITE", "nobody-there"],
    ] {
        site.console(ada, wrong).run().code(1);
    }
    site.console(dana, &["site:team:add", "SITE", "sten"])
        .run()
        .code(3);
    site.must(&["site:team:list", "SITE"]).says_not("sten");
}

#[test]
fn a_site_administrator_rules_one_site_only() {
    let site = SHARED.gateway().site("t-admin");
    let other = SHARED.gateway().site("t-other");
    let sten = site.person(Role::Stranger);
    site.must(&["site:team:add", "SITE", "sten", "administrator"]);
    site.console(sten, &["site:team:add", "SITE", "mallory", "viewer"])
        .run()
        .ok();
    site.console(sten, &["site:team:remove", "SITE", "mallory"])
        .run()
        .ok();
    site.console(sten, &["audit:list", "--site", "SITE"])
        .run()
        .ok()
        .says("mallory");
    site.console(sten, &["audit:list"]).run().code(3);
    other
        .console(sten, &["site:team:add", "SITE", "mallory", "viewer"])
        .run()
        .code(3);
    site.console(sten, &["user:add", "eve"]).run().code(3);
    let listed = sten
        .console(&["site:list", "--field", "name"])
        .run()
        .ok()
        .out();
    assert_eq!(listed, "t-admin\n");
}

#[test]
fn who_is_removed_is_out_at_once() {
    let site = SHARED.gateway().site("t-out");
    let zoe = newcomer(&site, "zoe");
    site.must(&["user:add", "zoe", "--email", "zoe@example.org"]);
    site.must(&[
        "ssh-key:add",
        &zoe.public_key().display().to_string(),
        "--user",
        "zoe",
    ]);
    site.must(&["site:team:add", "SITE", "zoe", "developer"]);
    let mut raw = Raw::open(&site, &zoe, "dev");
    let handle = raw.open_file("/code/new.php", packets::FLAG_WRITE | packets::FLAG_CREATE);
    site.must(&["user:remove", "zoe"]);
    let id = raw.id();
    // Refused, or cut off: both will do, a yes will not.
    let _ = raw.try_send_bytes(&Request::write(id, &handle, 0, b"text").bytes());
    if let Ok(reply) = raw.try_receive(Duration::from_secs(30)) {
        reply.must_be(packets::PERMISSION_DENIED);
        open(&mut raw, "/code/other.php").must_be(packets::PERMISSION_DENIED);
    }
    site.sftp(&zoe, "dev", "ls\n").run().fails();
    zoe.console(&["site:list"]).run().fails();
    site.must(&["site:team:list", "SITE"]).says_not("zoe");
    site.must(&["user:list"]).says_not("zoe");
    assert_ne!(
        site.tree("dev", "code").content("new.php"),
        Some(&b"text"[..])
    );
    site.command(&["user:remove", "zoe"]).run().code(1);
    site.command(&["user:remove", "ada"])
        .run()
        .code(1)
        .says("only administrator");
}

#[test]
fn people_bring_their_own_keys_over_ssh() {
    let site = SHARED.gateway().site("t-keys");
    let vera = site.person(Role::Viewer);
    let key = vera.desk("t-keys").join("second");
    personas::make_key(&key, &["-t", "ed25519"], "the second");
    let public = std::fs::read(format!("{}.pub", key.display())).unwrap();
    let add =
        |person: &Person, input: &[u8]| person.console(&["ssh-key:add", "-"]).input(input).run();
    let enter = || {
        vera.openssh("ssh")
            .args(["-T", "-o", "IdentityFile=none", "-i"])
            .arg(&key)
            .args(["console@gateway", "site:list"])
            .run()
    };
    add(vera, &public).ok().says("SHA256:");
    enter().ok().says("t-keys");
    add(vera, &public).code(1).says("already");
    add(site.person(Role::Developer), &public)
        .code(1)
        .says("somebody else");
    let private = std::fs::read(&key).unwrap();
    for nonsense in [
        &private[..],
        b"",
        b"ssh-ed25519 AAAA",
        b"\0\xff",
        b"ssh-dss AAAAB3NzaC1kc3M=",
    ] {
        let refused = add(vera, nonsense).code(1);
        assert!(!refused.err().contains("panicked"), "{refused}");
    }
    vera.console(&["ssh-key:add", "-", "--user", "ada"])
        .input(&public)
        .run()
        .code(3);
    vera.console(&["ssh-key:add", "/etc/passwd"]).run().code(1);
    let ids = vera
        .console(&["ssh-key:list", "--field", "id"])
        .run()
        .ok()
        .out();
    assert_eq!(ids.lines().count(), 2, "{ids}");
    let ada = site.person(Role::Administrator);
    let hers = ada
        .console(&["ssh-key:list", "--field", "id"])
        .run()
        .ok()
        .out();
    vera.console(&["ssh-key:remove", hers.trim()]).run().code(3);
    let descriptions = vera
        .console(&["ssh-key:list", "--field", "description"])
        .run()
        .ok()
        .out();
    let at = descriptions
        .lines()
        .position(|line| line.contains("second"))
        .expect("it is listed");
    let id = ids.lines().nth(at).expect("as many ids");
    vera.console(&["ssh-key:remove", id]).run().ok();
    vera.console(&["ssh-key:remove", id]).run().code(1);
    vera.console(&["site:list"]).run().ok();
    ada.console(&["ssh-key:list", "--user", "vera"])
        .run()
        .ok()
        .says_not("the second");
}

fn open(raw: &mut Raw, path: &str) -> Reply {
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE;
    raw.ask(|id| Request::open(id, path, flags))
}

fn newcomer(site: &Site, name: &str) -> Person {
    let person = Person::new(&site.gateway.folder().join("people"), name);
    let known = site.person(Role::TeamMember).known_hosts();
    person.meet(site.address(), &std::fs::read_to_string(known).unwrap());
    person
}
