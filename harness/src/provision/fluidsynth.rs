//! FluidSynth, the newest that Debian packages, and a SoundFont, with which the synthesizer is compared. Unpacked privately, as
//! QEMU is; nothing of it is part of the product.

use std::fs;
use std::path::{Path, PathBuf};

use super::apt::{PrivateApt, Suites};
use super::command::find_program;
use super::error::ProvisionError;
use super::launcher::Launcher;
use super::place::{fresh, need_disk};
use super::provisioner::{Provisioner, named_file};
use super::unpacked::{Unpacked, runs};
use crate::event::Event;
use crate::host::file_error::FileError;

/// The variable that names a FluidSynth to use instead of any other.
pub const FLUIDSYNTH_VARIABLE: &str = "DMUS_FLUIDSYNTH";

/// The variable that names a SoundFont to use instead of TimGM6mb.
pub const SOUND_FONT_VARIABLE: &str = "DMUS_SOUND_FONT";

/// The program's name, in PATH and in packages.
const PROGRAM: &str = "fluidsynth";

/// The launcher of the unpacked program. One of its libraries keeps a part of its own in a folder below.
const LAUNCHER: Launcher = Launcher {
    what: "FluidSynth",
    program: PROGRAM,
    search: "$libraries:$libraries/pulseaudio",
    settings: "",
    arguments: "",
    remedy: "install FluidSynth by hand and name it with DMUS_FLUIDSYNTH",
};

/// The package.
const UNPACKED: Unpacked = Unpacked {
    what: "FluidSynth",
    why: "for comparison; unpacking the newest package privately, once",
    folder: "fluidsynth",
    program: PROGRAM,
    variable: FLUIDSYNTH_VARIABLE,
    packages: &[PROGRAM],
    suites: Suites::UNSTABLE,
    disk_mib: 700,
    write_launchers: |folder| LAUNCHER.write(folder),
};

/// The package of the SoundFont: 6 MB, General MIDI, and every synthesizer reads it. It is GPL, so it is fetched only by the
/// machine that measures.
const FONT_PACKAGE: &str = "timgm6mb-soundfont";

/// Its path in the package.
const FONT_PATH: &str = "usr/share/sounds/sf2/TimGM6mb.sf2";

/// The SoundFont, packed and unpacked, in MiB.
const FONT_DISK_MIB: u64 = 50;

/// Returns the system's FluidSynth, if there is one on PATH.
#[must_use]
pub fn system_fluidsynth() -> Option<PathBuf> {
    find_program(Path::new(PROGRAM))
}

/// Returns the path of the provisioned FluidSynth.
#[must_use]
pub fn private_fluidsynth(workspace: &super::workspace::Workspace) -> PathBuf {
    UNPACKED.launcher(workspace)
}

/// Provisions FluidSynth's program: the one that the variable names, the newest package, or the system's.
pub(super) fn program(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = UNPACKED.named()? {
        return Ok(path);
    }
    match UNPACKED.private(provisioner) {
        Ok(path) => Ok(path),
        Err(ProvisionError::Interrupted(what)) => Err(ProvisionError::Interrupted(what)),
        Err(error) => match system_fluidsynth().filter(|path| runs(path)) {
            Some(path) => {
                let text = format!("the system's FluidSynth is measured, not the newest: {error}");
                provisioner.observer.event(&Event::Warning { text });
                Ok(path)
            }
            None => Err(error),
        },
    }
}

/// Provisions the SoundFont: the one that the variable names, the system's, or the package's.
pub(super) fn sound_font(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = std::env::var_os(SOUND_FONT_VARIABLE) {
        return named_file(Path::new(&path));
    }
    let system = Path::new("/").join(FONT_PATH);
    if system.is_file() {
        return Ok(system);
    }
    let cache = provisioner.workspace.cache();
    let path = cache.join("sound-font").join(FONT_PATH);
    if path.is_file() {
        return Ok(path);
    }
    need_disk("the SoundFont", &cache, FONT_DISK_MIB)?;
    provisioner.begin("the SoundFont TimGM6mb", "to play songs from; unpacking the package privately, once");
    let apt = PrivateApt::new(provisioner, FONT_PACKAGE, Suites::STABLE)?;
    let partial = fresh(&cache, "sound-font")?;
    apt.unpack_closure(FONT_PACKAGE, &partial)?;
    let folder = cache.join("sound-font");
    fs::rename(&partial, &folder).map_err(FileError::own("create", &folder))?;
    if path.is_file() {
        return Ok(path);
    }
    Err(ProvisionError::NotPackaged {
        what: FONT_PACKAGE.into(),
        reason: format!("{}: the package has no {FONT_PATH}", apt.origin()),
        remedy: format!("name a General MIDI SoundFont with {SOUND_FONT_VARIABLE}"),
    })
}
