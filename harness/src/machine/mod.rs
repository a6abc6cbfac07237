//! The machine under test: guest memory, the card's process, QEMU, and the sockets between them.
//!
//! The harness makes the guest's memory (a memfd) and the sockets, and passes them on as open files: nothing that the
//! processes need has a name that others could take. Both processes end with the harness, however it ends.

mod card;
mod card_exit;
pub mod conditions;
mod control;
mod death;
pub mod device;
mod device_control;
mod device_process;
mod disks;
mod error;
mod guard;
mod health;
pub mod installer;
mod killer;
mod memory;
mod option;
mod processes;
mod qemu;
mod qmp;
mod running_device;
pub mod screen;
mod screen_watch;
pub mod stub;

pub use card::{
    CARD_TRACE, Card, CardFreezer, CardOptions, CardReplacer, CardSockets, DEVICE_TRACE, GUEST_TRACE, Replacement,
};
pub use control::CardControl;
pub use death::{Death, Part};
pub use device::Device;
pub use device_control::{
    DEVICE_PROTOCOL, DeviceControl, DeviceControlError, DeviceDiagnosis, DeviceError, DeviceFinding, DeviceLog,
    DeviceRegister, DeviceStatus, Offer, Received, ReceivedBytes,
};
pub use device_process::DeviceProcess;
pub use disks::{Disks, SystemFirmware};
pub use error::MachineError;
pub use health::{Health, LostDevice, NoProcesses};
pub use killer::ProcessKiller;
pub use memory::GuestMemory;
pub use processes::{LeaveError, Processes};
pub use qemu::{Accelerator, Boot, Firmware, Machine, MachineDevice, MachineOptions, VFIO_USER, guest_exit};
pub use running_device::RunningDevice;

pub(crate) use death::NOT_OURS;
