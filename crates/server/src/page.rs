//! The page that the server answers `GET /` with: a WebSocket client without a framework, in one response.
//! Invariant: the page refers to nothing but itself, and its policy lets nothing else run or load.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use gannet::{HttpResponse, Request};
use sha2::{Digest, Sha256};

const HTML: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One module in several files: the first declare what the later ones use, the last one shows the page.
const SCRIPT: &str = concat!(
    include_str!("page/connection.js"),
    include_str!("page/log.js"),
    include_str!("page/sending.js"),
    include_str!("page/round_trip.js"),
    include_str!("page/many.js"),
);
const ICON: &str = include_str!("page/icon.svg");

/// The assembled page, and the policy that names its style and its script by their hashes.
struct Page {
    body: Arc<[u8]>,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let icon = format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(ICON));
    let body = HTML.replace("{{icon}}", &icon).replace("{{style}}", STYLE).replace("{{script}}", SCRIPT);
    Page { body: body.into_bytes().into(), policy: policy() }
});

/// Connections may go anywhere, since the URL is typed by the user; `blob:` is for pictures that were received, `data:` for the
/// icon.
fn policy() -> String {
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src blob: data:; connect-src ws: wss:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash_source(SCRIPT),
        hash_source(STYLE),
    )
}

/// The source expression that allows exactly this inline text (Content Security Policy Level 3, §2.3.1).
fn hash_source(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text)))
}

/// The page for `/` and `/index.html`, the icon that browsers ask for by themselves, and nothing for other paths.
pub(crate) fn respond(request: &Request<'_>) -> Option<HttpResponse> {
    match request.path() {
        "/" | "/index.html" => Some(page()),
        "/favicon.ico" => Some(icon()),
        _ => None,
    }
}

/// The page, on whatever path it was asked for.
pub(crate) fn page() -> HttpResponse {
    ours()
        .with_header("Content-Security-Policy", &PAGE.policy)
        .with_body("text/html; charset=utf-8", Arc::clone(&PAGE.body))
}

/// Its type counts, not the ending of its path.
fn icon() -> HttpResponse {
    ours()
        .with_header("Content-Security-Policy", "default-src 'none'")
        .with_body("image/svg+xml", ICON.as_bytes())
}

fn ours() -> HttpResponse {
    HttpResponse::new(200)
        .with_header("Cache-Control", "no-cache")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("X-Content-Type-Options", "nosniff")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY_BYTES_MAX: usize = 40_000;

    fn text() -> &'static str {
        std::str::from_utf8(&PAGE.body).unwrap()
    }

    #[test]
    fn the_page_is_small_and_has_no_place_left_open() {
        assert!(PAGE.body.len() < BODY_BYTES_MAX, "{} bytes", PAGE.body.len());
        assert_eq!(text().matches("{{").count(), 0);
    }

    #[test]
    fn the_page_has_one_script_and_one_style_and_both_end_where_they_must() {
        for (start, content, end) in
            [("<style>", STYLE, "</style>"), ("<script type=\"module\">", SCRIPT, "</script>")]
        {
            assert_eq!(text().matches(end).count(), 1, "{end}");
            assert!(text().contains(&[start, content, end].concat()), "{start}");
        }
    }

    #[test]
    fn nothing_in_the_page_refers_to_another_host_and_no_attribute_is_script_or_style() {
        for outside in ["http://", "https://", "=\"/", "@import", " style=", " onclick=", "innerHTML"] {
            assert!(!text().contains(outside), "{outside}");
        }
    }

    #[test]
    fn the_source_of_a_text_is_its_sha_256_in_base64() {
        // FIPS 180-4: the digest of no bytes.
        assert_eq!(hash_source(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
        assert!(PAGE.policy.contains(&hash_source(SCRIPT)) && PAGE.policy.contains(&hash_source(STYLE)));
    }
}
