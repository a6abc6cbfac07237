//! How long `dls-synth` takes for one small block: a card must have its next frames in time every time, not on average.
//!
//! All voices sound with filter, vibrato and effects, and in every block one note ends and is struck again: the work
//! that a player adds. Each block is timed by itself, by the thread's processor time, in which other load of the machine
//! counts little, and by the wall clock, in which it counts whole.

use std::time::Duration;

use dls_synth::Kernel;

use crate::clock::on_this_thread;
use crate::comparison::ComparisonError;
use crate::engines::{DlsSynth, Engine, RATE, Setting};
use crate::font::{Work, sound_font};
use crate::record::Record;
use crate::score;

/// Frames of a block: those of one control tick, and of the smallest period that sound hardware is usually run with.
const FRAMES: usize = 64;

/// Blocks that are timed: twenty of them are beyond the quantile, and all take half a minute of sound.
const BLOCKS: usize = 20_000;

/// Blocks before: until attacks are over.
const WARM_UP: usize = RATE as usize * 3 / 10 / FRAMES;

/// The quantile of the worst case that a listener would notice: one block in a thousand.
const QUANTILE: f64 = 0.999;

/// Measures blocks with so many voices. Every figure is compared with the time in which the block is heard.
///
/// # Errors
/// [`ComparisonError`] when the synthesizer refuses its setting.
pub(crate) fn run(voices: u16, kernel: Kernel) -> Result<Vec<Record>, ComparisonError> {
    let bank = DlsSynth::bank(&sound_font(Work::ALL))?;
    let mut engine = DlsSynth::new(&bank, Setting { voices, effects: true }, kernel)?;
    let messages = score::messages(voices);
    messages.iter().for_each(|message| engine.midi(message));
    (0..WARM_UP).for_each(|_| engine.render(FRAMES));
    let notes: Vec<&[u8]> = messages.iter().map(Vec::as_slice).filter(|message| message[0] >> 4 == 9).collect();
    let (mut processor, mut wall) = (Vec::with_capacity(BLOCKS), Vec::with_capacity(BLOCKS));
    for note in notes.iter().cycle().take(BLOCKS) {
        let spent = on_this_thread(|| {
            engine.midi(&[0x80 | note[0] & 15, note[1], 64]);
            engine.midi(note);
            engine.render(FRAMES);
        });
        processor.push(spent.processor);
        wall.push(spent.wall);
    }
    let deadline = FRAMES as f64 / f64::from(RATE) * 1e6;
    let name = |rest: &str| format!("synth/block-{FRAMES}/{voices}/{rest}");
    let record = |(rest, microseconds): (&str, f64)| Record::new(name(rest), microseconds, "us", Some(deadline));
    let [mean, quantile, worst] = figures(&mut processor);
    let [wall_mean, wall_quantile, wall_worst] = figures(&mut wall);
    let figures = [
        ("mean", mean),
        ("p99.9", quantile),
        ("worst", worst),
        ("mean/wall", wall_mean),
        ("p99.9/wall", wall_quantile),
        ("worst/wall", wall_worst),
    ];
    Ok(figures.map(record).into())
}

/// Returns the mean, the quantile and the greatest of some times, in microseconds.
fn figures(times: &mut [Duration]) -> [f64; 3] {
    times.sort_unstable();
    let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
    let mean = microseconds(times.iter().sum()) / times.len() as f64;
    let rank = (times.len() as f64 * QUANTILE).ceil() as usize;
    let at = |index: usize| times.get(index).copied().map_or(f64::NAN, microseconds);
    [mean, at(rank.saturating_sub(1)), at(times.len().saturating_sub(1))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_least_time_that_all_but_one_in_a_thousand_keep() {
        let mut times: Vec<Duration> = (1..=2000).rev().map(Duration::from_micros).collect();
        assert_eq!(figures(&mut times), [1000.5, 1998.0, 2000.0]);
    }
}
