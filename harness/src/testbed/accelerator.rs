//! Remembers which accelerator was chosen on this host since it booted, and why.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Accelerator;
use crate::provision::Workspace;

/// The choice of an accelerator, and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The accelerator to use.
    pub accelerator: Accelerator,
    /// The reason, for people.
    pub reason: String,
}

/// A choice that was made on this very boot of this very host.
#[derive(Serialize, Deserialize)]
struct Remembered {
    boot: String,
    qemu: PathBuf,
    choice: Choice,
}

/// Returns what was measured since the host booted, and with which QEMU.
#[must_use]
pub fn measured(workspace: &Workspace) -> Option<(Choice, PathBuf)> {
    remembered(&memory(workspace), &this_boot()).map(|seen| (seen.choice, seen.qemu))
}

/// Keeps a choice until the host boots again. A file that cannot be written costs the next run a measurement, no more.
pub(super) fn remember(workspace: &Workspace, qemu: &Path, choice: &Choice) {
    let seen = Remembered { boot: this_boot(), qemu: qemu.into(), choice: choice.clone() };
    if let Ok(text) = serde_json::to_vec_pretty(&seen) {
        let _ = fs::write(memory(workspace), text);
    }
}

fn memory(workspace: &Workspace) -> PathBuf {
    workspace.cache().join("accelerator.json")
}

fn this_boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

fn remembered(file: &Path, boot: &str) -> Option<Remembered> {
    let seen: Remembered = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (seen.boot == boot).then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::leftovers::Scratch;

    #[test]
    fn remembers_a_choice_until_the_host_boots_again() {
        let folder = Scratch::new().unwrap();
        let file = folder.path().join("accelerator.json");
        assert!(remembered(&file, "one").is_none());
        let choice = Choice { accelerator: Accelerator::Tcg, reason: "measured".into() };
        let seen = Remembered { boot: "one".into(), qemu: "qemu".into(), choice: choice.clone() };
        fs::write(&file, serde_json::to_vec(&seen).unwrap()).unwrap();
        assert_eq!(remembered(&file, "one").unwrap().choice, choice);
        assert!(remembered(&file, "two").is_none());
    }
}
