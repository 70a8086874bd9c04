//! scp's own protocol (`scp -O`, pscp), both ways, and what it may never do.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

use support::{Client, Finished, Person, Role, Shared, Site, Tree, putty, tree, wait_for};

use crate::rsync::{audit, audited};

static SHARED: Shared = Shared::new();

#[test]
fn scp_copies_files_and_trees_both_ways() {
    let (site, tom) = site("s-both");
    let desk = tom.desk("both");
    // What the tree's sample has, and modes that scp carries.
    let sample = Tree::sample();
    sample.write(desk.join("up"));
    for area in ["files", "code", "tmp"] {
        let there = format!("{}:/{area}/", site.destination("dev"));
        scp(&tom, &desk, &["-r", "-p", "up", &there]).run().ok();
        let disk = site.disk("dev", area).join("up");
        Tree::read(&disk).must_equal(&sample);
        let (here, far) = (desk.join("up/index.php"), disk.join("index.php"));
        assert_eq!(
            fs::metadata(here).unwrap().mtime(),
            fs::metadata(far).unwrap().mtime()
        );
        let down = format!("down-{area}");
        let from = format!("{}:/{area}/up", site.destination("dev"));
        scp(&tom, &desk, &["-r", "-p", &from, &down]).run().ok();
        Tree::read(desk.join(down)).must_equal(&sample);
    }
    // One file: over another, by a new name, several at once, by a pattern, from home.
    let to = |place: &str| format!("{}:{place}", site.destination("dev"));
    fs::write(desk.join("one"), "1").unwrap();
    fs::write(desk.join("two"), "2").unwrap();
    scp(&tom, &desk, &["one", &to("/code/index.php")])
        .run()
        .ok();
    scp(&tom, &desk, &["one", &to("code/new-name")]).run().ok();
    scp(&tom, &desk, &["one", "two", &to("/code/lib")])
        .run()
        .ok();
    scp(&tom, &desk, &["-r", "up/a", &to("/code/new-folder")])
        .run()
        .ok();
    let code = site.tree("dev", "code");
    assert_eq!(code.content("index.php"), Some(&b"1"[..]));
    assert_eq!(code.content("new-name"), Some(&b"1"[..]));
    assert!(code.holds("lib/one") && code.holds("lib/two"));
    assert!(code.holds("new-folder/b/c/d/e/f/deep.txt"));
    fs::create_dir(desk.join("matched")).unwrap();
    scp(&tom, &desk, &[&to("/files/up/many/file-00*"), "matched"])
        .run()
        .ok();
    assert_eq!(fs::read_dir(desk.join("matched")).unwrap().count(), 10);
    scp(
        &tom,
        &desk,
        &[&to("/files/up/glob\\[1\\]\\*\\?.txt"), "glob"],
    )
    .run()
    .ok();
    assert_eq!(fs::read(desk.join("glob")).unwrap(), b"glob\n");
}

#[test]
fn pscp_copies_both_ways() {
    let (site, tom) = site("s-pscp");
    let desk = tom.desk("pscp");
    let sample = Tree::sample().without(|path| {
        // pscp takes its commands' text in its own character set, * for a pattern, and a backslash
        // for a slash.
        std::str::from_utf8(path).is_err() || path.iter().any(|byte| b"*\"\\".contains(byte))
    });
    sample.write(desk.join("up"));
    let there = putty::address(&site, "dev");
    let to = format!("{there}:/files/");
    pscp(&site, &tom, &desk, &["-r", "-p", "up", &to])
        .run()
        .ok();
    Tree::read(site.disk("dev", "files").join("up")).must_equal_but_modes(&sample);
    let from = format!("{there}:/files/up");
    pscp(&site, &tom, &desk, &["-r", "-unsafe", &from, "down"])
        .run()
        .ok();
    let down = if desk.join("down/up").exists() {
        "down/up"
    } else {
        "down"
    };
    Tree::read(desk.join(down)).must_equal_but_modes(&sample);
}

#[test]
fn each_file_has_a_row_and_each_refusal_its_sentence() {
    let (site, tom) = site("s-audit");
    site.deploy_all();
    let desk = tom.desk("audit");
    fs::write(desk.join("put.php"), "12345").unwrap();
    let to = |environment: &str, place: &str| format!("{}:{place}", site.destination(environment));
    scp(&tom, &desk, &["put.php", &to("dev", "/code/lib/put.php")])
        .run()
        .ok();
    let row = audit(&site, &["--path", "lib/put.php"]);
    assert!(
        row.contains("\"bytes\": 5") && row.contains("\"write\""),
        "{row}"
    );
    let vera = site.person(Role::Viewer);
    let dan = site.person(Role::Developer);
    for (person, environment, place) in [
        (&tom, "live", "/code/index.php"),
        (&tom, "test", "/code/evil.php"),
        (&tom, "dev", "/logs/x"),
        (&tom, "dev", "/x"),
        (&tom, "dev", "/code/.git/config"),
        (vera, "dev", "/files/x"),
        (dan, "live", "/files/x"),
    ] {
        let before = (
            site.tree(environment, "code"),
            site.tree(environment, "files"),
        );
        let from = desk.join("put.php").display().to_string();
        let refused = scp(person, &desk, &[&from, &to(environment, place)])
            .run()
            .fails()
            .says("Refused: ");
        audited(&site, &refused);
        site.tree(environment, "code").must_equal(&before.0);
        site.tree(environment, "files").must_equal(&before.1);
    }
    // One refused file does not keep the others back.
    fs::create_dir_all(desk.join("mixed/.git")).unwrap();
    fs::write(desk.join("mixed/.git/config"), "evil").unwrap();
    fs::write(desk.join("mixed/a.php"), "a").unwrap();
    fs::write(desk.join("mixed/z.php"), "z").unwrap();
    scp(&tom, &desk, &["-r", "mixed", &to("dev", "/code/")])
        .run()
        .fails()
        .says("git");
    let code = site.tree("dev", "code");
    assert!(code.holds("mixed/a.php") && code.holds("mixed/z.php") && !code.holds("mixed/.git"));
    fs::write(site.disk("live", "files").join("private"), "private").unwrap();
    for (person, environment, place) in [(vera, "dev", "/files"), (dan, "live", "/files/private")] {
        let from = to(environment, place);
        let refused = scp(person, &desk, &["-r", &from, "never"]).run().fails();
        audited(&site, &refused.says("Refused: "));
        assert!(!desk.join("never").exists());
    }
    scp(&tom, &desk, &[&to("dev", "/code/nothing"), "x"])
        .run()
        .fails()
        .says("No such file or directory");
    scp(&tom, &desk, &[&to("dev", "/code"), "x"])
        .run()
        .fails()
        .says("not a regular file");
}

#[test]
fn no_link_leads_scp_out_of_its_area() {
    let site = SHARED
        .gateway()
        .site_with("s-links", &["--files-path", "wp-content/uploads"]);
    let tom = site.person(Role::TeamMember).at_another_computer("s-links");
    let desk = tom.desk("links");
    let code = site.disk("dev", "code");
    let files = site.disk("dev", "files");
    symlink("/etc/passwd", code.join("passwd")).unwrap();
    symlink("../../../files", code.join("up")).unwrap();
    fs::write(files.join("photo"), "photo").unwrap();
    fs::write(desk.join("evil"), "evil").unwrap();
    let at = |place: &str| format!("{}:{place}", site.destination("dev"));
    scp(&tom, &desk, &[&at("/code/passwd"), "x"])
        .run()
        .fails()
        .says("link");
    scp(&tom, &desk, &["-r", &at("/code"), "down"])
        .run()
        .fails()
        .says("link");
    let down = Tree::read(desk.join("down"));
    assert!(down.holds("index.php") && !down.holds("passwd") && !down.holds("up"));
    assert!(
        !down.holds("wp-content/uploads"),
        "uploads are had from /files"
    );
    scp(&tom, &desk, &["evil", &at("/code/up/evil")])
        .run()
        .fails()
        .says("link");
    assert!(!files.join("evil").exists());
    // By the site's own path, uploads are files.
    scp(&tom, &desk, &["evil", &at("/code/wp-content/uploads/mine")])
        .run()
        .ok();
    assert!(files.join("mine").exists());
    scp(
        &tom,
        &desk,
        &[&at("/code/wp-content/uploads/photo"), "photo"],
    )
    .run()
    .ok();
    assert_eq!(fs::read(desk.join("photo")).unwrap(), b"photo");
}

#[test]
fn hostile_lines_end_the_session_and_write_nothing() {
    let (site, tom) = site("s-hostile");
    let before = (site.tree("dev", "code"), site.tree("dev", "files"));
    let outside = site.gateway.data().join("sites/s-hostile/environments/dev");
    let listed = || fs::read_dir(&outside).unwrap().count();
    let count = listed();
    for line in [
        &b"C0644 4 ../evil\nevil\0"[..],
        b"C0644 4 ..\nevil\0",
        b"C0644 4 /evil\nevil\0",
        b"C0644 4 a/../../evil\nevil\0",
        b"C0644 4 \nevil\0",
        b"C0644 4 ev\x1b[2Jil\nevil\0",
        b"C0644 4 ev\0il\nevil\0",
        b"D0755 0 ..\nC0644 4 evil\nevil\0E\n",
        b"E\nE\n",
        b"C0644 -1 evil\n",
        b"C0644 99999999999999999999 evil\n",
        b"T1 2 3\n",
        b"X\n",
        b"\n",
        &[b'C'; 20000],
    ] {
        let heard = tell(&site, &tom, "scp -r -t /files", line);
        assert!(heard.code != Some(0), "{line:?}: {heard}");
        assert_eq!(listed(), count, "{line:?}");
    }
    site.tree("dev", "code").must_equal(&before.0);
    site.tree("dev", "files").must_equal(&before.1);
    for command in [
        "scp",
        "scp -t",
        "scp -x -t /files",
        "scp -f -t /files",
        "scp /etc/passwd /tmp/x",
        "scp -t /files; id",
        "scp -S sh -t /files",
    ] {
        let heard = tell(&site, &tom, command, b"");
        assert!(
            heard.code != Some(0) && !heard.screen().is_empty(),
            "{heard}"
        );
    }
}

#[test]
fn a_file_that_is_cut_off_leaves_the_old_one_whole() {
    let (site, tom) = site("s-cut");
    let live = site.disk("dev", "code").join("index.php");
    let old = fs::read(&live).unwrap();
    for announced in ["index.php", "new.php"] {
        let mut line = format!("C0644 1000000 {announced}\n").into_bytes();
        line.extend(tree::noise(7, 500_000));
        tell(&site, &tom, "scp -t /code", &line).fails();
        assert_eq!(fs::read(&live).unwrap(), old);
    }
    let row = wait_for("the row", Duration::from_secs(10), || {
        let row = audit(&site, &["--path", "index.php"]);
        row.contains("interrupted").then_some(row)
    });
    assert!(row.contains("\"write\""), "{row}");
}

#[test]
fn a_mode_switch_stops_a_file_on_its_way() {
    let (site, tom) = site("s-switch");
    let before = site.tree("dev", "code");
    let destination = site.destination("dev");
    let mut running = tom
        .openssh("ssh")
        .args(["-T", &destination, "scp -t /code/index.php"])
        .start_piped();
    let mut to = running.child().stdin.take().unwrap();
    let mut from = running.child().stdout.take().unwrap();
    let mut byte = [9];
    from.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [0]);
    to.write_all(b"C0644 10 index.php\n").unwrap();
    from.read_exact(&mut byte).unwrap();
    assert_eq!(byte, [0]);
    to.write_all(b"12345").unwrap();
    site.set_mode("git");
    to.write_all(b"67890\0").unwrap();
    drop(to);
    let mut said = String::new();
    from.read_to_string(&mut said).unwrap();
    assert!(
        said.starts_with('\x01') && said.contains("Refused: "),
        "{said:?}"
    );
    site.set_mode("sftp");
    site.tree("dev", "code").must_equal(&before);
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    (site, tom)
}

fn scp(person: &Person, desk: &Path, words: &[&str]) -> Client {
    person.openssh("scp").folder(desk).arg("-O").args(words)
}

/// Runs a command on the gateway with these bytes as its input.
fn tell(site: &Site, person: &Person, command: &str, bytes: &[u8]) -> Finished {
    let destination = site.destination("dev");
    person
        .openssh("ssh")
        .args(["-T", &destination, command])
        .input(bytes)
        .run()
}

fn pscp(site: &Site, person: &Person, desk: &Path, words: &[&str]) -> Client {
    putty::client("pscp", site, person, desk)
        .arg("-scp")
        .args(words)
}
