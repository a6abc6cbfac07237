//! Filter and gains of eight voices at a time: one source, compiled for each instruction set.
//!
//! Every operation is on one lane, none is a sum over lanes, and the compiler may not join a multiplication and an
//! addition into one: so that all the compilations agree to the last bit.

use super::{Bus, Group, LANES, Lane, Parts, Ramp};

/// Filters the oscillators' frames in place, and adds them to the bus, each in its lane, while gains and coefficients
/// move.
///
/// A ramp's value is used first and stepped then.
#[inline(always)]
pub(super) fn mix_lanes(group: &mut Group, frames: &mut [Lane], bus: &mut Bus, parts: Parts) {
    if parts.filter {
        filter(group, frames);
    }
    add(&mut group.left, frames, &mut bus.left);
    add(&mut group.right, frames, &mut bus.right);
    if parts.sends {
        add(&mut group.reverb, frames, &mut bus.reverb);
        add(&mut group.chorus, frames, &mut bus.chorus);
    }
}

#[inline(always)]
fn filter(group: &mut Group, frames: &mut [Lane]) {
    let (mut y1, mut y2) = (group.y1, group.y2);
    let (mut input, mut first, mut second) = (group.input, group.first, group.second);
    for frame in frames {
        let mut y = Lane::default();
        for i in 0..LANES {
            y.0[i] = input.value.0[i] * frame.0[i] - (first.value.0[i] * y1.0[i] + second.value.0[i] * y2.0[i]);
        }
        (y2, y1) = (y1, y);
        *frame = y;
        step(&mut input);
        step(&mut first);
        step(&mut second);
    }
    (group.y1, group.y2) = (y1, y2);
    (group.input, group.first, group.second) = (input, first, second);
}

#[inline(always)]
fn add(ramp: &mut Ramp, frames: &[Lane], bus: &mut [Lane]) {
    let mut gain = *ramp;
    for (frame, sum) in frames.iter().zip(bus) {
        for i in 0..LANES {
            sum.0[i] += frame.0[i] * gain.value.0[i];
        }
        step(&mut gain);
    }
    *ramp = gain;
}

#[inline(always)]
fn step(ramp: &mut Ramp) {
    for i in 0..LANES {
        ramp.value.0[i] += ramp.step.0[i];
    }
}
