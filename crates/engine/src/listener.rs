//! Where an engine listens, as its settings say it.
//!
//! Invariant: opening takes the settings with it: once the engine runs, only its shards hold listening sockets, so that none
//! goes on listening after the shards have stopped accepting.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gannet_driver::{EpollParts, ListenAddress, ListenSocket};

use crate::edge::{Edge, Tls};
use crate::error::Error;

/// Stands for an address that the kernel does not tell.
pub(crate) const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What the driver tells a client for which there is not even a slot; the engine's own refusals are written like the
/// other responses.
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n";

/// A place to listen on, and how its connections begin.
#[derive(Debug, Clone)]
pub struct Listener {
    place: Place,
    edge: Edge,
}

/// Inherited sockets are shared, since settings can be cloned and sockets cannot.
#[derive(Debug, Clone)]
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
    InheritedTcp(Arc<TcpListener>),
    InheritedUnix(Arc<UnixListener>),
}

impl Listener {
    /// Listens on a TCP address; port 0 lets the kernel choose.
    #[must_use]
    pub const fn tcp(address: SocketAddr) -> Self {
        Self::new(Place::Tcp(address))
    }

    /// Listens on a Unix socket, which user and group may connect to (mode 0660). The file of a server that died is
    /// replaced, that of one that lives is an error; it is removed when the engine stops accepting. Its clients have no
    /// address: see [`PeerAddress::Unix`](crate::PeerAddress::Unix).
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Place::Unix(path.into()))
    }

    /// Listens on a TCP socket that listens already, such as one that systemd has opened. As long as the caller keeps a
    /// clone of this setting (or the service manager its own copy), the kernel lets clients wait even after the engine has
    /// stopped accepting.
    #[must_use]
    pub fn inherited_tcp(socket: TcpListener) -> Self {
        Self::new(Place::InheritedTcp(Arc::new(socket)))
    }

    /// Like [`Listener::inherited_tcp`] for a Unix socket; its file is left to whoever made it.
    #[must_use]
    pub fn inherited_unix(socket: UnixListener) -> Self {
        Self::new(Place::InheritedUnix(Arc::new(socket)))
    }

    const fn new(place: Place) -> Self {
        Self { place, edge: Edge { tls: None, proxy_protocol: false } }
    }

    /// Every connection from a trusted hop (over a Unix socket, everybody) begins with a header of the PROXY protocol, which
    /// names the client.
    #[must_use]
    pub const fn with_proxy_protocol(mut self) -> Self {
        self.edge.proxy_protocol = true;
        self
    }

    /// Whether [`Listener::with_proxy_protocol`] was called.
    #[must_use]
    pub const fn has_proxy_protocol(&self) -> bool {
        self.edge.proxy_protocol
    }

    /// Speaks TLS: `https` and `wss`. Reloading `tls`, or a clone of it, changes what this listener offers.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.edge.tls = Some(tls);
        self
    }

    /// Whether [`Listener::with_tls`] was called.
    #[must_use]
    pub const fn has_tls(&self) -> bool {
        self.edge.tls.is_some()
    }

    /// What its connections begin with.
    pub(crate) fn edge(&self) -> Edge {
        self.edge.clone()
    }

    /// The address asked for (a port 0 is still 0), or the one of an inherited socket.
    #[must_use]
    pub fn address(&self) -> ListenAddress {
        match &self.place {
            Place::Tcp(address) => ListenAddress::Tcp(*address),
            Place::Unix(path) => ListenAddress::Unix(Some(path.clone())),
            // An address that cannot be told is no reason to fail here; opening will.
            Place::InheritedTcp(socket) => ListenAddress::Tcp(socket.local_addr().unwrap_or(UNKNOWN)),
            Place::InheritedUnix(socket) => {
                let address = socket.local_addr().ok();
                ListenAddress::Unix(address.and_then(|address| address.as_pathname().map(Path::to_owned)))
            }
        }
    }

    /// Opens a socket for each of `shards`.
    ///
    /// # Errors
    /// [`Error::Listen`] with what the kernel said.
    fn open(self, shards: usize) -> Result<Vec<ListenSocket>, Error> {
        let address = self.address();
        // A client that expects TLS could not read it.
        let refusal = if self.has_tls() { b"" } else { REFUSAL };
        let shared = |socket: ListenSocket| socket.shared_by(shards);
        let opened = match self.place {
            Place::Tcp(address) => open_tcp(address, shards),
            Place::Unix(path) => ListenSocket::unix(&path).and_then(shared),
            Place::InheritedTcp(socket) => {
                socket.try_clone().and_then(ListenSocket::inherited_tcp).and_then(shared)
            }
            Place::InheritedUnix(socket) => {
                socket.try_clone().and_then(ListenSocket::inherited_unix).and_then(shared)
            }
        };
        let sockets = opened.map_err(|source| Error::Listen { address, source })?;
        Ok(sockets.into_iter().map(|socket| socket.with_refusal(refusal)).collect())
    }
}

/// The parts of each shard, and the addresses that they listen on.
pub(crate) fn open_parts(
    listeners: Vec<Listener>,
    shards: usize,
) -> Result<(Vec<EpollParts>, Vec<ListenAddress>), Error> {
    let mut sockets: Vec<Vec<ListenSocket>> = (0..shards).map(|_| Vec::new()).collect();
    for listener in listeners {
        for (of_shard, socket) in sockets.iter_mut().zip(listener.open(shards)?) {
            of_shard.push(socket);
        }
    }
    let addresses = sockets[0].iter().map(|socket| socket.address().clone()).collect();
    let parts = sockets
        .into_iter()
        .enumerate()
        .map(|(shard, sockets)| EpollParts::open(sockets).map_err(|source| Error::Start { shard, source }));
    Ok((parts.collect::<Result<_, _>>()?, addresses))
}

/// One address with a queue for each shard, among which the kernel deals the clients out.
fn open_tcp(address: SocketAddr, shards: usize) -> io::Result<Vec<ListenSocket>> {
    refuse_port_in_use(address)?;
    let first = ListenSocket::tcp(address)?;
    // With a port 0 the others have to follow the first.
    let bound = first.address().tcp().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..shards {
        sockets.push(ListenSocket::tcp(bound)?);
    }
    Ok(sockets)
}

/// With `SO_REUSEPORT` a second server of the same user would silently take half of the connections; a plain bind shows
/// whether the port is free.
fn refuse_port_in_use(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 { Ok(()) } else { TcpListener::bind(address).map(drop) }
}
