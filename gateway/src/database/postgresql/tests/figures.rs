//! How long copies take beside what people use. Run by hand:
//! `cargo test --release -p funicular --lib postgresql::tests::figures -- --ignored --nocapture`

use std::process::Stdio;
use std::time::Instant;

use super::{Own, SECRET, plainly, running};

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
        let began = Instant::now();
        live.database.copy_to(&dev.database, &plainly()).unwrap();
        let ours = began.elapsed();
        drop(dev);
        let dev = Own::new();
        let began = Instant::now();
        let mut dump = running()
            .client("pg_dump", &live.name, &live.name, SECRET)
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
        let theirs = began.elapsed();
        println!(
            "round {round}: ours {ours:?}, pg_dump | psql {theirs:?}, ratio {:.3}",
            ours.as_secs_f64() / theirs.as_secs_f64()
        );
    }
}
