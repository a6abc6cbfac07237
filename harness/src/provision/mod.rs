//! Provisions what a run needs and the machine lacks: QEMU, the standard library's source, the guest images, the card.
//!
//! [`Artefacts::resolve_with`] names the artefacts of a run once; a closure resolves each. Everything is put under `target/dmus`,
//! nothing into the system, and the next run finds it again. A file lock keeps parallel runs apart.

mod apt;
mod artefact;
mod command;
pub mod cpp_driver;
pub mod doctor;
pub mod driver_file;
mod error;
pub mod example;
mod firmware;
mod fluidsynth;
mod guests;
pub mod image_check;
mod image_id;
pub mod inf;
mod launcher;
mod provisioner;
mod qemu;
mod resolve;
mod rust_source;
mod sources;
mod workspace;

pub use artefact::{Artefact, Artefacts};
pub use command::{Captured, capture};
pub(crate) use command::{run, run_logged};
pub use error::ProvisionError;
pub use firmware::firmware_of;
pub use fluidsynth::{FLUIDSYNTH_VARIABLE, SOUND_FONT_VARIABLE, private_fluidsynth, system_fluidsynth};
pub use provisioner::{Overrides, Provisioner};
pub use qemu::{Fitness, QEMU_VERSION_MIN, fitness, system_qemu};
pub use rust_source::toolchain_source;
pub use workspace::Workspace;
