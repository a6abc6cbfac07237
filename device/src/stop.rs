//! How the process is asked to leave: by a signal, or over the control socket.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use signal_hook::consts::{SIGINT, SIGTERM};

/// Becomes readable when the process is to leave, and stays so: nobody reads it.
#[derive(Clone, Debug)]
pub struct Stop(Arc<(PipeReader, PipeWriter)>);

impl Stop {
    /// Not asked yet.
    ///
    /// # Errors
    /// The host has no more descriptors.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(io::pipe()?)))
    }

    /// Asks when a signal says that the process should end.
    ///
    /// # Errors
    /// The signals cannot be caught.
    pub fn on_signals(&self) -> io::Result<()> {
        for signal in [SIGTERM, SIGINT] {
            signal_hook::low_level::pipe::register(signal, self.0.1.try_clone()?)?;
        }
        Ok(())
    }

    /// Asks.
    pub fn request(&self) {
        let mut writer: &PipeWriter = &self.0.1;
        // It cannot fail: the reading end is held, and a pipe takes more bytes than anybody asks times.
        let _ = writer.write(b"X");
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}
