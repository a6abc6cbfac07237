//! The card's process.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::process::Process;
use super::{Ended, MachineError};

/// How the card keeps time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Time moves when a wave buffer is filled: output depends on the events alone.
    #[default]
    Lockstep,
    /// Frames follow the host's clock.
    Realtime,
}

impl Clock {
    /// As the card's command line has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lockstep => "lockstep",
            Self::Realtime => "realtime",
        }
    }
}

/// What the card is started with.
#[derive(Clone, Debug, Default)]
pub struct CardOptions {
    /// How it keeps time.
    pub clock: Clock,
    /// Instruments instead of the built-in ones.
    pub bank: Option<PathBuf>,
    /// Frames that the synthesizer renders at a time; nothing that is heard may depend on it.
    pub render_block: Option<u32>,
}

/// The card's process.
#[derive(Debug)]
pub struct Card {
    process: Process,
    /// The command line, for the record.
    pub command_line: Vec<String>,
}

impl Card {
    /// Starts the card on a listening socket at a path.
    ///
    /// # Errors
    /// When socket or process cannot be made.
    pub fn start(program: &Path, options: &CardOptions, socket: &Path, log: &Path) -> Result<Self, MachineError> {
        let resource = |source| MachineError::Resource { what: "the card's socket", source };
        // The socket listens before either side runs, so there is nothing to wait for.
        let listener: OwnedFd = UnixListener::bind(socket).map_err(resource)?.into();
        let mut command = Command::new(program);
        command.args(["--fd", &listener.as_raw_fd().to_string(), "--clock", options.clock.name()]);
        if let Some(bank) = &options.bank {
            command.arg("--bank").arg(bank);
        }
        if let Some(frames) = options.render_block {
            command.args(["--render-block", &frames.to_string()]);
        }
        let command_line = super::qemu::command_line(&command);
        Ok(Self { process: Process::spawn(command, &[&listener], log)?, command_line })
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<Ended> {
        self.process.ended()
    }

    /// Ends it.
    pub fn stop(&mut self) -> Ended {
        self.process.stop()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        self.process.tail()
    }
}
