//! The test bed: card, QEMU, guest and driver, started and owned as one, with its run folder.

mod accelerator;
mod assembly;
mod bare;
mod bed;
pub mod bug_check;
mod builder;
mod calibration;
mod error;
mod expect;
pub mod fake;
mod filters;
mod pins;
mod power;
mod provisioned;
mod provisioning;
pub mod run_folder;
pub mod session;
pub mod stall;
mod stream;
pub mod synthesizer;

pub use card_control::{Clock, InjectedFault, UsedRingCorruption};
pub use guest_protocol::DevicePower;

pub use accelerator::{Choice, measured};
pub use bare::BareMachine;
pub use bed::{BUG_CHECK_FILE, HANG_FILE, TestBed};
pub use builder::{MEMORY_DEFAULT, StartedCard, TIMEOUT_DEFAULT, TestBedBuilder};
pub use error::{HOST_STALLED_REMEDY, HostStalled, TestBedError};
pub use pins::{PinOptions, Pins, open_pins, open_pins_with};
pub use provisioned::Provisioned;
pub use provisioning::provision;
pub use stream::{QUANTUM_DEFAULT, StreamMemory};
