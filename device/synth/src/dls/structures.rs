//! The structures that files and download buffers share, field by field.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::bytes::{i16_at, i32_at, u16_at, u32_at};
use super::collection::{Connection, SampleLoop, WaveLink, WaveSample};
use super::spec::{FORMAT_EXTENSIBLE, FORMAT_PCM, LOOP_FORWARD, LOOP_RELEASE, SUBTYPE_TAIL};
use crate::limits::WAVE_RATE_MAX;

/// Bytes of `wsmp` before its loops.
pub(crate) const WAVE_SAMPLE_BYTES: usize = 20;

/// Bytes of `WLOOP`.
pub(crate) const LOOP_BYTES: usize = 16;

/// Bytes of `wlnk`.
pub(crate) const WAVE_LINK_BYTES: usize = 12;

/// Bytes of `CONNECTIONLIST`.
pub(crate) const CONNECTION_LIST_BYTES: usize = 8;

/// Bytes of a connection block.
pub(crate) const CONNECTION_BYTES: usize = 12;

/// Bytes of `WAVEFORMATEX` without its size field.
pub(crate) const FORMAT_BYTES: usize = 16;

/// The fields of a `WAVEFORMATEX` or `WAVEFORMATEXTENSIBLE`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaveFormat {
    /// The format, of the sub-format where there is one.
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) rate: u32,
    pub(crate) bits: u16,
}

impl WaveFormat {
    /// Reads the structure. `None`: it is cut short.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let tag = match u16_at(bytes, 0)? {
            // KSDATAFORMAT_SUBTYPE_*: the format tag, and a tail that all of them share.
            FORMAT_EXTENSIBLE if bytes.get(26..40) == Some(SUBTYPE_TAIL) => u16_at(bytes, 24)?,
            tag => tag,
        };
        Some(Self { tag, channels: u16_at(bytes, 2)?, rate: u32_at(bytes, 4)?, bits: u16_at(bytes, 14)? })
    }

    /// Returns whether it is a format of DLS: mono PCM of 8 or 16 bits, at a plausible rate.
    pub(crate) fn is_playable(&self) -> bool {
        self.tag == FORMAT_PCM
            && self.channels == 1
            && (1..=WAVE_RATE_MAX).contains(&self.rate)
            && matches!(self.bits, 8 | 16)
    }
}

/// Reads `wsmp` without its loop.
pub(crate) fn wave_sample(chunk: &[u8]) -> Option<WaveSample> {
    Some(WaveSample {
        unity_note: u16_at(chunk, 4)?,
        fine_tune: i16_at(chunk, 6)?,
        gain: i32_at(chunk, 8)?,
        options: u32_at(chunk, 12)?,
        sample_loop: None,
    })
}

/// Reads `WLOOP`. `None`: it is empty or cut short. An unknown type is read as a forward loop.
pub(crate) fn sample_loop(record: &[u8]) -> Option<SampleLoop> {
    let kind = u32_at(record, 4)?;
    let (start, length) = (u32_at(record, 8)?, u32_at(record, 12)?);
    let until_release = kind != LOOP_FORWARD && LOOP_RELEASE.contains(&kind);
    (length > 0).then_some(SampleLoop { until_release, start, length })
}

/// Reads `wlnk`.
pub(crate) fn wave_link(chunk: &[u8]) -> Option<WaveLink> {
    Some(WaveLink {
        options: u16_at(chunk, 0)?,
        phase_group: u16_at(chunk, 2)?,
        channels: u32_at(chunk, 4)?,
        index: u32_at(chunk, 8)?,
    })
}

/// Reads connection blocks, one after the other, and leaves an incomplete one at the end out.
pub(crate) fn connections(records: &[u8]) -> impl Iterator<Item = Connection> + '_ {
    records.as_chunks::<CONNECTION_BYTES>().0.iter().map(|record| {
        let half = |at: usize| u16::from_le_bytes([record[at], record[at.saturating_add(1)]]);
        Connection {
            source: half(0),
            control: half(2),
            destination: half(4),
            transform: half(6),
            scale: i32::from_le_bytes([record[8], record[9], record[10], record[11]]),
        }
    })
}
