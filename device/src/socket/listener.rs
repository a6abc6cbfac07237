#![allow(unsafe_code, reason = "a descriptor that was passed on the command line is a bare number")]
//! The socket that a machine connects to: a path, or a descriptor that was passed to this process.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};

use crate::args::Place;
use crate::stop::Stop;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process listens there.
    #[error("another process listens on {}; stop it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// It cannot be made.
    #[error("cannot listen on {}: {source}; the folder must exist and be writable", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The descriptor is no socket.
    #[error("descriptor {fd} is not a usable unix socket: {source}; pass a listening or a connected one")]
    Descriptor {
        /// Its number.
        fd: RawFd,
        /// Why.
        source: io::Error,
    },
    /// Nobody can be accepted.
    #[error("cannot accept a connection: {0}")]
    Accept(#[source] io::Error),
}

/// A path that is removed when it is no longer listened on.
#[derive(Debug)]
struct Path_(PathBuf);

impl Drop for Path_ {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Where connections come from.
#[derive(Debug)]
pub struct Endpoint {
    source: Source,
    _path: Option<Path_>,
}

#[derive(Debug)]
enum Source {
    /// Any number of them, one after the other.
    Listener(UnixListener),
    /// The one that was passed.
    Connected(Option<UnixStream>),
}

/// Opens the place that the command line names.
///
/// # Errors
/// [`SocketError`].
pub fn open(place: &Place) -> Result<Endpoint, SocketError> {
    match place {
        Place::Path(path) => listen(path),
        Place::Descriptor(fd) => adopt(*fd),
    }
}

/// Listens on a path. A socket file that a dead process has left is replaced.
///
/// # Errors
/// [`SocketError`].
pub fn listen(path: &Path) -> Result<Endpoint, SocketError> {
    let bind = |path: &Path| UnixListener::bind(path);
    let listener = match bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if UnixStream::connect(path).is_ok() {
                return Err(SocketError::InUse(path.to_owned()));
            }
            let _ = std::fs::remove_file(path);
            bind(path)
        }
        other => other,
    };
    let listener = listener.map_err(|source| SocketError::Bind { path: path.to_owned(), source })?;
    Ok(Endpoint { source: Source::Listener(listener), _path: Some(Path_(path.to_owned())) })
}

fn adopt(fd: RawFd) -> Result<Endpoint, SocketError> {
    let fault = |source: io::Error| SocketError::Descriptor { fd, source };
    if fd < 0 {
        return Err(fault(io::ErrorKind::InvalidInput.into()));
    }
    // SAFETY: the descriptor is not negative; it is only asked about, and a number that is not open answers with an
    // error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let listening = rustix::net::sockopt::socket_acceptconn(borrowed).map_err(|error| fault(error.into()))?;
    // SAFETY: the descriptor is open, as the question above has shown, and was given to this process on its command line
    // for this use; nothing else in this process knows it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let source = if listening {
        Source::Listener(UnixListener::from(owned))
    } else {
        Source::Connected(Some(UnixStream::from(owned)))
    };
    Ok(Endpoint { source, _path: None })
}

impl Endpoint {
    /// Waits for the next connection. `None` when there will be no more, or when `stop` becomes readable.
    ///
    /// # Errors
    /// [`SocketError::Accept`].
    pub fn next(&mut self, stop: &Stop) -> Result<Option<UnixStream>, SocketError> {
        let listener = match &mut self.source {
            Source::Connected(stream) => return Ok(stream.take()),
            Source::Listener(listener) => listener,
        };
        loop {
            let mut ready = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(SocketError::Accept(error.into())),
            }
            if !ready[1].revents().is_empty() {
                return Ok(None);
            }
            if ready[0].revents().is_empty() {
                continue;
            }
            match listener.accept() {
                Ok((stream, _)) => return Ok(Some(stream)),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => return Err(SocketError::Accept(error)),
            }
        }
    }
}
