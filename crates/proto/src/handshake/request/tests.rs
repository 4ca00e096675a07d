//! Requests as tables: what is accepted, what is refused with which status.

use super::*;

const FIELDS: [(&str, &str); 5] = [
    ("Host", "example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

fn head(request_line: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{request_line}\r\n{fields}\r\n").into_bytes()
}

/// The legal request with one field changed, left out (`None`) or added.
fn with_field(name: &str, value: Option<&str>) -> Vec<u8> {
    let mut fields = FIELDS.to_vec();
    fields.retain(|(other, _)| *other != name);
    fields.extend(value.map(|value| (name, value)));
    head("GET / HTTP/1.1", &fields)
}

/// The legal request with fields added.
fn with_added(fields: &[(&str, &str)]) -> Vec<u8> {
    head("GET / HTTP/1.1", &[&FIELDS, fields].concat())
}

fn read(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, HandshakeError> {
    HeadScanner::default().read_request(bytes, &Limits::default())
}

/// Reads a head whole and byte by byte; both must refuse it, and the error of the whole head is returned.
fn refusal(bytes: &[u8]) -> HandshakeError {
    let mut scanner = HeadScanner::default();
    let dripped =
        (1..=bytes.len()).find_map(|end| scanner.read_request(&bytes[..end], &Limits::default()).err());
    assert!(dripped.is_some(), "accepted byte by byte");
    match read(bytes) {
        Err(error) => error,
        Ok(read) => panic!("not refused: {read:?}"),
    }
}

fn assert_refused(bytes: &[u8], error: HandshakeError, status: u16) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    assert_eq!(refusal(bytes), error, "{text}");
    assert_eq!(error.status(), status, "{text}");
}

#[test]
fn a_legal_request_is_read_with_all_its_parts() {
    let bytes = head(
        "GET /chat/room?id=7&x=? HTTP/1.1",
        &[
            &FIELDS[..],
            &[("Origin", "https://example.com"), ("Sec-WebSocket-Protocol", "a, b"), ("X", "1"), ("x", "2")],
        ]
        .concat(),
    );
    let (request, head_len) = read(&bytes).expect("legal").expect("complete");
    assert_eq!(head_len, bytes.len());
    assert_eq!(request.target(), "/chat/room?id=7&x=?");
    assert_eq!(request.path(), "/chat/room");
    assert_eq!(request.query(), Some("id=7&x=?"));
    assert_eq!(request.host(), "example.com");
    assert_eq!(request.origin(), Some("https://example.com"));
    assert_eq!(request.key(), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(request.header("X-None"), None);
    assert_eq!(request.header("X"), Some(&b"1"[..]));
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(request.headers().count(), 9);
}

#[test]
fn the_forms_that_the_rfc_leaves_free_are_accepted() {
    let heads = [
        with_field("Connection", Some("keep-alive, Upgrade")),
        with_field("Connection", Some("UPGRADE")),
        with_field("Upgrade", Some("WebSocket")),
        with_field("Upgrade", Some("h2c, websocket")),
        with_added(&[("Connection", "keep-alive")]),
        with_added(&[("Content-Length", "0")]),
        with_added(&[
            ("Sec-WebSocket-Extensions", "constructor"),
            ("Sec-WebSocket-Extensions", ",;constructor"),
        ]),
        with_added(&[("Sec-WebSocket-Extensions", "a; b=\"\\c\\c\\c")]),
    ];
    for bytes in heads {
        assert!(matches!(read(&bytes), Ok(Some(_))), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn an_absolute_target_is_reduced_to_its_path() {
    let cases = [
        ("http://example.com/chat?x", "/chat", Some("x")),
        ("wss://example.com", "/", None),
        ("/a://b?c", "/a://b", Some("c")),
    ];
    for (target, path, query) in cases {
        let bytes = head(&format!("GET {target} HTTP/1.1"), &FIELDS);
        let (request, _) = read(&bytes).expect("legal").expect("complete");
        assert_eq!((request.path(), request.query()), (path, query), "{target}");
    }
    for target in ["*", "chat", "example.com:80", "/chat#part", "http://example.com/#"] {
        assert_refused(&head(&format!("GET {target} HTTP/1.1"), &FIELDS), HandshakeError::InvalidTarget, 400);
    }
}

#[test]
fn any_method_but_get_is_refused_with_405() {
    for method in ["POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "get"] {
        assert_refused(&head(&format!("{method} / HTTP/1.1"), &FIELDS), HandshakeError::MethodNotGet, 405);
    }
}

#[test]
fn a_request_without_upgrade_is_refused_with_426() {
    assert_refused(&with_field("Upgrade", None), HandshakeError::NotAnUpgrade, 426);
    assert_refused(&with_field("Upgrade", Some("h2c")), HandshakeError::NotAnUpgrade, 426);
    assert_refused(&head("GET / HTTP/1.1", &FIELDS[..1]), HandshakeError::NotAnUpgrade, 426);
}

#[test]
fn any_version_but_13_is_refused_with_426_and_a_missing_one_with_400() {
    for version in ["8", "0", "99", "", "13, 8", "013"] {
        let bytes = with_field("Sec-WebSocket-Version", Some(version));
        assert_refused(&bytes, HandshakeError::UnsupportedVersion, 426);
    }
    let twice = with_added(&[("Sec-WebSocket-Version", "13")]);
    assert_refused(&twice, HandshakeError::UnsupportedVersion, 426);
    assert_refused(&with_field("Sec-WebSocket-Version", None), HandshakeError::VersionMissing, 400);
}

#[test]
fn an_old_draft_handshake_is_refused() {
    let fields = [
        ("Host", "example.com"),
        ("Upgrade", "WebSocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5"),
        ("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00"),
    ];
    let bytes = [head("GET / HTTP/1.1", &fields), b"^n:ds[4U".to_vec()].concat();
    assert_refused(&bytes, HandshakeError::VersionMissing, 400);
}

#[test]
fn a_key_that_is_not_16_bytes_in_base64_once_is_refused() {
    let keys = [
        None,
        Some(""),
        Some("not base64 but 24 chars!"),
        Some("dGhlIHNhbXBsZSBub25j"),
        Some("AAAAAAAAAAAAAAAAAAAA"),
        Some("AAAAAAAAAAAAAAAAAAAAAAA="),
        Some("dGhlIHNhbXBsZSBub25jZQ"),
    ];
    for key in keys {
        assert_refused(&with_field("Sec-WebSocket-Key", key), HandshakeError::InvalidKey, 400);
    }
    // The example of RFC 6455 §4.1, whose last bits are not zero.
    let example = with_field("Sec-WebSocket-Key", Some("AQIDBAUGBwgJCgsMDQ4PEC=="));
    assert!(read(&example).is_ok_and(|read| read.is_some()));
    let twice = with_added(&[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]);
    assert_refused(&twice, HandshakeError::InvalidKey, 400);
}

#[test]
fn a_connection_field_without_upgrade_is_refused() {
    for value in [None, Some("keep-alive"), Some("Upgraded"), Some("close")] {
        assert_refused(&with_field("Connection", value), HandshakeError::ConnectionWithoutUpgrade, 400);
    }
}

#[test]
fn an_http_version_other_than_1_1_is_refused() {
    assert_refused(&head("GET / HTTP/1.0", &FIELDS), HandshakeError::Http10, 400);
    for version in ["HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3"] {
        let bytes = head(&format!("GET / {version}"), &FIELDS);
        assert_refused(&bytes, HandshakeError::UnsupportedHttpVersion, 505);
    }
}

#[test]
fn a_missing_empty_or_double_host_is_refused() {
    assert_refused(&with_field("Host", None), HandshakeError::InvalidHost, 400);
    for host in ["", "a b", "a/b", "user@a", "a?b", "a#b", "\u{fc}"] {
        assert_refused(&with_field("Host", Some(host)), HandshakeError::InvalidHost, 400);
    }
    assert_refused(&with_added(&[("Host", "example.com")]), HandshakeError::InvalidHost, 400);
}

#[test]
fn an_origin_that_cannot_be_compared_is_refused() {
    let twice = with_added(&[("Origin", "https://a.example"), ("Origin", "https://b.example")]);
    assert_refused(&twice, HandshakeError::InvalidOrigin, 400);
    assert_refused(&with_added(&[("Origin", "https://ä.example")]), HandshakeError::InvalidOrigin, 400);
}

#[test]
fn a_request_with_a_body_is_refused() {
    for field in [("Content-Length", "5"), ("Content-Length", "+0"), ("Transfer-Encoding", "chunked")] {
        assert_refused(&with_added(&[field]), HandshakeError::UnexpectedBody, 400);
    }
    let twice = with_added(&[("Content-Length", "0"), ("Content-Length", "0")]);
    assert_refused(&twice, HandshakeError::UnexpectedBody, 400);
}

#[test]
fn garbage_and_smuggling_forms_are_malformed() {
    let legal = String::from_utf8(with_added(&[])).expect("ASCII");
    let cases: [Vec<u8>; 10] = [
        b"\r\nGET / HTTP/1.1\r\n".to_vec(),
        legal.replace("\r\n", "\n").into_bytes(),
        legal.replacen("\r\n", "\n", 1).into_bytes(),
        legal.replace("Host: ", "Host : ").into_bytes(),
        legal.replace("Host: ", "Host: a\r\n b").into_bytes(),
        legal.replace("example", "exa\0mple").into_bytes(),
        legal.replace("example", "exa\rmple").into_bytes(),
        legal.replace("example", "exa\x08mple").into_bytes(),
        legal.replace("Host: ", ": ").into_bytes(),
        legal.replace("HTTP/1.1", "FTP/1.1").into_bytes(),
    ];
    for bytes in cases {
        assert_refused(&bytes, HandshakeError::Malformed, 400);
    }
}

#[test]
fn garbage_is_refused_before_the_head_is_complete() {
    assert_eq!(refusal(b"\x80\x00"), HandshakeError::Malformed);
    assert_eq!(refusal(b"GET /\0\0\0"), HandshakeError::Malformed);
}

#[test]
fn tls_is_refused_at_its_first_byte_with_a_text_that_says_so() {
    for hello in [b"\x16".as_slice(), b"\x16\x03\x01\x02\x00\x01", b"\x16\x03\x03\r\n\r\n"] {
        let error = HandshakeError::TlsRecord;
        assert_refused(hello, error, 400);
        assert!(error.to_string().contains("plain HTTP") && error.to_string().contains("ws://"));
    }
    assert_eq!(refusal(b"\x16\x04"), HandshakeError::Malformed);
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for a head of 20 MB")]
fn a_head_beyond_the_limit_is_refused_with_431() {
    let error = HandshakeError::HeadTooLarge { limit: 16 * 1024 };
    let long = "y".repeat(17_000);
    assert_refused(&with_added(&[("X", &long)]), error, 431);
    // Also without an end in sight, and however many bytes came at once.
    let endless = with_added(&[("X", &long)]);
    assert_eq!(read(&endless[..16_384]).map(|request| request.is_none()), Ok(true));
    assert_eq!(refusal(&endless[..16_385]), error);
    let huge = with_added(&[("X", &"y".repeat(20_000_000))]);
    assert_eq!(read(&huge).map(|_| ()), Err(error));
}

#[test]
fn more_header_fields_than_the_limit_are_refused_with_431() {
    let filler = |count: usize| vec![("aa", "b"); count];
    assert!(matches!(read(&with_added(&filler(95))), Ok(Some(_))));
    let error = HandshakeError::TooManyHeaderFields { limit: 100 };
    assert_refused(&with_added(&filler(96)), error, 431);
    assert_refused(&with_added(&filler(1900)), error, 431);
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for heads of 20 KB")]
fn a_target_beyond_the_limit_is_refused_with_414() {
    let request = |len: usize| head(&format!("GET /{} HTTP/1.1", "a".repeat(len - 1)), &FIELDS);
    assert!(matches!(read(&request(8192)), Ok(Some(_))));
    let error = HandshakeError::TargetTooLong { limit: 8192 };
    assert_refused(&request(8193), error, 414);
    assert_refused(&request(20_000), error, 414);
    assert_eq!(refusal(&request(20_000)[..16_385]), error);
}

#[test]
fn bytes_behind_the_head_are_left_to_the_caller() {
    let mut bytes = with_added(&[]);
    let head_len = bytes.len();
    bytes.extend(b"\x81\x80\0\0\0\0\r\n\r\n");
    assert!(matches!(read(&bytes), Ok(Some((_, len))) if len == head_len));
}

#[test]
fn a_legal_head_is_complete_at_its_last_byte_and_not_before() {
    let bytes = with_added(&[("Origin", "null")]);
    let mut scanner = HeadScanner::default();
    for end in 0..bytes.len() {
        let read = scanner.read_request(&bytes[..end], &Limits::default());
        assert!(matches!(read, Ok(None)), "complete at {end}");
    }
    let read = scanner.read_request(&bytes, &Limits::default());
    assert!(matches!(read, Ok(Some((_, len))) if len == bytes.len()));
}

#[test]
fn subprotocols_are_tokens_from_all_fields_in_order() {
    let blanks = format!("b{}x", " ".repeat(8000));
    let bytes = with_added(&[
        ("Sec-WebSocket-Protocol", "mqtt,, v2.chat ,"),
        ("Sec-WebSocket-Protocol", &blanks),
        ("sec-websocket-protocol", "\"quoted\", last"),
    ]);
    let (request, _) = read(&bytes).expect("legal").expect("complete");
    assert_eq!(request.subprotocols().collect::<Vec<_>>(), ["mqtt", "v2.chat", "last"]);
}

#[test]
fn the_engine_side_errors_have_their_status() {
    assert_eq!(HandshakeError::RequestTimeout.status(), 408);
    assert_eq!(HandshakeError::Unavailable.status(), 503);
}

#[test]
fn a_head_that_drips_byte_by_byte_is_parsed_once_per_doubling() {
    let due = (1..=16 * 1024).filter(|&len| passed_power_of_two(len - 1, len)).count();
    assert_eq!(due, 15);
}

#[test]
fn a_head_that_drips_byte_by_byte_is_searched_once() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyy\r\n";
    let mut scanner = HeadScanner::default();
    for end in 1..=head.len() {
        assert!(matches!(scanner.read_request(&head[..end], &Limits::default()), Ok(None)));
        assert_eq!(scanner.scanned, end);
    }
    assert_eq!(scanner.lines, 3);
}

#[test]
fn a_get_or_head_without_an_upgrade_is_plain_and_anything_else_keeps_its_refusal() {
    let read = |request_line: &str, fields: &[(&str, &str)]| {
        let head = head(request_line, fields);
        match HeadScanner::default().read_head(&head, &Limits::default()) {
            Ok(Some((Head::Plain(request), _))) => Ok(Some(request.method().to_owned())),
            Ok(Some((Head::Upgrade(_), _))) => Ok(None),
            Ok(None) => panic!("the head is complete"),
            Err(error) => Err(error),
        }
    };
    assert_eq!(read("GET / HTTP/1.1", &[("Host", "a")]), Ok(Some("GET".to_owned())));
    assert_eq!(read("HEAD / HTTP/1.1", &[("Host", "a"), ("Upgrade", "h2c")]), Ok(Some("HEAD".to_owned())));
    assert_eq!(read("GET / HTTP/1.1", &FIELDS), Ok(None));
    assert_eq!(read("HEAD / HTTP/1.1", &FIELDS), Err(HandshakeError::MethodNotGet));
    assert_eq!(read("POST / HTTP/1.1", &[("Host", "a")]), Err(HandshakeError::MethodNotGet));
    assert_eq!(read("GET / HTTP/1.1", &[]), Err(HandshakeError::InvalidHost));
    assert_eq!(
        read("GET / HTTP/1.1", &[("Host", "a"), ("Content-Length", "1")]),
        Err(HandshakeError::UnexpectedBody)
    );
    assert_eq!(read("GET / HTTP/1.0", &[("Host", "a")]), Err(HandshakeError::Http10));
}
