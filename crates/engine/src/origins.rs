//! The origins whose pages may open a WebSocket (RFC 6455 §4.2.2, §10.2).
//!
//! Invariant: an origin is allowed only if scheme, host and port are all equal to those of an entry. Nothing is matched by
//! prefix, suffix or pattern, so a look-alike is another origin.

use crate::handler::Request;

/// An allow-list of origins.
///
/// A browser sends the cookies of a user along with the opening handshake whatever page asks for it, and names that page's
/// origin. An application that trusts cookies has to check it:
///
/// ```
/// use gannet::{Origins, Request, Upgrade};
///
/// fn on_upgrade(origins: &Origins, request: &Request<'_>) -> Upgrade<()> {
///     if !origins.allow(request) {
///         return Upgrade::reject(403);
///     }
///     Upgrade::accept(())
/// }
///
/// let origins = Origins::new(["https://example.com", "http://localhost:8080"])?;
/// assert!(origins.allows("https://EXAMPLE.com:443"));
/// assert!(!origins.allows("https://example.com.evil.example"));
/// # Ok::<(), gannet::OriginError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Origins {
    allowed: Vec<Origin>,
    missing_allowed: bool,
}

/// An entry that no browser could send as an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin:?} is no origin: write scheme://host or scheme://host:port, without a path")]
pub struct OriginError {
    /// The entry.
    pub origin: String,
}

impl Origins {
    /// Allows exactly these origins, each written as `scheme://host` or `scheme://host:port`. A request without an Origin is
    /// refused.
    ///
    /// # Errors
    /// An entry that is no origin; `null` is none, since every sandboxed page has it.
    pub fn new<'o>(origins: impl IntoIterator<Item = &'o str>) -> Result<Self, OriginError> {
        let parse = |text: &str| Origin::parse(text).ok_or_else(|| OriginError { origin: text.to_owned() });
        let allowed = origins.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { allowed, missing_allowed: false })
    }

    /// Allows a request without an Origin too: it comes from a program, not from a page, and carries only what the program
    /// knows itself.
    #[must_use]
    pub const fn with_missing_allowed(mut self) -> Self {
        self.missing_allowed = true;
        self
    }

    /// Whether a request may be accepted; the answer to any other is 403 (RFC 6455 §4.2.2).
    #[must_use]
    pub fn allow(&self, request: &Request<'_>) -> bool {
        request.origin().map_or(self.missing_allowed, |origin| self.allows(origin))
    }

    /// Whether an origin, as a browser writes it, is in the list.
    #[must_use]
    pub fn allows(&self, origin: &str) -> bool {
        Origin::parse(origin).is_some_and(|origin| self.allowed.contains(&origin))
    }
}

/// An origin as it is compared (RFC 6454 §4, §5).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    /// In lower case.
    scheme: String,
    /// In lower case; an IPv6 address with its brackets.
    host: String,
    /// `None` only for a scheme without a default port.
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => Some(parse_port(digits)?),
            None => default_port(&scheme),
        };
        is_host(host).then(|| Self { scheme, host: host.to_ascii_lowercase(), port })
    }
}

/// Splits `host:port`, where the host may be an IPv6 address in brackets.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let host_len = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_len);
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

/// `str::parse` alone would take a sign.
fn parse_port(digits: &str) -> Option<u16> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// A host name, an IPv4 address or an IPv6 address in brackets; no user, path, wildcard or blank.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => {
            rest.strip_suffix(']').is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => {
            let is_host_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(is_host_byte)
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins::new(["https://example.com", "http://localhost:8080", "http://[::1]"]).unwrap()
    }

    #[test]
    fn the_same_origin_is_allowed_in_every_way_to_write_it() {
        for origin in [
            "https://example.com",
            "https://example.com:443",
            "https://EXAMPLE.Com",
            "HTTPS://example.com",
            "http://localhost:8080",
            "http://[::1]",
            "http://[::1]:80",
        ] {
            assert!(origins().allows(origin), "{origin}");
        }
    }

    #[test]
    fn a_look_alike_is_another_origin() {
        for origin in [
            "",
            "null",
            "example.com",
            "http://example.com",
            "https://example.com:8443",
            "https://example.com.",
            "https://example.com.evil.example",
            "https://evil-example.com",
            "https://www.example.com",
            "https://example.com@evil.example",
            "https://evil.example/https://example.com",
            "https://evil.example?https://example.com",
            "https://example.com/",
            "https://example.com https://evil.example",
            "https://example.com:",
            "https://example.com:+443",
            "https://example.com:443:443",
            "https://example.com:65979",
            "http://localhost",
            "http://[::1",
            "http://[::1]x",
            "://example.com",
            "https://",
        ] {
            assert!(!origins().allows(origin), "{origin}");
        }
    }

    #[test]
    fn an_entry_that_is_no_origin_is_refused_by_name() {
        for entry in ["null", "*", "https://*.example.com", "example.com", "https://example.com/"] {
            assert_eq!(Origins::new([entry]).unwrap_err(), OriginError { origin: entry.to_owned() });
        }
    }
}
