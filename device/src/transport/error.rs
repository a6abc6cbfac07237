//! Why a socket cannot be used.

use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;

/// The time of another process's turn at a path after which this one gives up. A turn is a handful of system calls;
/// a machine that is busy, or a stopped process, makes it long.
pub const TURN_TIME_MAX: Duration = Duration::from_secs(2);

/// Why a socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process has a socket there.
    #[error("cannot listen on {}: a process uses the socket there; stop it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// A file that is no socket is at the path.
    #[error(
        "cannot listen on {}: {what} stands there, and only a socket that a dead process has left is replaced; move it \
         away, or choose another path", path.display()
    )]
    NotASocket {
        /// The path of the socket.
        path: PathBuf,
        /// The kind of the file at the path.
        what: &'static str,
    },
    /// The host cannot tell whether a process has the socket.
    #[error(
        "cannot listen on {}: whether a process still uses the socket there cannot be found out: {source}; remove it if \
         none does, or choose another path", path.display()
    )]
    Unclear {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the host.
        source: io::Error,
    },
    /// Another process has been binding it for a long time.
    #[error(
        "cannot listen on {}: another process has held {} for more than {} s, as a card does for the moment in which it \
         takes the path; stop it, or choose another path", path.display(), lock.display(), TURN_TIME_MAX.as_secs()
    )]
    Busy {
        /// The path of the socket.
        path: PathBuf,
        /// The file that it holds.
        lock: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {}: {source}; the folder must exist and be writable", path.display())]
    Bind {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the host.
        source: io::Error,
    },
    /// The descriptor is no socket.
    #[error("descriptor {fd} is not a usable unix socket: {source}; pass a listening or a connected one")]
    Descriptor {
        /// Its number.
        fd: RawFd,
        /// The error of the host.
        source: io::Error,
    },
    /// No connection can be accepted any more.
    #[error("cannot accept a connection: {0}")]
    Accept(#[source] io::Error),
}
