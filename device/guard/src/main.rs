//! A guard in a process of its own, which outlives the back-end.

mod sandbox;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgGroup, Parser, ValueEnum};
use sandbox::SandboxError;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use vhost_user_guard::{BackendChange, Connector, Finding, Guard, Limits, LossMark, descriptor_info};

/// Keeps QEMU alive in front of a vhost-user back-end: judges each message, and goes on when the back-end is gone.
#[derive(Debug, Parser)]
#[command(version, group = ArgGroup::new("back-end").required(true).args(["backend", "backend_listen"]))]
struct Arguments {
    /// Path that QEMU's chardev connects to. A socket that a dead process has left there is replaced
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,

    /// Path, or @NAME of an abstract socket, that the back-end listens on. It may come later, and again and again
    #[arg(long, value_name = "PATH")]
    backend: Option<PathBuf>,

    /// Path that the guard listens on for back-ends that connect by themselves
    #[arg(long, value_name = "PATH")]
    backend_listen: Option<PathBuf>,

    /// The back-end completes the buffers of each ring in order: a new one continues rings without a reset by the driver
    #[arg(long)]
    in_order: bool,

    /// The back-end empties kicks, so that one whose worker has ended is noticed from its first kick on
    #[arg(long)]
    reads_kicks: bool,

    /// Byte of the configuration that shows the loss of the back-end until the driver resets
    #[arg(long, value_name = "OFFSET:VALUE", value_parser = loss_mark)]
    loss_mark: Option<LossMark>,

    /// Milliseconds in which the back-end has to answer; QEMU stands still for as long
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    answer_limit: u64,

    /// Milliseconds for which a back-end may leave a kick unread
    #[arg(long, value_name = "MS", default_value_t = 10000, value_parser = clap::value_parser!(u64).range(20..))]
    kick_limit: u64,

    /// Most descriptors of a ring that the back-end takes
    #[arg(long, value_name = "NUMBER", default_value_t = 32768, value_parser = clap::value_parser!(u32).range(1..=32768))]
    ring_size: u32,

    /// Write a line of JSON to the standard output for each finding, and when the back-end comes and goes
    #[arg(long)]
    json: bool,

    /// Confine the process: system calls, files, network. Off for debuggers, and for programs that write at their end
    #[arg(long, value_name = "on|off", value_enum, default_value_t = Confinement::On)]
    sandbox: Confinement,
}

/// Whether the process is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Confinement {
    On,
    Off,
}

/// Why the guard ends.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the sandbox cannot be set up: {0}; --sandbox off runs without one")]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Host(#[from] io::Error),
}

fn loss_mark(text: &str) -> Result<LossMark, String> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let (offset, value) = text.split_once(':').ok_or("expected OFFSET:VALUE")?;
    let parse = |text: &str| number(text).map_err(|error| format!("{text}: {error}; expected 0 to 255"));
    Ok(LossMark { offset: parse(offset)?, value: parse(value)? })
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            match error {
                Failure::Sandbox(_) => ExitCode::from(sandbox::UNAVAILABLE),
                Failure::Host(_) => ExitCode::FAILURE,
            }
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.sandbox == Confinement::On {
        sandbox::close_inherited()?;
    } else {
        log::warn!(
            "the sandbox is off (--sandbox off): a guest that takes this process over has all rights of its user"
        );
    }
    let (stop, request) = UnixStream::pair()?;
    for signal in [SIGTERM, SIGINT] {
        signal_hook::low_level::pipe::register(signal, request.try_clone()?)?;
    }
    let mut bound = Bound(Vec::new());
    let connector = match (&arguments.backend, &arguments.backend_listen) {
        (_, Some(path)) => Connector::listener(bound.bind(path)?)?,
        (Some(path), None) => match path.to_str().and_then(|path| path.strip_prefix('@')) {
            Some(name) => Connector::abstract_name(name)?,
            None => Connector::path(path)?,
        },
        (None, None) => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no back-end is named").into()),
    };
    let mut limits = Limits::default();
    limits.answer = Duration::from_millis(arguments.answer_limit);
    limits.kick = Duration::from_millis(arguments.kick_limit);
    limits.ring_size = arguments.ring_size;
    let mut guard = Guard::builder(connector)
        .limits(limits)
        .completes_in_order(arguments.in_order)
        .reads_kicks(arguments.reads_kicks);
    if let Some(mark) = arguments.loss_mark {
        guard = guard.loss_mark(mark);
    }
    if arguments.json {
        guard = guard.on_finding(print_finding).on_backend(print_change);
    }
    let listener = bound.bind(&arguments.socket)?;
    log::info!("waiting for QEMU at {}", arguments.socket.display());
    if arguments.sandbox == Confinement::On {
        descriptor_info::prepare()?;
        let connects = arguments.backend_listen.is_none();
        sandbox::enter(&bound.0, connects, &limits)?;
    }
    Ok(guard.build().serve(&listener, &stop)?)
}

fn print_finding(finding: &Finding) {
    let Finding { request, ring, field, fault, expected, got, other, outcome, .. } = finding;
    print(&json!({
        "finding": finding.to_string(), "request": request, "ring": ring, "field": format!("{field:?}"),
        "fault": format!("{fault:?}"), "expected": expected, "got": got,
        "other": other.map(|(ring, field)| format!("{field:?} of ring {ring}")), "outcome": format!("{outcome:?}"),
    }));
}

fn print_change(change: &BackendChange) {
    print(&match change {
        BackendChange::Reached => json!({ "backend": "reached" }),
        BackendChange::Lost(loss) => json!({ "backend": "lost", "why": loss.to_string() }),
        BackendChange::Unfit(unfit) => json!({ "backend": "unfit", "why": unfit.to_string() }),
        _ => json!({ "backend": "changed" }),
    });
}

fn print(line: &serde_json::Value) {
    let mut out = io::stdout().lock();
    // A reader that has gone away must not end QEMU.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Paths that are removed at the end.
struct Bound(Vec<PathBuf>);

impl Bound {
    fn bind(&mut self, path: &Path) -> io::Result<UnixListener> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {}: {error}", path.display()));
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead_socket(path) => {
                fs::remove_file(path).map_err(named)?;
                UnixListener::bind(path)
            }
            bound => bound,
        };
        self.0.push(path.to_owned());
        listener.map_err(|error| {
            self.0.pop();
            named(error)
        })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// Returns whether a socket is at the path that no process listens on.
fn is_dead_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_mark_is_two_bytes() {
        assert_eq!(loss_mark("0x10:255"), Ok(LossMark { offset: 16, value: 255 }));
        for wrong in ["7", "256:1", "1:-1", "x:1"] {
            assert!(loss_mark(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn replaces_a_dead_socket_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut bound = Bound(Vec::new());
        let alive = bound.bind(&path).unwrap();
        assert!(bound.bind(&path).is_err(), "it is in use");
        drop(alive);
        // A process that another test starts holds the socket until it executes its program.
        let again =
            (0..200).find_map(|_| bound.bind(&path).map_err(|_| std::thread::sleep(Duration::from_millis(50))).ok());
        assert!(again.is_some(), "nothing listens there");
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(bound.bind(&file).is_err());
        drop(bound);
        assert!(!path.exists() && file.exists());
    }
}
