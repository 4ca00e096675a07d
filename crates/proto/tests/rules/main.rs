//! Rules of RFC 6455 that are seen only from outside a connection, one test each; `docs/protocol.md` says which.

#[allow(dead_code)] // reason: these tests need a part of it; the streams need the rest
#[path = "../streams/harness.rs"]
mod harness;

mod handshake;
mod received;
mod sent;
