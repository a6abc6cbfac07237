//! Finds a QEMU that has the card's device: the one that the user named, the system's, or one unpacked from packages.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use card_control::qemu::DEVICE;
use serde::{Deserialize, Serialize};

use super::apt::{PrivateApt, Suites};
use super::command::{capture, find_program};
use super::error::ProvisionError;
use super::launcher::{Launcher, find_loader};
use super::place::need_disk;
use super::provisioner::{Provisioner, named_file};
use crate::host::file_error::FileError;
use crate::machine::VFIO_USER;

/// The first version of QEMU that lets users create [`DEVICE`].
pub const QEMU_VERSION_MIN: (u32, u32) = (10, 2);

/// The emulator's name, in PATH and in packages.
const PROGRAM: &str = "qemu-system-x86_64";

/// The launcher of the unpacked emulator, with its own modules and firmware.
const LAUNCHER: Launcher = Launcher {
    what: "QEMU",
    program: PROGRAM,
    search: "$libraries",
    settings: "export QEMU_MODULE_DIR=\"$libraries/qemu\"\n",
    arguments: "-L \"$root/usr/share/qemu\" -L \"$root/usr/share/seabios\" ",
    remedy: "install QEMU by hand and name it with --qemu",
};

/// The package's closure, packed and unpacked, in MiB, with room to spare.
const DISK_MIB: u64 = 500;

/// Whether a QEMU is usable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fitness {
    /// Its version, as `--version` prints it.
    pub version: String,
    /// The reason why it is unusable, if it is.
    pub unfit: Option<String>,
}

/// Inspects a QEMU; `None` when it cannot be run.
#[must_use]
pub fn fitness(program: &Path) -> Option<Fitness> {
    let version_text = capture(Command::new(program).arg("--version"))?.stdout;
    let version = version_text.lines().next()?.strip_prefix("QEMU emulator version ")?.to_owned();
    let devices = capture(Command::new(program).args(["-device", "help"]))?.stdout;
    let unfit = if parse_version(&version).is_none_or(|number| number < QEMU_VERSION_MIN) {
        Some(format!("version {version} is older than {}.{}", QEMU_VERSION_MIN.0, QEMU_VERSION_MIN.1))
    } else if !devices.contains(&format!("name \"{DEVICE}\"")) {
        Some(format!("version {version} was built without the device {DEVICE}"))
    } else {
        None
    };
    Some(Fitness { version, unfit })
}

/// Tells whether a QEMU has the function of a vfio-user server; `None` where it could not be asked, as after an interruption. Asks each
/// program once.
#[must_use]
pub fn has_vfio_user(program: &Path) -> Option<bool> {
    static ASKED: Mutex<BTreeMap<PathBuf, bool>> = Mutex::new(BTreeMap::new());
    // Held while one is asked: a case beside this one waits for the same answer.
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = asked.get(program) {
        return Some(*known);
    }
    let captured = capture(Command::new(program).args(["-device", "help"]))?;
    let found = captured.stdout.contains(&format!("name \"{VFIO_USER}\""));
    asked.insert(program.into(), found);
    Some(found)
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns the system's QEMU, if there is one on PATH.
#[must_use]
pub fn system_qemu() -> Option<PathBuf> {
    find_program(Path::new(PROGRAM))
}

/// Provisions QEMU: the one that the user named, the system's, or one that is unpacked from packages.
///
/// # Errors
/// [`ProvisionError::Unfit`] when the named one is unusable, and what keeps the packages from being unpacked.
pub(super) fn resolve(provisioner: &Provisioner<'_>) -> Result<PathBuf, ProvisionError> {
    if let Some(path) = &provisioner.overrides.qemu {
        let path = named_file(path)?;
        let reason = match remembered_fitness(provisioner, &path) {
            Some(Fitness { unfit: None, .. }) => return Ok(path),
            Some(Fitness { unfit: Some(reason), .. }) => reason,
            None => "it does not run".into(),
        };
        return Err(ProvisionError::Unfit {
            path,
            reason,
            remedy: "name another with --qemu, or omit the option to have one provisioned".into(),
        });
    }
    let why = match system_qemu() {
        Some(path) => match remembered_fitness(provisioner, &path) {
            Some(Fitness { unfit: None, .. }) => return Ok(path),
            Some(Fitness { unfit: Some(reason), .. }) => format!("the system's is unusable: {reason}"),
            None => format!("the system's ({}) does not run", path.display()),
        },
        None => "the system has none".into(),
    };
    private_qemu(provisioner, &why)
}

/// A QEMU that was unpacked from packages.
#[derive(Debug)]
pub struct PrivateQemu {
    /// The root folder of what was unpacked.
    pub root: PathBuf,
    /// Its dynamic loader, in the folder of its libraries.
    pub loader: PathBuf,
    /// The emulator.
    pub program: PathBuf,
    /// Its version, as `--version` prints it.
    pub version: String,
}

impl Provisioner<'_> {
    /// Provisions a QEMU from packages, whatever the system has.
    ///
    /// # Errors
    /// [`ProvisionError`] when the packages cannot be fetched or unpacked, or hold no usable one.
    pub fn private_qemu(&self) -> Result<PrivateQemu, ProvisionError> {
        let launcher = private_qemu(self, "a bundle takes it from packages")?;
        let root = launcher.parent().unwrap_or(Path::new("/")).join("root");
        let loader = find_loader(&root).ok_or_else(|| ProvisionError::NotPackaged {
            what: "QEMU's dynamic loader".into(),
            reason: "the packages hold none".into(),
            remedy: "remove target/dmus/qemu, and run the same again".into(),
        })?;
        let version = remembered_fitness(self, &launcher).map(|found| found.version).unwrap_or_default();
        Ok(PrivateQemu { program: root.join("usr/bin").join(PROGRAM), root, loader, version })
    }
}

/// Returns the QEMU under the cache, and unpacks it there from packages if it is missing.
fn private_qemu(provisioner: &Provisioner<'_>, why: &str) -> Result<PathBuf, ProvisionError> {
    let folder = provisioner.workspace.cache().join("qemu");
    let launcher = folder.join(PROGRAM);
    if launcher.is_file() && remembered_fitness(provisioner, &launcher).is_some_and(|found| found.unfit.is_none()) {
        return Ok(launcher);
    }
    need_disk("QEMU", &provisioner.workspace.cache(), DISK_MIB)?;
    provisioner.begin("QEMU", &format!("{why}; unpacking the newest package privately, once"));
    let apt = PrivateApt::new(provisioner, "QEMU", Suites::STABLE)?;
    // Unpacked beside its folder and renamed: an interrupted run leaves no half of it to be found.
    let partial = provisioner.workspace.cache().join("qemu.partial");
    for stale in [&partial, &folder] {
        if stale.exists() {
            fs::remove_dir_all(stale).map_err(FileError::own("remove", stale))?;
        }
    }
    apt.unpack_closure("qemu-system-x86", &partial.join("root"))?;
    LAUNCHER.write(&partial)?;
    fs::rename(&partial, &folder).map_err(FileError::own("create", &folder))?;
    match fitness(&launcher) {
        Some(Fitness { version, unfit: None }) => {
            provisioner.journal(&format!("QEMU {version} from {}", apt.origin()));
            Ok(launcher)
        }
        Some(Fitness { unfit: Some(reason), .. }) => Err(not_packaged(&apt, &reason)),
        None => Err(not_packaged(&apt, "the unpacked program does not run")),
    }
}

fn not_packaged(apt: &PrivateApt, reason: &str) -> ProvisionError {
    ProvisionError::NotPackaged {
        what: format!("QEMU {}.{} or later", QEMU_VERSION_MIN.0, QEMU_VERSION_MIN.1),
        reason: format!("{}: {reason}", apt.origin()),
        remedy: format!(
            "build or install QEMU {}.{} or later and name it with --qemu",
            QEMU_VERSION_MIN.0, QEMU_VERSION_MIN.1
        ),
    }
}

/// The result of [`fitness`], which takes as long as a boot: it is kept until the file changes.
#[derive(Serialize, Deserialize)]
struct Remembered {
    path: PathBuf,
    size: u64,
    modified: i64,
    fitness: Fitness,
}

fn remembered_fitness(provisioner: &Provisioner<'_>, program: &Path) -> Option<Fitness> {
    let memory = provisioner.workspace.cache().join("qemu-seen.json");
    let metadata = fs::metadata(program).ok()?;
    let seen = fs::read(&memory).ok().and_then(|text| serde_json::from_slice::<Remembered>(&text).ok());
    if let Some(seen) = seen
        && (seen.path.as_path(), seen.size, seen.modified) == (program, metadata.size(), metadata.mtime())
    {
        return Some(seen.fitness);
    }
    let fitness = fitness(program)?;
    let seen = Remembered {
        path: program.into(),
        size: metadata.size(),
        modified: metadata.mtime(),
        fitness: fitness.clone(),
    };
    if let Ok(text) = serde_json::to_vec(&seen) {
        // The file only saves time.
        let _ = fs::write(memory, text);
    }
    Some(fitness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_versions_by_number() {
        assert_eq!(parse_version("11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)"), Some((11, 1)));
        assert!(parse_version("9.2.0") < Some(QEMU_VERSION_MIN));
        assert!(parse_version("10.2.0") >= Some(QEMU_VERSION_MIN));
        assert_eq!(parse_version("unknown"), None);
    }
}
