#![allow(unsafe_code, reason = "close_range closes descriptors that are bare numbers")]
//! Closes the descriptors that the process was started with.

use std::io;
use std::os::fd::RawFd;
use std::path::{Component, Path};

use super::error::SandboxError;

/// The first descriptor that is not a standard stream.
const FIRST: RawFd = 3;

/// Closes every descriptor but standard input, standard output, standard error and those of `keep`. To be called before
/// the process opens anything.
///
/// # Errors
/// [`SandboxError::Descriptors`], when the host refuses it.
pub fn close_inherited(keep: &[RawFd]) -> Result<(), SandboxError> {
    let mut kept: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd >= FIRST).collect();
    kept.sort_unstable();
    let mut first = FIRST;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd.saturating_add(1));
    }
    close_range(first, RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> Result<(), SandboxError> {
    // SAFETY: the numbers are not negative, and no value of this process owns a descriptor in the range yet: the caller has
    // opened none, and the standard library keeps none but the standard streams.
    let done = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    match io::Error::last_os_error() {
        _ if done == 0 => Ok(()),
        // Before Linux 5.9, or refused by a container that does not know it.
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => close_one_by_one(first, last),
        error => Err(SandboxError::Descriptors(error)),
    }
}

fn close_one_by_one(first: RawFd, last: RawFd) -> Result<(), SandboxError> {
    // All of them first: the folder has a descriptor itself while it is read.
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")
        .map_err(SandboxError::Descriptors)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| (first..=last).contains(fd))
        .collect();
    for fd in numbers {
        // SAFETY: as above. One number was that of the folder, which is closed by now: that is an error without effect.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Returns the descriptor that a path leads to, if it is one of this process: what a shell's `<(...)` passes.
#[must_use]
pub fn named_by(path: &Path) -> Option<RawFd> {
    let mut names = path.components().filter(|component| *component != Component::CurDir);
    let mut next = || names.next()?.as_os_str().to_str();
    let (root, first) = (next()?, next()?);
    let folder = match (root, first) {
        ("/", "dev") => next()? == "fd",
        ("/", "proc") => matches!(next()?, "self" | "thread-self") && next()? == "fd",
        _ => false,
    };
    if folder { next()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_descriptors_in_paths() {
        for (path, fd) in [
            ("/dev/fd/63", Some(63)),
            ("/proc/self/fd/7", Some(7)),
            ("//dev/./fd//5", Some(5)),
            ("/dev/null", None),
            ("dev/fd/3", None),
            ("/dev/fd/x", None),
            ("song.dls", None),
            ("-", None),
        ] {
            assert_eq!(named_by(Path::new(path)), fd, "{path}");
        }
    }
}
