//! The engine itself, as an echo server.
//!
//! Invariant: it runs with the engine's defaults; only the address, the shards and the connections are set, as they are
//! for the other systems, and whether it compresses.

use std::net::{Ipv4Addr, SocketAddr};

use gannet::{Config, Context, Engine, Error, Handler, Listener, Message, Request, Upgrade};

use super::{Compression, ServeArgs};

/// Sends back what arrives.
struct Echo;

impl Handler for Echo {
    type State = ();

    fn on_upgrade(&mut self, _request: &Request<'_>) -> Upgrade<()> {
        Upgrade::accept(())
    }

    fn on_message(&mut self, context: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
        // It fails only when the connection is closing already.
        let _ = context.reply(message);
    }
}

/// Starts the server on a free port of 127.0.0.1. It runs until the process ends.
pub(super) fn start(args: ServeArgs) -> Result<Engine, Error> {
    let mut config = Config::default();
    config.listeners = vec![Listener::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))];
    config.shards = Some(args.shards as usize);
    config.connections_max = Some(args.max_connections as usize);
    config.compression = match args.compression {
        Compression::Off => gannet::Compression::Off,
        Compression::Shared => gannet::Compression::Shared,
        Compression::Dedicated => gannet::Compression::Dedicated,
    };
    // Both windows of every connection, so that all connections do the same work.
    config.compression_window_bytes_max =
        (args.max_connections as usize) << (config.compression_window_bits + 1);
    Engine::builder().config(config).start(|_shard| Echo)
}
