//! An open WebSocket connection: what it is, and how received bytes become calls of the handler.
//!
//! Invariant: without user state it takes 40 bytes, and while it is idle nothing on the heap. [`Rare`] is there only while
//! something waits to be sent or a message is arriving.

use gannet_proto::deflate::PerMessageDeflate;
use gannet_proto::{Codec, Connection, Event, ProtocolError, ReadyState, Received};

use super::{Account, End, Rare, Served};
use crate::config::Config;
use crate::context::Context;
use crate::guard::{Guard, Panicked};
use crate::handler::Handler;
use crate::metrics::Counts;
use crate::rates::Rates;
use crate::remote::ConnectionId;

/// What a session needs of its shard to call the handler.
pub(crate) struct Caller<'a, H> {
    pub(crate) handler: &'a mut Guard<H>,
    pub(crate) config: &'a Config,
    pub(crate) codec: &'a mut Codec,
    pub(crate) counts: &'a mut Counts,
    /// The connection that the session belongs to.
    pub(crate) id: ConnectionId,
    pub(crate) now_ms: u32,
}

impl<H> Caller<'_, H> {
    /// The same, for one call before another.
    pub(crate) const fn again(&mut self) -> Caller<'_, H> {
        Caller {
            handler: self.handler,
            config: self.config,
            codec: self.codec,
            counts: self.counts,
            id: self.id,
            now_ms: self.now_ms,
        }
    }
}

/// An open WebSocket connection.
#[derive(Debug)]
pub(crate) struct Session<S> {
    pub(crate) protocol: Connection,
    pub(crate) state: S,
    pub(crate) rare: Option<Box<Rare>>,
    /// Seconds of the shard's clock when it was opened.
    pub(crate) opened_s: u32,
    pub(crate) rates: Rates,
}

impl<S> Session<S> {
    pub(crate) fn new(state: S, compression: Option<PerMessageDeflate>, opened_s: u32) -> Self {
        let protocol = Connection::server();
        Self {
            protocol: match compression {
                Some(deflate) => protocol.with_compression(deflate),
                None => protocol,
            },
            state,
            rare: None,
            opened_s,
            rates: Rates::default(),
        }
    }

    pub(crate) fn outbox_bytes(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.outbox.bytes())
    }

    /// When the message, or the frame that counts as one, began that is arriving; nothing while there is none.
    pub(crate) fn message_since_ms(&self) -> Option<u32> {
        self.rare.as_ref()?.message_since_ms
    }

    /// Takes the bytes kept from the last receive; they are to be put in front of the new ones.
    pub(crate) fn take_tail(&mut self) -> Vec<u8> {
        self.rare.as_mut().map_or_else(Vec::new, |rare| std::mem::take(&mut rare.tail))
    }

    /// Parses `bytes`, of which the last `arrived` are new, calls the handler for each message, and leaves every reply in
    /// `bytes` or `cork`.
    pub(crate) fn serve<H: Handler<State = S>>(
        &mut self,
        caller: Caller<'_, H>,
        cork: &mut Vec<u8>,
        bytes: &mut [u8],
        arrived: usize,
    ) -> Served {
        let Caller { handler, config, codec, counts, id, now_ms } = caller;
        counts.bytes_received += arrived as u64;
        if let Err(error) = self.rates.count_bytes(now_ms, arrived, config) {
            return Served { replies: 0..0, end: Some(self.fail(error, cork)) };
        }
        let outbox_bytes = self.outbox_bytes();
        let mut received = Received::new(&mut *bytes);
        let served = handler.call(|handler| {
            self.serve_events(handler, (config, counts), codec, (id, now_ms), cork, &mut received)
        });
        let end = self.end_of(served, codec, cork);
        let mut replies = received.reply_range();
        if self.rare.is_some() || !received.unparsed().is_empty() {
            self.keep(received.unparsed(), end.is_some());
        }
        if !replies.is_empty() && (outbox_bytes > 0 || !cork.is_empty()) {
            // Rare: replies in both places, or behind what waits. Their order is kept by one copy.
            cork.splice(0..0, bytes[replies].iter().copied());
            replies = 0..0;
        }
        Served { replies, end }
    }

    /// Keeps what was not parsed, unless the session has ended, and frees what is of no use any more.
    #[cold]
    fn keep(&mut self, unparsed: &[u8], has_ended: bool) {
        if !unparsed.is_empty() && !has_ended {
            self.rare.get_or_insert_default().tail = unparsed.to_vec();
        }
        if self.rare.as_ref().is_some_and(|rare| rare.is_empty()) {
            self.rare = None;
        }
    }

    /// The events in `received`, up to the last or the end of the session. Out of line, because only of parameters the
    /// compiler knows that they do not overlap: inside the closure that is guarded, it takes 2 ns more for each message.
    #[inline(never)]
    fn serve_events<H: Handler<State = S>>(
        &mut self,
        handler: &mut H,
        (config, counts): (&Config, &mut Counts),
        codec: &mut Codec,
        (id, now_ms): (ConnectionId, u32),
        cork: &mut Vec<u8>,
        received: &mut Received<'_>,
    ) -> Result<Option<End>, ProtocolError> {
        let outbox_bytes = self.outbox_bytes();
        let limits = (outbox_bytes, config.outbox_bytes_max);
        let mut context =
            Context::new(&mut self.protocol, codec, cork, (&mut self.rates, counts), id, limits);
        // What is counted for each message is one number; the rest is done when the receive is.
        let allowed = context.rates().messages_left(config);
        let mut left = allowed;
        // Whether what is arriving at the end has begun in this receive.
        let mut is_new = false;
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
                    is_new |= !context.is_message_begun();
                    context.rates().count_control_frame(now_ms, config.control_frames_per_s_max)?;
                }
                // It is not counted: nothing follows it.
                Some(Event::Close(close)) => return Ok(Some(End::by_peer(&close))),
                None => break,
            }
        }
        if left < allowed {
            is_new = true;
            context.rates().count_messages(allowed - left);
            context.count_received(allowed - left);
        }
        if context.is_message_begun() || !received.unparsed().is_empty() {
            let rare = self.rare.get_or_insert_default();
            rare.message_since_ms = rare.message_since_ms.filter(|_| !is_new).or(Some(now_ms));
        } else if let Some(rare) = &mut self.rare {
            rare.message_since_ms = None;
        }
        Ok(None)
    }

    /// Calls the handler with a context, and ends the session if the call did not end well.
    pub(crate) fn call<H: Handler<State = S>>(
        &mut self,
        caller: Caller<'_, H>,
        cork: &mut Vec<u8>,
        call: impl FnOnce(&mut H, &mut Context<'_>, &mut S),
    ) -> Option<End> {
        let Caller { handler, config, codec, counts, id, .. } = caller;
        let limits = (self.outbox_bytes(), config.outbox_bytes_max);
        let mut context =
            Context::new(&mut self.protocol, codec, cork, (&mut self.rates, counts), id, limits);
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

    /// Charges what it makes the shard keep.
    pub(crate) fn charge(&mut self, account: &Account) {
        if let Some(rare) = &mut self.rare {
            rare.charge(self.protocol.assembled_bytes(), account);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.protocol.ready_state() == ReadyState::Open
    }
}
