//! Answers that are still owed when a client has said its last: all of them come, then the exit status,
//! the end of output, and the close.

use std::fs;
use std::time::Duration;

use russh::ChannelMsg;
use support::packets::{self, Reply, Request};
use support::raw::Raw;
use support::{Role, Shared, Site, guest, tree};

static SHARED: Shared = Shared::new();

const BLOCK: u32 = 32 * 1024;
const READS: u32 = 2000;
const BLOCKS: u32 = 16;

/// Sixty MiB of answers are asked for and the input is closed before the first is read: most of the
/// requests are still held back by then.
#[test]
fn requests_before_the_end_of_input_are_all_answered() {
    let (site, content) = site("o-all");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let handle = raw.open_file("/files/large", packets::FLAG_READ);
    let mut pen = raw.take_stdin();
    let asking = std::thread::spawn(move || {
        std::io::Write::write_all(&mut pen, &reads(&handle)).expect("ssh takes all requests");
    });
    asking.join().unwrap();
    for id in 0..READS {
        let reply = raw.receive();
        assert_eq!(reply.id, id, "{reply:?}");
        assert!(reply.data() == block(&content, id), "block {id}");
    }
    assert!(raw.try_receive(Duration::from_secs(30)).is_err());
    let status = raw.process.wait(Duration::from_secs(30)).expect("an end");
    assert_eq!(status.code(), Some(0), "{}", raw.stderr());
}

/// What a file holds in the end is what was written before the end of input, closed or not.
#[test]
fn writes_before_the_end_of_input_are_all_done() {
    let (site, _) = site("o-writes");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let create = packets::FLAG_WRITE | packets::FLAG_CREATE;
    let handle = raw.open_file("/files/new", create);
    let mut bytes = Vec::new();
    for id in 0..200 {
        bytes.extend(Request::write(id, &handle, u64::from(id) * 1000, &[b'x'; 1000]).bytes());
    }
    bytes.extend(Request::of(packets::CLOSE, 200, &handle).bytes());
    raw.send_bytes(&bytes);
    raw.end();
    for reply in raw.answers(0..=200).into_values() {
        reply.must_be(packets::OK);
    }
    raw.must_end();
    let written = fs::read(site.disk("dev", "files").join("new")).unwrap();
    assert!(written == vec![b'x'; 200_000]);
}

/// A request cut short by the end of input is no request.
#[test]
fn half_a_request_at_the_end_is_let_be() {
    let (site, _) = site("o-half");
    let mut raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    let mut bytes = Request::of(packets::STAT, 7, "/files").bytes();
    bytes.extend(&Request::of(packets::REMOVE, 8, "/files/large").bytes()[..20]);
    raw.send_bytes(&bytes);
    raw.end();
    assert_eq!(raw.receive().id, 7);
    raw.must_end();
    assert!(site.disk("dev", "files").join("large").exists());
}

#[test]
fn the_end_comes_in_order() {
    let (site, _) = site("o-order");
    let tom = site.person(Role::TeamMember);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut connection = guest::connect(site.address()).await;
        assert!(guest::log_in(&mut connection, &site.login("dev"), &tom.key(), None).await);
        let mut channel = connection.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        let mut bytes = Request::init(3).bytes();
        bytes.extend(Request::open(1, "/files/large", packets::FLAG_READ).bytes());
        channel.data(&bytes[..]).await.unwrap();
        let mut come = Vec::new();
        let handle = loop {
            if let Some(ChannelMsg::Data { data }) = channel.wait().await {
                come.extend_from_slice(&data);
            }
            let replies = packets(&mut come);
            if let Some(opened) = replies.iter().find(|reply| reply.id == 1) {
                break opened.handle();
            }
        };
        channel.data(&reads(&handle)[..]).await.unwrap();
        channel.eof().await.unwrap();
        let (mut answered, mut order) = (0, Vec::new());
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    assert!(order.is_empty(), "data after {order:?}");
                    come.extend_from_slice(&data);
                    answered += packets(&mut come).len();
                }
                ChannelMsg::ExitStatus { exit_status } => order.push(format!("exit {exit_status}")),
                ChannelMsg::Eof => order.push("end".into()),
                ChannelMsg::Close => order.push("close".into()),
                _ => {}
            }
        }
        assert_eq!(answered, READS as usize);
        assert_eq!(order, ["exit 0", "end", "close"]);
    });
}

/// The other services, with their input closed before they begin.
#[test]
fn git_and_the_console_answer_clients_without_input() {
    let (site, _) = site("o-others");
    let tom = site.person(Role::TeamMember);
    let told = tom.console(&["env:list", &site.name]).run().ok();
    told.says("dev").says("live");
    let advertised = site
        .ssh_for_git(tom, "dev", "git-upload-pack '/repository.git'")
        .input("0000")
        .run()
        .ok();
    let text = advertised.out();
    assert!(
        text.contains("refs/heads/main") && text.ends_with("0000"),
        "{advertised}"
    );
}

fn site(name: &str) -> (Site, Vec<u8>) {
    let site = SHARED.gateway().site(name);
    let content = tree::noise(71, (BLOCK * BLOCKS) as usize);
    fs::write(site.disk("dev", "files").join("large"), &content).unwrap();
    (site, content)
}

/// Requests for all of a file, again and again.
fn reads(handle: &[u8]) -> Vec<u8> {
    (0..READS)
        .flat_map(|id| {
            let offset = u64::from(id % BLOCKS) * u64::from(BLOCK);
            Request::read(id, handle, offset, BLOCK).bytes()
        })
        .collect()
}

fn block(content: &[u8], id: u32) -> &[u8] {
    let start = (id % BLOCKS * BLOCK) as usize;
    &content[start..start + BLOCK as usize]
}

/// Takes the whole packets off the front.
fn packets(bytes: &mut Vec<u8>) -> Vec<Reply> {
    let mut replies = Vec::new();
    while let Some(length) = bytes.first_chunk::<4>() {
        let end = 4 + u32::from_be_bytes(*length) as usize;
        if bytes.len() < end {
            break;
        }
        replies.extend(Reply::parse(&bytes[4..end]));
        bytes.drain(..end);
    }
    replies
}
