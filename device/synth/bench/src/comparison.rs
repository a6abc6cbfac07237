//! The cost of a voice in each synthesizer, with a number of voices that sound from the first moment to the last.
//!
//! All play the same notes from the same bank at the same rate, one after the other within each round, so that other
//! load of the machine affects all of them. The median over the rounds counts.

use std::sync::Arc;

use dls_synth::{Bank, Kernel};
use rustysynth::SoundFont;

use crate::clock::{Spent, median, on_this_thread};
use crate::engines::{BLOCK, DlsSynth, Engine, EngineError, OxiSynth, RATE, RustySynth, Setting};
use crate::fluidsynth::{FluidSynth, FluidSynthError};
use crate::record::Record;
use crate::score;

/// What all are compared with.
pub(crate) const BASELINE: &str = "fluidsynth-4";

/// Seconds of a short run: the notes have begun, and their attacks of a millisecond are over.
const SHORT: f64 = 0.05;

/// How far the power of N voices may be from N times that of one, in dB. A synthesizer that sounds three quarters of
/// them is 1.25 dB short.
const POWER_TOLERANCE_DB: f64 = 1.0;

/// Seconds over which the power is taken: the partials of the waves beat slowly.
const POWER_SECONDS: f64 = 0.5;

/// How much less is rendered by who takes much longer.
const SLOW: f64 = 32.0;

/// And at least so many seconds: four blocks, because files grow by whole ones.
const SLOW_SECONDS_MIN: f64 = 4.0 * BLOCK as f64 / RATE as f64;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComparisonError {
    /// A synthesizer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// FluidSynth.
    #[error(transparent)]
    FluidSynth(#[from] FluidSynthError),
    /// It sounds another number of voices.
    #[error("{engine} sounds {sounding} voices where it was given {voices}")]
    Voices {
        /// Which.
        engine: &'static str,
        /// How many it was given.
        voices: u16,
        /// How many sound.
        sounding: u32,
    },
    /// The sound is not as strong as that of so many voices.
    #[error(
        "the sound of {engine} with {voices} voices is {decibels:.1} dB from what so many voices give: \
         it does not sound all of them, so its time has no meaning"
    )]
    Power {
        /// Which.
        engine: &'static str,
        /// How many voices it was given.
        voices: u16,
        /// The difference.
        decibels: f64,
    },
}

/// A synthesizer with its name.
type Named = (&'static str, Box<dyn Engine>);

/// The banks, as each synthesizer wants them.
pub(crate) struct Banks<'a> {
    font: &'a [u8],
    dls: Arc<Bank>,
    rusty: Arc<SoundFont>,
}

impl<'a> Banks<'a> {
    /// Reads a SoundFont.
    ///
    /// # Errors
    /// [`ComparisonError`] when a synthesizer refuses the bank.
    pub(crate) fn new(font: &'a [u8]) -> Result<Self, EngineError> {
        Ok(Self { font, dls: DlsSynth::bank(font)?, rusty: RustySynth::bank(font)? })
    }

    /// Returns the synthesizers that run within this program, with their names.
    ///
    /// # Errors
    /// [`ComparisonError`] when a synthesizer refuses the setting.
    pub(crate) fn engines(&self, setting: Setting, kernel: Kernel) -> Result<Vec<Named>, EngineError> {
        Ok(vec![
            ("dls-synth", Box::new(DlsSynth::new(&self.dls, setting, kernel)?)),
            ("rustysynth", Box::new(RustySynth::new(&self.rusty, setting)?)),
            ("oxisynth", Box::new(OxiSynth::new(self.font, setting)?)),
        ])
    }
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Rounds.
    pub(crate) rounds: usize,
    /// Seconds of sound times voices, in each measurement: as much work with few voices as with many.
    pub(crate) voice_seconds: f64,
}

/// A competitor's times.
struct Competitor<'a> {
    name: &'static str,
    kind: Kind<'a>,
    /// Nanoseconds a voice and frame, of the processor and on the wall.
    processor: Vec<f64>,
    wall: Vec<f64>,
}

enum Kind<'a> {
    Within(Box<dyn Engine>),
    Program { fluidsynth: &'a FluidSynth, points: u8 },
}

impl Kind<'_> {
    /// Returns whether it is slow: FluidSynth 2.6 works out the sinc of `interp 7` anew for every sample, where earlier
    /// ones looked it up in a table. It gets less to do; and it is not listened to, because nothing about its voices
    /// differs from those with 4 points.
    fn is_slow(&self) -> bool {
        matches!(self, Self::Program { points: 7, .. })
    }
}

impl Competitor<'_> {
    fn add(&mut self, spent: Spent, frames: u64, voices: u16) {
        let each = |time: std::time::Duration| time.as_nanos() as f64 / frames as f64 / f64::from(voices);
        self.processor.push(each(spent.processor));
        self.wall.push(each(spent.wall));
    }

    fn round(&mut self, setting: Setting, effort: Effort) -> Result<(), ComparisonError> {
        let seconds = effort.voice_seconds / f64::from(setting.voices);
        let seconds = if self.kind.is_slow() { (seconds / SLOW).max(SLOW_SECONDS_MIN) } else { seconds };
        match &mut self.kind {
            Kind::Within(engine) => {
                let blocks = ((seconds * f64::from(RATE)) as usize).div_ceil(BLOCK);
                let spent = on_this_thread(|| (0..blocks).for_each(|_| engine.render(BLOCK)));
                self.add(spent, (blocks * BLOCK) as u64, setting.voices);
            }
            Kind::Program { fluidsynth, points } => {
                let short = fluidsynth.place("short.mid");
                let long = fluidsynth.place("long.mid");
                fluidsynth.write(&short, &score::file(setting.voices, SHORT))?;
                fluidsynth.write(&long, &score::file(setting.voices, SHORT + seconds))?;
                let rendering = fluidsynth.difference(&long, &short, setting, *points)?;
                self.add(rendering.spent, rendering.frames, setting.voices);
            }
        }
        Ok(())
    }

    /// Finds out how strong the sound is: the mean power of a sample.
    fn listen(&mut self, setting: Setting) -> Result<f64, ComparisonError> {
        match &mut self.kind {
            Kind::Within(engine) => {
                if let Some(sounding) = engine.voices()
                    && sounding != u32::from(setting.voices)
                {
                    return Err(ComparisonError::Voices { engine: self.name, voices: setting.voices, sounding });
                }
                let blocks = (POWER_SECONDS * f64::from(RATE)) as usize / BLOCK;
                let energy: f64 = (0..blocks)
                    .map(|_| {
                        engine.render(BLOCK);
                        engine.energy()
                    })
                    .sum();
                Ok(energy / (2 * blocks * BLOCK) as f64)
            }
            Kind::Program { fluidsynth, points } => {
                let song = fluidsynth.place("listen.mid");
                fluidsynth.write(&song, &score::file(setting.voices, SHORT + POWER_SECONDS))?;
                fluidsynth.render(&song, setting, *points)?;
                let frame = |seconds: f64| (seconds * f64::from(RATE)) as usize;
                // What comes after the last note is not looked at.
                Ok(fluidsynth.power(frame(SHORT)..frame(SHORT + POWER_SECONDS))?)
            }
        }
    }
}

/// The power of one voice by synthesizer, from the comparison with the fewest voices.
#[derive(Default)]
pub(crate) struct Reference(Vec<(&'static str, f64)>);

impl Reference {
    /// Holds a synthesizer's power against what it gave with other numbers of voices.
    fn check(&mut self, engine: &'static str, voices: u16, power: f64) -> Result<(), ComparisonError> {
        let each = power / f64::from(voices);
        let Some((_, expected)) = self.0.iter().find(|(name, _)| *name == engine) else {
            self.0.push((engine, each));
            return Ok(());
        };
        let decibels = 10.0 * (each / expected).log10();
        // A power of nothing gives no number, which is not near anything.
        if decibels.abs() <= POWER_TOLERANCE_DB {
            return Ok(());
        }
        Err(ComparisonError::Power { engine, voices, decibels })
    }
}

/// Lets all of them play `setting.voices` voices, and gives the figures.
///
/// # Errors
/// [`ComparisonError`] when a synthesizer fails, or does not sound all voices.
pub(crate) fn run(
    banks: &Banks<'_>,
    fluidsynth: Option<&FluidSynth>,
    setting: Setting,
    effort: Effort,
    kernel: Kernel,
    reference: &mut Reference,
) -> Result<Vec<Record>, ComparisonError> {
    let compete = |name, kind| Competitor { name, kind, processor: Vec::new(), wall: Vec::new() };
    let mut competitors: Vec<Competitor<'_>> = Vec::new();
    if let Some(fluidsynth) = fluidsynth {
        for (name, points) in [(BASELINE, 4), ("fluidsynth-7", 7)] {
            competitors.push(compete(name, Kind::Program { fluidsynth, points }));
        }
    }
    for (name, mut engine) in banks.engines(setting, kernel)? {
        score::messages(setting.voices).iter().for_each(|message| engine.midi(message));
        (0..=(SHORT * f64::from(RATE)) as usize / BLOCK).for_each(|_| engine.render(BLOCK));
        competitors.push(compete(name, Kind::Within(engine)));
    }
    // Effects add what is not the voices', and change nothing about how many there are.
    if !setting.effects {
        for competitor in competitors.iter_mut().filter(|competitor| !competitor.kind.is_slow()) {
            let power = competitor.listen(setting)?;
            reference.check(competitor.name, setting.voices, power)?;
        }
    }
    for _ in 0..effort.rounds {
        // The order rotates, so that none is always the first.
        competitors.rotate_left(1);
        for competitor in &mut competitors {
            competitor.round(setting, effort)?;
        }
    }
    Ok(records(competitors, setting))
}

fn records(mut competitors: Vec<Competitor<'_>>, setting: Setting) -> Vec<Record> {
    competitors.sort_by_key(|competitor| competitor.name);
    let of = |values: &[f64]| median(values.to_vec());
    let baseline = competitors.iter().find(|c| c.name == BASELINE);
    let (processor, wall) = (baseline.map(|b| of(&b.processor)), baseline.map(|b| of(&b.wall)));
    let realtime = |nanoseconds: f64| 1e9 / f64::from(RATE) / (nanoseconds * f64::from(setting.voices));
    let effects = if setting.effects { "effects" } else { "dry" };
    let mut records = Vec::new();
    for competitor in &competitors {
        let name = format!("synth/{}/{}/{effects}", competitor.name, setting.voices);
        let best = competitor.processor.iter().copied().fold(f64::INFINITY, f64::min);
        let value = of(&competitor.processor);
        records.push(Record::new(&name, value, "ns/voice-frame", processor));
        records.push(Record::new(format!("{name}/best"), best, "ns/voice-frame", None));
        records.push(Record::new(format!("{name}/wall"), of(&competitor.wall), "ns/voice-frame", wall));
        records.push(Record::new(format!("{name}/realtime"), realtime(value), "x", processor.map(realtime)));
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_synthesizer_that_drops_voices_by_its_sound() {
        let mut reference = Reference::default();
        reference.check("a", 32, 32.0).unwrap();
        reference.check("a", 1000, 1000.0 * 1.1).unwrap();
        assert!(matches!(reference.check("a", 1000, 256.0), Err(ComparisonError::Power { .. })));
        // Of another, nothing is known yet.
        reference.check("b", 1000, 1.0).unwrap();
    }
}
