//! Offers and responses: what is accepted, declined and refused.

use super::*;

const NONCE: [u8; 16] = *b"the sample nonce";

/// What a server that is `ready` answers to a request with these header fields.
fn answers(fields: &[&str], ready: PerMessageDeflate) -> Option<String> {
    let fields: String =
        fields.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n")).collect();
    let head = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    );
    let read = HeadScanner::default().read_request(head.as_bytes(), &Limits::default());
    let (request, _) = read.expect("an offer never fails the handshake").expect("complete");
    Agreement::choose(&request, &ready).map(|agreement| agreement.to_string())
}

fn dedicated() -> PerMessageDeflate {
    PerMessageDeflate::dedicated(WindowBits::MAX)
}

#[test]
fn an_offer_is_answered_with_what_both_ends_allow() {
    let twelve = PerMessageDeflate::dedicated(bits(12));
    let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let cases = [
        ("permessage-deflate", dedicated(), "permessage-deflate"),
        ("permessage-deflate", PerMessageDeflate::SHARED, both),
        ("permessage-deflate", twelve, "permessage-deflate; server_max_window_bits=12"),
        ("permessage-deflate; client_max_window_bits", dedicated(), "permessage-deflate"),
        (
            "permessage-deflate; client_max_window_bits",
            twelve,
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            "permessage-deflate; client_max_window_bits=10",
            twelve,
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=10",
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            dedicated(),
            "permessage-deflate; server_max_window_bits=15",
        ),
        (
            "permessage-deflate; server_max_window_bits=8",
            twelve,
            "permessage-deflate; server_max_window_bits=8",
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=\"9\"",
            dedicated(),
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
        ),
        (
            "permessage-deflate;client_no_context_takeover",
            dedicated(),
            "permessage-deflate; client_no_context_takeover",
        ),
    ];
    for (offer, ready, answer) in cases {
        assert_eq!(answers(&[offer], ready).as_deref(), Some(answer), "{offer}");
    }
}

#[test]
fn an_offer_that_breaks_a_rule_is_declined() {
    let declined = [
        "",
        "constructor",
        ",;constructor",
        "Permessage-Deflate",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=0",
        "permessage-deflate; server_max_window_bits=265",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=\"\"",
        "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_no_context_takeover=\"true\"",
        "permessage-deflate; unknown",
        "permessage-deflate; client_max_window_bits=a",
        "x; y=\",permessage-deflate; client_max_window_bits,\"",
        "a; b=\"\\c\\c\\c\\c",
    ];
    for offer in declined {
        assert_eq!(answers(&[offer], dedicated()), None, "{offer}");
    }
}

#[test]
fn the_first_acceptable_offer_wins_whichever_field_it_is_in() {
    let fallback = "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=11, permessage-deflate";
    let eleven = Some("permessage-deflate; server_max_window_bits=11".to_owned());
    assert_eq!(answers(&[fallback], dedicated()), eleven);
    assert_eq!(
        answers(&["broken=", "x-other", "permessage-deflate; server_max_window_bits=11"], dedicated()),
        eleven
    );
}

#[test]
fn a_long_unclosed_quoted_string_is_declined() {
    // A parser that tries both readings of each escape would not come to an end.
    let offer = format!("a; b=\"{}", "\\c".repeat(7_000));
    assert_eq!(answers(&[&offer], dedicated()), None);
}

#[test]
#[cfg_attr(miri, ignore = "Miri takes minutes for 256 handshakes")]
fn our_client_and_our_server_agree_on_every_pair_of_settings() {
    let directions = [9, 15].into_iter().flat_map(|size| {
        [false, true].map(|context_takeover| Direction { context_takeover, window_bits: bits(size) })
    });
    let settings: Vec<PerMessageDeflate> = directions
        .clone()
        .flat_map(|server| directions.clone().map(move |client| PerMessageDeflate { server, client }))
        .collect();
    for &wanted in &settings {
        for &ready in &settings {
            let mut head = Vec::new();
            write_request(&mut head, "a", "/", NONCE, &[], Some(Offer(wanted))).expect("legal");
            let read = HeadScanner::default().read_request(&head, &Limits::default());
            let (request, _) = read.expect("legal").expect("complete");
            let agreement = Agreement::choose(&request, &ready).expect("our own offer is acceptable");
            let mut response = Vec::new();
            write_accept(&mut response, &request, None, Some(&agreement), &[]).expect("legal");
            let verified = verify_response(&response, NONCE, &[], Some(Offer(wanted)));
            let (verified, _) = verified.expect("legal").expect("complete");
            assert_eq!(verified.compression, Some(agreement.deflate()), "{wanted:?} {ready:?}");
            for (agreed, limits) in [
                (agreement.deflate().server, [wanted.server, ready.server]),
                (agreement.deflate().client, [wanted.client, ready.client]),
            ] {
                assert!(limits.iter().all(|limit| agreed.window_bits <= limit.window_bits));
                assert_eq!(agreed.context_takeover, limits.iter().all(|limit| limit.context_takeover));
            }
        }
    }
}

#[test]
fn a_response_that_widens_the_offer_or_breaks_a_rule_is_refused_by_the_client() {
    let offer = Offer(PerMessageDeflate {
        server: Direction { context_takeover: false, window_bits: bits(12) },
        client: Direction { context_takeover: true, window_bits: bits(10) },
    });
    let verify = |extensions: &str| {
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n"
        );
        verify_response(response.as_bytes(), NONCE, &[], Some(offer))
            .map(|read| read.expect("complete").0.compression)
    };
    let legal = "permessage-deflate; server_no_context_takeover; server_max_window_bits=11";
    let agreed = PerMessageDeflate {
        server: Direction { context_takeover: false, window_bits: bits(11) },
        client: Direction { context_takeover: true, window_bits: bits(10) },
    };
    assert_eq!(verify(legal), Ok(Some(agreed)));
    assert_eq!(verify(""), Ok(None));
    let invalid = [
        "permessage-deflate; server_max_window_bits=11".to_owned(),
        "permessage-deflate; server_no_context_takeover".to_owned(),
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=13".to_owned(),
        format!("{legal}; client_max_window_bits=11"),
        format!("{legal}; client_max_window_bits"),
        format!("{legal}; server_no_context_takeover"),
        format!("{legal}; unknown"),
    ];
    for response in invalid {
        assert_eq!(verify(&response), Err(ClientHandshakeError::InvalidExtension), "{response}");
    }
    for response in [format!("{legal}, {legal}"), "other".to_owned(), format!("{legal};")] {
        assert_eq!(verify(&response), Err(ClientHandshakeError::UnexpectedExtension), "{response}");
    }
}
