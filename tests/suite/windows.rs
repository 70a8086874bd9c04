//! How much OpenSSH's client may send ahead: little on a fast line, much on a long one, as its own log
//! has it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use support::{Gateway, Person, Role, Site, tree};

const SIZE: usize = 32 << 20;

/// In one adjustment: half of the window, or a packet more.
const LITTLE: u32 = 3 << 20;
const MUCH: u32 = 12 << 20;

#[test]
fn a_fast_line_has_a_small_window() {
    let site = Arc::new(Gateway::start()).site("w-fast");
    let tom = site.person(Role::TeamMember);
    // On a machine that is very busy a client may look far away.
    let found = (0..6).any(|_| {
        let granted = granted(&site, tom);
        granted[1..].iter().all(|bytes| *bytes < LITTLE)
    });
    assert!(found, "six uploads in turn had large windows");
}

#[test]
fn a_long_line_has_a_large_window_at_once() {
    let site = Arc::new(Gateway::start()).site("w-long");
    let far = far_away(&site, site.person(Role::TeamMember));
    let granted = granted(&site, &far);
    // The first is what russh has for all lines.
    assert!(
        granted[1..].iter().all(|bytes| *bytes > MUCH),
        "{granted:?}"
    );
}

/// Uploads a file and returns what the client was given beyond the first window, in turn.
fn granted(site: &Site, person: &Person) -> Vec<u32> {
    let up = person.desk("windows").join("up.bin");
    let content = tree::noise(7, SIZE);
    fs::write(&up, &content).unwrap();
    let batch = format!("put {} /files/up.bin\n", up.display());
    let finished = site
        .sftp_with(person, "dev", &["-v", "-v", "-v"], batch)
        .limit(Duration::from_secs(120))
        .run()
        .ok();
    let there = fs::read(site.disk("dev", "files").join("up.bin")).unwrap();
    assert!(there == content, "other bytes");
    let granted: Vec<u32> = finished
        .err()
        .lines()
        .filter_map(|line| line.split_once("rcvd adjust ")?.1.trim().parse().ok())
        .collect();
    assert!(granted.len() > 2, "{finished}");
    granted
}

/// The person at a computer from which each piece of data takes a while.
fn far_away(site: &Site, person: &Person) -> Person {
    let line = line(site.address());
    let person = person.at_another_computer("w-far");
    let config = fs::read_to_string(person.config()).unwrap();
    let way = format!(
        "Host gateway\n  HostName {}\n  Port {}\n",
        line.ip(),
        line.port()
    );
    fs::write(person.config(), way + &config).unwrap();
    person
}

fn line(gateway: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(gateway).unwrap();
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || carry(back.0, back.1, Duration::ZERO));
        carry(client, server, Duration::from_millis(12));
    });
    address
}

/// Carries all that comes, each piece after a delay, which is what this is about.
fn carry(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let mut bytes = vec![0; 1 << 20];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        std::thread::sleep(delay);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
