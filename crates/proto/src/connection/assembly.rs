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
    /// What the message is once it is complete.
    kind: MessageKind,
    /// Whether `message` is still compressed: then it is bytes whatever its kind.
    compressed: bool,
    message: Assembled,
    validator: Validator,
    /// Frames begun, empty ones included.
    fragments: u32,
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
    pub(super) fn new(kind: MessageKind, compressed: bool) -> Self {
        let room = [0; HEADER_ROOM];
        let message = match kind {
            MessageKind::Text if !compressed => Assembled::Text(room.map(char::from).iter().collect()),
            _ => Assembled::Binary(room.to_vec()),
        };
        Self { kind, compressed, message, validator: Validator::default(), fragments: 0, frame: None }
    }

    /// Bytes of payload so far.
    pub(super) fn len(&self) -> usize {
        self.message.payload().as_bytes().len()
    }

    pub(super) const fn kind(&self) -> MessageKind {
        self.kind
    }

    pub(super) const fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Frames so far.
    pub(super) const fn fragments(&self) -> u32 {
        self.fragments
    }

    /// Bytes that the frame in progress still needs; nothing if a header comes next.
    pub(super) fn frame_remaining(&self) -> Option<u64> {
        self.frame.map(|frame| frame.remaining)
    }

    /// Begins the next frame of the message.
    pub(super) fn begin_frame(&mut self, header: &Header) {
        self.fragments += 1;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Opcode;

    fn frame(fin: bool, payload_len: u64) -> Header {
        Header { fin, compressed: false, opcode: Opcode::Continuation, masking_key: None, payload_len }
    }

    fn capacity(assembly: &Assembly) -> usize {
        match &assembly.message {
            Assembled::Text(text) => text.capacity(),
            Assembled::Binary(bytes) => bytes.capacity(),
        }
    }

    #[test]
    fn a_declared_length_allocates_nothing() {
        let mut assembly = Assembly::new(MessageKind::Binary, false);
        assembly.begin_frame(&frame(true, u64::MAX >> 1));
        assert_eq!(assembly.add(&mut [1; 100]), Ok(Progress::Cut));
        assert!(capacity(&assembly) <= 2 * (HEADER_ROOM + 100));
        assert_eq!(assembly.frame_remaining(), Some((u64::MAX >> 1) - 100));
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri takes a minute for 20,000 fragments")]
    fn many_small_fragments_pin_at_most_twice_what_was_received() {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let mut assembly = Assembly::new(kind, false);
            for received in 1..=10_000 {
                assembly.begin_frame(&frame(false, 1));
                assert_eq!(assembly.add(b"a".to_vec().as_mut_slice()), Ok(Progress::FrameComplete));
                assert!(capacity(&assembly) <= 2 * (HEADER_ROOM + received), "{received}");
            }
        }
    }

    #[test]
    fn the_room_for_a_header_is_in_front_of_the_payload() {
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let mut assembly = Assembly::new(kind, false);
            assembly.begin_frame(&frame(true, 5));
            assert_eq!(assembly.add(b"Hello".to_vec().as_mut_slice()), Ok(Progress::MessageComplete));
            let message = assembly.into_message();
            assert_eq!(message.payload().as_bytes(), b"Hello");
            assert_eq!(message.into_room_and_payload()[HEADER_ROOM..], *b"Hello");
        }
    }

    #[test]
    fn a_cut_masked_frame_continues_with_the_right_key_byte() {
        let key = [1, 2, 3, 4];
        for cut in 0..=7 {
            let mut payload = *b"Hello!!";
            mask::unmask(&mut payload, key);
            let (front, back) = payload.split_at_mut(cut);
            let mut assembly = Assembly::new(MessageKind::Text, false);
            assembly.begin_frame(&Header { masking_key: Some(key), ..frame(true, 7) });
            assembly.add(front).expect("text");
            if !back.is_empty() {
                assert_eq!(assembly.add(back), Ok(Progress::MessageComplete));
            }
            assert_eq!(assembly.into_message().payload().as_bytes(), b"Hello!!", "cut at {cut}");
        }
    }
}
