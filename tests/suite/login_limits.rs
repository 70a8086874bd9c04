//! Limits on who waits at the door: a grace time, and a number of connections in all and before login.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::raw::Raw;
use support::{Gateway, Role, guest, wait_for};

#[test]
fn who_does_not_log_in_in_time_is_shown_out() {
    let gateway = Gateway::start_with(&[("limits", "login_grace_seconds", "2")]);
    let gateway = Arc::new(gateway);
    let site = gateway.site("t-grace");
    let tom = site.person(Role::TeamMember);
    let mut inside = Raw::open(&site, tom, "dev");
    let began = Instant::now();
    let mut silent = TcpStream::connect(gateway.address()).unwrap();
    let mut chatty = TcpStream::connect(gateway.address()).unwrap();
    chatty.write_all(b"SSH-2.0-Slow\r\n").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let unproven = runtime.block_on(guest::connect(gateway.address()));
    must_be_closed(&mut silent);
    must_be_closed(&mut chatty);
    wait_for(
        "the end of the connection that never logs in",
        GRACE,
        || unproven.is_closed().then_some(()),
    );
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "the door closed too soon"
    );
    assert_eq!(
        inside.read_file("/code/index.php"),
        b"<?php echo 'first';\n"
    );
}

#[test]
fn only_so_many_may_wait_at_the_door() {
    let gateway = Gateway::start_with(&[
        ("limits", "max_startups", "\"3\""),
        ("limits", "login_grace_seconds", "60"),
    ]);
    let gateway = Arc::new(gateway);
    let site = gateway.site("t-door");
    let tom = site.person(Role::TeamMember);
    let mut inside = Raw::open(&site, tom, "dev");
    let mut waiting: Vec<TcpStream> = (0..3).map(|_| greeted(gateway.address())).collect();
    let mut one_too_many = TcpStream::connect(gateway.address()).unwrap();
    must_be_closed(&mut one_too_many);
    site.sftp(tom, "dev", "ls\n").run().fails();
    assert_eq!(
        inside.read_file("/code/index.php"),
        b"<?php echo 'first';\n"
    );
    waiting.pop();
    wait_for("a place at the door", GRACE, || {
        (site.sftp(tom, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
}

#[test]
fn only_so_many_may_be_inside() {
    let gateway = Gateway::start_with(&[("limits", "max_connections", "3")]);
    let gateway = Arc::new(gateway);
    let site = gateway.site("t-inside");
    let tom = site.person(Role::TeamMember);
    let mut inside: Vec<Raw> = (0..3).map(|_| Raw::open(&site, tom, "dev")).collect();
    site.sftp(tom, "dev", "ls\n").run().fails();
    for raw in &mut inside {
        assert_eq!(raw.read_file("/code/index.php"), b"<?php echo 'first';\n");
    }
    inside.pop();
    wait_for("a place inside", GRACE, || {
        (site.sftp(tom, "dev", "ls\n").run().code == Some(0)).then_some(())
    });
}

const GRACE: Duration = Duration::from_secs(20);

/// Connects and waits for the server's first line.
fn greeted(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(GRACE)).unwrap();
    let mut start = [0; 4];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"SSH-");
    stream
}

/// Requires that the server closes the connection.
#[track_caller]
fn must_be_closed(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(GRACE)).unwrap();
    let mut some = [0; 1024];
    loop {
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("the connection is still open: {error}"),
        }
    }
}
