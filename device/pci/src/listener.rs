//! Listens on a unix socket's path: takes over what a dead process left there, and removes the path at the end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The longest path that is a socket's address: `sun_path` of unix(7) has 108 bytes, with a zero byte at its end.
const ADDRESS_BYTES_MAX: usize = 107;

/// The sockets that a card listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sockets {
    /// Where QEMU's `vfio-user-pci` connects.
    pub socket: PathBuf,
    /// Where a harness connects, if it is to.
    pub control: Option<PathBuf>,
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// A live process listens there.
    #[error("{} is in use by another process; end it, or choose another path", .0.display())]
    InUse(PathBuf),
    /// Something else has that name.
    #[error("{} exists and is no socket; choose another path", .0.display())]
    NoSocket(PathBuf),
    /// The path has no file name.
    #[error("`{}` names no file; give the path of a socket to create", .0.display())]
    NoName(PathBuf),
    /// The host refuses.
    #[error("cannot listen on {}: {error}", path.display())]
    Host {
        /// The socket's path.
        path: PathBuf,
        /// The host's error.
        error: io::Error,
    },
}

/// A socket that is listened on; its path is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the path: another process may have put its own there since.
    identity: Option<(u64, u64)>,
}

impl Listener {
    /// Listens on `path`, which only this user can connect to.
    ///
    /// # Errors
    /// [`SocketError`], when the path is taken or the host refuses.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let host = |error| SocketError::Host { path: path.to_path_buf(), error };
        let name = path.file_name().ok_or_else(|| SocketError::NoName(path.to_path_buf()))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = File::open(folder).map_err(host)?;
        let short = if path.as_os_str().len() <= ADDRESS_BYTES_MAX {
            // As it is: others find it under this name in /proc/net/unix.
            path.to_path_buf()
        } else {
            // A folder's descriptor stands for its path.
            Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
        };
        match std::fs::symlink_metadata(&short) {
            Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NoSocket(path.to_path_buf())),
            Ok(_) => match UnixStream::connect(&short) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(&short).map_err(host)?;
                }
                _ => return Err(SocketError::InUse(path.to_path_buf())),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(host(error)),
        }
        let listener = UnixListener::bind(&short).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketError::InUse(path.to_path_buf()),
            _ => host(error),
        })?;
        listener.set_nonblocking(true).map_err(host)?;
        std::fs::set_permissions(&short, std::fs::Permissions::from_mode(0o600)).map_err(host)?;
        Ok(Self { listener, path: path.to_path_buf(), identity: identity(path) })
    }

    /// Takes over a socket that listens already. Its path, if it has one, is not removed.
    ///
    /// # Errors
    /// The host's error, when it is no socket.
    pub(crate) fn adopt(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: PathBuf::new(), identity: None })
    }

    /// Accepts a connection that waits, if one does.
    ///
    /// # Errors
    /// The host's error, such as too many open files.
    pub(crate) fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(true)?;
                Ok(Some(stream))
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}
