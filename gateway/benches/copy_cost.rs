//! What a copy of an environment's files costs beside rsync, in one folder after the other:
//! `cargo bench -p funicular --bench copy_cost -- FOLDER [FILES] [MEGABYTES]`. The folder says which
//! file system is measured.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement without its input is none"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use funicular::database::Watcher;
use funicular::site::files::{Deleting, Room, copy};

struct Quiet;

impl Watcher for Quiet {
    fn at(&self, _: u64, _: &str) {}
    fn stopped(&self) -> bool {
        false
    }
}

const ROUNDS: usize = 3;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let base = words.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut number = |usual: u64| words.next().map_or(usual, |word| word.parse().unwrap());
    let (files, megabytes) = (number(20_000), number(2000));
    let folder = tempfile::tempdir_in(&base).unwrap();
    let at = |name: &str| folder.path().join(name);
    make(&at("source"), files, (megabytes << 20) / files.max(1));
    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        let (ours, theirs) = (at("ours"), at("theirs"));
        times[0].push(timed(|| ours_of(&at("source"), &ours)));
        times[1].push(timed(|| rsync(&at("source"), &theirs, &[])));
        change(&at("source"), files, round);
        times[2].push(timed(|| ours_of(&at("source"), &ours)));
        let previous = format!("--link-dest={}", theirs.display());
        let next = at("next");
        times[3].push(timed(|| rsync(&at("source"), &next, &[&previous])));
        for path in [&ours, &theirs, &next] {
            fs::remove_dir_all(path).unwrap();
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_secs_f64()
    };
    let [first, first_rsync, second, second_rsync] = times.each_mut().map(median);
    println!(
        "{files} files, {megabytes} MB, medians of {ROUNDS}: first {first:.2} s, rsync -a \
         {first_rsync:.2} s, ratio {:.2}; with 1 % changed {second:.2} s, rsync --link-dest \
         {second_rsync:.2} s, ratio {:.2}",
        first / first_rsync,
        second / second_rsync
    );
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn make(source: &Path, files: u64, length: u64) {
    let content: Vec<u8> = (0..length).map(|at| (at * 31 % 251) as u8).collect();
    for number in 0..files {
        let folder = source.join(format!("{}/{:02}", number % 20, number % 13));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("file-{number}.jpg")), &content).unwrap();
    }
    Command::new("sync").status().unwrap();
}

fn change(source: &Path, files: u64, round: usize) {
    for number in (round as u64..files).step_by(100) {
        let folder = source.join(format!("{}/{:02}", number % 20, number % 13));
        fs::write(
            folder.join(format!("file-{number}.jpg")),
            format!("changed {round}"),
        )
        .unwrap();
    }
}

fn ours_of(source: &Path, target: &Path) {
    let room = Room::unlimited();
    copy(source, target, Deleting::Gone, &room, &Quiet)
        .map_err(|_| "the copy failed")
        .unwrap();
}

fn rsync(source: &Path, target: &Path, options: &[&str]) {
    let from = format!("{}/", source.display());
    let status = Command::new("rsync")
        .arg("-a")
        .args(options)
        .arg(from)
        .arg(target)
        .status();
    assert!(status.unwrap().success());
}
