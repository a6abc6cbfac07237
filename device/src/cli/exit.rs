//! Why the process ends, and with which exit code.

use card_control::ExitCode;
use card_control::event_list::EventListError;
use card_trace::CreateError;

use super::whole_file::WholeFileError;
use crate::card::line_out::LineOutError;
use crate::control_socket::ControlSocketError;
use crate::replay::RecordingError;
use crate::sandbox::{self, SandboxError};
use crate::transport::SocketError;

/// Text of `--help` about exit codes.
pub const HELP: &str = "Exit codes:
  0   QEMU has disconnected, or the rendering is complete
  2   the command line is wrong
  3   the instrument bank is missing or broken
  4   a socket is in use, or cannot be used
  5   a file or standard output cannot be written (no permission, disk full)
  6   the event list is missing or malformed
  7   the sandbox cannot be set up on this host (--sandbox off runs without it)
  8   a recording cannot be replayed: cut, damaged, of another version, or of another bank
  70  the card failed: a defect, please report it
  71  the sandbox has refused a system call: a defect or an attack, please report it
  130 render, bank: interrupted; files that were not complete are not there

A signal (SIGTERM, SIGINT) ends a card that serves QEMU within 200 ms, with 0 when its files are complete.

Log: set RUST_LOG, for example RUST_LOG=info or RUST_LOG=dmus_card=debug. Everything that the card finds wrong with a
driver is logged as a warning, which is on by default.";

/// Why the process ends.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong, or names what does not exist.
    #[error("{0}")]
    Arguments(String),
    /// The bank cannot be read.
    #[error(
        "cannot read the instrument bank {path}: {source}; give the path of a DLS file, or leave --bank out to use the built-in one"
    )]
    BankFile {
        /// Its path.
        path: String,
        /// The error of the host.
        source: std::io::Error,
    },
    /// The file is no usable bank.
    #[error("{path} is not a usable instrument bank: {source}")]
    Bank {
        /// Its path.
        path: String,
        /// The cause.
        source: dls_synth::BankError,
    },
    /// The file carries no song.
    #[error("{path} is no file that carries a song: {source}")]
    Container {
        /// Its path.
        path: String,
        /// The cause.
        source: dls_synth::BankError,
    },
    /// The socket for QEMU.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlSocketError),
    /// The connection to QEMU broke.
    #[error("the connection to QEMU failed: {0}")]
    Connection(#[source] std::io::Error),
    /// A sound file.
    #[error(transparent)]
    Output(#[from] LineOutError),
    /// The trace.
    #[error(transparent)]
    Trace(#[from] CreateError),
    /// Standard output.
    #[error("standard output cannot be written, and the result is lost: {0}; give it a place with room")]
    StandardOutput(#[source] std::io::Error),
    /// A file that was not completed.
    #[error(transparent)]
    WholeFile(#[from] WholeFileError),
    /// An event list.
    #[error(transparent)]
    EventList(#[from] EventListError),
    /// A recording.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The sandbox.
    #[error("{}", sandbox::unavailable(.0))]
    Sandbox(#[from] SandboxError),
    /// A signal has interrupted the command.
    #[error("interrupted; {}", written(*complete))]
    Interrupted {
        /// The number of files that were complete by then.
        complete: usize,
    },
    /// A defect of the card.
    #[error("{0}")]
    Internal(String),
}

impl Failure {
    /// Wraps the host's error for `map_err`, when it refuses a thread or a descriptor.
    #[must_use]
    pub fn out_of_resources(error: std::io::Error) -> Self {
        Self::Internal(format!("the host refuses a thread or a descriptor: {error}; raise its limits (ulimit -n, -u)"))
    }

    /// Returns the code that the process ends with.
    #[must_use]
    pub const fn code(&self) -> ExitCode {
        match self {
            Self::Arguments(_) => ExitCode::Usage,
            Self::BankFile { .. } | Self::Bank { .. } | Self::Container { .. } => ExitCode::Bank,
            Self::Socket(_) | Self::Control(_) | Self::Connection(_) => ExitCode::Socket,
            Self::Output(_) | Self::Trace(_) | Self::WholeFile(_) | Self::StandardOutput(_) => ExitCode::File,
            Self::EventList(_) => ExitCode::EventList,
            Self::Recording(_) => ExitCode::Recording,
            Self::Sandbox(_) => ExitCode::Sandbox,
            Self::Internal(_) => ExitCode::Internal,
            Self::Interrupted { .. } => ExitCode::Interrupted,
        }
    }
}

/// Returns what an interrupted command leaves, as a sentence.
fn written(complete: usize) -> String {
    match complete {
        0 => "nothing was written".into(),
        1 => "the file was complete already".into(),
        more => format!("{more} files were complete already"),
    }
}
