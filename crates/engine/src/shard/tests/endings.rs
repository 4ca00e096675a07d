//! How sessions end: who closes, what is still delivered, and what `on_close` says.

use super::peer::{Peer, Seen, frame, request, stall_and_drain};
use super::rig::Rig;

#[test]
fn a_close_inside_on_open_leaves_with_the_response_and_is_clean_once_answered() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::connect(&rig.network);
    peer.write(&[request("/close"), frame(0x81, b"too late")].concat());
    rig.turn(0);
    rig.turn(0);
    assert_eq!(peer.read(), [Seen::Status(101), Seen::Close(4000)]);
    assert_eq!(rig.record(peer.id).closed, []);
    rig.turn(0);
    let record = rig.record(peer.id);
    assert_eq!((record.messages, record.closed), (0, vec![(4000, true)]));
    assert!(peer.is_ended() && !peer.is_reset());
}

#[test]
fn a_close_inside_on_message_ends_the_messages_behind_it() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&[frame(0x81, b"before"), frame(0x81, b"/close"), frame(0x81, b"behind")].concat());
    rig.turn(0);
    assert_eq!(peer.read(), [Seen::Text(b"before".to_vec()), Seen::Close(4000)]);
    rig.turn(0);
    let record = rig.record(peer.id);
    assert_eq!((record.messages, record.closed), (2, vec![(4000, true)]));
}

#[test]
fn a_close_inside_on_drain_is_sent_at_once() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/close-on-drain");
    stall_and_drain(&mut rig, &mut peer);
    assert_eq!(peer.read(), [Seen::Binary(vec![1; 200]), Seen::Close(4000)]);
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(4000, true)]);
}

#[test]
fn closes_that_cross_are_one_clean_close() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.answers = false;
    peer.write(&[frame(0x81, b"/close"), frame(0x88, &1000_u16.to_be_bytes())].concat());
    rig.turn(0);
    assert_eq!(peer.read(), [Seen::Close(4000)]);
    assert_eq!(rig.record(peer.id).closed, [(1000, true)]);
}

#[test]
fn a_message_sent_after_a_close_to_a_full_outbox_does_not_end_the_closing_handshake() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 64 * 1024);
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1 << 20);
    peer.text("/large-and-close");
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, []);
    assert_eq!(peer.read().pop(), Some(Seen::Close(4000)));
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(4000, true)]);
}

#[test]
fn a_close_whose_echo_cannot_be_sent_is_not_clean() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.send(0x88, &1000_u16.to_be_bytes());
    rig.network.reset(peer.id);
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1000, false)]);
    rig.turn(0);
    assert_eq!(rig.shard.connections.len(), 0);
}

#[test]
fn an_end_of_stream_lets_everything_out_that_waits() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.send(0x82, &[1; 5000]);
    rig.network.end_stream(peer.id);
    rig.turn(0);
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1006, false)]);
    rig.network.set_window(peer.id, 10_000);
    rig.turn(0);
    assert_eq!(peer.read(), [Seen::Binary(vec![1; 5000])]);
    assert!(peer.is_ended() && !peer.is_reset());
    rig.turn(0);
    assert_eq!(rig.shard.connections.len(), 0);
}

#[test]
fn a_paused_peer_that_ends_its_stream_is_noticed_when_it_reads_again() {
    let mut rig = Rig::new(|config| config.outbox_pause_bytes = 100);
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.send(0x82, &[1; 5000]);
    rig.turn(0);
    rig.network.end_stream(peer.id);
    rig.run(100);
    assert_eq!((rig.paused(), rig.record(peer.id).closed), (1, vec![]));
    rig.network.set_window(peer.id, 10_000);
    rig.turn(0);
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1006, false)]);
    assert_eq!(peer.read(), [Seen::Binary(vec![1; 5000])]);
}

#[test]
fn a_peer_that_floods_an_ended_session_is_not_read_further_and_closed_when_its_second_is_over() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.send(0x88, &1000_u16.to_be_bytes());
    peer.answers = false;
    rig.turn(0);
    peer.write(&[0; 64 * 1024]);
    rig.turn(0);
    assert_eq!(rig.network.open_connections(), 1);
    peer.write(&[0]);
    rig.turn(0);
    peer.write(&[0; 1000]);
    rig.turn(0);
    assert_eq!(rig.network.unread_bytes(peer.id), 1000);
    assert_eq!(peer.read_one(), Seen::Close(1000));
    rig.run(990);
    assert_eq!(rig.network.open_connections(), 1);
    rig.run(300);
    assert_eq!(rig.network.open_connections(), 0);
}

#[test]
fn what_a_peer_sends_into_an_ended_session_does_not_keep_it_from_what_waits() {
    let mut rig = Rig::new(|config| {
        config.outbox_bytes_max = 64 * 1024;
        config.outbox_pause_bytes = 1024;
    });
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.text("/flood");
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1013, false)]);
    peer.write(&[0; 100 * 1024]);
    rig.turn(0);
    assert_eq!(rig.network.unread_bytes(peer.id), 0, "it is received from again, though it was paused");
    rig.network.set_window(peer.id, 1 << 20);
    rig.network.end_stream(peer.id);
    rig.turn(0);
    rig.turn(0);
    assert_eq!((peer.read().pop(), peer.is_reset()), (Some(Seen::Close(1013)), false));
    assert_eq!(rig.shard.connections.len(), 0);
}

#[test]
fn a_peer_that_goes_before_its_request_is_whole_frees_its_slot_at_once() {
    let mut rig = Rig::new(|_| {});
    let mut peers = [Peer::connect(&rig.network), Peer::connect(&rig.network)];
    for peer in &mut peers {
        peer.write(&request("/")[..50]);
    }
    rig.turn(0);
    rig.network.end_stream(peers[0].id);
    rig.network.reset(peers[1].id);
    rig.turn(0);
    rig.turn(0);
    assert_eq!(rig.shard.connections.len(), 0);
}

#[test]
fn a_reset_is_reported_as_1006_and_frees_the_slot() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&frame(0x82, &[1; 100])[..50]);
    rig.network.reset(peer.id);
    rig.turn(0);
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1006, false)]);
    rig.turn(0);
    assert_eq!(rig.shard.connections.len(), 0);
}
