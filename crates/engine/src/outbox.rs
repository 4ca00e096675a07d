//! What waits to be sent on one connection. Exists only while something waits.
//!
//! Invariant: `waiting` is behind what is in flight, and nothing overtakes either.

use std::ops::Range;

use gannet_driver::{Driver, SendOutcome, Token};

/// Buffers larger than this are given back to the allocator instead of being kept for reuse.
const REUSED_BYTES_MAX: usize = 256 * 1024;

/// The connection cannot send any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Bytes on their way to a peer that does not take them at once.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Bytes that the driver holds.
    in_flight: usize,
    /// Bytes to send when they have left.
    waiting: Vec<u8>,
}

impl Outbox {
    pub(crate) const fn bytes(&self) -> usize {
        self.in_flight + self.waiting.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Sends the `replies` in the received bytes, or else `cork`, or queues `cork` behind what waits. At most one of the
    /// two has bytes, and in-place replies only while nothing waits. `cork` is empty afterwards.
    pub(crate) fn send<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        replies: Range<usize>,
        cork: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        debug_assert!(
            replies.is_empty() || (cork.is_empty() && self.is_empty()),
            "replies would overtake what waits"
        );
        if !self.is_empty() {
            self.waiting.append(cork);
            return Ok(());
        }
        if !replies.is_empty() {
            return match driver.send_received(token, replies) {
                SendOutcome::Sent(_) => Ok(()),
                SendOutcome::InFlight { bytes } => {
                    self.in_flight = bytes;
                    Ok(())
                }
                SendOutcome::Failed => Err(Broken),
            };
        }
        if cork.is_empty() {
            return Ok(());
        }
        let buffer = self.submit(driver, token, std::mem::take(cork), 0)?;
        *cork = buffer;
        Ok(())
    }

    /// A send has made progress: sends the rest of it, then what waits.
    pub(crate) fn on_sent<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        buffer: Vec<u8>,
        sent: usize,
    ) -> Result<(), Broken> {
        self.in_flight = 0;
        if sent < buffer.len() {
            self.submit(driver, token, buffer, sent)?;
        }
        if self.in_flight == 0 && !self.waiting.is_empty() {
            self.send_waiting(driver, token)
        } else {
            Ok(())
        }
    }

    fn send_waiting<D: Driver>(&mut self, driver: &mut D, token: Token) -> Result<(), Broken> {
        let waiting = std::mem::take(&mut self.waiting);
        self.submit(driver, token, waiting, 0).map(drop)
    }

    /// Sends `buffer[from..]`; gives back an empty buffer for reuse if the kernel took it all.
    fn submit<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        buffer: Vec<u8>,
        from: usize,
    ) -> Result<Vec<u8>, Broken> {
        match driver.send(token, buffer, from) {
            SendOutcome::Sent(mut buffer) if buffer.capacity() <= REUSED_BYTES_MAX => {
                buffer.clear();
                Ok(buffer)
            }
            SendOutcome::Sent(_) => Ok(Vec::new()),
            SendOutcome::InFlight { bytes } => {
                self.in_flight = bytes;
                Ok(Vec::new())
            }
            SendOutcome::Failed => Err(Broken),
        }
    }
}
