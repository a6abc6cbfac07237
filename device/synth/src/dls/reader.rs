//! RIFF DLS files, level 1 and 2, into a [`Collection`].
//!
//! What the specification requires readers to pass over (unknown chunks, structures that have grown, reserved
//! destinations, lists for other devices) is passed over, and what shipped files get wrong without harm (sizes, counts,
//! padding, junk after the end) is repaired; each such place leaves a [`Warning`](super::Warning). Whatever else is
//! wrong refuses the whole file: a bank that plays has everything that it says.

use std::collections::HashMap;
use std::sync::Arc;

use super::bytes::{u16_at, u32_at};
use super::chunk_path::ChunkPath;
use super::collection::{Collection, Connection, Instrument, Patch, Region, Wave, WaveSample};
use super::condition::holds;
use super::error::{BankError, Rule};
use super::names::is_known_connection;
use super::riff::{Chunk, Known, file, single, text};
use super::spec::{KEY_GROUP_MAX, LOOP_FORWARD, LOOP_RELEASE, NULL_CUE, RESERVED_DESTINATIONS};
use super::structures::{
    CONNECTION_BYTES, CONNECTION_LIST_BYTES, FORMAT_BYTES, LOOP_BYTES, WAVE_LINK_BYTES, WAVE_SAMPLE_BYTES, WaveFormat,
    connections, sample_loop, wave_link, wave_sample,
};
use super::warning::{PassedOver, Warnings};
use crate::limits::{CONNECTIONS_MAX, INSTRUMENTS_MAX, REGIONS_MAX, WAVES_MAX};

/// A collection, and what was passed over on the way to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// The collection.
    pub collection: Collection,
    /// The warnings about parts that were passed over.
    pub warnings: Warnings,
    /// The warnings about what a SoundFont has and DLS has not: it plays, and is lost where the collection is written as
    /// DLS ([`Collection::to_dls`]).
    pub lost_in_dls: Warnings,
}

const TOP: Known =
    Known { chunks: &[b"cdl ", b"vers", b"dlid", b"colh", b"ptbl", b"msyn"], lists: &[b"lins", b"wvpl", b"INFO"] };
const INSTRUMENTS: Known = Known { chunks: &[], lists: &[b"ins "] };
const INSTRUMENT: Known = Known { chunks: &[b"cdl ", b"dlid", b"insh"], lists: &[b"lrgn", b"lart", b"lar2", b"INFO"] };
const REGIONS: Known = Known { chunks: &[], lists: &[b"rgn ", b"rgn2"] };
const REGION: Known = Known { chunks: &[b"cdl ", b"rgnh", b"wsmp", b"wlnk"], lists: &[b"lart", b"lar2", b"INFO"] };
const ARTICULATION: Known = Known { chunks: &[b"cdl ", b"art1", b"art2"], lists: &[] };
const WAVES: Known = Known { chunks: &[], lists: &[b"wave"] };
// `fact`, `smpl` and `inst` are chunks of sound files, which a wave list is made of; they have no effect here.
const WAVE: Known = Known {
    chunks: &[b"cdl ", b"dlid", b"guid", b"fmt ", b"data", b"wsmp", b"fact", b"smpl", b"inst"],
    lists: &[b"INFO"],
};

/// Reads a DLS file.
pub(crate) fn read(bytes: &[u8]) -> Result<Loaded, BankError> {
    let path = ChunkPath::root(*b"DLS ");
    let mut warnings = Warnings::default();
    let Some(scope) = file(bytes, b"DLS ", b"lins", &mut warnings) else {
        return Err(BankError { chunk: "RIFF".to_owned(), offset: 0, rule: Rule::Form });
    };
    let top = scope.chunks(&TOP, &path, &mut warnings)?;
    let mut reader = Reader { warnings, waves: Vec::new(), regions: 0 };
    refuse(&top, &path)?;
    let pool = reader.pool(&top, &path)?;
    reader.waves = reader.cues(&top, &path, &pool)?;
    let instruments = reader.instruments(&top, &path)?;
    let info = single(&top, b"INFO", &path, &mut reader.warnings);
    let collection =
        Collection { name: text(info, b"INAM"), copyright: text(info, b"ICOP"), instruments, waves: reader.waves };
    Ok(Loaded { collection, warnings: reader.warnings, lost_in_dls: Warnings::default() })
}

/// Checks whether the file as a whole is for another device: a conditional chunk counts at any place in its list.
fn refuse(top: &[Chunk<'_>], path: &ChunkPath<'_>) -> Result<(), BankError> {
    let refuses = |chunk: &&Chunk<'_>| &chunk.id == b"cdl " && holds(chunk.data) != Some(true);
    match top.iter().find(refuses) {
        Some(chunk) => Err(BankError::at(&path.to(chunk.id, chunk.offset), Rule::NotForThisDevice)),
        None => Ok(()),
    }
}

fn limit(path: &ChunkPath<'_>, what: &'static str, count: usize, limit: usize) -> Result<(), BankError> {
    if count > limit { Err(BankError::at(path, Rule::TooMany { what, limit })) } else { Ok(()) }
}

/// Returns the data of a required chunk, which has at least so many bytes.
fn required<'a>(
    found: Option<Chunk<'a>>,
    name: &'static str,
    needed: usize,
    path: &ChunkPath<'_>,
) -> Result<Chunk<'a>, BankError> {
    let Some(chunk) = found else { return Err(BankError::at(path, Rule::Missing(name))) };
    if chunk.data.len() < needed {
        let rule = Rule::Short { found: chunk.data.len(), needed };
        return Err(BankError::at(&path.to(chunk.id, chunk.offset), rule));
    }
    Ok(chunk)
}

/// Reads a number of a chunk whose length has been checked.
fn word(data: &[u8], at: usize) -> u32 {
    u32_at(data, at).unwrap_or(0)
}

fn half(data: &[u8], at: usize) -> u16 {
    u16_at(data, at).unwrap_or(0)
}

/// The waves of the pool by their offset in it; `None` for one that is for another device.
type Pool = HashMap<u32, Option<Arc<Wave>>>;

struct Reader {
    warnings: Warnings,
    waves: Vec<Option<Arc<Wave>>>,
    regions: usize,
}

impl Reader {
    /// Returns whether the list's conditional chunk is true, and warns when it is not.
    fn applies(&mut self, children: &[Chunk<'_>], path: &ChunkPath<'_>) -> bool {
        for chunk in children.iter().filter(|chunk| &chunk.id == b"cdl ") {
            let what = match holds(chunk.data) {
                Some(true) => continue,
                Some(false) => PassedOver::ConditionFalse,
                None => PassedOver::ConditionUnreadable,
            };
            self.warnings.at(&path.to(chunk.id, chunk.offset), what);
            return false;
        }
        true
    }

    fn single<'a>(&mut self, children: &[Chunk<'a>], id: &[u8; 4], path: &ChunkPath<'_>) -> Option<Chunk<'a>> {
        single(children, id, path, &mut self.warnings)
    }

    /// Returns where the content of a structure with a size of its own ends: at that size, and at least at its
    /// definition.
    fn grown(&mut self, chunk: &Chunk<'_>, at: usize, known: usize, path: &ChunkPath<'_>) -> usize {
        let declared = word(chunk.data, at);
        if (declared as usize) < known {
            self.warnings.in_data(path, at, PassedOver::Shrunk { known, found: declared });
        } else if declared as usize > known {
            self.warnings.in_data(path, at, PassedOver::Grown { known, found: declared.into() });
        }
        (declared as usize).max(known)
    }

    fn pool(&mut self, top: &[Chunk<'_>], path: &ChunkPath<'_>) -> Result<Pool, BankError> {
        let mut pool = Pool::new();
        let Some(list) = self.single(top, b"wvpl", path) else {
            return Err(BankError::at(path, Rule::Missing("LIST wvpl")));
        };
        let path = path.to(list.id, list.offset);
        let scope = list.children();
        let waves = scope.chunks(&WAVES, &path, &mut self.warnings)?;
        limit(&path, "waves", waves.len(), WAVES_MAX)?;
        for (index, chunk) in waves.iter().enumerate() {
            let wave = self.wave(chunk, &path.nth(chunk.id, index, chunk.offset))?;
            pool.insert((chunk.offset - scope.start) as u32, wave.map(Arc::new));
        }
        Ok(pool)
    }

    /// Returns the waves in the order of the pool table.
    fn cues(
        &mut self,
        top: &[Chunk<'_>],
        path: &ChunkPath<'_>,
        pool: &Pool,
    ) -> Result<Vec<Option<Arc<Wave>>>, BankError> {
        let table = self.single(top, b"ptbl", path);
        let table = required(table, "ptbl", 8, path)?;
        let path = path.to(table.id, table.offset);
        let first = self.grown(&table, 0, 8, &path);
        let count = word(table.data, 4);
        let records = table.data.get(first..).unwrap_or_default().as_chunks::<4>().0;
        if count as usize > records.len() {
            let rule = Rule::Count { what: "cues", count: count.into(), room: records.len() as u64 };
            return Err(BankError::in_data(&path, 4, rule));
        }
        limit(&path, "cues", count as usize, WAVES_MAX)?;
        if (count as usize) < records.len() {
            let what = PassedOver::Count { what: "cues", declared: count, found: records.len() };
            self.warnings.in_data(&path, 4, what);
        }
        let wave_of = |(cue, record): (usize, &[u8; 4])| match u32::from_le_bytes(*record) {
            NULL_CUE => Ok(None),
            offset => {
                let wave = pool.get(&offset).cloned();
                wave.ok_or_else(|| BankError::in_data(&path, first + 4 * cue, Rule::Cue { cue, offset }))
            }
        };
        records[..count as usize].iter().enumerate().map(wave_of).collect()
    }

    fn wave(&mut self, chunk: &Chunk<'_>, path: &ChunkPath<'_>) -> Result<Option<Wave>, BankError> {
        let children = chunk.children().chunks(&WAVE, path, &mut self.warnings)?;
        if !self.applies(&children, path) {
            return Ok(None);
        }
        let format = self.single(&children, b"fmt ", path);
        let format = required(format, "fmt ", FORMAT_BYTES, path)?;
        let data = self.single(&children, b"data", path);
        let data = required(data, "data", 0, path)?;
        let here = path.to(format.id, format.offset);
        let Some(found) = WaveFormat::read(format.data) else {
            let rule = Rule::Short { found: format.data.len(), needed: FORMAT_BYTES };
            return Err(BankError::at(&here, rule));
        };
        let WaveFormat { tag, channels, bits, rate } = found;
        let wrong = || BankError::in_data(&here, 0, Rule::WaveFormat { tag, channels, bits, rate });
        if !found.is_playable() {
            return Err(wrong());
        }
        if bits == 16 && data.data.len() % 2 == 1 {
            let here = path.to(data.id, data.offset);
            self.warnings.in_data(&here, data.data.len() - 1, PassedOver::HalfSample);
        }
        let samples = data.data.len() / usize::from(bits / 8);
        let sample = match self.single(&children, b"wsmp", path) {
            Some(chunk) => Some(self.wave_sample(&chunk, path, Some(samples))?),
            None => None,
        };
        let mut wave = Wave::from_pcm(rate, bits, data.data, sample).ok_or_else(wrong)?;
        wave.name = text(single(&children, b"INFO", path, &mut self.warnings), b"INAM");
        Ok(Some(wave))
    }

    /// Reads `wsmp`, of a wave with so many samples where that is known.
    fn wave_sample(
        &mut self,
        chunk: &Chunk<'_>,
        path: &ChunkPath<'_>,
        samples: Option<usize>,
    ) -> Result<WaveSample, BankError> {
        let chunk = required(Some(*chunk), "wsmp", WAVE_SAMPLE_BYTES, path)?;
        let path = path.to(chunk.id, chunk.offset);
        let first = self.grown(&chunk, 0, WAVE_SAMPLE_BYTES, &path);
        let mut sample = wave_sample(chunk.data).unwrap_or_default();
        let count = word(chunk.data, 16);
        let record = chunk.data.get(first..).unwrap_or_default();
        if count > 0 {
            if record.len() < LOOP_BYTES {
                let rule = Rule::Count { what: "loops", count: count.into(), room: 0 };
                return Err(BankError::in_data(&path, 16, rule));
            }
            if count > 1 {
                // Levels 1 and 2 have at most one loop.
                self.warnings.in_data(&path, 16, PassedOver::Loops(count));
            }
            self.grown(&chunk, first, LOOP_BYTES, &path);
            let kind = word(record, 4);
            if kind != LOOP_FORWARD && !LOOP_RELEASE.contains(&kind) {
                self.warnings.in_data(&path, first + 4, PassedOver::LoopType(kind));
            }
            sample.sample_loop = sample_loop(record);
            let (start, length) = (word(record, 8), word(record, 12));
            if let Some(samples) = samples {
                self.check_loop(start, length, samples, first, &path);
            }
        }
        Ok(sample)
    }

    fn check_loop(&mut self, start: u32, length: u32, samples: usize, at: usize, path: &ChunkPath<'_>) {
        if length == 0 || u64::from(start) + u64::from(length) > samples as u64 {
            self.warnings.in_data(path, at + 8, PassedOver::Loop { start, length, samples });
        }
    }

    fn instruments(&mut self, top: &[Chunk<'_>], path: &ChunkPath<'_>) -> Result<Vec<Instrument>, BankError> {
        let Some(list) = self.single(top, b"lins", path) else {
            return Err(BankError::at(path, Rule::Missing("LIST lins")));
        };
        let header = self.single(top, b"colh", path);
        let header = required(header, "colh", 4, path)?;
        let here = path.to(list.id, list.offset);
        let lists = list.children().chunks(&INSTRUMENTS, &here, &mut self.warnings)?;
        let declared = word(header.data, 0);
        if declared as usize != lists.len() {
            let what = PassedOver::Count { what: "instruments", declared, found: lists.len() };
            self.warnings.in_data(&path.to(header.id, header.offset), 0, what);
        }
        limit(&here, "instruments", lists.len(), INSTRUMENTS_MAX)?;
        let mut instruments: Vec<Instrument> = Vec::new();
        let mut places: HashMap<Patch, (usize, usize)> = HashMap::new();
        for (index, chunk) in lists.iter().enumerate() {
            let Some(instrument) = self.instrument(chunk, &here.nth(chunk.id, index, chunk.offset))? else { continue };
            if let Some((first, before)) = places.insert(instrument.patch, (instruments.len(), index)) {
                let (name, last) = (instruments[first].name.clone(), instrument.name.clone());
                let what = PassedOver::SecondInstrument { name, last };
                let place = here.nth(chunk.id, before, lists[before].offset);
                self.warnings.at(&place, what);
            }
            instruments.push(instrument);
        }
        if instruments.is_empty() {
            return Err(BankError::at(&here, Rule::NoInstruments));
        }
        Ok(instruments)
    }

    fn instrument(&mut self, chunk: &Chunk<'_>, path: &ChunkPath<'_>) -> Result<Option<Instrument>, BankError> {
        let children = chunk.children().chunks(&INSTRUMENT, path, &mut self.warnings)?;
        if !self.applies(&children, path) {
            return Ok(None);
        }
        let header = self.single(&children, b"insh", path);
        let header = required(header, "insh", 12, path)?;
        let Some(list) = self.single(&children, b"lrgn", path) else {
            return Err(BankError::at(path, Rule::Missing("LIST lrgn")));
        };
        let here = path.to(list.id, list.offset);
        let lists = list.children().chunks(&REGIONS, &here, &mut self.warnings)?;
        let declared = word(header.data, 0);
        if declared as usize != lists.len() {
            let what = PassedOver::Count { what: "regions", declared, found: lists.len() };
            self.warnings.in_data(&path.to(header.id, header.offset), 0, what);
        }
        self.regions += lists.len();
        limit(&here, "regions", self.regions, REGIONS_MAX)?;
        let mut regions = Vec::new();
        for (index, chunk) in lists.iter().enumerate() {
            regions.extend(self.region(chunk, &here.nth(chunk.id, index, chunk.offset))?);
        }
        let articulation = self.articulation(&children, path)?.unwrap_or_default();
        let name = text(self.single(&children, b"INFO", path), b"INAM");
        let (bank, program) = (word(header.data, 4), word(header.data, 8));
        let patch = Patch::from_header(bank, program);
        if patch.to_header() != (bank, program) {
            self.warnings.in_data(&path.to(header.id, header.offset), 4, PassedOver::ReservedPatch { bank, program });
        }
        // A program is never taken for another one.
        if program != u32::from(patch.program) {
            return Ok(None);
        }
        Ok(Some(Instrument { name, patch, regions, articulation }))
    }

    fn region(&mut self, chunk: &Chunk<'_>, path: &ChunkPath<'_>) -> Result<Option<Region>, BankError> {
        let children = chunk.children().chunks(&REGION, path, &mut self.warnings)?;
        if !self.applies(&children, path) {
            return Ok(None);
        }
        let header = self.single(&children, b"rgnh", path);
        let header = required(header, "rgnh", 12, path)?;
        let link = self.single(&children, b"wlnk", path);
        let link = required(link, "wlnk", WAVE_LINK_BYTES, path)?;
        let at_link = path.to(link.id, link.offset);
        let Some(link) = wave_link(link.data) else {
            return Err(BankError::at(&at_link, Rule::Short { found: link.data.len(), needed: WAVE_LINK_BYTES }));
        };
        let count = self.waves.len() as u64;
        let Some(wave) = self.waves.get(link.index as usize).cloned() else {
            let rule = Rule::Index { what: "cue", index: link.index.into(), count };
            return Err(BankError::in_data(&at_link, 8, rule));
        };
        let samples = wave.as_ref().map(|wave| wave.samples().len());
        let sample = match self.single(&children, b"wsmp", path) {
            Some(chunk) => Some(self.wave_sample(&chunk, path, samples)?),
            None => None,
        };
        let articulation = self.articulation(&children, path)?;
        if wave.is_none() {
            self.warnings.in_data(&at_link, 8, PassedOver::NullCue(link.index));
            return Ok(None);
        }
        let range = |at: usize| (half(header.data, at), half(header.data, at + 2));
        let (keys, velocities) = (range(0), range(4));
        if [keys, velocities].iter().any(|(low, high)| low > high || *low > 127) {
            self.warnings.in_data(&path.to(header.id, header.offset), 0, PassedOver::EmptyRange);
        }
        let (options, mut key_group) = (half(header.data, 8), half(header.data, 10));
        if key_group > KEY_GROUP_MAX {
            self.warnings.in_data(&path.to(header.id, header.offset), 10, PassedOver::KeyGroup(key_group));
            key_group = 0;
        }
        Ok(Some(Region { keys, velocities, options, key_group, sample, link, articulation, sound_font: None }))
    }

    /// Reads the connections of all `lart` and `lar2` lists. `None`: there is no such list. Level 2 treats both alike.
    fn articulation(
        &mut self,
        children: &[Chunk<'_>],
        path: &ChunkPath<'_>,
    ) -> Result<Option<Vec<Connection>>, BankError> {
        let mut found = None;
        for list in children.iter().filter(|chunk| matches!(&chunk.id, b"lart" | b"lar2")) {
            let path = path.to(list.id, list.offset);
            let chunks = list.children().chunks(&ARTICULATION, &path, &mut self.warnings)?;
            if !self.applies(&chunks, &path) {
                continue;
            }
            let all: &mut Vec<Connection> = found.get_or_insert_default();
            for chunk in chunks.iter().filter(|chunk| &chunk.id != b"cdl ") {
                let path = path.to(chunk.id, chunk.offset);
                self.connections(chunk, &path, all)?;
                limit(&path, "connections of one articulation", all.len(), CONNECTIONS_MAX)?;
            }
        }
        Ok(found)
    }

    fn connections(
        &mut self,
        chunk: &Chunk<'_>,
        path: &ChunkPath<'_>,
        all: &mut Vec<Connection>,
    ) -> Result<(), BankError> {
        if chunk.data.len() < CONNECTION_LIST_BYTES {
            let rule = Rule::Short { found: chunk.data.len(), needed: CONNECTION_LIST_BYTES };
            return Err(BankError::at(path, rule));
        }
        let first = self.grown(chunk, 0, CONNECTION_LIST_BYTES, path);
        let count = word(chunk.data, 4);
        let records = chunk.data.get(first..).unwrap_or_default();
        let room = records.len() / CONNECTION_BYTES;
        if count as usize > room {
            let rule = Rule::Count { what: "connections", count: count.into(), room: room as u64 };
            return Err(BankError::in_data(path, 4, rule));
        }
        limit(path, "connections of one articulation", count as usize, CONNECTIONS_MAX)?;
        for (index, connection) in connections(records).take(count as usize).enumerate() {
            let Connection { source, control, destination, .. } = connection;
            let at = first + CONNECTION_BYTES * index;
            if RESERVED_DESTINATIONS.contains(&destination) {
                self.warnings.in_data(path, at, PassedOver::ReservedDestination { index, destination });
            } else if !is_known_connection(&connection) {
                let what = PassedOver::UnknownConnection { index, source_id: source, control, destination };
                self.warnings.in_data(path, at, what);
            }
            all.push(connection);
        }
        Ok(())
    }
}
