//! The state of one connection after the opening handshake. Invariant: after a Close frame was written nothing
//! follows it, and after an error or the peer's Close nothing more is delivered.

mod assembly;
mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::close::Close;
use crate::deflate::{PerMessageDeflate, Windows};
use crate::frame::{Role, ShortMessage};
use crate::message::Message;
use crate::{Codec, ProtocolError, Received};

use assembly::Assembly;
pub(crate) use assembly::HEADER_ROOM;

/// Where a connection is in its life (RFC 6455 §4.1, §7.1; the names are those of the W3C API).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyState {
    /// The opening handshake is not finished; there is no [`Connection`] yet.
    Connecting,
    /// Messages go both ways.
    Open,
    /// This end sent a Close frame and waits for the peer's.
    Closing,
    /// Both Close frames were exchanged, or the connection failed.
    Closed,
}

/// What a peer did.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message is complete.
    Message(Message<'a>),
    /// The peer sent a Ping. The Pong is already written; where more than 16 Pings come in one receive, only the last of the
    /// others is answered, when all is parsed (RFC 6455 §5.5.3).
    Ping(&'a [u8]),
    /// The peer sent a Pong.
    Pong(&'a [u8]),
    /// The peer sent a Close frame; the echo is already written if it was due. The last event.
    Close(Close<'a>),
}

/// The caller's source of masking keys for a client.
///
/// RFC 6455 §5.3: every frame takes a fresh key that the peer cannot predict.
pub struct MaskingKeys(Box<dyn FnMut() -> [u8; 4] + Send>);

impl MaskingKeys {
    /// Wraps a function that returns a fresh unpredictable key each time.
    pub fn new(next_key: impl FnMut() -> [u8; 4] + Send + 'static) -> Self {
        Self(Box::new(next_key))
    }
}

impl fmt::Debug for MaskingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskingKeys").finish_non_exhaustive()
    }
}

/// One end of a WebSocket connection after the opening handshake: a pointer and four bytes. A server owns memory only while a
/// message arrives in pieces, from the first Close frame on, and for the windows of context takeover.
#[derive(Debug)]
pub struct Connection {
    /// Nothing for an open server with no message in progress: what nearly all connections are, nearly always.
    rare: Option<Box<Rare>>,
    compression: Option<PerMessageDeflate>,
}

/// What an open server with no message in progress does without.
#[derive(Debug, Default)]
struct Rare {
    state: State,
    /// The message that is arriving in pieces.
    assembly: Option<Assembly>,
    /// The keys of a client; a server has none.
    keys: Option<MaskingKeys>,
    /// What compressed messages refer to; nothing without context takeover.
    windows: Option<Windows>,
    /// The payload of the last Ping that is not answered yet.
    late_ping: Option<Box<[u8]>>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    /// Our Close was sent, the peer's was not received.
    CloseSent,
    /// Both were exchanged.
    Closed,
    /// The connection failed, and our Close was sent.
    Failed(ProtocolError),
}

impl Connection {
    /// The server's end of a connection.
    #[must_use]
    pub const fn server() -> Self {
        Self { rare: None, compression: None }
    }

    /// The client's end of a connection.
    #[must_use]
    pub fn client(keys: MaskingKeys) -> Self {
        Self { rare: Some(Box::new(Rare { keys: Some(keys), ..Rare::default() })), compression: None }
    }

    /// The same connection with the compression that the opening handshake agreed on (RFC 7692). Without context takeover it
    /// needs no memory for it.
    #[must_use]
    pub fn with_compression(mut self, deflate: PerMessageDeflate) -> Self {
        self.compression = Some(deflate);
        if deflate.window_bytes() > 0 {
            self.rare_mut().windows = Some(Windows::new(deflate, self.role()));
        }
        self
    }

    /// How messages are compressed, if that was agreed on.
    #[must_use]
    #[inline]
    pub const fn compression(&self) -> Option<PerMessageDeflate> {
        self.compression
    }

    /// Which end this is.
    #[must_use]
    #[inline]
    pub const fn role(&self) -> Role {
        match &self.rare {
            Some(rare) if rare.keys.is_some() => Role::Client,
            _ => Role::Server,
        }
    }

    /// Where the connection is in its life; never [`ReadyState::Connecting`].
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        match self.state() {
            State::Open => ReadyState::Open,
            State::CloseSent => ReadyState::Closing,
            State::Closed | State::Failed(_) => ReadyState::Closed,
        }
    }

    /// Whether this end wrote a Close frame: nothing may be sent any more.
    #[must_use]
    #[inline]
    pub const fn is_close_sent(&self) -> bool {
        match &self.rare {
            Some(rare) => !matches!(rare.state, State::Open),
            None => false,
        }
    }

    /// Whether the peer's Close frame arrived.
    #[must_use]
    pub const fn is_close_received(&self) -> bool {
        matches!(self.state(), State::Closed)
    }

    /// Whether a message has begun to arrive and is not complete.
    #[must_use]
    pub const fn is_message_begun(&self) -> bool {
        self.assembly().is_some()
    }

    /// Bytes of payload that are kept of a message that is not complete.
    #[must_use]
    pub fn assembled_bytes(&self) -> usize {
        self.assembly().map_or(0, Assembly::len)
    }

    /// Parses `received` up to the next event.
    ///
    /// Contract: *call until it returns nothing, send what was written, keep [`Received::unparsed`].* On the wire
    /// [`Received::replies`] comes first, then `out`. Pongs, the echo of a Close and the Close that reports an
    /// error are written here, in place or appended to `out`.
    ///
    /// After this end sent a Close, messages and control frames are still checked but not delivered, until the
    /// peer's Close. After the peer's Close all bytes are ignored.
    ///
    /// # Errors
    /// The rule that the peer broke. The error is sticky: later calls deliver nothing and return it again.
    #[inline]
    pub fn poll_event<'a>(
        &mut self,
        codec: &mut Codec,
        received: &'a mut Received<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Event<'a>>, ProtocolError> {
        // Both results are taken apart, so that the event of the hot path need not go through memory.
        Ok(match self.short_message(&codec.config, received) {
            Some(ShortMessage { kind, header_len, payload_len, masking_key }) => {
                let lent = received.take_masked(header_len, payload_len, masking_key);
                Some(self.deliver(kind, lent, out)?)
            }
            None => self.poll_any(codec, received, out)?,
        })
    }

    #[inline]
    const fn state(&self) -> &State {
        match &self.rare {
            Some(rare) => &rare.state,
            None => &State::Open,
        }
    }

    const fn assembly(&self) -> Option<&Assembly> {
        match &self.rare {
            Some(rare) => rare.assembly.as_ref(),
            None => None,
        }
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Ends the message in progress. A server that is still open then owns nothing.
    fn take_assembly(&mut self) -> Option<Assembly> {
        let rare = self.rare.as_mut()?;
        let assembly = rare.assembly.take();
        self.shed_rare();
        assembly
    }

    /// A plain open server owns nothing.
    fn shed_rare(&mut self) {
        if let Some(rare) = &self.rare
            && matches!(rare.state, State::Open)
            && rare.assembly.is_none()
            && rare.keys.is_none()
            && rare.windows.is_none()
            && rare.late_ping.is_none()
        {
            self.rare = None;
        }
    }

    /// Ends the connection, and with it the message in progress.
    fn end(&mut self, state: State) {
        let rare = self.rare_mut();
        rare.state = state;
        rare.assembly = None;
        rare.windows = None;
        rare.late_ping = None;
    }
}
