//! Accepting when there is no room: at the descriptor limit, at `connections_max`, and beyond one descriptor table.
//!
//! Invariant: what needs a low descriptor limit runs in a process of its own (`server`), which is this test binary
//! started again; the clients stay in the test, outside of that limit.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

mod process;
mod server;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use gannet_driver::{CloseMode, Completion, Driver, EpollDriver};
use process::ServerProcess;
use server::{REFUSAL, WELCOME};

/// How long anything may take before a test gives up; reached only on failure.
const DEADLINE: Duration = Duration::from_secs(20);
/// How often the driver may look whether descriptors are free again.
const BACKOFF: Duration = Duration::from_millis(50);
/// A short wait in which a driver that spins would do many thousand turns.
const WATCH: Duration = Duration::from_millis(300);

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What a client was told.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Welcome,
    /// The refusal and the end of the stream.
    Refused,
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client
}

fn told(mut client: &TcpStream) -> Told {
    let mut text = [0; WELCOME.len()];
    client.read_exact(&mut text).unwrap();
    if text == *WELCOME {
        return Told::Welcome;
    }
    assert_eq!(text, *REFUSAL);
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end of the stream comes behind the refusal");
    Told::Refused
}

#[test]
fn at_the_descriptor_limit_extra_clients_are_told_and_free_descriptors_are_used_again() {
    let name = "at_the_descriptor_limit_extra_clients_are_told_and_free_descriptors_are_used_again";
    let Some(mut server) = ServerProcess::start(name, || server::serve_within(64)) else { return };
    let clients: Vec<_> = (0..100).map(|_| connect(server.addresses[0])).collect();
    let (mut inside, outside): (Vec<_>, Vec<_>) =
        clients.into_iter().partition(|client| told(client) == Told::Welcome);
    assert!((40..64).contains(&inside.len()), "{} connections with 64 descriptors", inside.len());
    let report = server.report();
    assert_eq!((report.open, report.refused), (inside.len() as u64, outside.len() as u64));

    let start = Instant::now();
    std::thread::sleep(WATCH);
    let idle_turns = server.report().idle_turns - report.idle_turns;
    assert!(idle_turns <= turns_allowed(start), "{idle_turns} turns that did nothing");

    let left = inside.drain(..10).count() as u64;
    server.wait_until("the driver has seen them leave", |report| report.open == inside.len() as u64);
    inside.extend((0..left).map(|_| connect(server.addresses[0])));
    assert!(inside[inside.len() - 10..].iter().all(|client| told(client) == Told::Welcome));
    assert_eq!(told(&connect(server.addresses[0])), Told::Refused);
}

#[test]
fn without_any_free_descriptor_clients_wait_and_get_in_when_there_is_one() {
    let name = "without_any_free_descriptor_clients_wait_and_get_in_when_there_is_one";
    let Some(mut server) = ServerProcess::start(name, || server::serve_with_a_full_table(64)) else { return };
    let clients = [(); 5].map(|()| connect(server.addresses[0]));
    server.wait_until("an accept has failed", |report| report.accept_errors > 0);
    let (start, before) = (Instant::now(), server.report());
    std::thread::sleep(WATCH);
    let after = server.report();
    assert_eq!((after.open, after.refused), (0, 0));
    assert!(after.idle_turns - before.idle_turns <= turns_allowed(start), "{before:?}, then {after:?}");
    assert!(after.accept_errors - before.accept_errors <= turns_allowed(start), "{before:?}, then {after:?}");
    server.release();
    assert!(clients.iter().all(|client| told(client) == Told::Welcome));
}

#[test]
fn at_the_descriptor_limit_the_clients_of_both_listeners_are_told() {
    let name = "at_the_descriptor_limit_the_clients_of_both_listeners_are_told";
    let Some(mut server) = ServerProcess::start(name, || server::serve_two_ports_within(64)) else { return };
    let addresses = server.addresses.clone();
    let clients: Vec<_> = (0..100).flat_map(|_| addresses.iter().copied().map(connect)).collect();
    let mut inside = [0; 2];
    for (index, client) in clients.iter().enumerate() {
        inside[index % 2] += u64::from(told(client) == Told::Welcome);
    }
    assert!((38..64).contains(&(inside[0] + inside[1])), "{inside:?} connections with 64 descriptors");
    let report = server.report();
    assert_eq!((report.open, report.refused), (inside[0] + inside[1], 200 - inside[0] - inside[1]));

    let start = Instant::now();
    std::thread::sleep(WATCH);
    let idle_turns = server.report().idle_turns - report.idle_turns;
    assert!(idle_turns <= turns_allowed(start), "{idle_turns} turns that did nothing");
}

/// One per back-off since `start`, and some for turns that were under way.
fn turns_allowed(start: Instant) -> u64 {
    (start.elapsed().as_millis() / BACKOFF.as_millis()) as u64 + 5
}

#[test]
fn two_threads_with_their_own_tables_hold_more_connections_than_the_limit() {
    let name = "two_threads_with_their_own_tables_hold_more_connections_than_the_limit";
    let Some(mut server) = ServerProcess::start(name, || server::serve_with_two_tables_of(128)) else {
        return;
    };
    let addresses = server.addresses.clone();
    let clients: Vec<_> =
        addresses.iter().flat_map(|&address| (0..100).map(move |_| connect(address))).collect();
    assert!(clients.iter().all(|client| told(client) == Told::Welcome));
    assert_eq!(server.report().open, 200);
}

#[test]
fn two_drivers_share_a_port() {
    let (first, address) = server::open();
    let (second, same) = server::open_at(address);
    assert_eq!(same, address);
    let mut drivers = [first, second].map(|parts| EpollDriver::new(parts, 1000));
    // The kernel deals them out by a hash of the ports: all to one driver has a chance of 2 to the power of -63.
    let clients: Vec<_> = (0..64).map(|_| connect(address)).collect();
    let mut accepted = [0; 2];
    while accepted.iter().sum::<usize>() < clients.len() {
        for (driver, accepted) in drivers.iter_mut().zip(&mut accepted) {
            *accepted += turn(driver).iter().filter(|&event| event == &Event::Accepted).count();
        }
    }
    assert!(accepted.iter().all(|&count| count > 0), "{accepted:?}");
}

#[test]
fn above_connections_max_a_client_is_told_even_if_its_request_came_first() {
    let (parts, address) = server::open();
    let mut driver = EpollDriver::new(parts, 2);
    let mut inside = vec![connect(address), connect(address)];
    let outside = connect(address);
    (&outside).write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    while driver.counters().refused == 0 {
        turn(&mut driver);
    }
    assert_eq!(told(&outside), Told::Refused);
    // After a reset, which makes some systems forget what had arrived, this would fail.
    (&outside).write_all(b"!").unwrap();

    drop(inside.pop());
    while !turn(&mut driver).contains(&Event::Closed) {}
    inside.push(connect(address));
    while !turn(&mut driver).contains(&Event::Accepted) {}
    assert_eq!(driver.counters().refused, 1);
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Accepted,
    Closed,
}

/// A turn that closes connections whose peer has left.
fn turn(driver: &mut EpollDriver) -> Vec<Event> {
    driver.reap(Some(BACKOFF)).unwrap();
    let mut events = Vec::new();
    while let Some(completion) = driver.poll_completion() {
        match completion {
            Completion::Accepted { .. } => events.push(Event::Accepted),
            Completion::Closed { .. } => events.push(Event::Closed),
            Completion::ReceiveEnded { token, .. } => driver.close(token, CloseMode::Orderly),
            _ => {}
        }
    }
    events
}
