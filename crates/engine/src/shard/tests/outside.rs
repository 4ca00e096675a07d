//! Messages, closes and looks from other threads.

use std::sync::mpsc;

use gannet_proto::CloseCode;

use super::peer::{Peer, Seen};
use super::rig::Rig;
use crate::inspect::{ConnectionInfo, Inspect, SortBy};
use crate::remote::{ConnectionId, Mail, Outgoing, Waiter};

fn id(rig: &Rig, peer: &Peer) -> ConnectionId {
    rig.record(peer.id).id.expect("the connection was opened")
}

fn inspect(rig: &mut Rig, sort: SortBy, limit: usize) -> Vec<ConnectionInfo> {
    let (reply, answers) = mpsc::channel();
    let query = Inspect { sort, limit };
    rig.remote().mailbox_of(0).put(Mail::Inspect { shard: 0, query, reply }, 0).unwrap();
    rig.turn(0);
    let mut found = answers.try_recv().expect("the shard has answered").1;
    query.order(&mut found);
    found
}

#[test]
fn a_message_from_outside_reaches_each_connection_that_it_is_for_and_no_other() {
    let mut rig = Rig::new(|_| {});
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::open(&mut rig, "/")).collect();
    let ids = [id(&rig, &peers[0]), id(&rig, &peers[2])];
    rig.remote().send_to_all(&ids, Outgoing::Text("to two".into())).unwrap();
    rig.remote().send(ids[0], Outgoing::Binary([1, 2].as_slice().into())).unwrap();
    rig.turn(0);
    let text = Seen::Text(b"to two".to_vec());
    assert_eq!(peers[0].read(), [text.clone(), Seen::Binary(vec![1, 2])]);
    assert_eq!((peers[1].read(), peers[2].read()), (vec![], vec![text]));
    assert_eq!(rig.shard.counts.messages_sent, 3);
}

#[test]
fn mail_for_a_connection_that_is_gone_closing_or_in_its_handshake_is_counted() {
    let mut rig = Rig::new(|_| {});
    let gone = Peer::open(&mut rig, "/");
    let gone_id = id(&rig, &gone);
    rig.network.reset(gone.id);
    rig.run(20);
    // The slot has moved on; the id has not.
    let mut next = Peer::open(&mut rig, "/");
    let mut closing = Peer::open(&mut rig, "/");
    closing.answers = false;
    let closing_id = id(&rig, &closing);
    rig.remote().close(closing_id, CloseCode::new(4000), "as told").unwrap();
    rig.turn(0);
    assert_eq!(closing.read_one(), Seen::Close(4000));
    rig.remote().send_to_all(&[gone_id, closing_id], Outgoing::Text("late".into())).unwrap();
    rig.remote().close(closing_id, CloseCode::NORMAL, "").unwrap();
    rig.turn(0);
    assert_eq!((next.read(), rig.shard.counts.undeliverable), (vec![], 3));
}

#[test]
fn a_thread_waits_until_all_that_waits_for_the_connection_has_left() {
    let mut rig = Rig::new(|_| {});
    let mut peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 100);
    let (waiter, left) = Waiter::new();
    let message = Outgoing::Binary(vec![7; 1000].into());
    let mail = Mail::Send { to: vec![id(&rig, &peer).token()], message, waiter: Some(waiter) };
    rig.remote().mailbox_of(0).put(mail, 0).unwrap();
    rig.run(100);
    assert_eq!(left.try_recv(), Err(mpsc::TryRecvError::Empty));
    rig.network.set_window(peer.id, 2000);
    rig.run(100);
    assert_eq!(left.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    assert_eq!(peer.read_one(), Seen::Binary(vec![7; 1000]));
}

#[test]
fn a_thread_that_waits_for_a_connection_goes_on_when_it_is_lost() {
    let mut rig = Rig::new(|_| {});
    let peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 100);
    let (waiter, left) = Waiter::new();
    let message = Outgoing::Binary(vec![7; 1000].into());
    let mail = Mail::Send { to: vec![id(&rig, &peer).token()], message, waiter: Some(waiter) };
    rig.remote().mailbox_of(0).put(mail, 0).unwrap();
    rig.turn(0);
    rig.network.reset(peer.id);
    rig.run(20);
    assert_eq!(left.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn a_message_from_outside_for_a_full_outbox_closes_the_connection_with_1013() {
    let mut rig = Rig::new(|config| {
        config.outbox_bytes_max = 10_000;
        config.outbox_pause_bytes = 5_000;
    });
    let peer = Peer::open(&mut rig, "/");
    rig.network.set_window(peer.id, 100);
    let id = id(&rig, &peer);
    for _message in 0..3 {
        rig.remote().send(id, Outgoing::Binary(vec![0; 6_000].into())).unwrap();
    }
    rig.turn(0);
    assert_eq!(rig.record(peer.id).closed, [(1013, false)]);
    assert_eq!(rig.shard.counts.messages_refused, 1);
}

#[test]
fn the_connections_that_come_first_are_named_with_what_is_known_of_them() {
    let mut rig = Rig::new(|config| config.address_limit_exempt.clear());
    let mut peers: Vec<Peer> = Vec::new();
    for _peer in 0..5 {
        peers.push(Peer::open(&mut rig, "/"));
        rig.run(1000);
    }
    rig.network.set_window(peers[2].id, 0);
    peers[2].text("/large");
    for _message in 0..4 {
        peers[1].text("a");
    }
    rig.turn(0);
    let buffered = inspect(&mut rig, SortBy::Buffered, 2);
    assert_eq!(buffered[0].id, id(&rig, &peers[2]));
    assert!(buffered[0].buffered_bytes > 200_000 && buffered.len() == 2, "{buffered:?}");
    let oldest = inspect(&mut rig, SortBy::Age, 1);
    assert_eq!((oldest[0].id, oldest[0].age_ms), (id(&rig, &peers[0]), 5_000));
    assert_eq!((oldest[0].client.as_str(), oldest[0].path.as_str()), ("10.0.0.0", "/"));
    let busiest = inspect(&mut rig, SortBy::Messages, 1);
    assert_eq!((busiest[0].id, busiest[0].messages), (id(&rig, &peers[1]), 4));
    assert_eq!(inspect(&mut rig, SortBy::Age, 100).len(), 5);
    assert_eq!(inspect(&mut rig, SortBy::Age, 0), []);
}
