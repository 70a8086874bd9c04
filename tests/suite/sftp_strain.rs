//! Clients that take without giving: one that never reads, one that vanishes, one that opens handles
//! without end. Nobody else notices, and nothing is left behind.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, Site, tree, wait_for};

use crate::sftp_raw::{SHARED, still_serves};

const CREATE: u32 = packets::FLAG_READ | packets::FLAG_WRITE | packets::FLAG_CREATE;
/// How long another session may take while one misbehaves, on a machine with other work.
const RESPONSIVE: Duration = Duration::from_secs(5);

#[test]
fn a_client_that_never_reads_holds_up_nobody() {
    const READS: u32 = 3000;
    const BLOCK: u32 = 32 * 1024;
    let (site, mut other) = open("s-greedy");
    let tom = site.person(Role::TeamMember);
    let content = tree::noise(51, BLOCK as usize * 64);
    fs::write(site.disk("dev", "files").join("large"), &content).unwrap();
    let before = memory(&site.gateway);

    let mut greedy = Raw::open(&site, tom, "dev");
    let handle = greedy.open_file("/files/large", packets::FLAG_READ);
    // From here on nobody takes what the server sends, so writing may block as well.
    let mut hungry = Raw::open(&site, tom, "dev");
    let its_handle = hungry.open_file("/files/large", packets::FLAG_READ);
    let mut writers = Vec::new();
    for (raw, handle) in [(&mut greedy, handle), (&mut hungry, its_handle)] {
        raw.process.signal(Signal::SIGCONT);
        let mut pen = raw.take_stdin();
        writers.push(std::thread::spawn(move || {
            for id in 0..READS {
                let offset = u64::from(id % 64) * u64::from(BLOCK);
                if pen
                    .write_all(&Request::read(id, &handle, offset, BLOCK).bytes())
                    .is_err()
                {
                    return None;
                }
            }
            Some(pen)
        }));
    }
    // One of them does not even run any more.
    hungry.process.signal(Signal::SIGSTOP);
    for _ in 0..20 {
        let began = Instant::now();
        still_serves(&mut other);
        assert!(
            began.elapsed() < RESPONSIVE,
            "another session waited {:?}",
            began.elapsed()
        );
    }
    let began = Instant::now();
    site.sftp(tom, "dev", "ls /code\n").run().ok();
    assert!(
        began.elapsed() < 2 * RESPONSIVE,
        "a new session waited {:?}",
        began.elapsed()
    );
    let grown = memory(&site.gateway).saturating_sub(before);
    assert!(
        grown < 128 << 20,
        "the gateway grew by {grown} bytes for clients that do not read"
    );

    // When it reads at last, every answer is there, and right.
    let answers = greedy.answers(0..READS);
    for (id, reply) in answers {
        let start = (id % 64) as usize * BLOCK as usize;
        assert!(
            reply.data() == content[start..start + BLOCK as usize],
            "block {id}"
        );
    }
    hungry.process.signal_group(Signal::SIGKILL);
    for writer in writers {
        let _ = writer.join();
    }
    still_serves(&mut other);
}

/// On one connection, too: a channel that is not read must not stop the one beside it.
#[test]
fn a_channel_that_is_not_read_holds_up_no_other_on_its_connection() {
    let (site, _other) = open("s-shared");
    let tom = site
        .person(Role::TeamMember)
        .at_another_computer("s-shared");
    let socket = tom.home().join("mux");
    let config = fs::read_to_string(tom.config()).unwrap();
    let shared = format!(
        "ControlPath {}\nControlMaster auto\nControlPersist no\n",
        socket.display()
    );
    fs::write(tom.config(), shared + &config).unwrap();
    fs::write(
        site.disk("dev", "files").join("large"),
        tree::noise(52, 1 << 20),
    )
    .unwrap();
    let mut master = Raw::open(&site, &tom, "dev");
    wait_for("the shared connection", Duration::from_secs(10), || {
        socket.exists().then_some(())
    });
    let handle = master.open_file("/files/large", packets::FLAG_READ);

    let mut greedy = Raw::open(&site, &tom, "dev");
    let its_handle = greedy.open_file("/files/large", packets::FLAG_READ);
    let mut pen = greedy.take_stdin();
    let writer = std::thread::spawn(move || {
        for id in 0..2000 {
            if pen
                .write_all(&Request::read(id, &its_handle, 0, 32768).bytes())
                .is_err()
            {
                break;
            }
        }
        pen
    });
    for _ in 0..20 {
        let began = Instant::now();
        assert_eq!(
            master
                .ask(|id| Request::read(id, &handle, 0, 32768))
                .data()
                .len(),
            32768
        );
        still_serves(&mut master);
        assert!(
            began.elapsed() < RESPONSIVE,
            "the other channel waited {:?}",
            began.elapsed()
        );
    }
    assert_eq!(greedy.answers(0..2000).len(), 2000);
    drop(writer.join());
}

#[test]
fn a_client_that_vanishes_in_mid_upload_leaves_the_old_file_whole() {
    let (site, mut other) = open("s-vanish");
    let tom = site.person(Role::TeamMember);
    for area in ["code", "files"] {
        let path = format!("/{area}/page");
        let handle = other.open_file(&path, CREATE);
        other
            .ask(|id| Request::write(id, &handle, 0, b"the old page"))
            .must_be(packets::OK);
        other
            .ask(|id| Request::of(packets::CLOSE, id, &handle))
            .must_be(packets::OK);

        let open_files = descriptors(&site.gateway);
        let mut raw = Raw::open(&site, tom, "dev");
        let flags = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;
        let handle = raw.open_file(&path, flags);
        raw.ask(|id| Request::write(id, &handle, 0, b"half of the new"))
            .must_be(packets::OK);
        raw.process.signal_group(Signal::SIGKILL);
        drop(raw);
        wait_for("the session's end", Duration::from_secs(30), || {
            (descriptors(&site.gateway) <= open_files).then_some(())
        });
        let left = site.tree("dev", area);
        assert_eq!(left.content("page"), Some(&b"the old page"[..]), "{path}");
        assert_eq!(other.read_file(&path), b"half of the new", "to be resumed");
        let odd: Vec<_> = left
            .paths()
            .filter(|path| path.starts_with(b".") || path.ends_with(b".part"))
            .collect();
        assert!(odd.is_empty(), "left behind: {odd:?}");
    }
}

#[test]
fn thousands_of_handles_are_taken_or_refused_and_given_back() {
    const HANDLES: u32 = 5000;
    // The gateway opens a few files of its own when it first needs them.
    const OF_ITS_OWN: usize = 10;
    let (site, mut other) = open("s-handles");
    let tom = site.person(Role::TeamMember);
    let open_files = descriptors(&site.gateway);
    let mut raw = Raw::open(&site, tom, "dev");
    let mut handles = Vec::new();
    for start in (0..HANDLES).step_by(500) {
        let mut bytes = Vec::new();
        for id in start..start + 500 {
            bytes.extend(Request::open(id, "/code/index.php", packets::FLAG_READ).bytes());
        }
        raw.send_bytes(&bytes);
        for reply in raw.answers(start..start + 500).into_values() {
            match reply.status() {
                None => handles.push(reply.handle()),
                Some((code, _)) => assert_eq!(code, packets::FAILURE, "{reply:?}"),
            }
        }
    }
    assert!(handles.len() >= 100, "only {} handles", handles.len());
    still_serves(&mut other);
    Raw::open(&site, site.person(Role::Developer), "dev").open_file("/files/still", CREATE);
    for handle in &handles {
        raw.ask(|id| Request::of(packets::CLOSE, id, handle))
            .must_be(packets::OK);
    }
    still_serves(&mut raw);
    // A client that leaves without closing leaves nothing.
    for _ in 0..5 {
        let mut raw = Raw::open(&site, tom, "dev");
        for _ in 0..100 {
            raw.ask(|id| Request::open(id, "/code/index.php", packets::FLAG_READ));
        }
        raw.process.signal_group(Signal::SIGKILL);
    }
    drop(raw);
    wait_for(
        "all handles to be given back",
        Duration::from_secs(30),
        || (descriptors(&site.gateway) <= open_files + OF_ITS_OWN).then_some(()),
    );
}

#[test]
fn a_hundred_sessions_work_at_once() {
    let (site, _other) = open("s-crowd");
    let dana = site.person(Role::Developer);
    let mut crowd: Vec<Raw> = Vec::new();
    for _ in 0..10 {
        crowd.extend((0..10).map(|_| Raw::connect(&site, dana, "dev")));
        let fresh = crowd.len() - 10;
        for raw in &mut crowd[fresh..] {
            raw.send(&Request::init(3));
        }
        for raw in &mut crowd[fresh..] {
            assert_eq!(raw.receive().kind, packets::VERSION);
        }
    }
    for (number, raw) in crowd.iter_mut().enumerate() {
        let handle = raw.open_file(format!("/files/by-{number}"), CREATE);
        raw.ask(|id| Request::write(id, &handle, 0, number.to_string().as_bytes()))
            .must_be(packets::OK);
    }
    for (number, raw) in crowd.iter_mut().enumerate() {
        let next = (number + 1) % 100;
        assert_eq!(
            raw.read_file(format!("/files/by-{next}")),
            next.to_string().as_bytes()
        );
    }
}

/// Returns the bytes that the gateway holds in memory.
fn memory(gateway: &Gateway) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.process_id())).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}

/// Returns how many files and sockets the gateway has open.
fn descriptors(gateway: &Gateway) -> usize {
    fs::read_dir(format!("/proc/{}/fd", gateway.process_id()))
        .unwrap()
        .count()
}

/// A site on a gateway of its own: what is counted here is the gateway's.
fn open(name: &str) -> (Site, Raw) {
    let gateway = match name {
        "s-shared" | "s-crowd" => SHARED.gateway(),
        _ => std::sync::Arc::new(Gateway::start()),
    };
    let site = gateway.site(name);
    let raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    (site, raw)
}
