//! The suite on the epoll driver, with peers on loopback; and what only a driver with a kernel can show.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use gannet_driver::{Completion, Driver, EpollDriver, EpollParts, ListenOptions, Waker};
use socket2::SockRef;

use crate::harness::{Harness, Peer, PeerEnd};
use crate::rig::Rig;

pub(crate) struct EpollHarness {
    driver: EpollDriver,
    address: SocketAddr,
    clients: Vec<Client>,
}

struct Client {
    /// `None` after a reset by the client.
    stream: Option<TcpStream>,
    address: SocketAddr,
    outgoing: VecDeque<u8>,
    /// Ends its stream as soon as `outgoing` is empty.
    ends: bool,
    end: Option<PeerEnd>,
}

/// Runs a case on epoll.
pub(crate) fn run(case: impl FnOnce(&mut Rig<EpollHarness>)) {
    case(&mut Rig::new(harness().0));
}

fn harness() -> (EpollHarness, Waker) {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let parts = EpollParts::open(any).unwrap();
    let (address, waker) = (parts.local_addr(), parts.waker());
    let options = ListenOptions { address, refusal: b"refused", connections_max: 1000 };
    (EpollHarness { driver: EpollDriver::new(parts, options), address, clients: Vec::new() }, waker)
}

impl Client {
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
            stream.shutdown(Shutdown::Write).unwrap();
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

impl Harness for EpollHarness {
    type Driver = EpollDriver;

    // The send buffer grows to 4 MiB (`tcp_wmem`) and the receive buffer of a peer that does not read does not grow.
    const MORE_THAN_FITS_BYTES: usize = 16 * 1024 * 1024;

    fn driver(&mut self) -> &mut EpollDriver {
        &mut self.driver
    }

    fn pump(&mut self) {
        self.clients.iter_mut().for_each(Client::pump);
    }

    fn connect(&mut self) -> Option<Peer> {
        let stream = TcpStream::connect(self.address).ok()?;
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        let address = stream.local_addr().unwrap();
        let (outgoing, ends, end) = (VecDeque::new(), false, None);
        self.clients.push(Client { stream: Some(stream), address, outgoing, ends, end });
        Some(Peer(self.clients.len() - 1))
    }

    fn address(&self, peer: Peer) -> SocketAddr {
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
    let (mut harness, waker) = harness();
    waker.wake().unwrap();
    harness.driver.reap(None).unwrap();
    assert!(matches!(harness.driver.poll_completion(), Some(Completion::Woken)));
    assert!(harness.driver.poll_completion().is_none());
}

#[test]
fn a_wake_outlives_the_waker() {
    let (mut harness, waker) = harness();
    waker.wake().unwrap();
    drop(waker);
    harness.driver.reap(Some(Duration::from_secs(10))).unwrap();
    assert!(matches!(harness.driver.poll_completion(), Some(Completion::Woken)));
}

#[test]
fn each_wake_from_another_thread_ends_a_wait() {
    let (mut harness, waker) = harness();
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
