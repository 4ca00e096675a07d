//! What a TLS connection sends: the caller's bytes encrypted piece by piece, and the records of TLS itself.
//!
//! Invariant: the driver below has at most one send of ours, and records leave in the order in which they were encrypted.
//! The caller's send completes once, when its last record has left. A connection with nothing to send holds no buffer.

use gannet_driver::{Driver, SendOutcome, Token};

use super::tls::TlsStream;

/// Plaintext that is encrypted at a time, in bytes: four full records.
const PIECE_BYTES: usize = 64 * 1024;
/// What a caller may send before the handshake is done, in bytes: a refusal.
pub(super) const EARLY_BYTES_MAX: usize = 64 * 1024;
/// Buffers larger than this are not kept for reuse, in bytes.
const REUSED_BYTES_MAX: usize = 80 * 1024;

/// Nothing can be sent any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// A send of the caller that is not done.
#[derive(Debug)]
pub(super) struct PendingSend {
    pub(super) buffer: Vec<u8>,
    /// How much of it is encrypted.
    encrypted: usize,
}

/// How far closing the write side has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Shutdown {
    #[default]
    No,
    Wanted,
    /// The last bytes, a close_notify, are on their way.
    Notified,
    Done,
}

/// The sending half of a TLS connection.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Bytes of our send that the driver below holds.
    in_flight: usize,
    /// Records of TLS itself, or of `early`, to be sent next.
    records: Vec<u8>,
    /// What the caller sent before the handshake was done.
    early: Vec<u8>,
    send: Option<PendingSend>,
    shutdown: Shutdown,
}

impl Outgoing {
    /// Where TLS itself puts what it has to send.
    pub(super) const fn records(&mut self) -> &mut Vec<u8> {
        &mut self.records
    }

    /// Keeps what the caller sends before the handshake is done. To the caller it has left, and it holds only refusals.
    pub(super) fn send_early(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.early.len() + bytes.len() > EARLY_BYTES_MAX {
            return Err(Broken);
        }
        self.early.extend_from_slice(bytes);
        Ok(())
    }

    /// Whether the caller's bytes can be encrypted and sent at once.
    pub(super) const fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.records.is_empty() && self.send.is_none() && self.early.is_empty()
    }

    /// Bytes of memory held, whatever for.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let send = self.send.as_ref().map_or(0, |send| send.buffer.capacity());
        self.records.capacity() + self.early.capacity() + send + self.in_flight
    }

    /// Begins a send of the caller.
    pub(super) fn begin(&mut self, buffer: Vec<u8>, from: usize) {
        debug_assert!(self.send.is_none(), "at most one send is in flight");
        self.send = Some(PendingSend { buffer, encrypted: from });
    }

    /// The send of the caller, which will not be done.
    pub(super) const fn take_send(&mut self) -> Option<PendingSend> {
        self.send.take()
    }

    /// What the caller has not got rid of, in bytes: records below, and plaintext that waits. At least 1, because a send
    /// that waits behind others may have nothing left itself.
    pub(super) fn bytes_left(&self) -> usize {
        let waiting = self.send.as_ref().map_or(0, |send| send.buffer.len() - send.encrypted);
        (self.in_flight + self.records.len() + waiting).max(1)
    }

    /// Sends `answer` as it is and closes the write side behind it, instead of everything else.
    pub(super) fn answer_in_clear(&mut self, answer: &[u8]) {
        *self = Self { records: answer.to_vec(), shutdown: Shutdown::Notified, ..Self::default() };
    }

    /// The write side is to be closed behind everything else.
    pub(super) fn shut_down(&mut self) {
        debug_assert!(self.send.is_none(), "what is in flight would be lost");
        if self.shutdown == Shutdown::No {
            self.shutdown = Shutdown::Wanted;
        }
    }

    /// The driver below gives back our buffer, of which `sent` bytes have left; sends the rest of it.
    pub(super) fn on_sent<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        buffer: Vec<u8>,
        sent: usize,
        spare: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        self.in_flight = 0;
        if sent < buffer.len() { self.submit(driver, token, buffer, sent, spare) } else { Ok(()) }
    }

    /// Sends what there is, as far as the driver below takes it. Returns the caller's buffer when its send is done.
    pub(super) fn advance<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        mut stream: Option<&mut TlsStream>,
        spare: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Broken> {
        let is_ready = stream.as_ref().is_some_and(|stream| !stream.is_handshaking());
        while self.in_flight == 0 {
            if !self.records.is_empty() {
                let records = std::mem::take(&mut self.records);
                self.submit(driver, token, records, 0, spare)?;
                continue;
            }
            if self.shutdown == Shutdown::Notified {
                self.shutdown = Shutdown::Done;
                driver.shutdown_write(token);
            }
            let Some(stream) = stream.as_mut().filter(|_| is_ready) else { return Ok(None) };
            if !self.early.is_empty() {
                let early = std::mem::take(&mut self.early);
                stream.encrypt(&early, &mut self.records).map_err(|_| Broken)?;
            } else if let Some(send) = &mut self.send {
                if send.encrypted == send.buffer.len() {
                    return Ok(self.send.take().map(|send| send.buffer));
                }
                let end = send.buffer.len().min(send.encrypted + PIECE_BYTES);
                let mut records = std::mem::take(spare);
                stream.encrypt(&send.buffer[send.encrypted..end], &mut records).map_err(|_| Broken)?;
                send.encrypted = end;
                self.submit(driver, token, records, 0, spare)?;
            } else if self.shutdown == Shutdown::Wanted {
                self.shutdown = Shutdown::Notified;
                stream.write_close_notify(&mut self.records);
            } else {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Encrypts and sends bytes that are only lent. What is not encrypted when the driver below takes no more is copied.
    pub(super) fn send_lent<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        stream: &mut TlsStream,
        bytes: &[u8],
        spare: &mut Vec<u8>,
    ) -> SendOutcome {
        debug_assert!(self.send.is_none(), "at most one send is in flight");
        let mut left = bytes;
        while self.is_idle() && !left.is_empty() {
            let (piece, behind) = left.split_at(left.len().min(PIECE_BYTES));
            left = behind;
            let mut records = std::mem::take(spare);
            let encrypted = stream.encrypt(piece, &mut records).map_err(|_| Broken);
            if encrypted.and_then(|()| self.submit(driver, token, records, 0, spare)).is_err() {
                return SendOutcome::Failed;
            }
        }
        if self.is_idle() {
            return SendOutcome::Sent(Vec::new());
        }
        self.begin(left.to_vec(), 0);
        SendOutcome::InFlight { bytes: self.bytes_left() }
    }

    fn submit<D: Driver>(
        &mut self,
        driver: &mut D,
        token: Token,
        buffer: Vec<u8>,
        from: usize,
        spare: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        match driver.send(token, buffer, from) {
            SendOutcome::Sent(buffer) => {
                if buffer.capacity() > spare.capacity() && buffer.capacity() <= REUSED_BYTES_MAX {
                    *spare = buffer;
                }
                Ok(())
            }
            SendOutcome::InFlight { bytes } => {
                self.in_flight = bytes;
                Ok(())
            }
            SendOutcome::Failed => Err(Broken),
        }
    }
}
