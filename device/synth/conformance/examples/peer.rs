//! Renders a MIDI file with RustySynth or OxiSynth, for the suite's command line: `peer ENGINE BANK MIDI WAV RATE VOICES`.
//!
//! Both are crates without a program of their own. It links OxiSynth, which is LGPL: it is built where it runs, and is not
//! distributed.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::{env, fs, io};

use midly::{MetaMessage, Smf, Timing, TrackEventKind};

/// Frames that are rendered at a time at most.
const BLOCK: usize = 64;

/// Something that plays channel messages.
trait Engine {
    fn midi(&mut self, message: &[u8]);
    fn render(&mut self, left: &mut [f32], right: &mut [f32]);
}

struct Rusty(rustysynth::Synthesizer);

impl Engine for Rusty {
    fn midi(&mut self, message: &[u8]) {
        let data = |index: usize| message.get(index).copied().map_or(0, i32::from);
        self.0.process_midi_message(data(0) & 15, data(0) & 0xF0, data(1), data(2));
    }

    fn render(&mut self, left: &mut [f32], right: &mut [f32]) {
        self.0.render(left, right);
    }
}

struct Oxi(oxisynth::Synth);

impl Engine for Oxi {
    fn midi(&mut self, message: &[u8]) {
        use oxisynth::MidiEvent as E;
        let channel = message[0] & 15;
        let event = match (message[0] & 0xF0, &message[1..]) {
            (0x80, [key, _]) | (0x90, [key, 0]) => E::NoteOff { channel, key: *key },
            (0x90, [key, vel]) => E::NoteOn { channel, key: *key, vel: *vel },
            (0xA0, [key, value]) => E::PolyphonicKeyPressure { channel, key: *key, value: *value },
            (0xB0, [ctrl, value]) => E::ControlChange { channel, ctrl: *ctrl, value: *value },
            (0xC0, [program_id]) => E::ProgramChange { channel, program_id: *program_id },
            (0xD0, [value]) => E::ChannelPressure { channel, value: *value },
            (0xE0, [low, high]) => E::PitchBend { channel, value: u16::from(*high) << 7 | u16::from(*low) },
            _ => return,
        };
        // It refuses the end of a note that does not sound, which is no failure.
        let _ = self.0.send_event(event);
    }

    fn render(&mut self, left: &mut [f32], right: &mut [f32]) {
        self.0.write((left, right));
    }
}

fn engine(name: &str, bank: &[u8], rate: u32, voices: u16) -> Result<Box<dyn Engine>, Box<dyn Error>> {
    match name {
        "rustysynth" => {
            let font = Arc::new(rustysynth::SoundFont::new(&mut &*bank)?);
            let mut settings = rustysynth::SynthesizerSettings::new(i32::try_from(rate)?);
            settings.maximum_polyphony = usize::from(voices).clamp(8, 256);
            Ok(Box::new(Rusty(rustysynth::Synthesizer::new(&font, &settings)?)))
        }
        "oxisynth" => {
            let descriptor = oxisynth::SynthDescriptor {
                sample_rate: rate as f32,
                polyphony: voices,
                ..oxisynth::SynthDescriptor::default()
            };
            let mut synth = oxisynth::Synth::new(descriptor).map_err(|error| format!("{error:?}"))?;
            let font = oxisynth::SoundFont::load(&mut io::Cursor::new(bank)).map_err(|error| format!("{error:?}"))?;
            synth.add_font(font, true);
            Ok(Box::new(Oxi(synth)))
        }
        other => Err(format!("{other:?} is neither rustysynth nor oxisynth").into()),
    }
}

fn play(engine: &mut dyn Engine, smf: &Smf<'_>, rate: u32) -> Result<Vec<[f32; 2]>, Box<dyn Error>> {
    let Timing::Metrical(division) = smf.header.timing else { return Err("the file has time codes".into()) };
    let mut events: Vec<(u64, TrackEventKind<'_>)> = Vec::new();
    for track in &smf.tracks {
        let mut tick = 0;
        for event in track {
            tick += u64::from(event.delta.as_int());
            events.push((tick, event.kind));
        }
    }
    events.sort_by_key(|(tick, _)| *tick);
    let mut frames: Vec<[f32; 2]> = Vec::new();
    let (mut tick, mut seconds, mut seconds_a_tick) = (0, 0.0, 0.5 / f64::from(division.as_int()));
    for (at, kind) in events {
        seconds += (at - tick) as f64 * seconds_a_tick;
        tick = at;
        let until = (seconds * f64::from(rate)) as usize;
        while frames.len() < until {
            let count = BLOCK.min(until - frames.len());
            let (mut left, mut right) = ([0.0; BLOCK], [0.0; BLOCK]);
            engine.render(&mut left[..count], &mut right[..count]);
            frames.extend(left.iter().zip(&right).take(count).map(|(left, right)| [*left, *right]));
        }
        match kind {
            TrackEventKind::Meta(MetaMessage::Tempo(tempo)) => {
                seconds_a_tick = f64::from(tempo.as_int()) * 1e-6 / f64::from(division.as_int());
            }
            TrackEventKind::Midi { .. } => {
                let mut bytes = Vec::new();
                if let Some(event) = kind.as_live_event() {
                    event.write_std(&mut bytes)?;
                }
                engine.midi(&bytes);
            }
            _ => {}
        }
    }
    Ok(frames)
}

fn write(path: &Path, rate: u32, frames: &[[f32; 2]]) -> Result<(), Box<dyn Error>> {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec)?;
    for sample in frames.as_flattened() {
        writer.write_sample(*sample)?;
    }
    Ok(writer.finalize()?)
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, bank, midi, wav, rate, voices] = arguments.as_slice() else {
        return Err("usage: peer rustysynth|oxisynth BANK MIDI WAV RATE VOICES".into());
    };
    let (bank, midi, rate) = (fs::read(bank)?, fs::read(midi)?, rate.parse()?);
    let mut engine = engine(name, &bank, rate, voices.parse()?)?;
    let frames = play(engine.as_mut(), &Smf::parse(&midi)?, rate)?;
    write(Path::new(wav), rate, &frames)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use io::Write;
            // Where standard error is lost too, the exit code says it.
            let _ = writeln!(io::stderr(), "peer: {error}");
            ExitCode::FAILURE
        }
    }
}
