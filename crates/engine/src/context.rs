//! What a handler can do with the connection it is called for.
//!
//! Invariant: nothing is sent from here. Frames are appended to the cork of the shard, or written over the received
//! bytes, and leave in one send when the call's readiness event is done (corking).

use gannet_proto::{CloseCode, Codec, Connection, Event, Message, ProtocolError, ReadyState, Received};

use crate::config::OutboxPolicy;
use crate::metrics::Counts;
use crate::rates::{Mark, Rates};
use crate::remote::ConnectionId;

/// The connection that a handler is called for.
#[derive(Debug)]
pub struct Context<'a> {
    protocol: &'a mut Connection,
    codec: &'a mut Codec,
    cork: &'a mut Vec<u8>,
    rates: &'a mut Rates,
    counts: &'a mut Counts,
    id: ConnectionId,
    /// Bytes that waited before this call.
    outbox_bytes: usize,
    outbox_bytes_max: usize,
}

/// Why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The protocol forbids it: a Close frame was sent already, or the frame would be illegal.
    #[error(transparent)]
    Protocol(#[from] gannet_proto::SendError),
    /// The peer does not read fast enough. What follows is the [`OutboxPolicy`].
    #[error(
        "the outbox holds {waiting} bytes and its limit is {limit}; send less, or raise outbox_bytes_max"
    )]
    OutboxFull {
        /// Bytes waiting.
        waiting: usize,
        /// The limit.
        limit: usize,
    },
}

impl<'a> Context<'a> {
    pub(crate) const fn new(
        protocol: &'a mut Connection,
        codec: &'a mut Codec,
        cork: &'a mut Vec<u8>,
        (rates, counts): (&'a mut Rates, &'a mut Counts),
        id: ConnectionId,
        (outbox_bytes, outbox_bytes_max): (usize, usize),
    ) -> Self {
        Self { protocol, codec, cork, rates, counts, id, outbox_bytes, outbox_bytes_max }
    }

    pub(crate) const fn rates(&mut self) -> &mut Rates {
        self.rates
    }

    /// Counts messages that the handler was called for.
    pub(crate) const fn count_received(&mut self, messages: u32) {
        self.counts.messages_received += messages as u64;
    }

    /// The next event in `received`. Replies that the RFC demands are made on the way.
    #[inline]
    pub(crate) fn poll_event<'e>(
        &mut self,
        received: &'e mut Received<'_>,
    ) -> Result<Option<Event<'e>>, ProtocolError> {
        self.protocol.poll_event(self.codec, received, self.cork)
    }

    /// Whether the connection may go on.
    ///
    /// # Errors
    /// A message met a full outbox, and the policy is to close.
    #[inline]
    pub(crate) fn check_outbox(&self, policy: OutboxPolicy) -> Result<(), ProtocolError> {
        if self.rates.marks.is(Mark::Refused) && policy == OutboxPolicy::Close {
            Err(ProtocolError::OutboxFull)
        } else {
            Ok(())
        }
    }

    /// Whether a message has begun to arrive and is not complete.
    pub(crate) const fn is_message_begun(&self) -> bool {
        self.protocol.is_message_begun()
    }

    /// Sends a message back as it came. A message that arrived whole leaves from where it was received, without a copy.
    ///
    /// The outbox limit does not count here: nothing is received from a connection for which much waits
    /// ([`Config::outbox_pause_bytes`](crate::Config::outbox_pause_bytes)), so replies have the bound of one receive.
    ///
    /// # Errors
    /// [`SendError::Protocol`] after a Close frame was sent; the message was not sent then.
    #[inline]
    pub fn reply(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.protocol.reply(message, self.codec, self.cork)?;
        self.counts.messages_sent += 1;
        Ok(())
    }

    /// Sends a text message (RFC 6455 §5.6).
    ///
    /// # Errors
    /// [`SendError`]; the message was not sent then.
    pub fn send_text(&mut self, text: &str) -> Result<(), SendError> {
        self.admit()?;
        self.protocol.send_text(text, self.codec, self.cork)?;
        self.counts.messages_sent += 1;
        Ok(())
    }

    /// Sends a binary message (RFC 6455 §5.6).
    ///
    /// # Errors
    /// [`SendError`]; the message was not sent then.
    pub fn send_binary(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.admit()?;
        self.protocol.send_binary(payload, self.codec, self.cork)?;
        self.counts.messages_sent += 1;
        Ok(())
    }

    /// Sends a ping of at most 125 bytes (RFC 6455 §5.5.2). The engine sends its own to idle peers.
    ///
    /// # Errors
    /// [`SendError`]; the ping was not sent then.
    pub fn send_ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        self.admit()?;
        Ok(self.protocol.send_ping(payload, self.cork)?)
    }

    /// Starts the closing handshake (RFC 6455 §7.1.2). `on_close` follows when the peer has answered, or at the close
    /// deadline. `reason` has at most 123 bytes.
    ///
    /// # Errors
    /// [`SendError::Protocol`] if it was started already, or for a code or a reason that may not be sent.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        Ok(self.protocol.close(Some(code), reason, self.cork)?)
    }

    /// The name of the connection, under which other threads reach it through a [`Remote`](crate::Remote).
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// The state of the connection, as a page sees it in `readyState`.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.protocol.ready_state()
    }

    /// Bytes that were sent but that the kernel has not taken yet, this call's own included. In-place replies of this
    /// turn are not counted: they are tried first.
    #[must_use]
    pub const fn buffered_amount(&self) -> usize {
        self.outbox_bytes + self.cork.len()
    }

    #[inline]
    fn admit(&mut self) -> Result<(), SendError> {
        let waiting = self.buffered_amount();
        // After a Close it is the protocol that refuses, and the closing handshake goes on.
        if waiting < self.outbox_bytes_max || self.protocol.is_close_sent() {
            return Ok(());
        }
        self.rates.marks.set(Mark::Refused);
        self.counts.messages_refused += 1;
        Err(SendError::OutboxFull { waiting, limit: self.outbox_bytes_max })
    }
}
