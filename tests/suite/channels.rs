//! Channels without end, and channels closed with answers unread: a connection does not fill up, and
//! the gateway keeps nothing of what is over.

use std::fs;

use russh::ChannelMsg;
use russh::client::Handle;
use support::guest::{self, Guest};
use support::packets::Request;
use support::{Gateway, Role, Site, measure, tree};

/// All on one connection; one in so many does what the others only begin.
const CHANNELS: usize = 10_000;
const SFTP_EVERY: usize = 20;
const COMMAND_EVERY: usize = 100;

#[test]
fn ten_thousand_channels_are_opened_and_closed() {
    let site = site("c-many");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let connection = connection(&site).await;
        let mut warm = None;
        for number in 0..CHANNELS {
            let mut channel = connection
                .channel_open_session()
                .await
                .unwrap_or_else(|error| panic!("channel {number} was not opened: {error}"));
            if number % COMMAND_EVERY == 0 {
                // The gateway closes this one first.
                channel.exec(true, "env:list").await.unwrap();
                let heard = guest::listen(&mut channel, |_| false).await;
                assert!(heard.closed && heard.exit_status.is_some(), "{heard:?}");
            } else if number % SFTP_EVERY == 0 {
                channel.request_subsystem(true, "sftp").await.unwrap();
                channel.data(&Request::init(3).bytes()[..]).await.unwrap();
                while !matches!(channel.wait().await, Some(ChannelMsg::Data { .. })) {}
                channel.close().await.unwrap();
            } else {
                channel.close().await.unwrap();
            }
            if number == CHANNELS / 10 {
                warm = Some((
                    measure::memory(&site.gateway),
                    measure::descriptors(&site.gateway),
                ));
            }
        }
        let (memory, descriptors) = warm.unwrap();
        let grown = measure::memory(&site.gateway).saturating_sub(memory);
        assert!(grown < 16 << 20, "{grown} bytes for channels that are over");
        let left = measure::descriptors(&site.gateway);
        assert!(
            left <= descriptors + 4,
            "{left} descriptors after {descriptors}"
        );
    });
}

/// The attack: ask for much, read none of it, close, and again. An SSH server has to keep what the
/// window does not let out; it must not do so for ever.
#[test]
fn channels_closed_with_answers_unread_do_not_pile_up() {
    const BLOCK: u32 = 255 * 1024;
    let site = site("c-unread");
    fs::write(
        site.disk("dev", "files").join("large"),
        tree::noise(72, BLOCK as usize),
    )
    .unwrap();
    let script = format!(
        "{PARAMIKO}
transport = client.get_transport()
transport._sanitize_window_size = lambda size: 8192
def text(data): return struct.pack('>I', len(data)) + data
def packet(kind, number, body): return text(bytes([kind]) + struct.pack('>I', number) + body)
refused = 0
for number in range(2000):
    try:
        channel = transport.open_session(timeout=30)
    except paramiko.ChannelException:
        refused += 1
        if refused == 20:
            break
        continue
    channel.invoke_subsystem('sftp')
    channel.sendall(text(b'\\1\\0\\0\\0\\3'))
    channel.sendall(packet(3, 1, text(b'/files/large') + struct.pack('>II', 1, 0)))
    got = b''
    while len(got) < 4 or b'\\x66\\0\\0\\0\\1' not in got:
        got += channel.recv(1024)
    handle = got[got.index(b'\\x66\\0\\0\\0\\1') + 5:][4:]
    read = text(handle) + struct.pack('>QI', 0, {BLOCK})
    channel.sendall(b''.join(packet(5, 10 + n, read) for n in range(100)))
    channel.close()
print('opened', number, 'refused', refused)
"
    );
    let before = measure::memory(&site.gateway);
    let tom = site.person(Role::TeamMember);
    let desk = tom.desk("unread");
    let done = crate::sftp_python::run("paramiko", &script, &site, tom, "dev", &desk).ok();
    let grown = measure::memory(&site.gateway).saturating_sub(before);
    assert!(
        grown < 192 << 20,
        "{grown} bytes for answers nobody reads; {done}"
    );
    // Another connection, and the same person.
    site.sftp(tom, "dev", "ls /files/large\n").run().ok();
}

const PARAMIKO: &str = "
import os, struct, paramiko
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(os.environ['HOST'], int(os.environ['PORT']), os.environ['LOGIN'],
               key_filename=os.environ['KEY'], allow_agent=False, look_for_keys=False, timeout=60)
";

async fn connection(site: &Site) -> Handle<Guest> {
    let mut connection = guest::connect(site.address()).await;
    let tom = site.person(Role::TeamMember);
    assert!(guest::log_in(&mut connection, &site.login("dev"), &tom.key(), None).await);
    connection
}

/// On a gateway of its own: what is measured is the gateway's.
fn site(name: &str) -> Site {
    std::sync::Arc::new(Gateway::start()).site(name)
}
