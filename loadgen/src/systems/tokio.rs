//! The baseline: an echo server of tokio-tungstenite, written as its users would write it for many connections.
//!
//! One thread per shard, each with its own single-threaded runtime and its own listener on the same port
//! (`SO_REUSEPORT`), one task per connection. Invariant: nothing but the configuration differs between the flavours.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Connections that may wait to be accepted, per listener.
const BACKLOG: i32 = 4096;

/// How long accepting rests when it failed, most likely for want of a descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Which configuration the connections get.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flavour {
    /// The library's defaults.
    Default,
    /// A read buffer of 4 KiB, and every message written at once.
    Tuned,
}

impl Flavour {
    fn config(self) -> Option<WebSocketConfig> {
        match self {
            Self::Default => None,
            Self::Tuned => Some(WebSocketConfig::default().read_buffer_size(4 * 1024).write_buffer_size(0)),
        }
    }
}

/// Starts the server on a free port of 127.0.0.1 and returns its address once every shard listens. The shards run
/// until the process ends.
pub(super) fn start(flavour: Flavour, shards: u32, own_tables: bool) -> io::Result<SocketAddr> {
    // Bound but not listening: it holds the port until the shards have theirs.
    let reservation = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = reservation.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let (ready, all_ready) = channel();
    for shard in 0..shards {
        let ready = ready.clone();
        thread::Builder::new()
            .name(format!("shard-{shard}"))
            .spawn(move || run_shard(flavour, address, own_tables, ready))?;
    }
    drop(ready);
    all_ready.into_iter().collect::<io::Result<()>>()?;
    Ok(address)
}

fn run_shard(flavour: Flavour, address: SocketAddr, own_table: bool, ready: Sender<io::Result<()>>) {
    let opened = open_shard(address, own_table);
    let (opened, outcome) = match opened {
        Ok(shard) => (Some(shard), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // The receiver gives up at the first error, and then no other answer matters.
    let _ = ready.send(outcome);
    drop(ready);
    if let Some((runtime, listener)) = opened {
        runtime.block_on(accept_all(flavour, listener));
    }
}

fn open_shard(address: SocketAddr, own_table: bool) -> io::Result<(Runtime, TcpListener)> {
    if own_table {
        unshare(CloneFlags::CLONE_FILES)?;
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let socket = bind(address)?;
    socket.listen(BACKLOG)?;
    let listener = runtime.block_on(async { TcpListener::from_std(socket.into()) })?;
    Ok((runtime, listener))
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

async fn accept_all(flavour: Flavour, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(async move {
                    // A client that fails concerns no other.
                    let _ = echo(flavour, stream).await;
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn echo(flavour: Flavour, stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async_with_config(stream, flavour.config()).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        // The library answers Ping and Close itself.
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
