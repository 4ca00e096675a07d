//! Handshakes: early sends, surges, cut hellos.

use gannet_driver::Driver;
use gannet_driver::sim::Faults;

use super::client::End;
use super::rig::{Caller, Rig, VERSIONS, pattern};
use crate::edge::layer::HANDSHAKE_STEPS_PER_TURN;

#[test]
fn what_is_sent_and_shut_down_before_the_handshake_leaves_behind_it() {
    for version in VERSIONS {
        let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
        let client = rig.connect(&rig.config(version));
        let peer = rig.clients[client].peer;
        rig.turn_of_driver();
        let token = rig.token(peer).unwrap();
        rig.send(token, b"..503, ".to_vec(), 2);
        rig.send(token, b"later".to_vec(), 0);
        rig.driver.shutdown_write(token);
        assert_eq!(rig.served(peer).sent, 2);
        assert!(rig.network.received(peer).is_empty() && !rig.network.is_ended(peer));
        rig.until("the end", |rig| rig.clients[client].end.is_some());
        assert_eq!(rig.clients[client].read, b"503, later");
        assert_eq!(rig.clients[client].end, Some(End::CloseNotify));
        assert!(rig.network.is_ended(peer));
    }
}

#[test]
fn more_than_a_refusal_is_not_kept_before_the_handshake() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let client = rig.connect(&rig.config(VERSIONS[1]));
    rig.turn_of_driver();
    let token = rig.token(rig.clients[client].peer).unwrap();
    rig.send(token, pattern(64 * 1024), 0);
    assert!(rig.served_mut(token).send_error.is_none());
    rig.send(token, vec![0], 0);
    assert!(rig.served_mut(token).send_error.is_some());
}

#[test]
fn in_a_surge_of_handshakes_each_turn_takes_a_few_and_serves_those_that_are_open() {
    const SURGE: usize = 50;
    let mut rig = Rig::new(Caller::Echoes, 0, Faults::none());
    let (open, _) = rig.connected();
    let config = rig.config(VERSIONS[1]);
    let surge: Vec<_> = (0..SURGE).map(|_| rig.connect(&config)).collect();
    // They are accepted in this turn.
    rig.turn();
    let mut turns = 0;
    let mut answered = 0;
    while answered < SURGE {
        rig.clients[open].send(b"1234567");
        rig.clients[open].pump(&rig.network);
        rig.turn_of_driver();
        rig.clients[open].pump(&rig.network);
        turns += 1;
        assert_eq!(rig.clients[open].read.len(), 7 * turns, "the open connection waits");
        // The others do not answer, so each of them takes one step.
        let arrived =
            surge.iter().filter(|&&client| !rig.network.received(rig.clients[client].peer).is_empty());
        answered += arrived.count();
        assert_eq!(answered, SURGE.min(turns * HANDSHAKE_STEPS_PER_TURN));
    }
}

#[test]
fn bytes_that_wait_for_their_turn_are_bounded_by_one_receive() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let config = rig.config(VERSIONS[1]);
    let clients: Vec<_> = (0..=HANDSHAKE_STEPS_PER_TURN).map(|_| rig.connect(&config)).collect();
    rig.turn();
    let last = rig.clients[clients[HANDSHAKE_STEPS_PER_TURN]].peer;
    rig.turn_of_driver();
    assert!(rig.network.received(last).is_empty(), "it should wait for the next turn");
    rig.network.send(last, &pattern(1000));
    rig.network.end_stream(last);
    assert_eq!(rig.network.unread_bytes(last), 1000);
    // It is told how its handshake went before anything behind it is looked at.
    rig.driver.reap(None).unwrap();
    while rig.driver.poll_completion().is_some() {}
    assert!(!rig.network.received(last).is_empty());
}

#[test]
fn a_first_flight_that_never_ends_is_given_up() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let peer = rig.network.connect();
    // Records of a ClientHello that claims 60,000 bytes.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(60_000, 0);
    for part in hello.chunks(1000) {
        let mut record = vec![0x16, 3, 1, 3, 0xe8];
        record.extend_from_slice(part);
        rig.network.send(peer, &record);
        rig.turn();
    }
    assert!(rig.served(peer).end.is_some());
}

#[test]
fn a_paused_connection_goes_on_with_its_handshake_when_it_is_resumed() {
    let mut rig = Rig::new(Caller::Echoes, 0, Faults::none());
    let client = rig.connect(&rig.config(VERSIONS[1]));
    rig.clients[client].send(b"1234567");
    rig.turn();
    let token = rig.token(rig.clients[client].peer).unwrap();
    rig.driver.pause_receive(token);
    rig.turns(5);
    assert!(rig.clients[client].tls.is_handshaking());
    rig.driver.resume_receive(token);
    rig.until("the echo", |rig| rig.clients[client].read == b"1234567");
}

#[test]
fn pausing_holds_back_records_and_the_end_and_resuming_delivers_them() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    rig.driver.pause_receive(token);
    rig.clients[client].send(&pattern(100));
    rig.clients[client].tls.send_close_notify();
    rig.turns(5);
    assert_eq!((rig.served_mut(token).receives, rig.served_mut(token).end), (0, None));
    rig.driver.resume_receive(token);
    rig.turns(2);
    assert_eq!(rig.served_mut(token).received, pattern(100));
    assert!(rig.served_mut(token).end.is_some());
}
