//! The opening handshake (RFC 6455 §4) without I/O: heads in, heads out. Invariant: no byte of a peer is
//! written into a head, and a head costs time linear in its size however it arrives.

mod client;
mod extension;
mod request;
mod response;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, PAD};
use sha1::{Digest as _, Sha1};

pub(crate) use extension::{Extension, parse_list as parse_extensions};

pub use client::{ClientHandshakeError, Response, verify_response, write_request};
pub use request::{Head, HeadScanner, Request};
pub use response::{write_accept, write_refusal, write_response};

/// The example of RFC 6455 §4.1 itself has a key whose last character has bits that mean nothing, so they are not looked at.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, PAD.with_decode_allow_trailing_bits(true));

/// RFC 6455 §1.3: what is appended to the key before it is hashed.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Limits of a request head.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Largest head (request line and header fields) in bytes; default 16 KiB.
    pub head_bytes_max: usize,
    /// Largest number of header fields; default 100.
    pub header_fields_max: usize,
    /// Largest request target in bytes; default 8 KiB.
    pub target_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes_max: 16 * 1024, header_fields_max: 100, target_bytes_max: 8 * 1024 }
    }
}

/// Why a server refuses a request; [`status`](Self::status) is the HTTP status to answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The head is not HTTP/1.1 as in RFC 9112.
    #[error("malformed HTTP head: send a request line and header fields as in RFC 9112")]
    Malformed,
    /// The bytes are the beginning of a TLS handshake (RFC 8446 §5.1).
    #[error("this port speaks plain HTTP and was sent TLS: use http:// or ws:// instead of https or wss")]
    TlsRecord,
    /// RFC 6455 §4.1: the HTTP version must be at least 1.1.
    #[error("HTTP/1.0 cannot upgrade: use HTTP/1.1")]
    Http10,
    /// A version of HTTP that is not 1.0 or 1.1.
    #[error("unsupported HTTP version: use HTTP/1.1")]
    UnsupportedHttpVersion,
    /// RFC 6455 §4.1: the method must be GET.
    #[error("method is not GET: a WebSocket is opened with GET")]
    MethodNotGet,
    /// The target is neither a path nor an absolute URI, or it has a fragment (RFC 6455 §3).
    #[error(
        "request target is neither a path nor an absolute URI, or has a fragment: begin it with a slash, write # as %23"
    )]
    InvalidTarget,
    /// The target is longer than [`Limits::target_bytes_max`].
    #[error("request target exceeds the limit of {limit} bytes: shorten it")]
    TargetTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head is longer than [`Limits::head_bytes_max`].
    #[error("request head exceeds the limit of {limit} bytes: shorten the header fields")]
    HeadTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head has more fields than [`Limits::header_fields_max`].
    #[error("request head exceeds the limit of {limit} header fields: send fewer")]
    TooManyHeaderFields {
        /// The limit.
        limit: usize,
    },
    /// RFC 9112 §3.2: a request has exactly one Host, and here it must name one.
    #[error("Host is missing, repeated or not a host with an optional port: send it once")]
    InvalidHost,
    /// RFC 6455 §4.1: a browser sends exactly one Origin, in ASCII.
    #[error("Origin is repeated or not ASCII: send it once")]
    InvalidOrigin,
    /// The request announces a body, whose bytes could be taken for frames.
    #[error("request has a body: send neither Transfer-Encoding nor Content-Length")]
    UnexpectedBody,
    /// RFC 6455 §4.2.1: Upgrade must name `websocket`.
    #[error("request is not an upgrade: send Upgrade: websocket")]
    NotAnUpgrade,
    /// RFC 6455 §4.2.1: Connection must name `upgrade`.
    #[error("Connection does not name upgrade: send Connection: Upgrade")]
    ConnectionWithoutUpgrade,
    /// RFC 6455 §4.2.1: Sec-WebSocket-Version must be present.
    #[error("Sec-WebSocket-Version is missing: send 13")]
    VersionMissing,
    /// RFC 6455 §4.2.2: a version other than 13.
    #[error("unsupported Sec-WebSocket-Version: send 13")]
    UnsupportedVersion,
    /// RFC 6455 §4.2.1: Sec-WebSocket-Key must be 16 bytes in base64, once.
    #[error("Sec-WebSocket-Key is missing, repeated or not 16 bytes in base64")]
    InvalidKey,
    /// Detected by the engine: the head did not arrive in time.
    #[error("request head did not arrive in time: send it faster")]
    RequestTimeout,
    /// Detected by the engine: the address, or its network, has as many connections as it may.
    #[error("too many connections from this address or its network: close some, or try again later")]
    TooManyFromAddress,
    /// Detected by the engine: no more connections are taken now.
    #[error("no more connections are taken now: try again later")]
    Unavailable,
}

impl HandshakeError {
    /// The HTTP status to refuse the request with.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::MethodNotGet => 405,
            Self::RequestTimeout => 408,
            Self::TargetTooLong { .. } => 414,
            Self::NotAnUpgrade | Self::UnsupportedVersion => 426,
            Self::TooManyFromAddress => 429,
            Self::HeadTooLarge { .. } | Self::TooManyHeaderFields { .. } => 431,
            Self::Unavailable => 503,
            Self::UnsupportedHttpVersion => 505,
            _ => 400,
        }
    }
}

/// A head that was not written because of what the application put into it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// A name that is not a token (RFC 9110 §5.1).
    #[error("header name {name:?} is not a token: use letters, digits and hyphens")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// A name that the handshake sets itself.
    #[error("header {name:?} is written by the handshake: leave it out")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// A value with a control character such as CR, LF or NUL (RFC 9110 §5.5).
    #[error("value of {name:?} is empty or holds a control character: use visible ASCII")]
    InvalidValue {
        /// The name of the field, or of the part of the request line.
        name: String,
    },
    /// RFC 6455 §4.2.2: a server may only choose a subprotocol that the client offered.
    #[error("subprotocol {name:?} was not offered: choose one of the client's or none")]
    SubprotocolNotOffered {
        /// The subprotocol.
        name: String,
    },
    /// The status cannot answer a request.
    #[error("status {status} is no response to a plain request: use 200-599")]
    NotAResponse {
        /// The status.
        status: u16,
    },
    /// The status cannot refuse a request.
    #[error("status {status} is no refusal: use 300-599")]
    NotARefusal {
        /// The status.
        status: u16,
    },
}

/// The value of Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 §4.2.2), in ASCII.
#[must_use]
pub fn accept_key(key: &str) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(ACCEPT_GUID).finalize();
    let mut accept = [0; 28];
    BASE64.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters in base64");
    accept
}

/// The items of a comma-separated list, without blanks around them (RFC 9110 §5.6.1).
fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Whether a list contains a name, in any case.
fn list_names(value: &[u8], name: &str) -> bool {
    list_items(value).any(|item| item.eq_ignore_ascii_case(name.as_bytes()))
}

/// RFC 9110 §5.6.2: what a header name and a subprotocol consist of.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 §7.2: what Host consists of, a host and perhaps a port; no blank, no user, no path.
fn is_authority(text: &[u8]) -> bool {
    let is_authority_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(byte);
    !text.is_empty() && text.iter().all(is_authority_byte)
}

/// RFC 6455 §3: a request target has no fragment, and no byte that a URI would have to escape.
fn is_target(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// RFC 9110 §5.5: what a header value may consist of; anything else could begin another field.
fn is_field_value(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_of_the_rfc_example() {
        assert_eq!(&accept_key("dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
