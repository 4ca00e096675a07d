//! A whole engine on the simulated driver, with peers that do what the input says. Properties: each connection that was
//! opened is closed once, nothing is delivered after an error or a Close, what a peer reads is a response and then legal
//! frames with nothing behind a Close frame, and the engine ends with every slot free.
//!
//! Input: a byte of flags, a seed of two bytes, steps ([`Step`]).
#![no_main]

use std::time::Duration;

use gannet::sim::{Faults, PeerId, Simulation};
use gannet::{Compression, Config, OutboxPolicy, RatePolicy};
use gannet_fuzz::{App, Input, REFUSED_PATH, masked_frame, parse_sent};
use gannet_proto::Role;
use libfuzzer_sys::fuzz_target;

/// Steps that are taken of an input.
const STEPS_MAX: usize = 300;
/// Peers of an input.
const PEERS_MAX: usize = 8;
/// The engine has to end within its drain deadline and this.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);
const TURN: Duration = Duration::from_millis(20);

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    let mut run = Run::new(flags, input.number() as u64);
    for _step in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        run.take_step(&mut input);
    }
    if flags & 0x80 != 0 {
        run.engine.run_for(Duration::from_secs(1));
    }
    run.finish();
});

/// The first byte of a step, modulo the number of steps. Unless it is `Connect`, the second chooses the peer.
#[derive(Clone, Copy)]
enum Step {
    /// A peer connects.
    Connect,
    /// A request that is accepted, without compression (a length byte of 0) or with it, and a path and subprotocols
    /// that are refused.
    Request,
    /// A length byte, and as many bytes.
    Bytes,
    /// The first byte of a frame, a length byte, and as many bytes of payload.
    Frame,
    /// A frame and a number in two bytes: the length of a payload of letters.
    LongFrame,
    /// Reads what has arrived.
    Read,
    /// The receive window, in two bytes.
    Window,
    /// As many milliseconds pass as the next byte says, in one turn.
    Wait,
    /// The stream of the peer ends.
    EndStream,
    /// The connection of the peer is reset.
    Reset,
    /// The engine is stopped.
    Stop,
}

impl Step {
    const ALL: [Self; 11] = [
        Self::Connect,
        Self::Request,
        Self::Bytes,
        Self::Frame,
        Self::LongFrame,
        Self::Read,
        Self::Window,
        Self::Wait,
        Self::EndStream,
        Self::Reset,
        Self::Stop,
    ];
}

/// The engine, and what each peer has read.
struct Run {
    engine: Simulation<App>,
    app: App,
    peers: Vec<(PeerId, Vec<u8>)>,
    drain_timeout: Duration,
}

impl Run {
    fn new(flags: u8, seed: u64) -> Self {
        let config = config(flags);
        let faults = match flags & 3 {
            0 => Faults::none(),
            1 | 2 => Faults::lossless(),
            _ => Faults::all(),
        };
        let drain_timeout = Duration::from_millis(config.drain_timeout_ms.into());
        let app = App::default();
        let engine = Simulation::new(config, seed, faults, app.clone()).expect("every setting is in range");
        Self { engine, app, peers: Vec::new(), drain_timeout }
    }

    fn take_step(&mut self, input: &mut Input<'_>) {
        let step = Step::ALL[usize::from(input.byte()) % Step::ALL.len()];
        if let Step::Connect = step {
            if self.peers.len() < PEERS_MAX {
                self.peers.push((self.engine.network().connect(), Vec::new()));
            }
            return;
        }
        let choice = usize::from(input.byte());
        if let Step::Wait = step {
            self.engine.step(Duration::from_millis(choice as u64));
        } else if let Step::Stop = step {
            self.engine.stop();
        } else if !self.peers.is_empty() {
            let peer = choice % self.peers.len();
            self.let_act(step, peer, input);
        }
    }

    fn let_act(&mut self, step: Step, peer: usize, input: &mut Input<'_>) {
        let (network, (id, read)) = (self.engine.network(), &mut self.peers[peer]);
        match step {
            Step::Request => network.send(*id, request(input.byte()).as_bytes()),
            Step::Bytes => {
                let len = input.byte();
                network.send(*id, input.take(len.into()));
            }
            Step::Frame => {
                let (first, len) = (input.byte(), input.byte());
                network.send(*id, &masked_frame(first, input.take(len.into())));
            }
            Step::LongFrame => {
                let (first, len) = (input.byte(), input.number());
                network.send(*id, &masked_frame(first, &vec![b's'; len]));
            }
            Step::Read => read.extend(network.received(*id)),
            Step::Window => network.set_window(*id, input.number()),
            Step::EndStream => network.end_stream(*id),
            Step::Reset => network.reset(*id),
            Step::Connect | Step::Wait | Step::Stop => {}
        }
    }

    /// Stops the engine, which has to end by itself, and checks what came of all peers.
    fn finish(mut self) {
        self.engine.stop();
        let mut left = self.drain_timeout + DRAIN_MARGIN;
        while !self.engine.is_finished() {
            self.engine.step(TURN);
            left = left.checked_sub(TURN).expect("the engine ends at its drain deadline");
        }
        let network = self.engine.network();
        assert_eq!(self.engine.summary().connections, 0, "every slot is free");
        assert_eq!((network.open_connections(), network.sends_in_flight()), (0, 0));
        for calls in self.app.calls() {
            assert_eq!(calls.opened, calls.closed, "{calls:?}");
        }
        for (peer, mut read) in self.peers {
            read.extend(network.received(peer));
            check_read(&read);
        }
    }
}

/// Settings with short deadlines and small limits.
fn config(flags: u8) -> Config {
    let mut config = Config::default();
    (config.handshake_timeout_ms, config.drain_timeout_ms) = (400, 400);
    (config.ping_interval_ms, config.pong_timeout_ms, config.close_timeout_ms) = (500, 300, 200);
    (config.message_bytes_max, config.fragments_max, config.message_timeout_ms) = (4096, 8, 300);
    config.control_frames_per_s_max = 20;
    config.messages_per_s_max = (flags & 0x40 != 0).then_some(5);
    config.rate_policy = RatePolicy::Close;
    (config.outbox_bytes_max, config.outbox_pause_bytes) = (8192, 2048);
    config.compression = match flags >> 2 & 3 {
        0 | 1 => Compression::Off,
        2 => Compression::Shared,
        _ => Compression::Dedicated,
    };
    (config.compression_window_bits, config.compressed_bytes_min) = (9, 16);
    // Room for the windows of two connections.
    config.compression_window_bytes_max = 4 * (1 << 9);
    if flags & 0x10 != 0 {
        config.outbox_policy = OutboxPolicy::Refuse;
    }
    if flags & 0x20 != 0 {
        config.connections_max = Some(2);
    }
    config
}

fn request(kind: u8) -> String {
    let (path, fields) = match kind % 4 {
        0 => ("/", ""),
        1 => ("/", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
        2 => ("/?a", "Sec-WebSocket-Protocol: b, c\r\n"),
        _ => (REFUSED_PATH, ""),
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

/// Checks all that a peer has read, which may be cut anywhere.
fn check_read(read: &[u8]) {
    let Some(head_len) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else {
        return;
    };
    let (head, body) = read.split_at(head_len);
    let head = str::from_utf8(head).expect("a response of ASCII");
    if head.starts_with("HTTP/1.1 101 ") {
        let _ = parse_sent(body, Role::Client, head.contains("permessage-deflate"));
        return;
    }
    assert!(head.starts_with("HTTP/1.1 ") && head.contains("\r\nConnection: close\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body_bytes_max: usize = length.and_then(|length| length.parse().ok()).expect("a length");
    assert!(body.len() <= body_bytes_max, "bytes behind a refusal");
}
