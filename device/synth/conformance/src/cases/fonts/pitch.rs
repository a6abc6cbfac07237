//! Pitch: keys, root keys, tunings, the wheel.

use super::{About, DISTANCE, LENGTH, MIDDLE, font, keys, nth, play_keys, seconds};
use crate::case::{Case, KEY};
use crate::expect::{Basis, Check};
use crate::font::{Generator, Modulator, Sample, generator as g};

/// Makes the cases of this chapter.
pub(super) fn cases() -> Vec<Case> {
    vec![
        keys(
            (
                "sf2-pitch/keys",
                "Keys around the root",
                "8.1.2, 56 scaleTuning; 7.10 byOriginalKey",
                "A key is a hundred cents from the next, and the sample's own pitch is at its root key.",
            ),
            &[],
            &[(36, -2400.0), (48, -1200.0), (59, -100.0), (60, 0.0), (61, 100.0), (72, 1200.0), (84, 2400.0)],
        ),
        of_sample(
            (
                "sf2-pitch/root-key",
                "The sample's root key",
                "7.10 byOriginalKey",
                "The sample sounds as recorded at the key that its header names.",
            ),
            Sample { root: 72, ..Sample::default() },
            &[],
            &[(72, 0.0), (60, -1200.0)],
        ),
        of_sample(
            (
                "sf2-pitch/root-key-of-unpitched",
                "A sample without pitch",
                "7.10 byOriginalKey",
                "255 is a sample without pitch, which plays as if its root key were 60.",
            ),
            Sample { root: 255, ..Sample::default() },
            &[],
            &[(60, 0.0), (67, 700.0)],
        ),
        of_sample(
            (
                "sf2-pitch/root-key-beyond-midi",
                "A root key beyond 127",
                "7.10 byOriginalKey",
                "128 to 254 are no keys: 60 is taken.",
            ),
            Sample { root: 200, ..Sample::default() },
            &[],
            &[(60, 0.0), (48, -1200.0)],
        ),
        of_sample(
            (
                "sf2-pitch/overriding-root-key",
                "Overriding root key",
                "8.1.2, 58 overridingRootKey",
                "The zone's root key counts in place of the sample's.",
            ),
            Sample { root: 72, ..Sample::default() },
            &[(g::ROOT_KEY, 48)],
            &[(48, 0.0), (60, 1200.0)],
        ),
        of_sample(
            (
                "sf2-pitch/overriding-root-key-none",
                "No overriding root key",
                "8.1.2, 58 overridingRootKey",
                "-1 leaves the sample's root key.",
            ),
            Sample { root: 67, ..Sample::default() },
            &[(g::ROOT_KEY, -1)],
            &[(67, 0.0), (60, -700.0)],
        ),
        of_sample(
            (
                "sf2-pitch/correction",
                "Pitch correction",
                "7.10 chPitchCorrection",
                "The sample's correction, in cents, is applied on playback.",
            ),
            Sample { correction: 40, ..Sample::default() },
            &[],
            &[(60, 40.0), (61, 140.0)],
        ),
        of_sample(
            (
                "sf2-pitch/correction-down",
                "Pitch correction downwards",
                "7.10 chPitchCorrection",
                "A negative correction lowers the pitch.",
            ),
            Sample { correction: -50, ..Sample::default() },
            &[],
            &[(60, -50.0)],
        ),
        of_sample(
            (
                "sf2-pitch/sample-rate",
                "The sample's rate",
                "7.10 dwSampleRate",
                "A sample of half the rate lasts twice as long.",
            ),
            Sample { rate: 22_050, ..Sample::default() },
            &[],
            &[(60, -1200.0), (72, 0.0)],
        ),
        keys(
            ("sf2-pitch/coarse-tune", "Coarse tuning", "8.1.2, 51 coarseTune", "Semitones are added to the pitch."),
            &[(g::COARSE_TUNE, 7)],
            &[(60, 700.0), (48, -500.0)],
        ),
        keys(
            ("sf2-pitch/fine-tune", "Fine tuning", "8.1.2, 52 fineTune", "Cents are added to the pitch."),
            &[(g::FINE_TUNE, -37)],
            &[(60, -37.0), (72, 1163.0)],
        ),
        summed(),
        keys(
            (
                "sf2-pitch/fine-tune-limit",
                "Fine tuning beyond its limit",
                "8.1.3, 52 fineTune; 8.1.3, clipping",
                "A value beyond the generator's range counts as the nearest in it.",
            ),
            &[(g::FINE_TUNE, 500)],
            &[(60, 99.0)],
        )
        .basis(Basis::Optional),
        keys(
            (
                "sf2-pitch/scale-tuning-half",
                "Keys of half a semitone",
                "8.1.2, 56 scaleTuning",
                "The tuning of keys is counted from the root key.",
            ),
            &[(g::SCALE_TUNING, 50)],
            &[(60, 0.0), (61, 50.0), (72, 600.0), (48, -600.0)],
        ),
        keys(
            (
                "sf2-pitch/scale-tuning-none",
                "Keys that do not change the pitch",
                "8.1.2, 56 scaleTuning",
                "With 0 every key has the pitch of the root.",
            ),
            &[(g::SCALE_TUNING, 0)],
            &[(60, 0.0), (48, 0.0), (80, 0.0)],
        ),
        keys(
            (
                "sf2-pitch/scale-tuning-wide",
                "Keys of two semitones",
                "8.1.2, 56 scaleTuning",
                "The tuning of keys may be wider than a semitone.",
            ),
            &[(g::SCALE_TUNING, 200)],
            &[(61, 200.0), (54, -1200.0), (66, 1200.0)],
        ),
        keys(
            (
                "sf2-pitch/scale-tuning-and-root",
                "Keys of half a semitone around another root",
                "8.1.2, 56 scaleTuning; 58 overridingRootKey",
                "The tuning of keys is counted from the overriding root key.",
            ),
            &[(g::SCALE_TUNING, 50), (g::ROOT_KEY, 48)],
            &[(48, 0.0), (60, 600.0), (72, 1200.0)],
        ),
        keys(
            (
                "sf2-pitch/forced-key",
                "A key of its own",
                "8.1.2, 46 keynum",
                "The zone's key counts in place of the note's.",
            ),
            &[(g::KEY, 67)],
            &[(60, 700.0), (40, 700.0), (90, 700.0)],
        ),
        keys(
            (
                "sf2-pitch/forced-key-and-scale",
                "A key of its own, scaled",
                "8.1.2, 46 keynum; 56 scaleTuning",
                "All that follows the key follows the zone's.",
            ),
            &[(g::KEY, 72), (g::SCALE_TUNING, 50)],
            &[(60, 600.0), (30, 600.0)],
        ),
        wheel(
            (
                "sf2-pitch/wheel",
                "The wheel",
                "8.4.10, pitch wheel to pitch",
                "The wheel bends by two semitones at power-on.",
            ),
            &[],
            None,
            &[(0, -200.0), (4096, -100.0), (8192, 0.0), (12_288, 100.0), (16_383, 200.0)],
        ),
        wheel(
            (
                "sf2-pitch/wheel-sensitivity",
                "The wheel's sensitivity",
                "8.4.10; RPN 0",
                "The sensitivity scales the default modulator: so many semitones each way.",
            ),
            &[],
            Some(12),
            &[(0, -1200.0), (12_288, 600.0), (16_383, 1199.85)],
        ),
        wheel(
            (
                "sf2-pitch/wheel-of-the-font",
                "The wheel to fine tuning",
                "8.2.1, 14 pitch wheel",
                "The wheel is a source as others are.",
            ),
            &[Modulator(0x020E, g::FINE_TUNE, 100, 0, 0)],
            Some(0),
            &[(0, -100.0), (12_288, 50.0)],
        ),
    ]
}

/// Makes a case of one zone of a sample.
fn of_sample(about: About, sample: Sample, zone: &[Generator], pitches: &[(u8, f64)]) -> Case {
    let mut case = font(about);
    case.font_mut().samples.push(sample);
    case.preset(0, zone).generators.last_mut().expect("it has a sample").1 = 1;
    play_keys(&mut case, pitches);
    case
}

fn summed() -> Case {
    let mut case = font((
        "sf2-pitch/tuning-sum",
        "Tunings add up",
        "9.4, generators of preset and instrument",
        "A preset's coarse and fine tuning are added to the instrument's.",
    ));
    case.preset(0, &[(g::COARSE_TUNE, 3), (g::FINE_TUNE, 20)]);
    let preset = case.font_mut().presets.last_mut().expect("just put there");
    preset.zones[0].generators.splice(0..0, [(g::COARSE_TUNE, -1), (g::FINE_TUNE, 30)]);
    play_keys(&mut case, &[(60, 250.0), (72, 1450.0)]);
    case
}

fn wheel(about: About, modulators: &[Modulator], sensitivity: Option<u8>, pitches: &[(u16, f64)]) -> Case {
    let mut case = font(about);
    case.preset_with(0, &[], modulators);
    case.choose(0, 0);
    if let Some(semitones) = sensitivity {
        case.parameter(10, 0, semitones, Some(0));
    }
    for (i, (value, cents)) in pitches.iter().enumerate() {
        let on = nth(i, DISTANCE);
        case.wheel(on - 30, *value);
        case.note(KEY, 127, on, on + LENGTH);
        case.check(Check::pitch(seconds(on + MIDDLE), *cents).of(format!("wheel {value}")));
    }
    case
}
