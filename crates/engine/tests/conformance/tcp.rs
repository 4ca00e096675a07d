//! Real sockets: the engine on a free port of this machine, and a connection to any server.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gannet::Engine;

use crate::app::{App, Record, Setup};
use crate::inside::Server;
use crate::wire::{Arrival, Wire};

/// How long a case on our own engine may take; reached only on failure.
const DEADLINE: Duration = Duration::from_secs(20);
/// The shortest timeout of a socket; 0 would mean none.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// An engine, stopped when the case is over.
#[derive(Debug)]
pub(crate) struct EngineServer {
    engine: Option<Engine>,
    record: Arc<Mutex<Record>>,
}

impl EngineServer {
    pub(crate) fn start(setup: Setup) -> Self {
        let record = Arc::<Mutex<Record>>::default();
        let of_app = record.clone();
        let builder = Engine::builder().config(setup.config());
        let engine = builder.start(move |_| App::new(setup, of_app.clone())).unwrap();
        Self { engine: Some(engine), record }
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }
}

impl Server for EngineServer {
    fn connect(&self) -> Box<dyn Wire> {
        Box::new(TcpWire::connect(self.engine().local_addr(), DEADLINE).unwrap())
    }

    fn settles_at(&self, connections: usize) -> bool {
        let start = Instant::now();
        while self.engine().summary().connections != connections {
            if start.elapsed() > DEADLINE {
                return false;
            }
            std::thread::sleep(TIMEOUT_MIN);
        }
        true
    }

    fn record(&self) -> Record {
        self.record.lock().unwrap().clone()
    }
}

impl Drop for EngineServer {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.stop();
            // An engine that failed has failed its case already.
            engine.join().ok();
        }
    }
}

/// A connection to any server.
#[derive(Debug)]
pub(crate) struct TcpWire {
    /// `None` once it was reset.
    stream: Option<TcpStream>,
    deadline: Instant,
}

impl TcpWire {
    /// Connects; everything on the connection together may take `time`.
    pub(crate) fn connect(address: SocketAddr, time: Duration) -> std::io::Result<Self> {
        let deadline = Instant::now() + time;
        let stream = TcpStream::connect_timeout(&address, time)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: Some(stream), deadline })
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now()).max(TIMEOUT_MIN)
    }
}

impl Wire for TcpWire {
    fn send(&mut self, bytes: &[u8]) {
        let left = self.left();
        let Some(stream) = &mut self.stream else { return };
        stream.set_write_timeout(Some(left)).unwrap();
        // A server may close before it has taken everything; what it said until then can be read.
        stream.write_all(bytes).ok();
    }

    fn receive(&mut self) -> Arrival {
        let left = self.left();
        let Some(stream) = &mut self.stream else { return Arrival::Reset };
        stream.set_read_timeout(Some(left)).unwrap();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Arrival::End,
                Ok(bytes) => {
                    buffer.truncate(bytes);
                    return Arrival::Bytes(buffer);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Arrival::Nothing;
                }
                Err(_) => return Arrival::Reset,
            }
        }
    }

    fn end_stream(&mut self) {
        if let Some(stream) = &self.stream {
            stream.shutdown(Shutdown::Write).ok();
        }
    }

    fn reset(&mut self) {
        if let Some(stream) = self.stream.take() {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
    }

    fn wait(&mut self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
