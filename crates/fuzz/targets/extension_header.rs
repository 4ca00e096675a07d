//! The value of Sec-WebSocket-Extensions, in a request and in a response. Properties: an answer never widens the offer or
//! what this end is ready for, the first offer that can be accepted is, and both ends then agree on the same.
//!
//! Input: two bytes for what the server and the client are ready for, the value.
#![no_main]

use gannet_fuzz::Input;
use gannet_proto::deflate::{Agreement, Direction, Offer, PerMessageDeflate, WindowBits};
use gannet_proto::handshake::{HeadScanner, Limits, Request, verify_response, write_accept, write_request};
use libfuzzer_sys::fuzz_target;

const NONCE: [u8; 16] = *b"the sample nonce";
const NAME: &str = "permessage-deflate";

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let (ready, offer) = (deflate(input.byte()), deflate(input.byte()));
    let value = input.rest();
    check_request(value, &ready);
    check_response(value, offer);
    check_both_ends(ready, offer);
});

fn deflate(flags: u8) -> PerMessageDeflate {
    let direction = |context_takeover: bool, bits: u8| {
        let window_bits = WindowBits::new(8 + bits % 8).expect("8 to 15");
        Direction { context_takeover, window_bits }
    };
    PerMessageDeflate {
        server: direction(flags & 1 != 0, flags >> 2),
        client: direction(flags & 2 != 0, flags >> 5),
    }
}

/// A head with the value, which may be several fields or break the head.
fn head(value: &[u8], first_lines: &[u8]) -> Vec<u8> {
    [first_lines, b"Sec-WebSocket-Extensions: ", value, b"\r\n\r\n"].concat()
}

fn check_request(value: &[u8], ready: &PerMessageDeflate) {
    let head = head(
        value,
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    );
    let Ok(Some((request, _))) = HeadScanner::default().read_request(&head, &Limits::default()) else {
        return;
    };
    let agreed = Agreement::choose(&request, ready).map(|agreement| agreement.deflate());
    if let Some(agreed) = agreed {
        // RFC 7692 §7.1.2.2: where the client does not take the parameter, 15 bits are not ours to change.
        let client_is_free = agreed.client.window_bits == WindowBits::MAX;
        assert!(!is_wider(agreed.server, ready.server), "{agreed:?}");
        assert!(client_is_free || !is_wider(agreed.client, ready.client), "{agreed:?}");
        assert!(ready.client.context_takeover || !agreed.client.context_takeover, "{agreed:?}");
    }
    if let Some(offers) = plain_offers(&request) {
        let expected = offers.first().map(|offer| offer.answer(ready));
        assert_eq!(agreed, expected, "{offers:?}");
    }
}

/// Whether a direction allows more than another.
fn is_wider(direction: Direction, than: Direction) -> bool {
    direction.window_bits > than.window_bits || (direction.context_takeover && !than.context_takeover)
}

/// A legal offer, read in the simplest way. The windows are those that the client names.
#[derive(Debug, Default)]
struct PlainOffer {
    server_alone: bool,
    client_alone: bool,
    server_bits: Option<WindowBits>,
    client_bits: Option<Option<WindowBits>>,
}

impl PlainOffer {
    /// Each restriction of the offer and of `ready` holds, and no other.
    fn answer(&self, ready: &PerMessageDeflate) -> PerMessageDeflate {
        let client_bits = match self.client_bits {
            None => WindowBits::MAX,
            Some(None) => ready.client.window_bits,
            Some(Some(bits)) => bits.min(ready.client.window_bits),
        };
        let server_bits = self.server_bits.unwrap_or(WindowBits::MAX).min(ready.server.window_bits);
        PerMessageDeflate {
            server: Direction {
                context_takeover: ready.server.context_takeover && !self.server_alone,
                window_bits: server_bits,
            },
            client: Direction {
                context_takeover: ready.client.context_takeover && !self.client_alone,
                window_bits: client_bits,
            },
        }
    }

    /// Reads `permessage-deflate; …` without quotes; nothing if it breaks a rule.
    fn read(element: &str) -> Option<Self> {
        let mut items = element.split(';').map(|item| item.trim_matches([' ', '\t']));
        let mut offer = Self::default();
        let mut names = Vec::new();
        if items.next() != Some(NAME) {
            return None;
        }
        for item in items {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => {
                    (name.trim_end_matches([' ', '\t']), Some(value.trim_start_matches([' ', '\t'])))
                }
                None => (item, None),
            };
            if names.contains(&name) {
                return None;
            }
            names.push(name);
            let bits = (8..=15).find(|bits: &u8| value == Some(&bits.to_string())).and_then(WindowBits::new);
            match name {
                "server_no_context_takeover" if value.is_none() => offer.server_alone = true,
                "client_no_context_takeover" if value.is_none() => offer.client_alone = true,
                "server_max_window_bits" if bits.is_some() => offer.server_bits = bits,
                "client_max_window_bits" if bits.is_some() || value.is_none() => {
                    offer.client_bits = Some(bits)
                }
                _ => return None,
            }
        }
        Some(offer)
    }
}

/// The legal offers of a request, if a plain split reads its fields right: they are made of tokens, blanks and
/// separators, with something before and behind each `;` and `=`.
fn plain_offers(request: &Request<'_>) -> Option<Vec<PlainOffer>> {
    let mut offers = Vec::new();
    for (name, value) in request.headers() {
        if !name.eq_ignore_ascii_case("sec-websocket-extensions") {
            continue;
        }
        let value = str::from_utf8(value).ok()?;
        let elements = value.split(',').filter(|element| !element.trim_matches([' ', '\t']).is_empty());
        if !elements.clone().all(is_plain) {
            return None;
        }
        offers.extend(elements.filter_map(PlainOffer::read));
    }
    Some(offers)
}

/// Whether an element is of the form `token *( ; token [ = token ] )`.
fn is_plain(element: &str) -> bool {
    let is_word = |word: &str| {
        let word = word.trim_matches([' ', '\t']);
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut items = element.split(';');
    items.next().is_some_and(is_word)
        && items.all(|item| item.split('=').count() <= 2 && item.split('=').all(is_word))
}

fn check_response(value: &[u8], offer: PerMessageDeflate) {
    let head = head(
        value,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
    );
    if let Ok(Some((response, _))) = verify_response(&head, NONCE, &[], Some(Offer(offer)))
        && let Some(agreed) = response.compression
    {
        assert!(!is_wider(agreed.server, offer.server), "{agreed:?} of {offer:?}");
        assert!(!is_wider(agreed.client, offer.client), "{agreed:?} of {offer:?}");
    }
    let refused = verify_response(&head, NONCE, &[], None);
    assert!(!matches!(refused, Ok(Some((response, _))) if response.compression.is_some()));
}

/// A client of ours and a server of ours.
fn check_both_ends(ready: PerMessageDeflate, offer: PerMessageDeflate) {
    let (mut head, mut response) = (Vec::new(), Vec::new());
    write_request(&mut head, "a", "/", NONCE, &[], Some(Offer(offer))).expect("a legal request");
    let read = HeadScanner::default().read_request(&head, &Limits::default());
    let (request, _) = read.expect("a legal request").expect("a whole request");
    let agreement = Agreement::choose(&request, &ready).expect("our own offer can be accepted");
    write_accept(&mut response, &request, None, Some(&agreement), &[]).expect("a legal response");
    let verified = verify_response(&response, NONCE, &[], Some(Offer(offer)));
    let (verified, _) = verified.expect("an answer to the offer").expect("a whole response");
    assert_eq!(verified.compression, Some(agreement.deflate()), "offered {offer:?}, ready for {ready:?}");
}
