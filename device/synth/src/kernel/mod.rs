//! The inner loops, interpolation, mixing and control, in plain Rust and for the instruction sets that are worth it.
//!
//! All of them do the same additions and multiplications in the same order: interpolation is in integers and exact,
//! mixing and control work on eight lanes, one a voice, that never meet until [`Bus::reduce`] adds them up. That is why the
//! frames are the same with each.

pub(crate) mod interpolation;
mod mixing;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod x86;

use crate::config::{ConfigError, Kernel};
use crate::voice::active::Voice;
use crate::voice::control::{Control, LaneSet, Moment, blend};
use crate::voice::filter::OPEN_COEFFICIENTS;

/// Voices that are mixed side by side.
pub(crate) const LANES: usize = 8;

/// Frames from one control tick to the next. At 48 kHz 1.3 ms: short against anything that is heard as a step, long
/// against the cost of a tick.
pub(crate) const TICK: usize = 64;

/// One number a lane, aligned for the widest loads.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Lane(pub(crate) [f32; LANES]);

impl Lane {
    /// Whether all lanes are zero. Asked of their bits, so that the compiler may ask all at once.
    #[inline(always)]
    fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |bits, x| bits | x.to_bits() << 1) == 0
    }
}

/// What the oscillators of one group put out, in units of a 16-bit sample times 32767.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// A row of frames for each voice.
    pub(crate) rows: [[f32; TICK]; LANES],
    /// The same, a lane for each voice.
    pub(crate) lanes: [Lane; TICK],
}

impl Scratch {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { rows: [[0.0; TICK]; LANES], lanes: [Lane::default(); TICK] })
    }
}

/// A value that moves by a step each frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ramp {
    pub(crate) value: Lane,
    pub(crate) step: Lane,
}

impl Ramp {
    /// Whether any lane has a value, or is about to.
    #[inline(always)]
    pub(crate) fn is_heard(&self) -> bool {
        !self.value.is_zero() || !self.step.is_zero()
    }

    /// Whether any lane moves.
    #[inline(always)]
    pub(crate) fn moves(&self) -> bool {
        !self.step.is_zero()
    }

    /// Lets the lanes of a set reach a value in `1 / over` frames.
    #[inline(always)]
    pub(crate) fn aim(&mut self, value: &Lane, over: &Lane, set: LaneSet) {
        let mut step = Lane::default();
        for i in 0..LANES {
            step.0[i] = (value.0[i] - self.value.0[i]) * over.0[i];
        }
        self.step = blend(set, &step, &self.step);
    }

    /// Puts a lane at a value, to stay there.
    fn hold(&mut self, lane: usize, value: f32) {
        (self.value.0[lane], self.step.0[lane]) = (value, 0.0);
    }
}

/// What a group's filters do in a stretch. What is left out would not change a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filtering {
    /// Nothing.
    Open,
    /// They stay as they are.
    Steady,
    /// They move.
    Moving,
}

/// To which effects a group sends in a stretch. What is left out would not change a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sends {
    None,
    Reverb,
    Both,
}

/// What mixing needs to know of one group of voices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Gains to left, right, reverb and chorus.
    pub(crate) gains: [Ramp; 4],
    /// What the filter multiplies by: its input, its output one frame ago, its output two frames ago.
    pub(crate) filter: [Ramp; 3],
    /// The filter's output one frame ago.
    pub(crate) y1: Lane,
    /// The filter's output two frames ago.
    pub(crate) y2: Lane,
    pub(crate) filtering: Filtering,
    pub(crate) sends: Sends,
}

impl Group {
    pub(crate) fn new() -> Self {
        let (ramp, zero) = (Ramp::default(), Lane::default());
        let mut group = Self {
            gains: [ramp; 4],
            filter: [ramp; 3],
            y1: zero,
            y2: zero,
            filtering: Filtering::Open,
            sends: Sends::None,
        };
        (0..LANES).for_each(|lane| group.clear(lane));
        group
    }

    /// Empties a lane.
    pub(crate) fn clear(&mut self, lane: usize) {
        self.gains.iter_mut().for_each(|gain| gain.hold(lane, 0.0));
        self.filter.iter_mut().zip(OPEN_COEFFICIENTS).for_each(|(ramp, c)| ramp.hold(lane, c));
        (self.y1.0[lane], self.y2.0[lane]) = (0.0, 0.0);
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

/// Interpolates `out.len()` frames from `window`, where the sample at position 0 is at `base`.
type Interpolate =
    fn(table: &interpolation::Table, window: &[i16], base: usize, position: u64, step: u64, out: &mut [f32]);
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
    pub(crate) interpolate: Interpolate,
    pub(crate) mix: Mix,
    pub(crate) settle: Settle,
}

impl Kernels {
    /// The implementation asked for.
    pub(crate) fn choose(kernel: Kernel) -> Result<Self, ConfigError> {
        let found = match kernel {
            Kernel::Auto => Kernel::BY_SPEED.into_iter().find_map(Self::of),
            named => Self::of(named),
        };
        found.ok_or(ConfigError::Kernel(kernel))
    }

    /// The named implementation, if this processor can run it.
    fn of(kernel: Kernel) -> Option<Self> {
        match kernel {
            Kernel::Scalar => Some(scalar::KERNELS),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kernel::Sse41 => x86::sse41(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kernel::Avx2 => x86::avx2(),
            #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
            Kernel::Avx512 => x86::avx512(),
            #[cfg(target_arch = "aarch64")]
            Kernel::Neon => neon::neon(),
            _ => None,
        }
    }
}
