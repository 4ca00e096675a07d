//! Peers that read slowly: what waits, what is refused, and who hears of it.

use std::time::Duration;

use super::peer::{Peer, Seen, frame};
use super::recorder::LARGE_MESSAGE_BYTES;
use super::rig::Rig;
use crate::config::OutboxPolicy;

/// What a peer reads in so many turns.
fn read_for(rig: &mut Rig, peer: &mut Peer, turns: usize) -> Vec<Seen> {
    let read_one_turn = |_turn| {
        rig.turn(1);
        peer.read()
    };
    (0..turns).flat_map(read_one_turn).collect()
}

#[test]
fn a_peer_that_does_not_read_its_echoes_is_not_received_from_until_it_does() {
    let mut rig = Rig::new(|config| config.outbox_pause_bytes = 10_000);
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.send(0x82, &[1; 10_000]);
    rig.turn(0);
    assert_eq!(rig.paused(), 0, "9004 bytes wait");
    peer.send(0x82, &[2; 992]);
    rig.turn(0);
    assert_eq!(rig.paused(), 1, "10000 bytes wait");
    peer.send(0x82, &[3; 50]);
    rig.turn(0);
    assert_eq!(rig.network.unread_bytes(peer.id), 56);
    assert_eq!(peer.read(), []);
    rig.turn(0);
    assert_eq!((rig.paused(), rig.network.unread_bytes(peer.id)), (0, 56), "9000 bytes wait");
    let seen = read_for(&mut rig, &mut peer, 50);
    assert_eq!(seen, [vec![1; 10_000], vec![2; 992], vec![3; 50]].map(Seen::Binary));
}

#[test]
fn on_drain_is_called_once_when_everything_that_waited_has_left() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, LARGE_MESSAGE_BYTES);
    peer.text("/large");
    rig.turn(0);
    assert_eq!(rig.record(peer.id).drained, 0);
    assert_eq!(peer.read(), []);
    rig.turn(0);
    assert_eq!(rig.record(peer.id).drained, 1);
    assert_eq!(peer.read_one(), Seen::Binary(vec![0; LARGE_MESSAGE_BYTES]));
    peer.text("taken at once");
    rig.turn(0);
    assert_eq!(rig.record(peer.id).drained, 1);
}

#[test]
fn a_reply_behind_a_large_one_in_the_same_receive_is_not_refused() {
    for policy in [OutboxPolicy::Close, OutboxPolicy::Refuse] {
        let mut rig = Rig::new(|config| {
            config.outbox_bytes_max = 64 * 1024;
            config.outbox_policy = policy;
        });
        let mut peer = Peer::open(&mut rig, "/");
        rig.network.set_window(peer.id, 1 << 20);
        let first = frame(0x82, &[1; 300_000]);
        peer.write(&first[..200_000]);
        rig.turn(0);
        peer.write(&[&first[200_000..], &frame(0x82, &[2; 10])].concat());
        rig.turn(0);
        assert_eq!(peer.read(), [vec![1; 300_000], vec![2; 10]].map(Seen::Binary));
    }
}

#[test]
fn a_flood_ends_with_1013_behind_what_was_sent_before() {
    let mut rig = Rig::new(|config| config.outbox_bytes_max = 64 * 1024);
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 1000);
    peer.text("/flood");
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1013, false)]);
    rig.network.set_window(peer.id, 1 << 20);
    let mut seen = peer.read();
    rig.turn(0);
    seen.extend(peer.read());
    assert_eq!(seen.pop(), Some(Seen::Close(1013)));
    assert_eq!(seen, vec![Seen::Binary(vec![0; 16 * 1024]); 4]);
}

#[test]
fn with_the_refuse_policy_a_flood_stops_and_the_connection_goes_on() {
    let mut rig = Rig::new(|config| {
        config.outbox_bytes_max = 64 * 1024;
        config.outbox_policy = OutboxPolicy::Refuse;
    });
    let mut peer = Peer::open(&mut rig, "/");
    peer.text("/flood");
    peer.text("still here");
    rig.turn(0);
    let mut seen = peer.read();
    assert_eq!(seen.pop(), Some(Seen::Text(b"still here".to_vec())));
    assert_eq!(seen, vec![Seen::Binary(vec![0; 16 * 1024]); 4]);
}

#[test]
fn after_a_refused_message_on_drain_is_called_even_if_everything_left_at_once() {
    let mut rig = Rig::new(|config| {
        config.outbox_bytes_max = 64 * 1024;
        config.outbox_policy = OutboxPolicy::Refuse;
    });
    let mut peer = Peer::open(&mut rig, "/");
    peer.text("/flood");
    rig.turn(0);
    assert_eq!((peer.read().len(), rig.record(peer.id).drained), (4, 0));
    assert_eq!(rig.shard.timeout(), Some(Duration::ZERO));
    rig.turn(0);
    assert_eq!(rig.record(peer.id).drained, 1);
    rig.run(1_000);
    assert_eq!(rig.record(peer.id).drained, 1);
}

#[test]
fn a_handler_that_fills_the_outbox_on_every_drain_never_stalls() {
    let mut rig = Rig::new(|config| {
        config.outbox_bytes_max = 64 * 1024;
        config.outbox_policy = OutboxPolicy::Refuse;
    });
    let mut peer = Peer::open(&mut rig, "/flood-on-drain");
    peer.text("/flood");
    for window_bytes in [1 << 20, 70_000, 1000, 50_000, 1 << 20] {
        rig.network.set_window(peer.id, window_bytes);
        for _round in 0..2 {
            let drained = rig.record(peer.id).drained;
            read_for(&mut rig, &mut peer, 200);
            assert!(rig.record(peer.id).drained > drained, "window of {window_bytes} bytes");
        }
    }
}

#[test]
fn pongs_to_a_peer_that_does_not_read_are_bounded_by_one_receive() {
    let mut rig = Rig::new(|config| {
        config.outbox_bytes_max = 1024;
        config.outbox_pause_bytes = 1024;
        config.control_frames_per_s_max = 10_000;
    });
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 0);
    for _ping in 0..10_000 {
        peer.send(0x89, &[b'p'; 125]);
    }
    rig.run(100);
    assert!(rig.network.unread_bytes(peer.id) > 1_000_000);
    rig.network.set_window(peer.id, 1 << 20);
    let pongs = read_for(&mut rig, &mut peer, 50);
    assert!(pongs.iter().all(|pong| *pong == Seen::Pong(vec![b'p'; 125])));
    // Six receives of 256 KiB, each with 16 answers and one for the last of the rest.
    assert!((17..=6 * 17).contains(&pongs.len()), "{}", pongs.len());
}

#[test]
fn a_cut_header_is_kept_and_given_back_with_the_rest() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    let bytes = frame(0x82, &[1; 200]);
    for cut in 1..8 {
        peer.write(&bytes[..cut]);
        rig.turn(0);
        // That an idle session keeps no memory is checked after every turn.
        peer.write(&bytes[cut..]);
        rig.turn(0);
        assert_eq!(peer.read_one(), Seen::Binary(vec![1; 200]));
    }
}
