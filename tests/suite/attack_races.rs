//! Folders that become links, and links that become folders, while a client is on its way through them:
//! a thread swaps them on the disk as fast as it can, as a program of the site could.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::traps::{Outside, Print, SECRET, SECRET_NAME};
use support::{Gateway, Role, Site};

const ROUNDS: u32 = 150;
/// So often the folder and the link must have changed places, or nothing was shown.
const SWAPS: u64 = 2_000;
/// A name that the folder inside does not have.
const ONLY_OUTSIDE: &str = "only-outside";

#[test]
fn folders_swapped_during_the_walk_lead_nowhere() {
    let site = Arc::new(Gateway::start()).site("r-swap");
    site.deploy_all();
    let outside = Outside::new(site.gateway.folder());
    fs::write(outside.folder().join(ONLY_OUTSIDE), "").unwrap();
    let neighbours = ["test", "live"].map(|environment| site.disk(environment, "code"));
    let mut watched: Vec<&Path> = neighbours.iter().map(AsRef::as_ref).collect();
    watched.push(outside.folder());
    let before = Print::of(watched.iter().copied());
    std::thread::scope(|scope| {
        for (environment, area) in [("dev", "code"), ("dev", "files"), ("live", "files")] {
            let (site, outside) = (&site, &outside);
            scope.spawn(move || swapped(site, environment, area, outside));
        }
    });
    Print::of(watched.iter().copied()).must_equal(&before, "the folders were swapped");
}

/// What works on a whole tree at once goes through the same folders.
#[test]
fn folders_swapped_under_a_commit_bring_nothing_in() {
    let site = Arc::new(Gateway::start()).site("r-commit");
    let outside = Outside::new(site.gateway.folder());
    let before = Print::of([outside.folder()]);
    let code = fs::canonicalize(site.disk("dev", "code")).unwrap();
    let swapper = Swapper::start(&code, outside.folder());
    for round in 0..6 {
        fs::write(code.join("page"), format!("{round}\n")).unwrap();
        // One of them may fail for what changes under it; none may go outside.
        site.command(&["env:diffstat", "SITE.dev"]).run();
        site.command(&["env:commit", "SITE.dev", "-m", "while it changes"])
            .run();
        site.command(&["env:discard", "SITE.dev", "--yes"]).run();
    }
    assert!(swapper.stop() > 500);
    Print::of([outside.folder()]).must_equal(&before, "commits while folders are swapped");
    let tom = site.person(Role::TeamMember);
    let repository = site.repository().display().to_string();
    let hash = tom
        .client("git")
        .args(["hash-object", "--stdin"])
        .input(SECRET)
        .run()
        .ok()
        .out();
    tom.client("git")
        .args(["-C", &repository, "cat-file", "-e", hash.trim()])
        .run()
        .fails();
}

fn swapped(site: &Site, environment: &str, area: &str, outside: &Outside) {
    let disk = fs::canonicalize(site.disk(environment, area)).unwrap();
    let swapper = Swapper::start(&disk, outside.folder());
    let mut raw = Raw::open(site, site.person(Role::TeamMember), environment);
    let mut rounds = 0;
    while rounds < ROUNDS || swapper.swaps() < SWAPS {
        rounds += 1;
        for reply in pass(&mut raw, area) {
            let shown = String::from_utf8_lossy(&reply.body);
            assert!(!shown.contains(SECRET.trim_end()), "{reply:?}");
            assert!(
                reply.kind != packets::NAME || !shown.contains(ONLY_OUTSIDE),
                "{reply:?}"
            );
        }
    }
    swapper.stop();
}

/// One of everything by way of the folder that is swapped, sent in one go.
fn pass(raw: &mut Raw, area: &str) -> Vec<Reply> {
    let at = |name: &str| format!("/{area}/real/{name}");
    let secret = at(SECRET_NAME);
    let beside = format!("/{area}/beside");
    let write = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let extended =
        |id, name: &str, one: &str, two: &str| Request::extended(id, name).text(one).text(two);
    let first = raw.id();
    let mut number = first;
    let mut bytes = Vec::new();
    let requests: Vec<Box<dyn Fn(u32) -> Request>> = vec![
        Box::new(|id| Request::open(id, &secret, packets::FLAG_READ)),
        Box::new(|id| Request::open(id, &secret, packets::FLAG_WRITE)),
        Box::new(|id| Request::open(id, &secret, write | packets::FLAG_TRUNCATE)),
        Box::new(|id| Request::open(id, at("new"), write)),
        Box::new(|id| Request::of(packets::OPENDIR, id, at(""))),
        Box::new(|id| Request::of(packets::MKDIR, id, at("made")).number(0)),
        Box::new(|id| Request::of(packets::SETSTAT, id, &secret).size(0)),
        Box::new(|id| Request::of(packets::SETSTAT, id, &secret).permissions(0o777)),
        Box::new(|id| Request::of(packets::SYMLINK, id, "x").text(at("link"))),
        Box::new(|id| extended(id, "posix-rename@openssh.com", &beside, &at("moved"))),
        Box::new(|id| Request::of(packets::RENAME, id, &secret).text(&beside)),
        Box::new(|id| extended(id, "hardlink@openssh.com", &secret, &beside)),
        Box::new(|id| Request::of(packets::REMOVE, id, &beside)),
        Box::new(|id| Request::of(packets::REMOVE, id, &secret)),
        Box::new(|id| Request::of(packets::RMDIR, id, at("folder"))),
        Box::new(|id| Request::of(packets::RMDIR, id, at("made"))),
    ];
    for request in &requests {
        bytes.extend(request(number).bytes());
        number += 1;
    }
    while raw.id() < number {}
    raw.send_bytes(&bytes);
    let mut replies: Vec<Reply> = raw.answers(first..number).into_values().collect();
    let mut more = Vec::new();
    for handle in replies.iter().filter(|reply| reply.kind == packets::HANDLE) {
        let handle = handle.handle();
        more.push(raw.ask(|id| Request::read(id, &handle, 0, 1000)));
        more.push(raw.ask(|id| Request::write(id, &handle, 0, b"evil")));
        more.push(raw.ask(|id| Request::of(packets::READDIR, id, &handle)));
        more.push(raw.ask(|id| Request::of(packets::CLOSE, id, &handle)));
    }
    replies.extend(more);
    replies
}

/// A folder `real` that changes places with a link that leads outside.
struct Swapper {
    over: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Swapper {
    fn start(disk: &Path, outside: &Path) -> Self {
        let (real, link) = (disk.join("real"), disk.join("link"));
        fs::create_dir_all(real.join("folder")).unwrap();
        fs::write(real.join(SECRET_NAME), "no secret\n").unwrap();
        symlink(outside, &link).unwrap();
        let (over, swaps) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stop, count) = (over.clone(), swaps.clone());
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let flags = RenameFlags::RENAME_EXCHANGE;
                if renameat2(AT_FDCWD, &real, AT_FDCWD, &link, flags).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            over,
            swaps,
            thread: Some(thread),
        }
    }

    fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }

    fn stop(mut self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        self.swaps()
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
