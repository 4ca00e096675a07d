//! The handler of the tests: an echo that does what paths and messages tell it, and records every call.
//!
//! Invariant: a record is never reset, so a second `on_open` or `on_close` of one connection shows.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::rc::Rc;

use gannet_driver::PeerAddress;
use gannet_proto::{CloseCode, Message};

use crate::context::Context;
use crate::handler::{Closed, Handler, Request, Upgrade};
use crate::http::HttpResponse;
use crate::inspect::Description;
use crate::remote::ConnectionId;

/// The code of every Close that the handler starts.
pub(super) const CLOSED_BY_HANDLER: u16 = 4000;
/// Size of the messages of a flood.
pub(super) const FLOOD_MESSAGE_BYTES: usize = 16 * 1024;
/// Size of the largest message that the handler sends by itself.
pub(super) const LARGE_MESSAGE_BYTES: usize = 256 * 1024;
/// The first byte of every message that is no echo.
pub(super) const NO_ECHO: u8 = 0;

/// The calls for one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) id: Option<ConnectionId>,
    pub(super) opened: usize,
    pub(super) messages: usize,
    pub(super) drained: usize,
    /// Code and cleanness of each `on_close`.
    pub(super) closed: Vec<(u16, bool)>,
}

/// The records of all connections, by remote address.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    by_peer: Rc<RefCell<BTreeMap<SocketAddr, Record>>>,
    /// Panics that a path or a message has asked for.
    panics: Rc<Cell<u64>>,
}

impl Records {
    pub(super) fn all(&self) -> Ref<'_, BTreeMap<SocketAddr, Record>> {
        self.by_peer.borrow()
    }

    pub(super) fn of(&self, peer: SocketAddr) -> Record {
        self.all().get(&peer).cloned().unwrap_or_default()
    }

    fn note(&self, peer: SocketAddr, note: impl FnOnce(&mut Record)) {
        note(self.by_peer.borrow_mut().entry(peer).or_default());
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// A panic that is no failure of the test, and prints nothing.
    fn panic_as_told(&self) -> ! {
        self.panics.set(self.panics.get() + 1);
        resume_unwind(Box::new("as told"))
    }
}

pub(super) struct Recorder {
    pub(super) records: Records,
}

/// A connection: who it is, and the path it was opened with.
#[derive(Debug)]
pub(super) struct State {
    peer: SocketAddr,
    path: String,
}

impl Recorder {
    /// Every call that is not `on_close` comes between the two.
    fn note(&self, state: &State, note: impl FnOnce(&mut Record)) {
        self.records.note(state.peer, |record| {
            assert!(record.opened == 1 && record.closed.is_empty(), "a call outside the session: {record:?}");
            note(record);
        });
    }

    /// Does what a path or a message says; anything unknown is nothing to do.
    fn obey(&self, context: &mut Context<'_>, command: &str) {
        match command {
            "/close" => {
                // It fails when the closing handshake was started before.
                context.close(CloseCode::new(CLOSED_BY_HANDLER), "as told").ok();
            }
            "/greet" => {
                context.send_binary(&[NO_ECHO, b'h', b'i']).expect("the outbox of a new connection is empty")
            }
            "/flood" => while context.send_binary(&[NO_ECHO; FLOOD_MESSAGE_BYTES]).is_ok() {},
            // Refused only if the outbox is full already.
            "/large" => context.send_binary(&[NO_ECHO; LARGE_MESSAGE_BYTES]).unwrap_or_default(),
            "/large-and-close" => {
                self.obey(context, "/large");
                self.obey(context, "/close");
                assert!(context.send_text("late").is_err(), "a message was sent after a Close");
            }
            "/greet-and-panic" => {
                // Refused only if the outbox is full already.
                context.send_binary(&[NO_ECHO, b'h', b'i']).ok();
                self.obey(context, "/panic");
            }
            "/panic" => self.records.panic_as_told(),
            _ => {}
        }
    }
}

/// The simulated peers have addresses.
fn address(request: &Request<'_>) -> SocketAddr {
    match request.peer() {
        PeerAddress::Ip(address) => address,
        PeerAddress::Unix => panic!("a simulated peer over a Unix socket"),
    }
}

impl Handler for Recorder {
    type State = State;

    fn on_upgrade(&mut self, request: &Request<'_>) -> Upgrade<State> {
        match request.path() {
            "/rejected" => Upgrade::reject(403).with_body("not you"),
            "/bad-subprotocol" => {
                let state = State { peer: address(request), path: String::new() };
                Upgrade::accept(state).with_subprotocol("never offered")
            }
            "/panic-on-upgrade" => self.records.panic_as_told(),
            path => Upgrade::accept(State { peer: address(request), path: path.to_owned() }),
        }
    }

    fn on_http(&mut self, request: &Request<'_>) -> HttpResponse {
        match request.path() {
            "/page" => HttpResponse::new(200).with_body("text/plain", *b"a page"),
            "/download" => HttpResponse::new(200).with_body("text/plain", vec![b'd'; LARGE_MESSAGE_BYTES]),
            "/bad-header" => HttpResponse::new(200).with_header("a", "b\r\nc: d"),
            "/panic" => self.records.panic_as_told(),
            _ => HttpResponse::upgrade_required(),
        }
    }

    fn on_open(&mut self, context: &mut Context<'_>, state: &mut State) {
        self.records.note(state.peer, |record| {
            record.opened += 1;
            record.id = Some(context.id());
        });
        self.obey(context, &state.path);
    }

    fn on_message(&mut self, context: &mut Context<'_>, state: &mut State, message: Message<'_>) {
        self.note(state, |record| record.messages += 1);
        match message.as_text() {
            Some(command) if command.starts_with('/') => self.obey(context, command),
            // It fails only once a Close was sent, and then no message is delivered.
            _ => context.reply(message).expect("a reply is never refused"),
        }
    }

    fn on_drain(&mut self, context: &mut Context<'_>, state: &mut State) {
        self.note(state, |record| record.drained += 1);
        match state.path.as_str() {
            "/close-on-drain" => self.obey(context, "/close"),
            "/flood-on-drain" => self.obey(context, "/flood"),
            "/panic-on-drain" => self.obey(context, "/panic"),
            _ => {}
        }
    }

    fn on_close(&mut self, state: State, closed: &Closed<'_>) {
        self.note(&state, |record| record.closed.push((closed.code.into(), closed.was_clean)));
        if state.path == "/panic-on-close" {
            self.records.panic_as_told();
        }
    }

    fn describe<'a>(&'a self, state: &'a State) -> Description<'a> {
        Description { path: &state.path, subprotocol: "" }
    }
}
