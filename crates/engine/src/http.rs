//! Plain HTTP beside the WebSockets: the answer to a GET or HEAD that asks for no upgrade.
//!
//! Invariant: the connection is closed after the response, so nothing that a peer sends behind its request is ever read
//! as another one.

use std::sync::Arc;

/// A response to a plain request (RFC 9110). The connection closes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status, 200 to 599.
    pub status: u16,
    /// Header fields; those of the connection and the length are written by the engine.
    pub headers: Vec<(String, String)>,
    /// The body; it may be shared, and is left out where the request was HEAD.
    pub body: Arc<[u8]>,
}

impl HttpResponse {
    /// A response without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Arc::from([]) }
    }

    /// 426: here is nothing but a WebSocket.
    #[must_use]
    pub fn upgrade_required() -> Self {
        let text = gannet_proto::handshake::HandshakeError::NotAnUpgrade.to_string();
        Self::new(426).with_body("text/plain; charset=utf-8", text.into_bytes())
    }

    /// Adds a header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and its media type.
    #[must_use]
    pub fn with_body(mut self, content_type: &str, body: impl Into<Arc<[u8]>>) -> Self {
        self.body = body.into();
        self.with_header("Content-Type", content_type)
    }
}
