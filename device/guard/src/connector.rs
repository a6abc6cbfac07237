//! How the guard gets its private connection to a back-end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The place of a back-end: each that comes after another is found in the same way. The guard starts none itself.
#[derive(Debug)]
pub enum Connector {
    /// The back-end listens there, as a `VhostUserDaemon` does in `start` and `serve`.
    Address(SocketAddr),
    /// The back-end connects to this, as a `VhostUserDaemon` does in `start_client`.
    Listener(UnixListener),
}

impl Connector {
    /// Returns the place of a back-end that listens on a path.
    ///
    /// # Errors
    /// The host's error, when no socket can have that path.
    pub fn path(path: impl AsRef<Path>) -> io::Result<Self> {
        SocketAddr::from_pathname(path).map(Self::Address)
    }

    /// Returns the place of a back-end that listens on an abstract name (`unix(7)`). Any process in the same network namespace
    /// can connect to such a name, so choose one that cannot be guessed.
    ///
    /// # Errors
    /// The host's error, when no socket can have that name.
    pub fn abstract_name(name: impl AsRef<[u8]>) -> io::Result<Self> {
        SocketAddr::from_abstract_name(name).map(Self::Address)
    }

    /// Returns a place to which back-ends connect.
    ///
    /// # Errors
    /// The host's error, when the listener cannot be made non-blocking.
    pub fn listener(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::Listener(listener))
    }

    /// Returns the descriptor that becomes readable when a back-end is there; `None` when it has to be tried.
    pub(crate) fn announces(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Address(_) => None,
            Self::Listener(listener) => Some(listener.as_fd()),
        }
    }

    /// Connects without waiting; `None` when no back-end is there.
    pub(crate) fn connect(&self) -> io::Result<Option<UnixStream>> {
        let connected = match self {
            Self::Address(address) => connect_to(address),
            Self::Listener(listener) => listener.accept().map(|(stream, _)| stream),
        };
        match connected {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(error) => match Errno::from_io_error(&error) {
                // Not bound, bound by a process that is gone, its queue full, or none waits.
                Some(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
                _ => Err(error),
            },
        }
    }
}

fn connect_to(address: &SocketAddr) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let to = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SocketAddrUnix::new(path)?,
        (None, Some(name)) => SocketAddrUnix::new_abstract_name(name)?,
        (None, None) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "the address has no name")),
    };
    connect(&socket, &to)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_to_a_path_and_to_an_abstract_name_only_while_a_back_end_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let connector = Connector::path(&path).unwrap();
        assert!(connector.connect().unwrap().is_none(), "no such path");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(connector.connect().unwrap().is_some());
        drop(listener);
        assert!(connector.connect().unwrap().is_none(), "nothing listens");

        let name = format!("vhost-user-guard-test-{}", std::process::id());
        let connector = Connector::abstract_name(&name).unwrap();
        assert!(connector.connect().unwrap().is_none());
        let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        assert!(connector.connect().unwrap().is_some());
    }

    #[test]
    fn a_full_queue_is_no_connection_and_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = UnixListener::bind(&path).unwrap();
        let connector = Connector::path(&path).unwrap();
        let mut held = Vec::new();
        while let Some(stream) = connector.connect().unwrap() {
            held.push(stream);
            assert!(held.len() < 100_000, "the queue has no end");
        }
    }
}
