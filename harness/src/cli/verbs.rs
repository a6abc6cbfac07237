//! The verbs of the command line.

use clap::{Parser, Subcommand};

use super::args::{
    BankVerb, BenchArguments, BootArguments, CleanArguments, CompletionsArguments, DemoArguments, DistArguments,
    DoctorArguments, DriverArguments, LowResourcesArguments, PlayArguments, RenderArguments, SchemaArguments,
    TestArguments,
};
use super::check_inf::{CheckInfArguments, NUMBERS};
use super::image::ImageVerb;
use super::package::{CatVerb, PackageArguments};
use super::run_arguments::{ListArguments, RUN_JSON, RunArguments};
use super::trace::TraceVerb;

/// Exit codes, for `--help`.
const EXIT_CODES: &str = "Exit codes:
   0  everything holds
   1  a test failed: an expectation does not hold
   2  the command line is malformed, or names what does not exist
   3  the guest crashed; the bug check is shown with its stack. Also with --keep-going, after a violation
   4  a step took too long
   5  the card died
   6  QEMU did not start, or crashed by itself
   7  something needed is missing and could not be provisioned
   8  a song, bank, scenario or driver image is malformed
   9  the host is in the way: disk, memory, permissions
  11  the host stalled: it did not run the card or QEMU until a time-out of the driver expired; run it again
  12  not hosted: the driver needs functions or a framework that the NT host lacks; it was not judged
  13  of image build: the guest did not start from its installation disc
  14  of image build: the installer stands still: it waits for a person, or hangs
  15  of image build: the guest restarts again and again
  16  of image build: a step of the image's set-up failed in the guest
  17  of image build: the agent does not come, or answers nothing
  70  a bug of the harness
 130  interrupted";

/// The text about the prompt at the end of `boot --help`.
const BOOT: &str = "At the prompt `help` lists the verbs. Lines come from standard input too, one a line: the first line that fails ends the
session, and its exit code is that of boot; a line that begins with - may fail. A session without a failure leaves 0, also where a scenario's
step failed before the prompt.";

/// Boots guests with the virtual DirectMusic card, plays songs, compares, and reports what is wrong.
#[derive(Debug, Parser)]
#[command(name = "dmus", version, after_help = EXIT_CODES, max_term_width = 110)]
pub(crate) struct Arguments {
    /// The verb.
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Play a song through QEMU, the NT host and the Windows driver, and compare it with the offline render
    Demo(DemoArguments),
    /// Run scenario files, all of a folder, or shipped scenarios
    #[command(after_help = RUN_JSON)]
    Run(RunArguments),
    /// List the cases of scenarios: tags, set, what each needs, and why it would be skipped here
    List(ListArguments),
    /// Run every test of the project (needs a checkout)
    Test(TestArguments),
    /// Listen to the sound that a run has left, or to a WAV file
    Play(PlayArguments),
    /// Render a song offline, without a guest
    Render(RenderArguments),
    /// List instrument banks, convert them, build the built-in one
    #[command(subcommand)]
    Bank(BankVerb),
    /// Show, count, compare, export, replay and reduce what driver and card said to each other
    #[command(subcommand)]
    Trace(TraceVerb),
    /// Run the benchmarks; synth, transport and trace need a checkout
    Bench(BenchArguments),
    /// Fail the allocation of every call stack on which the driver allocates, a boot for each: the same as run low-resources
    LowResources(LowResourcesArguments),
    /// Make the download: a tarball that plays where nothing else is installed (needs a checkout)
    Dist(DistArguments),
    /// Print the JSON schema of scenario files, for editors that complete and check
    Schema(SchemaArguments),
    /// Print the completions of a shell
    Completions(CompletionsArguments),
    /// Build the driver and print what its image holds: imports, size, stack, ways to panic (needs a checkout)
    Driver(DriverArguments),
    /// Make the driver's packages for Windows, signed with a test certificate or yours (needs a checkout)
    Package(PackageArguments),
    /// Make, check and print the catalogue of any driver's folder
    #[command(subcommand)]
    Cat(CatVerb),
    /// Build images with a Windows of yours from its installation disc, and list, check and remove them
    #[command(subcommand)]
    Image(ImageVerb),
    /// Check INF files as InfVerif does, by its numbers, with line and column
    #[command(after_help = NUMBERS)]
    CheckInf(CheckInfArguments),
    /// Boot the guest and open a prompt: steps typed one by one, and views of driver, guest, card and machine
    #[command(after_help = BOOT)]
    Boot(BootArguments),
    /// Inspect this machine: what is there, what is missing, what fixes it
    Doctor(DoctorArguments),
    /// Remove what runs have left under target/dmus/runs; with --all also what was provisioned
    Clean(CleanArguments),
}

impl Verb {
    /// Returns whether the verb ends with a JSON object.
    pub(crate) fn json(&self) -> bool {
        match self {
            Self::Demo(arguments) => arguments.json,
            Self::Run(arguments) => arguments.json,
            Self::Boot(arguments) => arguments.json,
            Self::List(arguments) => arguments.json,
            Self::Test(arguments) => arguments.json,
            Self::Render(arguments) => arguments.json,
            Self::LowResources(arguments) => arguments.json,
            Self::Driver(arguments) => arguments.json,
            Self::Bank(BankVerb::Info { json, .. } | BankVerb::Convert { json, .. } | BankVerb::Build { json, .. }) => {
                *json
            }
            Self::Trace(TraceVerb::Stats(arguments)) => arguments.json,
            Self::Trace(TraceVerb::Diff(arguments)) => arguments.json,
            Self::Trace(TraceVerb::Replay(arguments)) => arguments.json,
            Self::Trace(TraceVerb::Reduce(arguments)) => arguments.json,
            Self::Trace(TraceVerb::Show(_) | TraceVerb::Export(_)) => false,
            Self::Bench(_) | Self::Play(_) | Self::Completions(_) | Self::Schema(_) => false,
            Self::Package(arguments) => arguments.json,
            Self::CheckInf(arguments) => arguments.json,
            Self::Cat(CatVerb::Build(arguments)) => arguments.json,
            Self::Image(verb) => verb.json(),
            Self::Cat(CatVerb::Verify(arguments) | CatVerb::Show(arguments)) => arguments.json,
            Self::Dist(arguments) => arguments.json,
            Self::Doctor(arguments) => arguments.json,
            Self::Clean(arguments) => arguments.json,
        }
    }
}
