//! The client behind proxies: X-Forwarded-For or Forwarded (RFC 7239), from hops that are trusted.
//!
//! Invariant: an address is believed only if every hop between it and us is trusted, so the list is read from its right end
//! and what a client put at the left of it means nothing. Only the header that was configured is read: a proxy that writes
//! one of them passes the other on as the client sent it.

use std::net::{IpAddr, SocketAddr};

use gannet_driver::PeerAddress;
use gannet_proto::handshake::Request;
use ipnet::IpNet;

/// The header in which trusted proxies name the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, and `X-Forwarded-Proto` for the scheme.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), with `for` and `proto`.
    Forwarded,
}

/// Which hops are believed, and in which header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trust<'a> {
    pub(crate) proxies: &'a [IpNet],
    pub(crate) header: ForwardedHeader,
}

impl Trust<'_> {
    /// Whether a peer is a proxy to be believed. Over a Unix socket it is: who may connect is a matter of file permissions.
    pub(crate) fn covers(self, peer: PeerAddress) -> bool {
        peer.ip().is_none_or(|address| self.covers_address(address))
    }

    fn covers_address(self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxies| proxies.contains(&address.to_canonical()))
    }

    /// The address of the client: the last hop that is not a trusted proxy. `None` over a Unix socket without a header.
    pub(crate) fn client(self, peer: PeerAddress, request: &Request<'_>) -> Option<IpAddr> {
        let mut client = peer.ip();
        if !self.covers(peer) {
            return client;
        }
        let hops = match self.header {
            ForwardedHeader::XForwardedFor => items(request, "x-forwarded-for"),
            ForwardedHeader::Forwarded => parameters(request, "for"),
        };
        for hop in hops.iter().rev() {
            let Some(address) = parse_hop(hop) else { break };
            client = Some(address);
            if !self.covers_address(address) {
                break;
            }
        }
        client
    }

    /// Whether a trusted proxy says that the client came to it over TLS.
    pub(crate) fn is_secure(self, peer: PeerAddress, request: &Request<'_>) -> bool {
        if !self.covers(peer) {
            return false;
        }
        let schemes = match self.header {
            ForwardedHeader::XForwardedFor => items(request, "x-forwarded-proto"),
            ForwardedHeader::Forwarded => parameters(request, "proto"),
        };
        schemes
            .last()
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss"))
    }
}

/// The items of all fields of that name, in order.
fn items(request: &Request<'_>, name: &str) -> Vec<String> {
    let fields = request.headers().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    fields
        .flat_map(|(_, value)| {
            String::from_utf8_lossy(value).split(',').map(|item| item.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// The values of one parameter of `Forwarded`, one for each hop; empty where a hop does not give it.
fn parameters(request: &Request<'_>, name: &str) -> Vec<String> {
    let value_of = |item: String| {
        let pairs = item.split(';').filter_map(|pair| pair.split_once('='));
        let mut values =
            pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        values.next().unwrap_or("").trim_matches('"').to_owned()
    };
    items(request, "forwarded").into_iter().map(value_of).collect()
}

/// An address with or without a port; IPv6 with a port is in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let address = bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use gannet_proto::handshake::{Head, HeadScanner, Limits};

    use super::*;

    fn with_request<T>(fields: &str, check: impl FnOnce(&Request<'_>) -> T) -> T {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let read = HeadScanner::default().read_head(head.as_bytes(), &Limits::default());
        let Ok(Some((Head::Plain(request), _))) = read else { panic!("{head}: {read:?}") };
        check(&request)
    }

    fn peer(address: &str) -> PeerAddress {
        PeerAddress::Ip(SocketAddr::new(address.parse().unwrap(), 4000))
    }

    fn client(header: ForwardedHeader, from: PeerAddress, fields: &str) -> Option<String> {
        let proxies = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let trust = Trust { proxies: &proxies, header };
        with_request(fields, |request| trust.client(from, request)).map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        for (from, field, expected) in [
            ("192.0.2.9", "X-Forwarded-For: 1.1.1.1\r\n", "192.0.2.9"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: 1.1.1.1, 192.0.2.1, 10.2.2.2\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: 10.9.9.9\r\n", "10.9.9.9"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1:5000\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: [2001:db9::1]:5000\r\n", "2001:db9::1"),
            ("10.0.0.1", "X-Forwarded-For: ::ffff:192.0.2.1\r\n", "192.0.2.1"),
            ("::ffff:10.0.0.1", "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1"),
            ("10.0.0.1", "X-Forwarded-For: 192.0.2.1, unknown\r\n", "10.0.0.1"),
            ("10.0.0.1", "Forwarded: for=192.0.2.1\r\n", "10.0.0.1"),
        ] {
            let found = client(ForwardedHeader::XForwardedFor, peer(from), field);
            assert_eq!(found.as_deref(), Some(expected), "{from} {field}");
        }
        assert_eq!(client(ForwardedHeader::XForwardedFor, PeerAddress::Unix, ""), None);
        let behind_unix =
            client(ForwardedHeader::XForwardedFor, PeerAddress::Unix, "X-Forwarded-For: 192.0.2.1\r\n");
        assert_eq!(behind_unix.as_deref(), Some("192.0.2.1"));
    }

    #[test]
    fn forwarded_is_read_by_its_own_grammar() {
        for (field, expected) in [
            ("Forwarded: for=192.0.2.1;proto=https;by=10.0.0.1\r\n", "192.0.2.1"),
            ("Forwarded: for=1.1.1.1, For=\"[2001:db9::7]:4711\", for=10.3.3.3\r\n", "2001:db9::7"),
            ("Forwarded: for=192.0.2.1, for=_hidden\r\n", "10.0.0.1"),
            ("X-Forwarded-For: 192.0.2.1\r\n", "10.0.0.1"),
        ] {
            let found = client(ForwardedHeader::Forwarded, peer("10.0.0.1"), field);
            assert_eq!(found.as_deref(), Some(expected), "{field}");
        }
    }

    #[test]
    fn the_scheme_is_believed_of_a_trusted_proxy_alone() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let trust = Trust { proxies: &proxies, header: ForwardedHeader::XForwardedFor };
        for (from, field, expected) in [
            ("10.0.0.1", "X-Forwarded-Proto: https\r\n", true),
            ("10.0.0.1", "X-Forwarded-Proto: https, http\r\n", false),
            ("10.0.0.1", "X-Forwarded-Proto: http\r\n", false),
            ("192.0.2.1", "X-Forwarded-Proto: https\r\n", false),
        ] {
            let secure = with_request(field, |request| trust.is_secure(peer(from), request));
            assert_eq!(secure, expected, "{from} {field}");
        }
    }
}
