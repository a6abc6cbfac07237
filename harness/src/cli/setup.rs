//! What verbs share before they start: the project, the artefacts, the song.

use std::path::{Path, PathBuf};

use dmus::event::{Event, Observer};
use dmus::host::file_error::FileError;
use dmus::host::{invocation, leftovers, lossy};
use dmus::kills::Prepared;
use dmus::provision::{Artefact, Overrides, Provisioner, Workspace, driver_file};
use dmus::sound::song_file::{self, SongFile};
use dmus::sound::songs::{self, BuiltIn};
use dmus::testbed::{Provisioned, TestBedError, provision};

use super::args::MachineArguments;
use super::debugger::DebuggerArguments;
use super::error::Error;

/// Finds the project, removes what earlier runs have left that were ended by force, and the oldest run folders beyond the
/// bounds.
///
/// # Errors
/// [`Error::Provision`] when a limit of the host is too low, or the project's source is not found.
pub(super) fn workspace(observer: &dyn Observer) -> Result<Workspace, Error> {
    let workspace = swept(Workspace::find()?, observer);
    if let Some(removed) = leftovers::prune(&workspace.cache()) {
        let text = format!("removed {}, the oldest: {}", removed.what, mebibytes(removed.bytes));
        observer.event(&Event::Note { text });
    }
    Ok(workspace)
}

/// Returns the project as [`workspace`] does, or the one that another run has found.
///
/// # Errors
/// [`Error::Provision`] as [`workspace`], [`Error::File`] when the file of the other run cannot be read.
pub(super) fn workspace_of(machine: &MachineArguments, observer: &dyn Observer) -> Result<Workspace, Error> {
    match &machine.prepared {
        Some(path) => Ok(swept(Prepared::read(path)?.workspace, observer)),
        None => workspace(observer),
    }
}

fn swept(workspace: Workspace, observer: &dyn Observer) -> Workspace {
    leftovers::watch_cache(&workspace.cache());
    for what in leftovers::sweep(Some(&workspace.cache())) {
        observer.event(&Event::Note { text: format!("left over from a run that was ended by force: {what}") });
    }
    workspace
}

/// Provisions everything that a guest needs, and chooses the accelerator.
///
/// # Errors
/// [`TestBedError`] when the driver image is malformed, an artefact cannot be provisioned, or the calibration guest does not
/// run.
pub(super) fn provisioned(
    workspace: &Workspace,
    machine: &MachineArguments,
    driver: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Provisioned, TestBedError> {
    if let Some(path) = &machine.prepared {
        driver.map_or(Ok(()), driver_file::check)?;
        return Ok(Prepared::read(path)?.provisioned);
    }
    let overrides =
        Overrides { qemu: machine.qemu.clone(), driver: driver.map(Path::to_path_buf), ..Overrides::default() };
    provision(workspace, overrides, machine.accel.accelerator(), observer)
}

/// Provisions as [`provisioned`] does, for a guest that may be debugged.
///
/// # Errors
/// As for [`provisioned`], and [`Error::Usage`] and [`Error::TestBed`] for what a debugger cannot have.
pub(super) fn provisioned_with(
    workspace: &Workspace,
    machine: &MachineArguments,
    debugger: &DebuggerArguments,
    driver: Option<&Path>,
    observer: &dyn Observer,
) -> Result<Provisioned, Error> {
    if !debugger.is_given() && !debugger.full_debug_info {
        return Ok(provisioned(workspace, machine, driver, observer)?);
    }
    let accelerator = debugger.accelerator(machine.accel.accelerator())?;
    let debugging = debugger.debugging(workspace)?;
    let overrides = Overrides {
        qemu: machine.qemu.clone(),
        driver: driver.map(Path::to_path_buf),
        full_debug_info: debugger.full_debug_info,
    };
    let provisioned = match &machine.prepared {
        Some(_) => self::provisioned(workspace, machine, driver, observer)?,
        None => provision(workspace, overrides, accelerator, observer)?,
    };
    Ok(Provisioned { debugging, ..provisioned })
}

/// Returns bytes as text in MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Reads a song by its file, or by a built-in song's name; without either the default song. `bank` are the instruments
/// that the user named, which replace those that the song's file brings. `card` returns the card's program, which reads
/// files that carry a song.
///
/// # Errors
/// [`Error::SongFile`] when the file cannot be read or is no song, [`Error::File`] when the bank is missing.
pub(super) fn read_song(
    path: Option<&Path>,
    bank: Option<&Path>,
    observer: &dyn Observer,
    card: impl FnOnce() -> Result<PathBuf, Error>,
) -> Result<SongFile, Error> {
    if let Some(bank) = bank {
        std::fs::metadata(bank).map_err(FileError::input(bank))?;
    }
    let built_in = match path {
        None => Some(&songs::ALL[0]),
        Some(path) if path.exists() => None,
        Some(path) => path.to_str().and_then(BuiltIn::by_name),
    };
    let found = match (built_in, path) {
        (None, Some(path)) => song_file::read(path, card)?,
        (built_in, _) => SongFile { song: built_in.unwrap_or(&songs::ALL[0]).song()?, bank: None },
    };
    let found = found.with_bank(bank);
    for notice in &found.song.notices {
        observer.event(&Event::Warning { text: format!("{}: {notice}", found.song.name) });
    }
    Ok(found)
}

/// Returns the card's program, as another run has found it or built anew.
///
/// # Errors
/// [`Error::Provision`] as [`workspace`] and when the card does not build, [`Error::File`] as [`workspace_of`].
pub(super) fn card_of(machine: Option<&MachineArguments>, observer: &dyn Observer) -> Result<PathBuf, Error> {
    if let Some(path) = machine.and_then(|machine| machine.prepared.as_ref()) {
        return Ok(Prepared::read(path)?.provisioned.artefacts.card);
    }
    let workspace = workspace(observer)?;
    let provisioner = Provisioner::new(&workspace, Overrides::default(), observer)?;
    Ok(provisioner.resolve(Artefact::Card)?)
}

/// Returns the command line, quoted for a shell.
pub(super) fn reproduce() -> String {
    let words = lossy::arguments().into_iter().skip(1).map(|word| {
        if word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:".contains(c)) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    std::iter::once(invocation::program().to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
