//! The sections of rendering, each on its own, for benchmarks that find out where the time goes.
//!
//! This crate measures nothing: it repeats a section on the sounding voices, and the caller reads the clock.

/// A section of rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Section {
    /// Interpolation, with cursors and loops.
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

impl Section {
    /// All sections, in the order of rendering.
    pub const ALL: [Self; 5] = [Self::Control, Self::Oscillators, Self::Mix, Self::Sum, Self::Effects];
}

/// Frames from one control tick to the next.
pub const TICK_FRAMES: usize = crate::lanes::TICK;
