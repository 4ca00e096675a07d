//! What the contract asks for besides: nothing kept while idle, plain connections untouched, and any order of faults.

use gannet_driver::sim::Faults;
use gannet_driver::{CloseMode, Driver};

use super::rig::{Caller, Rig, VERSIONS, pattern};
use crate::edge::Edge;
use crate::edge::connection::Stage;
use crate::edge::layer::find;

#[test]
fn an_idle_connection_holds_no_buffer_of_ours() {
    for version in VERSIONS {
        let mut rig = Rig::new(Caller::Echoes, 0, Faults::none());
        let (client, token) = rig.connected_over(version);
        rig.network.set_window(rig.clients[client].peer, 1000);
        rig.clients[client].send(&pattern(70_000));
        rig.until("the echo", |rig| rig.clients[client].read.len() == 70_000);
        rig.turns(2);
        let connection = find(&mut rig.driver.connections, token).unwrap();
        let Stage::Tls(stream) = &connection.stage else { panic!("{:?}", connection.stage) };
        assert_eq!((stream.kept_bytes(), connection.outgoing.held_bytes()), (0, 0));
        assert!(rig.driver.handshakes.is_empty() && rig.driver.pending.is_empty());
    }
}

#[test]
fn connections_of_a_plain_listener_pass_and_have_no_entry() {
    let edge = Edge::default();
    assert!(edge.is_plain());
    let mut rig = Rig::with_edge(Caller::Echoes, 0, Faults::none(), edge, None);
    let peer = rig.network.connect();
    rig.network.set_window(peer, 1000);
    rig.network.send(peer, &pattern(70_000));
    let mut read = Vec::new();
    while read.len() < 70_000 {
        rig.turn();
        read.extend(rig.network.received(peer));
    }
    assert!(read == pattern(70_000) && rig.driver.connections.is_empty());
}

#[test]
#[should_panic(expected = "at most one send is in flight")]
#[cfg(debug_assertions)]
fn a_second_send_in_flight_is_a_bug_of_the_caller() {
    let mut rig = Rig::new(Caller::Listens, 0, Faults::none());
    let (client, token) = rig.connected();
    rig.network.set_window(rig.clients[client].peer, 0);
    rig.send(token, pattern(100), 0);
    let _ = rig.driver.send(token, pattern(100), 0);
}

#[test]
fn nothing_leaks_and_no_rule_is_broken_whatever_breaks_below() {
    for seed in 0..60 {
        // Stale completions are not the driver's right: the engine ignores them, this caller does not.
        let faults = Faults { stale_completion_per_mille: 0, ..Faults::all() };
        let mut rig = Rig::new(Caller::Echoes, seed, faults);
        for number in 0..6 {
            let client = rig.connect(&rig.config(VERSIONS[number % 2]));
            rig.clients[client].send(&pattern(20_000 * number));
            rig.turns(5);
        }
        rig.turns(60);
        rig.driver.stop_accepting();
        let peers: Vec<_> = rig.clients.iter().map(|client| client.peer).collect();
        for peer in peers {
            if let Some(token) = rig.token(peer) {
                rig.driver.close(token, CloseMode::Orderly);
            }
        }
        rig.turns(2);
        let open = (rig.network.open_connections(), rig.network.sends_in_flight());
        assert_eq!(open, (0, 0), "seed {seed}");
        assert!(rig.driver.connections.iter().all(Option::is_none), "seed {seed}: an entry is left");
    }
}
