//! The server side of `process`: welcomes every connection and reports when asked.

use std::io::{Write, stderr, stdin};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use gannet_driver::{
    CloseMode, Completion, Driver, EpollDriver, EpollParts, ListenSocket, Waker, close_in_this_table,
    part_with_own_table,
};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::ANY_PORT;

pub(crate) const WELCOME: &[u8; 7] = b"welcome";
pub(crate) const REFUSAL: &[u8; 7] = b"refused";

/// Parts with a listener on a free port.
pub(crate) fn open() -> (EpollParts, SocketAddr) {
    open_at(ANY_PORT)
}

/// Parts with a listener at `address`.
pub(crate) fn open_at(address: SocketAddr) -> (EpollParts, SocketAddr) {
    let socket = ListenSocket::tcp(address).unwrap().with_refusal(REFUSAL);
    let address = socket.address().tcp().unwrap();
    (EpollParts::open(vec![socket]).unwrap(), address)
}

/// Serves with a limit of that many descriptors.
pub(crate) fn serve_within(descriptors: u64) {
    limit(descriptors);
    let (parts, address) = open();
    let commands = listen_to_commands(&[&parts]).remove(0);
    say_ports(1, &[address]);
    Server::new(parts, commands, Vec::new()).run();
}

/// Serves on two ports, one driver for both, with a limit of that many descriptors.
pub(crate) fn serve_two_ports_within(descriptors: u64) {
    limit(descriptors);
    let sockets = [(); 2].map(|()| ListenSocket::tcp(ANY_PORT).unwrap().with_refusal(REFUSAL));
    let addresses = sockets.each_ref().map(|socket| socket.address().tcp().unwrap());
    let parts = EpollParts::open(sockets.into()).unwrap();
    let commands = listen_to_commands(&[&parts]).remove(0);
    say_ports(1, &addresses);
    Server::new(parts, commands, Vec::new()).run();
}

/// Serves with every descriptor taken until told to release them: not even the driver's spare one is left.
pub(crate) fn serve_with_a_full_table(descriptors: u64) {
    limit(descriptors);
    let (parts, address) = open();
    let commands = listen_to_commands(&[&parts]).remove(0);
    let held = std::iter::from_fn(|| eventfd(0, EventfdFlags::CLOEXEC).ok()).collect();
    say_ports(1, &[address]);
    Server::new(parts, commands, held).run();
}

/// Serves on two threads, each with a table of that many descriptors and a port of its own.
pub(crate) fn serve_with_two_tables_of(descriptors: u64) {
    limit(descriptors);
    let ((first, first_address), (second, second_address)) = (open(), open());
    let descriptors = [first.descriptors(), second.descriptors()];
    let mut commands = listen_to_commands(&[&first, &second]).into_iter();
    let (parted, has_parted) = channel();
    let threads: Vec<_> = [(first, descriptors[1].clone()), (second, descriptors[0].clone())]
        .into_iter()
        .zip(&mut commands)
        .map(|((parts, not_mine), commands)| {
            let parted = parted.clone();
            std::thread::spawn(move || {
                part_with_own_table(&[not_mine]).unwrap();
                parted.send(()).unwrap();
                Server::new(parts, commands, Vec::new()).run();
            })
        })
        .collect();
    drop(parted);
    assert_eq!(has_parted.iter().take(2).count(), 2);
    close_in_this_table(&descriptors);
    say_ports(2, &[first_address, second_address]);
    for thread in threads {
        thread.join().unwrap();
    }
}

fn limit(descriptors: u64) {
    let limit = Rlimit { current: Some(descriptors), maximum: Some(descriptors) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn say_ports(drivers: usize, addresses: &[SocketAddr]) {
    let ports: Vec<_> = addresses.iter().map(|address| address.port().to_string()).collect();
    say(&format!("listening {drivers} {}\n", ports.join(" ")));
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Report,
    Release,
}

/// Hands each line of the standard input to every server, and hangs up at its end.
fn listen_to_commands(parts: &[&EpollParts]) -> Vec<Receiver<Command>> {
    let wakers: Vec<Waker> = parts.iter().map(|parts| parts.waker()).collect();
    let (senders, receivers): (Vec<Sender<Command>>, _) = parts.iter().map(|_| channel()).unzip();
    std::thread::spawn(move || {
        for line in stdin().lines() {
            let command = if line.unwrap() == "report" { Command::Report } else { Command::Release };
            for (sender, waker) in senders.iter().zip(&wakers) {
                sender.send(command).ok();
                waker.wake().unwrap();
            }
        }
        drop(senders);
        wakers.iter().for_each(|waker| waker.wake().unwrap());
    });
    receivers
}

struct Server {
    driver: EpollDriver,
    commands: Receiver<Command>,
    /// Descriptors held for no purpose.
    held: Vec<OwnedFd>,
    open: u64,
    idle_turns: u64,
}

impl Server {
    fn new(parts: EpollParts, commands: Receiver<Command>, held: Vec<OwnedFd>) -> Self {
        Self { driver: EpollDriver::new(parts, usize::MAX), commands, held, open: 0, idle_turns: 0 }
    }

    /// Serves until there are no more commands.
    fn run(mut self) {
        loop {
            let refused = self.driver.counters().refused;
            self.driver.reap(None).unwrap();
            let mut completions = 0;
            while let Some(completion) = self.driver.poll_completion() {
                completions += 1;
                self.handle(completion);
            }
            if completions == 0 && self.driver.counters().refused == refused {
                self.idle_turns += 1;
            }
            if !self.obey() {
                return;
            }
        }
    }

    fn handle(&mut self, completion: Completion) {
        match completion {
            Completion::Accepted { token, .. } => {
                self.open += 1;
                let _ = self.driver.send(token, WELCOME.to_vec(), 0);
            }
            Completion::ReceiveEnded { token, .. } => self.driver.close(token, CloseMode::Orderly),
            Completion::Closed { .. } => self.open -= 1,
            Completion::PeerNamed { .. }
            | Completion::Received { .. }
            | Completion::Sent { .. }
            | Completion::Woken => {}
        }
    }

    /// Does what was commanded; false when nobody will command any more.
    fn obey(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Report) => self.report(),
                Ok(Command::Release) => self.held.clear(),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn report(&self) {
        let counters = self.driver.counters();
        let (open, idle_turns) = (self.open, self.idle_turns);
        say(&format!("report {open} {} {} {idle_turns}\n", counters.refused, counters.accept_errors));
    }
}

/// Writes a line in one piece, so that those of two threads do not mix.
fn say(line: &str) {
    stderr().write_all(line.as_bytes()).unwrap();
}
