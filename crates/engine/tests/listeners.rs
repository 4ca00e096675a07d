//! Where an engine listens: several places at once, Unix sockets, inherited sockets, and what is left of them at the end.
//!
//! Invariant: every engine runs two shards, so a place with one queue is shared between them.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // reason: a step that fails is a test that fails

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gannet::{
    Config, Context, Engine, Error, Handler, ListenAddress, Listener, Message, PeerAddress, Request, Upgrade,
};

/// How long anything may take before a test gives up; reached only on failure.
const DEADLINE: Duration = Duration::from_secs(20);

/// Accepts every upgrade and tells the client who it is.
struct WhoAmI;

impl Handler for WhoAmI {
    type State = PeerAddress;

    fn on_upgrade(&mut self, request: &Request<'_>) -> Upgrade<PeerAddress> {
        Upgrade::accept(request.peer())
    }

    fn on_open(&mut self, context: &mut Context<'_>, state: &mut PeerAddress) {
        context.send_text(&state.to_string()).unwrap();
    }

    fn on_message(&mut self, _context: &mut Context<'_>, _state: &mut PeerAddress, _message: Message<'_>) {}
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// A path for a socket of this test.
fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("gannet-engine-{}-{name}", std::process::id()))
}

fn start(listeners: Vec<Listener>) -> Result<Engine, Error> {
    let mut config = Config::default();
    config.listeners = listeners;
    config.shards = Some(2);
    Engine::builder().config(config).start(|_| WhoAmI)
}

/// Upgrades and returns what the engine says the client is.
fn who_am_i(mut stream: impl Read + Write) -> String {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut text = vec![0; header[1].into()];
    stream.read_exact(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn unix(path: &PathBuf) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn end(engine: Engine) {
    engine.stop();
    engine.join().unwrap();
}

#[test]
fn an_engine_serves_on_every_place_it_listens_on() {
    let path = path("several");
    let engine = Engine::builder()
        .listen(any_port())
        .listener(Listener::unix(&path))
        .listener(Listener::tcp(any_port()))
        .shards(2)
        .start(|_| WhoAmI)
        .unwrap();
    let [ListenAddress::Tcp(first), ListenAddress::Unix(at), ListenAddress::Tcp(third)] = engine.addresses()
    else {
        panic!("{:?}", engine.addresses())
    };
    assert!(first.port() != 0 && third.port() != 0 && first != third);
    assert_eq!(at.as_ref(), Some(&path));
    assert_eq!(engine.local_addr(), *first);
    for address in [first, third] {
        let stream = tcp(*address);
        assert_eq!(who_am_i(&stream), stream.local_addr().unwrap().to_string());
    }
    assert_eq!(who_am_i(&unix(&path)), "unix");
    end(engine);
}

#[test]
fn the_file_of_a_unix_socket_is_gone_when_the_engine_has_ended() {
    let path = path("gone");
    let engine = start(vec![Listener::unix(&path)]).unwrap();
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
    assert_eq!(engine.local_addr().port(), 0, "it has no TCP address");
    end(engine);
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_of_a_dead_server_is_taken_over_and_one_in_use_is_an_error() {
    let path = path("taken-over");
    drop(UnixListener::bind(&path).unwrap());
    let engine = start(vec![Listener::unix(&path)]).unwrap();
    let error = start(vec![Listener::unix(&path)]).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on unix:{}: a server listens there;", path.display())));
    assert_eq!(who_am_i(&unix(&path)), "unix");
    end(engine);
}

#[test]
fn the_second_of_two_listeners_is_named_when_its_port_is_in_use() {
    let holder = TcpListener::bind(any_port()).unwrap();
    let address = holder.local_addr().unwrap();
    let error = start(vec![Listener::tcp(any_port()), Listener::tcp(address)]).unwrap_err();
    assert!(matches!(&error, Error::Listen { address: ListenAddress::Tcp(at), .. } if *at == address));
    // Another address with this port, which nobody takes by chance.
    let twice = SocketAddr::from(([127, 0, 0, 2], address.port()));
    let error = start(vec![Listener::tcp(twice), Listener::tcp(twice)]).unwrap_err();
    assert!(matches!(&error, Error::Listen { address: ListenAddress::Tcp(at), .. } if *at == twice));
}

#[test]
fn inherited_sockets_are_served_and_closed_when_the_engine_stops_accepting() {
    let path = path("inherited");
    let (plain, file) = (TcpListener::bind(any_port()).unwrap(), UnixListener::bind(&path).unwrap());
    let address = plain.local_addr().unwrap();
    let listeners = vec![Listener::inherited_tcp(plain), Listener::inherited_unix(file)];
    let asked: Vec<ListenAddress> = listeners.iter().map(Listener::address).collect();
    let engine = start(listeners).unwrap();
    assert_eq!(engine.addresses(), asked);
    assert_eq!(asked, [ListenAddress::Tcp(address), ListenAddress::Unix(Some(path.clone()))]);
    let stream = tcp(address);
    assert_eq!(who_am_i(&stream), stream.local_addr().unwrap().to_string());
    assert_eq!(who_am_i(&unix(&path)), "unix");
    engine.stop();
    // The client does not answer the Close, so the engine still drains when it has stopped accepting.
    let start = Instant::now();
    while TcpStream::connect(address).is_ok() || UnixStream::connect(&path).is_ok() {
        assert!(start.elapsed() < DEADLINE, "it goes on listening");
    }
    assert_ne!(engine.summary().connections, 0, "the engine has ended");
    drop(stream);
    engine.join().unwrap();
    // The file belongs to whoever made it.
    std::fs::remove_file(&path).unwrap();
}
