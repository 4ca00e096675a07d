//! The heads of the opening handshake, byte for byte.

use gannet_proto::handshake::{
    ClientHandshakeError, HandshakeError, HeadError, HeadScanner, Limits, Request, Response, verify_response,
    write_accept, write_request,
};

/// The nonce of the example in RFC 6455 §1.3; its key is `dGhlIHNhbXBsZSBub25jZQ==`.
const NONCE: [u8; 16] = *b"the sample nonce";
const REQUEST: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com:8080\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What a client that offered the subprotocol `chat` makes of a response.
fn verify(response: &str) -> Result<Option<Response<'_>>, ClientHandshakeError> {
    verify_response(response.as_bytes(), NONCE, &["chat"], None)
        .map(|verified| verified.map(|(read, _)| read))
}

fn read(head: &[u8]) -> Result<Request<'_>, HandshakeError> {
    let read = HeadScanner::default().read_request(head, &Limits::default())?;
    Ok(read.expect("the head is complete").0)
}

/// The response to [`REQUEST`], with a chosen subprotocol and fields of the application.
fn accept(subprotocol: Option<&str>, headers: &[(&str, &str)]) -> Result<String, HeadError> {
    let mut out = Vec::new();
    write_accept(&mut out, &read(REQUEST.as_bytes()).expect("legal"), subprotocol, None, headers)?;
    Ok(String::from_utf8(out).expect("ASCII"))
}

#[test]
fn a_client_sends_each_field_that_the_rfc_requires_once() {
    let mut out = Vec::new();
    let subprotocols = ["chat", "superchat"];
    write_request(&mut out, "server.example.com:8080", "/chat?room=1", NONCE, &subprotocols, None)
        .expect("legal");
    assert_eq!(String::from_utf8(out).expect("ASCII"), REQUEST);
}

#[test]
fn a_response_without_one_of_its_fields_or_with_another_value_is_refused() {
    let cases = [
        ("Upgrade: websocket\r\n", "", ClientHandshakeError::NotAnUpgrade),
        ("Upgrade: websocket\r\n", "Upgrade: websocket2\r\n", ClientHandshakeError::NotAnUpgrade),
        ("Connection: Upgrade\r\n", "", ClientHandshakeError::NotAnUpgrade),
        ("Connection: Upgrade\r\n", "Connection: keep-alive\r\n", ClientHandshakeError::NotAnUpgrade),
        ("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "", ClientHandshakeError::AcceptMismatch),
        ("=\r\n", "\r\n", ClientHandshakeError::AcceptMismatch),
    ];
    for (field, other, error) in cases {
        assert_eq!(verify(&RESPONSE.replace(field, other)), Err(error), "{field:?} as {other:?}");
    }
}

#[test]
fn a_response_that_repeats_the_accept_or_the_subprotocol_is_refused() {
    let accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
    let twice = RESPONSE.replace(accept, &accept.repeat(2));
    assert_eq!(verify(&twice), Err(ClientHandshakeError::AcceptMismatch));
    let protocols = format!("{accept}{}", "Sec-WebSocket-Protocol: chat\r\n".repeat(2));
    let twice = RESPONSE.replace(accept, &protocols);
    assert_eq!(verify(&twice), Err(ClientHandshakeError::UnexpectedSubprotocol));
}

#[test]
fn a_response_may_be_written_in_any_case_and_with_blanks_around_its_values() {
    let free = RESPONSE
        .replace("Upgrade: websocket", "UPGRADE:  WebSocket ")
        .replace("Connection: Upgrade", "connection: keep-alive, UPGRADE")
        .replace("Sec-WebSocket-Accept: s3", "sec-websocket-accept: \t s3")
        .replace("=\r\n", "= \r\n");
    assert_eq!(verify(&free), Ok(Some(Response { subprotocol: None, compression: None })));
}

#[test]
fn a_server_names_no_subprotocol_and_no_extension_that_it_did_not_choose() {
    assert_eq!(accept(None, &[]).as_deref(), Ok(RESPONSE));
    let chosen = accept(Some("superchat"), &[]).expect("offered");
    assert_eq!(chosen.matches("Sec-WebSocket-Protocol: superchat\r\n").count(), 1);
    for name in ["soap", "Chat", ""] {
        let error = HeadError::SubprotocolNotOffered { name: name.to_owned() };
        assert_eq!(accept(Some(name), &[]), Err(error));
    }
}

#[test]
fn an_application_cannot_add_a_field_of_the_handshake() {
    let names = [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Accept",
        "sec-websocket-protocol",
        "SEC-WEBSOCKET-EXTENSIONS",
        "Content-Length",
        "Transfer-Encoding",
    ];
    for name in names {
        let error = HeadError::ReservedName { name: name.to_owned() };
        assert_eq!(accept(None, &[(name, "x")]), Err(error));
    }
}

#[test]
fn a_request_whose_text_is_not_utf8_is_refused() {
    let cases = [
        ("room", HandshakeError::Malformed),
        ("server", HandshakeError::InvalidHost),
        ("websocket\r", HandshakeError::NotAnUpgrade),
        ("dGhlIHNhbXBsZSBub25jZQ==", HandshakeError::InvalidKey),
    ];
    for (place, error) in cases {
        let (before, after) = REQUEST.split_once(place).expect("it is there");
        let head = [before.as_bytes(), b"\xff", place.as_bytes(), after.as_bytes()].concat();
        assert_eq!(read(&head).map(|_| ()), Err(error), "{place:?}");
    }
}

#[test]
fn a_response_whose_subprotocol_is_not_utf8_is_refused() {
    let (before, after) = RESPONSE.split_once("\r\n\r\n").expect("it is there");
    let head = [before.as_bytes(), b"\r\nSec-WebSocket-Protocol: \xff\r\n\r\n", after.as_bytes()].concat();
    let verified = verify_response(&head, NONCE, &["chat"], None);
    assert_eq!(verified, Err(ClientHandshakeError::UnexpectedSubprotocol));
}

#[test]
fn unknown_fields_of_a_request_are_ignored() {
    let unknown = "Cookie: a=b\r\nX-Unknown: 1\r\nSec-WebSocket-Unknown: 2\r\nUpgrade:";
    let head = REQUEST.replace("Upgrade:", unknown);
    assert!(read(head.as_bytes()).is_ok());
}
