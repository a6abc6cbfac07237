//! The guard between QEMU and the card: a small process that keeps QEMU's connection when the card is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use card_control::guard::{PROGRAM, options};

use super::error::MachineError;
use crate::host::ended::Ended;
use crate::host::process::Process;

/// The longest time until a guard listens. It takes milliseconds; only a busy host makes it take seconds.
const LISTEN_LIMIT: Duration = Duration::from_secs(10);

/// The interval at which a wait looks whether it does.
const POLL: Duration = Duration::from_millis(1);

/// The guard's process.
#[derive(Debug)]
pub(super) struct Guard(Process);

impl Guard {
    /// Starts the guard beside `card`, the card's program, and waits until it listens for QEMU on `machine` and for cards on
    /// `back_end`.
    ///
    /// # Errors
    /// [`MachineError::Spawn`] where it cannot be started, [`MachineError::Resource`] where it does not listen.
    pub(super) fn start(card: &Path, machine: &Path, back_end: &Path, log: &Path) -> Result<Self, MachineError> {
        let mut command = Command::new(program(card));
        command.arg("--socket").arg(machine).arg("--backend-listen").arg(back_end);
        command.args(options());
        let mut guard = Self(Process::spawn(command, Vec::new(), log)?);
        let begun = Instant::now();
        while !(machine.exists() && back_end.exists()) {
            if guard.ended().is_some() || begun.elapsed() > LISTEN_LIMIT {
                let source = std::io::Error::other(guard.0.tail());
                return Err(MachineError::Resource { what: "the guard's socket", source });
            }
            std::thread::sleep(POLL);
        }
        Ok(guard)
    }

    /// Returns how it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        self.0.ended()
    }
}

/// Returns the guard's program beside the card's.
fn program(card: &Path) -> PathBuf {
    card.with_file_name(PROGRAM)
}
