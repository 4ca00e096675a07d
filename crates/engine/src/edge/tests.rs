//! The layer as a driver: real TLS clients on a simulated network, with everything cut, late and out of order.

#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

#[path = "../../tests/support/certificates.rs"]
mod certificates;
mod client;
mod contract;
mod echo;
mod ends;
mod engine;
mod files;
mod handshakes;
mod proxy_header;
mod rig;
