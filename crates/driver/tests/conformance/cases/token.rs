//! A token is good until `Closed` (rule 3), is ignored and counted afterwards (rule 4), and its completions are of the
//! same kinds everywhere (rule 7).

use std::time::Duration;

use gannet_driver::{CloseMode, Driver, SendOutcome, Token};

use crate::harness::{Harness, PeerEnd};
use crate::rig::{Kind, Rig, Sending};

/// A connection that was closed, and whose slot is free.
fn closed<H: Harness>(rig: &mut Rig<H>) -> Token {
    let (_, token) = rig.connect();
    rig.driver().close(token, CloseMode::Orderly);
    rig.until("the close", |rig| rig.has(token, Kind::Closed));
    token
}

pub(crate) fn a_reused_slot_has_a_new_generation<H: Harness>(rig: &mut Rig<H>) {
    let first = closed(rig);
    let second = closed(rig);
    let (_, third) = rig.connect();
    assert_eq!([first.slot(), second.slot()], [third.slot(); 2]);
    assert!(first != second && second != third && first != third);
}

pub(crate) fn commands_for_a_stale_token_are_ignored_and_counted<H: Harness>(rig: &mut Rig<H>) {
    let stale = closed(rig);
    let (peer, token) = rig.connect();
    assert_eq!(stale.slot(), token.slot());
    let before = rig.driver().counters().stale_tokens;
    let driver = rig.driver();
    driver.received(b"abc");
    assert!(matches!(driver.send(stale, b"lost".to_vec(), 0), SendOutcome::Failed));
    assert!(matches!(driver.send_received(stale, 0..3), SendOutcome::Failed));
    driver.pause_receive(stale);
    driver.resume_receive(stale);
    driver.shutdown_write(stale);
    driver.close(stale, CloseMode::Reset);
    assert_eq!(driver.counters().stale_tokens, before + 6);
    // The new owner of the slot has noticed nothing.
    rig.harness.send(peer, b"ping");
    rig.until("ping", |rig| rig.received(token) == b"ping");
    assert_ne!(rig.send(token, b"pong"), Sending::Failed);
    rig.until("pong", |rig| rig.read(peer) == b"pong");
    assert_eq!(rig.peer_end(peer), None);
    assert_eq!(rig.count(stale, Kind::Closed), 1);
}

pub(crate) fn a_second_close_is_stale<H: Harness>(rig: &mut Rig<H>) {
    let (_, token) = rig.connect();
    let before = rig.driver().counters().stale_tokens;
    rig.driver().close(token, CloseMode::Orderly);
    rig.driver().close(token, CloseMode::Reset);
    assert_eq!(rig.driver().counters().stale_tokens, before + 1);
    rig.settle();
    assert_eq!(rig.count(token, Kind::Closed), 1);
}

pub(crate) fn completions_left_of_a_turn_come_in_the_next<H: Harness>(rig: &mut Rig<H>) {
    let connected = [(); 4].map(|()| rig.connect());
    for (peer, _) in connected {
        rig.harness.send(peer, b"!");
        rig.harness.end_stream(peer);
    }
    rig.driver().close(connected[3].1, CloseMode::Orderly);
    // Nothing is polled in these turns.
    for _turn in 0..3 {
        rig.driver().reap(Some(Duration::ZERO)).unwrap();
    }
    rig.until("everything", |rig| {
        let has_ended = |&(_, token): &(_, Token)| rig.has(token, Kind::EndOfStream);
        connected[..3].iter().all(has_ended) && rig.has(connected[3].1, Kind::Closed)
    });
    assert!(connected[..3].iter().all(|&(_, token)| rig.received(token) == b"!"));
    assert_eq!(rig.kinds(connected[3].1), [Kind::Accepted, Kind::Closed]);
}

pub(crate) fn the_same_commands_give_the_same_kinds_of_completion<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"request");
    rig.until("the request", |rig| rig.received(token) == b"request");
    assert_ne!(rig.send(token, b"reply"), Sending::Failed);
    rig.until("the reply", |rig| rig.read(peer) == b"reply" && rig.has(token, Kind::SentAll));
    rig.driver().shutdown_write(token);
    rig.until("the end at the peer", |rig| rig.peer_end(peer) == Some(PeerEnd::EndOfStream));
    rig.harness.end_stream(peer);
    rig.until("the end of the stream", |rig| rig.has(token, Kind::EndOfStream));
    rig.driver().close(token, CloseMode::Orderly);
    rig.until("the close", |rig| rig.has(token, Kind::Closed));
    rig.settle();
    // Whether the send was in flight for a moment is the one thing that may differ.
    let mut kinds = rig.kinds(token);
    kinds.retain(|&kind| kind != Kind::Sent);
    kinds.dedup();
    let all = [Kind::Accepted, Kind::Received, Kind::SentAll, Kind::EndOfStream, Kind::Closed];
    assert_eq!(kinds, all);
}
