//! What happens to sessions that are open when a mode is switched, a release deployed, a role or a
//! key taken away: within a second.

use std::fs;
use std::time::{Duration, Instant};

use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::{Person, Role, Shared, Site, Tree, tree, wait_for};

static SHARED: Shared = Shared::new();

const UP: u32 = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;

#[test]
fn a_mode_switch_refuses_the_next_write_and_keeps_the_old_file() {
    let (site, tom) = site("r-mode");
    let mut raw = Raw::open(&site, &tom, "dev");
    let part = raw.open_file("/code/index.php", UP);
    let place = raw.open_file("/code/lib/menu.php", packets::FLAG_WRITE);
    let complete = raw.open_file("/code/complete", UP);
    let content = raw.open_file("/files/photo", UP);
    for handle in [&part, &complete, &content] {
        raw.ask(|id| Request::write(id, handle, 0, b"some"))
            .must_be(packets::OK);
    }
    site.set_mode("git");
    let live = site.tree("dev", "code");
    let switched = Instant::now();
    for handle in [&part, &place] {
        let said = raw
            .ask(|id| Request::write(id, handle, 4, b"more"))
            .must_be(packets::PERMISSION_DENIED);
        assert!(said.contains("[incident "), "{said}");
    }
    // All that was missing was the close.
    let said = raw
        .ask(|id| Request::of(packets::CLOSE, id, &complete))
        .must_be(packets::PERMISSION_DENIED);
    assert!(said.contains("replaced"), "{said}");
    assert!(switched.elapsed() < Duration::from_secs(1));
    site.tree("dev", "code").must_equal(&live);
    assert!(!live.holds("complete"));
    let incident = said.rsplit_once("[incident ").unwrap().1;
    let incident = incident.trim_end_matches(']');
    site.must(&["audit:list", "--site", "SITE", "--decision", "refuse"])
        .says(incident);
    // Content has no mode.
    raw.ask(|id| Request::write(id, &content, 4, b" photo"))
        .must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &content))
        .must_be(packets::OK);
    assert_eq!(
        site.tree("dev", "files").content("photo"),
        Some(&b"some photo"[..])
    );
}

#[test]
fn a_slow_download_and_a_listing_end_on_the_release_that_they_began_on() {
    let (site, tom) = site("r-deploy");
    let desk = tom.desk("r-deploy");
    let content = tree::noise(71, 6 << 20);
    fs::write(desk.join("big"), &content).unwrap();
    let names = (0..600).fold(Tree::default(), |tree, number| {
        tree.file(format!("name-{number:03}"), "x")
    });
    names.write(desk.join("names"));
    let put = format!(
        "put {desk}/big /code/big\nput -r {desk}/names /code/names\n",
        desk = desk.display()
    );
    site.sftp(&tom, "dev", put).run().ok();
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "the first"])
        .run()
        .ok();
    site.deploy_all();

    let get = format!("get /code/big {}/down\n", desk.display());
    let slow = site.sftp_with(&tom, "live", &["-l", "20000"], get).start();
    wait_for(
        "the beginning of the download",
        Duration::from_secs(30),
        || {
            let found = fs::metadata(desk.join("down")).ok()?;
            (found.len() > 100_000).then_some(())
        },
    );
    let mut raw = Raw::open(&site, &tom, "live");
    let file = raw.open_file("/code/big", packets::FLAG_READ);
    let listing = raw
        .ask(|id| Request::of(packets::OPENDIR, id, "/code/names"))
        .handle();
    let mut listed = raw
        .ask(|id| Request::of(packets::READDIR, id, &listing))
        .names();
    assert!(listed.len() < 600, "one answer held all {}", listed.len());

    fs::write(desk.join("big"), "the second").unwrap();
    let second = format!("put {}/big /code/big\nrm /code/names/*\n", desk.display());
    site.sftp(&tom, "dev", second).run().ok();
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "the second"])
        .run()
        .ok();
    site.deploy_all();
    assert_eq!(raw.read_file("/code/big"), b"the second");
    let old = raw.ask(|id| Request::read(id, &file, 5 << 20, 1000)).data();
    assert!(old == content[5 << 20..(5 << 20) + 1000]);
    loop {
        let reply = raw.ask(|id| Request::of(packets::READDIR, id, &listing));
        if reply.kind == packets::STATUS {
            reply.must_be(packets::EOF);
            break;
        }
        listed.extend(reply.names());
    }
    listed.retain(|name| name.starts_with(b"name-"));
    assert_eq!(listed.len(), 600);
    slow.finish().ok();
    assert!(fs::read(desk.join("down")).unwrap() == content);
}

#[test]
fn a_lost_role_and_a_lost_key_end_all_that_was_open() {
    for (name, end) in [
        ("r-role", &["site:team:remove", "SITE", "PERSON"][..]),
        ("r-key", &["ssh-key:remove", "KEY"]),
        ("r-person", &["user:remove", "PERSON"]),
    ] {
        let site = SHARED.gateway().site(name);
        let zoe = newcomer(&site, &name.replace('-', ""));
        let mut raw = Raw::open(&site, &zoe, "dev");
        let writes = raw.open_file("/code/index.php", UP);
        let reads = raw.open_file("/code/lib/menu.php", packets::FLAG_READ);
        let lists = raw
            .ask(|id| Request::of(packets::OPENDIR, id, "/code"))
            .handle();
        raw.ask(|id| Request::write(id, &writes, 0, b"evil"))
            .must_be(packets::OK);
        let before = site.tree("dev", "code");
        let key = site.must(&["ssh-key:list", "--user", &zoe.name, "--format", "json"]);
        let key: serde_json::Value = serde_json::from_slice(&key.stdout).unwrap();
        let id = key[0]["id"].as_str().unwrap().to_owned();
        let words: Vec<&str> = end
            .iter()
            .map(|word| match *word {
                "PERSON" => zoe.name.as_str(),
                "KEY" => id.as_str(),
                word => word,
            })
            .collect();
        site.must(&words);
        let lost = Instant::now();
        let refused = [
            raw.ask(|id| Request::write(id, &writes, 4, b"er")),
            raw.ask(|id| Request::of(packets::FSTAT, id, &writes)),
            raw.ask(|id| Request::of(packets::CLOSE, id, &writes)),
            raw.ask(|id| Request::read(id, &reads, 0, 100)),
            raw.ask(|id| Request::of(packets::FSTAT, id, &reads)),
            raw.ask(|id| Request::of(packets::READDIR, id, &lists)),
            raw.ask(|id| Request::of(packets::STAT, id, "/code")),
            raw.ask(|id| Request::open(id, "/files/evil", UP)),
            raw.ask(|id| Request::of(packets::REMOVE, id, "/code/index.php")),
        ];
        assert!(lost.elapsed() < Duration::from_secs(1), "{name}");
        for (number, reply) in refused.iter().enumerate() {
            must_be_refused(name, number, reply);
        }
        site.tree("dev", "code").must_equal(&before);
        site.sftp(&zoe, "dev", "ls /\n").run().fails();
    }
}

#[track_caller]
fn must_be_refused(name: &str, number: usize, reply: &Reply) {
    let (code, said) = reply
        .status()
        .unwrap_or_else(|| panic!("{name}, request {number}: {}", reply.kind));
    assert_eq!(code, packets::PERMISSION_DENIED, "{name}, request {number}");
    assert!(
        said.contains("[incident "),
        "{name}, request {number}: {said}"
    );
}

/// Makes a person with a key of their own, in the site's team.
fn newcomer(site: &Site, name: &str) -> Person {
    let person = Person::new(&site.gateway.folder().join("people"), name);
    site.must(&["user:add", name]);
    let key = person.public_key().display().to_string();
    site.must(&["ssh-key:add", &key, "--user", name]);
    site.must(&["site:team:add", "SITE", name, "team_member"]);
    let known = fs::read_to_string(site.person(Role::TeamMember).known_hosts()).unwrap();
    person.meet(site.address(), &known);
    person
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
