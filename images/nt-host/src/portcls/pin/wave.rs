//! A wave pin: the sample clock is anchored, and frames are rendered.
//!
//! A synthesizer may write over the buffer or mix into it (the page "MIDI to wave"). Until it is known what a filter's
//! streams do, their buffers have a [background](super::background), which shows it, and which no client gets to see: a
//! stream is called for its client's frames only, and one after another. From then on they get silence, and what is left
//! out is found by how the sound ends.

#![allow(unsafe_code, reason = "synth sinks are called by slot number")]

use alloc::format;

use super::background::{self, Layout, Written};
use super::{Pin, RENDER_GUARD_BYTES};
use crate::contract::note::note;
use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED, success};
use crate::portcls::com::slots::{self, Foreign};
use crate::portcls::port::RenderUnit;

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
    /// How samples lie in a frame; `None` of a format without a background.
    layout: Option<Layout>,
    /// In what the stream counts length and position, once that is known.
    unit: RenderUnit,
    /// What the last buffers had left of their background.
    left: Left,
    gap: Gap,
}

/// What was left alone in the last buffers of a stream that writes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Left {
    /// Frames of the last buffer.
    frames: u32,
    /// Frames of it that were written.
    written: u32,
    /// Buffers in a row like it.
    buffers: u32,
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

    /// Renders the next frames to the beginning of a buffer, which is [`RENDER_GUARD_BYTES`] longer than they are. What
    /// the stream neither writes nor mixes is silence.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn render(&mut self, buffer: &mut [u8], frames: u32) {
        let Some(wave) = &mut self.wave else { return };
        if wave.unit == RenderUnit::Unknown {
            wave.unit = self.port.render_unit();
        }
        wave.render(buffer, frames);
        self.port.learn_render_unit(wave.unit);
    }
}

impl Gap {
    /// Returns how the sound has ended, after one more buffer of these bytes.
    fn after(self, pcm: &[u8], frame_bytes: usize, silence: u8) -> Self {
        let sounds = |frame: &[u8]| frame.iter().any(|byte| *byte != silence);
        let all = pcm.chunks_exact(frame_bytes.max(1));
        let frames = all.len() as u32;
        let Some(last) = all.clone().rposition(sounds) else { return self };
        let sounding = last as u32 + 1;
        if frames < GAP_FRAMES_MIN || sounding == frames {
            return Self::default();
        }
        let first = all.clone().position(sounds).unwrap_or(0);
        // A frame of zeros at the end says nothing where there are such in the sound itself.
        let long = frames - sounding >= frames / 2;
        if first as u32 > frames / 4 || !(long || all.take(last + 1).skip(first).all(sounds)) {
            return Self::default();
        }
        let buffers = if (self.frames, self.sounding) == (frames, sounding) { self.buffers + 1 } else { 1 };
        Self { frames, sounding, buffers }
    }
}

impl Wave {
    /// Makes what a wave pin renders with, of frames of so many bytes and samples of so many bits.
    pub(super) fn new(sink: Foreign, block_align: u32, sample_rate: u32, bits: u32) -> Self {
        Self {
            sink,
            block_align,
            sample_rate,
            position: 0,
            layout: Layout::of(block_align, bits),
            unit: RenderUnit::Unknown,
            left: Left::default(),
            gap: Gap::default(),
        }
    }

    /// Renders the next frames to the beginning of a buffer.
    fn render(&mut self, buffer: &mut [u8], frames: u32) {
        let pcm_bytes = frames as usize * self.block_align as usize;
        let silence = self.layout.map_or(0, Layout::silence);
        let judged =
            self.layout.filter(|_| self.unit == RenderUnit::Unknown && frames >= GAP_FRAMES_MIN && watch::is_on());
        match judged {
            Some(layout) => {
                background::fill(&mut buffer[..pcm_bytes], layout);
                self.call(buffer, frames);
                self.learn(buffer, frames, layout);
            }
            None => {
                buffer[..pcm_bytes].fill(silence);
                self.call(buffer, frames);
            }
        }
        if watch::is_on() {
            self.gap = self.gap.after(&buffer[..pcm_bytes], self.block_align as usize, silence);
        }
        if self.gap.buffers >= GAPS_MAX {
            let Gap { frames, sounding, buffers } = core::mem::take(&mut self.gap);
            if self.unit != RenderUnit::Bytes && self.is_counted_in_bytes(frames, sounding) {
                self.count_in_bytes();
            } else {
                let before = format!("{buffers} times in a row sound came in the first {sounding} frames only; ");
                self.short(frames, sounding, &before);
            }
        }
        self.position += i64::from(frames);
    }

    /// Learns from what is left of a buffer's background what the stream does with buffers, and takes the background out.
    fn learn(&mut self, buffer: &mut [u8], frames: u32, layout: Layout) {
        let frame_bytes = self.block_align as usize;
        let pcm = &mut buffer[..frames as usize * frame_bytes];
        let written = match background::judge(pcm, layout) {
            Written::Over { frames } => frames,
            unknown => {
                if unknown == Written::Mixed {
                    // How many of its frames were mixed the sound says alone.
                    self.unit = RenderUnit::Frames;
                }
                if unknown == Written::Unclear {
                    background::clear(pcm, layout);
                } else {
                    background::subtract(pcm, layout);
                }
                return;
            }
        };
        pcm[written as usize * frame_bytes..].fill(layout.silence());
        if written == frames {
            self.unit = RenderUnit::Frames;
            return;
        }
        let alike = (self.left.frames, self.left.written) == (frames, written);
        self.left = Left { frames, written, buffers: if alike { self.left.buffers + 1 } else { 1 } };
        if !background::is_certain(frames - written, self.left.buffers, layout) {
            return;
        }
        if self.is_counted_in_bytes(frames, written) {
            self.count_in_bytes();
            // The client gets the rest of its frames all the same.
            let begun = self.position;
            self.position += i64::from(written);
            self.call(&mut buffer[written as usize * frame_bytes..], frames - written);
            self.position = begun;
        } else {
            self.unit = RenderUnit::Frames;
            self.short(frames, written, "");
        }
    }

    /// Returns whether a stream that has rendered so many of the frames that it was asked for has counted bytes.
    fn is_counted_in_bytes(&self, asked: u32, rendered: u32) -> bool {
        self.block_align > 1 && rendered == asked / self.block_align
    }

    fn count_in_bytes(&mut self) {
        self.unit = RenderUnit::Bytes;
        note(
            rules::RENDER,
            "ISynthSinkDMus::Render",
            "it counts length and position in bytes, as its own page does; the page of IDirectMusicSynth::Render, and \
             the samples, count in samples. This host goes on in bytes",
        );
    }

    /// Calls `Render`, and checks that nothing behind the frames is written to.
    fn call(&self, buffer: &mut [u8], frames: u32) {
        let bytes = frames as usize * self.block_align as usize;
        let mut guard = [0; RENDER_GUARD_BYTES];
        guard.copy_from_slice(&buffer[bytes..][..RENDER_GUARD_BYTES]);
        let unit = if self.unit == RenderUnit::Bytes { self.block_align } else { 1 };
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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn gaps(buffers: impl Iterator<Item = Vec<u8>>) -> u32 {
        buffers
            .fold((Gap::default(), 0), |(gap, most), pcm| {
                let gap = gap.after(&pcm, 2, 0);
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
