#![allow(unsafe_code, reason = "a descriptor that was passed on the command line is a bare number")]
//! The socket that a front-end connects to: a path, or a descriptor that was passed to this process.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::bound_path::{self, BoundPath};
use super::error::SocketError;
use crate::log_limited;
use crate::stop::{Stop, Waited};

/// First pause after the host had no descriptor or no memory for a connection. Each that follows is twice as long.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest of these pauses: a client that waits is served a second after the host has room again, at the latest.
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The place of the front-end's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path to listen on.
    Path(PathBuf),
    /// A descriptor that was passed to this process.
    Descriptor(RawFd),
}

/// The source of connections.
#[derive(Debug)]
pub struct Endpoint {
    path: Option<Arc<BoundPath>>,
    source: Source,
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
/// As for [`listen`], for a path; [`SocketError::Descriptor`] for a descriptor that is no usable unix socket.
pub fn open(place: &Place, stop: &Stop) -> Result<Endpoint, SocketError> {
    match place {
        Place::Path(path) => listen(path, stop),
        Place::Descriptor(fd) => adopt(*fd),
    }
}

/// Listens on a path. A socket that a dead process has left is replaced; nothing else is.
///
/// # Errors
/// [`SocketError::NotASocket`], [`SocketError::InUse`] and [`SocketError::Unclear`] when the path is not to be replaced,
/// [`SocketError::Busy`] when other processes bind it for too long, [`SocketError::Bind`] when the host refuses.
pub fn listen(path: &Path, stop: &Stop) -> Result<Endpoint, SocketError> {
    let (listener, bound) = bound_path::bind(path, stop)?;
    let refused = |source| SocketError::Bind { path: path.to_owned(), source };
    // Another process may take the connection that was waited for.
    listener.set_nonblocking(true).map_err(refused)?;
    Ok(Endpoint { path: Some(Arc::new(bound)), source: Source::Listener(listener) })
}

fn adopt(fd: RawFd) -> Result<Endpoint, SocketError> {
    let fault = |source: io::Error| SocketError::Descriptor { fd, source };
    if fd < 0 {
        return Err(fault(io::ErrorKind::InvalidInput.into()));
    }
    // SAFETY: the descriptor is not negative; its options are only read, and a number that is not open gives an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let listening = rustix::net::sockopt::socket_acceptconn(borrowed).map_err(|error| fault(error.into()))?;
    // SAFETY: the descriptor is open, as the read above has shown, and was given to this process on its command line for
    // this use; nothing else in this process knows it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    let source = if listening {
        let listener = UnixListener::from(owned);
        listener.set_nonblocking(true).map_err(fault)?;
        Source::Listener(listener)
    } else {
        Source::Connected(Some(UnixStream::from(owned)))
    };
    Ok(Endpoint { path: None, source })
}

/// Returns whether the host has no descriptor or no memory for one more connection now, and may have later.
fn is_out_of_resources(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            path.remove();
        }
    }
}

impl Endpoint {
    /// Returns the path that it listens on, to be removed when the process is ended.
    #[must_use]
    pub fn path(&self) -> Option<&Arc<BoundPath>> {
        self.path.as_ref()
    }

    /// Returns a second descriptor of the listening socket; `None` for a connection that was passed.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub fn listener(&self) -> io::Result<Option<UnixListener>> {
        match &self.source {
            Source::Listener(listener) => listener.try_clone().map(Some),
            Source::Connected(_) => Ok(None),
        }
    }

    /// Waits for the next connection. `None` when there will be no more, or when `stop` is requested. While the host
    /// has no descriptor or no memory for it, the connection waits.
    ///
    /// # Errors
    /// [`SocketError::Accept`], when the host accepts no connection any more.
    pub fn next(&mut self, stop: &Stop) -> Result<Option<UnixStream>, SocketError> {
        let listener = match &mut self.source {
            Source::Connected(stream) => return Ok(stream.take()),
            Source::Listener(listener) => listener,
        };
        let mut pause = None;
        loop {
            let accepted = match stop.wait(&*listener, PollFlags::IN, None) {
                Ok(Waited::Ready) => listener.accept(),
                Ok(Waited::Stopped | Waited::TimedOut) => return Ok(None),
                Err(error) => Err(error),
            };
            match accepted {
                Ok((stream, _)) => {
                    if pause.is_some() {
                        log_limited!(log::Level::Info, "connections are accepted again");
                    }
                    return Ok(Some(stream));
                }
                Err(error) if is_out_of_resources(&error) => {
                    if pause.is_none() {
                        log_limited!(
                            log::Level::Warn,
                            "a connection waits, because it cannot be accepted: {error}; raise the host's limits \
                             (ulimit -n, fs.file-max) or end what uses them"
                        );
                    }
                    let now = pause.unwrap_or(ACCEPT_PAUSE_MIN);
                    if stop.pause(now) {
                        return Ok(None);
                    }
                    pause = Some((now * 2).min(ACCEPT_PAUSE_MAX));
                }
                // Given up by the peer, taken by another process, or a signal.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(SocketError::Accept(error)),
            }
        }
    }
}
