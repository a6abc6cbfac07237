//! Tests that all implementations of the inner loops do the same, and do it well.

use core::f64::consts::TAU;

use super::{Kernels, scalar};
use crate::config::Kernel;
use crate::effects::chorus::Chorus;
use crate::effects::reverb::Reverb;
use crate::lanes::interpolation::{self, Choice, ROUNDING, TAPS, TAPS_BEFORE, UNITY, WideTable};
use crate::lanes::{Bus, Filtering, Group, LANES, Lane, LaneSet, PLANES, Ramp, Scratch, Sends, TICK};
use crate::voice::filter::{self, Resonance};

/// A position or a step of one sample.
const ONE: f64 = 4_294_967_296.0;

/// The same numbers at every run.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number from -1 to 1.
    fn number(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// Returns the implementations of this processor besides the plain loops.
fn others() -> Vec<(Kernel, Kernels)> {
    let other = |kernel: &Kernel| *kernel != Kernel::Scalar;
    Kernel::BY_SPEED.into_iter().filter(other).filter_map(|kernel| Some((kernel, Kernels::of(kernel)?))).collect()
}

/// Interpolates with a table of the bank.
fn interpolate(
    kernels: &Kernels,
    table: Choice,
    window: &[i16],
    (base, position): (usize, u64),
    step: u64,
    out: &mut [f32],
) {
    let loops = kernels.interpolate;
    match table {
        Choice::Narrow => (loops.narrow)(interpolation::table(), window, base, position, step, out),
        Choice::Wide(index) => (loops.wide)(WideTable::at(index), window, base, position, step, out),
    }
}

/// Returns a table's taps, those before the position, and what rounds a position to its nearest phase.
fn form(table: Choice) -> (usize, usize, u64) {
    match table {
        Choice::Narrow => (TAPS, TAPS_BEFORE, ROUNDING),
        Choice::Wide(index) => {
            let table = WideTable::at(index);
            (table.taps(), table.taps_before(), table.rounding())
        }
    }
}

#[test]
fn every_kernel_interpolates_alike_up_to_the_windows_very_edges() {
    let mut random = Random(7);
    let mut met = std::collections::HashSet::new();
    for round in 0..8000usize {
        let frames = round % (TICK + 1);
        let step = random.bits() % (1 << (30 + round % 8)) + 1;
        let table = Choice::of(step);
        let (taps, before, rounding) = form(table);
        met.insert(taps);
        let position = random.bits() % (200 << 32);
        let span = (position + step * frames.saturating_sub(1) as u64 + rounding) >> 32;
        // Not one sample more than the taps need, on either side.
        let base = before - ((position + rounding) >> 32).min(before as u64) as usize;
        let window: Vec<i16> = (0..base + span as usize + taps - before).map(|_| random.bits() as i16).collect();
        let run = |kernels: &Kernels| {
            let mut out = [f32::NAN; TICK];
            interpolate(kernels, table, &window, (base, position), step, &mut out[..frames]);
            out.map(f32::to_bits)
        };
        let plain = run(&scalar::KERNELS);
        for (kernel, kernels) in others() {
            assert_eq!(run(&kernels), plain, "{kernel:?}: {frames} frames of {step:x} from {position:x}");
        }
    }
    assert_eq!(met, [8, 16, 32, 48, 64, 96].into());
}

#[test]
fn reads_no_taps_outside_of_the_window() {
    let cases = [(3, 5 << 32, 1u64 << 32), (2, 0, 1 << 32), (3, 0, u64::MAX), (3, 0, 1 << 40)];
    let wide = [(7, 1 << 32, 1u64 << 32), (6, 0, 1 << 32), (7, 0, u64::MAX), (7, 0, 1 << 40)];
    for (kernel, kernels) in others() {
        for (table, (base, position, step)) in
            cases.map(|case| (Choice::Narrow, case)).into_iter().chain(wide.map(|case| (Choice::Wide(0), case)))
        {
            let run = |frames: usize| {
                let (window, mut out) = ([0i16; 16], [0.0; 8]);
                interpolate(&kernels, table, &window, (base, position), step, &mut out[..frames]);
            };
            assert!(std::panic::catch_unwind(|| run(8)).is_err(), "{kernel:?}: {base} {position:x} {step:x}");
        }
    }
}

#[test]
fn every_kernel_mixes_alike() {
    let mut random = Random(11);
    for round in 0..600usize {
        let mut ramp = |size: f32| Ramp {
            value: Lane(core::array::from_fn(|_| random.number() * size)),
            step: Lane(core::array::from_fn(|_| random.number() * size * 0.01)),
        };
        let mut group = Group::new();
        group.gains = core::array::from_fn(|_| ramp(1e-9));
        group.filter = [ramp(1.0), ramp(0.9), ramp(0.4)];
        group.filtering = [Filtering::Open, Filtering::Steady, Filtering::Moving][round % 3];
        group.sends = [Sends::None, Sends::Reverb, Sends::Both][round / 3 % 3];
        let mut scratch = Scratch::new();
        scratch.rows.as_flattened_mut().iter_mut().for_each(|x| *x = random.number() * 1e9);
        let frames = 1 + round % TICK;
        let run = |kernels: &Kernels| {
            let (mut group, mut bus, mut out) = (group, Bus::new(), [[0.0; TICK]; PLANES]);
            bus.open(Sends::Both, TICK);
            (kernels.mix)(&mut group, &mut scratch.clone(), frames, &mut bus);
            (kernels.reduce)(&bus, out.each_mut().map(|plane| &mut plane[..frames]));
            (out.map(|frame| frame.map(f32::to_bits)), group.y1.0.map(f32::to_bits), group.y2.0.map(f32::to_bits))
        };
        let plain = run(&scalar::KERNELS);
        for (kernel, kernels) in others() {
            assert!(run(&kernels) == plain, "{kernel:?}: round {round}");
        }
    }
}

/// Returns the amplitude of the tone of a frequency in turns a frame, and its power over all the rest in dB.
fn sinad(signal: &[f64], frequency: f64) -> (f64, f64) {
    // Whole turns: sine and cosine are orthogonal then.
    let part = |wave: fn(f64) -> f64| {
        let sum: f64 = signal.iter().enumerate().map(|(i, x)| x * wave(TAU * frequency * i as f64)).sum();
        sum * 2.0 / signal.len() as f64
    };
    let (sine, cosine) = (part(libm::sin), part(libm::cos));
    let all: f64 = signal.iter().map(|x| x * x).sum::<f64>() / signal.len() as f64;
    let tone = (sine * sine + cosine * cosine) / 2.0;
    (libm::sqrt(2.0 * tone), 10.0 * libm::log10(tone / (all - tone).max(1e-30)))
}

/// Interpolates a tone of `frequency` turns a sample by steps of about `step` samples. Returns the frames, in 16-bit
/// units, and the turns a frame, which are whole.
fn transposed(frequency: f64, step: f64) -> (Vec<f64>, f64) {
    const FRAMES: usize = 8192;
    let turns = libm::round(frequency * step * FRAMES as f64);
    let frequency = turns / FRAMES as f64 / step;
    let fixed = libm::round(step * ONE) as u64;
    let table = Choice::of(fixed);
    let (taps, before, _) = form(table);
    let samples = (FRAMES as f64 * step) as usize + 2 * taps;
    let tone = |i: usize| 30_000.0 * libm::sin(TAU * frequency * i as f64);
    let window: Vec<i16> = (0..samples).map(|i| libm::round(tone(i)) as i16).collect();
    let mut out = vec![0.0; FRAMES];
    let kernels = Kernels::choose(Kernel::Auto).unwrap();
    interpolate(&kernels, table, &window, (before, 0), fixed, &mut out);
    (out.iter().map(|x| f64::from(*x) / f64::from(UNITY)).collect(), turns / FRAMES as f64)
}

#[test]
fn distortion_below_a_fifth_of_the_rate_is_68_db_down() {
    // Goal: 68 dB up to 0.2; beyond, what eight taps can do (measured, less a decibel).
    let cases = [(0.02, 68.0), (0.05, 68.0), (0.1, 68.0), (0.15, 68.0), (0.2, 68.0), (0.25, 48.5), (0.3, 32.0)];
    for (frequency, least) in cases {
        for step in [0.173, 0.703, 0.943_87, 1.0] {
            let (signal, found) = transposed(frequency, step);
            let (amplitude, sinad) = sinad(&signal, found);
            assert!(sinad >= least, "{frequency} by {step}: {sinad:.1} dB");
            let droop = 20.0 * libm::log10(amplitude / 30_000.0);
            assert!(frequency > 0.2 || droop.abs() < 0.05, "{frequency} by {step}: {droop:.3} dB");
        }
    }
}

#[test]
fn above_a_step_of_one_the_band_up_to_035_of_the_output_rate_is_flat_and_clean() {
    for step in [1.000_1, 1.059_463, 1.1885, 1.3348, 1.498, 1.7818, 2.0003, 2.6, 2.9966, 3.7, 4.0003, 5.3, 5.9932, 7.99]
    {
        for place in [0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35] {
            let (signal, found) = transposed(place / step, step);
            let (amplitude, sinad) = sinad(&signal, found);
            let gain = 20.0 * libm::log10(amplitude / 30_000.0);
            assert!(gain.abs() < 0.2, "{place} of the output rate by {step}: {gain:.3} dB");
            assert!(sinad > 67.0, "{place} of the output rate by {step}: {sinad:.1} dB");
        }
    }
}

/// Mixes the same signal in all lanes of a group, with a gain of 1 to the left.
fn through(group: &mut Group, signal: &[f32]) -> Vec<f64> {
    let kernels = Kernels::choose(Kernel::Auto).unwrap();
    let mut found = Vec::new();
    for stretch in signal.chunks(TICK) {
        let mut scratch = Scratch::new();
        scratch.rows.iter_mut().for_each(|row| row[..stretch.len()].copy_from_slice(stretch));
        let mut bus = Bus::new();
        bus.open(Sends::Both, TICK);
        (kernels.mix)(group, &mut scratch, stretch.len(), &mut bus);
        found.extend(bus.planes[0][..stretch.len()].iter().map(|lane| f64::from(lane.0[3])));
    }
    found
}

#[test]
fn the_filter_adds_less_than_five_thousandths_of_a_percent() {
    const FRAMES: usize = 16_384;
    // 1 kHz or so at 48 kHz, full scale; cutoffs around and above it.
    let frequency = 341.0 / FRAMES as f64;
    let signal: Vec<f32> = (0..2 * FRAMES).map(|i| libm::sin(TAU * frequency * i as f64) as f32).collect();
    for decibels in [0.0, 12.0, 22.5] {
        for octaves in [3.0f32, 4.0, 5.0, 6.0] {
            let mut group = Group::new();
            group.gains[0].value = Lane([1.0; LANES]);
            group.filtering = Filtering::Steady;
            let values = filter::coefficients(&[Resonance::of(decibels); LANES], &Lane([octaves; LANES]));
            group.filter.iter_mut().zip(values).for_each(|(ramp, value)| ramp.value = value);
            let (_, sinad) = sinad(&through(&mut group, &signal)[FRAMES..], frequency);
            // 0.005 % is -86 dB.
            assert!(sinad > 86.1, "{decibels} dB at {octaves}: {sinad:.1} dB");
        }
    }
}

#[test]
fn ramps_a_gain_linearly_in_steps_below_the_tolerance() {
    // DLS-2.2 requires steps of 0.0025 dB or less.
    for (from, to) in [(1.0f32, 0.5), (0.25, 0.26), (1e-4, 1.0)] {
        let mut group = Group::new();
        group.gains[0].value = Lane([from; LANES]);
        group.gains[0].aim(&Lane([to; LANES]), &Lane([1.0 / TICK as f32; LANES]), LaneSet::MAX);
        for (i, found) in through(&mut group, &[1.0; TICK]).iter().enumerate() {
            let straight = f64::from(from) + (f64::from(to) - f64::from(from)) * i as f64 / TICK as f64;
            let off = 20.0 * libm::log10(found / straight);
            assert!(off.abs() < 0.0025, "{from} to {to} at {i}: {off} dB");
        }
    }
}

/// Returns bursts of noise with silence between them, in which the chorus and then the reverb die away.
fn bursts(rate: u32) -> Vec<f32> {
    let mut random = Random(17);
    let mut frames = Vec::new();
    for (noise, silence) in [(1, 700), (900, 2), (130, 5000), (64, rate as usize * 14), (500, 6000)] {
        frames.extend((0..noise).map(|_| random.number()));
        frames.extend((0..silence).map(|_| 0.0));
    }
    frames
}

/// Adds both effects to a steady signal, in parts of so many frames. Returns the bits of both sides.
fn with_effects(kernels: &Kernels, rate: u32, input: &[f32], part: usize) -> [Vec<u32>; 2] {
    let (mut reverb, mut chorus) = (Reverb::new(rate), Chorus::new(rate));
    let mut sides = [vec![0.25f32; input.len()], vec![-0.5; input.len()]];
    let [left, right] = &mut sides;
    for (input, (left, right)) in input.chunks(part).zip(left.chunks_mut(part).zip(right.chunks_mut(part))) {
        (kernels.add_reverb)(&mut reverb, input, [&mut *left, &mut *right]);
        (kernels.add_chorus)(&mut chorus, input, [&mut *left, &mut *right]);
    }
    sides.map(|side| side.into_iter().map(f32::to_bits).collect())
}

#[test]
fn effects_are_the_same_with_every_kernel_and_in_any_division() {
    for rate in [11_025, 44_100, 96_000] {
        let input = bursts(rate);
        let plain = with_effects(&scalar::KERNELS, rate, &input, 1024);
        for (kernel, kernels) in others() {
            assert!(with_effects(&kernels, rate, &input, 1024) == plain, "{kernel:?} at {rate} Hz");
        }
        let fastest = others().first().map_or(scalar::KERNELS, |(_, kernels)| *kernels);
        for part in [1, 63, 100] {
            assert!(with_effects(&fastest, rate, &input, part) == plain, "{part} frames at {rate} Hz");
        }
        let dry = |bits: &u32| *bits == 0.25f32.to_bits();
        assert!(dry(&plain[0][input.len() - 7000]), "at {rate} Hz they have died away before the last burst");
        assert!(!plain[0][input.len() - 2000..].iter().all(dry), "and come back with it");
    }
}

#[test]
fn every_kernel_turns_rows_into_columns_and_sums_up_in_one_order() {
    let mut random = Random(23);
    let mut bus = Bus::new();
    bus.open(Sends::Both, TICK);
    bus.planes.iter_mut().flatten().for_each(|lane| lane.0 = core::array::from_fn(|_| random.number()));
    for (kernel, kernels) in others().into_iter().chain([(Kernel::Scalar, scalar::KERNELS)]) {
        for frames in 0..=TICK {
            let mut out = [[f32::NAN; TICK]; PLANES];
            (kernels.reduce)(&bus, out.each_mut().map(|plane| &mut plane[..frames]));
            for (plane, out) in bus.planes.iter().zip(&out) {
                for (Lane([a, b, c, d, e, f, g, h]), sum) in plane[..frames].iter().zip(out) {
                    assert_eq!(*sum, ((a + b) + (c + d)) + ((e + f) + (g + h)), "{kernel:?}");
                }
                assert!(out[frames..].iter().all(|sum| sum.is_nan()));
            }
        }
    }
}
