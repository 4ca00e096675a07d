//! The opening handshake of a shard (RFC 6455 §4.2): from the accepted socket to 101 or a refusal.

use gannet_driver::{Driver, PeerAddress, Token};
use gannet_proto::deflate::PerMessageDeflate;
use gannet_proto::handshake::{HandshakeError, HeadError, HeadScanner, Limits, write_accept, write_refusal};

use super::{Shard, Stage};
use crate::compression::agree;
use crate::config::Config;
use crate::connection::{Ending, Handshake, Phase, Served, Session};
use crate::guard::Guard;
use crate::handler::{Accept, Handler, Reject, Request, Upgrade};
use crate::shared::Shared;

/// What a request head came to.
enum Opening<S> {
    /// More bytes are needed.
    Partial,
    /// The request was accepted; frames may follow at this offset. The response is in the cork.
    Open { state: S, head_bytes: usize, compression: Option<PerMessageDeflate> },
    /// A refusal is in the cork.
    Refused,
}

impl<D: Driver, H: Handler> Shard<D, H> {
    pub(super) fn on_accepted(&mut self, token: Token, peer: PeerAddress, _listener: u8) {
        let handshake = Handshake { peer, scanner: HeadScanner::default(), head: Vec::new() };
        let phase = Phase::Handshaking(Box::new(handshake));
        self.connections.insert(token, self.clock.now_ms(), phase);
        let has_place = self.shared.connection_opened();
        if !has_place {
            self.over_cap.insert(token);
        }
        if !has_place || self.stage != Stage::Serving {
            self.refuse(token, HandshakeError::Unavailable);
        }
    }

    /// A proxy has told for whom it speaks.
    pub(super) fn on_peer_named(&mut self, token: Token, named: PeerAddress) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        if let Phase::Handshaking(handshake) = &mut entry.phase {
            handshake.peer = named;
        }
    }

    /// Bytes for a connection in its opening handshake.
    pub(super) fn on_head(&mut self, token: Token) {
        let Some(entry) = self.connections.get_mut(token) else { return };
        let Phase::Handshaking(handshake) = &mut entry.phase else { return };
        let Handshake { peer, scanner, head } = &mut **handshake;
        let received = self.driver.received(&[]);
        // The common case is a whole head in one piece, parsed where it was received.
        let is_first = head.is_empty();
        if !is_first {
            head.extend_from_slice(received);
        }
        let bytes = if is_first { &*received } else { &**head };
        let settings = (&*self.config, &*self.shared);
        let opening = open(&mut self.handler, settings, &mut self.cork, scanner, bytes, *peer);
        if is_first && matches!(opening, Opening::Partial) {
            *head = received.to_vec();
        }
        match opening {
            Opening::Partial => {}
            Opening::Refused => self.end_handshake(token),
            Opening::Open { state, head_bytes, compression } => {
                let session = Session::new(state, compression, self.clock.now_ms());
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
        let now_ms = self.clock.now_ms();
        let (handler, config, codec, cork) =
            (&mut self.handler, &*self.config, &mut self.codec, &mut self.cork);
        let served = match session.call(handler, config, codec, cork, H::on_open) {
            end @ Some(_) => Served { replies: 0..0, end },
            // The response is in the cork, so no reply is written in place.
            None => session.serve(handler, config, codec, now_ms, cork, &mut bytes[head_bytes..]),
        };
        entry.phase = Phase::Open(session);
        entry.since_ms = now_ms;
        self.shared.session_opened();
        self.finish(token, served);
    }

    /// Answers a connection that has no session with an error, and ends it.
    pub(super) fn refuse(&mut self, token: Token, error: HandshakeError) {
        write_error(&mut self.cork, error);
        self.end_handshake(token);
    }

    /// Sends the refusal in the cork. Bytes that still come are never parsed.
    fn end_handshake(&mut self, token: Token) {
        self.shared.handshake_refused();
        let Some(entry) = self.connections.get_mut(token) else { return };
        entry.phase = Phase::Ending(Ending::default());
        entry.since_ms = self.clock.now_ms();
        if self.flush(token, 0..0).is_err() {
            self.close(token);
        } else {
            self.step_ending(token);
        }
    }
}

/// Reads the request in `bytes`, asks the handler, and writes the response to `cork`.
fn open<H: Handler>(
    handler: &mut Guard<H>,
    (config, shared): (&Config, &Shared),
    cork: &mut Vec<u8>,
    scanner: &mut HeadScanner,
    bytes: &[u8],
    peer: PeerAddress,
) -> Opening<H::State> {
    let (head, head_bytes) = match scanner.read_request(bytes, &Limits::default()) {
        Ok(None) => return Opening::Partial,
        Ok(Some(complete)) => complete,
        Err(error) => {
            write_error(cork, error);
            return Opening::Refused;
        }
    };
    let request = Request::new(head, peer);
    let Ok(answer) = handler.call(|handler| handler.on_upgrade(&request)) else {
        write_internal_error(cork);
        return Opening::Refused;
    };
    let Accept { state, subprotocol, headers } = match answer {
        Upgrade::Accept(accept) => accept,
        Upgrade::Reject(Reject { status, headers, body }) => {
            write_refusal(cork, status, &borrowed(&headers), &body)
                .unwrap_or_else(|error| write_handler_error(cork, &error));
            return Opening::Refused;
        }
    };
    let agreement = agree(config, shared, &request);
    let compression = agreement.map(|agreement| agreement.deflate());
    let written =
        write_accept(cork, &request, subprotocol.as_deref(), agreement.as_ref(), &borrowed(&headers));
    if let Err(error) = written {
        write_handler_error(cork, &error);
        shared.release_windows(compression.map_or(0, |deflate| deflate.window_bytes()));
        return Opening::Refused;
    }
    Opening::Open { state, head_bytes, compression }
}

/// Refuses a request for what is wrong with it.
fn write_error(cork: &mut Vec<u8>, error: HandshakeError) {
    write_refusal(cork, error.status(), &[], &error.to_string()).expect("the status of an error refuses");
}

/// The handler's response cannot be sent: the client learns that it is not to blame, the operator why.
fn write_handler_error(cork: &mut Vec<u8>, error: &HeadError) {
    tracing::error!(%error, "the handler's answer to an upgrade request cannot be sent");
    write_internal_error(cork);
}

fn write_internal_error(cork: &mut Vec<u8>) {
    write_refusal(cork, 500, &[], "").expect("500 refuses");
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
