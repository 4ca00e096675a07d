//! What a connection needs only now and then, behind one pointer, and what it adds to the memory of its shard.
//!
//! Invariant: the account of a shard is the sum of the charges of its connections. A charge takes itself off when the
//! memory is freed, wherever that happens.

use std::cell::Cell;
use std::rc::Rc;

use crate::outbox::Outbox;
use crate::remote::Waiter;

/// The bytes that wait in the outboxes and unfinished messages of one shard.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account(Rc<Cell<usize>>);

impl Account {
    pub(crate) fn bytes(&self) -> usize {
        self.0.get()
    }
}

/// The part of one connection in an [`Account`].
#[derive(Debug, Default)]
pub(crate) struct Charge {
    bytes: usize,
    account: Option<Account>,
}

impl Charge {
    fn set(&mut self, bytes: usize, account: &Account) {
        let account = self.account.get_or_insert_with(|| account.clone());
        account.0.set(account.0.get() - self.bytes + bytes);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.0.set(account.0.get() - self.bytes);
        }
    }
}

/// What an open connection needs only now and then.
#[derive(Debug, Default)]
pub(crate) struct Rare {
    pub(crate) outbox: Outbox,
    /// Received bytes that did not make a whole frame header or control frame.
    pub(crate) tail: Vec<u8>,
    /// Milliseconds of the shard's clock: when the message, or the cut frame, that is arriving began; nothing while there
    /// is none.
    pub(crate) message_since_ms: Option<u32>,
    /// Threads that wait until the outbox is empty.
    pub(crate) waiters: Vec<Waiter>,
    charge: Charge,
}

impl Rare {
    /// Whether it is of no use any more.
    pub(crate) const fn is_empty(&self) -> bool {
        self.outbox.is_empty() && self.message_since_ms.is_none()
    }

    /// Charges what waits here, and `assembled_bytes` of a message that is arriving.
    pub(crate) fn charge(&mut self, assembled_bytes: usize, account: &Account) {
        self.charge.set(self.outbox.bytes() + self.tail.len() + assembled_bytes, account);
    }

    /// The bytes charged last.
    pub(crate) const fn charged_bytes(&self) -> usize {
        self.charge.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_the_sum_of_the_charges_and_freed_memory_is_taken_off() {
        let account = Account::default();
        let mut connections: Vec<Rare> = (0..3).map(|_| Rare::default()).collect();
        for (rare, bytes) in connections.iter_mut().zip([100, 20, 3]) {
            rare.charge(bytes, &account);
        }
        assert_eq!(account.bytes(), 123);
        connections[0].charge(7, &account);
        assert_eq!((account.bytes(), connections[0].charged_bytes()), (30, 7));
        drop(connections);
        assert_eq!(account.bytes(), 0);
    }
}
