//! The six-stage envelopes (DLS-2.2, 1.7.2): delay, attack, hold, decay, sustain, release.
//!
//! One machine serves both. Its level runs from 0 to 1; for the volume envelope that is -96 dB to 0 dB everywhere but
//! in the attack, which is linear in amplitude. Every stage is a straight line from where it began, so that a level
//! does not depend on how many steps led to it. Times are in frames and may have fractions; a stage that ends between
//! two frames hands the rest of the time to the next.

use crate::lanes::{LANES, Lane, LaneSet};

/// Decibels from level 1 down to level 0 of the volume envelope.
const RANGE_DB: f64 = 96.0;

/// The same in powers of 2 of the amplitude.
const RANGE_OCTAVES: f32 = (RANGE_DB * core::f64::consts::LOG2_10 / 20.0) as f32;

/// The times of one note's envelope, in frames, fixed when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Times {
    pub(crate) delay: f32,
    pub(crate) attack: f32,
    pub(crate) hold: f32,
    /// From level 1 to level 0.
    pub(crate) decay: f32,
    /// A level, 0 to 1.
    pub(crate) sustain: f32,
    /// From level 1 to level 0.
    pub(crate) release: f32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    Delay,
    Attack,
    Hold,
    Decay,
    Sustain,
    Release,
    #[default]
    Done,
}

/// The state of one envelope: a stage that is `origin + slope * elapsed` until `elapsed` is `until`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    stage: Stage,
    origin: f32,
    slope: f32,
    elapsed: f32,
    until: f32,
}

impl Envelope {
    /// An envelope whose voice never sounds again.
    const DONE: Self = Self { stage: Stage::Done, origin: 0.0, slope: 0.0, elapsed: 0.0, until: f32::INFINITY };

    /// Returns the envelope at the first frame of a note, after all stages that take no time.
    pub(crate) fn start(times: &Times) -> Self {
        Self { stage: Stage::Delay, until: times.delay, ..Self::DONE }.advance(times, 0.0)
    }

    /// Returns the envelope `frames` later.
    pub(crate) fn advance(mut self, times: &Times, frames: f32) -> Self {
        self.elapsed += frames;
        while self.elapsed >= self.until {
            self = Self { elapsed: self.elapsed - self.until, ..self.following(times) };
        }
        self
    }

    /// Returns the stage that follows, at its beginning. A slope may be infinite where the stage takes no time: then it
    /// is over before its level is read.
    fn following(&self, times: &Times) -> Self {
        let straight = |stage, origin, slope, until| Self { stage, origin, slope, elapsed: 0.0, until };
        match self.stage {
            Stage::Delay => straight(Stage::Attack, 0.0, 1.0 / times.attack, times.attack),
            Stage::Attack => straight(Stage::Hold, 1.0, 0.0, times.hold),
            Stage::Hold => straight(Stage::Decay, 1.0, -1.0 / times.decay, (1.0 - times.sustain) * times.decay),
            Stage::Decay | Stage::Sustain => straight(Stage::Sustain, times.sustain, 0.0, f32::INFINITY),
            Stage::Release | Stage::Done => Self::DONE,
        }
    }

    /// Goes to the release stage, which takes `time` from level 1 to level 0, from where the envelope is.
    pub(crate) fn release(self, times: &Times, kind: Kind, time: f32) -> Self {
        let origin = match (kind, self.stage) {
            (Kind::Volume, Stage::Attack) if self.level() > 0.0 => {
                (1.0 + 20.0 * libm::log10(f64::from(self.level())) / RANGE_DB).max(0.0) as f32
            }
            _ => self.level(),
        };
        let release = Self { stage: Stage::Release, origin, slope: -1.0 / time, elapsed: 0.0, until: origin * time };
        release.advance(times, 0.0)
    }

    /// Returns the level, 0 to 1, which is the value of the modulation envelope.
    pub(crate) fn level(&self) -> f32 {
        self.origin + self.slope * self.elapsed
    }

    /// Returns how many powers of 2 the amplitude of the volume envelope falls from level 1 to level 0; 0 where the
    /// level is the amplitude itself.
    pub(crate) fn range(&self) -> f32 {
        match self.stage {
            Stage::Delay | Stage::Attack | Stage::Hold | Stage::Done => 0.0,
            Stage::Decay | Stage::Sustain | Stage::Release => RANGE_OCTAVES,
        }
    }

    /// Returns whether the level can never leave 0 again.
    fn is_done(&self) -> bool {
        self.stage == Stage::Done || (self.stage == Stage::Sustain && self.origin <= 0.0)
    }
}

/// The use of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// EG1.
    Volume,
    /// EG2.
    Modulation,
}

/// The envelopes of a group of voices.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Envelopes {
    origin: Lane,
    slope: Lane,
    elapsed: Lane,
    until: Lane,
    range: Lane,
    stage: [Stage; LANES],
    /// Lanes whose level can never leave 0 again.
    pub(crate) done: LaneSet,
}

impl Envelopes {
    /// Makes lanes in which no voice sounds.
    pub(crate) fn done() -> Self {
        let zero = Lane::default();
        let until = Lane([f32::INFINITY; LANES]);
        Self {
            origin: zero,
            slope: zero,
            elapsed: zero,
            until,
            range: zero,
            stage: [Stage::Done; LANES],
            done: LaneSet::MAX,
        }
    }

    /// Returns a lane's envelope.
    pub(crate) fn get(&self, lane: usize) -> Envelope {
        Envelope {
            stage: self.stage[lane],
            origin: self.origin.0[lane],
            slope: self.slope.0[lane],
            elapsed: self.elapsed.0[lane],
            until: self.until.0[lane],
        }
    }

    /// Sets a lane's envelope.
    pub(crate) fn set(&mut self, lane: usize, envelope: Envelope) {
        self.stage[lane] = envelope.stage;
        self.origin.0[lane] = envelope.origin;
        self.slope.0[lane] = envelope.slope;
        self.elapsed.0[lane] = envelope.elapsed;
        self.until.0[lane] = envelope.until;
        self.range.0[lane] = envelope.range();
        let bit = 1 << lane;
        self.done = if envelope.is_done() { self.done | bit } else { self.done & !bit };
    }

    /// Empties a lane.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.set(lane, Envelope::DONE);
    }

    /// Advances each lane by its number of frames. Returns whether any has come to its stage's end; such lanes must be
    /// brought to the next stage then, by [`Envelope::advance`] with no more frames.
    #[inline(always)]
    pub(crate) fn advance(&mut self, frames: &[u32; LANES]) -> bool {
        let mut signs = u32::MAX;
        for (i, frames) in frames.iter().enumerate() {
            self.elapsed.0[i] += frames.cast_signed() as f32;
            signs &= (self.elapsed.0[i] - self.until.0[i]).to_bits();
        }
        any_plus(signs)
    }

    /// Levels and ranges so many frames ahead, right for lanes whose stage goes on until then, and whether there are
    /// others.
    #[inline(always)]
    pub(crate) fn levels(&self, ahead: f32) -> (Lane, Lane, bool) {
        let mut levels = Lane::default();
        let mut signs = u32::MAX;
        for i in 0..LANES {
            let elapsed = self.elapsed.0[i] + ahead;
            levels.0[i] = self.origin.0[i] + self.slope.0[i] * elapsed;
            signs &= (elapsed - self.until.0[i]).to_bits();
        }
        (levels, self.range, any_plus(signs))
    }

    /// Returns whether a lane's stage ends within so many frames.
    pub(crate) fn is_late(&self, lane: usize, ahead: f32) -> bool {
        self.elapsed.0[lane] + ahead >= self.until.0[lane]
    }
}

/// Returns whether any number whose bits were joined by AND was positive or zero. It equals a comparison, but integers
/// let the compiler compare all lanes at once.
#[inline(always)]
fn any_plus(signs: u32) -> bool {
    signs.cast_signed() >= 0
}
