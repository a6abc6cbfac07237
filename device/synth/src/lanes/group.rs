//! The mixing state of one group of voices: gains and filters, a lane for each voice.

use super::lane::{LANES, Lane, LaneSet, blend};

/// The coefficients of a filter that passes its input unchanged.
pub(crate) const OPEN_COEFFICIENTS: [f32; 3] = [1.0, 0.0, 0.0];

/// A value that moves by a step each frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ramp {
    pub(crate) value: Lane,
    pub(crate) step: Lane,
}

impl Ramp {
    /// Returns whether any lane has a value, or will have one.
    #[inline(always)]
    pub(crate) fn is_heard(&self) -> bool {
        !self.value.is_zero() || !self.step.is_zero()
    }

    /// Returns whether any lane moves.
    #[inline(always)]
    pub(crate) fn moves(&self) -> bool {
        !self.step.is_zero()
    }

    /// Lets the lanes of a set reach a value in `1 / over` frames.
    #[inline(always)]
    pub(crate) fn aim(&mut self, value: &Lane, over: &Lane, set: LaneSet) {
        let mut step = Lane::default();
        for i in 0..LANES {
            step.0[i] = (value.0[i] - self.value.0[i]) * over.0[i];
        }
        self.step = blend(set, &step, &self.step);
    }

    /// Puts a lane at a value, to stay there.
    fn hold(&mut self, lane: usize, value: f32) {
        (self.value.0[lane], self.step.0[lane]) = (value, 0.0);
    }
}

/// The work of a group's filters in a stretch. Work that is left out would not change a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filtering {
    /// Nothing.
    Open,
    /// They stay as they are.
    Steady,
    /// They move.
    Moving,
}

/// To which effects a group sends in a stretch. What is left out would not change a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    None,
    Reverb,
    Both,
}

/// The mixing state of one group of voices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Gains to left, right, reverb and chorus.
    pub(crate) gains: [Ramp; 4],
    /// The filter's coefficients: of its input, of its output one frame ago, of its output two frames ago.
    pub(crate) filter: [Ramp; 3],
    /// The filter's output one frame ago.
    pub(crate) y1: Lane,
    /// The filter's output two frames ago.
    pub(crate) y2: Lane,
    pub(crate) filtering: Filtering,
    pub(crate) sends: Sends,
}

impl Group {
    /// Makes a group without voices.
    pub(crate) fn new() -> Self {
        let (ramp, zero) = (Ramp::default(), Lane::default());
        let mut group = Self {
            gains: [ramp; 4],
            filter: [ramp; 3],
            y1: zero,
            y2: zero,
            filtering: Filtering::Open,
            sends: Sends::None,
        };
        (0..LANES).for_each(|lane| group.clear(lane));
        group
    }

    /// Empties a lane.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.gains.iter_mut().for_each(|gain| gain.hold(lane, 0.0));
        self.filter.iter_mut().zip(OPEN_COEFFICIENTS).for_each(|(ramp, c)| ramp.hold(lane, c));
        (self.y1.0[lane], self.y2.0[lane]) = (0.0, 0.0);
    }
}
