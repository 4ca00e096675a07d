//! The simulated engine: virtual time, and seeds that cut, delay and reorder what the driver does.
//!
//! Invariant: a peer never ends its connection by itself, not even when the case is over: the engine has to free the slot.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gannet::sim::{Faults, PeerId, Simulation};

use crate::app::{App, Record, Setup};
use crate::inside::Server;
use crate::wire::{Arrival, Wire};

/// Seeds with faults that a case is run under.
const SEEDS: u64 = 4;
/// Turns, of 1 ms each, after which nothing is expected to come any more.
const TURNS_MAX: usize = 20_000;
const TURN: Duration = Duration::from_millis(1);

/// A simulated engine.
#[derive(Debug)]
pub(crate) struct SimulatedServer {
    simulation: Rc<RefCell<Simulation<App>>>,
    record: Arc<Mutex<Record>>,
}

/// The engines to run a case on, each with a name that says how to get it again.
pub(crate) fn servers(setup: Setup) -> impl Iterator<Item = (String, SimulatedServer)> {
    let plain = ("without faults".to_owned(), 0, Faults::none());
    let seeded = (0..SEEDS).map(|seed| (format!("seed {seed}"), seed, Faults::lossless()));
    [plain].into_iter().chain(seeded).map(move |(name, seed, faults)| {
        let record = Arc::<Mutex<Record>>::default();
        let app = App::new(setup, record.clone());
        let simulation = Simulation::new(setup.config(), seed, faults, app).unwrap();
        (name, SimulatedServer { simulation: Rc::new(RefCell::new(simulation)), record })
    })
}

impl Server for SimulatedServer {
    fn connect(&self) -> Box<dyn Wire> {
        let peer = self.simulation.borrow().network().connect();
        Box::new(SimulatedWire { simulation: self.simulation.clone(), peer })
    }

    fn settles_at(&self, connections: usize) -> bool {
        let mut simulation = self.simulation.borrow_mut();
        (0..TURNS_MAX).any(|_| {
            simulation.step(TURN);
            simulation.summary().connections == connections
        })
    }

    fn record(&self) -> Record {
        self.record.lock().unwrap().clone()
    }
}

/// A peer on the simulated network.
#[derive(Debug)]
struct SimulatedWire {
    simulation: Rc<RefCell<Simulation<App>>>,
    peer: PeerId,
}

impl Wire for SimulatedWire {
    fn send(&mut self, bytes: &[u8]) {
        let mut simulation = self.simulation.borrow_mut();
        simulation.network().send(self.peer, bytes);
        // No time passes, but the engine gets a turn between two sends.
        simulation.step(Duration::ZERO);
    }

    fn receive(&mut self) -> Arrival {
        let mut simulation = self.simulation.borrow_mut();
        for _turn in 0..TURNS_MAX {
            let network = simulation.network();
            let bytes = network.received(self.peer);
            if !bytes.is_empty() {
                return Arrival::Bytes(bytes);
            }
            if network.is_reset(self.peer) {
                return Arrival::Reset;
            }
            if network.is_ended(self.peer) {
                return Arrival::End;
            }
            simulation.step(TURN);
        }
        Arrival::Nothing
    }

    fn end_stream(&mut self) {
        self.simulation.borrow().network().end_stream(self.peer);
    }

    fn reset(&mut self) {
        self.simulation.borrow().network().reset(self.peer);
    }

    fn wait(&mut self, duration: Duration) {
        self.simulation.borrow_mut().run_for(duration);
    }
}
