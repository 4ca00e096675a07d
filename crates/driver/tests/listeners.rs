//! What only several listeners, inherited ones and Unix sockets can show; and what the kernel says of their connections.
//!
//! Invariant: a client of loopback or of a Unix socket is in the accept queue when its `connect` returns, so a turn that
//! follows sees it.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use gannet_driver::{
    Completion, Driver, EpollDriver, EpollParts, LISTENERS_MAX, ListenAddress, ListenSocket, PeerAddress,
    SendOutcome, SocketStats, Token,
};

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// More than a send can leave with a peer that does not read.
const MORE_THAN_FITS_BYTES: usize = 16 * 1024 * 1024;
/// Turns of 5 ms after which a condition that does not hold never will.
const TURNS_MAX: usize = 4000;

fn tcp() -> (ListenSocket, SocketAddr) {
    let socket = ListenSocket::tcp(ANY_PORT).unwrap();
    let address = socket.address().tcp().unwrap();
    (socket, address)
}

/// A path for a socket of this test.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("gannet-listeners-{}-{name}", std::process::id()))
}

fn driver(sockets: Vec<ListenSocket>, connections_max: usize) -> EpollDriver {
    EpollDriver::new(EpollParts::open(sockets).unwrap(), connections_max)
}

type Accepted = (Token, PeerAddress, u8);

/// The connections accepted in one turn.
fn turn(driver: &mut EpollDriver) -> Vec<Accepted> {
    driver.reap(Some(Duration::from_millis(5))).unwrap();
    let mut accepted = Vec::new();
    while let Some(completion) = driver.poll_completion() {
        if let Completion::Accepted { token, peer, listener } = completion {
            accepted.push((token, peer, listener));
        }
    }
    accepted
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    assert!((0..TURNS_MAX).any(|_| condition()), "not in {TURNS_MAX} turns: {what}");
}

/// The next connection.
fn accept(driver: &mut EpollDriver) -> Accepted {
    let mut accepted = Vec::new();
    until("an accept", || {
        accepted.extend(turn(driver));
        !accepted.is_empty()
    });
    assert_eq!(accepted.len(), 1);
    accepted.remove(0)
}

#[test]
fn each_connection_names_the_listener_that_took_it() {
    let (path, (first, first_address), (third, third_address)) = (path("index"), tcp(), tcp());
    let mut driver = driver(vec![first, ListenSocket::unix(&path).unwrap(), third], 10);
    let client = TcpStream::connect(third_address).unwrap();
    let (_, peer, listener) = accept(&mut driver);
    assert_eq!((peer, listener), (client.local_addr().unwrap().into(), 2));
    let _client = UnixStream::connect(path).unwrap();
    let (_, peer, listener) = accept(&mut driver);
    assert_eq!((peer, listener), (PeerAddress::Unix, 1));
    let client = TcpStream::connect(first_address).unwrap();
    let (_, peer, listener) = accept(&mut driver);
    assert_eq!((peer, listener), (client.local_addr().unwrap().into(), 0));
}

#[test]
fn a_storm_at_one_listener_does_not_keep_the_clients_of_another_waiting() {
    let ((quiet, quiet_address), (busy, busy_address)) = (tcp(), tcp());
    let mut driver = driver(vec![quiet, busy], 1000);
    let _storm: Vec<_> = (0..200).map(|_| TcpStream::connect(busy_address).unwrap()).collect();
    let _quiet = [(); 2].map(|()| TcpStream::connect(quiet_address).unwrap());
    let accepted = turn(&mut driver);
    // Each attempt counts, the one that found nobody left at the quiet one included.
    assert_eq!(accepted.len(), 63);
    let listeners: Vec<u8> = accepted.iter().take(4).map(|(_, _, listener)| *listener).collect();
    assert_eq!(listeners, [0, 1, 0, 1]);
    let mut rest = 200 + 2 - 63;
    until("everybody", || {
        rest -= turn(&mut driver).len();
        rest == 0
    });
}

#[test]
fn a_client_too_many_is_told_in_the_words_of_its_listener() {
    let ((first, first_address), (second, second_address)) = (tcp(), tcp());
    let mut driver = driver(vec![first.with_refusal(b"not one"), second.with_refusal(b"not two")], 1);
    let _inside = TcpStream::connect(first_address).unwrap();
    accept(&mut driver);
    for (address, refusal) in [(second_address, "not two"), (first_address, "not one")] {
        let mut outside = TcpStream::connect(address).unwrap();
        let refused = driver.counters().refused;
        until("a refusal", || turn(&mut driver).is_empty() && driver.counters().refused > refused);
        let mut told = String::new();
        outside.read_to_string(&mut told).unwrap();
        assert_eq!(told, refusal);
    }
    assert_eq!(driver.counters().refused, 2);
}

#[test]
fn a_full_driver_leaves_the_clients_of_a_shared_listener_to_the_other() {
    let path = path("shared");
    let sockets = ListenSocket::unix(&path).unwrap().shared_by(2).unwrap();
    let mut drivers = sockets.into_iter().map(|socket| driver(vec![socket], 1));
    let (mut first, mut second) = (drivers.next().unwrap(), drivers.next().unwrap());
    let _clients = [(); 2].map(|()| UnixStream::connect(&path).unwrap());
    assert_eq!(turn(&mut first).len(), 1);
    for _turn in 0..3 {
        assert!(turn(&mut first).is_empty());
    }
    assert_eq!(turn(&mut second).len(), 1);
    assert_eq!(first.counters().refused + second.counters().refused, 0);
}

#[test]
fn a_client_that_waits_at_a_full_driver_is_let_in_when_there_is_room() {
    let path = path("room");
    let mut sockets = ListenSocket::unix(&path).unwrap().shared_by(2).unwrap();
    // The other driver has no time.
    let (mut driver, _busy) = (driver(vec![sockets.remove(0)], 1), sockets);
    let _inside = UnixStream::connect(&path).unwrap();
    let (token, ..) = accept(&mut driver);
    let _waiting = UnixStream::connect(&path).unwrap();
    for _turn in 0..3 {
        assert!(turn(&mut driver).is_empty());
    }
    driver.close(token, gannet_driver::CloseMode::Orderly);
    let (_, peer, _) = accept(&mut driver);
    assert_eq!(peer, PeerAddress::Unix);
}

#[test]
fn stop_accepting_closes_every_listener() {
    let (path, (first, first_address), (third, third_address)) = (path("stop"), tcp(), tcp());
    let mut driver = driver(vec![first, ListenSocket::unix(&path).unwrap(), third], 10);
    driver.stop_accepting();
    for address in [first_address, third_address] {
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(turn(&mut driver).is_empty());
}

#[test]
fn inherited_sockets_are_accepted_from() {
    let plain = TcpListener::bind(ANY_PORT).unwrap();
    let address = plain.local_addr().unwrap();
    let path = path("inherited");
    let unix = UnixListener::bind(&path).unwrap();
    let sockets =
        vec![ListenSocket::inherited_tcp(plain).unwrap(), ListenSocket::inherited_unix(unix).unwrap()];
    assert_eq!(sockets[0].address(), &ListenAddress::Tcp(address));
    assert_eq!(sockets[1].address(), &ListenAddress::Unix(Some(path.clone())));
    let mut driver = driver(sockets, 10);
    let client = TcpStream::connect(address).unwrap();
    let (_, peer, listener) = accept(&mut driver);
    assert_eq!((peer, listener), (client.local_addr().unwrap().into(), 0));
    let _client = UnixStream::connect(&path).unwrap();
    let (_, peer, listener) = accept(&mut driver);
    assert_eq!((peer, listener), (PeerAddress::Unix, 1));
    drop(driver);
    // The file belongs to whoever made it.
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn an_inherited_socket_that_does_not_listen_is_refused() {
    let (_listener, address) = tcp();
    let connected = TcpListener::from(OwnedFd::from(TcpStream::connect(address).unwrap()));
    let error = ListenSocket::inherited_tcp(connected).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("Accept=no"), "{error}");
    let (pair, _other) = UnixStream::pair().unwrap();
    assert!(ListenSocket::inherited_unix(UnixListener::from(OwnedFd::from(pair))).is_err());
}

#[test]
fn more_listeners_than_a_driver_can_name_are_refused() {
    let sockets = |count| (0..count).map(|_| tcp().0).collect();
    assert!(EpollParts::open(sockets(LISTENERS_MAX)).is_ok());
    let error = EpollParts::open(sockets(LISTENERS_MAX + 1)).unwrap_err();
    assert_eq!(error.to_string(), "17 listeners, at most 16 allowed; listen on fewer");
}

#[test]
fn as_many_listeners_as_a_driver_can_name_are_served() {
    let (sockets, addresses): (Vec<_>, Vec<_>) = (0..LISTENERS_MAX).map(|_| tcp()).unzip();
    let mut driver = driver(sockets, 100);
    // From now on each has to be announced.
    assert!(turn(&mut driver).is_empty());
    for (index, address) in addresses.into_iter().enumerate().rev() {
        let _client = TcpStream::connect(address).unwrap();
        assert_eq!(usize::from(accept(&mut driver).2), index);
    }
}

#[test]
fn an_ipv4_client_of_an_ipv6_listener_has_its_ipv4_address() {
    // Where IPv6 is off there is nothing to see.
    let Ok(socket) = ListenSocket::tcp((Ipv6Addr::UNSPECIFIED, 0).into()) else { return };
    let port = socket.address().tcp().unwrap().port();
    let mut driver = driver(vec![socket], 10);
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let (token, peer, _) = accept(&mut driver);
    assert_eq!(peer, PeerAddress::Ip(client.local_addr().unwrap()));
    assert_eq!(driver.socket_stats(token).unwrap().peer, peer);
}

/// What the kernel says while the peer does not read, and when it has read everything.
fn stats_of_a_slow_reader(driver: &mut EpollDriver, mut client: impl Read) -> [SocketStats; 2] {
    let (token, ..) = accept(driver);
    assert_eq!(driver.socket_stats(token).unwrap().unsent_bytes, 0);
    let outcome = driver.send(token, vec![7; MORE_THAN_FITS_BYTES], 0);
    let SendOutcome::InFlight { bytes } = outcome else { panic!("{outcome:?}") };
    let slow = driver.socket_stats(token).unwrap();
    // No turn follows in which the driver would hand over more.
    let mut taken = vec![0; MORE_THAN_FITS_BYTES - bytes];
    client.read_exact(&mut taken).unwrap();
    let mut stats = slow;
    until("everything has left", || {
        stats = driver.socket_stats(token).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        stats.unsent_bytes == 0
    });
    driver.close(token, gannet_driver::CloseMode::Reset);
    assert_eq!(driver.socket_stats(token), None, "a token that is closed is stale");
    [slow, stats]
}

#[test]
fn the_kernel_tells_the_peer_the_round_trip_and_what_has_not_left_over_tcp() {
    let (socket, address) = tcp();
    let mut driver = driver(vec![socket], 10);
    let client = TcpStream::connect(address).unwrap();
    let peer = PeerAddress::Ip(client.local_addr().unwrap());
    let [slow, read] = stats_of_a_slow_reader(&mut driver, client);
    assert_eq!((slow.peer, read.peer), (peer, peer));
    // Loopback is never exactly at once, and a second would be another unit.
    assert!((1..1_000_000).contains(&slow.rtt_us.unwrap()), "{slow:?}");
    assert!((1..=MORE_THAN_FITS_BYTES as u32).contains(&slow.unsent_bytes), "{slow:?}");
}

#[test]
fn the_kernel_tells_what_has_not_left_over_a_unix_socket() {
    let path = path("stats");
    let mut driver = driver(vec![ListenSocket::unix(&path).unwrap()], 10);
    let client = UnixStream::connect(&path).unwrap();
    let [slow, read] = stats_of_a_slow_reader(&mut driver, client);
    assert_eq!(read, SocketStats { peer: PeerAddress::Unix, rtt_us: None, unsent_bytes: 0 });
    assert!(slow.unsent_bytes > 0, "{slow:?}");
}
