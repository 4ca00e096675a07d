//! The same streams through `tungstenite`: both must see the same, and each must understand the other.

use std::io::{self, Read, Write};

use gannet_proto::Config;
use proptest::prelude::*;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use crate::generate;
use crate::harness::{Behaviour, End, Seen};

/// Bytes to read, and a place for what is written.
#[derive(Debug, Default)]
struct Pipe {
    incoming: io::Cursor<Vec<u8>>,
    outgoing: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        match self.incoming.read(place)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(role: Role, incoming: Vec<u8>) -> WebSocket<Pipe> {
    let pipe = Pipe { incoming: io::Cursor::new(incoming), outgoing: Vec::new() };
    WebSocket::from_raw_socket(pipe, role, Some(WebSocketConfig::default().read_buffer_size(4096)))
}

/// What `tungstenite` reads until the bytes or the connection end.
fn read_all(socket: &mut WebSocket<Pipe>) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Ok(message) = socket.read() {
        seen.push(match message {
            Message::Text(text) => Seen::Text(text.as_str().to_owned()),
            Message::Binary(bytes) => Seen::Binary(bytes.to_vec()),
            Message::Ping(payload) => Seen::Ping(payload.to_vec()),
            Message::Pong(payload) => Seen::Pong(payload.to_vec()),
            Message::Close(None) => Seen::Close(None, String::new()),
            Message::Close(Some(close)) => Seen::Close(Some(close.code.into()), close.reason.to_string()),
            Message::Frame(_) => unreachable!("never read"),
        });
    }
    seen
}

fn is_message(seen: &Seen) -> bool {
    matches!(seen, Seen::Text(_) | Seen::Binary(_))
}

/// What the peer of an echo must see: the messages, a Pong for each Ping, and the echo of the Close.
fn expected_echo(seen: &[Seen]) -> Vec<Seen> {
    seen.iter()
        .filter_map(|seen| match seen {
            Seen::Pong(_) => None,
            Seen::Ping(payload) => Some(Seen::Pong(payload.clone())),
            other => Some(other.clone()),
        })
        .collect()
}

/// Cases of each property; under Miri a case takes seconds.
const CASES: u32 = if cfg!(miri) { 2 } else { 200 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_server_sees_what_tungstenite_sees_and_tungstenite_understands_its_replies(
        frames in generate::legal_stream(),
    ) {
        let wire = generate::encode(&frames, true);
        let theirs = read_all(&mut tungstenite(Role::Server, wire.clone()));
        let mut ours = End::server(Config::default(), Behaviour::Echo);
        ours.receive(&wire);
        prop_assert_eq!(&ours.seen, &theirs);
        let replies = read_all(&mut tungstenite(Role::Client, ours.take_wire()));
        prop_assert_eq!(replies, expected_echo(&theirs));
    }

    #[test]
    fn a_client_sees_what_tungstenite_sees_and_tungstenite_understands_its_replies(
        frames in generate::legal_stream(),
    ) {
        let wire = generate::encode(&frames, false);
        let theirs = read_all(&mut tungstenite(Role::Client, wire.clone()));
        let mut ours = End::client(Config::default(), Behaviour::Echo);
        ours.receive(&wire);
        prop_assert_eq!(&ours.seen, &theirs);
        let replies = read_all(&mut tungstenite(Role::Server, ours.take_wire()));
        prop_assert_eq!(replies, expected_echo(&theirs));
    }

    #[test]
    fn a_server_understands_what_tungstenite_sends(frames in generate::legal_stream()) {
        let mut source = End::server(Config::default(), Behaviour::Ignore);
        source.receive(&generate::encode(&frames, true));
        let sent: Vec<Seen> = source.seen.into_iter().filter(is_message).collect();
        let mut sender = tungstenite(Role::Client, Vec::new());
        for message in &sent {
            let message = match message {
                Seen::Text(text) => Message::text(text.clone()),
                Seen::Binary(bytes) => Message::binary(bytes.clone()),
                _ => continue,
            };
            sender.send(message).expect("the pipe takes all bytes");
        }
        let mut ours = End::server(Config::default(), Behaviour::Ignore);
        ours.receive(&sender.get_ref().outgoing);
        prop_assert_eq!(ours.error, None);
        prop_assert_eq!(ours.seen, sent);
    }
}
