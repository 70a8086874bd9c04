//! What is asked of restic, with restic itself.

mod troubles;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;

use super::archive;
use super::repository::{Nobody, Repository, Snapshots, size};
use super::restore;
use crate::database::Trouble;
use crate::fault::OrFault;

struct Scene {
    temporary: tempfile::TempDir,
    repository: Repository,
}

impl Scene {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let above = temporary.path().join("acme");
        fs::create_dir_all(above.join("files")).unwrap();
        let repository = Repository {
            program: PathBuf::from("restic"),
            above,
            keep_free: 0,
        };
        repository
            .make()
            .expect("restic, which tests/install-clients.sh installs");
        Self {
            temporary,
            repository,
        }
    }

    fn files(&self) -> PathBuf {
        self.repository.above.join("files")
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.files().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn keep(&self, mark: &str, former: Option<&str>) -> String {
        let tags = [mark.to_owned()];
        self.repository
            .keep(&self.files(), &tags, former, &Nobody)
            .unwrap();
        self.id(mark)
    }

    fn id(&self, mark: &str) -> String {
        let mut found = self.repository.snapshots(&[mark.to_owned()]).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0).id
    }

    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.temporary.path().join(name);
        fs::create_dir(&path).unwrap();
        path
    }
}

type Listed = (String, u32, i64, i64, u32, Vec<u8>);

/// Everything below a folder: path, kind, mode, time, owner, bytes or where a link leads.
fn listed(folder: &Path) -> Vec<Listed> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_owned()];
    while let Some(above) = left.pop() {
        for entry in fs::read_dir(above).unwrap() {
            let path = entry.unwrap().path();
            let about = fs::symlink_metadata(&path).unwrap();
            let bytes = match about.file_type() {
                kind if kind.is_dir() => Vec::new(),
                kind if kind.is_symlink() => fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes(),
                _file => fs::read(&path).unwrap(),
            };
            // What is written into a folder while it is restored changes nothing of its time.
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.push((
                name,
                about.mode(),
                about.mtime(),
                about.mtime_nsec(),
                about.uid(),
                bytes,
            ));
            if about.is_dir() {
                left.push(path);
            }
        }
    }
    found.sort();
    found
}

fn refused(trouble: Trouble) -> String {
    match trouble {
        Trouble::Refused(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_kept_comes_back_byte_for_byte() {
    let scene = Scene::new();
    scene.write("2026/11/photo.jpg", vec![7_u8; 3 << 20]);
    scene.write("empty", "");
    scene.write("we ird *[x]?\\ \u{fc}n\u{ef}\n", "strange");
    scene.write("-r", "a name like an option");
    scene.write("run.sh", "#!/bin/sh\n");
    let files = scene.files();
    fs::create_dir(files.join("no-files")).unwrap();
    symlink("/etc/passwd", files.join("out")).unwrap();
    symlink("nowhere", files.join("dangling")).unwrap();
    fs::set_permissions(files.join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    let sparse = fs::File::create(files.join("sparse")).unwrap();
    sparse.set_len(20 << 20).unwrap();
    let before = listed(&files);
    let kept = scene.keep("element=files", None);
    fs::remove_dir_all(&files).unwrap();
    let target = scene.fresh("target");
    let snapshots = Snapshots {
        before: None,
        after: &kept,
    };
    restore::files(&scene.repository, snapshots, &target, &Nobody).unwrap();
    assert_eq!(listed(&target), before);
}

#[test]
fn what_went_away_between_the_two_passes_is_there_too() {
    let scene = Scene::new();
    for path in [
        "gone *",
        "kept",
        "folder/gone too",
        "folder/deep/x",
        "was-a-file",
    ] {
        scene.write(path, format!("old {path}"));
    }
    let before = scene.keep("element=before", None);
    for path in ["gone *", "was-a-file"] {
        fs::remove_file(scene.files().join(path)).unwrap();
    }
    fs::remove_dir_all(scene.files().join("folder")).unwrap();
    scene.write("was-a-file/inside", "new");
    scene.write("kept", "new");
    scene.write("fresh", "new");
    let after = scene.keep("element=after", Some(&before));
    let snapshots = Snapshots {
        before: Some(&before),
        after: &after,
    };
    let target = scene.fresh("target");
    restore::files(&scene.repository, snapshots, &target, &Nobody).unwrap();
    let wanted = [
        ("folder/deep/x", "old folder/deep/x"),
        ("folder/gone too", "old folder/gone too"),
        ("fresh", "new"),
        ("gone *", "old gone *"),
        ("kept", "new"),
        ("was-a-file/inside", "new"),
    ];
    let found: Vec<(String, String)> = listed(&target)
        .into_iter()
        .filter(|one| one.1 & 0o170_000 == 0o100_000)
        .map(|one| (one.0, String::from_utf8(one.5).unwrap()))
        .collect();
    let wanted = wanted.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(found, wanted);
    assert!(!target.with_extension("gone").exists());

    let mut packed = Vec::new();
    archive::files(
        &scene.repository,
        snapshots,
        "files_live",
        &mut packed,
        &Nobody,
    )
    .unwrap();
    let mut archive = tar::Archive::new(GzDecoder::new(packed.as_slice()));
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.header().entry_type().is_file() {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().display().to_string();
            found.push((path.strip_prefix("files_live/").unwrap().to_owned(), text));
        }
    }
    found.sort();
    assert_eq!(found, wanted);
}

#[test]
fn an_archive_holds_long_names_links_and_large_files() {
    let scene = Scene::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    scene.write(&long, "deep");
    scene.write("large", vec![b'x'; 5 << 20]);
    symlink("l".repeat(150), scene.files().join("link")).unwrap();
    fs::hard_link(scene.files().join("large"), scene.files().join("large too")).unwrap();
    let kept = scene.keep("element=files", None);
    let snapshots = Snapshots {
        before: None,
        after: &kept,
    };
    let path = scene.temporary.path().join("files.tar.gz");
    let mut file = fs::File::create(&path).unwrap();
    archive::files(
        &scene.repository,
        snapshots,
        "files_dev",
        &mut file,
        &Nobody,
    )
    .unwrap();
    let out = scene.fresh("out");
    let status = Command::new("tar")
        .args(["-xzf", path.to_str().unwrap(), "-C", out.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(status.success());
    let (out, files) = (listed(&out.join("files_dev")), listed(&scene.files()));
    let about = |one: &Listed| (one.0.clone(), one.1, one.5.len());
    let names = |list: &[Listed]| list.iter().map(about).collect::<Vec<_>>();
    assert_eq!(names(&out), names(&files));
    for (out, file) in out.iter().zip(&files) {
        assert!(out.5 == file.5, "{}", out.0);
        // An archive has whole seconds, to which they are rounded.
        assert!((out.2 - file.2).abs() <= 1, "{}", out.0);
    }
}

#[test]
fn what_is_kept_twice_is_stored_once_and_given_back_when_it_is_forgotten() {
    let scene = Scene::new();
    let mut noise = vec![0_u8; 8 << 20];
    getrandom::fill(&mut noise).unwrap();
    scene.write("noise", &noise);
    scene.keep("n=1", None);
    let once = size(&scene.repository.folder()).unwrap();
    assert!(once > 8 << 20);
    fs::rename(scene.files().join("noise"), scene.files().join("moved")).unwrap();
    scene.keep("n=2", None);
    assert!(size(&scene.repository.folder()).unwrap() < once + (1 << 20));
    let both = ["n=1", "n=2"].map(|mark| scene.id(mark));
    scene.repository.forget(&both).unwrap();
    scene.repository.prune().unwrap();
    assert!(size(&scene.repository.folder()).unwrap() < 1 << 20);
    scene.repository.check(100).unwrap();
}

#[test]
fn a_dump_that_breaks_off_leaves_no_snapshot() {
    let scene = Scene::new();
    let tags = ["element=database".to_owned()];
    let half = scene.repository.keep_stream(
        "database.sql",
        &tags,
        Box::new(|out| {
            out.write_all(&vec![b'x'; 4 << 20]).or_fault(|| "dumping")?;
            Err(Trouble::Refused(
                "the server of databases has gone".to_owned(),
            ))
        }),
        &Nobody,
    );
    assert_eq!(
        refused(half.unwrap_err()),
        "the server of databases has gone"
    );
    assert!(scene.repository.snapshots(&tags).unwrap().is_empty());
    let whole = scene.repository.keep_stream(
        "database.sql",
        &tags,
        Box::new(|out| Ok(out.write_all(b"CREATE TABLE t;\n").or_fault(|| "dumping")?)),
        &Nobody,
    );
    assert_eq!(whole.unwrap().bytes, 16);
    let mut back = Vec::new();
    let id = scene.id("element=database");
    archive::plain(
        &scene.repository,
        (&id, "/database.sql"),
        &mut back,
        &Nobody,
    )
    .unwrap();
    assert_eq!(back, b"CREATE TABLE t;\n");
}
