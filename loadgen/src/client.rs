//! One open client connection: sends what it is ordered to, checks what arrives, and closes.
//!
//! Invariant: a connection never stops reading while its own output is blocked, so two full socket buffers cannot
//! stand still against each other. It ends exactly once, in [`Ledger::record_closed`] or [`Ledger::record_broken`].

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::connect::Client;
use crate::flow::{Arrival, Flow};
use crate::ledger::Ledger;
use crate::payload::{self, Stamp};
use crate::record::Failure;

/// What a connection is told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    /// Send one message.
    Send {
        /// When it was due, in nanoseconds since the run began.
        intended_ns: u64,
        /// Its length.
        message_bytes: usize,
    },
    /// Send one message, and the next on every echo until the time is over.
    Repeat(Repeat),
    /// Start the closing handshake.
    Close,
}

/// A closed loop with one message in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    /// When no further message is sent, in nanoseconds since the run began.
    pub(crate) until_ns: u64,
    /// Length of each message.
    pub(crate) message_bytes: usize,
}

/// The end of a connection that its worker holds.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u32,
    is_open: Cell<bool>,
    orders: RefCell<VecDeque<Order>>,
    waker: RefCell<Option<Waker>>,
    flow: RefCell<Flow>,
}

impl Connection {
    /// Connection `id`, counted over all workers.
    pub(crate) fn new(id: u32) -> Self {
        Self {
            id,
            is_open: Cell::new(true),
            orders: RefCell::default(),
            waker: RefCell::default(),
            flow: RefCell::default(),
        }
    }

    /// Its number over all workers.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// It could not be opened: orders are ignored from now on.
    pub(crate) fn give_up(&self) {
        self.is_open.set(false);
    }

    /// Hands over an order; a connection that has ended ignores it.
    pub(crate) fn order(&self, order: Order) {
        if self.is_open.get() {
            self.orders.borrow_mut().push_back(order);
            if let Some(waker) = self.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Whether it has orders that it did not follow yet.
    pub(crate) fn has_orders(&self) -> bool {
        !self.orders.borrow().is_empty()
    }

    /// Forgets its orders, gives up on the messages on their way and returns how many those were.
    pub(crate) fn settle(&self) -> u32 {
        self.orders.borrow_mut().clear();
        self.flow.borrow_mut().settle()
    }

    fn poll_order(&self, context: &Context<'_>) -> Poll<Order> {
        if let Some(order) = self.orders.borrow_mut().pop_front() {
            return Poll::Ready(order);
        }
        *self.waker.borrow_mut() = Some(context.waker().clone());
        Poll::Pending
    }
}

/// How far the closing handshake is (RFC 6455 §7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    /// No Close frame was sent.
    NotStarted,
    /// Our Close frame was sent.
    Sent,
    /// The echo of our Close frame arrived; the server ends the TCP connection next.
    Echoed,
}

/// What a connection waits for.
enum Event {
    Order(Order),
    Received(Option<Result<Message, Error>>),
    FlushFailed,
}

/// Runs the connection to its end and counts how it ended.
pub(crate) async fn run(connection: Rc<Connection>, client: Client, ledger: Rc<Ledger>) {
    let mut session = Session {
        connection: Rc::clone(&connection),
        ledger: Rc::clone(&ledger),
        client,
        is_flushing: false,
        repeat: None,
        closing: Closing::NotStarted,
    };
    let ending = session.run().await;
    connection.give_up();
    ledger.record_lost(connection.settle());
    match ending {
        Ok(()) => ledger.record_closed(),
        Err(failure) => ledger.record_broken(failure),
    }
}

struct Session {
    connection: Rc<Connection>,
    ledger: Rc<Ledger>,
    client: Client,
    is_flushing: bool,
    repeat: Option<Repeat>,
    closing: Closing,
}

impl Session {
    async fn run(&mut self) -> Result<(), Failure> {
        loop {
            match poll_fn(|context| self.poll_event(context)).await {
                Event::Order(order) => self.follow(order)?,
                Event::Received(Some(Ok(message))) => self.handle(message)?,
                Event::Received(None) if self.closing == Closing::Echoed => return Ok(()),
                Event::Received(None | Some(Err(_))) | Event::FlushFailed => return Err(self.failure()),
            }
        }
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.is_flushing {
            match self.client.poll_flush_unpin(context) {
                Poll::Ready(Ok(())) => self.is_flushing = false,
                Poll::Ready(Err(_)) if self.closing == Closing::NotStarted => {
                    return Poll::Ready(Event::FlushFailed);
                }
                // After our Close frame the server may end first; what it sent is still to be read.
                Poll::Ready(Err(_)) => self.is_flushing = false,
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(received) = self.client.poll_next_unpin(context) {
            return Poll::Ready(Event::Received(received));
        }
        if self.is_flushing { Poll::Pending } else { self.connection.poll_order(context).map(Event::Order) }
    }

    fn follow(&mut self, order: Order) -> Result<(), Failure> {
        match order {
            Order::Send { intended_ns, message_bytes } => self.send(intended_ns, message_bytes),
            Order::Repeat(repeat) => {
                self.repeat = Some(repeat);
                self.send(self.ledger.now_ns(), repeat.message_bytes)
            }
            Order::Close => {
                let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                self.closing = Closing::Sent;
                self.start_send(Message::Close(Some(close)))
            }
        }
    }

    fn send(&mut self, intended_ns: u64, message_bytes: usize) -> Result<(), Failure> {
        let sequence = self.connection.flow.borrow_mut().next();
        let stamp = Stamp { connection: self.connection.id, sequence, intended_ns };
        self.ledger.record_sent(intended_ns);
        self.start_send(Message::binary(payload::write(stamp, message_bytes)))
    }

    fn start_send(&mut self, message: Message) -> Result<(), Failure> {
        self.is_flushing = true;
        self.client.start_send_unpin(message).map_err(|_| self.failure())
    }

    fn handle(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Binary(bytes) => self.handle_echo(&bytes),
            Message::Text(_) => {
                self.ledger.record_corrupted();
                Ok(())
            }
            Message::Close(frame) => {
                // RFC 6455 §5.5.1: the answer to a Close frame typically echoes its status code.
                let is_echo = frame.is_some_and(|frame| frame.code == CloseCode::Normal);
                if self.closing != Closing::Sent || !is_echo {
                    return Err(self.failure());
                }
                self.closing = Closing::Echoed;
                Ok(())
            }
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(()),
        }
    }

    fn handle_echo(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let stamp = match payload::read(bytes) {
            Ok(stamp) if stamp.connection == self.connection.id => stamp,
            _ => {
                self.ledger.record_corrupted();
                return Ok(());
            }
        };
        let arrival = self.connection.flow.borrow_mut().arrive(stamp.sequence);
        self.ledger.record_arrival(arrival, stamp.intended_ns);
        let Some(repeat) = self.repeat.filter(|_| arrival == Arrival::InOrder) else { return Ok(()) };
        let now_ns = self.ledger.now_ns();
        if now_ns >= repeat.until_ns {
            self.repeat = None;
            return Ok(());
        }
        self.send(now_ns, repeat.message_bytes)
    }

    fn failure(&self) -> Failure {
        if self.closing == Closing::NotStarted { Failure::Died } else { Failure::ClosedBadly }
    }
}
