//! Frame headers (RFC 6455 §5.2). Invariant: a header that was parsed breaks no rule that can be checked
//! without knowing the frames before it; rules are checked in the order of the bytes, before any payload.

use crate::ProtocolError;
use crate::close::CONTROL_BYTES_MAX;
use crate::message::MessageKind;

/// Largest size of a frame header in bytes.
pub const HEADER_BYTES_MAX: usize = 14;

pub(crate) const FIN: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const RSV1: u8 = 0x40;
const MASKED: u8 = 0x80;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The end that opened the connection; it masks its frames.
    Client,
    /// The end that accepted the connection; it does not mask.
    Server,
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Continues the message that a text or binary frame began.
    Continuation = 0x0,
    /// Begins a text message.
    Text = 0x1,
    /// Begins a binary message.
    Binary = 0x2,
    /// Begins or answers the closing handshake.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping, or comes unsolicited.
    Pong = 0xa,
}

impl Opcode {
    /// Whether this is Close, Ping or Pong.
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether this is the last frame of its message.
    pub fin: bool,
    /// RSV1: the frame begins a compressed message (RFC 7692 §6).
    pub compressed: bool,
    /// The kind of the frame.
    pub opcode: Opcode,
    /// The key that the payload is masked with; a client sends one with every frame, a server never.
    pub masking_key: Option<[u8; 4]>,
    /// Length of the payload in bytes, at most 2^63 - 1.
    pub payload_len: u64,
}

/// Reads the header at the front of `bytes`, as the end `role` that received it; returns the header and its
/// size in bytes, or nothing if it is cut and legal so far. `compression` tells whether permessage-deflate was agreed on.
///
/// # Errors
/// The first rule that the header breaks.
pub fn parse_header(
    bytes: &[u8],
    role: Role,
    compression: bool,
) -> Result<Option<(Header, usize)>, ProtocolError> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let (fin, compressed, opcode) = parse_first_byte(first, compression)?;
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    check_mask_bit(second, role)?;
    let Some((payload_len, key_at)) = parse_payload_len(bytes, second & !MASKED)? else { return Ok(None) };
    // RFC 6455 §5.5: all control frames must have a payload of 125 bytes or less.
    if opcode.is_control() && payload_len > CONTROL_BYTES_MAX as u64 {
        return Err(ProtocolError::ControlFrameTooLong(payload_len));
    }
    if role == Role::Client {
        return Ok(Some((Header { fin, compressed, opcode, masking_key: None, payload_len }, key_at)));
    }
    let Some(&key) = bytes[key_at..].first_chunk::<4>() else { return Ok(None) };
    Ok(Some((Header { fin, compressed, opcode, masking_key: Some(key), payload_len }, key_at + 4)))
}

fn parse_first_byte(first: u8, compression: bool) -> Result<(bool, bool, Opcode), ProtocolError> {
    // RFC 6455 §5.2: a reserved bit is an error unless an extension defined it. RFC 7692 §6: RSV1 marks the first frame of
    // a compressed message, and no other.
    let begins_message = matches!(first & 0x0f, 0x1 | 0x2);
    let allowed = if compression && begins_message { RSV1 } else { 0 };
    if first & RESERVED_BITS & !allowed != 0 {
        return Err(ProtocolError::ReservedBits((first & RESERVED_BITS) >> 4));
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(ProtocolError::ReservedOpcode(first & 0x0f))?;
    let fin = first & FIN != 0;
    // RFC 6455 §5.5: control frames must not be fragmented.
    if opcode.is_control() && !fin {
        return Err(ProtocolError::FragmentedControlFrame);
    }
    Ok((fin, first & RSV1 != 0, opcode))
}

fn check_mask_bit(second: u8, role: Role) -> Result<(), ProtocolError> {
    // RFC 6455 §5.1: a client masks all frames, a server none.
    match (role, second & MASKED != 0) {
        (Role::Server, false) => Err(ProtocolError::UnmaskedFrame),
        (Role::Client, true) => Err(ProtocolError::MaskedFrame),
        _ => Ok(()),
    }
}

/// Returns the payload length and the position behind the length field.
fn parse_payload_len(bytes: &[u8], short: u8) -> Result<Option<(u64, usize)>, ProtocolError> {
    let extended = &bytes[2..];
    match short {
        126 => {
            let Some(&field) = extended.first_chunk::<2>() else { return Ok(None) };
            let payload_len = u64::from(u16::from_be_bytes(field));
            check_minimal(payload_len, 2, 126)?;
            Ok(Some((payload_len, 4)))
        }
        127 => {
            let Some(&field) = extended.first_chunk::<8>() else { return Ok(None) };
            let payload_len = u64::from_be_bytes(field);
            // RFC 6455 §5.2: the most significant bit must be 0.
            if payload_len >> 63 != 0 {
                return Err(ProtocolError::LengthTopBit(payload_len));
            }
            check_minimal(payload_len, 8, 0x1_0000)?;
            Ok(Some((payload_len, 10)))
        }
        short => Ok(Some((u64::from(short), 2))),
    }
}

/// RFC 6455 §5.2: the minimal number of bytes must be used to encode the length.
fn check_minimal(payload_len: u64, encoded_bytes: u8, least: u64) -> Result<(), ProtocolError> {
    if payload_len < least {
        return Err(ProtocolError::NonMinimalLength { payload_len, encoded_bytes });
    }
    Ok(())
}

/// A whole message in one client frame of at most 65535 bytes: what nearly all frames are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ShortMessage {
    pub(crate) kind: MessageKind,
    /// Size of the client's header in bytes; the reply's is four less.
    pub(crate) header_len: usize,
    pub(crate) payload_len: usize,
    pub(crate) masking_key: [u8; 4],
}

/// Reads the header of a [`ShortMessage`] from one word. Anything else, legal or not, is left to [`parse_header`].
#[inline]
pub(crate) fn parse_short_message(first_bytes: [u8; 8]) -> Option<ShortMessage> {
    let word = u64::from_le_bytes(first_bytes);
    // fin, no reserved bit, the opcode, and the mask bit of the second byte.
    let kind = match word & 0x80ff {
        0x8081 => MessageKind::Text,
        0x8082 => MessageKind::Binary,
        _ => return None,
    };
    let short = (word >> 8 & 0x7f) as usize;
    if short < 126 {
        let masking_key = ((word >> 16) as u32).to_le_bytes();
        return Some(ShortMessage { kind, header_len: 6, payload_len: short, masking_key });
    }
    let payload_len = usize::from(((word >> 16) as u16).swap_bytes());
    if short == 127 || payload_len < 126 {
        return None;
    }
    let masking_key = ((word >> 32) as u32).to_le_bytes();
    Some(ShortMessage { kind, header_len: 8, payload_len, masking_key })
}

/// Size in bytes of the header of a frame with such a payload.
#[must_use]
#[inline]
pub const fn header_len(payload_len: u64, masked: bool) -> usize {
    let unmasked = match payload_len {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    };
    if masked { unmasked + 4 } else { unmasked }
}

/// Writes `header` at the front of `place` and returns its size in bytes.
///
/// # Panics
/// If `place` is shorter than [`header_len`].
#[inline]
pub fn encode_header(place: &mut [u8], header: &Header) -> usize {
    let Header { fin, compressed, opcode, masking_key, payload_len } = *header;
    let len = header_len(payload_len, masking_key.is_some());
    let place = &mut place[..len];
    let mask_bit = if masking_key.is_some() { MASKED } else { 0 };
    place[0] = opcode as u8 | if fin { FIN } else { 0 } | if compressed { RSV1 } else { 0 };
    match payload_len {
        0..126 => place[1] = mask_bit | payload_len as u8,
        126..0x1_0000 => {
            place[1] = mask_bit | 126;
            place[2..4].copy_from_slice(&(payload_len as u16).to_be_bytes());
        }
        _ => {
            place[1] = mask_bit | 127;
            place[2..10].copy_from_slice(&payload_len.to_be_bytes());
        }
    }
    if let Some(key) = masking_key {
        place[len - 4..].copy_from_slice(&key);
    }
    len
}

/// Appends `header` to `out`.
pub fn write_header(out: &mut Vec<u8>, header: &Header) {
    let mut bytes = [0; HEADER_BYTES_MAX];
    let len = encode_header(&mut bytes, header);
    out.extend_from_slice(&bytes[..len]);
}

#[cfg(test)]
mod tests;
