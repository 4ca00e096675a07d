//! Slots with generations: the table from a token to the state of a connection.
//!
//! Invariant: a token resolves only while the connection it was made for is in its slot. The generation comes from one
//! counter of the whole table, so two connections that use a slot in turn never share a token (until 2^32 later ones).

use slab::Slab;

/// The name of a connection inside one driver: a slot and the generation of its occupant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    slot: u32,
    generation: u32,
}

impl Token {
    /// A token from its parts; only a driver makes tokens that resolve.
    #[must_use]
    pub const fn new(slot: u32, generation: u32) -> Self {
        Self { slot, generation }
    }

    /// The index of the slot: dense, reused after the connection is closed.
    #[must_use]
    pub const fn slot(self) -> usize {
        self.slot as usize
    }

    /// The generation of the occupant.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    pub(crate) const fn to_bits(self) -> usize {
        (self.generation as usize) << 32 | self.slot as usize
    }

    pub(crate) const fn from_bits(bits: usize) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

#[derive(Debug)]
struct Occupant<T> {
    generation: u32,
    value: T,
}

/// A slab whose keys carry a generation.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<Occupant<T>>,
    next_generation: u32,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { slab: Slab::new(), next_generation: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    /// The token that the next `insert` returns.
    pub(crate) fn next_token(&self) -> Token {
        let slot = u32::try_from(self.slab.vacant_key()).expect("fewer than 2^32 connections per shard");
        Token::new(slot, self.next_generation)
    }

    pub(crate) fn insert(&mut self, value: T) -> Token {
        let token = self.next_token();
        self.slab.insert(Occupant { generation: token.generation, value });
        // Generations of `u32::MAX` are left out: the tokens of the listeners and the waker use them.
        self.next_generation = (self.next_generation + 1) % u32::MAX;
        token
    }

    pub(crate) fn get(&self, token: Token) -> Option<&T> {
        let occupant = self.slab.get(token.slot())?;
        (occupant.generation == token.generation).then_some(&occupant.value)
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut T> {
        let occupant = self.slab.get_mut(token.slot())?;
        (occupant.generation == token.generation).then_some(&mut occupant.value)
    }

    /// The occupants in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Token, &T)> {
        self.slab
            .iter()
            .map(|(slot, occupant)| (Token::new(slot as u32, occupant.generation), &occupant.value))
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<T> {
        self.get_mut(token)?;
        Some(self.slab.remove(token.slot()).value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_resolve_after_its_slot_was_reused() {
        let mut slots = Slots::new();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.slot(), second.slot());
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
    }

    #[test]
    fn a_token_survives_the_round_trip_through_the_kernel() {
        let token = Token::new(0xdead_beef, 0x1234_5678);
        assert_eq!(Token::from_bits(token.to_bits()), token);
    }

    #[test]
    fn the_next_token_is_the_one_that_insert_returns() {
        let mut slots = Slots::new();
        let gone = slots.insert(0);
        slots.insert(1);
        slots.remove(gone);
        let expected = slots.next_token();
        assert_eq!(slots.insert(2), expected);
    }
}
