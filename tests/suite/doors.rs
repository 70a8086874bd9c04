//! Limits on connections and channels: each with who is told what when it is reached, and that
//! nobody else notices.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::gateway::Setting;
use support::packets::{self, Request};
use support::raw::Raw;
use support::{Gateway, Role, Site, knocking, wait_for};

const FIRST: &[u8] = b"<?php echo 'first';\n";

#[test]
fn the_more_wait_the_more_are_turned_away_and_told() {
    let (gateway, site) = gateway(&[
        ("limits", "max_startups", "\"5:50:20\""),
        ("limits", "max_startups_per_source", "0"),
    ]);
    let tom = site.person(Role::TeamMember);
    let mut inside = Raw::open(&site, tom, "dev");
    wait_for("the door to be free", knocking::PATIENCE, || {
        (site.sftp(tom, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
    let mut waiting: Vec<TcpStream> = Vec::new();
    let mut turned_away = 0;
    // By chance, but that all of the last fifteen places are taken at once is not to be expected.
    for number in 0..400 {
        let mut stream = knocking::from([127, 0, 0, 40], gateway.address()).unwrap();
        match served(&mut stream) {
            None => waiting.push(stream),
            Some(told) => {
                assert!(number >= 5, "turned away too early");
                assert!(told.contains("are waiting to log in"), "{told}");
                turned_away += 1;
            }
        }
        if waiting.len() == 20 {
            break;
        }
    }
    assert_eq!(waiting.len(), 20, "after 400 tries");
    assert!(turned_away > 0, "nobody was turned away before it was full");
    for _ in 0..10 {
        site.sftp(tom, "dev", "ls\n")
            .run()
            .fails()
            .says("Too many connections to this gateway are waiting to log in. Try again");
    }
    assert_eq!(inside.read_file("/code/index.php"), FIRST);
    waiting.clear();
    wait_for("a place at the door", knocking::PATIENCE, || {
        (site.sftp(tom, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
}

#[test]
fn one_source_cannot_take_all_places_at_the_door() {
    let (gateway, site) = gateway(&[("limits", "max_startups_per_source", "3")]);
    let tom = site.person(Role::TeamMember);
    let near = tom.coming_from("127.0.0.41");
    let mut waiting: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut stream = knocking::from([127, 0, 0, 41], gateway.address()).unwrap();
            assert_eq!(served(&mut stream), None);
            stream
        })
        .collect();
    site.sftp(&near, "dev", "ls\n")
        .run()
        .fails()
        .says("Too many connections from your address are waiting to log in.");
    site.sftp(tom, "dev", "ls\n").run().ok();
    waiting.pop();
    wait_for("a place for that source", knocking::PATIENCE, || {
        (site.sftp(&near, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
}

#[test]
fn one_person_has_so_many_connections_and_is_told() {
    let (gateway, site) = gateway(&[("limits", "max_connections_per_person", "2")]);
    let tom = site.person(Role::TeamMember);
    let mut inside: Vec<Raw> = (0..2).map(|_| Raw::open(&site, tom, "dev")).collect();
    let sentence =
        "tom has 2 connections open, which is the most allowed. Close one, then try again.";
    site.sftp(tom, "dev", "ls\n").run().fails().says(sentence);
    site.console(tom, &["site:list"])
        .run()
        .fails()
        .says(sentence);
    tom.client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .fails()
        .says(sentence);
    let rows = gateway
        .must(&[
            "audit:list",
            "--rule",
            "too-many-connections",
            "--format",
            "json",
        ])
        .out();
    assert!(
        rows.contains("\"tom\"") && rows.contains(sentence),
        "{rows}"
    );
    // Others are not tom, and tom's own go on.
    site.sftp(site.person(Role::Developer), "dev", "ls\n")
        .run()
        .ok();
    for raw in &mut inside {
        assert_eq!(raw.read_file("/code/index.php"), FIRST);
    }
    inside.pop();
    wait_for("a connection for tom", knocking::PATIENCE, || {
        (site.sftp(tom, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
}

#[test]
fn a_client_that_answers_no_keepalive_gives_its_connection_back() {
    let (_gateway, site) = gateway(&[
        ("limits", "max_connections_per_person", "1"),
        ("limits", "keepalive_seconds", "1"),
        ("limits", "keepalive_count", "2"),
    ]);
    let tom = site.person(Role::TeamMember);
    let mut quiet = Raw::open(&site, tom, "dev");
    site.sftp(tom, "dev", "ls\n")
        .run()
        .fails()
        .says("tom has 1 connections open");
    // As long as it answers it stays, however quiet it is.
    let began = std::time::Instant::now();
    wait_for("some keepalives", knocking::PATIENCE, || {
        (began.elapsed() > Duration::from_secs(6)).then_some(())
    });
    assert_eq!(quiet.read_file("/code/index.php"), FIRST);
    quiet.process.signal(Signal::SIGSTOP);
    wait_for(
        "the end of a connection that is dead",
        knocking::PATIENCE,
        || (site.sftp(tom, "dev", "ls\n").run().code == Some(0)).then_some(()),
    );
}

#[test]
fn a_channel_has_so_many_files_open_and_the_client_is_told() {
    let (_gateway, site) = gateway(&[("limits", "max_open_files", "3")]);
    let tom = site.person(Role::TeamMember);
    let mut raw = Raw::open(&site, tom, "dev");
    let handles: Vec<Vec<u8>> = (0..3)
        .map(|_| raw.open_file("/code/index.php", packets::FLAG_READ))
        .collect();
    let reply = raw.ask(|id| Request::open(id, "/code/index.php", packets::FLAG_READ));
    let told = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(told.contains("Too many files are open"), "{told}");
    raw.ask(|id| Request::of(packets::CLOSE, id, &handles[0]))
        .must_be(packets::OK);
    assert_eq!(raw.read_file("/code/index.php"), FIRST);
}

#[test]
fn a_client_that_asks_and_never_reads_is_told_when_its_room_is_used_up() {
    let (_gateway, site) = gateway(&[("limits", "max_held_bytes", "1048576")]);
    let tom = site.person(Role::TeamMember);
    std::fs::write(site.disk("dev", "files").join("large"), vec![7; 1 << 20]).unwrap();
    let mut greedy = Raw::open(&site, tom, "dev");
    let handle = greedy.open_file("/files/large", packets::FLAG_READ);
    let mut pen = greedy.take_stdin();
    let asking = std::thread::spawn(move || {
        use std::io::Write;
        let mut request = Vec::new();
        for id in 0..1000 {
            request.extend(Request::read(id, &handle, 0, 32 << 10).bytes());
        }
        while pen.write_all(&request).is_ok() {}
    });
    wait_for("the sentence", knocking::PATIENCE * 2, || {
        greedy
            .stderr()
            .contains("sends requests but does not read the answers")
            .then_some(())
    });
    assert_eq!(
        Raw::open(&site, tom, "dev").read_file("/code/index.php"),
        FIRST
    );
    drop(greedy);
    asking.join().unwrap();
}

#[test]
fn a_connection_has_so_many_channels_and_the_client_is_told() {
    let (_gateway, site) = gateway(&[("limits", "max_channels", "2")]);
    let tom = site.person(Role::TeamMember);
    let control = tom.desk("channels").join("control");
    let path = format!("ControlPath={}", control.display());
    let destination = site.destination("dev");
    let master = tom
        .openssh("ssh")
        .args(["-o", &path, "-M", "-N", &destination])
        .start();
    wait_for("the master", knocking::PATIENCE, || {
        control.exists().then_some(())
    });
    // A client that is refused a channel would open a connection of its own.
    let only = ["-o", &path, "-o", "ProxyCommand=false"];
    let through = |program: &str| tom.openssh(program).args(only);
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut channel = through("ssh")
                .args(["-s", &destination, "sftp"])
                .start_piped();
            let stdin = channel.child().stdin.as_mut().unwrap();
            std::io::Write::write_all(stdin, &Request::init(3).bytes()).unwrap();
            let mut version = [0; 5];
            let stdout = channel.child().stdout.as_mut().unwrap();
            std::io::Read::read_exact(stdout, &mut version).unwrap();
            channel
        })
        .collect();
    through("ssh")
        .args([&destination, "git-upload-pack", "/repository.git"])
        .run()
        .fails()
        .says("Session open refused by peer");
    held.pop();
    // And again and again: a channel that is over leaves nothing behind.
    wait_for("a channel", knocking::PATIENCE, || {
        let listed = through("sftp")
            .args(["-b", "-"])
            .arg(&destination)
            .input("ls\n")
            .run();
        (listed.code == Some(0)).then_some(())
    });
    for _ in 0..5 {
        through("sftp")
            .args(["-b", "-"])
            .arg(&destination)
            .input("ls\n")
            .run()
            .ok();
        through("ssh").args([&destination, "site:list"]).run().ok();
    }
    // OpenSSH shows the reason where the connection was opened.
    master
        .kill()
        .says("This connection has 2 channels open, which is the most allowed.");
}

/// Returns nothing when the gateway serves the connection, else what it is told.
fn served(stream: &mut TcpStream) -> Option<String> {
    use std::io::Read;
    knocking::greeting(stream).expect("a greeting");
    // Whom it does not take it tells so in the same breath, in a packet that begins with its length.
    stream
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut packet = [0; 512];
    let told = match stream.read(&mut packet) {
        Ok(length) => Some(String::from_utf8_lossy(&packet[..length]).into_owned()),
        Err(_nothing_yet) => None,
    };
    stream.set_read_timeout(Some(knocking::PATIENCE)).unwrap();
    told
}

fn gateway(settings: &[Setting]) -> (Arc<Gateway>, Site) {
    let gateway = Arc::new(Gateway::start_with(settings));
    let site = gateway.site("t-doors");
    (gateway, site)
}
