//! How long copies take beside what people use. Run by hand:
//! `cargo test --release -p funicular --lib sqlite::tests::figures -- --ignored --nocapture`

use std::process::Command;
use std::time::Instant;

use super::{Place, Writer, copied, grow, plainly, size};

#[test]
#[ignore = "takes minutes and some gigabytes"]
fn a_gigabyte() {
    let bytes = std::env::var("BYTES").map_or(1 << 30, |bytes| bytes.parse().unwrap());
    for mode in ["wal", "delete"] {
        let place = Place::new();
        place.database("live");
        let site = place.site("live/a.sqlite");
        site.query_row(&format!("PRAGMA journal_mode={mode}"), [], |_| Ok(()))
            .unwrap();
        grow(&site, bytes);
        drop(site);
        println!("{mode}: {} bytes", size(&place.path("live/a.sqlite")));
        for round in 0..3 {
            let began = Instant::now();
            copied(&place, "live", "ours", &plainly());
            let ours = began.elapsed();
            let began = Instant::now();
            let status = Command::new("sh")
                .arg("-c")
                .arg("sqlite3 live/a.sqlite .dump | sqlite3 theirs.sqlite")
                .current_dir(place.path("."))
                .status()
                .unwrap();
            assert!(status.success());
            let theirs = began.elapsed();
            println!(
                "round {round}: ours {ours:?}, .dump | sqlite3 {theirs:?}, ratio {:.4}",
                ours.as_secs_f64() / theirs.as_secs_f64()
            );
            std::fs::remove_dir_all(place.path("ours")).unwrap();
            std::fs::remove_file(place.path("theirs.sqlite")).unwrap();
        }
        let writer = Writer::start(mode, "0.002", &[place.path("live/a.sqlite")]);
        let filled = copied(&place, "live", "ours", &plainly());
        println!(
            "longest write beside it: {} ms {:?}",
            writer.end().longest,
            filled.notes
        );
    }
}
