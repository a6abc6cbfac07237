//! Brings in what a run needs and is not there: QEMU, the standard library's source, the guest images, the card.
//!
//! Which artefacts a run needs is said once, by [`Artefacts::ask`]; it is called with a closure that lists (for `doctor`) and
//! with one that resolves (for a run), so that the two cannot disagree. Everything lands under `target/dmus`, nothing
//! in the system, and is found again by the next run. A file lock keeps parallel runs apart.

mod apt;
mod command;
pub mod cpp_driver;
pub mod doctor;
pub mod driver_file;
mod firmware;
mod fluidsynth;
mod guests;
pub mod image_check;
mod image_id;
mod launcher;
mod qemu;
mod rust_source;
mod sources;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Event, Observer};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::interrupt;
use crate::host::leftovers::CACHE_LOCK;
use crate::host::limits::{self, LimitError};

pub use command::{Captured, capture};
pub(crate) use command::{run, run_logged};
pub use firmware::firmware_of;
pub use fluidsynth::{FLUIDSYNTH_VARIABLE, SOUND_FONT_VARIABLE, private_fluidsynth, system_fluidsynth};
pub use qemu::{Fitness, QEMU_VERSION_MIN, fitness, system_qemu};
pub use rust_source::toolchain_source;

/// Something that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Artefact {
    /// A QEMU that can carry the card.
    Qemu,
    /// The bare-metal guest that hosts the driver.
    NtHost,
    /// The Windows driver image.
    Driver,
    /// The same for 32-bit Windows. No guest of ours loads it; its image is checked.
    DriverX86,
    /// The card's process.
    Card,
    /// The program that measures the synthesizer beside others.
    SynthBench,
    /// FluidSynth, to measure beside.
    FluidSynth,
    /// A General MIDI SoundFont, to play songs from beside others.
    SoundFont,
}

impl Artefact {
    /// What it is, for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Qemu => "QEMU",
            Self::NtHost => "the NT host (nt-host)",
            Self::Driver => "the driver (dmuscard.sys)",
            Self::DriverX86 => "the driver for 32-bit Windows (dmuscard.sys)",
            Self::Card => "the card (vhost-device-dmus)",
            Self::SynthBench => "the synthesizers' benchmark (dls-synth-bench)",
            Self::FluidSynth => "FluidSynth",
            Self::SoundFont => "a General MIDI SoundFont (TimGM6mb)",
        }
    }
}

/// What a run in the NT host needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Artefacts<T> {
    /// [`Artefact::Card`].
    pub card: T,
    /// [`Artefact::Qemu`].
    pub qemu: T,
    /// [`Artefact::NtHost`].
    pub nt_host: T,
    /// [`Artefact::Driver`].
    pub driver: T,
}

impl<T> Artefacts<T> {
    /// Asks for each artefact, in the order in which they are best brought in.
    ///
    /// # Errors
    /// The first that the closure gives.
    pub fn ask<E>(ask: &mut impl FnMut(Artefact) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            qemu: ask(Artefact::Qemu)?,
            card: ask(Artefact::Card)?,
            nt_host: ask(Artefact::NtHost)?,
            driver: ask(Artefact::Driver)?,
        })
    }
}

/// Why an artefact could not be brought in.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A program that we call is not there.
    #[error("{program} is not installed, and {purpose} needs it")]
    NoProgram {
        /// The program.
        program: String,
        /// What for.
        purpose: String,
        /// What to do.
        remedy: String,
    },
    /// A program that we call failed.
    #[error("{what} failed ({status}); the end of its output:\n{tail}\n(all of it: {log})", log = log.display())]
    Failed {
        /// What was tried.
        what: String,
        /// How the program ended.
        status: String,
        /// The end of what it said.
        tail: String,
        /// Where all of it is.
        log: PathBuf,
        /// What to do.
        remedy: Option<String>,
    },
    /// The network is not there.
    #[error("{what}: no answer from {from}\n{tail}")]
    NoNetwork {
        /// What was tried.
        what: String,
        /// Whom we asked.
        from: String,
        /// What the program said.
        tail: String,
    },
    /// The disk is full, or nearly.
    #[error("{what} needs {needed_mib} MiB of disk under {path}, {free_mib} MiB are free", path = path.display())]
    DiskFull {
        /// What was tried.
        what: String,
        /// Where.
        path: PathBuf,
        /// How much it takes.
        needed_mib: u64,
        /// How much there is.
        free_mib: u64,
    },
    /// The machine's packages do not hold it.
    #[error("{what} is not to be had from this system's package archive: {reason}")]
    NotPackaged {
        /// What.
        what: String,
        /// Where we looked, and what we found.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The QEMU that was named will not do.
    #[error("{path} will not do: {reason}", path = path.display())]
    Unfit {
        /// What was named.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// The user ended it.
    #[error("interrupted{by} while {0}", by = interrupt::by_signal())]
    Interrupted(String),
    /// A file of the cache, or one that the user named.
    #[error(transparent)]
    File(#[from] FileError),
    /// A limit of the host.
    #[error(transparent)]
    Limit(#[from] LimitError),
}

impl Diagnosed for ProvisionError {
    fn class(&self) -> Class {
        match self {
            Self::DiskFull { .. } => Class::Host,
            Self::Interrupted(_) => Class::Interrupted,
            Self::File(error) => error.class(),
            Self::Limit(error) => error.class(),
            _ => Class::MissingArtefact,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::NoProgram { remedy, .. } | Self::NotPackaged { remedy, .. } | Self::Unfit { remedy, .. } => {
                Some(remedy.clone())
            }
            Self::Failed { remedy, .. } => remedy.clone(),
            Self::NoNetwork { .. } => {
                Some("check the network (and apt's proxy settings), then run the same again".into())
            }
            Self::DiskFull { .. } => {
                Some("free some space, or set CARGO_TARGET_DIR to a folder on a larger disk".into())
            }
            Self::Interrupted(_) => None,
            Self::File(error) => error.remedy(),
            Self::Limit(error) => error.remedy(),
        }
    }
}

/// Why a program did not start: a limit of the host, or it is not there.
fn not_run(program: &str, purpose: &str, error: &std::io::Error) -> ProvisionError {
    if error.kind() == std::io::ErrorKind::Interrupted {
        return ProvisionError::Interrupted(purpose.into());
    }
    if let Some(limit) = limits::of_start(error) {
        return limit.during(format!("cannot start {program} ({error}) for {purpose}")).into();
    }
    ProvisionError::NoProgram {
        remedy: format!("install {program}, or put it on PATH"),
        program: format!("{program} ({error})"),
        purpose: purpose.into(),
    }
}

/// Where the project is and where its build output goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workspace {
    /// The folder of the workspace's manifest.
    pub root: PathBuf,
    /// Cargo's target folder, as the user's configuration has it.
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo, unless the host's limits are too low for anything that could come of it.
    ///
    /// # Errors
    /// When a limit of the host is too low, cargo is not there, or this program was moved away from its source.
    pub fn find() -> Result<Self, ProvisionError> {
        limits::check()?;
        Self::ask_cargo()
    }

    /// Asks cargo; where cargo does not run, takes the folders that it has unless it is configured otherwise.
    #[must_use]
    pub fn find_anyhow() -> Self {
        Self::ask_cargo().unwrap_or_else(|_| {
            let root = Self::package().parent().map(Path::to_path_buf).unwrap_or_default();
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            Self { root, target }
        })
    }

    /// The folder of this package.
    fn package() -> PathBuf {
        // Cargo names the folder to programs that it runs; a copy that was installed remembers where it was built.
        std::env::var_os("CARGO_MANIFEST_DIR")
            .map(PathBuf::from)
            .filter(|path| path.join("scenarios").is_dir())
            .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")))
    }

    fn ask_cargo() -> Result<Self, ProvisionError> {
        const WHAT: &str = "the project's source";
        let mut asked = cargo_metadata::MetadataCommand::new();
        let mut command = asked.manifest_path(Self::package().join("Cargo.toml")).no_deps().cargo_command();
        let said = command::run(&mut command).map_err(|error| {
            not_run(&command.get_program().to_string_lossy(), "finding the project's source", &error)
        })?;
        let refused = |reason: String| ProvisionError::NotPackaged {
            what: WHAT.into(),
            reason,
            remedy: "run `cargo dmus` inside a checkout of the project".into(),
        };
        if !said.status.success() {
            let reason = said.stderr.trim().to_owned();
            return Err(match limits::of_program(Some(said.status.into()), &reason) {
                Some(limit) => limit.during(format!("cargo cannot name {WHAT} ({reason})")).into(),
                None => refused(reason),
            });
        }
        let metadata =
            cargo_metadata::MetadataCommand::parse(said.stdout).map_err(|error| refused(error.to_string()))?;
        Ok(Self {
            root: metadata.workspace_root.into_std_path_buf(),
            target: metadata.target_directory.into_std_path_buf(),
        })
    }

    /// Where we keep what we bring in and what runs leave behind.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.target.join("dmus")
    }

    /// Where the logs of builds and downloads go.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.cache().join("logs")
    }
}

/// How often it is looked whether another dmus has let go of the cache.
const POLL: Duration = Duration::from_millis(50);

/// Resolves artefacts. Holds the cache's lock as long as it lives.
pub struct Provisioner<'a> {
    workspace: &'a Workspace,
    observer: &'a dyn Observer,
    overrides: Overrides,
    _lock: File,
}

/// What the user brings along.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// A QEMU to use.
    pub qemu: Option<PathBuf>,
    /// A driver image to use instead of ours.
    pub driver: Option<PathBuf>,
}

impl<'a> Provisioner<'a> {
    /// Waits until no other run provisions.
    ///
    /// # Errors
    /// When the cache cannot be created.
    pub fn new(
        workspace: &'a Workspace,
        overrides: Overrides,
        observer: &'a dyn Observer,
    ) -> Result<Self, ProvisionError> {
        let cache = workspace.cache();
        fs::create_dir_all(workspace.logs()).map_err(FileError::own("create", &cache))?;
        let path = cache.join(CACHE_LOCK);
        let lock = File::create(&path).map_err(FileError::own("create", &path))?;
        if lock.try_lock().is_err() {
            observer.event(&Event::Note { text: "another dmus is bringing things in; waiting for it".into() });
            while lock.try_lock().is_err() {
                if interrupt::asked() {
                    return Err(ProvisionError::Interrupted("waiting for another dmus".into()));
                }
                std::thread::sleep(POLL);
            }
        }
        Ok(Self { workspace, observer, overrides, _lock: lock })
    }

    /// Provisions every artefact of a run.
    ///
    /// # Errors
    /// The first artefact that cannot be had.
    pub fn artefacts(&self) -> Result<Artefacts<PathBuf>, ProvisionError> {
        Artefacts::ask(&mut |artefact| self.resolve(artefact))
    }

    /// Brings in one artefact and gives its path.
    ///
    /// # Errors
    /// [`ProvisionError`], with what to do about it.
    pub fn resolve(&self, artefact: Artefact) -> Result<PathBuf, ProvisionError> {
        let path = match artefact {
            Artefact::Qemu => qemu::resolve(self)?,
            Artefact::NtHost => guests::nt_host(self)?,
            Artefact::Driver => match &self.overrides.driver {
                Some(path) => named_file(path)?,
                None => guests::driver(self, &guests::DRIVER_X64)?,
            },
            Artefact::DriverX86 => guests::driver(self, &guests::DRIVER_X86)?,
            Artefact::Card => guests::card(self)?,
            Artefact::SynthBench => guests::synth_bench(self)?,
            Artefact::FluidSynth => fluidsynth::program(self)?,
            Artefact::SoundFont => fluidsynth::sound_font(self)?,
        };
        self.record(artefact.text(), &path.display().to_string());
        Ok(path)
    }

    /// Says that work begins, to the listener and in the cache's journal.
    fn begin(&self, what: &str, why: &str) {
        self.observer.event(&Event::Provisioning { what: what.into(), why: why.into() });
        self.journal(&format!("{what}: {why}"));
    }

    fn record(&self, what: &str, found: &str) {
        self.observer.event(&Event::Provisioned { what: what.into(), found: found.into() });
    }

    /// Appends to `provision.log`, which explains what was brought in and why.
    fn journal(&self, text: &str) {
        let path = self.workspace.cache().join("provision.log");
        if let Ok(mut file) = File::options().create(true).append(true).open(path) {
            // Only an explanation: a run does not fail for want of it.
            let _ = writeln!(file, "{} {text}", jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default());
        }
    }
}

/// A file that the user named.
fn named_file(path: &Path) -> Result<PathBuf, ProvisionError> {
    path.canonicalize().map_err(|error| FileError::input(path)(error).into())
}

/// Refuses to begin what the disk has no room for.
fn need_disk(what: &str, path: &Path, needed_mib: u64) -> Result<(), ProvisionError> {
    let Ok(statistics) = rustix::fs::statvfs(path) else { return Ok(()) };
    let free_mib = (statistics.f_bavail * statistics.f_frsize) >> 20;
    if free_mib < needed_mib {
        return Err(ProvisionError::DiskFull { what: what.into(), path: path.into(), needed_mib, free_mib });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kit_asks_for_the_same_things_whether_listed_or_resolved() {
        let mut listed = Vec::new();
        let artefacts = Artefacts::ask(&mut |artefact| {
            listed.push(artefact);
            Ok::<_, ()>(artefact)
        })
        .unwrap();
        assert_eq!(artefacts.driver, Artefact::Driver);
        assert_eq!(listed.len(), 4);
        listed.sort();
        listed.dedup();
        assert_eq!(listed.len(), 4, "nothing is asked for twice");
    }

    #[test]
    fn a_download_that_cannot_fit_is_refused_before_it_begins() {
        let error = need_disk("QEMU", Path::new("/"), u64::MAX).unwrap_err();
        assert_eq!(error.class(), Class::Host);
        assert!(error.to_string().contains("MiB are free"), "{error}");
    }
}
