//! The data of voices that are rendered side by side: lanes, ramps, groups, sums, and the interpolator's tables.

mod bus;
mod group;
pub(crate) mod interpolation;
mod lane;

pub(crate) use bus::{Bus, PLANES, Planes, Scratch, silent_planes};
pub(crate) use group::{Filtering, Group, OPEN_COEFFICIENTS, Ramp, Sends};
pub(crate) use lane::{LANES, Lane, LaneSet, TICK, blend, lanes_of};
