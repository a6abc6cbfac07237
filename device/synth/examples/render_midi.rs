//! Plays a standard MIDI file through a bank into a 16-bit WAV file.
//!
//! `render_midi SONG.mid OUT.wav [BANK.dls]`

use std::error::Error;
use std::sync::Arc;

use dls_synth::{Bank, Synth, SynthConfig};
use midly::{MetaMessage, MidiMessage, Smf, Timing, TrackEventKind};

/// After the last event, so that notes and reverb can die away.
const TAIL_SECONDS: f64 = 3.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, song, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: render_midi SONG.mid OUT.wav [BANK.dls]".into());
    };
    let bank = match rest.first() {
        Some(path) => Arc::new(Bank::from_bytes(&std::fs::read(path)?)?),
        None => Bank::builtin(),
    };
    let config = SynthConfig::default();
    let mut synth = Synth::new(config, bank)?;
    let bytes = std::fs::read(song)?;
    let events = timed_events(&Smf::parse(&bytes)?);

    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: config.sample_rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(out, spec)?;
    let (mut frame, mut peak, mut voices) = (0u64, 0f32, 0);
    let mut render = |synth: &mut Synth, frames: u64| -> Result<(), hound::Error> {
        let mut block = vec![[0.0; 2]; frames as usize];
        synth.render(&mut block);
        for sample in block.as_flattened() {
            peak = peak.max(sample.abs());
            writer.write_sample((sample * 32_768.0).clamp(-32_768.0, 32_767.0).round() as i16)?;
        }
        voices = voices.max(synth.active_voices());
        Ok(())
    };
    for (seconds, message) in &events {
        let at = (seconds * f64::from(config.sample_rate)) as u64;
        render(&mut synth, at - frame)?;
        frame = at;
        synth.midi(0, message);
    }
    render(&mut synth, (TAIL_SECONDS * f64::from(config.sample_rate)) as u64)?;
    writer.finalize()?;
    println!(
        "{} events, peak {:.2} dBFS, most voices {voices}, notes lost {}",
        events.len(),
        20.0 * peak.log10(),
        synth.notes_lost()
    );
    Ok(())
}

/// All messages with their times in seconds, in playing order.
fn timed_events(smf: &Smf<'_>) -> Vec<(f64, Vec<u8>)> {
    let mut all = Vec::new();
    for track in &smf.tracks {
        let mut tick = 0u64;
        for event in track {
            tick += u64::from(event.delta.as_int());
            all.push((tick, event.kind));
        }
    }
    all.sort_by_key(|(tick, _)| *tick);
    let (mut tick, mut seconds) = (0, 0.0);
    let mut seconds_per_tick = match smf.header.timing {
        Timing::Metrical(division) => 0.5 / f64::from(division.as_int()),
        Timing::Timecode(rate, subframe) => 1.0 / f64::from(rate.as_f32()) / f64::from(subframe),
    };
    let mut out = Vec::new();
    for (at, kind) in all {
        seconds += (at - tick) as f64 * seconds_per_tick;
        tick = at;
        match kind {
            TrackEventKind::Meta(MetaMessage::Tempo(tempo)) => {
                if let Timing::Metrical(division) = smf.header.timing {
                    seconds_per_tick = f64::from(tempo.as_int()) * 1e-6 / f64::from(division.as_int());
                }
            }
            TrackEventKind::Midi { channel, message } => out.push((seconds, bytes_of(channel.as_int(), message))),
            TrackEventKind::SysEx(data) => out.push((seconds, [&[0xF0], data].concat())),
            _ => {}
        }
    }
    out
}

fn bytes_of(channel: u8, message: MidiMessage) -> Vec<u8> {
    match message {
        MidiMessage::NoteOff { key, vel } => vec![0x80 | channel, key.as_int(), vel.as_int()],
        MidiMessage::NoteOn { key, vel } => vec![0x90 | channel, key.as_int(), vel.as_int()],
        MidiMessage::Aftertouch { key, vel } => vec![0xA0 | channel, key.as_int(), vel.as_int()],
        MidiMessage::Controller { controller, value } => vec![0xB0 | channel, controller.as_int(), value.as_int()],
        MidiMessage::ProgramChange { program } => vec![0xC0 | channel, program.as_int()],
        MidiMessage::ChannelAftertouch { vel } => vec![0xD0 | channel, vel.as_int()],
        MidiMessage::PitchBend { bend } => {
            let value = bend.0.as_int();
            vec![0xE0 | channel, value as u8 & 0x7F, (value >> 7) as u8]
        }
    }
}
