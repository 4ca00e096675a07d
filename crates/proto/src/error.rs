//! What can go wrong on an open connection. Invariant: every [`ProtocolError`] knows its close code, and
//! its text fits into the reason of a Close frame.

use crate::CloseCode;
use crate::utf8::InvalidUtf8;

/// A reason to fail the WebSocket connection (RFC 6455 §7.1.7).
///
/// One variant per broken rule, with the offending value. The text is at most 123 bytes long, so that it
/// can be the reason of the Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// RFC 6455 §5.1: a client must mask all frames.
    #[error("unmasked frame: a client must mask every frame")]
    UnmaskedFrame,
    /// RFC 6455 §5.1: a server must not mask any frame.
    #[error("masked frame: a server must not mask its frames")]
    MaskedFrame,
    /// RFC 6455 §5.2: RSV1, RSV2, RSV3 must be 0 unless an extension was negotiated; the value holds the three bits.
    #[error("reserved bits {0:03b} are set where no extension allows it: clear them")]
    ReservedBits(u8),
    /// RFC 6455 §5.2: opcodes 3-7 and 0xB-0xF are reserved.
    #[error("reserved opcode {0:#x}: use 0x0-0x2 or 0x8-0xa")]
    ReservedOpcode(u8),
    /// RFC 6455 §5.5: control frames must not be fragmented.
    #[error("fragmented control frame: set fin")]
    FragmentedControlFrame,
    /// RFC 6455 §5.5: the payload of a control frame is at most 125 bytes; the value is the declared length.
    #[error("control frame of {0} bytes exceeds the limit of 125 bytes")]
    ControlFrameTooLong(u64),
    /// RFC 6455 §5.2: the minimal number of bytes must be used to encode the length.
    #[error("length {payload_len} was encoded in {encoded_bytes} bytes: use the shortest form")]
    NonMinimalLength {
        /// The declared payload length in bytes.
        payload_len: u64,
        /// Size of the extended length field in bytes, 2 or 8.
        encoded_bytes: u8,
    },
    /// RFC 6455 §5.2: the most significant bit of a 64-bit length must be 0; the value is the declared length.
    #[error("64-bit length {0:#x} has its top bit set: clear it")]
    LengthTopBit(u64),
    /// The message is larger than [`Config::message_bytes_max`](crate::Config::message_bytes_max).
    #[error("message of {bytes} bytes exceeds the limit of {limit}: send smaller messages")]
    MessageTooBig {
        /// Bytes of the message as declared so far, `u64::MAX` if the sum overflows.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The frame is larger than [`Config::frame_bytes_max`](crate::Config::frame_bytes_max).
    #[error("frame of {bytes} bytes exceeds the limit of {limit}: send smaller frames")]
    FrameTooBig {
        /// Bytes of the payload as declared.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The message has more frames than [`Config::fragments_max`](crate::Config::fragments_max).
    #[error("too many fragments: a message of more than {limit} frames; send larger ones")]
    TooManyFragments {
        /// The limit.
        limit: u32,
    },
    /// RFC 7692 §7.2.2: the payload of a compressed message must be DEFLATE that ends as §7.2.1 demands.
    #[error("compressed message is not valid DEFLATE, or its end is missing")]
    InvalidDeflate,
    /// A compressed message has more blocks with BFINAL = 1 than are decompressed.
    #[error("compressed message with more than {limit} blocks of BFINAL = 1: send fewer")]
    TooManyFinalBlocks {
        /// The limit.
        limit: u64,
    },
    /// RFC 6455 §5.4: a continuation frame needs a message that was begun.
    #[error("continuation frame without a message to continue: start with text or binary")]
    UnexpectedContinuation,
    /// RFC 6455 §5.4: the fragments of two messages must not be interleaved.
    #[error("new message inside a fragmented one: finish it with continuation frames")]
    ExpectedContinuation,
    /// RFC 6455 §8.1: the payload of a text message must be UTF-8.
    #[error("text message is not valid UTF-8: send binary instead")]
    InvalidUtf8,
    /// RFC 6455 §5.5.1: the payload of a Close frame is empty or begins with a two-byte code.
    #[error("Close frame with a payload of 1 byte: send none or a two-byte code")]
    CloseFrameOneByte,
    /// RFC 6455 §7.4: this close code must not appear in a Close frame.
    #[error("close code {0} must not be sent: use 1000-1003, 1007-1014 or 3000-4999")]
    CloseCodeNotAllowed(u16),
    /// RFC 6455 §5.5.1: the reason of a Close frame must be UTF-8.
    #[error("close reason is not valid UTF-8")]
    InvalidCloseReason,
    /// Detected by the engine: the peer reads more slowly than it is sent to.
    #[error("too many bytes wait to be sent: read faster and reconnect")]
    OutboxFull,
    /// Detected by the engine: a message was begun and not finished in time.
    #[error("message was not finished in time: send its frames faster")]
    MessageTimeout,
    /// Detected by the engine: more pings and pongs came in one second than it takes.
    #[error("more than {limit} control frames in one second: send fewer")]
    TooManyControlFrames {
        /// The limit per second.
        limit: u32,
    },
    /// Detected by the engine: more messages came in one second than it takes.
    #[error("more than {limit} messages in one second: send fewer")]
    TooManyMessages {
        /// The limit per second.
        limit: u32,
    },
    /// Detected by the engine: more bytes came in one second than it takes.
    #[error("more than {limit} bytes in one second: send slower")]
    TooManyBytes {
        /// The limit per second.
        limit: u32,
    },
    /// Detected by the engine: the application failed while it handled an event.
    #[error("internal error: try again later")]
    Internal,
}

impl ProtocolError {
    /// The close code that tells the peer what it did wrong (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::MessageTooBig { .. } | Self::FrameTooBig { .. } => CloseCode::MESSAGE_TOO_BIG,
            Self::InvalidUtf8
            | Self::InvalidCloseReason
            | Self::InvalidDeflate
            | Self::TooManyFinalBlocks { .. } => CloseCode::INVALID_PAYLOAD,
            Self::OutboxFull => CloseCode::TRY_AGAIN_LATER,
            Self::MessageTimeout
            | Self::TooManyFragments { .. }
            | Self::TooManyControlFrames { .. }
            | Self::TooManyMessages { .. }
            | Self::TooManyBytes { .. } => CloseCode::POLICY_VIOLATION,
            Self::Internal => CloseCode::INTERNAL_ERROR,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl From<InvalidUtf8> for ProtocolError {
    fn from(InvalidUtf8: InvalidUtf8) -> Self {
        Self::InvalidUtf8
    }
}

/// A frame that this end may not send. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// RFC 6455 §5.5.1: nothing may follow a Close frame, and one was sent.
    #[error("a Close frame was sent: nothing may follow it")]
    Closing,
    /// The reason does not fit into a Close frame.
    #[error("close reason of {bytes} bytes exceeds the limit of 123 bytes: shorten it")]
    ReasonTooLong {
        /// Length of the reason in bytes.
        bytes: usize,
    },
    /// A reason was given without a code, which a Close frame cannot express.
    #[error("close reason without a close code: give a code such as 1000")]
    ReasonWithoutCode,
    /// The code must not appear in a Close frame.
    #[error("close code {0} must not be sent: use 1000-1003, 1007-1014 or 3000-4999")]
    CodeNotSendable(u16),
    /// The payload does not fit into a Ping or Pong frame.
    #[error("control payload of {bytes} bytes exceeds the limit of 125 bytes: shorten it")]
    ControlPayloadTooLong {
        /// Length of the payload in bytes.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_fits_into_a_close_reason_and_has_a_sendable_code() {
        let errors = [
            ProtocolError::UnmaskedFrame,
            ProtocolError::MaskedFrame,
            ProtocolError::ReservedBits(7),
            ProtocolError::ReservedOpcode(15),
            ProtocolError::FragmentedControlFrame,
            ProtocolError::ControlFrameTooLong(u64::MAX),
            ProtocolError::NonMinimalLength { payload_len: u64::MAX, encoded_bytes: 8 },
            ProtocolError::LengthTopBit(u64::MAX),
            ProtocolError::MessageTooBig { bytes: u64::MAX, limit: u64::MAX },
            ProtocolError::FrameTooBig { bytes: u64::MAX, limit: u64::MAX },
            ProtocolError::TooManyFragments { limit: u32::MAX },
            ProtocolError::InvalidDeflate,
            ProtocolError::TooManyFinalBlocks { limit: u64::MAX },
            ProtocolError::UnexpectedContinuation,
            ProtocolError::ExpectedContinuation,
            ProtocolError::InvalidUtf8,
            ProtocolError::CloseFrameOneByte,
            ProtocolError::CloseCodeNotAllowed(u16::MAX),
            ProtocolError::InvalidCloseReason,
            ProtocolError::OutboxFull,
            ProtocolError::MessageTimeout,
            ProtocolError::TooManyControlFrames { limit: u32::MAX },
            ProtocolError::TooManyMessages { limit: u32::MAX },
            ProtocolError::TooManyBytes { limit: u32::MAX },
            ProtocolError::Internal,
        ];
        for error in errors {
            assert!(error.to_string().len() <= 123, "{error}");
            assert!(error.close_code().is_sendable(), "{error}");
        }
    }
}
