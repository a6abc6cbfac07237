//! Requests the end of the process: by a signal, or over the control socket.
//!
//! Every wait of the card's host side goes through [`Stop::wait`] or [`Stop::pause`], so that no peer can hold it.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGINT, SIGTERM};

/// A pipe that becomes readable when the process is to end, and stays so: what is written into it is never read.
#[derive(Clone, Debug)]
pub struct Stop(Arc<(PipeReader, PipeWriter)>);

/// The end of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The descriptor is ready, or broken: the next call on it does not block.
    Ready,
    /// The process is to end.
    Stopped,
    /// The time is over.
    TimedOut,
}

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

    /// Requests the end of the process.
    pub fn request(&self) {
        let mut writer: &PipeWriter = &self.0.1;
        // It cannot fail: the reading end is held, and a pipe takes more bytes than there are requests.
        let _ = writer.write(b"X");
    }

    /// Returns whether the process is to end.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.pause(Duration::ZERO)
    }

    /// Waits until `fd` is ready for one of `flags`, until the process is to end, or until `deadline`. The end goes first.
    ///
    /// # Errors
    /// The host's error, when it is out of memory.
    pub fn wait(&self, fd: impl AsFd, flags: PollFlags, deadline: Option<Instant>) -> io::Result<Waited> {
        let mut watched = [PollFd::new(self, PollFlags::IN), PollFd::from_borrowed_fd(fd.as_fd(), flags)];
        wait_for(&mut watched, deadline)?;
        Ok(match watched.each_ref().map(|fd| !fd.revents().is_empty()) {
            [true, _] => Waited::Stopped,
            [false, true] => Waited::Ready,
            [false, false] => Waited::TimedOut,
        })
    }

    /// Waits for `time`, or until the process is to end: then true.
    #[must_use]
    pub fn pause(&self, time: Duration) -> bool {
        let mut watched = [PollFd::new(self, PollFlags::IN)];
        // A host without memory for one descriptor ends the pause early, which is harmless.
        let _ = wait_for(&mut watched, Instant::now().checked_add(time));
        !watched[0].revents().is_empty()
    }
}

/// Polls until something is ready or the time is over; signals do not end it.
fn wait_for(watched: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    loop {
        let left = deadline.map(|deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
        });
        match poll(watched, left.as_ref()) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_first_of_descriptor_deadline_and_stop() {
        let stop = Stop::new().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let soon = Some(Instant::now());
        assert_eq!(stop.wait(&reader, PollFlags::IN, soon).unwrap(), Waited::TimedOut);
        writer.write_all(b"x").unwrap();
        assert_eq!(stop.wait(&reader, PollFlags::IN, None).unwrap(), Waited::Ready);
        assert!(!stop.is_requested());
        stop.request();
        assert_eq!(stop.wait(&reader, PollFlags::IN, None).unwrap(), Waited::Stopped);
        assert!(stop.pause(Duration::MAX));
    }
}
