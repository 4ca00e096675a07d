//! The server under test as the clients see it: an address and a URL.

use std::net::{SocketAddr, ToSocketAddrs};

use thiserror::Error;
use tokio_tungstenite::tungstenite::http::Uri;

/// Where the clients connect to, and what they ask for.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Address of the TCP connections.
    pub(crate) address: SocketAddr,
    /// `ws://` URL of the opening handshake.
    pub(crate) url: String,
}

/// The URL cannot be tested.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// It is not of the form `ws://host[:port][/path]`.
    #[error("`{0}` is not a URL this generator can test: give ws://host[:port][/path]")]
    Url(String),
    /// Its host has no address.
    #[error("`{host}` has no address: {error}; check the host in --url")]
    Host {
        /// Host and port.
        host: String,
        /// Why.
        error: std::io::Error,
    },
}

impl Target {
    /// The root of a server at `address`.
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, url: format!("ws://{address}/") }
    }

    /// The server that `url` names.
    ///
    /// # Errors
    /// If `url` is no `ws://` URL or its host has no address.
    pub(crate) fn parse(url: &str) -> Result<Self, TargetError> {
        let no_url = || TargetError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| no_url())?;
        if uri.scheme_str() != Some("ws") {
            return Err(no_url());
        }
        let name = uri.host().ok_or_else(no_url)?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(80);
        let no_host = |error| TargetError::Host { host: format!("{name}:{port}"), error };
        let address = (name, port)
            .to_socket_addrs()
            .map_err(no_host)?
            .next()
            .ok_or_else(|| no_host(std::io::ErrorKind::NotFound.into()))?;
        Ok(Self { address, url: url.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_address_and_port_80_unless_it_names_one() {
        assert_eq!(Target::parse("ws://127.0.0.1:9001/chat").unwrap().address.to_string(), "127.0.0.1:9001");
        assert_eq!(Target::parse("ws://127.0.0.1").unwrap().address.to_string(), "127.0.0.1:80");
        assert_eq!(Target::parse("ws://[::1]:9001/").unwrap().address.to_string(), "[::1]:9001");
    }

    #[test]
    fn other_schemes_are_refused_with_the_form_that_works() {
        for url in ["wss://127.0.0.1/", "http://127.0.0.1/", "127.0.0.1:9001", "ws//x"] {
            let error = Target::parse(url).unwrap_err().to_string();
            assert!(error.contains(url) && error.contains("ws://host"), "{error}");
        }
    }
}
