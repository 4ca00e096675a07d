//! Runs turns of the layer with clients on one side and a caller on the other.
//!
//! Invariant: the caller obeys the driver contract, and fails the test where the layer does not: one `Sent` for each send
//! in flight, one end of receiving, nothing behind `Closed`.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use gannet_driver::sim::{Faults, Network, PeerId, SimDriver, simulate};
use gannet_driver::{Completion, Driver, PeerAddress, ReceiveEnd, SendOutcome, Token};
use ipnet::IpNet;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::certificates::{Certificates, Pem};
use super::client::Client;
use crate::edge::{CertificateFiles, Edge, SecureDriver, Tls};

/// Turns after which a condition that does not hold never will.
const TURNS_MAX: usize = 20_000;
/// The echo answers whole units; what is left of one is put in front of the next bytes.
const UNIT_BYTES: usize = 7;

/// What the caller does with what it receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Echoes,
    Listens,
}

/// What the caller knows of a connection.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) received: Vec<u8>,
    /// How many times something was received.
    pub(super) receives: usize,
    tail: Vec<u8>,
    waiting: Vec<u8>,
    is_in_flight: bool,
    pub(super) sent: usize,
    pub(super) send_error: Option<io::ErrorKind>,
    pub(super) named: Option<PeerAddress>,
    pub(super) end: Option<ReceiveEnd>,
    pub(super) is_closed: bool,
}

pub(super) struct Rig {
    pub(super) driver: SecureDriver<SimDriver>,
    pub(super) network: Network,
    pub(super) caller: Caller,
    pub(super) clients: Vec<Client>,
    served: HashMap<Token, Served>,
    tokens: HashMap<PeerAddress, Token>,
    certificates: Certificates,
}

impl Rig {
    /// TLS for `localhost`.
    pub(super) fn new(caller: Caller, seed: u64, faults: Faults) -> Self {
        Self::with_proxy(caller, seed, faults, None)
    }

    /// With `trusted`, connections begin with a PROXY header.
    pub(super) fn with_proxy(caller: Caller, seed: u64, faults: Faults, trusted: Option<IpNet>) -> Self {
        let mut certificates = Certificates::new();
        let tls = Tls::from_files(&[certificates.make("server", &["localhost"]).into()]).unwrap();
        let edge = Edge { tls: Some(tls), proxy_protocol: trusted.is_some() };
        Self { certificates, ..Self::with_edge(caller, seed, faults, edge, trusted) }
    }

    pub(super) fn with_edge(
        caller: Caller,
        seed: u64,
        faults: Faults,
        edge: Edge,
        trusted: Option<IpNet>,
    ) -> Self {
        let (driver, network) = simulate(seed, faults);
        Self {
            driver: SecureDriver::new(driver, Arc::new([edge]), trusted.into_iter().collect()),
            network,
            caller,
            clients: Vec::new(),
            served: HashMap::new(),
            tokens: HashMap::new(),
            certificates: Certificates::new(),
        }
    }

    pub(super) fn config(&self, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        self.certificates.client(&[version])
    }

    /// Connects a client; its number.
    pub(super) fn connect(&mut self, config: &Arc<ClientConfig>) -> usize {
        self.clients.push(Client::new(self.network.connect(), config, "localhost"));
        self.clients.len() - 1
    }

    /// Connects a client with TLS 1.3 and waits until its handshake is done at both ends.
    pub(super) fn connected(&mut self) -> (usize, Token) {
        self.connected_over(&TLS13)
    }

    pub(super) fn connected_over(&mut self, version: &'static SupportedProtocolVersion) -> (usize, Token) {
        let client = self.connect(&self.config(version));
        self.clients[client].send(b"!");
        self.until("the first byte", |rig| {
            rig.token(rig.clients[client].peer).is_some_and(|token| rig.served[&token].received == b"!")
        });
        let token = self.token(self.clients[client].peer).unwrap();
        let served = self.served_mut(token);
        (served.received, served.tail, served.receives) = (Vec::new(), Vec::new(), 0);
        (client, token)
    }

    pub(super) fn token(&self, peer: PeerId) -> Option<Token> {
        self.tokens.get(&PeerAddress::Ip(peer.address())).copied()
    }

    pub(super) fn served(&self, peer: PeerId) -> &Served {
        &self.served[&self.token(peer).expect("not accepted yet")]
    }

    pub(super) fn served_mut(&mut self, token: Token) -> &mut Served {
        self.served.get_mut(&token).expect("not accepted yet")
    }

    /// Lets every client read and write.
    pub(super) fn pump(&mut self) {
        for client in &mut self.clients {
            client.pump(&self.network);
        }
    }

    pub(super) fn turn(&mut self) {
        self.pump();
        self.turn_of_driver();
    }

    pub(super) fn turn_of_driver(&mut self) {
        self.driver.reap(None).unwrap();
        while let Some(completion) = self.driver.poll_completion() {
            self.note(completion);
        }
    }

    pub(super) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _turn in 0..TURNS_MAX {
            if condition(self) {
                return;
            }
            self.turn();
        }
        panic!("not in {TURNS_MAX} turns: {what}");
    }

    pub(super) fn turns(&mut self, turns: usize) {
        for _turn in 0..turns {
            self.turn();
        }
    }

    fn note(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { token, peer, .. } => {
                assert!(self.served.insert(token, Served::default()).is_none());
                self.tokens.insert(peer, token);
            }
            Completion::PeerNamed { token, peer } => {
                let served = self.served_mut(token);
                assert_eq!((served.receives, served.named.replace(peer)), (0, None));
            }
            Completion::Received { token, bytes } => self.on_received(token, bytes),
            Completion::ReceiveEnded { token, end } => {
                let served = self.served_mut(token);
                assert_eq!(served.end.replace(end), None, "receiving has ended twice");
            }
            Completion::Sent { token, buffer, sent } => self.on_sent(token, buffer, sent),
            Completion::Closed { token } => {
                let served = self.served_mut(token);
                assert!(!std::mem::replace(&mut served.is_closed, true));
            }
            Completion::Woken => {}
        }
    }

    fn on_received(&mut self, token: Token, bytes: usize) {
        let served = self.served.get_mut(&token).unwrap();
        assert!(served.end.is_none() && !served.is_closed, "received behind the end");
        let tail = std::mem::take(&mut served.tail);
        let view = self.driver.received(&tail);
        assert_eq!((view.len(), bytes > 0), (tail.len() + bytes, true));
        served.received.extend_from_slice(&view[tail.len()..]);
        served.receives += 1;
        if self.caller == Caller::Listens {
            return;
        }
        let whole = view.len() - view.len() % UNIT_BYTES;
        served.tail = view[whole..].to_vec();
        if served.is_in_flight {
            served.waiting.extend_from_slice(&view[..whole]);
        } else if whole > 0 {
            let outcome = self.driver.send_received(token, 0..whole);
            self.note_outcome(token, outcome);
        }
    }

    fn on_sent(&mut self, token: Token, buffer: Vec<u8>, sent: Result<usize, io::ErrorKind>) {
        let served = self.served.get_mut(&token).unwrap();
        assert!(std::mem::take(&mut served.is_in_flight), "a completion without a send");
        match sent {
            Ok(sent) if sent < buffer.len() => self.send(token, buffer, sent),
            Ok(_) => {
                served.sent += 1;
                let waiting = std::mem::take(&mut served.waiting);
                if !waiting.is_empty() {
                    self.send(token, waiting, 0);
                }
            }
            Err(error) => served.send_error = Some(error),
        }
    }

    pub(super) fn send(&mut self, token: Token, buffer: Vec<u8>, from: usize) {
        let outcome = self.driver.send(token, buffer, from);
        self.note_outcome(token, outcome);
    }

    fn note_outcome(&mut self, token: Token, outcome: SendOutcome) {
        let served = self.served_mut(token);
        match outcome {
            SendOutcome::Sent(_) => served.sent += 1,
            SendOutcome::InFlight { bytes } => {
                assert!(bytes > 0 && !served.is_in_flight);
                served.is_in_flight = true;
            }
            SendOutcome::Failed => served.send_error = Some(io::ErrorKind::BrokenPipe),
        }
    }
}

impl From<Pem> for CertificateFiles {
    fn from(pem: Pem) -> Self {
        Self { certificate: pem.certificate, key: pem.key }
    }
}

/// Both versions of TLS.
pub(super) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// `length` bytes in which no place looks like its neighbours.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 31) ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}
