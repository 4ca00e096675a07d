//! Frames to an end of a connection, with and without compression. Property: however the transport cuts the bytes, the
//! events, the error and the replies are the same, the replies are legal, and nothing is delivered after an error.
//!
//! Input: a byte of flags, four lengths of chunks, the stream.
#![no_main]

use gannet_fuzz::{Behaviour, End, Frame, Input, Seen, parse_sent};
use gannet_proto::deflate::{PerMessageDeflate, WindowBits};
use gannet_proto::frame::Opcode;
use gannet_proto::{Config, ProtocolError, ReadyState, Role};
use libfuzzer_sys::fuzz_target;

/// Pings of one receive that are surely answered each.
const PINGS_ANSWERED: usize = 16;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let setup = Setup::from_flags(input.byte());
    let chunk_lens = input.take(4);
    let stream = input.rest();
    let whole = setup.outcome([stream]);
    whole.assert_same_as(&setup.outcome(stream.chunks(1)));
    whole.assert_same_as(&setup.outcome(chunks(stream, chunk_lens)));
});

/// The end that receives the stream.
struct Setup {
    role: Role,
    behaviour: Behaviour,
    compression: Option<PerMessageDeflate>,
    config: Config,
}

impl Setup {
    fn from_flags(flags: u8) -> Self {
        let behaviour = match flags >> 1 & 3 {
            0 => Behaviour::Ignore,
            1 => Behaviour::Echo,
            _ => Behaviour::Mixed,
        };
        let compression = match flags >> 3 & 3 {
            0 | 1 => None,
            2 => Some(PerMessageDeflate::SHARED),
            _ => WindowBits::new(9).map(PerMessageDeflate::dedicated),
        };
        let config = if flags & 0x20 != 0 {
            Config::default().with_message_bytes_max(300).with_fragments_max(5)
        } else {
            Config::default().with_message_bytes_max(1 << 16)
        };
        Self {
            role: if flags & 1 == 0 { Role::Server } else { Role::Client },
            behaviour,
            compression,
            config: config.with_compressed_bytes_min(8),
        }
    }

    /// What comes of the stream in these chunks.
    fn outcome<'a>(&self, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
        let mut end = End::new(self.role, self.compression, self.config.clone(), self.behaviour);
        end.receive_all(chunks);
        let peer = match self.role {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        };
        let (sent, cut_bytes) = parse_sent(&end.wire, peer, self.compression.is_some());
        assert_eq!(cut_bytes, 0, "frames are sent whole");
        let outcome = Outcome { seen: end.seen.clone(), sent, error: end.error, state: end.ready_state() };
        if let Some(error) = end.error {
            let sent_bytes = end.wire.len();
            end.receive(b"\x81\x81\0\0\0\0a\x81\x01a");
            assert_eq!((end.error, end.wire.len()), (Some(error), sent_bytes), "an error is sticky");
            assert_eq!(end.seen, outcome.seen, "nothing is delivered after an error");
        }
        outcome
    }
}

/// All that may not depend on the cuts, but for the Pongs that are left out.
#[derive(Debug)]
struct Outcome {
    seen: Vec<Seen>,
    sent: Vec<Frame>,
    error: Option<ProtocolError>,
    state: ReadyState,
}

impl Outcome {
    fn assert_same_as(&self, chopped: &Self) {
        assert_eq!(self.seen, chopped.seen);
        assert_eq!((self.error, self.state), (chopped.error, chopped.state));
        let pings = self.seen.iter().filter(|seen| matches!(seen, Seen::Ping(_))).count();
        if pings <= PINGS_ANSWERED {
            assert_eq!(self.sent, chopped.sent);
            return;
        }
        // RFC 6455 §5.5.3: of the Pings that come together, the last may be the only one that is answered.
        let (pongs, others) = parted(&self.sent);
        let (chopped_pongs, chopped_others) = parted(&chopped.sent);
        assert_eq!(others, chopped_others);
        if self.state == ReadyState::Open {
            assert_eq!(pongs.last(), chopped_pongs.last());
        }
    }
}

/// The Pongs and the other frames.
fn parted(sent: &[Frame]) -> (Vec<&Frame>, Vec<&Frame>) {
    sent.iter().partition(|frame| frame.opcode == Opcode::Pong)
}

/// `stream` in chunks of these lengths plus one, over and over.
fn chunks<'a>(stream: &'a [u8], lens: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut input = Input::new(stream);
    let mut lens = lens.iter().cycle();
    std::iter::from_fn(move || {
        let len = lens.next().map_or(1, |&len| usize::from(len) + 1);
        Some(input.take(len)).filter(|chunk| !chunk.is_empty())
    })
}
