//! permessage-deflate as the peer sees it: what was agreed for one direction holds for that one only.

use gannet_proto::deflate::{Agreement, Direction, Offer, PerMessageDeflate, WindowBits};
use gannet_proto::handshake::{ClientHandshakeError, HeadScanner, Limits, verify_response};
use gannet_proto::{CloseCode, Config, Payload, ProtocolError, Role};

use crate::ROLES;
use crate::harness::{Behaviour, End, Seen};
use crate::received::frame;
use crate::sent::read_frame;

const TAKEOVER: Direction = Direction { context_takeover: true, window_bits: WindowBits::MAX };
/// "Hello" as in RFC 7692 §7.2.3.1, and the one of §7.2.3.2, which refers to it.
const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
const HELLO_AGAIN: [u8; 5] = [0xf2, 0x00, 0x11, 0x00, 0x00];

fn end(role: Role, deflate: PerMessageDeflate) -> End {
    let mut end = match role {
        Role::Server => End::server(Config::default(), Behaviour::Ignore),
        Role::Client => End::client(Config::default(), Behaviour::Ignore),
    };
    end.connection = end.connection.with_compression(deflate);
    end
}

/// Context takeover for the messages of one role only.
fn takeover_of(sender: Role) -> PerMessageDeflate {
    match sender {
        Role::Server => PerMessageDeflate { server: TAKEOVER, client: Direction::ALONE },
        Role::Client => PerMessageDeflate { server: Direction::ALONE, client: TAKEOVER },
    }
}

/// The first byte and the payload of the frame that a text message became.
fn send_text(end: &mut End, text: &str) -> (u8, Vec<u8>) {
    end.send_message(Payload::Text(text));
    let (first, _, payload) = read_frame(&end.take_wire());
    (first, payload)
}

#[test]
fn rsv1_is_set_on_compressed_messages_and_on_nothing_else() {
    for role in ROLES {
        let mut end = end(role, PerMessageDeflate::SHARED);
        assert_eq!(send_text(&mut end, &"long ".repeat(100)).0, 0xc1, "{role:?}");
        assert_eq!(send_text(&mut end, "short"), (0x81, b"short".to_vec()), "{role:?}");
        let payload = "c".repeat(100);
        end.send(|connection, out| connection.send_ping(payload.as_bytes(), out));
        assert_eq!(read_frame(&end.take_wire()).0, 0x89, "{role:?}");
        end.send(|connection, out| connection.send_pong(payload.as_bytes(), out));
        assert_eq!(read_frame(&end.take_wire()).0, 0x8a, "{role:?}");
        end.send(|connection, out| connection.close(Some(CloseCode::NORMAL), &payload, out));
        assert_eq!(read_frame(&end.take_wire()).0, 0x88, "{role:?}");
    }
}

#[test]
fn a_message_is_compressed_with_those_before_it_only_where_that_was_agreed() {
    let text: String = (0..100_u32).map(|at| format!("{},", at.wrapping_mul(0x9e37_79b1))).collect();
    for role in ROLES {
        for sender in ROLES {
            let mut end = end(role, takeover_of(sender));
            let (first, second) = (send_text(&mut end, &text), send_text(&mut end, &text));
            assert_eq!((first.0, second.0), (0xc1, 0xc1));
            if sender == role {
                assert!(second.1.len() < first.1.len() / 4, "{role:?}: {} bytes", second.1.len());
            } else {
                assert_eq!(second, first, "{role:?}");
            }
        }
    }
}

#[test]
fn a_message_is_inflated_with_those_before_it_only_where_that_was_agreed() {
    for role in ROLES {
        for sender in ROLES {
            let mut end = end(role, takeover_of(sender));
            for payload in [&HELLO[..], &HELLO_AGAIN] {
                end.receive(&frame(role == Role::Server, 0xc1, payload));
            }
            let hello = Seen::Text("Hello".to_owned());
            let (seen, error) = if sender == role {
                (vec![hello], Some(ProtocolError::InvalidDeflate))
            } else {
                (vec![hello; 2], None)
            };
            assert_eq!((end.seen, end.error), (seen, error), "{role:?}, takeover of {sender:?}");
        }
    }
}

#[test]
fn a_server_limits_the_window_of_a_client_only_if_that_was_offered() {
    let ready = PerMessageDeflate::dedicated(WindowBits::new(9).expect("8 to 15"));
    let agree = |offer: &str| {
        let head = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: {offer}\r\n\r\n"
        );
        let read = HeadScanner::default().read_request(head.as_bytes(), &Limits::default());
        let (request, _) = read.expect("legal").expect("complete");
        let agreement = Agreement::choose(&request, &ready).expect("acceptable");
        (agreement.deflate().client.window_bits.get(), agreement.to_string())
    };
    let silent = "permessage-deflate; server_max_window_bits=9";
    assert_eq!(agree("permessage-deflate"), (15, silent.to_owned()));
    let limited = format!("{silent}; client_max_window_bits=9");
    assert_eq!(agree("permessage-deflate; client_max_window_bits"), (9, limited));
}

/// What a client that offered context takeover and full windows makes of these fields of a response.
fn verify(fields: &str) -> Result<Option<PerMessageDeflate>, ClientHandshakeError> {
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{fields}\r\n"
    );
    let offer = Offer(PerMessageDeflate::dedicated(WindowBits::MAX));
    let verified = verify_response(response.as_bytes(), *b"the sample nonce", &[], Some(offer));
    verified.map(|read| read.expect("complete").0.compression)
}

#[test]
fn a_client_keeps_full_windows_and_both_contexts_unless_the_response_says_otherwise() {
    let full = PerMessageDeflate::dedicated(WindowBits::MAX);
    assert_eq!(verify("Sec-WebSocket-Extensions: permessage-deflate\r\n"), Ok(Some(full)));
    let fields = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
                  client_max_window_bits=10\r\n";
    let bits = WindowBits::new(10).expect("8 to 15");
    let client = Direction { context_takeover: false, window_bits: bits };
    assert_eq!(verify(fields), Ok(Some(PerMessageDeflate { client, ..full })));
}

#[test]
fn a_response_with_the_extension_in_two_fields_is_refused() {
    let fields = "Sec-WebSocket-Extensions: permessage-deflate\r\n".repeat(2);
    assert_eq!(verify(&fields), Err(ClientHandshakeError::UnexpectedExtension));
}
