//! The random numbers of the tests. They are apart from those of the driver, so that a fault that is
//! switched on does not change what the peers do.

use gannet_driver::sim::Rng;

pub(super) struct Chance(Rng);

impl Chance {
    pub(super) const fn new(seed: u64) -> Self {
        Self(Rng::new(seed))
    }

    /// A number from 0 to `end` - 1; `end` is at least 1.
    pub(super) const fn below(&mut self, end: usize) -> usize {
        self.0.below(end)
    }

    /// True `percent` times out of a hundred.
    pub(super) const fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) const fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}
