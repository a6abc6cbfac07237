//! Which accelerator to use, found out by trying: a guest that counts, against the clock.
//!
//! That `/dev/kvm` opens says little. On hosts that are themselves virtual it may emulate every instruction of a
//! guest's kernel and be forty times slower than QEMU's translation.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_protocol::exit;
use serde::{Deserialize, Serialize};

use crate::host::interrupt;
use crate::host::leftovers::Scratch;
use crate::machine::{Accelerator, Boot, Firmware, GuestMemory, Machine, MachineError, MachineOptions, guest_exit};
use crate::provision::Workspace;

/// Millions of iterations that the probe guest counts: about a quarter of a second under TCG, a fiftieth on hardware.
const PROBE_MILLIONS: u32 = 50;

/// How long the probe may take, boot included. TCG needs half of this on a slow machine; what takes longer is no help.
const PROBE_LIMIT: Duration = Duration::from_millis(1500);

/// Memory of the probe guest, in bytes.
const PROBE_MEMORY: u64 = 128 << 20;

/// The choice, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What to use.
    pub accelerator: Accelerator,
    /// Why, for people.
    pub reason: String,
}

/// What the choice depends on, besides the host itself.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// QEMU.
    pub qemu: &'a Path,
    /// The probe guest.
    pub nt_host: &'a Path,
    /// Its firmware.
    pub firmware: Firmware,
}

/// A choice that was made on this very boot of this very host.
#[derive(Serialize, Deserialize)]
struct Remembered {
    boot: String,
    qemu: PathBuf,
    choice: Choice,
}

/// Chooses: the user's wish, or what was measured since the host booted, or what is measured now.
///
/// # Errors
/// When the probe cannot be tried at all. That KVM fails is no error but a reason.
pub fn choose(
    workspace: &Workspace,
    candidates: Candidates<'_>,
    wish: Option<Accelerator>,
) -> Result<Choice, MachineError> {
    if let Some(accelerator) = wish {
        return Ok(Choice { accelerator, reason: "asked for with --accel".into() });
    }
    let (file, boot) = (memory(workspace), this_boot());
    if let Some(seen) = remembered(&file, &boot).filter(|seen| seen.qemu == candidates.qemu) {
        return Ok(seen.choice);
    }
    let choice = measure(candidates)?;
    let seen = Remembered { boot, qemu: candidates.qemu.into(), choice: choice.clone() };
    if let Ok(text) = serde_json::to_vec_pretty(&seen) {
        // Only saves the next run the probe.
        let _ = fs::write(file, text);
    }
    Ok(choice)
}

/// What was measured since the host booted, and with which QEMU.
#[must_use]
pub fn measured(workspace: &Workspace) -> Option<(Choice, PathBuf)> {
    remembered(&memory(workspace), &this_boot()).map(|seen| (seen.choice, seen.qemu))
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

fn measure(candidates: Candidates<'_>) -> Result<Choice, MachineError> {
    let tcg = |reason: String| Ok(Choice { accelerator: Accelerator::Tcg, reason });
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/kvm") {
        return tcg(format!("/dev/kvm cannot be opened ({error})"));
    }
    let limit = PROBE_LIMIT.as_millis();
    match (probe(candidates, Accelerator::Kvm)?, probe(candidates, Accelerator::Tcg)?) {
        (Probe::Took(kvm), Probe::Took(tcg_time)) if kvm < tcg_time => Ok(Choice {
            accelerator: Accelerator::Kvm,
            reason: format!("a probe guest took {} ms, {} ms under TCG", kvm.as_millis(), tcg_time.as_millis()),
        }),
        (Probe::Took(kvm), Probe::Took(tcg_time)) => tcg(format!(
            "/dev/kvm opens but is slower: a probe guest took {} ms, {} ms under TCG",
            kvm.as_millis(),
            tcg_time.as_millis()
        )),
        (Probe::Took(kvm), other) => Ok(Choice {
            accelerator: Accelerator::Kvm,
            reason: format!("a probe guest took {} ms; under TCG {}", kvm.as_millis(), other.text(limit)),
        }),
        (other, Probe::Took(tcg_time)) => tcg(format!(
            "/dev/kvm opens but a probe guest {}; {} ms under TCG",
            other.text(limit),
            tcg_time.as_millis()
        )),
        (kvm, other) => {
            tcg(format!("a probe guest {} with KVM, {} under TCG: a slow machine", kvm.text(limit), other.text(limit)))
        }
    }
}

enum Probe {
    Took(Duration),
    TooLong,
    Failed(String),
}

impl Probe {
    fn text(&self, limit_ms: u128) -> String {
        match self {
            Self::Took(time) => format!("took {} ms", time.as_millis()),
            Self::TooLong => format!("was not done after {limit_ms} ms"),
            Self::Failed(how) => format!("failed ({how})"),
        }
    }
}

fn probe(candidates: Candidates<'_>, accelerator: Accelerator) -> Result<Probe, MachineError> {
    let scratch = Scratch::new()?;
    let options = MachineOptions {
        processors: 1,
        qemu: candidates.qemu.into(),
        accelerator,
        firmware: candidates.firmware,
        kernel: candidates.nt_host.into(),
        driver: None,
        guest_options: format!("probe={PROBE_MILLIONS}\n"),
        card_socket: None,
    };
    let log = scratch.path().join("qemu.log");
    let begun = Instant::now();
    let boot = Boot { log: &log, scratch: scratch.path() };
    let mut machine = match Machine::start(&options, GuestMemory::new(PROBE_MEMORY)?, &boot) {
        Ok(machine) => machine,
        Err(MachineError::QemuNotStarted { tail, ended, .. }) => {
            let last = tail.lines().last().map_or(ended, str::to_owned);
            return Ok(Probe::Failed(last));
        }
        Err(error) => return Err(error),
    };
    Ok(match machine.wait(PROBE_LIMIT.saturating_sub(begun.elapsed())) {
        None if interrupt::asked() => return Err(MachineError::Interrupted),
        None => Probe::TooLong,
        Some(ended) if guest_exit(ended) == Some(exit::COMPLETED) => Probe::Took(begun.elapsed()),
        Some(ended) => Probe::Failed(ended.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_remembered_until_the_host_boots_again() {
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
