//! Work on the server: seen at once, committed as a whole or in part, put aside and brought back.

use serde_json::Value;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Clone, Finished, Person, Role, Shared, Site, Tree};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn edits_are_seen_at_once_with_their_numbers() {
    let (site, tom) = site("m-seen");
    assert!(diffstat(&site).is_empty());
    site.console(&tom, &["env:diffstat", "SITE.dev"])
        .run()
        .ok()
        .says("No changes on server.");
    let mut raw = Raw::open(&site, &tom, "dev");
    put(&mut raw, "/code/index.php", "<?php\necho 'second';\n");
    assert_eq!(diffstat(&site), [("index.php", "M", 1, 2)].map(owned));
    put(&mut raw, "/code/news/one.txt", "1\n2\n3\n");
    raw.ask(|id| Request::of(packets::REMOVE, id, "/code/lib/menu.php"))
        .must_be(packets::OK);
    assert_eq!(
        diffstat(&site),
        [
            ("index.php", "M", 1, 2),
            ("lib/menu.php", "D", 1, 0),
            ("news/one.txt", "A", 0, 3)
        ]
        .map(owned)
    );
    // Back to what it was, it is no change any more.
    put(&mut raw, "/code/index.php", "<?php echo 'first';\n");
    assert_eq!(diffstat(&site).len(), 2);
}

#[test]
fn one_commit_by_the_person_who_made_it() {
    let (site, tom) = site("m-commit");
    let before = history(&site);
    edit(&site, &tom, "index.php", "<?php echo 'second';\n");
    edit(&site, &tom, "lib/new.php", "<?php // new\n");
    for message in ["", "  "] {
        site.console(&tom, &["env:commit", "SITE.dev", "-m", message])
            .run()
            .fails();
    }
    site.console(
        &tom,
        &["env:commit", "SITE.dev", "-m", "Say it's \"second\""],
    )
    .run()
    .ok()
    .says("Your code was committed")
    .says("2 file(s)");
    let after = history(&site);
    assert_eq!(after.len(), before.len() + 1, "{after:?}");
    assert_eq!(
        after.first().map(String::as_str),
        Some("tom <tom@example.org> tom <tom@example.org> Say it's \"second\"")
    );
    assert!(diffstat(&site).is_empty());
    assert_eq!(
        git(&site, &["show", "main:lib/new.php"]).out(),
        "<?php // new\n"
    );
    site.console(&tom, &["env:commit", "SITE.dev", "-m", "again"])
        .run()
        .code(0)
        .says("There is no code to commit.");
    assert_eq!(history(&site), after);

    // What Dev runs is what was committed.
    let clone = Clone::new(&site, &tom);
    site.tree("dev", "code")
        .must_equal(&Tree::read(clone.folder()).without(|path| path.starts_with(b".git")));
}

#[test]
fn a_viewer_looks_and_does_not_touch() {
    let (site, tom) = site("m-viewer");
    edit(&site, &tom, "index.php", "<?php echo 'second';\n");
    let vera = site.person(Role::Viewer);
    site.console(vera, &["env:diffstat", "SITE.dev"])
        .run()
        .ok()
        .says("index.php");
    let before = state(&site);
    for words in [
        &["env:commit", "SITE.dev", "-m", "mine"][..],
        &["env:discard", "SITE.dev", "--yes"],
        &["env:restore-work", "SITE.dev"],
        &["connection:set", "SITE.dev", "git", "--yes"],
    ] {
        site.console(vera, words).run().code(3).says("[incident ");
        let sten = site.person(Role::Stranger);
        site.console(sten, words)
            .run()
            .code(3)
            .says_not("index.php");
    }
    assert_eq!(state(&site), before);
}

#[test]
fn a_part_of_the_work_is_committed_by_its_path() {
    let (site, tom) = site("m-part");
    for file in [
        "index.php",
        "lib/menu.php",
        "theme/style.css",
        "theme/new.css",
    ] {
        edit(&site, &tom, file, "changed\n");
    }
    let commit = |paths: &[&str]| {
        let words = [&["env:commit", "SITE.dev", "-m", "a part"], paths].concat();
        site.console(&tom, &words).run()
    };
    commit(&["lib/menu.php"]).ok().says("1 file(s)");
    assert_eq!(
        left(&site),
        ["index.php", "theme/new.css", "theme/style.css"]
    );
    assert_eq!(last_changed(&site), ["lib/menu.php"]);
    // A folder, named as SFTP shows it.
    commit(&["/code/theme"]).ok().says("2 file(s)");
    assert_eq!(left(&site), ["index.php"]);
    assert_eq!(last_changed(&site), ["theme/new.css", "theme/style.css"]);
    let before = history(&site);
    commit(&["lib/footer.php"])
        .ok()
        .says("There is no code to commit.");
    commit(&["/"]).fails();
    assert_eq!(history(&site), before);
    assert_eq!(left(&site), ["index.php"]);
    assert_eq!(
        git(&site, &["show", "main:index.php"]).out(),
        "<?php echo 'first';\n"
    );
}

#[test]
fn discarded_work_is_kept() {
    let (site, tom) = site("m-discard");
    let first = site.tree("dev", "code");
    edit(&site, &tom, "index.php", "<?php echo 'second';\n");
    edit(&site, &tom, "lib/new.php", "<?php // new\n");
    site.sftp(&tom, "dev", "rm /code/lib/menu.php\n").run().ok();
    let work = site.tree("dev", "code");
    site.console(&tom, &["env:discard", "SITE.dev"])
        .input("no\n")
        .run()
        .fails();
    site.tree("dev", "code").must_equal(&work);

    let one = site
        .console(&tom, &["env:discard", "SITE.dev", "index.php", "--yes"])
        .run()
        .ok();
    assert_eq!(left(&site), ["lib/menu.php", "lib/new.php"]);
    site.console(&tom, &["env:discard", "SITE.dev"])
        .input("yes\n")
        .run()
        .ok();
    assert!(diffstat(&site).is_empty());
    site.tree("dev", "code").must_equal(&first);
    site.console(&tom, &["env:discard", "SITE.dev", "--yes"])
        .run()
        .code(0)
        .says("No changes on server.");

    let kept = json(
        site.command(&["env:restore-work", "SITE.dev", "--list", "--format", "json"])
            .run()
            .ok(),
    );
    let kept = kept.as_array().expect("a list");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().all(|one| one["person"] == "tom"), "{kept:?}");
    // The newest, then the one that is named as the discard named it.
    site.console(&tom, &["env:restore-work", "SITE.dev"])
        .run()
        .ok();
    assert_eq!(left(&site), ["lib/menu.php", "lib/new.php"]);
    let id = kept
        .iter()
        .filter_map(|one| one["id"].as_str())
        .find(|id| one.out().contains(id))
        .unwrap_or_else(|| panic!("{one} names none of {kept:?}"));
    site.console(&tom, &["env:restore-work", "SITE.dev", id])
        .run()
        .ok();
    site.tree("dev", "code").must_equal(&work);
    site.console(&tom, &["env:restore-work", "SITE.dev", "nosuch"])
        .run()
        .fails();
}

pub(crate) fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    (site, tom)
}

/// Writes a file over an open session; its folder is made if need be.
#[track_caller]
pub(crate) fn put(raw: &mut Raw, path: &str, content: &str) {
    let (folder, _) = path.rsplit_once('/').expect("an absolute path");
    let _ = raw.ask(|id| Request::of(packets::MKDIR, id, folder).number(0));
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;
    let handle = raw.open_file(path, flags);
    raw.ask(|id| Request::write(id, &handle, 0, content.as_bytes()))
        .must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
        .must_be(packets::OK);
}

#[track_caller]
pub(crate) fn edit(site: &Site, person: &Person, file: &str, content: &str) {
    let upload = person.desk(&site.name).join("upload");
    std::fs::write(&upload, content).unwrap();
    site.sftp(
        person,
        "dev",
        format!("put {} /code/{file}\n", upload.display()),
    )
    .run()
    .ok();
}

#[track_caller]
pub(crate) fn diffstat(site: &Site) -> Vec<(String, String, u64, u64)> {
    let rows = json(site.must(&["env:diffstat", "SITE.dev", "--format", "json"]));
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let number = |row: &Value, name: &str| row[name].as_u64().expect("a number");
    rows.as_array()
        .expect("a list")
        .iter()
        .map(|row| {
            let (file, status) = (text(row, "file"), text(row, "status"));
            (
                file,
                status,
                number(row, "deletions"),
                number(row, "additions"),
            )
        })
        .collect()
}

fn owned(
    (file, status, deletions, additions): (&str, &str, u64, u64),
) -> (String, String, u64, u64) {
    (file.to_owned(), status.to_owned(), deletions, additions)
}

#[track_caller]
pub(crate) fn left(site: &Site) -> Vec<String> {
    diffstat(site).into_iter().map(|(file, ..)| file).collect()
}

#[track_caller]
pub(crate) fn git(site: &Site, args: &[&str]) -> Finished {
    let ada = site.person(Role::Administrator);
    ada.client("git")
        .folder(site.repository())
        .args(args)
        .run()
        .ok()
}

fn history(site: &Site) -> Vec<String> {
    let log = git(site, &["log", "--format=%an <%ae> %cn <%ce> %s", "main"]).out();
    log.lines().map(str::to_owned).collect()
}

fn last_changed(site: &Site) -> Vec<String> {
    let files = git(site, &["diff", "--name-only", "main~1", "main"]).out();
    files.lines().map(str::to_owned).collect()
}

pub(crate) fn mode(site: &Site) -> String {
    let shown = site.must(&["env:info", "SITE.dev", "--field", "connection_mode"]);
    shown.out().trim().to_owned()
}

/// All refs, the mode and the uncommitted work.
pub(crate) fn state(site: &Site) -> String {
    let refs = git(site, &["for-each-ref"]).out();
    format!("{refs}\n{}\n{:?}", mode(site), diffstat(site))
}

#[track_caller]
pub(crate) fn json(printed: Finished) -> Value {
    serde_json::from_slice(&printed.stdout).unwrap_or_else(|error| panic!("{error}: {printed}"))
}
