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

/// Modulators of the same two ends and other curves stand beside each other (9.5.1); DLS has room for one.
#[test]
fn a_second_velocity_curve_adds_to_the_first() {
    let linear = (0x0102, ATTENUATION, 96, NO_SOURCE, 0);
    let both = [linear];
    let sum = 40.0 * (64.0f64 / 127.0).log10() - 9.6 * 63.0 / 128.0;
    close(modulated(&both, &[], 64).0, sum, 0.1);
    let loaded = Collection::load(&Font::new(&[], &[LOOPED], 0.0).with(&both).file()).unwrap();
    assert_eq!(loaded.lost_in_dls.count(), 1, "{:?}", loaded.lost_in_dls);
    let alone = [(VELOCITY_DOWN_CONCAVE, ATTENUATION, 0, NO_SOURCE, 0), linear];
    // Velocity 64: (127 - 64) / 128 of 9.6 dB.
    close(modulated(&alone, &[], 64).0, -9.6 * 63.0 / 128.0, 0.1);
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
    assert_eq!(regions[0].sample.unwrap().gain, -((100 + 170) << 16));
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

/// Velocity to filter cutoff (8.4.2), which a font can change or remove, also in the form of version 2.01.
#[test]
fn soft_notes_have_a_lower_cutoff_unless_the_font_says_otherwise() {
    let filtered = |modulators: Modulators<'_>| {
        let collection = Collection::from_sf2(&Font::new(&[], &[LOOPED], 0.0).with(modulators).file()).unwrap();
        let rows = collection.instruments[0].regions[0].articulation.clone().unwrap();
        rows.iter().find(|c| c.source == 2 && c.destination == d::FILTER_CUTOFF).map(|c| c.scale >> 16)
    };
    assert_eq!(filtered(&[]), Some(-2400));
    assert_eq!(filtered(&[(0x0102, 8, 0, NO_SOURCE, 0)]), None);
    assert_eq!(filtered(&[(0x0102, 8, -1200, NO_SOURCE, 0)]), Some(-1200));
    assert_eq!(filtered(&[(0x0102, 8, 0, 0x0D02, 0)]), None, "with the switch of version 2.01");
}

type Modulator = (u16, u16, i16, u16, u16);

fn loaded(list: Modulators<'_>) -> dls_synth::dls::Loaded {
    Collection::load(&Font::new(&[], &[LOOPED], 0.0).with(list).file()).unwrap()
}

#[test]
fn ignores_modulators_that_the_specification_rules_out_and_names_the_reason() {
    let cases: [(Modulator, &str); 8] = [
        ((controller(16), 52, 1, NO_SOURCE, 1), "no such transform"),
        ((controller(16), 0x8000, 1, NO_SOURCE, 0), "source is no other one"),
        ((controller(16), 0x8005, 1, NO_SOURCE, 0), "does not exist"),
        ((127, 0x8000, 1, NO_SOURCE, 0), "in a circle"),
        ((5, 52, 1, NO_SOURCE, 0), "no such source"),
        ((controller(16) | 5 << 10, 52, 1, NO_SOURCE, 0), "no such curve"),
        ((controller(32), 52, 1, NO_SOURCE, 0), "forbids the controller"),
        ((controller(16), 0, 1, NO_SOURCE, 0), "no such generator"),
    ];
    for (modulator, why) in cases {
        let bytes = Font::new(&[], &[LOOPED], 0.0).with(&[modulator]).file();
        let loaded = Collection::load(&bytes).unwrap();
        let found: Vec<_> = loaded.warnings.iter().map(|w| (w.chunk.clone(), w.offset, w.to_string())).collect();
        let place = crate::common::file::find(&bytes, b"imod") + 8;
        assert!(
            matches!(&found[..], [(chunk, offset, text)] if chunk == "sfbk/pdta/imod[0]" && *offset == place && text.contains(why)),
            "{why}: {found:?}"
        );
    }
}

#[test]
fn names_what_dls_has_not_apart_from_what_does_not_play() {
    let cases: [(&[Modulator], &str); 6] = [
        (&[(controller(16), 52, 1, NO_SOURCE, 2)], "transform of the product"),
        (&[(controller(16), 0x8001, 1, NO_SOURCE, 0), (127, 52, 1, NO_SOURCE, 0)], "leads to another modulator"),
        (&[(127, 52, 1, NO_SOURCE, 0)], "source is another modulator"),
        (&[(controller(16), 6, 1, controller(17), 0)], "would take three"),
        (&[(VELOCITY_UP, ATTENUATION, 1, NO_SOURCE, 0)], "curve of its own"),
        (
            &[(controller(16), 52, 1, NO_SOURCE, 0), (controller(16) | 0x400, 52, 1, NO_SOURCE, 0)],
            "another has its source",
        ),
    ];
    for (list, why) in cases {
        let loaded = loaded(list);
        assert!(loaded.warnings.is_empty(), "{why}: {:?}", loaded.warnings);
        let found: Vec<_> = loaded.lost_in_dls.iter().map(ToString::to_string).collect();
        assert!(found.first().is_some_and(|text| text.contains(why)), "{why}: {found:?}");
    }
}

/// The output of one modulator is the source of another (8.2.1, index 127; 9.5.4).
#[test]
fn linked_modulators_feed_the_source_of_another() {
    // In any order in the zone; two that lead to the same one add up.
    let pitch = |amount| (127, 52, amount, NO_SOURCE, 0);
    let chain = [pitch(200), (controller(16), 0x8000, 1, NO_SOURCE, 0), (controller(17), 0x8000, 1, NO_SOURCE, 0)];
    close(modulated(&chain, &[[0xB0, 16, 64]], FULL).1, 100.0, 0.25);
    close(modulated(&chain, &[[0xB0, 16, 64], [0xB0, 17, 32]], FULL).1, 150.0, 0.25);
    // Two links long, and scaled by a controller.
    let long =
        [(controller(16), 0x8001, 2, NO_SOURCE, 0), (127, 0x8002, 1, controller(17), 0), (127, 52, 100, NO_SOURCE, 0)];
    close(modulated(&long, &[[0xB0, 16, 64], [0xB0, 17, 64]], FULL).1, 50.0, 0.25);
}

#[test]
fn the_absolute_value_transform_folds_what_is_below_zero() {
    let list = [(controller(16) | 0x200, 52, 100, NO_SOURCE, 2)];
    for (value, cents) in [(32, 50.0), (96, 50.0), (64, 0.0), (0, 100.0)] {
        close(modulated(&list, &[[0xB0, 16, value]], FULL).1, cents, 0.25);
    }
}

/// What DLS has no connection for: two sources to the depth of an oscillator.
#[test]
fn two_sources_open_an_oscillator_together() {
    let list = [(controller(16), 6, 1200, controller(17), 0)];
    let span = |messages: &[[u8; 3]]| {
        let mut events: Vec<(usize, &[u8])> = messages.iter().map(|m| (0, &m[..])).collect();
        events.push((0, NOTE_ON));
        let make = |q| Collection::from_sf2(&Font::new(&[], &[LOOPED], q).with(&list).file()).unwrap();
        let trace = trace_of(make, &events, 12_000, 0);
        let cents = (1..50).map(|i| trace.cents_around(i * 200 + 1200, 128));
        cents.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)))
    };
    let (low, high) = span(&[[0xB0, 16, 64], [0xB0, 17, 64]]);
    close(low, -300.0, 20.0);
    close(high, 300.0, 20.0);
    let (low, high) = span(&[[0xB0, 16, 64]]);
    assert!(high - low < 1.0, "{low} {high}");
}

/// Controllers of times count until the stage begins: here the release, set while the note sounds.
#[test]
fn a_controller_changes_the_release_of_a_note_that_sounds() {
    let list = [(controller(72), RELEASE_VOLUME, 12_800, NO_SOURCE, 0)];
    let level = |value: u8| {
        let (off, control) = (frame(0.2), [0xB0, 72, value]);
        let events: [(usize, &[u8]); 3] = [(0, NOTE_ON), (off, &control), (off, NOTE_OFF)];
        let make = |q| Collection::from_sf2(&Font::new(&[], &[LOOPED], q).with(&list).file()).unwrap();
        trace_of(make, &events, frame(0.6), 0).decibels(off + frame(0.1)) + HEADROOM
    };
    // -12000 and 12000: one second for 100 dB.
    close(level(120), -10.0, 0.3);
    assert!(level(0) < -90.0);
}

/// A font with everything that DLS has a connection for, written as DLS and read again: the same regions, less what only
/// SoundFonts have.
#[test]
fn a_converted_font_reads_back_as_its_nearest_dls() {
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
    let mut font = Collection::from_sf2(&bytes).unwrap();
    let loaded = Collection::load(&font.to_dls()).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(font.instruments[0].regions[0].sound_font.take().is_some());
    assert_eq!(loaded.collection, font);
}
