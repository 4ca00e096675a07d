//! What a user of the engine writes: a [`Handler`], and what its calls are given.
//!
//! Invariant: for each connection the calls come in the order `on_upgrade` (or `on_http` alone), `on_open`, any number of `on_message` and
//! `on_drain`, `on_close`; `on_close` exactly once for each `on_open`, and nothing after it.

use std::net::IpAddr;
use std::ops::Deref;

use gannet_driver::PeerAddress;
use gannet_proto::{CloseCode, Message};

use crate::context::Context;
use crate::forwarded::Trust;
use crate::http::HttpResponse;
use crate::inspect::Description;
use crate::remote::ConnectionId;

/// The application behind a shard. Every shard has its own, made on its own thread, so it needs no locks.
///
/// A call must not block: all connections of the shard wait for it.
///
/// # Panics
/// A call that panics ends the connection it was made for and nothing else. That connection is closed with 1011 behind
/// what was sent before; no more is delivered for it, and `on_close` (with 1011) follows if `on_open` was called. A panic
/// in `on_upgrade` is answered with 500; after one in `on_close` nothing is left to end. Each is counted in
/// [`Summary::handler_panics`](crate::Summary::handler_panics) and logged.
///
/// The handler and the state of the connection stay as the panic left them and are used on: the state by `on_close`, the
/// handler by every other connection of the shard. A call that changes the handler in several steps must leave it usable
/// if one of them panics. None of this holds in a program compiled with `panic = "abort"`.
pub trait Handler {
    /// The state of one connection. It is kept in the slab of the shard: a small type keeps an idle connection small.
    type State;

    /// Decides on an upgrade request (RFC 6455 §4.2.2).
    fn on_upgrade(&mut self, request: &Request<'_>) -> Upgrade<Self::State>;

    /// Answers a GET or HEAD without a body that asks for no upgrade to `websocket`; the connection closes after it. Default:
    /// 426.
    fn on_http(&mut self, request: &Request<'_>) -> HttpResponse {
        let _ = request;
        HttpResponse::upgrade_required()
    }

    /// The connection is open; what is sent here leaves together with the response.
    fn on_open(&mut self, context: &mut Context<'_>, state: &mut Self::State) {
        let _ = (context, state);
    }

    /// A whole message arrived (RFC 6455 §6.2).
    fn on_message(&mut self, context: &mut Context<'_>, state: &mut Self::State, message: Message<'_>);

    /// Everything that waited in the outbox has left. It is also called after a message was refused for a full outbox,
    /// even if the kernel then took everything at once.
    fn on_drain(&mut self, context: &mut Context<'_>, state: &mut Self::State) {
        let _ = (context, state);
    }

    /// The connection is closed (RFC 6455 §7.1.4 to §7.1.6). Nothing more can be sent.
    fn on_close(&mut self, state: Self::State, closed: &Closed<'_>) {
        let _ = (state, closed);
    }

    /// What [`Remote::connections`](crate::Remote::connections) tells of a connection. Default: nothing.
    fn describe<'a>(&'a self, state: &'a Self::State) -> Description<'a> {
        let _ = state;
        Description::default()
    }
}

/// A request and who sent it.
#[derive(Debug)]
pub struct Request<'a> {
    head: gannet_proto::handshake::Request<'a>,
    origin: Origination<'a>,
}

/// Where a request came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origination<'a> {
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerAddress,
    /// Whether the listener speaks TLS.
    pub(crate) is_tls: bool,
    pub(crate) trust: Trust<'a>,
}

impl<'a> Request<'a> {
    pub(crate) const fn new(head: gannet_proto::handshake::Request<'a>, origin: Origination<'a>) -> Self {
        Self { head, origin }
    }

    /// The name of the connection.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.origin.id
    }

    /// The remote end of the connection: of the socket, or the one that a trusted proxy names in a PROXY header.
    #[must_use]
    pub const fn peer(&self) -> PeerAddress {
        self.origin.peer
    }

    /// The address of the client: of [`peer`](Self::peer), or, if that is one of
    /// [`Config::trusted_proxies`](crate::Config::trusted_proxies), the last hop before them. `None` over a Unix socket
    /// whose peer does not say.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.origin.trust.client(self.origin.peer, &self.head)
    }

    /// Whether the client came over TLS: to us, or to a trusted proxy that says so.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.origin.is_tls || self.origin.trust.is_secure(self.origin.peer, &self.head)
    }

    /// The first of `ours` that the client offers as well: what to hand to [`Upgrade::with_subprotocol`]. `None` if there
    /// is none in common; the connection may then be accepted without (RFC 6455 §4.2.2) or rejected.
    #[must_use]
    pub fn choose_subprotocol<'o>(&self, ours: &[&'o str]) -> Option<&'o str> {
        // RFC 6455 §1.9: names are compared as they are written, case included.
        ours.iter().copied().find(|our| self.subprotocols().any(|offered| offered == *our))
    }
}

impl<'a> Deref for Request<'a> {
    type Target = gannet_proto::handshake::Request<'a>;

    fn deref(&self) -> &Self::Target {
        &self.head
    }
}

/// The answer to an upgrade request.
#[derive(Debug)]
pub enum Upgrade<S> {
    /// 101: the connection opens.
    Accept(Accept<S>),
    /// Any other status: the connection is closed after the response.
    Reject(Reject),
}

impl<S> Upgrade<S> {
    /// Accepts, without a subprotocol.
    pub const fn accept(state: S) -> Self {
        Self::Accept(Accept { state, subprotocol: None, headers: Vec::new() })
    }

    /// Rejects with an HTTP status of 300 to 599 and an empty body.
    #[must_use]
    pub const fn reject(status: u16) -> Self {
        Self::Reject(Reject { status, headers: Vec::new(), body: String::new() })
    }

    /// Adds a header field to the response.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let headers = match &mut self {
            Self::Accept(accept) => &mut accept.headers,
            Self::Reject(reject) => &mut reject.headers,
        };
        headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Chooses a subprotocol, which must be one of those that the client offered (RFC 6455 §4.2.2). A rejection stays
    /// as it is.
    #[must_use]
    pub fn with_subprotocol(mut self, subprotocol: &str) -> Self {
        if let Self::Accept(accept) = &mut self {
            accept.subprotocol = Some(subprotocol.to_owned());
        }
        self
    }

    /// Sets the body of a rejection (plain text). An acceptance has none and stays as it is.
    #[must_use]
    pub fn with_body(mut self, body: &str) -> Self {
        if let Self::Reject(reject) = &mut self {
            body.clone_into(&mut reject.body);
        }
        self
    }
}

/// An accepted upgrade.
#[derive(Debug)]
pub struct Accept<S> {
    /// The state that the connection starts with.
    pub state: S,
    /// The subprotocol chosen from the offered ones.
    pub subprotocol: Option<String>,
    /// Further header fields of the response.
    pub headers: Vec<(String, String)>,
}

/// A rejected upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The HTTP status, 300 to 599.
    pub status: u16,
    /// Further header fields of the response.
    pub headers: Vec<(String, String)>,
    /// The body, plain text.
    pub body: String,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<'a> {
    /// The code of the peer's Close frame (1005 if it had none), the code that we failed the connection with, or 1006
    /// if the connection was lost (RFC 6455 §7.1.5).
    pub code: CloseCode,
    /// The reason that belongs to the code, or empty.
    pub reason: &'a str,
    /// Whether Close frames went both ways (RFC 6455 §7.1.4).
    pub was_clean: bool,
}
