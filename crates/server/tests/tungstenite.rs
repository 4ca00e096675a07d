//! The client of tungstenite, which is that of tokio-tungstenite, against the finished binary. It knows no compression.

#![allow(clippy::unwrap_used)] // reason: test code

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tungstenite::client::ClientRequestBuilder;
use tungstenite::error::{Error, ProtocolError, SubProtocolError};
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::{Bytes, Message, WebSocket};

const MESSAGE_BYTES_MAX: usize = 16 << 20;
const REASON_BYTES_MAX: usize = 123;
/// How long an answer may take before a test gives up; reached only on failure.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A running echo server; ended with the value.
struct Gannet {
    child: Child,
    url: String,
}

impl Gannet {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(["echo", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut gannet = Self { child: command.spawn().unwrap(), url: String::new() };
        let mut line = String::new();
        BufReader::new(gannet.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split([' ', ',']).find(|word| word.starts_with("ws://"));
        url.unwrap().clone_into(&mut gannet.url);
        gannet
    }

    fn connect(&self) -> TcpStream {
        let address = self.url.trim_start_matches("ws://").trim_end_matches("/echo");
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
        stream.set_write_timeout(Some(ANSWER_MAX)).unwrap();
        stream
    }

    fn open(&self) -> WebSocket<TcpStream> {
        let (socket, response) = tungstenite::client(self.url.as_str(), self.connect()).unwrap();
        assert_eq!(response.headers().get("Sec-WebSocket-Extensions"), None);
        socket
    }
}

impl Drop for Gannet {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Text of exactly `len` bytes, of characters of one to four bytes.
fn text(len: usize) -> String {
    let characters = "aé€𝄞";
    characters.repeat(len / characters.len()) + &"x".repeat(len % characters.len())
}

fn binary(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}

/// Asserts that the next message is `expected`, without printing megabytes when it is not.
fn assert_next(socket: &mut WebSocket<TcpStream>, expected: &Message) {
    let message = socket.read().unwrap();
    let what = |message: &Message| format!("{} bytes, text: {}", message.len(), message.is_text());
    assert!(message == *expected, "{} came, {} expected", what(&message), what(expected));
}

fn assert_echoed(socket: &mut WebSocket<TcpStream>, message: Message) {
    socket.send(message.clone()).unwrap();
    assert_next(socket, &message);
}

/// Sends one message, each piece as a frame.
fn send_pieces<'a>(
    socket: &mut WebSocket<TcpStream>,
    kind: Data,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) {
    let mut pieces = pieces.into_iter().peekable();
    let mut opcode = OpCode::Data(kind);
    while let Some(piece) = pieces.next() {
        let frame = Frame::message(Bytes::copy_from_slice(piece), opcode, pieces.peek().is_none());
        socket.send(Message::Frame(frame)).unwrap();
        opcode = OpCode::Data(Data::Continue);
    }
}

/// Reads up to the peer's Close frame.
fn next_close(socket: &mut WebSocket<TcpStream>) -> Option<CloseFrame> {
    match socket.read().unwrap() {
        Message::Close(close) => close,
        message => panic!("{} bytes came, a Close frame expected", message.len()),
    }
}

#[test]
fn text_and_binary_of_every_size_up_to_the_limit_come_back() {
    let gannet = Gannet::start();
    let mut socket = gannet.open();
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537, 1 << 20, MESSAGE_BYTES_MAX] {
        assert_echoed(&mut socket, Message::text(text(len)));
        assert_echoed(&mut socket, Message::binary(binary(len)));
    }
}

#[test]
fn messages_sent_without_waiting_come_back_in_order() {
    let gannet = Gannet::start();
    let mut socket = gannet.open();
    let messages: Vec<Message> = (0..500).map(|len| Message::binary(binary(len))).collect();
    for message in &messages {
        socket.send(message.clone()).unwrap();
    }
    for message in &messages {
        assert_next(&mut socket, message);
    }
}

#[test]
fn fragments_come_back_as_one_message_wherever_they_are_cut() {
    let gannet = Gannet::start();
    let mut socket = gannet.open();
    let (text, binary) = (text(10_007), binary(MESSAGE_BYTES_MAX));
    for piece_len in [251, 4_999, 10_006] {
        send_pieces(&mut socket, Data::Text, text.as_bytes().chunks(piece_len));
        assert_next(&mut socket, &Message::text(text.as_str()));
    }
    send_pieces(&mut socket, Data::Text, ["", "first", "", "last", ""].map(str::as_bytes));
    assert_next(&mut socket, &Message::text("firstlast"));
    send_pieces(&mut socket, Data::Binary, binary.chunks(1 << 20));
    assert_next(&mut socket, &Message::binary(binary));
}

#[test]
fn pings_are_answered_between_messages_and_between_fragments() {
    let gannet = Gannet::start();
    let mut socket = gannet.open();
    for len in [0, 4, 125] {
        socket.send(Message::Ping(binary(len).into())).unwrap();
        assert_next(&mut socket, &Message::Pong(binary(len).into()));
    }
    socket.send(Message::Pong("nobody asked".into())).unwrap();
    let first = Frame::message("before", OpCode::Data(Data::Text), false);
    let last = Frame::message(", after", OpCode::Data(Data::Continue), true);
    socket.send(Message::Frame(first)).unwrap();
    socket.send(Message::Ping("between".into())).unwrap();
    assert_next(&mut socket, &Message::Pong("between".into()));
    socket.send(Message::Frame(last)).unwrap();
    assert_next(&mut socket, &Message::text("before, after"));
}

#[test]
fn a_close_is_answered_with_its_code_and_reason_and_the_end_of_the_connection() {
    let gannet = Gannet::start();
    let longest = "€".repeat(REASON_BYTES_MAX / "€".len());
    let with = |code: u16, reason: &str| Some(CloseFrame { code: code.into(), reason: reason.into() });
    let closes =
        [with(1000, ""), with(1001, "the page is left"), with(3000, "of a library"), with(4999, &longest)];
    for close in closes.into_iter().chain([None]) {
        let mut socket = gannet.open();
        socket.close(close.clone()).unwrap();
        assert_eq!(next_close(&mut socket), close);
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "after {close:?}");
    }
}

#[test]
fn one_byte_more_than_16_mib_is_closed_with_1009() {
    let gannet = Gannet::start();
    let mut socket = gannet.open();
    // The byte too many is a frame of its own, so that nothing is on its way when the server closes.
    let largest = binary(MESSAGE_BYTES_MAX);
    send_pieces(&mut socket, Data::Binary, [&largest, &b"!"[..]]);
    assert_eq!(next_close(&mut socket).map(|close| close.code.into()), Some(1009));
}

#[test]
fn of_the_subprotocols_offered_none_is_chosen() {
    let gannet = Gannet::start();
    let request = ClientRequestBuilder::new(gannet.url.parse().unwrap());
    let request = request.with_sub_protocol("chat").with_sub_protocol("superchat");
    // This client takes that for an error; the one of the server would be another.
    let refusal = match tungstenite::client(request, gannet.connect()) {
        Err(HandshakeError::Failure(Error::Protocol(error))) => Some(error),
        _ => None,
    };
    let none_chosen = ProtocolError::SecWebSocketSubProtocolError(SubProtocolError::NoSubProtocol);
    assert_eq!(refusal, Some(none_chosen));
}
