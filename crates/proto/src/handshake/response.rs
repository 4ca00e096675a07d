//! The server's response. Invariant: everything is checked before the first byte is written, so `out` holds whole
//! heads only, and no value can begin another header field.

use std::io::Write as _;

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

/// Appends the response that opens the WebSocket (RFC 6455 §4.2.2) to `out`; frames may follow it.
///
/// # Errors
/// A subprotocol that the client did not offer, or an illegal or reserved header field. Nothing is written then.
pub fn write_accept(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    subprotocol: Option<&str>,
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
    write_fields(out, headers);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends a response that refuses the request to `out`: `status` is 300-599, `body` is plain text.
///
/// The connection must be closed after it (`Connection: close`). The fields that a status demands are added: Allow to
/// 405, Upgrade and Sec-WebSocket-Version to 426, Retry-After to 503.
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
    check_headers(headers)?;
    let reason = reason_phrase(status);
    write!(out, "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Length: {}\r\n", body.len())
        .expect("a Vec takes all bytes");
    let is_given = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let own = status_fields(status).iter().chain([&("Content-Type", "text/plain; charset=utf-8")]);
    for (name, value) in own.filter(|(name, _)| !is_given(name)) {
        write_field(out, name, value);
    }
    write_fields(out, headers);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.as_bytes());
    Ok(())
}

/// The fields that a status demands (RFC 9110 §15, RFC 6455 §4.2.2).
const fn status_fields(status: u16) -> &'static [(&'static str, &'static str)] {
    match status {
        405 => &[("Allow", "GET")],
        426 => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        503 => &[("Retry-After", RETRY_AFTER_S)],
        _ => &[],
    }
}

const fn reason_phrase(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
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
