//! The low-frequency oscillators (DLS-2.2, 1.7.1): a sine that begins at phase 0 when its delay has passed.

use crate::math::SineTable;

/// Frequency and delay of one note's oscillator, fixed when it starts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    /// Frames before it begins.
    pub(crate) delay: u32,
    /// Turns in 2^32 a frame.
    pub(crate) step: u32,
}

/// Where an oscillator is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lfo {
    delay: u32,
    phase: u32,
}

impl Lfo {
    pub(crate) fn start(rate: &Rate) -> Self {
        Self { delay: rate.delay, phase: 0 }
    }

    /// The oscillator `frames` later.
    pub(crate) fn advance(self, rate: &Rate, frames: u32) -> Self {
        let running = frames.saturating_sub(self.delay);
        Self {
            delay: self.delay.saturating_sub(frames),
            phase: self.phase.wrapping_add(rate.step.wrapping_mul(running)),
        }
    }

    /// -1 to 1.
    pub(crate) fn value(&self) -> f32 {
        SineTable::get().at(self.phase)
    }
}
