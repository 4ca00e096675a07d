//! Peers that misbehave: each ends with the right code or status, frees its slot and harms nobody else.

mod support;

use std::io::Write;
use std::time::Duration;

use gannet::{OutboxPolicy, RatePolicy};
use support::{Client, REQUEST, Seen, Server, masked_frame};

#[test]
fn a_reader_that_stops_is_closed_with_1013_and_cut_at_the_close_deadline() {
    let server = Server::start(|config| {
        config.outbox_bytes_max = 256 * 1024;
        config.close_timeout_ms = 300;
    });
    let mut bystander = Client::open(server.address());
    let mut stalled = Client::open(server.address());
    stalled.send_text("flood");
    assert_eq!(server.closed(), (1013, false));
    server.wait_for_connections(1);
    bystander.assert_echoes();
}

#[test]
fn a_slow_reader_that_reads_on_finds_the_close_frame_behind_its_messages() {
    let server = Server::start(|config| config.outbox_bytes_max = 256 * 1024);
    let mut slow = Client::open(server.address());
    slow.send_text("flood");
    assert_eq!(server.closed(), (1013, false));
    let (mut messages, close) = (0, loop_until_close(&mut slow));
    messages += close.0;
    assert!(messages >= 4, "{messages} messages of 64 KiB came before the Close");
    assert_eq!(close.1, 1013);
    assert_eq!(slow.read_to_end(), []);
    server.wait_for_connections(1);
    drop(slow);
    server.wait_for_connections(0);
}

/// Counts the binary messages before the Close frame, and gives its code.
fn loop_until_close(client: &mut Client) -> (usize, u16) {
    let mut messages = 0;
    loop {
        match client.read_frame() {
            (0x82, payload) => {
                assert_eq!(payload.len(), 64 * 1024);
                messages += 1;
            }
            (0x88, payload) => return (messages, u16::from_be_bytes([payload[0], payload[1]])),
            (first, _) => panic!("frame {first:#x}"),
        }
    }
}

#[test]
fn with_the_refuse_policy_a_full_outbox_loses_the_message_but_not_the_connection() {
    let server = Server::start(|config| {
        config.outbox_bytes_max = 256 * 1024;
        config.outbox_policy = OutboxPolicy::Refuse;
    });
    let mut slow = Client::open(server.address());
    slow.send_text("flood");
    while server.next() != Seen::Message(b"flood".to_vec()) {}
    slow.send(0x88, &1000_u16.to_be_bytes());
    assert_eq!(loop_until_close(&mut slow).1, 1000);
    assert_eq!(server.closed(), (1000, true));
}

#[test]
fn an_echo_client_that_does_not_read_is_slowed_down_and_loses_nothing() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    let mut writer = client.stream.try_clone().unwrap();
    let messages = 600_u32;
    let writing = std::thread::spawn(move || {
        for number in 0..messages {
            let mut payload = vec![number as u8; 40_000];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            writer.write_all(&masked_frame(0x82, &payload)).unwrap();
        }
    });
    while server.engine().summary().opened == 0 {}
    for number in 0..messages {
        let (first, payload) = client.read_frame();
        assert_eq!((first, payload.len()), (0x82, 40_000));
        assert_eq!(payload[..4], number.to_be_bytes());
        assert!(payload[4..].iter().all(|&byte| byte == number as u8));
    }
    writing.join().unwrap();
    client.assert_echoes();
}

#[test]
fn a_peer_that_vanishes_is_pinged_and_then_cut() {
    let server = Server::start(|config| {
        config.ping_interval_ms = 200;
        config.pong_timeout_ms = 200;
    });
    let mut vanished = Client::open(server.address());
    assert_eq!(vanished.read_frame(), (0x89, vec![]));
    assert_eq!(server.closed(), (1006, false));
    vanished.read_until_gone();
    server.wait_for_connections(0);
}

#[test]
fn a_silent_peer_that_answers_pings_stays() {
    let server = Server::start(|config| {
        config.ping_interval_ms = 100;
        config.pong_timeout_ms = 5_000;
    });
    let mut silent = Client::open(server.address());
    for _ in 0..3 {
        assert_eq!(silent.read_frame(), (0x89, vec![]));
        silent.send(0x8a, b"");
    }
    assert_eq!(server.seen_so_far(), [Seen::Opened]);
}

#[test]
fn half_a_handshake_is_answered_408_at_the_deadline() {
    let server = Server::start(|config| config.handshake_timeout_ms = 200);
    let mut bystander = Client::open(server.address());
    let mut half = Client::raw(server.address());
    half.write(&REQUEST.as_bytes()[..60]);
    let head = half.read_head();
    assert!(head.starts_with("HTTP/1.1 408 ") && head.contains("Connection: close"), "{head}");
    half.read_to_end();
    drop(half);
    server.wait_for_connections(1);
    bystander.assert_echoes();
}

#[test]
fn a_client_that_says_nothing_at_all_is_answered_408_too() {
    let server = Server::start(|config| config.handshake_timeout_ms = 200);
    let mut mute = Client::raw(server.address());
    assert!(mute.read_head().starts_with("HTTP/1.1 408 "));
    // It never ends its side either: the linger deadline frees the slot.
    server.wait_for_connections(0);
}

#[test]
fn garbage_instead_of_http_is_answered_400_at_once() {
    let server = Server::start(|_| {});
    let mut bystander = Client::open(server.address());
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello tls"[..], &[0xff; 64], b"\0\0\0\0"]
    {
        let mut client = Client::raw(server.address());
        client.write(garbage);
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 400 "), "{garbage:?}: {head}");
    }
    server.wait_for_connections(1);
    bystander.assert_echoes();
}

#[test]
fn bytes_behind_a_refused_request_are_never_parsed() {
    let server = Server::start(|_| {});
    let mut client = Client::raw(server.address());
    let refused = REQUEST.replace("Version: 13", "Version: 8");
    client.write(format!("{refused}{REQUEST}").as_bytes());
    let head = client.read_head();
    assert!(head.starts_with("HTTP/1.1 426 ") && head.contains("Sec-WebSocket-Version: 13"), "{head}");
    let rest = String::from_utf8(client.read_to_end()).unwrap();
    assert!(!rest.contains("101"), "{rest}");
    assert_eq!(server.seen_so_far(), []);
}

#[test]
fn a_length_of_two_to_the_63_is_answered_1002_and_one_below_it_1009() {
    let server = Server::start(|_| {});
    let mut bystander = Client::open(server.address());
    for (length, code) in
        [(1_u64 << 63, 1002), (u64::MAX, 1002), ((1 << 63) - 1, 1009), (16 * 1024 * 1024 + 1, 1009)]
    {
        let mut client = Client::open(server.address());
        let mut header = vec![0x82, 0xff];
        header.extend(length.to_be_bytes());
        client.write(&header);
        client.write(&[1, 2, 3, 4]);
        assert_eq!(client.read_close(), code, "length {length}");
        assert_eq!(client.read_to_end(), []);
        assert_eq!(server.closed(), (code, false));
    }
    server.wait_for_connections(1);
    bystander.assert_echoes();
}

#[test]
fn an_unmasked_frame_is_answered_1002_and_delivers_nothing() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    client.write(&[0x81, 5, b'H', b'e', b'l', b'l', b'o']);
    assert_eq!(client.read_close(), 1002);
    assert_eq!(server.next(), Seen::Opened);
    assert!(matches!(server.next(), Seen::Closed { code: 1002, was_clean: false, .. }));
}

#[test]
fn the_connection_over_the_cap_is_answered_503_and_the_next_one_after_a_leave_gets_in() {
    let server = Server::start(|config| config.connections_max = Some(2));
    let first = Client::open(server.address());
    let mut second = Client::open(server.address());
    let mut third = Client::raw(server.address());
    third.write(REQUEST.as_bytes());
    let head = third.read_head();
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("Retry-After: "), "{head}");
    drop(third);
    second.assert_echoes();
    drop(first);
    server.wait_for_connections(1);
    Client::open(server.address()).assert_echoes();
}

#[test]
fn a_reset_in_the_middle_of_a_message_is_reported_as_1006() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    client.write(&masked_frame(0x82, &[1; 1000])[..500]);
    // An echo on a second connection shows that the server has taken what was written on the first.
    Client::open(server.address()).assert_echoes();
    rustix::net::sockopt::set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(server.closed(), (1006, false));
    server.wait_for_connections(0);
}

#[test]
fn an_end_of_stream_without_close_is_reported_as_1006_after_what_came_before() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    client.send_text("last words");
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read_frame(), (0x81, b"last words".to_vec()));
    assert_eq!(server.closed(), (1006, false));
    assert_eq!(client.read_to_end(), []);
    server.wait_for_connections(0);
}

#[test]
fn a_peer_that_sends_100_000_pings_and_never_reads_is_ended_with_1008() {
    let server = Server::start(|config| config.close_timeout_ms = 300);
    let mut bystander = Client::open(server.address());
    let mut flooding = Client::open(server.address());
    // It fails when the server has closed the connection.
    flooding.stream.write_all(&masked_frame(0x89, &[b'p'; 125]).repeat(100_000)).ok();
    assert_eq!(server.closed(), (1008, false));
    bystander.assert_echoes();
    server.wait_for_connections(1);
}

#[test]
fn a_peer_that_trickles_a_message_is_ended_with_1008() {
    let server = Server::start(|config| config.message_timeout_ms = 300);
    let mut bystander = Client::open(server.address());
    let mut trickling = Client::open(server.address());
    let frame = masked_frame(0x82, &[1; 100_000]);
    for byte in &frame {
        if server.engine().summary().cut > 0 {
            break;
        }
        trickling.write(&[*byte]);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(trickling.read_close(), 1008);
    assert_eq!(server.closed(), (1008, false));
    bystander.assert_echoes();
    drop(trickling);
    server.wait_for_connections(1);
}

#[test]
fn a_peer_over_the_messages_per_second_is_ended_with_1008() {
    let server = Server::start(|config| {
        config.messages_per_s_max = Some(100);
        config.rate_policy = RatePolicy::Close;
    });
    let mut bystander = Client::open(server.address());
    let mut flooding = Client::open(server.address());
    flooding.write(&masked_frame(0x82, b"m").repeat(10_000));
    assert_eq!(server.closed(), (1008, false));
    bystander.assert_echoes();
    drop(flooding);
    server.wait_for_connections(1);
}

#[test]
fn a_handler_that_panics_ends_one_connection_with_1011_and_the_shard_goes_on() {
    let server = Server::start(|_| {});
    let mut bystander = Client::open(server.address());
    let mut unlucky = Client::open(server.address());
    unlucky.send_text("panic");
    assert_eq!(unlucky.read_close(), 1011);
    assert_eq!(unlucky.read_to_end(), []);
    assert_eq!(server.closed(), (1011, false));
    let mut refused = Client::raw(server.address());
    refused.write(REQUEST.replace("/echo", "/panic").as_bytes());
    let head = refused.read_head();
    assert!(head.starts_with("HTTP/1.1 500 "), "{head}");
    drop((unlucky, refused));
    server.wait_for_connections(1);
    bystander.assert_echoes();
    assert_eq!(server.engine().summary().handler_panics, 2);
}
