//! `dmus render` and `dmus bank`: the verbs that need no guest.

use std::ffi::OsString;
use std::path::PathBuf;

use card_control::render::RenderSummary;
use dmus::event::{Event, Observer};
use dmus::host::file_error::FileError;
use dmus::host::leftovers::Scratch;
use dmus::host::lossy;
use dmus::report::{Terminal, out, out_json};
use dmus::sound::bank;
use dmus::sound::loudness;
use dmus::sound::render::{self as offline, RenderOptions, RenderTuning, Rendered};
use dmus::sound::song_file::SongFile;
use serde_json::json;

use super::args::{BankVerb, RenderArguments};
use super::error::Outcome;
use super::setup::{card_of, read_song};

/// Renders a song offline and prints its summary and loudness.
///
/// # Errors
/// [`Error::SongFile`](super::error::Error), `Error::File` or `Error::Render` when the song, a file or the render fails.
pub(super) fn render(arguments: &RenderArguments) -> Outcome {
    let terminal = Terminal::new();
    let card = || card_of(None, &terminal);
    let SongFile { song, bank } = read_song(Some(&arguments.song), arguments.bank.as_deref(), &terminal, card)?;
    let card = card()?;
    let path = arguments
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(arguments.song.file_stem().unwrap_or_default()).with_extension("wav"));
    let scratch = Scratch::new()?;
    let events = scratch.path().join("events.txt");
    offline::write_events(&song.events, &events)?;
    let options = RenderOptions {
        card,
        events,
        out: path.clone(),
        sample_rate: arguments.rate,
        frames: song.frames(arguments.rate, dmus::playback::TAIL_MS_DEFAULT),
        channel_groups: song.channel_groups(),
        bank,
    };
    let tuning = RenderTuning {
        kernel: arguments.kernel.clone(),
        block: arguments.block,
        threads: arguments.threads,
        voices: arguments.voices,
        stems: arguments.stems.clone(),
    };
    let played = song.events.len() as u64;
    let Rendered { summary, warnings } = offline::start_with(&options, &tuning)?.watch(|frames, of_frames| {
        terminal.event(&Event::Progress { frames, of_frames, events: played });
    })?;
    for text in &warnings {
        terminal.event(&Event::Warning { text: text.clone() });
    }
    // A pipe or a device cannot be read again, so it has no loudness.
    let loudness = if path.is_file() { Some(loudness::measure(&path)?) } else { None };
    drop(terminal);
    let all_warnings = [song.notices, warnings].concat();
    if arguments.json {
        out_json(&json!({
            "out": lossy::text(&path),
            "events": played,
            "frames": summary.frames,
            "sample_rate": arguments.rate,
            "peak_dbfs": summary.peak_dbfs,
            "true_peak_dbtp": loudness.and_then(|loudness| loudness.true_peak_dbtp),
            "integrated_lufs": loudness.and_then(|loudness| loudness.integrated_lufs),
            "notes_lost": summary.notes_lost,
            "pcm_sha256": summary.pcm_sha256,
            "stems": summary.stems,
            "stems_folder": arguments.stems.as_deref().map(lossy::text),
            "warnings": all_warnings,
        }));
    } else {
        print(&path, played, arguments, &summary, loudness);
    }
    Ok(None)
}

/// Prints what was written and how it sounds.
fn print(
    path: &std::path::Path,
    events: u64,
    arguments: &RenderArguments,
    summary: &RenderSummary,
    loudness: Option<loudness::Loudness>,
) {
    let level = |level: Option<f64>, unit: &str| level.map_or_else(|| "silence".into(), |it| format!("{it:.1} {unit}"));
    let seconds = summary.frames as f64 / f64::from(arguments.rate);
    out(&format!("written    {}", path.display()));
    out(&format!("frames     {} ({seconds:.2} s at {} Hz), {events} events", summary.frames, arguments.rate));
    if let Some(loudness) = loudness {
        out(&format!("loudness   {} integrated", level(loudness.integrated_lufs, "LUFS")));
        out(&format!(
            "peak       {}, true peak {}",
            level(summary.peak_dbfs, "dBFS"),
            level(loudness.true_peak_dbtp, "dBTP")
        ));
    } else {
        out(&format!("peak       {}", level(summary.peak_dbfs, "dBFS")));
    }
    if summary.notes_lost > 0 {
        out(&format!("lost       {} notes found no voice; --voices gives more", summary.notes_lost));
    }
    out(&format!("pcm        {}", summary.pcm_sha256));
    if let (Some(stems), Some(folder)) = (&summary.stems, &arguments.stems) {
        for stem in &stems.stems {
            out(&format!("stem       {}  peak {}", folder.join(&stem.file).display(), level(stem.peak_dbfs, "dBFS")));
        }
        let deviation = stems.deviation_dbfs.map_or_else(|| "nothing".into(), |it| format!("{it:.0} dBFS"));
        out(&format!("sum        the stems together differ from the mix by {deviation}"));
    }
}

/// Runs the card's command `bank` and prints its output.
///
/// # Errors
/// [`Error::File`](super::error::Error) when the bank cannot be read, `Error::Bank` when the command fails.
pub(super) fn bank(verb: &BankVerb) -> Outcome {
    let terminal = Terminal::new();
    if let BankVerb::Info { file, .. } | BankVerb::Convert { from: file, .. } = verb {
        std::fs::metadata(file).map_err(FileError::input(file))?;
    }
    let card = card_of(None, &terminal)?;
    let flag = |word: &str, set: bool| set.then(|| OsString::from(word));
    let arguments: Vec<Option<OsString>> = match verb {
        BankVerb::Info { file, brief, json } => {
            vec![Some("info".into()), Some(file.into()), flag("--brief", *brief), flag("--json", *json)]
        }
        BankVerb::Convert { from, to, json } => {
            vec![Some("convert".into()), Some(from.into()), Some(to.into()), flag("--json", *json)]
        }
        BankVerb::Build { to, json } => vec![Some("build".into()), Some(to.into()), flag("--json", *json)],
    };
    let output = bank::run(&card, arguments.into_iter().flatten())?;
    for text in output.warnings {
        terminal.event(&Event::Warning { text });
    }
    drop(terminal);
    out(output.result.trim_end());
    Ok(None)
}
