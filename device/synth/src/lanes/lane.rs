//! One number for each of the voices that are rendered side by side.

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
    /// Returns whether all lanes are zero. It compares bits, so that the compiler can compare all lanes at once.
    #[inline(always)]
    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().fold(0, |bits, x| bits | x.to_bits() << 1) == 0
    }
}

/// Lanes of a group, one bit each.
pub(crate) type LaneSet = u8;

/// Iterates over the lanes of a set, first to last.
pub(crate) fn lanes_of(mut set: LaneSet) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lane = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (lane < LANES).then_some(lane)
    })
}

/// Returns the first value in the lanes of the set, the second in the others.
#[inline(always)]
pub(crate) fn blend(set: LaneSet, inside: &Lane, outside: &Lane) -> Lane {
    let mut blended = Lane::default();
    for i in 0..LANES {
        blended.0[i] = if set & (1 << i) != 0 { inside.0[i] } else { outside.0[i] };
    }
    blended
}
