//! The driver as the guest loaded it: its image, and the pins of its filters.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The driver image as loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriverInfo {
    /// Length of the file in bytes.
    pub file_bytes: u32,
    /// SHA-256 of the file as the guest read it, which proves what runs.
    pub sha256: [u8; 32],
    /// Address at which the image was loaded.
    pub base: u64,
    /// `SizeOfImage`.
    pub image_bytes: u32,
    /// The functions that the image imports.
    pub imports: Vec<Import>,
}

/// An imported function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Import {
    /// The module, in lower case.
    pub module: String,
    /// The name, or `#n` for an ordinal.
    pub name: String,
}

/// A pin factory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinFactory {
    /// Whether data flows into the filter.
    pub flow_in: bool,
    /// `KSPIN_COMMUNICATION`.
    pub communication: u32,
    /// Largest number of instances.
    pub instances: u32,
    /// The data ranges that the factory declares.
    pub data_ranges: Vec<DataRange>,
    /// Why the guest cannot stream through the pin, whatever the driver declares; `None` where it can.
    pub not_streamed: Option<String>,
}

/// A data range of a pin factory (`KSDATARANGE` and its extensions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataRange {
    /// DirectMusic events.
    DirectMusic,
    /// MIDI messages.
    Midi,
    /// PCM.
    Pcm {
        /// Lowest sample rate in Hz.
        sample_rate_min: u32,
        /// Highest sample rate in Hz.
        sample_rate_max: u32,
        /// Largest number of channels.
        channels: u32,
        /// Largest number of bits per sample.
        bits: u32,
        /// Smallest number of bits per sample.
        bits_min: u32,
    },
    /// Any other format, such as a bridge pin's.
    Other,
}
