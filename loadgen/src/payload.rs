//! The content of one message: who sent it, which one it is, when it was due, and a proof that it is whole.
//!
//! Invariant: [`read`] accepts exactly the bytes that [`write()`] made; a change of any bit or of the length is an
//! error. Integers are little-endian: connection (4 bytes), sequence (4), intended time (8), checksum (4), filler.

/// Length of a message without filler, the shortest there is.
pub(crate) const MESSAGE_BYTES_MIN: usize = 20;

/// Where the checksum begins; it covers everything before and after itself.
const CHECKSUM_AT: usize = 16;

/// What a message says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The connection that sent it, counted over all workers.
    pub(crate) connection: u32,
    /// Its place among the messages of that connection, from 0.
    pub(crate) sequence: u32,
    /// When it was due, in nanoseconds since the run began.
    pub(crate) intended_ns: u64,
}

/// The bytes are not those of any message that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupted;

/// Writes a message of `message_bytes`, or of [`MESSAGE_BYTES_MIN`] if that is longer.
pub(crate) fn write(stamp: Stamp, message_bytes: usize) -> Vec<u8> {
    let mut message = vec![0; message_bytes.max(MESSAGE_BYTES_MIN)];
    message[..4].copy_from_slice(&stamp.connection.to_le_bytes());
    message[4..8].copy_from_slice(&stamp.sequence.to_le_bytes());
    message[8..CHECKSUM_AT].copy_from_slice(&stamp.intended_ns.to_le_bytes());
    fill(&mut message[MESSAGE_BYTES_MIN..], stamp);
    let checksum = checksum(&message).to_le_bytes();
    message[CHECKSUM_AT..MESSAGE_BYTES_MIN].copy_from_slice(&checksum);
    message
}

/// Reads the stamp of a message.
///
/// # Errors
/// [`Corrupted`] if the message is too short or its checksum is wrong.
pub(crate) fn read(message: &[u8]) -> Result<Stamp, Corrupted> {
    if u32_at(message, CHECKSUM_AT)? != checksum(message) {
        return Err(Corrupted);
    }
    Ok(Stamp {
        connection: u32_at(message, 0)?,
        sequence: u32_at(message, 4)?,
        intended_ns: u64::from(u32_at(message, 8)?) | u64::from(u32_at(message, 12)?) << 32,
    })
}

fn u32_at(message: &[u8], offset: usize) -> Result<u32, Corrupted> {
    let bytes = message.get(offset..).and_then(<[u8]>::first_chunk).ok_or(Corrupted)?;
    Ok(u32::from_le_bytes(*bytes))
}

/// Fills with a sequence that differs from message to message, so that no two have the same content.
fn fill(filler: &mut [u8], stamp: Stamp) {
    let mut state = u64::from(stamp.connection) << 32 | u64::from(stamp.sequence);
    for chunk in filler.chunks_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = (state ^ state >> 29).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
}

/// A 32-bit sum over the length and every byte but the sum's own four.
fn checksum(message: &[u8]) -> u32 {
    let (header, filler) = message.split_at(message.len().min(MESSAGE_BYTES_MIN));
    let header = &header[..header.len().min(CHECKSUM_AT)];
    let mut sum = message.len() as u64;
    for chunk in header.chunks(8).chain(filler.chunks(8)) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        // Each step is a bijection of `sum`: one changed word always changes the 64-bit result.
        sum = (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
    (sum ^ sum >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { connection: 49_999, sequence: 7, intended_ns: 5_000_000_123 };

    #[test]
    fn a_message_reads_back_as_it_was_written_at_every_length() {
        for length in MESSAGE_BYTES_MIN..200 {
            let message = write(STAMP, length);
            assert_eq!(message.len(), length);
            assert_eq!(read(&message), Ok(STAMP));
        }
    }

    #[test]
    fn a_length_below_the_minimum_gives_a_message_of_the_minimum() {
        assert_eq!(write(STAMP, 0).len(), MESSAGE_BYTES_MIN);
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let message = write(STAMP, 131);
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&changed), Err(Corrupted), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_is_detected() {
        let message = write(STAMP, 131);
        for length in 0..message.len() {
            assert_eq!(read(&message[..length]), Err(Corrupted), "length {length}");
        }
    }

    #[test]
    fn an_appended_byte_is_detected() {
        let mut message = write(STAMP, 128);
        message.push(0);
        assert_eq!(read(&message), Err(Corrupted));
    }

    #[test]
    fn swapped_words_are_detected() {
        let mut message = write(STAMP, 128);
        let (left, right) = message[24..].split_at_mut(8);
        left.swap_with_slice(&mut right[..8]);
        assert_eq!(read(&message), Err(Corrupted));
    }

    #[test]
    fn two_messages_of_a_connection_share_no_filler() {
        let next = Stamp { sequence: STAMP.sequence + 1, ..STAMP };
        assert_ne!(write(STAMP, 64)[MESSAGE_BYTES_MIN..], write(next, 64)[MESSAGE_BYTES_MIN..]);
    }
}
