//! Messages as the application sees them. Invariant: a text message holds only UTF-8 that was validated.

use crate::connection::HEADER_ROOM;
use crate::frame::Opcode;
use crate::received::ReplyRoom;
use crate::utf8::InvalidUtf8;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Any bytes.
    Binary,
}

impl MessageKind {
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// The payload of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// The payload of a text message.
    Text(&'a str),
    /// The payload of a binary message.
    Binary(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The bytes, whatever the kind.
    #[must_use]
    #[inline]
    pub const fn as_bytes(&self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The kind.
    #[must_use]
    #[inline]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }
}

/// A message that was received whole.
///
/// Its payload lies in the lent bytes, or is owned if it arrived in several pieces. To send it back,
/// [`Connection::reply`](crate::Connection::reply) takes it without a copy where that is possible.
#[derive(Debug)]
pub struct Message<'a>(pub(crate) Source<'a>);

/// Where the payload of a message is.
#[derive(Debug)]
pub(crate) enum Source<'a> {
    /// In the lent bytes.
    Lent(Payload<'a>, ReplyRoom<'a>),
    /// Assembled from pieces.
    Assembled(Assembled),
}

/// A message that was assembled from pieces. The first [`HEADER_ROOM`] bytes are not payload: a header fits there.
#[derive(Debug)]
pub(crate) enum Assembled {
    Text(String),
    Binary(Vec<u8>),
}

impl Assembled {
    /// A message behind [`HEADER_ROOM`] bytes of zero.
    pub(crate) fn new(kind: MessageKind, room_and_payload: Vec<u8>) -> Result<Self, InvalidUtf8> {
        match kind {
            MessageKind::Binary => Ok(Self::Binary(room_and_payload)),
            MessageKind::Text => String::from_utf8(room_and_payload).map(Self::Text).map_err(|_| InvalidUtf8),
        }
    }

    pub(crate) fn payload(&self) -> Payload<'_> {
        match self {
            Self::Text(text) => Payload::Text(&text[HEADER_ROOM..]),
            Self::Binary(bytes) => Payload::Binary(&bytes[HEADER_ROOM..]),
        }
    }

    /// The room for the header and the payload behind it.
    pub(crate) fn into_room_and_payload(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl Message<'_> {
    /// The kind.
    #[must_use]
    #[inline]
    pub fn kind(&self) -> MessageKind {
        self.payload().kind()
    }

    /// The payload.
    #[must_use]
    #[inline]
    pub fn payload(&self) -> Payload<'_> {
        match &self.0 {
            Source::Lent(payload, _) => *payload,
            Source::Assembled(assembled) => assembled.payload(),
        }
    }

    /// The payload as bytes, whatever the kind.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.payload().as_bytes()
    }

    /// The payload of a text message.
    #[must_use]
    #[inline]
    pub fn as_text(&self) -> Option<&str> {
        match self.payload() {
            Payload::Text(text) => Some(text),
            Payload::Binary(_) => None,
        }
    }

    /// Length of the payload in bytes.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
