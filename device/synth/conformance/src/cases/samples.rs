//! Waves: how they are tuned, looped, written and coupled.

use super::{nth, seconds};
use crate::case::{Case, FIRST, KEY, T0};
use crate::dls::{
    Content, RATE, Region, TURN, Wave, WaveSample, connection, constant, destination as d, source as s, transform as t,
};
use crate::expect::{Basis, Check, Output};
use crate::units::{cents, seconds as time};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        rates(),
        unity_note(),
        fine_tune(),
        region_replaces_wave(),
        neither(),
        eight_bit(),
        extensible(),
        one_shot(),
        loop_goes_on_in_release(),
        loop_until_release(1),
        loop_until_release(2),
        phase_locked(),
        channels(),
    ]
}

/// Makes a note for each wave; the pitch that each must have.
fn pitches(case: &mut Case, waves: Vec<(Wave, Option<WaveSample>, f64, String)>) {
    for (i, (wave, sample, expected, note)) in waves.into_iter().enumerate() {
        let wave = case.wave(wave);
        let instrument = case.program(i as u8, &[]);
        instrument.regions[0] = Region { wave, sample, ..instrument.regions[0].clone() };
        let on = nth(i, 400);
        case.choose(on - 20, i as u8);
        case.note(KEY, 127, on, on + 340);
        case.check(Check::pitch(seconds(on + 180), expected).of(note));
    }
}

fn rates() -> Case {
    let mut case = Case::new(
        "sample/rates",
        "Waves of other sample rates",
        "DLS-1, DLS-2.2: fmt of a wave",
        "A wave is played at its own sample rate, whatever that of the output.",
    )
    .level_1();
    let rates = [11_025, 22_050, 32_000, 48_000].map(|rate| {
        let cents = 1200.0 * libm::log2(f64::from(rate) / f64::from(RATE));
        (Wave { rate, ..Wave::default() }, None, cents, format!("{rate} Hz"))
    });
    pitches(&mut case, rates.to_vec());
    case
}

fn unity_note() -> Case {
    let mut case = Case::new(
        "sample/unity-note",
        "Unity note",
        "DLS-1, DLS-2.2: wsmp, usUnityNote",
        "The unity note is the key at which a wave plays at its own rate.",
    )
    .level_1();
    let notes = [48u16, 60, 72, 84].map(|unity| {
        let sample = Some(WaveSample { unity, ..WaveSample::default() });
        (Wave { sample, ..Wave::default() }, None, 100.0 * (60.0 - f64::from(unity)), format!("unity note {unity}"))
    });
    pitches(&mut case, notes.to_vec());
    case
}

fn fine_tune() -> Case {
    let mut case = Case::new(
        "sample/fine-tune",
        "Fine tune",
        "DLS-1, DLS-2.2: wsmp, sFineTune",
        "Fine tune raises the pitch by so many cents.",
    )
    .level_1();
    let tunes = [-50i16, -1, 30, 100].map(|fine_tune| {
        let sample = Some(WaveSample { fine_tune, ..WaveSample::default() });
        (Wave { sample, ..Wave::default() }, None, f64::from(fine_tune), format!("{fine_tune} cents"))
    });
    pitches(&mut case, tunes.to_vec());
    case
}

fn region_replaces_wave() -> Case {
    let mut case = Case::new(
        "sample/region-replaces-wave",
        "A region's wave sample replaces the wave's",
        "DLS-1, DLS-2.2: wsmp of a region",
        "A region's wsmp counts in place of the wave's, all of it: unity note, fine tune and loop.",
    )
    .level_1();
    let of_wave = WaveSample { unity: 48, fine_tune: 40, ..WaveSample::default() };
    let wave = Wave { sample: Some(of_wave), ..Wave::default() };
    let of_region = WaveSample { unity: 65, ..WaveSample::default() };
    pitches(&mut case, vec![(wave, Some(of_region), -500.0, "unity note 65, no fine tune".into())]);
    let without_loop = WaveSample { sample_loop: None, ..WaveSample::default() };
    let instrument = case.program(1, &[]);
    instrument.regions[0].sample = Some(without_loop);
    let on = nth(1, 400);
    case.choose(on - 20, 1);
    case.note(KEY, 127, on, on + 300);
    case.check(Check::silent(seconds(on + 30), seconds(on + 280)).of("a region without a loop"));
    case
}

fn neither() -> Case {
    let mut case = Case::new(
        "sample/no-wave-sample",
        "No wave sample at all",
        "DLS-1, DLS-2.2: wsmp is optional",
        "Without wsmp in region and wave the unity note is 60, and the wave is played once.",
    )
    .level_1();
    // 232 ms.
    let wave = Wave { content: Content::Parts([(TURN, 80), (TURN, 0)]), sample: None, ..Wave::default() };
    pitches(&mut case, vec![(wave, None, 0.0, "unity note 60".into())]);
    case.check(Check::silent(T0 + 0.25, T0 + 0.33).of("after the wave"));
    case
}

fn eight_bit() -> Case {
    let mut case = Case::new(
        "sample/eight-bit",
        "Waves of 8 bits",
        "DLS-1, DLS-2.2: fmt of a wave, 8 bits unsigned",
        "Samples of 8 bits are unsigned, with silence at 128, and as loud as those of 16.",
    )
    .level_1();
    let wave = Wave { content: Content::EightBit(TURN), ..Wave::default() };
    let wave = case.wave(wave);
    case.program(0, &[]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 340);
    // What 8 bits round away is 42 dB down, and moves the measured pitch.
    case.check(Check::pitch(T0 + 0.18, 0.0).within(1.0).of("pitch"));
    case.check(Check::steady(T0 + 0.18, 0.0).component(0.0).of("level"));
    case
}

fn extensible() -> Case {
    let mut case = Case::new(
        "sample/extensible",
        "WAVE_FORMAT_EXTENSIBLE",
        "DLS-2.2: fmt of a wave",
        "A wave of 16 bits may say so by WAVE_FORMAT_EXTENSIBLE and the sub-format of PCM.",
    )
    .basis(Basis::Optional);
    pitches(&mut case, vec![(Wave { extensible: true, ..Wave::default() }, None, 0.0, "pitch".into())]);
    case.check(Check::steady(T0 + 0.18, 0.0).of("level"));
    case
}

fn one_shot() -> Case {
    let mut case = Case::new(
        "sample/one-shot",
        "A wave without a loop",
        "DLS-1, DLS-2.2: digital oscillator",
        "A wave without a loop is played once, to its last sample, while its key is down.",
    )
    .level_1();
    let turns = 100;
    let wave = case.wave(Wave {
        content: Content::Parts([(TURN, turns), (TURN, 0)]),
        sample: Some(WaveSample { sample_loop: None, ..WaveSample::default() }),
        ..Wave::default()
    });
    case.program(0, &[]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 600);
    let lasts = f64::from(turns * TURN) / f64::from(RATE);
    case.checks(Check::levels(T0 + 0.015, T0 + lasts - 0.015, (0.0, 0.0), 0.25));
    case.check(Check::end(T0 + 0.1, T0 + 0.59, T0 + lasts));
    case
}

fn loop_goes_on_in_release() -> Case {
    let mut case = Case::new(
        "sample/loop-forward",
        "A forward loop",
        "DLS-1, DLS-2.2: wsmp, WLOOP_TYPE_FORWARD",
        "A forward loop goes on until the release has ended.",
    )
    .level_1();
    // What follows the loop is an octave higher, and never heard.
    let wave = case.wave(Wave {
        content: Content::Parts([(TURN, 4), (TURN / 2, 16)]),
        sample: Some(WaveSample { sample_loop: Some((0, TURN, 3 * TURN)), ..WaveSample::default() }),
        ..Wave::default()
    });
    case.program(0, &[constant(d::EG1_RELEASE, time(1.0))]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 300);
    case.checks(Check::still(T0 + 0.03, T0 + 0.65, 0.0));
    case.check(Check::level(T0 + 0.7, -38.4).of("in the release"));
    case
}

fn loop_until_release(kind: u32) -> Case {
    let (id, title, rule) = if kind == 1 {
        (
            "sample/loop-release",
            "A loop until release",
            "A loop of WLOOP_TYPE_RELEASE (1) is left at note-off, without a jump, and the rest of the wave is played.",
        )
    } else {
        (
            "sample/loop-release-2",
            "A loop until release, as the older header numbers it",
            "WLOOP_TYPE_RELEASE is 1 in the specification and 2 in the header that many files were made with: 2 counts, too.",
        )
    };
    let mut case = Case::new(id, title, "DLS-2.2: wsmp, WLOOP_TYPE_RELEASE", rule);
    if kind == 2 {
        case = case.basis(Basis::Practice);
    }
    // The rest is an octave higher, 116 ms long.
    let turns = 80;
    let wave = case.wave(Wave {
        content: Content::Parts([(TURN, 4), (TURN / 2, turns)]),
        sample: Some(WaveSample { sample_loop: Some((kind, TURN, 3 * TURN)), ..WaveSample::default() }),
        ..Wave::default()
    });
    case.program(0, &[constant(d::EG1_RELEASE, time(40.0))]).regions[0].wave = wave;
    case.choose(0, 0);
    case.note(KEY, 127, FIRST, FIRST + 500);
    case.checks(Check::still(T0 + 0.03, T0 + 0.48, 0.0).map(|check| check.of("in the loop")));
    case.check(Check::moving_pitch(T0 + 0.55, 1200.0, 2.0).of("the rest"));
    case.checks(Check::levels(T0 + 0.45, T0 + 0.6, (-0.2, 0.0), 0.25).map(|check| check.of("across the exit")));
    let rest = f64::from(turns * TURN / 2) / f64::from(RATE);
    case.check(Check::end(T0 + 0.52, T0 + 1.0, T0 + 0.5 + rest).of("end of the rest"));
    case
}

/// `F_WAVELINK_PHASE_MASTER`.
const MASTER: u16 = 1;
/// `F_WAVELINK_MULTICHANNEL`.
const MULTICHANNEL: u16 = 2;

fn phase_locked() -> Case {
    let mut case = Case::new(
        "sample/phase-locked",
        "Phase-locked stereo",
        "DLS-2.2: wlnk, phase groups; architecture, phase-locked oscillators",
        "Of two waves of one phase group the slave follows the master's pitch to half a sample, whatever its own \
         articulation and sample rate say.",
    );
    let slow = case.wave(Wave { rate: RATE / 2, ..Wave::default() });
    let instrument = case.program(0, &[]);
    let vibrato = connection(s::VIBRATO, s::NONE, d::PITCH, t::BIPOLAR, cents(80.0));
    let own = |rows: &[crate::dls::Connection]| vec![crate::dls::Articulation::two(crate::case::organ_with(rows))];
    instrument.articulation.clear();
    instrument.regions = vec![
        // The slave comes first: order must not matter.
        Region {
            link: (MULTICHANNEL, 1, 2),
            wave: slow,
            articulation: own(&[constant(d::PITCH, cents(300.0))]),
            ..Region::default()
        },
        Region { link: (MULTICHANNEL | MASTER, 1, 1), articulation: own(&[vibrato]), ..Region::default() },
    ];
    case.choose(0, 0);
    case.note(KEY + 5, 127, FIRST, FIRST + 1400);
    case.wheel(FIRST + 700, 12_288);
    for (side, name) in [(Output::Left, "master"), (Output::Right, "slave")] {
        for (from, pitch) in [(0.1, 500.0), (0.8, 600.0)] {
            let checks = Check::pitches(T0 + from, T0 + from + 0.5, (pitch - 80.0, pitch + 80.0), 4.0);
            case.checks(checks.map(|check| check.at_output(side).of(name)));
        }
    }
    for after in [0.02, 0.21, 0.5, 0.9, 1.35] {
        case.check(Check::phase(T0 + after, 0.0).of(format!("{} ms", after * 1000.0)));
    }
    case
}

fn channels() -> Case {
    let mut case = Case::new(
        "sample/channels",
        "Waves that belong to one output",
        "DLS-2.2: wlnk, F_WAVELINK_MULTICHANNEL and channel mask",
        "A multichannel wave goes to the output of its mask: 1 is left, 2 is right.",
    );
    for (program, mask, here, there) in [(0u8, 1u32, Output::Left, Output::Right), (1, 2, Output::Right, Output::Left)]
    {
        let instrument = case.program(program, &[]);
        instrument.regions[0].link = (MULTICHANNEL | MASTER, 1, mask);
        let on = nth(program.into(), 300);
        case.choose(on - 20, program);
        case.note(KEY, 127, on, on + 240);
        case.check(
            Check::below(seconds(on + 20), seconds(on + 220), -60.0).at_output(there).of(format!("mask {mask}")),
        );
        case.check(Check::steady(seconds(on + 130), -1.5).within(1.75).at_output(here).of(format!("mask {mask}")));
    }
    case
}
