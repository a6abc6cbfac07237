//! `dmus trace`: what driver and card said to each other.

use std::fs;
use std::path::{Path, PathBuf};

use card_trace::{Detail, Item, Record};
use clap::{Args, Subcommand};
use dmus::host::failure::Class;
use dmus::host::file_error::FileError;
use dmus::report::{out, out_json};
use dmus::trace::{
    Filter, GuestStats, Stats, Times, Trace, diff, follow, json_line, pcapng, perfetto, stats, text_line,
};
use serde_json::json;

use super::error::{Outcome, UsageError};
use super::trace_reduce::{self, ReduceArguments};
use super::trace_replay::{self, ReplayArguments, difference_text};

/// The words of `--filter`, for `--help`.
const FILTER: &str = "A filter is conditions that all hold, with | between alternatives and ! before what shall not hold:
  kind=chain-taken,mark      the kind: clock, rendered, status-page, register-read, register-write, config-read, config-write,
                             identity-read, features, queue-started, queue-stopped, kicked, reset, disconnected, chain-taken,
                             chain-returned, wave-returned, interrupt, fault-struck, driver-error, mark, command, memory,
                             card, skipped, voice-started, voice-ended, recording; of a device of your own also dma-read, dma-write, midi-sent, midi-received, log;
                             of a guest that marks what it does guest-marks, irql, isr-begin, isr-end, dpc-begin, dpc-end,
                             put-message, put-end, pool-peak
  queue=wave,control         the queue: control, midi-out, midi-in, wave, event
  source=card                what has recorded: card, harness, guest
  text~OPEN                  a word of the description
  time>=1.5ms number<100     the time since the start (ns, us, ms, s), and the number: =, <, <=, >, >=
such as --filter 'queue=control !kind=kicked time<1s | kind=mark'";

/// What to do with a trace.
#[derive(Debug, Subcommand)]
pub(crate) enum TraceVerb {
    /// Print the records, one a line
    #[command(after_help = FILTER)]
    Show(ShowArguments),
    /// Count: records by kind, kicks, chains and interrupts by queue, how long chains are held; how long the guest's service routines and DPCs
    /// take
    Stats(StatsArguments),
    /// Find the first difference of two traces, by what they mean and not by time; exit code 1 when there is one
    Diff(DiffArguments),
    /// Write a file for Perfetto (ui.perfetto.dev) or for Wireshark
    Export(ExportArguments),
    /// Give a card without QEMU what was recorded, and name where it does otherwise; a failure inside the guest is repeated with guest
    /// and driver. Exit code 1 when something is other than recorded
    Replay(ReplayArguments),
    /// Leave out of a failing recording what the failure does not need; written as a trace and as a scenario
    Reduce(ReduceArguments),
}

/// Options of `trace show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The file, or a run folder
    file: PathBuf,
    /// Only the records that it chooses
    #[arg(long, value_name = "EXPR", default_value = "")]
    filter: String,
    /// Go on with what the card records from now on, until Ctrl-C; the guest's marks are written when its run has ended
    #[arg(long)]
    follow: bool,
    /// 0: numbers; 1: names of registers, requests and states; 2: members and events too
    #[arg(long, value_name = "LEVEL", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    decode: u8,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Options of `trace stats`.
#[derive(Debug, Args)]
pub(crate) struct StatsArguments {
    /// The file, or a run folder
    file: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `trace diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The first file, or run folder
    left: PathBuf,
    /// The second
    right: PathBuf,
    /// How many items are shown before and after the difference
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=1000))]
    context: u16,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `trace export`.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Formats {
    /// Write a trace for Perfetto to this file
    #[arg(long, value_name = "FILE")]
    perfetto: Option<PathBuf>,
    /// Write a capture for Wireshark to this file
    #[arg(long, value_name = "FILE")]
    pcapng: Option<PathBuf>,
}

/// Options of `trace export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// The file, or a run folder
    file: PathBuf,
    #[command(flatten)]
    formats: Formats,
}

/// Carries out a verb.
///
/// # Errors
/// [`Error::Trace`](super::error::Error) for a file that is no trace, `Error::Filter` for a filter that is not understood,
/// `Error::File` for a file that cannot be written.
pub(super) fn trace(verb: &TraceVerb) -> Outcome {
    match verb {
        TraceVerb::Show(arguments) => show(arguments),
        TraceVerb::Stats(arguments) => {
            let stats = stats(&Trace::read_with_guest(&arguments.file)?);
            if arguments.json {
                out_json(&json!(stats));
            } else {
                out(&stats_text(&stats));
            }
            Ok(None)
        }
        TraceVerb::Diff(arguments) => compare(arguments),
        TraceVerb::Export(arguments) => export(arguments),
        TraceVerb::Replay(arguments) => trace_replay::replay(arguments),
        TraceVerb::Reduce(arguments) => trace_reduce::reduce(arguments),
    }
}

fn show(arguments: &ShowArguments) -> Outcome {
    let filter = Filter::parse(&arguments.filter)?;
    let detail = match arguments.decode {
        0 => Detail::Raw,
        1 => Detail::Names,
        _ => Detail::Full,
    };
    let print = |record: &Record| {
        if !filter.chooses(record) {
            return;
        }
        match arguments.json {
            true => out(&json_line(record, detail).to_string()),
            false => out(&text_line(record, detail)),
        }
    };
    let print_gap = |slots: u64| match arguments.json {
        true => out(&json!({ "gap_slots": slots }).to_string()),
        false => out(&format!("           ... {slots} slots of records were overwritten, or were not finished")),
    };
    if arguments.follow {
        follow(&arguments.file, |item| match item {
            Item::Record(record) => print(record),
            Item::Gap { slots } => print_gap(*slots),
        })?;
        return Ok(None);
    }
    let trace = Trace::read_with_guest(&arguments.file)?;
    if trace.header.overwritten > 0 && !arguments.json {
        out(&format!("           ... {} records were overwritten before these", trace.header.overwritten));
    }
    trace.records.iter().for_each(print);
    if trace.gap_slots > 0 {
        print_gap(trace.gap_slots);
    }
    Ok(None)
}

fn stats_text(stats: &Stats) -> String {
    let mut text = format!(
        "{} records in {:.3} ms by {}, {:.1} bytes each; {} of {} overwritten, {} slots not whole\n",
        stats.records,
        stats.span_ns as f64 / 1e6,
        stats.program,
        stats.bytes_per_record,
        stats.overwritten,
        stats.recorded,
        stats.gap_slots
    );
    for (kind, count) in &stats.kinds {
        text += &format!("\n  {kind:<16} {count:>10}");
    }
    text += "\n\n  queue          kicks     taken  returned  interrupts   held (median, longest)";
    for (name, queue) in &stats.queues {
        let micro = |nanoseconds: Option<i64>| {
            nanoseconds.map_or_else(|| "-".into(), |nanoseconds| format!("{:.1} us", nanoseconds as f64 / 1e3))
        };
        text += &format!(
            "\n  {name:<10} {:>9} {:>9} {:>9} {:>11}   {}, {}",
            queue.kicks,
            queue.taken,
            queue.returned,
            queue.interrupts,
            micro(queue.held_ns_median),
            micro(queue.held_ns_max)
        );
    }
    if let Some(guest) = &stats.guest {
        text += &guest_text(guest);
    }
    text
}

fn guest_text(guest: &GuestStats) -> String {
    let mut text = format!(
        "\n\n  guest: {} marks, {} overwritten; times at most {:.1} us wrong by {} samples\n  \
         {} changes of the IRQL, {} events put, {} interrupts not claimed, {} bytes of pool at most\n\n  \
         routine                      count       mean      worst",
        guest.marks,
        guest.overwritten,
        guest.error_ns as f64 / 1e3,
        guest.samples,
        guest.irql_changes,
        guest.events_put,
        guest.not_claimed,
        guest.pool_peak_bytes
    );
    let named = |what: &'static str| move |(name, times): (&String, &Times)| (format!("{what} {name}"), *times);
    let routines = guest.isr.iter().map(named("ISR")).chain(guest.dpc.iter().map(named("DPC")));
    for (name, times) in routines.chain([("PutMessage".to_owned(), guest.put_message)]) {
        text += &format!(
            "\n  {name:<26} {:>7} {:>7.1} us {:>7.1} us",
            times.count,
            times.mean_ns / 1e3,
            times.worst_ns as f64 / 1e3
        );
    }
    text
}

fn compare(arguments: &DiffArguments) -> Outcome {
    let (left, right) = (Trace::read_with_guest(&arguments.left)?, Trace::read_with_guest(&arguments.right)?);
    for (trace, path) in [(&left, &arguments.left), (&right, &arguments.right)] {
        if trace.header.overwritten > 0 || trace.gap_slots > 0 {
            let text = format!(
                "{} has lost records ({} overwritten), so its beginning cannot be compared; record with a larger ring (size=)",
                path.display(),
                trace.header.overwritten
            );
            return Err(UsageError(text).into());
        }
    }
    let difference = diff(&left.records, &right.records, arguments.context.into());
    if arguments.json {
        out_json(&json!({ "equal": difference.is_none(), "difference": difference }));
    } else {
        match &difference {
            None => out("the traces mean the same"),
            Some(difference) => out(&difference_text(difference)),
        }
    }
    Ok(difference.map(|_| Class::TestFailed))
}

fn export(arguments: &ExportArguments) -> Outcome {
    let trace = Trace::read_with_guest(&arguments.file)?;
    let write = |path: &Path, bytes: &[u8]| -> Result<(), FileError> {
        fs::write(path, bytes).map_err(FileError::own("write", path))?;
        out(&format!("{}: {} records, {} bytes", path.display(), trace.records.len(), bytes.len()));
        Ok(())
    };
    if let Some(path) = &arguments.formats.perfetto {
        write(path, &perfetto(&trace))?;
    }
    if let Some(path) = &arguments.formats.pcapng {
        write(path, &pcapng(&trace))?;
    }
    Ok(None)
}
