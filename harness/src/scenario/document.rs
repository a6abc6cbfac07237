//! The shape of a scenario file: its tables and keys.

use std::path::PathBuf;

use card_control::{Clock, Sandbox, Transport};
use serde::Deserialize;
use toml::{Spanned, Value};

use super::expect::Expectations;
use super::waive_table::WaiveTable;
use crate::machine::conditions::{Bars, Interrupts};
use crate::playback::{Kill, LEAD_MS_DEFAULT, TAIL_MS_DEFAULT};
use crate::testbed::stall::Stall;

/// The guests that a scenario can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Guest {
    /// The bare-metal guest that hosts the driver.
    #[default]
    NtHost,
}

/// A test that is not a playback test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// Runs the probes of the contract, and reports a verdict for each rule.
    Contract,
    /// Opens, runs, stops and closes streams under injected faults, and compares what went in with what came back.
    Stress,
    /// Fails the allocation of each stack that allocates once, as Driver Verifier's low-resources simulation does.
    LowResources,
    /// Injects lost sessions and corrupt used rings into the card, and checks that the driver recovers.
    Recovery,
    /// Kills the card at random instants, and checks that QEMU lives and that the driver recovers with another card behind a guard, or
    /// fails cleanly without one over vfio-user.
    CardKills,
    /// Runs a driver that is hostile to the card, one fault a guest, over each transport, and checks that card and QEMU live and that
    /// the card names the fault.
    Hostile,
    /// Shows what QEMU itself asserts on or refuses around the card, and finds what no longer is so.
    QemuLimits,
    /// Kills harness, card and QEMU, and checks that the verdict names the right process and that nothing is left.
    Kills,
}

/// A scenario file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) title: Spanned<String>,
    pub(super) test: Option<TestKind>,
    pub(super) rounds: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) guest: Guest,
    pub(super) song: Option<Spanned<String>>,
    pub(super) driver: Option<PathBuf>,
    pub(super) cpp_driver: Option<CppDriver>,
    #[serde(default)]
    pub(super) machine: MachineTable,
    #[serde(default)]
    pub(super) card: CardTable,
    #[serde(default)]
    pub(super) device: DeviceTable,
    #[serde(default)]
    pub(super) stream: StreamTable,
    #[serde(default)]
    pub(super) matrix: Option<Spanned<Matrix>>,
    #[serde(default)]
    pub(super) tags: Vec<Spanned<String>>,
    pub(super) fault: Option<Spanned<Kill>>,
    #[serde(default)]
    pub(super) stall: Vec<Spanned<Stall>>,
    #[serde(default)]
    pub(super) waive: Vec<WaiveTable>,
    #[serde(default)]
    pub(super) keep_going: bool,
    pub(super) judge: Option<Spanned<Value>>,
    #[serde(default)]
    pub(super) capture: bool,
    #[serde(default)]
    pub(super) expect: Expectations,
}

/// The table `[machine]`: the guest's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MachineTable {
    /// Processors, 1 or 2: the second takes the card's interrupts.
    pub processors: u8,
    /// Whether interrupts, DPCs and calls are delayed, with the number of the repetition as seed.
    pub delays: bool,
    /// The kind of the card's interrupts.
    pub interrupts: Interrupts,
    /// How many messages the system has for the card, 1 to 8; without, as many as it can.
    pub messages: Option<u8>,
    /// Where the card's 64-bit base addresses are.
    pub bars: Bars,
    /// The number of restarts of the device before the song, with other resources each time.
    pub restarts: u8,
}

impl Default for MachineTable {
    fn default() -> Self {
        Self {
            processors: 1,
            delays: false,
            interrupts: Interrupts::Line,
            messages: None,
            bars: Bars::Below4G,
            restarts: 0,
        }
    }
}

/// The table `[card]`: the card's options.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardTable {
    #[serde(default)]
    pub(super) transport: Transport,
    #[serde(default)]
    pub(super) clock: Clock,
    pub(super) render_block: Option<Spanned<u32>>,
    pub(super) bank: Option<PathBuf>,
    #[serde(default)]
    pub(super) guard: bool,
    #[serde(default)]
    pub(super) sandbox: Sandbox,
}

/// The table `[device]`: the device that the driver is for, instead of the card.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeviceTable {
    pub(super) qemu: Option<Spanned<String>>,
    pub(super) vfio_user: Option<Spanned<PathBuf>>,
    pub(super) command: Option<Spanned<String>>,
    pub(super) example: Option<Spanned<String>>,
    pub(super) control: Option<Spanned<PathBuf>>,
    pub(super) none: Option<Spanned<bool>>,
    pub(super) resources: Vec<Spanned<String>>,
    pub(super) pci: Option<Spanned<String>>,
    pub(super) inf: Option<Spanned<PathBuf>>,
}

/// The table `[stream]`: the streams' formats and times.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StreamTable {
    pub(super) sample_rate: Option<Spanned<u32>>,
    pub(super) quantum: Option<Spanned<u32>>,
    pub(super) tail_ms: u32,
    pub(super) lead_ms: u32,
}

impl Default for StreamTable {
    fn default() -> Self {
        Self { sample_rate: None, quantum: None, tail_ms: TAIL_MS_DEFAULT, lead_ms: LEAD_MS_DEFAULT }
    }
}

/// The table `[matrix]`: the values of each dimension.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matrix {
    #[serde(default)]
    pub(super) song: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) transport: Vec<Transport>,
    #[serde(default)]
    pub(super) bars: Vec<Bars>,
    #[serde(default)]
    pub(super) clock: Vec<Clock>,
    #[serde(default)]
    pub(super) render_block: Vec<Spanned<u32>>,
    #[serde(default)]
    pub(super) sample_rate: Vec<Spanned<u32>>,
    #[serde(default)]
    pub(super) quantum: Vec<Spanned<u32>>,
    pub(super) repeat: Option<Spanned<u32>>,
}

impl Matrix {
    /// Returns whether it has no other dimensions than transport and bars.
    pub(super) fn is_of_the_machine(&self) -> bool {
        let Self { song, clock, render_block, sample_rate, quantum, repeat, .. } = self;
        song.is_empty()
            && clock.is_empty()
            && render_block.is_empty()
            && sample_rate.is_empty()
            && quantum.is_empty()
            && repeat.is_none()
    }
}

/// Drivers that are built from the sources of the C++ drivers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub(super) enum CppDriver {
    /// `good`: dmusfix, the driver of the card.
    Good,
    /// `broken`: every variant that a guest must stop: a case each, which must name the rule.
    Broken,
    /// `passing`: every variant that a guest must not stop: a case each.
    Passing,
    /// Another driver, by the name of its folder, or a variant of one, as `dmusfix:event_leaked`.
    Named(String),
}

impl From<String> for CppDriver {
    fn from(name: String) -> Self {
        match name.as_str() {
            "good" => Self::Good,
            "broken" => Self::Broken,
            "passing" => Self::Passing,
            _ => Self::Named(name),
        }
    }
}
