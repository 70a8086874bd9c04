//! Files and folders, answers and certificates.

use jiff::Timestamp;

use super::{Folder, Score, is};
use crate::site::status::address::{Address, answer};
use crate::site::status::backups::{Backups, judged};
use crate::site::status::certificate::{self, Seen};
use crate::site::status::ground::System;
use crate::site::status::{files, repository, strays};

#[test]
fn programs_among_uploads_are_found() {
    let well = Folder::with(&[
        ("2026/01/photo.jpg", "jpeg"),
        ("index.php", "<?php\n// Silence is golden.\n"),
        ("readme.php.txt", ""),
    ]);
    is(
        &strays::programs(&well.tree(), &System::Other),
        Score::Ok,
        "No PHP",
    );
    for name in ["a.php", "x/B.PHTML", "c.phar", "index.php"] {
        let bad = Folder::with(&[(name, &"<?php system($_GET['c']); // ".repeat(4))]);
        is(
            &strays::programs(&bad.tree(), &System::Other),
            Score::Failure,
            name,
        );
    }
    let twig = Folder::with(&[("php/twig/1_page/x.php", "<?php // compiled")]);
    let drupal = System::Drupal {
        root: String::new(),
    };
    is(
        &strays::programs(&twig.tree(), &drupal),
        Score::Ok,
        "No PHP",
    );
    is(
        &strays::programs(&twig.tree(), &System::Other),
        Score::Failure,
        "twig",
    );
}

#[test]
fn repositories_and_dumps_are_found() {
    let well = Folder::with(&[
        ("module/install.sql", "CREATE TABLE x (id int);"),
        (".gitignore", "x"),
        ("settings.php", "<?php"),
        ("archive.zip", "PK"),
    ]);
    is(
        &strays::repositories(&[&well.tree()]),
        Score::Ok,
        "No repository",
    );
    is(&strays::dumps(&[&well.tree()]), Score::Ok, "No dump");
    let git = Folder::with(&[("a/.git/config", "x"), ("a/.git/HEAD", "x")]);
    is(
        &strays::repositories(&[&well.tree(), &git.tree()]),
        Score::Failure,
        "in a/.git.",
    );
    for (name, text) in [
        ("dump.sql", "-- MariaDB dump 10.19\n"),
        (
            "d/live.sql",
            "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump",
        ),
        ("pg.dump", "PGDMP\u{1}"),
        ("x.sqlite", "SQLite format 3\0"),
        ("backup-2026.zip", ""),
        ("live.sql.gz", ""),
        ("wp-config.php.bak", ""),
        ("wp-config.php~", ""),
        ("phpinfo.php", ""),
    ] {
        let bad = Folder::with(&[(name, text)]);
        is(&strays::dumps(&[&bad.tree()]), Score::Failure, name);
    }
}

#[test]
fn permissions_are_looked_at() {
    let code = Folder::with(&[("a/index.php", ""), (".env", "SECRET=1")]);
    for path in ["", "a"] {
        code.mode(path, 0o755);
    }
    code.mode(".env", 0o644);
    is(
        &files::code_writable(&code.tree()),
        Score::Ok,
        "Only the gateway",
    );
    code.mode("a", 0o775);
    is(&files::code_writable(&code.tree()), Score::Warning, "a/");
    code.mode("a/index.php", 0o666);
    is(
        &files::code_writable(&code.tree()),
        Score::Failure,
        "a/index.php",
    );
    is(&files::secrets(&code.tree(), false), Score::Warning, ".env");
    is(&files::secrets(&code.tree(), true), Score::Failure, ".env");
    let none = Folder::with(&[("index.php", "")]);
    is(&files::secrets(&none.tree(), true), Score::Ok, "No file");

    let uploads = Folder::with(&[("a.jpg", "")]);
    uploads.mode("", 0o755);
    is(
        &files::writable(&uploads.tree(), true),
        Score::Warning,
        "Only the gateway's own",
    );
    is(
        &files::writable(&uploads.tree(), false),
        Score::Skipped,
        "not known",
    );
    uploads.mode("", 0o2775);
    is(
        &files::writable(&uploads.tree(), true),
        Score::Ok,
        "More than",
    );
    uploads.mode("", 0o555);
    is(
        &files::writable(&uploads.tree(), true),
        Score::Failure,
        "Nobody may write",
    );
    uploads.mode("", 0o755);
}

#[test]
fn large_files_are_told_with_their_sizes() {
    let code = Folder::with(&[("a", "small")]);
    is(&repository::large_files(&code.tree()), Score::Ok, "10.0 MB");
    let make = |name: &str, size| {
        let file = std::fs::File::create(code.folder.path().join(name)).unwrap();
        file.set_len(size).unwrap();
    };
    make("film.mp4", 11 << 20);
    is(
        &repository::large_files(&code.tree()),
        Score::Warning,
        "film.mp4 (11.0 MB)",
    );
    make("disk.img", 200 << 20);
    is(
        &repository::large_files(&code.tree()),
        Score::Failure,
        "disk.img (200.0 MB), film.mp4",
    );
}

#[test]
fn addresses_are_read() {
    let read = |url: &str| Address::read(url).map(|one| (one.secure, one.host, one.port));
    assert_eq!(
        read("https://A.example/x"),
        Some((true, "a.example".to_owned(), 443))
    );
    assert_eq!(read("http://a:8080"), Some((false, "a".to_owned(), 8080)));
    assert_eq!(
        read("http://u:p@[::1]:81/"),
        Some((false, "::1".to_owned(), 81))
    );
    assert_eq!(read("https://[::1]"), Some((true, "::1".to_owned(), 443)));
    assert_eq!(read("ftp://a"), None);
    assert_eq!(read("a"), None);
    assert_eq!(read("http:///x"), None);
}

#[test]
fn an_answer_of_200_may_be_an_error() {
    let page = |status, text: &str| answer(Ok((status, text.to_owned())));
    is(&page(200, "<html>Hello"), Score::Ok, "200");
    is(&page(301, ""), Score::Ok, "301");
    is(&page(401, ""), Score::Warning, "kept out");
    is(&page(500, ""), Score::Failure, "500");
    is(
        &page(200, "Error establishing a database connection"),
        Score::Failure,
        "database",
    );
    is(
        &page(200, "<b>Fatal error</b>: x"),
        Score::Failure,
        "Fatal error",
    );
    is(
        &answer(Err("no".to_owned())),
        Score::Failure,
        "does not answer: no",
    );
}

/// Certificates of OpenSSL's making, of which one has the longer form of times (after 2049).
#[test]
fn the_end_of_a_certificate_is_read() {
    let folder = tempfile::tempdir().unwrap();
    for days in [30, 14_000] {
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-keyout", "key", "-out", "der", "-outform", "DER"])
            .args(["-subj", "/CN=a.example", "-days", &days.to_string()])
            .current_dir(folder.path())
            .output()
            .expect("openssl is needed: tests/install-clients.sh installs it");
        assert!(made.status.success(), "{made:?}");
        let der = std::fs::read(folder.path().join("der")).unwrap();
        let left = certificate::not_after(&der)
            .unwrap()
            .duration_since(Timestamp::now());
        let apart = (left.as_secs() - days * 24 * 3600).abs();
        assert!(apart < 600, "{days}: {left}");
        for cut in 0..der.len().min(300) {
            // Whatever is cut off, it is read or not, and nothing else.
            let _ = certificate::not_after(&der[..cut]);
        }
    }
    let now: Timestamp = "2031-12-01T00:00:00Z".parse().unwrap();
    let check = |end: &str| certificate::check(Seen::Good(end.parse().ok()), now, "a");
    is(&check("2032-02-01T00:00:00Z"), Score::Ok, "good until");
    is(&check("2031-12-10T00:00:00Z"), Score::Warning, "good until");
    is(&check("2031-12-02T00:00:00Z"), Score::Failure, "good until");
    is(
        &certificate::check(Seen::Bad("it has expired".to_owned()), now, "a"),
        Score::Failure,
        "expired",
    );
    is(
        &certificate::check(Seen::Nothing("x".to_owned()), now, "a"),
        Score::Failure,
        "looked at: x",
    );
}

#[test]
fn backups_are_to_be_recent_whole_and_made_by_themselves() {
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let look = |newest: Option<&str>, automatic, trouble: Option<&str>, live| {
        let known = Backups {
            newest: newest.map(|time| time.parse().unwrap()),
            automatic,
            trouble: trouble.map(str::to_owned),
        };
        judged(&known, "acme.live", live, now)
    };
    let yesterday = Some("2026-11-19T12:00:00Z");
    is(&look(yesterday, true, None, true), Score::Ok, "2026-11-19");
    is(
        &look(yesterday, false, None, true),
        Score::Warning,
        "by itself",
    );
    is(
        &look(yesterday, false, None, false),
        Score::Ok,
        "2026-11-19",
    );
    is(
        &look(Some("2026-11-18T12:00:00Z"), true, None, true),
        Score::Warning,
        "2026-11-18",
    );
    is(
        &look(Some("2026-11-01T12:00:00Z"), true, None, true),
        Score::Failure,
        "2026-11-01",
    );
    is(
        &look(Some("2026-11-01T12:00:00Z"), true, None, false),
        Score::Ok,
        "old",
    );
    is(
        &look(None, true, None, true),
        Score::Failure,
        "no backups yet",
    );
    is(
        &look(None, true, None, false),
        Score::Skipped,
        "no backups yet",
    );
    is(
        &look(yesterday, true, Some("a pack is gone"), true),
        Score::Failure,
        "a pack is gone",
    );
}

#[test]
fn names_of_uploads_are_told_to_who_may_read_them() {
    let folder = Folder::with(&[
        ("secret-plan.php", &"<?php evil(); ".repeat(9)),
        ("b.php", &"<?php evil(); ".repeat(9)),
    ]);
    folder.mode("b.php", 0o606);
    let mut tree = folder.tree();
    is(
        &strays::programs(&tree, &System::Other),
        Score::Failure,
        "secret-plan.php",
    );
    tree.unnamed = true;
    let told = strays::programs(&tree, &System::Other);
    is(
        &told,
        Score::Failure,
        "2 PHP file(s) lie among the uploads: (names are for who may read /files).",
    );
    assert!(!told.finding.contains("secret-plan"), "{told:?}");
}
