//! The anchor between master time and the sample clock.

use card_spec::{event_frame, frame_time};

/// A point that ties master time to the sample clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Master time in 100 ns units.
    pub time: i64,
    /// The frame that begins at that time.
    pub frame: i64,
}

impl Anchor {
    /// Returns the master time of a frame, by the card's arithmetic.
    #[must_use]
    pub const fn time_of(&self, frame: i64, sample_rate: u32) -> i64 {
        // No format has rate 0; the guard keeps the division from panicking.
        if sample_rate == 0 { self.time } else { frame_time(frame, self.time, self.frame, sample_rate) }
    }

    /// Returns the frame at a master time, by the card's arithmetic.
    #[must_use]
    pub const fn frame_at(&self, time: i64, sample_rate: u32) -> i64 {
        event_frame(time, self.time, self.frame, sample_rate)
    }

    /// Returns the anchor that corrects drift when the sample clock is at `frame` at master time `time`. `None`: the
    /// present one needs no correction.
    ///
    /// The sample clock is read at the ends of buffers only, so a difference of up to `tolerance` frames is no drift.
    /// Of a larger one the part beyond is corrected.
    #[must_use]
    pub fn corrected(&self, time: i64, frame: i64, sample_rate: u32, tolerance: u32) -> Option<Self> {
        let expected = self.frame_at(time, sample_rate);
        let drift = frame.saturating_sub(expected);
        let tolerance = i64::from(tolerance);
        let correction = if drift > tolerance {
            drift - tolerance
        } else if drift < -tolerance {
            drift + tolerance
        } else {
            return None;
        };
        Some(Self { time, frame: expected.saturating_add(correction) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_times_are_inverse_at_every_rate() {
        for rate in [11_025, 22_050, 44_100, 48_000, 96_000] {
            let anchor = Anchor { time: 123_456_789, frame: 7 };
            for frame in [-5_i64, 0, 7, 8, 479, 123_456, i64::from(u32::MAX)] {
                assert_eq!(anchor.frame_at(anchor.time_of(frame, rate), rate), frame);
            }
        }
    }

    #[test]
    fn jitter_within_the_tolerance_moves_nothing() {
        let anchor = Anchor { time: 0, frame: 0 };
        assert_eq!(anchor.corrected(10_000_000, 48_480, 48_000, 480), None);
        assert_eq!(anchor.corrected(10_000_000, 47_520, 48_000, 480), None);
    }

    #[test]
    fn drift_is_corrected_to_the_edge_of_the_tolerance() {
        let anchor = Anchor { time: 0, frame: 0 };
        let corrected = anchor.corrected(10_000_000, 48_500, 48_000, 480).unwrap();
        assert_eq!(corrected, Anchor { time: 10_000_000, frame: 48_020 });
        assert_eq!(corrected.corrected(10_000_000, 48_500, 48_000, 480), None);
        let corrected = anchor.corrected(10_000_000, 47_000, 48_000, 480).unwrap();
        assert_eq!(corrected.frame, 47_480);
    }
}
