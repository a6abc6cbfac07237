//! Whole songs: how much faster than they are heard.

use std::path::Path;

use dls_synth::Kernel;
use midly::{MetaMessage, MidiMessage, Smf, Timing, TrackEventKind};

use crate::clock::{median, on_this_thread};
use crate::comparison::{BASELINE, Banks, ComparisonError};
use crate::engines::{BLOCK, Engine, RATE, Setting};
use crate::fluidsynth::FluidSynth;
use crate::record::Record;
use crate::score;

/// Voices that each gets: FluidSynth's default, and the most that RustySynth takes.
const VOICES: u16 = 256;

/// Ticks a second and quarters a minute before a file changes them.
const TEMPO: u32 = 500_000;

/// A song's channel messages, each with its frame.
pub(crate) struct Song {
    name: String,
    messages: Vec<(u64, Vec<u8>)>,
    frames: u64,
}

/// Why a song cannot be played.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub(crate) struct SongError {
    name: String,
    reason: String,
}

impl Song {
    /// Reads a Standard MIDI File.
    ///
    /// # Errors
    /// It is none, or counts time by video frames.
    pub(crate) fn read(path: &Path) -> Result<Self, SongError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let wrong = |reason: String| SongError { name: path.display().to_string(), reason };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let smf = Smf::parse(&bytes).map_err(|error| wrong(error.to_string()))?;
        let Timing::Metrical(division) = smf.header.timing else {
            return Err(wrong("counts time by video frames, which the benchmark does not read".into()));
        };
        let mut events: Vec<(u64, TrackEventKind<'_>)> = Vec::new();
        for track in &smf.tracks {
            let mut tick = 0;
            for event in track {
                tick += u64::from(event.delta.as_int());
                events.push((tick, event.kind));
            }
        }
        events.sort_by_key(|(tick, _)| *tick);
        let (mut last_tick, mut seconds, mut tempo) = (0, 0.0, TEMPO);
        let mut messages = Vec::new();
        for (tick, kind) in events {
            seconds += (tick - last_tick) as f64 * f64::from(tempo) / 1e6 / f64::from(division.as_int());
            last_tick = tick;
            match kind {
                TrackEventKind::Meta(MetaMessage::Tempo(new)) => tempo = new.as_int(),
                TrackEventKind::Midi { channel, message } => {
                    messages.push(((seconds * f64::from(RATE)) as u64, bytes_of(channel.as_int(), message)));
                }
                _ => {}
            }
        }
        Ok(Self { name, messages, frames: (seconds * f64::from(RATE)) as u64 })
    }

    fn play(&self, engine: &mut dyn Engine) {
        let mut messages = self.messages.iter().peekable();
        let mut frame = 0;
        while frame < self.frames {
            while let Some((_, message)) = messages.next_if(|(at, _)| *at <= frame) {
                engine.midi(message);
            }
            let next = messages.peek().map_or(self.frames, |(at, _)| *at).min(self.frames);
            let count = (next - frame).min(BLOCK as u64);
            engine.render(count as usize);
            frame += count;
        }
    }
}

fn bytes_of(channel: u8, message: MidiMessage) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3);
    midly::live::LiveEvent::Midi { channel: channel.into(), message }.write_std(&mut bytes).expect("writing to memory");
    bytes
}

/// Lets all of them play a song, with effects, and gives the figures.
///
/// # Errors
/// [`ComparisonError`] when one of the synthesizers fails.
pub(crate) fn run(
    song: &Song,
    path: &Path,
    banks: &Banks<'_>,
    fluidsynth: Option<&FluidSynth>,
    rounds: usize,
    kernel: Kernel,
) -> Result<Vec<Record>, ComparisonError> {
    let setting = Setting { voices: VOICES, effects: true };
    let mut times: Vec<(&'static str, Vec<f64>)> = Vec::new();
    let mut add = |name, realtime| match times.iter_mut().find(|(known, _)| *known == name) {
        Some((_, values)) => values.push(realtime),
        None => times.push((name, vec![realtime])),
    };
    for _ in 0..rounds {
        if let Some(fluidsynth) = fluidsynth {
            // A song of no notes takes what the start takes.
            let nothing = fluidsynth.place("nothing.mid");
            fluidsynth.write(&nothing, &score::file(0, 0.0))?;
            // A song that resets the synthesizer, as many do, also puts it back to 4 points: there is no other row.
            let rendering = fluidsynth.difference(path, &nothing, setting, 4)?;
            let heard = rendering.frames as f64 / f64::from(RATE);
            add(BASELINE, heard / rendering.spent.processor.as_secs_f64());
        }
        for (name, mut engine) in banks.engines(setting, kernel)? {
            let spent = on_this_thread(|| song.play(engine.as_mut()));
            add(name, song.frames as f64 / f64::from(RATE) / spent.processor.as_secs_f64());
        }
    }
    times.sort_by_key(|(name, _)| *name);
    let baseline = times.iter().find(|(name, _)| *name == BASELINE).map(|(_, values)| median(values.clone()));
    let record = |(name, values): (&str, Vec<f64>)| {
        Record::new(format!("synth/{name}/song-{}/effects/realtime", song.name), median(values), "x", baseline)
    };
    Ok(times.into_iter().map(record).collect())
}
