//! Pictures of how cleanly each synthesizer transposes: signal to noise and distortion, and aliases, over the pitch.

mod chart;
mod tone;

use std::path::{Path, PathBuf};

use dls_synth::Kernel;

use crate::comparison::{Banks, ComparisonError};
use crate::engines::{BLOCK, RATE, Setting};
use crate::fluidsynth::FluidSynth;
use crate::font::single_wave;
use crate::record::Record;
use crate::score;
use chart::{Chart, ChartError, Series};

/// Semitones above a wave's own pitch that are drawn: an octave down to three octaves up.
const SEMITONES: std::ops::RangeInclusive<i8> = -12..=36;

/// The key at which the waves have their own pitch.
const ROOT: u8 = 60;

/// Where the tone of the first picture comes out, as a part of the output rate.
const HEARD: f64 = 0.1;

/// Where the tone of the second picture is in its wave, as a part of the wave's rate.
const HIGH: f64 = 0.45;

/// Frames before a tone is looked at: it has begun by then.
const BEGUN: usize = 8 * BLOCK;

/// Frames of a tone that are looked at.
const LOOKED_AT: usize = 32 * BLOCK;

/// Why there are no pictures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlotError {
    /// A synthesizer.
    #[error(transparent)]
    Comparison(#[from] ComparisonError),
    /// A picture.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// A tone is not there.
    #[error("{engine} plays nothing {semitones} semitones above a wave's own pitch")]
    Silent {
        /// The synthesizer.
        engine: &'static str,
        /// The pitch.
        semitones: i8,
    },
}

/// Draws both pictures into a folder, and returns their paths and all of their points.
///
/// # Errors
/// [`PlotError::Comparison`] when a synthesizer fails, [`PlotError::Silent`] when one plays no tone, [`PlotError::Chart`]
/// when a picture cannot be written.
pub(crate) fn draw(
    folder: &Path,
    fluidsynth: Option<&Path>,
    kernel: Kernel,
    scratch: &Path,
) -> Result<(Vec<PathBuf>, Vec<Record>), PlotError> {
    let (mut clean, mut aliases): (Vec<Series>, Vec<Series>) = (Vec::new(), Vec::new());
    for semitones in SEMITONES {
        let step = (f64::from(semitones) / 12.0).exp2();
        let heard = tone::periods(HEARD / step);
        let tones = play(&tone::wave(heard), semitones, fluidsynth, kernel, scratch)?;
        let high = tone::periods(HIGH);
        // Only what is beyond half the output rate can come back.
        let is_beyond = tone::frequency(high) * step > 0.5;
        let beyond =
            if is_beyond { play(&tone::wave(high), semitones, fluidsynth, kernel, scratch)? } else { Vec::new() };
        for (engine, samples) in &tones {
            let found = tone::fit(samples, tone::frequency(heard) * step);
            let found = found.ok_or(PlotError::Silent { engine, semitones })?;
            add(&mut clean, engine, (f64::from(semitones), decibels(found.tone / found.rest)));
            if let Some((_, samples)) = beyond.iter().find(|(name, _)| name == engine) {
                add(&mut aliases, engine, (f64::from(semitones), decibels(tone::power(samples) / found.tone)));
            }
        }
    }
    let range = (f64::from(*SEMITONES.start()), f64::from(*SEMITONES.end()));
    let pictures = [
        Chart {
            file: "sinad.png",
            title: "A tone at 0.1 of the output rate: signal to noise and distortion, dB",
            across: "semitones above the wave's own pitch",
            x: range,
            y: (0.0, 110.0),
            series: clean,
        },
        Chart {
            file: "alias.png",
            title: "A tone at 0.45 of its wave's rate, beyond half the output rate: what comes back, dB",
            across: "semitones above the wave's own pitch",
            x: range,
            y: (-110.0, 0.0),
            series: aliases,
        },
    ];
    let paths = pictures.iter().map(|chart| chart.write(folder)).collect::<Result<_, _>>()?;
    let records = pictures.iter().zip(["sinad", "alias"]).flat_map(|(chart, what)| records(chart, what));
    Ok((paths, records.collect()))
}

/// Returns the points of a picture as figures.
fn records(chart: &Chart, what: &str) -> Vec<Record> {
    let points = chart.series.iter().flat_map(|series| series.points.iter().map(|point| (series.name, *point)));
    points.map(|(name, (x, y))| Record::new(format!("synth/{what}/{name}/{x:+}"), y, "dB", None)).collect()
}

fn add(series: &mut Vec<Series>, name: &'static str, point: (f64, f64)) {
    match series.iter_mut().find(|series| series.name == name) {
        Some(series) => series.points.push(point),
        None => series.push(Series { name, points: vec![point] }),
    }
}

fn decibels(ratio: f64) -> f64 {
    10.0 * ratio.max(1e-15).log10()
}

/// Lets every synthesizer play a wave so many semitones above its own pitch, dry. Returns the left side of each.
fn play(
    period: &[i16],
    semitones: i8,
    fluidsynth: Option<&Path>,
    kernel: Kernel,
    scratch: &Path,
) -> Result<Vec<(&'static str, Vec<f32>)>, ComparisonError> {
    let setting = Setting { voices: 8, effects: false };
    let font = single_wave(period, ROOT);
    let note = [0x90, ROOT.saturating_add_signed(semitones), 127];
    let mut sounds = Vec::new();
    for (name, mut engine) in Banks::new(&font)?.engines(setting, kernel)? {
        engine.midi(&note);
        let mut samples = Vec::with_capacity(BEGUN + LOOKED_AT);
        while samples.len() < BEGUN + LOOKED_AT {
            engine.render(BLOCK);
            samples.extend(engine.left());
        }
        sounds.push((name, samples.split_off(BEGUN)));
    }
    if let Some(program) = fluidsynth {
        let bank = scratch.join("tone.sf2");
        let fluidsynth = FluidSynth::new(program, &bank, scratch)?;
        fluidsynth.write(&bank, &font)?;
        let song = fluidsynth.place("tone.mid");
        let seconds = (BEGUN + LOOKED_AT + BLOCK) as f64 / f64::from(RATE);
        fluidsynth.write(&song, &score::file_of(vec![note.to_vec()], seconds))?;
        for (name, points) in [("fluidsynth-4", 4), ("fluidsynth-7", 7)] {
            fluidsynth.render(&song, setting, points)?;
            sounds.push((name, fluidsynth.left(BEGUN..BEGUN + LOOKED_AT)?));
        }
    }
    Ok(sounds)
}
