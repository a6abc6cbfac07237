//! Assembles QEMU's options from what was provisioned, and the line of the machine that runs.

use std::io;

use super::provisioned::Provisioned;
use super::session::GuestLine;
use crate::machine::{Machine, MachineDevice, MachineOptions};

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
        stub: None,
        disks: None,
    }
}

/// Returns the line of a machine's guest, which may lend rings in the machine's memory.
///
/// # Errors
/// The error of the host, where it gives no further descriptors.
pub(super) fn guest_line(machine: &Machine) -> io::Result<GuestLine> {
    if machine.starts_from_disk() {
        // Firmware and loader write to the port too.
        return Ok(GuestLine::reliable(machine.line.try_clone()?));
    }
    Ok(GuestLine::with_memory(machine.line.try_clone()?, machine.memory.share()?))
}
