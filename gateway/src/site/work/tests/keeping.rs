//! Work that is put aside, and brought back.

use super::*;

#[test]
fn discarded_work_comes_back() {
    let site = Site::new(&[("a", "a\n"), ("d/b", "b\n"), ("f", "f\n")]);
    let before = site.changes();
    assert!(site.discard(None).unwrap().is_none());
    site.write("a", "work\n");
    site.remove("d");
    symlink("/etc", site.code.join("d")).unwrap();
    site.remove("f");
    site.write("f/new/deep", "deep\n");
    let changes = site.changes();
    let part = site.discard(Some(&[path("a")])).unwrap().unwrap();
    assert_eq!((part.files, site.read("a").as_str()), (1, "a\n"));
    assert_eq!(site.restore(&part.id).unwrap(), [path("a")]);
    assert_eq!(site.changes(), changes);
    let all = site.discard(None).unwrap().unwrap();
    assert_eq!(site.changes(), before);
    assert!(!Path::new("/etc/b").exists());
    assert_eq!(site.read("d/b"), "b\n");
    let list = saved(&site.repository, &Environment::Dev).unwrap();
    assert_eq!(list.len(), 2);
    assert!(list.iter().any(|saved| saved.id == all.id
        && saved.why == "before a discard"
        && saved.person == "Alice"
        && saved.base == site.commit));
    assert_eq!(
        saved(&site.repository, &Environment::Test).unwrap().len(),
        0
    );
    let restored = site.restore(&all.id).unwrap();
    assert_eq!(restored.len(), 5);
    assert_eq!(site.changes(), changes);
    assert_eq!(
        fs::read_link(site.code.join("d")).unwrap(),
        Path::new("/etc")
    );
    // Once more changes nothing.
    assert_eq!(site.restore(&all.id).unwrap(), []);
    for wrong in ["nonsense", "", "../../heads/main", "--all"] {
        assert!(
            matches!(site.restore(wrong), Err(WorkError::NoSuchWork(_))),
            "{wrong}"
        );
    }
    assert_eq!(fs::read_dir(site.environment.uploads()).unwrap().count(), 0);
    git(
        site.repository.path(),
        &["fsck", "--strict", "--no-dangling"],
    );
}

#[test]
fn restoring_loses_no_other_work() {
    let mut site = Site::new(&[("a", "1\n2\n3\n4\n5\n6\n7\n"), ("b", "b\n"), ("c", "c\n")]);
    site.write("a", "1!\n2\n3\n4\n5\n6\n7\n");
    site.write("n/new", "new\n");
    site.remove("c");
    let work = site.discard(None).unwrap().unwrap();
    // Different uncommitted changes.
    site.write("a", "other\n");
    site.write("n", "a file where a folder was\n");
    match site.restore(&work.id) {
        Err(WorkError::InTheWay(paths)) => assert_eq!(paths, [path("a"), path("n")]),
        other => panic!("{other:?}"),
    }
    assert_eq!(site.read("a"), "other\n");
    assert_eq!(site.read("c"), "c\n");
    // A commit of other lines of the same file since.
    site.remove("n");
    site.write("a", "1\n2\n3\n4\n5\n6\n7!\n");
    let newer = site.commit(None).unwrap().unwrap().commit;
    site.commit = newer;
    assert_eq!(
        site.restore(&work.id).unwrap(),
        [path("a"), path("c"), path("n/new")]
    );
    assert_eq!(site.read("a"), "1!\n2\n3\n4\n5\n6\n7!\n");
    assert!(!site.code.join("c").exists());
    // A commit of the same line since.
    site.write("a", "one\n2\n3\n4\n5\n6\n7!\n");
    site.commit = site.commit(None).unwrap().unwrap().commit;
    match site.restore(&work.id) {
        Err(WorkError::Conflicts(names)) => assert_eq!(names, ["a"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_in_the_way_of_a_discard_stays() {
    let site = Site::new(&[("a/b", "b\n"), (".gitignore", "*.log\n")]);
    site.remove("a");
    site.write("a/b/keep.log", "ignored\n");
    site.write("a/b/other", "work\n");
    match site.discard(None) {
        Err(WorkError::InTheWay(paths)) => assert_eq!(paths, [path("a/b/keep.log")]),
        other => panic!("{other:?}"),
    }
    assert_eq!(site.read("a/b/keep.log"), "ignored\n");
    assert_eq!(site.read("a/b/other"), "work\n");
    site.remove("a");
    symlink(site.bench.temporary.path(), site.code.join("a")).unwrap();
    match site.discard(Some(&[path("a/b")])) {
        Err(WorkError::InTheWay(paths)) => assert_eq!(paths, [path("a")]),
        other => panic!("{other:?}"),
    }
    assert!(!site.bench.temporary.path().join("b").exists());
}
