//! Assembles QEMU's options from what was provisioned.

use super::provisioned::Provisioned;
use crate::machine::{MachineDevice, MachineOptions};

/// Returns the options of a machine with these guest options (lines of `name=value`), one processor, no device, no driver.
pub(super) fn bare_options(provisioned: &Provisioned, guest_options: String) -> MachineOptions {
    let Provisioned { artefacts, accelerator, firmware, .. } = provisioned;
    MachineOptions {
        processors: 1,
        qemu: artefacts.qemu.clone(),
        accelerator: accelerator.accelerator,
        firmware: *firmware,
        kernel: artefacts.nt_host.clone(),
        driver: None,
        guest_options,
        installation: None,
        device: MachineDevice::Absent,
    }
}
