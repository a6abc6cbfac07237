//! The volume envelope.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0, instrument};
use crate::dls::{
    Connection, Content, Region, TURN, Wave, WaveSample, connection, constant, destination as d, source as s,
    transform as t,
};
use crate::expect::Check;
use crate::units::{ZERO_TIME, cents, percent, seconds as time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        defaults(),
        attack(),
        attack_zero(),
        attack_longest(),
        decay(),
        decay_longest(),
        sustain(),
        release(),
        release_from_sustain(),
        release_in_attack(),
        release_in_decay(),
        release_longest(),
        delay(),
        delay_cuts_the_head(),
        hold(),
        velocity_to_attack(),
        key_to_decay(),
        key_to_hold(),
        zero_is_zero(),
        shutdown(),
        shutdown_default(),
    ]
}

/// Makes a case of one program and one note from [`FIRST`].
fn one(mut case: Case, rows: &[Connection], length: u32) -> Case {
    case.program(0, rows);
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + length);
    case
}

fn slope(case: &mut Case, begins: f64, points: &[(f64, f64)], note: &str) {
    for (after, decibels) in points {
        case.check(Check::level(begins + after, *decibels).of(format!("{note}, {} ms", (after * 1000.0).round())));
    }
}

fn defaults() -> Case {
    let mut case = Case::new(
        "eg1/defaults",
        "No envelope",
        "DLS-1, DLS-2.2: connection table, defaults of EG1",
        "Without connections a note is at full level at once, stays there, and ends at once.",
    )
    .level_1();
    case.instrument(instrument(0, Vec::new()));
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1000);
    case.check(Check::onset(T0 - 0.1, T0 + 0.5, T0));
    case.checks(Check::levels(T0 + 0.015, T0 + 0.985, (0.0, 0.0), 0.25));
    case.check(Check::end(T0 + 0.5, T0 + 1.5, T0 + 1.0));
    case
}

fn attack() -> Case {
    let mut case = one(
        Case::new(
            "eg1/attack",
            "Attack",
            "DLS-1, DLS-2.2: EG1, attack linear in amplitude",
            "The attack rises linearly in amplitude, from silence to full level in its time.",
        )
        .level_1(),
        &[constant(d::EG1_ATTACK, time(0.5))],
        800,
    );
    let points = [0.05, 0.1, 0.2, 0.3, 0.4].map(|t: f64| (t, 20.0 * libm::log10(t / 0.5)));
    slope(&mut case, T0, &points, "attack");
    case.check(Check::level(T0 + 0.55, 0.0).of("after it"));
    case
}

fn attack_zero() -> Case {
    let mut case = one(
        Case::new(
            "eg1/attack-none",
            "Attack of no time",
            "DLS-1, DLS-2.2: EG1, time of 0x80000000",
            "With an attack of exactly zero a note begins at full level.",
        )
        .level_1(),
        &[constant(d::EG1_ATTACK, ZERO_TIME)],
        300,
    );
    case.check(Check::onset(T0 - 0.1, T0 + 0.2, T0).within(0.005));
    case.check(Check { slack: 0.0, ..Check::level(T0 + 0.007, 0.0) }.of("7 ms after it"));
    case
}

fn attack_longest() -> Case {
    let mut case = one(
        Case::new(
            "eg1/attack-longest",
            "The longest attack",
            "DLS-2.2: connection table, EG1 ATTACK, range to 40 s",
            "An attack can last 40 s: after 2 s it is at 1/20 of full level.",
        ),
        &[constant(d::EG1_ATTACK, time(40.0))],
        2300,
    );
    let points = [0.5, 1.0, 2.0].map(|t: f64| (t, 20.0 * libm::log10(t / 40.0)));
    slope(&mut case, T0, &points, "attack");
    case
}

fn decay() -> Case {
    let mut case = one(
        Case::new(
            "eg1/decay",
            "Decay",
            "DLS-1, DLS-2.2: EG1, decay linear in dB, 96 dB in the decay time",
            "The decay falls linearly in dB, by 96 dB in its time.",
        )
        .level_1(),
        &[constant(d::EG1_DECAY, time(2.0)), constant(d::EG1_SUSTAIN, 0)],
        2200,
    );
    slope(&mut case, T0, &[0.1, 0.25, 0.5, 1.0, 1.5].map(|t| (t, -48.0 * t)), "decay");
    case.check(Check::below(T0 + 2.05, T0 + 2.15, -85.0).of("after it"));
    case
}

fn decay_longest() -> Case {
    let mut case = one(
        Case::new(
            "eg1/decay-longest",
            "The longest decay",
            "DLS-2.2: connection table, EG1 DECAY, range to 40 s",
            "A decay can last 40 s: it falls by 2.4 dB a second.",
        ),
        &[constant(d::EG1_DECAY, time(40.0)), constant(d::EG1_SUSTAIN, 0)],
        2300,
    );
    slope(&mut case, T0, &[0.5, 1.0, 2.0].map(|t| (t, -2.4 * t)), "decay");
    case
}

fn sustain() -> Case {
    let mut case = Case::new(
        "eg1/sustain",
        "Sustain",
        "DLS-1, DLS-2.2: EG1, sustain in percent of 96 dB",
        "Sustain is a part of the 96 dB scale: 50 % are -48 dB; the decay gets there at its own rate.",
    )
    .level_1();
    for (program, part) in [(0u8, 87.5), (1, 75.0), (2, 50.0)] {
        case.program(program, &[constant(d::EG1_DECAY, time(1.0)), constant(d::EG1_SUSTAIN, percent(part))]);
        let on = nth(program.into(), 1000);
        case.choose(on - 30, program);
        case.note(KEY, 127, on, on + 900);
        let level = -96.0 * (1.0 - part / 100.0);
        let lasts = 1.0 - part / 100.0;
        case.check(Check::level(seconds(on) + lasts / 2.0, level / 2.0).of(format!("half way to {part} %")));
        case.check(Check::steady(seconds(on) + lasts + 0.1, level).within(0.5).of(format!("{part} %")));
        case.check(Check::steady(seconds(on) + 0.85, level).within(0.5).of(format!("{part} %, later")));
    }
    case
}

fn release() -> Case {
    let mut case = one(
        Case::new(
            "eg1/release",
            "Release",
            "DLS-1, DLS-2.2: EG1, release linear in dB, 96 dB in the release time",
            "The release falls linearly in dB, by 96 dB in its time.",
        )
        .level_1(),
        &[constant(d::EG1_RELEASE, time(1.0))],
        300,
    );
    case.check(Check::steady(T0 + 0.2, 0.0).of("before it"));
    slope(&mut case, T0 + 0.3, &[0.1, 0.25, 0.5, 0.75].map(|t| (t, -96.0 * t)), "release");
    case.check(Check::below(T0 + 1.35, T0 + 1.5, -85.0).of("after it"));
    case
}

fn release_from_sustain() -> Case {
    let mut case = one(
        Case::new(
            "eg1/release-from-sustain",
            "Release from sustain",
            "DLS-1, DLS-2.2: EG1, release is a rate",
            "The release goes on from the sustain level at its own rate, and is over sooner.",
        )
        .level_1(),
        &[
            constant(d::EG1_DECAY, time(0.4)),
            constant(d::EG1_SUSTAIN, percent(75.0)),
            constant(d::EG1_RELEASE, time(1.0)),
        ],
        400,
    );
    slope(&mut case, T0 + 0.4, &[0.1, 0.25, 0.5].map(|t| (t, -24.0 - 96.0 * t)), "release");
    case
}

fn release_in_attack() -> Case {
    let mut case = one(
        Case::new(
            "eg1/release-in-attack",
            "Release in the attack",
            "DLS-1, DLS-2.2: EG1, note-off in any phase",
            "A note that ends in its attack is released from the level reached.",
        )
        .level_1(),
        &[constant(d::EG1_ATTACK, time(1.0)), constant(d::EG1_RELEASE, time(1.0))],
        500,
    );
    case.check(Check::level(T0 + 0.49, 20.0 * libm::log10(0.49)).of("before it"));
    slope(&mut case, T0 + 0.5, &[0.1, 0.25, 0.5].map(|t| (t, -6.02 - 96.0 * t)), "release");
    case
}

fn release_in_decay() -> Case {
    let mut case = one(
        Case::new(
            "eg1/release-in-decay",
            "Release in the decay",
            "DLS-1, DLS-2.2: EG1, note-off in any phase",
            "A note that ends in its decay is released from the level reached.",
        )
        .level_1(),
        &[
            constant(d::EG1_DECAY, time(4.0)),
            constant(d::EG1_SUSTAIN, percent(25.0)),
            constant(d::EG1_RELEASE, time(0.5)),
        ],
        500,
    );
    slope(&mut case, T0, &[(0.25, -6.0), (0.48, -11.52)], "decay");
    slope(&mut case, T0 + 0.5, &[0.1, 0.25].map(|t| (t, -12.0 - 192.0 * t)), "release");
    case
}

fn release_longest() -> Case {
    let mut case = one(
        Case::new(
            "eg1/release-longest",
            "The longest release",
            "DLS-2.2: connection table, EG1 RELEASE, range to 40 s",
            "A release can last 40 s: it falls by 2.4 dB a second.",
        ),
        &[constant(d::EG1_RELEASE, time(40.0))],
        300,
    );
    slope(&mut case, T0 + 0.3, &[0.5, 1.0, 2.0].map(|t| (t, -2.4 * t)), "release");
    case
}

fn delay() -> Case {
    let mut case = one(
        Case::new(
            "eg1/delay",
            "Delay",
            "DLS-2.2: EG1, delay",
            "A note is silent for its delay; then its attack begins.",
        ),
        &[constant(d::EG1_DELAY, time(0.2))],
        600,
    );
    case.check(Check::below(T0 - 0.1, T0 + 0.185, -80.0).of("within it"));
    case.check(Check::onset(T0, T0 + 0.5, T0 + 0.2));
    case.check(Check::steady(T0 + 0.4, 0.0).of("after it"));
    case
}

fn delay_cuts_the_head() -> Case {
    let mut case = Case::new(
        "eg1/delay-cuts-the-head",
        "The oscillator runs during the delay",
        "DLS-2.2: EG1, delay",
        "The wave is played from note-on: the part within the delay is not heard later.",
    );
    // 58 ms of the tone, then an octave higher for ever.
    let parts = Content::Parts([(TURN, 20), (TURN / 2, 8)]);
    let sample = WaveSample { sample_loop: Some((0, 20 * TURN, 4 * TURN)), ..WaveSample::default() };
    let wave = case.wave(Wave { content: parts, sample: Some(sample), ..Wave::default() });
    case.program(0, &[constant(d::EG1_DELAY, time(0.040))]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 400);
    case.check(Check::below(T0, T0 + 0.025, -80.0).of("within the delay"));
    case.check(Check { slack: 0.0, ..Check::moving_pitch(T0 + 0.080, 1200.0, 5.0) }.of("80 ms"));
    case.check(Check::pitch(T0 + 0.25, 1200.0).of("250 ms"));
    case
}

fn hold() -> Case {
    let mut case = one(
        Case::new(
            "eg1/hold",
            "Hold",
            "DLS-2.2: EG1, hold",
            "After its attack a note stays at full level for its hold; then its decay begins.",
        ),
        &[
            constant(d::EG1_ATTACK, time(0.1)),
            constant(d::EG1_HOLD, time(0.3)),
            constant(d::EG1_DECAY, time(1.0)),
            constant(d::EG1_SUSTAIN, 0),
        ],
        1000,
    );
    slope(&mut case, T0, &[(0.05, -6.02), (0.15, 0.0), (0.38, 0.0), (0.5, -9.6), (0.8, -38.4)], "from note-on");
    case
}

fn velocity_flat() -> Connection {
    connection(s::VELOCITY, s::NONE, d::GAIN, t::INVERT | t::CONCAVE, 0)
}

fn velocity_to_attack() -> Case {
    let mut case = Case::new(
        "eg1/velocity-to-attack",
        "Velocity to attack",
        "DLS-1, DLS-2.2: connection table, EG1 ATTACK from velocity",
        "The attack is its time times 2 to the power of scale/1200 times velocity/128.",
    )
    .level_1();
    case.program(
        0,
        &[
            velocity_flat(),
            constant(d::EG1_ATTACK, time(0.1)),
            connection(s::VELOCITY, s::NONE, d::EG1_ATTACK, 0, cents(2400.0)),
        ],
    );
    case.choose(0, 0);
    for (i, velocity) in [1u8, 64, 127].into_iter().enumerate() {
        let on = nth(i, 700);
        case.note(KEY, velocity, on, on + 600);
        let attack = 0.1 * libm::exp2(2.0 * f64::from(velocity) / 128.0);
        for (part, decibels) in [(0.25, -12.04), (0.5, -6.02), (0.75, -2.5)] {
            let check = Check::level(seconds(on) + part * attack, decibels);
            case.check(check.of(format!("velocity {velocity}, {part} of the attack")));
        }
    }
    case
}

fn key_to_decay() -> Case {
    let mut case = Case::new(
        "eg1/key-to-decay",
        "Key to decay",
        "DLS-1, DLS-2.2: connection table, EG1 DECAY from key number",
        "The decay is its time times 2 to the power of scale/1200 times key/128.",
    )
    .level_1();
    case.program(
        0,
        &[
            constant(d::EG1_DECAY, time(1.0)),
            constant(d::EG1_SUSTAIN, 0),
            connection(s::KEY, s::NONE, d::EG1_DECAY, 0, cents(-2400.0)),
        ],
    );
    case.choose(0, 0);
    for (i, key) in [32u8, 64, 84].into_iter().enumerate() {
        let on = nth(i, 900);
        case.note(key, 127, on, on + 800);
        let decay = libm::exp2(-2.0 * f64::from(key) / 128.0);
        for part in [0.25, 0.5, 0.75] {
            let check = Check::level(seconds(on) + part * decay, -96.0 * part);
            case.check(check.of(format!("key {key}, {part} of the decay")));
        }
    }
    case
}

fn key_to_hold() -> Case {
    let mut case = Case::new(
        "eg1/key-to-hold",
        "Key to hold",
        "DLS-2.2: connection table, EG1 HOLD from key number",
        "The hold is its time times 2 to the power of scale/1200 times key/128.",
    );
    case.program(
        0,
        &[
            constant(d::EG1_HOLD, time(0.1)),
            constant(d::EG1_DECAY, time(0.5)),
            constant(d::EG1_SUSTAIN, 0),
            connection(s::KEY, s::NONE, d::EG1_HOLD, 0, cents(2400.0)),
        ],
    );
    case.choose(0, 0);
    for (i, key) in [32u8, 64, 84].into_iter().enumerate() {
        let on = nth(i, 700);
        case.note(key, 127, on, on + 600);
        let hold = 0.1 * libm::exp2(2.0 * f64::from(key) / 128.0);
        case.check(Check::level(seconds(on) + hold - 0.015, 0.0).of(format!("key {key}, before its end")));
        case.check(Check::level(seconds(on) + hold + 0.1, -19.2).of(format!("key {key}, 100 ms after it")));
    }
    case
}

fn zero_is_zero() -> Case {
    let mut case = Case::new(
        "eg1/zero-is-zero",
        "A time of zero cannot be changed",
        "DLS-1, DLS-2.2: time of 0x80000000",
        "A time of exactly zero stays zero whatever is connected to it.",
    )
    .level_1();
    case.program(
        0,
        &[constant(d::EG1_ATTACK, ZERO_TIME), connection(s::VELOCITY, s::NONE, d::EG1_ATTACK, 0, cents(6000.0))],
    );
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.check(Check::onset(T0 - 0.1, T0 + 0.2, T0));
    case.check(Check::level(T0 + 0.02, 0.0));
    case
}

/// Makes two regions of one key group, a fifth apart.
fn exclusive(case: &mut Case, rows: &[Connection]) {
    let instrument = case.program(0, rows);
    instrument.regions = vec![Region { key_group: 1, ..Region::default() }];
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 1500);
    case.note(KEY + 7, 127, FIRST + 300, FIRST + 1500);
    case.check(Check::steady(T0 + 0.15, 0.0).component(0.0).of("the old note before it"));
    case.check(Check::steady(T0 + 0.5, 0.0).component(700.0).of("the new note"));
}

fn shutdown() -> Case {
    let mut case = Case::new(
        "eg1/shutdown",
        "Shutdown",
        "DLS-2.2: connection table, EG1 SHUTDOWN",
        "A note that is ended by another falls by 96 dB in its shutdown time, linearly in dB.",
    );
    exclusive(&mut case, &[constant(d::EG1_SHUTDOWN, time(1.0))]);
    for after in [0.1, 0.25, 0.5] {
        let check = Check { slack: 0.010, ..Check::steady(T0 + 0.3 + after, -96.0 * after) };
        case.check(check.component(0.0).within(1.0).of(format!("the old note, {} ms", after * 1000.0)));
    }
    case
}

fn shutdown_default() -> Case {
    let mut case = Case::new(
        "eg1/shutdown-default",
        "Shutdown time at first",
        "DLS-2.2: connection table, EG1 SHUTDOWN, default of 15 ms",
        "Without a shutdown time of its own a note that is ended by another is gone within 15 ms, whatever its release.",
    );
    exclusive(&mut case, &[constant(d::EG1_RELEASE, time(5.0))]);
    case.check(Check::below(T0 + 0.4, T0 + 0.6, -60.0).component(0.0).of("the old note, from 50 ms on"));
    case
}
