//! How long copies take beside what people use. Run by hand:
//! `cargo test --release -p funicular --lib postgresql::tests::figures -- --ignored --nocapture`

use std::process::Stdio;
use std::time::Instant;

use super::{Own, SECRET, plainly, running};

/// Seconds of work of the server's and of all that this process has run, which do not depend on what
/// else the machine does.
fn work() -> f64 {
    let folder = running().socket().parent().unwrap().to_owned();
    let pid = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let of = |pid: &str, fields: std::ops::Range<usize>| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        let numbers: Vec<&str> = rest.split(' ').collect();
        numbers.get(fields).map_or(0, |some| {
            some.iter()
                .map(|number| number.parse::<u64>().unwrap())
                .sum()
        })
    };
    let postmaster = pid.lines().next().unwrap();
    let children =
        std::fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))
            .unwrap_or_default();
    let living: u64 = children.split_whitespace().map(|pid| of(pid, 11..13)).sum();
    (of(postmaster, 11..15) + of("self", 11..15) + living) as f64 / 100.0
}

#[test]
#[ignore = "takes minutes and some gigabytes"]
fn half_a_gigabyte() {
    let rows: u64 = std::env::var("ROWS").map_or(1_000_000, |rows| rows.parse().unwrap());
    let live = Own::new();
    live.site(&format!(
        "CREATE TABLE posts(id bigserial PRIMARY KEY, author int, title text, body text, at timestamptz DEFAULT now());
         INSERT INTO posts(author, title, body) SELECT i % 1000, 'title ' || i, repeat(md5(i::text), 10) FROM generate_series(1, {rows}) i;
         CREATE INDEX ON posts(author); CREATE INDEX ON posts(title);
         CREATE TABLE meta(id bigserial PRIMARY KEY, post bigint REFERENCES posts, key text, value text);
         INSERT INTO meta(post, key, value) SELECT i, 'key' || i % 20, md5(i::text) FROM generate_series(1, {rows}) i;
         CREATE INDEX ON meta(post); CREATE INDEX ON meta(key, value); ANALYZE;"
    ));
    println!(
        "{:?}",
        live.database
            .query("SELECT pg_size_pretty(pg_database_size(current_database()))")
    );
    for round in 0..3 {
        let dev = Own::new();
        let (began, worked) = (Instant::now(), work());
        live.database.copy_to(&dev.database, &plainly()).unwrap();
        let (ours, our_work) = (began.elapsed(), work() - worked);
        drop(dev);
        let dev = Own::new();
        let (began, worked) = (Instant::now(), work());
        let mut dump = running()
            .client("pg_dump", &live.name, &live.name, SECRET)
            .arg("--no-owner")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let status = running()
            .client("psql", &dev.name, &dev.name, SECRET)
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1"])
            .stdin(dump.stdout.take().unwrap())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success() && dump.wait().unwrap().success());
        let (theirs, their_work) = (began.elapsed(), work() - worked);
        println!(
            "round {round}: ours {ours:?}, pg_dump | psql {theirs:?}, ratio {:.3}; work {our_work:.2} s, {their_work:.2} s",
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}
