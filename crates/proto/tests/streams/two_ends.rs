//! A client and a server wired together: what one sends the other sees, and every way to close ends cleanly.

use gannet_proto::deflate::{Direction, PerMessageDeflate, WindowBits};
use gannet_proto::{CloseCode, Config, Payload, ProtocolError, ReadyState};

use crate::harness::{Behaviour, End, Seen};

fn wired() -> (End, End) {
    (End::client(Config::default(), Behaviour::Ignore), End::server(Config::default(), Behaviour::Echo))
}

/// Carries what was sent both ways until nothing moves.
fn settle(client: &mut End, server: &mut End) {
    loop {
        let (up, down) = (client.take_wire(), server.take_wire());
        if up.is_empty() && down.is_empty() {
            return;
        }
        server.receive(&up);
        client.receive(&down);
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for messages of this size")]
fn every_message_is_echoed_whatever_its_size() {
    let sizes = [0, 1, 7, 125, 126, 127, 4096, 65_535, 65_536, 65_537, 1_000_000];
    let (mut client, mut server) = wired();
    let mut expected = Vec::new();
    for size in sizes {
        let text = "t".repeat(size);
        let bytes = vec![size as u8; size];
        client.send_message(Payload::Text(&text));
        client.send_message(Payload::Binary(&bytes));
        expected.extend([Seen::Text(text), Seen::Binary(bytes)]);
    }
    settle(&mut client, &mut server);
    assert_eq!(server.seen, expected);
    assert_eq!(client.seen, expected);
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for messages of this size")]
fn compressed_messages_are_echoed_whatever_their_size_and_parameters() {
    let direction = |context_takeover, bits| Direction {
        context_takeover,
        window_bits: WindowBits::new(bits).expect("8 to 15"),
    };
    let directions = [(false, 15), (false, 8), (true, 8), (true, 9), (true, 12), (true, 15)];
    for server_side in directions {
        for client_side in directions {
            let deflate = PerMessageDeflate {
                server: direction(server_side.0, server_side.1),
                client: direction(client_side.0, client_side.1),
            };
            let (mut client, mut server) = wired();
            client.connection = client.connection.with_compression(deflate);
            server.connection = server.connection.with_compression(deflate);
            let mut expected = Vec::new();
            for size in [0, 1, 255, 256, 257, 5_000, 40_000, 70_000, 300] {
                let text: String = (0..size).map(|at| ['ä', 'b', '€'][at * at % 7 % 3]).collect();
                let bytes: Vec<u8> = (0..size).map(|at| ((at * at) >> 3) as u8).collect();
                client.send_message(Payload::Text(&text));
                client.send_message(Payload::Binary(&bytes));
                expected.extend([Seen::Text(text), Seen::Binary(bytes)]);
            }
            settle(&mut client, &mut server);
            assert!(server.seen == expected && client.seen == expected, "{deflate:?}");
        }
    }
}

#[test]
fn a_ping_from_either_end_is_answered_with_its_payload() {
    let (mut client, mut server) = wired();
    client.send(|connection, out| connection.send_ping(b"from client", out));
    server.send(|connection, out| connection.send_ping(b"from server", out));
    settle(&mut client, &mut server);
    assert_eq!(client.seen, [Seen::Ping(b"from server".to_vec()), Seen::Pong(b"from client".to_vec())]);
    assert_eq!(server.seen, [Seen::Ping(b"from client".to_vec()), Seen::Pong(b"from server".to_vec())]);
}

/// What an end does before the wires are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Nothing,
    Close,
    SendThenClose,
    Fail,
}

fn perform(end: &mut End, act: Act) {
    if act == Act::SendThenClose {
        end.send_message(Payload::Text("last words"));
    }
    match act {
        Act::Nothing => {}
        Act::Close | Act::SendThenClose => {
            end.send(|connection, out| connection.close(Some(CloseCode::GOING_AWAY), "bye", out));
        }
        Act::Fail => end.connection.fail(ProtocolError::OutboxFull, &mut end.wire),
    }
}

fn closes_seen(end: &End) -> usize {
    end.seen.iter().filter(|seen| matches!(seen, Seen::Close(..))).count()
}

#[test]
fn every_pair_of_acts_ends_with_both_closed_and_at_most_one_close_seen() {
    let acts = [Act::Nothing, Act::Close, Act::SendThenClose, Act::Fail];
    for client_act in acts {
        for server_act in acts {
            for client_first in [true, false] {
                if (client_act, server_act) == (Act::Nothing, Act::Nothing) {
                    continue;
                }
                let (mut client, mut server) = wired();
                perform(&mut client, client_act);
                if client_first && !client.wire.is_empty() {
                    let up = client.take_wire();
                    server.receive(&up);
                }
                if !server.connection.is_close_sent() {
                    perform(&mut server, server_act);
                }
                settle(&mut client, &mut server);
                let label = format!("{client_act:?}, {server_act:?}, client first: {client_first}");
                assert_eq!(client.connection.ready_state(), ReadyState::Closed, "{label}");
                assert_eq!(server.connection.ready_state(), ReadyState::Closed, "{label}");
                assert!(closes_seen(&client) <= 1 && closes_seen(&server) <= 1, "{label}");
                let client_failed = client_act == Act::Fail;
                assert_eq!(closes_seen(&client), usize::from(!client_failed), "{label}");
            }
        }
    }
}

#[test]
fn messages_that_cross_a_close_are_not_delivered() {
    let (mut client, mut server) = wired();
    client.send_message(Payload::Text("crossing"));
    server.send(|connection, out| connection.close(None, "", out));
    settle(&mut client, &mut server);
    assert_eq!(server.seen, [Seen::Close(None, String::new())]);
    assert_eq!(client.seen, [Seen::Close(None, String::new())]);
}
