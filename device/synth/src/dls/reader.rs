//! RIFF DLS files, level 1 and 2, into a [`Collection`].
//!
//! Shipped files have wrong counts, junk after their end and chunks that nobody knows; all of that is passed over. What
//! cannot be understood (a region without a header, a wave that is not mono PCM) is left out, and the rest is kept.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use super::bytes::{i16_at, i32_at, u16_at, u32_at};
use super::collection::{Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use super::condition::holds;
use super::riff::{Chunk, chunks, file, find, find_list};
use super::spec::{FORMAT_EXTENSIBLE, FORMAT_PCM, LOOP_FORWARD, LOOP_RELEASE};
use crate::limits::{CONNECTIONS_MAX, INSTRUMENTS_MAX, REGIONS_MAX, TEXT_BYTES_MAX, WAVE_RATE_MAX, WAVES_MAX};

/// Why a file is no instrument collection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BankError {
    /// The first bytes are not those of a DLS file.
    #[error("neither a DLS file nor a SoundFont: it must begin with a RIFF header of form type \"DLS \" or \"sfbk\"")]
    NotDls,
    /// The file's own conditional chunk says that it is not for this synthesizer.
    #[error("the file's conditional chunk says that it is not for this synthesizer")]
    NotForThisDevice,
    /// A SoundFont that cannot be read.
    #[error("the SoundFont cannot be read: {0}")]
    SoundFont(String),
    /// There is no list of instruments, or none in it can be played.
    #[error("the file has no instrument that can be played")]
    NoInstruments,
    /// The file has more of something than the synthesizer takes.
    #[error("the file has more {what} than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl Collection {
    /// Reads a DLS file.
    ///
    /// # Errors
    /// [`BankError`], when the file is not one or is beyond repair.
    pub fn from_dls(bytes: &[u8]) -> Result<Self, BankError> {
        let content = file(bytes, b"DLS ").ok_or(BankError::NotDls)?;
        if !applies(content) {
            return Err(BankError::NotForThisDevice);
        }
        let waves = wave_pool(content)?;
        let mut instruments = Vec::new();
        let mut regions = 0;
        for list in find_list(content, b"lins").into_iter().flat_map(chunks).filter_map(|c| c.list_of(b"ins ")) {
            let Some(instrument) = instrument(list, &waves) else { continue };
            regions += instrument.regions.len();
            instruments.push(instrument);
            limit("instruments", instruments.len(), INSTRUMENTS_MAX)?;
            limit("regions", regions, REGIONS_MAX)?;
        }
        if instruments.is_empty() {
            return Err(BankError::NoInstruments);
        }
        Ok(Self { name: text(content, b"INAM"), copyright: text(content, b"ICOP"), instruments, waves })
    }
}

fn limit(what: &'static str, count: usize, limit: usize) -> Result<(), BankError> {
    if count > limit { Err(BankError::TooMany { what, limit }) } else { Ok(()) }
}

/// Whether the list's conditional chunk, wherever it stands among its children, lets it count.
fn applies(list: &[u8]) -> bool {
    find(list, b"cdl ").is_none_or(holds)
}

fn text(list: &[u8], id: &[u8; 4]) -> String {
    let bytes = find_list(list, b"INFO").and_then(|info| find(info, id)).unwrap_or_default();
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()).min(TEXT_BYTES_MAX);
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

/// The waves in the order of the pool table, or of the pool itself when there is no table.
fn wave_pool(content: &[u8]) -> Result<Vec<Option<Arc<Wave>>>, BankError> {
    let pool = find_list(content, b"wvpl").unwrap_or_default();
    let mut by_offset = HashMap::new();
    let mut in_order = Vec::new();
    for chunk in chunks(pool) {
        let Some(list) = chunk.list_of(b"wave") else { continue };
        let parsed = wave(list).map(Arc::new);
        by_offset.insert(chunk.offset as u32, parsed.clone());
        in_order.push(parsed);
        limit("waves", in_order.len(), WAVES_MAX)?;
    }
    let Some(table) = find(content, b"ptbl") else { return Ok(in_order) };
    let first = u32_at(table, 0).unwrap_or(8).max(8) as usize;
    let count = u32_at(table, 4).unwrap_or(0) as usize;
    let cues = table.get(first..).unwrap_or_default().as_chunks::<4>().0;
    let count = count.min(cues.len());
    limit("cues", count, WAVES_MAX)?;
    Ok(cues[..count].iter().map(|cue| by_offset.get(&u32::from_le_bytes(*cue)).cloned().flatten()).collect())
}

fn wave(list: &[u8]) -> Option<Wave> {
    if !applies(list) {
        return None;
    }
    let format = find(list, b"fmt ")?;
    let (sample_rate, bits) = pcm_format(format)?;
    let sample = find(list, b"wsmp").and_then(wave_sample);
    let mut wave = Wave::from_pcm(sample_rate, bits, find(list, b"data")?, sample)?;
    wave.name = text(list, b"INAM");
    Some(wave)
}

/// The rate and width of a `WAVEFORMATEX` that says mono PCM.
pub(crate) fn pcm_format(format: &[u8]) -> Option<(u32, u16)> {
    let tag = match u16_at(format, 0)? {
        // The sub-format of WAVEFORMATEXTENSIBLE begins with the tag that it stands for.
        FORMAT_EXTENSIBLE => u16_at(format, 24)?,
        tag => tag,
    };
    let (channels, rate, bits) = (u16_at(format, 2)?, u32_at(format, 4)?, u16_at(format, 14)?);
    let playable = tag == FORMAT_PCM && channels == 1 && (1..=WAVE_RATE_MAX).contains(&rate) && matches!(bits, 8 | 16);
    playable.then_some((rate, bits))
}

/// `wsmp`, in files and in download buffers.
pub(crate) fn wave_sample(chunk: &[u8]) -> Option<WaveSample> {
    let size = u32_at(chunk, 0)?.max(20) as usize;
    let sample_loop = match u32_at(chunk, 16)? {
        0 => None,
        // Level 1 and 2 know at most one loop; of more, the first counts.
        _ => chunk.get(size..).and_then(sample_loop),
    };
    Some(WaveSample {
        unity_note: u16_at(chunk, 4)?,
        fine_tune: i16_at(chunk, 6)?,
        gain: i32_at(chunk, 8)?,
        options: u32_at(chunk, 12)?,
        sample_loop,
    })
}

/// `WLOOP`. A type that nobody knows is taken for a forward loop.
pub(crate) fn sample_loop(record: &[u8]) -> Option<SampleLoop> {
    let kind = u32_at(record, 4)?;
    let (start, length) = (u32_at(record, 8)?, u32_at(record, 12)?);
    let until_release = kind != LOOP_FORWARD && LOOP_RELEASE.contains(&kind);
    (length > 0).then_some(SampleLoop { until_release, start, length })
}

fn instrument(list: &[u8], waves: &[Option<Arc<Wave>>]) -> Option<Instrument> {
    if !applies(list) {
        return None;
    }
    let header = find(list, b"insh")?;
    let patch = Patch::from_header(u32_at(header, 4)?, u32_at(header, 8)?);
    let playable = |r: &Region| waves.get(r.link.index as usize).is_some_and(Option::is_some);
    let regions: Vec<Region> =
        find_list(list, b"lrgn").into_iter().flat_map(chunks).filter_map(region).filter(playable).collect();
    Some(Instrument { name: text(list, b"INAM"), patch, regions, articulation: articulation(list).unwrap_or_default() })
}

fn region(chunk: Chunk<'_>) -> Option<Region> {
    let list = chunk.list_of(b"rgn ").or_else(|| chunk.list_of(b"rgn2"))?;
    if !applies(list) {
        return None;
    }
    let (header, link) = (find(list, b"rgnh")?, find(list, b"wlnk")?);
    Some(Region {
        keys: (u16_at(header, 0)?, u16_at(header, 2)?),
        velocities: (u16_at(header, 4)?, u16_at(header, 6)?),
        options: u16_at(header, 8)?,
        key_group: u16_at(header, 10)?,
        sample: find(list, b"wsmp").and_then(wave_sample),
        link: wave_link(link)?,
        articulation: articulation(list),
    })
}

/// `wlnk`, in files and in download buffers.
pub(crate) fn wave_link(chunk: &[u8]) -> Option<WaveLink> {
    Some(WaveLink {
        options: u16_at(chunk, 0)?,
        phase_group: u16_at(chunk, 2)?,
        channels: u32_at(chunk, 4)?,
        index: u32_at(chunk, 8)?,
    })
}

/// The connections of all `lart` and `lar2` lists; `None` when there is no such list. Level 2 treats both alike.
fn articulation(list: &[u8]) -> Option<Vec<Connection>> {
    let mut found = None;
    for inner in chunks(list).filter_map(|c| c.list_of(b"lart").or_else(|| c.list_of(b"lar2"))) {
        if !applies(inner) {
            continue;
        }
        let connections: &mut Vec<Connection> = found.get_or_insert_default();
        for chunk in chunks(inner).filter(|c| &c.id == b"art1" || &c.id == b"art2") {
            connections.extend(connection_list(chunk.data));
            connections.truncate(CONNECTIONS_MAX);
        }
    }
    found
}

/// `CONNECTIONLIST` and its connections, in files and in download buffers.
pub(crate) fn connection_list(chunk: &[u8]) -> impl Iterator<Item = Connection> + '_ {
    let first = u32_at(chunk, 0).unwrap_or(8).max(8) as usize;
    let count = u32_at(chunk, 4).unwrap_or(0) as usize;
    let records = chunk.get(first..).unwrap_or_default().as_chunks::<12>().0;
    records.iter().take(count).map(|record| {
        let half = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        Connection {
            source: half(0),
            control: half(2),
            destination: half(4),
            transform: half(6),
            scale: i32::from_le_bytes([record[8], record[9], record[10], record[11]]),
        }
    })
}
