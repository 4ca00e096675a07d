//! The edge of an engine: what lies between the socket and the request head, TLS and the PROXY protocol.
//!
//! Invariant: above this layer nobody knows of TLS. It is a driver around a driver and keeps the same contract, so a shard
//! without it is not slower, and one with it is not different.

mod certificates;
mod connection;
mod layer;
mod outgoing;
mod proxy;
mod resolver;
#[cfg(test)]
mod tests;
mod tls;

pub use certificates::{CertificateFiles, Tls, TlsError};
pub(crate) use layer::{Edge, SecureDriver};
