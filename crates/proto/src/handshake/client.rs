//! The client's side of the opening handshake. Invariant: a [`Response`] fulfils RFC 6455 §4.1 for the nonce that
//! was sent.

use base64::Engine as _;
use httparse::EMPTY_HEADER;

use super::response::write_field;
use crate::deflate::{Offer, PerMessageDeflate};

use super::{BASE64, HeadError, accept_key, is_authority, is_target, is_token, list_names, parse_extensions};

/// Largest response head in bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Largest number of header fields of a response.
const HEADER_FIELDS_MAX: usize = 100;

/// Why a server's response does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientHandshakeError {
    /// The head is not HTTP/1.1.
    #[error("malformed HTTP response")]
    Malformed,
    /// The head is too long or has too many fields.
    #[error("response head exceeds the limit of {HEAD_BYTES_MAX} bytes or {HEADER_FIELDS_MAX} header fields")]
    HeadTooLarge,
    /// The server refused; the value is its HTTP status.
    #[error("server refused the upgrade with status {0}")]
    Status(u16),
    /// Upgrade or Connection is missing.
    #[error("response does not name Upgrade: websocket and Connection: Upgrade")]
    NotAnUpgrade,
    /// Sec-WebSocket-Accept does not belong to the nonce.
    #[error("Sec-WebSocket-Accept does not belong to the key that was sent")]
    AcceptMismatch,
    /// The server's extensions are not a list, or not only one that was offered.
    #[error("server chose an extension that was not offered")]
    UnexpectedExtension,
    /// RFC 7692 §7.1: the parameters of the extension are not an answer to the offer.
    #[error("parameters of permessage-deflate do not answer the offer")]
    InvalidExtension,
    /// The server chose a subprotocol that was not offered.
    #[error("server chose a subprotocol that was not offered")]
    UnexpectedSubprotocol,
}

/// A response that opens the WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The subprotocol that the server chose.
    pub subprotocol: Option<&'a str>,
    /// The compression that the server agreed to.
    pub compression: Option<PerMessageDeflate>,
}

/// Appends the request that opens a WebSocket (RFC 6455 §4.1) to `out`. `nonce` is chosen at random for each
/// connection, `host` includes a port that is not the default, `target` is a path with an optional query, `compression` is
/// what the client is ready for.
///
/// # Errors
/// A value that does not fit into the head. Nothing is written then.
pub fn write_request(
    out: &mut Vec<u8>,
    host: &str,
    target: &str,
    nonce: [u8; 16],
    subprotocols: &[&str],
    compression: Option<Offer>,
) -> Result<(), HeadError> {
    if !is_authority(host.as_bytes()) {
        return Err(HeadError::InvalidValue { name: "Host".to_owned() });
    }
    if !target.starts_with('/') || !is_target(target) {
        return Err(HeadError::InvalidValue { name: "request target".to_owned() });
    }
    let is_first = |at: usize| !subprotocols[..at].contains(&subprotocols[at]);
    // RFC 6455 §4.1: tokens, none of them twice.
    if !subprotocols.iter().enumerate().all(|(at, name)| is_token(name.as_bytes()) && is_first(at)) {
        return Err(HeadError::InvalidValue { name: "Sec-WebSocket-Protocol".to_owned() });
    }
    for part in ["GET ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    write_field(out, "Host", host);
    write_field(out, "Upgrade", "websocket");
    write_field(out, "Connection", "Upgrade");
    write_field(out, "Sec-WebSocket-Key", &BASE64.encode(nonce));
    write_field(out, "Sec-WebSocket-Version", "13");
    if !subprotocols.is_empty() {
        write_field(out, "Sec-WebSocket-Protocol", &subprotocols.join(", "));
    }
    if let Some(offer) = compression {
        write_field(out, "Sec-WebSocket-Extensions", &offer.to_string());
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Reads the response to a request with this `nonce`, `subprotocols` and `compression` from all bytes received so far.
/// Returns it and the size of its head in bytes, or nothing if the head is not complete.
///
/// # Errors
/// The rule of RFC 6455 §4.1 that the response breaks.
pub fn verify_response<'a>(
    bytes: &'a [u8],
    nonce: [u8; 16],
    subprotocols: &[&str],
    compression: Option<Offer>,
) -> Result<Option<(Response<'a>, usize)>, ClientHandshakeError> {
    let mut headers = [EMPTY_HEADER; HEADER_FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let head_len = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(head_len)) if head_len <= HEAD_BYTES_MAX => head_len,
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(ClientHandshakeError::HeadTooLarge),
        Err(_) => return Err(ClientHandshakeError::Malformed),
    };
    match (parsed.version, parsed.code) {
        (Some(1), Some(101)) => {}
        (_, Some(status)) if status != 101 => return Err(ClientHandshakeError::Status(status)),
        _ => return Err(ClientHandshakeError::Malformed),
    }
    let response = verify_fields(parsed.headers, nonce, subprotocols, compression)?;
    Ok(Some((response, head_len)))
}

fn verify_fields<'a>(
    headers: &[httparse::Header<'a>],
    nonce: [u8; 16],
    subprotocols: &[&str],
    compression: Option<Offer>,
) -> Result<Response<'a>, ClientHandshakeError> {
    let values = |name: &'static str| {
        headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    };
    if !values("upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket"))
        || !values("connection").any(|value| list_names(value, "upgrade"))
    {
        return Err(ClientHandshakeError::NotAnUpgrade);
    }
    let accept = accept_key(&BASE64.encode(nonce));
    if !values("sec-websocket-accept").eq([&accept[..]]) {
        return Err(ClientHandshakeError::AcceptMismatch);
    }
    let extensions = values("sec-websocket-extensions");
    let compression = match compression {
        Some(offer) => offer.read_response(&extensions.map(parse_extensions).collect::<Vec<_>>())?,
        None if extensions.into_iter().all(<[u8]>::is_empty) => None,
        None => return Err(ClientHandshakeError::UnexpectedExtension),
    };
    let mut chosen = values("sec-websocket-protocol");
    let subprotocol = match (chosen.next(), chosen.next()) {
        (None, _) => None,
        (Some(value), None) => Some(
            str::from_utf8(value)
                .ok()
                .filter(|value| subprotocols.contains(value))
                .ok_or(ClientHandshakeError::UnexpectedSubprotocol)?,
        ),
        _ => return Err(ClientHandshakeError::UnexpectedSubprotocol),
    };
    Ok(Response { subprotocol, compression })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{HeadScanner, Limits, write_accept};

    const NONCE: [u8; 16] = *b"the sample nonce";

    fn accepted(fields: &[(&str, &str)]) -> String {
        let base = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ];
        let fields: String =
            [&base, fields].concat().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n")
    }

    #[test]
    fn a_client_request_is_accepted_by_our_server_and_its_response_by_our_client() {
        let mut bytes = Vec::new();
        write_request(&mut bytes, "example.com:8080", "/chat?x=1", NONCE, &["a", "b"], None).expect("legal");
        let (request, head_len) = HeadScanner::default()
            .read_request(&bytes, &Limits::default())
            .expect("legal")
            .expect("complete");
        assert_eq!(head_len, bytes.len());
        assert_eq!((request.host(), request.target()), ("example.com:8080", "/chat?x=1"));
        let mut response = Vec::new();
        write_accept(&mut response, &request, Some("b"), None, &[]).expect("legal");
        let head_len = response.len();
        response.extend(b"\x81\x00");
        let expected = Some((Response { subprotocol: Some("b"), compression: None }, head_len));
        assert_eq!(verify_response(&response, NONCE, &["a", "b"], None), Ok(expected));
        for end in 0..head_len {
            assert_eq!(
                verify_response(&response[..end], NONCE, &["a", "b"], None),
                Ok(None),
                "complete at {end}"
            );
        }
    }

    #[test]
    fn a_request_that_cannot_be_expressed_is_not_written() {
        let cases = [
            ("", "/", "a"),
            ("exa\r\nmple", "/", "a"),
            ("a b", "/", "a"),
            ("user@a", "/", "a"),
            ("a/b", "/", "a"),
            ("ü", "/", "a"),
            ("example.com", "/a#b", "a"),
            ("example.com", "chat", "a"),
            ("example.com", "/a b", "a"),
            ("example.com", "/\r\n", "a"),
            ("example.com", "/", "a b"),
            ("example.com", "/", ""),
        ];
        for (host, target, subprotocol) in cases {
            let mut out = Vec::new();
            let result = write_request(&mut out, host, target, NONCE, &[subprotocol], None);
            assert!(
                matches!(result, Err(HeadError::InvalidValue { .. })),
                "{host:?} {target:?} {subprotocol:?}"
            );
            assert!(out.is_empty());
        }
        let twice = write_request(&mut Vec::new(), "example.com", "/", NONCE, &["a", "b", "a"], None);
        assert_eq!(twice, Err(HeadError::InvalidValue { name: "Sec-WebSocket-Protocol".to_owned() }));
    }

    #[test]
    fn a_response_that_breaks_a_rule_is_refused_by_the_client() {
        // The nonce of the RFC's example in base64 is the key above.
        assert_eq!(BASE64.encode(NONCE), "dGhlIHNhbXBsZSBub25jZQ==");
        let legal = accepted(&[]);
        let cases = [
            (legal.replace("101 Switching Protocols", "403 Forbidden"), ClientHandshakeError::Status(403)),
            (legal.replace("101 Switching Protocols", "200 OK"), ClientHandshakeError::Status(200)),
            (legal.replace("HTTP/1.1", "HTTP/1.0"), ClientHandshakeError::Malformed),
            (legal.replace("HTTP/1.1", "SSH-2.0"), ClientHandshakeError::Malformed),
            (legal.replace("Upgrade: websocket", "Upgrade: h2c"), ClientHandshakeError::NotAnUpgrade),
            (legal.replace("Connection: Upgrade", "Connection: close"), ClientHandshakeError::NotAnUpgrade),
            (legal.replace("s3pPL", "s3pPl"), ClientHandshakeError::AcceptMismatch),
            (legal.replace("Sec-WebSocket-Accept", "X"), ClientHandshakeError::AcceptMismatch),
            (
                accepted(&[("Sec-WebSocket-Extensions", "permessage-deflate")]),
                ClientHandshakeError::UnexpectedExtension,
            ),
            (accepted(&[("Sec-WebSocket-Protocol", "c")]), ClientHandshakeError::UnexpectedSubprotocol),
            (
                accepted(&[("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "a")]),
                ClientHandshakeError::UnexpectedSubprotocol,
            ),
            (accepted(&[("X", &"y".repeat(17_000))]), ClientHandshakeError::HeadTooLarge),
            (accepted(&[("X", "y"); 101]), ClientHandshakeError::HeadTooLarge),
        ];
        for (response, error) in cases {
            assert_eq!(
                verify_response(response.as_bytes(), NONCE, &["a"], None),
                Err(error),
                "{response:.200}"
            );
        }
    }
}
