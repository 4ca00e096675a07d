//! A connection driven as an engine drives it: the unparsed tail is put in front of the next bytes, and the wire
//! gets the replies in place first, then `out`.

use gannet_proto::{
    Close, Codec, Config, Connection, Event, MaskingKeys, Message, Payload, ProtocolError, Received,
    SendError,
};

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

/// What the application does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Takes note of it.
    Ignore,
    /// Sends it back with `reply`.
    Echo,
    /// Takes turns: `reply`, nothing, a copy by `send_text` or `send_binary`.
    Mixed,
}

/// One end of a connection and all that came of it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) connection: Connection,
    codec: Codec,
    behaviour: Behaviour,
    tail: Vec<u8>,
    pub(crate) seen: Vec<Seen>,
    /// Everything this end sent, in the order of the wire.
    pub(crate) wire: Vec<u8>,
    pub(crate) error: Option<ProtocolError>,
}

impl End {
    pub(crate) fn server(config: Config, behaviour: Behaviour) -> Self {
        Self::new(Connection::server(), config, behaviour)
    }

    pub(crate) fn client(config: Config, behaviour: Behaviour) -> Self {
        Self::new(Connection::client(counting_keys()), config, behaviour)
    }

    fn new(connection: Connection, config: Config, behaviour: Behaviour) -> Self {
        let (codec, tail, seen, wire) = (Codec::new(config), Vec::new(), Vec::new(), Vec::new());
        Self { connection, codec, behaviour, tail, seen, wire, error: None }
    }

    /// Receives one chunk.
    pub(crate) fn receive(&mut self, chunk: &[u8]) {
        let mut bytes = std::mem::take(&mut self.tail);
        bytes.extend_from_slice(chunk);
        let mut received = Received::new(&mut bytes);
        let mut out = Vec::new();
        loop {
            match self.connection.poll_event(&mut self.codec, &mut received, &mut out) {
                Ok(Some(event)) => {
                    self.seen.push(Seen::from(&event));
                    if let Event::Message(message) = event {
                        let turn = if self.behaviour == Behaviour::Mixed { self.seen.len() } else { 0 };
                        let behaviour = self.behaviour;
                        act(&mut self.connection, behaviour, turn, message, &mut self.codec, &mut out)
                            .expect("a message is delivered only while frames may be sent");
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        self.wire.extend_from_slice(received.replies());
        self.wire.extend_from_slice(&out);
        if self.error.is_none() {
            self.tail = received.unparsed().to_vec();
            assert!(self.tail.len() < 6 + 126, "only a cut header or control frame stays unparsed");
        }
    }

    /// Lets this end send; what is written goes to the wire.
    pub(crate) fn send(&mut self, send: impl FnOnce(&mut Connection, &mut Vec<u8>) -> Result<(), SendError>) {
        send(&mut self.connection, &mut self.wire).expect("the connection is open");
    }

    /// Sends a message; it goes to the wire.
    pub(crate) fn send_message(&mut self, payload: Payload<'_>) {
        let (codec, wire) = (&mut self.codec, &mut self.wire);
        let sent = match payload {
            Payload::Text(text) => self.connection.send_text(text, codec, wire),
            Payload::Binary(bytes) => self.connection.send_binary(bytes, codec, wire),
        };
        sent.expect("the connection is open");
    }

    /// Takes what was sent since the last call.
    pub(crate) fn take_wire(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire)
    }
}

fn act(
    connection: &mut Connection,
    behaviour: Behaviour,
    turn: usize,
    message: Message<'_>,
    codec: &mut Codec,
    out: &mut Vec<u8>,
) -> Result<(), SendError> {
    match (behaviour, turn % 3) {
        (Behaviour::Ignore, _) | (Behaviour::Mixed, 1) => Ok(()),
        (Behaviour::Echo, _) | (Behaviour::Mixed, 0) => connection.reply(message, codec, out),
        (Behaviour::Mixed, _) => match message.payload() {
            Payload::Text(text) => connection.send_text(text, codec, out),
            Payload::Binary(bytes) => connection.send_binary(bytes, codec, out),
        },
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
            Event::Close(Close { code, reason }) => Self::Close(code.map(u16::from), (*reason).to_owned()),
        }
    }
}

/// Keys that differ from frame to frame and are the same in every run.
pub(crate) fn counting_keys() -> MaskingKeys {
    let mut next = 0x1234_5678_u32;
    MaskingKeys::new(move || {
        next = next.wrapping_mul(0x9e37_79b9).wrapping_add(1);
        next.to_be_bytes()
    })
}
