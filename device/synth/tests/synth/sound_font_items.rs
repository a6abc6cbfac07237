//! SoundFonts as other tools make them: what sounds of several presets, generators beyond their limits, items that cannot
//! be played beside ones that can.

use std::sync::Arc;

use crate::common::sf2::*;
use crate::common::*;
use dls_synth::dls::{Collection, PassedOver, Patch};
use dls_synth::{Bank, Rule, Synth};

const KEY: u16 = 46;
const VELOCITY: u16 = 47;
const VELOCITY_RANGE: u16 = 44;
const FINE_TUNE: u16 = 52;
const ROOT_KEY: u16 = 58;

/// Samples of a turn of the tones: 500 Hz, 1000 Hz, 750 Hz.
const TONES: [u32; 3] = [96, 48, 64];

fn synth(file: &[u8]) -> Synth {
    plain_synth(dry(), &Collection::load(file).unwrap().collection)
}

/// Plays messages from frame 0 on; the left output.
fn heard(file: &[u8], messages: &[&[u8]], frames: usize) -> Vec<f32> {
    let mut synth = synth(file);
    messages.iter().for_each(|message| synth.midi(0, message));
    render(&mut synth, frames).iter().map(|frame| frame[0]).collect()
}

/// Returns the frequency in Hz of a steady tone, by its zero crossings upwards, and 0 for silence.
fn hertz(out: &[f32]) -> f64 {
    let crossings: Vec<f64> = out
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(i, pair)| i as f64 + f64::from(-pair[0] / (pair[1] - pair[0])))
        .collect();
    let (Some(first), Some(last)) = (crossings.first(), crossings.last()) else { return 0.0 };
    (crossings.len() - 1) as f64 * f64::from(RATE) / (last - first).max(1.0)
}

fn peak(out: &[f32]) -> f32 {
    out.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn warnings(file: &[u8]) -> Vec<PassedOver> {
    Collection::load(file).unwrap().warnings.iter().map(|warning| warning.what.clone()).collect()
}

#[test]
fn of_two_presets_at_one_bank_and_program_the_first_sounds() {
    let mut font = Fonts::of_tones(&TONES[..2]);
    font.presets[1].1 = 0;
    close(hertz(&heard(&font.file(), &[NOTE_ON], 9600)), 500.0, 0.5);
    let second = PassedOver::SecondPreset { name: "Preset 1".into(), first: "Preset 0".into() };
    assert_eq!(warnings(&font.file()), [second]);
    // One that cannot be played leaves its place.
    font.samples[0].0[1] = 0;
    close(hertz(&heard(&font.file(), &[NOTE_ON], 9600)), 1000.0, 0.5);
}

#[test]
fn a_fixed_key_takes_the_place_of_the_note() {
    let font = Fonts::of_tones(&TONES[..1]).with(0, &[(KEY, 60)]).file();
    let fixed = heard(&font, &[&[0x90, 72, FULL]], 9600);
    close(hertz(&fixed), 500.0, 0.5);
    assert_eq!(fixed, heard(&Fonts::of_tones(&TONES[..1]).file(), &[NOTE_ON], 9600));
    // Also for what else follows the key: scale tuning, and the decay of an envelope.
    let follows: Generators<'_> = &[(SCALE_TUNING, 50), (36, 0), (37, 900), (40, 100), (39, 40), (35, -4000)];
    let free = heard(&Fonts::of_tones(&TONES[..1]).with(0, follows).file(), &[&[0x90, 70, FULL]], 9600);
    let fixed = Fonts::of_tones(&TONES[..1]).with(0, follows).with(0, &[(KEY, 70)]).file();
    let fixed = heard(&fixed, &[&[0x90, 30, FULL]], 9600);
    let difference = free.iter().zip(&fixed).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(peak(&free) > 0.01 && difference < 1e-5, "{difference}");
    // It chooses no zone, and a note-off still names the note.
    let ranged = Fonts::of_tones(&TONES[..1]).with(0, &[(KEY_RANGE, 90 << 8 | 70), (KEY, 60)]).file();
    assert_eq!(peak(&heard(&ranged, &[NOTE_ON], 4800)), 0.0);
    let mut playing = synth(&ranged);
    playing.midi(0, &[0x90, 72, FULL]);
    assert!(render(&mut playing, 4800).iter().any(|frame| frame[0].abs() > 0.01));
    playing.midi(0, &[0x80, 72, 0]);
    render(&mut playing, 4800);
    assert_eq!(playing.active_voices(), 0);
}

#[test]
fn a_fixed_velocity_has_the_level_of_that_velocity() {
    let plain = Fonts::of_tones(&TONES[..1]).file();
    let fixed = |velocity| Fonts::of_tones(&TONES[..1]).with(0, &[(VELOCITY, velocity)]).file();
    let loudest = heard(&plain, &[NOTE_ON], 4800);
    assert_eq!(heard(&fixed(127), &[&[0x90, 60, 32]], 4800), loudest);
    let soft = heard(&plain, &[&[0x90, 60, 40]], 4800);
    close(f64::from(peak(&heard(&fixed(40), &[NOTE_ON], 4800)) / peak(&soft)), 1.0, 1e-4);
    let above = heard(&fixed(200), &[&[0x90, 60, 1]], 4800);
    assert_eq!(above, loudest, "above 127 is 127");
    assert_eq!(heard(&fixed(-1), &[NOTE_ON], 4800), loudest, "less than 0 is none");
}

/// As DLS a fixed key and velocity are plain connections, and the rest is the nearest that DLS has.
#[test]
fn a_font_with_fixed_key_and_velocity_sounds_alike_as_dls() {
    let file = Fonts::of_tones(&TONES[..1]).with(0, &[(KEY, 66), (VELOCITY, 90), (39, 30), (35, -3000)]).file();
    let font = Collection::from_sf2(&file).unwrap();
    let loaded = Collection::load(&font.to_dls()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let (dls, own) = (heard(&font.to_dls(), &[NOTE_ON], 4800), heard(&file, &[NOTE_ON], 4800));
    close(hertz(&dls), hertz(&own), 0.1);
    close(f64::from(peak(&dls) / peak(&own)), 1.0, 0.05);
}

/// Returns whether two notes in these exclusive classes both sound on, at keys 40 and 50.
fn both_sound(classes: [i16; 2], as_dls: bool) -> bool {
    let mut font = Fonts::of_tones(&TONES[..1]);
    let zone = |key: i16, class| vec![(KEY_RANGE, key << 8 | key), (57, class), (SAMPLE_MODES, 1), (SAMPLE, 0)];
    font.instruments[0] = vec![zone(40, classes[0]), zone(50, classes[1])];
    let mut file = font.file();
    if as_dls {
        file = Collection::from_sf2(&file).unwrap().to_dls();
    }
    let mut playing = synth(&file);
    playing.midi(0, &[0x90, 40, FULL]);
    render(&mut playing, 4800);
    playing.midi(0, &[0x90, 50, FULL]);
    render(&mut playing, 24_000);
    playing.active_voices() == 2
}

#[test]
fn exclusive_classes_are_never_folded_onto_others() {
    for classes in [[1, 16], [15, 30], [1, 127], [0, 0], [127, 112]] {
        assert!(both_sound(classes, false) && both_sound(classes, true), "{classes:?}");
    }
    for class in [1, 16, 127] {
        assert!(!both_sound([class, class], false) && !both_sound([class, class], true), "{class}");
    }
    assert!(both_sound([128, 128], false), "128 is no class");
}

#[test]
fn banks_and_programs_beyond_midi_are_left_out_by_name_and_never_folded() {
    for (bank, program) in [(129, 0), (256, 0), (0x8000, 0), (0, 128), (128, 200), (0, 0xFFFF)] {
        let mut font = Fonts::of_tones(&TONES[..2]);
        (font.presets[1].0, font.presets[1].1) = (bank, program);
        let loaded = Collection::load(&font.file()).unwrap();
        let patches: Vec<Patch> = loaded.collection.instruments.iter().map(|instrument| instrument.patch).collect();
        assert_eq!(patches, [Patch::default()]);
        let text = loaded.warnings.iter().next().unwrap().to_string();
        assert!(text.contains("\"Preset 1\"") && text.contains(&bank.to_string()), "{text}");
    }
    let mut font = Fonts::of_tones(&TONES[..2]);
    (font.presets[0].0, font.presets[1].0, font.presets[1].1) = (127, 128, 127);
    assert_eq!(Collection::load(&font.file()).unwrap().collection.instruments.len(), 2);
}

#[test]
fn a_program_of_a_dls_file_is_never_folded_either() {
    let mut collection = Collection::from_sf2(&Fonts::of_tones(&TONES[..2]).file()).unwrap();
    collection.instruments[1].patch.program = 127;
    let mut file = collection.to_dls();
    let place = file.windows(12).rposition(|part| &part[..8] == b"insh\x0c\0\0\0").unwrap();
    assert_eq!(file[place + 16], 127);
    file[place + 16] = 128;
    let loaded = Collection::load(&file).unwrap();
    assert_eq!(loaded.collection.instruments.len(), 1);
    assert_eq!(loaded.warnings.iter().next().unwrap().what, PassedOver::ReservedPatch { bank: 0, program: 128 });
}

/// Every generator with limits, in an instrument, a preset, and as the sum of both: as at the nearest limit.
#[test]
fn clamps_each_generator_to_its_limits_after_the_sum() {
    type Case = (u16, i16, i16);
    let cases: [Case; 33] = [
        (5, -12_000, 12_000),
        (6, -12_000, 12_000),
        (7, -12_000, 12_000),
        (8, 1500, 13_500),
        (9, 0, 960),
        (10, -12_000, 12_000),
        (11, -12_000, 12_000),
        (13, -960, 960),
        (15, 0, 1000),
        (16, 0, 1000),
        (17, -500, 500),
        (21, -12_000, 5000),
        (22, -16_000, 4500),
        (23, -12_000, 5000),
        (24, -16_000, 4500),
        (25, -12_000, 5000),
        (26, -12_000, 8000),
        (27, -12_000, 5000),
        (28, -12_000, 8000),
        (29, 0, 1000),
        (30, -12_000, 8000),
        (31, -1200, 1200),
        (32, -1200, 1200),
        (33, -12_000, 5000),
        (34, -12_000, 8000),
        (35, -12_000, 5000),
        (36, -12_000, 8000),
        (37, 0, 1440),
        (38, -12_000, 8000),
        (39, -1200, 1200),
        (40, -1200, 1200),
        (48, 0, 1440),
        (51, -120, 120),
    ];
    let read = |instrument: &[(u16, i16)], preset: &[(u16, i16)]| {
        let mut font = Fonts::of_tones(&TONES[..1]).with(0, instrument);
        font.presets[0].2[0].splice(0..0, preset.iter().copied());
        Collection::load(&font.file()).unwrap().collection.instruments
    };
    for (number, least, greatest) in cases.into_iter().chain([(FINE_TUNE, -99, 99), (SCALE_TUNING, 0, 1200)]) {
        for (limit, beyond) in [(least, i16::MIN), (greatest, i16::MAX)] {
            let at_limit = read(&[(number, limit)], &[]);
            assert_eq!(read(&[(number, beyond)], &[]), at_limit, "{number} in an instrument");
            // The preset's part alone may be anything.
            assert_eq!(read(&[(number, limit)], &[(number, beyond)]), at_limit, "{number} as a sum");
        }
        let back = read(&[(number, i16::MIN)], &[(number, i16::MAX)]);
        assert_eq!(back, read(&[(number, (-1).clamp(least, greatest))], &[]), "{number}: the sum is what is clamped");
    }
}

#[test]
fn a_negative_attenuation_has_the_level_of_none() {
    let level = |attenuation| {
        peak(&heard(&Fonts::of_tones(&TONES[..1]).with(0, &[(ATTENUATION, attenuation)]).file(), &[NOTE_ON], 4800))
    };
    assert_eq!(level(-9975), level(0));
    assert!(level(100) < level(0));
}

#[test]
fn a_sample_without_rate_plays_at_the_nearest_practical_one() {
    let mut font = Fonts::of_tones(&TONES[..2]);
    font.samples[1].0[4] = 0;
    let loaded = Collection::load(&font.file()).unwrap();
    let what = PassedOver::SampleRate { name: "Sample 1".into(), rate: 0, used: 400 };
    assert_eq!(loaded.warnings.iter().map(|w| w.what.clone()).collect::<Vec<_>>(), [what]);
    assert_eq!(loaded.collection.instruments.len(), 2);
    close(hertz(&heard(&font.file(), &[NOTE_ON], 9600)), 500.0, 0.5);
    // 48 samples a turn, at 400 Hz.
    close(hertz(&heard(&font.file(), &[&[0xC0, 1], NOTE_ON], 96_000)), 400.0 / 48.0, 0.05);
    font.samples[1].0[4] = 1_000_000;
    assert_eq!(Collection::load(&font.file()).unwrap().collection.waves[1].as_ref().unwrap().sample_rate, 192_000);
}

/// One broken item beside a good preset: it is left out with its name, and the good one sounds.
#[test]
fn what_cannot_be_played_is_left_out_by_name_and_the_rest_plays() {
    type Break = fn(&mut Fonts);
    let cases: [(&str, Break, &str); 14] = [
        ("an empty sample", |font| font.samples[1].0[1] = font.samples[1].0[0], "\"Sample 1\""),
        ("a sample that ends before it begins", |font| font.samples[1].0[1] = 3, "\"Sample 1\""),
        ("a sample beyond the data", |font| font.samples[1].0[1] = 1 << 20, "\"Sample 1\""),
        (
            "a sample whose start is moved beyond its end",
            |font| font.instruments[1][0].insert(0, (4, 9)),
            "\"Sample 1\"",
        ),
        ("a compressed sample", |font| font.samples[1].1.3 = 0x11, "SF3"),
        ("a sample in ROM", |font| font.samples[1].1.3 = 0x8001, "\"Sample 1\""),
        ("a zone of no sample", |font| font.instruments[1][0][1].1 = 99, "\"Instrument 1\""),
        ("a zone of no instrument", |font| font.presets[1].2[0][0].1 = 99, "\"Preset 1\""),
        (
            "an empty range of keys",
            |font| font.instruments[1][0].insert(0, (KEY_RANGE, 10 << 8 | 20)),
            "\"Instrument 1\"",
        ),
        (
            "an empty range of a preset",
            |font| font.presets[1].2[0].insert(0, (KEY_RANGE, 10 << 8 | 20)),
            "\"Preset 1\"",
        ),
        (
            "velocities beyond 127",
            |font| font.instruments[1][0].insert(0, (VELOCITY_RANGE, i16::MIN | 200)),
            "\"Instrument 1\"",
        ),
        ("an unreachable bank", |font| font.presets[1].0 = 200, "\"Preset 1\""),
        ("an unreachable program", |font| font.presets[1].1 = 128, "\"Preset 1\""),
        ("a bank and program that are taken", |font| font.presets[1].1 = 0, "\"Preset 1\""),
    ];
    for (name, broken, named) in cases {
        let mut font = Fonts::of_tones(&TONES);
        broken(&mut font);
        let loaded = Collection::load(&font.file()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let texts: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(texts.iter().any(|text| text.contains(named)), "{name}: {texts:?}");
        close(hertz(&heard(&font.file(), &[NOTE_ON], 9600)), 500.0, 0.5);
        close(hertz(&heard(&font.file(), &[&[0xC0, 2], NOTE_ON], 9600)), 750.0, 0.5);
    }
}

/// What is read otherwise than it is written, with a warning, and plays.
#[test]
fn what_is_odd_plays_with_a_warning() {
    type Break = fn(&mut Fonts);
    let cases: [(&str, Break, &str); 9] = [
        ("a loop beyond the sample", |font| font.samples[0].0[3] = 5000, "the loop 96 to 5000"),
        ("a loop that ends before it begins", |font| font.samples[0].0[3] = 3, "the loop 96 to 3"),
        ("a link to no sample", |font| font.samples[0].1.2 = 77, "linked to sample 77"),
        (
            "a key range behind another generator",
            |font| font.instruments[0][0].insert(1, (KEY_RANGE, 1)),
            "generator 43 (keyRange)",
        ),
        (
            "a velocity range behind another",
            |font| font.instruments[0][0].insert(1, (VELOCITY_RANGE, 1)),
            "generator 44 (velRange)",
        ),
        (
            "a generator behind the end",
            |font| font.instruments[0][0].push((ATTENUATION, 1440)),
            "generator 48 is behind",
        ),
        (
            "an instrument in an instrument",
            |font| font.instruments[0][0].insert(0, (INSTRUMENT, 0)),
            "generator 41 (instrument)",
        ),
        ("a sample in a preset", |font| font.presets[0].2[0].insert(0, (SAMPLE, 0)), "generator 53 (sampleID)"),
        (
            "a generator of instruments in a preset",
            |font| font.presets[0].2[0].insert(0, (ROOT_KEY, 30)),
            "generator 58 counts",
        ),
    ];
    for (name, broken, says) in cases {
        let mut font = Fonts::of_tones(&TONES[..1]);
        font.samples[0].1.3 = if name.contains("link") { 4 } else { 1 };
        broken(&mut font);
        let loaded = Collection::load(&font.file()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let texts: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert!(matches!(&texts[..], [text] if text.contains(says)), "{name}: {texts:?}");
        let out = heard(&font.file(), &[NOTE_ON], 380);
        assert!(peak(&out) > 0.01, "{name}");
        close(hertz(&out), 500.0, 3.0);
    }
}

#[test]
fn sample_modes_without_meaning_play_once() {
    for (mode, loops) in [(0, false), (1, true), (2, false), (3, true), (4, false), (5, true)] {
        let mut font = Fonts::of_tones(&TONES[..1]);
        font.instruments[0][0][0].1 = mode;
        let found = Collection::load(&font.file()).unwrap().collection.instruments[0].regions[0].sample.unwrap();
        assert_eq!(found.sample_loop.is_some(), loops, "{mode}");
        assert_eq!(found.sample_loop.is_some_and(|found| found.until_release), mode == 3, "{mode}");
    }
}

#[test]
fn a_font_in_which_nothing_is_left_is_refused_for_the_first_item() {
    let mut font = Fonts::of_tones(&TONES[..2]);
    font.samples.iter_mut().for_each(|sample| sample.1.3 = 0x11);
    assert_eq!(Bank::from_bytes(&font.file()).unwrap_err().rule, Rule::Compressed);
    font.presets.iter_mut().for_each(|preset| preset.0 = 300);
    assert_eq!(Bank::from_bytes(&font.file()).unwrap_err().rule, Rule::Unreachable { bank: 300, program: 0 });
}

/// All layers of a note sound, up to what a download may have; one more is said.
#[test]
fn plays_more_than_sixteen_regions_on_one_key() {
    let layered = |count: usize| {
        let mut font = Fonts::of_tones(&TONES[..1]);
        font.instruments[0] = vec![font.instruments[0][0].clone(); count];
        Collection::load(&font.file()).unwrap()
    };
    let loaded = layered(40);
    assert!(loaded.warnings.is_empty());
    let mut synth = Synth::new(dry(), Arc::new(Bank::from_collection(&loaded.collection))).unwrap();
    synth.midi(0, NOTE_ON);
    render(&mut synth, 100);
    assert_eq!((synth.active_voices(), synth.notes_lost()), (40, 0));
    let most = dls_synth::limits::LAYERS_MAX;
    assert!(layered(most).warnings.is_empty());
    let text = layered(most + 1).warnings.iter().next().unwrap().to_string();
    assert!(text.contains(&format!("{} regions of \"Preset 0\" sound", most + 1)), "{text}");
}
