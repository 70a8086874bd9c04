//! A connection that breaks: at every byte of a session, from the first of the handshake to the last of
//! the farewell. Whenever it is, the gateway keeps nothing of it and the file is old or new.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Person, Role, Site, measure, wait_for};

use crate::sftp_raw::still_serves;

const OLD: &str = "the old page\n";
const NEW: &str = "the new page, which is longer\n";

/// Bytes from the client after which it is cut; each run moves them, so that in time all are tried.
const CUTS: u64 = 70;

#[test]
fn a_connection_cut_at_any_byte_leaves_nothing() {
    let site = Arc::new(Gateway::start()).site("x-cut");
    let tom = site.person(Role::TeamMember);
    let mut other = Raw::open(&site, tom, "dev");
    let disk = site.disk("dev", "files");
    fs::write(disk.join("page"), OLD).unwrap();
    let whole = {
        let cutter = Cutter::start(site.address(), u64::MAX);
        put(&site, &cutter.person(tom, "x-whole"));
        cutter.passed()
    };
    assert_eq!(fs::read_to_string(disk.join("page")).unwrap(), NEW);
    // The one beside it opens the code when it first needs it.
    still_serves(&mut other);
    let open = measure::held_by_sessions(&site.gateway);
    // The end of a session is short and eventful: every few bytes there.
    let dense = whole.saturating_sub(600);
    let mut cuts: Vec<u64> = (0..CUTS)
        .map(|step| step * dense / CUTS + step % 7)
        .collect();
    cuts.extend((dense..whole).step_by(17));
    for (number, cut) in cuts.iter().enumerate() {
        fs::write(disk.join("page"), OLD).unwrap();
        let cutter = Cutter::start(site.address(), *cut);
        put(&site, &cutter.person(tom, "x-cut"));
        drop(cutter);
        if number % 10 == 0 {
            still_serves(&mut other);
        }
        // The gateway may be on its way to the end of it.
        wait_for("the end of what was cut", Duration::from_secs(30), || {
            (measure::held_by_sessions(&site.gateway).len() <= open.len()).then_some(())
        });
        let page = fs::read_to_string(disk.join("page")).unwrap();
        assert!(page == OLD || page == NEW, "after {cut} bytes: {page:?}");
    }
    let uploads = site.gateway.data().join("sites").join(&site.name);
    let spool = uploads.join("environments/dev/uploads");
    let waiting = fs::read_dir(spool).unwrap().count();
    assert_eq!(waiting, 0, "unfinished uploads are left");
    // Every upload has its end in the audit: done, or broken off.
    let rows = site.must(&[
        "audit:list",
        "--site",
        "SITE",
        "--path",
        "/files/page",
        "--limit",
        "500",
    ]);
    assert!(!rows.out().contains(" open"), "{rows}");
    still_serves(&mut other);
    assert!(
        !site.gateway.logged().contains("panicked"),
        "{}",
        site.gateway.log_tail()
    );
}

/// A short session: look, replace a file, look again.
fn put(site: &Site, tom: &Person) {
    let mut raw = Raw::connect(site, tom, "dev");
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;
    let steps = |raw: &mut Raw| -> Option<()> {
        let ask = |raw: &mut Raw, request: Request| {
            raw.try_send_bytes(&request.bytes()).ok()?;
            raw.try_receive(Duration::from_secs(30)).ok()
        };
        ask(raw, Request::init(3))?;
        ask(raw, Request::of(packets::STAT, 1, "/files/page"))?;
        let opened = ask(raw, Request::open(2, "/files/page", flags))?;
        let handle = opened.handle();
        ask(raw, Request::write(3, &handle, 0, &NEW.as_bytes()[..10]))?;
        ask(raw, Request::write(4, &handle, 10, &NEW.as_bytes()[10..]))?;
        ask(raw, Request::of(packets::CLOSE, 5, &handle))?;
        ask(raw, Request::of(packets::STAT, 6, "/files/page"))?;
        raw.end();
        Some(())
    };
    steps(&mut raw);
    let _ = raw.process.wait(Duration::from_secs(30));
}

/// Stands between a client and the gateway, and cuts after so many bytes of the client's.
struct Cutter {
    address: SocketAddr,
    passed: Arc<AtomicU64>,
}

impl Cutter {
    fn start(gateway: SocketAddr, limit: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let passed = Arc::new(AtomicU64::new(0));
        let count = passed.clone();
        std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut server = TcpStream::connect(gateway).unwrap();
            for stream in [&client, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = client.read(&mut bytes) {
                let left = limit - count.load(Ordering::Relaxed);
                let length = length.min(usize::try_from(left).unwrap_or(usize::MAX));
                if server.write_all(&bytes[..length]).is_err() {
                    break;
                }
                let now = count.fetch_add(length as u64, Ordering::Relaxed) + length as u64;
                if now == limit {
                    break;
                }
            }
            let _ = server.shutdown(Shutdown::Both);
            let _ = client.shutdown(Shutdown::Both);
        });
        Self { address, passed }
    }

    fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    /// The person at a computer whose way to the gateway leads through here.
    fn person(&self, person: &Person, name: &str) -> Person {
        let person = person.at_another_computer(name);
        let config = fs::read_to_string(person.config()).unwrap();
        let way = format!(
            "Host gateway\n  HostName {}\n  Port {}\n",
            self.address.ip(),
            self.address.port()
        );
        fs::write(person.config(), way + &config).unwrap();
        person
    }
}
