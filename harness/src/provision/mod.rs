//! Provisions what a run needs and the machine lacks: QEMU, the standard library's source, the guest images, the card.
//!
//! [`Artefacts::resolve_with`] names the artefacts of a run once; a closure resolves each. A [`Bundle`] holds all of them. In a
//! checkout what is missing is built or downloaded, and put under `target/dmus`, nothing into the system; the next run finds it
//! again. A file lock keeps parallel runs apart.

mod apt;
mod artefact;
mod axe;
pub mod bundle;
mod chromium;
mod command;
pub mod cpp_driver;
mod disc_writer;
pub mod doctor;
pub mod driver_file;
pub(crate) mod embedded;
mod error;
pub mod example;
mod firmware;
mod fluidsynth;
mod guests;
pub mod image_check;
mod image_id;
pub mod inf;
mod launcher;
mod lldb;
mod ovmf;
mod own_libraries;
mod place;
mod provisioner;
mod qemu;
mod resolve;
mod rust_source;
mod same_image;
mod sources;
mod unpacked;
mod wine;
mod workspace;

pub use artefact::{Artefact, Artefacts};
pub use axe::AXE_VARIABLE;
pub use bundle::Bundle;
pub use chromium::{CHROMIUM_VARIABLE, private_chromium, system_chromium};
pub use command::{Captured, capture, find_program};
pub(crate) use command::{run, run_logged};
pub use disc_writer::DISC_WRITER_VARIABLE;
pub use error::ProvisionError;
pub use firmware::firmware_of;
pub use fluidsynth::{FLUIDSYNTH_VARIABLE, SOUND_FONT_VARIABLE, private_fluidsynth, system_fluidsynth};
pub use guests::AGENT_VARIABLE;
pub use lldb::{INSTALL_LLDB, LLDB_VARIABLE, LLDB_VERSION_MIN, lldb_dap_of, lldb_here};
pub use ovmf::{OVMF_VARIABLE, OvmfFiles};
pub use provisioner::{Overrides, Provisioner};
pub use qemu::{Fitness, PrivateQemu, QEMU_VERSION_MIN, fitness, has_vfio_user, system_qemu};
pub use rust_source::toolchain_source;
pub use wine::{WINE_VARIABLE, ZLIB_VARIABLE, zlib_of};
pub use workspace::Workspace;
