//! A listing of a collection, for people: a structure of plain fields, and its text.

use core::fmt;

use super::collection::{Collection, Connection, Patch, Region, SampleLoop, WaveSample};
use super::names;
use super::spec::REGION_SELF_NON_EXCLUSIVE;

/// A collection, as a table of contents.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// The copyright notice.
    pub copyright: String,
    /// Its instruments, melodic ones before drum kits, each by bank and program.
    pub instruments: Vec<InstrumentListing>,
    /// Its waves; `None` where the pool has none.
    pub waves: Vec<Option<WaveListing>>,
}

/// An instrument.
#[derive(Clone, Debug, PartialEq)]
pub struct InstrumentListing {
    /// Its bank, program and drum flag.
    pub patch: Patch,
    /// Its name.
    pub name: String,
    /// The articulation of regions that have none of their own.
    pub articulation: Vec<ConnectionListing>,
    /// Its regions.
    pub regions: Vec<RegionListing>,
}

/// A region.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionListing {
    /// Lowest and highest key.
    pub keys: (u16, u16),
    /// Lowest and highest velocity.
    pub velocities: (u16, u16),
    /// A new note of a group other than 0 ends those that sound.
    pub key_group: u16,
    /// Whether a key that is struck again ends the note that it sounds.
    pub self_exclusive: bool,
    /// Waves of the same phase group other than 0 run in step.
    pub phase_group: u16,
    /// The wave's place in [`Listing::waves`].
    pub wave: u32,
    /// The wave's name.
    pub wave_name: String,
    /// The key at which the wave sounds as recorded.
    pub unity_note: u16,
    /// The fine tuning in cents.
    pub fine_tune: i16,
    /// The gain in dB.
    pub gain: f64,
    /// Its loop.
    pub sample_loop: Option<SampleLoop>,
    /// Its own articulation, in place of the instrument's.
    pub articulation: Option<Vec<ConnectionListing>>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionListing {
    /// The source; `none` for a constant.
    pub source: String,
    /// The control; `none` for none.
    pub control: String,
    /// The destination.
    pub destination: String,
    /// The curves; empty for none.
    pub transform: String,
    /// The scale, with its unit.
    pub scale: String,
}

/// A wave.
#[derive(Clone, Debug, PartialEq)]
pub struct WaveListing {
    /// Its name.
    pub name: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples.
    pub samples: usize,
}

impl Collection {
    /// Lists the collection, for people.
    #[must_use]
    pub fn listing(&self) -> Listing {
        let waves = self.waves.iter().map(|wave| {
            wave.as_ref().map(|wave| WaveListing {
                name: wave.name.clone(),
                sample_rate: wave.sample_rate,
                samples: wave.samples().len(),
            })
        });
        let mut instruments: Vec<_> = self
            .instruments
            .iter()
            .map(|instrument| InstrumentListing {
                patch: instrument.patch,
                name: instrument.name.clone(),
                articulation: connections(&instrument.articulation),
                regions: instrument.regions.iter().map(|region| self.region(region)).collect(),
            })
            .collect();
        instruments.sort_by_key(|instrument| instrument.patch);
        Listing { name: self.name.clone(), copyright: self.copyright.clone(), instruments, waves: waves.collect() }
    }

    fn region(&self, region: &Region) -> RegionListing {
        let wave = self.waves.get(region.link.index as usize).cloned().flatten();
        let sample: WaveSample = region.sample.or(wave.as_ref().and_then(|wave| wave.sample)).unwrap_or_default();
        RegionListing {
            keys: region.keys,
            velocities: region.velocities,
            key_group: region.key_group,
            self_exclusive: region.options & REGION_SELF_NON_EXCLUSIVE == 0,
            phase_group: region.link.phase_group,
            wave: region.link.index,
            wave_name: wave.map(|wave| wave.name.clone()).unwrap_or_default(),
            unity_note: sample.unity_note,
            fine_tune: sample.fine_tune,
            gain: f64::from(sample.gain) / 655_360.0,
            sample_loop: sample.sample_loop,
            articulation: region.articulation.as_deref().map(connections),
        }
    }
}

fn connections(list: &[Connection]) -> Vec<ConnectionListing> {
    let unknown = |id: u16| format!("{id:#06x}");
    list.iter()
        .map(|c| ConnectionListing {
            source: names::source(c.source).unwrap_or_else(|| unknown(c.source)),
            control: names::source(c.control).unwrap_or_else(|| unknown(c.control)),
            destination: names::destination(c.destination)
                .map_or_else(|| unknown(c.destination), |(name, _)| name.to_owned()),
            transform: names::transform(c.transform),
            scale: names::scale(c),
        })
        .collect()
}

impl fmt::Display for ConnectionListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, control, destination, transform, scale } = self;
        match (source.as_str(), control.as_str()) {
            ("none", "none") => write!(f, "{destination} = {scale}")?,
            (_, "none") => write!(f, "{destination} <- {source}: {scale}")?,
            ("none", _) => write!(f, "{destination} <- {control}: {scale}")?,
            _ => write!(f, "{destination} <- {source} x {control}: {scale}")?,
        }
        if transform.is_empty() { Ok(()) } else { write!(f, " ({transform})") }
    }
}

impl fmt::Display for RegionListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, velocities, wave, wave_name, unity_note, fine_tune, gain, .. } = self;
        write!(f, "keys {}-{}", keys.0, keys.1)?;
        if *velocities != (0, 127) {
            write!(f, ", velocities {}-{}", velocities.0, velocities.1)?;
        }
        write!(f, ", wave {wave}")?;
        if !wave_name.is_empty() {
            write!(f, " {wave_name:?}")?;
        }
        write!(f, ", unity {unity_note} {fine_tune:+} c, {gain:+.1} dB")?;
        match self.sample_loop {
            None => write!(f, ", no loop")?,
            Some(SampleLoop { until_release, start, length }) => {
                let until = if until_release { " until release" } else { "" };
                write!(f, ", loop {start}+{length}{until}")?;
            }
        }
        if self.key_group != 0 {
            write!(f, ", key group {}", self.key_group)?;
        }
        if self.phase_group != 0 {
            write!(f, ", phase group {}", self.phase_group)?;
        }
        if self.self_exclusive { Ok(()) } else { write!(f, ", not self-exclusive") }
    }
}

/// `000:000:005 Electric Piano 2`: bank (MSB and LSB) and program from 0, a star before drum kits.
impl fmt::Display for InstrumentListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Patch { drums, bank_msb, bank_lsb, program } = self.patch;
        let mark = if drums { '*' } else { ' ' };
        write!(f, "{mark}{bank_msb:03}:{bank_lsb:03}:{program:03} {}", self.name)
    }
}

/// The whole listing, indented: instruments, their articulation, regions, and theirs.
impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.name.is_empty() { "(without a name)" } else { &self.name })?;
        if !self.copyright.is_empty() {
            writeln!(f, "{}", self.copyright)?;
        }
        let regions: usize = self.instruments.iter().map(|i| i.regions.len()).sum();
        let waves = self.waves.iter().flatten();
        let (count, samples) = waves.fold((0, 0), |(count, samples), wave| (count + 1, samples + wave.samples));
        let instruments = self.instruments.len();
        writeln!(f, "{instruments} instruments, {regions} regions, {count} waves, {samples} samples")?;
        for instrument in &self.instruments {
            writeln!(f, "{instrument}")?;
            for connection in &instrument.articulation {
                writeln!(f, "    {connection}")?;
            }
            for region in &instrument.regions {
                writeln!(f, "  {region}")?;
                for connection in region.articulation.iter().flatten() {
                    writeln!(f, "    {connection}")?;
                }
            }
        }
        Ok(())
    }
}
