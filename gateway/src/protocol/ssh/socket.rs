//! The socket as russh gets it: small answers leave at once, a login waits for no delayed
//! acknowledgement, and a packet costs one system call to read.

use std::io::{self, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// What is read beyond what was asked for. russh asks for the four bytes of a packet's length
/// first (RFC 4253 §6); with them comes the packet, or the length of the next.
const AHEAD: usize = 4096;

/// Reads at the beginning of a connection, each followed by an acknowledgement at once. The
/// client's own Nagle algorithm is on until its session opens, so that without this it waits some
/// 40 ms for ours. The kernel forgets the option by itself (tcp(7), TCP_QUICKACK), so it is set
/// again each time.
const QUICK_READS: u8 = 40;

/// A TCP connection with a client.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    /// Not there while nothing comes: most sessions are idle most of the time.
    ahead: Option<Box<[u8; AHEAD]>>,
    start: usize,
    end: usize,
    quick_reads: u8,
    /// What has been written already and will be written again.
    said: usize,
}

/// The longest line with a version (RFC 4253 §4.2).
const LONGEST_VERSION: usize = 255;

impl Socket {
    /// Takes a connection.
    pub(super) fn new(stream: TcpStream) -> Self {
        // russh sets this only on sockets that it accepted itself. Without it small answers wait
        // for the client's delayed acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("setting TCP_NODELAY: {error}");
        }
        let mut socket = Self {
            stream,
            ahead: None,
            start: 0,
            end: 0,
            quick_reads: QUICK_READS,
            said: 0,
        };
        socket.acknowledge_quickly();
        socket
    }

    /// Says our version, which russh will say once more into the void, and returns the client's,
    /// which stays to be read. So what we offer can depend on who asks.
    ///
    /// # Errors
    /// When the client has gone.
    pub(super) async fn exchange_versions(&mut self, ours: &str) -> io::Result<&[u8]> {
        let line = format!("{ours}\r\n");
        self.stream.write_all(line.as_bytes()).await?;
        self.said = line.len();
        while !self.read_ahead().contains(&b'\n') && self.end < LONGEST_VERSION {
            self.stream.readable().await?;
            let ahead = self.ahead.get_or_insert_with(|| Box::new([0; AHEAD]));
            let room = ahead.get_mut(self.end..).unwrap_or_default();
            match self.stream.try_read(room) {
                Ok(0) => break,
                Ok(read) => {
                    self.end += read;
                    self.acknowledge_quickly();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.read_ahead())
    }

    fn read_ahead(&self) -> &[u8] {
        self.ahead
            .as_ref()
            .and_then(|ahead| ahead.get(self.start..self.end))
            .unwrap_or_default()
    }

    fn acknowledge_quickly(&mut self) {
        if let Some(left) = self.quick_reads.checked_sub(1) {
            self.quick_reads = left;
            // Slower without, but not wrong.
            let _ = self.stream.set_quickack(true);
        }
    }

    /// Reads into what was asked for and, in the same call, ahead. Returns how much there is of
    /// the former.
    fn read_both(&mut self, wanted: &mut [u8]) -> io::Result<usize> {
        let room = wanted.len();
        let ahead = self.ahead.get_or_insert_with(|| Box::new([0; AHEAD]));
        let mut both = [
            IoSliceMut::new(wanted),
            IoSliceMut::new(ahead.as_mut_slice()),
        ];
        let read = self.stream.try_read_vectored(&mut both)?;
        self.start = 0;
        self.end = read.saturating_sub(room);
        Ok(read.min(room))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        let waiting = socket.read_ahead();
        if !waiting.is_empty() {
            let (now, _later) = waiting.split_at(waiting.len().min(buffer.remaining()));
            buffer.put_slice(now);
            socket.start += now.len();
            return Poll::Ready(Ok(()));
        }
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if socket.stream.poll_read_ready(context)?.is_pending() {
                socket.ahead = None;
                return Poll::Pending;
            }
            match socket.read_both(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    socket.acknowledge_quickly();
                    return Poll::Ready(Ok(()));
                }
                // tokio has taken note, so that the next turn of the loop waits.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if socket.said > 0 {
            let again = socket.said.min(bytes.len());
            socket.said -= again;
            return Poll::Ready(Ok(again));
        }
        Pin::new(&mut socket.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (here, _) = listener.accept().await.unwrap();
        (Socket::new(here), there)
    }

    /// The way russh reads: four bytes, then the rest, of packets of every size around the buffer's.
    #[tokio::test]
    async fn every_byte_arrives_once_and_in_order() {
        let (mut here, mut there) = pair().await;
        let sizes: Vec<usize> = (0..400)
            .map(|at| [1, 12, 4091, 4092, 4096, 4100, 40_000][at % 7])
            .collect();
        let sent: Vec<u8> = sizes
            .iter()
            .flat_map(|size| {
                u32::try_from(*size)
                    .unwrap()
                    .to_be_bytes()
                    .into_iter()
                    .chain((0..*size).map(|at| (at % 251) as u8))
            })
            .collect();
        let writing = tokio::spawn(async move {
            for piece in sent.chunks(7777) {
                there.write_all(piece).await.unwrap();
            }
        });
        for size in sizes {
            let mut length = [0; 4];
            here.read_exact(&mut length).await.unwrap();
            assert_eq!(u32::from_be_bytes(length) as usize, size);
            let mut packet = vec![0; size];
            here.read_exact(&mut packet).await.unwrap();
            assert!(
                packet
                    .iter()
                    .enumerate()
                    .all(|(at, byte)| *byte == (at % 251) as u8)
            );
        }
        writing.await.unwrap();
        assert_eq!(
            here.read(&mut [0; 16]).await.unwrap(),
            0,
            "end of the stream"
        );
    }

    #[tokio::test]
    async fn the_version_is_said_once_and_the_clients_is_still_read() {
        let (mut here, mut there) = pair().await;
        there
            .write_all(b"SSH-2.0-OpenSSH_9.2p1\r\nmore")
            .await
            .unwrap();
        let heard = here.exchange_versions("SSH-2.0-Us").await.unwrap();
        assert!(heard.starts_with(b"SSH-2.0-OpenSSH_"));
        here.write_all(b"SSH-2.0-Us\r\n").await.unwrap();
        here.write_all(b"then").await.unwrap();
        let mut said = [0; 16];
        there.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"SSH-2.0-Us\r\nthen");
        let mut line = [0; 27];
        here.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"SSH-2.0-OpenSSH_9.2p1\r\nmore");
    }

    #[tokio::test]
    async fn what_was_read_ahead_is_still_there_when_the_client_has_gone() {
        let (mut here, mut there) = pair().await;
        there.write_all(b"abcdefgh").await.unwrap();
        there.shutdown().await.unwrap();
        drop(there);
        let mut all = Vec::new();
        let mut four = [0; 4];
        here.read_exact(&mut four).await.unwrap();
        here.read_to_end(&mut all).await.unwrap();
        assert_eq!((&four, all.as_slice()), (b"abcd", &b"efgh"[..]));
    }
}
