//! Pitch: the oscillator, tuning, and what MIDI makes of it.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{self, Region, WaveSample, connection, constant, destination as d, source as s, transform as t};
use crate::expect::{Basis, Check, PITCH};
use crate::units::cents;

/// Distance of notes, and where in them the pitch is measured, in ms.
const DISTANCE: u32 = 400;
const MIDDLE: u32 = 180;

/// Makes a note of its own for each value, and the pitch that it must have.
fn each<V: Copy>(case: &mut Case, values: &[(V, f64)], mut play: impl FnMut(&mut Case, u32, V) -> (u8, String)) {
    for (i, (value, expected)) in values.iter().enumerate() {
        let on = nth(i, DISTANCE);
        let (key, note) = play(case, on, *value);
        case.note(key, 127, on, on + DISTANCE - 60);
        case.check(Check::pitch(seconds(on + MIDDLE), *expected).within(PITCH).of(note));
    }
}

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        absolute(),
        keys(),
        tuning(),
        scale_tuning_none(),
        scale_tuning_half(),
        wheel(),
        wheel_in_a_note(),
        bend_range(),
        bend_range_cents(),
        fine_tuning(),
        fine_tuning_steps(),
        fine_tuning_range(),
        coarse_tuning(),
        coarse_tuning_off(),
        coarse_tuning_drums(),
        null_parameter(),
        unregistered_parameter(),
    ]
}

fn absolute() -> Case {
    let mut case = Case::new(
        "pitch/absolute",
        "The wave's own rate at its unity note",
        "DLS-1, DLS-2.2: digital oscillator",
        "At its unity note a wave plays at its own sample rate, whatever the rate of the output.",
    )
    .level_1();
    case.check(Check::frequency(f64::from(dls::RATE) / f64::from(dls::TURN)));
    case
}

fn keys() -> Case {
    let mut case = Case::new(
        "pitch/keys",
        "Keys from four octaves down to two up",
        "DLS-2.2: digital oscillator (range, resolution); connection table, PITCH from key number",
        "A key is 100 cents; transposition reaches from four octaves below the unity note to two above it, to 0.25 cents.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    let values = [12, 24, 37, 48, 59, 61, 67, 72, 84].map(|key: u8| (key, 100.0 * (f64::from(key) - f64::from(KEY))));
    each(&mut case, &values, |_, _, key| (key, format!("key {key}")));
    case
}

fn tuning() -> Case {
    let mut case = Case::new(
        "pitch/tuning",
        "A tuning of its own",
        "DLS-2.2: connection table, PITCH",
        "A constant connection to PITCH tunes by its cents, up to 1200 either way.",
    );
    let values = [(0u8, 350.0), (1, -1200.0), (2, 1200.0), (3, -1.0)];
    for (program, tuned) in values {
        case.program(program, &[constant(d::PITCH, cents(tuned))]);
    }
    each(&mut case, &values, |case, on, program| {
        case.choose(on - 40, program);
        (KEY, format!("program {program}"))
    });
    case
}

fn with_unity(case: &mut Case, unity: u16, rows: &[dls::Connection]) {
    let sample = WaveSample { unity, ..WaveSample::default() };
    let instrument = case.program(0, rows);
    instrument.regions = vec![Region { sample: Some(sample), form: instrument.regions[0].form, ..Region::default() }];
    case.choose(0, 0);
}

fn scale_tuning_none() -> Case {
    let mut case = Case::new(
        "pitch/scale-tuning-none",
        "Keys that do not change the pitch",
        "DLS-1, DLS-2.2: connection table, PITCH from key number",
        "Key number to PITCH with a scale of 0 plays all keys alike; with a unity note of 0, at the wave's own rate.",
    )
    .level_1();
    with_unity(&mut case, 0, &[connection(s::KEY, s::NONE, d::PITCH, 0, 0)]);
    each(&mut case, &[(36u8, 0.0), (60, 0.0), (96, 0.0)], |_, _, key| (key, format!("key {key}")));
    case
}

fn scale_tuning_half() -> Case {
    let mut case = Case::new(
        "pitch/scale-tuning-half",
        "Keys of half a semitone",
        "DLS-1, DLS-2.2: connection table, PITCH from key number",
        "Key number to PITCH adds its scale times key/128: with 6400 cents a key is 50 cents, counted from key 0.",
    )
    .level_1();
    with_unity(&mut case, 30, &[connection(s::KEY, s::NONE, d::PITCH, 0, cents(6400.0))]);
    let values = [(60u8, 0.0), (61, 50.0), (72, 600.0), (48, -600.0)];
    each(&mut case, &values, |_, _, key| (key, format!("key {key}")));
    case
}

fn wheel() -> Case {
    let mut case = Case::new(
        "pitch/wheel",
        "The wheel's range at power-on",
        "DLS-1, DLS-2.2: connection table, PITCH from pitch wheel by RPN 0; power-on state",
        "At power-on the wheel bends by two semitones: by 200 cents times (value - 8192)/8192.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    let values = [(8192u16, 0.0), (0, -200.0), (4096, -100.0), (12_288, 100.0)];
    each(&mut case, &values, |case, on, value| {
        case.wheel(on - 20, value);
        (KEY, format!("wheel {value}"))
    });
    let on = nth(values.len(), DISTANCE);
    case.wheel(on - 20, 16_383);
    case.note(KEY, 127, on, on + DISTANCE - 60);
    // No whole cent: a device may round it either way.
    case.check(Check::pitch(seconds(on + MIDDLE), 199.976).within(1.0).of("wheel 16383"));
    case
}

fn wheel_in_a_note() -> Case {
    let mut case = Case::new(
        "pitch/wheel-while-sounding",
        "The wheel while a note sounds",
        "DLS-1, DLS-2.2: pitch wheel",
        "Notes that sound follow the wheel.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1000);
    case.wheel(FIRST + 300, 12_288);
    case.wheel(FIRST + 600, 8192);
    case.check(Check::pitch(T0 + 0.15, 0.0));
    case.check(Check::pitch(T0 + 0.45, 100.0));
    case.check(Check::pitch(T0 + 0.8, 0.0));
    case
}

fn bend_range() -> Case {
    let mut case = Case::new(
        "pitch/bend-range",
        "RPN 0: the wheel's range",
        "DLS-1, DLS-2.2: RPN 0, at least 12 semitones",
        "RPN 0 sets the wheel's range in semitones, up to at least 12.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.wheel(500, 12_288);
    let values = [(1u8, 50.0), (7, 350.0), (12, 600.0), (0, 0.0)];
    each(&mut case, &values, |case, on, range| {
        case.parameter(on - 20, 0, range, None);
        (KEY, format!("range {range}"))
    });
    case
}

fn bend_range_cents() -> Case {
    let mut case = Case::new(
        "pitch/bend-range-cents",
        "RPN 0, fine: cents of the wheel's range",
        "MIDI 1.0: RPN 0, data entry LSB",
        "The fine part of RPN 0 adds cents to the wheel's range.",
    )
    .basis(Basis::Optional);
    case.program(0, &[]);
    case.choose(0, 0);
    case.wheel(500, 12_288);
    each(&mut case, &[(50u8, 125.0), (0, 100.0)], |case, on, fine| {
        case.parameter(on - 20, 0, 2, Some(fine));
        (KEY, format!("range 2 semitones {fine} cents"))
    });
    case
}

fn fine_tuning() -> Case {
    let mut case = Case::new(
        "pitch/fine-tuning",
        "RPN 1: fine tuning",
        "DLS-1, DLS-2.2: connection table, PITCH from RPN 1; RPN 1",
        "RPN 1 tunes by 100 cents times (value - 8192)/8192.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    let values = [(0u8, -100.0), (32, -50.0), (64, 0.0), (96, 50.0)];
    each(&mut case, &values, |case, on, coarse| {
        case.parameter(on - 20, 1, coarse, Some(0));
        (KEY, format!("RPN 1 = {coarse}, 0"))
    });
    case
}

fn fine_tuning_steps() -> Case {
    let mut case = Case::new(
        "pitch/fine-tuning-steps",
        "RPN 1: every cent",
        "DLS-1, DLS-2.2: RPN 1, resolution of one cent",
        "Fine tuning has steps of a cent or finer, right to half a cent.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    // The first value at or above the cent, so that devices that cut and devices that round agree.
    let value = |cents: f64| ((8192.0 + 81.92 * cents).ceil() as u16, cents);
    let values = [-37.0, -1.0, 1.0, 2.0, 3.0, 63.0].map(value);
    for (i, (value, expected)) in values.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.parameter(on - 20, 1, (value >> 7) as u8, Some((value & 0x7F) as u8));
        case.note(KEY, 127, on, on + DISTANCE - 60);
        case.check(Check::pitch(seconds(on + MIDDLE), *expected).within(0.5).of(format!("RPN 1 = {value}")));
    }
    case
}

fn fine_tuning_range() -> Case {
    let mut case = Case::new(
        "pitch/fine-tuning-range",
        "The range of RPN 1 is a connection",
        "DLS-2.2: connection table, PITCH from RPN 1, 0 to 100 cents",
        "A connection from RPN 1 to PITCH replaces the default of 100 cents.",
    );
    case.program(0, &[connection(s::RPN1, s::NONE, d::PITCH, t::BIPOLAR, cents(20.0))]);
    case.choose(0, 0);
    each(&mut case, &[(96u8, 10.0), (0, -20.0)], |case, on, coarse| {
        case.parameter(on - 20, 1, coarse, Some(0));
        (KEY, format!("RPN 1 = {coarse}, 0"))
    });
    case
}

/// Keys up to 63 as they are, keys from 64 with another unity note.
fn split(case: &mut Case, rows: &[dls::Connection]) {
    let upper = WaveSample { unity: 72, ..WaveSample::default() };
    let instrument = case.program(0, rows);
    let lower = Region { keys: (0, 63), ..instrument.regions[0].clone() };
    instrument.regions = vec![lower.clone(), Region { keys: (64, 127), sample: Some(upper), ..lower }];
    case.choose(0, 0);
}

fn coarse_tuning() -> Case {
    let mut case = Case::new(
        "pitch/coarse-tuning",
        "RPN 2: coarse tuning moves the key",
        "DLS-1, DLS-2.2: connection table, KEYNUMBER from RPN 2",
        "RPN 2 moves the key by (value - 64) before a region is chosen for it.",
    )
    .level_1();
    split(&mut case, &[]);
    let values = [(64u8, 0.0), (66, 200.0), (52, -1200.0), (69, -700.0)];
    each(&mut case, &values, |case, on, value| {
        case.parameter(on - 20, 2, value, None);
        (KEY, format!("RPN 2 = {value}"))
    });
    case
}

fn coarse_tuning_off() -> Case {
    let mut case = Case::new(
        "pitch/coarse-tuning-off",
        "Coarse tuning switched off by a connection",
        "DLS-2.2: connection table, KEYNUMBER from RPN 2, 0 to 6400 cents",
        "RPN 2 to KEYNUMBER with a scale of 0 leaves the key alone.",
    );
    case.program(0, &[connection(s::RPN2, s::NONE, d::KEY, t::BIPOLAR, 0)]);
    case.choose(0, 0);
    each(&mut case, &[(69u8, 0.0), (57, 0.0)], |case, on, value| {
        case.parameter(on - 20, 2, value, None);
        (KEY, format!("RPN 2 = {value}"))
    });
    case
}

fn coarse_tuning_drums() -> Case {
    let mut case = Case::new(
        "pitch/coarse-tuning-drums",
        "Coarse tuning spares the drums",
        "DLS-1: RPN 2; level 2 leaves it open",
        "RPN 2 has no effect on channel 10.",
    )
    .basis(Basis::Practice)
    .level_1();
    case.program(0, &[]).bank = dls::DRUMS;
    case.channel(9);
    case.score.at(0, &[0xC9, 0]);
    for message in [[0xB9, 101, 0], [0xB9, 100, 2], [0xB9, 6, 69]] {
        case.score.at(500, &message);
    }
    case.note_on(9, KEY, 127, FIRST, FIRST + 340);
    case.check(Check::pitch(T0 + 0.18, 0.0).of("RPN 2 = 69"));
    case
}

fn null_parameter() -> Case {
    let mut case = Case::new(
        "pitch/null-parameter",
        "Data entry without a parameter",
        "DLS-1, DLS-2.2: power-on state; MIDI 1.0: RPN 127, 127",
        "At power-on and after RPN 127, 127 no parameter is chosen, and data entry has no effect.",
    )
    .level_1();
    case.program(0, &[]);
    case.choose(0, 0);
    case.control(450, 6, 12);
    case.parameter(500, 0, 4, None);
    case.control(510, 101, 127);
    case.control(511, 100, 127);
    case.control(512, 6, 12);
    case.wheel(520, 12_288);
    case.note(KEY, 127, FIRST, FIRST + 340);
    case.check(Check::pitch(T0 + 0.18, 200.0));
    case
}

fn unregistered_parameter() -> Case {
    let mut case = Case::new(
        "pitch/unregistered-parameter",
        "Data entry for a parameter that is not registered",
        "MIDI 1.0: NRPN",
        "Choosing an NRPN ends the choice of an RPN: data entry does not change the RPN.",
    )
    .basis(Basis::Practice);
    case.program(0, &[]);
    case.choose(0, 0);
    case.parameter(500, 0, 4, None);
    case.control(510, 99, 1);
    case.control(511, 98, 8);
    case.control(512, 6, 12);
    case.wheel(520, 12_288);
    case.note(KEY, 127, FIRST, FIRST + 340);
    case.check(Check::pitch(T0 + 0.18, 200.0));
    case
}
