//! Filter and gains of eight voices at a time: one source, compiled for each instruction set.
//!
//! Every operation is on one lane, none is a sum over lanes, and the compiler may not join a multiplication and an
//! addition into one: so that all the compilations agree to the last bit.

use crate::lanes::{Bus, Filtering, Group, LANES, Lane, Ramp, Sends};

/// Whether a filter is left out, held or moved, as a constant for the compiler.
const OPEN: u8 = 0;
const STEADY: u8 = 1;
const MOVING: u8 = 2;

/// Filters the oscillators' frames, and adds them to the bus, each in its lane, while gains and coefficients move.
///
/// A ramp's value is used first and stepped then. All of it is one loop: each ramp, and the filter, is a chain of
/// additions that must wait for one another, and the processor works on one while another waits.
#[inline(always)]
pub(super) fn mix_lanes(group: &mut Group, frames: &[Lane], bus: &mut Bus) {
    match group.filtering {
        Filtering::Open => mix_filtered::<OPEN>(group, frames, bus),
        Filtering::Steady => mix_filtered::<STEADY>(group, frames, bus),
        Filtering::Moving => mix_filtered::<MOVING>(group, frames, bus),
    }
}

#[inline(always)]
fn mix_filtered<const FILTER: u8>(group: &mut Group, frames: &[Lane], bus: &mut Bus) {
    match group.sends {
        Sends::None => mix_parts::<FILTER, 0>(group, frames, bus),
        Sends::Reverb => mix_parts::<FILTER, 1>(group, frames, bus),
        Sends::Both => mix_parts::<FILTER, 2>(group, frames, bus),
    }
}

#[inline(always)]
fn mix_parts<const FILTER: u8, const SENDS: u8>(group: &mut Group, frames: &[Lane], bus: &mut Bus) {
    let [mut left, mut right, mut reverb, mut chorus] = group.gains;
    let [mut input, mut first, mut second] = group.filter;
    let (mut y1, mut y2) = (group.y1, group.y2);
    let [to_left, to_right, to_reverb, to_chorus] = &mut bus.planes;
    let buses = to_left.iter_mut().zip(to_right).zip(to_reverb.iter_mut().zip(to_chorus));
    for (frame, ((to_left, to_right), (to_reverb, to_chorus))) in frames.iter().zip(buses) {
        let mut y = *frame;
        if FILTER != OPEN {
            for i in 0..LANES {
                // The product with the last output comes last: it is the one that has to be waited for.
                let known = input.value.0[i] * frame.0[i] - second.value.0[i] * y2.0[i];
                y.0[i] = known - first.value.0[i] * y1.0[i];
            }
            (y2, y1) = (y1, y);
        }
        if FILTER == MOVING {
            step(&mut input);
            step(&mut first);
            step(&mut second);
        }
        add(&mut left, &y, to_left);
        add(&mut right, &y, to_right);
        if SENDS >= 1 {
            add(&mut reverb, &y, to_reverb);
        }
        if SENDS >= 2 {
            add(&mut chorus, &y, to_chorus);
        }
    }
    group.gains = [left, right, reverb, chorus];
    group.filter = [input, first, second];
    (group.y1, group.y2) = (y1, y2);
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
