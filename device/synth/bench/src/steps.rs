//! The cost of a voice by its step: how many of its wave's samples it plays a frame.
//!
//! Every wave is looped and as long as those of the comparison, and is played at the key at which it was recorded, so
//! that its rate over the output's is the step.

use std::sync::Arc;

use dls_synth::dls::spec::REGION_SELF_NON_EXCLUSIVE;
use dls_synth::dls::{Collection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use dls_synth::{Bank, Kernel};

use crate::clock::{median, on_this_thread};
use crate::comparison::{ComparisonError, Effort};
use crate::engines::{BLOCK, DlsSynth, Engine, RATE, Setting};
use crate::record::Record;

/// Steps in hundredths of a sample a frame; the first is what the others are compared with.
const STEPS: [u32; 7] = [100, 90, 110, 150, 200, 300, 400];

/// Voices that sound.
const VOICES: u16 = 256;

/// Samples of a wave.
const SAMPLES: u32 = 16_384;

/// Waves, one for each of so many programs.
const WAVES: u8 = 16;

/// Measures a voice at each step, in turn.
///
/// # Errors
/// [`ComparisonError`] when the synthesizer refuses its setting.
pub(crate) fn run(effort: Effort, kernel: Kernel) -> Result<Vec<Record>, ComparisonError> {
    let setting = Setting { voices: VOICES, effects: false };
    let mut engines = Vec::new();
    for step in STEPS {
        let mut engine = DlsSynth::new(&Arc::new(bank(RATE * step / 100)), setting, kernel)?;
        for channel in (0..16u8).filter(|channel| *channel != 9) {
            engine.midi(&[0xC0 | channel, channel % WAVES]);
            // Eighteen on each of fifteen channels; those beyond the last voice are not begun.
            for _ in 0..VOICES.div_ceil(15) {
                if engine.voices() != Some(VOICES.into()) {
                    engine.midi(&[0x90 | channel, 60, 100]);
                }
            }
        }
        engine.render(BLOCK);
        engines.push((step, engine, Vec::new()));
    }
    let frames = effort.voice_seconds / f64::from(VOICES) * f64::from(RATE);
    let blocks = (frames as usize).div_ceil(BLOCK);
    for _ in 0..effort.rounds {
        for (_, engine, times) in &mut engines {
            let spent = on_this_thread(|| (0..blocks).for_each(|_| engine.render(BLOCK)));
            times.push(spent.processor.as_nanos() as f64 / (blocks * BLOCK) as f64 / f64::from(VOICES));
        }
    }
    let medians: Vec<(u32, f64)> = engines.into_iter().map(|(step, _, times)| (step, median(times))).collect();
    let first = medians.first().map(|(_, value)| *value);
    let record = |(step, value): (u32, f64)| {
        let name = format!("synth/step/{}.{:02}", step / 100, step % 100);
        Record::new(name, value, "ns/voice-frame", first.filter(|_| step != STEPS[0]))
    };
    Ok(medians.into_iter().map(record).collect())
}

/// Makes a bank whose waves have this rate.
fn bank(sample_rate: u32) -> Bank {
    let wave = |seed: u32| {
        let sample = |i: u32| (i.wrapping_mul(seed | 1).wrapping_mul(2_654_435_761) >> 18) as i16;
        Some(Arc::new(Wave::new("", sample_rate, &(0..SAMPLES).map(sample).collect::<Vec<_>>(), None)))
    };
    let region = |index: u32| Region {
        keys: (0, 127),
        velocities: (0, 127),
        options: REGION_SELF_NON_EXCLUSIVE,
        key_group: 0,
        sample: Some(WaveSample {
            sample_loop: Some(SampleLoop { until_release: false, start: 0, length: SAMPLES }),
            ..WaveSample::default()
        }),
        link: WaveLink { channels: 1, index, ..WaveLink::default() },
        articulation: None,
        sound_font: None,
    };
    let instrument = |program: u8| Instrument {
        patch: Patch { program, ..Patch::default() },
        regions: vec![region(program.into())],
        ..Instrument::default()
    };
    Bank::from_collection(&Collection {
        instruments: (0..WAVES).map(instrument).collect(),
        waves: (0..u32::from(WAVES)).map(wave).collect(),
        ..Collection::default()
    })
}
