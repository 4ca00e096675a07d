//! Frames as they are on the wire. Invariant: [`parse_sent`] accepts only what the peer has to accept.

use gannet_proto::frame::{Header, Opcode, header_len, parse_header, write_header};
use gannet_proto::{Role, mask};

/// A frame that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is the last of its message.
    pub fin: bool,
    /// Whether it begins a compressed message.
    pub compressed: bool,
    /// Its kind.
    pub opcode: Opcode,
    /// The payload without the mask.
    pub payload: Vec<u8>,
}

/// The frames in `wire` as their receiver `role` reads them, and how many bytes of a cut frame are behind them.
///
/// # Panics
/// If a frame breaks a rule, or if something follows a Close frame (RFC 6455 §5.5.1).
#[must_use]
pub fn parse_sent(wire: &[u8], role: Role, compression: bool) -> (Vec<Frame>, usize) {
    let mut frames: Vec<Frame> = Vec::new();
    let mut rest = wire;
    loop {
        let is_closed = frames.last().is_some_and(|frame| frame.opcode == Opcode::Close);
        assert!(!is_closed || rest.is_empty(), "{} bytes behind a Close frame", rest.len());
        let header = parse_header(rest, role, compression).expect("a legal frame is sent");
        let Some((header, header_len)) = header else { return (frames, rest.len()) };
        let payload_len = usize::try_from(header.payload_len).unwrap_or(usize::MAX);
        let Some((payload, behind)) = rest[header_len..].split_at_checked(payload_len) else {
            return (frames, rest.len());
        };
        let mut payload = payload.to_vec();
        mask::unmask(&mut payload, header.masking_key.unwrap_or_default());
        let Header { fin, compressed, opcode, .. } = header;
        frames.push(Frame { fin, compressed, opcode, payload });
        rest = behind;
    }
}

/// A frame of a client with the first byte `first`, which need not be legal.
#[must_use]
pub fn masked_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let payload_len = payload.len() as u64;
    let mut frame = Vec::with_capacity(header_len(payload_len, true) + payload.len());
    let (opcode, masking_key) = (Opcode::Binary, Some(key));
    write_header(&mut frame, &Header { fin: true, compressed: false, opcode, masking_key, payload_len });
    frame[0] = first;
    let start = frame.len();
    frame.extend_from_slice(payload);
    mask::unmask(&mut frame[start..], key);
    frame
}
