//! What is sent arrives, whole and in order, both ways.

use gannet_driver::sim::Faults;
use gannet_driver::{Driver, ReceiveEnd};
use rustls::HandshakeKind;

use super::client::End;
use super::rig::{Caller, Rig, VERSIONS, pattern};

/// Sizes around those of a record, of a piece and of a receive.
const SIZES: [usize; 9] = [1, 20, 1000, 16_384, 16_385, 65_536, 65_537, 300_000, 1 << 20];

#[test]
fn messages_of_1_byte_to_1_mib_are_echoed_over_tls_1_2_and_1_3() {
    for version in VERSIONS {
        let mut rig = Rig::new(Caller::Echoes, 0, Faults::none());
        let client = rig.connect(&rig.config(version));
        let mut expected = Vec::new();
        for size in SIZES {
            // So that the echo, which answers whole units, has answered everything.
            let message = pattern(size * 7);
            expected.extend_from_slice(&message);
            rig.clients[client].send(&message);
            rig.until("the echo", |rig| rig.clients[client].read.len() == expected.len());
        }
        assert!(rig.clients[client].read == expected, "{version:?}: the echo is not what was sent");
        assert_eq!(rig.clients[client].tls.protocol_version(), Some(version.version));
        assert_eq!(rig.clients[client].tls.alpn_protocol(), Some(b"http/1.1".as_slice()));
    }
}

#[test]
fn everything_arrives_whatever_the_driver_below_cuts_and_delays() {
    for seed in 0..24 {
        let mut rig = Rig::new(Caller::Echoes, seed, Faults::lossless());
        let sizes = [7, 140, 7_000, 70_000, 700_000];
        for (number, size) in sizes.into_iter().enumerate() {
            let client = rig.connect(&rig.config(VERSIONS[number % 2]));
            // All at once, and in many messages.
            for part in pattern(size).chunks(size.div_ceil(10)) {
                rig.clients[client].send(part);
            }
        }
        let is_done =
            |rig: &Rig| rig.clients.iter().zip(sizes).all(|(client, size)| client.read.len() == size);
        rig.until("every echo", is_done);
        for (client, size) in rig.clients.iter().zip(sizes) {
            assert!(
                client.read == pattern(size),
                "seed {seed}: the echo of {size} bytes is not what was sent"
            );
        }
    }
}

#[test]
fn a_client_that_comes_back_resumes_its_session() {
    for version in VERSIONS {
        let mut rig = Rig::new(Caller::Echoes, 0, Faults::none());
        let config = rig.config(version);
        for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let client = rig.connect(&config);
            rig.clients[client].send(b"1234567");
            rig.until("the echo", |rig| rig.clients[client].read == b"1234567");
            assert_eq!(rig.clients[client].tls.handshake_kind(), Some(expected), "{version:?}");
        }
    }
}

#[test]
fn all_records_of_a_receive_are_one_received_and_tickets_are_none() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    rig.turns(3);
    assert_eq!(rig.served_mut(token).receives, 0);
    for part in pattern(1000).chunks(10) {
        rig.clients[client].send(part);
    }
    rig.turn();
    let served = rig.served_mut(token);
    assert_eq!((served.receives, &served.received), (1, &pattern(1000)));
}

#[test]
fn a_change_of_keys_is_answered_and_goes_unnoticed() {
    let mut rig = Rig::new(Caller::Echoes, 0, Faults::none());
    let (client, token) = rig.connected();
    for round in 0..5 {
        rig.clients[client].tls.refresh_traffic_keys().unwrap();
        rig.turn();
        assert_eq!(rig.served_mut(token).receives, round);
        rig.clients[client].send(b"1234567");
        rig.until("the echo", |rig| rig.clients[client].read.len() == 7 * (round + 1));
    }
}

#[test]
fn a_peer_that_does_not_read_gets_everything_later_and_the_send_completes_once() {
    for version in VERSIONS {
        let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
        let (client, token) = rig.connected_over(version);
        let peer = rig.clients[client].peer;
        rig.network.set_window(peer, 1000);
        rig.send(token, pattern(300_003), 3);
        assert_eq!(rig.served_mut(token).sent, 0);
        rig.until("the end of the message", |rig| rig.clients[client].read.len() == 300_000);
        assert!(rig.clients[client].read == pattern(300_003)[3..]);
        assert_eq!(rig.served_mut(token).sent, 1);
        rig.driver.shutdown_write(token);
        rig.until("the end", |rig| rig.clients[client].end.is_some());
        assert_eq!(rig.clients[client].end, Some(End::CloseNotify));
        assert!(rig.network.is_ended(peer) && !rig.network.is_reset(peer));
    }
}

#[test]
fn nothing_is_lost_between_records_of_tls_itself_and_a_send_in_flight() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    rig.network.set_window(rig.clients[client].peer, 100);
    rig.send(token, pattern(5000), 0);
    // The answer to a change of keys is due while the send is in flight; then the client half-closes.
    rig.clients[client].tls.refresh_traffic_keys().unwrap();
    rig.clients[client].tls.send_close_notify();
    rig.until("the message", |rig| rig.clients[client].read.len() == 5000);
    rig.send(token, pattern(3000), 0);
    rig.until("the next message", |rig| rig.clients[client].read.len() == 8000);
    assert_eq!(rig.clients[client].read, [pattern(5000), pattern(3000)].concat());
    assert_eq!(rig.served_mut(token).end, Some(ReceiveEnd::EndOfStream));
}
