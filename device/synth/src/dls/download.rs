//! DirectMusic download buffers (`DMUS_DOWNLOADINFO` and what follows, `dmdls.h`) into instruments and waves.
//!
//! The buffer is a header, a table of byte offsets, and structures that refer to each other by index into that table;
//! index 0 is the first structure, and as a reference it means "none". Nothing in it is trusted.
//!
//! Three of the six types are DirectMusic 8's, for waves that an application plays by themselves: the buffers of a
//! streamed wave, a wave that is played once, and the articulation that binds buffers to a bus. Such voices are started
//! with `IDirectMusicSynth8::PlayVoice`, which user-mode synthesizers have and a kernel-streaming one has not: KS has
//! no property for it, and a port without `DMUS_PC_WAVE` never gets one. What such a synthesizer owes these downloads
//! is what it owes any: to look at every byte, to hold them to the memory that there is, and to give them back. So a
//! streamed or one-shot wave is a wave like any other (`DMUS_WAVEDL` has the same single field as `DMUS_WAVEDATA`,
//! bytes of data, and a region may name it), and a wave articulation must name waves that are there; nothing plays it.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use super::bytes::{i32_at, u16_at, u32_at};
use super::collection::{Connection, Instrument, Patch, Region, Wave};
use super::spec::{KEY_GROUP_MAX, destination as d, source as s, transform};
use super::structures::{
    CONNECTION_BYTES, CONNECTION_LIST_BYTES, LOOP_BYTES, WAVE_SAMPLE_BYTES, WaveFormat, connections, sample_loop,
    wave_link, wave_sample,
};
use crate::handles::{DownloadError, DownloadErrorReason};
use crate::limits::{CONNECTIONS_MAX, DOWNLOAD_CHAIN_MAX, DOWNLOAD_REGIONS_MAX};

/// `DMUS_DOWNLOADINFO.dwDLType`.
mod kind {
    /// `DMUS_DOWNLOADINFO_INSTRUMENT`.
    pub(super) const INSTRUMENT: u32 = 1;
    /// `DMUS_DOWNLOADINFO_WAVE`.
    pub(super) const WAVE: u32 = 2;
    /// `DMUS_DOWNLOADINFO_INSTRUMENT2`.
    pub(super) const INSTRUMENT2: u32 = 3;
    /// `DMUS_DOWNLOADINFO_WAVEARTICULATION`.
    pub(super) const WAVE_ARTICULATION: u32 = 4;
    /// `DMUS_DOWNLOADINFO_STREAMINGWAVE`.
    pub(super) const STREAMING_WAVE: u32 = 5;
    /// `DMUS_DOWNLOADINFO_ONESHOTWAVE`.
    pub(super) const ONE_SHOT_WAVE: u32 = 6;
}

/// Bytes of `DMUS_DOWNLOADINFO`.
const INFO_BYTES: usize = 16;

/// `DMUS_INSTRUMENT.ulFlags`: part of the General MIDI set.
const GM_INSTRUMENT: u32 = 1;

/// The contents of a buffer.
#[derive(Debug)]
pub(crate) enum Download {
    /// An instrument. Its wave links are download ids.
    Instrument {
        /// The instrument.
        instrument: Instrument,
        /// Part of the General MIDI set: it gives way to any other with the same patch.
        general_midi: bool,
        /// For each region, its place in the buffer.
        region_offsets: Vec<u32>,
    },
    /// A wave.
    Wave {
        /// The id by which regions name it.
        id: u32,
        /// The wave.
        wave: Wave,
    },
    /// The articulation of a wave that is streamed, or played once, by a voice of its own.
    WaveArticulation {
        /// The download ids of its buffers, and the place of each in the download.
        buffers: Vec<(u32, u32)>,
    },
}

/// Reads a download buffer.
pub(crate) fn parse(buffer: &[u8]) -> Result<Download, DownloadError> {
    let buffer = Buffer::new(buffer)?;
    match buffer.kind {
        kind::INSTRUMENT | kind::INSTRUMENT2 => buffer.instrument(),
        kind::WAVE | kind::STREAMING_WAVE | kind::ONE_SHOT_WAVE => buffer.wave(),
        kind::WAVE_ARTICULATION => buffer.wave_articulation(),
        _ => Err(fail(DownloadErrorReason::Unsupported, 0)),
    }
}

/// Returns the offset `bytes` further. One that does not fit is beyond every buffer.
const fn past(offset: usize, bytes: usize) -> usize {
    offset.saturating_add(bytes)
}

fn fail(reason: DownloadErrorReason, offset: usize) -> DownloadError {
    DownloadError { reason, offset: offset as u32 }
}

struct Buffer<'a> {
    bytes: &'a [u8],
    kind: u32,
    id: u32,
    entries: usize,
}

impl<'a> Buffer<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, DownloadError> {
        let word = |at| u32_at(bytes, at).ok_or(fail(DownloadErrorReason::Header, at));
        let (kind, id, entries, size) = (word(0)?, word(4)?, word(8)? as usize, word(12)? as usize);
        if size < INFO_BYTES || size > bytes.len() {
            return Err(fail(DownloadErrorReason::Header, 12));
        }
        let table_end = entries.checked_mul(4).and_then(|n| n.checked_add(INFO_BYTES));
        let table_end = table_end.filter(|end| entries > 0 && *end <= size);
        let table_end = table_end.ok_or(fail(DownloadErrorReason::OffsetTable, 8))?;
        if u32_at(bytes, INFO_BYTES) != Some(table_end as u32) {
            return Err(fail(DownloadErrorReason::OffsetTable, INFO_BYTES));
        }
        Ok(Self { bytes: &bytes[..size], kind, id, entries })
    }

    /// Returns the byte offset of a structure, by its index; `referrer` is where the index is.
    fn offset(&self, index: u32, referrer: usize) -> Result<usize, DownloadError> {
        let index = index as usize;
        if index >= self.entries {
            return Err(fail(DownloadErrorReason::Index, referrer));
        }
        let entry = past(INFO_BYTES, index.saturating_mul(4));
        let offset = u32_at(self.bytes, entry).unwrap_or(u32::MAX) as usize;
        if !offset.is_multiple_of(4) || offset < past(INFO_BYTES, self.entries.saturating_mul(4)) {
            return Err(fail(DownloadErrorReason::OffsetTable, entry));
        }
        if offset >= self.bytes.len() {
            return Err(fail(DownloadErrorReason::OutOfBounds, entry));
        }
        Ok(offset)
    }

    fn structure(&self, offset: usize, length: usize) -> Result<&'a [u8], DownloadError> {
        let found = self.bytes.get(offset..).and_then(|rest| rest.get(..length));
        found.ok_or(fail(DownloadErrorReason::OutOfBounds, offset))
    }

    fn word(&self, offset: usize) -> Result<u32, DownloadError> {
        u32_at(self.bytes, offset).ok_or(fail(DownloadErrorReason::OutOfBounds, offset))
    }

    fn wave(&self) -> Result<Download, DownloadError> {
        let at = self.offset(0, 0)?;
        self.structure(at, 28)?;
        let wrong = fail(DownloadErrorReason::WaveFormat, past(at, 12));
        let format = WaveFormat::read(&self.bytes[past(at, 12)..]).filter(WaveFormat::is_playable).ok_or(wrong)?;
        let data = self.offset(self.word(past(at, 8))?, past(at, 8))?;
        let length = self.word(data)? as usize;
        let pcm = self.structure(past(data, 4), length)?;
        let wave = Wave::from_pcm(format.rate, format.bits, pcm, None).ok_or(wrong)?;
        Ok(Download::Wave { id: self.id, wave })
    }

    /// Reads `DMUS_WAVEARTDL`: index of an array of download ids, bus, number of ids, master's download id, options.
    fn wave_articulation(&self) -> Result<Download, DownloadError> {
        let at = self.offset(0, 0)?;
        self.structure(at, 18)?;
        let count = self.word(past(at, 8))? as usize;
        if count == 0 {
            return Err(fail(DownloadErrorReason::WaveArticulation, past(at, 8)));
        }
        let list = self.offset(self.word(at)?, at)?;
        let length = count.checked_mul(4).ok_or(fail(DownloadErrorReason::OutOfBounds, list))?;
        let ids = self.structure(list, length)?.as_chunks::<4>().0;
        let place = |i: usize| past(list, i.saturating_mul(4)) as u32;
        let buffers = ids.iter().enumerate().map(|(i, id)| (u32::from_le_bytes(*id), place(i))).collect();
        Ok(Download::WaveArticulation { buffers })
    }

    fn instrument(&self) -> Result<Download, DownloadError> {
        let at = self.offset(0, 0)?;
        self.structure(at, 24)?;
        let flags = self.word(past(at, 20))?;
        let global = self.articulation(self.word(past(at, 8))?, past(at, 8))?;
        let mut regions = Vec::new();
        let mut region_offsets = Vec::new();
        let (mut index, mut referrer) = (self.word(past(at, 4))?, past(at, 4));
        while index != 0 {
            if regions.len() == DOWNLOAD_REGIONS_MAX.min(self.entries) {
                return Err(fail(DownloadErrorReason::Chain, referrer));
            }
            let region = self.offset(index, referrer)?;
            regions.push(self.region(region)?);
            region_offsets.push(region as u32);
            (index, referrer) = (self.word(past(region, 16))?, past(region, 16));
        }
        let instrument = Instrument {
            name: String::new(),
            patch: Patch::from_directmusic(self.word(at)?),
            regions,
            articulation: global.unwrap_or_default(),
        };
        Ok(Download::Instrument { instrument, general_midi: flags & GM_INSTRUMENT != 0, region_offsets })
    }

    /// Reads `DMUS_REGION`. The loop at its end is there only when the region has one.
    fn region(&self, at: usize) -> Result<Region, DownloadError> {
        let record = self.structure(at, 56)?;
        let bounds = fail(DownloadErrorReason::OutOfBounds, at);
        let half = |offset| u16_at(record, offset).ok_or(bounds);
        let mut sample = wave_sample(&record[36..]).ok_or(bounds)?;
        if u32_at(record, 52).ok_or(bounds)? != 0 {
            // The loop begins at WSMPL.cbSize, and at least at the structure's own size.
            let size = (u32_at(record, 36).ok_or(bounds)? as usize).max(WAVE_SAMPLE_BYTES);
            let found = at.checked_add(36).and_then(|start| start.checked_add(size)).ok_or(bounds)?;
            sample.sample_loop = sample_loop(self.structure(found, LOOP_BYTES)?);
        }
        Ok(Region {
            keys: (half(0)?, half(2)?),
            velocities: (half(4)?, half(6)?),
            options: half(8)?,
            key_group: Some(half(10)?).filter(|group| *group <= KEY_GROUP_MAX).unwrap_or(0),
            sample: Some(sample),
            link: wave_link(&record[24..]).ok_or(bounds)?,
            articulation: self.articulation(self.word(past(at, 12))?, past(at, 12))?,
            sound_font: None,
        })
    }

    /// Reads the articulation chain that begins at an index. `None`: there is no articulation.
    fn articulation(&self, index: u32, referrer: usize) -> Result<Option<Vec<Connection>>, DownloadError> {
        if index == 0 {
            return Ok(None);
        }
        if self.kind == kind::INSTRUMENT {
            let at = self.offset(index, referrer)?;
            let parameters = self.offset(self.word(at)?, at)?;
            return Ok(Some(articulation_parameters(self.structure(parameters, 80)?)));
        }
        let mut found = Vec::new();
        let (mut index, mut referrer, mut links) = (index, referrer, 0);
        while index != 0 {
            if links == DOWNLOAD_CHAIN_MAX.min(self.entries) {
                return Err(fail(DownloadErrorReason::Chain, referrer));
            }
            links = past(links, 1);
            let at = self.offset(index, referrer)?;
            self.structure(at, 12)?;
            let list_index = self.word(at)?;
            if list_index != 0 {
                let list = self.offset(list_index, at)?;
                let count = self.word(past(list, 4))? as usize;
                let first = (self.word(list)? as usize).max(CONNECTION_LIST_BYTES);
                let length = count.checked_mul(CONNECTION_BYTES).and_then(|n| n.checked_add(first));
                let length = length.ok_or(fail(DownloadErrorReason::OutOfBounds, list))?;
                found.extend(connections(&self.structure(list, length)?[first..]).take(CONNECTIONS_MAX));
                found.truncate(CONNECTIONS_MAX);
            }
            (index, referrer) = (self.word(past(at, 8))?, past(at, 8));
        }
        Ok(Some(found))
    }
}

/// `DMUS_ARTICPARAMS`: level 1's articulation as twenty numbers, in this order.
const PARAMETERS: [(u16, u16, u16); 19] = [
    (s::NONE, s::NONE, d::LFO_FREQUENCY),
    (s::NONE, s::NONE, d::LFO_DELAY),
    (s::LFO, s::NONE, d::GAIN),
    (s::LFO, s::NONE, d::PITCH),
    (s::LFO, s::CC1, d::GAIN),
    (s::LFO, s::CC1, d::PITCH),
    (s::NONE, s::NONE, d::EG1_ATTACK),
    (s::NONE, s::NONE, d::EG1_DECAY),
    (s::NONE, s::NONE, d::EG1_SUSTAIN),
    (s::NONE, s::NONE, d::EG1_RELEASE),
    (s::VELOCITY, s::NONE, d::EG1_ATTACK),
    (s::KEY_NUMBER, s::NONE, d::EG1_DECAY),
    (s::NONE, s::NONE, d::EG2_ATTACK),
    (s::NONE, s::NONE, d::EG2_DECAY),
    (s::NONE, s::NONE, d::EG2_SUSTAIN),
    (s::NONE, s::NONE, d::EG2_RELEASE),
    (s::VELOCITY, s::NONE, d::EG2_ATTACK),
    (s::KEY_NUMBER, s::NONE, d::EG2_DECAY),
    (s::EG2, s::NONE, d::PITCH),
];

fn articulation_parameters(record: &[u8]) -> Vec<Connection> {
    let scale = |index: usize| i32_at(record, index.saturating_mul(4)).unwrap_or(0);
    let with = |(source, control, destination): (u16, u16, u16), scale| Connection {
        source,
        control,
        destination,
        transform: transform::LINEAR,
        scale,
    };
    let mut connections: Vec<_> = PARAMETERS.iter().enumerate().map(|(i, row)| with(*row, scale(i))).collect();
    connections.push(with((s::NONE, s::NONE, d::PAN), scale(PARAMETERS.len())));
    connections
}
