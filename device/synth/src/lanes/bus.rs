//! Frames of one stretch: of the oscillators of a group, and the sums of all groups.

use super::group::Sends;
use super::lane::{LANES, Lane, TICK};

/// The oscillators' output of one group, in units of a 16-bit sample times 32767.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// A row of frames for each voice.
    pub(crate) rows: [[f32; TICK]; LANES],
    /// The same, a lane for each voice.
    pub(crate) lanes: [Lane; TICK],
}

impl Scratch {
    /// Makes silent frames.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { rows: [[0.0; TICK]; LANES], lanes: [Lane::default(); TICK] })
    }
}

/// Sums that a frame has: left, right, reverb send, chorus send.
pub(crate) const PLANES: usize = 4;

/// Frames before the effects: a plane of frames for each sum.
pub(crate) type Planes = [Box<[f32]>; PLANES];

/// Makes silent frames.
pub(crate) fn silent_planes(frames: usize) -> Planes {
    core::array::from_fn(|_| vec![0.0; frames].into_boxed_slice())
}

/// The sums of one stretch of frames, lane by lane.
pub(crate) struct Bus {
    pub(crate) planes: [[Lane; TICK]; PLANES],
    /// The first so many planes hold sums; the others are not heard.
    open: usize,
}

impl Bus {
    /// Makes sums of zero.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self { planes: [[Lane::default(); TICK]; PLANES], open: 0 })
    }

    /// Begins a stretch.
    pub(crate) fn clear(&mut self) {
        self.open = 0;
    }

    /// Makes the planes that a group is heard on ready for a stretch of so many frames.
    pub(crate) fn open(&mut self, sends: Sends, frames: usize) {
        let wanted = match sends {
            Sends::None => 2,
            Sends::Reverb => 3,
            Sends::Both => PLANES,
        };
        while self.open < wanted {
            self.planes[self.open][..frames].fill(Lane::default());
            self.open += 1;
        }
    }

    /// Returns how many planes hold sums.
    pub(crate) fn opened(&self) -> usize {
        self.open
    }

    /// Adds up the lanes of the frames of each open plane, always in the same order. `turn` turns rows of eight numbers
    /// into columns.
    #[inline(always)]
    pub(crate) fn reduce(&self, out: [&mut [f32]; PLANES], turn: impl Fn([Lane; LANES]) -> [Lane; LANES] + Copy) {
        for (plane, out) in self.planes[..self.open].iter().zip(out) {
            for (frames, out) in plane.as_chunks::<LANES>().0.iter().zip(out.chunks_mut(LANES)) {
                let [a, b, c, d, e, f, g, h] = turn(*frames);
                let mut sums = [0.0; LANES];
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = ((a.0[i] + b.0[i]) + (c.0[i] + d.0[i])) + ((e.0[i] + f.0[i]) + (g.0[i] + h.0[i]));
                }
                match out.first_chunk_mut() {
                    Some(out) => *out = sums,
                    None => out.copy_from_slice(&sums[..out.len()]),
                }
            }
        }
    }
}
