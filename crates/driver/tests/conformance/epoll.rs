//! The suite on the epoll driver, with peers on loopback and on a Unix socket; and what only a driver with a kernel can
//! show.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gannet_driver::{
    Completion, Driver, EpollDriver, EpollParts, ListenAddress, ListenSocket, PeerAddress, Waker,
};
use socket2::SockRef;

use crate::harness::{Harness, Peer, PeerEnd};
use crate::rig::Rig;

/// The client side of a connection, and the listener that goes with it.
pub(crate) trait Stream: Read + Write + AsFd + Sized {
    const HAS_RESETS: bool;

    fn listen() -> ListenSocket;

    fn connect(address: &ListenAddress) -> io::Result<Self>;

    /// What the driver is to report for this client.
    fn address(&self) -> PeerAddress;
}

impl Stream for TcpStream {
    const HAS_RESETS: bool = true;

    fn listen() -> ListenSocket {
        ListenSocket::tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
    }

    fn connect(address: &ListenAddress) -> io::Result<Self> {
        let stream = Self::connect(address.tcp().unwrap())?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn address(&self) -> PeerAddress {
        self.local_addr().unwrap().into()
    }
}

impl Stream for UnixStream {
    const HAS_RESETS: bool = false;

    fn listen() -> ListenSocket {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("gannet-conformance-{}-{number}", std::process::id());
        ListenSocket::unix(&std::env::temp_dir().join(name)).unwrap()
    }

    fn connect(address: &ListenAddress) -> io::Result<Self> {
        let ListenAddress::Unix(Some(path)) = address else { panic!("{address} is no path") };
        Self::connect(path)
    }

    fn address(&self) -> PeerAddress {
        PeerAddress::Unix
    }
}

pub(crate) struct EpollHarness<S> {
    driver: EpollDriver,
    listening: ListenAddress,
    clients: Vec<Client<S>>,
}

struct Client<S> {
    /// `None` after a reset by the client.
    stream: Option<S>,
    address: PeerAddress,
    outgoing: VecDeque<u8>,
    /// Ends its stream as soon as `outgoing` is empty.
    ends: bool,
    end: Option<PeerEnd>,
}

/// Runs a case on epoll, over TCP.
pub(crate) fn run(case: impl FnOnce(&mut Rig<EpollHarness<TcpStream>>)) {
    case(&mut Rig::new(harness().0));
}

/// Runs a case on epoll, over a Unix socket.
pub(crate) fn run_unix(case: impl FnOnce(&mut Rig<EpollHarness<UnixStream>>)) {
    case(&mut Rig::new(harness().0));
}

fn harness<S: Stream>() -> (EpollHarness<S>, Waker) {
    let socket = S::listen();
    let listening = socket.address().clone();
    let parts = EpollParts::open(vec![socket]).unwrap();
    let waker = parts.waker();
    (EpollHarness { driver: EpollDriver::new(parts, 1000), listening, clients: Vec::new() }, waker)
}

impl<S: Stream> Client<S> {
    fn pump(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        while !self.outgoing.is_empty() {
            match stream.write(self.outgoing.make_contiguous()) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                // Full, or broken: a broken connection shows when the peer reads.
                Err(_) => return,
            }
        }
        if std::mem::take(&mut self.ends) {
            SockRef::from(&*stream).shutdown(Shutdown::Write).unwrap();
        }
    }

    fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (Some(stream), None) = (&mut self.stream, self.end) else { return bytes };
        // Reads what there is; the bytes before an error are kept.
        match stream.read_to_end(&mut bytes) {
            Ok(_) => self.end = Some(PeerEnd::EndOfStream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.end = Some(PeerEnd::Reset),
        }
        bytes
    }
}

impl<S: Stream> Harness for EpollHarness<S> {
    type Driver = EpollDriver;

    // The send buffer grows to 4 MiB (`tcp_wmem`) and the receive buffer of a peer that does not read does not grow.
    const MORE_THAN_FITS_BYTES: usize = 16 * 1024 * 1024;
    const HAS_RESETS: bool = S::HAS_RESETS;

    fn driver(&mut self) -> &mut EpollDriver {
        &mut self.driver
    }

    fn pump(&mut self) {
        self.clients.iter_mut().for_each(Client::pump);
    }

    fn connect(&mut self) -> Option<Peer> {
        let stream = S::connect(&self.listening).ok()?;
        SockRef::from(&stream).set_nonblocking(true).unwrap();
        let address = stream.address();
        let (outgoing, ends, end) = (VecDeque::new(), false, None);
        self.clients.push(Client { stream: Some(stream), address, outgoing, ends, end });
        Some(Peer(self.clients.len() - 1))
    }

    fn address(&self, peer: Peer) -> PeerAddress {
        self.clients[peer.0].address
    }

    fn send(&mut self, peer: Peer, bytes: &[u8]) {
        self.clients[peer.0].outgoing.extend(bytes);
        self.clients[peer.0].pump();
    }

    fn end_stream(&mut self, peer: Peer) {
        self.clients[peer.0].ends = true;
        self.clients[peer.0].pump();
    }

    fn reset(&mut self, peer: Peer) {
        if let Some(stream) = self.clients[peer.0].stream.take() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    fn read(&mut self, peer: Peer) -> Vec<u8> {
        self.clients[peer.0].read()
    }

    fn end(&self, peer: Peer) -> Option<PeerEnd> {
        self.clients[peer.0].end
    }
}

#[test]
fn a_wake_before_the_wait_ends_it() {
    let (mut harness, waker) = harness::<TcpStream>();
    waker.wake().unwrap();
    harness.driver.reap(None).unwrap();
    assert!(matches!(harness.driver.poll_completion(), Some(Completion::Woken)));
    assert!(harness.driver.poll_completion().is_none());
}

#[test]
fn a_wake_outlives_the_waker() {
    let (mut harness, waker) = harness::<TcpStream>();
    waker.wake().unwrap();
    drop(waker);
    harness.driver.reap(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(harness.driver.poll_completion(), Some(Completion::Woken)));
}

#[test]
fn each_wake_from_another_thread_ends_a_wait() {
    let (mut harness, waker) = harness::<TcpStream>();
    let (woken, wait) = std::sync::mpsc::channel();
    let waking = std::thread::spawn(move || {
        for () in wait {
            waker.wake().unwrap();
        }
    });
    for _wake in 0..100 {
        woken.send(()).unwrap();
        // Without the wake this would wait for ever.
        while !matches!(harness.driver.poll_completion(), Some(Completion::Woken)) {
            harness.driver.reap(None).unwrap();
        }
    }
    drop(woken);
    waking.join().unwrap();
}
