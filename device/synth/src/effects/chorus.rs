//! A chorus: two delay lines a side that swing slowly, each at its own place of the turn.

use super::delay::DelayLine;
use crate::math::SineTable;

/// The middle of the swing, in milliseconds.
const DELAY_MS: f64 = 14.0;
/// The swing to either side, in milliseconds.
const DEPTH_MS: f64 = 2.6;
/// Turns a second.
const HERTZ: f64 = 0.73;
/// Where in the turn each tap begins: left, left, right, right.
const PHASES: [u32; 4] = [0, 0x6000_0000, 0x4000_0000, 0xA000_0000];
/// Gain of each tap.
const WET: f32 = 0.5;

/// The chorus: one channel in, two out.
pub(crate) struct Chorus {
    line: DelayLine,
    middle: f32,
    depth: f32,
    phase: u32,
    step: u32,
}

impl Chorus {
    pub(crate) fn new(sample_rate: u32) -> Self {
        let per_ms = f64::from(sample_rate) / 1000.0;
        Self {
            line: DelayLine::new(((DELAY_MS + DEPTH_MS) * per_ms) as usize + 2),
            middle: (DELAY_MS * per_ms) as f32,
            depth: (DEPTH_MS * per_ms) as f32,
            phase: 0,
            step: (HERTZ / f64::from(sample_rate) * 4_294_967_296.0) as u32,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.line.clear();
        self.phase = 0;
    }

    /// One frame.
    pub(crate) fn process(&mut self, x: f32) -> [f32; 2] {
        self.line.write(x);
        let sine = SineTable::get();
        let taps = PHASES.map(|start| {
            let swing = sine.at(self.phase.wrapping_add(start));
            self.line.read_between(self.middle + self.depth * swing)
        });
        self.phase = self.phase.wrapping_add(self.step);
        [(taps[0] + taps[1]) * WET, (taps[2] + taps[3]) * WET]
    }
}
