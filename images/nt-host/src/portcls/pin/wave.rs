//! A wave pin: the sample clock is anchored, and frames are rendered.

#![allow(unsafe_code, reason = "synth sinks are called by slot number")]

use alloc::format;

use super::{Pin, RENDER_GUARD_BYTES};
use crate::contract::violation::{Violation, violation};
use crate::contract::{rules, watch};
use crate::nt::NTSTATUS;
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_NOT_IMPLEMENTED, STATUS_NOT_SUPPORTED, success};
use crate::portcls::com::slots::{self, Foreign};

/// What the last frame is filled with before `Render`: if it is not written, that is noticed. No silence, and no sample
/// that a synthesizer gives by chance in a whole frame.
const FRAME_POISON: u8 = 0xA9;

/// What a wave pin renders with.
pub(super) struct Wave {
    pub(super) sink: Foreign,
    pub(super) block_align: u32,
    pub(super) sample_rate: u32,
    pub(super) position: i64,
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
            )
        }
        if !success(status) {
            return Err(status);
        }
        wave.check_conversions();
        Ok(())
    }

    /// Renders the next frames to the beginning of a buffer, which is [`RENDER_GUARD_BYTES`] longer than they are.
    ///
    /// # Panics
    /// When it is not.
    pub(crate) fn render(&mut self, buffer: &mut [u8], frames: u32) {
        let Some(wave) = &mut self.wave else { return };
        let (frame_bytes, position) = (wave.block_align as usize, wave.position);
        let (pcm, behind) = buffer.split_at_mut(frames as usize * frame_bytes);
        let last = pcm.len().saturating_sub(frame_bytes);
        pcm[last..].fill(FRAME_POISON);
        let mut guard = [0; RENDER_GUARD_BYTES];
        guard.copy_from_slice(&behind[..RENDER_GUARD_BYTES]);
        // SAFETY: the pin holds the sink; the buffer is as long as the frames take.
        unsafe { slots::synth_sink::render(wave.sink.as_raw(), buffer.as_mut_ptr(), frames, position) };
        let (pcm, behind) = buffer.split_at(frames as usize * frame_bytes);
        let past = behind[..RENDER_GUARD_BYTES] != guard;
        let short = !pcm.is_empty() && pcm[last..].iter().all(|&byte| byte == FRAME_POISON);
        if past || short {
            violation(
                "ISynthSinkDMus::Render",
                Violation::new(
                    rules::RENDER,
                    format!(
                        "{frames} frames of {frame_bytes} bytes were asked for at frame {position}, and {}",
                        if past { "bytes behind them were written" } else { "the last one was not written" }
                    ),
                    "length and position are frames: write length times the frame size, no more and no less",
                ),
            );
        } else {
            rules::RENDER.held();
        }
        wave.position += i64::from(frames);
    }
}

impl Wave {
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
