//! Requests the end of a server: by a signal, over the control socket, or by another thread.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

/// A pipe that becomes readable when the server is to end, and stays so: what is written into it is never read.
#[derive(Clone, Debug)]
pub struct Stop(Arc<(PipeReader, PipeWriter)>);

impl Stop {
    /// Returns a stop that is not requested yet.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(io::pipe()?)))
    }

    /// Requests the stop at SIGTERM and SIGINT.
    ///
    /// # Errors
    /// The host's error, when a handler of the signals cannot be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, self.0.1.try_clone()?)?;
        }
        Ok(())
    }

    /// Requests the end of the server.
    pub fn request(&self) {
        let mut writer: &PipeWriter = &self.0.1;
        // It cannot fail: the reading end is held, and a pipe takes more bytes than there are requests.
        let _ = writer.write(b"X");
    }

    /// Returns whether the end is requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        wait(&[(self.as_fd(), PollFlags::IN)], Some(Instant::now())).is_ok_and(|[stopped]| stopped)
    }

    /// Requests the stop when it is dropped in a panic, so that no other thread goes on without this one.
    pub(crate) fn on_panic(&self) -> OnPanic<'_> {
        OnPanic(self)
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

/// See [`Stop::on_panic`].
pub(crate) struct OnPanic<'a>(&'a Stop);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.request();
        }
    }
}

/// Waits until one of the descriptors is ready or broken, or until `deadline`; signals do not end it. Returns which are.
///
/// # Errors
/// The host's error, when it is out of memory.
pub(crate) fn wait<const N: usize>(
    fds: &[(BorrowedFd<'_>, PollFlags); N],
    deadline: Option<Instant>,
) -> io::Result<[bool; N]> {
    let mut watched = fds.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags));
    loop {
        let left = deadline.map(|deadline| {
            let left: Duration = deadline.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
        });
        match poll(&mut watched, left.as_ref()) {
            Ok(_) => return Ok(watched.each_ref().map(|fd| !fd.revents().is_empty())),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
