//! The options of `run` and `list`: which scenarios, which of their cases, in which order, and what replaces what they say.

use std::path::PathBuf;

use clap::Args;
use dmus::machine::conditions::read_seed;
use dmus::scenario::{Set, Shard};

use super::args::{
    JobsArguments, JudgeArguments, LiveArguments, MachineArguments, RATES, ReportArguments, SandboxChoice,
    TransportChoice, ViolationArguments,
};
use super::debugger::DebuggerArguments;
use super::device::DeviceArguments;
use super::guest::GuestArguments;

/// The text about `run --json` at the end of `--help`.
pub(super) const RUN_JSON: &str = "With --json the last line is one object:
  schema_version, run_id    1, until a field changes its meaning or goes; the id of the run, in its time lines and CTRF too
  passed, failed, skipped   how many tests
  not_run                   how many tests were chosen and not run: after an interruption, or with --fail-fast
  shuffle                   the seed of the order, with --shuffle
  known_issues, known_issues_passing
                            how many tests fail as a known issue says, and how many pass although one says that they fail
  run_folders               the folder of each run
  tests                     each: name, case, file, line, tags, result, class, violations, seed (with delays), findings, run_folder, reproduce,
                            attempts (of one that was retried), known_issue (reason, link, review_by);
                            findings: violations (with --keep-going), waived, notes (each: rule, title, function, irql, count,
                            message, place, stack, reason), not_fired (waived rules that were not violated: rule, reason)
  contract                  of contract and stress: rules, pass, violated, waived, not_exercised, not_applicable, rows (each:
                            number, title, source, verdict, held, message; of a waived rule waiver: reason, count, place),
                            findings, figures (each: probe, name, value), failures, run_folders, processors, seed
  repeats                   of contract with --repeat, by scenario: runs, rules (each: number, title, pass, violated, waived,
                            not_exercised, not_applicable), failures
  variants                  of broken: each variant, expected, fired, caught
  rows, summary             of hostile: each fault, queue, card, qemu, diagnosis_expected, diagnosis_found, as_expected, times
  soak                      of hostile with --soak: faults, memory and log of the card, each with its bound
  low_resources             of low-resources, each driver: boots, sites (each: hash, function, stack, outcome, detail,
                            leaked), milliseconds
  kills                     of kills: seed, right, too_late, slowest_ms, rows (each: process, signal, phase, expected,
                            found, milliseconds, swept, left, violations)
The exit code is that of the failures if they agree, else 1.";

/// The heading of the options that choose cases in `--help`.
const CHOICE: &str = "Which cases";

/// Options that choose cases of scenarios; each that is given must hold.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SelectionArguments {
    /// Only cases whose name contains this; of contract, probes; of low-resources, the stack of this name; of hostile,
    /// faults and their areas
    #[arg(long, help_heading = CHOICE, value_name = "TEXT", visible_alias = "case")]
    pub(crate) filter: Option<String>,
    /// Only scenarios with one of these tags
    #[arg(long, help_heading = CHOICE, value_name = "TAG", value_delimiter = ',')]
    pub(crate) tag: Vec<String>,
    /// No scenarios with one of these tags
    #[arg(long, help_heading = CHOICE, value_name = "TAG", value_delimiter = ',')]
    pub(crate) not_tag: Vec<String>,
    /// Only scenarios of a set: integration is the small one for each push
    #[arg(long, help_heading = CHOICE, value_enum, value_name = "SET")]
    pub(crate) set: Option<Set>,
    /// Only cases that failed in the last run; without scenarios, of all that it had
    #[arg(long, help_heading = CHOICE)]
    pub(crate) last_failed: bool,
    /// Only a part of what is chosen, such as 2/4: for several machines, whose parts are balanced and together all
    #[arg(long, help_heading = CHOICE, value_name = "N/OF")]
    pub(crate) shard: Option<Shard>,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Scenario files, folders with some, or names of shipped ones, such as contract, broken, passing, low-resources, stress,
    /// kills, hostile-driver, qemu-limits; all; or hostile: every fault that a driver can do to the card
    #[arg(value_name = "SCENARIO", required_unless_present = "last_failed")]
    pub(crate) scenarios: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// Run scenarios, and the cases of each, in another order, drawn from a seed (hexadecimal) or without one from the time
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true, default_missing_value = "time", value_parser = read_shuffle)]
    pub(crate) shuffle: Option<Shuffle>,
    /// Begin no further test after one that failed
    #[arg(long)]
    pub(crate) fail_fast: bool,
    /// Run a test that failed again up to this many times. One that passes then is called flaky, and remains a failure
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10))]
    pub(crate) retries: u32,
    /// A known issue that passes now is a failure
    #[arg(long)]
    pub(crate) strict: bool,
    /// Show failures and the summary only
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Driver image to use instead of dmuscard.sys
    #[arg(long, value_name = "MY.SYS")]
    pub(crate) driver: Option<PathBuf>,
    /// Processors of the guest, instead of the scenario's: with two, the second takes the card's interrupts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) processors: Option<u8>,
    /// Delay interrupts, DPCs and calls by times drawn from this seed (hexadecimal); on two processors without --processors
    #[arg(long, value_name = "SEED", value_parser = read_seed)]
    pub(crate) seed: Option<u64>,
    /// Frames a second, instead of the scenario's; without either, the data ranges of the driver's pin decide
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(RATES))]
    pub(crate) rate: Option<u32>,
    /// How the card is attached to QEMU, instead of the scenario's
    #[arg(long, value_enum, conflicts_with_all = ["device", "device_command", "no_device"])]
    pub(crate) transport: Option<TransportChoice>,
    /// Where 64-bit base addresses are placed, instead of where the scenario has them; those of 32 bits are below 4 GiB
    #[arg(long, value_enum, value_name = "WHERE")]
    pub(crate) bars: Option<dmus::machine::conditions::Bars>,
    /// The Windows that the guest poses as, instead of the scenario's: 6.1 is 7, 6.2 is 8, 6.3 is 8.1, 10.0 is 10. An older one lacks the
    /// functions that are younger by their pages
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) windows: Option<dmus::machine::conditions::Windows>,
    /// Whether the card's process is confined, instead of the scenario's
    #[arg(long, value_enum, conflicts_with_all = ["device", "device_command", "no_device"])]
    pub(crate) sandbox: Option<SandboxChoice>,
    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
    #[command(flatten)]
    pub(crate) violations: ViolationArguments,
    /// How many kills, or faults of a hostile driver, instead of the scenario's rounds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) count: Option<u32>,
    /// Run each case once with each of this many seeds, from --seed or 1 on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) seeds: Option<u32>,
    /// Of hostile: draw faults at random for this long against one card, and bound its memory and log
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) soak: Option<u32>,
    /// Run all of it this many times; of contract, with a count of each rule's verdicts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) repeat: u32,
    /// Keep the sound files and the traces of runs that pass (dmus trace); text and hashes are kept in any case
    #[arg(long, visible_alias = "trace")]
    pub(crate) keep: bool,
    /// Have the guest mark nothing of what it does: no guest.trace beside the card's, and nothing that marks cost
    #[arg(long)]
    pub(crate) no_marks: bool,
    #[command(flatten)]
    pub(crate) live: LiveArguments,
    /// Open a prompt where a step failed or a song was not played right, instead of tearing down; one case at a time
    #[arg(long)]
    pub(crate) prompt_on_failure: bool,
    /// Write golden files instead of comparing with them: listen to guest.wav of the run folder before you keep them
    #[arg(long)]
    pub(crate) update_golden: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) guest: GuestArguments,
    #[command(flatten)]
    pub(crate) jobs: JobsArguments,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    #[command(flatten)]
    pub(crate) debugger: DebuggerArguments,
    #[command(flatten)]
    pub(crate) reports: ReportArguments,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// The seed of an order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle(pub(crate) u64);

/// Reads the seed of an order; `time` draws one.
fn read_shuffle(text: &str) -> Result<Shuffle, String> {
    if text == "time" {
        // A short one, which people can type.
        let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
        return Ok(Shuffle(now & 0xffff_ffff));
    }
    read_seed(text).map(Shuffle)
}

/// Options of `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Scenario files, folders with some, or names of shipped ones; without, all that are shipped
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
    /// QEMU that would be used instead of the system's or the provisioned one
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Option<PathBuf>,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
