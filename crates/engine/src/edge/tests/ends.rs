//! How streams end: said so, cut, broken, or never TLS at all.

use std::io::ErrorKind;

use gannet_driver::sim::Faults;
use gannet_driver::{CloseMode, Driver, ReceiveEnd};
use rustls::{AlertDescription, Error};

use super::client::End;
use super::rig::{Caller, Rig, VERSIONS, pattern};

const BROKEN: Option<ReceiveEnd> = Some(ReceiveEnd::Failed(ErrorKind::InvalidData));
const CUT: Option<ReceiveEnd> = Some(ReceiveEnd::Failed(ErrorKind::UnexpectedEof));

#[test]
fn a_close_notify_is_the_end_of_the_stream_once_and_the_peer_still_reads() {
    for version in VERSIONS {
        let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
        let (client, token) = rig.connected_over(version);
        rig.clients[client].send(b"last");
        rig.clients[client].tls.send_close_notify();
        rig.turn();
        let served = rig.served_mut(token);
        assert_eq!(
            (served.received.as_slice(), served.end),
            (b"last".as_slice(), Some(ReceiveEnd::EndOfStream))
        );
        rig.send(token, b"answer".to_vec(), 0);
        rig.until("the answer", |rig| rig.clients[client].read == b"answer");
        // The rig fails the test if one of these is reported.
        rig.network.send(rig.clients[client].peer, b"behind the end");
        rig.turn();
        rig.network.reset(rig.clients[client].peer);
        rig.turn();
    }
}

#[test]
fn an_end_without_close_notify_is_a_failure_and_a_cut_record_is_not_delivered() {
    for kept in [0, 3, 500, 1020] {
        let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
        let (client, token) = rig.connected();
        let peer = rig.clients[client].peer;
        rig.clients[client].send(&pattern(1000));
        let record = rig.clients[client].records();
        assert_eq!(record.len(), 1022);
        rig.network.send(peer, &record[..kept]);
        rig.turn_of_driver();
        rig.network.end_stream(peer);
        rig.turn_of_driver();
        let served = rig.served_mut(token);
        assert_eq!((served.received.len(), served.end), (0, CUT), "{kept} bytes of the record");
    }
}

#[test]
fn an_end_in_the_handshake_is_a_failure() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let client = rig.connect(&rig.config(VERSIONS[1]));
    rig.turn();
    let peer = rig.clients[client].peer;
    rig.network.end_stream(peer);
    rig.turns(2);
    assert_eq!(rig.served(peer).end, CUT);
}

#[test]
fn a_reset_is_reported_as_such() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    rig.network.reset(rig.clients[client].peer);
    rig.turn();
    assert_eq!(rig.served_mut(token).end, Some(ReceiveEnd::Failed(ErrorKind::ConnectionReset)));
}

#[test]
fn a_record_that_was_changed_fails_the_connection_with_an_alert_behind_what_came_before() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    rig.clients[client].send(b"good");
    let mut records = rig.clients[client].records();
    rig.clients[client].send(b"bad");
    records.extend(rig.clients[client].records());
    let last = records.len() - 1;
    records[last] ^= 1;
    rig.network.send(rig.clients[client].peer, &records);
    rig.turn_of_driver();
    let served = rig.served_mut(token);
    assert_eq!((served.received.as_slice(), served.end), (b"good".as_slice(), BROKEN));
    rig.pump();
    let alert = End::Failed(Error::AlertReceived(AlertDescription::BadRecordMac));
    assert_eq!(rig.clients[client].end, Some(alert));
    rig.send(token, b"too late".to_vec(), 0);
    assert_eq!(rig.served_mut(token).send_error, Some(ErrorKind::BrokenPipe));
}

#[test]
fn what_is_no_handshake_ends_at_once_with_an_alert_where_there_is_one() {
    let close_notify = [0x15, 3, 3, 0, 2, 1, 0];
    let oversized = [0x16, 3, 3, 0xff, 0xff];
    let garbage = [0x16; 100];
    let empty = [0x16, 3, 3, 0, 0];
    for (first, has_alert) in [
        (oversized.as_slice(), true),
        (&garbage, true),
        (&empty, true),
        // Behind the first byte of a ClientHello. An alert is not answered with one.
        (&[&[0x16, 3, 1, 0, 1, 1], close_notify.as_slice()].concat(), false),
    ] {
        let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
        let peer = rig.network.connect();
        rig.network.send(peer, first);
        rig.turns(3);
        assert_eq!(rig.served(peer).end, BROKEN, "{first:?}");
        let answer = rig.network.received(peer);
        assert_eq!(answer.first() == Some(&0x15), has_alert, "{first:?} was answered {answer:?}");
    }
}

#[test]
fn plain_http_is_answered_in_clear_and_the_stream_is_ended() {
    // The first byte of a close_notify is no handshake either.
    for request in [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(), &[0x15, 3, 3, 0, 2, 1, 0]] {
        let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
        let peer = rig.network.connect();
        rig.network.send(peer, request);
        rig.turns(2);
        let answer = String::from_utf8(rig.network.received(peer)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(body.contains("TLS") && body.contains("wss://"), "{body}");
        assert!(rig.network.is_ended(peer) && !rig.network.is_reset(peer));
        assert_eq!(rig.served(peer).end, None, "the peer has its time to read the answer");
        rig.network.end_stream(peer);
        rig.turn();
        assert_eq!(rig.served(peer).end, Some(ReceiveEnd::EndOfStream));
    }
}

#[test]
fn a_peer_that_goes_on_behind_plain_http_is_given_up() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let peer = rig.network.connect();
    rig.network.send(peer, b"GET / HTTP/1.1\r\n\r\n");
    rig.turns(2);
    rig.network.send(peer, &pattern(70_000));
    rig.turn();
    assert_eq!(rig.served(peer).end, BROKEN);
}

#[test]
fn a_flood_of_key_updates_fails_the_connection() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    for _update in 0..33 {
        rig.clients[client].tls.refresh_traffic_keys().unwrap();
    }
    rig.turn();
    assert_eq!(rig.served_mut(token).end, BROKEN);
}

#[test]
fn closing_ends_with_closed_whatever_was_under_way() {
    for seed in 0..50 {
        let mut rig = Rig::new(Caller::Echoes, seed, Faults::lossless());
        let config = rig.config(VERSIONS[1]);
        let clients = [0; 4].map(|_| rig.connect(&config));
        for client in clients {
            rig.clients[client].send(&pattern(100_000));
            rig.network.set_window(rig.clients[client].peer, 5000);
        }
        rig.turns(seed as usize);
        for client in clients {
            let Some(token) = rig.token(rig.clients[client].peer) else { continue };
            let stale = rig.driver.counters().stale_tokens;
            rig.driver.close(token, CloseMode::Reset);
            rig.turns(3);
            assert!(rig.served_mut(token).is_closed);
            rig.driver.close(token, CloseMode::Reset);
            rig.driver.pause_receive(token);
            rig.driver.resume_receive(token);
            rig.send(token, b"stale".to_vec(), 0);
            assert_eq!(rig.driver.counters().stale_tokens, stale + 4);
        }
    }
}
