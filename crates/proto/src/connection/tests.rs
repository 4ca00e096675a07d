//! The connection: the table of its states, where replies are written, what is checked at a header.

use super::*;
use crate::{CloseCode, Config, SendError};

mod compression;
mod floods;

const KEY: [u8; 4] = [0x11, 0x22, 0x33, 0x44];

/// A client's frame with a payload of up to 65535 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = match payload.len() {
        len @ 0..126 => vec![first, 0x80 | len as u8],
        len => [&[first, 0xfe], &(len as u16).to_be_bytes()[..]].concat(),
    };
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// What one call of `receive` showed.
#[derive(Debug, PartialEq)]
struct Outcome {
    events: Vec<String>,
    wire: Vec<u8>,
    error: Option<ProtocolError>,
}

/// Feeds bytes to a server that does not answer messages; events are shown by their first word.
fn receive(connection: &mut Connection, config: &Config, mut bytes: Vec<u8>) -> Outcome {
    let mut codec = Codec::new(config.clone());
    let mut received = Received::new(&mut bytes);
    let mut out = Vec::new();
    let mut events = Vec::new();
    let error = loop {
        match connection.poll_event(&mut codec, &mut received, &mut out) {
            Ok(Some(Event::Message(message))) => events.push(format!("message of {}", message.len())),
            Ok(Some(event)) => events.push(format!("{event:?}").split('(').next().unwrap_or("").to_owned()),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    Outcome { events, wire: [received.replies(), &out].concat(), error }
}

fn outcome(events: &[&str], wire: &[u8], error: Option<ProtocolError>) -> Outcome {
    Outcome { events: events.iter().map(|&event| event.to_owned()).collect(), wire: wire.to_vec(), error }
}

/// The Close frame that reports an error.
fn close_frame(error: ProtocolError) -> Vec<u8> {
    let reason = error.to_string();
    let code = u16::from(error.close_code()).to_be_bytes();
    [&[0x88, 2 + reason.len() as u8], &code[..], reason.as_bytes()].concat()
}

fn open() -> Connection {
    Connection::server()
}

fn close_sent() -> Connection {
    let mut connection = open();
    connection.close(Some(CloseCode::NORMAL), "", &mut Vec::new()).expect("open");
    connection
}

fn closed() -> Connection {
    let mut connection = close_sent();
    receive(&mut connection, &Config::default(), frame(0x88, b""));
    connection
}

fn failed() -> Connection {
    let mut connection = open();
    connection.fail(ProtocolError::OutboxFull, &mut Vec::new());
    connection
}

#[test]
fn a_connection_is_two_words_and_send() {
    const fn assert_send<T: Send>() {}
    assert_send::<Connection>();
    assert_eq!(size_of::<Connection>(), 2 * size_of::<usize>());
}

#[test]
fn each_state_answers_each_kind_of_frame_as_the_table_says() {
    use ReadyState::{Closed, Closing, Open};
    let stray = ProtocolError::UnexpectedContinuation;
    let sticky = ProtocolError::OutboxFull;
    let (text, ping, pong) = (frame(0x81, b"abc"), frame(0x89, b"hi"), frame(0x8a, b""));
    let (close, bad) = (frame(0x88, b"\x03\xe8ok"), frame(0x80, b""));
    type Row<'a> = (fn() -> Connection, &'a [u8], Outcome, ReadyState);
    let table: [Row<'_>; 20] = [
        (open, &text, outcome(&["message of 3"], b"", None), Open),
        (open, &ping, outcome(&["Ping"], b"\x8a\x02hi", None), Open),
        (open, &pong, outcome(&["Pong"], b"", None), Open),
        (open, &close, outcome(&["Close"], b"\x88\x04\x03\xe8ok", None), Closed),
        (open, &bad, outcome(&[], &close_frame(stray), Some(stray)), Closed),
        (close_sent, &text, outcome(&[], b"", None), Closing),
        (close_sent, &ping, outcome(&[], b"", None), Closing),
        (close_sent, &pong, outcome(&[], b"", None), Closing),
        (close_sent, &close, outcome(&["Close"], b"", None), Closed),
        (close_sent, &bad, outcome(&[], b"", Some(stray)), Closed),
        (closed, &text, outcome(&[], b"", None), Closed),
        (closed, &ping, outcome(&[], b"", None), Closed),
        (closed, &pong, outcome(&[], b"", None), Closed),
        (closed, &close, outcome(&[], b"", None), Closed),
        (closed, &bad, outcome(&[], b"", None), Closed),
        (failed, &text, outcome(&[], b"", Some(sticky)), Closed),
        (failed, &ping, outcome(&[], b"", Some(sticky)), Closed),
        (failed, &pong, outcome(&[], b"", Some(sticky)), Closed),
        (failed, &close, outcome(&[], b"", Some(sticky)), Closed),
        (failed, &bad, outcome(&[], b"", Some(sticky)), Closed),
    ];
    for (state, bytes, expected, after) in table {
        let mut connection = state();
        let label = format!("{:?} given {bytes:x?}", connection.state());
        assert_eq!(receive(&mut connection, &Config::default(), bytes.to_vec()), expected, "{label}");
        assert_eq!(connection.ready_state(), after, "{label}");
    }
}

#[test]
fn only_an_open_connection_sends() {
    for (state, close_received) in [(close_sent as fn() -> _, false), (closed, true), (failed, false)] {
        let mut connection: Connection = state();
        let mut out = Vec::new();
        assert_eq!(connection.send_text("a", &mut Codec::default(), &mut out), Err(SendError::Closing));
        assert_eq!(connection.send_binary(b"a", &mut Codec::default(), &mut out), Err(SendError::Closing));
        assert_eq!(connection.send_ping(b"", &mut out), Err(SendError::Closing));
        assert_eq!(connection.send_pong(b"", &mut out), Err(SendError::Closing));
        assert_eq!(connection.close(None, "", &mut out), Err(SendError::Closing));
        connection.fail(ProtocolError::Internal, &mut out);
        assert!(out.is_empty());
        assert!(connection.is_close_sent());
        assert_eq!(connection.is_close_received(), close_received);
    }
}

#[test]
fn a_close_that_cannot_be_expressed_leaves_the_connection_open() {
    let mut connection = open();
    let mut out = Vec::new();
    let error = connection.close(Some(CloseCode::NO_STATUS_RECEIVED), "", &mut out);
    assert_eq!(error, Err(SendError::CodeNotSendable(1005)));
    assert_eq!(
        connection.send_ping(&[0; 126], &mut out),
        Err(SendError::ControlPayloadTooLong { bytes: 126 })
    );
    assert!(out.is_empty());
    assert_eq!(connection.ready_state(), ReadyState::Open);
    assert_eq!(connection.close(Some(CloseCode::GOING_AWAY), "bye", &mut out), Ok(()));
    assert_eq!(out, b"\x88\x05\x03\xe9bye");
}

#[test]
fn a_reply_after_close_is_refused_and_not_written() {
    let mut bytes = frame(0x82, b"abc");
    let mut received = Received::new(&mut bytes);
    let (mut connection, mut out) = (open(), Vec::new());
    let event = connection.poll_event(&mut Codec::default(), &mut received, &mut out);
    let Ok(Some(Event::Message(message))) = event else { panic!("{event:?}") };
    connection.close(None, "", &mut out).expect("open");
    assert_eq!(connection.reply(message, &mut Codec::default(), &mut out), Err(SendError::Closing));
    assert!(received.reply_range().is_empty());
    assert_eq!(out, b"\x88\x00");
}

/// Echoes all messages; returns the bytes replied in place and `out`.
fn echo(connection: &mut Connection, mut bytes: Vec<u8>, mut out: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut received = Received::new(&mut bytes);
    while let Some(event) =
        connection.poll_event(&mut Codec::default(), &mut received, &mut out).expect("legal frames")
    {
        if let Event::Message(message) = event {
            connection.reply(message, &mut Codec::default(), &mut out).expect("open");
        }
    }
    (received.replies().to_vec(), out)
}

#[test]
fn replies_of_one_batch_are_contiguous_in_the_lent_bytes() {
    let long = [7; 300];
    let batch = [frame(0x81, b"one"), frame(0x89, b"ping"), frame(0x82, &long), frame(0x82, b"")].concat();
    let (replied, out) = echo(&mut open(), batch, Vec::new());
    let expected = [&b"\x81\x03one\x8a\x04ping\x82\x7e\x01\x2c"[..], &long, b"\x82\x00"].concat();
    assert_eq!(replied, expected);
    assert!(out.is_empty());
}

#[test]
fn replies_are_appended_once_there_is_other_output() {
    let batch = [frame(0x81, b"one"), frame(0x89, b"ping")].concat();
    let (replied, out) = echo(&mut open(), batch, b"earlier".to_vec());
    assert!(replied.is_empty());
    assert_eq!(out, b"earlier\x81\x03one\x8a\x04ping");
}

#[test]
fn a_client_masks_each_reply_with_a_fresh_key() {
    let mut next = 0;
    let keys = MaskingKeys::new(move || {
        next += 1;
        [next; 4]
    });
    let batch = b"\x81\x03one\x89\x01p".to_vec();
    let (replied, out) = echo(&mut Connection::client(keys), batch, Vec::new());
    assert!(replied.is_empty());
    let expected =
        [&[0x81, 0x83, 1, 1, 1, 1, b'o' ^ 1, b'n' ^ 1, b'e' ^ 1][..], &[0x8a, 0x81, 2, 2, 2, 2, b'p' ^ 2]];
    assert_eq!(out, expected.concat());
}

#[test]
fn only_a_client_owns_anything_once_a_message_in_pieces_is_complete() {
    let pieces = b"\x01\x01a\x80\x01b".to_vec();
    let mut client = Connection::client(MaskingKeys::new(|| [0; 4]));
    let (_, out) = echo(&mut client, pieces, Vec::new());
    assert_eq!(out, b"\x81\x82\0\0\0\0ab");
    assert_eq!(client.role(), Role::Client);

    let mut server = open();
    let (_, out) = echo(&mut server, [frame(0x01, b"a"), frame(0x80, b"b")].concat(), Vec::new());
    assert_eq!(out, b"\x81\x02ab");
    assert!(server.rare.is_none());
}

/// Delivers a message in two fragments and echoes it; returns where its payload was and what `out` became.
fn echo_assembled(payload: &[u8], out: Vec<u8>) -> (*const u8, Vec<u8>) {
    let (mut connection, mut out) = (open(), out);
    let (front, back) = payload.split_at(payload.len() / 2);
    let mut bytes = [frame(0x02, front), frame(0x80, back)].concat();
    let mut received = Received::new(&mut bytes);
    let event = connection.poll_event(&mut Codec::default(), &mut received, &mut out);
    let Ok(Some(Event::Message(message))) = event else { panic!("{event:?}") };
    let place = message.as_bytes().as_ptr();
    connection.reply(message, &mut Codec::default(), &mut out).expect("open");
    assert!(connection.rare.is_none(), "an idle server owns nothing");
    (place, out)
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes a minute for 64 KiB")]
fn a_large_assembled_reply_is_sent_from_its_own_memory() {
    let payload = vec![3; 65_536];
    let (place, out) = echo_assembled(&payload, Vec::new());
    assert_eq!(out[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(out[10..], payload);
    assert_eq!(out[10..].as_ptr(), place);
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for 128 KiB")]
fn a_smaller_assembled_reply_or_one_behind_other_output_is_copied() {
    let (place, out) = echo_assembled(&[3; 65_535], Vec::new());
    assert_eq!(out[..4], [0x82, 126, 0xff, 0xff]);
    assert_ne!(out[4..].as_ptr(), place);
    let (_, out) = echo_assembled(&[3; 65_536], b"earlier".to_vec());
    assert_eq!(out[..17], *b"earlier\x82\x7f\0\0\0\0\0\x01\0\0");
}

#[test]
fn exactly_the_limit_passes_and_one_byte_more_fails_at_the_header() {
    let config = Config::default().with_message_bytes_max(200);
    let whole = receive(&mut open(), &config, frame(0x82, &[0; 200]));
    assert_eq!(whole, outcome(&["message of 200"], b"", None));
    let fragments = [frame(0x02, &[0; 120]), frame(0x80, &[0; 80])].concat();
    assert_eq!(receive(&mut open(), &config, fragments), outcome(&["message of 200"], b"", None));

    let error = ProtocolError::MessageTooBig { bytes: 201, limit: 200 };
    let too_big = outcome(&[], &close_frame(error), Some(error));
    let header_only = frame(0x82, &[0; 201])[..8].to_vec();
    assert_eq!(receive(&mut open(), &config, header_only), too_big);
    let crossing_header = [frame(0x02, &[0; 120]), frame(0x80, &[0; 81])[..6].to_vec()].concat();
    assert_eq!(receive(&mut open(), &config, crossing_header), too_big);
}

#[test]
fn a_huge_declared_length_within_the_limit_is_only_awaited() {
    let config = Config::default().with_message_bytes_max(usize::MAX);
    let huge = [&[0x80, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &KEY].concat();
    let mut connection = open();
    let bytes = [frame(0x02, b"0123456789abcdef"), huge].concat();
    assert_eq!(receive(&mut connection, &config, bytes), outcome(&[], b"", None));
    assert!(connection.is_message_begun());
}

#[test]
fn text_that_is_not_utf8_fails_inside_a_half_received_frame() {
    let invalid = ProtocolError::InvalidUtf8;
    let cut = frame(0x81, b"\xce\xba\xf4\x90\x80\x80")[..10].to_vec();
    assert_eq!(
        receive(&mut open(), &Config::default(), cut),
        outcome(&[], &close_frame(invalid), Some(invalid))
    );
    let whole = frame(0x81, b"\xff");
    let mut after_close = close_sent();
    assert_eq!(receive(&mut after_close, &Config::default(), whole), outcome(&[], b"", Some(invalid)));
}

#[test]
fn a_fragmented_text_that_ends_inside_a_character_fails_at_its_end() {
    let invalid = ProtocolError::InvalidUtf8;
    let (begun, continued) = (frame(0x01, b"a\xe2"), frame(0x00, b"\x82"));
    let mut connection = open();
    let fragments = [begun.clone(), continued].concat();
    assert_eq!(receive(&mut connection, &Config::default(), fragments), outcome(&[], b"", None));
    let expected = outcome(&[], &close_frame(invalid), Some(invalid));
    assert_eq!(receive(&mut connection, &Config::default(), frame(0x80, b"")), expected);
    let completed = [begun, frame(0x80, b"\x82\xac")].concat();
    assert_eq!(receive(&mut open(), &Config::default(), completed), outcome(&["message of 4"], b"", None));
}

#[test]
fn a_half_received_message_is_freed_when_the_connection_ends() {
    for end in [frame(0x88, b""), frame(0x81, b"inside another message")] {
        let mut connection = open();
        receive(&mut connection, &Config::default(), frame(0x01, b"begun"));
        assert!(connection.is_message_begun());
        receive(&mut connection, &Config::default(), end);
        assert_eq!(connection.ready_state(), ReadyState::Closed);
        assert!(connection.assembly().is_none());
    }
}

#[test]
fn nothing_is_delivered_after_an_error_in_the_same_bytes() {
    let unmasked = ProtocolError::UnmaskedFrame;
    let bytes = [frame(0x81, b"before"), b"\x81\x05Hello".to_vec(), frame(0x81, b"after")].concat();
    let expected = outcome(&["message of 6"], &close_frame(unmasked), Some(unmasked));
    assert_eq!(receive(&mut open(), &Config::default(), bytes), expected);
}

#[test]
fn the_payload_of_a_reserved_opcode_is_not_awaited() {
    let reserved = ProtocolError::ReservedOpcode(3);
    let header = [&[0x83, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff][..], &KEY].concat();
    let mut connection = open();
    let expected = outcome(&[], &close_frame(reserved), Some(reserved));
    assert_eq!(receive(&mut connection, &Config::default(), header), expected);
    assert!(connection.assembly().is_none());
}

#[test]
fn a_cut_data_frame_leaves_nothing_unparsed_and_a_cut_header_or_control_frame_stays() {
    let (data, control) = (frame(0x82, &[1; 100]), frame(0x89, &[1; 100]));
    for (cut, kept) in
        [(&data[..50], 0), (&data[..6], 0), (&data[..5], 5), (&control[..50], 50), (&control[..1], 1)]
    {
        let mut bytes = cut.to_vec();
        let mut received = Received::new(&mut bytes);
        let event = open().poll_event(&mut Codec::default(), &mut received, &mut Vec::new());
        assert!(matches!(event, Ok(None)));
        assert_eq!(received.unparsed(), &cut[cut.len() - kept..]);
    }
}
