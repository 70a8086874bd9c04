//! Accepts connections: penalties and limits before anything is read, a back-off when the system
//! runs out of descriptors. The library that speaks SSH has none of these.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use policy::Refusal;
use tokio::net::{TcpListener, TcpStream};
use tracing::Instrument;

use super::doors::{Doors, NoPlace, Place};
use super::penalties::{Begun, Offence, Penalties};
use super::turned_away::Farewells;
use super::{converse, proxy};
use crate::audit::Who;
use crate::blocking;
use crate::config::Config;
use crate::protocol::ssh::{Offer, Server};

/// The pause after an accept that failed, for instance for want of descriptors.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The time that a load balancer has to say who connects. It does so at once.
const HEADER_TIME: Duration = Duration::from_secs(5);

/// What receives all connections, at whichever address they come in.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) config: Config,
    pub(super) offer: Offer,
    pub(super) server: Arc<Server>,
    doors: Doors,
    penalties: Penalties,
    farewells: Farewells,
    turned_away: AtomicU64,
    without_header: AtomicU64,
}

impl Reception {
    /// Opens the doors.
    pub(super) fn new(config: Config, offer: Offer, server: Arc<Server>, doors: Doors) -> Self {
        Self {
            penalties: Penalties::new(config.penalties.clone()),
            farewells: Farewells::new(),
            turned_away: AtomicU64::new(0),
            without_header: AtomicU64::new(0),
            config,
            offer,
            server,
            doors,
        }
    }

    /// Accepts until the task is ended.
    pub(super) async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.receive(stream, peer),
                Err(error) => {
                    tracing::error!("accepting a connection: {error}");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        }
    }

    /// Turns a connection away, or has it served. Never waits.
    fn receive(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let proxied = self.is_proxy(peer.ip());
        if !proxied && let Some(sentence) = self.kept_out(peer.ip()) {
            return self.farewells.tell(stream, &sentence);
        }
        let mut place = match self.doors.take() {
            Ok(place) => place,
            Err(no) => return self.turn_away(stream, peer, no),
        };
        if proxied {
            let span = tracing::info_span!("connection", proxy = %peer);
            let reception = Arc::clone(self);
            tokio::spawn(
                async move { reception.introduce(stream, peer, place).await }.instrument(span),
            );
        } else if let Err(no) = place.comes_from(self.config.limits.source(peer.ip())) {
            self.turn_away(stream, peer, no);
        } else {
            let span = tracing::info_span!("connection", %peer);
            tokio::spawn(
                converse::converse(Arc::clone(self), stream, peer, place).instrument(span),
            );
        }
    }

    /// Learns from a load balancer who connects, then goes on as with any other connection.
    async fn introduce(
        self: Arc<Self>,
        mut stream: TcpStream,
        proxy: SocketAddr,
        mut place: Place,
    ) {
        let header = tokio::time::timeout(HEADER_TIME, proxy::read(&mut stream)).await;
        let client = match header {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return self.no_header(proxy, &error.to_string()),
            Err(_elapsed) => return self.no_header(proxy, "it did not come in time"),
        };
        let peer = client.unwrap_or(proxy);
        if let Some(sentence) = self.kept_out(peer.ip()) {
            return self.farewells.tell(stream, &sentence);
        }
        // The load balancer's own connections are not counted against its address.
        if client.is_some()
            && let Err(no) = place.comes_from(self.config.limits.source(peer.ip()))
        {
            return self.turn_away(stream, peer, no);
        }
        let span = tracing::info_span!("connection", %peer);
        converse::converse(self, stream, peer, place)
            .instrument(span)
            .await;
    }

    /// Returns why connections from an address are not taken at present, if they are not.
    fn kept_out(&self, address: IpAddr) -> Option<String> {
        if self.is_exempt(address) {
            return None;
        }
        let source = self.config.limits.source(address);
        let kept_out = self.penalties.refuse(source, Instant::now())?;
        if kept_out.worth_a_line {
            tracing::warn!(%address, "turned away: {}", kept_out.sentence);
        }
        Some(kept_out.sentence)
    }

    /// Adds a penalty for a connection that has ended without a login.
    pub(super) fn penalise(&self, address: IpAddr, offence: Offence) {
        if self.is_exempt(address) {
            return;
        }
        let source = self.config.limits.source(address);
        if let Some(begun) = self.penalties.add(source, offence, Instant::now()) {
            self.record(&begun);
        }
    }

    fn record(&self, begun: &Begun) {
        tracing::warn!("{}", begun.sentence());
        let who = Who {
            address: Some(begun.source.to_string()),
            ..Who::default()
        };
        let refusal = Refusal {
            rule: "penalty",
            message: begun.sentence(),
            hint: String::new(),
        };
        let gate = &self.server.gate;
        if let Err(fault) = blocking::wait(|| gate.refuse_outright(who, "connect", None, &refusal))
        {
            tracing::error!("a penalty could not be recorded: {fault}");
        }
    }

    fn turn_away(&self, stream: TcpStream, peer: SocketAddr, no: NoPlace) {
        let sentence = no.sentence();
        let turned_away = self.turned_away.fetch_add(1, Ordering::Relaxed) + 1;
        // One line for each power of two: a flood must not fill the log.
        if turned_away.is_power_of_two() {
            tracing::warn!(%peer, turned_away, "turned away: {sentence}");
        }
        self.farewells.tell(stream, sentence);
    }

    fn no_header(&self, proxy: SocketAddr, why: &str) {
        let closed = self.without_header.fetch_add(1, Ordering::Relaxed) + 1;
        if closed.is_power_of_two() {
            tracing::warn!(
                %proxy, closed,
                "a connection from an address of listen.proxy_protocol_from had no PROXY protocol header and was closed: {why}"
            );
        }
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        // Of a load balancer's own connections each may be a check of its health.
        self.config.penalties.exempts(address) || self.is_proxy(address)
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        let proxies = &self.config.listen.proxy_protocol_from;
        proxies.iter().any(|proxy| proxy.contains(address))
    }
}
