//! What every connection of a case says: a prelude that is not measured, then a cycle of exchanges.
//! Invariant: at each step of the cycle all connections are in the same state, whatever step they began with.

use std::net::{SocketAddr, TcpStream};

use super::cases::Case;
use super::error::Error;
use super::opening;
use super::wire::{Exchange, FIN_TEXT, Protocol, RSV1};

/// The messages of a connection and the replies that it expects.
#[derive(Debug)]
pub(crate) struct Dialogue {
    protocol: Protocol,
    /// Compressed frames, as many as the cycle has steps, or none. Their replies are not compared.
    prelude: Vec<Vec<u8>>,
    cycle: Vec<Exchange>,
}

impl Dialogue {
    /// The same batch over and over.
    pub(crate) fn of_case(case: Case, protocol: Protocol) -> Self {
        Self::of_cycle(protocol, vec![Exchange::new(case, protocol)])
    }

    /// These exchanges, over and over; at least one.
    pub(crate) fn of_cycle(protocol: Protocol, cycle: Vec<Exchange>) -> Self {
        Self { protocol, prelude: Vec::new(), cycle }
    }

    /// The same after a prelude: step by step what a connection compresses before it comes round to that step.
    pub(crate) fn after(self, prelude: Vec<Vec<u8>>) -> Self {
        Self { prelude, ..self }
    }

    /// The step with which a connection begins: all steps are begun with equally often, so that at no time all
    /// connections send the same message.
    pub(crate) fn first_step(&self, connection: usize) -> usize {
        connection % self.cycle.len()
    }

    /// Connects to the server at `addr`, up to the first exchange of the cycle.
    ///
    /// # Errors
    /// When the connection, the opening handshake or the prelude fails.
    pub(crate) fn open(&self, addr: SocketAddr, first_step: usize) -> Result<TcpStream, Error> {
        let mut stream = opening::connect(addr, self.protocol)?;
        let (later, sooner) = self.prelude.split_at(first_step.min(self.prelude.len()));
        for request in sooner.iter().chain(later) {
            opening::exchange(&mut stream, request, FIN_TEXT | RSV1)?;
        }
        Ok(stream)
    }

    /// The exchanges.
    pub(crate) fn into_cycle(self) -> Vec<Exchange> {
        self.cycle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems::raw;

    #[test]
    fn every_step_is_begun_with_equally_often() {
        let cycle = (0..4).map(|_| Exchange::of_text(b"a")).collect();
        let dialogue = Dialogue::of_cycle(Protocol::Raw, cycle);
        let first_steps: Vec<_> = (0..8).map(|connection| dialogue.first_step(connection)).collect();
        assert_eq!(first_steps, [0, 1, 2, 3, 0, 1, 2, 3]);
    }

    #[test]
    fn a_prelude_ends_with_the_step_before_the_first() {
        let prelude: Vec<Vec<u8>> = (0..3).map(|step| vec![FIN_TEXT | RSV1, 1, b'0' + step]).collect();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = vec![0; 9];
            for frame in heard.chunks_mut(3) {
                std::io::Read::read_exact(&mut stream, frame).unwrap();
                std::io::Write::write_all(&mut stream, frame).unwrap();
            }
            heard
        });
        let dialogue = Dialogue::of_cycle(Protocol::Raw, Vec::new()).after(prelude);
        dialogue.open(addr, 1).unwrap();
        let said: Vec<u8> = server.join().unwrap().into_iter().skip(2).step_by(3).collect();
        assert_eq!(said, b"120");
    }

    #[test]
    fn without_a_prelude_a_connection_opens_and_is_silent() {
        let dialogue = Dialogue::of_case("1x20".parse().unwrap(), Protocol::Raw);
        assert!(dialogue.open(raw::start(1).unwrap(), 0).is_ok());
    }
}
