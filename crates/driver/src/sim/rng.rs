//! The random numbers of a simulation: splitmix64, which needs one word of state and any seed will do.
//!
//! Invariant: the numbers depend on the seed and on the order of the calls, on nothing else. A chance of 0 draws no
//! number, so switching a fault on does not change what the others do before it first happens.

/// Random numbers from a seed, also for the tests of those who simulate.
#[derive(Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number, any of them equally likely.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1.
    ///
    /// # Panics
    /// If `end` is 0.
    pub const fn below(&mut self, end: usize) -> usize {
        (self.next_u64() % end as u64) as usize
    }

    /// True `per_mille` times out of a thousand.
    pub(super) const fn chance(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.below(1000) < per_mille as usize
    }

    /// A part of `whole` (at least 1): every second time a few bytes, which cut headers, else any length.
    pub(super) fn part_of(&mut self, whole: usize) -> usize {
        let longest = if self.chance(500) { whole.min(16) } else { whole };
        1 + self.below(longest)
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        let numbers = [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn a_chance_of_0_never_comes_and_one_of_1000_always() {
        let mut rng = Rng::new(7);
        assert!((0..1000).all(|_| !rng.chance(0) && rng.chance(1000)));
    }

    #[test]
    fn a_part_is_at_least_1_and_at_most_the_whole() {
        let mut rng = Rng::new(7);
        for whole in [1, 2, 100] {
            let parts: Vec<usize> = (0..2000).map(|_| rng.part_of(whole)).collect();
            assert_eq!((parts.iter().min(), parts.iter().max()), (Some(&1), Some(&whole)));
        }
    }

    #[test]
    fn shuffling_keeps_every_item() {
        let mut items: Vec<u32> = (0..50).collect();
        Rng::new(7).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<u32>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<u32>>());
    }
}
