//! The disks of a machine whose guest starts from one: the system's, one that takes a dump, and the firmware that starts it.

use std::path::PathBuf;
use std::process::Command;

use super::option::with_path;

/// The name of the disk that takes a dump, in QEMU.
pub(super) const DUMP_DEVICE: &str = "dump-device";

/// The firmware of a machine with disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemFirmware {
    /// SeaBIOS, which QEMU has.
    Bios,
    /// OVMF: its code, and the machine's own variables, which it writes.
    Uefi {
        /// The code.
        code: PathBuf,
        /// The variables.
        variables: PathBuf,
    },
}

/// The disks of a machine.
#[derive(Clone, Debug)]
pub struct Disks {
    /// The firmware.
    pub firmware: SystemFirmware,
    /// The disk of the system, a qcow2 that takes what the guest writes.
    pub system: PathBuf,
    /// The disk that takes a dump, raw, with a FAT32 file system.
    pub dump: PathBuf,
}

impl Disks {
    /// Adds firmware, disks and a screen to QEMU's command line.
    pub(super) fn add_to(&self, command: &mut Command) {
        if let SystemFirmware::Uefi { code, variables } = &self.firmware {
            command.arg("-drive").arg(with_path("if=pflash,unit=0,format=raw,readonly=on,file=", code));
            command.arg("-drive").arg(with_path("if=pflash,unit=1,format=raw,file=", variables));
        }
        command.args(["-vga", "std", "-rtc", "base=utc,clock=host"]);
        // What the guest writes is of this run only: nothing has to be on the host's disk when QEMU ends.
        let system = "if=none,id=system,format=qcow2,cache=unsafe,discard=unmap,file=";
        command.arg("-drive").arg(with_path(system, &self.system));
        command.args(["-device", "ide-hd,bus=ide.0,drive=system,id=system-device,bootindex=1"]);
        command.arg("-drive").arg(with_path("if=none,id=dump,format=raw,cache=unsafe,file=", &self.dump));
        command.args(["-device", &format!("ide-hd,bus=ide.1,drive=dump,id={DUMP_DEVICE}")]);
    }
}
