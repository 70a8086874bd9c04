//! New keys every 64 KiB, wanted by either side, while four channels of one connection transfer at once.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Person, Role, Site, tree, wait_for};

const SIZE: usize = 3 << 20;

#[test]
fn the_client_wants_new_keys_every_64_kib() {
    let site = Arc::new(Gateway::start()).site("k-client");
    four_at_once(&site, &computer(&site, "k-client", "RekeyLimit 64K\n"));
}

#[test]
fn the_gateway_wants_new_keys_every_64_kib() {
    let site = rekeying().site("k-gateway");
    four_at_once(&site, &computer(&site, "k-gateway", ""));
}

/// Requests that are held back while keys are exchanged are answered afterwards, though nothing else
/// comes from the client: it waits for just these.
#[test]
fn nothing_stays_behind_when_the_gateway_wanted_new_keys() {
    const BLOCK: u32 = 16 * 1024;
    let site = rekeying().site("k-behind");
    let content = tree::noise(83, 1 << 20);
    fs::write(site.disk("dev", "files").join("large"), &content).unwrap();
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let handle = raw.open_file("/files/large", packets::FLAG_READ);
    for round in 0..40 {
        let (first, mut bytes) = (1000 * (round + 1), Vec::new());
        for number in 0..60 {
            let offset = u64::from(number) * u64::from(BLOCK);
            bytes.extend(Request::read(first + number, &handle, offset, BLOCK).bytes());
        }
        // In two halves, so that some come while the first half's answers want new keys.
        let (one, two) = bytes.split_at(bytes.len() / 2);
        raw.send_bytes(one);
        raw.send_bytes(two);
        for (id, reply) in raw.answers(first..first + 60) {
            let start = ((id - first) * BLOCK) as usize;
            assert!(
                reply.data() == content[start..start + BLOCK as usize],
                "{id}"
            );
        }
    }
}

/// Two uploads and two downloads on one connection, compared byte for byte.
fn four_at_once(site: &Site, tom: &Person) {
    let files = site.disk("dev", "files");
    let desk = tom.desk("rekey");
    let socket = tom.home().join("mux");
    let master = Raw::open(site, tom, "dev");
    wait_for("the shared connection", Duration::from_secs(20), || {
        socket.exists().then_some(())
    });
    for number in 0..2 {
        fs::write(
            files.join(format!("down-{number}")),
            tree::noise(number, SIZE),
        )
        .unwrap();
        fs::write(
            desk.join(format!("up-{number}")),
            tree::noise(10 + number, SIZE),
        )
        .unwrap();
    }
    std::thread::scope(|scope| {
        for number in 0..2 {
            for batch in [
                format!(
                    "get /files/down-{number} {}/down-{number}\n",
                    desk.display()
                ),
                format!("put {}/up-{number} /files/up-{number}\n", desk.display()),
            ] {
                scope.spawn(move || site.sftp(tom, "dev", batch).run().ok());
            }
        }
    });
    for number in 0..2 {
        for (one, other) in [
            (
                files.join(format!("down-{number}")),
                desk.join(format!("down-{number}")),
            ),
            (
                desk.join(format!("up-{number}")),
                files.join(format!("up-{number}")),
            ),
        ] {
            assert!(
                fs::read(&one).unwrap() == fs::read(&other).unwrap(),
                "{}",
                other.display()
            );
        }
    }
    drop(master);
}

fn rekeying() -> Arc<Gateway> {
    Arc::new(Gateway::start_with(&[("ssh", "rekey_bytes", "65536")]))
}

/// The person at a computer where all goes over one connection.
fn computer(site: &Site, name: &str, settings: &str) -> Person {
    let tom = site.person(Role::TeamMember).at_another_computer(name);
    let socket = tom.home().join("mux");
    let config = fs::read_to_string(tom.config()).unwrap();
    let shared = format!(
        "ControlPath {}\nControlMaster auto\nControlPersist no\n{settings}",
        socket.display()
    );
    fs::write(tom.config(), shared + &config).unwrap();
    tom
}
