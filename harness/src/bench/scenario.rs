//! The benchmark `scenario`: a song from QEMU's start to the verdict, step by step.

use super::context::Context;
use super::error::BenchError;
use super::measurement::{Measurement, median};
use crate::event::Silent;
use crate::host::invocation;
use crate::host::leftovers::remove_sound;
use crate::playback::{PlaybackTest, Verdict, run_playback};
use crate::sound::songs;
use crate::testbed::run_folder::RunFolder;

/// Playbacks; the median is reported. Odd, so that it is one of them.
const REPEATS: usize = 5;

/// Measures, and passes each figure to `report`.
///
/// # Errors
/// [`BenchError`] when a playback fails.
pub(super) fn run(context: &Context<'_>, report: &mut dyn FnMut(Measurement)) -> Result<(), BenchError> {
    let playback =
        PlaybackTest { tail_ms: 0, policy: context.policy.clone(), ..PlaybackTest::of(songs::ALL[0].song()?) };
    let mut verdicts: Vec<Verdict> = Vec::new();
    for _ in 0..REPEATS {
        let folder = RunFolder::create(context.workspace, "bench-scenario", None)?;
        let verdict =
            run_playback(&playback, context.provisioned()?, &folder, &invocation::command("bench scenario"), &Silent)
                .map_err(|failure| failure.error)?;
        remove_sound(folder.path());
        context.found(verdict.findings.clone());
        verdicts.push(verdict);
    }
    let music_ms = playback.song.end as f64 / 10_000.0;
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
    measurements.into_iter().for_each(report);
    Ok(())
}
