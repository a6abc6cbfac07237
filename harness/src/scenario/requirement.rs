//! What a case needs of the host, and why it is skipped where that is missing.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use serde::Serialize;

use crate::host::limits::available_memory;
use crate::provision::{cpp_driver, find_program, has_vfio_user, system_qemu};

/// The names under which browsers are installed that draw pages without a display.
const CHROMIUM: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Something that a case needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// A checkout of the project, not only the bundle.
    Checkout,
    /// The compiler of the C++ drivers.
    CppCompiler,
    /// A QEMU that takes vfio-user devices.
    VfioUser,
    /// The host's processor for guests.
    Kvm,
    /// A browser that draws pages without a display.
    Chromium,
    /// So many processors of the host.
    Processors(usize),
    /// So much free memory of the host, in MiB.
    MemoryMib(u64),
}

/// What a host lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// What is missing, and for what.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// What is known of the host.
pub struct Host<'a> {
    /// Whether a bundle is used, not a checkout.
    pub bundle: bool,
    /// The QEMU that cases run with, where there is one yet.
    pub qemu: Option<&'a Path>,
}

impl Host<'_> {
    /// Finds the QEMU that cases would run with, without provisioning one.
    #[must_use]
    pub fn qemu_at_hand(named: Option<&Path>, cache: &Path) -> Option<PathBuf> {
        let private = || Some(cache.join("qemu/qemu-system-x86_64")).filter(|path| path.is_file());
        named.map(Path::to_path_buf).or_else(private).or_else(system_qemu)
    }
}

impl Requirement {
    /// The forms in which a scenario names requirements.
    pub const FORMS: &'static str = "checkout, mingw-w64, vfio-user, kvm, chromium, processors-N, memory-N (MiB)";

    /// Reads the name of a requirement.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u32>().ok().filter(|number| *number > 0);
        Some(match name {
            "checkout" => Self::Checkout,
            "mingw-w64" => Self::CppCompiler,
            "vfio-user" => Self::VfioUser,
            "kvm" => Self::Kvm,
            "chromium" => Self::Chromium,
            _ => match (number("processors-"), number("memory-")) {
                (Some(count), _) => Self::Processors(count as usize),
                (_, Some(mebibytes)) => Self::MemoryMib(mebibytes.into()),
                _ => return None,
            },
        })
    }

    /// Returns its name in scenarios.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Checkout => "checkout".into(),
            Self::CppCompiler => "mingw-w64".into(),
            Self::VfioUser => "vfio-user".into(),
            Self::Kvm => "kvm".into(),
            Self::Chromium => "chromium".into(),
            Self::Processors(count) => format!("processors-{count}"),
            Self::MemoryMib(mebibytes) => format!("memory-{mebibytes}"),
        }
    }

    /// Returns what the host lacks of it; `None` where it is met.
    #[must_use]
    pub fn unmet(&self, host: &Host<'_>) -> Option<Unmet> {
        let unmet = |reason: String, remedy: &str| {
            Some(Unmet { reason: format!("it requires {}: {reason}", self.name()), remedy: remedy.into() })
        };
        match self {
            Self::Checkout if host.bundle => unmet(
                "this is a bundle, which holds no sources".into(),
                "run it in a checkout of the project, without DMUS_BUNDLE",
            ),
            Self::CppCompiler if find_program(&cpp_driver::compiler()).is_none() => unmet(
                format!("there is no {}", cpp_driver::compiler().display()),
                "install g++-mingw-w64-x86-64, or name a compiler with CXX",
            ),
            Self::VfioUser => {
                let qemu = host.qemu.filter(|qemu| has_vfio_user(qemu) == Some(false))?;
                unmet(
                    format!("{} has no device vfio-user-pci", qemu.display()),
                    "name a QEMU 10.1 or later that has it with --qemu",
                )
            }
            Self::Kvm if std::fs::File::options().read(true).write(true).open("/dev/kvm").is_err() => unmet(
                "/dev/kvm cannot be opened".into(),
                "run on a host with virtualisation, as a user of the group kvm",
            ),
            Self::Chromium if CHROMIUM.iter().all(|name| find_program(Path::new(name)).is_none()) => {
                unmet("there is no chromium on PATH".into(), "install the package chromium")
            }
            Self::Processors(count) => {
                let found = thread::available_parallelism().map_or(1, NonZeroUsize::get);
                if found >= *count {
                    return None;
                }
                unmet(
                    format!("this process may use {found}"),
                    "run it on a larger machine, or widen its CPU set (taskset)",
                )
            }
            Self::MemoryMib(needed) => {
                let found = available_memory().filter(|bytes| bytes >> 20 < *needed)? >> 20;
                unmet(format!("{found} MiB are free"), "free some memory (free -m)")
            }
            Self::Checkout | Self::CppCompiler | Self::Kvm | Self::Chromium => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_requirement_is_read_by_its_name() {
        use Requirement::{Checkout, Chromium, CppCompiler, Kvm, MemoryMib, Processors, VfioUser};
        for requirement in [Checkout, CppCompiler, VfioUser, Kvm, Chromium, Processors(2), MemoryMib(512)] {
            assert_eq!(Requirement::by_name(&requirement.name()), Some(requirement));
        }
        for wrong in ["", "processors", "processors-0", "processors-x", "memory-", "kvm2"] {
            assert_eq!(Requirement::by_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn says_what_is_missing_and_what_to_do() {
        let bundle = Host { bundle: true, qemu: None };
        let unmet = Requirement::Checkout.unmet(&bundle).unwrap();
        assert!(unmet.reason.contains("requires checkout") && unmet.remedy.contains("DMUS_BUNDLE"), "{unmet:?}");
        let checkout = Host { bundle: false, qemu: None };
        assert_eq!(Requirement::Checkout.unmet(&checkout), None);
        assert!(Requirement::Processors(100_000).unmet(&checkout).is_some());
        assert_eq!(Requirement::Processors(1).unmet(&checkout), None);
        assert!(Requirement::MemoryMib(u32::MAX.into()).unmet(&checkout).is_some());
        // A program without the device stands for such a QEMU.
        let other = Host { bundle: false, qemu: Some(Path::new("/bin/true")) };
        assert!(Requirement::VfioUser.unmet(&other).unwrap().remedy.contains("--qemu"));
        assert_eq!(Requirement::VfioUser.unmet(&checkout), None, "the one that is provisioned has it");
    }
}
