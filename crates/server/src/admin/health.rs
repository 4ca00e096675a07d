//! Which shards have been silent for too long.
//!
//! Invariant: a question about health is answered at once, from what the last rounds found out; a shard that is busy for
//! less than [`SILENCE_MAX`] is not ill.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A shard that has not turned for so long is stuck, most likely in a call of its handler.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Since when each silent shard is silent.
#[derive(Debug, Default)]
pub(super) struct Health {
    silent: Mutex<BTreeMap<usize, Instant>>,
}

impl Health {
    /// Takes in what a round found out that began at `asked`: the shards that did not answer.
    pub(super) fn record(&self, asked: Instant, stuck: &[usize]) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.retain(|shard, _| stuck.contains(shard));
        for shard in stuck {
            silent.entry(*shard).or_insert(asked);
        }
    }

    /// The shards that are silent for too long now.
    pub(super) fn stuck(&self) -> Vec<usize> {
        self.stuck_at(Instant::now())
    }

    fn stuck_at(&self, now: Instant) -> Vec<usize> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        let too_long = silent.iter().filter(|(_, since)| now.duration_since(**since) >= SILENCE_MAX);
        too_long.map(|(shard, _)| *shard).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_stuck_when_it_has_been_silent_for_10_s_without_a_break() {
        let health = Health::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        health.record(at(0), &[1, 2]);
        health.record(at(5), &[2]);
        health.record(at(6), &[1, 2]);
        assert_eq!(health.stuck_at(at(9)), [0; 0]);
        assert_eq!(health.stuck_at(at(10)), [2]);
        assert_eq!(health.stuck_at(at(16)), [1, 2]);
        health.record(at(17), &[]);
        assert_eq!(health.stuck_at(at(60)), [0; 0]);
    }
}
