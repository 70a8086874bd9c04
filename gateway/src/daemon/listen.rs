//! Accepts connections: limits before anything is read, a time to log in, a back-off when the
//! system runs out of descriptors. The library that speaks SSH has none of these.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tracing::Instrument;

use super::doors::{Doors, Place};
use crate::protocol::ssh::{Broken, Connection, Offer, Server};

/// The pause after an accept that failed, for instance for want of descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Accepts until the task is ended.
pub(super) async fn accept(
    listener: TcpListener,
    offer: Offer,
    server: Arc<Server>,
    doors: Doors,
    grace: Duration,
) {
    let mut turned_away = 0_u64;
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::error!("accepting a connection: {error}");
                tokio::time::sleep(BACK_OFF).await;
                continue;
            }
        };
        let Some(place) = doors.take() else {
            turned_away += 1;
            // One line for each power of two: a flood must not fill the log.
            if turned_away.is_power_of_two() {
                tracing::warn!(%peer, turned_away, "too many connections; one was turned away");
            }
            drop(stream);
            continue;
        };
        let span = tracing::info_span!("connection", %peer);
        tokio::spawn(
            converse(
                stream,
                peer,
                place,
                offer.clone(),
                Arc::clone(&server),
                grace,
            )
            .instrument(span),
        );
    }
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    offer: Offer,
    server: Arc<Server>,
    grace: Duration,
) {
    // A session has no handle that ends it while a key exchange is under way, but it ends with its
    // socket.
    let closer = match stream.as_fd().try_clone_to_owned() {
        Ok(socket) => std::net::TcpStream::from(socket),
        Err(error) => {
            tracing::error!("a connection was turned away: {error}");
            return;
        }
    };
    let entered = place.entered_signal();
    let connection = Connection::new(server, place, peer);
    let deadline = tokio::time::Instant::now() + grace;
    let begun = tokio::time::timeout_at(deadline, offer.serve(stream, connection)).await;
    let session = match begun {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => {
            tracing::debug!("the connection failed: {error}");
            return;
        }
        Err(_elapsed) => {
            tracing::debug!("the client did not even say its version in time");
            return;
        }
    };
    let farewell = session.farewell("You did not log in in time.");
    tokio::pin!(session);
    tokio::select! {
        ended = &mut session => return log_end(ended),
        () = entered.notified() => {}
        () = tokio::time::sleep_until(deadline) => {
            tracing::info!("not logged in within {} seconds; closed", grace.as_secs());
            // Heard only by a client that is past the key exchange.
            let _ = tokio::time::timeout(BACK_OFF, farewell).await;
            let _ = closer.shutdown(std::net::Shutdown::Both);
            return log_end(session.await);
        }
    }
    drop(closer);
    log_end(session.await);
}

fn log_end(ended: Result<(), Broken>) {
    match ended {
        Ok(()) => tracing::debug!("closed"),
        Err(error) if error.is_panic() => {
            tracing::error!("a fault in Funicular ended this connection, and no other: {error}");
        }
        Err(error) => tracing::debug!("closed: {error}"),
    }
}
