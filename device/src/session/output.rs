//! The output FIFO: frames that have been rendered and that no wave buffer has taken.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::VecDeque;

/// A stereo frame.
pub type Frame = [i16; 2];

/// A number of frames that were lost.
pub type Lost = u64;

/// The FIFO, and the count of frames that did not fit.
#[derive(Debug, Default)]
pub struct Output {
    frames: VecDeque<Frame>,
    /// Frames have been lost and none taken since.
    overflowing: bool,
    lost_unreported: Lost,
}

impl Output {
    /// Returns how many frames wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds frames at the end.
    pub fn push(&mut self, frames: &[Frame]) {
        self.frames.extend(frames);
    }

    /// Drops the oldest frames beyond `most`. `Some` when an overflow begins with it: how many frames it has cost so
    /// far. [`take`](Self::take) returns the rest of that overflow.
    pub fn trim(&mut self, most: usize) -> Option<Lost> {
        let excess = self.frames.len().saturating_sub(most);
        self.frames.drain(..excess);
        self.lose(excess as u64)
    }

    /// Counts `frames` frames as lost that were due and are not rendered, and with them those that wait. `Some` as for
    /// [`trim`](Self::trim).
    pub fn skip(&mut self, frames: u64) -> Option<Lost> {
        let stale = self.frames.len() as u64;
        self.frames.clear();
        self.lose(frames.saturating_add(stale))
    }

    fn lose(&mut self, frames: u64) -> Option<Lost> {
        if frames == 0 {
            return None;
        }
        if self.overflowing {
            self.lost_unreported = self.lost_unreported.saturating_add(frames);
            return None;
        }
        self.overflowing = true;
        Some(frames)
    }

    /// Takes the oldest `count` frames, which must be there. With it ends an overflow: `Some` says that frames were
    /// lost before these, and how many have not been returned yet.
    pub fn take(&mut self, count: usize) -> (impl Iterator<Item = Frame> + '_, Option<Lost>) {
        let lost = std::mem::take(&mut self.overflowing).then(|| std::mem::take(&mut self.lost_unreported));
        (self.frames.drain(..count.min(self.frames.len())), lost)
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_drops_the_oldest_frames_and_reports_each_once() {
        let mut output = Output::default();
        output.push(&[[1, 1]; 10]);
        assert_eq!(output.trim(10), None);
        output.push(&[[2, 2]; 4]);
        assert_eq!(output.trim(10), Some(4));
        output.push(&[[3, 3]; 3]);
        assert_eq!(output.trim(10), None);
        let (frames, lost) = output.take(5);
        assert_eq!(frames.collect::<Vec<_>>(), [[1, 1], [1, 1], [1, 1], [2, 2], [2, 2]]);
        assert_eq!(lost, Some(3));
        assert_eq!(output.take(1).1, None);
    }
}
