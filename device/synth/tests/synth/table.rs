//! The connection table of DLS-2.2, line by line: every source, control and destination that a device must know, at its
//! default and at both ends of its range, heard at the output.
//!
//! [`LINES`] is the table as one reads it; tick the lines off there. The numbers are in `crate::common::connection_table`.

use crate::common::connection_table::{BIPOLAR, Line, NO_TIME, OPEN, control_half, source_half, table};
use crate::common::prototype::cutoff_by_gain;
use crate::common::setup::{Recording, Setup, Value, norm};
use crate::common::*;
use dls_synth::dls::spec::transform::LINEAR;
use dls_synth::dls::spec::{destination as d, source as s};
use dls_synth::dls::{Connection, WaveSample};
use dls_synth::{SynthConfig, dls};

/// Destination, and what may be connected to it.
const LINES: &str = "
    LFO_FREQUENCY  <- constant
    VIB_FREQUENCY  <- constant
    LFO_DELAY      <- constant
    VIB_DELAY      <- constant
    EG1_DELAY      <- constant
    EG1_ATTACK     <- constant | VELOCITY
    EG1_HOLD       <- constant | KEY_NUMBER
    EG1_DECAY      <- constant | KEY_NUMBER
    EG1_SUSTAIN    <- constant
    EG1_RELEASE    <- constant
    EG1_SHUTDOWN   <- constant
    EG2_DELAY      <- constant
    EG2_ATTACK     <- constant | VELOCITY
    EG2_HOLD       <- constant | KEY_NUMBER
    EG2_DECAY      <- constant | KEY_NUMBER
    EG2_SUSTAIN    <- constant
    EG2_RELEASE    <- constant
    KEY_NUMBER     <- KEY_NUMBER | RPN2
    FILTER_CUTOFF  <- constant | LFO | LFO x CC1 | LFO x CHANNEL_PRESSURE | EG2 | VELOCITY | KEY_NUMBER
    FILTER_Q       <- constant
    GAIN           <- LFO | LFO x CC1 | LFO x CHANNEL_PRESSURE | VELOCITY | CC7 | CC11 | EG1
    PAN            <- constant | CC10
    REVERB         <- constant | CC91
    CHORUS         <- constant | CC93
    PITCH          <- constant | PITCH_WHEEL x RPN0 | KEY_NUMBER | RPN1 | EG2
    PITCH          <- VIBRATO | VIBRATO x CC1 | VIBRATO x CHANNEL_PRESSURE
    PITCH          <- LFO | LFO x CC1 | LFO x CHANNEL_PRESSURE
";

/// Measures a line at its default, over its range, and with every input.
type Proof = fn(&Line);

/// The destinations' lines and their proofs, each in a test of its own below.
const PROOFS: &[(&[u16], Proof)] = &[
    (FREQUENCIES, frequency),
    (DELAYS, delay),
    (FIRST_ENVELOPE, first_envelope),
    (SECOND_ENVELOPE, second_envelope),
    (&[d::KEY_NUMBER], key_number),
    (&[d::FILTER_CUTOFF], cutoff),
    (&[d::FILTER_Q], resonance),
    (&[d::GAIN], gain),
    (&[d::PAN], pan),
    (&[d::REVERB, d::CHORUS], send),
    (&[d::PITCH], pitch_sum),
];

const FREQUENCIES: &[u16] = &[d::LFO_FREQUENCY, d::VIB_FREQUENCY];
const DELAYS: &[u16] = &[d::LFO_DELAY, d::VIB_DELAY];
const FIRST_ENVELOPE: &[u16] =
    &[d::EG1_DELAY, d::EG1_ATTACK, d::EG1_HOLD, d::EG1_DECAY, d::EG1_SUSTAIN, d::EG1_RELEASE, d::EG1_SHUTDOWN];
const SECOND_ENVELOPE: &[u16] =
    &[d::EG2_DELAY, d::EG2_ATTACK, d::EG2_HOLD, d::EG2_DECAY, d::EG2_SUSTAIN, d::EG2_RELEASE];

/// Returns names of identifiers, as [`LINES`] has them.
fn source_id(name: &str) -> u16 {
    match name {
        "constant" => s::NONE,
        "LFO" => s::LFO,
        "VELOCITY" => s::VELOCITY,
        "KEY_NUMBER" => s::KEY_NUMBER,
        "EG1" => s::EG1,
        "EG2" => s::EG2,
        "PITCH_WHEEL" => s::PITCH_WHEEL,
        "CHANNEL_PRESSURE" => s::CHANNEL_PRESSURE,
        "VIBRATO" => s::VIBRATO,
        "RPN0" => s::RPN0,
        "RPN1" => s::RPN1,
        "RPN2" => s::RPN2,
        controller => 0x80 + controller.trim_start_matches("CC").parse::<u16>().unwrap(),
    }
}

fn destination_id(name: &str) -> u16 {
    match name {
        "LFO_FREQUENCY" => 0x104,
        "LFO_DELAY" => 0x105,
        "VIB_FREQUENCY" => 0x114,
        "VIB_DELAY" => 0x115,
        "EG1_ATTACK" => 0x206,
        "EG1_DECAY" => 0x207,
        "EG1_RELEASE" => 0x209,
        "EG1_SUSTAIN" => 0x20A,
        "EG1_DELAY" => 0x20B,
        "EG1_HOLD" => 0x20C,
        "EG1_SHUTDOWN" => 0x20D,
        "EG2_ATTACK" => 0x30A,
        "EG2_DECAY" => 0x30B,
        "EG2_RELEASE" => 0x30D,
        "EG2_SUSTAIN" => 0x30E,
        "EG2_DELAY" => 0x30F,
        "EG2_HOLD" => 0x310,
        "KEY_NUMBER" => 5,
        "FILTER_CUTOFF" => 0x500,
        "FILTER_Q" => 0x501,
        "GAIN" => 1,
        "PAN" => 4,
        "REVERB" => 0x81,
        "CHORUS" => 0x80,
        "PITCH" => 3,
        other => panic!("{other}"),
    }
}

#[test]
fn tests_every_line_of_the_table() {
    let mut listed = Vec::new();
    for line in LINES.trim().lines() {
        let (destination, inputs) = line.split_once("<-").unwrap();
        for input in inputs.split('|') {
            let (source, control) = input.split_once(" x ").unwrap_or((input, "constant"));
            listed.push((source_id(source.trim()), source_id(control.trim()), destination_id(destination.trim())));
        }
    }
    let proved = |destination| PROOFS.iter().filter(|(those, _)| those.contains(&destination)).count();
    let mut keys: Vec<_> = table().iter().map(Line::key).collect();
    for (what, list) in [("listed", &mut listed), ("numbered", &mut keys)] {
        assert!(list.iter().all(|key| proved(key.2) == 1), "each line has one proof");
        list.sort_unstable();
        assert!(list.windows(2).all(|pair| pair[0] != pair[1]), "no line is {what} twice");
    }
    assert_eq!(listed, keys);
    assert_eq!(keys.len(), 57, "lines of table 9, the key's and the envelope's own included");
    assert_eq!(table().iter().filter(|line| line.level == 1).count(), 28);
}

/// Runs the proof of every line with one of these destinations.
fn prove(destinations: &[u16]) {
    let (_, proof) = PROOFS.iter().find(|(those, _)| *those == destinations).unwrap();
    let lines: Vec<_> = table().into_iter().filter(|line| destinations.contains(&line.destination)).collect();
    assert!(!lines.is_empty());
    lines.iter().for_each(proof);
}

/// Returns the scales at which a line is measured: its default, both ends of its range, and between.
fn scales(line: &Line) -> Vec<i32> {
    let (low, high) = line.range;
    let mut scales = vec![line.default, low, low / 2 + high / 2, high];
    scales.sort_unstable();
    scales.dedup();
    scales
}

/// Values at which an input is measured: both ends, and between.
fn values(input: u16) -> Vec<Value> {
    let numbers = |numbers: &[u16]| numbers.iter().map(|number| Value::Number(*number)).collect();
    match input {
        s::NONE => vec![Value::Nothing],
        s::LFO | s::VIBRATO => vec![Value::Turn(1.0), Value::Turn(-1.0)],
        s::EG2 => vec![Value::Level(0.25), Value::Level(0.9)],
        s::VELOCITY => numbers(&[1, 40, 64, 127]),
        s::KEY_NUMBER => numbers(&[0, 36, 60, 84, 127]),
        s::PITCH_WHEEL | s::RPN1 => numbers(&[0, 4096, 8192, 16_383]),
        s::RPN0 => numbers(&[0, 2, 12, 24]),
        _ => numbers(&[0, 1, 64, 127]),
    }
}

/// Calls with every scale and every pair of values of a line: the setup with its inputs fed and, unless the line says
/// nothing that differs from its default, its connection; the frame to look at; and what the line comes to, in units of
/// the scale.
fn vary(line: &Line, mut prepare: impl FnMut() -> Setup, mut measure: impl FnMut(Setup, usize, f64)) {
    for scale in scales(line) {
        for source in values(line.source) {
            for control in values(line.control) {
                let mut setup = prepare();
                if scale != line.default {
                    setup.articulation.push(line.with(scale));
                }
                let frame = setup.feed(line.source, source).max(setup.feed(line.control, control));
                let factor = norm(line.source, source, source_half(line.transform))
                    * norm(line.control, control, control_half(line.transform));
                measure(setup, frame, f64::from(scale) / 65_536.0 * factor);
            }
        }
    }
}

/// Asserts a measured value, and names the line on failure.
#[track_caller]
fn hold(line: &Line, setup: &Setup, found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} is not {expected} ± {tolerance} for {line:x?}, key {}, velocity {}, {:?}, {:?}",
        setup.key,
        setup.velocity,
        setup.before,
        setup.articulation,
    );
}

#[test]
fn pitch_is_the_sum_of_its_lines() {
    prove(&[d::PITCH]);
}

fn pitch_sum(line: &Line) {
    vary(line, Setup::default, |mut setup, frame, part| {
        let key = if line.source == s::KEY_NUMBER { 0.0 } else { 100.0 * f64::from(setup.key) };
        let expected = key + part;
        // Such a unity note that the wave is transposed as little as possible.
        setup.unity = (expected / 100.0).round().clamp(0.0, 127.0) as u16;
        let moves = matches!(line.source, s::LFO | s::VIBRATO);
        let radius = if moves { 64 } else { 512 };
        let found = setup.play(frame + radius + 1).cents(frame, radius) + 100.0 * f64::from(setup.unity);
        hold(line, &setup, found, expected, 0.25);
    });
}

#[test]
fn gain_is_the_sum_of_its_lines() {
    prove(&[d::GAIN]);
}

fn gain(line: &Line) {
    // The specification's 0.25 dB, down to -85 dB; below that, what 24 bits can still say.
    let tolerance = |expected: f64| if expected > -85.0 { 0.05 } else { 0.25 };
    if line.source == s::EG1 {
        for level in [1.0, 0.75, 0.5, 0.25] {
            let setup = Setup::of(&[constant(d::EG1_SUSTAIN, percent(level))]);
            let expected = -96.0 * (1.0 - level);
            hold(line, &setup, setup.play(601).decibels(600), expected, tolerance(expected));
        }
        return;
    }
    // 20 dB of room for what makes it louder.
    let prepare = || Setup { gain: decibels(-20.0), ..Setup::default() };
    vary(line, prepare, |setup, frame, part| {
        let expected = part / 10.0 - 20.0;
        hold(line, &setup, setup.play(frame + 1).decibels(frame), expected, tolerance(expected));
    });
}

#[test]
fn pan_is_the_sum_of_its_lines_and_ends_at_the_sides() {
    prove(&[d::PAN]);
}

fn pan(line: &Line) {
    vary(line, Setup::default, |setup, frame, part| {
        let recording = setup.play(frame + 1);
        hold(line, &setup, recording.pan(frame), (part / 1000.0).clamp(-0.5, 0.5), 0.001);
        hold(line, &setup, recording.amplitude(frame), 1.0, 0.001);
    });
}

#[test]
fn sends_are_parts_of_the_amplitude() {
    prove(&[d::REVERB, d::CHORUS]);
}

fn send(line: &Line) {
    let reverb = line.destination == d::REVERB;
    let config = SynthConfig { reverb, chorus: !reverb, voices: 8, ..dry() };
    let controller = if reverb { 91 } else { 93 };
    let prepare = || Setup { config, before: vec![vec![0xB0, controller, 0]], ..Setup::default() };
    let output = |setup: &Setup| render(&mut held(setup), 5000);
    let nothing = output(&prepare());
    // What the effect adds to nothing.
    let effect = |setup: &Setup| -> f64 {
        let sent = output(setup);
        let added = sent.as_flattened().iter().zip(nothing.as_flattened()).map(|(a, b)| f64::from(a - b).powi(2));
        added.sum::<f64>().sqrt()
    };
    let mut whole = prepare();
    whole.articulation.push(constant(line.destination, percent(1.0)));
    let whole = effect(&whole);
    assert!(whole > 1.0, "the effect is heard: {whole}");
    vary(line, prepare, |setup, _, part| {
        hold(line, &setup, effect(&setup) / whole, (part / 1000.0).clamp(0.0, 1.0), 0.001);
    });
}

fn held(setup: &Setup) -> dls_synth::Synth {
    let mut synth = setup::synth_of(setup);
    setup.before.iter().for_each(|message| synth.midi(0, message));
    synth.midi(0, &[0x90, setup.key, setup.velocity]);
    synth
}

/// Makes the connections by which the key has no influence on the pitch.
fn untuned() -> Connection {
    connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, 0)
}

#[test]
fn the_cutoff_is_the_sum_of_its_lines() {
    prove(&[d::FILTER_CUTOFF]);
}

fn cutoff(line: &Line) {
    // A tone at an eighth of the rate, far above the cutoff: its gain gives the cutoff.
    const TURN: usize = 8;
    let tone = 1.0 / TURN as f64;
    let flat = [untuned(), connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0)];
    let prepare = || Setup { turn: TURN, unity: 0, ..Setup::of(&flat) };
    let open = prepare().play(601).decibels(600);
    close(open, 0.0, 0.001);
    vary(line, prepare, |mut setup, frame, part| {
        let constant_line = line.source == s::NONE;
        let base = 8400.0;
        if !constant_line {
            setup.articulation.push(constant(d::FILTER_CUTOFF, cents(base)));
            // The line is measured at its full range by what another line takes to bring the sum back.
            let (other, value) =
                if line.source == s::EG2 { (s::VELOCITY, Value::Number(127)) } else { (s::EG2, Value::Level(1.0)) };
            _ = setup.feed(other, value);
            let back = -part / norm(other, value, source_half(LINEAR));
            setup.articulation.push(connection(other, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(back)));
        }
        let found = setup.play(frame + 1).decibels(frame);
        if constant_line && setup.articulation.len() == flat.len() {
            hold(line, &setup, found, 0.0, 0.001);
            return;
        }
        let expected = if constant_line { part } else { base };
        let found = 1200.0 * (cutoff_by_gain(found, tone) * f64::from(RATE) / 8.175_798_9).log2();
        // A semitone is allowed; an oscillator at its top is still moving.
        hold(line, &setup, found, expected, 25.0);
    });
    assert_eq!(OPEN, i32::MAX, "open by default: measured above with no line at all");
}

#[test]
fn resonance_lowers_the_pass_band_by_half_of_itself() {
    prove(&[d::FILTER_Q]);
}

fn resonance(line: &Line) {
    let prepare = || Setup::of(&[constant(d::FILTER_CUTOFF, pitch(6000.0))]);
    vary(line, prepare, |setup, _, part| {
        // From one table of the filter to the next is a step of resonance: 16 steps are required, 1.5 dB each.
        hold(line, &setup, -2.0 * setup.play(2001).decibels(2000), part / 10.0, 0.75);
    });
}

#[test]
fn oscillators_have_the_frequency_of_their_lines() {
    prove(FREQUENCIES);
}

fn frequency(line: &Line) {
    let oscillator = if line.destination == d::LFO_FREQUENCY { s::LFO } else { s::VIBRATO };
    for scale in [line.default, line.range.0, pitch(1.0), pitch(10.0), line.range.1] {
        let mut setup = Setup::of(&[connection(oscillator, s::NONE, d::PITCH, BIPOLAR, cents(100.0))]);
        if scale != line.default {
            setup.articulation.push(line.with(scale));
        }
        let hertz = 440.0 * ((f64::from(scale) / 65_536.0 - 6900.0) / 1200.0).exp2();
        // One turn of the slowest takes ten seconds; of the others, twenty turns.
        let turns = if hertz < 0.5 { 1.0 } else { 20.0 };
        let recording = setup.play(frame(0.02 + (turns + 0.5) / hertz));
        // Sine and cosine of its phase: now, and a quarter of a turn later.
        let phase = |at: f64| {
            let value = |at: f64| recording.cents(frame(at), 32);
            value(at).atan2(value(at + 0.25 / hertz)) / std::f64::consts::TAU
        };
        let start = 0.01 + 0.1 / hertz;
        let gained = phase(start + turns / hertz) - phase(start);
        // One per cent of what it has turned is allowed; where within a tick of 1.3 ms it stands is not known better.
        hold(line, &setup, gained, 0.0, 0.01 * turns);
        hold(line, &setup, phase(start), 0.1, 0.002 + 0.0014 * hertz);
    }
}

#[test]
fn oscillators_begin_after_their_delay() {
    prove(DELAYS);
}

fn delay(line: &Line) {
    let oscillator = if line.destination == d::LFO_DELAY { s::LFO } else { s::VIBRATO };
    for scale in [line.default, line.range.0, time(0.5), line.range.1, NO_TIME] {
        let mut setup = Setup::of(&[connection(oscillator, s::NONE, d::PITCH, BIPOLAR, cents(100.0))]);
        if scale != line.default {
            setup.articulation.push(line.with(scale));
        }
        let begin = if scale == NO_TIME { 0.0 } else { (f64::from(scale) / 65_536.0 / 1200.0).exp2() };
        let recording = setup.play(frame(begin + 0.2));
        if begin > 0.0 {
            hold(line, &setup, recording.cents(frame(begin * 0.5), 64), 0.0, 0.05);
            hold(line, &setup, recording.cents(frame(begin) - 128, 64), 0.0, 0.05);
        }
        // 5 Hz: at its top after 50 ms, at its bottom after 150.
        hold(line, &setup, recording.cents(frame(begin + 0.05), 64), 100.0, 0.5);
        hold(line, &setup, recording.cents(frame(begin + 0.15), 64), -100.0, 0.5);
        hold(line, &setup, recording.cents(frame(begin + 0.1), 64), 0.0, 5.0);
    }
}

#[test]
fn the_volume_envelope_takes_the_times_and_levels_of_its_lines() {
    prove(FIRST_ENVELOPE);
}

#[test]
fn the_modulation_envelope_takes_the_times_and_levels_of_its_lines() {
    prove(SECOND_ENVELOPE);
}

fn first_envelope(line: &Line) {
    let names = Names {
        delay: d::EG1_DELAY,
        attack: d::EG1_ATTACK,
        hold: d::EG1_HOLD,
        decay: d::EG1_DECAY,
        sustain: d::EG1_SUSTAIN,
        release: d::EG1_RELEASE,
    };
    let level = |recording: &Recording, frame: usize| {
        let decibels = recording.decibels(frame);
        // The attack alone is linear in amplitude.
        if line.destination == d::EG1_ATTACK { recording.amplitude(frame) } else { (1.0 + decibels / 96.0).max(0.0) }
    };
    // Half a dB of 96.
    envelope(line, &names, &[], level, 0.0052);
}

fn second_envelope(line: &Line) {
    let names = Names {
        delay: d::EG2_DELAY,
        attack: d::EG2_ATTACK,
        hold: d::EG2_HOLD,
        decay: d::EG2_DECAY,
        sustain: d::EG2_SUSTAIN,
        release: d::EG2_RELEASE,
    };
    let rows = [
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(1000.0)),
        // It must still be heard while the modulation envelope releases.
        constant(d::EG1_RELEASE, time(400.0)),
    ];
    envelope(line, &names, &rows, |recording, frame| recording.cents(frame, 64) / 1000.0, 0.006);
}

/// The destinations of an envelope.
struct Names {
    delay: u16,
    attack: u16,
    hold: u16,
    decay: u16,
    sustain: u16,
    release: u16,
}

/// Proves one line of an envelope, of which `level` returns the level at a frame.
fn envelope(line: &Line, names: &Names, rows: &[Connection], level: impl Fn(&Recording, usize) -> f64, tolerance: f64) {
    let stage = line.destination;
    let setup = |own: &[Connection]| Setup::of(&[&[untuned()], rows, own].concat());
    // At key 0 and no tuning by the key, unity 0 is the wave's own pitch.
    let setup = |own: &[Connection]| Setup { unity: 0, ..setup(own) };
    if stage == names.sustain {
        for part in [0.0, 0.25, 0.5, 0.999, 1.0] {
            let own: &[Connection] = &[line.with(percent(part))];
            let setup = setup(if part < 1.0 { own } else { &[] });
            hold(line, &setup, level(&setup.play(800), 600), part, tolerance);
        }
        return;
    }
    for (scale, base, input) in times_of(line) {
        let mut setup = setup(&[]);
        if let Some(base) = base {
            setup.articulation.push(constant(stage, time(base)));
        }
        let default = base.is_none() && scale == line.default;
        if !default {
            setup.articulation.push(line.with(scale));
        }
        let factor = match input {
            Some(value) => {
                _ = setup.feed(line.source, value);
                norm(line.source, value, source_half(line.transform))
            }
            None => 1.0,
        };
        let cents = f64::from(scale) / 65_536.0 * factor + base.map_or(0.0, |base| 1200.0 * base.log2());
        let seconds = if base.is_none() && scale == NO_TIME { 0.0 } else { (cents / 1200.0).exp2().min(40.0) };
        // Velocity is to act on nothing else.
        setup.articulation.push(connection(s::VELOCITY, s::NONE, d::GAIN, LINEAR, 0));
        time_of_stage(line, names, setup, seconds, &level, tolerance);
    }
}

/// Returns the cases of a line that is a time: its scale, the constant that it scales, and the input's value.
fn times_of(line: &Line) -> Vec<(i32, Option<f64>, Option<Value>)> {
    if line.source == s::NONE {
        return [line.default, NO_TIME, time(0.02), time(1.0), line.range.1].map(|scale| (scale, None, None)).to_vec();
    }
    let mut cases = Vec::new();
    for scale in [line.default, line.range.0, cents(-1200.0), cents(1200.0), line.range.1] {
        for value in values(line.source) {
            cases.push((scale, Some(0.5), Some(value)));
        }
    }
    cases
}

/// Looks at a stage of a known time.
fn time_of_stage(
    line: &Line,
    names: &Names,
    mut setup: Setup,
    seconds: f64,
    level: impl Fn(&Recording, usize) -> f64,
    tolerance: f64,
) {
    let stage = line.destination;
    // What comes before the stage, and where in it to look: at quarters of what is short, at the beginning of what is
    // long. Times are to be within 10 ms, which a level is allowed to be early or late by.
    let parts: &[f64] = if seconds > 2.0 { &[0.02, 0.1] } else { &[0.25, 0.5, 0.75] };
    let slack = |length: f64| if length > 0.0 { tolerance + 0.001_4 / length } else { tolerance };
    if stage == names.delay || stage == names.hold {
        if stage == names.hold {
            setup.articulation.push(constant(names.sustain, 0));
        }
        let recording = setup.play(frame(seconds + 0.02) + 200);
        let (before, after) = if stage == names.delay { (0.0, 1.0) } else { (1.0, 0.0) };
        if seconds > 0.02 {
            hold(line, &setup, level(&recording, frame(seconds - 0.01)), before, tolerance);
        }
        hold(line, &setup, level(&recording, frame(seconds + 0.01)), after, tolerance);
        return;
    }
    let begin = if stage == names.attack { 0.0 } else { 0.02 };
    let (from, to) = if stage == names.attack { (0.0, 1.0) } else { (1.0, 0.0) };
    if stage == names.decay {
        setup.articulation.extend([constant(names.hold, time(begin)), constant(names.sustain, 0)]);
    } else if stage == names.release {
        setup.events.push((frame(begin), vec![0x80, setup.key, 0]));
    } else if stage == d::EG1_SHUTDOWN {
        setup.events.push((frame(begin), vec![0xB0, 120, 0]));
    }
    let last = parts.last().unwrap().max(0.1) * seconds;
    let recording = setup.play(frame(begin + last) + 800);
    if seconds == 0.0 {
        hold(line, &setup, level(&recording, frame(begin) + 200), to, tolerance);
        if stage == names.attack {
            hold(
                line,
                &setup,
                level(&recording, 1.max(64 * usize::from(names.attack == d::EG2_ATTACK))),
                to,
                tolerance,
            );
        }
        return;
    }
    for part in parts {
        let expected = from + (to - from) * part;
        hold(line, &setup, level(&recording, frame(begin + part * seconds)), expected, slack(seconds));
    }
}

#[test]
fn the_key_number_is_the_note_moved_by_coarse_tuning() {
    prove(&[d::KEY_NUMBER]);
}

fn key_number(line: &Line) {
    // A region for each key, tuned by ten cents a key: which region plays is heard, and that it is the key that sounds.
    let collection = |scale: Option<i32>| {
        move |quarter: f64| {
            let setup = Setup::default();
            let mut collection = setup.collection(quarter);
            let region_of = |key: u16| dls::Region {
                keys: (key, key),
                articulation: Some(
                    [constant(d::PITCH, cents((f64::from(key) - 64.0) * 10.0))]
                        .into_iter()
                        .chain(scale.map(|scale| line.with(scale)))
                        .collect(),
                ),
                sample: Some(WaveSample { unity_note: 60, ..looped(0, TURN as u32) }),
                ..setup.region()
            };
            collection.instruments[0].regions = (0..128).map(region_of).collect();
            collection
        }
    };
    let of_key = |key: f64| 100.0 * (key - 60.0) + 10.0 * (key - 64.0);
    let mut cases: Vec<(Option<i32>, u8, u8, f64)> = vec![];
    if line.source == s::KEY_NUMBER {
        cases.extend([36, 59, 60, 61, 84].map(|key| (None, key, 64, f64::from(key))));
    } else {
        for (scale, steps) in [(None, 1.0), (Some(line.range.1), 1.0), (Some(cents(3200.0)), 0.5), (Some(0), 0.0)] {
            for tuning in [40, 62, 64, 66, 88] {
                cases.push((scale, 60, tuning, 60.0 + (f64::from(tuning) - 64.0) * steps));
            }
        }
    }
    for (scale, key, tuning, expected) in cases {
        let mut setup = Setup { key, ..Setup::default() };
        setup.parameter(2, tuning, None);
        let found = setup.play_collection(1700, collection(scale)).cents(1100, 512);
        hold(line, &setup, found, of_key(expected), 0.25);
    }
}
