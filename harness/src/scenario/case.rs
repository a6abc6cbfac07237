//! One case of a scenario: what is played, with which values of the matrix.

use std::path::PathBuf;

use card_control::{Clock, Sandbox, Transport};

use super::document::{Guest, MachineTable};
use super::expect::ExpectedBugCheck;
use crate::machine::Device;
use crate::machine::conditions::{Bars, Interrupts};
use crate::playback::judge::Judge;
use crate::sound::song_source::SongSource;

/// A driver that is built for a case.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltDriver {
    /// The script that builds the driver.
    pub script: PathBuf,
    /// The driver's name; `None` for dmusfix.
    pub driver: Option<String>,
    /// The variant; `None` for the good driver.
    pub variant: Option<String>,
    /// The bug check by which the guest must stop it; `None` for a driver that it must not stop.
    pub bug_check: Option<ExpectedBugCheck>,
    /// The device that it is for, where that is not the scenario's.
    pub device: Option<Device>,
    /// How its device interrupts, where the variant is about that.
    pub interrupts: Option<Interrupts>,
    /// Where its device's 64-bit base addresses are, where the variant is about that.
    pub bars: Option<Bars>,
    /// What decides whether it plays right, where the offline render of the project's synthesizer cannot.
    pub judge: Option<Judge>,
    /// The probe of the contract that shows the variant; `None` for a playback test.
    pub probe: Option<String>,
}

/// One case of a scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// The values of the matrix, such as `song=tide render_block=64`; empty for a scenario without a matrix.
    pub name: String,
    /// The same, by axis; of a C++ driver's variant also `variant`.
    pub axes: Vec<(String, String)>,
    /// The line of the scenario file which makes it, from 1: the title's, or the matrix's.
    pub line: usize,
    /// The guest.
    pub guest: Guest,
    /// A driver image to use instead of `dmuscard.sys`.
    pub image: Option<PathBuf>,
    /// The driver to build for this case.
    pub driver: Option<BuiltDriver>,
    /// The song.
    pub song: SongSource,
    /// How the card is attached to QEMU.
    pub transport: Transport,
    /// The guest's machine.
    pub machine: MachineTable,
    /// The card's clock.
    pub clock: Clock,
    /// The card's render block.
    pub render_block: Option<u32>,
    /// A guard in a process of its own stands between QEMU and the card.
    pub guard: bool,
    /// Whether the card's process is confined.
    pub sandbox: Sandbox,
    /// The card's bank.
    pub bank: Option<PathBuf>,
    /// Frames a second; without, the pin's data ranges decide.
    pub sample_rate: Option<u32>,
    /// Frames of a request to the wave stream.
    pub quantum: u32,
    /// Silence after the song, in milliseconds.
    pub tail_ms: u32,
    /// Under the realtime clock: how long before its time an event is handed over, in milliseconds.
    pub lead_ms: u32,
    /// The number of the repetition, from 1; 0 without any.
    pub repetition: u32,
}

impl Case {
    /// Returns whether an axis has a value in it.
    #[must_use]
    pub fn has(&self, axis: &str, text: &str) -> bool {
        self.axes.iter().any(|(own, value)| own == axis && value == text)
    }
}
