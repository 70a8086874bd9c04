//! A copy of a site in full use: uploads, rows and deletions come without a pause while it is taken. It
//! has no row whose file it lacks (what is uploaded and deleted again within one copy is not tried); the two simple orders, files first or database first, lose some, which is
//! seen here as well, or nothing would be tested. How long a writer on Live was held is printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use support::{Client, Shared};

use crate::content_reader::Looping;
use crate::content_scene::Scene;

static SHARED: Shared = Shared::new();

#[test]
fn a_copy_of_a_busy_site_on_sqlite_has_no_row_without_its_file() {
    agree(&Scene::sqlite(&SHARED.gateway(), "ca-sqlite"));
}

#[test]
fn a_copy_of_a_busy_site_on_mariadb_has_no_row_without_its_file() {
    agree(&Scene::mariadb("ca-mariadb"));
}

const ROUNDS: usize = 3;
/// Rows with a file each, before the writer begins.
const ROWS: usize = 3000;

fn agree(scene: &Scene) {
    scene.fill("live", 2000);
    uploads(scene);
    let live = PathBuf::from(scene.fact("live", "FILES"));
    let writer = Looping::writer(scene, "live", 150);
    writer.goes_on(50);
    let usual = longest(&writer.since(3));
    let aside = scene.site.gateway.folder().join("aside");

    // The simple orders, each until it has lost something.
    let lost = until_lost(|| {
        copy(&live, &aside);
        without_file(&rows(scene, "live"), &aside)
    });
    println!(
        "{}: files, then database: {lost:?} rows without their file",
        scene.engine()
    );
    let lost = until_lost(|| {
        let rows = rows(scene, "live");
        copy(&live, &aside);
        without_file(&rows, &aside)
    });
    println!(
        "{}: database, then files: {lost:?} rows without their file",
        scene.engine()
    );

    let mut held = Duration::ZERO;
    for round in 0..ROUNDS {
        let (from, before) = (writer.times(), rows(scene, "live").len());
        scene
            .lead_does(&["env:clone-content", "SITE.live", "dev"])
            .run()
            .ok();
        let meanwhile = writer.since(from);
        held = held.max(longest(&meanwhile));
        let copied = rows(scene, "dev");
        let files = PathBuf::from(scene.fact("dev", "FILES"));
        assert_eq!(
            without_file(&copied, &files),
            0,
            "round {round}: rows of the copy whose file it lacks"
        );
        assert!(
            copied.len() >= before.min(ROWS / 2),
            "{} rows of {before} were copied",
            copied.len()
        );
        assert!(
            !meanwhile.is_empty(),
            "nothing was written while it was copied"
        );
        assert!(
            scene.seen("dev").contains("| agrees |"),
            "{}",
            scene.seen("dev")
        );
    }
    println!(
        "{}: {ROUNDS} copies while {} rounds of the writer went by: no row without its file; a statement of \
         the writer took {held:?} at most, and {usual:?} before any copy",
        scene.engine(),
        writer.times()
    );
    let ended = writer.end();
    let wrong: Vec<_> = ended
        .keys()
        .filter(|line| line.parse::<u64>().is_err())
        .collect();
    assert!(wrong.is_empty(), "Live's writer met {wrong:?}");
    // What holds a writer is milliseconds; on a machine that is busy with much else, no more is sure.
    assert!(
        held < Duration::from_secs(20),
        "a writer on Live stood still for {held:?}"
    );
}

/// Tries until there is a loss; a way that never loses anything in so many rounds would be right.
fn until_lost(mut way: impl FnMut() -> usize) -> Vec<usize> {
    let mut lost = Vec::new();
    for _ in 0..20 {
        lost.push(way());
        if lost.last() != Some(&0) {
            return lost;
        }
    }
    panic!("it has lost nothing: is the site busy?");
}

fn longest(lines: &[String]) -> Duration {
    let longest = lines.iter().filter_map(|line| line.parse().ok()).max();
    Duration::from_micros(longest.unwrap_or(0))
}

fn uploads(scene: &Scene) {
    let files = PathBuf::from(scene.fact("live", "FILES"));
    let mut values = Vec::new();
    for number in 1..=ROWS {
        let path = format!("uploads/{}/{number}.txt", number / 100);
        let file = files.join(&path);
        fs::create_dir_all(file.parent().expect("it lies in a folder")).unwrap();
        fs::write(file, format!("upload {number}\n").repeat(20)).unwrap();
        values.push(format!("({number}, '{path}')"));
    }
    scene.sql(
        "live",
        &format!(
            "INSERT INTO uploads (id, path) VALUES {}",
            values.join(", ")
        ),
    );
}

/// The files that rows of an environment name.
fn rows(scene: &Scene, environment: &str) -> BTreeSet<String> {
    let rows = scene.sql(environment, "SELECT path FROM uploads");
    rows.lines().map(str::to_owned).collect()
}

fn without_file(rows: &BTreeSet<String>, files: &Path) -> usize {
    assert!(!rows.is_empty(), "no rows");
    rows.iter()
        .filter(|path| !files.join(path).is_file())
        .count()
}

/// As a script would: files that vanish meanwhile are no fault.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    Client::new("cp").arg("-a").arg(from).arg(to).run();
    assert!(to.join("uploads").is_dir(), "nothing was copied");
}
