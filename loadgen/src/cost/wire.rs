//! The bytes that a connection sends and expects back, built once per case and protocol.
//! Invariant: a reply is known to the byte before it arrives, so checking it is a comparison.

use super::cases::Case;
use super::error::Error;

/// The client-to-server masking key of every frame. A fixed key keeps the frames prebuilt; the server's work does
/// not depend on it.
const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// FIN and the binary opcode (RFC 6455 §5.2).
const FIN_BINARY: u8 = 0x82;

/// The opening handshake of every connection, with the nonce of RFC 6455 §1.3.
pub(crate) const HANDSHAKE_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const ACCEPT_KEY: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What the server is expected to do with the client's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Opening handshake, then an unmasked frame for each masked one.
    WebSocket,
    /// The same masked frames come back as they are, and nobody shakes hands.
    Raw,
}

/// How much of a reply is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The length of the reply and the header of every frame.
    Headers,
    /// Every byte.
    Whole,
}

/// One batch of messages and its reply.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What the client sends in one write.
    pub(crate) request: Vec<u8>,
    /// What comes back.
    reply: Vec<u8>,
    /// Messages in the batch.
    pub(crate) messages: usize,
    reply_header_bytes: usize,
    reply_frame_bytes: usize,
}

impl Exchange {
    /// Builds the batch of `case` for a server that speaks `protocol`.
    pub(crate) fn new(case: Case, protocol: Protocol) -> Self {
        let mut request = Vec::new();
        let mut reply = Vec::new();
        for message in 0..case.pipelined {
            let payload = payload(message, case.payload_bytes);
            write_frame(&mut request, &payload, Some(MASKING_KEY));
            match protocol {
                Protocol::WebSocket => write_frame(&mut reply, &payload, None),
                Protocol::Raw => write_frame(&mut reply, &payload, Some(MASKING_KEY)),
            }
        }
        let reply_frame_bytes = reply.len() / case.pipelined;
        let reply_header_bytes = reply_frame_bytes - case.payload_bytes;
        Self { request, reply, messages: case.pipelined, reply_header_bytes, reply_frame_bytes }
    }

    /// Length of the whole reply.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply.len()
    }

    /// Compares `received`, which begins `offset` bytes into the reply.
    ///
    /// # Errors
    /// When there are more bytes than the reply has, or a compared one differs.
    pub(crate) fn check(&self, offset: usize, received: &[u8], depth: Depth) -> Result<(), Error> {
        let end = offset + received.len();
        let Some(expected) = self.reply.get(offset..end) else {
            return Err(Error::new(format!("a reply of {} bytes, {} expected", end, self.reply.len())));
        };
        let same = match depth {
            Depth::Whole => received == expected,
            Depth::Headers => self.headers_match(offset, received, expected),
        };
        if same { Ok(()) } else { Err(self.mismatch(offset, received, expected)) }
    }

    fn headers_match(&self, offset: usize, received: &[u8], expected: &[u8]) -> bool {
        let end = offset + received.len();
        (offset / self.reply_frame_bytes..end.div_ceil(self.reply_frame_bytes)).all(|frame| {
            let header = frame * self.reply_frame_bytes;
            // The part of this header that lies within what was received; none when the range is reversed.
            let range =
                header.max(offset) - offset..(header + self.reply_header_bytes).min(end).max(offset) - offset;
            received.get(range.clone()) == expected.get(range)
        })
    }

    fn mismatch(&self, offset: usize, received: &[u8], expected: &[u8]) -> Error {
        let wrong = received.iter().zip(expected).position(|(received, expected)| received != expected);
        let at = wrong.unwrap_or(0);
        Error::new(format!(
            "a wrong reply: byte {} of {} is {:#04x}, {:#04x} expected",
            offset + at,
            self.reply.len(),
            received[at],
            expected[at]
        ))
    }
}

/// Checks the server's half of the opening handshake.
///
/// # Errors
/// When the head does not switch protocols or answers another nonce.
pub(crate) fn check_handshake_response(head: &[u8]) -> Result<(), Error> {
    let text = String::from_utf8_lossy(head);
    if !text.starts_with("HTTP/1.1 101 ") {
        return Err(Error::new(format!("the opening handshake was answered with {:?}", text.lines().next())));
    }
    if !text.contains(ACCEPT_KEY) {
        return Err(Error::new(format!("the opening handshake lacks the accept key {ACCEPT_KEY}")));
    }
    Ok(())
}

/// The payload of message number `message` of a batch: no two messages of a batch are alike.
fn payload(message: usize, payload_bytes: usize) -> Vec<u8> {
    (0..payload_bytes).map(|index| (index.wrapping_mul(31) ^ message.wrapping_add(7)) as u8).collect()
}

/// Appends one binary frame (RFC 6455 §5.2), masked when there is a key.
fn write_frame(out: &mut Vec<u8>, payload: &[u8], masking_key: Option<[u8; 4]>) {
    let mask_bit = if masking_key.is_some() { 0x80 } else { 0 };
    out.push(FIN_BINARY);
    if payload.len() < 126 {
        out.push(mask_bit | payload.len() as u8);
    } else if let Ok(payload_len) = u16::try_from(payload.len()) {
        out.push(mask_bit | 126);
        out.extend_from_slice(&payload_len.to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    match masking_key {
        None => out.extend_from_slice(payload),
        Some(key) => {
            out.extend_from_slice(&key);
            out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(case: &str, protocol: Protocol) -> Exchange {
        Exchange::new(case.parse().unwrap(), protocol)
    }

    #[test]
    fn the_masked_hello_of_the_rfc_is_written_as_the_rfc_writes_it() {
        // RFC 6455 §5.7, with the binary opcode.
        let mut out = Vec::new();
        write_frame(&mut out, b"Hello", Some(MASKING_KEY));
        assert_eq!(out, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn each_payload_length_uses_its_shortest_form() {
        for (case, header) in [
            ("1x125", &[0x82, 125][..]),
            ("1x126", &[0x82, 126, 0, 126]),
            ("1x64K", &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let exchange = exchange(case, Protocol::WebSocket);
            assert!(exchange.reply.starts_with(header), "{case}");
            assert_eq!(exchange.reply_header_bytes, header.len(), "{case}");
            assert_eq!(exchange.request.len(), exchange.reply.len() + 4, "{case}");
        }
    }

    #[test]
    fn the_raw_reply_is_the_request() {
        let exchange = exchange("1x20p3", Protocol::Raw);
        assert_eq!(exchange.reply, exchange.request);
        assert_eq!(exchange.request.len(), 3 * 26);
    }

    #[test]
    fn a_right_reply_passes_in_every_split() {
        let exchange = exchange("1x20p3", Protocol::WebSocket);
        for depth in [Depth::Headers, Depth::Whole] {
            for start in 0..exchange.reply_bytes() {
                for end in start + 1..=exchange.reply_bytes() {
                    exchange.check(start, &exchange.reply[start..end], depth).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_wrong_header_byte_is_seen_at_either_depth_and_a_wrong_payload_byte_by_the_whole_comparison() {
        let exchange = exchange("1x20p3", Protocol::WebSocket);
        for wrong in 0..exchange.reply_bytes() {
            let mut reply = exchange.reply.clone();
            reply[wrong] ^= 1;
            let is_header = wrong % 22 < 2;
            assert!(exchange.check(0, &reply, Depth::Whole).is_err());
            assert_eq!(exchange.check(0, &reply, Depth::Headers).is_err(), is_header, "byte {wrong}");
        }
    }

    #[test]
    fn a_reply_that_is_too_long_is_refused_with_both_lengths() {
        let exchange = exchange("1x20", Protocol::WebSocket);
        let error = exchange.check(20, &[0; 3], Depth::Headers).unwrap_err().to_string();
        assert!(error.contains("23") && error.contains("22"), "{error}");
    }

    #[test]
    fn a_response_that_does_not_switch_protocols_or_answers_another_nonce_is_refused() {
        let accepted =
            format!("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {ACCEPT_KEY}\r\n\r\n");
        assert_eq!(check_handshake_response(accepted.as_bytes()), Ok(()));
        assert!(check_handshake_response(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
        assert!(check_handshake_response(b"HTTP/1.1 101 \r\nSec-WebSocket-Accept: AAAA\r\n\r\n").is_err());
    }
}
