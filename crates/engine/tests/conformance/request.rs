//! Upgrade requests, right and wrong. Invariant: nothing here checks what it writes.

/// The key of RFC 6455 §1.3, whose answer is known.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The value of Sec-WebSocket-Accept for [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request head.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: &'static str,
    /// `None` for the target of the server under test.
    target: Option<String>,
    version: &'static str,
    fields: Vec<(&'static str, String)>,
}

impl Request {
    /// A request that every server has to accept.
    pub(crate) fn legal() -> Self {
        let fields = [
            ("Host", "server.example"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ];
        Self {
            method: "GET",
            target: None,
            version: "HTTP/1.1",
            fields: fields.map(|(name, value)| (name, value.to_owned())).to_vec(),
        }
    }

    pub(crate) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn target(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    pub(crate) fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }

    /// Adds a field.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Leaves a field out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(other, _)| *other != name);
        self
    }

    /// Gives a field another value.
    pub(crate) fn set(self, name: &'static str, value: impl Into<String>) -> Self {
        self.without(name).with(name, value)
    }

    /// The bytes of the head.
    pub(crate) fn to_bytes(&self, default_target: &str) -> Vec<u8> {
        let target = self.target.as_deref().unwrap_or(default_target);
        let mut head = format!("{} {target} {}\r\n", self.method, self.version);
        for (name, value) in &self.fields {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}
