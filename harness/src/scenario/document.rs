//! The shape of a scenario file: its tables and keys.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use card_control::{Clock, Sandbox, Transport};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::expect::Expectations;
use super::judge_table::JudgeForm;
use super::known_issue_table::KnownIssueTable;
use super::matrix_table::Matrix;
use super::seed::Seed;
use super::waive_table::WaiveTable;
use crate::machine::conditions::{Bars, Interrupts, Windows};
use crate::playback::{Kill, LEAD_MS_DEFAULT, TAIL_MS_DEFAULT};
use crate::steps::{LimitsTable, StepTable};
use crate::testbed::stall::Stall;

/// The guests that a scenario can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Guest {
    /// The bare-metal guest that hosts the driver.
    #[default]
    NtHost,
}

impl Guest {
    /// Returns the name in scenarios.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::NtHost => "nt-host",
        }
    }
}

/// A test that is not a playback test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
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
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// Its purpose, in a sentence.
    #[schemars(with = "String")]
    pub(super) title: Spanned<String>,
    /// The kind of test; a song is played, or the steps are carried out, where it is absent.
    pub(super) test: Option<TestKind>,
    /// Rounds of a stress test, kills, or faults that are drawn.
    #[schemars(with = "Option<u32>")]
    pub(super) rounds: Option<Spanned<u32>>,
    /// Of kills: how many guests run side by side in the run of each kill; without, one.
    #[schemars(with = "Option<usize>")]
    pub(super) parallel: Option<Spanned<NonZeroUsize>>,
    /// The guest.
    #[serde(default)]
    pub(super) guest: Guest,
    /// The song: one of the project, or a file beside the scenario.
    #[schemars(with = "Option<String>")]
    pub(super) song: Option<Spanned<String>>,
    /// A driver image (`.sys`, x86-64), from the scenario's folder.
    pub(super) driver: Option<PathBuf>,
    /// A driver that is built from the project's C++ drivers: `good`, `broken`, `passing`, a name, or a name and a variant as in `dmusfix:event_leaked`.
    #[schemars(with = "Option<String>")]
    pub(super) cpp_driver: Option<CppDriver>,
    /// The guest's machine.
    #[serde(default)]
    pub(super) machine: MachineTable,
    /// The card.
    #[serde(default)]
    pub(super) card: CardTable,
    /// The device that the driver is for, instead of the card.
    #[serde(default)]
    pub(super) device: DeviceTable,
    /// The streams' formats and times.
    #[serde(default)]
    pub(super) stream: StreamTable,
    /// Dimensions whose product is run: a case for each combination.
    #[serde(default)]
    #[schemars(with = "Option<Matrix>")]
    pub(super) matrix: Option<Spanned<Matrix>>,
    /// Words by which scenarios are chosen.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) tags: Vec<Spanned<String>>,
    /// Whether it is in the small set that runs on each push.
    #[serde(default)]
    pub(super) integration: bool,
    /// What it needs of the host, such as `checkout` or `processors-2`; its cases are skipped where that is missing.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) requires: Vec<Spanned<String>>,
    /// Failures that are known: they fail no run until a date, as long as they are as described.
    #[serde(default)]
    pub(super) known_issue: Vec<KnownIssueTable>,
    /// A process to kill at the beginning of a phase of a playback.
    #[schemars(with = "Option<Kill>")]
    pub(super) fault: Option<Spanned<Kill>>,
    /// Processes to stop for a while in a playback.
    #[serde(default)]
    #[schemars(with = "Vec<Stall>")]
    pub(super) stall: Vec<Spanned<Stall>>,
    /// Rules whose violations are noted and do not stop the guest.
    #[serde(default)]
    pub(super) waive: Vec<WaiveTable>,
    /// Violations after which the guest can go on are noted and do not stop it.
    #[serde(default)]
    pub(super) keep_going: bool,
    /// What decides whether a song was played right; what fits the device where it is absent.
    #[schemars(with = "Option<JudgeForm>")]
    pub(super) judge: Option<Spanned<Value>>,
    /// The song is brought in at the device's MIDI input and captured, instead of played.
    #[serde(default)]
    pub(super) capture: bool,
    /// Steps to carry out, instead of a song to play.
    #[serde(default)]
    #[schemars(with = "Vec<StepTable>")]
    pub(super) step: Vec<Spanned<StepTable>>,
    /// Steps that are carried out at the end, whatever came before. They change no verdict.
    #[serde(default)]
    #[schemars(with = "Vec<StepTable>")]
    pub(super) cleanup: Vec<Spanned<StepTable>>,
    /// How long all steps may take.
    #[serde(default)]
    pub(super) limits: LimitsTable,
    /// What must come of it.
    #[serde(default)]
    pub(super) expect: Expectations,
}

/// The table `[machine]`: the guest's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MachineTable {
    /// Processors, 1 or 2: the second takes the card's interrupts.
    pub processors: u8,
    /// Whether interrupts, DPCs and calls are delayed, with the number of the repetition as seed.
    pub delays: bool,
    /// The seed of the delays, instead of that number; it delays by itself.
    pub seed: Option<Seed>,
    /// The kind of the card's interrupts.
    pub interrupts: Interrupts,
    /// How many messages the system has for the card, 1 to 8; without, as many as it can.
    pub messages: Option<u8>,
    /// Where the card's 64-bit base addresses are.
    pub bars: Bars,
    /// The Windows that the guest poses as: an older one lacks the functions that are younger by their pages.
    pub windows: Windows,
    /// The number of restarts of the device before the song, with other resources each time.
    pub restarts: u8,
}

impl Default for MachineTable {
    fn default() -> Self {
        Self {
            processors: 1,
            delays: false,
            seed: None,
            interrupts: Interrupts::Line,
            messages: None,
            bars: Bars::Below4G,
            windows: Windows::Ten,
            restarts: 0,
        }
    }
}

/// The table `[card]`: the card's options.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CardTable {
    /// How it is attached to QEMU.
    #[serde(default)]
    pub(super) transport: Transport,
    /// What moves its time.
    #[serde(default)]
    pub(super) clock: Clock,
    /// Frames that it renders at a time, from 1 to 65536.
    #[schemars(with = "Option<u32>")]
    pub(super) render_block: Option<Spanned<u32>>,
    /// A bank (`.dls`, `.sf2`) beside the scenario, instead of the project's own.
    pub(super) bank: Option<PathBuf>,
    /// A guard in a process of its own stands between QEMU and the card.
    #[serde(default)]
    pub(super) guard: bool,
    /// Whether its process is confined.
    #[serde(default)]
    pub(super) sandbox: Sandbox,
}

/// The table `[device]`: the device that the driver is for, instead of the card.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeviceTable {
    /// A device that QEMU models, with its properties, as after `-device`.
    #[schemars(with = "Option<String>")]
    pub(super) qemu: Option<Spanned<String>>,
    /// The socket of a vfio-user server that runs already.
    #[schemars(with = "Option<PathBuf>")]
    pub(super) vfio_user: Option<Spanned<PathBuf>>,
    /// A command that starts a vfio-user server; `{socket}`, `{control}` and `{trace}` are replaced by paths.
    #[schemars(with = "Option<String>")]
    pub(super) command: Option<Spanned<String>>,
    /// An example of the crate for cards.
    #[schemars(with = "Option<String>")]
    pub(super) example: Option<Spanned<String>>,
    /// The control socket of a server that runs already.
    #[schemars(with = "Option<PathBuf>")]
    pub(super) control: Option<Spanned<PathBuf>>,
    /// `true`: there is no device; the driver is a software synthesizer.
    #[schemars(with = "Option<bool>")]
    pub(super) none: Option<Spanned<bool>>,
    /// Resources of a device that no bus enumerates, such as `irq=5`.
    #[schemars(with = "Vec<String>")]
    pub(super) resources: Vec<Spanned<String>>,
    /// The vendor and device id of the function that the driver is for, such as `4242:0401`.
    #[schemars(with = "Option<String>")]
    pub(super) pci: Option<Spanned<String>>,
    /// The INF file of the driver.
    #[schemars(with = "Option<PathBuf>")]
    pub(super) inf: Option<Spanned<PathBuf>>,
}

/// The table `[stream]`: the streams' formats and times.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StreamTable {
    /// Frames a second; the pin's data ranges decide where it is absent.
    #[schemars(with = "Option<u32>")]
    pub(super) sample_rate: Option<Spanned<u32>>,
    /// Frames of a request to the wave stream.
    #[schemars(with = "Option<u32>")]
    pub(super) quantum: Option<Spanned<u32>>,
    /// Silence after the song, in milliseconds.
    pub(super) tail_ms: u32,
    /// Under the realtime clock: how long before its time an event is handed over, in milliseconds.
    pub(super) lead_ms: u32,
}

impl Default for StreamTable {
    fn default() -> Self {
        Self { sample_rate: None, quantum: None, tail_ms: TAIL_MS_DEFAULT, lead_ms: LEAD_MS_DEFAULT }
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
