//! One connection from its place to its end: a time to log in, idle rules, and what it is
//! penalised for.

use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;

use super::doors::{Place, Visit};
use super::listen::Reception;
use super::penalties::Offence;
use crate::protocol::ssh::{Activity, Broken, Connection, Served};

/// How long a client that was told to go has until its socket is closed under it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves a connection to its end.
pub(super) fn converse(
    reception: Arc<Reception>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
) -> impl Future<Output = ()> + Send {
    let (visit, address) = (place.visit(), peer.ip());
    let (lent, visited) = (Arc::clone(&reception), Arc::clone(&visit));
    // In a box of its own, so that what a login takes is not kept as long as the session.
    let admitted = Box::pin(admit(lent, stream, peer, place, visited));
    async move {
        let ended = match admitted.await {
            Ok(mut open) => accompany(&mut open, reception.config.limits.idle()).await,
            Err(ended) => ended,
        };
        conclude(&reception, address, &visit, &ended);
    }
}

/// Says how a connection ended, where that matters.
fn conclude(reception: &Reception, address: IpAddr, visit: &Visit, ended: &Ended) {
    match ended {
        Ended::Closed => tracing::debug!("closed"),
        Ended::Broken(error) if error.is_panic() => {
            tracing::error!("a fault in Funicular ended this connection, and no other: {error}");
        }
        Ended::Broken(error) => tracing::debug!("closed: {error}"),
        Ended::OutOfTime => tracing::info!("not logged in in time; closed"),
        Ended::Ours => {}
    }
    if let Some(offence) = offence(ended, visit) {
        reception.penalise(address, offence);
    }
}

/// How a connection ended.
enum Ended {
    /// The client left.
    Closed,
    /// It broke, or was broken.
    Broken(Broken),
    /// It did not log in in time.
    OutOfTime,
    /// For reasons that are ours.
    Ours,
}

impl From<Result<(), Broken>> for Ended {
    fn from(ended: Result<(), Broken>) -> Self {
        match ended {
            Ok(()) => Ended::Closed,
            Err(error) => Ended::Broken(error),
        }
    }
}

/// Says what a connection is penalised for; nothing, once somebody was known.
fn offence(ended: &Ended, visit: &Visit) -> Option<Offence> {
    if visit.known.load(Ordering::Acquire) {
        return None;
    }
    match ended {
        Ended::Ours => None,
        Ended::OutOfTime => Some(Offence::GraceExceeded),
        Ended::Broken(error) if error.is_panic() => Some(Offence::Crash),
        Ended::Broken(error) if error.is_garbage() => Some(Offence::Garbage),
        Ended::Closed | Ended::Broken(_) if visit.asked.load(Ordering::Acquire) => {
            Some(Offence::FailedLogin)
        }
        Ended::Closed | Ended::Broken(_) => Some(Offence::NoLogin),
    }
}

/// Serves a connection until somebody is let in.
async fn admit(
    reception: Arc<Reception>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    visit: Arc<Visit>,
) -> Result<Open, Ended> {
    // A session has no handle that ends it while a key exchange is under way, nor one that was
    // told to go and does not, but it ends with its socket.
    let socket = match stream.as_fd().try_clone_to_owned() {
        Ok(socket) => std::net::TcpStream::from(socket),
        Err(error) => {
            tracing::error!("a connection was turned away: {error}");
            return Err(Ended::Ours);
        }
    };
    let connection = Connection::new(Arc::clone(&reception.server), place, peer);
    let activity = connection.activity();
    let deadline = tokio::time::Instant::now() + reception.config.limits.login_grace();
    let begun = reception.offer.serve(stream, connection);
    let begun = tokio::time::timeout_at(deadline, begun).await;
    let session = match begun {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return Err(Ended::Broken(error)),
        Err(_elapsed) => return Err(Ended::OutOfTime),
    };
    let mut open = Open {
        session,
        socket,
        activity: activity.clone(),
    };
    tokio::select! {
        ended = &mut open.session => Err(ended.into()),
        () = activity.dismissed() => Err(open.cut().await.into()),
        () = visit.entered.notified() => Ok(open),
        () = tokio::time::sleep_until(deadline) => {
            let _ = open.show_out("You did not log in in time.").await;
            Err(Ended::OutOfTime)
        }
    }
}

/// Serves a connection on which somebody is known, to its end.
async fn accompany(open: &mut Open, limit: Option<Duration>) -> Ended {
    let activity = open.activity.clone();
    // What only an end needs is in boxes, so that no session has room for it all its life.
    tokio::select! {
        ended = &mut open.session => ended.into(),
        () = activity.dismissed() => Box::pin(open.cut()).await.into(),
        sentence = idle(&activity, limit) => {
            tracing::info!("idle; closed");
            Box::pin(open.show_out(&sentence)).await.into()
        }
    }
}

/// Waits until a connection has been idle for too long, and says so.
async fn idle(activity: &Activity, limit: Option<Duration>) -> String {
    match limit {
        Some(limit) => activity.idle(limit).await,
        None => std::future::pending().await,
    }
    let seconds = limit.unwrap_or_default().as_secs();
    format!(
        "Nothing was done on this connection for {seconds} seconds, so it was closed. Log in again to go on."
    )
}

/// A connection that is being served.
struct Open {
    session: Served<Place>,
    socket: std::net::TcpStream,
    activity: Activity,
}

impl Open {
    /// Tells the client why it has to go, which only one that is past the key exchange hears.
    async fn show_out(&mut self, sentence: &str) -> Result<(), Broken> {
        let farewell = self.session.farewell(sentence);
        let gone = async {
            // A session that is blocked on a client that reads nothing does not take it.
            farewell.await;
            (&mut self.session).await
        };
        if let Ok(ended) = tokio::time::timeout(FAREWELL, gone).await {
            return ended;
        }
        self.close().await
    }

    /// Waits a moment for the client to go, then closes the socket under it.
    async fn cut(&mut self) -> Result<(), Broken> {
        if let Ok(ended) = tokio::time::timeout(FAREWELL, &mut self.session).await {
            return ended;
        }
        self.close().await
    }

    async fn close(&mut self) -> Result<(), Broken> {
        let _ = self.socket.shutdown(Shutdown::Both);
        (&mut self.session).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offence_of(ended: &Ended, asked: bool, known: bool) -> Option<Offence> {
        let visit = Visit::default();
        visit.asked.store(asked, Ordering::Release);
        visit.known.store(known, Ordering::Release);
        offence(ended, &visit)
    }

    #[test]
    fn only_who_was_never_known_is_penalised() {
        for ended in [Ended::Closed, Ended::OutOfTime, Ended::Ours] {
            assert_eq!(offence_of(&ended, true, true), None);
        }
        for (ended, asked, expected) in [
            (Ended::Closed, false, Some(Offence::NoLogin)),
            (Ended::Closed, true, Some(Offence::FailedLogin)),
            (Ended::OutOfTime, false, Some(Offence::GraceExceeded)),
            (Ended::OutOfTime, true, Some(Offence::GraceExceeded)),
            (Ended::Ours, true, None),
        ] {
            assert_eq!(offence_of(&ended, asked, false), expected);
        }
    }
}
