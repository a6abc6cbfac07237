//! Ticks to 100 ns units, in whole numbers: the only rounding is the last division.

use super::chunks::Division;
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
    /// Collects tempo changes: tick, and microseconds a quarter note. With an SMPTE division they have no effect.
    pub(super) fn new(division: Division, tempos: impl IntoIterator<Item = (u64, u32)>) -> Self {
        match division {
            Division::Quarter(ticks) => {
                let mut changes = vec![(0, u128::from(TEMPO_DEFAULT_US) * 10)];
                changes.extend(tempos.into_iter().map(|(tick, microseconds)| (tick, u128::from(microseconds) * 10)));
                changes.sort_by_key(|(tick, _)| *tick);
                Self { denominator: ticks.into(), changes }
            }
            Division::Frames { frames, seconds, ticks } => {
                let denominator = u128::from(frames) * u128::from(ticks);
                Self { denominator, changes: vec![(0, u128::from(TICKS_A_SECOND) * u128::from(seconds))] }
            }
        }
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
    use super::*;

    #[test]
    fn plays_a_quarter_in_half_a_second_without_a_tempo() {
        let map = TempoMap::new(Division::Quarter(480), []);
        assert_eq!(map.times([0, 1, 480]), [0, 10_416, 5_000_000]);
    }

    #[test]
    fn does_not_accumulate_rounding_over_tempo_changes() {
        // A third of a tick's time is lost at each change if each segment is rounded by itself.
        let map = TempoMap::new(Division::Quarter(3), (1..=300).map(|tick| (tick, 100_000)));
        // The first tick runs at the default tempo, all later ones at 100 ms a quarter.
        let exact = (5_000_000 + 299 * 1_000_000) / 3;
        assert_eq!(map.times([300]), [exact]);
    }

    #[test]
    fn applies_a_change_from_its_tick_on() {
        let map = TempoMap::new(Division::Quarter(1), [(2, 1_000_000)]);
        assert_eq!(map.times([1, 2, 3]), [5_000_000, 10_000_000, 20_000_000]);
    }

    #[test]
    fn ignores_tempo_with_an_smpte_division() {
        let map = TempoMap::new(Division::Frames { frames: 25, seconds: 1, ticks: 40 }, [(0, 1)]);
        assert_eq!(map.times([1000]), [10_000_000]);
        let drop_frame = TempoMap::new(Division::Frames { frames: 30_000, seconds: 1001, ticks: 1 }, []);
        assert_eq!(drop_frame.times([30_000]), [1001 * 10_000_000]);
    }
}
