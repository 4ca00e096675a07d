//! The messages of a case with compression, compressed before anything is timed.
//! Invariant: a step is the same in every cycle and on every connection: with context takeover, the messages before it
//! fill the whole window.

use super::calls::{Calls, Zlib, strip_tail};
use super::json;
use super::reply::CompressedReply;
use crate::cost::dialogue::Dialogue;
use crate::cost::error::Error;
use crate::cost::wire::{self, Exchange, FIN_TEXT, Protocol, RSV1};
use crate::systems::Compression;

/// Different messages: more than the branch predictor learns by heart.
const STEPS: usize = 64;

/// How messages are compressed: as the engine does with its defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// How hard the compressor tries, 1 to 9.
    pub(crate) level: u8,
    /// The binary logarithm of the compressor's window.
    pub(crate) window_bits: u8,
    /// Whether messages refer to those before them.
    takeover: bool,
}

impl Parameters {
    /// The largest window there is, which the decompressor always has.
    pub(crate) const WINDOW_BITS_MAX: u8 = 15;

    /// Those of the engine.
    pub(crate) fn new(compression: Compression) -> Self {
        let engine = gannet::Config::default();
        let takeover = compression == Compression::Dedicated;
        let window_bits = if takeover { engine.compression_window_bits } else { Self::WINDOW_BITS_MAX };
        Self { level: engine.compression_level, window_bits, takeover }
    }

    /// What a message behind `before` may refer to.
    fn window<'a>(&self, before: &'a [u8]) -> &'a [u8] {
        let bytes = if self.takeover { 1 << self.window_bits } else { 0 };
        &before[before.len().saturating_sub(bytes)..]
    }
}

/// One message of a cycle.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What the application sends.
    pub(crate) message: Vec<u8>,
    /// What it may refer to; empty without context takeover.
    pub(crate) window: Vec<u8>,
    /// What the client sends for it.
    pub(crate) payload: Vec<u8>,
}

/// The cycle of messages that every connection sends.
#[derive(Debug)]
pub(crate) struct Script {
    compression: Compression,
    parameters: Parameters,
    /// The messages, in their order.
    pub(super) steps: Vec<Step>,
    /// With context takeover, frames that bring a window to where the cycle needs it.
    prelude: Vec<Vec<u8>>,
}

impl Script {
    /// Compresses messages of `message_bytes` each.
    ///
    /// # Errors
    /// When zlib-rs fails.
    pub(crate) fn new(compression: Compression, message_bytes: usize) -> Result<Self, Error> {
        let parameters = Parameters::new(compression);
        let mut zlib = Zlib::new(parameters, message_bytes);
        let messages = json::messages(STEPS, message_bytes);
        let mut steps = Vec::with_capacity(STEPS);
        for (step, message) in messages.iter().enumerate() {
            let before = [&messages[step..], &messages[..step]].concat().concat();
            let window = parameters.window(&before).to_vec();
            let payload = strip_tail(zlib.compress(message, &window)?)?.to_vec();
            steps.push(Step { message: message.clone(), window, payload });
        }
        let prelude = if parameters.takeover { &messages[..] } else { &[] };
        let prelude =
            prelude.iter().map(|message| frame_alone(&mut zlib, message)).collect::<Result<_, _>>()?;
        Ok(Self { compression, parameters, steps, prelude })
    }

    /// Mean length of a payload on the wire.
    pub(crate) fn compressed_bytes(&self) -> f64 {
        self.steps.iter().map(|step| step.payload.len() as f64).sum::<f64>() / self.steps.len() as f64
    }

    /// The messages as they are.
    pub(crate) fn plain_dialogue(&self) -> Dialogue {
        let cycle = self.steps.iter().map(|step| Exchange::of_text(&step.message)).collect();
        Dialogue::of_cycle(Protocol::WebSocket(Compression::Off), cycle)
    }

    /// The messages compressed.
    pub(crate) fn compressed_dialogue(&self) -> Dialogue {
        let exchange = |step: &Step| {
            let reply = CompressedReply::new(&step.message, &step.window);
            Exchange::of_compressed(&step.payload, reply)
        };
        let protocol = Protocol::WebSocket(self.compression);
        Dialogue::of_cycle(protocol, self.steps.iter().map(exchange).collect()).after(self.prelude.clone())
    }

    /// The bare calls for the messages.
    pub(crate) fn calls(&self) -> Calls {
        Calls::new(self.parameters, &self.steps)
    }
}

/// The frame of a client for a message that refers to nothing before it; that is always allowed.
pub(crate) fn frame_alone(zlib: &mut Zlib, message: &[u8]) -> Result<Vec<u8>, Error> {
    let payload = strip_tail(zlib.compress(message, &[])?)?;
    Ok(wire::masked_frame(FIN_TEXT | RSV1, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_takeover_a_message_refers_to_nothing_and_needs_no_prelude() {
        let script = Script::new(Compression::Shared, 1_024).unwrap();
        assert!(script.prelude.is_empty());
        assert!(script.steps.iter().all(|step| step.window.is_empty()));
        assert!((200.0..700.0).contains(&script.compressed_bytes()), "{}", script.compressed_bytes());
    }

    #[test]
    fn with_takeover_the_window_is_the_end_of_the_messages_before() {
        let script = Script::new(Compression::Dedicated, 1_024).unwrap();
        let [first, second, .., last] = &script.steps[..] else { panic!("too few steps") };
        assert_eq!(first.window.len(), 4_096);
        assert!(first.window.ends_with(&last.message));
        assert!(second.window.ends_with(&first.message));
        assert_eq!(script.prelude.len(), script.steps.len());
    }

    #[test]
    fn a_window_makes_messages_shorter() {
        let [shared, dedicated] = [Compression::Shared, Compression::Dedicated]
            .map(|compression| Script::new(compression, 1_024).unwrap().compressed_bytes());
        assert!(dedicated < 0.8 * shared, "{dedicated} of {shared}");
    }
}
