//! One TLS connection without I/O: records in, plaintext and records out, over the unbuffered interface of rustls.
//!
//! Invariant: every complete record is decrypted when it arrives; what is kept is the beginning of the next one, or of a
//! handshake message that came in several. An idle connection keeps nothing. rustls knows how far it has looked into those
//! bytes, so every call gets all of them, also one that only wants to send.

use std::fmt;
use std::sync::Arc;

use gannet_driver::{HEADROOM_BYTES, ReceiveBuffer};
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};

/// Header, explicit nonce, tag and inner type of a record take at most this, in bytes.
const RECORD_OVERHEAD_BYTES: usize = 32;
/// The plaintext of a record, in bytes (RFC 8446 §5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// Room for an alert, or for a KeyUpdate that rustls puts in front of data, in bytes.
const CONTROL_BYTES: usize = 128;

/// How a peer has ended its stream.
#[derive(Debug)]
pub(super) enum TlsEnd {
    /// It said so: RFC 8446 §6.1, close_notify.
    CloseNotify,
    /// It broke the protocol. An alert was written, where there is one for it.
    Failed(TlsFailure),
}

/// Why a TLS connection failed, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsFailure {
    #[error(transparent)]
    Protocol(#[from] rustls::Error),
    #[error("close_notify before the handshake was done")]
    ClosedInHandshake,
    #[error(
        "{bytes} bytes do not make a record or handshake message; at most {HEADROOM_BYTES} are kept for one"
    )]
    RestTooLong { bytes: usize },
}

impl From<TlsFailure> for TlsEnd {
    fn from(failure: TlsFailure) -> Self {
        Self::Failed(failure)
    }
}

/// Nothing can be sent any more: the keys are used up, or the connection has failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CannotEncrypt;

/// A TLS connection.
pub(super) struct TlsStream {
    session: UnbufferedServerConnection,
    /// What was received and is not decrypted, or not used yet.
    rest: Vec<u8>,
    has_ended: bool,
}

impl TlsStream {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self { session: UnbufferedServerConnection::new(config)?, rest: Vec::new(), has_ended: false })
    }

    /// Whether no application data can be sent yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether nothing more can be received.
    pub(super) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Bytes of memory held for what was received.
    #[cfg(test)]
    pub(super) const fn kept_bytes(&self) -> usize {
        self.rest.capacity()
    }

    /// Keeps received bytes for [`Self::read_kept`].
    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// Reads what was kept.
    pub(super) fn read_kept(&mut self, plain: &mut ReceiveBuffer, records: &mut Vec<u8>) -> Option<TlsEnd> {
        let mut bytes = self.take_rest();
        self.read(&mut bytes, plain, records)
    }

    /// Takes what is kept, to be put in front of the bytes of the next [`Self::read`].
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    /// Decrypts every complete record in `bytes`, which begin with what was kept: appends their plaintext to `plain`, and
    /// to `records` what has to be sent in turn. Keeps the rest.
    pub(super) fn read(
        &mut self,
        bytes: &mut [u8],
        plain: &mut ReceiveBuffer,
        records: &mut Vec<u8>,
    ) -> Option<TlsEnd> {
        let mut used = 0;
        let outcome = loop {
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(&mut bytes[used..]);
            used += discard;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        plain.append(record.payload);
                        used += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, records),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => break Ok(Some(TlsEnd::CloseNotify)),
                // Every record is read, and every answer written.
                Ok(_) => break Ok(None),
                Err(error) => break Err(error),
            }
        };
        let rest = &mut bytes[used..];
        let end = match outcome {
            Ok(Some(_)) if self.session.is_handshaking() => Some(TlsFailure::ClosedInHandshake.into()),
            Ok(None) if rest.len() > HEADROOM_BYTES => {
                Some(TlsFailure::RestTooLong { bytes: rest.len() }.into())
            }
            Ok(end) => end,
            Err(error) => {
                self.write_alert(rest, records);
                Some(TlsFailure::from(error).into())
            }
        };
        self.has_ended = end.is_some();
        if !self.has_ended && !rest.is_empty() {
            self.rest = rest.to_vec();
        }
        end
    }

    /// The alert for an error, if there is one. rustls hands out what it has to send before it looks at any bytes; they must
    /// not be looked at again, because the error would be found again.
    fn write_alert(&mut self, bytes: &mut [u8], records: &mut Vec<u8>) {
        while self.session.wants_write() {
            let UnbufferedStatus { state, .. } = self.session.process_tls_records(bytes);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            encode(&mut data, records);
        }
    }

    /// Replaces what is in `records` by the encryption of `plain`.
    pub(super) fn encrypt(&mut self, plain: &[u8], records: &mut Vec<u8>) -> Result<(), CannotEncrypt> {
        let count = plain.len().div_ceil(RECORD_BYTES_MAX);
        records.resize(plain.len() + count * RECORD_OVERHEAD_BYTES + CONTROL_BYTES, 0);
        let mut written = 0;
        loop {
            let UnbufferedStatus { discard, state } = self.session.process_tls_records(&mut self.rest);
            debug_assert_eq!(discard, 0, "what is kept was looked at before");
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    match traffic.encrypt(plain, &mut records[written..]) {
                        Ok(bytes) => {
                            records.truncate(written + bytes);
                            return Ok(());
                        }
                        Err(EncryptError::InsufficientSize(size)) => {
                            records.resize(written + size.required_size, 0);
                        }
                        Err(EncryptError::EncryptExhausted) => return Err(CannotEncrypt),
                    }
                }
                // A change of keys goes in front of the data.
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    records.truncate(written);
                    encode(&mut data, records);
                    written = records.len();
                    records.resize(written + plain.len() + count * RECORD_OVERHEAD_BYTES + CONTROL_BYTES, 0);
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => {}
                _ => return Err(CannotEncrypt),
            }
        }
    }

    /// Appends a close_notify to `records`: nothing is sent behind it.
    pub(super) fn write_close_notify(&mut self, records: &mut Vec<u8>) {
        let start = records.len();
        let UnbufferedStatus { state, .. } = self.session.process_tls_records(&mut self.rest);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = state {
            records.resize(start + CONTROL_BYTES, 0);
            let written = traffic.queue_close_notify(&mut records[start..]).unwrap_or(0);
            records.truncate(start + written);
        }
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, records: &mut Vec<u8>) {
    let start = records.len();
    if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
        records.resize(start + size.required_size, 0);
        let written = data.encode(&mut records[start..]).unwrap_or(0);
        records.truncate(start + written);
    }
}
