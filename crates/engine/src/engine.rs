//! An engine: the threads of its shards, from start to the end of the drain.
//!
//! Invariant: whatever can be wrong with the settings, the limits or the address is found before [`Builder::start`]
//! returns. Descriptors that cross threads are opened on the starting thread; where shards have descriptor tables of
//! their own, each table then closes what belongs to the others.

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use gannet_driver::{
    DescriptorPlan, Driver, EpollDriver, EpollParts, ListenAddress, OwnDescriptors, PlanRequest, Tables,
    Waker, available_descriptors, close_in_this_table, part_with_own_table, plan_descriptors,
    raise_descriptor_limit,
};

use crate::config::{Backend, Config};
use crate::edge::{Edge, SecureDriver};
use crate::error::Error;
use crate::handler::Handler;
use crate::listener::{Listener, UNKNOWN, open_parts};
use crate::remote::{Mailbox, Remote};
use crate::shard::{Place, Shard, ShardStatus};
use crate::shared::{Drain, Shared, Summary};

/// Of so many turns one is timed.
const TURNS_PER_TIMED: u64 = 16;
/// Connections over the cap that a shard turns away with patience; the driver turns away what is beyond.
const REFUSALS_AT_ONCE: usize = 32;

/// Collects the settings of an engine and starts it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    config: Config,
    remote: Remote,
}

impl Builder {
    /// Listens on `address` and nothing else; port 0 lets the kernel choose. Default `127.0.0.1:9998`.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.config.listeners = vec![Listener::tcp(address)];
        self
    }

    /// Listens on one more place.
    #[must_use]
    pub fn listener(mut self, listener: Listener) -> Self {
        self.config.listeners.push(listener);
        self
    }

    /// Runs so many shards instead of the automatic number.
    #[must_use]
    pub const fn shards(mut self, shards: usize) -> Self {
        self.config.shards = Some(shards);
        self
    }

    /// Holds so many connections instead of what one descriptor table allows.
    #[must_use]
    pub const fn connections_max(mut self, connections_max: usize) -> Self {
        self.config.connections_max = Some(connections_max);
        self
    }

    /// Replaces all settings.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// What reaches the connections of the engine from other threads and shards; for handlers to keep. Until the engine runs
    /// it takes nothing.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Starts the shards. `make_handler` is called once per shard, on its thread, with the number of the shard.
    ///
    /// # Errors
    /// [`Error`]: a setting out of range, more connections than descriptors, an address that cannot be listened on, or
    /// a thread that cannot be started.
    pub fn start<H, F>(mut self, make_handler: F) -> Result<Engine, Error>
    where
        H: Handler + 'static,
        F: Fn(usize) -> H + Send + Sync + 'static,
    {
        self.config.validate()?;
        // Not for the shards: an inherited socket that they kept would go on listening when they have stopped accepting.
        let listeners = mem::take(&mut self.config.listeners);
        let config = Arc::new(self.config);
        raise_descriptor_limit();
        let plan = plan_descriptors(PlanRequest {
            connections_max: config.connections_max,
            shards: config.shards,
            cores: thread::available_parallelism().map_or(1, usize::from),
            descriptors: available_descriptors(),
        })?;
        let edges = listeners.iter().map(Listener::edge).collect();
        let (parts, addresses) = open_parts(listeners, plan.shards)?;
        let shared = Arc::new(Shared::new(plan.connections_max, &config));
        let wakers: Vec<Waker> = parts.iter().map(EpollParts::waker).collect();
        self.remote.open(wakers.iter().cloned().map(open_mailbox).collect());
        let mut engine = Engine {
            addresses,
            plan,
            backend: Backend::Epoll,
            stop: StopHandle { shared, wakers },
            remote: self.remote,
            threads: Vec::new(),
        };
        engine.start_shards(parts, &config, &edges, Arc::new(make_handler))?;
        Ok(engine)
    }
}

/// The mailbox of the shard that `waker` wakes.
fn open_mailbox(waker: Waker) -> Arc<Mailbox> {
    // It fails only when the shard has ended already.
    Arc::new(Mailbox::new(move || drop(waker.wake())))
}

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    addresses: Vec<ListenAddress>,
    plan: DescriptorPlan,
    backend: Backend,
    stop: StopHandle,
    remote: Remote,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// Stops an engine from anywhere.
#[derive(Debug, Clone)]
pub struct StopHandle {
    shared: Arc<Shared>,
    wakers: Vec<Waker>,
}

impl StopHandle {
    /// Closes every connection with 1001 at once; the engine ends when all are gone, at the latest at its drain deadline.
    /// Calling it again changes nothing.
    pub fn stop(&self) {
        self.drain(Drain::default());
    }

    /// Ends the engine: new requests are answered 503, the open connections are closed over the window, and what is left at
    /// [`Config::drain_timeout_ms`] after it is cut. The first call counts.
    pub fn drain(&self, drain: Drain) {
        self.shared.drain(drain);
        self.wake();
    }

    /// Ends the engine now: every connection is reset.
    pub fn cut(&self) {
        self.shared.cut();
        self.wake();
    }

    /// Whether the engine was told to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining().is_some()
    }

    /// Whether new connections are refused because there are as many as there may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.is_full()
    }

    fn wake(&self) {
        for waker in &self.wakers {
            // It fails only when the shard has ended already.
            waker.wake().ok();
        }
    }

    /// What the engine has done so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }
}

impl Engine {
    /// The settings of a new engine.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The addresses listened on, in the order of [`Config::listeners`]; a port 0 is resolved.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// The first TCP address listened on; `0.0.0.0:0` if there is none (see [`Engine::addresses`]).
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.iter().find_map(ListenAddress::tcp).unwrap_or(UNKNOWN)
    }

    /// The number of shards.
    #[must_use]
    pub const fn shards(&self) -> usize {
        self.plan.shards
    }

    /// The connections it can really hold.
    #[must_use]
    pub const fn connections_max(&self) -> usize {
        self.plan.connections_max
    }

    /// The backend chosen.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.backend
    }

    /// A handle that stops the engine from another thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// What the engine has done so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.stop.summary()
    }

    /// What reaches the connections from other threads.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// See [`StopHandle::stop`].
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Waits until every shard has ended, which they do after [`Engine::stop`].
    ///
    /// # Errors
    /// The first shard that did not end well; the others are stopped then.
    pub fn join(self) -> Result<Summary, Error> {
        let mut first_error = None;
        for (shard, thread) in self.threads.into_iter().enumerate() {
            let error = match thread.join() {
                Ok(Ok(())) => continue,
                Ok(Err(source)) => Error::Shard { shard, source },
                Err(_) => Error::Panicked { shard },
            };
            first_error.get_or_insert(error);
        }
        first_error.map_or_else(|| Ok(self.stop.summary()), Err)
    }

    fn start_shards<H, F>(
        &mut self,
        parts: Vec<EpollParts>,
        config: &Arc<Config>,
        edges: &Arc<[Edge]>,
        make: Arc<F>,
    ) -> Result<(), Error>
    where
        H: Handler + 'static,
        F: Fn(usize) -> H + Send + Sync + 'static,
    {
        let descriptors: Vec<_> = parts.iter().map(EpollParts::descriptors).collect();
        let connections_max = self.plan.connections_per_shard_max + REFUSALS_AT_ONCE;
        let (parted, reports) = mpsc::channel();
        for (shard, parts) in parts.into_iter().enumerate() {
            let not_mine: Vec<OwnDescriptors> = descriptors
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != shard)
                .map(|(_, own)| own.clone())
                .collect();
            let place = Place {
                number: shard,
                shards: self.plan.shards,
                config: config.clone(),
                edges: edges.clone(),
                shared: self.stop.shared.clone(),
                mailbox: self.remote.mailbox_of(shard),
            };
            let thread = ShardThread {
                place,
                parts,
                not_mine: (self.plan.tables == Tables::PerShard).then_some(not_mine),
                connections_max,
                stop: self.stop.clone(),
                parted: parted.clone(),
            };
            let make = make.clone();
            let handle = thread::Builder::new()
                .name(format!("gannet-{shard}"))
                .spawn(move || thread.run(|| make(shard)))
                .map_err(|source| self.abandon(Error::Start { shard, source }))?;
            self.threads.push(handle);
        }
        drop(parted);
        for (shard, report) in reports {
            report.map_err(|source| self.abandon(Error::Start { shard, source }))?;
        }
        if self.plan.tables == Tables::PerShard {
            close_in_this_table(&descriptors);
        }
        Ok(())
    }

    /// Stops what was started before `error`.
    fn abandon(&self, error: Error) -> Error {
        self.stop.stop();
        error
    }
}

/// What the thread of a shard is given.
struct ShardThread {
    place: Place,
    parts: EpollParts,
    /// The descriptors of the other shards, if this one is to have its own table.
    not_mine: Option<Vec<OwnDescriptors>>,
    connections_max: usize,
    stop: StopHandle,
    /// Told the number of the shard and how parting the descriptor tables went.
    parted: mpsc::Sender<(usize, io::Result<()>)>,
}

impl ShardThread {
    fn run<H: Handler>(self, make_handler: impl FnOnce() -> H) -> io::Result<()> {
        let Self { place, parts, not_mine, connections_max, stop, parted } = self;
        // A shard that ends early takes the others with it: half an engine is never left running unnoticed.
        let _stop_the_others = StopOnDrop(&stop);
        let _close = CloseOnDrop(place.mailbox.clone());
        let own_table = not_mine.map_or(Ok(()), |not_mine| part_with_own_table(&not_mine));
        let failed = own_table.is_err();
        parted.send((place.number, own_table)).ok();
        drop(parted);
        if failed {
            return Ok(());
        }
        let driver = EpollDriver::new(parts, connections_max);
        // Whoever needs no layer gets a shard that was compiled without it.
        if place.edges.iter().all(Edge::is_plain) {
            return run(Shard::new(driver, make_handler(), place, Instant::now()));
        }
        let driver = SecureDriver::new(driver, place.edges.clone(), place.config.trusted_proxies.clone());
        run(Shard::new(driver, make_handler(), place, Instant::now()))
    }
}

/// The event loop. One turn of [`TURNS_PER_TIMED`] is timed, as a look at the clock costs a small turn one hundredth.
fn run<D: Driver, H: Handler>(mut shard: Shard<D, H>) -> io::Result<()> {
    for turn in 0_u64.. {
        let start = Instant::now();
        let status = shard.turn(start);
        if turn.is_multiple_of(TURNS_PER_TIMED) {
            shard.count_turn_time(start.elapsed());
        }
        if status == ShardStatus::Finished {
            break;
        }
        shard.reap()?;
    }
    Ok(())
}

struct StopOnDrop<'a>(&'a StopHandle);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Whoever waits for a shard that has ended, in whatever way, waits no longer.
struct CloseOnDrop(Arc<Mailbox>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}
