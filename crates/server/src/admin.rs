//! The admin listener: health, metrics, the connections, and closing one of them. See `docs/metrics.md`.
//!
//! Invariant: it has a thread of its own and only reads what the shards publish or asks them by their mailboxes, so it cannot
//! hold up a shard; and it answers about stuck shards too.

mod access;
mod answer;
mod health;
mod listener;
mod metrics;
mod source;
mod watched;
pub(crate) mod wire;

#[cfg(test)]
mod fake;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::oneshot;

use self::access::Access;
pub(crate) use self::access::OWN_HEADER;
use self::listener::Desk;
pub(crate) use self::source::Source;

/// What the end of the listener waits for an answer that is being made.
const STOP_TIME_MAX: Duration = Duration::from_secs(1);

/// Where the listener is, and what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Port 0 lets the kernel choose.
    pub(crate) address: SocketAddr,
    /// What a request has to bring along; needed for an address that others reach.
    pub(crate) token: Option<String>,
}

/// Why there is no admin listener.
#[derive(Debug, Error)]
pub(crate) enum AdminError {
    #[error("the admin address {address} is not a loopback address: set an admin token, or use 127.0.0.1")]
    NeedsToken { address: SocketAddr },
    #[error("the admin token is empty: give it at least one character, or leave it out")]
    EmptyToken,
    #[error("cannot listen on the admin address {address}: {source}; choose another one with --admin")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot start the thread of the admin listener: {0}")]
    Start(io::Error),
}

/// A bound admin listener that does not answer yet: what can be wrong with it is found before the engine starts.
#[derive(Debug)]
pub(crate) struct Bound {
    listener: TcpListener,
    access: Access,
    address: SocketAddr,
}

/// The running admin listener. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Binds the listener.
///
/// # Errors
/// [`AdminError`]: the address is in use or not of this machine, or is reachable from elsewhere and there is no token.
pub(crate) fn bind(settings: Settings) -> Result<Bound, AdminError> {
    let Settings { address, token } = settings;
    let access = Access::new(address, token)?;
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = listen().map_err(|source| AdminError::Listen { address, source })?;
    Ok(Bound { listener, access, address })
}

impl Bound {
    /// Starts answering from `source`.
    ///
    /// # Errors
    /// [`AdminError::Start`].
    pub(crate) fn start(self, source: Source) -> Result<Admin, AdminError> {
        let Self { listener, access, address } = self;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(4)
            .thread_name("admin-wait")
            .build()
            .map_err(AdminError::Start)?;
        let (stop, stopped) = oneshot::channel();
        let answer = move || {
            let desk = Arc::new(Desk::new(access, Arc::new(source)));
            runtime.block_on(listener::listen(listener, desk, stopped));
            runtime.shutdown_timeout(STOP_TIME_MAX);
        };
        let thread =
            thread::Builder::new().name("admin".to_owned()).spawn(answer).map_err(AdminError::Start)?;
        Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Admin {
    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It ends with a panic at worst, which was logged.
            thread.join().ok();
        }
    }
}
