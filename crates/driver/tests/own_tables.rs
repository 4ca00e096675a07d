//! One accept queue, two threads with descriptor tables of their own.
//!
//! Invariant: the only test of this file, for a table that parts is a copy and would keep open what another test closes.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use gannet_driver::{
    Completion, Driver, EpollDriver, EpollParts, ListenSocket, OwnDescriptors, close_in_this_table,
    part_with_own_table,
};

/// How long anything may take before the test gives up; reached only on failure.
const DEADLINE: Duration = Duration::from_secs(20);

/// Accepts and welcomes; after `stop` has ended it stops accepting, says so and ends when `end` does.
fn serve(parts: EpollParts, stop: &Receiver<()>, stopped: &Sender<()>, end: &Receiver<()>) {
    // One each: the first client that comes fills the driver that was quicker.
    let mut driver = EpollDriver::new(parts, 1);
    while stop.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
        driver.reap(Some(Duration::from_millis(5))).unwrap();
        while let Some(completion) = driver.poll_completion() {
            if let Completion::Accepted { token, listener, .. } = completion {
                let _ = driver.send(token, vec![listener], 0);
            }
        }
    }
    driver.stop_accepting();
    stopped.send(()).unwrap();
    end.recv().unwrap_err();
}

/// The byte that the client was welcomed with.
fn welcome(mut client: impl Read) -> u8 {
    let mut byte = [0];
    client.read_exact(&mut byte).unwrap();
    byte[0]
}

#[test]
fn drivers_with_their_own_tables_share_listeners_and_none_listens_after_they_have_stopped() {
    let path = std::env::temp_dir().join(format!("gannet-own-tables-{}", std::process::id()));
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = plain.local_addr().unwrap();
    let tcp = ListenSocket::inherited_tcp(plain).unwrap().shared_by(2).unwrap();
    let unix = ListenSocket::unix(&path).unwrap().shared_by(2).unwrap();
    let parts: Vec<_> =
        tcp.into_iter().zip(unix).map(|(tcp, unix)| EpollParts::open(vec![tcp, unix]).unwrap()).collect();
    let descriptors: Vec<OwnDescriptors> = parts.iter().map(EpollParts::descriptors).collect();
    let ((parted, has_parted), (stopped, have_stopped)) = (channel(), channel());
    let (mut stops, mut ends, mut threads) = (Vec::new(), Vec::new(), Vec::new());
    for (shard, parts) in parts.into_iter().enumerate() {
        let not_mine = descriptors[1 - shard].clone();
        let (parted, stopped) = (parted.clone(), stopped.clone());
        let ((stop, is_stopping), (end, is_ending)) = (channel::<()>(), channel::<()>());
        stops.push(stop);
        ends.push(end);
        threads.push(std::thread::spawn(move || {
            part_with_own_table(&[not_mine]).unwrap();
            parted.send(()).unwrap();
            serve(parts, &is_stopping, &stopped, &is_ending);
        }));
    }
    assert_eq!(has_parted.iter().take(2).count(), 2);
    close_in_this_table(&descriptors);

    let tcp_client = TcpStream::connect(address).unwrap();
    tcp_client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(welcome(&tcp_client), 0);
    // The driver that took the first is full: this one is the other's.
    let unix_client = UnixStream::connect(&path).unwrap();
    unix_client.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(welcome(&unix_client), 1);

    drop(stops);
    assert_eq!(have_stopped.iter().take(2).count(), 2);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::NotFound);
    drop(ends);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
