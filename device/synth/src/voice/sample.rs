//! Waves made ready for the oscillator: a short copy of each loop's seam, so that the inner loop needs no check for it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::sync::Arc;

use crate::dls::collection::{GUARD, SampleLoop, Wave};
use crate::lanes::interpolation::REACH;

/// Samples before and after the seam in its copy: the interpolator reaches to both sides of where a voice comes and
/// leaves.
const MARGIN: usize = 2 * REACH;

/// Loops shorter than this are copied whole, several turns of them, so that a voice does not change its place every
/// few frames.
const UNROLL_BELOW: usize = 256;

/// A loop, with the copy that leads over its seam.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Whether it ends with the note.
    pub(crate) until_release: bool,
    /// First sample in the wave.
    pub(crate) start: usize,
    /// Samples.
    pub(crate) length: usize,
    /// [`MARGIN`] samples that lead to the loop's end, then the loop's beginning (or several turns of it), then more of
    /// it as a guard. Index [`MARGIN`] follows the loop's end.
    seam: Box<[i16]>,
    /// The position in `seam` at which a voice leaves it.
    leave: usize,
    /// Turns of the loop in it; 0 when it is left for the wave itself.
    turns: usize,
    /// The exit of a short loop until release: its end as it comes round, its last turn, and the beginning of what
    /// follows in the wave, so that the interpolator looks back over the seam and ahead over the end. Index [`MARGIN`]
    /// is the loop's first sample. Empty for other loops.
    exit: Box<[i16]>,
    /// The same two of the lower 8 of 24 bits, where there are any.
    low: Option<[Box<[i16]>; 2]>,
}

impl Loop {
    /// Prepares a loop. `None`: no sample of it is in the wave. A loop that reaches beyond the wave is cut there.
    pub(crate) fn new(wave: &Wave, wanted: SampleLoop) -> Option<Self> {
        let samples = wave.samples();
        let start = wanted.start as usize;
        let length = (wanted.length as usize).min(samples.len().checked_sub(start)?);
        if length == 0 {
            return None;
        }
        let end = start.saturating_add(length);
        // Behind whole turns the interpolator must find the loop's own end, also when the loop is shorter than the
        // lead.
        let (warm, turns, leave, total) = if length < UNROLL_BELOW {
            let warm = MARGIN.next_multiple_of(length);
            let turns = UNROLL_BELOW.div_ceil(length);
            let whole = turns.saturating_mul(length).saturating_add(warm).saturating_add(MARGIN);
            (warm, turns, whole, whole)
        } else {
            (0, 0, MARGIN + REACH, 2 * MARGIN)
        };
        debug_assert!(leave.saturating_add(REACH) <= total.saturating_add(MARGIN), "warm-up {warm}");
        let copies = |samples: &[i16]| -> [Box<[i16]>; 2] {
            let turn = |i: usize| samples[start.saturating_add(i.checked_rem(length).unwrap_or(0))];
            let lead = (0..MARGIN).map(|i| end.saturating_add(i).checked_sub(MARGIN).map_or(0, |at| samples[at]));
            let seam = lead.chain((0..total).map(turn)).collect();
            let exit = if wanted.until_release && turns > 0 {
                let before =
                    (0..MARGIN).map(|i| turn(MARGIN.next_multiple_of(length).saturating_add(i).saturating_sub(MARGIN)));
                let after = (0..MARGIN).map(|i| samples.get(end.saturating_add(i)).copied().unwrap_or(0));
                before.chain((0..length).map(turn)).chain(after).collect()
            } else {
                Box::default()
            };
            [seam, exit]
        };
        let low = wave.guarded_low().map(|low| copies(&low[GUARD..low.len().saturating_sub(GUARD)]));
        let [seam, exit] = copies(samples);
        Some(Self { until_release: wanted.until_release, start, length, seam, leave, turns, exit, low })
    }

    /// Returns how many bytes it takes, with the copies.
    pub(crate) fn bytes(&self) -> usize {
        let low = self.low.as_ref().map_or(0, |[seam, exit]| seam.len().saturating_add(exit.len()));
        let samples = self.seam.len().saturating_add(self.exit.len()).saturating_add(low);
        size_of::<Self>().saturating_add(size_of::<i16>().saturating_mul(samples))
    }

    fn end(&self) -> usize {
        self.start.saturating_add(self.length)
    }
}

/// The position of an oscillator in its wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    Wave,
    /// [`Loop::seam`].
    Seam,
    /// [`Loop::exit`].
    Exit,
}

/// The position of an oscillator in a sample: the samples read, the place, and its end. Positions are 32.32.
#[derive(Debug)]
pub(crate) struct Cursor {
    wave: Arc<Wave>,
    sample_loop: Option<Arc<Loop>>,
    window: Window,
    looping: bool,
    ended: bool,
    /// The position in the window, from its first sample.
    pub(crate) position: u64,
    /// The position at which the window must be changed; that of the last sample's end where `last` is set.
    limit: u64,
    /// Whether nothing follows in this window, so that the interpolator goes on until its taps have left it.
    last: bool,
}

impl Cursor {
    /// Makes a cursor at the first sample.
    pub(crate) fn new(wave: Arc<Wave>, sample_loop: Option<Arc<Loop>>) -> Self {
        let looping = sample_loop.is_some();
        let mut cursor =
            Self { wave, sample_loop, window: Window::Wave, looping, ended: false, position: 0, limit: 0, last: false };
        cursor.find_limit();
        cursor
    }

    /// Returns whether the wave has ended.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// Returns the samples that the position counts in, and the index of position 0.
    pub(crate) fn window(&self) -> (&[i16], usize) {
        match (&self.sample_loop, self.window) {
            (Some(found), Window::Seam) => (&found.seam, 0),
            (Some(found), Window::Exit) => (&found.exit, 0),
            _ => (self.wave.guarded(), GUARD),
        }
    }

    /// Returns the samples that so many frames at a step will read, as far as they are in the window.
    pub(crate) fn upcoming(&self, step: u64, frames: usize) -> &[i16] {
        let (window, base) = self.window();
        let first = (self.position >> 32) as usize;
        let count = (step.saturating_mul(frames as u64) >> 32) as usize;
        let end = base.saturating_add(first).saturating_add(count).saturating_add(REACH).min(window.len());
        window.get(base.saturating_add(first).saturating_sub(REACH)..end).unwrap_or_default()
    }

    /// Returns the lower 8 of 24 bits of the samples of [`window`](Self::window), if there are any.
    pub(crate) fn low_window(&self) -> Option<&[i16]> {
        let low = self.wave.guarded_low()?;
        match (&self.sample_loop, self.window) {
            (Some(found), Window::Seam) => found.low.as_ref().map(|[seam, _]| &**seam),
            (Some(found), Window::Exit) => found.low.as_ref().map(|[_, exit]| &**exit),
            _ => Some(low),
        }
    }

    /// Returns the position at which the window must be changed, for an interpolator that looks so many samples back.
    pub(crate) fn limit(&self, taps_before: usize) -> u64 {
        if self.last { self.limit.saturating_add((taps_before as u64) << 32) } else { self.limit }
    }

    fn find_limit(&mut self) {
        let (samples, last) = match (&self.sample_loop, self.window) {
            (Some(found), Window::Seam) => (found.leave, false),
            (Some(found), Window::Exit) => (found.length.saturating_add(MARGIN + REACH), false),
            (Some(found), Window::Wave) if self.looping => (found.end().saturating_sub(REACH), false),
            _ => (self.wave.samples().len(), true),
        };
        self.last = last;
        self.limit = (samples as u64) << 32;
    }

    /// Changes the window once the limit is reached.
    pub(crate) fn turn(&mut self) {
        let Some(found) = self.sample_loop.as_deref() else {
            self.ended = true;
            return;
        };
        let of_samples = |samples: usize| (samples as u64) << 32;
        match self.window {
            Window::Wave if self.looping => {
                self.window = Window::Seam;
                self.position = self.position.wrapping_add(of_samples(MARGIN)).wrapping_sub(of_samples(found.end()));
            }
            Window::Wave => self.ended = true,
            Window::Seam if found.turns > 0 => {
                self.position = self.position.wrapping_sub(of_samples(found.turns.wrapping_mul(found.length)));
            }
            // For a loop that was left in the meantime, too: the copy ends long before the loop does.
            Window::Seam | Window::Exit => {
                self.window = Window::Wave;
                self.position = self.position.wrapping_sub(of_samples(MARGIN)).wrapping_add(of_samples(found.start));
            }
        }
        self.find_limit();
    }

    /// Ends the note: a loop until release is left, without a jump, for the rest of the wave.
    pub(crate) fn release(&mut self) {
        let Some(found) = self.sample_loop.as_deref().filter(|found| self.looping && found.until_release) else {
            return;
        };
        self.looping = false;
        let margin = (MARGIN as u64) << 32;
        match self.position.checked_sub(margin) {
            _ if self.window != Window::Seam => {}
            // Before its end: what follows now is the rest of the wave.
            None => {
                self.window = Window::Wave;
                self.position = ((found.end() as u64) << 32).wrapping_add(self.position).wrapping_sub(margin);
            }
            Some(after) if found.turns > 0 => {
                self.window = Window::Exit;
                self.position = margin.wrapping_add(after.checked_rem((found.length as u64) << 32).unwrap_or(0));
            }
            // At the beginning of a long loop: its copy leads back to the wave.
            Some(_) => {}
        }
        self.find_limit();
    }
}
