//! A WebSocket server engine for very many open connections.
//!
//! One thread per shard, each with its own event loop, its own connections and its own [`Handler`]; no locks, no task
//! per connection, and no buffer for a connection that is idle.
//!
//! ```
//! use gannet::{Context, Engine, Handler, Message, Request, Upgrade};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type State = ();
//!
//!     fn on_upgrade(&mut self, _request: &Request<'_>) -> Upgrade<()> {
//!         Upgrade::accept(())
//!     }
//!
//!     fn on_message(&mut self, context: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
//!         // It fails only when the connection is closing already.
//!         let _ = context.reply(message);
//!     }
//! }
//!
//! # fn main() -> Result<(), gannet::Error> {
//! let engine = Engine::builder().listen(([127, 0, 0, 1], 0).into()).start(|_shard| Echo)?;
//! println!("ws://{}/", engine.local_addr());
//! # engine.stop();
//! engine.join()?; // until somebody calls `stop`
//! # Ok(())
//! # }
//! ```
//!
//! What a call of the handler sends leaves in one piece when its readiness event is done. What the peer does not take
//! waits in an outbox with a limit ([`Config::outbox_bytes_max`]); a peer that does not read its replies is not read
//! from either. Timers cost nothing per message: handshake deadline, ping and pong deadline, close deadline
//! ([`Config`]).

#![forbid(unsafe_code)]

/// The code blocks of the README are compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod admission;
mod compression;
mod config;
mod connection;
mod context;
mod edge;
mod engine;
mod error;
mod forwarded;
mod guard;
mod handler;
mod http;
mod inspect;
mod listener;
pub mod metrics;
mod origins;
mod outbox;
mod rates;
mod remote;
mod shard;
mod shared;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod timers;

pub use compression::Compression;
pub use config::{Backend, Config, ConfigError, OutboxPolicy, RatePolicy};
pub use context::{Context, SendError};
pub use edge::{CertificateFiles, Tls, TlsError};
pub use engine::{Builder, Engine, StopHandle};
pub use error::Error;
pub use forwarded::ForwardedHeader;
pub use gannet_driver::{LimitError, ListenAddress, PeerAddress};
pub use gannet_proto::{CloseCode, Message, MessageKind, Payload, ReadyState};
pub use handler::{Accept, Closed, Handler, Reject, Request, Upgrade};
pub use http::HttpResponse;
pub use inspect::{ConnectionInfo, Description, Inspect, SortBy};
pub use listener::Listener;
pub use origins::{OriginError, Origins};
pub use remote::{ConnectionId, ConnectionIdError, Outgoing, Remote, RemoteError};
pub use shared::{Drain, Summary};
