//! SSH packets that no client sends: before the keys are exchanged, and from somebody logged in. The
//! one who sends them may lose the connection; the gateway, and everybody else, may not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use support::raw::Raw;
use support::{Finished, Gateway, Role, Site, measure};

use crate::sftp_raw::still_serves;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn garbage_before_the_keys_ends_its_own_connection() {
    let (site, mut other) = site("b-garbage");
    let version = b"SSH-2.0-Garbage_1.0\r\n".to_vec();
    let after_version = |bytes: &[u8]| [&version, bytes].concat();
    let packet = |padding: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 1 + usize::from(padding)).unwrap();
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(padding);
        packet.extend(body);
        packet.extend(vec![0; usize::from(padding)]);
        packet
    };
    let mut lies = vec![
        b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n".to_vec(),
        b"SSH-9.9-new\r\n\r\n".to_vec(),
        b"\r\n".repeat(10_000),
        [b"SSH-2.0-".as_slice(), &[b'v'; 10_000], b"\r\n"].concat(),
        b"SSH-2.0-nul\0\r\n\0\0\0\0".to_vec(),
        after_version(&[0xff; 4]),
        after_version(&[0xff; 100_000]),
        after_version(&[0, 0, 0, 2, 200, 20]),
        after_version(&[0, 4, 0, 0, 4]),
        after_version(&packet(255, &[20])),
    ];
    // Each message in a state in which none but KEXINIT may come, with nothing and with something in it.
    for kind in 0..=255_u8 {
        lies.push(after_version(&packet(10, &[kind])));
        let body: Vec<u8> = std::iter::once(kind).chain([0xff; 36]).collect();
        lies.push(after_version(&packet(6, &body)));
    }
    for (number, lie) in lies.iter().enumerate() {
        let mut stream = TcpStream::connect(site.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The gateway may close before it has read all.
        let _ = stream.write_all(lie);
        let _ = stream.shutdown(Shutdown::Write);
        must_be_closed(&mut stream, number);
    }
    still_serves(&mut other);
    nothing_panicked(&site);
}

/// The gateway offers no compression: a packet of a few bytes cannot become one of gigabytes. Who turns
/// it on has to show what bounds it, and change this.
#[test]
fn compression_is_not_to_be_had() {
    let (site, _other) = site("b-zlib");
    let mut stream = TcpStream::connect(site.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"SSH-2.0-Test\r\n").unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        said.extend(byte);
    }
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
    let mut body = vec![0; length - 1];
    stream.read_exact(&mut body).unwrap();
    assert_eq!(body[0], 20, "KEXINIT");
    let mut lists = Vec::new();
    let mut rest = &body[17..];
    for _ in 0..10 {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        lists.push(String::from_utf8(rest[4..4 + length].to_vec()).unwrap());
        rest = &rest[4 + length..];
    }
    assert_eq!(lists[6..8], ["none", "none"], "{lists:?}");

    let refused = paramiko(
        &site,
        "transport = paramiko.Transport((os.environ['HOST'], int(os.environ['PORT'])))
transport._preferred_compression = ('zlib@openssh.com', 'zlib')
try:
    transport.start_client(timeout=30)
    print('taken')
except (paramiko.SSHException, EOFError):
    print('refused')
",
    );
    refused.ok().says("refused");
    // One that only wishes for it is served without.
    let tom = site.person(Role::TeamMember);
    site.sftp_with(tom, "dev", &["-C"], "ls /code/index.php\n")
        .run()
        .ok();
}

#[test]
fn messages_out_of_place_end_their_own_connection_at_most() {
    let (site, mut other) = site("b-messages");
    paramiko(
        &site,
        "
def message(kind, body):
    m = paramiko.Message()
    m.add_byte(bytes([kind]))
    m.add_bytes(body)
    return m
bodies = [b'', b'\\0\\0\\0\\1' * 12]
transport, ended, held = None, 0, 0
for kind in range(256):
    for body in bodies:
        if transport is None or not transport.is_active():
            transport = login().get_transport()
        try:
            transport._send_message(message(kind, body))
            transport.global_request('keepalive@openssh.com', wait=True)
        except (EOFError, OSError, paramiko.SSHException):
            pass
        if transport.is_active():
            held += 1
        else:
            ended += 1
print('ended', ended, 'held', held)
",
    )
    .ok();
    still_serves(&mut other);
    nothing_panicked(&site);
}

#[test]
fn floods_of_requests_are_answered_and_leave_nothing() {
    let (site, mut other) = site("b-floods");
    let before = measure::memory(&site.gateway);
    let done = paramiko(
        &site,
        "
def flood(transport, build, count):
    for number in range(count):
        transport._send_message(build(number))
    transport.global_request('keepalive@openssh.com', wait=True)
    return transport.is_active()
def channel_request(channel, name, reply, rest):
    m = paramiko.Message()
    m.add_byte(b'\\x62')
    m.add_int(channel.remote_chanid)
    m.add_string(name)
    m.add_boolean(reply)
    m.add_bytes(rest)
    return m
def text(data): return struct.pack('>I', len(data)) + data
def global_request(name, rest):
    m = paramiko.Message()
    m.add_byte(b'\\x50')
    m.add_string(name)
    m.add_boolean(True)
    m.add_bytes(rest)
    return m
transport = login().get_transport()
print('unknown', flood(transport, lambda n: global_request('nobody@example.org', b'x' * 100), 5000))
transport = login().get_transport()
print('listen', flood(transport, lambda n: global_request('tcpip-forward', text(b'0.0.0.0') + struct.pack('>I', n)), 90))
for name, rest in [('nobody@example.org', b'x' * 100),
                   ('env', text(b'NAME') + text(b'v' * 1000)),
                   ('env', text(b'GIT_PROTOCOL') + text(b'version=2')),
                   ('auth-agent-req@openssh.com', b''),
                   ('x11-req', b'\\0' + text(b'MIT') + text(b'00') + b'\\0\\0\\0\\0'),
                   ('window-change', b'\\0\\0\\0\\1' * 4),
                   ('signal', text(b'KILL')),
                   ('exit-status', b'\\0\\0\\0\\0'),
                   ('pty-req', text(b'xterm') + b'\\0\\0\\0\\1' * 4 + text(b'\\0'))]:
    count = 5000 if name != 'pty-req' else 200
    transport = login().get_transport()
    channel = transport.open_session(timeout=30)
    alive = flood(transport, lambda n: channel_request(channel, name, True, rest), count)
    print(name, alive)
transport = login().get_transport()
held = 0
for number in range(200):
    try:
        transport.open_channel('direct-tcpip', ('127.0.0.1', 22), ('127.0.0.1', 1), timeout=30)
    except (paramiko.SSHException, EOFError):
        held += transport.is_active()
print('forwards refused', held)
",
    )
    .ok();
    let grown = measure::memory(&site.gateway).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes are left; {done}");
    still_serves(&mut other);
    nothing_panicked(&site);
    assert!(
        site.gateway.logged().len() < 4 << 20,
        "a flood fills the log with {} bytes",
        site.gateway.logged().len()
    );
}

/// A client that ignores the window: it says that it takes nothing, and sends more than it may.
#[test]
fn windows_are_kept_by_us_and_broken_by_none() {
    let (site, mut other) = site("b-windows");
    let before = measure::memory(&site.gateway);
    let done = paramiko(
        &site,
        "
def text(data): return struct.pack('>I', len(data)) + data
def packet(kind, number, body): return text(bytes([kind]) + struct.pack('>I', number) + body)
def blast(channel, data, times):
    try:
        for number in range(times):
            m = paramiko.Message()
            m.add_byte(b'\\x5e')
            m.add_int(channel.remote_chanid)
            m.add_string(data)
            channel.transport._send_user_message(m)
            if channel.closed or not channel.transport.is_active():
                return number
    except (EOFError, OSError, paramiko.SSHException):
        return number
    return times
stat = packet(17, 7, text(b'/code')) * 1000
for size, most, times in [(0, 32768, 1600), (1, 1, 10), (10, 32768, 10), (2**32 - 1, 1, 2),
                          (2**32 - 1, 2**32 - 1, 20)]:
    transport = login().get_transport()
    transport._sanitize_window_size = lambda _: size
    transport._sanitize_packet_size = lambda _: most
    try:
        channel = transport.open_session(timeout=30)
        channel.settimeout(30)
        channel.invoke_subsystem('sftp')
        sent = blast(channel, text(b'\\1\\0\\0\\0\\3') + stat, times)
        print('window', size, most, 'took', sent * len(stat))
    except (EOFError, OSError, paramiko.SSHException) as error:
        print('window', size, most, error)
# To a push that does not read, beyond every window.
transport = login().get_transport()
channel = transport.open_session(timeout=30)
channel.exec_command(\"git-receive-pack '/repository.git'\")
print('push took', blast(channel, b'\\xff' * 30000, 300) * 30000)
transport.close()
",
    )
    .ok();
    let most = measure::most_memory(&site.gateway).saturating_sub(before);
    assert!(most < 160 << 20, "{most} bytes at the most; {done}");
    still_serves(&mut other);
    nothing_panicked(&site);
}

#[test]
fn exec_lines_of_any_length_are_answered_in_words() {
    let (site, mut other) = site("b-exec");
    let done = paramiko(
        &site,
        "
def command(channel, line):
    m = paramiko.Message()
    m.add_byte(b'\\x62')
    m.add_int(channel.remote_chanid)
    m.add_string('exec')
    m.add_boolean(False)
    m.add_string(line)
    return m
for line in [b'', b' ', b'\\0', b'x' * 1000, b'x' * 30000, b'\\xff' * 30000, b\"'\" * 30001,
             b'env:list ' * 3000, b'\\x1b[2J\\x1b]0;title\\x07', b'git-upload-pack ' + b'/' * 30000,
             b'site:list\\nuser:list', b'help; id', b'$(id)', b'a\\0b']:
    try:
        channel = login().get_transport().open_session(timeout=30)
        channel.settimeout(30)
        channel.transport._send_user_message(command(channel, line))
        said = b''
        while True:
            some = channel.recv_stderr(10000)
            if not some:
                break
            said += some
        status = channel.recv_exit_status()
        assert status != 0 and said.strip(), (line[:40], status, said)
        assert b'\\x1b' not in said and b'\\x07' not in said and b'\\0' not in said, said[:200]
        assert b'uid=' not in said, said
        assert len(said) < 40000, len(said)
    except (EOFError, OSError, paramiko.SSHException) as error:
        print('ended', line[:20], error)
# Longer than a packet may be.
transport = login().get_transport()
channel = transport.open_session(timeout=30)
try:
    transport._send_message(command(channel, b'x' * 3000000))
    transport.global_request('keepalive@openssh.com', wait=True)
except (EOFError, OSError, paramiko.SSHException):
    pass
print('an exec line of 3 MB', transport.is_active())
",
    );
    done.ok().says_not("ended");
    still_serves(&mut other);
    nothing_panicked(&site);
}

/// A thousand attempts sent in one go, with no answer waited for.
#[test]
fn a_thousand_attempts_to_log_in_are_cut_short() {
    let (site, mut other) = site("b-attempts");
    paramiko(
        &site,
        "
transport = paramiko.Transport((os.environ['HOST'], int(os.environ['PORT'])))
transport.start_client(timeout=30)
def send(m): transport._send_message(m)
m = paramiko.Message()
m.add_byte(b'\\x05')
m.add_string('ssh-userauth')
send(m)
key = paramiko.RSAKey.generate(2048)
sent = 0
try:
    for number in range(1000):
        m = paramiko.Message()
        m.add_byte(b'\\x32')
        m.add_string('dev.nobody%d' % number)
        m.add_string('ssh-connection')
        m.add_string('publickey')
        m.add_boolean(False)
        m.add_string('rsa-sha2-256')
        m.add_string(key.asbytes())
        send(m)
        sent += 1
except (EOFError, OSError, paramiko.SSHException):
    pass
transport.join(30)
print('sent', sent, 'active', transport.is_active())
",
    )
    .ok()
    .says("active False");
    still_serves(&mut other);
    nothing_panicked(&site);
}

/// Runs a script that begins with `login()`, which gives a connected client.
fn paramiko(site: &Site, script: &str) -> Finished {
    const LOGIN: &str = "
import logging, os, struct, paramiko
logging.getLogger('paramiko').setLevel(logging.CRITICAL)
def login():
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(os.environ['HOST'], int(os.environ['PORT']), os.environ['LOGIN'],
                   key_filename=os.environ['KEY'], allow_agent=False, look_for_keys=False,
                   timeout=60)
    kept.append(client)
    return client
kept = []
";
    let tom = site.person(Role::TeamMember);
    let desk = tom.desk("abuse");
    // Its threads may still wait for a connection that has ended.
    let script = format!("{LOGIN}{script}\nimport sys\nsys.stdout.flush()\nos._exit(0)\n");
    crate::sftp_python::run("paramiko", &script, site, tom, "dev", &desk)
}

#[track_caller]
fn nothing_panicked(site: &Site) {
    let log = site.gateway.logged();
    let line = log.lines().find(|line| line.contains("panicked"));
    assert!(line.is_none(), "{line:?}\n{}", site.gateway.log_tail());
}

#[track_caller]
fn must_be_closed(stream: &mut TcpStream, number: usize) {
    let mut some = [0; 4096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("lie {number}: the connection is still open: {error}"),
        }
    }
}

/// A site on a gateway of its own, since its log and memory are looked at, and somebody at work on it.
fn site(name: &str) -> (Site, Raw) {
    let gateway = Arc::new(Gateway::start());
    let site = gateway.site(name);
    let raw = Raw::open(&site, site.person(Role::TeamMember), "dev");
    (site, raw)
}
