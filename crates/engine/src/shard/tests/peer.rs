//! A peer: it writes any bytes, and checks every byte that it reads.
//!
//! Invariant: what the server sends is HTTP up to a 101, then frames that a client has to accept, then nothing behind a
//! Close frame. Everything else panics here.

use std::collections::VecDeque;

use gannet_driver::sim::{Network, PeerId};
use gannet_proto::deflate::{Offer, PerMessageDeflate};
use gannet_proto::handshake::{ClientHandshakeError, verify_response, write_request};
use gannet_proto::{Codec, Connection, Event, MaskingKeys, MessageKind, Received};

use super::rig::Rig;

const NONCE: [u8; 16] = *b"the sample nonce";
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What a peer has read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Seen {
    /// A response, with its status.
    Status(u16),
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    /// A Close frame, with its code; 1005 without one.
    Close(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No response yet.
    Connecting,
    Open,
    /// Another status than 101: a body follows.
    Refused,
    /// The server's Close arrived.
    Closed,
}

pub(super) struct Peer {
    pub(super) id: PeerId,
    network: Network,
    stage: Stage,
    protocol: Connection,
    codec: Codec,
    /// The compression that the request offered.
    pub(super) offer: Option<Offer>,
    /// Whether pings and a Close are answered.
    pub(super) answers: bool,
    /// The most bytes sent at a time.
    pub(super) piece_bytes_max: usize,
    /// Written and not sent.
    output: VecDeque<u8>,
    /// Read and not parsed.
    input: Vec<u8>,
}

impl Peer {
    /// A peer that has connected and says nothing yet.
    pub(super) fn connect(network: &Network) -> Self {
        Self {
            id: network.connect(),
            network: network.clone(),
            stage: Stage::Connecting,
            protocol: client(),
            codec: Codec::new(gannet_proto::Config::default().with_compressed_bytes_min(0)),
            offer: None,
            answers: true,
            piece_bytes_max: usize::MAX,
            output: VecDeque::new(),
            input: Vec::new(),
        }
    }

    /// A peer with an open WebSocket.
    pub(super) fn open(rig: &mut Rig, path: &str) -> Self {
        let mut peer = Self::connect(&rig.network);
        peer.write(&request(path));
        rig.turn(0);
        rig.turn(0);
        assert_eq!(peer.read_one(), Seen::Status(101));
        peer
    }

    /// The same, with compression agreed on.
    pub(super) fn open_compressed(rig: &mut Rig, path: &str, deflate: PerMessageDeflate) -> Self {
        let mut peer = Self::connect(&rig.network);
        peer.offer = Some(Offer(deflate));
        peer.write(&request_with(path, peer.offer));
        rig.turn(0);
        rig.turn(0);
        assert_eq!(peer.read_one(), Seen::Status(101));
        assert!(peer.protocol.compression().is_some(), "compression was not agreed on");
        peer
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.output.extend(bytes);
        self.send_piece();
    }

    /// Sends what was written, one piece of it.
    pub(super) fn send_piece(&mut self) {
        let bytes = self.output.len().min(self.piece_bytes_max);
        let piece: Vec<u8> = self.output.drain(..bytes).collect();
        self.network.send(self.id, &piece);
    }

    pub(super) fn has_sent_all(&self) -> bool {
        self.output.is_empty()
    }

    pub(super) fn send(&mut self, first: u8, payload: &[u8]) {
        self.write(&frame(first, payload));
    }

    /// Sends a message compressed if that was agreed on and may still be done; returns whether it was sent.
    pub(super) fn send_compressed(&mut self, (opcode, payload): &(u8, Vec<u8>)) -> bool {
        if self.protocol.compression().is_none() || self.protocol.is_close_sent() {
            return false;
        }
        let mut bytes = Vec::new();
        let sent = match (opcode, str::from_utf8(payload)) {
            (0x1, Ok(text)) => self.protocol.send_text(text, &mut self.codec, &mut bytes),
            _ => self.protocol.send_binary(payload, &mut self.codec, &mut bytes),
        };
        sent.expect("no Close was sent");
        self.write(&bytes);
        true
    }

    pub(super) fn text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes());
    }

    /// Reads one thing and no more.
    pub(super) fn read_one(&mut self) -> Seen {
        let mut seen = self.read();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.remove(0)
    }

    /// Reads everything that has arrived.
    pub(super) fn read(&mut self) -> Vec<Seen> {
        self.input.extend(self.network.received(self.id));
        let mut seen = Vec::new();
        if self.stage == Stage::Connecting {
            seen.extend(self.read_head());
        }
        match self.stage {
            Stage::Connecting => {}
            Stage::Open => self.read_frames(&mut seen),
            Stage::Refused => assert!(self.input.len() <= 1024, "a body of {} bytes", self.input.len()),
            Stage::Closed => assert_eq!(self.input, [], "bytes behind a Close frame"),
        }
        seen
    }

    fn read_head(&mut self) -> Option<Seen> {
        match verify_response(&self.input, NONCE, &[], self.offer) {
            Ok(None) => None,
            Ok(Some((response, head_bytes))) => {
                if let Some(deflate) = response.compression {
                    self.protocol = client().with_compression(deflate);
                }
                self.input.drain(..head_bytes);
                self.stage = Stage::Open;
                Some(Seen::Status(101))
            }
            Err(ClientHandshakeError::Status(status)) => {
                self.stage = Stage::Refused;
                Some(Seen::Status(status))
            }
            Err(error) => panic!("{error}: {:?}", String::from_utf8_lossy(&self.input)),
        }
    }

    fn read_frames(&mut self, seen: &mut Vec<Seen>) {
        let mut answers = Vec::new();
        let mut received = Received::new(&mut self.input);
        while let Some(event) = self
            .protocol
            .poll_event(&mut self.codec, &mut received, &mut answers)
            .expect("the server's frames are legal")
        {
            seen.push(match event {
                Event::Message(message) if message.kind() == MessageKind::Text => {
                    Seen::Text(message.as_bytes().to_vec())
                }
                Event::Message(message) => Seen::Binary(message.as_bytes().to_vec()),
                Event::Ping(_) => Seen::Ping,
                Event::Pong(payload) => Seen::Pong(payload.to_vec()),
                Event::Close(close) => {
                    self.stage = Stage::Closed;
                    Seen::Close(close.code.map_or(1005, u16::from))
                }
            });
            if self.stage == Stage::Closed {
                break;
            }
        }
        self.input = received.unparsed().to_vec();
        if self.stage == Stage::Closed {
            assert_eq!(self.input, [], "bytes behind a Close frame");
        }
        if self.answers {
            self.write(&answers);
        }
    }

    /// Whether the server has ended the stream; if it did so in order, it did between two frames.
    pub(super) fn is_ended(&self) -> bool {
        self.network.is_ended(self.id)
    }

    pub(super) fn is_reset(&self) -> bool {
        self.network.is_reset(self.id)
    }

    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// An end of the stream that is no reset comes behind a whole response or a whole message.
    pub(super) fn check_end(&self) {
        if !self.is_ended() || self.is_reset() {
            return;
        }
        match self.stage {
            Stage::Connecting => assert_eq!(self.input, [], "the response is cut"),
            Stage::Refused => {
                let text = String::from_utf8(self.input.clone()).expect("a refusal is text");
                let (head, body) = text.split_once("\r\n\r\n").expect("the head of a refusal is whole");
                assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{text}");
            }
            Stage::Open | Stage::Closed => {
                assert!(self.input.is_empty() && !self.protocol.is_message_begun(), "a frame is cut");
            }
        }
    }
}

/// Has an echo of 200 bytes wait for a peer that does not read, until it reads: then the outbox has drained.
pub(super) fn stall_and_drain(rig: &mut Rig, peer: &mut Peer) {
    rig.network.set_window(peer.id, 100);
    peer.send(0x82, &[1; 200]);
    rig.turn(0);
    assert_eq!(peer.read(), []);
    rig.network.set_window(peer.id, 1000);
    rig.turn(0);
}

/// An upgrade request.
pub(super) fn request(path: &str) -> Vec<u8> {
    request_with(path, None)
}

/// An upgrade request that offers compression.
pub(super) fn request_with(path: &str, offer: Option<Offer>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_request(&mut bytes, "test", path, NONCE, &[], offer).expect("the path is legal");
    bytes
}

fn client() -> Connection {
    Connection::client(MaskingKeys::new(|| KEY))
}

/// A masked frame; `first` holds fin, rsv and opcode.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..126 => bytes.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
