//! What the kernel keeps a confined program from, whatever it is: shown with programs of Debian's, as
//! an rsync that somebody has taken over would act.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use support::{Client, programs};

fn confined(read: &Path, write: &Path, program: &[&str]) -> Client {
    Client::new(programs::funicular())
        .arg("confine")
        .arg("--read")
        .arg(read)
        .arg("--write")
        .arg(write)
        .arg("--")
        .args(program)
}

#[test]
fn a_confined_program_reaches_what_was_named_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let [read, write, other] = ["read", "write", "other"].map(|name| folder.path().join(name));
    for place in [&read, &write, &other] {
        fs::create_dir(place).unwrap();
        fs::write(place.join("file"), "text").unwrap();
        symlink("/etc/passwd", place.join("passwd")).unwrap();
        symlink(other.join("file"), place.join("out")).unwrap();
    }
    let at = |place: &Path, name: &str| place.join(name).display().to_string();
    let run = |program: &[&str]| confined(&read, &write, program).run();

    for place in [&read, &write] {
        run(&["/usr/bin/cat", &at(place, "file")]).ok().says("text");
        for name in ["passwd", "out"] {
            run(&["/usr/bin/cat", &at(place, name)]).fails();
        }
    }
    for path in ["/etc/passwd", "/proc/self/environ", &at(&other, "file")] {
        run(&["/usr/bin/cat", path]).fails();
    }
    run(&["/usr/bin/ls", &at(&other, "")]).fails();

    run(&["/usr/bin/cp", &at(&read, "file"), &at(&write, "copy")]).ok();
    run(&["/usr/bin/rm", &at(&write, "copy")]).ok();
    for place in [&read, &other] {
        run(&["/usr/bin/touch", &at(place, "new")]).fails();
        run(&["/usr/bin/truncate", "-s", "0", &at(place, "file")]).fails();
        run(&["/usr/bin/rm", "-f", &at(place, "file")]).fails();
        run(&["/usr/bin/mv", &at(place, "file"), &at(&write, "moved")]).fails();
        run(&["/usr/bin/ln", &at(place, "file"), &at(&write, "linked")]).fails();
        run(&["/usr/bin/mv", &at(&write, "file"), &at(place, "moved")]).fails();
        assert_eq!(fs::read(place.join("file")).unwrap(), b"text");
    }
    run(&["/usr/bin/mkfifo", &at(&write, "pipe")]).fails();
    run(&["/usr/bin/mknod", &at(&write, "device"), "c", "1", "3"]).fails();
    // Another program than the one that was named cannot be started.
    run(&["/usr/bin/env", "/usr/bin/cat", &at(&read, "file")]).fails();
}

#[test]
fn a_confined_program_opens_no_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    // As the gateway's own control socket: a file that the account may write to.
    let control = folder.path().join("control.sock");
    let _waiting = UnixListener::bind(&control).unwrap();
    for connect in [
        format!("socket.create_connection(('127.0.0.1', {port}))"),
        format!(
            "socket.socket(socket.AF_UNIX).connect('{}')",
            control.display()
        ),
        format!("socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port}))"),
    ] {
        let script = format!("import socket; {connect}");
        let python = ["/usr/bin/python3", "-S", "-c", &script];
        Client::new(python[0]).args(&python[1..]).run().ok();
        confined(folder.path(), folder.path(), &python)
            .run()
            .fails()
            .says("Operation not permitted");
    }
}

#[test]
fn what_cannot_be_confined_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    confined(&missing, folder.path(), &["/usr/bin/true"])
        .run()
        .fails();
    confined(folder.path(), folder.path(), &["/usr/bin/true"])
        .run()
        .ok();
}
