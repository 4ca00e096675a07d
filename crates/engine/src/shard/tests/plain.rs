//! Plain requests beside the WebSockets.

use super::rig::Rig;

/// What comes back for a request, and whether the stream ended in order behind it.
fn answer(rig: &mut Rig, request: &str) -> (String, bool) {
    let peer = rig.network.connect();
    rig.network.send(peer, request.as_bytes());
    rig.turn(0);
    rig.turn(0);
    let text = String::from_utf8(rig.network.received(peer)).unwrap();
    (text, rig.network.is_ended(peer) && !rig.network.is_reset(peer))
}

#[test]
fn a_plain_request_is_answered_by_the_handler_and_its_connection_ends() {
    let mut rig = Rig::new(|_| {});
    let (text, ends) =
        answer(&mut rig, "GET /page HTTP/1.1\r\nHost: a\r\n\r\nGET /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\na page") && ends, "the second request was answered: {text}");
    let (text, ends) = answer(&mut rig, "HEAD /page HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.contains("Content-Length: 6\r\n") && text.ends_with("\r\n\r\n") && ends, "{text}");
    assert_eq!(rig.summary().refused, 0);
}

#[test]
fn without_a_page_a_plain_request_is_told_to_upgrade() {
    let mut rig = Rig::new(|_| {});
    let (text, ends) = answer(&mut rig, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 426 ") && text.contains("Upgrade: websocket\r\n") && ends, "{text}");
    assert_eq!(rig.summary().refused, 1);
}

#[test]
fn a_response_that_cannot_be_sent_or_a_panic_is_answered_500() {
    let mut rig = Rig::new(|_| {});
    for path in ["/bad-header", "/panic"] {
        let (text, ends) = answer(&mut rig, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(text.starts_with("HTTP/1.1 500 ") && !text.contains("c: d") && ends, "{text}");
    }
    assert_eq!(rig.summary().handler_panics, 1);
}

#[test]
fn a_download_takes_its_time_as_long_as_the_peer_reads_on_and_is_cut_when_it_stops() {
    let mut rig = Rig::new(|config| config.close_timeout_ms = 5_000);
    let peer = rig.network.connect();
    rig.network.set_window(peer, 10_000);
    rig.network.send(peer, b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut read = 0;
    for _second in 0..20 {
        rig.run(1000);
        read += rig.network.received(peer).len();
    }
    assert!(read > 150_000, "{read} bytes in 20 s");
    assert_eq!(rig.network.open_connections(), 1);
    rig.run(6_000);
    assert!(rig.network.is_reset(peer), "nothing was read for 6 s");
}
