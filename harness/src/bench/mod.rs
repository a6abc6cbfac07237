//! Benchmarks: a registry of named measurements, each with its unit and, where there is one, its baseline.

mod driver;
mod error;
mod synth;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::{Duration, Instant};

use guest_protocol::Request;
use serde::{Deserialize, Serialize};

use crate::event::{Observer, Silent};
use crate::playback::{PlaybackTest, Verdict, run_playback};
use crate::provision::Workspace;
use crate::sound::songs;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;
use crate::testbed::{BareMachine, Provisioned, TestBedError};

pub use driver::DriverBenchError;
pub use error::BenchError;
pub use synth::SynthBenchError;

/// How often each measurement is repeated; the median is reported. Odd, so that it is one of them.
const REPEATS: usize = 5;

/// Memory of a guest that only boots, in bytes.
const BOOT_MEMORY: u64 = 128 << 20;

/// One result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured.
    pub name: String,
    /// The median.
    pub value: f64,
    /// Its unit.
    pub unit: Cow<'static, str>,
    /// What it is compared with, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline: Option<f64>,
    /// `value / baseline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Which version of somebody else's program was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<44} {:>10.2} {:<15}", self.name, self.value, self.unit)?;
        if let (Some(baseline), Some(ratio)) = (self.baseline, self.ratio) {
            write!(f, " {ratio:>6.2} of {baseline:.2}")?;
        }
        if let Some(version) = &self.version {
            write!(f, "  ({version})")?;
        }
        Ok(())
    }
}

impl Measurement {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit: Cow::Borrowed(unit), baseline: None, ratio: None, version: None }
    }

    fn against(mut self, baseline: f64) -> Self {
        self.baseline = Some(baseline);
        self.ratio = Some(self.value / baseline);
        self
    }
}

/// What a benchmark works with.
pub struct Context<'a> {
    /// Where artefacts go.
    pub workspace: &'a Workspace,
    /// Who listens.
    pub observer: &'a dyn Observer,
    /// A quick look: figures that come soon, of what is there already.
    pub quick: bool,
    /// Others' drivers are measured too, beside the one that is asked for.
    pub peers: bool,
    bring: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    provisioned: OnceCell<Provisioned>,
}

impl<'a> Context<'a> {
    /// A context whose programs, images and accelerator are brought in when the first benchmark asks for them.
    pub fn new(
        workspace: &'a Workspace,
        observer: &'a dyn Observer,
        quick: bool,
        peers: bool,
        bring: &'a dyn Fn() -> Result<Provisioned, BenchError>,
    ) -> Self {
        Self { workspace, observer, quick, peers, bring, provisioned: OnceCell::new() }
    }

    fn provisioned(&self) -> Result<&Provisioned, BenchError> {
        if let Some(provisioned) = self.provisioned.get() {
            return Ok(provisioned);
        }
        let provisioned = (self.bring)()?;
        Ok(self.provisioned.get_or_init(|| provisioned))
    }
}

/// Measures, and says each figure.
type Run = fn(&Context<'_>, &mut dyn FnMut(Measurement)) -> Result<(), BenchError>;

/// A benchmark.
#[derive(Clone, Copy)]
pub struct Benchmark {
    /// The part before the slash of its measurements' names.
    pub name: &'static str,
    /// What it measures.
    pub text: &'static str,
    run: Run,
}

/// All benchmarks.
pub const ALL: [Benchmark; 4] = [
    Benchmark {
        name: "scenario",
        text: "ten seconds of music through card, driver and NT host, from QEMU's start to the verdict, step by step; \
               the baseline of the whole is the time that the music lasts",
        run: scenario,
    },
    Benchmark {
        name: "nt-host",
        text: "from QEMU's start until the NT host serves; the baseline is the firmware's share",
        run: nt_host,
    },
    Benchmark {
        name: "driver",
        text: "the driver's own paths, timed inside the guest: PutMessage to card (events a second, kicks an event, one by \
               one, in chains and in packages; until the card has taken a burst), and interrupt to service routine, service \
               group and client; the baseline is the same without the verifier, and the C++ driver's figures end in /cpp",
        run: driver::run,
    },
    Benchmark {
        name: "synth",
        text: "the synthesizer beside FluidSynth, RustySynth and OxiSynth: nanoseconds a voice and frame at 32, 256 and \
               1000 voices, times real time with whole songs, and where our own time goes; the baseline is FluidSynth \
               with 4 points",
        run: synth::run,
    },
];

impl Benchmark {
    /// Measures, and says each figure as soon as it is known.
    ///
    /// # Errors
    /// What kept it from measuring.
    pub fn run(&self, context: &Context<'_>, say: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
        (self.run)(context, say)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn scenario(context: &Context<'_>, say: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let performance = PlaybackTest { tail_ms: 0, ..PlaybackTest::of(songs::ALL[0].song()?) };
    let mut verdicts: Vec<Verdict> = Vec::new();
    for _ in 0..REPEATS {
        let folder = RunFolder::create(context.workspace, "bench-scenario", None)?;
        let verdict = run_playback(&performance, context.provisioned()?, &folder, "cargo dmus bench scenario", &Silent)
            .map_err(|failure| failure.error)?;
        verdicts.push(verdict);
    }
    let music_ms = performance.song.end as f64 / 10_000.0;
    let mut measurements: Vec<Measurement> = verdicts[0]
        .steps
        .iter()
        .map(|first| {
            let times = verdicts
                .iter()
                .flat_map(|verdict| &verdict.steps)
                .filter(|time| time.step == first.step)
                .map(|time| time.milliseconds)
                .collect();
            let step = serde_json::to_value(first.step).unwrap_or_default();
            Measurement::new(format!("scenario/{}", step.as_str().unwrap_or_default()), median(times), "ms")
        })
        .collect();
    let whole = median(verdicts.iter().map(|verdict| verdict.milliseconds).collect());
    measurements.push(Measurement::new("scenario/total", whole, "ms").against(music_ms));
    measurements.into_iter().for_each(say);
    Ok(())
}

fn nt_host(context: &Context<'_>, say: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let (mut entered, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let (at_entry, at_ready) = boot(context.provisioned()?)?;
        entered.push(at_entry);
        ready.push(at_ready);
    }
    let firmware = median(entered);
    say(Measurement::new("nt-host/firmware", firmware, "ms"));
    say(Measurement::new("nt-host/boot", median(ready), "ms").against(firmware));
    Ok(())
}

/// Boots a guest without card and driver; milliseconds until its first instruction and until it serves.
fn boot(provisioned: &Provisioned) -> Result<(f64, f64), BenchError> {
    let limit = Duration::from_secs(30);
    let begun = Instant::now();
    let bare = BareMachine::start(provisioned, BOOT_MEMORY, "log=error\n".into()).map_err(TestBedError::from)?;
    let (mut session, _scratch) = bare.into_session(limit).map_err(TestBedError::from)?;
    let mut serve = || {
        let ready = session.ready()?;
        let entered = session.entered.unwrap_or(ready);
        session.hello()?;
        session.done("shut down", Request::Shutdown)?;
        Ok((entered, ready))
    };
    let served = serve();
    let (entered, ready) =
        served.map_err(|error: SessionError| session.cause("boot the guest", TestBedError::from(error)))?;
    session.health.wait(limit);
    let since = |at: Instant| at.saturating_duration_since(begun).as_secs_f64() * 1000.0;
    Ok((since(entered), since(ready)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_one_of_the_values_whatever_their_order() {
        assert_eq!(median(vec![9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(vec![2.0]), 2.0);
    }

    #[test]
    fn a_measurement_without_a_baseline_has_no_ratio() {
        let text = serde_json::to_string(&Measurement::new("a/b", 2.0, "ms")).unwrap();
        assert_eq!(text, r#"{"name":"a/b","value":2.0,"unit":"ms"}"#);
        assert_eq!(Measurement::new("a/b", 2.0, "ms").against(4.0).ratio, Some(0.5));
    }

    #[test]
    fn a_figure_of_another_program_is_read_as_it_was_written() {
        let line = r#"{"name":"synth/a/32/dry","value":2.5,"unit":"ns","baseline":5.0,"ratio":0.5,"version":"2.6.1"}"#;
        let measurement: Measurement = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&measurement).unwrap(), line);
        assert!(measurement.to_string().contains("0.50 of 5.00  (2.6.1)"), "{measurement}");
    }
}
