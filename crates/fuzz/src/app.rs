//! The application of the simulated engine. Invariant: it asserts the contract of the handler at each call, so a breach
//! is found where it happens.

use std::cell::RefCell;
use std::rc::Rc;

use gannet::{CloseCode, Closed, Context, Handler, Message, Payload, ReadyState, Request, Upgrade};

/// The path that is refused.
pub const REFUSED_PATH: &str = "/no";

/// The calls for one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls of `on_open`.
    pub opened: usize,
    /// Calls of `on_close`.
    pub closed: usize,
    /// The application itself began the closing handshake.
    is_closing: bool,
}

/// An echo that does something else for messages that begin with a certain byte.
#[derive(Clone, Debug, Default)]
pub struct App {
    calls: Rc<RefCell<Vec<Calls>>>,
}

impl App {
    /// The calls for each connection that was accepted.
    #[must_use]
    pub fn calls(&self) -> Vec<Calls> {
        self.calls.borrow().clone()
    }

    /// Notes a call for a connection that must be open.
    fn note(&self, connection: usize, note: impl FnOnce(&mut Calls)) {
        let calls = &mut self.calls.borrow_mut()[connection];
        assert_eq!((calls.opened, calls.closed), (1, 0), "a call outside on_open to on_close");
        note(calls);
    }
}

impl Handler for App {
    type State = usize;

    fn on_upgrade(&mut self, request: &Request<'_>) -> Upgrade<usize> {
        if request.path() == REFUSED_PATH {
            return Upgrade::reject(403).with_body("no");
        }
        let mut calls = self.calls.borrow_mut();
        calls.push(Calls::default());
        let upgrade = Upgrade::accept(calls.len() - 1);
        match request.subprotocols().next() {
            Some(subprotocol) => upgrade.with_subprotocol(subprotocol),
            None => upgrade,
        }
    }

    fn on_open(&mut self, _context: &mut Context<'_>, connection: &mut usize) {
        self.calls.borrow_mut()[*connection].opened += 1;
        self.note(*connection, |_| {});
    }

    fn on_message(&mut self, context: &mut Context<'_>, connection: &mut usize, message: Message<'_>) {
        assert_eq!(context.ready_state(), ReadyState::Open, "a message after an error or a Close");
        self.note(*connection, |calls| assert!(!calls.is_closing, "a message after our Close"));
        match message.as_bytes().first() {
            Some(b'c') => {
                context.close(CloseCode::new(4000), "as told").expect("the connection is open");
                self.note(*connection, |calls| calls.is_closing = true);
            }
            Some(b'p') => context.send_ping(b"ping").unwrap_or_default(),
            Some(b's') => (0..3).for_each(|_| {
                // It fails when the outbox is full.
                let _ = match message.payload() {
                    Payload::Text(text) => context.send_text(text),
                    Payload::Binary(bytes) => context.send_binary(bytes),
                };
            }),
            Some(b'i') => {}
            _ => context.reply(message).expect("the connection is open"),
        }
    }

    fn on_drain(&mut self, _context: &mut Context<'_>, connection: &mut usize) {
        self.note(*connection, |_| {});
    }

    fn on_close(&mut self, connection: usize, closed: &Closed<'_>) {
        assert!(closed.reason.len() <= 123);
        self.note(connection, |calls| calls.closed += 1);
    }
}
