//! Somebody who can write to a site's disk (its own program, an archive unpacked there, a commit) plants
//! what leads elsewhere, and a client then asks for it: every trap, with every operation, in every
//! area of every environment. Nothing outside is read or changed, nothing waits for ever, and the
//! other environments are as before. `docs/attacks.md` lists what is told elsewhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::traps::{self, Outside, Print, Trap};
use support::{Gateway, Role, Site};

const CREATE: u32 = packets::FLAG_WRITE | packets::FLAG_CREATE;

#[test]
fn dev_in_sftp_mode_keeps_to_itself() {
    every_trap("a-sftp", "dev", false);
}

#[test]
fn dev_in_git_mode_keeps_to_itself() {
    every_trap("a-git", "dev", true);
}

#[test]
fn test_keeps_to_itself() {
    every_trap("a-test", "test", false);
}

#[test]
fn live_keeps_to_itself() {
    every_trap("a-live", "live", false);
}

/// What a client may be told with: opens of each kind that then write, and all that changes names,
/// attributes and content without one.
const OPENS: [(&str, u32); 7] = [
    ("write", packets::FLAG_WRITE),
    ("write and read", packets::FLAG_WRITE | packets::FLAG_READ),
    ("create", CREATE),
    ("replace", CREATE | packets::FLAG_TRUNCATE),
    ("truncate", packets::FLAG_WRITE | packets::FLAG_TRUNCATE),
    ("append", packets::FLAG_WRITE | packets::FLAG_APPEND),
    ("create alone", CREATE | packets::FLAG_EXCLUSIVE),
];

const OTHERS: usize = 20;

/// One request about the place `at`, with `mine` an own file and `free` a free name beside it.
fn other(which: usize, id: u32, at: &str, mine: &str, free: &str) -> Request {
    let extended =
        |name: &str, one: &str, two: &str| Request::extended(id, name).text(one).text(two);
    match which {
        0 => Request::of(packets::MKDIR, id, at).number(0),
        1 => Request::of(packets::SETSTAT, id, at).size(0),
        2 => Request::of(packets::SETSTAT, id, at).size(1 << 20),
        3 => Request::of(packets::SETSTAT, id, at).permissions(0o777),
        4 => Request::of(packets::SETSTAT, id, at)
            .number(packets::ATTRIBUTE_TIMES)
            .long(0),
        5 => Request::extended(id, "lsetstat@openssh.com")
            .text(at)
            .size(0),
        6 => Request::extended(id, "lsetstat@openssh.com")
            .text(at)
            .permissions(0o777),
        7 => Request::of(packets::SYMLINK, id, "/etc/passwd").text(at),
        8 => extended("hardlink@openssh.com", at, free),
        9 => extended("hardlink@openssh.com", mine, at),
        10 => Request::of(packets::RENAME, id, mine).text(at),
        11 => extended("posix-rename@openssh.com", mine, at),
        12 => Request::of(packets::STAT, id, at),
        13 => Request::of(packets::OPENDIR, id, at),
        14 => Request::extended(id, "statvfs@openssh.com").text(at),
        15 => Request::of(packets::RMDIR, id, at),
        16 => Request::of(packets::RENAME, id, at).text(free),
        17 => extended("posix-rename@openssh.com", at, free),
        18 => Request::of(packets::REMOVE, id, at),
        _ => Request::of(packets::LSTAT, id, at),
    }
}

fn every_trap(name: &str, environment: &str, git_mode: bool) {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site(name);
    let other = gateway.site("neighbour");
    for site in [&site, &other] {
        site.deploy_all();
        for environment in ["dev", "test", "live"] {
            fs::write(site.disk(environment, "files").join("page"), "a page\n").unwrap();
        }
    }
    if git_mode {
        site.must(&["connection:set", "SITE.dev", "git"]);
    }
    let outside = Outside::new(gateway.folder());
    let elsewhere = elsewhere(&site, &other, environment);
    let traps = Trap::all(&outside, &of(&site, environment), &elsewhere);
    let mut watched: Vec<PathBuf> = elsewhere;
    watched.extend([outside.folder().to_owned(), site.repository()]);
    let print = || Print::of(watched.iter().map(PathBuf::as_path));
    let untouched = print();
    let outside_before = Print::of([outside.folder()]);

    let mut raw = Raw::open(&site, site.person(Role::TeamMember), environment);
    for area in ["files", "code", "tmp"] {
        let disk = fs::canonicalize(site.disk(environment, area)).unwrap();
        // A release is read-only to its owner too.
        fs::set_permissions(&disk, fs::Permissions::from_mode(0o755)).unwrap();
        let beside = areas_beside(&site, environment, area);
        let beside_print = || Print::of(beside.iter().map(PathBuf::as_path));
        let before = beside_print();
        for trap in &traps {
            let name = trap.name.replace(' ', "-");
            let ground = disk.join(&name);
            fs::create_dir(&ground).unwrap();
            Attack {
                raw: &mut raw,
                trap,
                over_sftp: format!("/{area}/{name}"),
                disk: &ground,
            }
            .run();
            let told = format!("{} in {environment}/{area}", trap.name);
            Print::of([outside.folder()]).must_equal(&outside_before, &told);
            let leaks = traps::leaks(&ground);
            // A hard link is the file, not a copy.
            assert!(
                trap.is_hard_link() || leaks.is_empty(),
                "{told}: the secret was copied to {leaks:?}"
            );
            fs::remove_dir_all(&ground).unwrap();
        }
        let told = format!("the traps in {environment}/{area}");
        print().must_equal(&untouched, &told);
        beside_print().must_equal(&before, &told);
    }
}

struct Attack<'a> {
    raw: &'a mut Raw,
    trap: &'a Trap,
    over_sftp: String,
    disk: &'a Path,
}

impl Attack<'_> {
    fn run(&mut self) {
        let mut below = vec![""];
        if !self.trap.below.is_empty() {
            below.push(self.trap.below);
            below.push("new-file");
        }
        for below in below {
            for (number, (_, flags)) in OPENS.iter().enumerate() {
                let Some((at, mine, _)) =
                    self.plant(&format!("open-{number}-{}", below.len()), below)
                else {
                    return;
                };
                self.open_and_write(&at, &mine, *flags);
            }
            for which in 0..OTHERS {
                let Some((at, mine, free)) =
                    self.plant(&format!("other-{which}-{}", below.len()), below)
                else {
                    return;
                };
                let reply = self.raw.ask(|id| other(which, id, &at, &mine, &free));
                self.shows_nothing(&reply);
            }
            if let Some((at, _, _)) = self.plant(&format!("read-{}", below.len()), below) {
                self.read(&at);
            }
        }
    }

    /// Plants the trap in a folder of its own; returns its path over SFTP, that of an own file, and a
    /// free name.
    fn plant(&self, folder: &str, below: &str) -> Option<(String, String, String)> {
        let disk = self.disk.join(folder);
        fs::create_dir(&disk).unwrap();
        fs::write(disk.join("mine"), "mine\n").unwrap();
        if !self.trap.plant(&disk.join("trap")) {
            return None;
        }
        let over_sftp = |name: &str| format!("{}/{folder}/{name}", self.over_sftp);
        let at = over_sftp("trap");
        let at = if below.is_empty() {
            at
        } else {
            format!("{at}/{below}")
        };
        Some((at, over_sftp("mine"), over_sftp("free")))
    }

    fn open_and_write(&mut self, at: &str, mine: &str, flags: u32) {
        let opened = self.raw.ask(|id| Request::open(id, at, flags));
        self.shows_nothing(&opened);
        if opened.kind != packets::HANDLE {
            return;
        }
        let handle = opened.handle();
        let source = self
            .raw
            .ask(|id| Request::open(id, mine, packets::FLAG_READ));
        let requests: [&dyn Fn(u32) -> Request; 6] = [
            &|id| Request::write(id, &handle, 0, b"evil"),
            &|id| Request::read(id, &handle, 0, 1000),
            &|id| Request::of(packets::FSETSTAT, id, &handle).permissions(0o777),
            &|id| Request::of(packets::FSETSTAT, id, &handle).size(2),
            &|id| Request::of(packets::FSTAT, id, &handle),
            &|id| Request::extended(id, "fsync@openssh.com").text(&handle),
        ];
        for request in requests {
            let reply = self.raw.ask(request);
            self.shows_nothing(&reply);
        }
        if source.kind == packets::HANDLE {
            let source = source.handle();
            self.raw.ask(|id| {
                Request::extended(id, "copy-data")
                    .text(&source)
                    .long(0)
                    .long(0)
                    .text(&handle)
                    .long(0)
            });
            self.raw.ask(|id| Request::of(packets::CLOSE, id, &source));
        }
        self.raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
    }

    fn read(&mut self, at: &str) {
        let opened = self.raw.ask(|id| Request::open(id, at, packets::FLAG_READ));
        if opened.kind == packets::HANDLE {
            let handle = opened.handle();
            let reply = self.raw.ask(|id| Request::read(id, &handle, 0, 1000));
            // A name of the file itself is no way to another.
            if !self.trap.is_hard_link() {
                self.shows_nothing(&reply);
            }
            self.raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
        }
        let opened = self.raw.ask(|id| Request::of(packets::OPENDIR, id, at));
        if opened.kind == packets::HANDLE {
            let handle = opened.handle();
            let names = self
                .raw
                .ask(|id| Request::of(packets::READDIR, id, &handle));
            self.shows_nothing(&names);
            self.raw.ask(|id| Request::of(packets::CLOSE, id, &handle));
        }
    }

    #[track_caller]
    fn shows_nothing(&self, reply: &Reply) {
        let shown = String::from_utf8_lossy(&reply.body);
        for secret in [traps::SECRET.trim_end(), "root:x:0:0", "SSH_", "HOME="] {
            let named = reply.status().is_some();
            assert!(
                named || !shown.contains(secret),
                "{}: {reply:?}",
                self.over_sftp
            );
        }
        assert!(
            reply.kind != packets::NAME || !shown.contains(traps::SECRET_NAME),
            "{}: {reply:?}",
            self.over_sftp
        );
    }
}

/// The folders of the other environments, and one of another site.
fn elsewhere(site: &Site, other: &Site, environment: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["dev", "test", "live"]
        .into_iter()
        .filter(|name| *name != environment)
        .map(|name| of(site, name).join("files"))
        .collect();
    folders.push(of(other, "dev").join("files"));
    folders
}

/// The areas of the same environment but one; code in all its generations.
fn areas_beside(site: &Site, environment: &str, area: &str) -> Vec<PathBuf> {
    ["files", "code", "tmp", "logs", "backups", "uploads"]
        .into_iter()
        .filter(|name| *name != area)
        .map(|name| of(site, environment).join(if name == "code" { "generations" } else { name }))
        .collect()
}

fn of(site: &Site, environment: &str) -> PathBuf {
    let sites = site.gateway.data().join("sites");
    sites
        .join(&site.name)
        .join("environments")
        .join(environment)
}
