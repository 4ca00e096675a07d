//! The bytes that a connection sends and expects back, built once per case and protocol.
//! Invariant: a reply is known to the byte before it arrives, so checking it is a comparison. Of a compressed one that
//! holds once it is decompressed.

use super::cases::Case;
use super::compression::CompressedReply;
use super::error::Error;
use crate::systems::Compression;

/// The client-to-server masking key of every frame. A fixed key keeps the frames prebuilt; the server's work does
/// not depend on it.
const MASKING_KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// FIN and the binary opcode (RFC 6455 §5.2).
const FIN_BINARY: u8 = 0x82;
/// FIN and the text opcode (RFC 6455 §5.2).
pub(crate) const FIN_TEXT: u8 = 0x81;
/// The bit of a compressed message (RFC 7692 §6).
pub(crate) const RSV1: u8 = 0x40;

/// What the server is expected to do with the client's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Opening handshake, then an unmasked frame for each masked one.
    WebSocket(Compression),
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
    /// Messages in the batch.
    pub(crate) messages: usize,
    reply: Reply,
}

/// What comes back.
#[derive(Debug)]
enum Reply {
    Known(KnownReply),
    Compressed(CompressedReply),
}

/// What has arrived of a reply.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    len: usize,
    /// The bytes themselves, where they are needed once the reply is complete.
    bytes: Vec<u8>,
}

impl Exchange {
    /// Builds the batch of `case` for a server that speaks `protocol`.
    pub(crate) fn new(case: Case, protocol: Protocol) -> Self {
        let mut request = Vec::new();
        let mut reply = Vec::new();
        for message in 0..case.pipelined {
            let payload = payload(message, case.payload_bytes);
            write_frame(&mut request, FIN_BINARY, &payload, Some(MASKING_KEY));
            let reply_key = (protocol == Protocol::Raw).then_some(MASKING_KEY);
            write_frame(&mut reply, FIN_BINARY, &payload, reply_key);
        }
        let reply = KnownReply::new(reply, case.pipelined, case.payload_bytes);
        Self { request, messages: case.pipelined, reply: Reply::Known(reply) }
    }

    /// One text that comes back as it is.
    pub(crate) fn of_text(text: &[u8]) -> Self {
        let mut reply = Vec::new();
        write_frame(&mut reply, FIN_TEXT, text, None);
        let reply = KnownReply::new(reply, 1, text.len());
        Self { request: masked_frame(FIN_TEXT, text), messages: 1, reply: Reply::Known(reply) }
    }

    /// One text that is sent as the compressed `payload`.
    pub(crate) fn of_compressed(payload: &[u8], reply: CompressedReply) -> Self {
        Self { request: masked_frame(FIN_TEXT | RSV1, payload), messages: 1, reply: Reply::Compressed(reply) }
    }

    /// Checks the next bytes of a reply; true when it is complete, and the next one begins.
    ///
    /// # Errors
    /// When they are not those that should come.
    pub(crate) fn take(&self, arrived: &mut Arrived, received: &[u8], depth: Depth) -> Result<bool, Error> {
        let is_complete = match &self.reply {
            Reply::Known(reply) => {
                reply.check(arrived.len, received, depth)?;
                arrived.len += received.len();
                arrived.len == reply.bytes.len()
            }
            Reply::Compressed(reply) => {
                arrived.bytes.extend_from_slice(received);
                reply.check(&arrived.bytes, depth)?
            }
        };
        if is_complete {
            arrived.len = 0;
            arrived.bytes.clear();
        }
        Ok(is_complete)
    }
}

/// A reply that is known to the byte: frames of one length.
#[derive(Debug)]
struct KnownReply {
    bytes: Vec<u8>,
    header_bytes: usize,
    frame_bytes: usize,
}

impl KnownReply {
    fn new(bytes: Vec<u8>, frames: usize, payload_bytes: usize) -> Self {
        let frame_bytes = bytes.len() / frames;
        Self { bytes, header_bytes: frame_bytes - payload_bytes, frame_bytes }
    }

    /// Compares `received`, which begins `offset` bytes into the reply.
    fn check(&self, offset: usize, received: &[u8], depth: Depth) -> Result<(), Error> {
        let end = offset + received.len();
        let Some(expected) = self.bytes.get(offset..end) else {
            return Err(Error::new(format!("a reply of {} bytes, {} expected", end, self.bytes.len())));
        };
        let same = match depth {
            Depth::Whole => received == expected,
            Depth::Headers => self.headers_match(offset, received, expected),
        };
        if same { Ok(()) } else { Err(self.mismatch(offset, received, expected)) }
    }

    fn headers_match(&self, offset: usize, received: &[u8], expected: &[u8]) -> bool {
        let end = offset + received.len();
        (offset / self.frame_bytes..end.div_ceil(self.frame_bytes)).all(|frame| {
            let header = frame * self.frame_bytes;
            // The part of this header that lies within what was received; none when the range is reversed.
            let range =
                header.max(offset) - offset..(header + self.header_bytes).min(end).max(offset) - offset;
            received.get(range.clone()) == expected.get(range)
        })
    }

    fn mismatch(&self, offset: usize, received: &[u8], expected: &[u8]) -> Error {
        let wrong = received.iter().zip(expected).position(|(received, expected)| received != expected);
        let at = wrong.unwrap_or(0);
        Error::new(format!(
            "a wrong reply: byte {} of {} is {:#04x}, {:#04x} expected",
            offset + at,
            self.bytes.len(),
            received[at],
            expected[at]
        ))
    }
}

/// The payload of message number `message` of a batch: no two messages of a batch are alike.
fn payload(message: usize, payload_bytes: usize) -> Vec<u8> {
    (0..payload_bytes).map(|index| (index.wrapping_mul(31) ^ message.wrapping_add(7)) as u8).collect()
}

/// A frame of a client.
pub(crate) fn masked_frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write_frame(&mut frame, first_byte, payload, Some(MASKING_KEY));
    frame
}

/// The length of the header that `bytes` begin with, and that of its payload (RFC 6455 §5.2). The frame is one of a
/// server, without a mask; nothing if more bytes are needed.
pub(crate) fn read_header(bytes: &[u8]) -> Option<(usize, u64)> {
    match bytes.get(1)? {
        126 => Some((4, u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?).into())),
        127 => Some((10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        &payload_len => Some((2, payload_len.into())),
    }
}

/// Appends one frame (RFC 6455 §5.2), masked when there is a key.
pub(crate) fn write_frame(out: &mut Vec<u8>, first_byte: u8, payload: &[u8], masking_key: Option<[u8; 4]>) {
    let mask_bit = if masking_key.is_some() { 0x80 } else { 0 };
    out.push(first_byte);
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

    const WEB_SOCKET: Protocol = Protocol::WebSocket(Compression::Off);

    /// The request of a case and the reply to it.
    fn exchange(case: &str, protocol: Protocol) -> (Vec<u8>, KnownReply) {
        let Exchange { request, reply, .. } = Exchange::new(case.parse().unwrap(), protocol);
        let Reply::Known(reply) = reply else { panic!("nothing is compressed") };
        (request, reply)
    }

    #[test]
    fn the_masked_hello_of_the_rfc_is_written_as_the_rfc_writes_it() {
        // RFC 6455 §5.7, with the binary opcode.
        let mut out = Vec::new();
        write_frame(&mut out, FIN_BINARY, b"Hello", Some(MASKING_KEY));
        assert_eq!(out, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn each_payload_length_uses_its_shortest_form() {
        for (case, header) in [
            ("1x125", &[0x82, 125][..]),
            ("1x126", &[0x82, 126, 0, 126]),
            ("1x64K", &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (request, reply) = exchange(case, WEB_SOCKET);
            assert!(reply.bytes.starts_with(header), "{case}");
            assert_eq!(reply.header_bytes, header.len(), "{case}");
            assert_eq!(request.len(), reply.bytes.len() + 4, "{case}");
        }
    }

    #[test]
    fn the_raw_reply_is_the_request() {
        let (request, reply) = exchange("1x20p3", Protocol::Raw);
        assert_eq!(reply.bytes, request);
        assert_eq!(request.len(), 3 * 26);
    }

    #[test]
    fn a_right_reply_passes_in_every_split() {
        let (_, expected) = exchange("1x20p3", WEB_SOCKET);
        for depth in [Depth::Headers, Depth::Whole] {
            for start in 0..expected.bytes.len() {
                for end in start + 1..=expected.bytes.len() {
                    expected.check(start, &expected.bytes[start..end], depth).unwrap();
                }
            }
        }
    }

    #[test]
    fn a_wrong_header_byte_is_seen_at_either_depth_and_a_wrong_payload_byte_by_the_whole_comparison() {
        let (_, expected) = exchange("1x20p3", WEB_SOCKET);
        for wrong in 0..expected.bytes.len() {
            let mut reply = expected.bytes.clone();
            reply[wrong] ^= 1;
            let is_header = wrong % 22 < 2;
            assert!(expected.check(0, &reply, Depth::Whole).is_err());
            assert_eq!(expected.check(0, &reply, Depth::Headers).is_err(), is_header, "byte {wrong}");
        }
    }

    #[test]
    fn a_reply_that_is_too_long_is_refused_with_both_lengths() {
        let (_, expected) = exchange("1x20", WEB_SOCKET);
        let error = expected.check(20, &[0; 3], Depth::Headers).unwrap_err().to_string();
        assert!(error.contains("23") && error.contains("22"), "{error}");
    }

    #[test]
    fn a_text_comes_back_in_pieces_and_then_the_next_one_begins() {
        let exchange = Exchange::of_text(b"Hello");
        assert_eq!(exchange.request, masked_frame(FIN_TEXT, b"Hello"));
        let mut arrived = Arrived::default();
        for _ in 0..2 {
            assert_eq!(exchange.take(&mut arrived, b"\x81\x05He", Depth::Whole), Ok(false));
            assert_eq!(exchange.take(&mut arrived, b"llo", Depth::Whole), Ok(true));
        }
        assert!(exchange.take(&mut arrived, b"\xc1\x05Hello", Depth::Headers).is_err());
    }

    #[test]
    fn a_header_is_read_in_each_of_its_forms_when_all_of_it_is_there() {
        for payload_len in [0_usize, 125, 126, 65_535, 65_536] {
            let mut frame = Vec::new();
            write_frame(&mut frame, FIN_TEXT, &vec![0; payload_len], None);
            let header_len = frame.len() - payload_len;
            for len in 0..header_len {
                assert_eq!(read_header(&frame[..len]), None);
            }
            assert_eq!(read_header(&frame), Some((header_len, payload_len as u64)));
        }
    }
}
