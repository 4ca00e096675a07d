//! One client connection from nothing to the end of the opening handshake.
//!
//! Invariant: one attempt, within a deadline, never repeated; a failure says its kind.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::plan;
use crate::record::Failure;
use crate::target::Target;

/// A client after its opening handshake.
pub(crate) type Client = WebSocketStream<TcpStream>;

/// How long TCP connection and opening handshake may take together.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// Read buffer of a client; small, because there are very many.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Opens connection `id` to `target`.
///
/// # Errors
/// The kind of failure.
pub(crate) async fn open(target: &Target, id: u32) -> Result<Client, Failure> {
    tokio::time::timeout(HANDSHAKE_DEADLINE, open_unbounded(target, id))
        .await
        .map_err(|_elapsed| Failure::TimedOut)?
}

async fn open_unbounded(target: &Target, id: u32) -> Result<Client, Failure> {
    let source = plan::source(target.address.ip(), id);
    let socket = socket(target.address, source).map_err(|error| kind_of_io(&error))?;
    let stream = socket.connect(target.address).await.map_err(|error| kind_of_io(&error))?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES).write_buffer_size(0);
    let (client, _response) = client_async_with_config(target.url.as_str(), stream, Some(config))
        .await
        .map_err(|error| kind_of_handshake(&error))?;
    Ok(client)
}

fn socket(target: SocketAddr, source: Option<Ipv4Addr>) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(source) = source {
        // The port is chosen at connect, where it need only differ for the same server address.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

fn kind_of_io(error: &io::Error) -> Failure {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::CONNREFUSED) => Failure::Refused,
        Some(Errno::CONNRESET | Errno::PIPE) => Failure::Reset,
        Some(Errno::TIMEDOUT) => Failure::TimedOut,
        Some(Errno::MFILE | Errno::NFILE) => Failure::NoDescriptor,
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => Failure::NoPort,
        _ if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Reset,
        _ => Failure::Other,
    }
}

fn kind_of_handshake(error: &Error) -> Failure {
    match error {
        Error::Io(error) => kind_of_io(error),
        Error::ConnectionClosed | Error::Protocol(ProtocolError::HandshakeIncomplete) => Failure::Reset,
        Error::Http(_) | Error::HttpFormat(_) | Error::Protocol(_) | Error::Capacity(_) => Failure::Rejected,
        _ => Failure::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_closed_port_is_refused() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(open(&Target::at(free), 0).await.err(), Some(Failure::Refused));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_server_that_hangs_up_during_the_handshake_resets_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || drop(listener.accept().unwrap()));
        assert_eq!(open(&Target::at(address), 0).await.err(), Some(Failure::Reset));
        server.join().unwrap();
    }

    #[test]
    fn a_full_descriptor_table_and_used_up_ports_are_told_apart() {
        let kind = |errno: Errno| kind_of_io(&errno.into());
        assert_eq!(kind(Errno::MFILE), Failure::NoDescriptor);
        assert_eq!(kind(Errno::ADDRNOTAVAIL), Failure::NoPort);
        assert_eq!(kind(Errno::NOMEM), Failure::Other);
    }
}
