//! A path in the file system that a socket of this process is bound to.
//!
//! A path is taken only when no file is there, or a socket that no process has any more. Several processes that start at
//! once take turns, so that none mistakes a socket that another has just bound for a dead one.

use std::ffi::OsString;
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FlockOperation, OFlags, RenameFlags, Stat, flock, renameat_with, statat};
use rustix::io::Errno;

use super::error::{SocketError, TURN_TIME_MAX};
use crate::stop::Stop;

/// The interval at which a process checks whether its turn has come.
const TURN_PAUSE: Duration = Duration::from_millis(2);

/// The number of tries of a path when other programs, which take no turns, bind and remove it meanwhile.
const TRIES: u32 = 3;

/// A path that leads to a socket of this process.
#[derive(Debug)]
pub struct BoundPath {
    path: PathBuf,
    device: u64,
    inode: u64,
    removed: AtomicBool,
}

impl BoundPath {
    /// Removes the path from the file system, once, if it still leads to this socket. To be done before the socket is
    /// closed: as long as the socket exists, the number of its inode is not given to another.
    pub fn remove(&self) {
        let ours = |found: Stat| (found.st_dev, found.st_ino) == (self.device, self.inode);
        if !self.removed.swap(true, Ordering::AcqRel)
            && statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(ours)
        {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds a listening stream socket to `path`.
///
/// # Errors
/// [`SocketError::NotASocket`], [`SocketError::InUse`] and [`SocketError::Unclear`] when the file at the path must not be
/// replaced; [`SocketError::Busy`] when other processes take their turn for too long; [`SocketError::Bind`] when the
/// host refuses. The file at the path is untouched.
pub(super) fn bind(path: &Path, stop: &Stop) -> Result<(UnixListener, BoundPath), SocketError> {
    let refused = |source: io::Error| SocketError::Bind { path: path.to_owned(), source };
    if path.file_name().is_none() {
        return Err(refused(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file")));
    }
    let _turn = Turn::take(path, stop)?;
    for _ in 0..TRIES {
        match UnixListener::bind(path) {
            Ok(listener) => {
                let found = fs::symlink_metadata(path).map_err(refused)?;
                let (path, removed) = (path.to_owned(), AtomicBool::new(false));
                return Ok((listener, BoundPath { path, device: found.dev(), inode: found.ino(), removed }));
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => remove_dead(path)?,
            Err(error) => return Err(refused(error)),
        }
    }
    Err(SocketError::InUse(path.to_owned()))
}

/// Removes the socket at `path` if no process has it any more.
fn remove_dead(path: &Path) -> Result<(), SocketError> {
    let refused = |source: io::Error| SocketError::Bind { path: path.to_owned(), source };
    let Some(found) = look(path).map_err(refused)? else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket { path: path.to_owned(), what: kind(found.file_type()) });
    }
    match is_alive(path) {
        Ok(true) => return Err(SocketError::InUse(path.to_owned())),
        Ok(false) => {}
        Err(source) => return Err(SocketError::Unclear { path: path.to_owned(), source }),
    }
    // Not removed at once: a program that takes no turns may have put another in its place by now.
    let aside = beside(path, &format!("dead-{}", std::process::id()));
    match rename(path, &aside) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(error)),
    }
    if look(&aside).map_err(refused)?.is_some_and(|moved| is_same(&found, &moved)) {
        return fs::remove_file(&aside).map_err(refused);
    }
    rename(&aside, path).map_err(refused)?;
    Err(SocketError::InUse(path.to_owned()))
}

/// Returns what file is at a path, if one is. A link is not followed.
fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns whether two looks were at one file. The number of an inode is used again when it is free, the time it was made at is not.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let identity = |found: &Metadata| (found.dev(), found.ino(), found.mtime(), found.mtime_nsec());
    identity(one) == identity(other)
}

/// Returns whether some process has the socket at `path`.
///
/// It connects a datagram socket to the path: the kernel finds the socket first and compares kinds then, so a stream
/// socket shows that it is there, listening or not and however full its backlog is, and never sees a connection.
fn is_alive(path: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(path) {
        Ok(()) => Ok(true),
        Err(error) => match Errno::from_io_error(&error) {
            // The last: a datagram socket that takes messages from one peer only.
            Some(Errno::PROTOTYPE | Errno::AGAIN | Errno::PERM) => Ok(true),
            Some(Errno::CONNREFUSED) => Ok(false),
            _ => Err(error),
        },
    }
}

/// Moves a file to a path at which no file is.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot promise it.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        done => Ok(done?),
    }
}

fn kind(file: FileType) -> &'static str {
    if file.is_file() {
        "a regular file"
    } else if file.is_dir() {
        "a folder"
    } else if file.is_symlink() {
        "a symbolic link"
    } else if file.is_fifo() {
        "a named pipe"
    } else {
        "a device"
    }
}

/// Returns a hidden file in the same folder, named after `path`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// The turn at a path: a locked file beside it, which exists for as long as the path is being bound.
#[derive(Debug)]
struct Turn {
    path: PathBuf,
    file: File,
}

impl Turn {
    fn take(path: &Path, stop: &Stop) -> Result<Self, SocketError> {
        let refused = |source: io::Error| SocketError::Bind { path: path.to_owned(), source };
        let lock = beside(path, "lock");
        let deadline = Instant::now() + TURN_TIME_MAX;
        loop {
            if let Some(turn) = Self::try_take(&lock).map_err(refused)? {
                return Ok(turn);
            }
            if Instant::now() >= deadline || stop.pause(TURN_PAUSE) {
                return Err(SocketError::Busy { path: path.to_owned(), lock });
            }
        }
    }

    /// Takes the turn; `None` when another process has it.
    fn try_take(lock: &Path) -> io::Result<Option<Self>> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags as i32);
        let file = options.open(lock)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // The process before may have removed the file after it was opened here.
        let current = look(lock)?.is_some_and(|found| file.metadata().is_ok_and(|held| is_same(&found, &held)));
        Ok(current.then(|| Self { path: lock.to_owned(), file }))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A file of this name with something in it is the user's.
        if self.file.metadata().is_ok_and(|held| held.is_file() && held.len() == 0) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(path: &Path) -> Result<(UnixListener, BoundPath), SocketError> {
        bind(path, &Stop::new().unwrap())
    }

    #[test]
    fn removes_a_path_only_while_it_leads_to_its_own_socket() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (listener, place) = bound(&path).unwrap();
        place.remove();
        drop(listener);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left, not even the lock");

        let (_listener, place) = bound(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        place.remove();
        assert!(path.exists());
    }

    #[test]
    fn waits_for_a_lock_that_is_held_and_keeps_a_file_of_the_users() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let lock = beside(&path, "lock");
        fs::write(&lock, "mine").unwrap();
        let held = File::open(&lock).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || bound(&path).map(drop))
        };
        std::thread::sleep(TURN_PAUSE * 5);
        assert!(!path.exists());
        drop(held);
        waiting.join().unwrap().unwrap();
        assert_eq!(fs::read(&lock).unwrap(), b"mine");
    }
}
