//! A flood of silent, slow and garbage connections: who is logged in goes on as before, and honest
//! people get in. The figures are printed; what is required of them is generous, since the flood
//! itself takes its share of the same machine.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, Site, knocking, tree, wait_for};

/// What is transferred, in bytes.
const SIZE: usize = 48 << 20;

/// Connections of the flood that say nothing, held open for as long as the gateway lets them.
const SILENT: usize = 1000;

const GARBAGE_WRITERS: u8 = 4;

#[test]
fn a_flood_at_the_door_leaves_a_logged_in_transfer_untouched() {
    let gateway = Arc::new(Gateway::start_with(&[("penalties", "exempt", "[]")]));
    let site = gateway.site("t-flood");
    let tom = site.person(Role::TeamMember);
    let content = tree::noise(99, SIZE);
    fs::write(site.disk("dev", "files").join("large"), &content).unwrap();
    let mut raw = Raw::open(&site, tom, "dev");

    let calm = measure(&site, &mut raw, &content);
    let memory_before = memory(&gateway);
    let flood = Flood::begin(gateway.address());
    wait_for("the flood", knocking::PATIENCE, || {
        (flood.knocks() > 2000).then_some(())
    });
    let stormy = measure(&site, &mut raw, &content);
    let began = Instant::now();
    site.sftp(&tom.coming_from("127.0.0.77"), "dev", "ls\n")
        .run()
        .ok();
    let login = began.elapsed();
    let grown = memory(&gateway).saturating_sub(memory_before);
    let knocks = flood.end();

    println!("without the flood: {calm}");
    println!("in the flood:      {stormy}");
    println!(
        "{SILENT} silent connections and {knocks} others; a new login took {login:?}; \
         the gateway grew by {} KiB",
        grown >> 10
    );
    assert!(
        stormy.median < Duration::from_millis(200) && stormy.worst < Duration::from_secs(5),
        "requests waited: {stormy}"
    );
    assert!(
        stormy.transfer < calm.transfer * 8 + Duration::from_secs(5),
        "the transfer took {:?} instead of {:?}",
        stormy.transfer,
        calm.transfer
    );
    assert!(login < Duration::from_secs(20), "a login took {login:?}");
    assert!(grown < 128 << 20, "the gateway grew by {grown} bytes");
    assert_eq!(raw.read_file("/code/index.php"), b"<?php echo 'first';\n");
    let lines = gateway
        .logged()
        .lines()
        .filter(|line| line.contains("turned away"))
        .count();
    assert!(
        lines < 200,
        "{lines} lines of the log for {knocks} connections"
    );
}

/// What a session that is logged in feels.
struct Felt {
    transfer: Duration,
    median: Duration,
    worst: Duration,
}

impl std::fmt::Display for Felt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} MiB down in {:.2} s, a request answered in {:.2} ms (median), {:.1} ms (worst of 300)",
            SIZE >> 20,
            self.transfer.as_secs_f64(),
            self.median.as_secs_f64() * 1e3,
            self.worst.as_secs_f64() * 1e3
        )
    }
}

/// Downloads the file on a session that stands, then asks for small things on it.
fn measure(_site: &Site, raw: &mut Raw, content: &[u8]) -> Felt {
    const BLOCK: usize = 32 << 10;
    let handle = raw.open_file("/files/large", packets::FLAG_READ);
    let began = Instant::now();
    let mut at = 0;
    while at < content.len() {
        let ids: Vec<(u32, usize)> = (0..64)
            .map(|ahead| (raw.id(), at + ahead * BLOCK))
            .filter(|(_, offset)| *offset < content.len())
            .collect();
        for (id, offset) in &ids {
            raw.send(&Request::read(*id, &handle, *offset as u64, BLOCK as u32));
        }
        let answers = raw.answers(ids.iter().map(|(id, _)| *id));
        for (id, offset) in &ids {
            let end = content.len().min(offset + BLOCK);
            assert!(answers[id].data() == content[*offset..end], "at {offset}");
        }
        at += ids.len() * BLOCK;
    }
    let transfer = began.elapsed();
    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
        .must_be(packets::OK);
    let mut waits: Vec<Duration> = (0..300)
        .map(|_| {
            let began = Instant::now();
            let reply = raw.ask(|id| Request::of(packets::STAT, id, "/code/index.php"));
            assert_eq!(reply.kind, packets::ATTRS);
            began.elapsed()
        })
        .collect();
    waits.sort();
    Felt {
        transfer,
        median: waits[waits.len() / 2],
        worst: *waits.last().unwrap(),
    }
}

/// Many connections from a few addresses, none of which ever logs in.
struct Flood {
    over: Arc<AtomicBool>,
    knocks: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    fn begin(at: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let knocks = Arc::new(AtomicU64::new(0));
        let mut flood = Self {
            over,
            knocks,
            threads: Vec::new(),
        };
        flood.thread(move |over, knocks| {
            let mut held: Vec<TcpStream> = Vec::new();
            for _ in 0..SILENT {
                held.extend(knocking::from([127, 0, 0, 66], at));
                knocks.fetch_add(1, Ordering::Relaxed);
            }
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        for writer in 0..GARBAGE_WRITERS {
            flood.thread(move |over, knocks| {
                let words: [&[u8]; 3] = [
                    b"GET / HTTP/1.0\r\n\r\n",
                    &[0xff; 512],
                    b"SSH-2.0-x\r\n\0\0",
                ];
                while !over.load(Ordering::Relaxed) {
                    let which = knocks.fetch_add(1, Ordering::Relaxed) as usize % words.len();
                    if let Ok(mut stream) = knocking::from([127, 0, 0, 67 + writer], at) {
                        let _ = stream.write_all(words[which]);
                    }
                    // A flood that takes the whole machine would measure the machine.
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
        flood.thread(move |over, _| {
            let mut slow: Vec<TcpStream> = (0..50)
                .filter_map(|_| knocking::from([127, 0, 0, 72], at).ok())
                .collect();
            while !over.load(Ordering::Relaxed) {
                for stream in &mut slow {
                    let _ = stream.write_all(b"S");
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        flood
    }

    fn thread(&mut self, work: impl FnOnce(&AtomicBool, &AtomicU64) + Send + 'static) {
        let (over, knocks) = (Arc::clone(&self.over), Arc::clone(&self.knocks));
        let thread = std::thread::spawn(move || work(&over, &knocks));
        self.threads.push(thread);
    }

    fn knocks(&self) -> u64 {
        self.knocks.load(Ordering::Relaxed)
    }

    fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        let knocks = self.knocks();
        for thread in self.threads {
            thread.join().unwrap();
        }
        knocks
    }
}

/// Returns how much memory the gateway has, in bytes.
fn memory(gateway: &Gateway) -> u64 {
    let path = format!("/proc/{}/status", gateway.process_id());
    let status = fs::read_to_string(path).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes << 10
}
