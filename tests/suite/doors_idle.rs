//! Idle rules: who does nothing is told and shown out; who works, however slowly or silently, is
//! not.

use std::io::{Read, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::packets::{self, Request};
use support::process::Process;
use support::raw::Raw;
use support::{Gateway, Role, Site, knocking, tree, wait_for};

const IDLE: Duration = Duration::from_secs(2);

const TOLD: &str = "Nothing was done on this connection for 2 seconds, so it was closed.";

#[test]
fn who_does_nothing_is_told_and_shown_out() {
    let site = impatient();
    let tom = site.person(Role::TeamMember);
    // One that has not asked for anything, one with a file open, one that has been quiet since.
    let mut fresh = Raw::open(&site, tom, "dev");
    let mut open = Raw::open(&site, tom, "dev");
    open.open_file("/code/index.php", packets::FLAG_READ);
    let mut done = Raw::open(&site, tom, "dev");
    let began = Instant::now();
    done.read_file("/code/index.php");
    for raw in [&mut fresh, &mut open, &mut done] {
        raw.must_end();
        wait_for("the sentence", knocking::PATIENCE, || {
            raw.stderr().contains(TOLD).then_some(())
        });
    }
    assert!(began.elapsed() >= IDLE, "shown out too early");
    let mut nothing_at_all = tom
        .openssh("ssh")
        .args(["-N", &site.destination("dev")])
        .start_piped();
    assert!(nothing_at_all.wait(knocking::PATIENCE).is_some());
    assert!(said(&mut nothing_at_all).contains(TOLD));
}

#[test]
fn whoever_asks_now_and_then_stays() {
    let site = impatient();
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let began = Instant::now();
    while began.elapsed() < IDLE * 4 {
        std::thread::sleep(IDLE / 4);
        raw.read_file("/code/index.php");
    }
}

#[test]
fn a_slow_reader_gets_its_file() {
    let site = impatient();
    let content = tree::noise(7, 12 << 20);
    std::fs::write(site.disk("dev", "files").join("large"), &content).unwrap();
    let mut quiet = SlowPipe::begin(&site);
    let block = 64 << 10;
    // All at once; then nobody reads for a long time: what is owed waits in the gateway.
    quiet.ask_for_all(content.len(), block);
    let began = Instant::now();
    wait_for("much more than the idle time", IDLE * 10, || {
        (began.elapsed() > IDLE * 3).then_some(())
    });
    let got = quiet.take_all(content.len(), block);
    assert!(got == content, "the file came whole and right");
}

#[test]
fn a_slow_upload_goes_on() {
    let site = impatient();
    let tom = site.person(Role::TeamMember);
    let mut raw = Raw::open(&site, tom, "dev");
    let flags = packets::FLAG_WRITE | packets::FLAG_CREATE | packets::FLAG_TRUNCATE;
    let handle = raw.open_file("/files/slow", flags);
    let content = tree::noise(8, 64 << 10);
    let request = Request::write(77, &handle, 0, &content).bytes();
    // One request for longer than the idle time, in pieces.
    let began = Instant::now();
    for piece in request.chunks(request.len().div_ceil(16)) {
        raw.send_bytes(piece);
        std::thread::sleep(IDLE / 4);
    }
    assert!(began.elapsed() > IDLE * 3);
    raw.receive().must_be(packets::OK);
    raw.ask(|id| Request::of(packets::CLOSE, id, &handle))
        .must_be(packets::OK);
    assert_eq!(
        std::fs::read(site.disk("dev", "files").join("slow")).unwrap(),
        content
    );
}

#[test]
fn git_and_commands_that_say_nothing_for_long_are_at_work() {
    let site = impatient();
    site.set_mode("git");
    let tom = site.person(Role::TeamMember);
    let ada = site.person(Role::Administrator);
    let mut push = site
        .ssh_for_git(tom, "dev", "git-receive-pack '/repository.git'")
        .start_piped();
    let mut pen = push.child().stdin.take().unwrap();
    first_line(&mut push);
    let mut follow = site.console(ada, &["audit:list", "--follow"]).start_piped();
    let began = Instant::now();
    wait_for("much more than the idle time", IDLE * 10, || {
        (began.elapsed() > IDLE * 3).then_some(())
    });
    assert!(push.wait(Duration::ZERO).is_none(), "the push was cut");
    assert!(follow.wait(Duration::ZERO).is_none(), "the command was cut");
    // Nothing to push after all: git ends well, which it would not do on a connection that was cut.
    pen.write_all(b"0000").unwrap();
    drop(pen);
    let status = push.wait(knocking::PATIENCE).expect("git ends");
    assert!(status.success(), "{status:?}: {}", said(&mut push));
}

#[test]
fn without_the_setting_nobody_is_shown_out() {
    let gateway = Arc::new(Gateway::start_with(&[("limits", "keepalive_seconds", "1")]));
    let site = gateway.site("t-patient");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let began = Instant::now();
    wait_for("some time", IDLE * 10, || {
        (began.elapsed() > IDLE * 3).then_some(())
    });
    raw.read_file("/code/index.php");
}

fn impatient() -> Site {
    let seconds = IDLE.as_secs().to_string();
    let gateway = Arc::new(Gateway::start_with(&[("limits", "idle_seconds", &seconds)]));
    gateway.site("t-idle")
}

/// An SFTP channel whose output is read by hand.
struct SlowPipe {
    process: Process,
    pen: ChildStdin,
    handle: Vec<u8>,
}

impl SlowPipe {
    fn begin(site: &Site) -> Self {
        let tom = site.person(Role::TeamMember);
        let mut process = tom
            .openssh("ssh")
            .args(["-s", &site.destination("dev"), "sftp"])
            .start_piped();
        let mut pen = process.child().stdin.take().unwrap();
        pen.write_all(&Request::init(3).bytes()).unwrap();
        let open = Request::open(1, "/files/large", packets::FLAG_READ);
        pen.write_all(&open.bytes()).unwrap();
        let mut pipe = Self {
            process,
            pen,
            handle: Vec::new(),
        };
        pipe.packet();
        let answer = pipe.packet();
        assert_eq!(answer[0], packets::HANDLE);
        pipe.handle = answer[9..].to_vec();
        pipe
    }

    fn ask_for_all(&mut self, length: usize, block: usize) {
        for (id, offset) in (0..length).step_by(block).enumerate() {
            let id = u32::try_from(id).unwrap();
            let block = u32::try_from(block).unwrap();
            let read = Request::read(id, &self.handle, offset as u64, block);
            self.pen.write_all(&read.bytes()).unwrap();
        }
    }

    /// Takes it in time, but slowly: for another stretch of the idle time and more.
    fn take_all(&mut self, length: usize, block: usize) -> Vec<u8> {
        let count = length.div_ceil(block);
        let pause = IDLE * 2 / u32::try_from(count).unwrap();
        let mut content = Vec::new();
        for _ in 0..count {
            let packet = self.packet();
            assert_eq!(packet[0], packets::DATA);
            content.extend_from_slice(&packet[9..]);
            std::thread::sleep(pause);
        }
        content
    }

    fn packet(&mut self) -> Vec<u8> {
        let stdout = self.process.child().stdout.as_mut().unwrap();
        let mut length = [0; 4];
        stdout.read_exact(&mut length).expect("the channel is open");
        let mut packet = vec![0; u32::from_be_bytes(length) as usize];
        stdout.read_exact(&mut packet).expect("the channel is open");
        packet
    }
}

fn first_line(process: &mut Process) {
    let stdout = process.child().stdout.as_mut().unwrap();
    stdout.read_exact(&mut [0; 4]).expect("git says something");
}

fn said(process: &mut Process) -> String {
    let mut all = String::new();
    let stderr = process.child().stderr.as_mut().unwrap();
    let _ = stderr.read_to_string(&mut all);
    all
}
