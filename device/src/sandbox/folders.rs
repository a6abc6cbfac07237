#![allow(unsafe_code, reason = "a thread is restricted by rules that were made for many")]
//! Restricts what a thread reaches of the file system and the network, where the kernel has Landlock.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::error::SandboxError;
use super::role::Reach;

/// The newest version of Landlock whose restrictions are used: the newest that the card was run with. An older kernel enforces
/// what it has. Version 9 can restrict connections to sockets in the file system, which `--guard` needs.
const NEWEST: ABI = ABI::V7;

/// The folders in which a command or a card changes entries.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// The folders of sockets, whose paths are removed.
    pub sockets: Vec<PathBuf>,
    /// The folders of outputs, which are made, and removed when they are not completed.
    pub outputs: Vec<PathBuf>,
}

impl Folders {
    /// Returns the folder of a path.
    #[must_use]
    pub fn of(path: &Path) -> PathBuf {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        folder.unwrap_or(Path::new(".")).to_owned()
    }

    /// Takes the calling thread, and those that it starts from now on, every right to the file system but that to change
    /// entries of `reach`, and to the network. Files and sockets that are open stay so.
    ///
    /// # Errors
    /// [`SandboxError::Folders`], when the kernel has Landlock and refuses the rules.
    pub(super) fn restrict(&self, reach: Reach) -> Result<RestrictionStatus, SandboxError> {
        let removes: BitFlags<AccessFs> = AccessFs::RemoveFile.into();
        let makes = AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::MakeReg | AccessFs::WriteFile;
        let (folders, rights): (&[PathBuf], _) = match reach {
            Reach::Nothing => (&[], removes),
            Reach::Sockets => (&self.sockets, removes),
            Reach::Outputs => (&self.outputs, makes),
        };
        let restricted = everything().and_then(|ruleset| {
            // A folder that is not there has no entries, and what needs it fails by itself.
            let rules = folders.iter().filter_map(|folder| PathFd::new(folder).ok());
            let mut rules = rules.map(|folder| PathBeneath::new(folder, rights));
            rules.try_fold(ruleset, RulesetCreatedAttr::add_rule)?.restrict_self()
        });
        restricted.map_err(SandboxError::Folders)
    }
}

/// Returns rules that leave no right.
fn everything() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

/// Rules that leave no right, made once. A thread that starts while the host has no descriptor left is restricted by them.
#[derive(Debug)]
pub(super) struct Nothing(Option<OwnedFd>);

impl Nothing {
    /// Makes the rules, where the kernel has Landlock.
    ///
    /// # Errors
    /// [`SandboxError::Folders`], when the kernel has Landlock and refuses the rules.
    pub(super) fn prepare() -> Result<Self, SandboxError> {
        Ok(Self(everything().map_err(SandboxError::Folders)?.into()))
    }

    /// Takes the calling thread, and those that it starts from now on, every right to the file system and to the network.
    /// Files and sockets that are open stay so. It needs no descriptor.
    ///
    /// # Errors
    /// [`SandboxError::Thread`], when the kernel has Landlock and refuses it.
    pub(super) fn restrict(&self) -> Result<(), SandboxError> {
        let Some(ruleset) = &self.0 else { return Ok(()) };
        rustix::thread::set_no_new_privs(true).map_err(|error| SandboxError::Thread(error.into()))?;
        // SAFETY: the call takes two integers; the descriptor is open as long as `self` is.
        let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) };
        if done == 0 { Ok(()) } else { Err(SandboxError::Thread(io::Error::last_os_error())) }
    }
}

/// Returns what the kernel has enforced, as a sentence for the log.
pub(super) fn describe(status: &RestrictionStatus) -> String {
    let version = match status.landlock {
        LandlockStatus::NotEnabled => return "Landlock is built into the kernel and not enabled (lsm=landlock)".into(),
        LandlockStatus::NotImplemented => return "the kernel has no Landlock".into(),
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
    };
    let how = match status.ruleset {
        RulesetStatus::FullyEnforced => "all of its restrictions are enforced",
        RulesetStatus::PartiallyEnforced => "the restrictions that it knows are enforced",
        RulesetStatus::NotEnforced => "none of its restrictions is enforced",
    };
    let parts = [
        (true, "files"),
        (version >= ABI::V3, "truncation"),
        (version >= ABI::V4, "TCP"),
        (version >= ABI::V5, "device ioctls"),
        (version >= ABI::V6, "signals and abstract sockets of other processes"),
    ];
    let [has, lacks] = [true, false].map(|wanted| {
        let names: Vec<&str> = parts.iter().filter(|(has, _)| *has == wanted).map(|(_, name)| *name).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    });
    format!("Landlock of version {version}: {how} (it restricts {has}; it lacks {lacks})")
}
