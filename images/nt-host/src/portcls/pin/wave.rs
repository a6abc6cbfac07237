//! A wave pin: the sample clock is anchored, and frames are rendered.
//!
//! A synthesizer may write over the buffer or mix into it (the page "MIDI to wave"), so it gets silence. What it leaves
//! out is found by how it is tried out before its client gets it, and by how its sound ends.

#![allow(unsafe_code, reason = "synth sinks are called by slot number")]

use alloc::format;
use alloc::vec::Vec;

use super::{Pin, RENDER_GUARD_BYTES, clock};
use crate::contract::note::note;
use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED, success};
use crate::portcls::com::abi::KsState;
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::kernel;

/// What the buffer holds when a wave stream is tried out, in turn: far apart, so that what a stream writes over is distinguished
/// from what it mixes into. Two bytes, the low one first: 16-bit samples of about a quarter of full scale.
const BACKGROUNDS: [[u8; 2]; 2] = [[0x55, 0x20], [0xAB, 0xDF]];

/// Two 16-bit samples that are nearer than this were not both mixed into the [`BACKGROUNDS`], which are twice as far
/// apart.
const WRITTEN_OVER: u16 = 0x2055;

/// Frames with which a wave stream is tried out: whole blocks of a synthesizer, in frames and in bytes, so that what it computes
/// once a block is where it was before.
const TRIAL_FRAMES: u32 = 1024;

/// Times in a row that a stream brings sound and then the same stretch of exact silence up to the end of the buffer:
/// more than music does by chance.
const GAPS_MAX: u32 = 8;

/// Least frames of a buffer in which the end of the sound is looked for: in fewer, single samples that are zero decide.
const GAP_FRAMES_MIN: u32 = 16;

/// What a wave pin renders with.
pub(super) struct Wave {
    pub(super) sink: Foreign,
    pub(super) block_align: u32,
    pub(super) sample_rate: u32,
    pub(super) position: i64,
    /// The stream counts length and position in bytes.
    in_bytes: bool,
    gap: Gap,
}

/// How the sound has ended in the last buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gap {
    /// Frames of the last buffer.
    frames: u32,
    /// Frames of it up to the end of the sound.
    sounding: u32,
    /// Buffers in a row like it.
    buffers: u32,
}

impl Pin {
    /// Returns sample rate and bytes of a frame of a wave pin.
    pub(crate) fn wave_format(&self) -> Option<(u32, u32)> {
        self.wave.as_ref().map(|wave| (wave.sample_rate, wave.block_align))
    }

    /// Anchors the wave stream's sample clock: the first call after RUN.
    ///
    /// # Errors
    /// `STATUS_INVALID_DEVICE_REQUEST` for another pin, or the status that `SyncToMaster` failed with.
    pub(crate) fn sync_to_master(&mut self, time: i64) -> Result<(), NTSTATUS> {
        let Some(wave) = &mut self.wave else { return Err(STATUS_INVALID_DEVICE_REQUEST) };
        wave.position = 0;
        // SAFETY: the pin holds the sink.
        let status = unsafe { slots::synth_sink::sync_to_master(wave.sink.as_raw(), time, 1) };
        if matches!(status, STATUS_NOT_IMPLEMENTED | STATUS_NOT_SUPPORTED) {
            violation(
                "ISynthSinkDMus::SyncToMaster",
                Violation::new(
                    rules::RENDER,
                    format!("it is not implemented ({status:#010x})"),
                    "anchor frame 0 to the master time that it is given, and succeed",
                ),
            );
        }
        if !success(status) {
            return Err(status);
        }
        wave.check_conversions();
        Ok(())
    }

    /// Renders the next frames to the beginning of a buffer, which is [`RENDER_GUARD_BYTES`] longer than they are. The
    /// stream gets silence to write over or to mix into.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn render(&mut self, buffer: &mut [u8], frames: u32) {
        let Some(wave) = &mut self.wave else { return };
        let pcm_bytes = frames as usize * wave.block_align as usize;
        buffer[..pcm_bytes].fill(0);
        wave.call(buffer, frames);
        if watch::is_on() {
            wave.gap = wave.gap.after(&buffer[..pcm_bytes], wave.block_align as usize);
        }
        if wave.gap.buffers >= GAPS_MAX {
            let Gap { frames, sounding, buffers } = core::mem::take(&mut wave.gap);
            wave.short(
                frames,
                sounding,
                &format!("{buffers} times in a row sound came in the first {sounding} frames only; "),
            );
        }
        wave.position += i64::from(frames);
    }

    /// Tries a wave stream in STOP out: what it writes over is distinguished from what it mixes into. Leaves it in STOP.
    ///
    /// Nothing is said of a stream that mixes silence, or that does not run yet. In real time no stream is tried out: what
    /// the device computes from its frames on, such as the phase of a chorus, would not be what its client expects.
    pub(super) fn try_wave_out(&mut self) {
        if self.wave.is_none() || !watch::is_on() || kernel::in_real_time() {
            return;
        }
        if self.set_state(KsState::Run).is_ok()
            && self.sync_to_master(clock::now()).is_ok()
            && let Some(wave) = &mut self.wave
        {
            wave.try_out();
        }
        // STOP may not be refused, which set_state checks.
        let _ = self.set_state(KsState::Stop);
    }
}

impl Gap {
    /// Returns how the sound has ended, after one more buffer of these bytes.
    fn after(self, pcm: &[u8], frame_bytes: usize) -> Self {
        let sounds = |frame: &[u8]| frame.iter().any(|byte| *byte != 0);
        let all = pcm.chunks_exact(frame_bytes.max(1));
        let frames = all.len() as u32;
        let Some(last) = all.clone().rposition(sounds) else { return self };
        let sounding = last as u32 + 1;
        let first = all.clone().position(sounds).unwrap_or(0);
        // A frame of zeros at the end says nothing where there are such in the sound itself.
        let long = frames - sounding >= frames / 2;
        let whole = all.take(last + 1).skip(first).all(sounds);
        if frames < GAP_FRAMES_MIN || sounding == frames || first as u32 > frames / 4 || !(long || whole) {
            return Self::default();
        }
        let buffers = if (self.frames, self.sounding) == (frames, sounding) { self.buffers + 1 } else { 1 };
        Self { frames, sounding, buffers }
    }
}

impl Wave {
    /// Makes what a wave pin renders with.
    pub(super) fn new(sink: Foreign, block_align: u32, sample_rate: u32) -> Self {
        Self { sink, block_align, sample_rate, position: 0, in_bytes: false, gap: Gap::default() }
    }

    /// Calls `Render`, and checks that nothing behind the frames is written to.
    fn call(&self, buffer: &mut [u8], frames: u32) {
        let bytes = frames as usize * self.block_align as usize;
        let mut guard = [0; RENDER_GUARD_BYTES];
        guard.copy_from_slice(&buffer[bytes..][..RENDER_GUARD_BYTES]);
        let unit = if self.in_bytes { self.block_align } else { 1 };
        // SAFETY: the pin holds the sink; the buffer is as long as the frames take.
        unsafe {
            slots::synth_sink::render(
                self.sink.as_raw(),
                buffer.as_mut_ptr(),
                frames * unit,
                self.position * i64::from(unit),
            );
        }
        if buffer[bytes..][..RENDER_GUARD_BYTES] == guard {
            rules::RENDER.held();
        } else {
            violation(
                "ISynthSinkDMus::Render",
                Violation::new(
                    rules::RENDER,
                    format!(
                        "{frames} frames of {} bytes were asked for at frame {}, and bytes behind them were written",
                        self.block_align, self.position
                    ),
                    "write as many frames as are asked for, and no more",
                ),
            );
        }
    }

    /// Renders over two backgrounds, and judges by what is left of them.
    fn try_out(&mut self) {
        let frame_bytes = self.block_align as usize;
        let bytes = TRIAL_FRAMES as usize * frame_bytes;
        let [first, second] = BACKGROUNDS.map(|background| {
            let mut buffer: Vec<u8> = background.iter().copied().cycle().take(bytes + RENDER_GUARD_BYTES).collect();
            self.call(&mut buffer, TRIAL_FRAMES);
            self.position += i64::from(TRIAL_FRAMES);
            buffer.truncate(bytes);
            buffer
        });
        self.gap = Gap::default();
        match written(&first, &second, frame_bytes) {
            Some(frames) if frames == TRIAL_FRAMES / self.block_align => {
                self.in_bytes = true;
                note(
                    rules::RENDER,
                    "ISynthSinkDMus::Render",
                    "it counts length and position in bytes, as its own page does; the page of IDirectMusicSynth::Render, and \
                     the samples, count in samples. This host goes on in bytes",
                );
            }
            Some(frames) if frames < TRIAL_FRAMES => self.short(TRIAL_FRAMES, frames, ""),
            _ => {}
        }
    }

    fn short(&self, asked: u32, written: u32, before: &str) {
        violation(
            "ISynthSinkDMus::Render",
            Violation::new(
                rules::RENDER,
                format!(
                    "{before}{asked} frames of {} bytes were asked for, and {written} were rendered",
                    self.block_align
                ),
                "render as many frames as are asked for: write over all of the buffer, silence where nothing sounds, or mix into it",
            ),
        );
    }

    /// Checks that sample to time and back is the same sample, within one (rule 83).
    fn check_conversions(&self) {
        if !watch::is_on() {
            return;
        }
        let rate = i64::from(self.sample_rate);
        for sample in [0, 1, rate - 1, rate, 3600 * rate] {
            let (mut time, mut back) = (0, 0);
            // SAFETY: the pin holds the sink; the out parameters are ours.
            let (there, here) = unsafe {
                (
                    slots::synth_sink::sample_to_ref_time(self.sink.as_raw(), sample, &raw mut time),
                    slots::synth_sink::ref_time_to_sample(self.sink.as_raw(), time, &raw mut back),
                )
            };
            if !success(there) || !success(here) || back.abs_diff(sample) > 1 {
                violation(
                    "ISynthSinkDMus::RefTimeToSample",
                    Violation::new(
                        rules::RENDER,
                        format!(
                            "sample {sample} is at time {time} (status {there:#010x}), and that time at sample {back} (status {here:#010x})"
                        ),
                        "convert with the anchor of SyncToMaster, exactly: the two are inverse within one sample",
                    ),
                );
                return;
            }
        }
    }
}

/// Returns how many frames were written over in both of two buffers that held the [`BACKGROUNDS`], if it shows: all
/// frames up to there, and none behind. `None` where what was there may have been mixed into.
fn written(first: &[u8], second: &[u8], frame_bytes: usize) -> Option<u32> {
    let untouched =
        |frame: &[u8], background: [u8; 2]| frame.iter().zip(background.iter().cycle()).all(|(a, b)| a == b);
    let mut written = 0;
    let mut rest_untouched = true;
    for (index, (one, other)) in first.chunks_exact(frame_bytes).zip(second.chunks_exact(frame_bytes)).enumerate() {
        if untouched(one, BACKGROUNDS[0]) && untouched(other, BACKGROUNDS[1]) {
            continue;
        }
        let near = |(one, other): (&[u8; 2], &[u8; 2])| {
            i16::from_le_bytes(*one).abs_diff(i16::from_le_bytes(*other)) < WRITTEN_OVER
        };
        if !one.as_chunks().0.iter().zip(other.as_chunks().0).all(near) {
            return None;
        }
        rest_untouched &= index == written as usize;
        written = index as u32 + 1;
    }
    (written > 0 && rest_untouched).then_some(written)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn background(which: usize) -> Vec<u8> {
        BACKGROUNDS[which].iter().copied().cycle().take(TRIAL_FRAMES as usize * 4).collect()
    }

    #[test]
    fn tells_frames_that_were_written_over_from_those_that_were_not() {
        let write = |frames: usize| {
            [0, 1].map(|which| {
                let mut buffer = background(which);
                buffer[..frames * 4].fill(0);
                buffer
            })
        };
        for frames in [1, 16, 63, 64] {
            let [first, second] = write(frames);
            assert_eq!(written(&first, &second, 4), Some(frames as u32));
        }
    }

    #[test]
    fn says_nothing_of_a_stream_that_mixes() {
        assert_eq!(written(&background(0), &background(1), 4), None);
        let mixed = [0, 1].map(|which| {
            let mut buffer = background(which);
            for sample in buffer.as_chunks_mut::<2>().0.iter_mut().take(7) {
                *sample = i16::from_le_bytes(*sample).saturating_add(1000).to_le_bytes();
            }
            buffer
        });
        assert_eq!(written(&mixed[0], &mixed[1], 4), None);
    }

    fn gaps(buffers: impl Iterator<Item = Vec<u8>>) -> u32 {
        buffers
            .fold((Gap::default(), 0), |(gap, most), pcm| {
                let gap = gap.after(&pcm, 2);
                (gap, most.max(gap.buffers))
            })
            .1
    }

    fn tone(frames: usize, sample: impl Fn(usize) -> i16) -> Vec<u8> {
        (0..frames).flat_map(|frame| sample(frame).to_le_bytes()).collect()
    }

    #[test]
    fn counts_buffers_that_end_in_the_same_silence() {
        let short = |frame: usize| if frame < 479 { (1000 - frame as i16 * 2) | 1 } else { 0 };
        assert_eq!(gaps((0..20).map(|_| tone(480, short))), 20);
        let quarter = |frame: usize| if frame < 120 { (frame % 7) as i16 } else { 0 };
        assert_eq!(gaps((0..20).map(|_| tone(480, quarter))), 20);
    }

    #[test]
    fn takes_no_zero_of_a_tone_for_a_gap() {
        // 1 kHz at 48 kHz: each buffer ends on a sample that is zero, and so does each period.
        let sine = |frame: usize| ((frame + 1) as f64 * core::f64::consts::TAU / 48.0).sin() * 1e4;
        assert_eq!(gaps((0..20).map(|_| tone(480, |frame| sine(frame) as i16))), 0);
        assert_eq!(gaps((0..20).map(|_| tone(480, |_| 0))), 0);
        // Notes that end within a buffer, here and there.
        assert!(gaps((0..20).map(|number| tone(480, |frame| i16::from(frame < 100 + 7 * number)))) < GAPS_MAX);
    }
}
