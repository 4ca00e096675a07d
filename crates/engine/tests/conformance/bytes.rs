//! Frames as bytes, right and wrong. Invariant: nothing here checks what it writes.

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RSV2: u8 = 0x20;
pub(crate) const RSV3: u8 = 0x10;

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

const MASKED: u8 = 0x80;
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame of a client with the shortest form of its length; `first` holds fin, the reserved bits and the opcode.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match payload.len() {
        short @ 0..126 => vec![first, MASKED | short as u8],
        medium @ 126..65_536 => {
            let [high, low] = (medium as u16).to_be_bytes();
            vec![first, MASKED | 126, high, low]
        }
        long => [&[first, MASKED | 127][..], &(long as u64).to_be_bytes()].concat(),
    };
    bytes.extend(KEY);
    bytes.extend(masked(payload));
    bytes
}

/// Only the header of a masked frame, whose length is given as a number of 64 bits.
pub(crate) fn header_64(first: u8, payload_len: u64) -> Vec<u8> {
    [&[first, MASKED | 127][..], &payload_len.to_be_bytes(), &KEY].concat()
}

/// Only the header of a masked frame, whose length is given as a number of 16 bits.
pub(crate) fn header_16(first: u8, payload_len: u16) -> Vec<u8> {
    [&[first, MASKED | 126][..], &payload_len.to_be_bytes(), &KEY].concat()
}

/// Only the header of a masked frame of at most 125 bytes.
pub(crate) fn header_7(first: u8, payload_len: u8) -> Vec<u8> {
    [&[first, MASKED | payload_len][..], &KEY].concat()
}

/// A payload as it follows one of the headers above.
pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key).collect()
}

/// A short frame as only a server may send it.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8][..], payload].concat()
}

/// A text message of one frame.
pub(crate) fn text(text: &str) -> Vec<u8> {
    frame(FIN | TEXT, text.as_bytes())
}

/// A Close frame with a code and a reason.
pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}
