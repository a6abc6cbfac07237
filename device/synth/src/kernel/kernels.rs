//! One implementation of the inner loops, as functions.

use crate::lanes::interpolation::Interpolators;
use crate::lanes::{Bus, Group, LaneSet, Scratch};
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

/// One implementation of the inner loops.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    pub(crate) interpolate: Interpolators,
    pub(crate) mix: Mix,
    pub(crate) settle: Settle,
}
