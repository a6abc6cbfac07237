//! How long a voice takes: nanoseconds a voice and frame, as JSON lines, for comparison within one run.
//!
//! Every voice is looped, filtered, has both envelopes running and goes to both effects: nothing is left out that a
//! song may use. `bench_synth [SECONDS [KERNEL]]` renders so much time for each line (1 by default), with all kernels
//! or the one named. `bench_synth profile [SECONDS]` tells section by section where the time of the fastest kernel
//! goes; what the sections leave of the whole is the rest.

use std::sync::Arc;
use std::time::Duration;

use dls_synth::dls::spec::transform::{LINEAR, SOURCE_BIPOLAR};
use dls_synth::dls::spec::{REGION_SELF_NON_EXCLUSIVE, destination as d, source as s};
use dls_synth::dls::{Collection, Connection, Instrument, Patch, Region, SampleLoop, Wave, WaveLink, WaveSample};
use dls_synth::profile::{Section, TICK_FRAMES};
use dls_synth::{Bank, ConfigError, Kernel, Synth, SynthConfig};

const RATE: u32 = 48_000;

/// Frames a render call: 10 ms.
const BLOCK: usize = 480;

/// Best of so many runs: the machine may have other work.
const RUNS: usize = 7;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let profile = arguments.first().is_some_and(|first| first == "profile");
    if profile {
        arguments.remove(0);
    }
    let seconds: f64 = arguments.first().and_then(|s| s.parse().ok()).unwrap_or(1.0);
    if profile {
        return print_profile(seconds);
    }
    let named = arguments.get(1);
    let wanted = |kernel: &Kernel| named.is_none_or(|name| *name == format!("{kernel:?}"));
    for kernel in Kernel::BY_SPEED.into_iter().filter(wanted) {
        for voices in [32, 256, 1000] {
            for filtered in [false, true] {
                for effects in [false, true] {
                    let config = config(voices, effects, kernel);
                    let Ok(nanoseconds) = measure(config, filtered, |synth| render(synth, seconds)) else { continue };
                    println!(
                        "{{\"bench\":\"synth\",\"kernel\":\"{kernel:?}\",\"voices\":{voices},\"filter\":{filtered},\
                         \"effects\":{effects},\"ns_per_voice_frame\":{nanoseconds:.3}}}"
                    );
                }
            }
        }
    }
}

fn print_profile(seconds: f64) {
    for voices in [32, 256, 1000] {
        let config = config(voices, true, Kernel::Auto);
        let all = measure(config, true, |synth| render(synth, seconds)).expect("any processor has a kernel");
        let mut rest = all;
        let line = |section: &str, nanoseconds: f64| {
            let part = 100.0 * nanoseconds / all;
            println!(
                "{{\"bench\":\"synth-profile\",\"voices\":{voices},\"section\":\"{section}\",\
                 \"ns_per_voice_frame\":{nanoseconds:.3},\"percent\":{part:.1}}}"
            );
        };
        for section in Section::ALL {
            let ticks = (seconds * f64::from(RATE)) as usize / TICK_FRAMES;
            let repeat = |synth: &mut Synth| {
                synth.repeat_section(section, ticks);
                ticks * TICK_FRAMES
            };
            let nanoseconds = measure(config, true, repeat).expect("as before");
            rest -= nanoseconds;
            line(&format!("{section:?}"), nanoseconds);
        }
        line("Rest", rest);
        line("All", all);
    }
}

fn config(voices: u16, effects: bool, kernel: Kernel) -> SynthConfig {
    SynthConfig { sample_rate: RATE, voices, reverb: effects, chorus: effects, kernel, ..SynthConfig::default() }
}

fn render(synth: &mut Synth, seconds: f64) -> usize {
    let blocks = (seconds * f64::from(RATE)) as usize / BLOCK;
    let mut out = [[0; 2]; BLOCK];
    (0..blocks).for_each(|_| synth.render_i16(&mut out));
    blocks * BLOCK
}

/// Nanoseconds a voice and frame of some work, which tells how many frames it was.
fn measure(config: SynthConfig, filtered: bool, work: impl Fn(&mut Synth) -> usize) -> Result<f64, ConfigError> {
    let bank = Arc::new(Bank::from_collection(&collection(filtered)));
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let mut synth = Synth::new(config, bank.clone())?;
        let mut started = 0;
        for channel in 0..16u8 {
            synth.midi(0, &[0xC0 | channel, channel % 4]);
            synth.midi(0, &[0xB0 | channel, 93, 60]);
        }
        'fill: for key in 30..100u8 {
            for channel in (0..16u8).filter(|c| *c != 9) {
                if started == config.voices {
                    break 'fill;
                }
                synth.midi(0, &[0x90 | channel, key, 20 + (key * 7 + channel * 11) % 100]);
                started += 1;
            }
        }
        synth.render_i16(&mut [[0; 2]; BLOCK]);
        assert_eq!(synth.active_voices(), u32::from(config.voices));
        let begin = processor_time();
        let frames = work(&mut synth);
        let nanoseconds = (processor_time() - begin).as_nanos() as f64;
        assert_eq!(synth.active_voices(), u32::from(config.voices));
        best = best.min(nanoseconds / frames as f64 / f64::from(config.voices));
    }
    Ok(best)
}

/// Processor time of this thread: what other work the machine has counts less than on the wall clock.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Four programs, each with a looped wave of 32 KB of its own.
fn collection(filtered: bool) -> Collection {
    let mut articulation = vec![
        constant(d::EG1_ATTACK, -(7972 << 16)),
        constant(d::EG1_DECAY, 6000 << 16),
        constant(d::EG1_SUSTAIN, 500 << 16),
        constant(d::EG2_DECAY, 6000 << 16),
        connection(s::VIBRATO, s::NONE, d::PITCH, SOURCE_BIPOLAR, 12 << 16),
        connection(s::EG2, s::NONE, d::PITCH, LINEAR, 5 << 16),
    ];
    if filtered {
        articulation.push(constant(d::FILTER_CUTOFF, 7000 << 16));
        articulation.push(connection(s::EG2, s::NONE, d::FILTER_CUTOFF, LINEAR, 2400 << 16));
    }
    let wave = |seed: u32| {
        let samples: Vec<i16> =
            (0..16_384u32).map(|i| (i.wrapping_mul(seed | 1).wrapping_mul(2_654_435_761) >> 18) as i16).collect();
        Some(Arc::new(Wave::new("", 44_100, &samples, None)))
    };
    let region = |index: u32| Region {
        keys: (0, 127),
        velocities: (0, 127),
        options: REGION_SELF_NON_EXCLUSIVE,
        key_group: 0,
        sample: Some(WaveSample {
            sample_loop: Some(SampleLoop { until_release: false, start: 1000, length: 15_000 }),
            ..WaveSample::default()
        }),
        link: WaveLink { channels: 1, index, ..WaveLink::default() },
        articulation: None,
        sound_font: None,
    };
    let instrument = |program: u8| Instrument {
        patch: Patch { program, ..Patch::default() },
        regions: vec![region(u32::from(program))],
        articulation: articulation.clone(),
        ..Instrument::default()
    };
    Collection {
        instruments: (0..4).map(instrument).collect(),
        waves: (0..4).map(wave).collect(),
        ..Collection::default()
    }
}

fn constant(destination: u16, scale: i32) -> Connection {
    connection(s::NONE, s::NONE, destination, LINEAR, scale)
}

fn connection(source: u16, control: u16, destination: u16, transform: u16, scale: i32) -> Connection {
    Connection { source, control, destination, transform, scale }
}
