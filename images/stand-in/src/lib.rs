//! What of the stand-in needs no firmware: its reading of answer files, scripts and kernels, its misbehaviours, and the state that it keeps
//! on its disk between boots.
//!
//! The stand-in is a UEFI program on an installation disc of the project's own. It does what the harness sees of Windows Setup: it asks for a
//! key, finds `Autounattend.xml` on a disk beside the disc, installs itself on an empty disk, starts again three times, runs the steps of
//! `setup.cmd`, and ends as a guest whose agent answers on COM1: its own, which installs and does no more, or the NT host, which it enters with the driver
//! that set-up has installed. It is no Windows and shows nothing about one.
#![cfg_attr(target_os = "uefi", no_std)]

extern crate alloc;

pub mod answer;
pub mod behaviour;
pub mod dump;
pub mod kernel;
pub mod script;
pub mod state;
