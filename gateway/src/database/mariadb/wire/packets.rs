//! Packets: what is sent and read, with its length before it and a number that counts along.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Wrong;
use crate::database::{Address, Watcher};

/// A packet of this length is followed by another that belongs to it.
const LONGEST: usize = 0xff_ffff;
/// How much of a file is sent at once.
const PIECE: usize = 256 * 1024;
/// How often the watcher is asked while the server is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
const CONNECTING: Duration = Duration::from_secs(10);

/// Who signs in.
pub(in crate::database::mariadb) struct Login<'a> {
    /// The account.
    pub(in crate::database::mariadb) user: &'a str,
    /// Its password; none where the server knows it by the socket's peer.
    pub(in crate::database::mariadb) password: Option<&'a str>,
    /// The database to begin in.
    pub(in crate::database::mariadb) database: Option<&'a str>,
    /// Whether `LOAD DATA LOCAL` is to be possible.
    pub(in crate::database::mariadb) files: bool,
}

/// What a connection runs over.
pub(in crate::database::mariadb) enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket: nobody listens in, so a password may be sent as it is.
    Unix(UnixStream),
}

impl Stream {
    /// Connects.
    pub(in crate::database::mariadb) fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Socket(path) => UnixStream::connect(path).map(Stream::Unix),
            Address::Tcp { host, port } => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECTING) {
                        Ok(stream) => {
                            stream.set_nodelay(true)?;
                            return Ok(Stream::Tcp(stream));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    fn be_patient(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))
            }
        }
    }

    pub(super) fn is_private(&self) -> bool {
        matches!(self, Stream::Unix(_))
    }
}

/// A stream that waits for the server as long as the watcher does.
struct Patient<'w> {
    stream: Stream,
    watcher: Option<&'w dyn Watcher>,
}

#[derive(Debug)]
struct Stop;

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped")
    }
}

impl std::error::Error for Stop {}

/// Whether an error is the watcher's word to stop.
pub(super) fn is_stop(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stop>())
}

impl Patient<'_> {
    fn patiently<T>(&mut self, mut act: impl FnMut(&mut Stream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match act(&mut self.stream) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    if self.watcher.is_some_and(|watcher| watcher.stopped()) {
                        return Err(io::Error::other(Stop));
                    }
                }
                other => return other,
            }
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| match stream {
            Stream::Tcp(stream) => stream.read(into),
            Stream::Unix(stream) => stream.read(into),
        })
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| match stream {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both directions of a connection, in packets.
pub(super) struct Packets<'w> {
    stream: BufReader<Patient<'w>>,
    payload: Vec<u8>,
    out: Vec<u8>,
    number: u8,
}

impl<'w> Packets<'w> {
    pub(super) fn new(stream: Stream, watcher: Option<&'w dyn Watcher>) -> io::Result<Self> {
        stream.be_patient()?;
        Ok(Self {
            stream: BufReader::with_capacity(PIECE, Patient { stream, watcher }),
            payload: Vec::new(),
            out: Vec::new(),
            number: 0,
        })
    }

    pub(super) fn is_private(&self) -> bool {
        self.stream.get_ref().stream.is_private()
    }

    /// What was received last.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads the next packet.
    pub(super) fn receive(&mut self) -> Result<&[u8], Wrong> {
        self.payload.clear();
        loop {
            let mut head = [0; 4];
            self.stream.read_exact(&mut head)?;
            let [low, middle, high, number] = head;
            let length = u32::from_le_bytes([low, middle, high, 0]);
            self.number = number.wrapping_add(1);
            let read = (&mut self.stream)
                .take(u64::from(length))
                .read_to_end(&mut self.payload)?;
            if read as u64 != u64::from(length) {
                return Err(Wrong::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
            if (length as usize) < LONGEST {
                return Ok(&self.payload);
            }
        }
    }

    /// Sends a packet that goes on with what has been said.
    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.out.clear();
        self.put(payload);
        self.write_out()
    }

    /// Sends a command, with which the numbers begin again.
    pub(super) fn command(&mut self, command: u8, text: &[u8]) -> io::Result<()> {
        self.number = 0;
        self.out.clear();
        if text.len() + 1 < LONGEST {
            self.head(text.len() + 1);
            self.out.push(command);
            self.out.extend_from_slice(text);
        } else {
            let mut whole = Vec::with_capacity(text.len() + 1);
            whole.push(command);
            whole.extend_from_slice(text);
            self.put(&whole);
        }
        self.write_out()
    }

    fn put(&mut self, payload: &[u8]) {
        let mut left = payload;
        loop {
            let (piece, rest) = left.split_at(left.len().min(LONGEST));
            self.head(piece.len());
            self.out.extend_from_slice(piece);
            left = rest;
            if piece.len() < LONGEST {
                return;
            }
        }
    }

    fn head(&mut self, length: usize) {
        let [low, middle, high, ..] = (length as u64).to_le_bytes();
        self.out.extend([low, middle, high, self.number]);
        self.number = self.number.wrapping_add(1);
    }

    fn write_out(&mut self) -> io::Result<()> {
        let written = self.stream.get_mut().write_all(&self.out);
        // A long statement does not keep its room.
        if self.out.capacity() > 4 * PIECE {
            self.out = Vec::new();
        }
        written
    }
}

/// The file that a `LOAD DATA LOCAL` reads.
pub(in crate::database::mariadb) struct Lines<'p, 'w> {
    packets: &'p mut Packets<'w>,
    buffer: Vec<u8>,
}

impl<'p, 'w> Lines<'p, 'w> {
    pub(super) fn new(packets: &'p mut Packets<'w>) -> Self {
        let mut lines = Self {
            packets,
            buffer: Vec::with_capacity(PIECE + PIECE / 2),
        };
        lines.buffer.extend([0; 4]);
        lines
    }

    /// Where the bytes go that are to be sent; [`Lines::passed`] is to be called now and then.
    pub(in crate::database::mariadb) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Sends what has come together if it is enough.
    pub(in crate::database::mariadb) fn passed(&mut self) -> Result<(), Wrong> {
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Wrong> {
        let length = self.buffer.len().saturating_sub(4);
        if length == 0 {
            return Ok(());
        }
        if length < LONGEST {
            let [low, middle, high, ..] = (length as u64).to_le_bytes();
            let head = [low, middle, high, self.packets.number];
            for (place, byte) in self.buffer.iter_mut().zip(head) {
                *place = byte;
            }
            self.packets.number = self.packets.number.wrapping_add(1);
            self.packets.stream.get_mut().write_all(&self.buffer)?;
        } else {
            // An empty packet would end the file: pieces are cut so that none is.
            for piece in self.buffer.get(4..).unwrap_or_default().chunks(LONGEST / 2) {
                self.packets.out.clear();
                self.packets.head(piece.len());
                self.packets.out.extend_from_slice(piece);
                self.packets.write_out()?;
            }
            self.buffer = Vec::with_capacity(PIECE + PIECE / 2);
        }
        self.buffer.clear();
        self.buffer.extend([0; 4]);
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<(), Wrong> {
        self.flush()?;
        self.packets.send(&[])?;
        Ok(())
    }
}
