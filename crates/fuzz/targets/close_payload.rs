//! The payload of a Close frame, received by both ends and sent by both. Property: it is delivered exactly if RFC 6455
//! §5.5.1 and §7.4 allow it, its code is echoed, and what this crate lets a caller send its peer accepts.
//!
//! Input: the payload.
#![no_main]

use gannet_fuzz::{Behaviour, End, Seen, masked_frame};
use gannet_proto::{CloseCode, Config, ProtocolError, ReadyState, Role};
use libfuzzer_sys::fuzz_target;

/// RFC 6455 §5.5: the largest payload of a control frame in bytes.
const CONTROL_BYTES_MAX: usize = 125;

fuzz_target!(|payload: &[u8]| {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    let unmasked = [&[0x88, payload.len() as u8], payload].concat();
    check_received(Role::Server, &masked_frame(0x88, payload), payload);
    check_received(Role::Client, &unmasked, payload);
    check_sent(Role::Server, payload);
    check_sent(Role::Client, payload);
});

fn end(role: Role) -> End {
    End::new(role, None, Config::default(), Behaviour::Echo)
}

const fn peer_of(role: Role) -> Role {
    match role {
        Role::Server => Role::Client,
        Role::Client => Role::Server,
    }
}

/// What RFC 6455 says about the payload.
fn expected(payload: &[u8]) -> Result<Seen, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(Seen::Close(None, String::new())),
        [_] => return Err(ProtocolError::CloseFrameOneByte),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // RFC 6455 §7.4.2 and the IANA registry.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(ProtocolError::CloseCodeNotAllowed(code));
    }
    match str::from_utf8(reason) {
        Ok(reason) => Ok(Seen::Close(Some(code), reason.to_owned())),
        Err(_) => Err(ProtocolError::InvalidCloseReason),
    }
}

fn check_received(role: Role, frame: &[u8], payload: &[u8]) {
    let mut receiver = end(role);
    receiver.receive(frame);
    assert_eq!(receiver.ready_state(), ReadyState::Closed);
    let mut peer = end(peer_of(role));
    peer.receive(&receiver.wire);
    match expected(payload) {
        Ok(close) => {
            assert_eq!((&receiver.seen[..], receiver.error), (&[close.clone()][..], None));
            assert_eq!(peer.seen, [close], "the Close is echoed");
        }
        Err(error) => {
            assert_eq!((&receiver.seen[..], receiver.error), (&[][..], Some(error)));
            let code = Some(u16::from(error.close_code()));
            assert_eq!(peer.seen, [Seen::Close(code, error.to_string())], "the Close says what was wrong");
        }
    }
}

/// A Close frame of the code and the reason in the payload, if the end takes it.
fn check_sent(role: Role, payload: &[u8]) {
    let (code, reason) = match payload {
        [high, low, reason @ ..] => (Some(u16::from_be_bytes([*high, *low])), reason),
        reason => (None, reason),
    };
    let Ok(reason) = str::from_utf8(reason) else { return };
    let mut sender = end(role);
    let sent = sender.send(|connection, _, out| connection.close(code.map(CloseCode::new), reason, out));
    let close = Seen::Close(code, reason.to_owned());
    // Without a code there cannot be a reason, and the only payload without a code is the empty one.
    let is_legal = expected(payload).is_ok_and(|expected| expected == close);
    assert_eq!(sent.is_ok(), is_legal, "{sent:?}");
    let mut peer = end(peer_of(role));
    peer.receive(&sender.take_wire());
    let seen = if is_legal { vec![close] } else { Vec::new() };
    assert_eq!((peer.seen, peer.error), (seen, None));
    sender.receive(&peer.wire);
    let state = if is_legal { ReadyState::Closed } else { ReadyState::Open };
    assert_eq!((sender.ready_state(), sender.error), (state, None));
}
