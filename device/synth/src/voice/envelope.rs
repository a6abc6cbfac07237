//! The six-stage envelopes (DLS-2.2, 1.7.2; SoundFont 2.04, 9.1.7): delay, attack, hold, decay, sustain, release.
//!
//! One machine serves both. Its level runs from 0 to 1; for the volume envelope that is -96 dB (of
//! SoundFonts -100 dB) to 0 dB everywhere but in the attack, which is linear in amplitude. Every stage is a straight line from where it began, so that a level
//! does not depend on how many steps led to it. Times are in frames and may have fractions; a stage that ends between
//! two frames hands the rest of the time to the next.

use crate::lanes::{LANES, Lane, LaneSet};

/// Decibels from level 1 down to level 0 of DLS's volume envelope.
pub(crate) const RANGE_DB: f32 = 96.0;

/// Powers of 2 of an amplitude in a decibel.
const OCTAVES_PER_DECIBEL: f64 = core::f64::consts::LOG2_10 / 20.0;

/// Straight lines that a convex attack is made of. From one to the next the level rises by the same amount, and within
/// one it is less than 0.02 % of the whole from the curve. A power of 2, so that their ends are exact.
const CONVEX_LINES: u16 = 64;

/// Powers of 10 of the time that a convex attack spans, from the point below which its level is 0.
const CONVEX_DECADES: f64 = 2.4;

/// The shape of an attack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Attack {
    /// The level rises in a straight line.
    #[default]
    Linear,
    /// The level rises by the convex curve of SoundFont 2.04, 8.2.4, as its modulation envelope does (8.1.2, 26).
    Convex,
}

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
    /// The shape of the attack.
    pub(crate) shape: Attack,
    /// Decibels from level 1 down to level 0, of a volume envelope.
    pub(crate) range_db: f32,
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
            Stage::Delay if times.shape == Attack::Convex && times.attack > 0.0 => {
                straight(Stage::Attack, 0.0, 0.0, (f64::from(times.attack) * convex_time(0.0)) as f32)
            }
            Stage::Delay => straight(Stage::Attack, 0.0, 1.0 / times.attack, times.attack),
            Stage::Attack if times.shape == Attack::Convex && self.convex_line() < CONVEX_LINES => {
                const STEP: f64 = 1.0 / CONVEX_LINES as f64;
                let from = f64::from(self.convex_line()) * STEP;
                let time = (f64::from(times.attack) * (convex_time(from + STEP) - convex_time(from))) as f32;
                straight(Stage::Attack, from as f32, STEP as f32 / time, time)
            }
            Stage::Attack => straight(Stage::Hold, 1.0, 0.0, times.hold),
            Stage::Hold => straight(Stage::Decay, 1.0, -1.0 / times.decay, (1.0 - times.sustain) * times.decay),
            Stage::Decay | Stage::Sustain => straight(Stage::Sustain, times.sustain, 0.0, f32::INFINITY),
            Stage::Release | Stage::Done => Self::DONE,
        }
    }

    /// Returns which line of a convex attack follows this one.
    fn convex_line(&self) -> u16 {
        if self.slope == 0.0 { 0 } else { (self.origin * f32::from(CONVEX_LINES)) as u16 + 1 }
    }

    /// Returns the envelope with other times from where it is: the level goes on without a jump, at the new pace.
    pub(crate) fn retime(self, times: &Times) -> Self {
        let level = self.level();
        let (slope, until) = match self.stage {
            Stage::Delay => return Self { until: times.delay, ..self }.advance(times, 0.0),
            Stage::Hold => return Self { until: times.hold, ..self }.advance(times, 0.0),
            // The lines that follow have the new time.
            Stage::Attack if times.shape == Attack::Convex => return self,
            Stage::Attack => (1.0 / times.attack, (1.0 - level) * times.attack),
            Stage::Decay => (-1.0 / times.decay, (level - times.sustain).max(0.0) * times.decay),
            Stage::Sustain => return Self { origin: times.sustain, ..self },
            Stage::Release => (-1.0 / times.release, level * times.release),
            Stage::Done => return self,
        };
        Self { stage: self.stage, origin: level, slope, elapsed: 0.0, until }.advance(times, 0.0)
    }

    /// Goes to the release stage, which takes `time` from level 1 to level 0, from where the envelope is.
    pub(crate) fn release(self, times: &Times, kind: Kind, time: f32) -> Self {
        let origin = match (kind, self.stage) {
            (Kind::Volume, Stage::Attack) if self.level() > 0.0 => {
                (1.0 + 20.0 * libm::log10(f64::from(self.level())) / f64::from(times.range_db)).max(0.0) as f32
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
    pub(crate) fn range(&self, times: &Times) -> f32 {
        match self.stage {
            Stage::Delay | Stage::Attack | Stage::Hold | Stage::Done => 0.0,
            Stage::Decay | Stage::Sustain | Stage::Release => (f64::from(times.range_db) * OCTAVES_PER_DECIBEL) as f32,
        }
    }

    /// Returns whether the level can never leave 0 again.
    fn is_done(&self) -> bool {
        self.stage == Stage::Done || (self.stage == Stage::Sustain && self.origin <= 0.0)
    }
}

/// Returns the part of a convex attack's time at which it has a level: 10^-2.4 for 0, 1 for 1.
fn convex_time(level: f64) -> f64 {
    libm::pow(10.0, CONVEX_DECADES * (level - 1.0))
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
    pub(crate) fn set(&mut self, lane: usize, envelope: Envelope, times: &Times) {
        self.stage[lane] = envelope.stage;
        self.origin.0[lane] = envelope.origin;
        self.slope.0[lane] = envelope.slope;
        self.elapsed.0[lane] = envelope.elapsed;
        self.until.0[lane] = envelope.until;
        self.range.0[lane] = envelope.range(times);
        let bit = 1 << lane;
        self.done = if envelope.is_done() { self.done | bit } else { self.done & !bit };
    }

    /// Empties a lane.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.set(lane, Envelope::DONE, &Times::default());
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
