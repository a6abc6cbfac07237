//! SoundFont 2 files: that they arrive in the same instrument model with the same sound.

mod common;

use common::*;
use dls_synth::dls::{Collection, Patch};
use dls_synth::{Bank, Rule};

fn chunk(id: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut out = [&id[..], &(data.len() as u32).to_le_bytes(), data].concat();
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn list(form: &[u8; 4], children: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[&form[..], &children.concat()].concat())
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn named(name: &str, rest: &[u8]) -> Vec<u8> {
    let mut out = name.as_bytes().to_vec();
    out.resize(20, 0);
    [out, rest.to_vec()].concat()
}

/// Generators, by number (SoundFont 2.04, 8.1.2) and amount.
type Generators<'a> = &'a [(u16, i16)];

const RELEASE_VOLUME: u16 = 38;
const SUSTAIN_VOLUME: u16 = 37;
const DECAY_VOLUME: u16 = 36;
const ATTACK_VOLUME: u16 = 34;
const INSTRUMENT: u16 = 41;
const KEY_RANGE: u16 = 43;
const COARSE_TUNE: u16 = 51;
const SAMPLE: u16 = 53;
const SAMPLE_MODES: u16 = 54;
const SCALE_TUNING: u16 = 56;
const EXCLUSIVE_CLASS: u16 = 57;

/// A font of one preset of one instrument of one zone: the test tone, looped.
fn font(bank: u16, program: u16, preset: Generators<'_>, instrument: Generators<'_>, quarter: f64) -> Vec<u8> {
    let generators = |list: Generators<'_>, last: (u16, i16)| -> Vec<u8> {
        list.iter().chain([&last, &(0, 0)]).flat_map(|(id, amount)| halves(&[*id, *amount as u16])).collect()
    };
    let counts = |list: Generators<'_>| halves(&[0, 0, list.len() as u16 + 1, 0]);
    // Four turns, with the loop in the middle two.
    let mut samples: Vec<u8> = (0..4).flat_map(|_| tone(quarter)).flat_map(i16::to_le_bytes).collect();
    samples.extend([0; 92]);
    let turn = TURN as u32;
    let header: Vec<u8> = [0, 4 * turn, turn, 3 * turn, RATE].iter().flat_map(|v| v.to_le_bytes()).collect();
    let sample = named("Tone", &[header, vec![60, 0], halves(&[0, 1])].concat());
    let parameters = list(
        b"pdta",
        &[
            chunk(
                b"phdr",
                &[
                    named("Preset", &[halves(&[program, bank, 0]), vec![0; 12]].concat()),
                    named("EOP", &[halves(&[0, 0, 1]), vec![0; 12]].concat()),
                ]
                .concat(),
            ),
            chunk(b"pbag", &counts(preset)),
            chunk(b"pmod", &[0; 10]),
            chunk(b"pgen", &generators(preset, (INSTRUMENT, 0))),
            chunk(b"inst", &[named("Instrument", &halves(&[0])), named("EOI", &halves(&[1]))].concat()),
            chunk(b"ibag", &counts(instrument)),
            chunk(b"imod", &[0; 10]),
            chunk(b"igen", &generators(instrument, (SAMPLE, 0))),
            chunk(b"shdr", &[sample, named("EOS", &[0; 26])].concat()),
        ],
    );
    let info =
        list(b"INFO", &[chunk(b"ifil", &halves(&[2, 4])), chunk(b"isng", b"EMU8000\0"), chunk(b"INAM", b"Font\0\0")]);
    let data = list(b"sdta", &[chunk(b"smpl", &samples)]);
    chunk(b"RIFF", &[&b"sfbk"[..], &info, &data, &parameters].concat())
}

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
fn banks_are_found_where_bank_select_looks() {
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
fn what_a_preset_says_adds_to_what_its_instrument_says() {
    let trace = heard(&[(COARSE_TUNE, 2)], &[(COARSE_TUNE, 3), LOOPED], &[(0, NOTE_ON)], 6000);
    close(trace.cents_around(3000, 2560), 500.0, 0.25);
    let quarter = heard(&[], &[(SCALE_TUNING, 25), LOOPED], &[(0, &[0x90, 72, FULL])], 6000);
    close(quarter.cents_around(3000, 2560), 300.0, 0.25);
}

#[test]
fn ranges_meet_and_classes_become_key_groups() {
    let range = |low: i16, high: i16| (KEY_RANGE, high << 8 | low);
    let bytes = font(0, 0, &[range(20, 70)], &[range(60, 90), (EXCLUSIVE_CLASS, 3), LOOPED], 0.0);
    let collection = Collection::from_sf2(&bytes).unwrap();
    let found = &collection.instruments[0].regions[0];
    assert_eq!((found.keys, found.key_group), ((60, 70), 3));
}

#[test]
fn what_is_no_sound_font_is_refused_with_its_reason() {
    let mut broken = font(0, 0, &[], &[], 0.0);
    broken.truncate(40);
    assert_eq!(Bank::from_bytes(&broken).unwrap_err().rule, Rule::Missing("LIST sdta"));
}
