//! The command line that every card of this crate has.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::card::Card;
use crate::description::Description;
use crate::handle::Handle;
use crate::listener::Sockets;
use crate::server::{ServeError, Server};

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
}

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
}

impl Sockets {
    /// Reads a command line: `NAME SOCKET [CONTROL]`, or `NAME --socket SOCKET [--control CONTROL]`.
    ///
    /// # Errors
    /// [`clap::Error`], when the command line is wrong or asks for help.
    pub fn from_arguments<A: Into<OsString> + Clone>(
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self, clap::Error> {
        let Arguments { socket, control, socket_option, control_option } = Arguments::try_parse_from(arguments)?;
        let socket = socket.or(socket_option);
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingRequiredArgument);
        Ok(Self { socket: socket.ok_or_else(missing)?, control: control.or(control_option) })
    }
}

/// Runs a card as a program: reads the command line, serves the card that `make` makes until SIGTERM, SIGINT or the
/// command `shutdown`, and returns the exit code of `main`. The log goes to standard error; `RUST_LOG` filters it.
pub fn run<C: Card + 'static>(description: Description, make: impl FnOnce(Handle) -> C) -> ExitCode {
    // Each line begins with the card's name: a harness mixes it with those of QEMU and the guest.
    let name = description.name.clone();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .format(move |out, record| match record.level() {
            log::Level::Info => writeln!(out, "{name}: {}", record.args()),
            level => writeln!(out, "{name}: {}: {}", level.as_str().to_lowercase(), record.args()),
        })
        .init();
    match serve(description, make) {
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

fn serve<C: Card + 'static>(description: Description, make: impl FnOnce(Handle) -> C) -> Result<(), RunError> {
    let sockets = Sockets::from_arguments(std::env::args_os())?;
    let server = Server::bind(description, &sockets)?;
    server.stop().on_signals().map_err(ServeError::from)?;
    log::info!("waits for QEMU at {}", sockets.socket.display());
    Ok(server.run(make)?)
}
