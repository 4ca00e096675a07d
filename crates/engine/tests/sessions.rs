//! Well-behaved connections: the opening handshake, messages, the closing handshake and the drain.

mod support;

use support::{Client, REQUEST, Seen, Server, masked_frame};

#[test]
fn a_text_and_a_binary_message_come_back_as_they_came() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000, 3_000_000] {
        let payload = vec![b'x'; size];
        for first in [0x81, 0x82] {
            client.send(first, &payload);
            let (reply, echoed) = client.read_frame();
            assert_eq!((reply, echoed.len()), (first, size));
            assert!(echoed == payload);
        }
    }
}

#[test]
fn the_accept_key_is_the_one_of_the_rfc() {
    let server = Server::start(|_| {});
    let mut client = Client::raw(server.address());
    client.write(REQUEST.as_bytes());
    let head = client.read_head();
    assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
}

#[test]
fn frames_in_the_segment_of_the_request_are_answered_after_the_response_and_in_order() {
    let server = Server::start(|_| {});
    let mut client = Client::raw(server.address());
    let mut bytes = REQUEST.as_bytes().to_vec();
    bytes.extend(masked_frame(0x81, b"one"));
    bytes.extend(masked_frame(0x82, b"two"));
    client.write(&bytes);
    assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_frame(), (0x81, b"one".to_vec()));
    assert_eq!(client.read_frame(), (0x82, b"two".to_vec()));
}

#[test]
fn a_request_and_frames_that_drip_byte_by_byte_are_served_alike() {
    let server = Server::start(|_| {});
    let mut client = Client::raw(server.address());
    let mut bytes = REQUEST.as_bytes().to_vec();
    bytes.extend(masked_frame(0x01, "hä".as_bytes()));
    bytes.extend(masked_frame(0x89, b"ping"));
    bytes.extend(masked_frame(0x80, "lft".as_bytes()));
    for byte in bytes {
        client.write(&[byte]);
    }
    assert!(client.read_head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.read_frame(), (0x8a, b"ping".to_vec()));
    assert_eq!(client.read_frame(), (0x81, "hälft".as_bytes().to_vec()));
}

#[test]
fn replies_in_place_and_sent_messages_keep_their_order() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    let mut bytes = masked_frame(0x81, b"first");
    bytes.extend(masked_frame(0x81, b"before and after"));
    bytes.extend(masked_frame(0x81, b"last"));
    client.write(&bytes);
    for expected in ["first", "before", "before and after", "after", "last"] {
        assert_eq!(client.read_frame(), (0x81, expected.as_bytes().to_vec()));
    }
}

#[test]
fn pipelined_messages_cut_anywhere_come_back_in_order() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    let sizes: Vec<usize> = (0..400).map(|number| (number * 37) % 1500).collect();
    let bytes: Vec<u8> = sizes
        .iter()
        .enumerate()
        .flat_map(|(number, &size)| masked_frame(0x82, &vec![number as u8; size]))
        .collect();
    let mut writer = client.stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for piece in bytes.chunks(977) {
            std::io::Write::write_all(&mut writer, piece).unwrap();
        }
    });
    for (number, &size) in sizes.iter().enumerate() {
        assert_eq!(client.read_frame(), (0x82, vec![number as u8; size]));
    }
    writing.join().unwrap();
}

#[test]
fn the_peers_close_is_echoed_and_the_server_ends_the_stream_first() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    client.send(0x88, b"\x0f\xa1bye");
    assert_eq!(client.read_frame(), (0x88, b"\x0f\xa1bye".to_vec()));
    assert_eq!(client.read_to_end(), []);
    assert_eq!(server.next(), Seen::Opened);
    assert_eq!(server.next(), Seen::Closed { code: 4001, reason: "bye".to_owned(), was_clean: true });
}

#[test]
fn a_close_by_the_handler_is_clean_once_the_peer_has_answered() {
    let server = Server::start(|_| {});
    let mut client = Client::open(server.address());
    client.send_text("close");
    assert_eq!(client.read_frame(), (0x88, b"\x0f\xa0as told".to_vec()));
    client.send(0x88, &4000_u16.to_be_bytes());
    assert_eq!(server.closed(), (4000, true));
    assert_eq!(client.read_to_end(), []);
}

#[test]
fn a_peer_that_never_answers_a_close_is_cut_at_the_close_deadline() {
    let server = Server::start(|config| config.close_timeout_ms = 200);
    let mut client = Client::open(server.address());
    client.send_text("close");
    assert_eq!(client.read_close(), 4000);
    assert_eq!(server.closed(), (1006, false));
    client.read_until_gone();
    server.wait_for_connections(0);
}

#[test]
fn the_handler_chooses_the_subprotocol_and_adds_headers() {
    let server = Server::start(|_| {});
    let mut client = Client::raw(server.address());
    let request = REQUEST
        .replace("/echo", "/soap")
        .replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: xmpp, soap\r\n\r\n");
    client.write(request.as_bytes());
    let head = client.read_head();
    assert!(head.contains("Sec-WebSocket-Protocol: soap\r\n") && head.contains("X-Test: yes\r\n"), "{head}");
}

#[test]
fn a_subprotocol_that_was_not_offered_or_a_header_with_a_line_break_is_never_sent() {
    let server = Server::start(|_| {});
    for path in ["/soap", "/injected"] {
        let mut client = Client::raw(server.address());
        client.write(REQUEST.replace("/echo", path).as_bytes());
        let head = client.read_head();
        assert!(head.starts_with("HTTP/1.1 500 ") && !head.contains("b: c"), "{head}");
    }
}

#[test]
fn the_handler_rejects_with_a_status_and_a_body() {
    let server = Server::start(|_| {});
    let mut client = Client::raw(server.address());
    client.write(REQUEST.replace("/echo", "/rejected").as_bytes());
    assert!(client.read_head().starts_with("HTTP/1.1 403 "));
    assert_eq!(client.read_to_end(), b"not you");
}

#[test]
fn a_stopped_engine_says_1001_and_counts_who_answered() {
    let server = Server::start(|config| config.drain_timeout_ms = 500);
    let mut polite = Client::open(server.address());
    let mut mute = Client::open(server.address());
    let address = server.address();
    server.engine().stop();
    assert_eq!(polite.read_close(), 1001);
    polite.send(0x88, &1001_u16.to_be_bytes());
    assert_eq!(polite.read_to_end(), []);
    drop(polite);
    assert_eq!(mute.read_close(), 1001);
    assert!(std::net::TcpStream::connect(address).is_err(), "a stopped engine does not accept");
    let summary = server.stop();
    assert_eq!((summary.opened, summary.closed_cleanly, summary.cut, summary.connections), (2, 1, 1, 0));
    mute.read_until_gone();
}
