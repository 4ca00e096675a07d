//! A connection begins with `Accepted`, and receiving is armed from then on (rule 1).

use gannet_driver::Driver;

use crate::harness::Harness;
use crate::rig::{Kind, Rig};

pub(crate) fn an_accepted_connection_has_the_address_of_its_peer_and_receives<H: Harness>(rig: &mut Rig<H>) {
    let peers = [(); 3].map(|()| rig.harness.connect().unwrap());
    // `accepted` looks for the address of the peer.
    let tokens = peers.map(|peer| rig.accepted(peer));
    for (number, peer) in peers.into_iter().enumerate() {
        rig.harness.send(peer, &[number as u8; 10]);
    }
    rig.until("ten bytes of each", |rig| tokens.iter().all(|&token| rig.received(token).len() == 10));
    for (number, &token) in tokens.iter().enumerate() {
        assert_eq!(rig.received(token), [number as u8; 10]);
        assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received]);
    }
}

pub(crate) fn bytes_sent_before_the_accept_are_received_after_it<H: Harness>(rig: &mut Rig<H>) {
    let peer = rig.harness.connect().unwrap();
    rig.harness.send(peer, b"early");
    let token = rig.accepted(peer);
    rig.until("the early bytes", |rig| rig.received(token) == b"early");
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received]);
}

pub(crate) fn stop_accepting_refuses_new_connections_and_keeps_the_open_ones<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.driver().stop_accepting();
    assert!(rig.harness.connect().is_none());
    rig.harness.send(peer, b"still here");
    rig.until("bytes of the open connection", |rig| rig.received(token) == b"still here");
    assert_eq!(rig.log.iter().filter(|event| matches!(event, crate::rig::Event::Accepted(..))).count(), 1);
}
