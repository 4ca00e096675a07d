//! A raw client and a recording server for the tests: the client writes bytes, not messages, so that it can be wrong.

#![allow(dead_code, clippy::unwrap_used)] // reason: each test binary uses its part of this module, and all of it is test code

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use gannet::{Closed, Config, Context, Engine, Handler, Listener, Message, Request, Upgrade};

/// How long anything may take before a test gives up; reached only on failure.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What the handler of a [`Server`] reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Opened,
    Message(Vec<u8>),
    Drained,
    Closed { code: u16, reason: String, was_clean: bool },
}

/// Echoes, reports every call, and obeys a few text messages.
pub(crate) struct Recorder {
    seen: Sender<Seen>,
}

impl Handler for Recorder {
    type State = ();

    fn on_upgrade(&mut self, request: &Request<'_>) -> Upgrade<()> {
        match request.path() {
            "/rejected" => Upgrade::reject(403).with_body("not you"),
            "/soap" => Upgrade::accept(()).with_subprotocol("soap").with_header("X-Test", "yes"),
            "/panic" => panic!("as told"),
            "/injected" => Upgrade::accept(()).with_header("X-Test", "a\r\nb: c"),
            _ => Upgrade::accept(()),
        }
    }

    fn on_open(&mut self, _context: &mut Context<'_>, _state: &mut ()) {
        self.seen.send(Seen::Opened).ok();
    }

    fn on_message(&mut self, context: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
        self.seen.send(Seen::Message(message.as_bytes().to_vec())).ok();
        match message.as_text() {
            // Sends until the outbox is full.
            Some("flood") => while context.send_binary(&[7; 64 * 1024]).is_ok() {},
            Some("panic") => panic!("as told"),
            Some("close") => context.close(gannet::CloseCode::new(4000), "as told").unwrap(),
            Some("before and after") => {
                context.send_text("before").unwrap();
                context.reply(message).unwrap();
                context.send_text("after").unwrap();
            }
            _ => context.reply(message).unwrap_or_default(),
        }
    }

    fn on_drain(&mut self, _context: &mut Context<'_>, _state: &mut ()) {
        self.seen.send(Seen::Drained).ok();
    }

    fn on_close(&mut self, _state: (), closed: &Closed<'_>) {
        let (code, reason) = (closed.code.into(), closed.reason.to_owned());
        self.seen.send(Seen::Closed { code, reason, was_clean: closed.was_clean }).ok();
    }
}

/// An engine on a free port, stopped at the end of the test.
pub(crate) struct Server {
    engine: Option<Engine>,
    seen: Receiver<Seen>,
}

impl Server {
    pub(crate) fn start(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.listeners = vec![Listener::tcp(([127, 0, 0, 1], 0).into())];
        config.shards = Some(1);
        change(&mut config);
        let (sender, seen) = channel();
        let engine = Engine::builder().config(config).start(move |_| Recorder { seen: sender.clone() });
        Self { engine: Some(engine.unwrap()), seen }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.engine().local_addr()
    }

    /// Waits for the handler to report how a connection was closed.
    pub(crate) fn closed(&self) -> (u16, bool) {
        loop {
            if let Seen::Closed { code, was_clean, .. } = self.next() {
                return (code, was_clean);
            }
        }
    }

    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(DEADLINE).expect("the handler was not called in time")
    }

    /// Everything that the handler has reported so far.
    pub(crate) fn seen_so_far(&self) -> Vec<Seen> {
        self.seen.try_iter().collect()
    }

    /// Waits until exactly `connections` slots are in use.
    pub(crate) fn wait_for_connections(&self, connections: usize) {
        let start = Instant::now();
        while self.engine().summary().connections != connections {
            let now = self.engine().summary().connections;
            assert!(start.elapsed() < DEADLINE, "{now} connections instead of {connections}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops the engine and waits for its end.
    pub(crate) fn stop(mut self) -> gannet::Summary {
        let engine = self.engine.take().unwrap();
        engine.stop();
        engine.join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop();
            engine.join().ok();
        }
    }
}

pub(crate) const REQUEST: &str = "GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A client that writes what it is told to.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    /// A TCP connection, without a handshake.
    pub(crate) fn raw(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// An open WebSocket connection.
    pub(crate) fn open(address: SocketAddr) -> Self {
        let mut client = Self::raw(address);
        client.write(REQUEST.as_bytes());
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        client
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Writes a masked frame; `first` holds fin, rsv and opcode.
    pub(crate) fn send(&mut self, first: u8, payload: &[u8]) {
        let frame = masked_frame(first, payload);
        self.write(&frame);
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes());
    }

    /// Reads an HTTP response head.
    pub(crate) fn read_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(self.stream.read(&mut byte).unwrap(), 1, "end of stream after {head:?}");
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads a frame of the server: its first byte and its payload.
    pub(crate) fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header).unwrap();
        let length = match header[1] {
            126 => {
                let mut bytes = [0; 2];
                self.stream.read_exact(&mut bytes).unwrap();
                usize::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                self.stream.read_exact(&mut bytes).unwrap();
                usize::try_from(u64::from_be_bytes(bytes)).unwrap()
            }
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).unwrap();
        (header[0], payload)
    }

    /// Reads a Close frame and gives its code.
    pub(crate) fn read_close(&mut self) -> u16 {
        let (first, payload) = self.read_frame();
        assert_eq!(first, 0x88, "a Close frame, not {payload:?}");
        u16::from_be_bytes([payload[0], payload[1]])
    }

    /// Reads to the end of the stream, which must not be a reset.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Waits for the connection to break or end, whatever comes before.
    pub(crate) fn read_until_gone(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("still open after the deadline")
                }
                Err(_) => return,
            }
        }
    }

    /// Shows that this connection still works.
    pub(crate) fn assert_echoes(&mut self) {
        self.send_text("still here");
        assert_eq!(self.read_frame(), (0x81, b"still here".to_vec()));
    }
}

/// A masked frame with a fixed key.
pub(crate) fn masked_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
