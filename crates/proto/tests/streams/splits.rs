//! However the transport cuts a stream, legal or not, the events, the replies and the error are the same.

use gannet_proto::deflate::{PerMessageDeflate, WindowBits};
use gannet_proto::{Config, Payload, ProtocolError, ReadyState};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generate::{self, Frame};
use crate::harness::{Behaviour, End, Seen};

/// All that may not depend on the cuts.
#[derive(Debug, PartialEq)]
struct Outcome {
    seen: Vec<Seen>,
    wire: Vec<u8>,
    error: Option<ProtocolError>,
    state: ReadyState,
}

fn outcome<'a>(mut end: End, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    for chunk in chunks {
        end.receive(chunk);
        if end.error.is_some() {
            break;
        }
    }
    let state = end.connection.ready_state();
    Outcome { seen: end.seen, wire: end.wire, error: end.error, state }
}

fn chunks_at<'a>(wire: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(wire.len());
    let mut start = 0;
    ends.into_iter().map(|end| &wire[std::mem::replace(&mut start, end)..end]).collect()
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![Just(Behaviour::Ignore), Just(Behaviour::Echo), Just(Behaviour::Mixed)]
}

fn config() -> impl Strategy<Value = Config> {
    prop_oneof![3 => Just(1 << 20), 1 => 0..400_usize]
        .prop_map(|limit| Config::default().with_message_bytes_max(limit))
}

/// A message that gets shorter, or does not.
fn compressible() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..60), vec(0..4_u8, 0..2_000), "[a-c]{0,300}".prop_map(String::into_bytes)]
}

/// Cases of each property; under Miri a case takes seconds.
const CASES: u32 = if cfg!(miri) { 2 } else { 400 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_server_does_the_same_whole_and_in_any_split(
        frames in generate::legal_stream(),
        changes in generate::corruption(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        behaviour in behaviour(),
        config in config(),
    ) {
        let mut wire = generate::encode(&frames, true);
        generate::corrupt(&mut wire, &changes);
        let end = || End::server(config.clone(), behaviour);
        let whole = outcome(end(), [&wire[..]]);
        prop_assert_eq!(&outcome(end(), chunks_at(&wire, &cuts)), &whole);
        if wire.len() < 3000 {
            prop_assert_eq!(&outcome(end(), wire.chunks(1)), &whole);
        }
    }

    #[test]
    fn a_client_does_the_same_whole_and_in_any_split(
        frames in generate::legal_stream(),
        changes in generate::corruption(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        behaviour in behaviour(),
        config in config(),
    ) {
        let mut wire = generate::encode(&frames, false);
        generate::corrupt(&mut wire, &changes);
        let end = || End::client(config.clone(), behaviour);
        let whole = outcome(end(), [&wire[..]]);
        prop_assert_eq!(&outcome(end(), chunks_at(&wire, &cuts)), &whole);
        if wire.len() < 3000 {
            prop_assert_eq!(&outcome(end(), wire.chunks(1)), &whole);
        }
    }

    #[test]
    fn compressed_messages_do_the_same_whole_and_in_any_split(
        messages in vec(compressible(), 1..6),
        takeover in any::<bool>(),
        changes in generate::corruption(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
        config in config(),
    ) {
        let deflate = if takeover {
            PerMessageDeflate::dedicated(WindowBits::MAX)
        } else {
            PerMessageDeflate::SHARED
        };
        let compressing = |mut end: End| {
            end.connection = end.connection.with_compression(deflate);
            end
        };
        let mut client = compressing(End::client(Config::default().with_compressed_bytes_min(0), Behaviour::Ignore));
        for message in &messages {
            client.send_message(Payload::Binary(message));
        }
        let mut wire = client.take_wire();
        generate::corrupt(&mut wire, &changes);
        let end = || compressing(End::server(config.clone(), Behaviour::Mixed));
        let whole = outcome(end(), [&wire[..]]);
        prop_assert_eq!(&outcome(end(), chunks_at(&wire, &cuts)), &whole);
        prop_assert_eq!(&outcome(end(), wire.chunks(1)), &whole);
        if changes.is_empty() && whole.error.is_none() {
            prop_assert_eq!(whole.seen, messages.into_iter().map(Seen::Binary).collect::<Vec<_>>());
        }
    }

    #[test]
    fn any_bytes_are_survived_and_an_error_is_sticky(bytes in vec(any::<u8>(), 0..200), more in vec(any::<u8>(), 0..50)) {
        for mut end in [End::server(Config::default(), Behaviour::Echo), End::client(Config::default(), Behaviour::Echo)] {
            end.receive(&bytes);
            if let Some(error) = end.error.take() {
                let (seen, wire) = (end.seen.clone(), end.wire.clone());
                end.receive(&more);
                prop_assert_eq!(end.error, Some(error));
                prop_assert_eq!(end.seen, seen);
                prop_assert_eq!(end.wire, wire);
            }
        }
    }
}

/// Frames that broke other implementations, and legal ones around them.
fn vectors() -> Vec<Vec<u8>> {
    let key = [0_u8; 4];
    let long = |first: u8, length: u64| [&[first, 0xff][..], &length.to_be_bytes(), &key].concat();
    let frame = |first: u8, payload: &[u8]| {
        generate::encode(&[Frame { first, payload: payload.to_vec(), key }], true)
    };
    let wrapping = [
        u64::MAX,
        u64::MAX - 1,
        u64::MAX - 2,
        u64::MAX - 3,
        u64::MAX - 13,
        1 << 63,
        (1 << 63) - 1,
        1 << 32,
        u32::MAX.into(),
    ];
    let mut vectors: Vec<Vec<u8>> = [0x82, 0x81, 0xc1, 0x83, 0x02]
        .iter()
        .flat_map(|&first| wrapping.map(|length| long(first, length)))
        .collect();
    vectors.push([frame(0x02, &[7; 16]), long(0x80, u64::MAX - 14)].concat());
    vectors.push([frame(0x02, &[7; 16]), long(0x80, (1 << 63) - 2)].concat());
    vectors.push([frame(0x01, b"a"), frame(0x00, b""), frame(0x89, b"ping"), frame(0x80, b"b")].concat());
    vectors.push([frame(0x81, b"before"), frame(0x80, b"stray")].concat());
    vectors.push([frame(0x01, b"one"), frame(0x81, b"two")].concat());
    vectors.push([frame(0x81, b"last"), frame(0x88, b"\x03\xe8bye"), frame(0x81, b"ignored")].concat());
    vectors.push(frame(0x81, b"\xce\xba\xf4\x90\x80\x80"));
    vectors.push(b"\x81\x05Hello".to_vec());
    vectors.push(frame(0x82, &[9; 300]));
    vectors
}

#[test]
fn every_prefix_of_every_vector_gives_the_same_byte_by_byte() {
    for vector in vectors() {
        for end in 0..=vector.len() {
            let prefix = &vector[..end];
            let whole = outcome(End::server(Config::default(), Behaviour::Echo), [prefix]);
            let bytewise = outcome(End::server(Config::default(), Behaviour::Echo), prefix.chunks(1));
            assert_eq!(bytewise, whole, "{prefix:x?}");
        }
    }
}

#[test]
fn a_short_frame_at_the_end_of_the_bytes_is_delivered() {
    for len in 0..4 {
        let frames = [Frame { first: 0x82, payload: vec![1; len], key: [5; 4] }];
        let whole =
            outcome(End::server(Config::default(), Behaviour::Echo), [&generate::encode(&frames, true)[..]]);
        assert_eq!(whole.seen, [Seen::Binary(vec![1; len])]);
        assert_eq!(whole.wire, [&[0x82, len as u8][..], &vec![1; len]].concat());
    }
}
