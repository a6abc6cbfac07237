//! What of QEMU's stub is chosen, and how it gets onto QEMU's command line.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;

use super::socket::StubSocket;

/// The name of the stub's character device.
pub(super) const STUB: &str = "gdb";

/// Takes sentences for people, from a thread of the machine's.
#[derive(Clone)]
pub struct Teller(Arc<dyn Fn(&str) + Send + Sync>);

impl Teller {
    /// Wraps a function that shows a sentence.
    #[must_use]
    pub fn new(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Shows a sentence.
    pub fn tell(&self, text: &str) {
        (self.0)(text);
    }
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Teller")
    }
}

/// QEMU's stub for a debugger.
#[derive(Clone, Debug)]
pub struct Stub {
    /// The socket that it listens on.
    pub socket: StubSocket,
    /// Whether the machine waits for a debugger before its first instruction.
    pub wait: bool,
    /// Whether the guest can pause the machine (see [`guest_protocol::pause`]).
    pub pausable: bool,
    /// How a debugger is attached, for the sentence about a machine that has paused.
    pub how_to_attach: String,
    /// Shows what happens.
    pub teller: Teller,
}

impl Stub {
    /// Adds the stub, and the monitor that watches it, to QEMU's command line. Returns the harness's end of the monitor, and the end
    /// that QEMU inherits.
    ///
    /// # Errors
    /// The error of the host, where it gives no socket.
    pub(in crate::machine) fn add_to(&self, command: &mut Command) -> io::Result<(UnixStream, OwnedFd)> {
        let (monitor, of_qemu) = UnixStream::pair()?;
        let of_qemu: OwnedFd = of_qemu.into();
        command.arg("-chardev").arg(self.socket.character_device(STUB));
        command.args(["-gdb", &format!("chardev:{STUB}")]);
        command.args(["-chardev", &format!("socket,id=stub,fd={}", of_qemu.as_raw_fd())]);
        command.args(["-mon", "chardev=stub,mode=control"]);
        if self.wait {
            command.arg("-S");
        }
        if self.pausable {
            command.args(["-device", "pvpanic", "-action", "panic=pause"]);
        }
        Ok((monitor, of_qemu))
    }
}
