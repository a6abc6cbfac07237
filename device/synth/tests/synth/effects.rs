//! The reverb and the chorus, as they are heard through the sends of voices: how long, how even, how alike at every
//! rate, and silent when nothing is sent.

use std::f64::consts::TAU;
use std::sync::Arc;

use crate::common::*;
use dls_synth::dls::spec::destination as d;
use dls_synth::dls::{Collection, Wave, WaveSample};
use dls_synth::{Bank, Synth, SynthConfig};

/// Rates from the lowest to the highest, with everything usual between.
const RATES: [u32; 8] = [11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000];

/// Time to -60 dB of low notes, in seconds, as the reverb has it.
const DECAY: f64 = 1.6;

/// Where the chorus' taps swing, in seconds.
const CHORUS_TAPS: std::ops::RangeInclusive<f64> = 0.0114..=0.0166;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Effect {
    Reverb,
    Chorus,
}

impl Effect {
    fn config(self, sample_rate: u32) -> SynthConfig {
        let (reverb, chorus) = (self == Self::Reverb, self == Self::Chorus);
        SynthConfig { sample_rate, reverb, chorus, voices: 8, ..SynthConfig::default() }
    }

    fn destination(self) -> u16 {
        if self == Self::Reverb { d::REVERB } else { d::CHORUS }
    }
}

/// Makes a wave that is played once at its own pitch, all of it sent.
fn sent(effect: Effect, sample_rate: u32, samples: &[i16]) -> Collection {
    let mut collection = collection(vec![region(0, WaveSample::default())], vec![None]);
    collection.waves[0] = Some(Arc::new(Wave::new("", sample_rate, samples, None)));
    collection.instruments[0].articulation = vec![constant(effect.destination(), percent(1.0))];
    collection
}

/// Returns the effect of a wave without the wave itself.
fn wet(effect: Effect, sample_rate: u32, samples: &[i16], seconds: f64) -> Vec<[f64; 2]> {
    let collection = sent(effect, sample_rate, samples);
    let play = |config: SynthConfig| {
        let mut synth = plain_synth(config, &collection);
        synth.midi(0, NOTE_ON);
        render(&mut synth, (seconds * f64::from(sample_rate)) as usize)
    };
    let config = effect.config(sample_rate);
    let (both, dry) = (play(config), play(SynthConfig { reverb: false, chorus: false, ..config }));
    both.iter().zip(&dry).map(|(both, dry)| [0, 1].map(|side| f64::from(both[side]) - f64::from(dry[side]))).collect()
}

fn click() -> Vec<i16> {
    vec![32_767]
}

/// Returns power in dB at a frequency in a stretch of a signal, through a window of raised cosine.
fn power_at(signal: &[[f64; 2]], turns_a_frame: f64) -> f64 {
    let length = signal.len() as f64;
    let mut sum = 0.0;
    for side in [0, 1] {
        let turn = 2.0 * (TAU * turns_a_frame).cos();
        let (mut y1, mut y2) = (0.0, 0.0);
        for (i, frame) in signal.iter().enumerate() {
            let window = 0.5 - 0.5 * (TAU * (i as f64 + 0.5) / length).cos();
            (y1, y2) = (frame[side] * window + turn * y1 - y2, y1);
        }
        sum += y1 * y1 + y2 * y2 - turn * y1 * y2;
    }
    10.0 * (sum / length / length).log10()
}

/// Seconds to -60 dB by the fall of the power in a narrow band, from one time to another.
fn decay_at(response: &[[f64; 2]], sample_rate: u32, hertz: f64, from: f64, to: f64) -> f64 {
    let rate = f64::from(sample_rate);
    // A straight line through the powers of stretches of 60 ms, averaged over neighbouring frequencies.
    let (mut n, mut st, mut sp, mut stt, mut stp) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut time = from;
    while time + 0.06 < to {
        let stretch = &response[(time * rate) as usize..((time + 0.06) * rate) as usize];
        let near =
            [-40.0, -20.0, 0.0, 20.0, 40.0].map(|off| 10f64.powf(power_at(stretch, (hertz + off) / rate) / 10.0));
        let power = 10.0 * (near.iter().sum::<f64>() / 5.0).log10();
        (n, st, sp, stt, stp) = (n + 1.0, st + time, sp + power, stt + time * time, stp + time * power);
        time += 0.03;
    }
    let slope = (n * stp - st * sp) / (n * stt - st * st);
    -60.0 / slope
}

#[test]
fn the_reverb_decays_in_its_time_at_every_rate() {
    for rate in RATES {
        let response = wet(Effect::Reverb, rate, &click(), 1.6);
        for hertz in [150.0, 300.0, 600.0] {
            let found = decay_at(&response, rate, hertz, 0.1, 1.5);
            assert!((found / DECAY - 1.0).abs() < 0.15, "{hertz} Hz at {rate} Hz: {found:.2} s, not {DECAY}");
        }
    }
}

#[test]
fn high_frequencies_decay_sooner_and_alike_at_every_rate() {
    for hertz in [1500.0, 2000.0, 3000.0, 4000.0] {
        let decay = |rate: u32| decay_at(&wet(Effect::Reverb, rate, &click(), 1.2), rate, hertz, 0.1, 1.0);
        let found: Vec<f64> = RATES.iter().map(|rate| decay(*rate)).collect();
        let reference = found[5];
        let alike = found.iter().all(|seconds| (seconds / reference - 1.0).abs() < 0.12);
        assert!(alike && reference < DECAY, "{hertz} Hz: {found:.2?} s");
    }
}

#[test]
fn no_frequency_of_the_reverb_outlasts_the_others() {
    // Over the whole range, each narrow band falls by one slope: no mode stands out and none outlives the rest.
    let rate = 48_000;
    let response = wet(Effect::Reverb, rate, &click(), 2.0);
    for i in 0..60 {
        let hertz = 120.0 * (f64::from(i) / 60.0 * 6.0).exp2();
        let early = decay_at(&response, rate, hertz, 0.08, 0.8);
        let late = decay_at(&response, rate, hertz, 0.8, 1.9);
        assert!(late < DECAY * 1.3 && early < DECAY * 1.3, "{hertz:.0} Hz: {early:.2} s, then {late:.2} s");
    }
}

#[test]
fn bounds_the_colouration_of_the_reverb() {
    // How loud a steady tone comes back, over all tones: a room is uneven, a comb or a pipe would be far more so.
    let response = wet(Effect::Reverb, 48_000, &click(), 2.0);
    let gain = |hertz: f64| {
        let turn = TAU * hertz / 48_000.0;
        let (mut re, mut im) = ([0.0; 2], [0.0; 2]);
        for (i, frame) in response.iter().enumerate() {
            let (sin, cos) = (turn * i as f64).sin_cos();
            for side in [0, 1] {
                re[side] += frame[side] * cos;
                im[side] += frame[side] * sin;
            }
        }
        let power: f64 = (0..2).map(|side| re[side] * re[side] + im[side] * im[side]).sum();
        10.0 * power.log10()
    };
    let gains: Vec<f64> = (0..200).map(|i| gain(200.0 + 23.7 * f64::from(i))).collect();
    let mean = 10.0 * (gains.iter().map(|db| 10f64.powf(db / 10.0)).sum::<f64>() / 200.0).log10();
    let loudest = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Two sides of many modes each: the loudest of 200 tones is some 8 dB above the mean in an ideal room.
    assert!(loudest - mean < 10.0, "{loudest:.1} dB over a mean of {mean:.1}");
    assert!(mean < 6.0, "a full send is not much louder than the voice: {mean:.1} dB");
}

#[test]
fn the_reverb_never_builds_up() {
    // A loud square wave for two seconds, sent whole: bounded while it lasts, and gone some seconds later.
    for rate in [11_025u32, 48_000, 96_000] {
        for period in [50usize, 1000] {
            let samples: Vec<i16> =
                (0..2 * rate as usize).map(|i| if i / period % 2 == 0 { 30_000 } else { -30_000 }).collect();
            let out = wet(Effect::Reverb, rate, &samples, 8.0);
            let loudest = out.as_flattened().iter().fold(0.0f64, |loudest, x| loudest.max(x.abs()));
            assert!(loudest < 12.0, "{rate} Hz, period {period}: {loudest}");
            let end = &out[7 * rate as usize..];
            let left = end.as_flattened().iter().fold(0.0f64, |left, x| left.max(x.abs()));
            assert!(left < 1e-4, "{rate} Hz, period {period}: {left} after five seconds");
        }
    }
}

#[test]
fn the_reverb_begins_after_its_predelay_on_both_sides_and_is_as_loud_on_each() {
    for rate in RATES {
        let out = wet(Effect::Reverb, rate, &click(), 1.0);
        let seconds =
            |side: usize| out.iter().position(|frame| frame[side].abs() > 1e-6).unwrap() as f64 / f64::from(rate);
        assert!((0.012..0.06).contains(&seconds(0)) && (0.012..0.06).contains(&seconds(1)), "{rate} Hz");
        let energy = [0, 1].map(|side| out.iter().map(|frame| frame[side] * frame[side]).sum::<f64>());
        assert!((10.0 * (energy[0] / energy[1]).log10()).abs() < 1.5, "{rate} Hz: {energy:?}");
        let both: f64 = out.iter().map(|frame| frame[0] * frame[1]).sum();
        assert!((both / (energy[0] * energy[1]).sqrt()).abs() < 0.3, "{rate} Hz: the sides are not one");
    }
}

#[test]
fn the_reverb_is_equally_loud_at_every_rate() {
    // Low-passed noise, the same at each rate, sent whole.
    let loudness = |rate: u32| {
        let mut random = Random(77);
        let amplitudes: Vec<(f64, f64)> =
            (0..60).map(|i| (200.0 + 50.0 * f64::from(i), random.below(1000) as f64 / 1000.0)).collect();
        let sample = |i: usize| {
            let t = i as f64 / f64::from(rate);
            amplitudes.iter().map(|(hertz, phase)| (TAU * (hertz * t + phase)).sin()).sum::<f64>() * 1000.0
        };
        let samples: Vec<i16> = (0..rate as usize).map(|i| sample(i) as i16).collect();
        let out = wet(Effect::Reverb, rate, &samples, 1.0);
        let half = &out[out.len() / 2..];
        10.0 * (half.as_flattened().iter().map(|x| x * x).sum::<f64>() / half.len() as f64).log10()
    };
    let found: Vec<f64> = RATES.iter().map(|rate| loudness(*rate)).collect();
    for decibels in &found {
        assert!((decibels - found[5]).abs() < 2.0, "{found:.1?}");
    }
}

#[test]
fn the_taps_of_the_chorus_swing_within_their_range_at_every_rate_without_a_tail() {
    for rate in RATES {
        // Clicks over more than a whole turn of its swing.
        let period = (0.1 * f64::from(rate)) as usize;
        let samples: Vec<i16> = (0..period * 20).map(|i| if i % period == 0 { 32_767 } else { 0 }).collect();
        let out = wet(Effect::Chorus, rate, &samples, 2.0);
        let slack = 3.0 / f64::from(rate);
        let mut heard = [0, 0];
        for (i, frame) in out.iter().enumerate() {
            for side in [0, 1] {
                if frame[side].abs() > 1e-6 {
                    heard[side] += 1;
                    let seconds = (i % period) as f64 / f64::from(rate);
                    let inside = (CHORUS_TAPS.start() - slack..=CHORUS_TAPS.end() + slack).contains(&seconds);
                    assert!(inside, "{rate} Hz, side {side}: {seconds}");
                }
            }
        }
        assert!(heard.iter().all(|count| *count >= 20), "{rate} Hz: {heard:?}");
    }
}

#[test]
fn the_chorus_is_as_loud_as_its_input_and_differs_between_the_sides() {
    let rate = 48_000;
    let samples: Vec<i16> =
        (0..4 * rate).map(|i| (20_000.0 * (TAU * 500.0 * f64::from(i) / 48_000.0).sin()) as i16).collect();
    let out = wet(Effect::Chorus, rate as u32, &samples, 4.0);
    let power = [0, 1].map(|side| out.iter().map(|frame| frame[side] * frame[side]).sum::<f64>() / out.len() as f64);
    let own = (20_000.0f64 / 32_768.0).powi(2) / 2.0;
    for power in power {
        let decibels = 10.0 * (power / own).log10();
        assert!((-6.0..1.0).contains(&decibels), "{decibels} dB");
    }
    let both: f64 = out.iter().map(|frame| frame[0] * frame[1]).sum::<f64>() / out.len() as f64;
    assert!(both / (power[0] * power[1]).sqrt() < 0.9, "the sides are not one");
}

#[test]
fn effects_without_a_send_are_silent() {
    for rate in RATES {
        let config = SynthConfig { sample_rate: rate, ..SynthConfig::default() };
        // Silence in, silence out.
        let mut synth = Synth::new(config, Bank::builtin()).unwrap();
        assert!(render(&mut synth, rate as usize / 4).iter().all(|frame| *frame == [0.0, 0.0]));
        // A voice that sends nothing is the same with effects and without, to the bit.
        let play = |config: SynthConfig| {
            let mut synth = Synth::new(config, Bank::builtin()).unwrap();
            for message in [&[0xB0u8, 91, 0][..], &[0xB0, 93, 0], &[0xC0, 48], &[0x90, 60, 100]] {
                synth.midi(0, message);
            }
            render(&mut synth, rate as usize / 4)
        };
        let sent_nothing = play(config) == play(SynthConfig { reverb: false, chorus: false, ..config });
        assert!(sent_nothing, "{rate} Hz");
    }
}

#[test]
fn sends_take_the_amplitude_before_pan_and_follow_the_voice() {
    // Panned to either side, a voice sends the same.
    let tail = |messages: &[&[u8]]| {
        let mut synth =
            plain_synth(Effect::Reverb.config(48_000), &tone_collection(0.0, &[constant(d::REVERB, percent(0.5))]));
        messages.iter().for_each(|message| synth.midi(0, message));
        synth.midi(0, NOTE_ON);
        render(&mut synth, 9600);
        synth.midi(0, NOTE_OFF);
        render(&mut synth, 100);
        assert_eq!(synth.active_voices(), 0);
        render(&mut synth, 9600)
    };
    let energy =
        |tail: &[[f32; 2]]| tail.as_flattened().iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    let centre = tail(&[]);
    assert!(energy(&centre) > 0.1);
    for pan in [0, 127] {
        assert!(tail(&[&[0xB0, 10, pan]]) == centre, "pan {pan}");
    }
    // Half the amplitude, half the send.
    let quiet = energy(&tail(&[&[0xB0, 7, 90]]));
    close(quiet / energy(&centre), (90.0f64 / 127.0).powi(2), 1e-4);
}
