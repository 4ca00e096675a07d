//! The raw system: a TCP echo without any protocol, the limit every WebSocket server is compared with.
//! Invariant: a peer with unsent bytes is not read from, so one connection never holds more than one receive.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// The most events one `epoll_wait` returns.
pub(crate) const EVENTS_MAX: usize = 1024;
/// The token of the listener: no descriptor has this number.
const LISTENER: u64 = u64::MAX;
/// How long accepting rests when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Starts the server on a free port of 127.0.0.1 and returns its address. All `shards` accept from one queue and run
/// until the process ends.
///
/// # Errors
/// When a socket, an epoll instance or a thread cannot be had.
pub(crate) fn start(shards: u32) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    for shard in 0..shards {
        let echo = Echo::new(listener.try_clone()?)?;
        thread::Builder::new().name(format!("shard-{shard}")).spawn(move || serve(echo))?;
    }
    listener.local_addr()
}

/// Echoes every byte of every connection, on the calling thread, for as long as epoll works. A failing connection is
/// closed and does not end the server.
fn serve(mut echo: Echo) -> io::Result<()> {
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
    loop {
        match epoll::wait(&echo.epoll, spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => echo.accept()?,
                token => echo.turn(token as usize)?,
            }
        }
    }
}

/// A receive buffer of 256 KiB whose first byte lies 64 bytes behind the start of a page.
///
/// Copies with `rep movsb` are many times slower on Zen 3 and 4 when the page offsets of source and destination
/// differ by 1 to 15 bytes. The kernel's data starts at or shortly behind a page start; 64 bytes further on, no
/// short distance wraps around the page.
#[derive(Debug)]
pub(crate) struct ReceiveBuffer {
    memory: Vec<u8>,
    start: usize,
}

impl ReceiveBuffer {
    /// What one receive can take.
    pub(crate) const BYTES: usize = 256 * 1024;
    const PAGE_BYTES: usize = 4096;
    const PAGE_OFFSET: usize = 64;

    /// Allocates the buffer and touches all of its pages.
    pub(crate) fn new() -> Self {
        // Written with a value other than 0, so that the pages are there before anything is timed.
        let memory = vec![1; Self::BYTES + 2 * Self::PAGE_BYTES];
        let start = memory.as_ptr().align_offset(Self::PAGE_BYTES) + Self::PAGE_OFFSET;
        Self { memory, start }
    }

    /// The bytes to receive into.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + Self::BYTES]
    }
}

/// One accepted connection.
#[derive(Debug)]
struct Peer {
    stream: TcpStream,
    /// What the socket did not take yet; empty nearly always.
    unsent: Vec<u8>,
}

/// What a turn found out about its peer.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// Wait for the next readiness as before.
    Unchanged,
    /// Wait for other readiness from now on.
    Await(EventFlags),
    /// The peer has gone.
    Gone,
}

#[derive(Debug)]
struct Echo {
    epoll: OwnedFd,
    listener: TcpListener,
    /// Indexed by descriptor: the kernel hands out the lowest free number, so the table stays dense.
    peers: Vec<Option<Peer>>,
    buffer: ReceiveBuffer,
}

impl Echo {
    fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self { epoll, listener, peers: Vec::new(), buffer: ReceiveBuffer::new() })
    }

    /// Accepts everything that is queued.
    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // Out of descriptors: the listener stays ready, so without a pause this would spin.
                Err(_) => {
                    thread::sleep(ACCEPT_PAUSE);
                    return Ok(());
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let index = stream.as_raw_fd() as usize;
        epoll::add(&self.epoll, &stream, EventData::new_u64(index as u64), EventFlags::IN)?;
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, || None);
        }
        self.peers[index] = Some(Peer { stream, unsent: Vec::new() });
        Ok(())
    }

    fn turn(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return Ok(()) };
        match peer.turn(self.buffer.bytes()) {
            Outcome::Unchanged => {}
            Outcome::Await(flags) => {
                epoll::modify(&self.epoll, &peer.stream, EventData::new_u64(index as u64), flags)?;
            }
            Outcome::Gone => self.peers[index] = None,
        }
        Ok(())
    }
}

impl Peer {
    fn turn(&mut self, buffer: &mut [u8]) -> Outcome {
        if self.unsent.is_empty() { self.echo(buffer) } else { self.flush() }
    }

    /// One receive, one send.
    fn echo(&mut self, buffer: &mut [u8]) -> Outcome {
        let received = match self.stream.read(buffer) {
            Ok(0) => return Outcome::Gone,
            Ok(received) => &buffer[..received],
            Err(error) if is_retry(&error) => return Outcome::Unchanged,
            Err(_) => return Outcome::Gone,
        };
        let sent = match self.stream.write(received) {
            Ok(sent) => sent,
            Err(error) if is_retry(&error) => 0,
            Err(_) => return Outcome::Gone,
        };
        if sent == received.len() {
            return Outcome::Unchanged;
        }
        self.unsent.extend_from_slice(&received[sent..]);
        Outcome::Await(EventFlags::OUT)
    }

    fn flush(&mut self) -> Outcome {
        match self.stream.write(&self.unsent) {
            Ok(sent) => {
                self.unsent.drain(..sent);
            }
            Err(error) if is_retry(&error) => return Outcome::Unchanged,
            Err(_) => return Outcome::Gone,
        }
        if self.unsent.is_empty() { Outcome::Await(EventFlags::IN) } else { Outcome::Unchanged }
    }
}

fn is_retry(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;

    fn connected() -> TcpStream {
        TcpStream::connect(start(1).unwrap()).unwrap()
    }

    #[test]
    fn the_receive_buffer_starts_64_bytes_behind_a_page_start() {
        let mut buffer = ReceiveBuffer::new();
        assert_eq!(buffer.bytes().as_ptr() as usize % 4096, 64);
        assert_eq!(buffer.bytes().len(), 256 * 1024);
    }

    #[test]
    fn every_shard_accepts_from_the_same_address() {
        let addr = start(2).unwrap();
        let mut streams: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(addr).unwrap()).collect();
        for stream in &mut streams {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn what_is_sent_comes_back_unchanged() {
        let mut stream = connected();
        stream.write_all(b"any bytes \x00\xff").unwrap();
        let mut back = [0; 12];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"any bytes \x00\xff");
    }

    #[test]
    fn a_peer_that_reads_late_still_gets_every_byte() {
        let mut stream = connected();
        let bytes: Vec<u8> = (0..16 << 20).map(|index: u32| (index % 251) as u8).collect();
        let sent = bytes.clone();
        let mut writing = stream.try_clone().unwrap();
        let writer = thread::spawn(move || {
            writing.write_all(&sent).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut back = vec![0; bytes.len()];
        stream.read_exact(&mut back).unwrap();
        writer.join().unwrap();
        assert!(back == bytes);
    }
}
