//! The low-frequency oscillators (DLS-2.2, 1.7.1): a sine that begins at phase 0 when its delay has passed.

use crate::lanes::{LANES, Lane};
use crate::math;

/// Frequency and delay of one note's oscillator, fixed when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Frames before it begins.
    pub(crate) delay: u32,
    /// Turns in 2^32 a frame.
    pub(crate) step: u32,
}

/// The oscillators of a group of voices.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Lfos {
    delay: [u32; LANES],
    phase: [u32; LANES],
    step: [u32; LANES],
}

impl Lfos {
    /// Starts a note in a lane.
    pub(crate) fn start(&mut self, lane: usize, rate: &Rate) {
        (self.delay[lane], self.phase[lane], self.step[lane]) = (rate.delay, 0, rate.step);
    }

    /// Advances each lane by its number of frames.
    #[inline(always)]
    pub(crate) fn advance(&mut self, frames: &[u32; LANES]) {
        for (i, frames) in frames.iter().enumerate() {
            let running = frames.saturating_sub(self.delay[i]);
            self.delay[i] = self.delay[i].saturating_sub(*frames);
            self.phase[i] = self.phase[i].wrapping_add(self.step[i].wrapping_mul(running));
        }
    }

    /// Returns the values so many frames ahead, -1 to 1.
    #[inline(always)]
    pub(crate) fn values(&self, ahead: u32) -> Lane {
        let mut values = Lane::default();
        for i in 0..LANES {
            let running = ahead.saturating_sub(self.delay[i]);
            values.0[i] = math::sine(self.phase[i].wrapping_add(self.step[i].wrapping_mul(running)));
        }
        values
    }
}
