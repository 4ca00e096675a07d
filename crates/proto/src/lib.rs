//! RFC 6455 and RFC 7692 without I/O: bytes in, events and bytes out.
//!
//! Invariant: nothing in this crate opens a socket, starts a thread or reads a clock, and no byte
//! sent by a peer makes it panic or allocate more than was received.
//!
//! The caller lends the received bytes and a place to append output; a [`Connection`] unmasks in
//! place, yields [`Event`]s that borrow the lent bytes, and writes the replies that the RFC demands
//! (Pong, echo of Close, Close after a protocol error) itself. The contract: *call
//! [`Connection::poll_event`] until it returns nothing, send what was written, keep
//! [`Received::unparsed`].*
//!
//! ```
//! use gannet_proto::{Codec, Connection, Event, Received};
//!
//! let mut codec = Codec::default();
//! let mut connection = Connection::server();
//! // A masked text frame "Hello" (RFC 6455 §5.7).
//! let mut bytes = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
//! let mut received = Received::new(&mut bytes);
//! let mut out = Vec::new();
//! while let Some(event) = connection.poll_event(&mut codec, &mut received, &mut out)? {
//!     if let Event::Message(message) = event {
//!         assert_eq!(message.as_text(), Some("Hello"));
//!         connection.reply(message, &mut codec, &mut out)?;
//!     }
//! }
//! // The reply was written over what was parsed; it goes on the wire before `out`.
//! assert_eq!(received.replies(), b"\x81\x05Hello");
//! assert!(out.is_empty() && received.unparsed().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

mod close;
mod codec;
mod config;
mod connection;
pub mod deflate;
mod error;
pub mod frame;
pub mod handshake;
pub mod mask;
mod message;
mod received;
pub mod utf8;

pub use close::{Close, CloseCode};
pub use codec::Codec;
pub use config::Config;
pub use connection::{Connection, Event, MaskingKeys, ReadyState};
pub use error::{ProtocolError, SendError};
pub use frame::Role;
pub use message::{Message, MessageKind, Payload};
pub use received::Received;
