//! A message that arrives in pieces: fragments, or one frame cut by the transport. Invariant: memory grows with
//! the bytes received, never with a declared length, and stays below the limit that was checked at each header.

use crate::ProtocolError;
use crate::frame::Header;
use crate::mask;
use crate::message::{Assembled, MessageKind};
use crate::utf8::Validator;

/// Bytes in front of an assembled payload: the header of a large reply fits there, so it is sent without a copy.
pub(crate) const HEADER_ROOM: usize = 10;

/// A message that is not complete.
#[derive(Debug)]
pub(super) struct Assembly {
    message: Assembled,
    validator: Validator,
    /// The frame whose payload is arriving.
    frame: Option<CutFrame>,
}

#[derive(Clone, Copy, Debug)]
struct CutFrame {
    fin: bool,
    /// Bytes of payload that are missing.
    remaining: u64,
    /// The key for the next byte.
    key: Option<[u8; 4]>,
}

/// What a piece of payload brought about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The frame needs more bytes.
    Cut,
    /// The frame is complete, its message is not.
    FrameComplete,
    /// The message is complete.
    MessageComplete,
}

impl Assembly {
    pub(super) fn new(kind: MessageKind) -> Self {
        let room = [0; HEADER_ROOM];
        let message = match kind {
            MessageKind::Text => Assembled::Text(room.map(char::from).iter().collect()),
            MessageKind::Binary => Assembled::Binary(room.to_vec()),
        };
        Self { message, validator: Validator::default(), frame: None }
    }

    /// Bytes of payload so far.
    pub(super) fn len(&self) -> usize {
        self.message.payload().as_bytes().len()
    }

    /// Bytes that the frame in progress still needs; nothing if a header comes next.
    pub(super) fn frame_remaining(&self) -> Option<u64> {
        self.frame.map(|frame| frame.remaining)
    }

    /// Begins the next frame of the message.
    pub(super) fn begin_frame(&mut self, header: &Header) {
        self.frame =
            Some(CutFrame { fin: header.fin, remaining: header.payload_len, key: header.masking_key });
    }

    /// Adds the next piece of the frame in progress, at most [`frame_remaining`](Self::frame_remaining) bytes.
    pub(super) fn add(&mut self, piece: &mut [u8]) -> Result<Progress, ProtocolError> {
        let Some(frame) = &mut self.frame else { return Ok(Progress::FrameComplete) };
        if let Some(key) = &mut frame.key {
            mask::unmask(piece, *key);
            *key = mask::rotate_key(*key, piece.len());
        }
        frame.remaining -= piece.len() as u64;
        let CutFrame { fin, remaining, .. } = *frame;
        self.append(piece)?;
        if remaining > 0 {
            return Ok(Progress::Cut);
        }
        self.frame = None;
        if !fin {
            return Ok(Progress::FrameComplete);
        }
        self.validator.finish()?;
        Ok(Progress::MessageComplete)
    }

    pub(super) fn into_message(self) -> Assembled {
        self.message
    }

    fn append(&mut self, piece: &[u8]) -> Result<(), ProtocolError> {
        match &mut self.message {
            Assembled::Text(text) => {
                // RFC 6455 §8.1: bad text fails before its message, or even its frame, is complete.
                let checked = self.validator.feed(piece)?;
                text.extend(checked.joined);
                text.push_str(checked.text);
            }
            Assembled::Binary(bytes) => bytes.extend_from_slice(piece),
        }
        Ok(())
    }
}
