//! The measuring client: many connections, one thread, prebuilt frames, a closed loop.
//! Invariant: a connection has at most one batch in flight, and a batch counts only when its reply is complete
//! and was checked.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::dialogue::Dialogue;
use super::error::{Doing, Error};
use super::opening::PATIENCE;
use super::wire::{Arrived, Depth, Exchange};
use crate::systems::raw::{EVENTS_MAX, ReceiveBuffer};

/// Of each connection's batches, one in so many is compared to the last payload byte.
const WHOLE_EVERY: u32 = 64;

/// When a closed loop stops sending.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// After so many batches on each connection, all compared whole.
    BatchesEach(u32),
    /// At this time.
    Deadline(Instant),
}

/// The connections of one case to one server, all in the same dialogue.
pub(crate) struct Client {
    epoll: OwnedFd,
    events: Vec<Event>,
    buffer: ReceiveBuffer,
    cycle: Vec<Exchange>,
    connections: Vec<Connection>,
}

impl Client {
    /// Opens so many connections to the server at `addr`, each ready for the first batch of its cycle.
    ///
    /// # Errors
    /// When a connection, its opening handshake or the prelude of the dialogue fails.
    pub(crate) fn open(addr: SocketAddr, connections: u32, dialogue: Dialogue) -> Result<Self, Error> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).doing("create an epoll instance")?;
        let open = |index| -> Result<Connection, Error> {
            let step = dialogue.first_step(index);
            let stream = dialogue.open(addr, step)?;
            stream.set_nonblocking(true).doing("make a socket non-blocking")?;
            epoll::add(&epoll, &stream, EventData::new_u64(index as u64), EventFlags::IN)
                .doing("watch a connection")?;
            Ok(Connection { stream, step, is_cut: false, sent: 0, arrived: Arrived::default(), exchanged: 0 })
        };
        let connections = (0..connections as usize).map(open).collect::<Result<_, _>>()?;
        let (events, buffer) = (Vec::with_capacity(EVENTS_MAX), ReceiveBuffer::new());
        Ok(Self { epoll, events, buffer, cycle: dialogue.into_cycle(), connections })
    }

    /// Exchanges batches on all connections until `until`, then waits for the replies in flight. Returns how many
    /// messages were exchanged.
    ///
    /// # Errors
    /// When a connection ends, a reply is wrong, or no reply arrives for ten seconds.
    pub(crate) fn run(&mut self, until: Until) -> Result<u64, Error> {
        for index in 0..self.connections.len() {
            self.connections[index].exchanged = 0;
            self.send(index)?;
        }
        let mut in_flight = self.connections.len();
        let mut messages = 0;
        while in_flight > 0 {
            self.wait(in_flight)?;
            let is_over = matches!(until, Until::Deadline(deadline) if Instant::now() >= deadline);
            for event in 0..self.events.len() {
                let Event { flags, data } = self.events[event];
                let index = data.u64() as usize;
                if flags.contains(EventFlags::OUT) {
                    self.send(index)?;
                }
                if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    continue;
                }
                let connection = &mut self.connections[index];
                let exchange = &self.cycle[connection.step];
                if !connection.receive(exchange, self.buffer.bytes(), until)? {
                    continue;
                }
                connection.step = (connection.step + 1) % self.cycle.len();
                messages += exchange.messages as u64;
                let goes_on = match until {
                    Until::BatchesEach(each) => connection.exchanged < each,
                    Until::Deadline(_) => !is_over,
                };
                if goes_on { self.send(index)? } else { in_flight -= 1 }
            }
        }
        Ok(messages)
    }

    fn wait(&mut self, in_flight: usize) -> Result<(), Error> {
        self.events.clear();
        let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&patience)) {
                Ok(0) => {
                    return Err(Error::new(format!(
                        "{in_flight} connections have had no reply for {} s",
                        PATIENCE.as_secs()
                    )));
                }
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).doing("wait for replies"),
            }
        }
    }

    /// Sends what is left of the batch; watches for room only while there is none.
    fn send(&mut self, index: usize) -> Result<(), Error> {
        let connection = &mut self.connections[index];
        let is_cut = !connection.send(&self.cycle[connection.step].request)?;
        if is_cut != connection.is_cut {
            connection.is_cut = is_cut;
            let flags = if is_cut { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(&self.epoll, &connection.stream, EventData::new_u64(index as u64), flags)
                .doing("watch a connection")?;
        }
        Ok(())
    }
}

/// One connection and how far its batch has got.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The exchange of the cycle that it is in.
    step: usize,
    /// Whether the socket did not take the whole batch yet; room is watched for exactly then.
    is_cut: bool,
    /// Bytes of a cut batch that have left.
    sent: usize,
    /// What has arrived of the reply.
    arrived: Arrived,
    /// Batches completed in this run.
    exchanged: u32,
}

impl Connection {
    /// Sends more of `request`; true when all of it has left.
    fn send(&mut self, request: &[u8]) -> Result<bool, Error> {
        match self.stream.write(&request[self.sent..]) {
            Ok(sent) => self.sent += sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).doing("send a message"),
        }
        if self.sent < request.len() {
            return Ok(false);
        }
        self.sent = 0;
        Ok(true)
    }

    /// Receives once; true when the reply is complete.
    fn receive(&mut self, exchange: &Exchange, buffer: &mut [u8], until: Until) -> Result<bool, Error> {
        let received = match self.stream.read(buffer) {
            Ok(0) => return Err(Error::new("the server closed a connection in the middle of a case")),
            Ok(received) => &buffer[..received],
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error).doing("receive a reply"),
        };
        let depth = match until {
            Until::Deadline(_) if !self.exchanged.is_multiple_of(WHOLE_EVERY) => Depth::Headers,
            _ => Depth::Whole,
        };
        let is_complete = exchange.take(&mut self.arrived, received, depth)?;
        self.exchanged += u32::from(is_complete);
        Ok(is_complete)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::cost::cases::Case;
    use crate::cost::wire::Protocol;
    use crate::systems::raw;

    /// A client in the raw dialogue of a case.
    fn open(addr: SocketAddr, case: &str) -> Client {
        let case: Case = case.parse().unwrap();
        Client::open(addr, case.connections, Dialogue::of_case(case, Protocol::Raw)).unwrap()
    }

    /// A server that changes the last byte of everything it echoes.
    fn corrupting_echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 64];
            let received = stream.read(&mut buffer).unwrap();
            buffer[received - 1] ^= 1;
            stream.write_all(&buffer[..received]).unwrap();
            // Held open until the client has seen it.
            let _ = stream.read(&mut buffer);
        });
        addr
    }

    #[test]
    fn every_connection_exchanges_the_batches_it_was_asked_for() {
        let mut client = open(raw::start(1).unwrap(), "5x20p4");
        assert_eq!(client.run(Until::BatchesEach(10)).unwrap(), 5 * 4 * 10);
    }

    #[test]
    fn messages_larger_than_the_socket_buffers_are_exchanged_whole() {
        let mut client = open(raw::start(1).unwrap(), "3x1024K");
        assert_eq!(client.run(Until::BatchesEach(8)).unwrap(), 3 * 8);
    }

    #[test]
    fn a_deadline_in_the_past_exchanges_one_batch_on_each_connection() {
        let mut client = open(raw::start(1).unwrap(), "4x20");
        assert_eq!(client.run(Until::Deadline(Instant::now())).unwrap(), 4);
    }

    #[test]
    fn a_corrupted_reply_ends_the_run() {
        let mut client = open(corrupting_echo(), "1x20");
        let error = client.run(Until::BatchesEach(1)).unwrap_err().to_string();
        assert!(error.contains("byte 25 of 26"), "{error}");
    }
}
