//! What the kernel knows of one connection: the peer, the round-trip time, what has not left.
//!
//! Invariant: only asked for on demand, never on the way of a message: it takes four system calls.
#![allow(unsafe_code)] // reason: no safe crate has TCP_INFO and SIOCOUTQ

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use libc::{c_int, tcp_info};
use rustix::net::{AddressFamily, sockopt};

use crate::{PeerAddress, SocketStats};

/// `None` if the connection is broken already.
pub(super) fn socket_stats(stream: &impl AsFd) -> Option<SocketStats> {
    let socket = stream.as_fd();
    let unsent_bytes = unsent_bytes(socket).ok()?;
    if sockopt::socket_domain(socket).ok()? == AddressFamily::UNIX {
        return Some(SocketStats { peer: PeerAddress::Unix, rtt_us: None, unsent_bytes });
    }
    let peer = SocketAddr::try_from(rustix::net::getpeername(socket).ok()??).ok()?.into();
    Some(SocketStats { peer, rtt_us: Some(tcp_info(socket).ok()?.tcpi_rtt), unsent_bytes })
}

fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<tcp_info> {
    // SAFETY: the struct has integers only, for which zeros are a value.
    let mut info: tcp_info = unsafe { mem::zeroed() };
    let mut length = size_of::<tcp_info>() as libc::socklen_t;
    let value = ptr::from_mut(&mut info).cast();
    // SAFETY: the descriptor is open (borrowed). The kernel writes at most `length` bytes of integers to `value`, which has
    // room for so many, and nothing else keeps the pointers. What an older kernel does not know stays zero.
    let outcome = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, value, &raw mut length)
    };
    if outcome == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}

/// `SIOCOUTQ`, which is `TIOCOUTQ` under another name: what was written less what was acknowledged.
fn unsent_bytes(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes: c_int = 0;
    // SAFETY: the descriptor is open (borrowed). For a socket this request writes one `int` to the pointer, which points to
    // one, and the kernel does not keep it.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome == 0 { Ok(u32::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}
