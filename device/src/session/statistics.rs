//! DirectMusic's running statistics: averages over the last whole second of sound.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::time::Duration;

use card_spec::control::{Statistics, statistic};
use zerocopy::FromZeros;

use super::output::Frame;

/// Peak volume in 1/100 dB that is reported for silence: below what 16 bits can hold.
const SILENCE: i32 = -9633;

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    frames: u64,
    voice_frames: u64,
    busy: Duration,
    lost_notes: u64,
    peak: u16,
}

/// Statistics since the wave stream last began to run, second by second.
#[derive(Debug, Default)]
pub struct RunningStatistics {
    current: Window,
    last: Option<Window>,
    notes_lost_before: u64,
}

impl RunningStatistics {
    /// Begins anew, because the wave stream begins to run. `notes_lost`: since the session began.
    pub fn restart(&mut self, notes_lost: u64) {
        *self = Self { notes_lost_before: notes_lost, ..Self::default() };
    }

    /// Counts frames that were rendered in the processor time `busy`, with so many voices. `notes_lost`: since the session
    /// began.
    pub fn rendered(&mut self, frames: &[Frame], voices: u32, busy: Duration, notes_lost: u64, sample_rate: u32) {
        let window = &mut self.current;
        window.frames = window.frames.saturating_add(frames.len() as u64);
        let voice_frames = u64::from(voices).saturating_mul(frames.len() as u64);
        window.voice_frames = window.voice_frames.saturating_add(voice_frames);
        window.busy = window.busy.saturating_add(busy);
        window.peak = window.peak.max(peak(frames));
        if window.frames >= u64::from(sample_rate) {
            window.lost_notes = notes_lost.saturating_sub(self.notes_lost_before);
            self.notes_lost_before = notes_lost;
            self.last = Some(std::mem::take(window));
        }
    }

    /// Returns the statistics as the driver gets them.
    #[must_use]
    pub fn read(&self, sample_rate: u32, free_memory: u32) -> Statistics {
        let window = self.last.unwrap_or_default();
        let mut statistics = Statistics::new_zeroed();
        statistics.valid = statistic::ALL.into();
        statistics.free_memory = free_memory.into();
        statistics.peak_volume = SILENCE.into();
        if window.frames == 0 {
            return statistics;
        }
        let voices = window.voice_frames as f64 / window.frames as f64;
        let cpu = window.busy.as_secs_f64() * f64::from(sample_rate) / window.frames as f64 * 10_000.0;
        statistics.voices = (voices.round() as u32).into();
        statistics.total_cpu = (cpu.round() as u32).into();
        statistics.cpu_per_voice = (if voices > 0.0 { (cpu / voices).round() as u32 } else { 0 }).into();
        statistics.lost_notes = u32::try_from(window.lost_notes).unwrap_or(u32::MAX).into();
        statistics.peak_volume = hundredths_db(window.peak).into();
        statistics
    }
}

/// Returns the greatest magnitude among the frames' samples.
#[must_use]
pub fn peak(frames: &[Frame]) -> u16 {
    frames.iter().flatten().map(|sample| sample.unsigned_abs()).max().unwrap_or(0)
}

/// Returns a magnitude in 1/100 dB below full scale (32768).
#[must_use]
pub fn hundredths_db(peak: u16) -> i32 {
    if peak == 0 { SILENCE } else { (2000.0 * (f64::from(peak) / 32768.0).log10()).round() as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_cover_the_last_whole_second() {
        let mut running = RunningStatistics::default();
        assert_eq!(running.read(48_000, 7).peak_volume.get(), SILENCE);
        for _ in 0..480 {
            running.rendered(&[[16_384, -100]; 100], 12, Duration::from_micros(20), 3, 48_000);
        }
        let statistics = running.read(48_000, 7);
        assert_eq!(statistics.voices.get(), 12);
        assert_eq!(statistics.total_cpu.get(), 96);
        assert_eq!(statistics.cpu_per_voice.get(), 8);
        assert_eq!(statistics.lost_notes.get(), 3);
        assert_eq!(statistics.peak_volume.get(), -602);
        assert_eq!(statistics.free_memory.get(), 7);
    }
}
