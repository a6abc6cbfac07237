//! The six-stage envelopes (DLS-2.2, 1.7.2): delay, attack, hold, decay, sustain, release.
//!
//! One machine serves both. Its level runs from 0 to 1; for the volume envelope that is -96 dB to 0 dB everywhere but
//! in the attack, which is linear in amplitude. Times are in frames and may have fractions; a stage that ends between
//! two frames hands the rest of the time to the next.

use crate::math;

/// Decibels from level 1 down to level 0 of the volume envelope.
const RANGE_DB: f64 = 96.0;

/// The times of one note's envelope, in frames, fixed when it starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// How much of the attack a frame is.
    pub(super) attack_rate: f64,
    /// How much of the level a frame of the decay takes.
    pub(super) decay_rate: f64,
    pub(crate) delay: f64,
    pub(crate) attack: f64,
    pub(crate) hold: f64,
    /// From level 1 to level 0.
    pub(crate) decay: f64,
    /// A level, 0 to 1.
    pub(crate) sustain: f64,
    /// From level 1 to level 0.
    pub(crate) release: f64,
}

impl Times {
    /// With what is asked for at every tick worked out: divisions are slow.
    pub(crate) fn prepared(self) -> Self {
        Self { attack_rate: 1.0 / self.attack, decay_rate: 1.0 / self.decay, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Frames until it ends.
    Delay(f64),
    /// Frames until it ends.
    Attack(f64),
    /// Frames until it ends.
    Hold(f64),
    /// The level.
    Decay(f64),
    Sustain,
    /// The level, and how much of it a frame takes.
    Release(f64, f64),
    Done,
}

/// Where an envelope is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    stage: Stage,
}

impl Envelope {
    /// The envelope at the first frame of a note, past all stages that take no time.
    pub(crate) fn start(times: &Times) -> Self {
        Self { stage: Stage::Delay(times.delay) }.advance(times, 0.0)
    }

    /// The envelope `frames` later.
    #[inline(always)]
    pub(crate) fn advance(self, times: &Times, mut frames: f64) -> Self {
        let mut stage = self.stage;
        loop {
            stage = match stage {
                Stage::Delay(left) if frames < left => return Self { stage: Stage::Delay(left - frames) },
                Stage::Delay(left) => {
                    frames -= left;
                    Stage::Attack(times.attack)
                }
                Stage::Attack(left) if frames < left => return Self { stage: Stage::Attack(left - frames) },
                Stage::Attack(left) => {
                    frames -= left;
                    Stage::Hold(times.hold)
                }
                Stage::Hold(left) if frames < left => return Self { stage: Stage::Hold(left - frames) },
                Stage::Hold(left) => {
                    frames -= left;
                    Stage::Decay(1.0)
                }
                Stage::Decay(level) if (level - times.sustain) * times.decay > frames => {
                    return Self { stage: Stage::Decay(level - frames * times.decay_rate) };
                }
                Stage::Decay(_) => Stage::Sustain,
                Stage::Sustain | Stage::Done => return Self { stage },
                Stage::Release(level, rate) if level > frames * rate => {
                    return Self { stage: Stage::Release(level - frames * rate, rate) };
                }
                Stage::Release(..) => Stage::Done,
            };
        }
    }

    /// Goes to the release stage, at the level where the envelope is.
    pub(crate) fn release(&mut self, level: f64, time: f64) {
        self.stage = Stage::Release(level, 1.0 / time);
    }

    /// The level in the volume envelope's terms, from which a release goes on.
    pub(crate) fn level_for_release(&self, times: &Times, volume: bool) -> f64 {
        match self.stage {
            Stage::Attack(_) if volume => {
                let amplitude = self.value(times);
                if amplitude <= 0.0 { 0.0 } else { (1.0 + 20.0 * libm::log10(amplitude) / RANGE_DB).max(0.0) }
            }
            _ => self.value(times),
        }
    }

    /// The level, 0 to 1: what the modulation envelope puts out.
    pub(crate) fn value(&self, times: &Times) -> f64 {
        match self.stage {
            Stage::Delay(_) | Stage::Done => 0.0,
            Stage::Attack(left) => 1.0 - left * times.attack_rate,
            Stage::Hold(_) => 1.0,
            Stage::Decay(level) | Stage::Release(level, _) => level,
            Stage::Sustain => times.sustain,
        }
    }

    /// The amplitude, 0 to 1: what the volume envelope puts out.
    pub(crate) fn amplitude(&self, times: &Times) -> f64 {
        match self.stage {
            Stage::Delay(_) | Stage::Done => 0.0,
            Stage::Attack(_) | Stage::Hold(_) => self.value(times),
            _ => math::amplitude((self.value(times) - 1.0) * RANGE_DB),
        }
    }

    /// Whether the level can never leave 0 again.
    pub(crate) fn is_done(&self, times: &Times) -> bool {
        match self.stage {
            Stage::Done => true,
            Stage::Sustain => times.sustain <= 0.0,
            _ => false,
        }
    }
}
