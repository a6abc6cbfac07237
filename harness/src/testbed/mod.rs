//! The test bed: card, QEMU, guest and driver, started and owned as one, with its run folder.
//!
//! [`TestBed::builder`] provisions what is missing, starts the card, QEMU and the session with the guest, and knows which
//! process is to blame when one ends. On a running test bed a song is streamed by
//! [`playback::stream_song`](crate::playback::stream_song); `set_power`, `restart_device` and `remove_by_surprise` change
//! the device's state; `inject_fault` has the card fail; `expect_interrupts`, `expect_no_diagnosis` and `expect_log` judge.
//! The example `my_driver` shows all of it. `device` puts another device in the card's place, whose control socket is
//! [`TestBed::device_control`]. A crate outside this checkout depends on the library by its path,
//! `dmus = { path = ".../harness" }`: what is provisioned then comes from, and stays in, the checkout of the library.

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
mod guest_marks;
mod pins;
mod power;
mod provisioned;
mod provisioning;
pub mod run_folder;
pub mod session;
pub mod stall;
mod stream;
mod symbols;
pub mod synthesizer;
pub mod violations;

pub use card_control::{Clock, FailureStatus, InjectedFault, RequestName, Trigger, UsedRingCorruption};
pub use guest_protocol::DevicePower;

pub use crate::machine::conditions::{Bars, Conditions, Interrupts};
pub use crate::machine::device;
pub use crate::machine::{Accelerator, CardOptions, Device, DeviceControl, DeviceControlError, Offer};
pub use crate::provision::Workspace;

pub use accelerator::{Choice, measured};
pub use bare::BareMachine;
pub use bed::{BUG_CHECK_FILE, HANG_FILE, SCREEN, TestBed};
pub use builder::{GUEST_LOG_DEFAULT, MEMORY_DEFAULT, StartedCard, TIMEOUT_DEFAULT, TestBedBuilder};
pub use error::{HOST_STALLED_REMEDY, HostStalled, TestBedError};
pub use guest_marks::GuestMarksError;
pub use pins::{MusicFormat, PinOptions, Pins, RATE_DEFAULT, SongPins, open_pins, open_song_pins, wave_format};
pub use provisioned::Provisioned;
pub use provisioning::provision;
pub use stream::{QUANTUM_DEFAULT, StreamMemory};
