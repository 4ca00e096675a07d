//! A TLS client on the simulated network, played by rustls.

use std::io::{Read, Write};
use std::sync::Arc;

use gannet_driver::sim::{Network, PeerId};
use rustls::{ClientConfig, ClientConnection};

/// How the server's stream ended, as the client saw it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    CloseNotify,
    Failed(rustls::Error),
}

pub(super) struct Client {
    pub(super) peer: PeerId,
    pub(super) tls: ClientConnection,
    /// What the server has sent.
    pub(super) read: Vec<u8>,
    pub(super) end: Option<End>,
}

impl Client {
    pub(super) fn new(peer: PeerId, config: &Arc<ClientConfig>, name: &'static str) -> Self {
        let mut tls = ClientConnection::new(config.clone(), name.try_into().unwrap()).unwrap();
        tls.set_buffer_limit(None);
        Self { peer, tls, read: Vec::new(), end: None }
    }

    /// Sends plaintext, when the handshake is done.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).unwrap();
    }

    /// Takes what has arrived, and sends what there is to send.
    pub(super) fn pump(&mut self, network: &Network) {
        let arrived = network.received(self.peer);
        let mut arrived = arrived.as_slice();
        while !arrived.is_empty() && self.end.is_none() {
            self.tls.read_tls(&mut arrived).unwrap();
            match self.tls.process_new_packets() {
                Ok(state) => {
                    let mut plain = vec![0; state.plaintext_bytes_to_read()];
                    self.tls.reader().read_exact(&mut plain).unwrap();
                    self.read.extend(plain);
                    self.end = state.peer_has_closed().then_some(End::CloseNotify);
                }
                Err(error) => self.end = Some(End::Failed(error)),
            }
        }
        network.send(self.peer, &self.records());
    }

    /// The records that wait to be sent.
    pub(super) fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).unwrap();
        }
        records
    }
}
