//! The low-frequency oscillators (DLS-2.2, 1.7.1; SoundFont 2.04, 9.1.6): a sine, or a triangle as SoundFonts have it, that
//! begins at phase 0 when its delay has passed.

use crate::lanes::{LANES, Lane};
use crate::math;

/// Frequency and delay of one note's oscillator, fixed when it starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Frames before it begins.
    pub(crate) delay: u32,
    /// Turns in 2^32 a frame.
    pub(crate) step: u32,
    /// The wave.
    pub(crate) wave: Wave,
}

/// The wave of an oscillator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wave {
    /// A sine.
    #[default]
    Sine,
    /// A triangle.
    Triangle,
}

/// The oscillators of a group of voices.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Lfos {
    delay: [u32; LANES],
    phase: [u32; LANES],
    step: [u32; LANES],
    /// 1 for a triangle; as wide as the phases, so that all lanes are worked out at once.
    is_triangle: [u32; LANES],
}

impl Lfos {
    /// Starts a note in a lane.
    pub(crate) fn start(&mut self, lane: usize, rate: &Rate) {
        (self.delay[lane], self.phase[lane], self.step[lane]) = (rate.delay, 0, rate.step);
        self.is_triangle[lane] = u32::from(rate.wave == Wave::Triangle);
    }

    /// Changes a lane's frequency from where it is.
    pub(crate) fn retime(&mut self, lane: usize, rate: &Rate) {
        self.step[lane] = rate.step;
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
            let phase = self.phase[i].wrapping_add(self.step[i].wrapping_mul(running));
            let (sine, triangle) = (math::sine(phase), math::triangle(phase));
            values.0[i] = if self.is_triangle[i] == 0 { sine } else { triangle };
        }
        values
    }
}
