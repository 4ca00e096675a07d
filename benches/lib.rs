//! What the benches share: batches of frames, a stream in memory, aligned memory and how long to measure.
//! Invariant: every contender of a bench gets the same bytes, and receives them by one copy per byte.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::time::Duration;

use criterion::{Bencher, Criterion};
use gannet_proto::frame::{Header, Opcode, write_header};
use gannet_proto::mask::unmask;

/// The payload sizes that frames are measured with, and how a bench names them.
pub const PAYLOADS: [(&str, usize); 3] = [("20B", 20), ("1KiB", 1024), ("64KiB", 64 * 1024)];

/// What a receive buffer takes at once: a batch holds as many frames as fit, and at least one.
const BATCH_BYTES: usize = 64 * 1024;

/// What tungstenite reads at once. Its default of 128 KiB is filled with zeros before each read.
pub const TUNGSTENITE_READ_BYTES: usize = 4 * 1024;

/// One of those that a bench compares: its name, and how it does the work on an input.
pub type Contender<Input> = (&'static str, fn(&mut Bencher<'_>, &Input));

/// Criterion with the measuring times of this project, and the flags of the command line.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// Masked binary frames, back to back, as a client sends them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The bytes on the wire.
    pub bytes: Vec<u8>,
    /// The number of frames.
    pub frames: usize,
    /// Payload bytes of each frame.
    pub payload_bytes: usize,
}

impl Batch {
    /// As many frames with `payload_bytes` of payload as fit in 64 KiB, at least one.
    #[must_use]
    pub fn new(payload_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(2 * BATCH_BYTES);
        let mut frames = 0;
        loop {
            let before = bytes.len();
            write_masked_frame(&mut bytes, frames, payload_bytes);
            if bytes.len() > BATCH_BYTES && frames > 0 {
                bytes.truncate(before);
                return Self { bytes, frames, payload_bytes };
            }
            frames += 1;
        }
    }
}

/// Appends frame number `index`: keys and payloads differ from frame to frame.
fn write_masked_frame(out: &mut Vec<u8>, index: usize, payload_bytes: usize) {
    let masking_key = (index as u32).wrapping_mul(0x9e37_79b9).wrapping_add(0x37fa_213d).to_be_bytes();
    let payload_len = payload_bytes as u64;
    let header = Header {
        fin: true,
        compressed: false,
        opcode: Opcode::Binary,
        masking_key: Some(masking_key),
        payload_len,
    };
    write_header(out, &header);
    let payload = out.len();
    out.extend((0..payload_bytes).map(|position| (position + index) as u8));
    unmask(&mut out[payload..], masking_key);
}

/// A stream that always has its input ready, as often as it is rewound, and keeps what is written to it.
#[derive(Debug)]
pub struct Memory {
    input: Vec<u8>,
    at: usize,
    /// What was written.
    pub output: Vec<u8>,
}

impl Memory {
    /// A stream from which `input` can be read.
    #[must_use]
    pub fn new(input: Vec<u8>) -> Self {
        Self { input, at: 0, output: Vec::with_capacity(1024) }
    }

    /// Makes the whole input ready again and forgets the output.
    pub fn rewind(&mut self) {
        self.at = 0;
        self.output.clear();
    }

    /// The next bytes of the input, `bytes_max` at most.
    pub fn take(&mut self, bytes_max: usize) -> &[u8] {
        let rest = &self.input[self.at..];
        let taken = &rest[..rest.len().min(bytes_max)];
        self.at += taken.len();
        taken
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.take(buffer.len());
        buffer[..taken.len()].copy_from_slice(taken);
        Ok(taken.len())
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Memory that begins at a multiple of 64 bytes, like the receive buffer of a shard.
#[derive(Debug)]
pub struct Aligned {
    memory: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    const ALIGN_BYTES: usize = 64;

    /// Allocates `len` bytes with a pattern in them.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let memory: Vec<u8> = (0..len + Self::ALIGN_BYTES).map(|index| index as u8).collect();
        let start = memory.as_ptr().align_offset(Self::ALIGN_BYTES);
        Self { memory, start, len }
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.len]
    }
}
