//! The opening handshake of a shard (RFC 6455 §4.2): from the accepted socket to 101, a refusal or a plain response.
//!
//! Invariant: a connection that is counted anywhere (in all, by address) is in the table, and is taken off in
//! [`Shard::leave`], once.

use std::net::IpAddr;

use gannet_driver::{Driver, PeerAddress, Token};
use gannet_proto::deflate::PerMessageDeflate;
use gannet_proto::handshake::{
    HandshakeError, Head, HeadError, HeadScanner, Limits, write_accept, write_refusal, write_response,
};

use super::{Shard, Stage};
use crate::admission::Place;
use crate::compression::agree;
use crate::config::Config;
use crate::connection::{Caller, Ending, Handshake, Phase, Served, Session};
use crate::edge::Edge;
use crate::forwarded::Trust;
use crate::guard::Guard;
use crate::handler::{Accept, Handler, Origination, Reject, Request, Upgrade};
use crate::http::HttpResponse;
use crate::remote::ConnectionId;
use crate::shared::Shared;

/// What a request head came to.
enum Opening<S> {
    /// More bytes are needed.
    Partial,
    /// The request was accepted; frames may follow at this offset. The response is in the cork.
    Open { state: S, head_bytes: usize, compression: Option<PerMessageDeflate> },
    /// A response with this status is in the cork, and the connection ends.
    Answered { status: u16 },
}

/// What is asked when a request head is complete.
struct Desk<'a, H> {
    handler: &'a mut Guard<H>,
    config: &'a Config,
    shared: &'a Shared,
    cork: &'a mut Vec<u8>,
    origin: Origination<'a>,
    /// Whether the client behind a proxy has to be counted by its address.
    counts_client: bool,
}

impl<D: Driver, H: Handler> Shard<D, H> {
    pub(super) fn on_accepted(&mut self, token: Token, peer: PeerAddress, listener: u8) {
        let handshake = Handshake { peer, listener, scanner: HeadScanner::default(), head: Vec::new() };
        let now_ms = self.clock.now_ms();
        self.connections.insert(token, now_ms, Phase::Handshaking(Box::new(handshake)));
        self.counts.accepted += 1;
        let has_place = self.shared.connection_opened();
        if !has_place {
            self.over_cap.insert(token);
        }
        let is_open = self.stage == Stage::Serving && !self.is_over_budget() && self.gate.admits(now_ms);
        if !has_place || !is_open {
            self.refuse(token, HandshakeError::Unavailable);
        } else if !self.trust().covers(peer) {
            self.admit(token, peer.ip());
        }
    }

    /// A proxy has told for whom it speaks.
    pub(super) fn on_peer_named(&mut self, token: Token, named: PeerAddress) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Handshaking(handshake) = &mut entry.phase else { return };
        handshake.peer = named;
        if !self.trust().covers(named) {
            self.admit(token, named.ip());
        }
    }

    /// Counts a connection by its address, or refuses it.
    fn admit(&mut self, token: Token, address: Option<IpAddr>) {
        let Some(address) = address.filter(|address| is_limited(&self.config, *address)) else { return };
        match self.shared.admission.admit(address) {
            Ok(place) => self.connections.set_place(token, place),
            Err(_) => self.refuse(token, HandshakeError::TooManyFromAddress),
        }
    }

    /// A connection is gone: it is counted nowhere any more.
    pub(super) fn leave(&mut self, token: Token) {
        if !self.over_cap.remove(&token) {
            self.shared.connection_closed();
        }
        if let Some(place) = self.connections.take_place(token) {
            self.shared.admission.release(place);
        }
    }

    fn trust(&self) -> Trust<'_> {
        Trust { proxies: &self.config.trusted_proxies, header: self.config.forwarded_header }
    }

    /// Bytes for a connection in its opening handshake.
    pub(super) fn on_head(&mut self, token: Token) {
        let is_counted = self.connections.place(token).is_some();
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Handshaking(handshake) = &mut entry.phase else { return };
        let Handshake { peer, listener, scanner, head } = &mut **handshake;
        let received = self.driver.received(&[]);
        // The common case is a whole head in one piece, parsed where it was received.
        let is_first = head.is_empty();
        if !is_first {
            head.extend_from_slice(received);
        }
        let bytes = if is_first { &*received } else { &**head };
        let desk = Desk {
            handler: &mut self.handler,
            config: &self.config,
            shared: &self.shared,
            cork: &mut self.cork,
            origin: Origination {
                id: ConnectionId::new(self.number, token),
                peer: *peer,
                is_tls: self.edges.get(usize::from(*listener)).is_some_and(Edge::is_tls),
                trust: Trust { proxies: &self.config.trusted_proxies, header: self.config.forwarded_header },
            },
            counts_client: !is_counted,
        };
        let (opening, place) = desk.open(scanner, bytes);
        if is_first && matches!(opening, Opening::Partial) {
            *head = received.to_vec();
        }
        if let Some(place) = place {
            self.connections.set_place(token, place);
        }
        match opening {
            Opening::Partial => {}
            Opening::Answered { status } => self.end_handshake(token, status),
            Opening::Open { state, head_bytes, compression } => {
                let session = Session::new(state, compression, self.clock.now_s());
                self.open_session(token, session, head_bytes);
            }
        }
    }

    /// The response is in the cork: opens the session and serves the frames behind the request head.
    fn open_session(&mut self, token: Token, mut session: Session<H::State>, head_bytes: usize) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Handshaking(handshake) = &mut entry.phase else { return };
        let mut head = std::mem::take(&mut handshake.head);
        let bytes = if head.is_empty() { self.driver.received(&[]) } else { head.as_mut_slice() };
        let mut caller = Caller {
            handler: &mut self.handler,
            config: &self.config,
            codec: &mut self.codec,
            counts: &mut self.counts,
            id: ConnectionId::new(self.number, token),
            now_ms: self.clock.now_ms(),
        };
        caller.counts.count_response(101);
        caller.counts.sessions += 1;
        let frames = &mut bytes[head_bytes..];
        let arrived = frames.len();
        let served = match session.call(caller.again(), &mut self.cork, H::on_open) {
            end @ Some(_) => Served { replies: 0..0, end },
            // The response is in the cork, so no reply is written in place.
            None => session.serve(caller, &mut self.cork, frames, arrived),
        };
        entry.phase = Phase::Open(session);
        entry.since_ms = self.clock.now_ms();
        self.shared.session_opened();
        self.finish(token, served);
    }

    /// Answers a connection that has no session with an error, and ends it.
    pub(super) fn refuse(&mut self, token: Token, error: HandshakeError) {
        write_error(&mut self.cork, error);
        self.end_handshake(token, error.status());
    }

    /// Sends the response in the cork. Bytes that still come are never parsed.
    fn end_handshake(&mut self, token: Token, status: u16) {
        self.counts.count_response(status);
        if status >= 400 {
            self.shared.handshake_refused();
        }
        let Some(entry) = self.connections.get_mut(token) else { return };
        entry.phase = Phase::Ending(Ending { is_download: status < 300, ..Ending::default() });
        entry.since_ms = self.clock.now_ms();
        if self.flush(token, 0..0).is_err() {
            self.close(token);
        } else {
            self.step_ending(token);
        }
    }
}

impl<H: Handler> Desk<'_, H> {
    /// Reads the request in `bytes`, asks the handler, and writes the response to the cork. The place is where the client
    /// was counted.
    fn open(mut self, scanner: &mut HeadScanner, bytes: &[u8]) -> (Opening<H::State>, Option<Place>) {
        let (head, head_bytes) = match scanner.read_head(bytes, &Limits::default()) {
            Ok(None) => return (Opening::Partial, None),
            Ok(Some(complete)) => complete,
            Err(error) => return (self.refuse(error), None),
        };
        let (head, is_upgrade) = match head {
            Head::Upgrade(head) => (head, true),
            Head::Plain(head) => (head, false),
        };
        let request = Request::new(head, self.origin);
        let place = match self.count_client(&request) {
            Ok(place) => place,
            Err(error) => return (self.refuse(error), None),
        };
        let opening = if is_upgrade { self.upgrade(&request, head_bytes) } else { self.respond(&request) };
        (opening, place)
    }

    /// Counts a client whose address only its request tells.
    fn count_client(&self, request: &Request<'_>) -> Result<Option<Place>, HandshakeError> {
        if !self.counts_client || !self.origin.trust.covers(self.origin.peer) {
            return Ok(None);
        }
        let Some(client) = request.client().filter(|client| is_limited(self.config, *client)) else {
            return Ok(None);
        };
        self.shared.admission.admit(client).map(Some).map_err(|_| HandshakeError::TooManyFromAddress)
    }

    fn upgrade(&mut self, request: &Request<'_>, head_bytes: usize) -> Opening<H::State> {
        let Ok(answer) = self.handler.call(|handler| handler.on_upgrade(request)) else {
            return self.fail();
        };
        let Accept { state, subprotocol, headers } = match answer {
            Upgrade::Accept(accept) => accept,
            Upgrade::Reject(Reject { status, headers, body }) => {
                return match write_refusal(self.cork, status, &borrowed(&headers), &body) {
                    Ok(()) => Opening::Answered { status },
                    Err(error) => self.refuse_handler(&error),
                };
            }
        };
        let agreement = agree(self.config, self.shared, request);
        let compression = agreement.map(|agreement| agreement.deflate());
        let headers = borrowed(&headers);
        let written = write_accept(self.cork, request, subprotocol.as_deref(), agreement.as_ref(), &headers);
        if let Err(error) = written {
            self.shared.release_windows(compression.map_or(0, |deflate| deflate.window_bytes()));
            return self.refuse_handler(&error);
        }
        Opening::Open { state, head_bytes, compression }
    }

    fn respond(&mut self, request: &Request<'_>) -> Opening<H::State> {
        let Ok(response) = self.handler.call(|handler| handler.on_http(request)) else {
            return self.fail();
        };
        let HttpResponse { status, headers, body } = response;
        match write_response(self.cork, status, &borrowed(&headers), &body, request.method() == "HEAD") {
            Ok(()) => Opening::Answered { status },
            Err(error) => self.refuse_handler(&error),
        }
    }

    /// Refuses a request for what is wrong with it.
    fn refuse(&mut self, error: HandshakeError) -> Opening<H::State> {
        write_error(self.cork, error);
        Opening::Answered { status: error.status() }
    }

    /// The handler's response cannot be sent: the client learns that it is not to blame, the operator why.
    fn refuse_handler(&mut self, error: &HeadError) -> Opening<H::State> {
        tracing::error!(%error, "the handler's answer to a request cannot be sent");
        self.fail()
    }

    fn fail(&mut self) -> Opening<H::State> {
        write_refusal(self.cork, 500, &[], "").expect("500 refuses");
        Opening::Answered { status: 500 }
    }
}

/// Whether connections of an address are counted.
fn is_limited(config: &Config, address: IpAddr) -> bool {
    let address = address.to_canonical();
    !config.address_limit_exempt.iter().any(|exempt| exempt.contains(&address))
}

/// Refuses a request for what is wrong with it.
fn write_error(cork: &mut Vec<u8>, error: HandshakeError) {
    write_refusal(cork, error.status(), &[], &error.to_string()).expect("the status of an error refuses");
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
