//! The command line that every card of this crate has.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::card::Card;
use crate::description::Description;
use crate::handle::Handle;
use crate::listener::Sockets;
use crate::server::{ServeError, Server};
use crate::tap::Tap;

/// The exit code of a command line that is wrong, as clap has it.
const USAGE: u8 = 2;

/// Why a card cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The command line is wrong, or asks for help.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// The card cannot be served.
    #[error("{0}")]
    Serve(#[from] ServeError),
    /// A trace is wanted of a card without a recorder.
    #[error(
        "--trace: this card has no recorder; its `main` calls `run`, and `run_recorded` with a recorder writes a trace"
    )]
    NoRecorder,
    /// The recorder refuses.
    #[error("--trace {option}: {source}")]
    Recorder {
        /// The option's value.
        option: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What opens a recorder, by the value of `--trace` and the name of the card.
pub type Recorder = fn(&str, &str) -> Result<Arc<dyn Tap>, Box<dyn std::error::Error + Send + Sync>>;

/// A PCI card in a process of its own, for QEMU's vfio-user-pci
#[derive(Debug, Parser)]
struct Arguments {
    /// Listen for QEMU on this unix socket
    #[arg(value_name = "SOCKET", required_unless_present = "socket_option")]
    socket: Option<PathBuf>,
    /// Answer commands, one JSON object a line, on this unix socket
    #[arg(value_name = "CONTROL", conflicts_with = "control_option")]
    control: Option<PathBuf>,
    /// The same as SOCKET
    #[arg(id = "socket_option", long = "socket", value_name = "SOCKET", conflicts_with_all = ["socket", "control"])]
    socket_option: Option<PathBuf>,
    /// The same as CONTROL
    #[arg(id = "control_option", long = "control", value_name = "CONTROL")]
    control_option: Option<PathBuf>,
    /// Record every act of the card into this file
    #[arg(long, value_name = "FILE[,size=BYTES]")]
    trace: Option<String>,
}

impl Arguments {
    fn sockets(self) -> Result<Sockets, clap::Error> {
        let socket = self.socket.or(self.socket_option);
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument);
        Ok(Sockets { socket: socket.ok_or_else(missing)?, control: self.control.or(self.control_option) })
    }
}

impl Sockets {
    /// Reads a command line: `NAME SOCKET [CONTROL]`, or `NAME --socket SOCKET [--control CONTROL]`. `--trace` is [`run`]'s affair.
    ///
    /// # Errors
    /// [`clap::Error`], when the command line is wrong or asks for help.
    pub fn from_arguments<A: Into<OsString> + Clone>(
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, clap::Error> {
        Arguments::try_parse_from(arguments)?.sockets()
    }
}

/// Runs a card as a program: reads the command line, serves the card that `make` makes until SIGTERM, SIGINT or the
/// command `shutdown`, and returns the exit code of `main`. The log goes to standard error; `RUST_LOG` filters it.
pub fn run<C: Card + 'static>(description: Description, make: impl FnOnce(Handle) -> C) -> ExitCode {
    run_with(description, None, make)
}

/// As [`run`], with a recorder for the option `--trace`.
pub fn run_recorded<C: Card + 'static>(
    description: Description,
    recorder: Recorder,
    make: impl FnOnce(Handle) -> C,
) -> ExitCode {
    run_with(description, Some(recorder), make)
}

fn run_with<C: Card + 'static>(
    description: Description,
    recorder: Option<Recorder>,
    make: impl FnOnce(Handle) -> C,
) -> ExitCode {
    // Each line begins with the card's name: a harness mixes it with those of QEMU and the guest.
    let name = description.name.clone();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(move |out, record| match record.level() {
            log::Level::Info => writeln!(out, "{name}: {}", record.args()),
            level => writeln!(out, "{name}: {}: {}", level.as_str().to_lowercase(), record.args()),
        })
        .init();
    match serve(description, recorder, make) {
        Ok(()) => ExitCode::SUCCESS,
        Err(RunError::Usage(error)) => {
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve<C: Card + 'static>(
    description: Description,
    recorder: Option<Recorder>,
    make: impl FnOnce(Handle) -> C,
) -> Result<(), RunError> {
    let mut arguments = Arguments::try_parse_from(std::env::args_os())?;
    let trace = arguments.trace.take();
    let sockets = arguments.sockets()?;
    let tap = match (&trace, recorder) {
        (None, _) => None,
        (Some(_), None) => return Err(RunError::NoRecorder),
        (Some(option), Some(open)) => {
            let failed = |source| RunError::Recorder { option: option.clone(), source };
            Some(open(option, &description.name).map_err(failed)?)
        }
    };
    let mut server = Server::bind(description, &sockets)?;
    if let Some(tap) = tap {
        server = server.recorded(tap);
    }
    server.stop().on_signals().map_err(ServeError::from)?;
    log::info!("waits for QEMU at {}", sockets.socket.display());
    Ok(server.run(make)?)
}
