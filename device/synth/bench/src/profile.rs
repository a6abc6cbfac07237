//! The profile of `dls-synth`: each section of rendering repeated alone on the comparison's notes, in turn with the
//! whole. The whole less the sections is the rest.

use dls_synth::Kernel;
use dls_synth::profile::{Section, TICK_FRAMES};

use crate::clock::{median, on_this_thread};
use crate::comparison::{ComparisonError, Effort};
use crate::engines::{BLOCK, DlsSynth, Engine, RATE, Setting};
use crate::font::{Work, sound_font};
use crate::record::Record;
use crate::score;

/// Blocks before anything is measured: until attacks are over.
const WARM_UP: usize = RATE as usize * 3 / 10 / BLOCK;

/// The measured parts: the whole, or a section of it.
const PARTS: [(&str, Option<Section>); 6] = [
    ("all", None),
    ("control", Some(Section::Control)),
    ("oscillators", Some(Section::Oscillators)),
    ("filter-and-mix", Some(Section::Mix)),
    ("sum", Some(Section::Sum)),
    ("effects", Some(Section::Effects)),
];

/// Measures every section with so many voices, filter, vibrato and effects at work.
///
/// # Errors
/// [`ComparisonError`] when the synthesizer refuses its setting.
pub(crate) fn profile(voices: u16, effort: Effort, kernel: Kernel) -> Result<Vec<Record>, ComparisonError> {
    let bank = DlsSynth::bank(&sound_font(Work::ALL))?;
    let mut parts = Vec::new();
    // The voices' state is meaningless after a section was repeated, so that each has a synthesizer of its own.
    for (name, section) in PARTS {
        let mut engine = DlsSynth::new(&bank, Setting { voices, effects: true }, kernel)?;
        score::messages(voices).iter().for_each(|message| engine.midi(message));
        (0..WARM_UP).for_each(|_| engine.render(BLOCK));
        parts.push((name, section, engine, Vec::new()));
    }
    let frames = effort.voice_seconds / f64::from(voices) * f64::from(RATE);
    let blocks = (frames as usize).div_ceil(BLOCK);
    let ticks = (blocks * BLOCK).div_ceil(TICK_FRAMES);
    for _ in 0..effort.rounds {
        for (_, section, engine, times) in &mut parts {
            let (spent, frames) = match section {
                None => (on_this_thread(|| (0..blocks).for_each(|_| engine.render(BLOCK))), blocks * BLOCK),
                Some(section) => (on_this_thread(|| engine.repeat(*section, ticks)), ticks * TICK_FRAMES),
            };
            times.push(spent.processor.as_nanos() as f64 / frames as f64 / f64::from(voices));
        }
    }
    let mut medians = parts.into_iter().map(|(name, _, _, times)| (name, median(times)));
    let (whole, all) = medians.next().expect("the whole comes first");
    let mut rest = all;
    let mut records = Vec::new();
    let mut add = |name, value| {
        records.push(Record::new(format!("synth/profile/{voices}/{name}"), value, "ns/voice-frame", None));
    };
    for (name, value) in medians {
        add(name, value);
        rest -= value;
    }
    add("rest", rest);
    add(whole, all);
    Ok(records)
}
