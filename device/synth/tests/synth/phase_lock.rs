//! Phase-locked stereo pairs (DLS-2.2, 1.10): the slave has its pitch from the master alone, and all else from itself.

use std::sync::Arc;

use crate::common::*;
use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{WAVE_LINK_MULTICHANNEL, WAVE_LINK_PHASE_MASTER, destination as d, source as s};
use dls_synth::dls::{Collection, Connection, Region, Wave, WaveSample};

/// How a region of a pair is made.
#[derive(Clone)]
struct Half {
    rows: Vec<Connection>,
    sample: WaveSample,
    rate: u32,
}

impl Half {
    fn of(rows: &[Connection]) -> Self {
        Self { rows: rows.to_vec(), sample: looped(0, TURN as u32), rate: RATE }
    }
}

/// Makes the connections of a master.
fn master() -> Half {
    Half::of(&[
        constant(d::VIB_FREQUENCY, pitch(6.0)),
        connection(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(80.0)),
        constant(d::EG2_ATTACK, time(0.3)),
        constant(d::EG2_RELEASE, time(0.3)),
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(-300.0)),
        connection(s::CC1, s::NONE, d::PITCH, LINEAR, cents(200.0)),
    ])
}

/// Makes a pair: the test tone left, and a quarter of a turn later right. The slave comes first or last.
fn pair(left: &Half, right: &Half, slave_first: bool) -> Collection {
    let region = |index: u32, half: &Half, options: u16| {
        let mut region: Region = region(index, half.sample);
        region.link.options = options | WAVE_LINK_MULTICHANNEL;
        (region.link.phase_group, region.link.channels) = (1, 1 << index);
        // Long enough for the envelopes' release to be heard.
        region.articulation = Some([&half.rows[..], &[constant(d::EG1_RELEASE, time(2.0))]].concat());
        region
    };
    let mut regions = vec![region(0, left, WAVE_LINK_PHASE_MASTER), region(1, right, 0)];
    if slave_first {
        regions.reverse();
    }
    let wave = |quarter: f64, half: &Half| Some(Arc::new(Wave::new("", half.rate, &tone(quarter), None)));
    collection(regions, vec![wave(0.0, left), wave(1.0, right)])
}

/// Frames until the key goes up in [`play`].
const HELD: usize = 20_001 + 5 * 10_007;

/// Makes a note that is bent, tuned and modulated, and let go.
fn play(collection: &Collection) -> Vec<[f32; 2]> {
    let mut synth = plain_synth(dry(), collection);
    synth.midi(0, &[0x90, 65, FULL]);
    let mut out = render(&mut synth, 20_001);
    for message in [[0xE0, 0, 100], [0xB0, 1, 90], [0xB0, 101, 0], [0xB0, 100, 1], [0xB0, 6, 90]] {
        synth.midi(0, &message);
        out.extend(render(&mut synth, 10_007));
    }
    synth.midi(0, &[0x80, 65, 0]);
    out.extend(render(&mut synth, 10_007));
    assert_eq!(synth.active_voices(), 2);
    out
}

#[test]
fn a_pair_stays_aligned_within_a_hundredth_of_a_sample() {
    for slave_first in [false, true] {
        for frame in play(&pair(&master(), &Half::of(&[]), slave_first)).iter().take(HELD).skip(8) {
            // Sine and cosine of the same phase, or else the radius would beat.
            let radius = f64::from(frame[0]).hypot(f64::from(frame[1]));
            close(radius, PEAK * std::f64::consts::FRAC_1_SQRT_2, 2e-4);
        }
    }
}

#[test]
fn a_slave_ignores_its_own_pitch_parameters() {
    let expected = play(&pair(&master(), &Half::of(&[]), false));
    let sample = |unity_note: u16, fine_tune: i16| WaveSample { unity_note, fine_tune, ..looped(0, TURN as u32) };
    let slaves = [
        Half { rate: 11_025, ..Half::of(&[]) },
        Half { rate: 96_000, ..Half::of(&[]) },
        Half { sample: sample(72, 0), ..Half::of(&[]) },
        Half { sample: sample(60, -37), ..Half::of(&[]) },
        Half::of(&[constant(d::PITCH, cents(300.0))]),
        Half::of(&[connection(s::EG2, s::NONE, d::PITCH, LINEAR, cents(500.0)), constant(d::EG2_ATTACK, time(1.0))]),
        Half::of(&[connection(s::LFO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(50.0))]),
        Half::of(&[connection(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, cents(50.0))]),
        Half::of(&[connection(s::KEY_NUMBER, s::NONE, d::PITCH, LINEAR, 0)]),
        Half::of(&[connection(s::PITCH_WHEEL, s::RPN0, d::PITCH, SOURCE_BIPOLAR, 0)]),
        Half::of(&[connection(s::RPN1, s::NONE, d::PITCH, SOURCE_BIPOLAR, 0)]),
        Half::of(&[connection(s::CC1, s::NONE, d::PITCH, LINEAR, cents(1200.0))]),
        Half::of(&[constant(d::VIB_FREQUENCY, pitch(13.0)), constant(d::VIB_DELAY, time(1.0))]),
    ];
    for (i, slave) in slaves.iter().enumerate() {
        assert!(play(&pair(&master(), slave, i % 2 == 0)) == expected, "slave {i}: {:x?} {}", slave.rows, slave.rate);
    }
}

/// Returns the amplitude of the right output, by the pair of a pair: the right tone played as a cosine and as a sine.
fn right_amplitude(master: &Half, slave: &Half, frames: usize) -> Vec<f64> {
    let side = |quarter: f64| {
        let mut collection = pair(master, slave, false);
        collection.waves[1] = Some(Arc::new(Wave::new("", slave.rate, &tone(quarter), None)));
        let mut synth = plain_synth(dry(), &collection);
        synth.midi(0, NOTE_ON);
        render(&mut synth, frames)
    };
    let (cosine, sine) = (side(0.0), side(1.0));
    let amplitude = |(c, s): (&[f32; 2], &[f32; 2])| f64::from(c[1]).hypot(f64::from(s[1])) / PEAK * 2f64.sqrt();
    cosine.iter().zip(&sine).map(amplitude).collect()
}

#[test]
fn a_slave_keeps_its_own_volume_and_filter() {
    let short = Half::of(&[constant(d::EG1_DECAY, time(0.4)), constant(d::EG1_SUSTAIN, 0)]);
    let amplitude = right_amplitude(&master(), &short, frame(0.2));
    close(20.0 * amplitude[frame(0.1)].log10(), -24.0, 0.5);
    // At its own pitch the tone is at the cutoff.
    let closed = Half::of(&[constant(d::FILTER_CUTOFF, pitch(250.0))]);
    let amplitude = right_amplitude(&Half::of(&[]), &closed, frame(0.2));
    let expected =
        crate::common::prototype::Prototype::new(250.0 / f64::from(RATE), 0.0).decibels(TONE_HERTZ / f64::from(RATE));
    close(20.0 * amplitude[frame(0.1)].log10(), expected, 0.1);
}

#[test]
fn the_oscillator_and_envelope_of_a_slave_modulate_its_volume_and_filter() {
    let plain = Half::of(&[]);
    // A tremolo of a frequency and a delay that the master knows nothing of.
    let tremolo = Half {
        sample: WaveSample { gain: decibels(-12.0), ..looped(0, TURN as u32) },
        ..Half::of(&[
            constant(d::LFO_FREQUENCY, pitch(10.0)),
            constant(d::LFO_DELAY, time(0.1)),
            connection(s::LFO, s::NONE, d::GAIN, SOURCE_BIPOLAR, decibels(6.0)),
        ])
    };
    let amplitude = right_amplitude(&plain, &tremolo, frame(0.2));
    let level = |seconds: f64| 20.0 * amplitude[frame(seconds)].log10();
    close(level(0.09), -12.0, 0.05);
    close(level(0.125), -6.0, 0.05);
    close(level(0.175), -18.0, 0.05);
    // A filter that its own modulation envelope closes, from 7 kHz by 6400 cents.
    let filtered = Half::of(&[
        constant(d::FILTER_CUTOFF, pitch(7000.0)),
        connection(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, cents(-6400.0)),
        constant(d::EG2_ATTACK, time(0.1)),
    ]);
    let amplitude = right_amplitude(&plain, &filtered, frame(0.3));
    close(20.0 * amplitude[frame(0.005)].log10(), 0.0, 0.1);
    let cutoff = 7000.0 * (-6400.0f64 / 1200.0).exp2() / f64::from(RATE);
    let closed = crate::common::prototype::Prototype::new(cutoff, 0.0).decibels(TONE_HERTZ / f64::from(RATE));
    close(20.0 * amplitude[frame(0.25)].log10(), closed, 0.5);
}

#[test]
fn other_groups_and_groups_without_a_master_are_not_locked() {
    let tuned = Half::of(&[constant(d::PITCH, cents(700.0))]);
    // The right tone alone at its own pitch.
    let turns = |collection: &Collection| {
        let mut synth = plain_synth(dry(), collection);
        synth.midi(0, NOTE_ON);
        let out = render(&mut synth, RATE as usize);
        let rising = out.windows(2).filter(|pair| pair[0][1] < 0.0 && pair[1][1] >= 0.0).count();
        rising as f64 / TONE_HERTZ
    };
    let locked = pair(&Half::of(&[]), &tuned, false);
    close(turns(&locked), 1.0, 0.01);
    let mut other = locked.clone();
    other.instruments[0].regions[1].link.phase_group = 2;
    close(turns(&other), 1.498, 0.01);
    let mut headless = locked.clone();
    headless.instruments[0].regions[0].link.options &= !WAVE_LINK_PHASE_MASTER;
    close(turns(&headless), 1.498, 0.01);
    let mut ungrouped = locked;
    ungrouped.instruments[0].regions.iter_mut().for_each(|region| region.link.phase_group = 0);
    close(turns(&ungrouped), 1.498, 0.01);
}

#[test]
fn plays_each_half_on_its_own_output() {
    let out = play(&pair(
        &Half::of(&[]),
        &Half { sample: WaveSample { gain: decibels(-96.0), ..looped(0, TURN as u32) }, ..Half::of(&[]) },
        false,
    ));
    assert!(out.iter().all(|frame| frame[1].abs() < 2e-5));
    assert!(out.iter().any(|frame| frame[0] > 0.5));
}
