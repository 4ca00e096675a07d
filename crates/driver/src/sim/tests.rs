//! Sessions of an echo server on the simulated driver.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::PeerAddress;

/// An echo server that obeys the contract, with a record of what the driver told it.
struct Echo {
    driver: SimDriver,
    open: HashSet<Token>,
    log: Vec<String>,
    stale: usize,
}

impl Echo {
    fn new(driver: SimDriver) -> Self {
        Self { driver, open: HashSet::new(), log: Vec::new(), stale: 0 }
    }

    fn turn(&mut self) {
        self.driver.reap(None).unwrap();
        while let Some(completion) = self.driver.poll_completion() {
            self.log.push(format!("{completion:?}"));
            self.handle(completion);
        }
    }

    fn handle(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { token, .. } => {
                self.open.insert(token);
            }
            Completion::PeerNamed { .. } => panic!("a backend names no peers"),
            Completion::Received { token, .. }
            | Completion::ReceiveEnded { token, .. }
            | Completion::Sent { token, .. }
            | Completion::Closed { token }
                if !self.open.contains(&token) =>
            {
                self.stale += 1;
            }
            Completion::Received { token, bytes } => {
                let outcome = self.driver.send_received(token, 0..bytes);
                self.after_send(token, outcome);
            }
            Completion::Sent { token, buffer, sent: Ok(sent) } => {
                if sent == buffer.len() {
                    self.driver.resume_receive(token);
                } else {
                    let outcome = self.driver.send(token, buffer, sent);
                    self.after_send(token, outcome);
                }
            }
            Completion::ReceiveEnded { token, .. } | Completion::Sent { token, .. } => {
                self.driver.close(token, CloseMode::Orderly);
            }
            Completion::Closed { token } => {
                self.open.remove(&token);
            }
            Completion::Woken => {}
        }
    }

    fn after_send(&mut self, token: Token, outcome: SendOutcome) {
        match outcome {
            SendOutcome::Sent(_) => self.driver.resume_receive(token),
            SendOutcome::InFlight { .. } => self.driver.pause_receive(token),
            SendOutcome::Failed => self.driver.close(token, CloseMode::Reset),
        }
    }
}

/// Eight peers send numbered bytes and read the echo; what each of them read, and the server.
fn session(seed: u64, faults: Faults) -> (Vec<Vec<u8>>, Echo) {
    let (driver, network) = simulate(seed, faults);
    let mut echo = Echo::new(driver);
    let mut echoes: HashMap<PeerId, Vec<u8>> = HashMap::new();
    let peers: Vec<PeerId> = (0..8).map(|_| network.connect()).collect();
    for round in 0..40_u8 {
        for &peer in &peers {
            network.send(peer, &[round; 50]);
        }
        echo.turn();
    }
    for _turn in 0..300 {
        echo.turn();
        for &peer in &peers {
            echoes.entry(peer).or_default().extend(network.received(peer));
        }
    }
    for &peer in &peers {
        network.end_stream(peer);
    }
    for _turn in 0..300 {
        echo.turn();
    }
    assert_eq!((network.open_connections(), network.sends_in_flight()), (0, 0), "seed {seed}");
    assert!(echo.open.is_empty() && echo.driver.slots.len() == 0, "seed {seed}");
    (peers.iter().map(|peer| echoes[peer].clone()).collect(), echo)
}

fn expected_echo() -> Vec<u8> {
    (0..40_u8).flat_map(|round| [round; 50]).collect()
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(session(5, Faults::all()).1.log, session(5, Faults::all()).1.log);
}

#[test]
fn another_seed_gives_another_run() {
    assert_ne!(session(5, Faults::all()).1.log, session(6, Faults::all()).1.log);
}

#[test]
fn lossless_faults_lose_no_byte_and_keep_the_order() {
    for seed in 0..100 {
        let (echoes, echo) = session(seed, Faults::lossless());
        assert!(echoes.iter().all(|bytes| *bytes == expected_echo()), "seed {seed}");
        assert_eq!(echo.driver.counters(), DriverCounters::default(), "seed {seed}");
    }
}

#[test]
fn with_all_faults_a_peer_reads_a_prefix_of_its_echo_and_nothing_leaks() {
    let mut stale = 0;
    let mut accept_errors = 0;
    for seed in 0..100 {
        let (echoes, echo) = session(seed, Faults::all());
        assert!(echoes.iter().all(|bytes| expected_echo().starts_with(bytes)), "seed {seed}");
        stale += echo.stale;
        accept_errors += echo.driver.counters().accept_errors;
    }
    assert!(stale > 0 && accept_errors > 0, "{stale} stale completions, {accept_errors} failed accepts");
}

#[test]
fn a_peer_with_a_closed_window_holds_a_send_in_flight_until_it_reads() {
    let (driver, network) = simulate(1, Faults::none());
    let mut echo = Echo::new(driver);
    let peer = network.connect();
    network.set_window(peer, 3);
    network.send(peer, b"hello");
    echo.turn();
    echo.turn();
    assert_eq!((network.received(peer), network.sends_in_flight()), (b"hel".to_vec(), 1));
    echo.turn();
    assert_eq!((network.received(peer), network.sends_in_flight()), (b"lo".to_vec(), 0));
}

#[test]
fn a_close_with_bytes_unread_resets_the_peer() {
    let (mut driver, network) = simulate(1, Faults::none());
    let peers = [network.connect(), network.connect()];
    network.send(peers[0], b"not read");
    driver.reap(None).unwrap();
    while let Some(completion) = driver.poll_completion() {
        if let Completion::Accepted { token, .. } = completion {
            driver.close(token, CloseMode::Orderly);
        }
    }
    assert_eq!(peers.map(|peer| network.is_ended(peer)), [true, true]);
    assert_eq!(peers.map(|peer| network.is_reset(peer)), [true, false]);
}

#[test]
fn a_peer_that_sends_to_a_closed_connection_is_reset() {
    let (mut driver, network) = simulate(1, Faults::none());
    let peer = network.connect();
    driver.reap(None).unwrap();
    let Some(Completion::Accepted { token, .. }) = driver.poll_completion() else { panic!("not accepted") };
    driver.close(token, CloseMode::Orderly);
    assert!(!network.is_reset(peer));
    network.send(peer, b"too late");
    assert!(network.is_reset(peer));
}

#[test]
fn each_peer_has_an_address_of_its_own() {
    let (mut driver, network) = simulate(1, Faults::none());
    let peers = [network.connect(), network.connect()];
    driver.reap(None).unwrap();
    let accepted = std::iter::from_fn(|| driver.poll_completion());
    let addresses: Vec<_> = accepted
        .map(|completion| match completion {
            Completion::Accepted { peer, .. } => peer,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(addresses, peers.map(|peer| PeerAddress::from(peer.address())));
    assert_ne!(addresses[0], addresses[1]);
}
