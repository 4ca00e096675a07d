//! DEFLATE from a peer, and our own. Properties: arbitrary bytes as compressed messages never pass the limit, and a message
//! passes with exactly its own size as the limit but not with one byte less; what one end compresses, the other
//! decompresses to the same, whatever the parameters.
//!
//! Input: two bytes of flags, two numbers, the payload.
#![no_main]

use gannet_fuzz::{Behaviour, End, Input, Seen, masked_frame};
use gannet_proto::deflate::{Direction, PerMessageDeflate, WindowBits};
use gannet_proto::{Config, ProtocolError, Role};
use libfuzzer_sys::fuzz_target;

/// The limit that most messages keep to, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 17;
/// The most messages of a round trip: each may cost the start of a compressor.
const MESSAGES_MAX: usize = 8;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (flags, level) = (input.byte(), 1 + input.byte() % 9);
    let (limit, part_len) = (input.number(), input.number());
    let payload = input.rest();
    let deflate = PerMessageDeflate {
        server: Direction { context_takeover: flags & 1 != 0, window_bits: window_bits(flags >> 2) },
        client: Direction { context_takeover: flags & 2 != 0, window_bits: window_bits(flags >> 5) },
    };
    let (first, second) = payload.split_at(part_len.min(payload.len()));
    check_inflate(first, second, limit, deflate);
    let part_len = part_len.max(payload.len().div_ceil(MESSAGES_MAX)).max(1);
    check_round_trip(payload.chunks(part_len), level, deflate);
});

fn window_bits(bits: u8) -> WindowBits {
    WindowBits::new(8 + bits % 8).expect("8 to 15")
}

/// A server with this limit that was sent these compressed messages.
fn server_after(messages: &[&[u8]], limit: usize, deflate: PerMessageDeflate) -> End {
    let config = Config::default().with_message_bytes_max(limit);
    let mut server = End::new(Role::Server, Some(deflate), config, Behaviour::Ignore);
    let frames: Vec<Vec<u8>> = messages.iter().map(|message| masked_frame(0xc2, message)).collect();
    server.receive_all(frames.iter().map(Vec::as_slice));
    server
}

fn check_inflate(first: &[u8], second: &[u8], limit: usize, deflate: PerMessageDeflate) {
    for limit in [limit, MESSAGE_BYTES_MAX] {
        let server = server_after(&[first, second], limit, deflate);
        assert_eq!(server.seen.len() < 2, server.error.is_some());
        assert!(server.seen.iter().all(|seen| message_len(seen) <= limit));
        assert!(server.error.is_none_or(|error| is_expected(&error)), "{:?}", server.error);
    }
    let server = server_after(&[first], MESSAGE_BYTES_MAX, deflate);
    // A payload that is longer than any compressor would make it is refused at its header.
    let Some(len) = server.seen.first().map(message_len).filter(|len| first.len() <= *len) else { return };
    assert_eq!(server_after(&[first], len, deflate).seen, server.seen, "exactly the limit passes");
    if len > 0 {
        let refused = server_after(&[first], len - 1, deflate);
        assert!(refused.seen.is_empty(), "one byte more than the limit does not");
        assert!(matches!(refused.error, Some(ProtocolError::MessageTooBig { .. })), "{:?}", refused.error);
    }
}

fn message_len(seen: &Seen) -> usize {
    match seen {
        Seen::Binary(bytes) => bytes.len(),
        other => panic!("a binary message was sent: {other:?}"),
    }
}

const fn is_expected(error: &ProtocolError) -> bool {
    use ProtocolError as E;
    matches!(error, E::InvalidDeflate | E::MessageTooBig { .. } | E::TooManyFinalBlocks { .. })
}

/// Each message goes to the server and comes back.
fn check_round_trip<'a>(messages: impl Iterator<Item = &'a [u8]>, level: u8, deflate: PerMessageDeflate) {
    let config = Config::default().with_compression_level(level).with_compressed_bytes_min(0);
    let mut server = End::new(Role::Server, Some(deflate), config.clone(), Behaviour::Echo);
    let mut client = End::new(Role::Client, Some(deflate), config, Behaviour::Ignore);
    let mut expected = Vec::new();
    for message in messages {
        let sent = client.send(|connection, codec, out| connection.send_binary(message, codec, out));
        assert_eq!(sent, Ok(()));
        server.receive(&client.take_wire());
        client.receive(&server.take_wire());
        expected.push(Seen::Binary(message.to_vec()));
    }
    assert_eq!((&server.seen, server.error), (&expected, None));
    assert_eq!((&client.seen, client.error), (&expected, None));
}
