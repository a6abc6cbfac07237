//! Ticks to 100 ns units, in whole numbers: the only rounding is the last division.

use midly::{Fps, MetaMessage, Timing, TrackEvent, TrackEventKind};

use super::event::TICKS_A_SECOND;

/// The tempo before the first tempo event, in microseconds a quarter note: 120 quarter notes a minute (RP-001, "Set Tempo").
const TEMPO_DEFAULT_US: u32 = 500_000;

/// A song's tempo at every tick.
pub(super) struct TempoMap {
    /// `time = numerator / denominator` for the numerators that [`TempoMap::times`] adds up.
    denominator: u128,
    /// Each change of tempo: its tick, and the numerator that one tick adds from there on; the first is at tick 0.
    changes: Vec<(u64, u128)>,
}

impl TempoMap {
    /// Collects the tempo changes of all tracks. With an SMPTE division they have no effect.
    pub(super) fn new(timing: Timing, tracks: &[Vec<TrackEvent<'_>>]) -> Self {
        let ticks_a_quarter = match timing {
            Timing::Metrical(division) => u128::from(division.as_int().max(1)),
            Timing::Timecode(fps, subframe) => return Self::smpte(fps, subframe),
        };
        let mut changes = vec![(0, u128::from(TEMPO_DEFAULT_US) * 10)];
        for track in tracks {
            let mut tick = 0;
            for event in track {
                tick += u64::from(event.delta.as_int());
                if let TrackEventKind::Meta(MetaMessage::Tempo(microseconds)) = event.kind {
                    changes.push((tick, u128::from(microseconds.as_int()) * 10));
                }
            }
        }
        changes.sort_by_key(|(tick, _)| *tick);
        Self { denominator: ticks_a_quarter, changes }
    }

    fn smpte(fps: Fps, ticks_a_frame: u8) -> Self {
        // Frames a second as a fraction: drop-frame runs at 30000/1001.
        let (frames, seconds) = match fps {
            Fps::Fps24 => (24, 1),
            Fps::Fps25 => (25, 1),
            Fps::Fps29 => (30_000, 1001),
            Fps::Fps30 => (30, 1),
        };
        let denominator = frames * u128::from(ticks_a_frame.max(1));
        Self { denominator, changes: vec![(0, u128::from(TICKS_A_SECOND) * seconds)] }
    }

    /// Returns the times of ascending ticks, in 100 ns units, rounded down.
    pub(super) fn times(&self, ticks: impl IntoIterator<Item = u64>) -> Vec<u128> {
        let mut changes = self.changes.iter().peekable();
        let (mut since, mut step) = *changes.next().expect("the map begins at tick 0");
        let mut numerator = 0;
        let mut times = Vec::new();
        for tick in ticks {
            while let Some((at, next)) = changes.next_if(|(at, _)| *at <= tick) {
                numerator += u128::from(at - since) * step;
                (since, step) = (*at, *next);
            }
            times.push((numerator + u128::from(tick - since) * step) / self.denominator);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use midly::num::{u15, u24, u28};

    use super::*;

    fn tempo(delta: u32, microseconds: u32) -> TrackEvent<'static> {
        TrackEvent {
            delta: u28::from_int_lossy(delta),
            kind: TrackEventKind::Meta(MetaMessage::Tempo(u24::from_int_lossy(microseconds))),
        }
    }

    #[test]
    fn plays_a_quarter_in_half_a_second_without_a_tempo() {
        let map = TempoMap::new(Timing::Metrical(u15::from_int_lossy(480)), &[]);
        assert_eq!(map.times([0, 1, 480]), [0, 10_416, 5_000_000]);
    }

    #[test]
    fn does_not_accumulate_rounding_over_tempo_changes() {
        // A third of a tick's time is lost at each change if each segment is rounded by itself.
        let track: Vec<_> = (0..300).map(|_| tempo(1, 100_000)).collect();
        let map = TempoMap::new(Timing::Metrical(u15::from_int_lossy(3)), &[track]);
        // The first tick runs at the default tempo, all later ones at 100 ms a quarter.
        let exact = (5_000_000 + 299 * 1_000_000) / 3;
        assert_eq!(map.times([300]), [exact]);
    }

    #[test]
    fn applies_a_change_from_its_tick_on() {
        let map = TempoMap::new(Timing::Metrical(u15::from_int_lossy(1)), &[vec![tempo(2, 1_000_000)]]);
        assert_eq!(map.times([1, 2, 3]), [5_000_000, 10_000_000, 20_000_000]);
    }

    #[test]
    fn ignores_tempo_with_an_smpte_division() {
        let map = TempoMap::new(Timing::Timecode(Fps::Fps25, 40), &[vec![tempo(0, 1)]]);
        assert_eq!(map.times([1000]), [10_000_000]);
        let drop_frame = TempoMap::new(Timing::Timecode(Fps::Fps29, 1), &[]);
        assert_eq!(drop_frame.times([30_000]), [1001 * 10_000_000]);
    }
}
