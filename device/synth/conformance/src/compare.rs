//! The same files through two synthesizers: when each note begins, how high it is, and how loud.
//!
//! The song has two parts, one hard left and one hard right, each of one note at a time, so that every note can be
//! measured by itself by the quadrature pair.

use serde::Serialize;

use crate::case::{Case, Files};
use crate::dls::{RATE, Wave, WaveSample, constant, destination as d};
use crate::expect::{Output, Reference};
use crate::render::{RenderError, Renderer};
use crate::run::Place;
use crate::signal::{Signal, SignalError};
use crate::units::{cents, seconds as time};

/// How far apart the onsets of one note may be, in seconds: a grid of 64 frames at 44.1 kHz is 1.45 ms.
pub const ONSET_TOLERANCE: f64 = 0.0015;
/// How far apart the pitches of one note may be, in cents.
pub const PITCH_TOLERANCE: f64 = 1.0;

/// Distance of the points at which a note's pitch is compared, and what is looked at around each, in seconds.
const STEP: f64 = 0.020;
/// See [`STEP`].
const WINDOW: f64 = 0.020;
/// What is left out at both ends of a note, in seconds.
const MARGIN: f64 = 0.030;

/// One note of the song.
#[derive(Clone, Copy, Debug)]
struct Note {
    output: Output,
    key: u8,
    on: u32,
    off: u32,
}

/// One note through both.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which part it is of.
    pub output: Output,
    /// MIDI key.
    pub key: u8,
    /// Its time in the file, in seconds.
    pub on: f64,
    /// When each begins, in seconds after that.
    pub onsets: [f64; 2],
    /// Pitch of each in the middle of the note, in cents above the reference note.
    pub pitches: [f64; 2],
    /// The largest difference of pitch anywhere in the note, latency aside, in cents.
    pub pitch_difference: f64,
    /// Level of each in the middle of the note, in dB.
    pub levels: [f64; 2],
}

impl Row {
    /// Returns by how much the second begins later, in seconds.
    #[must_use]
    pub fn onset_difference(&self) -> f64 {
        self.onsets[1] - self.onsets[0]
    }
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A renderer does not work.
    #[error("{0}: {1}")]
    Render(String, RenderError),
    /// A rendering cannot be measured.
    #[error("{0}: {1}")]
    Signal(String, SignalError),
    /// A note is missing.
    #[error("{renderer}: the note of key {key} at {on:.3} s is not heard")]
    Missing {
        /// By which.
        renderer: String,
        /// Its key.
        key: u8,
        /// When it should begin, in seconds.
        on: f64,
    },
}

/// Keys and lengths of the melody, in ms: a folk-like tune of uneven lengths, so that onsets fall anywhere on a grid.
const MELODY: [(u8, u32); 24] = [
    (67, 333),
    (69, 167),
    (71, 501),
    (72, 251),
    (74, 253),
    (72, 499),
    (71, 334),
    (67, 667),
    (64, 333),
    (66, 171),
    (67, 497),
    (69, 251),
    (71, 249),
    (69, 503),
    (67, 331),
    (62, 671),
    (79, 337),
    (76, 163),
    (74, 509),
    (72, 241),
    (71, 259),
    (69, 503),
    (66, 329),
    (67, 997),
];
/// Likewise of the bass.
const BASS: [(u8, u32); 12] = [
    (43, 1001),
    (48, 757),
    (43, 743),
    (50, 1003),
    (45, 751),
    (43, 747),
    (36, 1009),
    (48, 737),
    (50, 757),
    (38, 991),
    (50, 503),
    (43, 997),
];
/// When the song begins, in ms.
const BEGINS: u32 = 600;
/// Silence at the end of each note, in ms.
const GAP: u32 = 40;

fn song() -> (Files, Vec<Note>) {
    let mut case = Case::new(
        "compare/song",
        "A song of two parts",
        "DLS-1, DLS-2.2",
        "Onset and pitch of each note are the file's.",
    );
    // A lead of 22.05 kHz with another unity note, tuned and a little slower; a bass of 44.1 kHz.
    let half = case.wave(Wave {
        rate: RATE / 2,
        sample: Some(WaveSample { unity: 48, fine_tune: 7, ..WaveSample::default() }),
        ..Wave::default()
    });
    let release = constant(d::EG1_RELEASE, time(0.030));
    case.program(0, &[release]).regions[0].wave = half;
    case.program(1, &[constant(d::PITCH, cents(-12.0)), release]);
    let mut notes = Vec::new();
    for (channel, program, pan, part, output) in
        [(0u8, 0u8, 0u8, &MELODY[..], Output::Left), (2, 1, 127, &BASS[..], Output::Right)]
    {
        case.channel(channel);
        case.score.at(10, &[0xC0 | channel, program]);
        case.score.at(10, &[0xB0 | channel, 10, pan]);
        let mut on = BEGINS;
        for (i, (key, length)) in part.iter().enumerate() {
            let off = on + length - GAP;
            case.note_on(channel, *key, 100 + (i as u8 * 7) % 28, on, off);
            notes.push(Note { output, key: *key, on, off });
            on += length;
        }
    }
    // A bend in the melody's last note.
    let last = notes[MELODY.len() - 1];
    case.wheel(last.on + 400, 10_240);
    let end = notes.iter().map(|note| note.off).max().unwrap_or(0);
    case.check(crate::expect::Check::silent(f64::from(end) / 1000.0 + 0.2, f64::from(end) / 1000.0 + 0.3));
    (case.files(), notes)
}

/// What two renderers make of the song.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// By how much the second is later on the whole, in seconds: the middle of all its notes' differences.
    pub latency: f64,
    /// Note by note.
    pub rows: Vec<Row>,
}

/// Compares two renderers, note by note.
///
/// # Errors
/// [`CompareError`] when a renderer fails, or its signal cannot be measured.
pub fn compare(renderers: [&Renderer; 2], place: &Place) -> Result<Comparison, CompareError> {
    let (files, notes) = song();
    let reference = files.expectations.reference.expect("every pair has one");
    let [ours, theirs] = [0, 1].map(|which| signal(renderers[which], &files, place, reference, which));
    let signals = [ours?, theirs?];
    let mut rows = notes.iter().map(|note| row(note, &signals, renderers)).collect::<Result<Vec<_>, _>>()?;
    let differences = rows.iter().map(Row::onset_difference);
    let (low, high) = differences.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    let latency = 0.5 * (low + high);
    for (note, row) in notes.iter().zip(&mut rows) {
        row.pitch_difference = pitch_difference(note, &signals, latency);
    }
    Ok(Comparison { latency, rows })
}

fn signal(
    renderer: &Renderer,
    files: &Files,
    place: &Place,
    reference: Reference,
    which: usize,
) -> Result<Signal, CompareError> {
    let render = |dls: &[u8], name: &str| {
        let name = format!("song-{which}{name}");
        place.render(renderer, files, dls, &name).map_err(|error| CompareError::Render(renderer.describe(), error))
    };
    let (cosine, sine) = (render(&files.dls, "")?, render(files.sine.as_deref().unwrap_or_default(), "-sine")?);
    let signal = Signal::of_pair(&cosine, &sine, reference);
    Ok(signal.map_err(|error| CompareError::Signal(renderer.describe(), error))?.without_lateness())
}

fn row(note: &Note, signals: &[Signal; 2], renderers: [&Renderer; 2]) -> Result<Row, CompareError> {
    let (on, off) = (f64::from(note.on) / 1000.0, f64::from(note.off) / 1000.0);
    let middle = 0.5 * (on + off);
    let missing = |which: usize| CompareError::Missing { renderer: renderers[which].describe(), key: note.key, on };
    let onset = |which: usize| {
        let begun = signals[which].onset(on - 0.015, off, note.output).ok_or_else(|| missing(which))?;
        Ok(begun - on)
    };
    let pitch = |which: usize, at: f64| signals[which].pitch(at, WINDOW, note.output).ok_or_else(|| missing(which));
    let level = |which: usize| signals[which].level(middle, WINDOW, note.output);
    Ok(Row {
        output: note.output,
        key: note.key,
        on,
        onsets: [onset(0)?, onset(1)?],
        pitches: [pitch(0, middle)?, pitch(1, middle)?],
        pitch_difference: f64::NAN,
        levels: [level(0), level(1)],
    })
}

/// Returns the largest difference of pitch in a note, at points of time that are the same but for the latency.
fn pitch_difference(note: &Note, signals: &[Signal; 2], latency: f64) -> f64 {
    let (on, off) = (f64::from(note.on) / 1000.0, f64::from(note.off) / 1000.0);
    let points = ((off - on - 2.0 * MARGIN) / STEP) as u32;
    let at = (0..=points).map(|point| on + MARGIN + f64::from(point) * STEP);
    at.map(|at| {
        let first = signals[0].pitch(at, WINDOW, note.output);
        // A message may come up to a grid's step later in one than in the other.
        let around = [-ONSET_TOLERANCE, 0.0, ONSET_TOLERANCE].map(|by| {
            let second = signals[1].pitch(at + latency + by, WINDOW, note.output);
            first.zip(second).map_or(f64::MAX, |(a, b)| b - a)
        });
        let (low, high) = around.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
        0f64.clamp(low, high).abs()
    })
    .fold(0.0, f64::max)
}

impl Comparison {
    /// Returns whether all notes agree, latency aside.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.rows.iter().all(|row| {
            (row.onset_difference() - self.latency).abs() <= ONSET_TOLERANCE && row.pitch_difference <= PITCH_TOLERANCE
        })
    }

    /// Returns the song, part by part, as a table for people.
    #[must_use]
    pub fn table(&self, names: [&str; 2]) -> String {
        let mut text = format!("A is {}, B is {}.\n\n", names[0], names[1]);
        text += "| part | key | at, s | onset A, ms | onset B, ms | B - A - latency, ms | pitch A, cents | \
                 pitch B, cents | apart at most, cents | level B - A, dB |\n|---|---|---|---|---|---|---|---|---|---|\n";
        for row in &self.rows {
            text += &format!(
                "| {} | {} | {:.3} | {:+.3} | {:+.3} | {:+.3} | {:+.3} | {:+.3} | {:.3} | {:+.2} |\n",
                if row.output == Output::Left { "melody" } else { "bass" },
                row.key,
                row.on,
                1000.0 * row.onsets[0],
                1000.0 * row.onsets[1],
                1000.0 * (row.onset_difference() - self.latency),
                row.pitches[0],
                row.pitches[1],
                row.pitch_difference,
                row.levels[1] - row.levels[0],
            );
        }
        let most = |value: &dyn Fn(&Row) -> f64| self.rows.iter().map(value).fold(0.0f64, |most, x| most.max(x.abs()));
        text += &format!(
            "\n{} notes. Latency of B against A: {:.3} ms. Beyond it, onsets are at most {:.3} ms apart (tolerance {} ms); \
             pitches are at most {:.3} cents apart (tolerance {}), levels at most {:.2} dB. Onsets against the file: A at \
             most {:.3} ms late, B at most {:.3} ms.\n",
            self.rows.len(),
            1000.0 * self.latency,
            1000.0 * most(&|row: &Row| row.onset_difference() - self.latency),
            1000.0 * ONSET_TOLERANCE,
            most(&|row: &Row| row.pitch_difference),
            PITCH_TOLERANCE,
            most(&|row: &Row| row.levels[1] - row.levels[0]),
            1000.0 * most(&|row: &Row| row.onsets[0]),
            1000.0 * most(&|row: &Row| row.onsets[1]),
        );
        text
    }
}
