//! The server's response. Invariant: everything is checked before the first byte is written, so `out` holds whole
//! heads only, and no value can begin another header field.

use std::io::Write as _;

use crate::deflate::Agreement;

use super::{HeadError, Request, accept_key, is_field_value, is_token};

/// Seconds after which a client may try again when the application does not say.
const RETRY_AFTER_S: &str = "1";

/// Fields that the handshake writes itself; a second one would contradict it.
const RESERVED: [&str; 7] = [
    "connection",
    "content-length",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-protocol",
    "transfer-encoding",
    "upgrade",
];

/// Appends the response that opens the WebSocket (RFC 6455 §4.2.2) to `out`; frames may follow it. `compression` is what
/// [`Agreement::choose`] made of the same request.
///
/// # Errors
/// A subprotocol that the client did not offer, or an illegal or reserved header field. Nothing is written then.
pub fn write_accept(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    subprotocol: Option<&str>,
    compression: Option<&Agreement>,
    headers: &[(&str, &str)],
) -> Result<(), HeadError> {
    if let Some(name) = subprotocol
        && !request.subprotocols().any(|offered| offered == name)
    {
        return Err(HeadError::SubprotocolNotOffered { name: name.to_owned() });
    }
    check_headers(headers)?;
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept_key(request.key()));
    out.extend_from_slice(b"\r\n");
    if let Some(name) = subprotocol {
        write_field(out, "Sec-WebSocket-Protocol", name);
    }
    if let Some(agreement) = compression {
        write!(out, "Sec-WebSocket-Extensions: {agreement}\r\n").expect("a Vec takes all bytes");
    }
    write_fields(out, headers);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends a response that refuses the request to `out`: `status` is 300-599, `body` is plain text.
///
/// The connection must be closed after it (`Connection: close`). The fields that a status demands are added: Allow to
/// 405, Upgrade and Sec-WebSocket-Version to 426, Retry-After to 429 and 503.
///
/// # Errors
/// A status out of range, or an illegal or reserved header field. Nothing is written then.
pub fn write_refusal(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(), HeadError> {
    if !(300..600).contains(&status) {
        return Err(HeadError::NotARefusal { status });
    }
    let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let text = [("Content-Type", "text/plain; charset=utf-8")];
    let typed: Vec<_> = headers.iter().chain(if is_typed { &[][..] } else { &text }).copied().collect();
    write_response(out, status, &typed, body.as_bytes(), false)
}

/// Appends a response to a plain request to `out`: `status` is 200-599. With `is_head` the body is left out and only its
/// length told (RFC 9110 §9.3.2).
///
/// The connection must be closed after it (`Connection: close`). The fields that a status demands are added as in
/// [`write_refusal`].
///
/// # Errors
/// A status out of range, or an illegal or reserved header field. Nothing is written then.
pub fn write_response(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
    is_head: bool,
) -> Result<(), HeadError> {
    if !(200..600).contains(&status) {
        return Err(HeadError::NotAResponse { status });
    }
    check_headers(headers)?;
    let reason = reason_phrase(status);
    write!(out, "HTTP/1.1 {status} {reason}\r\nConnection: close\r\n").expect("a Vec takes all bytes");
    // RFC 9110 §8.6, §15.4.5: neither has a body, whatever its length would be.
    let has_body = !matches!(status, 204 | 304);
    if has_body {
        write!(out, "Content-Length: {}\r\n", body.len()).expect("a Vec takes all bytes");
    }
    let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    for (name, value) in status_fields(status).iter().filter(|(name, _)| !is_given(name)) {
        write_field(out, name, value);
    }
    write_fields(out, headers);
    out.extend_from_slice(b"\r\n");
    if has_body && !is_head {
        out.extend_from_slice(body);
    }
    Ok(())
}

/// The fields that a status demands (RFC 9110 §15, RFC 6455 §4.2.2).
const fn status_fields(status: u16) -> &'static [(&'static str, &'static str)] {
    match status {
        405 => &[("Allow", "GET")],
        426 => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        429 | 503 => &[("Retry-After", RETRY_AFTER_S)],
        _ => &[],
    }
}

const fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        // RFC 9112 §4: the phrase may be empty.
        _ => "",
    }
}

/// Checks the fields that the application adds.
pub(super) fn check_headers(headers: &[(&str, &str)]) -> Result<(), HeadError> {
    for (name, value) in headers {
        if !is_token(name.as_bytes()) {
            return Err(HeadError::InvalidName { name: (*name).to_owned() });
        }
        if RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)) {
            return Err(HeadError::ReservedName { name: (*name).to_owned() });
        }
        if !is_field_value(value) {
            return Err(HeadError::InvalidValue { name: (*name).to_owned() });
        }
    }
    Ok(())
}

fn write_fields(out: &mut Vec<u8>, headers: &[(&str, &str)]) {
    for (name, value) in headers {
        write_field(out, name, value);
    }
}

/// Appends one field that was checked.
pub(super) fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{HeadScanner, Limits};

    /// The request of RFC 6455 §1.2.
    fn request() -> Request<'static> {
        let head = b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
            Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let read = HeadScanner::default().read_request(head, &Limits::default());
        read.expect("legal").expect("complete").0
    }

    #[test]
    fn the_response_of_the_rfc_example_is_written() {
        let request = request();
        let mut out = Vec::new();
        write_accept(&mut out, &request, Some("chat"), None, &[("Server", "gannet")]).expect("legal");
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
                        Sec-WebSocket-Protocol: chat\r\nServer: gannet\r\n\r\n";
        assert_eq!(String::from_utf8(out).expect("ASCII"), expected);
    }

    #[test]
    fn what_would_break_the_head_is_refused_and_nothing_is_written() {
        let request = request();
        let not_offered = HeadError::SubprotocolNotOffered { name: "other".to_owned() };
        let cases: [(Option<&str>, &str, &str, HeadError); 9] = [
            (Some("other"), "X", "1", not_offered),
            (None, "X", "a\r\nY: b", HeadError::InvalidValue { name: "X".to_owned() }),
            (None, "X", "a\nY: b", HeadError::InvalidValue { name: "X".to_owned() }),
            (None, "X", "a\0", HeadError::InvalidValue { name: "X".to_owned() }),
            (None, "X\r\nY", "a", HeadError::InvalidName { name: "X\r\nY".to_owned() }),
            (None, "X Y", "a", HeadError::InvalidName { name: "X Y".to_owned() }),
            (None, "", "a", HeadError::InvalidName { name: String::new() }),
            (None, "connection", "close", HeadError::ReservedName { name: "connection".to_owned() }),
            (None, "Content-Length", "1", HeadError::ReservedName { name: "Content-Length".to_owned() }),
        ];
        for (subprotocol, name, value, error) in cases {
            let mut out = Vec::new();
            assert_eq!(
                write_accept(&mut out, &request, subprotocol, None, &[(name, value)]),
                Err(error.clone())
            );
            if subprotocol.is_none() {
                assert_eq!(write_refusal(&mut out, 403, &[(name, value)], ""), Err(error));
            }
            assert!(out.is_empty(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn a_refusal_closes_and_has_the_fields_of_its_status() {
        let write = |status, headers: &[(&str, &str)], body| {
            let mut out = Vec::new();
            write_refusal(&mut out, status, headers, body).map(|()| String::from_utf8(out).expect("UTF-8"))
        };
        let text = "Content-Type: text/plain; charset=utf-8\r\n";
        let cases = [
            (405, "Method Not Allowed", "Allow: GET\r\n"),
            (426, "Upgrade Required", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
            (503, "Service Unavailable", "Retry-After: 1\r\n"),
            (404, "Not Found", ""),
            (599, "", ""),
        ];
        for (status, reason, fields) in cases {
            let expected = format!(
                "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: 3\r\n{fields}{text}\r\nno\n"
            );
            assert_eq!(write(status, &[], "no\n"), Ok(expected));
        }
        let own =
            write(503, &[("retry-after", "30"), ("Content-Type", "application/json")], "{}").expect("legal");
        assert!(own.contains("retry-after: 30\r\n") && !own.contains("Retry-After"));
        assert!(own.contains("application/json") && !own.contains("text/plain"));
        for status in [0, 101, 200, 299, 600] {
            assert_eq!(write(status, &[], ""), Err(HeadError::NotARefusal { status }));
        }
    }

    #[test]
    fn a_response_to_head_tells_the_length_of_the_body_it_leaves_out() {
        let write = |status, is_head| {
            let mut out = Vec::new();
            let headers = [("Content-Type", "text/html"), ("ETag", "\"1\"")];
            write_response(&mut out, status, &headers, b"<p>", is_head)
                .map(|()| String::from_utf8(out).expect("UTF-8"))
        };
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\
                    Content-Type: text/html\r\nETag: \"1\"\r\n\r\n";
        assert_eq!(write(200, true).expect("legal"), head);
        assert_eq!(write(200, false).expect("legal"), format!("{head}<p>"));
        let not_modified = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\
                            Content-Type: text/html\r\nETag: \"1\"\r\n\r\n";
        assert_eq!(write(304, false).expect("legal"), not_modified);
        assert_eq!(write(101, false), Err(HeadError::NotAResponse { status: 101 }));
    }
}
