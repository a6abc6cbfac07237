//! Where our own time goes: the same notes with one kind of work more each time. The differences are what that work
//! costs.

use dls_synth::Kernel;

use crate::clock::{median, on_this_thread};
use crate::contest::{ContestError, Effort};
use crate::engines::{BLOCK, DlsSynth, Engine, RATE, Setting};
use crate::font::{Work, sound_font};
use crate::record::Record;
use crate::score;

/// Blocks before anything is measured: until attacks are over.
const WARM_UP: usize = RATE as usize * 3 / 10 / BLOCK;

/// The steps: what is added, and what then has to be done.
const STEPS: [(&str, Work, bool); 4] = [
    ("oscillator-envelopes-mix", Work { filter: false, vibrato: false }, false),
    ("filter", Work { filter: true, vibrato: false }, false),
    ("vibrato", Work::ALL, false),
    ("effects", Work::ALL, true),
];

/// Measures each step with so many voices.
///
/// # Errors
/// The synthesizer does not take its own setting.
pub(crate) fn profile(voices: u16, effort: Effort, kernel: Kernel) -> Result<Vec<Record>, ContestError> {
    let mut engines = Vec::new();
    for (name, work, effects) in STEPS {
        let bank = DlsSynth::bank(&sound_font(work))?;
        let mut engine = DlsSynth::new(&bank, Setting { voices, effects }, kernel)?;
        score::messages(voices).iter().for_each(|message| engine.midi(message));
        (0..WARM_UP).for_each(|_| engine.render(BLOCK));
        engines.push((name, engine, Vec::new()));
    }
    let frames = effort.voice_seconds / f64::from(voices) * f64::from(RATE);
    let blocks = (frames as usize).div_ceil(BLOCK);
    for _ in 0..effort.rounds {
        for (_, engine, times) in &mut engines {
            let spent = on_this_thread(|| (0..blocks).for_each(|_| engine.render(BLOCK)));
            times.push(spent.processor.as_nanos() as f64 / (blocks * BLOCK) as f64 / f64::from(voices));
        }
    }
    let mut records = Vec::new();
    let mut before = 0.0;
    for (name, _, times) in engines {
        let all = median(times);
        records.push(Record::new(format!("synth/profile/{voices}/{name}"), all - before, "ns/voice-frame", None));
        before = all;
    }
    records.push(Record::new(format!("synth/profile/{voices}/all"), before, "ns/voice-frame", None));
    Ok(records)
}
