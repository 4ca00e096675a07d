//! The bare calls of zlib-rs for a message that comes in and goes out compressed: what no server can do without.
//! Invariant: they have the parameters of the engine and do the same work. Nothing is allocated or copied besides.

use std::hint::black_box;
use std::time::Instant;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush, Status};

use super::script::{Parameters, Step};
use crate::cost::client::Until;
use crate::cost::error::{Doing, Error};

/// RFC 7692 §7.2.1: what ends a flushed message and is left out on the wire.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// A compressor, a decompressor and where they write: made once, used for every message.
pub(crate) struct Zlib {
    deflate: Deflate,
    inflate: Inflate,
    compressed: Vec<u8>,
    restored: Vec<u8>,
}

impl Zlib {
    /// For messages of at most `message_bytes_max` bytes.
    pub(crate) fn new(parameters: Parameters, message_bytes_max: usize) -> Self {
        // What does not get shorter takes a few bytes more (RFC 1951 §3.2.4); the room is ample.
        let room = vec![0; message_bytes_max + message_bytes_max / 8 + 64];
        Self {
            deflate: Deflate::new(i32::from(parameters.level), false, parameters.window_bits),
            inflate: Inflate::new(false, Parameters::WINDOW_BITS_MAX),
            compressed: room.clone(),
            restored: room,
        }
    }

    /// Compresses `message`, which may refer to `window`. The result ends with [`TAIL`].
    pub(crate) fn compress(&mut self, message: &[u8], window: &[u8]) -> Result<&[u8], Error> {
        let len = compress(&mut self.deflate, message, window, &mut self.compressed)?;
        Ok(&self.compressed[..len])
    }

    /// Decompresses `payload`, which ends with [`TAIL`], and compresses the message again; both may refer to `window`.
    /// Returns the message and its new payload.
    fn echo(&mut self, payload: &[u8], window: &[u8]) -> Result<(&[u8], &[u8]), Error> {
        let len = decompress(&mut self.inflate, payload, window, &mut self.restored)?;
        let message = &self.restored[..len];
        let len = compress(&mut self.deflate, message, window, &mut self.compressed)?;
        Ok((message, &self.compressed[..len]))
    }
}

/// Returns how many bytes of `output` were written.
fn compress(state: &mut Deflate, message: &[u8], window: &[u8], output: &mut [u8]) -> Result<usize, Error> {
    state.reset();
    if !window.is_empty() {
        state.set_dictionary(window).map_err(|error| failed("compress", error))?;
    }
    let status = state
        .compress(message, output, DeflateFlush::SyncFlush)
        .map_err(|error| failed("compress", error))?;
    whole(status, state.total_out(), output)
}

/// Returns how many bytes of `output` were written.
fn decompress(state: &mut Inflate, payload: &[u8], window: &[u8], output: &mut [u8]) -> Result<usize, Error> {
    state.reset(false);
    if !window.is_empty() {
        state.set_dictionary(window).map_err(|error| failed("decompress", error))?;
    }
    let status = state
        .decompress(payload, output, InflateFlush::SyncFlush)
        .map_err(|error| failed("decompress", error))?;
    whole(status, state.total_out(), output)
}

/// Where there is room left, zlib was not cut short.
fn whole(status: Status, written: u64, output: &[u8]) -> Result<usize, Error> {
    let written = written as usize;
    if status == Status::Ok && written < output.len() {
        return Ok(written);
    }
    Err(Error::new(format!("zlib-rs took more than one call for a message: {written} bytes, {status:?}")))
}

fn failed(action: &str, error: impl std::fmt::Debug) -> Error {
    Error::new(format!("zlib-rs could not {action}: {error:?}"))
}

/// The message that `payload` stands for, which came without the [`TAIL`]; `message_bytes` are expected.
pub(crate) fn restore(payload: &[u8], window: &[u8], message_bytes: usize) -> Result<Vec<u8>, Error> {
    let mut state = Inflate::new(false, Parameters::WINDOW_BITS_MAX);
    let mut message = vec![0; message_bytes + 1];
    let len = decompress(&mut state, &[payload, &TAIL].concat(), window, &mut message)?;
    message.truncate(len);
    Ok(message)
}

/// Leaves out what is not sent.
pub(crate) fn strip_tail(compressed: &[u8]) -> Result<&[u8], Error> {
    compressed.strip_suffix(&TAIL).ok_or("it does not end with a flush").doing("compress a message")
}

/// The calls for the messages of a cycle.
pub(crate) struct Calls {
    zlib: Zlib,
    /// The steps of the cycle, each payload with the [`TAIL`].
    steps: Vec<Step>,
}

impl Calls {
    /// The calls for `steps`.
    pub(crate) fn new(parameters: Parameters, steps: &[Step]) -> Self {
        let message_bytes_max = steps.iter().map(|step| step.message.len()).max().unwrap_or(0);
        let whole = |step: &Step| Step { payload: [&step.payload, &TAIL[..]].concat(), ..step.clone() };
        Self { zlib: Zlib::new(parameters, message_bytes_max), steps: steps.iter().map(whole).collect() }
    }

    /// Makes the calls for one cycle after the other until `until`. Returns for how many messages. With
    /// [`Until::BatchesEach`] the results are compared.
    ///
    /// # Errors
    /// When a call fails or, where they are compared, yields something else than it should.
    pub(crate) fn run(&mut self, until: Until) -> Result<u64, Error> {
        let mut cycles = 0;
        loop {
            for step in &self.steps {
                black_box(self.zlib.echo(&step.payload, &step.window)?);
            }
            cycles += 1;
            let is_over = match until {
                Until::BatchesEach(each) => cycles >= u64::from(each),
                Until::Deadline(deadline) => Instant::now() >= deadline,
            };
            if is_over {
                break;
            }
        }
        if matches!(until, Until::BatchesEach(_)) {
            self.check()?;
        }
        Ok(cycles * self.steps.len() as u64)
    }

    fn check(&mut self) -> Result<(), Error> {
        for Step { message, window, payload } in &self.steps {
            let (restored, compressed) = self.zlib.echo(payload, window)?;
            if restored != message || restore(strip_tail(compressed)?, window, message.len())? != *message {
                return Err(Error::new("zlib-rs yields another message than the one that was compressed"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::compression::script::Script;
    use crate::systems::Compression;

    #[test]
    fn the_calls_restore_and_compress_every_message_with_and_without_windows() {
        for compression in [Compression::Shared, Compression::Dedicated] {
            for bytes in [256, 1_024, 16_384] {
                let script = Script::new(compression, bytes).unwrap();
                let messages = script.calls().run(Until::BatchesEach(2)).unwrap();
                assert_eq!(messages, 2 * script.steps.len() as u64);
            }
        }
    }

    #[test]
    fn a_payload_that_stands_for_another_message_is_noticed() {
        let script = Script::new(Compression::Shared, 1_024).unwrap();
        let mut calls = script.calls();
        calls.steps[1].payload = calls.steps[0].payload.clone();
        assert!(calls.run(Until::BatchesEach(1)).is_err());
    }

    #[test]
    fn a_deadline_in_the_past_ends_after_one_cycle() {
        let script = Script::new(Compression::Shared, 256).unwrap();
        let messages = script.calls().run(Until::Deadline(Instant::now())).unwrap();
        assert_eq!(messages, script.steps.len() as u64);
    }
}
