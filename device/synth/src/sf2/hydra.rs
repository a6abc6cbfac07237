//! The nine tables of a SoundFont (SoundFont 2.04, 7), and the zones that they are cut into.

use super::left_out::LeftOut;
use crate::dls::chunk_path::ChunkPath;
use crate::dls::error::{BankError, Rule};
use crate::dls::riff::{Chunk, Known, single};
use crate::dls::warning::{PassedOver, Warnings};
use crate::sound_font::generators::{Generators, id, is_of_instruments_only, is_without_effect};
use crate::sound_font::modulators::{Modulator, take_out_faulty};

/// Most modulators of a zone: several times what the richest fonts have, and a bound on the work of laying them over
/// each other.
const ZONE_MODULATORS_MAX: usize = 64;

const TABLES: Known =
    Known { chunks: &[b"phdr", b"pbag", b"pmod", b"pgen", b"inst", b"ibag", b"imod", b"igen", b"shdr"], lists: &[] };

/// A table of records of one size, the last of which only ends it.
#[derive(Clone, Copy)]
struct Table<'a> {
    chunk: Chunk<'a>,
    record: usize,
}

impl<'a> Table<'a> {
    fn find(
        tables: &[Chunk<'a>],
        name: &'static str,
        record: usize,
        path: &ChunkPath<'_>,
        warnings: &mut Warnings,
    ) -> Result<Self, BankError> {
        let code = name.as_bytes().first_chunk::<4>().expect("the names of tables have four letters");
        let chunk = single(tables, code, path, warnings).ok_or_else(|| BankError::at(path, Rule::Missing(name)))?;
        let size = chunk.data.len();
        if size == 0 || !size.is_multiple_of(record) {
            return Err(BankError::at(&path.to(chunk.id, chunk.offset), Rule::Records { size, record }));
        }
        Ok(Self { chunk, record })
    }

    /// Records, the one that ends the table not counted.
    fn count(&self) -> usize {
        self.chunk.data.len() / self.record - 1
    }

    fn record(&self, index: usize) -> &'a [u8] {
        let at = index * self.record;
        self.chunk.data.get(at..at + self.record).unwrap_or_default()
    }

    fn half(&self, index: usize, at: usize) -> u16 {
        self.record(index).get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| u16::from_le_bytes(*b))
    }

    fn word(&self, index: usize, at: usize) -> u32 {
        u32::from(self.half(index, at)) | u32::from(self.half(index, at + 2)) << 16
    }

    fn name(&self, index: usize) -> String {
        let bytes = self.record(index).get(..20).unwrap_or_default();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
    }

    /// Makes the path to a record.
    fn nth<'t>(&self, index: usize, path: &'t ChunkPath<'t>) -> ChunkPath<'t> {
        path.nth(self.chunk.id, index, self.chunk.offset + 8 + index * self.record)
    }

    /// Returns the records of another table, which has `count`, that belong to one of this table: from the index that
    /// it has at `at`, to the next one's.
    fn span(
        &self,
        index: usize,
        at: usize,
        (what, count): (&'static str, usize),
        path: &ChunkPath<'_>,
    ) -> Result<core::ops::Range<usize>, BankError> {
        let (from, to) = (usize::from(self.half(index, at)), usize::from(self.half(index + 1, at)));
        let here = self.nth(index, path);
        if to > count {
            let rule = Rule::Index { what, index: to as u64, count: count as u64 };
            return Err(BankError::at(&self.nth(index + 1, path), rule));
        }
        if from > to {
            return Err(BankError::at(&here, Rule::Order { what, record: index }));
        }
        Ok(from..to)
    }
}

/// A zone of a preset or an instrument.
#[derive(Clone, Debug, Default)]
pub(super) struct Zone {
    pub(super) generators: Generators,
    pub(super) modulators: Vec<Modulator>,
    /// The byte offset of its record in the file.
    pub(super) offset: usize,
}

/// A preset, or an instrument.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: String,
    /// The byte offset of its record in the file.
    pub(super) offset: usize,
    /// The bank and the program, of presets.
    pub(super) bank: u16,
    pub(super) program: u16,
    /// The global zone, whose values hold for all zones.
    pub(super) global: Zone,
    pub(super) zones: Vec<Zone>,
    /// Whether a zone was left out that cannot be played.
    pub(super) is_short: bool,
}

/// A sample header (7.10).
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) loop_start: u32,
    pub(super) loop_end: u32,
    pub(super) rate: u32,
    pub(super) key: u8,
    /// The correction of pitch in cents.
    pub(super) correction: i8,
    /// The sample of the other channel.
    pub(super) link: u16,
    pub(super) kind: u16,
    /// The byte offset of its record in the file.
    pub(super) offset: usize,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Hydra {
    pub(super) presets: Vec<Set>,
    pub(super) instruments: Vec<Set>,
    pub(super) samples: Vec<Sample>,
}

/// The tables that make up presets, or instruments.
struct Level<'a> {
    headers: Table<'a>,
    /// The byte offset of the first bag's index in a header.
    bag_at: usize,
    bags: Table<'a>,
    generators: Table<'a>,
    modulators: Table<'a>,
    /// The generator that ends a zone, and leads on.
    leads: usize,
    /// The kind of the records that it leads to.
    what: &'static str,
    /// A zone, in words.
    zone: &'static str,
}

impl Hydra {
    /// Reads the nine tables of `pdta`.
    pub(super) fn read(list: &Chunk<'_>, path: &ChunkPath<'_>, left_out: &mut LeftOut<'_>) -> Result<Self, BankError> {
        let path = path.to(list.id, list.offset);
        let tables = list.children().chunks(&TABLES, &path, left_out.warnings)?;
        let mut table = |name, record| Table::find(&tables, name, record, &path, left_out.warnings);
        let presets = Level {
            headers: table("phdr", 38)?,
            bag_at: 24,
            bags: table("pbag", 4)?,
            modulators: table("pmod", 10)?,
            generators: table("pgen", 4)?,
            leads: id::INSTRUMENT,
            what: "instrument",
            zone: "zone of preset",
        };
        let instruments = Level {
            headers: table("inst", 22)?,
            bag_at: 20,
            bags: table("ibag", 4)?,
            modulators: table("imod", 10)?,
            generators: table("igen", 4)?,
            leads: id::SAMPLE,
            what: "sample",
            zone: "zone of instrument",
        };
        let samples = table("shdr", 46)?;
        let sample = |index: usize| Sample {
            name: samples.name(index),
            start: samples.word(index, 20),
            end: samples.word(index, 24),
            loop_start: samples.word(index, 28),
            loop_end: samples.word(index, 32),
            rate: samples.word(index, 36),
            key: samples.half(index, 40) as u8,
            correction: (samples.half(index, 40) >> 8) as i8,
            link: samples.half(index, 42),
            kind: samples.half(index, 44),
            offset: samples.nth(index, &path).offset,
        };
        Ok(Self {
            presets: sets(&presets, instruments.headers.count(), &path, left_out)?,
            instruments: sets(&instruments, samples.count(), &path, left_out)?,
            samples: (0..samples.count()).map(sample).collect(),
        })
    }
}

/// Reads all presets, or all instruments; `targets` is the number of records that their zones name.
fn sets(
    level: &Level<'_>,
    targets: usize,
    path: &ChunkPath<'_>,
    left_out: &mut LeftOut<'_>,
) -> Result<Vec<Set>, BankError> {
    let mut sets = Vec::new();
    let headers = &level.headers;
    for index in 0..headers.count() {
        let mut set = Set {
            name: headers.name(index),
            offset: headers.nth(index, path).offset,
            program: headers.half(index, 20),
            bank: headers.half(index, 22),
            global: Zone::default(),
            zones: Vec::new(),
            is_short: false,
        };
        let bags = headers.span(index, level.bag_at, ("bags", level.bags.count()), path)?;
        for bag in bags.clone() {
            let zone = zone(level, bag, path, left_out.warnings)?;
            let here = level.bags.nth(bag, path);
            match zone.generators.get(level.leads) {
                Some(target) if usize::from(target as u16) >= targets => {
                    let (what, index) = (level.what, u64::from(target as u16));
                    let error = BankError::at(&here, Rule::Index { what, index, count: targets as u64 });
                    left_out.item(level.zone, &set.name, error);
                    set.is_short = true;
                }
                Some(_) => set.zones.push(zone),
                // A first zone that leads nowhere is global (7.3, 7.7); others that do are to be passed over.
                None if bag == bags.start => set.global = zone,
                None => left_out.warnings.at(&here, PassedOver::DeadZone(level.what)),
            }
        }
        sets.push(set);
    }
    Ok(sets)
}

/// The generators of a zone so far.
#[derive(Clone, Copy, Default)]
struct Before {
    any: bool,
    /// Whether one of them is not a key range.
    more_than_keys: bool,
    /// Whether one of them ends the zone.
    end: bool,
}

/// Returns why a generator has no effect where it is, behind others of its zone (8.1.2).
fn misplaced(level: &Level<'_>, number: usize, before: Before) -> Option<&'static str> {
    let of_presets = level.leads == id::INSTRUMENT;
    match number {
        _ if before.end => Some("is behind the one that ends the zone"),
        id::KEY_RANGE if before.any => Some("(keyRange) is not the first of its zone"),
        id::VELOCITY_RANGE if before.more_than_keys => Some("(velRange) is behind another one than keyRange"),
        id::SAMPLE if of_presets => Some("(sampleID) is in a zone of a preset"),
        id::INSTRUMENT if !of_presets => Some("(instrument) is in a zone of an instrument"),
        _ if of_presets && is_of_instruments_only(number) => Some("counts in zones of instruments only"),
        _ => None,
    }
}

fn zone(level: &Level<'_>, bag: usize, path: &ChunkPath<'_>, warnings: &mut Warnings) -> Result<Zone, BankError> {
    // Some fonts lack the records that end these two tables.
    let (generators, modulators) = (level.generators.count() + 1, level.modulators.count() + 1);
    let generators = level.bags.span(bag, 0, ("generators", generators), path)?;
    let modulators = level.bags.span(bag, 2, ("modulators", modulators), path)?;
    let mut zone = Zone { offset: level.bags.nth(bag, path).offset, ..Zone::default() };
    let mut before = Before::default();
    for index in generators {
        let number = usize::from(level.generators.half(index, 0));
        let here = level.generators.nth(index, path);
        if let Some(why) = misplaced(level, number, before) {
            warnings.at(&here, PassedOver::MisplacedGenerator { number: number as u16, why });
        } else if is_without_effect(number) {
            warnings.at(&here, PassedOver::Generator(number as u16));
        } else {
            zone.generators.set(number, level.generators.half(index, 2) as i16);
        }
        before = Before {
            any: true,
            more_than_keys: before.more_than_keys || number != id::KEY_RANGE,
            end: before.end || number == level.leads,
        };
    }
    let mut read = Vec::new();
    for index in modulators {
        let half = |at| level.modulators.half(index, at);
        let modulator = Modulator {
            source: half(0),
            destination: half(2),
            amount: i32::from(half(4) as i16),
            amount_source: half(6),
            transform: half(8),
        };
        read.push((index, modulator));
    }
    for (index, modulator) in read.split_off(read.len().min(ZONE_MODULATORS_MAX)) {
        let what = PassedOver::Modulator { modulator: modulator.to_string(), why: "the zone has too many" };
        warnings.at(&level.modulators.nth(index, path), what);
    }
    zone.modulators = sound(read, level, path, warnings);
    Ok(zone)
}

/// Returns the modulators of a zone without those that are to be ignored, in an order in which one that leads to another is
/// before it.
fn sound(
    read: Vec<(usize, Modulator)>,
    level: &Level<'_>,
    path: &ChunkPath<'_>,
    warnings: &mut Warnings,
) -> Vec<Modulator> {
    let first = read.first().map_or(0, |(index, _)| *index);
    let mut modulators: Vec<Modulator> = read.into_iter().map(|(_, modulator)| modulator).collect();
    for (place, modulator, why) in take_out_faulty(&mut modulators) {
        let what = PassedOver::Modulator { modulator: modulator.to_string(), why };
        warnings.at(&level.modulators.nth(first + place, path), what);
    }
    modulators
}
