//! The table of a shard from a token to its connection.
//!
//! Invariant: a token finds an entry only while the connection that it was made for is in its slot.

use gannet_driver::Token;

use super::{Entry, Phase};
use crate::admission::Place;

/// The table from a token to its connection, by slot.
#[derive(Debug)]
pub(crate) struct Connections<S> {
    entries: Vec<Entry<S>>,
    occupied: usize,
    /// By slot, and only as long as the last slot that needs it: where the connection is counted by its address.
    places: Vec<Option<Place>>,
}

impl<S> Connections<S> {
    pub(crate) const fn new() -> Self {
        Self { entries: Vec::new(), occupied: 0, places: Vec::new() }
    }

    /// Connections in the table.
    pub(crate) const fn len(&self) -> usize {
        self.occupied
    }

    /// Slots in the table, the vacant ones included.
    pub(crate) const fn slots(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn insert(&mut self, token: Token, since_ms: u32, phase: Phase<S>) {
        while self.entries.len() <= token.slot() {
            self.entries.push(Entry { generation: 0, since_ms: 0, phase: Phase::Vacant });
        }
        self.occupied += 1;
        self.entries[token.slot()] = Entry { generation: token.generation(), since_ms, phase };
    }

    /// The connection of a token; `None` if its slot has moved on.
    #[inline]
    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Entry<S>> {
        let entry = self.entries.get_mut(token.slot())?;
        (entry.generation == token.generation() && !matches!(entry.phase, Phase::Vacant)).then_some(entry)
    }

    /// The connection in a slot, with its token.
    pub(crate) fn at_slot(&self, slot: usize) -> Option<(Token, &Entry<S>)> {
        let entry = self.entries.get(slot)?;
        let token = Token::new(slot as u32, entry.generation);
        (!matches!(entry.phase, Phase::Vacant)).then_some((token, entry))
    }

    /// All connections, with their tokens.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Token, &Entry<S>)> {
        (0..self.entries.len()).filter_map(|slot| self.at_slot(slot))
    }

    /// Keeps where a connection is counted by its address.
    pub(crate) fn set_place(&mut self, token: Token, place: Place) {
        if self.places.len() <= token.slot() {
            self.places.resize(token.slot() + 1, None);
        }
        self.places[token.slot()] = Some(place);
    }

    /// Where the connection of a token is counted by its address.
    pub(crate) fn place(&self, token: Token) -> Option<Place> {
        self.places.get(token.slot()).copied().flatten()
    }

    /// Takes that from the connection in the slot of `token`, which is going.
    pub(crate) fn take_place(&mut self, token: Token) -> Option<Place> {
        self.places.get_mut(token.slot())?.take()
    }

    pub(crate) fn remove(&mut self, token: Token) -> Option<Phase<S>> {
        let phase = std::mem::replace(&mut self.get_mut(token)?.phase, Phase::Vacant);
        self.occupied -= 1;
        Some(phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_a_former_occupant_finds_nothing() {
        let mut connections = Connections::<()>::new();
        connections.insert(Token::new(2, 7), 0, Phase::Closing);
        assert!(connections.get_mut(Token::new(2, 6)).is_none());
        assert!(connections.remove(Token::new(2, 7)).is_some());
        assert!(connections.get_mut(Token::new(2, 7)).is_none());
        assert_eq!((connections.len(), connections.slots()), (0, 3));
    }
}
