//! The socket of QEMU's stub: a path, or a port of this machine.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::host::failure::{Class, Diagnosed};
use crate::host::leftovers::SOCKET_PATH_BYTES_MAX;
use crate::machine::option::with_path;

/// Where the stub listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StubSocket {
    /// A socket with a path.
    Unix(PathBuf),
    /// A TCP port of 127.0.0.1, for debuggers that have nothing else.
    Tcp(u16),
}

/// Why the stub cannot listen there.
#[derive(Debug, thiserror::Error)]
pub enum StubSocketError {
    /// The path is longer than a socket's can be.
    #[error("the socket {path} has {bytes} bytes, and a socket's path has at most {SOCKET_PATH_BYTES_MAX}", path = path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        bytes: usize,
    },
    /// There is something already, which QEMU would remove.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// Its folder cannot be used.
    #[error("the socket {path} cannot be made: {source}", path = path.display())]
    Folder {
        /// The path.
        path: PathBuf,
        /// The error of the host.
        source: io::Error,
    },
    /// The port is taken, or not allowed.
    #[error("port {port} of 127.0.0.1 cannot be listened on: {source}")]
    Port {
        /// The port.
        port: u16,
        /// The error of the host.
        source: io::Error,
    },
}

impl Diagnosed for StubSocketError {
    fn class(&self) -> Class {
        Class::Usage
    }

    fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::TooLong { .. } => "name a shorter path with --gdb=, such as /tmp/gdb.sock; or leave it out".into(),
            Self::Exists(_) => "end what listens there and remove the file, or name another path with --gdb=".into(),
            Self::Folder { .. } => "name a path in a folder that exists and that you may write to".into(),
            Self::Port { .. } => "name another port with --gdb=, from 1024 on".into(),
        })
    }
}

impl StubSocket {
    /// Reads a socket as the command line names it: a number is a port, anything else a path.
    #[must_use]
    pub fn named(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Unix(text.into()), Self::Tcp)
    }

    /// Checks that QEMU can listen there without a loss.
    ///
    /// # Errors
    /// [`StubSocketError`] for a path that is too long, exists, or is in a folder that cannot be used, and for a port that is taken.
    pub fn check(&self) -> Result<(), StubSocketError> {
        match self {
            Self::Unix(path) => check_path(path),
            // Dropped at once: QEMU listens there next.
            Self::Tcp(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, *port))
                .map(drop)
                .map_err(|source| StubSocketError::Port { port: *port, source }),
        }
    }

    /// Returns it with a path from the root, for scripts that are run in any folder.
    ///
    /// # Errors
    /// [`StubSocketError::Folder`] where the current folder is gone.
    pub fn absolute(self) -> Result<Self, StubSocketError> {
        match self {
            Self::Unix(path) => match std::path::absolute(&path) {
                Ok(path) => Ok(Self::Unix(path)),
                Err(source) => Err(StubSocketError::Folder { path, source }),
            },
            Self::Tcp(port) => Ok(Self::Tcp(port)),
        }
    }

    /// Returns it as an option of QEMU's.
    pub(super) fn character_device(&self, id: &str) -> OsString {
        match self {
            Self::Unix(path) => {
                let mut option = with_path(&format!("socket,id={id},path="), path);
                option.push(",server=on,wait=off");
                option
            }
            Self::Tcp(port) => {
                format!("socket,id={id},host=127.0.0.1,port={port},server=on,wait=off,nodelay=on").into()
            }
        }
    }

    /// Returns it as gdb's `target remote` takes it.
    #[must_use]
    pub fn for_gdb(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string(),
            Self::Tcp(port) => format!("localhost:{port}"),
        }
    }

    /// Returns it as lldb's `process connect` takes it.
    #[must_use]
    pub fn for_lldb(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix-connect://{}", path.display()),
            Self::Tcp(port) => format!("connect://localhost:{port}"),
        }
    }
}

fn check_path(path: &Path) -> Result<(), StubSocketError> {
    let bytes = path.as_os_str().as_bytes().len();
    if bytes > SOCKET_PATH_BYTES_MAX {
        return Err(StubSocketError::TooLong { path: path.into(), bytes });
    }
    if path.symlink_metadata().is_ok() {
        return Err(StubSocketError::Exists(path.into()));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // The only way to learn whether a socket can be made is to make one.
    let made = std::os::unix::net::UnixListener::bind(path);
    let _ = std::fs::remove_file(path);
    match made {
        Ok(_) => Ok(()),
        Err(source) if folder.is_dir() => Err(StubSocketError::Folder { path: path.into(), source }),
        Err(_) => {
            let source = io::Error::new(io::ErrorKind::NotFound, format!("there is no folder {}", folder.display()));
            Err(StubSocketError::Folder { path: path.into(), source })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn a_number_is_a_port_and_anything_else_a_path() {
        assert_eq!(StubSocket::named("1234"), StubSocket::Tcp(1234));
        assert_eq!(StubSocket::named("./1234"), StubSocket::Unix("./1234".into()));
        assert_eq!(StubSocket::named("70000"), StubSocket::Unix("70000".into()), "no port has this number");
        assert_eq!(StubSocket::Tcp(1234).for_lldb(), "connect://localhost:1234");
        let option = StubSocket::Unix("/a,b".into()).character_device("gdb");
        assert_eq!(option, "socket,id=gdb,path=/a,,b,server=on,wait=off");
    }

    #[test]
    fn refuses_a_path_that_exists_is_too_long_or_has_no_folder_and_leaves_a_good_one_free() {
        let folder = Scratch::for_sockets().unwrap();
        let file = folder.path().join("here");
        std::fs::write(&file, "precious").unwrap();
        let error = StubSocket::Unix(file.clone()).check().unwrap_err();
        assert!(error.to_string().ends_with("here exists already"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
        let long = folder.path().join("x".repeat(SOCKET_PATH_BYTES_MAX));
        assert!(matches!(StubSocket::Unix(long).check(), Err(StubSocketError::TooLong { .. })));
        let error = StubSocket::Unix(folder.path().join("no/gdb.sock")).check().unwrap_err();
        assert!(error.to_string().contains("there is no folder"), "{error}");
        let good = folder.path().join("gdb.sock");
        StubSocket::Unix(good.clone()).check().unwrap();
        assert!(!good.exists());
    }

    #[test]
    fn refuses_a_port_that_is_taken() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = StubSocket::Tcp(port).check().unwrap_err();
        assert!(error.to_string().starts_with(&format!("port {port} of 127.0.0.1")), "{error}");
        drop(taken);
        StubSocket::Tcp(port).check().unwrap();
    }
}
