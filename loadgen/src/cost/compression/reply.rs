//! The reply to a compressed message. Its bytes are not known before it arrives: with a preset window, zlib-rs finds
//! other matches in a used state than in a new one now and then.
//! Invariant: a reply passes only as one compressed text frame; where it is looked at whole, only if it stands for the
//! message that was sent.

use super::calls::restore;
use crate::cost::error::Error;
use crate::cost::wire::{self, Depth, FIN_TEXT, RSV1};

/// What must come back.
#[derive(Debug)]
pub(crate) struct CompressedReply {
    message: Vec<u8>,
    window: Vec<u8>,
}

impl CompressedReply {
    /// A frame that stands for `message` and may refer to `window`.
    pub(crate) fn new(message: &[u8], window: &[u8]) -> Self {
        Self { message: message.to_vec(), window: window.to_vec() }
    }

    /// Checks what has `arrived` of the frame; true when it is all of it.
    ///
    /// # Errors
    /// When it is another frame, goes on behind its end or stands for another message.
    pub(crate) fn check(&self, arrived: &[u8], depth: Depth) -> Result<bool, Error> {
        if let Some(&first_byte) = arrived.first().filter(|&&byte| byte != FIN_TEXT | RSV1) {
            return Err(Error::new(format!(
                "a reply begins with {first_byte:#04x}: it is not compressed text"
            )));
        }
        let Some((header_len, payload_len)) = wire::read_header(arrived) else { return Ok(false) };
        let payload = &arrived[header_len..];
        if (payload.len() as u64) < payload_len {
            return Ok(false);
        }
        if payload.len() as u64 > payload_len {
            let surplus = payload.len() as u64 - payload_len;
            return Err(Error::new(format!("{surplus} bytes came behind a reply")));
        }
        if depth == Depth::Whole && restore(payload, &self.window, self.message.len())? != self.message {
            return Err(Error::new("a wrong reply: decompressed, it is not the message that was sent"));
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::compression::script::Script;
    use crate::systems::Compression;

    /// The reply to the first step of a script, and its frame.
    fn first(compression: Compression) -> (CompressedReply, Vec<u8>) {
        let script = Script::new(compression, 1_024).unwrap();
        let step = &script.steps[0];
        let mut frame = Vec::new();
        wire::write_frame(&mut frame, FIN_TEXT | RSV1, &step.payload, None);
        (CompressedReply::new(&step.message, &step.window), frame)
    }

    #[test]
    fn a_reply_passes_when_its_last_byte_has_come() {
        for compression in [Compression::Shared, Compression::Dedicated] {
            let (reply, frame) = first(compression);
            for len in 0..frame.len() {
                assert_eq!(reply.check(&frame[..len], Depth::Whole), Ok(false), "{len}");
            }
            assert_eq!(reply.check(&frame, Depth::Whole), Ok(true));
            assert!(reply.check(&[&frame[..], b"\x81"].concat(), Depth::Headers).is_err());
        }
    }

    #[test]
    fn a_reply_that_is_not_compressed_or_stands_for_another_message_is_refused() {
        let (reply, mut frame) = first(Compression::Shared);
        let other = CompressedReply::new(b"another message", b"");
        assert!(other.check(&frame, Depth::Whole).is_err());
        assert_eq!(other.check(&frame, Depth::Headers), Ok(true));
        frame[0] = FIN_TEXT;
        assert!(reply.check(&frame, Depth::Headers).is_err());
    }
}
