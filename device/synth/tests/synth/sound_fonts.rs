//! SoundFont 2 files: that they arrive in the same instrument model with the same sound.

use crate::common::sf2::*;
use crate::common::*;
use dls_synth::dls::spec::destination as d;
use dls_synth::dls::{Collection, Patch};
use dls_synth::{Bank, Rule};

const LOOPED: (u16, i16) = (SAMPLE_MODES, 1);

/// What is taken from every SoundFont, in dB.
const HEADROOM: f64 = 17.0;

fn heard(preset: Generators<'_>, instrument: Generators<'_>, events: &[(usize, &[u8])], frames: usize) -> Trace {
    trace_of(|q| Collection::from_sf2(&font(0, 0, preset, instrument, q)).unwrap(), events, frames, 0)
}

#[test]
fn a_preset_becomes_an_instrument_with_its_loop_and_its_pitch() {
    let trace = heard(&[], &[LOOPED], &[(0, &[0x90, 64, FULL])], 9000);
    close(trace.decibels(8000), -HEADROOM, 0.05);
    close(trace.cents_around(5000, 2560), 400.0, 0.25);
    let once = heard(&[], &[], &[(0, NOTE_ON)], 2000);
    assert_eq!(once.amplitude[4 * TURN + 10], 0.0, "without a loop it ends");
}

#[test]
fn bank_select_finds_the_banks_of_a_font() {
    let patch_of = |bank| Collection::from_sf2(&font(bank, 5, &[], &[], 0.0)).unwrap().instruments[0].patch;
    assert_eq!(patch_of(0), Patch { program: 5, ..Patch::default() });
    assert_eq!(patch_of(8), Patch { program: 5, bank_msb: 8, ..Patch::default() });
    assert_eq!(patch_of(128), Patch { program: 5, drums: true, ..Patch::default() });
}

#[test]
fn envelopes_keep_their_slopes() {
    // One second from full to -100 dB, to a sustain of -40 dB; then a release of half a second.
    let zone = [(ATTACK_VOLUME, -12_000), (DECAY_VOLUME, 0), (SUSTAIN_VOLUME, 400), (RELEASE_VOLUME, -1200), LOOPED];
    let off = frame(0.6);
    let trace = heard(&[], &zone, &[(0, NOTE_ON), (off, NOTE_OFF)], frame(1.0));
    close(trace.decibels(frame(0.2)) + HEADROOM, -20.0, 0.3);
    close(trace.decibels(frame(0.5)) + HEADROOM, -40.0, 0.1);
    close(trace.decibels(off + frame(0.1)) + HEADROOM, -60.0, 0.3);
}

#[test]
fn generators_of_a_preset_add_to_those_of_its_instrument() {
    let trace = heard(&[(COARSE_TUNE, 2)], &[(COARSE_TUNE, 3), LOOPED], &[(0, NOTE_ON)], 6000);
    close(trace.cents_around(3000, 2560), 500.0, 0.25);
    let quarter = heard(&[], &[(SCALE_TUNING, 25), LOOPED], &[(0, &[0x90, 72, FULL])], 6000);
    close(quarter.cents_around(3000, 2560), 300.0, 0.25);
}

#[test]
fn intersects_ranges_and_converts_exclusive_classes_to_key_groups() {
    let range = |low: i16, high: i16| (KEY_RANGE, high << 8 | low);
    let bytes = font(0, 0, &[range(20, 70)], &[range(60, 90), (EXCLUSIVE_CLASS, 3), LOOPED], 0.0);
    let collection = Collection::from_sf2(&bytes).unwrap();
    let found = &collection.instruments[0].regions[0];
    assert_eq!((found.keys, found.key_group), ((60, 70), 3));
}

#[test]
fn refuses_files_that_are_no_sound_fonts_with_the_reason() {
    let mut broken = font(0, 0, &[], &[], 0.0);
    broken.truncate(40);
    assert_eq!(Bank::from_bytes(&broken).unwrap_err().rule, Rule::BeyondList { size: 46, room: 20 });
}

/// Makes a note of this velocity after these messages, of a font with these modulators: decibels over the plain font's
/// note of full velocity, and cents over the tone.
fn modulated(modulators: Modulators<'_>, messages: &[[u8; 3]], velocity: u8) -> (f64, f64) {
    let note = [0x90, 60, velocity];
    let mut events: Vec<(usize, &[u8])> = messages.iter().map(|m| (0, &m[..])).collect();
    events.push((0, &note));
    let collection = |q| {
        let loaded = Collection::load(&Font::new(&[], &[LOOPED], q).with(modulators).file()).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        loaded.collection
    };
    let trace = trace_of(collection, &events, 9000, 0);
    (trace.decibels(8000) + HEADROOM, trace.cents_around(5000, 2560))
}

const NO_SOURCE: u16 = 0;
const VELOCITY_DOWN_CONCAVE: u16 = 0x0502;
const VELOCITY_UP: u16 = 0x0002;
const KEY_UP: u16 = 0x0003;
const PRESSURE_UP: u16 = 0x000D;

/// Makes a MIDI controller, straight up.
const fn controller(number: u16) -> u16 {
    0x80 | number
}

#[test]
fn a_modulator_connects_a_controller_to_pitch_and_gain() {
    // CC16 to coarse tune, 12 semitones; to attenuation, 20 dB.
    let pitch = [(controller(16), COARSE_TUNE, 12, NO_SOURCE, 0)];
    close(modulated(&pitch, &[[0xB0, 16, 0]], FULL).1, 0.0, 0.25);
    close(modulated(&pitch, &[[0xB0, 16, 64]], FULL).1, 600.0, 0.25);
    let gain = [(controller(16), ATTENUATION, 200, NO_SOURCE, 0)];
    close(modulated(&gain, &[[0xB0, 16, 64]], FULL).0, -10.0, 0.05);
    // Both ways from the middle, and down.
    let both_ways = [(controller(16) | 0x200, 52, 100, NO_SOURCE, 0)];
    close(modulated(&both_ways, &[[0xB0, 16, 32]], FULL).1, -50.0, 0.25);
    let down = [(controller(16) | 0x100, 52, 128, NO_SOURCE, 0)];
    close(modulated(&down, &[[0xB0, 16, 100]], FULL).1, 27.0, 0.25);
}

#[test]
fn multiplies_two_sources_of_a_modulator() {
    let both = [(controller(16), 52, 1024, controller(17), 0)];
    close(modulated(&both, &[[0xB0, 16, 64], [0xB0, 17, 32]], FULL).1, 128.0, 0.25);
    let second_only = [(NO_SOURCE, 52, 100, controller(17), 0)];
    close(modulated(&second_only, &[[0xB0, 17, 64]], FULL).1, 50.0, 0.25);
    let constant = [(NO_SOURCE, 52, 33, NO_SOURCE, 0)];
    close(modulated(&constant, &[], FULL).1, 33.0, 0.25);
}

#[test]
fn accepts_key_velocity_and_pressure_as_sources() {
    close(modulated(&[(KEY_UP, 52, 128, NO_SOURCE, 0)], &[], FULL).1, 60.0, 0.25);
    close(modulated(&[(VELOCITY_UP, 52, 128, NO_SOURCE, 0)], &[], 100).1, 100.0, 0.25);
    // Without the vibrato that pressure brings by itself.
    let pressure = [(PRESSURE_UP, 52, 128, NO_SOURCE, 0), (PRESSURE_UP, 6, 0, NO_SOURCE, 0)];
    close(modulated(&pressure, &[[0xD0, 50, 0]], FULL).1, 50.0, 0.25);
}

#[test]
fn a_zone_removes_or_changes_default_modulators() {
    let plain = modulated(&[], &[], 64).0;
    close(plain, 40.0 * (64.0f64 / 127.0).log10(), 0.1);
    let none = modulated(&[(VELOCITY_DOWN_CONCAVE, ATTENUATION, 0, NO_SOURCE, 0)], &[], 64).0;
    close(none, 0.0, 0.05);
    let half = modulated(&[(VELOCITY_DOWN_CONCAVE, ATTENUATION, 480, NO_SOURCE, 0)], &[], 64).0;
    close(half, plain / 2.0, 0.1);
    // The controller of volume likewise.
    let volume = [[0xB0, 7, 64]];
    close(modulated(&[(0x0587, ATTENUATION, 0, NO_SOURCE, 0)], &volume, FULL).0, 0.0, 0.05);
    // The wheel, down to a tenth.
    let wheel = [[0xE0, 0, 0x60]];
    close(modulated(&[], &wheel, FULL).1, 100.0, 0.25);
    close(modulated(&[(0x020E, 59, 1270, 0x0010, 0)], &wheel, FULL).1, 10.0, 0.25);
}

#[test]
fn warns_of_a_second_velocity_curve_unless_the_first_is_removed() {
    let linear = (0x0102, ATTENUATION, 960, NO_SOURCE, 0);
    let both = [linear];
    let loaded = Collection::load(&Font::new(&[], &[LOOPED], 0.0).with(&both).file()).unwrap();
    assert_eq!(loaded.warnings.count(), 1, "{:?}", loaded.warnings);
    let alone = [(VELOCITY_DOWN_CONCAVE, ATTENUATION, 0, NO_SOURCE, 0), linear];
    // Velocity 64: (127 - 64) / 128 of 96 dB.
    close(modulated(&alone, &[], 64).0, -96.0 * 63.0 / 128.0, 0.1);
}

#[test]
fn modulators_of_a_preset_add_to_those_of_its_instrument() {
    let pitch = (controller(16), 52, 50, NO_SOURCE, 0);
    let list = [pitch];
    let more = [(controller(16), 52, 14, NO_SOURCE, 0), (controller(17), 52, 64, NO_SOURCE, 0)];
    let mut font = Font::new(&[], &[LOOPED], 0.0).with(&list);
    font.preset[0].modulators = &more;
    let collection = Collection::from_sf2(&font.file()).unwrap();
    let scale = |source| {
        let rows = collection.instruments[0].regions[0].articulation.clone().unwrap();
        rows.iter().find(|c| c.source == source).map(|c| c.scale >> 16)
    };
    assert_eq!((scale(0x90), scale(0x91)), (Some(64), Some(64)));
}

#[test]
fn a_global_zone_applies_to_zones_without_values_of_their_own() {
    let (global, own) = ([(controller(16), 52, 10, NO_SOURCE, 0)], [(controller(16), 52, 77, NO_SOURCE, 0)]);
    let mut font = Font::new(&[], &[LOOPED], 0.0);
    let (mut silent, mut loud) = (font.instrument[0].clone(), font.instrument[0].clone());
    (silent.modulators, loud.modulators) = (&[], &own);
    let global = Zone { generators: vec![(ATTENUATION, 100), (COARSE_TUNE, 1)], modulators: &global };
    silent.generators.insert(0, (COARSE_TUNE, 3));
    font.instrument = vec![global, silent, loud];
    let collection = Collection::from_sf2(&font.file()).unwrap();
    let regions = &collection.instruments[0].regions;
    let row =
        |i: usize| regions[i].articulation.as_ref().unwrap().iter().find(|c| c.source == 0x90).unwrap().scale >> 16;
    assert_eq!((row(0), row(1)), (10, 77));
    let tune = |i: usize| regions[i].sample.unwrap().fine_tune;
    assert_eq!((tune(0), tune(1)), (300, 100));
    assert_eq!(regions[0].sample.unwrap().gain, -((40 + 170) << 16));
}

#[test]
fn the_depth_of_an_oscillator_is_a_connection_with_a_control() {
    let depths = [(5u16, 1u16, d::PITCH), (6, 9, d::PITCH), (10, 1, d::FILTER_CUTOFF), (13, 1, d::GAIN)];
    for (generator, source, destination) in depths {
        let list = [(controller(16), generator, 70, NO_SOURCE, 0)];
        let collection = Collection::from_sf2(&Font::new(&[], &[LOOPED], 0.0).with(&list).file()).unwrap();
        let rows = collection.instruments[0].regions[0].articulation.clone().unwrap();
        let row = rows.iter().find(|c| c.control == 0x90).unwrap();
        assert_eq!((row.source, row.destination, row.transform, row.scale >> 16), (source, destination, 1 << 14, 70));
    }
}

#[test]
fn sends_follow_their_controllers_by_the_amount_in_the_font() {
    let collection = Collection::from_sf2(&font(0, 0, &[], &[(16, 150), LOOPED], 0.0)).unwrap();
    let rows = collection.instruments[0].regions[0].articulation.clone().unwrap();
    let scale = |source| rows.iter().find(|c| c.source == source && c.destination == d::REVERB).unwrap().scale >> 16;
    assert_eq!((scale(0), scale(0xDB)), (150, 200));
    let list = [(controller(91), 16, 900, NO_SOURCE, 0)];
    let collection = Collection::from_sf2(&Font::new(&[], &[LOOPED], 0.0).with(&list).file()).unwrap();
    let rows = collection.instruments[0].regions[0].articulation.clone().unwrap();
    assert_eq!(rows.iter().find(|c| c.source == 0xDB).unwrap().scale >> 16, 900);
}

/// Velocity to filter cutoff: not by default, as the synthesizers that fonts are made for have it, but on request.
#[test]
fn a_font_can_lower_the_cutoff_of_soft_notes() {
    let filtered = |modulators: Modulators<'_>| {
        let collection = Collection::from_sf2(&Font::new(&[], &[LOOPED], 0.0).with(modulators).file()).unwrap();
        let rows = collection.instruments[0].regions[0].articulation.clone().unwrap();
        rows.iter().find(|c| c.source == 2 && c.destination == d::FILTER_CUTOFF).map(|c| c.scale >> 16)
    };
    assert_eq!(filtered(&[]), None);
    assert_eq!(filtered(&[(0x0102, 8, -2400, NO_SOURCE, 0)]), Some(-2400));
    assert_eq!(filtered(&[(0x0102, 8, -2400, 0x0D02, 0)]), Some(-2400), "with the switch of version 2.01");
}

#[test]
fn warns_of_modulators_without_a_counterpart_with_the_reason() {
    type Modulator = (u16, u16, i16, u16, u16);
    let cases: [(Modulator, &str); 9] = [
        ((controller(16), 52, 1, NO_SOURCE, 2), "transform of the product"),
        ((controller(16), 0x8000, 1, NO_SOURCE, 0), "leads to another modulator"),
        ((127, 52, 1, NO_SOURCE, 0), "source is another modulator"),
        ((5, 52, 1, NO_SOURCE, 0), "no such source"),
        ((controller(16) | 5 << 10, 52, 1, NO_SOURCE, 0), "no such curve"),
        ((controller(32), 52, 1, NO_SOURCE, 0), "forbids the controller"),
        ((controller(16), 0, 1, NO_SOURCE, 0), "no such destination"),
        ((controller(16), 6, 1, controller(17), 0), "would take three"),
        ((VELOCITY_UP, ATTENUATION, 1, NO_SOURCE, 0), "curve of its own"),
    ];
    for (modulator, why) in cases {
        let list = [modulator];
        let bytes = Font::new(&[], &[LOOPED], 0.0).with(&list).file();
        let loaded = Collection::load(&bytes).unwrap();
        let found: Vec<_> = loaded.warnings.iter().map(|w| (w.chunk.clone(), w.offset, w.to_string())).collect();
        let place = crate::common::file::find(&bytes, b"imod") + 8;
        assert!(
            matches!(&found[..], [(chunk, offset, text)] if chunk == "sfbk/pdta/imod[0]" && *offset == place && text.contains(why)),
            "{why}: {found:?}"
        );
    }
    // Two curves for the same two ends.
    let list = [(controller(16), 52, 1, NO_SOURCE, 0), (controller(16) | 0x400, 52, 1, NO_SOURCE, 0)];
    let loaded = Collection::load(&Font::new(&[], &[LOOPED], 0.0).with(&list).file()).unwrap();
    let found: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert!(matches!(&found[..], [text] if text.contains("another has its source")), "{found:?}");
}

/// A font with everything that this file knows, played and written as DLS and played again: the same bits.
#[test]
fn a_converted_font_sounds_the_same_bit_for_bit() {
    let modulators = [
        (VELOCITY_DOWN_CONCAVE, ATTENUATION, 480, NO_SOURCE, 0),
        (0x0102, 8, -2400, NO_SOURCE, 0),
        (controller(16) | 0x600, 52, 300, controller(17) | 0x100, 0),
        (PRESSURE_UP, 5, 70, NO_SOURCE, 0),
        (VELOCITY_UP, ATTACK_VOLUME, 1200, NO_SOURCE, 0),
    ];
    let instrument = [
        (ATTACK_VOLUME, -6000),
        (DECAY_VOLUME, -1000),
        (SUSTAIN_VOLUME, 60),
        (RELEASE_VOLUME, -2000),
        (8, 6500),
        (9, 60),
        (11, 2400),
        (26, -4000),
        (28, -2000),
        (5, 20),
        (6, 15),
        (17, -200),
        (15, 300),
        (16, 400),
        (COARSE_TUNE, 1),
        (SCALE_TUNING, 90),
        (39, 20),
        LOOPED,
    ];
    let bytes = Font::new(&[(COARSE_TUNE, -1)], &instrument, 0.0).with(&modulators).file();
    let font = Collection::from_sf2(&bytes).unwrap();
    let loaded = Collection::load(&font.to_dls()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.collection, font);
    let play = |collection: &Collection| {
        let bank = std::sync::Arc::new(Bank::from_collection(collection));
        let mut synth = dls_synth::Synth::new(dls_synth::SynthConfig::default(), bank).unwrap();
        let mut out = Vec::new();
        for (i, key) in [40, 52, 60, 67, 79, 90].into_iter().enumerate() {
            synth.midi(0, &[0xB0, 16, 20 * i as u8]);
            synth.midi(0, &[0xD0, 25 * i as u8]);
            synth.midi(0, &[0x90, key, 30 + 16 * i as u8]);
            out.extend(render(&mut synth, 5000));
            synth.midi(0, &[0x80, key, 0]);
        }
        out.extend(render(&mut synth, 20_000));
        out
    };
    let (one, other) = (play(&font), play(&loaded.collection));
    assert!(one.iter().flatten().any(|x| *x != 0.0));
    assert!(one.iter().flatten().zip(other.iter().flatten()).all(|(a, b)| a.to_bits() == b.to_bits()));
}
