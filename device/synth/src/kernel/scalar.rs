//! The inner loops in plain Rust: what the others are measured against, bit for bit.

use super::interpolation::{TAPS, TAPS_BEFORE, Table};
use super::{Bus, Group, LANES, Parts, Ramp, Scratch};

/// Interpolates `out.len()` frames. `window[base]` is the sample at position 0; the caller has made sure that the last
/// frame's taps lie in the window.
pub(crate) fn interpolate(table: &Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]) {
    let mut position = position;
    for frame in out {
        let first = base + (position >> 32) as usize - TAPS_BEFORE;
        let taps = table.at(position);
        let mut sum = 0;
        for (coefficient, sample) in taps.iter().zip(&window[first..first + TAPS]) {
            sum += i32::from(*coefficient) * i32::from(*sample);
        }
        *frame = sum as f32;
        position = position.wrapping_add(step);
    }
}

/// Filters a group's oscillators, moves their gains, and adds them to the bus, each in its lane.
///
/// The order of operations is the contract with the other implementations: filter, then gain, then the gain's step.
pub(crate) fn mix(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts) {
    for lane in 0..LANES {
        let (mut y1, mut y2) = (group.y1.0[lane], group.y2.0[lane]);
        let mut left = Walk::new(&group.left, lane);
        let mut right = Walk::new(&group.right, lane);
        let mut reverb = Walk::new(&group.reverb, lane);
        let mut chorus = Walk::new(&group.chorus, lane);
        let mut input = Walk::new(&group.input, lane);
        let mut first = Walk::new(&group.first, lane);
        let mut second = Walk::new(&group.second, lane);
        for (frame, x) in scratch.0[lane][..frames].iter().enumerate() {
            let mut y = *x;
            if parts.filter {
                y = input.next() * y - (first.next() * y1 + second.next() * y2);
                y2 = y1;
                y1 = y;
            }
            bus.left[frame].0[lane] += y * left.next();
            bus.right[frame].0[lane] += y * right.next();
            if parts.sends {
                bus.reverb[frame].0[lane] += y * reverb.next();
                bus.chorus[frame].0[lane] += y * chorus.next();
            }
        }
        left.store(&mut group.left, lane);
        right.store(&mut group.right, lane);
        if parts.sends {
            reverb.store(&mut group.reverb, lane);
            chorus.store(&mut group.chorus, lane);
        }
        if parts.filter {
            input.store(&mut group.input, lane);
            first.store(&mut group.first, lane);
            second.store(&mut group.second, lane);
            (group.y1.0[lane], group.y2.0[lane]) = (y1, y2);
        }
    }
}

/// One lane of a ramp.
struct Walk {
    value: f32,
    step: f32,
}

impl Walk {
    fn new(ramp: &Ramp, lane: usize) -> Self {
        Self { value: ramp.value.0[lane], step: ramp.step.0[lane] }
    }

    fn next(&mut self) -> f32 {
        let value = self.value;
        self.value += self.step;
        value
    }

    fn store(self, ramp: &mut Ramp, lane: usize) {
        ramp.value.0[lane] = self.value;
    }
}
