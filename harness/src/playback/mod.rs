//! A performance: the card, QEMU, the guest and the driver play a song, and the PCM is judged.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest_protocol::{Carries, Handle, Manner, Pace, PinFactory, Play, Request, RuleState, Statistics, StreamFormat};
use serde::{Deserialize, Serialize};

use crate::event::{Event, Observer, Step, Timeline};
use crate::failure::Error;
use crate::host::ended::Ended;
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::hash::{hex, sha256_hex};
use crate::host::leftovers::Scratch;
use crate::host::standstill::Standstills;
use crate::machine::conditions::Conditions;
use crate::machine::{
    Boot, Card, CardOptions, CardSockets, CardStatus, Clock, Firmware, GuestMemory, Leaving, MachineError,
    MachineOptions, Part, Processes, guest_exit,
};
use crate::provision::Artefacts;
use crate::provision::accelerator::Choice;
use crate::sound::midi::{CHANNEL_GROUP, Song, write_music_records, write_records};
use crate::sound::pcm::{BITS, CHANNELS, Difference, FRAME_BYTES, Pcm, difference};
use crate::sound::render::{self, RenderOptions, RenderSummary, Rendering};
use crate::testbed::bug_check;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{Health, OpenedFilter, Session, SessionError, StartedDevice};
use crate::testbed::stall::{Stall, Stalling};
use crate::testbed::synthesizer::{ask_port_parameters, inspect, set_channel_groups};

/// How long a guest that hangs gets to answer a non-maskable interrupt.
const NMI_LIMIT: Duration = Duration::from_secs(20);

/// Where a guest that hangs says where it is.
const HANG_FILE: &str = "hang.txt";

/// Lines of it that a failure shows: the report and the innermost functions.
const HANG_LINES: usize = 40;

/// Memory of the guest beside what a song needs, in bytes: the NT host, the driver's image and pool, and room.
const BASE_MEMORY: u64 = 96 << 20;

/// Lines of each log that a failure shows.
const TAIL_LINES: usize = 12;

/// How many frames the wave stream is asked for at a time, unless told otherwise: 10 ms at 48 kHz.
pub const QUANTUM_DEFAULT: u32 = 480;

/// Silence after the song's end, in milliseconds, for what still sounds.
pub const TAIL_MS_DEFAULT: u32 = 2000;

/// How long before its time an event is handed over in real time, in milliseconds: more than a busy host's scheduler
/// takes away at a time.
pub const LEAD_MS_DEFAULT: u32 = 500;

/// Real time begins when the streams run, so the song begins this many leads later: its first events have as much time
/// to reach the card as all others, and as much again.
const LEADS_BEFORE_SONG: u32 = 2;

/// How long a step may take, unless told otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Somebody to kill, to see that the right one is blamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Who.
    pub kill: Victim,
    /// At the beginning of which step.
    pub at: Step,
}

/// A process that can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Victim {
    /// The card.
    Card,
    /// QEMU.
    Qemu,
}

/// What to play, and how.
#[derive(Clone, Debug)]
pub struct PlaybackTest {
    /// The song.
    pub song: Song,
    /// The card's options.
    pub card: CardOptions,
    /// Frames a second.
    pub sample_rate: u32,
    /// Frames of a request to the wave stream.
    pub quantum_frames: u32,
    /// Silence after the song.
    pub tail_ms: u32,
    /// In real time: how early events are handed over.
    pub lead_ms: u32,
    /// How long a step may take without getting on.
    pub timeout: Duration,
    /// How much the guest says: `error` to `trace`.
    pub guest_log: String,
    /// Where the WAV file goes, besides the artefacts.
    pub out: Option<PathBuf>,
    /// Whom to kill, and when.
    pub fault: Option<Fault>,
    /// Which processes stall while the song streams, in this order.
    pub stalls: Vec<Stall>,
    /// How events are handed over.
    pub delivery: Delivery,
    /// What the guest runs under.
    pub conditions: Conditions,
    /// How often the device is stopped and started again, with other resources each time, before anything is played.
    pub restarts: u8,
}

/// How events are handed to the driver. Nothing that is heard may depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// In which order, and how wrapped.
    pub manner: Manner,
    /// Longest piece of a message in one event; 0 for the guest's own choice.
    pub piece_bytes: u16,
    /// The channel group that everything plays on.
    pub channel_group: u32,
    /// By the legacy MIDI pin, whose times are whole milliseconds, instead of the DirectMusic pin.
    pub midi_pin: bool,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { manner: Manner::InOrder, piece_bytes: 0, channel_group: CHANNEL_GROUP, midi_pin: false }
    }
}

impl PlaybackTest {
    /// A song with everything else as usual.
    #[must_use]
    pub fn of(song: Song) -> Self {
        Self {
            song,
            card: CardOptions::default(),
            sample_rate: 48_000,
            quantum_frames: QUANTUM_DEFAULT,
            tail_ms: TAIL_MS_DEFAULT,
            lead_ms: LEAD_MS_DEFAULT,
            timeout: TIMEOUT_DEFAULT,
            guest_log: "info".into(),
            out: None,
            fault: None,
            stalls: Vec::new(),
            delivery: Delivery::default(),
            conditions: Conditions::default(),
            restarts: 0,
        }
    }
}

/// Where to play.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Provisioned {
    /// The programs and images.
    pub artefacts: Artefacts<PathBuf>,
    /// The accelerator.
    pub accelerator: Choice,
    /// The firmware.
    pub firmware: Firmware,
}

/// What is wrong with a performance that ran.
#[derive(Debug, thiserror::Error)]
pub enum PlaybackError {
    /// The guest loaded another file than the one given.
    #[error("the guest loaded a driver with SHA-256 {loaded}, the file {path} has {file}", path = path.display())]
    OtherDriver {
        /// The file.
        path: PathBuf,
        /// Its hash.
        file: String,
        /// The hash that the guest computed.
        loaded: String,
    },
    /// No filter of the driver has the pins that a song needs.
    #[error(
        "no filter has both a DirectMusic pin to write to and a PCM pin of {sample_rate} Hz to read from:\n{found}"
    )]
    NoPins {
        /// The rate asked for.
        sample_rate: u32,
        /// What there is.
        found: String,
    },
    /// The driver opened a pin in a format that it does not carry.
    #[error("the driver opened pin {pin} as DirectMusic, which that pin does not carry")]
    WrongFormatOpened {
        /// The pin factory.
        pin: u32,
    },
    /// The guest says that it played less than it was given.
    #[error("the guest played {frames} of {of_frames} frames and {events} of {of_events} events")]
    Short {
        /// Frames played.
        frames: u64,
        /// Frames wanted.
        of_frames: u64,
        /// Events delivered.
        events: u64,
        /// Events given.
        of_events: u64,
    },
    /// The guest's memory does not hold what the guest says that it holds.
    #[error("guest memory: {0}")]
    Memory(std::io::Error),
    /// The card does not answer on its control socket, or refuses.
    #[error("the card's control socket: {0}")]
    Control(std::io::Error),
    /// The PCM is another than the offline render.
    #[error("the PCM differs from the offline render from frame {0} on")]
    Differs(u64),
    /// Shut down, but not cleanly.
    #[error("the guest was asked to shut down, but QEMU ended with {0}")]
    BadEnd(String),
}

impl Diagnosed for PlaybackError {
    fn class(&self) -> Class {
        match self {
            Self::OtherDriver { .. }
            | Self::NoPins { .. }
            | Self::WrongFormatOpened { .. }
            | Self::Short { .. }
            | Self::Differs(_) => Class::TestFailed,
            Self::BadEnd(_) => Class::GuestCrashed,
            Self::Memory(_) | Self::Control(_) => Class::HarnessBug,
        }
    }

    fn remedy(&self) -> Option<String> {
        match self {
            Self::OtherDriver { .. } => Some("do not rebuild the driver while a run reads it".into()),
            Self::NoPins { .. } => Some("the driver must offer both on one filter; check its data ranges".into()),
            Self::WrongFormatOpened { .. } => {
                Some("NewStream must look at pin and format, and fail where they do not belong together".into())
            }
            Self::Short { .. } | Self::Differs(_) | Self::Memory(_) | Self::Control(_) | Self::BadEnd(_) => None,
        }
    }
}

/// The driver image, in the file and in the guest.
#[derive(Clone, Debug, Serialize)]
pub struct DriverReport {
    /// The file.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
    /// The SHA-256 that the guest computed of what it loaded. Another one than the file's is an error.
    pub sha256_in_guest: String,
}

/// How long a step took.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct StepTime {
    /// Which.
    pub step: Step,
    /// How long.
    pub milliseconds: f64,
}

/// Counters of [`Statistics`] that reports show.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counters {
    /// Interrupts that the device raised.
    pub interrupts: u64,
    /// Of those, how many the driver disowned.
    pub interrupts_not_claimed: u64,
    /// Deferred procedure calls.
    pub dpcs: u64,
    /// `IPortDMus::Notify`.
    pub notifications: u64,
    /// Events given to render streams.
    pub events_put: u64,
    /// Events that came back.
    pub events_returned: u64,
    /// Most bytes of pool.
    pub pool_bytes_peak: u64,
}

impl From<Statistics> for Counters {
    fn from(statistics: Statistics) -> Self {
        let Statistics {
            interrupts,
            interrupts_not_claimed,
            dpcs,
            notifications,
            events_put,
            events_returned,
            pool_bytes_peak,
            ..
        } = statistics;
        Self { interrupts, interrupts_not_claimed, dpcs, notifications, events_put, events_returned, pool_bytes_peak }
    }
}

/// How a performance went.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The guest's PCM is the offline render, bit for bit.
    pub bit_identical: bool,
    /// It is not silence.
    pub audible: bool,
    /// Where they first differ.
    pub difference: Option<Difference>,
    /// The song.
    pub song: String,
    /// Events streamed.
    pub events: u64,
    /// Frames collected.
    pub frames: u64,
    /// Frames a second.
    pub sample_rate: u32,
    /// Largest magnitude, 0 to 32768.
    pub peak: u16,
    /// SHA-256 of the PCM.
    pub pcm_sha256: String,
    /// What the offline render says of itself.
    pub offline_sha256: String,
    /// What the guest counted.
    pub counters: Counters,
    /// What the card counted, and what it found wrong with the driver.
    pub card: CardStatus,
    /// QEMU's version.
    pub qemu: String,
    /// The accelerator, and why.
    pub accelerator: Choice,
    /// The driver.
    pub driver: DriverReport,
    /// What the guest ran under.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// The guest, as it calls itself.
    pub guest: String,
    /// The device, as the guest found it.
    pub device: String,
    /// The time of each step.
    pub steps: Vec<StepTime>,
    /// From QEMU's start to the verdict.
    pub milliseconds: f64,
    /// Where everything is.
    pub artefacts: PathBuf,
    /// When the host did not let the card or QEMU run.
    #[serde(skip_serializing_if = "Standstills::is_empty")]
    pub standstills: Standstills,
    /// The contract, and how often each of its rules was put to the test.
    #[serde(skip)]
    pub rules: Vec<RuleState>,
}

impl Verdict {
    /// What a verdict that something does not hold says: in a run in which the host stalled, a time-out of the driver's may
    /// have run out.
    #[must_use]
    pub const fn class_of_failure(&self) -> Class {
        if self.standstills.0.is_empty() { Class::TestFailed } else { Class::HostStalled }
    }

    /// Both that hold make a pass: the same PCM, and something to hear in it.
    #[must_use]
    pub const fn passed(&self) -> bool {
        self.bit_identical && self.audible
    }
}

/// A failure, with what a reader wants to see at once.
#[derive(Debug)]
pub struct PlaybackFailure {
    /// What failed.
    pub error: Error,
    /// The ends of the logs, a titled block each; a bug check's report first.
    pub evidence: String,
    /// Where everything is.
    pub artefacts: PathBuf,
}

#[derive(Serialize)]
struct Record<'a> {
    harness: &'static str,
    time: String,
    arguments: Vec<String>,
    reproduce: &'a str,
    song: &'a str,
    events: usize,
    sample_rate: u32,
    frames: u64,
    #[serde(flatten)]
    conditions: Conditions,
    restarts: u8,
    card: &'a [String],
    qemu: &'a [String],
    qemu_version: &'a str,
    accelerator: &'a Choice,
    images: Vec<Image>,
}

#[derive(Serialize)]
struct Image {
    path: PathBuf,
    sha256: String,
}

#[derive(Serialize)]
struct FailedVerdict<'a> {
    passed: bool,
    class: Class,
    error: String,
    remedy: Option<String>,
    #[serde(flatten)]
    conditions: Conditions,
    reproduce: &'a str,
}

#[derive(Serialize)]
struct PassedVerdict<'a> {
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<Class>,
    #[serde(flatten)]
    verdict: &'a Verdict,
    reproduce: &'a str,
}

/// Plays.
///
/// # Errors
/// Whatever kept the performance from being judged. That the PCM differs is no error but a verdict.
pub fn run_playback(
    performance: &PlaybackTest,
    provisioned: &Provisioned,
    folder: &RunFolder,
    reproduce: &str,
    observer: &dyn Observer,
) -> Result<Verdict, Box<PlaybackFailure>> {
    let run = || -> Result<Verdict, Error> {
        let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, observer);
        Run { performance, provisioned, folder, reproduce, observer: &timeline, steps: Vec::new() }.run()
    };
    let again = bug_check::again(performance.conditions, reproduce);
    match run() {
        Ok(verdict) => {
            let class = (!verdict.passed()).then(|| verdict.class_of_failure());
            let passed = PassedVerdict { passed: verdict.passed(), class, verdict: &verdict, reproduce };
            folder
                .write_json("verdict.json", &passed)
                .map_err(|error| failure(error.into(), &again, provisioned, folder))?;
            Ok(verdict)
        }
        Err(error) => {
            let failed = FailedVerdict {
                passed: false,
                class: error.class(),
                error: error.to_string(),
                remedy: error.remedy(),
                conditions: performance.conditions,
                reproduce,
            };
            // The error itself goes to the caller in any case.
            let _ = folder.write_json("verdict.json", &failed);
            Err(failure(error, &again, provisioned, folder))
        }
    }
}

/// `again`: how to see it again, for a bug check's report.
fn failure(error: Error, again: &str, provisioned: &Provisioned, folder: &RunFolder) -> Box<PlaybackFailure> {
    let mut evidence = String::new();
    if let Error::Session(SessionError::BugCheck(bug_check)) = error.underlying() {
        let places = bug_check::places(
            &bug_check.stack,
            Some(&provisioned.artefacts.driver),
            Some(&provisioned.artefacts.nt_host),
        );
        let report = bug_check::report(bug_check, &places);
        let _ = folder.write("bug-check.txt", report.clone() + again);
        evidence += &report;
    }
    if let Some(report) = folder.tail(HANG_FILE, HANG_LINES) {
        evidence += &format!("--- where the guest hangs\n{report}\n");
    }
    if !matches!(error.class(), Class::Interrupted | Class::BadInput | Class::MissingArtefact) {
        // The death of a process shows the ends of its logs itself.
        let shown = matches!(
            &error,
            Error::Session(SessionError::CardDied { .. } | SessionError::QemuFailed { .. })
                | Error::Machine(MachineError::CardNotStarted { .. } | MachineError::QemuNotStarted { .. })
        );
        let logs: &[&str] = if shown { &["console.log"] } else { &["console.log", "card.log", "qemu.log"] };
        for name in logs {
            if let Some(tail) = folder.tail(name, TAIL_LINES) {
                evidence += &format!("--- the end of {name}\n{tail}\n");
            }
        }
    }
    Box::new(PlaybackFailure { error, evidence, artefacts: folder.path().into() })
}

/// The offline render, where it differs.
const OFFLINE_WAV: &str = "offline.wav";

/// What is ready before the guest plays.
struct Prepared<'a> {
    song: &'a Song,
    records: Vec<u8>,
    rendering: Rendering,
}

struct Run<'a> {
    performance: &'a PlaybackTest,
    provisioned: &'a Provisioned,
    folder: &'a RunFolder,
    reproduce: &'a str,
    observer: &'a dyn Observer,
    steps: Vec<StepTime>,
}

impl Run<'_> {
    fn run(mut self) -> Result<Verdict, Error> {
        let PlaybackTest { sample_rate, tail_ms, .. } = self.performance;
        let mut song = match self.performance.card.clock {
            Clock::Lockstep => self.performance.song.clone(),
            Clock::Realtime => self.performance.song.delayed(LEADS_BEFORE_SONG * self.performance.lead_ms),
        };
        let delivery = self.performance.delivery;
        if delivery.midi_pin {
            song = song.in_whole_milliseconds();
        }
        let song = &song;
        let frames = song.frames(*sample_rate, *tail_ms);
        let events_file = self.folder.file("events.txt");
        render::write_events(&song.events, &events_file)?;

        // Sockets want a short path, and nobody else may reach them.
        let scratch = Scratch::new()?;
        let sockets = CardSockets::in_folder(scratch.path());
        let begun = self.begin(Step::Card);
        let card = Card::start(
            &self.provisioned.artefacts.card,
            &self.performance.card,
            &sockets,
            &self.folder.file("card.log"),
        )?;
        self.end(Step::Card, begun, Instant::now());

        let records = if delivery.midi_pin {
            write_music_records(&song.events)
        } else {
            write_records(&song.on_group(delivery.channel_group).events)
        };
        let pcm_bytes = frames * FRAME_BYTES;
        let memory = (BASE_MEMORY + records.len() as u64 + pcm_bytes).next_multiple_of(1 << 20);
        let options = MachineOptions {
            processors: self.performance.conditions.processors,
            qemu: self.provisioned.artefacts.qemu.clone(),
            accelerator: self.provisioned.accelerator.accelerator,
            firmware: self.provisioned.firmware,
            kernel: self.provisioned.artefacts.nt_host.clone(),
            driver: Some(self.provisioned.artefacts.driver.clone()),
            guest_options: self
                .performance
                .conditions
                .guest_options(&self.performance.guest_log, self.performance.card.clock),
            card_socket: Some(sockets.machine),
        };
        let started = self.begin(Step::Firmware);
        let qemu_log = self.folder.file("qemu.log");
        let boot = Boot { log: &qemu_log, scratch: scratch.path() };
        let processes = Processes::start(&options, GuestMemory::new(memory)?, &boot, card)?;
        // Listened to from now on: when the guest enters and is ready is a matter of milliseconds.
        let line = processes.machine.line.try_clone().map_err(SessionError::Line)?;
        let console = self.folder.create_file("console.log")?;
        let mut session = Session::new(line, processes, self.performance.timeout, Some(console), self.observer)
            .map_err(SessionError::Line)?;
        self.record(&session.health, frames)?;
        // The offline render uses the second processor while the guest boots.
        let rendering = render::start(&RenderOptions {
            card: self.provisioned.artefacts.card.clone(),
            events: events_file,
            out: self.folder.file(OFFLINE_WAV),
            sample_rate: *sample_rate,
            frames,
            bank: self.performance.card.bank.clone(),
        })?;

        let verdict = self.judge_session(&mut session, started, frames, Prepared { song, records, rendering });
        let standstills = session.health.standstills.standstills();
        match verdict {
            Ok(verdict) => Ok(Verdict { standstills, ..verdict }),
            Err(error) => Err(error.after(standstills)),
        }
    }

    /// Plays in a session, judges the PCM, and ends the machine.
    fn judge_session(
        &mut self,
        session: &mut Session<'_, Processes>,
        started: Instant,
        frames: u64,
        Prepared { song, records, rendering }: Prepared<'_>,
    ) -> Result<Verdict, Error> {
        let sample_rate = self.performance.sample_rate;
        let offline_wav = self.folder.file(OFFLINE_WAV);
        let driver_file = std::fs::read(&self.provisioned.artefacts.driver)
            .map_err(FileError::input(&self.provisioned.artefacts.driver))?;
        let driver_hash = sha256_hex(&driver_file);
        let qemu = session.health.machine.version().to_owned();
        let played = self.play(session, started, &records, frames, &driver_hash);
        let Played { guest, device, driver_in_guest, pcm, events, statistics, card } = match played {
            Ok(played) => played,
            Err(error) => {
                let error = session.cause("play", error);
                if let Error::Session(SessionError::Timeout { .. }) = &error {
                    self.post_mortem(session);
                }
                return Err(error);
            }
        };

        let judging = self.begin(Step::Judging);
        let pcm = Pcm::from_bytes(&pcm, sample_rate);
        let summary = rendering.finish()?;
        let difference = self.judge(&pcm, &offline_wav, &summary)?;
        let ended = Instant::now();
        self.end(Step::Judging, judging, ended);
        let verdict_after = ended - started;

        self.enter(Step::ShutDown, session);
        let begun = Instant::now();
        let rules = shut_down(session, self.performance.timeout).map_err(|error| session.cause("shut down", error))?;
        self.end(Step::ShutDown, begun, Instant::now());

        Ok(Verdict {
            bit_identical: difference.is_none(),
            audible: pcm.peak() > 0,
            difference,
            song: song.name.clone(),
            events,
            frames: pcm.frames(),
            sample_rate,
            peak: pcm.peak(),
            pcm_sha256: pcm.sha256(),
            offline_sha256: summary.pcm_sha256,
            counters: statistics.into(),
            card,
            qemu,
            accelerator: self.provisioned.accelerator.clone(),
            driver: DriverReport {
                path: self.provisioned.artefacts.driver.clone(),
                sha256: driver_hash,
                sha256_in_guest: driver_in_guest,
            },
            conditions: self.performance.conditions,
            guest,
            device,
            steps: std::mem::take(&mut self.steps),
            milliseconds: milliseconds(verdict_after),
            artefacts: self.folder.path().into(),
            standstills: Standstills::default(),
            rules,
        })
    }

    /// Looks where a guest hangs: the processor's registers, and the guest's own word. What cannot be had is left out:
    /// the failure is the timeout.
    fn post_mortem(&self, session: &mut Session<'_, Processes>) {
        let _ = self.folder.write("post-mortem.txt", session.health.machine.post_mortem());
        if session.health.machine.inject_nmi().is_err() {
            return;
        }
        if let Some(found) = session.bug_check(NMI_LIMIT) {
            let Artefacts { driver, nt_host, .. } = &self.provisioned.artefacts;
            let places = bug_check::places(&found.stack, Some(driver), Some(nt_host));
            let again = bug_check::again(self.performance.conditions, self.reproduce);
            let _ = self.folder.write(HANG_FILE, bug_check::report(&found, &places) + &again);
        }
    }

    /// Says what runs, before it has done anything.
    fn record(&self, processes: &Processes, frames: u64) -> Result<(), FileError> {
        let image = |path: &Path| -> Result<Image, FileError> {
            let bytes = std::fs::read(path).map_err(FileError::own("read", path))?;
            Ok(Image { path: path.into(), sha256: sha256_hex(&bytes) })
        };
        let Artefacts { card, nt_host, driver, .. } = &self.provisioned.artefacts;
        let record = Record {
            harness: concat!("dmus ", env!("CARGO_PKG_VERSION")),
            time: jiff::Timestamp::now().to_string(),
            arguments: std::env::args().collect(),
            reproduce: self.reproduce,
            song: &self.performance.song.name,
            events: self.performance.song.events.len(),
            sample_rate: self.performance.sample_rate,
            frames,
            conditions: self.performance.conditions,
            restarts: self.performance.restarts,
            card: &processes.card.command_line,
            qemu: &processes.machine.command_line,
            qemu_version: processes.machine.version(),
            accelerator: &self.provisioned.accelerator,
            images: vec![image(card)?, image(nt_host)?, image(driver)?],
        };
        self.folder.write_json("command.json", &record)
    }

    fn play(
        &mut self,
        session: &mut Session<'_, Processes>,
        started: Instant,
        records: &[u8],
        frames: u64,
        driver_hash: &str,
    ) -> Result<Played, Error> {
        let ready = session.ready()?;
        let entered = session.entered.unwrap_or(ready);
        self.end(Step::Firmware, started, entered);
        self.enter(Step::Kernel, session);
        self.end(Step::Kernel, entered, ready);

        self.enter(Step::DriverStart, session);
        let hello = session.hello()?;
        let loaded = session.load_driver()?;
        let driver_in_guest = hex(&loaded.sha256);
        if driver_in_guest != driver_hash {
            return Err(PlaybackError::OtherDriver {
                path: self.provisioned.artefacts.driver.clone(),
                file: driver_hash.into(),
                loaded: driver_in_guest,
            }
            .into());
        }
        let mut device = session.start_device()?;
        for _ in 0..self.performance.restarts {
            device = StartedDevice { device: device.device, ..session.restart_device()? };
        }
        let sample_rate = self.performance.sample_rate;
        let delivery = self.performance.delivery;
        if delivery.piece_bytes != 0 {
            let request = Request::Allocators { piece_bytes: delivery.piece_bytes };
            session.done("say how messages are cut", request)?;
        }
        let pins = open_pins_for(session, &device, sample_rate, delivery)?;
        let events = session.allocate(records.len() as u64)?;
        let pcm = session.allocate(frames * FRAME_BYTES)?;
        session.health.machine.memory.write(events, records).map_err(PlaybackError::Memory)?;
        let streaming = Instant::now();
        self.end(Step::DriverStart, ready, streaming);

        self.enter(Step::Streaming, session);
        let of_events = self.performance.song.events.len() as u64;
        let stalling = Stalling::begin(&self.performance.stalls, &session.health);
        let played = session.play(Play {
            render: pins.render,
            wave: pins.wave,
            events: guest_protocol::Bulk { address: events.address, length: records.len() as u64 },
            // A song's events are bounded by its file's size, which is below 4 GiB.
            event_count: of_events as u32,
            pcm: guest_protocol::Bulk { address: pcm.address, length: frames * FRAME_BYTES },
            frames,
            quantum_frames: self.performance.quantum_frames,
            pace: match self.performance.card.clock {
                Clock::Lockstep => Pace::Lockstep,
                Clock::Realtime => Pace::Realtime { lead_ms: self.performance.lead_ms },
            },
            manner: delivery.manner,
        })?;
        drop(stalling);
        if played.frames != frames || played.events != of_events {
            return Err(PlaybackError::Short {
                frames: played.frames,
                of_frames: frames,
                events: played.events,
                of_events,
            }
            .into());
        }
        let range = guest_protocol::Bulk { address: pcm.address, length: frames * FRAME_BYTES };
        let bytes = session.health.machine.memory.read(range).map_err(PlaybackError::Memory)?;
        self.end(Step::Streaming, streaming, Instant::now());
        // Before the pins are closed: the counters are the session's.
        let card = session.health.card.status().unwrap_or_else(|error| {
            self.observer
                .event(&Event::Warning { text: format!("the card does not answer on its control socket: {error}") });
            CardStatus::default()
        });
        for (step, pin) in [("close the render pin", pins.render), ("close the wave pin", pins.wave)] {
            session.done(step, Request::Close(pin))?;
        }
        session.done("close the filter", Request::Close(pins.filter))?;
        for bulk in [events, pcm] {
            session.done("give back guest memory", Request::FreeBulk(bulk))?;
        }
        Ok(Played {
            guest: hello.guest,
            device: device.device,
            driver_in_guest,
            pcm: bytes,
            events: played.events,
            statistics: played.statistics,
            card,
        })
    }

    /// Writes the WAV files and compares.
    fn judge(&self, pcm: &Pcm, offline_wav: &Path, summary: &RenderSummary) -> Result<Option<Difference>, Error> {
        let guest_wav = self.folder.file("guest.wav");
        pcm.write_wav(&guest_wav)?;
        if let Some(out) = &self.performance.out {
            pcm.write_wav(out)?;
        }
        let offline = Pcm::read_wav(offline_wav)?;
        let difference = difference(pcm, &offline);
        if difference.is_none() {
            // It is guest.wav.
            std::fs::remove_file(offline_wav).map_err(FileError::own("remove", offline_wav))?;
        }
        if offline.sha256() != summary.pcm_sha256 {
            self.observer
                .event(&Event::Warning { text: "the offline render's file is not what its summary says".into() });
        }
        Ok(difference)
    }

    /// Begins a step of the running machine: the moment at which somebody may be killed.
    fn enter(&self, step: Step, session: &mut Session<'_, Processes>) {
        self.begin(step);
        if let Some(fault) = self.performance.fault.filter(|fault| fault.at == step) {
            self.observer.event(&Event::Note { text: format!("killing {:?}, as the scenario says", fault.kill) });
            match fault.kill {
                Victim::Card => session.health.card.kill(),
                Victim::Qemu => session.health.machine.kill(),
            };
        }
    }

    fn begin(&self, step: Step) -> Instant {
        self.observer.event(&Event::StepBegun { step });
        Instant::now()
    }

    fn end(&mut self, step: Step, begun: Instant, ended: Instant) {
        let milliseconds = milliseconds(ended.saturating_duration_since(begun));
        self.steps.push(StepTime { step, milliseconds });
        self.observer.event(&Event::StepEnded { step, milliseconds });
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

struct Played {
    guest: String,
    device: String,
    driver_in_guest: String,
    pcm: Vec<u8>,
    events: u64,
    statistics: Statistics,
    card: CardStatus,
}

/// The pins that a song needs.
#[derive(Clone, Copy, Debug)]
pub struct Pins {
    /// The filter that has them.
    pub filter: Handle,
    /// Takes DirectMusic events.
    pub render: Handle,
    /// Gives PCM.
    pub wave: Handle,
}

/// Opens the first filter that has both a DirectMusic render pin and a PCM pin of the rate, found by what they carry,
/// [inspects](inspect) it, opens the pins, and [asks](ask_port_parameters) for the port parameters.
///
/// # Errors
/// [`PlaybackError::NoPins`], or what the guest says.
pub fn open_pins<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    sample_rate: u32,
) -> Result<Pins, Error> {
    open_pins_for(session, device, sample_rate, Delivery::default())
}

/// As [`open_pins`], for a delivery: of the MIDI pin if it says so, with as many channel groups as it takes.
///
/// # Errors
/// [`PlaybackError::NoPins`], or what the guest says.
pub fn open_pins_for<H: Health>(
    session: &mut Session<'_, H>,
    device: &StartedDevice,
    sample_rate: u32,
    delivery: Delivery,
) -> Result<Pins, Error> {
    let (carries, format) = if delivery.midi_pin {
        (Carries::Midi, StreamFormat::Midi)
    } else {
        (Carries::DirectMusic, StreamFormat::DirectMusic)
    };
    let mut found = String::new();
    for subdevice in &device.subdevices {
        let opened = session.open_filter(subdevice)?;
        let OpenedFilter { handle: filter, ref pins, .. } = opened;
        let render = pins.iter().position(|pin| is_render(pin, carries));
        let wave = pins.iter().position(|pin| is_wave(pin, sample_rate));
        if let (Some(render), Some(wave)) = (render, wave) {
            inspect(session, &opened, wave as u32)?;
            // The wave pin first: it owns the sample clock that the events are timed against.
            let pcm = StreamFormat::Pcm { sample_rate, channels: CHANNELS, bits: BITS };
            let wave = session.create_pin(filter, wave as u32, pcm)?;
            let render = session.create_pin(filter, render as u32, format)?;
            ask_port_parameters(session, &opened, render)?;
            if delivery.channel_group > CHANNEL_GROUP {
                set_channel_groups(session, &opened, render, delivery.channel_group)?;
            }
            return Ok(Pins { filter, render, wave });
        }
        session.done("close a filter", Request::Close(filter))?;
        for (number, pin) in pins.iter().enumerate() {
            let flow = if pin.flow_in { "in" } else { "out" };
            found += &format!("  {subdevice}, pin {number}: {flow}, carries {:?}\n", pin.carries);
        }
    }
    Err(PlaybackError::NoPins { sample_rate, found }.into())
}

fn is_render(pin: &PinFactory, carries: Carries) -> bool {
    pin.flow_in && pin.instances > 0 && pin.carries.contains(&carries)
}

fn is_wave(pin: &PinFactory, rate: u32) -> bool {
    let carries_rate = |carries: &Carries| {
        matches!(carries, Carries::Pcm { sample_rate_min, sample_rate_max, channels, bits }
            if (*sample_rate_min..=*sample_rate_max).contains(&rate)
                && *channels >= u32::from(CHANNELS)
                && *bits >= u32::from(BITS))
    };
    !pin.flow_in && pin.instances > 0 && pin.carries.iter().any(carries_rate)
}

/// Stops the device, unloads the driver, and leaves: where leaks show. Gives the contract's state at the very end.
///
/// # Errors
/// What the guest says.
pub fn shut_down(session: &mut Session<'_, Processes>, limit: Duration) -> Result<Vec<RuleState>, Error> {
    session.done("stop the device", Request::StopDevice)?;
    session.unload_driver()?;
    let rules = session.contract()?;
    session.done("shut down", Request::Shutdown)?;
    leave(session, limit)?;
    Ok(rules)
}

/// Waits until a guest that was asked to shut down has left with QEMU and the card.
///
/// # Errors
/// Which process ended in another way.
pub fn leave(session: &mut Session<'_, Processes>, limit: Duration) -> Result<(), Error> {
    const STEP: &str = "shut down";
    match session.health.leave(limit) {
        Ok(()) => Ok(()),
        Err(Leaving::Interrupted) => Err(SessionError::Interrupted(STEP.into()).into()),
        Err(Leaving::StillThere) => Err(PlaybackError::BadEnd("nothing: it still runs".into()).into()),
        Err(Leaving::Died(death)) if death.part == Part::Card => {
            Err(SessionError::CardDied { death, step: STEP.into() }.into())
        }
        // A guest that leaves in another way than it should.
        Err(Leaving::Died(death)) if guest_exit(death.ended).is_some() => {
            Err(PlaybackError::BadEnd(death.ended.to_string()).into())
        }
        Err(Leaving::Died(death)) if death.ended == Ended::Exit(0) && death.asked.is_none() => {
            Err(PlaybackError::BadEnd("a reset".into()).into())
        }
        Err(Leaving::Died(death)) => Err(SessionError::QemuFailed { death, step: STEP.into() }.into()),
    }
}
