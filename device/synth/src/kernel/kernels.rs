//! One implementation of the inner loops, as functions.

use crate::effects::chorus::Chorus;
use crate::effects::reverb::Reverb;
use crate::lanes::interpolation::Interpolators;
use crate::lanes::{Bus, Group, LaneSet, PLANES, Scratch};
use crate::voice::active::Voice;
use crate::voice::control::{Control, Moment};

/// Filters and mixes the first `frames` frames of a group into the bus.
type Mix = fn(group: &mut Group, scratch: &mut Scratch, frames: usize, bus: &mut Bus);
/// See [`Control::settle`].
type Settle = fn(
    control: &mut Control,
    group: &mut Group,
    voices: &mut [Option<Voice>],
    due: LaneSet,
    moment: &Moment<'_>,
) -> LaneSet;

/// See [`Bus::reduce`].
type Reduce = fn(bus: &Bus, out: [&mut [f32]; PLANES]);
/// See [`Reverb::process`].
type AddReverb = fn(reverb: &mut Reverb, input: &[f32], out: [&mut [f32]; 2]);
/// See [`Chorus::process`].
type AddChorus = fn(chorus: &mut Chorus, input: &[f32], out: [&mut [f32]; 2]);

/// Asks for samples, so that they are at hand when they are read.
type Prefetch = fn(samples: &[i16]);

/// One implementation of the inner loops.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    pub(crate) interpolate: Interpolators,
    pub(crate) mix: Mix,
    pub(crate) settle: Settle,
    pub(crate) reduce: Reduce,
    pub(crate) add_reverb: AddReverb,
    pub(crate) add_chorus: AddChorus,
    pub(crate) prefetch: Prefetch,
}
