//! Filter and gains of eight voices at a time: one source, compiled for each instruction set.
//!
//! Every operation is on one lane, none is a sum over lanes, and the compiler may not join a multiplication and an
//! addition into one: so that all the compilations agree to the last bit.

use super::{Bus, Group, LANES, Lane, Parts, Ramp};

/// Filters the oscillators' frames, and adds them to the bus, each in its lane, while gains and coefficients move.
///
/// A ramp's value is used first and stepped then. All of it is one loop: each ramp, and the filter, is a chain of
/// additions that must wait for one another, and the processor works on one while another waits.
#[inline(always)]
pub(super) fn mix_lanes(group: &mut Group, frames: &[Lane], bus: &mut Bus, parts: Parts) {
    match (parts.filter, parts.sends) {
        (false, false) => mix_parts::<false, false>(group, frames, bus),
        (false, true) => mix_parts::<false, true>(group, frames, bus),
        (true, false) => mix_parts::<true, false>(group, frames, bus),
        (true, true) => mix_parts::<true, true>(group, frames, bus),
    }
}

#[inline(always)]
fn mix_parts<const FILTER: bool, const SENDS: bool>(group: &mut Group, frames: &[Lane], bus: &mut Bus) {
    let Group { mut left, mut right, mut reverb, mut chorus, mut input, mut first, mut second, mut y1, mut y2 } =
        *group;
    let buses = bus.left.iter_mut().zip(&mut bus.right).zip(bus.reverb.iter_mut().zip(&mut bus.chorus));
    for (frame, ((to_left, to_right), (to_reverb, to_chorus))) in frames.iter().zip(buses) {
        let mut y = *frame;
        if FILTER {
            for i in 0..LANES {
                // The product with the last output comes last: it is the one that has to be waited for.
                let known = input.value.0[i] * frame.0[i] - second.value.0[i] * y2.0[i];
                y.0[i] = known - first.value.0[i] * y1.0[i];
            }
            (y2, y1) = (y1, y);
            step(&mut input);
            step(&mut first);
            step(&mut second);
        }
        add(&mut left, &y, to_left);
        add(&mut right, &y, to_right);
        if SENDS {
            add(&mut reverb, &y, to_reverb);
            add(&mut chorus, &y, to_chorus);
        }
    }
    *group = Group { left, right, reverb, chorus, input, first, second, y1, y2 };
}

#[inline(always)]
fn add(gain: &mut Ramp, frame: &Lane, sum: &mut Lane) {
    for i in 0..LANES {
        sum.0[i] += frame.0[i] * gain.value.0[i];
    }
    step(gain);
}

#[inline(always)]
fn step(ramp: &mut Ramp) {
    for i in 0..LANES {
        ramp.value.0[i] += ramp.step.0[i];
    }
}
