//! The engine itself, as an echo server.
//!
//! Invariant: it runs with the engine's defaults; only the address, the shards and the connections are set, as they are
//! for the other systems.

use std::net::{Ipv4Addr, SocketAddr};

use gannet::{Context, Engine, Error, Handler, Message, Request, Upgrade};

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
pub(super) fn start(shards: u32, connections_max: u32) -> Result<Engine, Error> {
    Engine::builder()
        .listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .shards(shards as usize)
        .connections_max(connections_max as usize)
        .start(|_shard| Echo)
}
