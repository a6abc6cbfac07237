//! The steps to carry out, and what they run under.

use std::time::Duration;

use crate::machine::CardOptions;
use crate::machine::conditions::Conditions;
use crate::sound::midi::Song;
use crate::steps::document::LimitsTable;
use crate::steps::plan::Plan;
use crate::testbed::violations::ViolationPolicy;

/// The steps to carry out, and what they run under.
#[derive(Clone, Debug)]
pub struct StepsTest<'a> {
    /// The steps.
    pub plan: &'a Plan,
    /// How long all of them may take.
    pub limits: LimitsTable,
    /// The song of steps that name none.
    pub song: Song,
    /// The card's options.
    pub card: CardOptions,
    /// The conditions that the guest runs under.
    pub conditions: Conditions,
    /// Which violations do not stop the guest.
    pub policy: ViolationPolicy,
    /// Frames a second of streams that name none; without, the pins' data ranges decide.
    pub sample_rate: Option<u32>,
    /// Frames of a request to the wave stream, of steps that name none.
    pub quantum_frames: u32,
    /// Silence after a song, in milliseconds, of steps that name none.
    pub tail_ms: u32,
    /// Under the realtime clock: how long before its time an event is handed over, in milliseconds.
    pub lead_ms: u32,
    /// The longest time of a request or a wait without progress.
    pub timeout: Duration,
    /// Writes golden files instead of comparing with them.
    pub update_golden: bool,
}
