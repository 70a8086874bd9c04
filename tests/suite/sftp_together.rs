//! Several clients at once on one environment: what a comparison shows at once, and what a commit
//! takes while files are open.

use std::fs;

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Client, Person, Role, Shared, Site, Tree, tree};

use crate::work::{diffstat, git, left};

static SHARED: Shared = Shared::new();

const UP: u32 = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;

#[test]
fn a_commit_during_an_upload_holds_whole_files_only() {
    let (site, tom, ada) = site("t-commit");
    let mut raw = Raw::open(&site, &tom, "dev");
    let replaced = raw.open_file("/code/index.php", UP);
    let new = raw.open_file("/code/new.php", UP);
    for handle in [&replaced, &new] {
        raw.ask(|id| Request::write(id, handle, 0, b"half of"))
            .must_be(packets::OK);
    }
    edit(&site, &ada, "lib/menu.php", "by ada\n");
    // Nothing of the halves is to be seen, but that they are on their way.
    assert_eq!(left(&site), ["lib/menu.php"]);
    site.command(&["env:diffstat", "SITE.dev"])
        .run()
        .ok()
        .says("/code/index.php by tom, 7 bytes, under way")
        .says("/code/new.php by tom");
    site.console(&ada, &["env:commit", "SITE.dev", "-m", "of ada"])
        .run()
        .ok()
        .says("1 file(s)");
    assert_eq!(
        git(&site, &["show", "main:index.php"]).out(),
        "<?php echo 'first';\n"
    );
    for handle in [&replaced, &new] {
        raw.ask(|id| Request::write(id, handle, 7, b" a file\n"))
            .must_be(packets::OK);
        raw.ask(|id| Request::of(packets::CLOSE, id, handle))
            .must_be(packets::OK);
    }
    assert_eq!(left(&site), ["index.php", "new.php"]);
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "of tom"])
        .run()
        .ok()
        .says("2 file(s)");
    for file in ["index.php", "new.php"] {
        let committed = git(&site, &["show", &format!("main:{file}")]);
        assert_eq!(committed.out(), "half of a file\n");
    }
}

#[test]
fn a_file_that_is_edited_in_place_is_left_out_of_a_commit() {
    let (site, tom, ada) = site("t-place");
    let mut raw = Raw::open(&site, &tom, "dev");
    let handle = raw.open_file("/code/index.php", packets::FLAG_READ | packets::FLAG_WRITE);
    raw.ask(|id| Request::write(id, &handle, 0, b"<!php"))
        .must_be(packets::OK);
    // Only this one: nothing is committed, and it is said why.
    site.console(&ada, &["env:commit", "SITE.dev", "-m", "too early"])
        .run()
        .fails()
        .says("index.php");
    edit(&site, &ada, "lib/menu.php", "by ada\n");
    site.console(&ada, &["env:commit", "SITE.dev", "-m", "of ada"])
        .run()
        .ok()
        .says("'index.php' is being written, so it was left out.")
        .says("1 file(s)");
    assert_eq!(
        git(&site, &["show", "main:index.php"]).out(),
        "<?php echo 'first';\n"
    );
    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
        .must_be(packets::OK);
    site.console(&ada, &["env:commit", "SITE.dev", "-m", "now"])
        .run()
        .ok()
        .says("1 file(s)");
    assert_eq!(
        git(&site, &["show", "main:index.php"]).out(),
        "<!php echo 'first';\n"
    );
}

#[test]
fn many_clients_upload_at_once_and_each_file_is_whole() {
    let (site, tom, ada) = site("t-many");
    let sample = Tree::sample();
    let people = [&tom, &ada];
    let mut running = Vec::new();
    for number in 0..6_u64 {
        let person = people[number as usize % 2];
        let desk = person.desk(&format!("t-many-{number}"));
        sample.write(desk.join("own"));
        fs::write(desk.join("shared"), tree::noise(number, 3 << 20)).unwrap();
        let batch = format!(
            "put -r {desk}/own /code/own-{number}\nput {desk}/shared /code/shared\n\
             put {desk}/shared /files/shared\nput {desk}/shared /code/shared\n",
            desk = desk.display()
        );
        running.push(site.sftp(person, "dev", batch).start());
    }
    for client in running {
        client.finish().ok();
    }
    let code = site.disk("dev", "code");
    for number in 0..6 {
        Tree::read(code.join(format!("own-{number}"))).must_equal_but_modes(&sample);
    }
    for shared in [
        code.join("shared"),
        site.disk("dev", "files").join("shared"),
    ] {
        let found = fs::read(&shared).unwrap();
        let whole = (0..6).any(|number| found == tree::noise(number, 3 << 20));
        assert!(whole, "{} is a mixture", shared.display());
    }
    let shown = left(&site);
    let files = sample
        .paths()
        .filter(|path| !sample.content(path).unwrap_or_default().is_empty())
        .count();
    assert!(shown.len() > 6 * files, "{} of {}", shown.len(), 6 * files);
    assert_eq!(crate::sftp_uploads::part_size(&site), 0);
}

#[test]
fn edits_of_several_clients_are_in_the_comparison_at_once() {
    let (site, tom, ada) = site("t-seen");
    let mut one = Raw::open(&site, &tom, "dev");
    let mut two = Raw::open(&site, &ada, "dev");
    for number in 0..10 {
        crate::work::put(&mut one, "/code/tom.php", &"line\n".repeat(number + 1));
        crate::work::put(&mut two, "/code/ada.php", &"line\n".repeat(number + 2));
        let seen: Vec<(String, u64)> = diffstat(&site)
            .into_iter()
            .map(|(file, _, _, added)| (file, added))
            .collect();
        let number = number as u64;
        assert_eq!(
            seen,
            [
                ("ada.php".to_owned(), number + 2),
                ("tom.php".to_owned(), number + 1)
            ]
        );
    }
}

#[test]
fn a_mode_switch_loses_nothing_that_was_answered() {
    let (site, tom, _) = site("t-switch");
    let mut raw = Raw::open(&site, &tom, "dev");
    let edited = raw.open_file("/code/index.php", packets::FLAG_WRITE);
    let switch = site
        .command(&["connection:set", "SITE.dev", "git", "--yes"])
        .start();
    let mut answered = Vec::new();
    let mut length = 0_u64;
    for number in 0.. {
        let path = format!("/code/written-{number}");
        let opened = raw.ask(|id| Request::open(id, &path, UP));
        if opened.kind != packets::HANDLE {
            let (code, said) = opened.status().unwrap();
            assert_eq!(code, packets::PERMISSION_DENIED, "{said}");
            break;
        }
        let handle = opened.handle();
        raw.ask(|id| Request::write(id, &handle, 0, path.as_bytes()));
        let closed = raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
        if closed.status().is_some_and(|(code, _)| code == packets::OK) {
            answered.push(path);
        }
        let write = raw.ask(|id| Request::write(id, &edited, length, b"+"));
        if write.status().is_some_and(|(code, _)| code == packets::OK) {
            length += 1;
        }
    }
    switch.finish().ok();
    site.set_mode("sftp");
    if !answered.is_empty() || length > 0 {
        site.console(&tom, &["env:restore-work", "SITE.dev"])
            .run()
            .ok();
    }
    let code = site.tree("dev", "code");
    for path in &answered {
        let kept = code.content(path.trim_start_matches("/code/"));
        assert_eq!(
            kept,
            Some(path.as_bytes()),
            "{path} was answered and is lost"
        );
    }
    let index = code.content("index.php").unwrap();
    let kept = index.iter().take_while(|byte| **byte == b'+').count() as u64;
    assert_eq!(kept, length.min(index.len() as u64));
}

fn edit(site: &Site, person: &Person, file: &str, content: &str) {
    let upload = person.desk(&site.name).join("upload");
    fs::write(&upload, content).unwrap();
    let put = format!("put {} /code/{file}\n", upload.display());
    let client: Client = site.sftp(person, "dev", put);
    client.run().ok();
}

fn site(name: &str) -> (Site, Person, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    let ada = site.person(Role::Administrator).clone();
    (site, tom, ada)
}
