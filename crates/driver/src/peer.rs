//! Who is at the other end, and what the kernel knows of the way there.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The remote end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddress {
    /// Over TCP: address and port. An IPv4 client of an IPv6 socket has its IPv4 address, not `::ffff:192.0.2.1`.
    Ip(SocketAddr),
    /// Over a Unix socket, whose clients have no address.
    Unix,
}

impl PeerAddress {
    /// The IP address, if it has one.
    #[must_use]
    pub const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        // Whoever counts or trusts by address must not see one client under two.
        Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What the kernel knows of one connection at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketStats {
    /// The remote end of the socket itself: of the proxy, where there is one.
    pub peer: PeerAddress,
    /// The smoothed round-trip time in microseconds; `None` over a Unix socket.
    pub rtt_us: Option<u32>,
    /// Bytes in the send buffer that were not sent yet or not acknowledged. Over a Unix socket the memory of what the peer
    /// has not read, which is more than its bytes.
    pub unsent_bytes: u32,
}
