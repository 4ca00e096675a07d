//! The file of a Unix socket: bound, taken over from a dead server, removed at the end.
//!
//! Invariant: a file is removed only if it is a socket that nobody listens on, or the very file that this process made.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect: the user and the group of the server, as whoever connects needs to write.
const MODE: u32 = 0o660;

/// A socket file of this process, removed when dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from another that was put in its place: device, inode and the nanosecond it was made. (Inode numbers
/// are used again; the time of change is the operator's, who may hand the file to another group.)
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Binds a socket to `path`, replacing the file of a dead server.
pub(super) fn bind(path: &Path) -> io::Result<(Socket, SocketFile)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(error);
        }
        remove_stale(path, &address)?;
        socket.bind(&address)?;
    }
    let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
    // Nobody can connect yet, for the socket does not listen: the mode of the umask is never in force.
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok((socket, file))
}

/// Removes the file at `path` if it is a socket that nobody listens on.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let in_use = |text: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return in_use("the file there is not a socket");
    }
    // Without blocking: a server whose queue is full is alive.
    let probe = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    match probe.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => in_use("a server listens there"),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // If it fails, the file stays and the next server takes it over.
            fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::ListenSocket;

    /// A directory of a test, removed at its end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("gannet-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn a_new_socket_is_for_user_and_group_and_goes_with_the_last_that_shares_it() {
        let directory = Directory::new("mode");
        let path = directory.0.join("socket");
        let mut sockets = ListenSocket::unix(&path).unwrap().shared_by(2).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        sockets.pop();
        assert!(UnixStream::connect(&path).is_ok());
        sockets.pop();
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_file_of_a_dead_server_is_taken_over() {
        let directory = Directory::new("stale");
        let path = directory.0.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "closing does not remove the file");
        let _socket = ListenSocket::unix(&path).unwrap();
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn the_socket_of_a_server_that_lives_is_in_use_and_stays() {
        let directory = Directory::new("live");
        let path = directory.0.join("socket");
        let _live = ListenSocket::unix(&path).unwrap();
        let error = ListenSocket::unix(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(error.to_string(), "a server listens there");
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn the_socket_of_a_server_whose_queue_is_full_is_in_use() {
        let directory = Directory::new("busy");
        let path = directory.0.join("socket");
        let live = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        live.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        live.listen(0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        assert_eq!(ListenSocket::unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_not_touched() {
        let directory = Directory::new("file");
        let path = directory.0.join("socket");
        fs::write(&path, "precious").unwrap();
        let error = ListenSocket::unix(&path).unwrap_err();
        assert_eq!(error.to_string(), "the file there is not a socket");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_file_that_another_has_put_in_its_place_is_not_removed() {
        let directory = Directory::new("replaced");
        let path = directory.0.join("socket");
        let socket = ListenSocket::unix(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(UnixStream::connect(&path).is_ok());
    }
}
