//! Limits of a shard: addresses, handshakes, bytes, age, and the memory that waits for slow peers.

use super::peer::{Peer, Seen, frame, request};
use super::rig::Rig;
use crate::config::RatePolicy;

#[test]
fn an_address_over_its_limit_is_answered_429_until_one_of_it_leaves() {
    let mut rig = Rig::new(|config| {
        // Each simulated peer has an address of its own; these are of one network.
        config.connections_per_prefix_max = 2;
    });
    let first = Peer::open(&mut rig, "/");
    Peer::open(&mut rig, "/");
    let mut third = Peer::connect(&rig.network);
    rig.turn(0);
    assert_eq!(third.read_one(), Seen::Status(429));
    rig.network.reset(first.id);
    rig.network.end_stream(third.id);
    rig.run(20);
    Peer::open(&mut rig, "/");
}

#[test]
fn an_exempt_address_is_not_counted() {
    let mut rig = Rig::new(|config| {
        config.connections_per_prefix_max = 1;
        config.address_limit_exempt = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let _peers: Vec<Peer> = (0..5).map(|_| Peer::open(&mut rig, "/")).collect();
}

#[test]
fn behind_a_trusted_proxy_it_is_the_client_that_is_counted() {
    let mut rig = Rig::new(|config| {
        config.connections_per_address_max = 2;
        config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    });
    let mut connect = |client: &str| {
        let mut peer = Peer::connect(&rig.network);
        let head = String::from_utf8(request("/")).unwrap();
        let (line, fields) = head.split_once("\r\n").unwrap();
        peer.write(format!("{line}\r\nX-Forwarded-For: {client}\r\n{fields}").as_bytes());
        rig.turn(0);
        rig.turn(0);
        let seen = peer.read_one();
        (seen, peer)
    };
    let (first, peer) = connect("192.0.2.1");
    assert_eq!((first, connect("192.0.2.1").0), (Seen::Status(101), Seen::Status(101)));
    assert_eq!((connect("192.0.2.1").0, connect("192.0.2.2").0), (Seen::Status(429), Seen::Status(101)));
    rig.network.reset(peer.id);
    rig.run(20);
    let mut again = Peer::connect(&rig.network);
    again.write(&request("/"));
    rig.turn(0);
    rig.turn(0);
    assert_eq!(
        again.read_one(),
        Seen::Status(101),
        "without a header it is the proxy, which is not counted less"
    );
}

#[test]
fn handshakes_over_the_rate_are_answered_503() {
    let mut rig = Rig::new(|config| config.handshakes_per_s_max = 8);
    let mut peers: Vec<Peer> = (0..4).map(|_| Peer::connect(&rig.network)).collect();
    for peer in &mut peers {
        peer.write(&request("/"));
    }
    rig.turn(0);
    rig.turn(0);
    let seen: Vec<Seen> = peers.iter_mut().map(Peer::read_one).collect();
    assert_eq!(seen, [Seen::Status(101), Seen::Status(101), Seen::Status(503), Seen::Status(503)]);
    rig.run(125);
    Peer::open(&mut rig, "/");
}

#[test]
fn a_peer_that_used_up_its_second_is_received_from_in_the_next_and_nothing_is_lost() {
    for limit in ["bytes", "messages"] {
        let mut rig = Rig::new(|config| match limit {
            "bytes" => config.bytes_per_s_max = Some(1_000),
            _ => config.messages_per_s_max = Some(10),
        });
        let mut peer = Peer::open(&mut rig, "/");
        rig.turn(10);
        peer.write(&frame(0x82, &[1; 94]).repeat(10));
        rig.turn(10);
        assert_eq!(peer.read().len(), 10);
        peer.write(&frame(0x82, &[2; 94]).repeat(3));
        rig.run(900);
        assert_eq!((peer.read(), rig.network.unread_bytes(peer.id)), (vec![], 300), "{limit}");
        rig.run(400);
        assert_eq!((peer.read().len(), rig.shard.counts.rate_pauses), (3, 1), "{limit}");
    }
}

#[test]
fn where_the_policy_is_to_close_a_byte_too_many_is_answered_1008() {
    let mut rig = Rig::new(|config| {
        config.bytes_per_s_max = Some(1_000);
        config.rate_policy = RatePolicy::Close;
    });
    let mut peer = Peer::open(&mut rig, "/");
    peer.write(&frame(0x82, &[1; 94]).repeat(10));
    rig.turn(0);
    assert_eq!(peer.read().len(), 10);
    peer.write(&frame(0x82, b""));
    rig.turn(0);
    assert_eq!((peer.read_one(), rig.record(peer.id).messages), (Seen::Close(1008), 10));
}

#[test]
fn a_connection_is_closed_with_1001_between_nine_tenths_of_its_lifetime_and_all_of_it() {
    let mut rig = Rig::new(|config| config.lifetime_ms = Some(100_000));
    let mut peers: Vec<Peer> = (0..50).map(|_| Peer::open(&mut rig, "/")).collect();
    let mut closed = Vec::new();
    for _second in 0..102 {
        rig.run(1000);
        let seen: Vec<Seen> =
            peers.iter_mut().flat_map(Peer::read).filter(|seen| *seen != Seen::Ping).collect();
        assert!(seen.iter().all(|seen| *seen == Seen::Close(1001)), "{seen:?}");
        closed.push(seen.len());
    }
    assert_eq!((closed[..89].iter().sum::<usize>(), closed.iter().sum::<usize>()), (0, 50));
    assert!(closed[89..].iter().all(|&count| count < 15), "they leave together: {closed:?}");
}

#[test]
fn over_the_budget_of_memory_the_slowest_are_cut_and_new_ones_refused() {
    let mut rig = Rig::new(|config| config.buffered_bytes_max = 1 << 20);
    let mut other = Peer::open(&mut rig, "/");
    let mut slow: Vec<Peer> = (0..5).map(|_| Peer::open(&mut rig, "/")).collect();
    for (at, peer) in slow.iter_mut().enumerate() {
        rig.network.set_window(peer.id, 0);
        // The later ones have a little more: they go first.
        peer.text("/large");
        (0..at).for_each(|_| peer.text("x"));
    }
    rig.turn(0);
    let closed: Vec<usize> = slow.iter().map(|peer| rig.record(peer.id).closed.len()).collect();
    assert_eq!(closed, [0, 0, 0, 1, 1], "1 MiB may wait; each has a quarter and a little");
    assert_eq!(rig.record(slow[4].id).closed, [(1013, false)]);
    assert_eq!((rig.shard.counts.shed, slow[4].is_reset()), (2, true));
    other.text("served");
    rig.turn(0);
    assert_eq!(other.read_one(), Seen::Text(b"served".to_vec()));
}
