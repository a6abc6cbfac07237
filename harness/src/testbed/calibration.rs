//! Chooses the accelerator by timing a calibration guest, which counts, under each.
//!
//! That `/dev/kvm` opens says little: on hosts that are themselves virtual it may emulate every instruction of a guest's
//! kernel and be forty times slower than QEMU's translation.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use guest_protocol::exit;
use guest_protocol::options::CALIBRATE;

use super::accelerator::{Choice, measured, remember};
use super::bare::BareMachine;
use super::error::TestBedError;
use super::provisioned::Provisioned;
use crate::host::interrupt;
use crate::machine::{Accelerator, Device, Firmware, MachineError, guest_exit};
use crate::provision::{Artefacts, Workspace};

/// Millions of iterations that the calibration guest counts: a quarter of a second under TCG, a fiftieth on hardware.
const MILLIONS: u32 = 50;

/// The longest time for a calibration, boot included. TCG needs half of this on a slow machine; a slower one is no
/// help.
const LIMIT: Duration = Duration::from_millis(1500);

/// Memory of the calibration guest, in bytes.
const MEMORY: u64 = 128 << 20;

/// Chooses the accelerator: the one that is given, or what was measured since the host booted, or what is measured now.
///
/// # Errors
/// [`TestBedError::Machine`] where the calibration guest cannot be tried at all. That KVM fails is a reason for TCG.
pub(super) fn choose(
    workspace: &Workspace,
    artefacts: &Artefacts<PathBuf>,
    firmware: Firmware,
    given: Option<Accelerator>,
) -> Result<Choice, TestBedError> {
    if let Some(accelerator) = given {
        return Ok(Choice { accelerator, reason: "asked for with --accel".into() });
    }
    if let Some((choice, _)) = measured(workspace).filter(|(_, qemu)| *qemu == artefacts.qemu) {
        return Ok(choice);
    }
    let choice = measure(artefacts, firmware)?;
    remember(workspace, &artefacts.qemu, &choice);
    Ok(choice)
}

fn measure(artefacts: &Artefacts<PathBuf>, firmware: Firmware) -> Result<Choice, TestBedError> {
    let tcg = |reason: String| Ok(Choice { accelerator: Accelerator::Tcg, reason });
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/kvm") {
        return tcg(format!("/dev/kvm cannot be opened ({error})"));
    }
    let limit = LIMIT.as_millis();
    let calibrate = |accelerator| calibrate(artefacts, firmware, accelerator);
    match (calibrate(Accelerator::Kvm)?, calibrate(Accelerator::Tcg)?) {
        (Calibration::Took(kvm), Calibration::Took(tcg_time)) if kvm < tcg_time => Ok(Choice {
            accelerator: Accelerator::Kvm,
            reason: format!("a calibration guest took {} ms, {} ms under TCG", kvm.as_millis(), tcg_time.as_millis()),
        }),
        (Calibration::Took(kvm), Calibration::Took(tcg_time)) => tcg(format!(
            "/dev/kvm opens but is slower: a calibration guest took {} ms, {} ms under TCG",
            kvm.as_millis(),
            tcg_time.as_millis()
        )),
        (Calibration::Took(kvm), other) => Ok(Choice {
            accelerator: Accelerator::Kvm,
            reason: format!("a calibration guest took {} ms; under TCG {}", kvm.as_millis(), other.text(limit)),
        }),
        (other, Calibration::Took(tcg_time)) => tcg(format!(
            "/dev/kvm opens but a calibration guest {}; {} ms under TCG",
            other.text(limit),
            tcg_time.as_millis()
        )),
        (kvm, other) => tcg(format!(
            "a calibration guest {} with KVM, {} under TCG: a slow machine",
            kvm.text(limit),
            other.text(limit)
        )),
    }
}

/// The outcome of one calibration.
enum Calibration {
    Took(Duration),
    TooLong,
    Failed(String),
}

impl Calibration {
    fn text(&self, limit_ms: u128) -> String {
        match self {
            Self::Took(time) => format!("took {} ms", time.as_millis()),
            Self::TooLong => format!("was not done after {limit_ms} ms"),
            Self::Failed(how) => format!("failed ({how})"),
        }
    }
}

fn calibrate(
    artefacts: &Artefacts<PathBuf>,
    firmware: Firmware,
    accelerator: Accelerator,
) -> Result<Calibration, TestBedError> {
    let accelerator = Choice { accelerator, reason: "calibration".into() };
    let provisioned = Provisioned {
        artefacts: artefacts.clone(),
        accelerator,
        firmware,
        device: Device::default(),
        image: None,
        debugging: None,
    };
    let begun = Instant::now();
    let mut bare = match BareMachine::start(&provisioned, MEMORY, format!("{CALIBRATE}={MILLIONS}\n")) {
        Ok(bare) => bare,
        Err(MachineError::QemuNotStarted { tail, ended, .. }) => {
            let last = tail.lines().last().map_or(ended, str::to_owned);
            return Ok(Calibration::Failed(last));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match bare.machine.wait(LIMIT.saturating_sub(begun.elapsed())) {
        None if interrupt::requested() => return Err(MachineError::Interrupted.into()),
        None => Calibration::TooLong,
        Some(ended) if guest_exit(ended) == Some(exit::COMPLETED) => Calibration::Took(begun.elapsed()),
        Some(ended) => Calibration::Failed(ended.to_string()),
    })
}
