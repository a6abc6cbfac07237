//! The options of verbs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use card_control::{Clock, Sandbox, Transport};
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use dmus::event::{Event, Observer};
use dmus::jobs::jobs;
use dmus::machine::Accelerator;
use dmus::machine::conditions::read_seed;
use dmus::playback::PlaybackError;
use dmus::playback::judge::{Judge, Tolerance};
use dmus::playback::live::{LIVE_SECONDS_DEFAULT, LiveMidi};
use dmus::sound::live::LiveInput;
use dmus::sound::pcm::{BLOCK_FRAMES_MAX, SAMPLE_RATES};
use dmus::testbed::violations::{RuleList, ViolationPolicy, Waiver};
use guest_protocol::options::MESSAGES_MAX;

use super::debugger::DebuggerArguments;
use super::device::DeviceArguments;
use super::guest::GuestArguments;

/// Rates that pins can have, in Hz.
pub(super) const RATES: std::ops::RangeInclusive<i64> = *SAMPLE_RATES.start() as i64..=*SAMPLE_RATES.end() as i64;

/// The clock that the card follows.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ClockChoice {
    /// Time moves as frames are rendered: as fast as the host is, and repeatable
    Lockstep,
    /// Time is the host's
    Realtime,
}

impl From<ClockChoice> for Clock {
    fn from(choice: ClockChoice) -> Self {
        match choice {
            ClockChoice::Lockstep => Self::Lockstep,
            ClockChoice::Realtime => Self::Realtime,
        }
    }
}

/// How the card is attached to QEMU.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TransportChoice {
    /// QEMU owns the PCI function, and does not outlive the card
    VhostUser,
    /// The card is a PCI function of its own, with registers; QEMU outlives most of its ends
    VfioUser,
}

impl From<TransportChoice> for Transport {
    fn from(choice: TransportChoice) -> Self {
        match choice {
            TransportChoice::VhostUser => Self::VhostUser,
            TransportChoice::VfioUser => Self::VfioUser,
        }
    }
}

/// Whether the card's process is confined.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SandboxChoice {
    /// It is
    On,
    /// It is not: for a host without seccomp, for a debugger, to measure what the sandbox costs
    Off,
}

impl From<SandboxChoice> for Sandbox {
    fn from(choice: SandboxChoice) -> Self {
        match choice {
            SandboxChoice::On => Self::On,
            SandboxChoice::Off => Self::Off,
        }
    }
}

/// The accelerator.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AcceleratorChoice {
    /// The one that a timed calibration guest finds to be faster
    Auto,
    /// QEMU's translator
    Tcg,
    /// The host's processor
    Kvm,
}

impl AcceleratorChoice {
    /// Returns the accelerator, or `None` for the faster one.
    pub(crate) const fn accelerator(self) -> Option<Accelerator> {
        match self {
            Self::Auto => None,
            Self::Tcg => Some(Accelerator::Tcg),
            Self::Kvm => Some(Accelerator::Kvm),
        }
    }
}

/// Options of everything that boots a guest.
#[derive(Clone, Debug, Args)]
pub(crate) struct MachineArguments {
    /// The accelerator that executes the guest's instructions
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) accel: AcceleratorChoice,
    /// QEMU to use instead of the system's or the provisioned one
    #[arg(long, value_name = "PATH")]
    pub(crate) qemu: Option<PathBuf>,
    /// How long a step may take without progress
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
    /// The file in which another run names what it has found and built
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) prepared: Option<PathBuf>,
}

/// Options about files that results are written to.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ReportArguments {
    /// Also write the results to this file as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Also write the results to this file as CTRF (Common Test Report Format, JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) ctrf: Option<PathBuf>,
    /// Also write the results to this file as one page that needs nothing else: steps, sounds, bug checks, logs of failures
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Options about what runs side by side.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JobsArguments {
    /// How many guests run side by side at most; without, one a processor. The free memory bounds either. Tests that keep time by
    /// the host's clock run alone
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
}

impl JobsArguments {
    /// Returns how many guests run side by side, and notes where the host's memory lowers that.
    pub(crate) fn jobs(&self, observer: &dyn Observer) -> NonZeroUsize {
        let jobs = jobs(self.jobs);
        if let Some(text) = jobs.lowered {
            observer.event(&Event::Warning { text });
        }
        jobs.count
    }
}

/// Options about what a driver violates.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ViolationArguments {
    /// Waive rules and checks, by number (images/nt-host/CONTRACT.md): a violation is reported and counted, and stops and fails
    /// nothing. A scenario waives with [[waive]] and a reason
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = read_rule)]
    pub(crate) waive: Vec<u16>,
    /// Note each violation after which the guest can go on, go on, and list all at the end. The run fails as a crash does
    #[arg(long)]
    pub(crate) keep_going: bool,
}

impl ViolationArguments {
    /// Returns which violations do not stop a guest.
    pub(crate) fn policy(&self) -> ViolationPolicy {
        let waiver = |&rule: &u16| Waiver { rule, reason: "--waive on the command line".into() };
        ViolationPolicy { keep_going: self.keep_going, ..ViolationPolicy::default() }
            .with(self.waive.iter().map(waiver))
    }
}

/// Reads the number of a rule that the NT host has.
fn read_rule(text: &str) -> Result<u16, String> {
    let number = text.trim().parse().map_err(|_| format!("`{text}` is no number of a rule"))?;
    RuleList::nt_host().expect(number).map_err(|error| error.to_string())
}

/// Options about what decides whether a song was played right.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JudgeArguments {
    /// What decides whether a song was played right: the offline render of the project's synthesizer, bit for bit (default for
    /// its card); the MIDI bytes that the device received; or only that it plays and violates nothing
    #[arg(long, value_name = "JUDGE", value_parser = ["offline", "midi-bytes", "plays"], conflicts_with = "reference")]
    pub(crate) judge: Option<String>,
    /// Compare the PCM with this WAV file, which has the same rate and channels
    #[arg(long, value_name = "REF.WAV")]
    pub(crate) reference: Option<PathBuf>,
    /// How far the PCM may be from --reference: max=STEPS (steps of 16 bits), peak=DBFS, rms=DBFS, offset=FRAMES, with commas
    /// between; each must hold. Without, samples must be equal
    #[arg(long, value_name = "BOUNDS", requires = "reference", allow_hyphen_values = true)]
    pub(crate) tolerance: Option<Tolerance>,
}

impl JudgeArguments {
    /// Returns the judge, if an option names one.
    pub(crate) fn judge(&self) -> Option<Judge> {
        match (&self.reference, &self.judge) {
            (Some(wav), _) => {
                Some(Judge::Reference { wav: wav.clone(), tolerance: self.tolerance.unwrap_or_default() })
            }
            (None, name) => name.as_deref().and_then(Judge::by_name),
        }
    }
}

/// Options of live MIDI.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LiveArguments {
    /// Live MIDI at the device's MIDI input instead of a song: a .mid file in its time, a file of MIDI bytes, a FIFO, or a MIDI device
    /// such as /dev/snd/midiC1D0; with the feature midir also `port:` and a part of a port's name. What comes out of the driver's capture pin is compared, and its latency shown. Under --clock realtime
    #[arg(long, value_name = "SOURCE")]
    pub(crate) midi_in: Option<PathBuf>,
    /// How long live MIDI is taken in at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = LIVE_SECONDS_DEFAULT, requires = "midi_in", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) midi_in_for: u32,
}

impl LiveArguments {
    /// Returns the live MIDI that is named. What cannot be opened is refused before anything runs.
    ///
    /// # Errors
    /// [`PlaybackError::Live`] for a source that cannot be opened.
    pub(crate) fn live(&self) -> Result<Option<LiveMidi>, PlaybackError> {
        let Some(source) = &self.midi_in else { return Ok(None) };
        LiveInput::check(source).map_err(PlaybackError::from)?;
        Ok(Some(LiveMidi { source: source.clone(), seconds: self.midi_in_for }))
    }
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// The song (.mid, or .rmi, .xmf, .mxmf with its instruments), or the name of a built-in one: tide, clockwork, siren
    pub(crate) song: Option<PathBuf>,
    /// Where to write the PCM that the guest received
    #[arg(long, value_name = "SONG.WAV")]
    pub(crate) out: Option<PathBuf>,
    /// The clock that the card follows
    #[arg(long, value_enum, default_value = "lockstep")]
    pub(crate) clock: ClockChoice,
    /// How the card is attached to QEMU
    #[arg(long, value_enum, default_value = "vhost-user", conflicts_with_all = ["device", "device_command", "no_device"])]
    pub(crate) transport: TransportChoice,
    /// Whether the card's process is confined
    #[arg(long, value_enum, default_value = "on", conflicts_with_all = ["device", "device_command", "no_device"])]
    pub(crate) sandbox: SandboxChoice,
    /// Instruments instead of the built-in ones (.dls or .sf2)
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// Driver image to use instead of dmuscard.sys
    #[arg(long, value_name = "MY.SYS")]
    pub(crate) driver: Option<PathBuf>,
    /// Frames a second; without, the data ranges of the driver's pin decide, 48000 if they have it
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(RATES))]
    pub(crate) rate: Option<u32>,
    #[command(flatten)]
    pub(crate) judge: JudgeArguments,
    #[command(flatten)]
    pub(crate) violations: ViolationArguments,
    /// Frames that the card renders at a time; the PCM does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(BLOCK_FRAMES_MAX)))]
    pub(crate) render_block: Option<u32>,

    /// Put a guard in a process of its own between QEMU and the card, so that QEMU would live on without the card.
    #[arg(long)]
    pub(crate) guard: bool,
    /// Frames of a request to the wave stream
    #[arg(long, value_name = "N", default_value_t = dmus::testbed::QUANTUM_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=i64::from(BLOCK_FRAMES_MAX)))]
    pub(crate) quantum: u32,
    #[command(flatten)]
    pub(crate) guest: GuestArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    #[command(flatten)]
    pub(crate) debugger: DebuggerArguments,
    /// Processors of the guest: with two, the second takes the card's interrupts
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) processors: u8,
    /// Delay interrupts, DPCs and calls by times drawn from this seed (hexadecimal)
    #[arg(long, value_name = "SEED", value_parser = read_seed)]
    pub(crate) seed: Option<u64>,
    /// How the card interrupts: by its line, or by MSI-X messages
    #[arg(long, value_enum, value_name = "HOW", default_value = "line")]
    pub(crate) interrupts: dmus::machine::conditions::Interrupts,
    /// How many messages the system has for the card: one that is to have more gets one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MESSAGES_MAX)))]
    pub(crate) messages: Option<u8>,
    /// Where 64-bit base addresses are placed; those of 32 bits are below 4 GiB
    #[arg(long, value_enum, value_name = "WHERE", default_value = "below-4g")]
    pub(crate) bars: dmus::machine::conditions::Bars,
    /// The Windows that the guest poses as: 6.1 is 7, 6.2 is 8, 6.3 is 8.1, 10.0 is 10. An older one lacks the functions that are
    /// younger by their pages
    #[arg(long, value_enum, value_name = "VERSION", default_value = "10.0")]
    pub(crate) windows: dmus::machine::conditions::Windows,
    /// Bring the song in at the device's MIDI input, and compare what comes out of the driver's capture pin
    #[arg(long)]
    pub(crate) capture: bool,
    #[command(flatten)]
    pub(crate) live: LiveArguments,
    /// Stop and start the device this many times before the song, with other addresses and vectors each time
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) restarts: u8,
    /// Have the guest mark nothing of what it does: no guest.trace beside the card's, and nothing that marks cost
    #[arg(long)]
    pub(crate) no_marks: bool,
    /// The level of the guest's log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub(crate) guest_log: String,
    /// Folder for everything that the run leaves, instead of one under target/dmus/runs
    #[arg(long, value_name = "DIR")]
    pub(crate) run_folder: Option<PathBuf>,
    /// Keep the sound files and the trace of a run that passes (dmus trace); its text and hashes are kept in any case
    #[arg(long, visible_alias = "trace")]
    pub(crate) keep: bool,
    /// Play what the guest received on this machine's loudspeakers, at the end
    #[arg(long, conflicts_with_all = ["capture", "midi_in"])]
    pub(crate) listen: bool,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `play`.
#[derive(Debug, Args)]
pub(crate) struct PlayArguments {
    /// A run folder, such as one under target/dmus/runs, or a WAV file
    pub(crate) run: PathBuf,
    /// What to hear
    #[arg(long, value_enum, default_value = "guest")]
    pub(crate) what: PlayChoice,
    /// Which of several playbacks of a scenario's steps, from 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) number: Option<u32>,
}

/// The sounds of a run.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum PlayChoice {
    /// What the guest received
    Guest,
    /// What it was compared with
    Expected,
    /// What differs between the two, as loud as can be
    Difference,
}

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Keep the sound files and the traces of runs that pass (dmus trace); text and hashes are kept in any case
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) jobs: JobsArguments,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    #[command(flatten)]
    pub(crate) reports: ReportArguments,
    /// End with one JSON object on standard output, before the last line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    /// The song (.mid, or .rmi, .xmf, .mxmf with its instruments), or the name of a built-in one: tide, clockwork, siren
    pub(crate) song: PathBuf,
    /// Instruments instead of the built-in ones (.dls or .sf2)
    #[arg(long, value_name = "FILE")]
    pub(crate) bank: Option<PathBuf>,
    /// Where to write it, by default the song's name with .wav in this folder. The file appears when it is complete
    #[arg(short, long, value_name = "OUT.WAV")]
    pub(crate) out: Option<PathBuf>,
    /// Also write one WAV file (32-bit floating point) for each channel that plays, before reverb and chorus, and one
    /// for what those add; the sum of the files is the mix
    #[arg(long, value_name = "FOLDER")]
    pub(crate) stems: Option<PathBuf>,
    /// The instruction set of the synthesizer's inner loops; the PCM does not depend on it
    #[arg(long, value_name = "NAME", value_parser = ["auto", "scalar", "sse4.1", "avx2", "avx512", "neon"])]
    pub(crate) kernel: Option<String>,
    /// Frames that are rendered at a time; the PCM does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) block: Option<u32>,
    /// Threads that render; the PCM does not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: Option<u32>,
    /// Most voices at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) voices: Option<u16>,
    /// Frames a second
    #[arg(long, value_name = "HZ", default_value_t = 48_000, value_parser = clap::value_parser!(u32).range(11_025..=96_000))]
    pub(crate) rate: u32,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `bank` does.
#[derive(Debug, Subcommand)]
pub(crate) enum BankVerb {
    /// List instruments, regions and articulations, in musical units
    Info {
        /// The bank (.dls, .sf2, .rmi, .xmf, .mxmf)
        file: PathBuf,
        /// The instruments only
        #[arg(long)]
        brief: bool,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Write a bank as a DLS level 2 file
    Convert {
        /// The bank (.dls, .sf2, .rmi, .xmf, .mxmf)
        from: PathBuf,
        /// The file to write; it appears when it is complete
        to: PathBuf,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Build the built-in bank by the code that defines it, and write it
    Build {
        /// The file to write; it appears when it is complete
        to: PathBuf,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
}

/// Options of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Only benchmarks whose name contains this: scenario, suite, nt-host, driver, transport, trace, synth
    pub(crate) name: Option<String>,
    /// Driver image to measure instead of dmuscard.sys; of the benchmark driver, the C++ driver is then left out
    #[arg(long, value_name = "MY.SYS")]
    pub(crate) driver: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) violations: ViolationArguments,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// One round, and nothing that must be provisioned first (of synth: not FluidSynth)
    #[arg(long)]
    pub(crate) quick: bool,
    /// One JSON object a line instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `low-resources`.
#[derive(Debug, Args)]
pub(crate) struct LowResourcesArguments {
    /// Driver image to use instead of dmuscard.sys
    #[arg(long, value_name = "MY.SYS")]
    pub(crate) driver: Option<PathBuf>,
    /// Fail the allocation of this stack only, by the name that a run printed
    #[arg(long, value_name = "HASH", value_parser = dmus::alloc_faults::read_stack)]
    pub(crate) stack: Option<u64>,
    /// Frames a second; without, the data ranges of the driver's pin decide
    #[arg(long, value_name = "HZ", value_parser = clap::value_parser!(u32).range(RATES))]
    pub(crate) rate: Option<u32>,
    #[command(flatten)]
    pub(crate) violations: ViolationArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `boot`.
#[derive(Debug, Args)]
pub(crate) struct BootArguments {
    /// Carry out the steps of this scenario first, a file or the name of a shipped one; the prompt opens behind the last, or where one
    /// fails
    #[arg(long, value_name = "SCENARIO", conflicts_with_all = ["device", "device_command", "no_device"])]
    pub(crate) scenario: Option<PathBuf>,
    /// Which of the scenario's cases: the first whose name contains this
    #[arg(long, value_name = "TEXT", requires = "scenario")]
    pub(crate) case: Option<String>,
    /// Open the prompt before the scenario's step of this number or name
    #[arg(long, value_name = "STEP", requires = "scenario")]
    pub(crate) stop_at: Option<String>,
    /// The clock that the card follows
    #[arg(long, value_enum, default_value = "lockstep", conflicts_with = "scenario")]
    pub(crate) clock: ClockChoice,
    /// How the card is attached to QEMU; without, vhost-user, or as the scenario says
    #[arg(long, value_enum, conflicts_with_all = ["device", "device_command", "no_device"])]
    pub(crate) transport: Option<TransportChoice>,
    /// The Windows that the guest poses as, instead of the scenario's: 6.1 is 7, 6.2 is 8, 6.3 is 8.1, 10.0 is 10. An older one lacks the
    /// functions that are younger by their pages
    #[arg(long, value_enum, value_name = "VERSION")]
    pub(crate) windows: Option<dmus::machine::conditions::Windows>,
    /// Instruments instead of the built-in ones (.dls or .sf2)
    #[arg(long, value_name = "FILE", conflicts_with = "scenario")]
    pub(crate) bank: Option<PathBuf>,
    /// Folder for everything that the session leaves, instead of one under target/dmus/runs
    #[arg(long, value_name = "DIR", conflicts_with = "scenario")]
    pub(crate) run_folder: Option<PathBuf>,
    /// One JSON object a line on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Driver image to use instead of dmuscard.sys
    #[arg(long, value_name = "MY.SYS")]
    pub(crate) driver: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) guest: GuestArguments,
    #[command(flatten)]
    pub(crate) device: DeviceArguments,
    #[command(flatten)]
    pub(crate) violations: ViolationArguments,
    #[command(flatten)]
    pub(crate) machine: MachineArguments,
    #[command(flatten)]
    pub(crate) debugger: DebuggerArguments,
    /// Have the guest mark nothing of what it does: no guest.trace beside the card's, and nothing that marks cost
    #[arg(long)]
    pub(crate) no_marks: bool,
    /// The level of the guest's log: error, warn, info, debug, trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = ["error", "warn", "info", "debug", "trace"])]
    pub(crate) guest_log: String,
}

/// Options of `driver`.
#[derive(Debug, Args)]
pub(crate) struct DriverArguments {
    /// The driver for 32-bit Windows
    #[arg(long)]
    pub(crate) x86: bool,
    /// Only write the checksum that the kernel's loader demands into this image (link.exe /RELEASE writes it, too)
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["x86", "json"])]
    pub(crate) set_checksum: Option<PathBuf>,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `dist`.
#[derive(Debug, Args)]
pub(crate) struct DistArguments {
    /// The folder in which it appears; without, dist in the folder of what was provisioned
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) output: Option<PathBuf>,
    /// Also make a Debian package
    #[arg(long)]
    pub(crate) deb: bool,
    /// Try it in a root with nothing but the C library, without network
    #[arg(long)]
    pub(crate) check: bool,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `schema`.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct SchemaArguments {
    /// The schema of files of steps that scenarios include
    #[arg(long)]
    pub(crate) steps: bool,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    pub(crate) shell: Shell,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Only remove what runs have left that were ended by force, and print it
    #[arg(long)]
    pub(crate) sweep: bool,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanArguments {
    /// Also remove what was provisioned: QEMU, sources, drivers, logs; the next run provisions it again
    #[arg(long)]
    pub(crate) all: bool,
    /// End with one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
