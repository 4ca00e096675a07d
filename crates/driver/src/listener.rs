//! Listening sockets: over TCP, on a Unix path, or opened by whoever started the process.
//!
//! Invariant: a [`ListenSocket`] listens, does not block, and hands out sockets with `TCP_NODELAY` (which they inherit).
//! Drivers that share one accept queue ([`ListenSocket::shared_by`]) know it, and leave its clients to each other.

mod path;

use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::PeerAddress;
use path::SocketFile;

/// The most listeners of one driver. Their descriptors are part of
/// [`DESCRIPTORS_PER_SHARD`](crate::DESCRIPTORS_PER_SHARD).
pub const LISTENERS_MAX: usize = 16;

/// Connections waiting to be accepted, per listener. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// A TCP address and port.
    Tcp(SocketAddr),
    /// The path of a Unix socket; `None` for one without a path (it may be inherited).
    Unix(Option<PathBuf>),
}

impl ListenAddress {
    /// The TCP address and port, if it is one.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix"),
        }
    }
}

/// A listening socket for one driver.
#[derive(Debug)]
pub struct ListenSocket {
    /// In front of the socket, so that it is removed before the socket closes: until then nobody takes it for stale.
    file: Option<Arc<SocketFile>>,
    kind: Kind,
    address: ListenAddress,
    is_shared: bool,
    refusal: &'static [u8],
}

#[derive(Debug)]
enum Kind {
    Tcp(net::TcpListener),
    Unix(unix::UnixListener),
}

impl ListenSocket {
    /// Listens on a TCP address; port 0 lets the kernel choose. With `SO_REUSEPORT`: each driver opens its own socket on
    /// the same address, and the kernel deals the clients out.
    ///
    /// # Errors
    /// Whatever the kernel says to `bind` and the rest: address in use, no permission, no descriptor left.
    pub fn tcp(address: SocketAddr) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Self::inherited_tcp(socket.into())
    }

    /// Listens on a Unix socket at `path`, readable and writable by user and group (mode 0660). A socket file there that
    /// nobody listens on (its server died) is replaced. The file is removed with the last socket that shares it.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrInUse`] if somebody listens there or the file is none of ours to remove; else what the
    /// kernel says: no such directory, no permission, a path of more than 107 bytes.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let (socket, file) = path::bind(path)?;
        socket.listen(BACKLOG)?;
        Ok(Self { file: Some(Arc::new(file)), ..Self::inherited_unix(OwnedFd::from(socket).into())? })
    }

    /// Takes over a TCP socket that listens already, such as one that systemd has opened.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it does not listen.
    pub fn inherited_tcp(socket: net::TcpListener) -> io::Result<Self> {
        require_listening(&socket)?;
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_tcp_nodelay(true)?;
        let address = ListenAddress::Tcp(socket.local_addr()?);
        Ok(Self::new(Kind::Tcp(socket), address))
    }

    /// Takes over a Unix socket that listens already; its file is not removed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if it does not listen.
    pub fn inherited_unix(socket: unix::UnixListener) -> io::Result<Self> {
        require_listening(&socket)?;
        socket.set_nonblocking(true)?;
        let path = socket.local_addr()?.as_pathname().map(Path::to_owned);
        Ok(Self::new(Kind::Unix(socket), ListenAddress::Unix(path)))
    }

    const fn new(kind: Kind, address: ListenAddress) -> Self {
        Self { file: None, kind, address, is_shared: false, refusal: b"" }
    }

    /// What a client is told that the driver has to turn away before it could even become a connection. Default nothing:
    /// it is closed.
    #[must_use]
    pub const fn with_refusal(mut self, refusal: &'static [u8]) -> Self {
        self.refusal = refusal;
        self
    }

    /// One socket for each of `drivers`, all with the same accept queue: whoever comes first takes a client. A driver that
    /// is full leaves the clients to the others instead of turning them away.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn shared_by(mut self, drivers: usize) -> io::Result<Vec<Self>> {
        self.is_shared = drivers > 1;
        let mut sockets = Vec::with_capacity(drivers);
        for _ in 1..drivers {
            let kind = match &self.kind {
                Kind::Tcp(socket) => Kind::Tcp(socket.try_clone()?),
                Kind::Unix(socket) => Kind::Unix(socket.try_clone()?),
            };
            let (file, address) = (self.file.clone(), self.address.clone());
            sockets.push(Self { file, kind, address, ..self });
        }
        sockets.push(self);
        sockets.truncate(drivers);
        Ok(sockets)
    }

    /// The address really bound (a port 0 resolved).
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Hands the socket to a poll: from now on it is accepted from.
    pub(crate) fn register(self, registry: &Registry, token: mio::Token) -> io::Result<Listening> {
        let Self { file, kind, address: _, is_shared, refusal } = self;
        let mut listening = Listening { _file: file, kind: kind.into(), is_shared, refusal };
        match &mut listening.kind {
            MioKind::Tcp(socket) => registry.register(socket, token, Interest::READABLE)?,
            MioKind::Unix(socket) => registry.register(socket, token, Interest::READABLE)?,
        }
        Ok(listening)
    }
}

fn require_listening(socket: impl AsFd) -> io::Result<()> {
    if rustix::net::sockopt::socket_acceptconn(socket)? {
        return Ok(());
    }
    let text = "the inherited socket does not listen; hand over a stream socket after listen(2) (Accept=no in systemd)";
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// A listening socket in the poll of its driver.
#[derive(Debug)]
pub(crate) struct Listening {
    /// In front of the socket: see [`ListenSocket`].
    _file: Option<Arc<SocketFile>>,
    kind: MioKind,
    /// Whether other drivers accept from the same queue.
    pub(crate) is_shared: bool,
    /// What a client is told that is turned away.
    pub(crate) refusal: &'static [u8],
}

#[derive(Debug)]
enum MioKind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl From<Kind> for MioKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)),
            Kind::Unix(socket) => Self::Unix(UnixListener::from_std(socket)),
        }
    }
}

impl Listening {
    /// Accepts one client.
    pub(crate) fn accept(&self) -> io::Result<(TcpStream, PeerAddress)> {
        match &self.kind {
            MioKind::Tcp(socket) => socket.accept().map(|(stream, peer)| (stream, peer.into())),
            MioKind::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                // A slot has one type of socket, without a tag, so that it takes 16 bytes and sending has no branch. Only
                // `recv`, `send`, `shutdown` and `close` are called on it, which are the same for both; whatever asks for
                // more (`socket_stats`) asks the kernel for the family first.
                Ok((TcpStream::from(OwnedFd::from(stream)), PeerAddress::Unix))
            }
        }
    }

    /// Takes the socket out of the poll. Closing it would not do where another driver shares it.
    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // It fails only if it was not registered.
        match &mut self.kind {
            MioKind::Tcp(socket) => registry.deregister(socket).ok(),
            MioKind::Unix(socket) => registry.deregister(socket).ok(),
        };
    }
}

impl AsFd for Listening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.kind {
            MioKind::Tcp(socket) => socket.as_fd(),
            MioKind::Unix(socket) => socket.as_fd(),
        }
    }
}
