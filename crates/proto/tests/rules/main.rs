//! Rules of RFC 6455 and RFC 7692 as they are seen from outside, in both roles; `docs/protocol.md` says which.

#[allow(dead_code)] // reason: these tests need a part of it; the streams need the rest
#[path = "../streams/harness.rs"]
mod harness;

mod compression;
mod handshake;
mod received;
mod sent;

use gannet_proto::Role;

const ROLES: [Role; 2] = [Role::Server, Role::Client];
