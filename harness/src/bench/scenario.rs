//! The benchmark `scenario`: songs from QEMU's start to the verdict, step by step.

use super::context::Context;
use super::error::BenchError;
use super::measurement::{Measurement, median};
use super::not_passed::NotPassed;
use super::nt_host::boot;
use crate::event::Silent;
use crate::host::invocation;
use crate::host::leftovers::remove_large_files;
use crate::playback::{PlaybackTest, Verdict, run_playback};
use crate::sound::songs;
use crate::testbed::run_folder::RunFolder;

/// A song that is measured.
struct Measured {
    /// Its name in the figures.
    name: &'static str,
    /// How long it lasts, in seconds.
    seconds: u32,
    /// The aim, in milliseconds.
    milliseconds_max: f64,
    /// Playbacks; the median is reported. Odd, so that it is one of them.
    repeats: usize,
}

/// The songs.
const MEASURED: [Measured; 2] = [
    Measured { name: "ten-seconds", seconds: 10, milliseconds_max: 350.0, repeats: 5 },
    Measured { name: "three-minutes", seconds: 180, milliseconds_max: 3000.0, repeats: 3 },
];

/// Measures, and passes each figure to `report`.
///
/// # Errors
/// [`BenchError`] when a playback fails, or is not bit-identical to the offline render.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    for measured in &MEASURED {
        measured.run(context, report)?;
    }
    Ok(())
}

impl Measured {
    fn run(&self, context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
        let song = songs::ALL[0].song()?.lasting(self.seconds);
        let playback = PlaybackTest { tail_ms: 0, policy: context.policy.clone(), ..PlaybackTest::of(song) };
        let mut verdicts: Vec<Verdict> = Vec::new();
        let mut boots = Vec::new();
        for _ in 0..if context.quick { 1 } else { self.repeats } {
            // By turns, so that both see the same neighbours on the machine.
            boots.push(boot(context.provisioned()?)?.1);
            let folder = RunFolder::create(context.workspace, "bench-scenario", None)?;
            let reproduce = invocation::command("bench scenario");
            let verdict = run_playback(&playback, context.provisioned()?, &folder, &reproduce, &Silent)
                .map_err(|failure| failure.error)?;
            if !verdict.passed() {
                return Err(NotPassed::Song { seconds: self.seconds, run_folder: verdict.run_folder }.into());
            }
            remove_large_files(folder.path());
            context.found(verdict.findings.clone());
            verdicts.push(verdict);
        }
        let figure = |name: &str, value| Measurement::new(format!("scenario/{}/{name}", self.name), value, "ms");
        for first in &verdicts[0].steps {
            let times = verdicts
                .iter()
                .flat_map(|verdict| &verdict.steps)
                .filter(|time| time.step == first.step)
                .map(|time| time.milliseconds)
                .collect();
            let step = serde_json::to_value(first.step).unwrap_or_default();
            report(figure(step.as_str().unwrap_or_default(), median(times)));
        }
        let whole = median(verdicts.iter().map(|verdict| verdict.milliseconds).collect());
        report(figure("total", whole).against(median(boots)));
        report(figure("aim", whole).against(self.milliseconds_max));
        Ok(())
    }
}
