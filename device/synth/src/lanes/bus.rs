//! Frames of one stretch: of the oscillators of a group, and the sums of all groups.

use super::lane::{LANES, Lane, TICK};

/// The oscillators' output of one group, in units of a 16-bit sample times 32767.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// A row of frames for each voice.
    pub(crate) rows: [[f32; TICK]; LANES],
    /// The same, a lane for each voice.
    pub(crate) lanes: [Lane; TICK],
}

impl Scratch {
    /// Makes silent frames.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { rows: [[0.0; TICK]; LANES], lanes: [Lane::default(); TICK] })
    }
}

/// The sums of one stretch of frames, lane by lane.
pub(crate) struct Bus {
    pub(crate) left: [Lane; TICK],
    pub(crate) right: [Lane; TICK],
    pub(crate) reverb: [Lane; TICK],
    pub(crate) chorus: [Lane; TICK],
}

impl Bus {
    /// Makes sums of zero.
    pub(crate) fn new() -> Box<Self> {
        let silence = [Lane::default(); TICK];
        Box::new(Self { left: silence, right: silence, reverb: silence, chorus: silence })
    }

    /// Sets the sums of the first frames to zero.
    pub(crate) fn clear(&mut self, frames: usize) {
        for bus in [&mut self.left, &mut self.right, &mut self.reverb, &mut self.chorus] {
            bus[..frames].fill(Lane::default());
        }
    }

    /// Adds up the lanes of the first frames, always in the same order.
    pub(crate) fn reduce(&self, out: &mut [[f32; 4]]) {
        let buses = self.left.iter().zip(&self.right).zip(self.reverb.iter().zip(&self.chorus));
        for (out, ((left, right), (reverb, chorus))) in out.iter_mut().zip(buses) {
            *out = [sum(left), sum(right), sum(reverb), sum(chorus)];
        }
    }
}

#[inline(always)]
fn sum(lane: &Lane) -> f32 {
    let [a, b, c, d, e, f, g, h] = lane.0;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}
