//! The two inner loops, interpolation and mixing, in plain Rust and for the instruction sets that are worth it.
//!
//! All of them do the same additions and multiplications in the same order: interpolation is in integers and exact,
//! mixing works on eight lanes, one a voice, that never meet until [`Bus::reduce`] adds them up. That is why the
//! frames are the same with each.

pub(crate) mod interpolation;
mod mixing;
mod scalar;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86;

use crate::config::{ConfigError, Kernel};
use crate::voice::filter::Coefficients;

/// Voices that are mixed side by side.
pub(crate) const LANES: usize = 8;

/// Frames from one control tick to the next. At 48 kHz 1.3 ms: short against anything that is heard as a step, long
/// against the cost of a tick.
pub(crate) const TICK: usize = 64;

/// One number a lane, aligned for the widest loads.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Lane(pub(crate) [f32; LANES]);

/// The oscillators' output of one group: [`LANES`] rows of frames, in units of a 16-bit sample times 32767.
#[derive(Clone)]
#[repr(C, align(32))]
pub(crate) struct Scratch(pub(crate) [[f32; TICK]; LANES]);

/// A gain that moves by a step each frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ramp {
    pub(crate) value: Lane,
    pub(crate) step: Lane,
}

impl Ramp {
    /// Whether any lane has a gain, or is about to.
    pub(crate) fn is_heard(&self) -> bool {
        self.value.0.iter().chain(&self.step.0).any(|x| *x != 0.0)
    }
}

/// What mixing needs to know of one group of voices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Group {
    pub(crate) left: Ramp,
    pub(crate) right: Ramp,
    pub(crate) reverb: Ramp,
    pub(crate) chorus: Ramp,
    pub(crate) input: Ramp,
    pub(crate) first: Ramp,
    pub(crate) second: Ramp,
    /// The filter's output one frame ago.
    pub(crate) y1: Lane,
    /// The filter's output two frames ago.
    pub(crate) y2: Lane,
}

impl Group {
    /// Sets a lane's filter at once.
    pub(crate) fn set_filter(&mut self, lane: usize, c: Coefficients) {
        for (ramp, value) in [(&mut self.input, c.input), (&mut self.first, c.first), (&mut self.second, c.second)] {
            ramp.value.0[lane] = value;
            ramp.step.0[lane] = 0.0;
        }
    }

    /// Lets a lane's filter reach these coefficients in `1 / over` frames.
    pub(crate) fn aim_filter(&mut self, lane: usize, c: Coefficients, over: f32) {
        for (ramp, value) in [(&mut self.input, c.input), (&mut self.first, c.first), (&mut self.second, c.second)] {
            ramp.step.0[lane] = (value - ramp.value.0[lane]) * over;
        }
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
    pub(crate) fn new() -> Box<Self> {
        let silence = [Lane::default(); TICK];
        Box::new(Self { left: silence, right: silence, reverb: silence, chorus: silence })
    }

    pub(crate) fn clear(&mut self, frames: usize) {
        for bus in [&mut self.left, &mut self.right, &mut self.reverb, &mut self.chorus] {
            bus[..frames].fill(Lane::default());
        }
    }
}

/// Adds up the lanes, always in this order.
pub(crate) fn reduce(lane: &Lane) -> f32 {
    let [a, b, c, d, e, f, g, h] = lane.0;
    ((a + b) + (c + d)) + ((e + f) + (g + h))
}

/// What [`Kernels::mix`] may leave out because no voice of the group needs it. Leaving out does not change a bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts {
    pub(crate) filter: bool,
    pub(crate) sends: bool,
}

/// One implementation of the inner loops.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    /// Interpolates `out.len()` frames from `window`, where the sample at position 0 is at `base`; see
    /// [`scalar::interpolate`].
    pub(crate) interpolate:
        fn(table: &interpolation::Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]),
    /// Filters and mixes the first `frames` frames of a group into the bus; see [`scalar::mix`].
    pub(crate) mix: fn(group: &mut Group, scratch: &Scratch, frames: usize, bus: &mut Bus, parts: Parts),
}

impl Kernels {
    const SCALAR: Self = Self { interpolate: scalar::interpolate, mix: scalar::mix };

    /// The implementation asked for.
    pub(crate) fn choose(kernel: Kernel) -> Result<Self, ConfigError> {
        let found = match kernel {
            Kernel::Auto => avx2().or_else(sse41).or(Some(Self::SCALAR)),
            Kernel::Scalar => Some(Self::SCALAR),
            Kernel::Sse41 => sse41(),
            Kernel::Avx2 => avx2(),
        };
        found.ok_or(ConfigError::Kernel(kernel))
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
use x86::{avx2, sse41};

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn sse41() -> Option<Kernels> {
    None
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn avx2() -> Option<Kernels> {
    None
}
