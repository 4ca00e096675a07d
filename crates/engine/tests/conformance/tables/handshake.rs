//! The opening handshake (RFC 6455 §4.2): rows H1 to H8, H10 to H12, H16 to H18, H20.

use crate::app::{ONLY_PATH, Setup};
use crate::bytes::{FIN, TEXT, text};
use crate::case::{Case, Field, case};
use crate::request::Request;

/// What a refusal with 426 has to say.
const VERSION_13: Field = ("Sec-WebSocket-Version", Some("13"));

pub(crate) fn cases() -> Vec<Case> {
    [
        method_and_upgrade(),
        versions(),
        keys(),
        connection(),
        http_versions(),
        hosts(),
        refused_origins(),
        allowed_origins(),
        paths_and_subprotocols(),
        sizes(),
        segments(),
        deadlines(),
    ]
    .concat()
}

/// A request that is refused.
fn refused(id: &'static str, title: &'static str, request: Request, status: u16, fields: &[Field]) -> Case {
    case(id, title).requests(request).refused(status, fields)
}

/// A request that opens the connection, shown by an echo.
fn accepted(id: &'static str, title: &'static str, request: Request) -> Case {
    case(id, title).requests(request).answers(101, &[]).sends(text("open")).reads(FIN | TEXT, "open")
}

fn legal() -> Request {
    Request::legal()
}

fn method_and_upgrade() -> Vec<Case> {
    let allow = [("Allow", Some("GET"))];
    let upgrade = [("Upgrade", Some("websocket"))];
    let plain = legal().without("Upgrade").without("Sec-WebSocket-Key").without("Sec-WebSocket-Version");
    vec![
        refused("H1a", "POST", legal().method("POST"), 405, &allow),
        refused("H1b", "PUT", legal().method("PUT"), 405, &allow),
        refused("H1c", "get in lower case", legal().method("get"), 405, &allow),
        refused("H2a", "a plain GET", plain.set("Connection", "keep-alive"), 426, &upgrade),
        refused("H2b", "no Upgrade", legal().without("Upgrade"), 426, &upgrade),
        refused("H2c", "Upgrade to something else", legal().set("Upgrade", "h2c"), 426, &upgrade),
        accepted("H2d", "WebSocket in other letters", legal().set("Upgrade", "WebSocket")),
    ]
}

fn versions() -> Vec<Case> {
    let refused = |id, title, version| {
        let request = legal().set("Sec-WebSocket-Version", version);
        refused(id, title, request, 426, &[VERSION_13])
    };
    let twice = legal().with("Sec-WebSocket-Version", "13");
    // The handshake of the draft before the RFC, which had two keys and a body without a length.
    let draft = legal()
        .without("Sec-WebSocket-Version")
        .without("Sec-WebSocket-Key")
        .with("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5")
        .with("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00");
    vec![
        refused("H3a", "version 8", "8"),
        refused("H3b", "version 0", "0"),
        refused("H3c", "version 99", "99"),
        refused("H3d", "version 013", "013"),
        self::refused("H3e", "version 13 twice", twice, 426, &[VERSION_13]),
        self::refused("H3f", "no version", legal().without("Sec-WebSocket-Version"), 400, &[]),
        case("H3g", "the handshake of the old draft")
            .requests_with(draft, b"^n:ds[4U".to_vec())
            .refused(400, &[]),
    ]
}

fn keys() -> Vec<Case> {
    let refused = |id, title, key| refused(id, title, legal().set("Sec-WebSocket-Key", key), 400, &[]);
    let twice = legal().with("Sec-WebSocket-Key", crate::request::KEY);
    vec![
        self::refused("H4a", "no key", legal().without("Sec-WebSocket-Key"), 400, &[]),
        refused("H4b", "a key that is not base64", "not base64 but 24 chars!"),
        refused("H4c", "a key of 15 bytes", "AAAAAAAAAAAAAAAAAAAA"),
        refused("H4d", "a key of 17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
        refused("H4e", "an empty key", ""),
        self::refused("H4f", "two keys", twice, 400, &[]),
    ]
}

fn connection() -> Vec<Case> {
    let keep_alive = legal().set("Connection", "keep-alive");
    vec![
        refused("H5a", "Connection: keep-alive", keep_alive, 400, &[]),
        refused("H5b", "no Connection", legal().without("Connection"), 400, &[]),
        refused("H5c", "Connection: Upgraded", legal().set("Connection", "Upgraded"), 400, &[]),
        accepted("H5d", "Connection: keep-alive, Upgrade", legal().set("Connection", "keep-alive, Upgrade")),
        accepted("H5e", "Connection: UPGRADE", legal().set("Connection", "UPGRADE")),
    ]
}

fn http_versions() -> Vec<Case> {
    vec![
        refused("H6a", "HTTP/1.0", legal().version("HTTP/1.0"), 400, &[]),
        refused("H6b", "HTTP/2.0", legal().version("HTTP/2.0"), 505, &[]),
        refused("H6c", "HTTP/1.2", legal().version("HTTP/1.2"), 505, &[]),
    ]
}

fn hosts() -> Vec<Case> {
    let twice = legal().with("Host", "other.example");
    vec![
        refused("H7a", "no Host", legal().without("Host"), 400, &[]),
        refused("H7b", "an empty Host", legal().set("Host", ""), 400, &[]),
        refused("H7c", "two Hosts", twice, 400, &[]),
    ]
}

fn refused_origins() -> Vec<Case> {
    let refused =
        |id, title, origin| refused(id, title, legal().with("Origin", origin), 403, &[]).on(Setup::Origins);
    vec![
        refused("H8a", "another origin", "https://evil.example"),
        refused("H8b", "null", "null"),
        refused("H8c", "an allowed name as a prefix", "https://app.example.evil.example"),
        refused("H8d", "an allowed name as a suffix", "https://evil-app.example"),
        refused("H8e", "a subdomain", "https://www.app.example"),
        refused("H8f", "another port", "https://app.example:8443"),
        refused("H8g", "another scheme", "http://app.example"),
        refused("H8h", "an allowed name as a user", "https://app.example@evil.example"),
        refused("H8i", "an allowed origin with a path", "https://app.example/"),
        refused("H8j", "the default port for one that has its own", "http://localhost"),
        self::refused("H8k", "no Origin", legal(), 403, &[]).on(Setup::Origins),
        self::refused("H8l", "another origin, where none would do", legal().with("Origin", "null"), 403, &[])
            .on(Setup::OriginsOrNone),
    ]
}

fn allowed_origins() -> Vec<Case> {
    let allowed = |id, title, origin| accepted(id, title, legal().with("Origin", origin)).on(Setup::Origins);
    vec![
        allowed("H8m", "an allowed origin", "https://app.example"),
        allowed("H8n", "an allowed origin in upper case", "https://APP.EXAMPLE"),
        allowed("H8o", "an allowed origin with its default port", "https://app.example:443"),
        allowed("H8p", "an allowed origin with a port", "http://localhost:8080"),
        accepted("H8q", "no Origin, where none will do", legal()).on(Setup::OriginsOrNone),
    ]
}

fn paths_and_subprotocols() -> Vec<Case> {
    const CHOSEN: &str = "Sec-WebSocket-Protocol";
    let offer = |offer: &str| legal().with(CHOSEN, offer);
    let answered = |id, title, request, chosen| {
        case(id, title).on(Setup::Subprotocols).requests(request).answers(101, &[(CHOSEN, chosen)])
    };
    let v2 = Some("v2.chat");
    vec![
        refused("H10a", "an unknown path", legal().target("/unknown"), 404, &[]).on(Setup::OnePath),
        refused("H10b", "the path in other letters", legal().target("/CHAT"), 404, &[]).on(Setup::OnePath),
        accepted("H10c", "the path with a query", legal().target(format!("{ONLY_PATH}?room=7")))
            .on(Setup::OnePath),
        answered("H20a", "an unknown subprotocol", offer("soap"), None),
        answered("H20b", "several, the first by our order", offer("v1.chat, soap, v2.chat"), v2),
        answered("H20c", "several in several fields", offer("v1.chat").with(CHOSEN, "v2.chat"), v2),
        answered("H20d", "one of ours", offer("v1.chat"), Some("v1.chat")),
        answered("H20e", "one of ours in other letters", offer("V2.CHAT"), None),
        refused("H20f", "an unknown one where one is required", offer("soap").target("/strict"), 400, &[])
            .on(Setup::Subprotocols),
        case("H20g", "a subprotocol that an echo does not know").requests(offer("soap")).answers(101, &[]),
    ]
}

fn sizes() -> Vec<Case> {
    let padded = |bytes: usize| legal().with("X-Padding", "y".repeat(bytes));
    let many = |count| (0..count).fold(legal(), |request, _| request.with("aa", "b"));
    let target = |bytes: usize| legal().target(format!("/{}", "t".repeat(bytes - 1)));
    let early = |id, title, request| case(id, title).requests(request).refused_early(431);
    vec![
        early("H11a", "a field of 17,000 bytes", padded(17_000)),
        early("H11b", "a head of 40,000 bytes", padded(20_000).with("X-More", "y".repeat(20_000))),
        early("H11c", "2,000 fields", many(2_000)),
        early("H11d", "a field of 20 MB", padded(20_000_000)),
        case("H11e", "a head of 15,000 bytes")
            .on(Setup::OurLimits)
            .requests(padded(14_800))
            .answers(101, &[]),
        case("H11f", "a head of 15,000 bytes byte by byte")
            .on(Setup::OurLimits)
            .drips_request(padded(14_800))
            .answers(101, &[]),
        case("H12a", "a target of 9,000 bytes").requests(target(9_000)).refused(414, &[]),
        case("H12b", "a target of 20,000 bytes").requests(target(20_000)).refused(414, &[]),
        case("H12c", "a target of 8,000 bytes")
            .on(Setup::OurLimits)
            .on(Setup::OriginsOrNone)
            .requests(target(8_000))
            .answers(101, &[]),
    ]
}

fn segments() -> Vec<Case> {
    let second = legal().to_bytes("/");
    let wrong = || legal().without("Sec-WebSocket-Key");
    let two = [text("one"), text("two")].concat();
    let early = case("H17a", "two messages behind the request").requests_with(legal(), two).answers(101, &[]);
    let cut = text("cut in two");
    vec![
        case("H16a", "a second request").requests_with(wrong(), second).refused_somehow(),
        case("H16b", "a message").requests_with(wrong(), text("early")).refused_somehow(),
        case("H16c", "a message behind a request that the handler refuses")
            .on(Setup::OnePath)
            .requests_with(legal().target("/unknown"), text("early"))
            .refused(404, &[]),
        early.reads(FIN | TEXT, "one").reads(FIN | TEXT, "two"),
        case("H17b", "a message of which half comes later")
            .requests_with(legal(), cut[..4].to_vec())
            .answers(101, &[])
            .sends(&cut[4..])
            .reads(FIN | TEXT, "cut in two"),
        case("H17c", "the request byte by byte").drips_request(legal()).answers(101, &[]),
    ]
}

fn deadlines() -> Vec<Case> {
    let head = legal().to_bytes("/");
    let slow = |id, title| case(id, title).on(Setup::ShortHandshake);
    let (half, rest) = head.split_at(60);
    let dripping = rest[..4].iter().fold(slow("H18c", "a byte now and then").sends(half), |case, byte| {
        case.waits_ms(40).sends(vec![*byte])
    });
    vec![
        slow("H18a", "nothing").refused(408, &[]),
        slow("H18b", "half a request").sends(half).refused(408, &[]),
        dripping.refused(408, &[]),
    ]
}
