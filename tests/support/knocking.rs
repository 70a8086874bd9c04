//! Bare TCP connections to the gateway from any address of this machine's loopback network, and a
//! load balancer that puts a header before what it passes on.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

/// How long the gateway may take to answer or to close.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Connects to `to` from `source`, one of 127.0.0.0/8.
pub fn from(source: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
    // The standard library cannot choose the address to connect from.
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| Runtime::new().expect("a runtime"));
    let stream = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket.connect(to).await?.into_std()
    })?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads until the gateway closes; panics if it does not.
#[track_caller]
pub fn heard(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is still open: {error}"),
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads the first line, if the gateway says one and does not end with it.
pub fn greeting(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") {
        match stream.read(&mut byte) {
            Ok(1) => line.push(byte[0]),
            Ok(_) | Err(_) => return None,
        }
    }
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A load balancer: passes connections on to the gateway, each with a header before it.
pub struct Balancer {
    address: SocketAddr,
}

impl Balancer {
    /// Starts one whose own address is `own`.
    pub fn start(own: [u8; 4], gateway: SocketAddr, header: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let header = header.to_owned();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(mut server) = from(own, gateway) else {
                    continue;
                };
                server.set_read_timeout(None).unwrap();
                if server.write_all(&header).is_err() {
                    continue;
                }
                let (back, forth) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pump(client, server));
                std::thread::spawn(move || pump(back, forth));
            }
        });
        Self { address }
    }

    /// Where clients reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Returns the header of version 1 for a client at `client`.
pub fn header_v1(client: SocketAddr) -> Vec<u8> {
    let kind = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let us = if client.is_ipv4() { "127.0.0.1" } else { "::1" };
    format!("PROXY {kind} {} {us} {} 22\r\n", client.ip(), client.port()).into_bytes()
}

/// Returns the header of version 2 for a client at `client`, with a part that nobody needs.
pub fn header_v2(client: SocketAddr) -> Vec<u8> {
    let (family, mut rest) = match client.ip() {
        IpAddr::V4(address) => (0x11, [address.octets(), [127, 0, 0, 1]].concat()),
        IpAddr::V6(address) => (0x21, [address.octets(), [0; 16]].concat()),
    };
    rest.extend(client.port().to_be_bytes());
    rest.extend(22_u16.to_be_bytes());
    rest.extend([0x04, 0, 4, 1, 2, 3, 4]);
    binary_header(0x21, family, &rest)
}

/// Returns a header of version 2 with this command and family.
pub fn binary_header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    header.extend(rest);
    header
}
