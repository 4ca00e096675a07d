//! A shard over the layer: whole WebSocket sessions over TLS, in virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gannet_driver::sim::{Faults, Network, SimDriver, simulate};
use rustls::version::{TLS12, TLS13};

use super::certificates::Certificates;
use super::client::{Client, End};
use super::rig::pattern;
use crate::config::Config;
use crate::context::Context;
use crate::edge::{Edge, SecureDriver, Tls};
use crate::handler::{Handler, Request, Upgrade};
use crate::remote::{Mailbox, Remote};
use crate::shard::{Place, Shard, ShardStatus};
use crate::shared::{Drain, Shared};
use crate::{CloseCode, Message};

const REQUEST: &[u8] =
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_upgrade(&mut self, _request: &Request<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, context: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
        let _ = context.reply(message);
    }
}

struct World {
    shard: Shard<SecureDriver<SimDriver>, Echo>,
    shared: Arc<Shared>,
    network: Network,
    certificates: Certificates,
    clients: Vec<Client>,
    now: Instant,
    status: ShardStatus,
}

impl World {
    fn new(seed: u64, faults: Faults) -> Self {
        let mut certificates = Certificates::new();
        let tls = Tls::from_files(&[certificates.make("server", &["localhost"]).into()]).unwrap();
        let (driver, network) = simulate(seed, faults);
        let edges: Arc<[Edge]> = Arc::new([Edge { tls: Some(tls), proxy_protocol: false }]);
        let driver = SecureDriver::new(driver, edges.clone(), Vec::new());
        let config = Arc::new(Config::default());
        let shared = Arc::new(Shared::new(usize::MAX, &config));
        let mailbox = Arc::new(Mailbox::new(|| {}));
        Remote::default().open(vec![mailbox.clone()]);
        let place = Place { number: 0, shards: 1, config, edges, shared: shared.clone(), mailbox };
        let now = Instant::now();
        let shard = Shard::new(driver, Echo, place, now);
        let (clients, status) = (Vec::new(), ShardStatus::Running);
        Self { shard, shared, network, certificates, clients, now, status }
    }

    fn connect(&mut self) -> usize {
        let version = if self.clients.len().is_multiple_of(2) { &TLS13 } else { &TLS12 };
        let config = self.certificates.client(&[version]);
        self.clients.push(Client::new(self.network.connect(), &config, "localhost"));
        self.clients.len() - 1
    }

    fn turn(&mut self, elapsed_ms: u64) {
        for client in &mut self.clients {
            client.pump(&self.network);
        }
        self.now += Duration::from_millis(elapsed_ms);
        self.shard.reap().unwrap();
        self.status = self.shard.turn(self.now);
    }

    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _turn in 0..20_000 {
            if condition(self) {
                return;
            }
            self.turn(0);
        }
        panic!("never: {what}");
    }

    /// Stops the shard, which has to end at its deadline with nothing left.
    fn stop(mut self) {
        self.shared.drain(Drain { code: CloseCode::GOING_AWAY, window_ms: 0 });
        for _turn in 0..3000 {
            if self.status == ShardStatus::Finished {
                break;
            }
            self.turn(10);
        }
        let left = (self.status, self.network.open_connections(), self.network.sends_in_flight());
        assert_eq!(left, (ShardStatus::Finished, 0, 0));
        assert_eq!(self.shared.summary().connections, 0);
    }
}

/// A frame of a client (with the masking key 0) or of the server.
fn frame(opcode: u8, payload: &[u8], is_client: bool) -> Vec<u8> {
    let mask = if is_client { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        0..126 => frame.push(mask | payload.len() as u8),
        126..65_536 => {
            frame.push(mask | 126);
            frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        }
        _ => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4][..if is_client { 4 } else { 0 }]);
    frame.extend_from_slice(payload);
    frame
}

/// What the server sent behind the head of its response.
fn frames_of(client: &Client) -> &[u8] {
    let head = client.read.windows(4).position(|end| end == b"\r\n\r\n").map(|start| start + 4);
    assert!(client.read.is_empty() || client.read.starts_with(b"HTTP/1.1 101 "));
    head.map_or(&[], |head| &client.read[head..])
}

#[test]
fn sessions_over_tls_are_served_whatever_the_driver_cuts_and_delays() {
    let sizes = [0, 1, 125, 126, 16_384, 65_535, 65_536, 200_000];
    for seed in 0..8 {
        let mut world = World::new(seed, Faults::lossless());
        for client in 0..4 {
            world.connect();
            world.clients[client].send(REQUEST);
            for size in sizes {
                world.clients[client].send(&frame(2, &pattern(size), true));
            }
            world.clients[client].send(&frame(8, &[0x03, 0xe8], true));
        }
        world.until("the end of all", |world| world.clients.iter().all(|client| client.end.is_some()));
        let mut expected: Vec<u8> = sizes.iter().flat_map(|&size| frame(2, &pattern(size), false)).collect();
        expected.extend(frame(8, &[0x03, 0xe8], false));
        for client in &world.clients {
            assert!(frames_of(client) == expected, "seed {seed}: the frames are not those of the echo");
            assert_eq!(client.end, Some(End::CloseNotify));
        }
        world.stop();
    }
}

#[test]
fn nothing_is_left_of_sessions_over_tls_whatever_breaks() {
    for seed in 0..40 {
        let mut world = World::new(seed, Faults::all());
        for number in 0..5 {
            let client = world.connect();
            if number > 0 {
                world.clients[client].send(REQUEST);
                world.clients[client].send(&frame(2, &pattern(50_000 * number), true));
            }
            for _turn in 0..seed {
                world.turn(1);
            }
        }
        for _turn in 0..100 {
            world.turn(seed);
        }
        world.stop();
    }
}

#[test]
fn a_handshake_that_never_ends_is_gone_after_its_deadline() {
    let mut world = World::new(0, Faults::none());
    let silent = world.network.connect();
    let half = world.connect();
    let hello = world.clients[half].records();
    world.network.send(world.clients[half].peer, &hello[..hello.len() / 2]);
    let plain = world.network.connect();
    world.network.send(plain, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _turn in 0..99 {
        world.turn(100);
    }
    assert_eq!(world.network.open_connections(), 3);
    // The deadline, the time to read the answer, and the sweep.
    for _turn in 0..16 {
        world.turn(100);
    }
    assert_eq!((world.network.open_connections(), world.shared.summary().connections), (0, 0));
    assert!(world.network.received(silent).is_empty());
    assert!(world.network.received(plain).starts_with(b"HTTP/1.1 400 "));
}
