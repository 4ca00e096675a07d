//! A whole engine without a socket, a thread or a clock: one shard on the simulated driver, in virtual time.
//!
//! For tests and fuzzing, behind the feature `sim`. The caller plays the peers through [`Simulation::network`] and decides
//! how much time passes. Invariant: the same seed, faults and calls give the same run.
//!
//! ```
//! use std::time::Duration;
//!
//! use gannet::sim::{Faults, Simulation};
//! use gannet::{Config, Context, Handler, Message, Request, Upgrade};
//!
//! struct Echo;
//!
//! impl Handler for Echo {
//!     type State = ();
//!
//!     fn on_upgrade(&mut self, _request: &Request<'_>) -> Upgrade<()> {
//!         Upgrade::accept(())
//!     }
//!
//!     fn on_message(&mut self, context: &mut Context<'_>, _state: &mut (), message: Message<'_>) {
//!         let _ = context.reply(message);
//!     }
//! }
//!
//! let mut engine = Simulation::new(Config::default(), 1, Faults::none(), Echo)?;
//! let silent = engine.network().connect();
//! engine.run_for(Duration::from_secs(11));
//! assert!(engine.network().received(silent).starts_with(b"HTTP/1.1 408 "));
//! assert!(engine.network().is_ended(silent));
//! # Ok::<(), gannet::ConfigError>(())
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use gannet_driver::sim::{Faults, Network, PeerId};
use gannet_driver::sim::{SimDriver, simulate};

use crate::config::{Config, ConfigError};
use crate::handler::Handler;
use crate::remote::{Mailbox, Remote};
use crate::shard::{Place, Shard, ShardStatus};
use crate::shared::{Drain, Shared, Summary};

/// The most virtual time between two turns of [`Simulation::run_for`].
const TURN: Duration = Duration::from_millis(10);

/// An engine of one shard and the network that its peers are on.
pub struct Simulation<H: Handler> {
    pub(crate) network: Network,
    pub(crate) shared: Arc<Shared>,
    pub(crate) remote: Remote,
    pub(crate) shard: Shard<SimDriver, H>,
    pub(crate) status: ShardStatus,
    /// The virtual time.
    now: Instant,
}

impl<H: Handler> Simulation<H> {
    /// Starts an engine. Of `config`, the address, the backend and the number of shards mean nothing here; without
    /// [`Config::connections_max`] there is no cap.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(config: Config, seed: u64, faults: Faults, handler: H) -> Result<Self, ConfigError> {
        config.validate()?;
        let (driver, network) = simulate(seed, faults);
        let shared = Arc::new(Shared::new(config.connections_max.unwrap_or(usize::MAX), &config));
        let now = Instant::now();
        // Nobody sleeps here.
        let mailbox = Arc::new(Mailbox::new(|| {}));
        let remote = Remote::default();
        remote.open(vec![mailbox.clone()]);
        let (config, edges) = (Arc::new(config), Arc::new([]));
        let place = Place { number: 0, shards: 1, config, edges, shared: shared.clone(), mailbox };
        let shard = Shard::new(driver, handler, place, now);
        Ok(Self { network, shared, remote, shard, status: ShardStatus::Running, now })
    }

    /// The peers: connecting them, what they send, and what has arrived at them. The engine learns of it in its next turn.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// Lets `elapsed` pass, then the engine takes one turn.
    pub fn step(&mut self, elapsed: Duration) {
        self.now += elapsed;
        self.shard.reap().expect("the simulated driver does not fail");
        self.status = self.shard.turn(self.now);
    }

    /// Lets `duration` pass, with a turn at least every 10 ms.
    pub fn run_for(&mut self, duration: Duration) {
        let mut left = duration;
        while !left.is_zero() {
            let elapsed = left.min(TURN);
            self.step(elapsed);
            left -= elapsed;
        }
    }

    /// Stops the engine as [`Engine::stop`](crate::Engine::stop) does; it drains in the turns that follow.
    pub fn stop(&self) {
        self.shared.drain(Drain::default());
    }

    /// Ends the engine as [`StopHandle::drain`](crate::StopHandle::drain) does; it drains in the turns that follow.
    pub fn drain(&self, drain: Drain) {
        self.shared.drain(drain);
    }

    /// Reaches connections as from another thread. What is asked of the engine it does in its next turn, so
    /// [`Remote::connections`] and [`Remote::send_and_wait`] would wait for ever.
    #[must_use]
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// Whether the engine was stopped and every connection is gone.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.status == ShardStatus::Finished
    }

    /// What the engine has done so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.shared.summary()
    }
}

impl<H: Handler> fmt::Debug for Simulation<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation").field("summary", &self.summary()).finish_non_exhaustive()
    }
}
