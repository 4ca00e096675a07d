//! A request head as a server reads it. Property: a head that is read whole is accepted exactly if it is accepted byte by
//! byte, as the same request; and no response to it lets the client's bytes begin another header field.
//!
//! Input: the bytes of the client, the head and what follows it.
#![no_main]

use gannet_proto::handshake::{HandshakeError, HeadScanner, Limits, Request, write_accept};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut small = Limits::default();
    (small.head_bytes_max, small.header_fields_max, small.target_bytes_max) = (400, 8, 40);
    for limits in [Limits::default(), small] {
        let whole = HeadScanner::default().read_request(bytes, &limits);
        let dripped = read_bytewise(bytes, &limits);
        assert_same(&whole, &dripped);
        if let Ok(Some((request, head_len))) = &whole {
            assert!(*head_len <= limits.head_bytes_max && request.target().len() <= limits.target_bytes_max);
            assert!(request.headers().count() <= limits.header_fields_max);
            check_response(request);
        }
    }
});

type Read<'a> = Result<Option<(Request<'a>, usize)>, HandshakeError>;

fn read_bytewise<'a>(bytes: &'a [u8], limits: &Limits) -> Read<'a> {
    let mut scanner = HeadScanner::default();
    for end in 1..=bytes.len() {
        let read = scanner.read_request(&bytes[..end], limits);
        if !matches!(read, Ok(None)) {
            return read;
        }
    }
    Ok(None)
}

fn assert_same(whole: &Read<'_>, dripped: &Read<'_>) {
    match (whole, dripped) {
        (Ok(Some((request, head_len))), Ok(Some((dripped, dripped_len)))) => {
            assert_eq!(head_len, dripped_len);
            assert_eq!(request.target(), dripped.target());
            assert!(request.headers().eq(dripped.headers()));
        }
        (Ok(None), Ok(None)) => {}
        // What is not even HTTP, or too much of it, is refused as soon as it is seen; when that is depends on the pieces.
        (Err(error), Ok(None)) => assert!(is_seen_early(error), "{error:?}"),
        (Err(error), Err(dripped)) => {
            assert!(
                error == dripped || (is_seen_early(error) && is_seen_early(dripped)),
                "{error:?} {dripped:?}"
            );
        }
        _ => panic!("whole {whole:?}, byte by byte {dripped:?}"),
    }
}

/// Whether a head can be refused for this before it is complete.
const fn is_seen_early(error: &HandshakeError) -> bool {
    use HandshakeError as E;
    matches!(
        error,
        E::Malformed
            | E::TlsRecord
            | E::UnsupportedHttpVersion
            | E::TargetTooLong { .. }
            | E::HeadTooLarge { .. }
            | E::TooManyHeaderFields { .. }
    )
}

fn check_response(request: &Request<'_>) {
    assert!(request.path().starts_with('/') && !request.host().is_empty());
    assert!(request.query().is_none_or(|query| request.target().ends_with(query)));
    assert_eq!(request.key().len(), 24);
    for subprotocol in request.subprotocols().map(Some).chain([None]) {
        let mut response = Vec::new();
        write_accept(&mut response, request, subprotocol, None, &[]).expect("it was offered");
        let response = String::from_utf8(response).expect("only tokens of the client are sent back");
        let lines: Vec<&str> = response.split("\r\n").collect();
        let fields = 4 + usize::from(subprotocol.is_some());
        assert_eq!((lines.len(), &lines[fields..]), (fields + 2, &["", ""][..]), "{response:?}");
        assert!(!lines.iter().any(|line| line.contains(char::is_control)), "{response:?}");
    }
}
