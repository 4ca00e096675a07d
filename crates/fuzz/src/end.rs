//! One end of a connection, driven as an engine drives it: the unparsed tail is put in front of the next bytes, and the
//! wire gets the replies in place first, then `out`.

use gannet_proto::deflate::PerMessageDeflate;
use gannet_proto::{
    Codec, Config, Connection, Event, MaskingKeys, Message, Payload, ProtocolError, ReadyState, Received,
    Role, SendError,
};

/// A cut header and the payload of a control frame: the most that an end may leave unparsed.
const TAIL_BYTES_MAX: usize = 6 + 125;

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// The payload of a Ping.
    Ping(Vec<u8>),
    /// The payload of a Pong.
    Pong(Vec<u8>),
    /// The code and the reason of a Close frame.
    Close(Option<u16>, String),
}

/// What an end does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes note of it.
    Ignore,
    /// Sends it back with `reply`.
    Echo,
    /// Takes turns: `reply`, nothing, a copy.
    Mixed,
}

/// One end of a connection and all that came of it.
#[derive(Debug)]
pub struct End {
    /// The state machine.
    connection: Connection,
    codec: Codec,
    behaviour: Behaviour,
    tail: Vec<u8>,
    /// All events.
    pub seen: Vec<Seen>,
    /// All that was sent, in the order of the wire.
    pub wire: Vec<u8>,
    /// Why the connection failed.
    pub error: Option<ProtocolError>,
}

impl End {
    /// The end `role`, with that compression if it was agreed on.
    #[must_use]
    pub fn new(
        role: Role,
        compression: Option<PerMessageDeflate>,
        config: Config,
        behaviour: Behaviour,
    ) -> Self {
        let connection = match role {
            Role::Server => Connection::server(),
            Role::Client => Connection::client(counting_keys()),
        };
        let connection = match compression {
            Some(deflate) => connection.with_compression(deflate),
            None => connection,
        };
        let (codec, tail, seen, wire) = (Codec::new(config), Vec::new(), Vec::new(), Vec::new());
        Self { connection, codec, behaviour, tail, seen, wire, error: None }
    }

    /// Where the connection is in its life.
    #[must_use]
    pub const fn ready_state(&self) -> ReadyState {
        self.connection.ready_state()
    }

    /// Receives one chunk.
    ///
    /// # Panics
    /// If a message is delivered to an end that may not send any more, or if too much stays unparsed.
    pub fn receive(&mut self, chunk: &[u8]) {
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(chunk);
        let mut received = Received::new(&mut bytes);
        let mut out = Vec::new();
        self.error = loop {
            match self.connection.poll_event(&mut self.codec, &mut received, &mut out) {
                Ok(Some(event)) => {
                    self.seen.push(Seen::from(&event));
                    if let Event::Message(message) = event {
                        let behaviour = self.behaviour.at_turn(self.seen.len());
                        act(behaviour, &mut self.connection, &mut self.codec, message, &mut out)
                            .expect("a message is delivered only while frames may be sent");
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        self.wire.extend_from_slice(received.replies());
        self.wire.extend_from_slice(&out);
        self.tail = received.unparsed().to_vec();
        assert!(self.error.is_some() || self.tail.len() <= TAIL_BYTES_MAX, "{} bytes stay", self.tail.len());
    }

    /// Receives chunk by chunk, up to an error.
    pub fn receive_all<'a>(&mut self, chunks: impl IntoIterator<Item = &'a [u8]>) {
        for chunk in chunks {
            if self.error.is_some() {
                return;
            }
            self.receive(chunk);
        }
    }

    /// Lets this end send; what is written goes to the wire.
    ///
    /// # Errors
    /// As of `send`.
    pub fn send(
        &mut self,
        send: impl FnOnce(&mut Connection, &mut Codec, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> Result<(), SendError> {
        send(&mut self.connection, &mut self.codec, &mut self.wire)
    }

    /// Takes what was sent since the last call.
    pub fn take_wire(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }
}

impl Behaviour {
    /// What to do with the message that is the `turn`th event.
    const fn at_turn(self, turn: usize) -> Self {
        match (self, turn % 3) {
            (Self::Mixed, 0) => Self::Echo,
            (Self::Mixed, 1) => Self::Ignore,
            _ => self,
        }
    }
}

fn act(
    behaviour: Behaviour,
    connection: &mut Connection,
    codec: &mut Codec,
    message: Message<'_>,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    match (behaviour, message.payload()) {
        (Behaviour::Ignore, _) => Ok(()),
        (Behaviour::Echo, _) => connection.reply(message, codec, out),
        (Behaviour::Mixed, Payload::Text(text)) => connection.send_text(text, codec, out),
        (Behaviour::Mixed, Payload::Binary(bytes)) => connection.send_binary(bytes, codec, out),
    }
}

impl From<&Event<'_>> for Seen {
    fn from(event: &Event<'_>) -> Self {
        match event {
            Event::Message(message) => match message.payload() {
                Payload::Text(text) => Self::Text(text.to_owned()),
                Payload::Binary(bytes) => Self::Binary(bytes.to_vec()),
            },
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(close) => Self::Close(close.code.map(u16::from), close.reason.to_owned()),
        }
    }
}

/// Keys that differ from frame to frame and are the same in every run.
fn counting_keys() -> MaskingKeys {
    let mut next = 0x1234_5678_u32;
    MaskingKeys::new(move || {
        next = next.wrapping_mul(0x9e37_79b9).wrapping_add(1);
        next.to_be_bytes()
    })
}
