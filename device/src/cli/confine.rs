//! Confines the process as the command line says.

use std::io::{Write, stderr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use card_control::limits::CONNECTIONS_MAX;
use card_control::{PROGRAM, Sandbox};
use card_spec::queue::QUEUE_COUNT;

use super::args::{Arguments, BankCommand, Command};
use super::exit::Failure;
use super::whole_file;
use crate::bus::REGIONS_MAX;
use crate::sandbox::{self, Folders, descriptors};

/// Descriptors of a card at most: its regions twice, because a front-end replaces all of them at once, the connections of
/// the control socket, four for each queue, and its own.
const DESCRIPTORS_MAX: usize = 2 * REGIONS_MAX + CONNECTIONS_MAX + 4 * QUEUE_COUNT + OWN_DESCRIPTORS;

/// Descriptors that do not depend on a front-end: standard streams, sockets, pipes, event counters, files. There are some 30.
const OWN_DESCRIPTORS: usize = 128;

/// Closes the descriptors that the process was started with, and prepares the sandbox. To be called before anything is
/// opened and before any thread is started.
///
/// # Errors
/// [`Failure::Sandbox`], when the host has no such sandbox.
pub fn begin(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.sandbox == Sandbox::Off {
        log::warn!(
            "the sandbox is off (--sandbox off): a guest or a file that takes this process over has all rights of its user"
        );
        return Ok(());
    }
    let paths = paths(arguments);
    let kept: Vec<RawFd> =
        arguments.serve.fd.into_iter().chain(paths.iter().filter_map(|path| descriptors::named_by(path))).collect();
    descriptors::close_inherited(&kept)?;
    let most = arguments.command.is_none().then_some(DESCRIPTORS_MAX as u64);
    sandbox::prepare(folders(arguments), most)?;
    if arguments.command.is_some() {
        // The standard library's shows a backtrace, for which it opens files.
        std::panic::set_hook(Box::new(|panic| {
            let _ = writeln!(
                stderr(),
                "{PROGRAM}: {panic}; this is a defect, please report it; --sandbox off shows a backtrace"
            );
        }));
    }
    Ok(())
}

/// Returns every path on the command line.
fn paths(arguments: &Arguments) -> Vec<&Path> {
    let serve = &arguments.serve;
    let of_serve = [
        serve.sound.bank.as_deref(),
        serve.line_out(),
        serve.socket_path.as_deref(),
        serve.control.as_deref(),
        serve.trace.as_ref().map(|trace| &*trace.path),
    ];
    let of_command = match &arguments.command {
        None => Vec::new(),
        Some(Command::Render(render)) => {
            vec![Some(&*render.events), Some(&*render.out), render.bank.as_deref(), render.stems.as_deref()]
        }
        Some(Command::Replay(replay)) => vec![Some(&*replay.recording), Some(&*replay.out), replay.bank.as_deref()],
        Some(Command::Bank(command)) => {
            let (input, output) = command.files();
            vec![input, output]
        }
    };
    of_serve.into_iter().chain(of_command).flatten().collect()
}

/// Returns the folders in which entries change.
fn folders(arguments: &Arguments) -> Folders {
    let serve = &arguments.serve;
    let sockets = [&serve.socket_path, &serve.control].into_iter().flatten().map(|path| Folders::of(path)).collect();
    let of_file = |path: &Path| Folders::of(&whole_file::place_of(path));
    let outputs: Vec<PathBuf> = match &arguments.command {
        None => serve.line_out().map(Folders::of).into_iter().collect(),
        Some(Command::Render(render)) => {
            // Its own folder is not there yet.
            let stems = render.stems.as_deref().map(|folder| match folder.is_dir() {
                true => folder.to_owned(),
                false => Folders::of(folder),
            });
            [of_file(&render.out)].into_iter().chain(stems).collect()
        }
        Some(Command::Replay(replay)) => vec![of_file(&replay.out)],
        Some(Command::Bank(command)) => command.files().1.map(of_file).into_iter().collect(),
    };
    Folders { sockets, outputs }
}

impl BankCommand {
    /// Returns the file that is read and the one that is written.
    fn files(&self) -> (Option<&Path>, Option<&Path>) {
        match self {
            Self::Info { file, .. } => (Some(file), None),
            Self::Convert { from, to, .. } | Self::Song { from, to, .. } => (Some(from), Some(to)),
            Self::Build { to, .. } => (None, Some(to)),
        }
    }
}
