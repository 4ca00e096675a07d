//! A handler that panics ends one connection: 1011, or 500 before there is one.

use super::peer::{Peer, Seen, frame, request, stall_and_drain};
use super::rig::Rig;

/// What a peer with this path reads after its request and these frames; a second peer must not notice.
fn read_beside_another(path: &str, frames: &[u8]) -> (Rig, Peer, Vec<Seen>) {
    let mut rig = Rig::new(|_| {});
    let mut other = Peer::open(&mut rig, "/");
    let mut peer = Peer::connect(&rig.network);
    peer.write(&[&request(path), frames].concat());
    other.text("before");
    rig.turn(0);
    rig.turn(0);
    other.text("after");
    rig.turn(0);
    assert_eq!(other.read(), [b"before".to_vec(), b"after".to_vec()].map(Seen::Text));
    let seen = peer.read();
    (rig, peer, seen)
}

#[test]
fn a_panic_in_on_message_is_answered_1011_behind_what_was_sent_before_and_ends_that_connection_alone() {
    let frames = [frame(0x81, b"echo"), frame(0x81, b"/greet-and-panic"), frame(0x81, b"behind")].concat();
    let (rig, peer, seen) = read_beside_another("/", &frames);
    let greeting = Seen::Binary(vec![0, b'h', b'i']);
    assert_eq!(seen, [Seen::Status(101), Seen::Text(b"echo".to_vec()), greeting, Seen::Close(1011)]);
    assert!(peer.is_ended() && !peer.is_reset());
    let record = rig.record(peer.id);
    assert_eq!((record.messages, record.closed), (2, vec![(1011, false)]));
    assert_eq!(rig.shared.summary().handler_panics, 1);
}

#[test]
fn replies_in_place_leave_before_the_1011_of_a_panic_behind_them() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&[frame(0x81, b"first"), frame(0x82, b"second"), frame(0x81, b"/panic")].concat());
    rig.turn(0);
    let echoes = [Seen::Text(b"first".to_vec()), Seen::Binary(b"second".to_vec())];
    assert_eq!(peer.read(), [&echoes[..], &[Seen::Close(1011)]].concat());
}

#[test]
fn a_panic_in_on_open_is_answered_1011_behind_the_101_and_nothing_is_delivered() {
    let (rig, peer, seen) = read_beside_another("/panic", &frame(0x81, b"not delivered"));
    assert_eq!(seen, [Seen::Status(101), Seen::Close(1011)]);
    let record = rig.record(peer.id);
    assert_eq!((record.messages, record.closed), (0, vec![(1011, false)]));
}

#[test]
fn a_panic_in_on_upgrade_is_answered_500_and_there_is_no_session() {
    let (rig, peer, seen) = read_beside_another("/panic-on-upgrade", b"");
    assert_eq!(seen, [Seen::Status(500)]);
    assert_eq!(rig.record(peer.id).opened, 0);
    assert_eq!((rig.shared.summary().refused, rig.shared.summary().handler_panics), (1, 1));
}

#[test]
fn a_panic_in_on_drain_is_answered_1011() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/panic-on-drain");
    stall_and_drain(&mut rig, &mut peer);
    assert_eq!(peer.read(), [Seen::Binary(vec![1; 200]), Seen::Close(1011)]);
    assert_eq!(rig.record(peer.id).closed, [(1011, false)]);
}

#[test]
fn a_panic_in_on_close_is_counted_and_changes_nothing_for_the_peer() {
    let close = frame(0x88, &1000_u16.to_be_bytes());
    let (rig, peer, seen) = read_beside_another("/panic-on-close", &close);
    assert_eq!(seen, [Seen::Status(101), Seen::Close(1000)]);
    assert_eq!(rig.record(peer.id).closed, [(1000, true)]);
    assert_eq!((rig.shared.summary().closed_cleanly, rig.shared.summary().handler_panics), (1, 1));
}
