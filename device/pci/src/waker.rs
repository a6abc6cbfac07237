//! Wakes the clock's thread, from any other.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// A pipe that the clock's thread watches.
#[derive(Debug)]
pub(crate) struct Waker {
    reader: PipeReader,
    writer: PipeWriter,
}

impl Waker {
    /// Makes a pipe that nothing has been written to.
    ///
    /// # Errors
    /// The host's error, when it has no more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Self { reader, writer })
    }

    /// Makes the clock's thread call the card soon.
    pub(crate) fn wake(&self) {
        // A full pipe wakes as well as one byte more.
        let _ = (&self.writer).write(b"W");
    }

    /// Forgets all calls of [`wake`](Self::wake) so far.
    pub(crate) fn clear(&self) {
        let mut bytes = [0; 512];
        while matches!((&self.reader).read(&mut bytes), Ok(count) if count == bytes.len()) {}
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
