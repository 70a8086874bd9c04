//! Behind a load balancer that speaks the PROXY protocol: the client's own address counts, from
//! trusted balancers only.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::gateway::Setting;
use support::knocking::{self, Balancer, binary_header, header_v1, header_v2};
use support::personas::{Person, make_key};
use support::{Gateway, Role, Site};

/// The balancer's own address; everybody else comes from 127.0.0.1.
const BALANCER: [u8; 4] = [127, 0, 0, 2];

const TRUSTED: [Setting; 1] = [("listen", "proxy_protocol_from", "[\"127.0.0.2/32\"]")];

#[test]
fn both_versions_bring_the_clients_own_address_into_the_audit() {
    let (gateway, site) = gateway(&TRUSTED);
    for (header, address) in [
        (header_v1(client("203.0.113.7:4000")), "203.0.113.7"),
        (header_v2(client("203.0.113.8:4000")), "203.0.113.8"),
        (header_v1(client("[2001:db8::7]:4000")), "2001:db8::7"),
        (header_v2(client("[2001:db8::8]:4000")), "2001:db8::8"),
        // The balancer speaks for itself, or does not know.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.2"),
        (binary_header(0x20, 0, &[]), "127.0.0.2"),
        (binary_header(0x21, 0, &[]), "127.0.0.2"),
    ] {
        let through = through(&gateway, &site, &header);
        site.sftp(
            &through,
            "dev",
            "put id.pub /code/key.txt\nrm /code/key.txt\n",
        )
        .run()
        .ok();
        let refused = site
            .sftp(&through, "dev", "put id.pub /logs/x\n")
            .run()
            .fails();
        let incident = incident(&refused.screen());
        let rows = gateway.must(&["audit:list", "--format", "json"]).out();
        let rows: Vec<Value> = serde_json::from_str(&rows).unwrap();
        let row = rows
            .iter()
            .find(|row| row["incident"] == incident.as_str())
            .expect("the row of the refusal");
        assert_eq!(row["address"], address, "{row}");
    }
}

#[test]
fn penalties_hit_the_client_and_not_the_balancer() {
    let settings: Vec<Setting> = TRUSTED
        .into_iter()
        .chain([
            ("penalties", "exempt", "[]"),
            ("penalties", "failed_login_seconds", "100"),
            ("penalties", "least_seconds", "100"),
        ])
        .collect();
    let (gateway, site) = gateway(&settings);
    let bad = through(&gateway, &site, &header_v2(client("203.0.113.7:4000")));
    let good = through(&gateway, &site, &header_v2(client("203.0.113.8:4000")));
    let wrong = bad.at_another_computer("locked-out");
    make_key(&wrong.key(), &["-t", "ed25519"], "unknown");
    site.sftp(&wrong, "dev", "ls\n").run().fails();
    support::wait_for("the penalty", knocking::PATIENCE, || {
        site.sftp(&bad, "dev", "ls\n")
            .run()
            .screen()
            .contains("Connections from 203.0.113.7 are refused")
            .then_some(())
    });
    site.sftp(&good, "dev", "ls\n").run().ok();
    site.sftp(site.person(Role::TeamMember), "dev", "ls\n")
        .run()
        .ok();
}

#[test]
fn a_limit_for_each_source_counts_clients_and_not_the_balancer() {
    let settings: Vec<Setting> = TRUSTED
        .into_iter()
        .chain([("limits", "max_startups_per_source", "2")])
        .collect();
    let (gateway, site) = gateway(&settings);
    let header = header_v1(client("203.0.113.7:4000"));
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = knocking::from(BALANCER, gateway.address()).unwrap();
            stream.write_all(&header).unwrap();
            knocking::greeting(&mut stream).expect("a greeting");
            stream
        })
        .collect();
    let bad = through(&gateway, &site, &header);
    site.sftp(&bad, "dev", "ls\n")
        .run()
        .fails()
        .says("Too many connections from your address");
    let good = through(&gateway, &site, &header_v1(client("203.0.113.8:4000")));
    site.sftp(&good, "dev", "ls\n").run().ok();
    drop(waiting);
}

#[test]
fn a_balancer_without_a_header_is_closed() {
    let (gateway, site) = gateway(&TRUSTED);
    let direct = site.person(Role::TeamMember).coming_from("127.0.0.2");
    site.sftp(&direct, "dev", "ls\n").run().fails();
    for wrong in [
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"PROXY TCP4 203.0.113.7 127.0.0.1\r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 4000]].concat(),
        binary_header(0x21, 0x11, &[0; 5000]),
        binary_header(0x21, 0x11, &[0; 3]),
        binary_header(0x31, 0x11, &[0; 12]),
    ] {
        let mut stream = knocking::from(BALANCER, gateway.address()).unwrap();
        let _ = stream.write_all(&wrong);
        let heard = knocking::heard(&mut stream);
        assert_eq!(heard, "", "{}", wrong.escape_ascii());
    }
    assert!(gateway.logged().contains("had no PROXY protocol header"));
    site.sftp(site.person(Role::TeamMember), "dev", "ls\n")
        .run()
        .ok();
}

#[test]
fn a_balancer_that_takes_its_time_is_closed() {
    let (gateway, _site) = gateway(&TRUSTED);
    let began = Instant::now();
    let mut silent = knocking::from(BALANCER, gateway.address()).unwrap();
    let mut slow = knocking::from(BALANCER, gateway.address()).unwrap();
    slow.write_all(b"PROXY TCP4 203.0").unwrap();
    assert_eq!(knocking::heard(&mut silent), "");
    assert_eq!(knocking::heard(&mut slow), "");
    let took = began.elapsed();
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(25)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn nobody_else_may_say_where_they_come_from() {
    let (gateway, site) = gateway(&TRUSTED);
    for header in [
        header_v1(client("203.0.113.7:4000")),
        header_v2(client("203.0.113.7:4000")),
    ] {
        let mut liar = knocking::from([127, 0, 0, 3], gateway.address()).unwrap();
        assert!(
            knocking::greeting(&mut liar).is_some(),
            "greeted before any header"
        );
        let _ = liar.write_all(&header);
        let _ = liar.write_all(b"SSH-2.0-Liar\r\n");
        let mut rest = Vec::new();
        // A key exchange would be some hundred bytes.
        let _ = liar.read_to_end(&mut rest);
        assert_eq!(rest, b"", "{}", header.escape_ascii());
    }
    let address = Balancer::start(
        [127, 0, 0, 3],
        gateway.address(),
        &header_v1(client("203.0.113.7:1")),
    );
    let liar = at(&site, address.address(), "liar");
    site.sftp(&liar, "dev", "ls\n").run().fails();
    let rows = gateway.must(&["audit:list", "--format", "json"]).out();
    assert!(!rows.contains("203.0.113.7"), "{rows}");
}

fn gateway(settings: &[Setting]) -> (Arc<Gateway>, Site) {
    let gateway = Arc::new(Gateway::start_with(settings));
    let site = gateway.site("t-proxy");
    (gateway, site)
}

fn client(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// The team member, who reaches the gateway through a balancer that sends `header`.
fn through(gateway: &Gateway, site: &Site, header: &[u8]) -> Person {
    let balancer = Balancer::start(BALANCER, gateway.address(), header);
    at(
        site,
        balancer.address(),
        &format!("behind-{}", balancer.address().port()),
    )
}

/// The team member, for whom the gateway is at `address`.
fn at(site: &Site, address: SocketAddr, name: &str) -> Person {
    let person = site.person(Role::TeamMember).at_another_computer(name);
    person.add_host("gateway", address);
    person
}

fn incident(screen: &str) -> String {
    let (_, after) = screen.split_once("[incident ").expect("an incident");
    after.chars().take_while(|sign| *sign != ']').collect()
}
