//! What a test bed is made of: the provisioned programs and images, and the accelerator and firmware that suit them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::accelerator::Choice;
use crate::debugger::Debugging;
use crate::image::ImageGuest;
use crate::machine::{Device, Firmware};
use crate::provision::Artefacts;

/// The programs and images of a test bed, the accelerator and firmware that QEMU runs them with, and the driver's device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provisioned {
    /// The programs and images.
    pub artefacts: Artefacts<PathBuf>,
    /// The accelerator, and why it was chosen.
    pub accelerator: Choice,
    /// The firmware.
    pub firmware: Firmware,
    /// The device that the driver is for: the card, unless the user brings another.
    #[serde(default)]
    pub device: Device,
    /// The image that is booted, instead of the NT host.
    #[serde(default)]
    pub image: Option<ImageGuest>,
    /// What is wanted of a debugger, if one is.
    #[serde(skip)]
    pub debugging: Option<Debugging>,
}
