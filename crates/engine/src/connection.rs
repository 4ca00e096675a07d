//! One connection of a shard: its entry in the table and what it is doing.
//!
//! ```text
//!  accepted                 101 sent                Close both ways, failed or lost         written out
//!     │    ┌─────────────┐ ────────► ┌──────┐ ──────────────────────────► ┌────────┐ ────────► ┌─────────┐
//!     └──► │ Handshaking │           │ Open │                             │ Ending │           │ Closing │ ──► Vacant
//!          └─────────────┘ ────────────────────────────────────────────► └────────┘ ────────► └─────────┘
//!                            refused                                        linger over, end of stream
//! ```
//! Invariant: an idle open connection owns no heap memory of the engine. What it needs only now and then is behind one
//! pointer ([`Rare`]) and freed with its last use.

use std::ops::Range;

use gannet_driver::{PeerAddress, Token};
use gannet_proto::deflate::PerMessageDeflate;
use gannet_proto::handshake::HeadScanner;
use gannet_proto::{CloseCode, Codec, Connection, Event, ProtocolError, ReadyState, Received};

use crate::config::Config;
use crate::context::Context;
use crate::guard::{Guard, Panicked};
use crate::handler::{Closed, Handler};
use crate::outbox::Outbox;
use crate::rates::Rates;

/// What a shard knows of a slot: its hot cache line.
#[derive(Debug)]
pub(crate) struct Entry<S> {
    generation: u32,
    /// Milliseconds of the shard's clock: the last sign of life or the ping after it while open, the start of the phase
    /// otherwise.
    pub(crate) since_ms: u32,
    pub(crate) phase: Phase<S>,
}

/// What a connection is doing.
#[derive(Debug)]
pub(crate) enum Phase<S> {
    /// The slot is free.
    Vacant,
    /// The opening handshake: waiting for the whole request head. Behind a pointer, because it is larger than what
    /// nearly all connections are: open.
    Handshaking(Box<Handshake>),
    /// The WebSocket connection, closing handshake included.
    Open(Session<S>),
    /// No WebSocket (any more): what waits is written out, then the write side is shut and the peer's end awaited.
    Ending(Ending),
    /// The driver was told to close; its last completion is awaited.
    Closing,
}

/// An opening handshake under way.
#[derive(Debug)]
pub(crate) struct Handshake {
    pub(crate) peer: PeerAddress,
    pub(crate) scanner: HeadScanner,
    /// What came of a request head that did not come in one piece.
    pub(crate) head: Vec<u8>,
}

/// What an open connection needs only now and then.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) outbox: Outbox,
    /// Received bytes that did not make a whole frame header or control frame.
    pub(crate) tail: Vec<u8>,
}

/// An open WebSocket connection.
#[derive(Debug)]
pub(crate) struct Session<S> {
    pub(crate) protocol: Connection,
    pub(crate) state: S,
    pub(crate) rare: Option<Box<Rare>>,
    /// Milliseconds of the shard's clock: when the message, or the cut frame, that is arriving began. Means nothing
    /// while there is none.
    pub(crate) message_since_ms: u32,
    rates: Rates,
    pub(crate) awaiting_pong: bool,
    /// Receiving is paused until the outbox shrinks.
    pub(crate) paused: bool,
    /// A message was refused: the handler waits for `on_drain`.
    pub(crate) refused: bool,
}

/// A connection on its way out.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) write_shut: bool,
    pub(crate) read_ended: bool,
    /// Bytes received and thrown away.
    pub(crate) discarded: usize,
}

/// How a session ended, for `on_close`.
#[derive(Debug)]
pub(crate) struct End {
    code: CloseCode,
    reason: Box<str>,
    was_clean: bool,
}

impl End {
    pub(crate) fn lost() -> Self {
        Self { code: CloseCode::ABNORMAL, reason: Box::from(""), was_clean: false }
    }

    pub(crate) fn failed(error: ProtocolError) -> Self {
        Self { code: error.close_code(), reason: error.to_string().into(), was_clean: false }
    }

    /// The same end, but what was to be sent with it is lost.
    pub(crate) fn unsent(self) -> Self {
        Self { was_clean: false, ..self }
    }

    #[cold]
    fn by_peer(close: &gannet_proto::Close<'_>) -> Self {
        let code = close.code.unwrap_or(CloseCode::NO_STATUS_RECEIVED);
        Self { code, reason: close.reason.into(), was_clean: true }
    }

    pub(crate) const fn was_clean(&self) -> bool {
        self.was_clean
    }

    pub(crate) fn as_closed(&self) -> Closed<'_> {
        Closed { code: self.code, reason: &self.reason, was_clean: self.was_clean }
    }
}

/// What serving received bytes came to.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where in the received bytes the in-place replies are.
    pub(crate) replies: Range<usize>,
    pub(crate) end: Option<End>,
}

impl<S> Session<S> {
    pub(crate) fn new(state: S, compression: Option<PerMessageDeflate>, now_ms: u32) -> Self {
        let protocol = Connection::server();
        Self {
            protocol: match compression {
                Some(deflate) => protocol.with_compression(deflate),
                None => protocol,
            },
            state,
            rare: None,
            message_since_ms: now_ms,
            rates: Rates::default(),
            awaiting_pong: false,
            paused: false,
            refused: false,
        }
    }

    pub(crate) fn outbox_bytes(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.outbox.bytes())
    }

    /// Whether a message, or a frame that counts as one, has begun to arrive and is not complete.
    pub(crate) fn is_message_begun(&self) -> bool {
        self.protocol.is_message_begun() || self.rare.as_ref().is_some_and(|rare| !rare.tail.is_empty())
    }

    /// Bytes arrived at `now_ms`. Takes those kept from the last receive; they are to be put in front of the new ones.
    pub(crate) fn begin_receive(&mut self, now_ms: u32) -> Vec<u8> {
        if !self.is_message_begun() {
            self.message_since_ms = now_ms;
        }
        let Some(rare) = &mut self.rare else { return Vec::new() };
        let tail = std::mem::take(&mut rare.tail);
        if rare.outbox.is_empty() {
            self.rare = None;
        }
        tail
    }

    /// Parses `bytes`, calls the handler for each message, and leaves every reply in `bytes` or `cork`.
    pub(crate) fn serve<H: Handler<State = S>>(
        &mut self,
        handler: &mut Guard<H>,
        config: &Config,
        codec: &mut Codec,
        now_ms: u32,
        cork: &mut Vec<u8>,
        bytes: &mut [u8],
    ) -> Served {
        let outbox_bytes = self.outbox_bytes();
        let mut received = Received::new(&mut *bytes);
        let served =
            handler.call(|handler| self.serve_events(handler, config, codec, now_ms, cork, &mut received));
        let end = self.end_of(served, codec, cork);
        let mut replies = received.reply_range();
        if end.is_none() && !received.unparsed().is_empty() {
            let tail = received.unparsed().to_vec();
            self.rare.get_or_insert_default().tail = tail;
        }
        if !replies.is_empty() && (outbox_bytes > 0 || !cork.is_empty()) {
            // Rare: replies in both places, or behind what waits. Their order is kept by one copy.
            cork.splice(0..0, bytes[replies].iter().copied());
            replies = 0..0;
        }
        Served { replies, end }
    }

    /// The events in `received`, up to the last or the end of the session. Out of line, because only of parameters the
    /// compiler knows that they do not overlap: inside the closure that is guarded, it takes 2 ns more for each message.
    #[inline(never)]
    fn serve_events<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        config: &Config,
        codec: &mut Codec,
        now_ms: u32,
        cork: &mut Vec<u8>,
        received: &mut Received<'_>,
    ) -> Result<Option<End>, ProtocolError> {
        let outbox_bytes = self.outbox_bytes();
        let mut context = Context::new(
            &mut self.protocol,
            codec,
            cork,
            &mut self.refused,
            outbox_bytes,
            config.outbox_bytes_max,
        );
        // What is counted for each message is one number; the rest is done when the receive is.
        let allowed = self.rates.messages_left(now_ms, config.messages_per_s_max);
        let mut left = allowed;
        loop {
            match context.poll_event(received)? {
                Some(Event::Message(message)) => {
                    if left == 0 {
                        let limit = config.messages_per_s_max.unwrap_or(u32::MAX);
                        return Err(ProtocolError::TooManyMessages { limit });
                    }
                    left -= 1;
                    handler.on_message(&mut context, &mut self.state, message);
                    context.check_outbox(config.outbox_policy)?;
                }
                Some(Event::Ping(_) | Event::Pong(_)) => {
                    // Inside a message it is the message that has to end in time.
                    if !context.is_message_begun() {
                        self.message_since_ms = now_ms;
                    }
                    self.rates.count_control_frame(now_ms, config.control_frames_per_s_max)?;
                }
                // It is not counted: nothing follows it.
                Some(Event::Close(close)) => return Ok(Some(End::by_peer(&close))),
                None => break,
            }
        }
        if left < allowed {
            self.message_since_ms = now_ms;
            self.rates.count_messages(allowed - left);
        }
        Ok(None)
    }

    /// Calls the handler with a context, and ends the session if the call did not end well.
    pub(crate) fn call<H: Handler<State = S>>(
        &mut self,
        handler: &mut Guard<H>,
        config: &Config,
        codec: &mut Codec,
        cork: &mut Vec<u8>,
        call: impl FnOnce(&mut H, &mut Context<'_>, &mut S),
    ) -> Option<End> {
        let mut context =
            Context::new(&mut self.protocol, codec, cork, &mut self.refused, 0, config.outbox_bytes_max);
        let called = handler.call(|handler| {
            call(handler, &mut context, &mut self.state);
            context.check_outbox(config.outbox_policy)?;
            Ok(None)
        });
        self.end_of(called, codec, cork)
    }

    /// How guarded calls ended the session, if they did. Where the peer did not close it, it is failed.
    #[inline]
    fn end_of(
        &mut self,
        called: Result<Result<Option<End>, ProtocolError>, Panicked>,
        codec: &mut Codec,
        cork: &mut Vec<u8>,
    ) -> Option<End> {
        let ended = called.unwrap_or_else(|Panicked| {
            // Other connections use it too.
            codec.reset();
            Err(ProtocolError::Internal)
        });
        ended.unwrap_or_else(|error| Some(self.fail(error, cork)))
    }

    /// Fails the WebSocket Connection (RFC 6455 §7.1.7), unless the protocol has done so already.
    pub(crate) fn fail(&mut self, error: ProtocolError, cork: &mut Vec<u8>) -> End {
        self.protocol.fail(error, cork);
        End::failed(error)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.protocol.ready_state() == ReadyState::Open
    }
}

/// The table from a token to its connection, by slot.
#[derive(Debug)]
pub(crate) struct Connections<S> {
    entries: Vec<Entry<S>>,
    occupied: usize,
}

impl<S> Connections<S> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), occupied: 0 }
    }

    /// Connections in the table.
    pub(crate) const fn len(&self) -> usize {
        self.occupied
    }

    /// Slots in the table, the vacant ones included.
    pub(crate) const fn slots(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn insert(&mut self, token: Token, since_ms: u32, phase: Phase<S>) {
        while self.entries.len() <= token.slot() {
            self.entries.push(Entry { generation: 0, since_ms: 0, phase: Phase::Vacant });
        }
        self.occupied += 1;
        self.entries[token.slot()] = Entry { generation: token.generation(), since_ms, phase };
    }

    /// The connection of a token; `None` if its slot has moved on.
    #[inline]
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Entry<S>> {
        let entry = self.entries.get_mut(token.slot())?;
        (entry.generation == token.generation() && !matches!(entry.phase, Phase::Vacant)).then_some(entry)
    }

    /// The connection in a slot, with its token.
    pub(crate) fn at_slot(&self, slot: usize) -> Option<(Token, &Entry<S>)> {
        let entry = self.entries.get(slot)?;
        let token = Token::new(slot as u32, entry.generation);
        (!matches!(entry.phase, Phase::Vacant)).then_some((token, entry))
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Phase<S>> {
        let phase = std::mem::replace(&mut self.get_mut(token)?.phase, Phase::Vacant);
        self.occupied -= 1;
        Some(phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_user_state_has_at_most_48_bytes() {
        assert!(size_of::<Entry<()>>() <= 48, "{}", size_of::<Entry<()>>());
    }

    #[test]
    fn a_token_of_a_former_occupant_finds_nothing() {
        let mut connections = Connections::<()>::new();
        connections.insert(Token::new(2, 7), 0, Phase::Closing);
        assert!(connections.get_mut(Token::new(2, 6)).is_none());
        assert!(connections.remove(Token::new(2, 7)).is_some());
        assert!(connections.get_mut(Token::new(2, 7)).is_none());
        assert_eq!((connections.len(), connections.slots()), (0, 3));
    }
}
