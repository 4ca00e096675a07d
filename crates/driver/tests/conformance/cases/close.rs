//! `Closed` comes once and last (rule 3), whatever was collected (rule 5) or in flight (rule 6) before.

use gannet_driver::{CloseMode, Driver};

use crate::harness::{Harness, PeerEnd};
use crate::rig::{Event, Kind, Rig, Sending, pattern};

pub(crate) fn close_gives_one_closed_and_nothing_after_it<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.harness.send(peer, b"before");
    rig.until("a byte", |rig| rig.has(token, Kind::Received));
    rig.driver().close(token, CloseMode::Orderly);
    rig.harness.send(peer, b"after");
    rig.until("the close", |rig| rig.has(token, Kind::Closed));
    rig.settle();
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Received, Kind::Closed]);
    assert_eq!(rig.count(token, Kind::Closed), 1);
}

pub(crate) fn an_orderly_close_delivers_what_was_sent_and_ends_the_stream<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let bytes = pattern(50_000);
    assert_ne!(rig.send(token, &bytes), Sending::Failed);
    rig.until("the end of the send", |rig| rig.has(token, Kind::SentAll));
    rig.driver().close(token, CloseMode::Orderly);
    rig.until("the end at the peer", |rig| rig.peer_end(peer).is_some());
    assert_eq!(rig.peer_end(peer), Some(PeerEnd::EndOfStream));
    assert!(rig.read(peer) == bytes);
}

pub(crate) fn a_reset_close_resets_the_peer<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    rig.driver().close(token, CloseMode::Reset);
    rig.until("the end at the peer", |rig| rig.peer_end(peer).is_some());
    assert_eq!(rig.peer_end(peer), Some(if H::HAS_RESETS { PeerEnd::Reset } else { PeerEnd::EndOfStream }));
    rig.until("the close", |rig| rig.has(token, Kind::Closed));
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Closed]);
}

pub(crate) fn a_close_with_a_send_in_flight_ends_with_closed<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let bytes = pattern(H::MORE_THAN_FITS_BYTES);
    assert_eq!(rig.send(token, &bytes), Sending::InFlight);
    rig.driver().close(token, CloseMode::Orderly);
    rig.until("the close", |rig| rig.has(token, Kind::Closed));
    rig.until("the end at the peer", |rig| rig.peer_end(peer).is_some());
    rig.settle();
    assert_eq!(rig.kinds(token).last(), Some(&Kind::Closed));
    assert_eq!(rig.count(token, Kind::Closed), 1);
    assert!(rig.count(token, Kind::Sent) + rig.count(token, Kind::SendFailed) <= 1);
    assert!(bytes.starts_with(rig.read(peer)));
}

pub(crate) fn a_close_between_reaping_and_polling_drops_what_was_collected<H: Harness>(rig: &mut Rig<H>) {
    let (peer, token) = rig.connect();
    let (paused, paused_token) = rig.connect();
    rig.harness.send(peer, b"collected");
    rig.harness.send(paused, b"collected too");
    rig.driver().reap(None).unwrap();
    rig.driver().close(token, CloseMode::Orderly);
    rig.driver().pause_receive(paused_token);
    rig.drain(|_, _| {});
    rig.settle();
    assert_eq!(rig.kinds(token), [Kind::Accepted, Kind::Closed]);
    assert_eq!(rig.kinds(paused_token), [Kind::Accepted]);
    rig.driver().resume_receive(paused_token);
    rig.until("what was put off", |rig| rig.received(paused_token) == b"collected too");
}

pub(crate) fn a_connection_closed_while_another_is_served_reports_nothing_more<H: Harness>(rig: &mut Rig<H>) {
    let connected = [rig.connect(), rig.connect()];
    let tokens = connected.map(|(_, token)| token);
    for (peer, _) in connected {
        rig.harness.send(peer, b"race");
    }
    // Whoever is served first closes the other.
    let mut survivor = None;
    rig.until_event("a receive", |rig, event| {
        if let Event::Received(first, _) = event {
            survivor = Some(*first);
            let other = tokens[usize::from(tokens[0] == *first)];
            rig.driver().close(other, CloseMode::Orderly);
        }
        survivor.is_some()
    });
    rig.until("a close", |rig| tokens.iter().any(|&token| rig.has(token, Kind::Closed)));
    rig.settle();
    for token in tokens {
        let last = if Some(token) == survivor { Kind::Received } else { Kind::Closed };
        assert_eq!(rig.kinds(token), [Kind::Accepted, last]);
    }
}
