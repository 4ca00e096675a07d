//! Close codes and the payload of a Close frame (RFC 6455 §5.5.1, §7.4). Invariant: a [`Close`] that was
//! parsed holds only a code that may be received and a reason that is UTF-8.

use std::fmt;

use crate::{ProtocolError, SendError};

/// Largest payload of a control frame in bytes (RFC 6455 §5.5).
pub(crate) const CONTROL_BYTES_MAX: usize = 125;
/// Largest reason of a Close frame in bytes: the payload less the two-byte code.
const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// A close code (RFC 6455 §7.4 and the IANA registry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down or the browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke a rule of the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// The peer sent a kind of message that this end does not take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// Reported when a Close frame had no code; never on the wire.
    pub const NO_STATUS_RECEIVED: Self = Self(1005);
    /// Reported when the connection ended without a Close frame; never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// The payload does not fit its kind, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// The peer broke a rule of this end.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// The message is larger than this end takes.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The client expected an extension that the server did not negotiate.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// This end met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// The service is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A gateway received an invalid response from its upstream server.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// Makes a code from any number; whether it may be sent is asked by [`is_sendable`](Self::is_sendable).
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Whether a peer may send this code in a Close frame: 1000-1003, 1007-1014, 3000-4999.
    #[must_use]
    pub const fn is_receivable(self) -> bool {
        // RFC 6455 §7.4.2: 1000-2999 belong to the protocol (1012-1014 came by the IANA registry),
        // 3000-3999 to libraries and frameworks, 4000-4999 to private use.
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    /// Whether this end may send this code in a Close frame: the same set as [`is_receivable`](Self::is_receivable).
    #[must_use]
    pub const fn is_sendable(self) -> bool {
        self.is_receivable()
    }

    /// The name of a registered code.
    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::NORMAL => "normal closure",
            Self::GOING_AWAY => "going away",
            Self::PROTOCOL_ERROR => "protocol error",
            Self::UNSUPPORTED_DATA => "unsupported data",
            Self::NO_STATUS_RECEIVED => "no status received",
            Self::ABNORMAL => "abnormal closure",
            Self::INVALID_PAYLOAD => "invalid payload",
            Self::POLICY_VIOLATION => "policy violation",
            Self::MESSAGE_TOO_BIG => "message too big",
            Self::MANDATORY_EXTENSION => "mandatory extension",
            Self::INTERNAL_ERROR => "internal error",
            Self::SERVICE_RESTART => "service restart",
            Self::TRY_AGAIN_LATER => "try again later",
            Self::BAD_GATEWAY => "bad gateway",
            _ => return None,
        })
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} ({name})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

/// What a Close frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The code, if the frame has one.
    pub code: Option<CloseCode>,
    /// The reason, at most 123 bytes; empty without a code.
    pub reason: &'a str,
}

/// Reads the payload of a Close frame.
pub(crate) fn parse_payload(payload: &[u8]) -> Result<Close<'_>, ProtocolError> {
    match payload {
        [] => Ok(Close { code: None, reason: "" }),
        [_] => Err(ProtocolError::CloseFrameOneByte),
        [high, low, reason @ ..] => {
            let code = CloseCode(u16::from_be_bytes([*high, *low]));
            if !code.is_receivable() {
                return Err(ProtocolError::CloseCodeNotAllowed(code.0));
            }
            let reason = str::from_utf8(reason).map_err(|_| ProtocolError::InvalidCloseReason)?;
            Ok(Close { code: Some(code), reason })
        }
    }
}

/// The payload of a Close frame that was checked to be sendable.
pub(crate) struct ClosePayload {
    bytes: [u8; CONTROL_BYTES_MAX],
    len: usize,
}

impl ClosePayload {
    pub(crate) fn new(code: Option<CloseCode>, reason: &str) -> Result<Self, SendError> {
        let mut payload = Self { bytes: [0; CONTROL_BYTES_MAX], len: 0 };
        let Some(code) = code else {
            return if reason.is_empty() { Ok(payload) } else { Err(SendError::ReasonWithoutCode) };
        };
        if !code.is_sendable() {
            return Err(SendError::CodeNotSendable(code.0));
        }
        if reason.len() > REASON_BYTES_MAX {
            return Err(SendError::ReasonTooLong { bytes: reason.len() });
        }
        payload.len = 2 + reason.len();
        payload.bytes[..2].copy_from_slice(&code.0.to_be_bytes());
        payload.bytes[2..payload.len].copy_from_slice(reason.as_bytes());
        Ok(payload)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri takes a minute for 65,536 codes")]
    fn exactly_the_codes_of_rfc_and_registry_are_receivable_and_sendable() {
        for number in 0..=u16::MAX {
            let allowed = (1000..=1003).contains(&number)
                || (1007..=1014).contains(&number)
                || (3000..=4999).contains(&number);
            assert_eq!(CloseCode::new(number).is_receivable(), allowed, "{number}");
            assert_eq!(CloseCode::new(number).is_sendable(), allowed, "{number}");
        }
    }

    #[test]
    fn a_code_is_shown_with_its_name() {
        assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001 (going away)");
        assert_eq!(CloseCode::new(4001).to_string(), "4001");
    }

    #[test]
    fn a_close_payload_is_empty_or_a_code_and_a_reason() {
        assert_eq!(parse_payload(b""), Ok(Close { code: None, reason: "" }));
        assert_eq!(parse_payload(b"\x03\xe8"), Ok(Close { code: Some(CloseCode::NORMAL), reason: "" }));
        let bye = Close { code: Some(CloseCode::GOING_AWAY), reason: "bye" };
        assert_eq!(parse_payload(b"\x03\xe9bye"), Ok(bye));
        assert_eq!(parse_payload(b"\x03"), Err(ProtocolError::CloseFrameOneByte));
        assert_eq!(parse_payload(b"\x03\xed"), Err(ProtocolError::CloseCodeNotAllowed(1005)));
        assert_eq!(parse_payload(b"\x03\xe8\xff"), Err(ProtocolError::InvalidCloseReason));
    }

    #[test]
    fn only_a_close_that_the_peer_may_receive_is_encoded() {
        let encode =
            |code, reason| ClosePayload::new(code, reason).map(|payload| payload.as_bytes().to_vec());
        let (longest, too_long) = ("r".repeat(123), "r".repeat(124));
        assert_eq!(encode(None, ""), Ok(vec![]));
        assert_eq!(encode(Some(CloseCode::NORMAL), "bye"), Ok(b"\x03\xe8bye".to_vec()));
        assert_eq!(encode(Some(CloseCode::NORMAL), &longest).map(|bytes| bytes.len()), Ok(125));
        assert_eq!(encode(Some(CloseCode::NORMAL), &too_long), Err(SendError::ReasonTooLong { bytes: 124 }));
        assert_eq!(encode(None, "bye"), Err(SendError::ReasonWithoutCode));
        assert_eq!(encode(Some(CloseCode::ABNORMAL), ""), Err(SendError::CodeNotSendable(1006)));
    }
}
