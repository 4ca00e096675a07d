//! A worker thread: its connections, its runtime and its descriptor table.
//!
//! Invariant: nothing wakes the runtime of a worker from outside. The wake-up would be a write to a descriptor of this
//! thread's table, which other threads do not share. Commands are therefore received between two runs of the runtime,
//! and each command ends by itself.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use thiserror::Error;
use tokio::runtime::{Builder, LocalOptions};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use crate::client::{self, Connection, Order, Repeat};
use crate::connect;
use crate::ledger::Ledger;
use crate::pace::{FineTimer, Schedule, connections_of};
use crate::record::Tally;
use crate::target::Target;

/// Opening handshakes that one worker has under way at a time.
pub(crate) const HANDSHAKES_IN_FLIGHT_MAX: usize = 256;

/// Messages that one worker has under way while every connection echoes once.
const ECHOES_IN_FLIGHT_MAX: u64 = 256;

/// How long a phase waits for what is on its way before it counts it as lost.
const STRAGGLER_DEADLINE: Duration = Duration::from_secs(10);

/// How long all closing handshakes together may take.
const CLOSE_DEADLINE: Duration = Duration::from_secs(30);

/// Orders handed out before the connections get a turn to follow them.
const ORDERS_PER_TURN: usize = 64;

/// Which part of the run a worker has.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    /// Number of this worker, from 0.
    pub(crate) worker: u32,
    /// Number of workers.
    pub(crate) workers: u32,
    /// Connections over all workers.
    pub(crate) connections: u32,
    /// Whether the thread takes a descriptor table of its own.
    pub(crate) own_table: bool,
    /// The server under test.
    pub(crate) target: Target,
    /// When the run began: all times count from here.
    pub(crate) began: Instant,
    /// Steps done, for the progress line.
    pub(crate) progress: Arc<AtomicU64>,
}

/// One phase of the run, as a worker sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command {
    /// Open the connections with a number below `below` that were not tried yet.
    Connect {
        /// Counted over all workers.
        below: u32,
    },
    /// Keep the connections open and read what arrives.
    Hold(Duration),
    /// Every connection sends one message and waits for the echo.
    EchoOnce {
        /// Length of the message.
        message_bytes: usize,
    },
    /// Send on a fixed schedule, whatever comes back (open loop).
    Pace {
        /// Messages per second over all workers.
        rate_per_s: u64,
        /// How long.
        duration: Duration,
        /// Length of each message.
        message_bytes: usize,
    },
    /// Keep one message in flight on each of the first connections (closed loop).
    Saturate {
        /// Connections that take part, over all workers.
        connections: u32,
        /// How long.
        duration: Duration,
        /// Length of each message.
        message_bytes: usize,
    },
    /// Close every connection.
    Close,
}

/// A worker could not go on.
#[derive(Debug, Error)]
pub(crate) enum WorkerError {
    /// No descriptor table of its own.
    #[error("a worker got no descriptor table of its own: {0}; use fewer --conns")]
    Table(nix::Error),
    /// No runtime or no timer.
    #[error("a worker got no event loop or timer: {0}; raise the limit on open files or use fewer --conns")]
    Runtime(#[from] io::Error),
}

/// What a worker sends after each command.
pub(crate) type Reply = Result<Tally, WorkerError>;

/// Follows commands until their sender is gone.
pub(crate) fn run(assignment: Assignment, commands: &Receiver<Command>, replies: &Sender<Reply>) {
    // A send fails only when the receiver has given up on the run, and then nobody needs to know.
    if let Err(error) = follow_all(assignment, commands, replies) {
        let _ = replies.send(Err(error));
    }
}

fn follow_all(
    assignment: Assignment,
    commands: &Receiver<Command>,
    replies: &Sender<Reply>,
) -> Result<(), WorkerError> {
    if assignment.own_table {
        unshare(CloneFlags::CLONE_FILES).map_err(WorkerError::Table)?;
    }
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let mut worker = Worker::new(assignment);
    for command in commands {
        let tally = runtime.block_on(worker.follow(command))?;
        if replies.send(Ok(tally)).is_err() {
            break;
        }
    }
    Ok(())
}

struct Worker {
    assignment: Assignment,
    ledger: Rc<Ledger>,
    /// By local number, whether the connection could be opened or not.
    connections: Vec<Rc<Connection>>,
}

impl Worker {
    fn new(assignment: Assignment) -> Self {
        let ledger = Rc::new(Ledger::new(assignment.began, Arc::clone(&assignment.progress)));
        Self { assignment, ledger, connections: Vec::new() }
    }

    async fn follow(&mut self, command: Command) -> io::Result<Tally> {
        match command {
            Command::Connect { below } => self.connect(below).await,
            Command::Hold(duration) => sleep(duration).await,
            Command::EchoOnce { message_bytes } => self.echo_once(message_bytes).await,
            Command::Pace { rate_per_s, duration, message_bytes } => {
                self.pace(rate_per_s, duration, message_bytes).await?;
            }
            Command::Saturate { connections, duration, message_bytes } => {
                self.saturate(connections, duration, message_bytes).await;
            }
            Command::Close => self.close().await,
        }
        Ok(self.ledger.take())
    }

    async fn connect(&mut self, below: u32) {
        let Assignment { worker, workers, .. } = self.assignment;
        let first = self.connections.len();
        let end = connections_of(below, workers, worker);
        let ids = (first as u32..end).map(|place| place * workers + worker);
        self.connections.extend(ids.map(|id| Rc::new(Connection::new(id))));

        let waiting: Rc<[Rc<Connection>]> = self.connections[first..].into();
        let next = Rc::new(Cell::new(0));
        let connectors: Vec<_> = (0..HANDSHAKES_IN_FLIGHT_MAX.min(waiting.len()))
            .map(|_| {
                let connector = Connector {
                    waiting: Rc::clone(&waiting),
                    next: Rc::clone(&next),
                    target: self.assignment.target.clone(),
                    ledger: Rc::clone(&self.ledger),
                };
                spawn_local(connector.run())
            })
            .collect();
        for connector in connectors {
            // A connector that panicked took its connections with it; the counts show them as missing.
            let _ = connector.await;
        }
    }

    async fn echo_once(&self, message_bytes: usize) {
        for connection in &self.connections {
            let room = self.ledger.in_flight_at_most(ECHOES_IN_FLIGHT_MAX - 1);
            if timeout(STRAGGLER_DEADLINE, room).await.is_err() {
                break;
            }
            connection.order(Order::Send { intended_ns: self.ledger.now_ns(), message_bytes });
            yield_now().await;
        }
        self.settle().await;
    }

    async fn pace(&self, rate_per_s: u64, duration: Duration, message_bytes: usize) -> io::Result<()> {
        let Assignment { worker, workers, connections, .. } = self.assignment;
        let timer = FineTimer::open()?;
        let began_ns = self.ledger.now_ns();
        let schedule = Schedule { rate_per_s, duration, connections, workers, worker };
        for (count, due) in schedule.messages().enumerate() {
            let intended_ns = began_ns + due.after_ns;
            if let Some(early_ns @ 1..) = intended_ns.checked_sub(self.ledger.now_ns()) {
                timer.wait(early_ns).await?;
            } else if count % ORDERS_PER_TURN == 0 {
                yield_now().await;
            }
            if let Some(connection) = self.connections.get(due.connection) {
                connection.order(Order::Send { intended_ns, message_bytes });
            }
        }
        self.settle().await;
        Ok(())
    }

    async fn saturate(&self, connections: u32, duration: Duration, message_bytes: usize) {
        let Assignment { worker, workers, .. } = self.assignment;
        let own = connections_of(connections, workers, worker) as usize;
        let until_ns = self.ledger.now_ns() + u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        for connection in self.connections.iter().take(own) {
            connection.order(Order::Repeat(Repeat { until_ns, message_bytes }));
        }
        sleep(duration).await;
        self.ledger.set_received_in_time(self.ledger.received());
        self.settle().await;
    }

    async fn close(&self) {
        for (count, connection) in self.connections.iter().enumerate() {
            connection.order(Order::Close);
            if count % ORDERS_PER_TURN == 0 {
                yield_now().await;
            }
        }
        if timeout(CLOSE_DEADLINE, self.ledger.all_closed()).await.is_err() {
            self.ledger.give_up_open();
        }
    }

    /// Waits for what is on its way and counts the rest as lost.
    async fn settle(&self) {
        let all_back = async {
            for connection in &self.connections {
                while connection.has_orders() {
                    sleep(Duration::from_millis(1)).await;
                }
            }
            self.ledger.in_flight_at_most(0).await;
        };
        // What is not back at the deadline is counted below.
        let _ = timeout(STRAGGLER_DEADLINE, all_back).await;
        for connection in &self.connections {
            self.ledger.record_lost(connection.settle());
        }
    }
}

/// One of the tasks that open connections, each one connection at a time.
struct Connector {
    waiting: Rc<[Rc<Connection>]>,
    next: Rc<Cell<usize>>,
    target: Target,
    ledger: Rc<Ledger>,
}

impl Connector {
    async fn run(self) {
        while let Some(connection) = self.waiting.get(self.next.replace(self.next.get() + 1)) {
            let began = Instant::now();
            match connect::open(&self.target, connection.id()).await {
                Ok(client) => {
                    self.ledger.record_open(began.elapsed());
                    spawn_local(client::run(Rc::clone(connection), client, Rc::clone(&self.ledger)));
                }
                Err(failure) => {
                    connection.give_up();
                    self.ledger.record_failure(failure);
                }
            }
        }
    }
}
