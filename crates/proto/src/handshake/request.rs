//! The client's request, as a server reads it. Invariant: a [`Request`] to upgrade fulfils RFC 6455 §4.2.1, and all its
//! limits were checked before anything was allocated.

use base64::Engine as _;
use httparse::{EMPTY_HEADER, Header};

use super::{
    BASE64, Extension, HandshakeError, Limits, is_authority, is_target, is_token, list_items, list_names,
    parse_extensions,
};

/// Reads a request head that may arrive in any number of pieces, in time linear in its size: it remembers how
/// far it has looked for the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScanner {
    /// Bytes that were searched for the end of the head.
    scanned: usize,
    /// Complete lines in them.
    lines: usize,
}

impl HeadScanner {
    /// As [`read_head`](Self::read_head), for a server that has nothing but WebSockets.
    ///
    /// # Errors
    /// The reason to refuse the request; [`HandshakeError::NotAnUpgrade`] for one that is no upgrade.
    pub fn read_request<'a>(
        &mut self,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<(Request<'a>, usize)>, HandshakeError> {
        match self.read_head(bytes, limits)? {
            Some((Head::Upgrade(request), head_len)) => Ok(Some((request, head_len))),
            Some((Head::Plain(_), _)) => Err(HandshakeError::NotAnUpgrade),
            None => Ok(None),
        }
    }

    /// Looks at all bytes received so far, which must begin with those of the call before. Returns the request and
    /// the size of its head in bytes, or nothing if the head is not complete and legal so far.
    ///
    /// An incomplete head is parsed each time its size has passed a power of two, so that garbage is refused early.
    ///
    /// # Errors
    /// The reason to refuse the request.
    pub fn read_head<'a>(
        &mut self,
        bytes: &'a [u8],
        limits: &Limits,
    ) -> Result<Option<(Head<'a>, usize)>, HandshakeError> {
        // RFC 8446 §5.1: a record of the handshake, version 3.x. No method begins with that byte.
        if matches!(bytes, [0x16] | [0x16, 0x03, ..]) {
            return Err(HandshakeError::TlsRecord);
        }
        let parse_is_due = passed_power_of_two(self.scanned, bytes.len());
        let end = self.find_end(bytes)?;
        self.check_limits(bytes, end, limits)?;
        match end {
            Some(head_len) => {
                let request = Request::parse(&bytes[..head_len], self.lines, limits)?;
                Ok(Some((request.verify()?, head_len)))
            }
            None if parse_is_due => Request::parse(bytes, self.lines, limits).map(|_| None),
            None => Ok(None),
        }
    }

    /// Searches the new bytes for the empty line that ends the head; returns the size of the head.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, HandshakeError> {
        while let Some(offset) = bytes[self.scanned..].iter().position(|&byte| byte == b'\n') {
            let end = self.scanned + offset + 1;
            self.scanned = end;
            self.lines += 1;
            // RFC 9112 §2.2: a line ends with CR LF. A lone LF or a leading empty line would be legal to accept,
            // but two servers that disagree about where a head ends are how requests are smuggled.
            if !bytes[..end].ends_with(b"\r\n") || end == 2 {
                return Err(HandshakeError::Malformed);
            }
            if bytes[..end].ends_with(b"\r\n\r\n") {
                return Ok(Some(end));
            }
        }
        self.scanned = bytes.len();
        Ok(None)
    }

    fn check_limits(&self, bytes: &[u8], end: Option<usize>, limits: &Limits) -> Result<(), HandshakeError> {
        if end.unwrap_or(bytes.len()) > limits.head_bytes_max {
            let request_line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(bytes);
            return Err(if request_line.len() > limits.target_bytes_max {
                HandshakeError::TargetTooLong { limit: limits.target_bytes_max }
            } else {
                HandshakeError::HeadTooLarge { limit: limits.head_bytes_max }
            });
        }
        // The request line and, at the end, the empty line are not fields.
        let fields = self.lines.saturating_sub(1 + usize::from(end.is_some()));
        if fields > limits.header_fields_max {
            return Err(HandshakeError::TooManyHeaderFields { limit: limits.header_fields_max });
        }
        Ok(())
    }
}

/// Whether a power of two lies between two sizes; growing byte by byte, that happens only a few times.
fn passed_power_of_two(before: usize, after: usize) -> bool {
    before.checked_ilog2() != after.checked_ilog2()
}

/// A valid request, by what it asks for.
#[derive(Debug)]
pub enum Head<'a> {
    /// To open a WebSocket (RFC 6455 §4.2.1).
    Upgrade(Request<'a>),
    /// GET or HEAD without an upgrade to `websocket`, and without a body.
    Plain(Request<'a>),
}

/// A valid request. It borrows the bytes of its head.
#[derive(Debug)]
pub struct Request<'a> {
    target: &'a str,
    /// The method; `GET` once the request is verified, or `HEAD` of a plain one.
    method: &'a str,
    /// The minor version of HTTP/1.
    minor_version: u8,
    headers: Vec<Header<'a>>,
}

impl<'a> Request<'a> {
    /// Parses a head, or checks the beginning of one: its parts are then empty as far as they are missing.
    fn parse(head: &'a [u8], lines: usize, limits: &Limits) -> Result<Self, HandshakeError> {
        // Each line may be a field, and one more may be cut.
        let mut headers = vec![EMPTY_HEADER; lines + 1];
        let mut parsed = httparse::Request::new(&mut headers);
        let status = parsed.parse(head).map_err(|error| refusal(error, head))?;
        let (target, method) = (parsed.path.unwrap_or(""), parsed.method.unwrap_or(""));
        let minor_version = parsed.version.unwrap_or(1);
        let fields = if status.is_complete() { parsed.headers.len() } else { 0 };
        if target.len() > limits.target_bytes_max {
            return Err(HandshakeError::TargetTooLong { limit: limits.target_bytes_max });
        }
        headers.truncate(fields);
        Ok(Self { target, method, minor_version, headers })
    }

    /// The rules of RFC 6455 §4.2.1, and those that keep what follows the head from being taken for a body.
    fn verify(self) -> Result<Head<'a>, HandshakeError> {
        let is_upgrade = self.values("upgrade").any(|value| list_names(value, "websocket"));
        if self.method != "GET" && (is_upgrade || self.method != "HEAD") {
            return Err(HandshakeError::MethodNotGet);
        }
        if self.minor_version == 0 {
            return Err(HandshakeError::Http10);
        }
        if !self.path().starts_with('/') || !is_target(self.target) {
            return Err(HandshakeError::InvalidTarget);
        }
        match self.single("host") {
            Single::Once(host) if is_authority(host) => {}
            _ => return Err(HandshakeError::InvalidHost),
        }
        match self.single("origin") {
            Single::Missing => {}
            Single::Once(origin) if !origin.is_empty() && origin.is_ascii() => {}
            _ => return Err(HandshakeError::InvalidOrigin),
        }
        if self.header("transfer-encoding").is_some()
            || !matches!(self.single("content-length"), Single::Missing | Single::Once(b"0"))
        {
            return Err(HandshakeError::UnexpectedBody);
        }
        if !is_upgrade {
            return Ok(Head::Plain(self));
        }
        self.verify_upgrade()?;
        Ok(Head::Upgrade(self))
    }

    fn verify_upgrade(&self) -> Result<(), HandshakeError> {
        if !self.values("connection").any(|value| list_names(value, "upgrade")) {
            return Err(HandshakeError::ConnectionWithoutUpgrade);
        }
        match self.single("sec-websocket-version") {
            Single::Once(b"13") => {}
            Single::Missing => return Err(HandshakeError::VersionMissing),
            _ => return Err(HandshakeError::UnsupportedVersion),
        }
        match self.single("sec-websocket-key") {
            Single::Once(key) if is_key(key) => Ok(()),
            _ => Err(HandshakeError::InvalidKey),
        }
    }

    /// The method: `GET`, or `HEAD` of a plain request.
    #[must_use]
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The request target as it was sent.
    #[must_use]
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The path of the target, which begins with a slash; not percent-decoded.
    #[must_use]
    pub fn path(&self) -> &'a str {
        let resource = self.resource();
        resource.split_once('?').map_or(resource, |(path, _)| path)
    }

    /// What follows the first `?` of the target.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.resource().split_once('?').map(|(_, query)| query)
    }

    /// The value of the first header field of that name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// All header fields in order, repeated ones included.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    /// The value of Host.
    #[must_use]
    pub fn host(&self) -> &'a str {
        self.text("host").unwrap_or("")
    }

    /// The value of Origin, which browsers send.
    #[must_use]
    pub fn origin(&self) -> Option<&'a str> {
        self.text("origin")
    }

    /// The subprotocols that the client offers, in its order; items that are not tokens are left out.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.values("sec-websocket-protocol")
            .flat_map(list_items)
            .filter(|item| is_token(item))
            .filter_map(|item| str::from_utf8(item).ok())
    }

    /// The extensions that the client offers, one list for each header field; fields that break the grammar are left out.
    pub(crate) fn extension_lists(&self) -> impl Iterator<Item = Vec<Extension<'a>>> {
        self.values("sec-websocket-extensions").filter_map(parse_extensions)
    }

    /// The value of Sec-WebSocket-Key.
    #[must_use]
    pub fn key(&self) -> &'a str {
        self.text("sec-websocket-key").unwrap_or("")
    }

    /// The target without the scheme and authority of an absolute URI (RFC 9112 §3.2.2).
    fn resource(&self) -> &'a str {
        match self.target.split_once("://") {
            Some((scheme, rest)) if is_token(scheme.as_bytes()) => {
                rest.find('/').map_or("/", |slash| &rest[slash..])
            }
            _ => self.target,
        }
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.header(name).and_then(|value| str::from_utf8(value).ok())
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    }

    fn single(&self, name: &str) -> Single<'a> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (None, _) => Single::Missing,
            (Some(value), None) => Single::Once(value),
            (Some(_), Some(_)) => Single::Repeated,
        }
    }
}

/// How often a field occurs that must not be repeated.
enum Single<'a> {
    Missing,
    Once(&'a [u8]),
    Repeated,
}

/// RFC 6455 §4.2.1: the key is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && BASE64.decode_slice(key, &mut nonce) == Ok(16)
}

/// The error for a head that could not be parsed.
fn refusal(error: httparse::Error, head: &[u8]) -> HandshakeError {
    let is_http_version = || {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or(head);
        let version = line.rsplit(|&byte| byte == b' ').next().unwrap_or(line);
        version.starts_with(b"HTTP/")
    };
    match error {
        httparse::Error::Version if is_http_version() => HandshakeError::UnsupportedHttpVersion,
        _ => HandshakeError::Malformed,
    }
}

#[cfg(test)]
mod tests;
