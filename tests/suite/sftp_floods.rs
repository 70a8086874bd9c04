//! A hundred thousand requests on their way at once; and the memory that many clients together can make
//! the gateway hold by not reading, which `docs/limits.md` bounds.

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, Site, measure, tree, wait_for};

use crate::sftp_raw::still_serves;

#[test]
fn a_hundred_thousand_requests_at_once_are_answered_in_order() {
    const REQUESTS: u32 = 100_000;
    let site = site("f-pipeline");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let mut pen = raw.take_stdin();
    let asking = std::thread::spawn(move || {
        let bytes: Vec<u8> = (0..REQUESTS)
            .flat_map(|id| match id % 4 {
                0 => Request::of(packets::STAT, id, "/code/index.php").bytes(),
                1 => Request::of(packets::REALPATH, id, "/code/./lib/..").bytes(),
                2 => Request::of(packets::LSTAT, id, "/files/nothing").bytes(),
                _ => Request::of(packets::READLINK, id, "/code/theme/current.css").bytes(),
            })
            .collect();
        pen.write_all(&bytes).expect("ssh takes all requests");
        pen
    });
    for id in 0..REQUESTS {
        let reply = raw.receive();
        assert_eq!(reply.id, id, "{reply:?}");
        let expected = match id % 4 {
            0 => packets::ATTRS,
            2 => packets::STATUS,
            _ => packets::NAME,
        };
        assert_eq!(reply.kind, expected, "{reply:?}");
    }
    drop(asking.join());
    still_serves(&mut Raw::open(&site, site.person(Role::TeamMember), "dev"));
}

/// Each client asks for a gigabyte, in requests as long as can be, and never reads. What is held for
/// each is bounded; so is the sum.
#[test]
fn clients_that_never_read_are_held_in_bounded_memory() {
    const CLIENTS: u64 = 12;
    /// What docs/limits.md says that one channel may hold: requests, answers of one call, and what
    /// the allocator makes of it.
    const BOUND: u64 = 64 << 20;
    let site = site("f-memory");
    let tom = site.person(Role::TeamMember);
    fs::write(
        site.disk("dev", "files").join("large"),
        tree::noise(91, 1 << 20),
    )
    .unwrap();
    let mut other = Raw::open(&site, tom, "dev");
    let before = measure::memory(&site.gateway);
    // The one beside it opens the code when it first needs it.
    still_serves(&mut other);
    let open = measure::held_by_sessions(&site.gateway);
    let mut greedy: Vec<Raw> = Vec::new();
    let mut pens = Vec::new();
    for _ in 0..CLIENTS {
        let mut raw = Raw::open(&site, tom, "dev");
        let handle = raw.open_file("/files/large", packets::FLAG_READ);
        raw.process.signal(Signal::SIGCONT);
        let mut pen = raw.take_stdin();
        pens.push(std::thread::spawn(move || {
            let bytes: Vec<u8> = (0..4000)
                .flat_map(|id| Request::read(id, &handle, 0, 255 << 10).bytes())
                .collect();
            let mut padding = Vec::new();
            // Requests that cost much to hold and little to send.
            for id in 4000..4100 {
                padding.extend(Request::of(packets::STAT, id, vec![b'a'; 200_000]).bytes());
            }
            let _ = pen.write_all(&bytes).and_then(|()| pen.write_all(&padding));
        }));
        greedy.push(raw);
    }
    // They have filled what they can when it has stopped to grow.
    let mut last = 0;
    wait_for("the end of growth", Duration::from_secs(60), || {
        std::thread::sleep(Duration::from_millis(200));
        let now = measure::memory(&site.gateway);
        let still = now.abs_diff(last) < 256 << 10;
        last = now;
        still.then_some(())
    });
    still_serves(&mut other);
    let most = measure::most_memory(&site.gateway).saturating_sub(before);
    println!(
        "{CLIENTS} clients that never read: {} KiB each",
        (most / CLIENTS) >> 10
    );
    assert!(
        most < CLIENTS * BOUND,
        "{CLIENTS} clients that never read hold {most} bytes"
    );
    for raw in &greedy {
        raw.process.signal_group(Signal::SIGKILL);
    }
    for pen in pens {
        let _ = pen.join();
    }
    drop(greedy);
    wait_for("the end of their sessions", Duration::from_secs(30), || {
        (measure::held_by_sessions(&site.gateway).len() <= open.len()).then_some(())
    });
    still_serves(&mut other);
}

fn site(name: &str) -> Site {
    Arc::new(Gateway::start()).site(name)
}
