//! A driver on nothing but memory: the peers are played by the test, chance is a seed, and no time passes.
//!
//! Invariant: the same seed, the same faults and the same calls give the same run. The driver reads no clock and never
//! waits: `reap` returns at once, whatever its timeout, so the caller may pass virtual time in between.
//!
//! ```
//! use gannet_driver::sim::{Faults, simulate};
//! use gannet_driver::{Completion, Driver};
//!
//! let (mut driver, network) = simulate(1, Faults::none());
//! let peer = network.connect();
//! network.send(peer, b"hello");
//! for _turn in 0..2 {
//!     driver.reap(None).unwrap();
//!     while let Some(completion) = driver.poll_completion() {
//!         if let Completion::Received { token, bytes } = completion {
//!             let _ = driver.send_received(token, 0..bytes);
//!         }
//!     }
//! }
//! assert_eq!(network.received(peer), b"hello");
//! ```

mod faults;
mod link;
mod network;
mod rng;
#[cfg(test)]
mod tests;
mod world;

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

pub use faults::Faults;
pub use network::{Network, PeerId};
pub use rng::Rng;

use crate::buffer::{HEADROOM_BYTES, ReceiveBuffer};
use crate::slots::Slots;
use crate::{
    CloseMode, Completion, Driver, DriverCounters, RECEIVE_BYTES_MAX, ReceiveEnd, SendOutcome, SocketStats,
    Token,
};
use world::World;

/// Starts a simulation: a driver, and the network with the peers.
#[must_use]
pub fn simulate(seed: u64, faults: Faults) -> (SimDriver, Network) {
    let world = Rc::new(RefCell::new(World::new(seed, faults)));
    let driver = SimDriver {
        world: Rc::clone(&world),
        slots: Slots::new(),
        buffer: ReceiveBuffer::new(),
        steps: VecDeque::new(),
        queue: VecDeque::new(),
        late: Vec::new(),
        counters: DriverCounters::default(),
    };
    (driver, Network::new(world))
}

/// Something that may happen in a turn.
#[derive(Debug)]
enum Step {
    Accept,
    FinishSend(Token),
    Receive(Token),
    /// A completion that the contract forbids.
    Late(Completion),
}

/// The driver of a simulation.
#[derive(Debug)]
pub struct SimDriver {
    world: Rc<RefCell<World>>,
    /// The peer of each open connection.
    slots: Slots<PeerId>,
    buffer: ReceiveBuffer,
    /// What is left of this turn.
    steps: VecDeque<Step>,
    /// `Closed` completions.
    queue: VecDeque<Completion>,
    /// Completions that break the contract, for the next turn.
    late: Vec<Completion>,
    counters: DriverCounters,
}

impl SimDriver {
    /// Everything that can happen now, in the order of the slots, accepting last.
    fn possible_steps(&mut self, world: &World) -> Vec<Step> {
        let mut steps: Vec<Step> = self.late.drain(..).map(Step::Late).collect();
        for (token, peer) in self.slots.iter() {
            let link = &world.links[peer.0];
            if link.can_finish_send() {
                steps.push(Step::FinishSend(token));
            }
            if link.can_receive() {
                steps.push(Step::Receive(token));
            }
        }
        steps.extend(world.backlog.iter().map(|_| Step::Accept));
        steps
    }

    fn perform(&mut self, step: Step) -> Option<Completion> {
        match step {
            Step::Accept => self.accept(),
            Step::FinishSend(token) => self.finish_send(token),
            Step::Receive(token) => self.receive(token),
            Step::Late(completion) => {
                if let Completion::Received { bytes, .. } = completion {
                    self.buffer.space()[..bytes].fill(0xa5);
                    self.buffer.set_received(bytes);
                }
                Some(completion)
            }
        }
    }

    fn accept(&mut self) -> Option<Completion> {
        let world = &mut *self.world.borrow_mut();
        let peer = world.backlog.pop_front()?;
        let link = &mut world.links[peer.0];
        if world.rng.chance(world.faults.failed_accept_per_mille) {
            self.counters.accept_errors += 1;
            link.refuse();
            return None;
        }
        link.accept();
        Some(Completion::Accepted {
            token: self.slots.insert(peer),
            peer: peer.address().into(),
            listener: 0,
        })
    }

    fn finish_send(&mut self, token: Token) -> Option<Completion> {
        let peer = *self.slots.get_mut(token)?;
        let world = &mut *self.world.borrow_mut();
        let link = &mut world.links[peer.0];
        if !link.can_finish_send() {
            return None;
        }
        let is_broken = link.is_send_broken();
        let mut in_flight = link.in_flight.take()?;
        let sent = if is_broken {
            Err(io::ErrorKind::ConnectionReset)
        } else {
            in_flight.sent += world.deliver(peer, &in_flight.buffer[in_flight.sent..]);
            Ok(in_flight.sent)
        };
        Some(Completion::Sent { token, buffer: in_flight.buffer, sent })
    }

    fn receive(&mut self, token: Token) -> Option<Completion> {
        let peer = *self.slots.get_mut(token)?;
        let world = &mut *self.world.borrow_mut();
        // The caller may have paused since the step was collected.
        if !world.links[peer.0].can_receive() {
            return None;
        }
        let bytes = world.receive_bytes(peer, RECEIVE_BYTES_MAX);
        let link = &mut world.links[peer.0];
        if bytes == 0 {
            return link.end_receiving().map(|end| Completion::ReceiveEnded { token, end });
        }
        link.receive(&mut self.buffer.space()[..bytes]);
        self.buffer.set_received(bytes);
        Some(Completion::Received { token, bytes })
    }

    /// Frees the slot of a connection whose `Closed` is about to be delivered.
    fn forget(&mut self, token: Token) {
        self.slots.remove(token);
        let world = &mut *self.world.borrow_mut();
        if world.rng.chance(world.faults.stale_completion_per_mille) {
            self.late.push(match world.rng.below(4) {
                0 => Completion::Received { token, bytes: 1 + world.rng.below(64) },
                1 => Completion::ReceiveEnded { token, end: ReceiveEnd::EndOfStream },
                2 => Completion::Sent { token, buffer: Vec::new(), sent: Ok(0) },
                _ => Completion::Closed { token },
            });
        }
    }

    /// The world and the peer of an open connection; counts a stale token.
    fn resolve(&mut self, token: Token) -> Option<(RefMut<'_, World>, PeerId)> {
        let world = self.world.borrow_mut();
        match self.slots.get_mut(token) {
            Some(&mut peer) if world.links[peer.0].is_open() => Some((world, peer)),
            _ => {
                self.counters.stale_tokens += 1;
                None
            }
        }
    }
}

impl Driver for SimDriver {
    fn reap(&mut self, _timeout: Option<Duration>) -> io::Result<()> {
        let world = Rc::clone(&self.world);
        let world = &mut *world.borrow_mut();
        for (_, &peer) in self.slots.iter() {
            world.disturb(peer);
        }
        let mut steps = self.possible_steps(world);
        steps.retain(|step| matches!(step, Step::Late(_)) || !world.rng.chance(world.faults.delay_per_mille));
        if world.rng.chance(world.faults.reorder_per_mille) {
            world.rng.shuffle(&mut steps);
        }
        self.steps = steps.into();
        Ok(())
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        // What was lent is gone with this call, on every backend; here nobody can rely on the opposite.
        self.buffer.set_received(0);
        if let Some(completion) = self.queue.pop_front() {
            if let Completion::Closed { token } = completion {
                self.forget(token);
            }
            return Some(completion);
        }
        while let Some(step) = self.steps.pop_front() {
            if let Some(completion) = self.perform(step) {
                return Some(completion);
            }
        }
        None
    }

    fn received(&mut self, tail: &[u8]) -> &mut [u8] {
        assert!(
            tail.len() <= HEADROOM_BYTES,
            "a tail of {} bytes does not fit in {HEADROOM_BYTES}",
            tail.len()
        );
        self.buffer.view(tail)
    }

    fn send_received(&mut self, token: Token, range: Range<usize>) -> SendOutcome {
        let part = self.buffer.part(range).to_vec();
        let Some((mut world, peer)) = self.resolve(token) else { return SendOutcome::Failed };
        match world.send(peer, part, 0) {
            SendOutcome::Sent(_) => SendOutcome::Sent(Vec::new()),
            other => other,
        }
    }

    fn send(&mut self, token: Token, buffer: Vec<u8>, from: usize) -> SendOutcome {
        let Some((mut world, peer)) = self.resolve(token) else { return SendOutcome::Failed };
        world.send(peer, buffer, from)
    }

    fn pause_receive(&mut self, token: Token) {
        if let Some((mut world, peer)) = self.resolve(token) {
            world.links[peer.0].set_armed(false);
        }
    }

    fn resume_receive(&mut self, token: Token) {
        if let Some((mut world, peer)) = self.resolve(token) {
            world.links[peer.0].set_armed(true);
        }
    }

    fn shutdown_write(&mut self, token: Token) {
        if let Some((mut world, peer)) = self.resolve(token) {
            world.links[peer.0].shutdown_write();
        }
    }

    fn close(&mut self, token: Token, mode: CloseMode) {
        let Some((mut world, peer)) = self.resolve(token) else { return };
        world.links[peer.0].close(mode == CloseMode::Reset);
        drop(world);
        self.queue.push_back(Completion::Closed { token });
    }

    fn stop_accepting(&mut self) {
        self.world.borrow_mut().stop_listening();
    }

    fn socket_stats(&self, _token: Token) -> Option<SocketStats> {
        None
    }

    fn counters(&self) -> DriverCounters {
        self.counters
    }
}
