//! The header with which a load balancer says who connects: the PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>). Reads no byte beyond it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Of version 2; also the length of what is read to tell the versions apart.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, with its end (§2.1).
const LONGEST_LINE: usize = 107;

/// The most that may follow the first 16 bytes of version 2: addresses, and what else a load
/// balancer adds. The specification expects no more than 536 bytes in all.
const LONGEST_REST: usize = 4096;

/// There was no header that we take.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoHeader {
    /// The connection ended or failed before there was a whole one.
    #[error("the connection ended within the header: {0}")]
    Io(#[from] std::io::Error),
    /// What came is something else.
    #[error("{0}")]
    Wrong(&'static str),
}

/// Reads the header. Returns who connects, or nobody when the load balancer connects for itself
/// or does not know.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, NoHeader> {
    let mut start = [0; SIGNATURE.len()];
    let mut came = 0;
    while came < start.len() {
        let room = start.get_mut(came..).unwrap_or_default();
        let count = stream.read(room).await?;
        if count == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        came += count;
        let so_far = start.get(..came).unwrap_or_default();
        // What can no longer become a header is not waited for.
        if !begins(so_far, &SIGNATURE) && !begins(so_far, b"PROXY ") {
            return Err(NoHeader::Wrong(
                "the connection does not begin with a PROXY protocol header",
            ));
        }
    }
    if start == SIGNATURE {
        read_binary(stream).await
    } else {
        read_line(start, stream).await
    }
}

/// Returns whether one of the two is the beginning of the other.
fn begins(some: &[u8], whole: &[u8]) -> bool {
    some.iter().zip(whole).all(|(one, other)| one == other)
}

async fn read_line(
    start: [u8; SIGNATURE.len()],
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, NoHeader> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(NoHeader::Wrong("the header's line is too long"));
        }
        // One byte at a time, since what follows the line is not ours.
        line.push(stream.read_u8().await?);
    }
    parse_line(&line).ok_or(NoHeader::Wrong("the header's line is malformed"))
}

/// Reads `PROXY TCP4 SOURCE DESTINATION PORT PORT` or `PROXY UNKNOWN …`.
fn parse_line(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let words: Vec<&str> = line.split(' ').collect();
    let (source, destination, ports): (IpAddr, IpAddr, _) = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => return Some(None),
        ["PROXY", "TCP4", source, destination, ports @ ..] => (
            source.parse::<Ipv4Addr>().ok()?.into(),
            destination.parse::<Ipv4Addr>().ok()?.into(),
            ports,
        ),
        ["PROXY", "TCP6", source, destination, ports @ ..] => (
            source.parse::<Ipv6Addr>().ok()?.into(),
            destination.parse::<Ipv6Addr>().ok()?.into(),
            ports,
        ),
        _ => return None,
    };
    let [source_port, destination_port] = ports else {
        return None;
    };
    let _destination = SocketAddr::new(destination, destination_port.parse().ok()?);
    Some(Some(SocketAddr::new(source, source_port.parse().ok()?)))
}

async fn read_binary(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, NoHeader> {
    let (command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST_REST {
        return Err(NoHeader::Wrong("the header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match (command, family) {
        // LOCAL: a connection of the load balancer's own, with whatever it may say beside.
        (0x20, _) => Ok(None),
        // PROXY over TCP.
        (0x21, 0x11) => source::<4>(&rest),
        (0x21, 0x21) => source::<16>(&rest),
        // PROXY for what is no TCP connection, or not known.
        (0x21, 0x00 | 0x31 | 0x32) => Ok(None),
        (0x21, _) => Err(NoHeader::Wrong("the header is not about TCP")),
        _ => Err(NoHeader::Wrong("the header is of another version")),
    }
}

/// Takes the source from addresses of so many bytes: source, destination, their two ports. What
/// follows them is not for us.
fn source<const BYTES: usize>(rest: &[u8]) -> Result<Option<SocketAddr>, NoHeader>
where
    IpAddr: From<[u8; BYTES]>,
{
    let short = || NoHeader::Wrong("the header is too short for its addresses");
    let (source, rest) = rest.split_first_chunk::<BYTES>().ok_or_else(short)?;
    let (_destination, rest) = rest.split_first_chunk::<BYTES>().ok_or_else(short)?;
    let (port, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (_port, _rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    Ok(Some(SocketAddr::new(
        IpAddr::from(*source),
        u16::from_be_bytes(*port),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what was read, and what was left for SSH.
    async fn take(bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, Vec<u8>) {
        let mut from = bytes;
        let read = read(&mut from).await.map_err(|error| error.to_string());
        (read, from.to_vec())
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    #[tokio::test]
    async fn headers_of_both_versions_name_the_client_and_leave_the_rest() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 22];
        let mut v6 = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        v6.extend("::1".parse::<Ipv6Addr>().unwrap().octets());
        v6.extend([0x12, 0x34, 0, 22]);
        let mut with_more = v4.to_vec();
        with_more.extend([0x04, 0, 3, 1, 2, 3]);
        for (header, client) in [
            (
                b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 22\r\n".to_vec(),
                Some("192.0.2.1:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 4660 22\r\n".to_vec(),
                Some("[2001:db8::7]:4660"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (binary(0x21, 0x11, &v4), Some("192.0.2.1:4660")),
            (binary(0x21, 0x11, &with_more), Some("192.0.2.1:4660")),
            (binary(0x21, 0x21, &v6), Some("[2001:db8::7]:4660")),
            (binary(0x20, 0x00, &[]), None),
            (binary(0x20, 0x11, &v4), None),
            (binary(0x21, 0x00, b"what"), None),
            (binary(0x21, 0x31, &[0; 216]), None),
        ] {
            let mut bytes = header.clone();
            bytes.extend(b"SSH-2.0-client\r\n");
            let (read, left) = take(&bytes).await;
            let client = client.map(|client| client.parse().unwrap());
            assert_eq!(read, Ok(client), "{}", header.escape_ascii());
            assert_eq!(left, b"SSH-2.0-client\r\n", "{}", header.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        for bytes in [
            b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
            b"S".to_vec(),
            b"".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 65536\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 22 1\r\n".to_vec(),
            b"PROXY TCP4 2001:db8::7 ::1 4660 22\r\n".to_vec(),
            b"PROXY TCP4 example.org 10.0.0.1 4660 22\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 22\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 4660 22\r\n".to_vec(),
            b"PROXY  TCP4 192.0.2.1 10.0.0.1 4660 22\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 1000]].concat(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 92], b"\r\n".to_vec()].concat(),
            binary(0x21, 0x12, &[0; 12]),
            binary(0x21, 0x11, &[0; 11]),
            binary(0x21, 0x21, &[0; 12]),
            binary(0x11, 0x11, &[0; 12]),
            binary(0x22, 0x11, &[0; 12]),
            binary(0x21, 0x11, &[0; LONGEST_REST + 1]),
            SIGNATURE.to_vec(),
            SIGNATURE[..5].to_vec(),
        ] {
            let (read, _) = take(&bytes).await;
            assert!(read.is_err(), "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn a_header_cut_anywhere_is_none() {
        let whole = binary(0x21, 0x11, &[1; 12]);
        for length in 0..whole.len() {
            assert!(take(&whole[..length]).await.0.is_err(), "{length}");
        }
    }
}
