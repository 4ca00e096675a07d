//! What arrives: the PROXY header, the handshake, records, and what their ends mean.
//!
//! Invariant: bytes of a connection are looked at in the order in which they came. While handshake bytes are queued the
//! driver below is paused for it, so nothing overtakes them, not even the end of the stream.

use std::io;
use std::sync::Arc;

use gannet_driver::{Completion, Driver, ReceiveEnd, Token};
use rustls::ServerConfig;

use super::{SecureDriver, find};
use crate::edge::connection::{Connection, Stage};
use crate::edge::proxy::{self, Header};
use crate::edge::tls::{TlsEnd, TlsStream};

/// The first byte of every TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;
/// What is read and thrown away behind plain HTTP, in bytes, so that closing does not reset the connection before the
/// peer has read the answer.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;
/// The longest first flight of a client, in bytes. Only behind it has the client worked for what is kept of it.
const FIRST_FLIGHT_BYTES_MAX: usize = 64 * 1024;
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Connection: close\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 68\r\n\
    \r\n\
    This port speaks TLS: use https:// or wss:// instead of http or ws.\n";

impl<D: Driver> SecureDriver<D> {
    /// Turns a completion of the driver below into one for the caller, if it is one.
    pub(super) fn on_completion(&mut self, completion: Completion) -> Option<Completion> {
        match completion {
            Completion::Accepted { token, peer, listener } => {
                if let Some(stage) = self.first_stage(listener, peer) {
                    self.insert(Connection::new(token, peer, stage));
                }
                Some(completion)
            }
            Completion::Received { token, .. } if find(&mut self.connections, token).is_some() => {
                self.on_received(token);
                None
            }
            Completion::ReceiveEnded { token, end } => self.on_receive_ended(token, end),
            Completion::Sent { token, buffer, sent } => self.on_sent(token, buffer, sent),
            other => Some(other),
        }
    }

    fn on_received(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        match &mut connection.stage {
            Stage::Proxy { head, .. } => {
                head.extend_from_slice(self.driver.received(&[]));
                self.on_proxy_header(token);
            }
            Stage::Mute { .. } => {
                let bytes = self.driver.received(&[]).to_vec();
                self.on_first_bytes(token, &bytes);
            }
            Stage::Tls(stream) if stream.has_ended() => {}
            Stage::Tls(stream) if stream.is_handshaking() => {
                stream.keep(self.driver.received(&[]));
                self.queue_handshake(token);
            }
            Stage::Tls(stream) => {
                self.plain.set_received(0);
                let rest = stream.take_rest();
                let bytes = self.driver.received(&rest);
                let end = stream.read(bytes, &mut self.plain, connection.outgoing.records());
                self.after_read(token, end);
            }
            Stage::Refused { discarded } => {
                *discarded += self.driver.received(&[]).len();
                if *discarded > DISCARDED_BYTES_MAX {
                    self.fail(token);
                }
            }
            Stage::Failed => {}
        }
    }

    fn on_proxy_header(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        let Stage::Proxy { head, tls } = &mut connection.stage else { return };
        let (bytes, source) = match proxy::parse(head) {
            Header::Partial => return,
            Header::Malformed(reason) => {
                tracing::info!(peer = %connection.peer, reason, "no PROXY header from a trusted proxy: closing");
                return self.fail(token);
            }
            Header::Complete { bytes, source } => (bytes, source),
        };
        let rest = head.split_off(bytes);
        let tls = tls.take();
        if let Some(peer) = source {
            connection.peer = peer;
            self.pending.push_back(Completion::PeerNamed { token, peer });
        }
        if let Some(tls) = tls {
            connection.stage = Stage::Mute { tls };
            if !rest.is_empty() {
                self.on_first_bytes(token, &rest);
            }
        } else {
            // From now on it passes through.
            self.remove(token);
            self.plain.set_received(0);
            self.plain.append(&rest);
            self.report_received(token);
        }
    }

    fn on_first_bytes(&mut self, token: Token, bytes: &[u8]) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        let Stage::Mute { tls } = &connection.stage else { return };
        if bytes.first() != Some(&HANDSHAKE_RECORD) {
            return self.refuse_plain_http(token);
        }
        match TlsStream::new(Arc::<ServerConfig>::clone(tls)) {
            Ok(mut stream) if bytes.len() <= FIRST_FLIGHT_BYTES_MAX => {
                stream.keep(bytes);
                connection.stage = Stage::Tls(Box::new(stream));
                self.queue_handshake(token);
            }
            Ok(_) => self.fail(token),
            Err(error) => {
                tracing::error!(%error, "a TLS connection cannot be set up");
                self.fail(token);
            }
        }
    }

    /// A client that expects no TLS gets an answer that it can read.
    fn refuse_plain_http(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        tracing::info!(peer = %connection.peer, "no TLS on a port that speaks TLS: answered 400");
        connection.stage = Stage::Refused { discarded: 0 };
        connection.outgoing.answer_in_clear(PLAIN_HTTP_ANSWER);
        self.advance(token);
    }

    /// Puts a connection in the queue of handshakes. Nothing is received from it until it was its turn.
    fn queue_handshake(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        connection.is_queued = true;
        self.driver.pause_receive(token);
        self.handshakes.push_back(token);
    }

    /// Takes one handshake as far as the bytes that have come allow.
    pub(super) fn handshake_step(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        // A paused one is queued again when it is resumed.
        if connection.is_paused || !connection.is_queued {
            return;
        }
        let Stage::Tls(stream) = &mut connection.stage else { return };
        self.handshake_steps_left -= 1;
        self.plain.set_received(0);
        let end = stream.read_kept(&mut self.plain, connection.outgoing.records());
        connection.is_queued = false;
        self.driver.resume_receive(token);
        self.after_read(token, end);
    }

    /// Bytes were read: reports the plaintext, sends what TLS itself has to send, and then reports the end.
    fn after_read(&mut self, token: Token, end: Option<TlsEnd>) {
        self.report_received(token);
        if let Some(TlsEnd::Failed(error)) = &end {
            if let Some(connection) = find(&mut self.connections, token) {
                tracing::debug!(peer = %connection.peer, %error, "TLS failed");
            }
            return self.fail(token);
        }
        if let Some(sent) = self.advance(token) {
            self.pending.push_back(sent);
        }
        if end.is_some() {
            self.report_end(token, ReceiveEnd::EndOfStream);
        }
    }

    fn report_received(&mut self, token: Token) {
        let bytes = self.plain.received_bytes();
        if bytes > 0 {
            self.pending.push_back(Completion::Received { token, bytes });
        }
    }

    /// Nothing that still comes is looked at, and nothing is sent but an alert.
    fn fail(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        connection.stage = Stage::Failed;
        self.driver.pause_receive(token);
        let sent = self.advance(token).or_else(|| self.send_failed(token, io::ErrorKind::BrokenPipe));
        self.pending.extend(sent);
        self.report_end(token, ReceiveEnd::Failed(io::ErrorKind::InvalidData));
    }

    fn report_end(&mut self, token: Token, end: ReceiveEnd) {
        let Some(connection) = find(&mut self.connections, token) else { return };
        if !connection.has_ended {
            connection.has_ended = true;
            self.pending.push_back(Completion::ReceiveEnded { token, end });
        }
    }

    fn on_receive_ended(&mut self, token: Token, end: ReceiveEnd) -> Option<Completion> {
        let Some(connection) = find(&mut self.connections, token) else {
            return Some(Completion::ReceiveEnded { token, end });
        };
        if connection.has_ended {
            return None;
        }
        connection.has_ended = true;
        let end = match (&connection.stage, end) {
            // RFC 8446 §6.1: without a close_notify, somebody may have cut the stream.
            (Stage::Tls(_), ReceiveEnd::EndOfStream) => ReceiveEnd::Failed(io::ErrorKind::UnexpectedEof),
            (_, end) => end,
        };
        Some(Completion::ReceiveEnded { token, end })
    }

    fn on_sent(
        &mut self,
        token: Token,
        buffer: Vec<u8>,
        sent: Result<usize, io::ErrorKind>,
    ) -> Option<Completion> {
        let connection = find(&mut self.connections, token).filter(|connection| !connection.passes_through());
        let Some(connection) = connection else { return Some(Completion::Sent { token, buffer, sent }) };
        let outgoing = &mut connection.outgoing;
        let sent = sent.and_then(|sent| {
            let rest = outgoing.on_sent(&mut self.driver, token, buffer, sent, &mut self.spare);
            rest.map_err(|_| io::ErrorKind::BrokenPipe)
        });
        match sent {
            Ok(()) => self.advance(token),
            Err(error) => self.send_failed(token, error),
        }
    }
}
