//! Finds the firmware that a QEMU has.

use std::path::Path;
use std::process::Command;

use super::command::capture;
use crate::machine::Firmware;

/// Returns qboot if this QEMU has it beside its firmware, else SeaBIOS.
#[must_use]
pub fn firmware_of(qemu: &Path) -> Firmware {
    // `-L help` lists the folders in which firmware is looked for.
    let folders = capture(Command::new(qemu).args(["-L", "help"])).map(|said| said.stdout).unwrap_or_default();
    if folders.lines().any(|folder| Path::new(folder.trim()).join("qboot.rom").is_file()) {
        Firmware::Qboot
    } else {
        Firmware::SeaBios
    }
}
