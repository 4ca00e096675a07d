//! Who may ask the admin listener.
//!
//! Invariant: whoever is not on this machine needs the token, and a web page in a browser on this machine gets nothing: it
//! can neither read by a name that it has rebound to a loopback address, nor post across sites.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use super::AdminError;
use super::answer::Refusal;

/// The header that a page cannot send to another site without asking it first.
pub(crate) const OWN_HEADER: &str = "x-gannet";

/// What a request has to prove.
#[derive(Debug, Clone)]
pub(super) struct Access {
    address: SocketAddr,
    token: Option<String>,
}

impl Access {
    /// # Errors
    /// The address is reachable from elsewhere and there is no token, or the token is empty.
    pub(super) fn new(address: SocketAddr, token: Option<String>) -> Result<Self, AdminError> {
        if token.as_deref() == Some("") {
            return Err(AdminError::EmptyToken);
        }
        if token.is_none() && !address.ip().is_loopback() {
            return Err(AdminError::NeedsToken { address });
        }
        Ok(Self { address, token })
    }

    /// Checks a request for anything but the two health endpoints.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &self.token {
            // A page that reaches this listener under a name of its own does not know the token.
            Some(token) => check_token(token, headers),
            None => self.check_host(headers),
        }
    }

    /// DNS rebinding: a page of `evil.example` whose name now leads here still says `Host: evil.example`.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = without_port(host);
        let is_ours = match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip == self.address.ip(),
            Err(_) => name.eq_ignore_ascii_case("localhost"),
        };
        if is_ours {
            return Ok(());
        }
        let text =
            format!("host {host:?} is not a name of the admin listener: use localhost or {}", self.address);
        Err(Refusal::new(StatusCode::FORBIDDEN, text))
    }
}

fn check_token(token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let given = match given.split_at_checked("Bearer ".len()) {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"bearer ") => given,
        _ => &[],
    };
    if bool::from(given.ct_eq(token.as_bytes())) {
        return Ok(());
    }
    let text = "the admin token is missing or wrong: send it as `Authorization: Bearer TOKEN`";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, text).with_header(WWW_AUTHENTICATE, "Bearer"))
}

/// A page of another site may post forms, but neither of these two without a preflight, which gets a 405.
pub(super) fn check_not_cross_site(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_own = headers.get(OWN_HEADER).is_some_and(|value| value == "1");
    if is_own || is_json(headers) {
        return Ok(());
    }
    let text = "a POST needs the header `X-Gannet: 1` or `Content-Type: application/json`";
    Err(Refusal::new(StatusCode::FORBIDDEN, text))
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// `host` of `host:port`; the brackets of an IPv6 address stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn access(address: &str, token: Option<&str>) -> Result<Access, AdminError> {
        Access::new(address.parse().unwrap(), token.map(str::to_owned))
    }

    #[test]
    fn an_address_that_others_reach_needs_a_token() {
        for address in ["0.0.0.0:9999", "[::]:9999", "192.0.2.1:1"] {
            let error = access(address, None).unwrap_err().to_string();
            assert!(error.contains(address) && error.contains("token"), "{error}");
            assert!(access(address, Some("secret")).is_ok());
        }
        assert!(access("127.0.0.1:0", None).is_ok() && access("[::1]:0", None).is_ok());
        assert!(matches!(access("127.0.0.1:0", Some("")), Err(AdminError::EmptyToken)));
    }

    #[test]
    fn without_a_token_the_host_must_be_a_name_of_this_machine() {
        let access = access("127.0.0.2:9999", None).unwrap();
        for host in ["localhost", "LOCALHOST:9999", "127.0.0.1:9999", "127.0.0.2", "[::1]:9999", "[::1]"] {
            assert_eq!(access.check(&headers(&[("host", host)])), Ok(()), "{host}");
        }
        for host in
            ["evil.example", "evil.example:9999", "localhost.evil.example", "192.0.2.1", "", "localhost:x"]
        {
            let refusal = access.check(&headers(&[("host", host)])).unwrap_err();
            assert_eq!(refusal.status, StatusCode::FORBIDDEN, "{host}");
        }
        assert!(access.check(&HeaderMap::new()).is_err());
    }

    #[test]
    fn with_a_token_nothing_but_the_token_counts() {
        let access = access("0.0.0.0:9999", Some("secret")).unwrap();
        let check = |value| access.check(&headers(&[("host", "any.example"), ("authorization", value)]));
        assert_eq!((check("Bearer secret"), check("bearer secret")), (Ok(()), Ok(())));
        for wrong in ["Bearer secre", "Bearer secrets", "Basic secret", "secret", "Bearer ", "Bearer"] {
            assert_eq!(check(wrong).unwrap_err().status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        let none = access.check(&headers(&[("host", "localhost")])).unwrap_err();
        assert_eq!(none.status, StatusCode::UNAUTHORIZED);
    }

    #[test]
    fn a_post_has_what_a_page_of_another_site_cannot_send() {
        for field in [("x-gannet", "1"), ("content-type", "application/json; charset=utf-8")] {
            assert_eq!(check_not_cross_site(&headers(&[field])), Ok(()));
        }
        for field in
            [("x-gannet", "0"), ("content-type", "text/plain"), ("content-type", "text/application/json")]
        {
            assert_eq!(check_not_cross_site(&headers(&[field])).unwrap_err().status, StatusCode::FORBIDDEN);
        }
    }
}
