//! Telling a client that is not taken why, before any key exchange.
//!
//! The version line and one DISCONNECT packet (RFC 4253 §11.1), which clients show on the screen,
//! where a bare line before the version (RFC 4253 §4.2) is shown to nobody. What is said goes into
//! the socket's buffer at once; only to see it read is waited for, a moment, by a few tasks.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::protocol::ssh;

/// Clients that are waited for at once. Others get the sentence too, unless the end of the
/// connection overtakes it.
const MOST_WAITED_FOR: usize = 64;

/// How long a client has to read the sentence.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a client may send meanwhile and have thrown away: its version and its KEXINIT.
const MOST_DISCARDED: u64 = 16 << 10;

/// Tells clients why they are not taken.
#[derive(Debug, Clone)]
pub(super) struct Farewells(Arc<Semaphore>);

impl Farewells {
    /// Begins with nobody to tell.
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_WAITED_FOR)))
    }

    /// Tells a client that is not taken why, and closes. Never waits.
    pub(super) fn tell(&self, stream: TcpStream, sentence: &str) {
        let words = ssh::dismissal(sentence);
        let Ok(waiting) = Arc::clone(&self.0).try_acquire_owned() else {
            let _ = stream.try_write(&words);
            return;
        };
        tokio::spawn(async move {
            let _waiting = waiting;
            let _ = tokio::time::timeout(PATIENCE, say(stream, &words)).await;
        });
    }
}

/// Says it, and reads on until the client has closed: closing a socket on which something is
/// unread resets the connection, and takes the sentence away from a client that has not read it.
async fn say(mut stream: TcpStream, words: &[u8]) -> std::io::Result<()> {
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MOST_DISCARDED);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_crowd_is_told_without_waiting_for_any_of_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let farewells = Farewells::new();
        let mut crowd = Vec::new();
        for _ in 0..MOST_WAITED_FOR * 2 {
            crowd.push(TcpStream::connect(address).await.unwrap());
            farewells.tell(listener.accept().await.unwrap().0, "Not now.");
        }
        for mut client in crowd {
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            assert!(heard.starts_with(b"SSH-2.0-"), "{}", heard.escape_ascii());
            assert!(heard.windows(8).any(|part| part == b"Not now."));
        }
    }
}
