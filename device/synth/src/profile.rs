//! The stages of rendering one by one, for benchmarks that want to know where the time goes.
//!
//! Nothing is measured here: a stage is repeated on the voices that sound, and whoever calls looks at the clock.

use crate::Synth;

/// One stage of rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Interpolation, cursors and loops included.
    Oscillators,
    /// Envelopes, low-frequency oscillators, pitch, gains and filter coefficients, once a tick.
    Control,
    /// Filters, gain ramps and the sums in their lanes.
    Mix,
    /// The sums of all lanes and blocks.
    Sum,
    /// Reverb and chorus.
    Effects,
}

impl Stage {
    /// All of them, in the order of rendering.
    pub const ALL: [Self; 5] = [Self::Control, Self::Oscillators, Self::Mix, Self::Sum, Self::Effects];
}

/// Frames from one control tick to the next.
pub const TICK_FRAMES: usize = crate::kernel::TICK;

impl Synth {
    /// Does one stage alone for `ticks` times [`TICK_FRAMES`] frames of all voices that sound, as
    /// [`render`](Self::render) would on one thread, and throws away what comes of it.
    ///
    /// What sounds afterwards makes no sense: use a synthesizer of its own for this.
    pub fn repeat_stage(&mut self, stage: Stage, ticks: usize) {
        for _ in 0..ticks {
            match stage {
                Stage::Effects => self.repeat_effects(TICK_FRAMES),
                _ => self.repeat_in_mixer(stage),
            }
        }
    }
}
