//! A driver around a driver: takes the PROXY header and TLS off, and lets plain connections pass.
//!
//! Invariant: it keeps the driver contract. All complete records of one receive are decrypted into one buffer and reported
//! as one `Received`; nothing decrypted is kept behind. Handshakes have a budget in each turn: what is over it waits in a
//! queue, so a surge of them does not hold up connections that are open.

mod incoming;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use gannet_driver::{
    CloseMode, Completion, Driver, DriverCounters, HEADROOM_BYTES, PeerAddress, RECEIVE_BYTES_MAX,
    ReceiveBuffer, SendOutcome, SocketStats, Token,
};
use ipnet::IpNet;

use super::certificates::Tls;
use super::connection::{Connection, Stage};
use crate::forwarded::{ForwardedHeader, Trust};

/// Handshakes that are taken a step further in one turn. One step may sign, which takes up to a millisecond.
pub(super) const HANDSHAKE_STEPS_PER_TURN: usize = 8;

/// What is on the socket of a listener besides HTTP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Edge {
    pub(crate) tls: Option<Tls>,
    /// Trusted peers begin with a PROXY header.
    pub(crate) proxy_protocol: bool,
}

impl Edge {
    /// Whether this listener speaks TLS.
    pub(crate) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether connections of this listener pass through untouched.
    pub(crate) const fn is_plain(&self) -> bool {
        self.tls.is_none() && !self.proxy_protocol
    }
}

/// Where the bytes of the last `Received` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lent {
    /// With the driver below.
    Below,
    /// In the buffer of the layer.
    Here,
}

/// A driver with TLS and the PROXY protocol.
#[derive(Debug)]
pub(crate) struct SecureDriver<D> {
    driver: D,
    /// By the number of the listener.
    edges: Arc<[Edge]>,
    trusted: Vec<IpNet>,
    /// By slot; `None` for a connection that passes through.
    pub(super) connections: Vec<Option<Box<Connection>>>,
    /// Decrypted bytes of the last receive.
    plain: ReceiveBuffer,
    lent: Lent,
    /// A buffer for records, reused.
    spare: Vec<u8>,
    /// What was found out beside the last completion.
    pub(super) pending: VecDeque<Completion>,
    /// Connections whose handshake waits for its turn. Some may have been closed or served since.
    pub(super) handshakes: VecDeque<Token>,
    handshake_steps_left: usize,
}

impl<D: Driver> SecureDriver<D> {
    /// A layer around `driver`, whose listeners have these edges. PROXY headers are taken from the addresses in `trusted`
    /// and from Unix sockets only.
    pub(crate) fn new(driver: D, edges: Arc<[Edge]>, trusted: Vec<IpNet>) -> Self {
        Self {
            driver,
            edges,
            trusted,
            connections: Vec::new(),
            // What was kept from the last receive is decrypted with the next one.
            plain: ReceiveBuffer::with_space(HEADROOM_BYTES + RECEIVE_BYTES_MAX),
            lent: Lent::Below,
            spare: Vec::new(),
            pending: VecDeque::new(),
            handshakes: VecDeque::new(),
            handshake_steps_left: 0,
        }
    }

    /// The first thing that a new connection has to do before its bytes are HTTP.
    fn first_stage(&self, listener: u8, peer: PeerAddress) -> Option<Stage> {
        let edge = self.edges.get(usize::from(listener))?;
        let tls = edge.tls.as_ref().map(Tls::config);
        if edge.proxy_protocol && self.is_trusted(peer) {
            return Some(Stage::Proxy { head: Vec::new(), tls });
        }
        Some(Stage::Mute { tls: tls? })
    }

    pub(super) fn is_trusted(&self, peer: PeerAddress) -> bool {
        Trust { proxies: &self.trusted, header: ForwardedHeader::default() }.covers(peer)
    }

    fn insert(&mut self, connection: Connection) {
        let slot = connection.token.slot();
        if self.connections.len() <= slot {
            self.connections.resize_with(slot + 1, || None);
        }
        self.connections[slot] = Some(Box::new(connection));
    }

    fn remove(&mut self, token: Token) {
        if find(&mut self.connections, token).is_some() {
            self.connections[token.slot()] = None;
        }
    }

    /// Sends what a connection has to send, and says what became of the caller's send if that is decided.
    fn advance(&mut self, token: Token) -> Option<Completion> {
        let connection = find(&mut self.connections, token)?;
        let Connection { stage, outgoing, .. } = connection;
        let stream = if let Stage::Tls(stream) = stage { Some(&mut **stream) } else { None };
        match outgoing.advance(&mut self.driver, token, stream, &mut self.spare) {
            Ok(Some(buffer)) => {
                let sent = Ok(buffer.len());
                Some(Completion::Sent { token, buffer, sent })
            }
            Ok(None) => None,
            Err(_) => self.send_failed(token, io::ErrorKind::BrokenPipe),
        }
    }

    /// Nothing more can be sent. If the caller has no send in flight it learns of it from its next one.
    fn send_failed(&mut self, token: Token, error: io::ErrorKind) -> Option<Completion> {
        let connection = find(&mut self.connections, token)?;
        let send = connection.outgoing.take_send()?;
        Some(Completion::Sent { token, buffer: send.buffer, sent: Err(error) })
    }
}

/// The connection of a token, unless it passes through or its slot has moved on.
pub(super) fn find(connections: &mut [Option<Box<Connection>>], token: Token) -> Option<&mut Connection> {
    let connection = connections.get_mut(token.slot())?.as_deref_mut()?;
    (connection.token == token).then_some(connection)
}

impl<D: Driver> Driver for SecureDriver<D> {
    fn reap(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.handshake_steps_left = HANDSHAKE_STEPS_PER_TURN;
        let work_waits = !self.handshakes.is_empty() || !self.pending.is_empty();
        self.driver.reap(if work_waits { Some(Duration::ZERO) } else { timeout })
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        loop {
            if let Some(completion) = self.pending.pop_front() {
                self.lent = Lent::Here;
                return Some(completion);
            }
            // Those that waited since the last turn come before those of this one.
            if self.handshake_steps_left > 0
                && let Some(token) = self.handshakes.pop_front()
            {
                self.handshake_step(token);
                continue;
            }
            self.lent = Lent::Below;
            let completion = self.driver.poll_completion()?;
            if let Some(completion) = self.on_completion(completion) {
                return Some(completion);
            }
        }
    }

    fn received(&mut self, tail: &[u8]) -> &mut [u8] {
        match self.lent {
            Lent::Below => self.driver.received(tail),
            Lent::Here => self.plain.view(tail),
        }
    }

    fn send_received(&mut self, token: Token, range: Range<usize>) -> SendOutcome {
        let Some(connection) = find(&mut self.connections, token) else {
            if self.lent == Lent::Below {
                return self.driver.send_received(token, range);
            }
            // Bytes behind a PROXY header, once for each connection.
            return match self.driver.send(token, self.plain.part(range).to_vec(), 0) {
                SendOutcome::Sent(_) => SendOutcome::Sent(Vec::new()),
                other => other,
            };
        };
        let Connection { stage: Stage::Tls(stream), outgoing, .. } = connection else {
            return SendOutcome::Failed;
        };
        outgoing.send_lent(&mut self.driver, token, stream, self.plain.part(range), &mut self.spare)
    }

    fn send(&mut self, token: Token, buffer: Vec<u8>, from: usize) -> SendOutcome {
        let connection = find(&mut self.connections, token).filter(|connection| !connection.passes_through());
        let Some(connection) = connection else { return self.driver.send(token, buffer, from) };
        let is_open = match &connection.stage {
            Stage::Tls(stream) => !stream.is_handshaking(),
            Stage::Proxy { .. } | Stage::Mute { .. } => false,
            Stage::Refused { .. } | Stage::Failed => return SendOutcome::Failed,
        };
        if !is_open {
            return match connection.outgoing.send_early(&buffer[from..]) {
                Ok(()) => SendOutcome::Sent(buffer),
                Err(_) => SendOutcome::Failed,
            };
        }
        connection.outgoing.begin(buffer, from);
        match self.advance(token) {
            Some(Completion::Sent { buffer, sent: Ok(_), .. }) => SendOutcome::Sent(buffer),
            Some(_) => SendOutcome::Failed,
            None => {
                let bytes = find(&mut self.connections, token)
                    .map_or(1, |connection| connection.outgoing.bytes_left());
                SendOutcome::InFlight { bytes }
            }
        }
    }

    fn pause_receive(&mut self, token: Token) {
        if let Some(connection) = find(&mut self.connections, token) {
            connection.is_paused = true;
        }
        self.driver.pause_receive(token);
    }

    fn resume_receive(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else {
            return self.driver.resume_receive(token);
        };
        connection.is_paused = false;
        if connection.is_queued {
            // It may be in the queue still; then one of both finds nothing to do.
            self.handshakes.push_back(token);
        } else {
            self.driver.resume_receive(token);
        }
    }

    fn shutdown_write(&mut self, token: Token) {
        let connection = find(&mut self.connections, token).filter(|connection| !connection.passes_through());
        let Some(connection) = connection else { return self.driver.shutdown_write(token) };
        connection.outgoing.shut_down();
        // No send of the caller is in flight, so there is none to complete.
        self.advance(token);
    }

    fn close(&mut self, token: Token, mode: CloseMode) {
        self.remove(token);
        self.pending.retain(|completion| token_of(completion) != Some(token));
        self.driver.close(token, mode);
    }

    fn stop_accepting(&mut self) {
        self.driver.stop_accepting();
    }

    fn socket_stats(&self, token: Token) -> Option<SocketStats> {
        self.driver.socket_stats(token)
    }

    fn counters(&self) -> DriverCounters {
        self.driver.counters()
    }
}

const fn token_of(completion: &Completion) -> Option<Token> {
    match completion {
        Completion::Accepted { token, .. }
        | Completion::PeerNamed { token, .. }
        | Completion::Received { token, .. }
        | Completion::ReceiveEnded { token, .. }
        | Completion::Sent { token, .. }
        | Completion::Closed { token } => Some(*token),
        Completion::Woken => None,
    }
}
