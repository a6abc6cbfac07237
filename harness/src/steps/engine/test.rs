//! The steps to carry out, and what they run under.

use std::time::Duration;

use super::interaction::Interaction;
use crate::machine::CardOptions;
use crate::machine::conditions::Conditions;
use crate::playback::{LEAD_MS_DEFAULT, TAIL_MS_DEFAULT};
use crate::sound::midi::{MidiError, Song};
use crate::sound::songs;
use crate::steps::document::LimitsTable;
use crate::steps::plan::Plan;
use crate::testbed::violations::ViolationPolicy;
use crate::testbed::{GUEST_LOG_DEFAULT, QUANTUM_DEFAULT, TIMEOUT_DEFAULT};

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
    /// The level of the guest's log.
    pub guest_log: String,
    /// Takes over between steps: a prompt.
    pub interaction: Option<&'a dyn Interaction>,
    /// Writes golden files instead of comparing with them.
    pub update_golden: bool,
}

impl<'a> StepsTest<'a> {
    /// Creates a test of steps with the default options, and the project's first song for steps that name none.
    ///
    /// # Errors
    /// [`MidiError`] never occurs: the project's songs are read by its tests.
    pub fn of(plan: &'a Plan) -> Result<Self, MidiError> {
        Ok(Self {
            plan,
            limits: LimitsTable::default(),
            song: songs::ALL[0].song()?,
            card: CardOptions::default(),
            conditions: Conditions::default(),
            policy: ViolationPolicy::default(),
            sample_rate: None,
            quantum_frames: QUANTUM_DEFAULT,
            tail_ms: TAIL_MS_DEFAULT,
            lead_ms: LEAD_MS_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            guest_log: GUEST_LOG_DEFAULT.into(),
            interaction: None,
            update_golden: false,
        })
    }
}
