//! Runs a playback test: streams a song through the driver, and compares the PCM with the offline render.

use std::path::Path;
use std::time::{Duration, Instant};

use card_control::Clock;
use card_control::render::RenderSummary;
use guest_protocol::{Pace, Request, Statistics};

use super::error::{PlaybackError, PlaybackFailure};
use super::options::{LEADS_BEFORE_SONG, PlaybackTest};
use super::record::{FailedVerdict, Image, PassedVerdict, Record};
use super::verdict::{CardReport, DriverReport, StepTime, Verdict};
use crate::event::{Event, Observer, Step, Timeline};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::standstill::Standstills;
use crate::machine::MachineError;
use crate::provision::Artefacts;
use crate::sound::midi::{CHANNEL_GROUP, Song, write_music_records, write_records};
use crate::sound::pcm::{Difference, FRAME_BYTES, Pcm, difference};
use crate::sound::render::{self, RenderOptions, Rendered, Rendering};
use crate::testbed::bug_check;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::SessionError;
use crate::testbed::stall::Stalling;
use crate::testbed::{
    BUG_CHECK_FILE, HANG_FILE, PinOptions, Provisioned, StreamMemory, TestBed, TestBedBuilder, TestBedError,
    open_pins_with,
};

/// Lines of [`HANG_FILE`] that a failure shows: the report and the innermost functions.
const HANG_LINES: usize = 40;

/// Memory of the guest beside what a song needs, in bytes: the NT host, the driver's image and pool, and room.
const BASE_MEMORY: u64 = 96 << 20;

/// Lines of each log that a failure shows.
const TAIL_LINES: usize = 12;

/// The offline render, where it differs.
const OFFLINE_WAV: &str = "offline.wav";

/// Runs a playback test, and keeps what ran, the logs, the sound and the verdict in a run folder.
///
/// # Errors
/// [`PlaybackFailure`] for whatever kept the PCM from being compared. PCM that differs is a verdict.
pub fn run_playback(
    test: &PlaybackTest,
    provisioned: &Provisioned,
    folder: &RunFolder,
    reproduce: &str,
    observer: &dyn Observer,
) -> Result<Verdict, Box<PlaybackFailure>> {
    let run = || -> Result<Verdict, PlaybackError> {
        let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, observer);
        Run { test, provisioned, folder, reproduce, observer: &timeline, steps: Vec::new() }.run()
    };
    let again = bug_check::again(test.conditions, reproduce);
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
                conditions: test.conditions,
                reproduce,
            };
            // The error itself goes to the caller in any case.
            let _ = folder.write_json("verdict.json", &failed);
            Err(failure(error, &again, provisioned, folder))
        }
    }
}

/// Adds the evidence to an error; `again` says how to see a bug check again.
fn failure(error: PlaybackError, again: &str, provisioned: &Provisioned, folder: &RunFolder) -> Box<PlaybackFailure> {
    let mut evidence = String::new();
    if let Some(TestBedError::Session(SessionError::BugCheck(bug_check))) = error.testbed() {
        let Artefacts { driver, nt_host, .. } = &provisioned.artefacts;
        let places = bug_check::places(&bug_check.stack, Some(driver), Some(nt_host));
        let report = bug_check::report(bug_check, &places);
        let _ = folder.write(BUG_CHECK_FILE, report.clone() + again);
        evidence += &report;
    }
    if let Some(report) = folder.tail(HANG_FILE, HANG_LINES) {
        evidence += &format!("--- where the guest hangs\n{report}\n");
    }
    if !matches!(error.class(), Class::Interrupted | Class::BadInput | Class::MissingArtefact) {
        // The message about a process that ended shows the ends of its logs itself.
        let shown = matches!(
            &error,
            PlaybackError::TestBed(
                TestBedError::Session(SessionError::CardDied { .. } | SessionError::QemuFailed { .. })
                    | TestBedError::Machine(MachineError::CardNotStarted { .. } | MachineError::QemuNotStarted { .. })
            )
        );
        let logs: &[&str] =
            if shown { &["console.log"] } else { &["console.log", "card.log", "device.log", "qemu.log"] };
        for name in logs {
            if let Some(tail) = folder.tail(name, TAIL_LINES) {
                evidence += &format!("--- the end of {name}\n{tail}\n");
            }
        }
    }
    Box::new(PlaybackFailure { error, evidence, run_folder: folder.path().into() })
}

/// The inputs of a playback test, ready before the guest plays.
struct Prepared<'a> {
    song: &'a Song,
    records: Vec<u8>,
    frames: u64,
    rendering: Rendering,
    started: Instant,
}

/// The results of a guest that has played.
struct Played {
    guest: String,
    device: String,
    driver_hash: String,
    pcm: Vec<u8>,
    events: u64,
    statistics: Statistics,
    card: Option<CardReport>,
}

struct Run<'a> {
    test: &'a PlaybackTest,
    provisioned: &'a Provisioned,
    folder: &'a RunFolder,
    reproduce: &'a str,
    observer: &'a dyn Observer,
    steps: Vec<StepTime>,
}

impl Run<'_> {
    fn run(mut self) -> Result<Verdict, PlaybackError> {
        let PlaybackTest { sample_rate, tail_ms, .. } = self.test;
        let mut song = match self.test.card.clock {
            Clock::Lockstep => self.test.song.clone(),
            Clock::Realtime => self.test.song.delayed(LEADS_BEFORE_SONG * self.test.lead_ms),
        };
        let options = self.test.stream;
        if options.midi_pin {
            song = song.in_whole_milliseconds();
        }
        let song = &song;
        let frames = song.frames(*sample_rate, *tail_ms);
        let events_file = self.folder.file("events.txt");
        render::write_events(&song.events, &events_file)?;
        let records = if options.midi_pin {
            write_music_records(&song.events)
        } else {
            write_records(&song.on_group(options.channel_group).events)
        };
        let memory = (BASE_MEMORY + records.len() as u64 + frames * FRAME_BYTES).next_multiple_of(1 << 20);
        let builder = TestBedBuilder::new()
            .provisioned(self.provisioned.clone())
            .run_folder(self.folder)
            .card(&self.test.card)
            .memory(memory)
            .guest_log(&self.test.guest_log)
            .conditions(self.test.conditions)
            .timeout(self.test.timeout)
            .observer(self.observer);

        let begun = self.begin(Step::Card);
        let card = builder.start_card()?;
        self.end(Step::Card, begun, Instant::now());
        let started = self.begin(Step::Firmware);
        let mut bed = card.start_machine()?;
        self.record(&bed, frames)?;
        // The offline render uses the second processor while the guest boots.
        let rendering = render::start(&RenderOptions {
            card: self.provisioned.artefacts.card.clone(),
            events: events_file,
            out: self.folder.file(OFFLINE_WAV),
            sample_rate: *sample_rate,
            frames,
            channel_groups: song.channel_groups(),
            bank: self.test.card.bank.clone(),
        })?;
        let verdict = self.judge_test_bed(&mut bed, Prepared { song, records, frames, rendering, started });
        let standstills = bed.standstills();
        match verdict {
            Ok(verdict) => Ok(Verdict { standstills, ..verdict }),
            Err(error) => Err(error.after(standstills)),
        }
    }

    /// Plays on a test bed, compares the PCM, and shuts the test bed down.
    fn judge_test_bed(&mut self, bed: &mut TestBed<'_>, prepared: Prepared<'_>) -> Result<Verdict, PlaybackError> {
        let sample_rate = self.test.sample_rate;
        let qemu = bed.session.health.machine.version().to_owned();
        let played = self.play(bed, &prepared);
        let Played { guest, device, driver_hash, pcm, events, statistics, card } = match played {
            Ok(played) => played,
            Err(error) => {
                let error = bed.cause("play", error);
                if let PlaybackError::TestBed(TestBedError::Session(SessionError::Timeout { .. })) = &error {
                    bed.post_mortem(self.reproduce);
                }
                return Err(error);
            }
        };

        let judging = self.begin(Step::Judging);
        let pcm = Pcm::from_bytes(&pcm, sample_rate);
        let Rendered { summary, warnings: of_bank } = prepared.rendering.watch(|_, _| {})?;
        for text in &of_bank {
            self.observer.event(&Event::Warning { text: text.clone() });
        }
        let difference = self.compare(&pcm, &summary)?;
        let ended = Instant::now();
        self.end(Step::Judging, judging, ended);
        let verdict_after = ended - prepared.started;

        self.enter(Step::ShutDown, bed);
        let begun = Instant::now();
        let rules = bed.shut_down().map_err(|error| bed.cause("shut down", error))?;
        self.end(Step::ShutDown, begun, Instant::now());

        Ok(Verdict {
            bit_identical: difference.is_none(),
            audible: pcm.peak() > 0,
            difference,
            song: prepared.song.name.clone(),
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
                sha256: driver_hash.clone(),
                sha256_in_guest: driver_hash,
            },
            conditions: self.test.conditions,
            guest,
            device,
            steps: std::mem::take(&mut self.steps),
            milliseconds: milliseconds(verdict_after),
            run_folder: self.folder.path().into(),
            standstills: Standstills::default(),
            warnings: [prepared.song.notices.clone(), of_bank].concat(),
            rules,
        })
    }

    /// Records what runs, before it has done anything.
    fn record(&self, bed: &TestBed<'_>, frames: u64) -> Result<(), FileError> {
        let Artefacts { card, nt_host, driver, .. } = &self.provisioned.artefacts;
        let processes = &bed.session.health;
        let record = Record {
            harness: concat!("dmus ", env!("CARGO_PKG_VERSION")),
            time: jiff::Timestamp::now().to_string(),
            arguments: std::env::args().collect(),
            reproduce: self.reproduce,
            song: &self.test.song.name,
            events: self.test.song.events.len(),
            sample_rate: self.test.sample_rate,
            frames,
            conditions: self.test.conditions,
            restarts: self.test.restarts,
            card: processes.device.command_line(),
            qemu: &processes.machine.command_line,
            qemu_version: processes.machine.version(),
            accelerator: &self.provisioned.accelerator,
            images: vec![Image::of(card)?, Image::of(nt_host)?, Image::of(driver)?],
        };
        self.folder.write_json("command.json", &record)
    }

    fn play(&mut self, bed: &mut TestBed<'_>, prepared: &Prepared<'_>) -> Result<Played, PlaybackError> {
        let ready = bed.session.ready()?;
        let entered = bed.session.entered.unwrap_or(ready);
        self.end(Step::Firmware, prepared.started, entered);
        self.enter(Step::Kernel, bed);
        self.end(Step::Kernel, entered, ready);

        self.enter(Step::DriverStart, bed);
        let guest = bed.session.hello()?.guest;
        let driver_hash = bed.load_driver()?;
        let mut device = bed.start_device()?.clone();
        let name = device.device.clone();
        for _ in 0..self.test.restarts {
            device = bed.restart_device()?.clone();
        }
        let options = self.test.stream;
        if options.piece_bytes != 0 {
            let request = Request::Allocators { piece_bytes: options.piece_bytes };
            bed.session.done("say how messages are cut", request)?;
        }
        let channel_groups = options.channel_group + self.test.song.channel_groups() - CHANNEL_GROUP;
        let pin_options = PinOptions { midi_pin: options.midi_pin, channel_groups };
        let pins = open_pins_with(&mut bed.session, &device, self.test.sample_rate, pin_options)?;
        // A song's events are bounded by its file's size, which is below 4 GiB.
        let of_events = prepared.song.events.len() as u32;
        let memory = StreamMemory::prepare(bed, &prepared.records, of_events, prepared.frames)?;
        let streaming = Instant::now();
        self.end(Step::DriverStart, ready, streaming);

        self.enter(Step::Streaming, bed);
        let stalling = Stalling::begin(&self.test.stalls, &bed.session.health);
        let pace = match self.test.card.clock {
            Clock::Lockstep => Pace::Lockstep,
            Clock::Realtime => Pace::Realtime { lead_ms: self.test.lead_ms },
        };
        let play = memory.play(&pins, self.test.quantum_frames, pace, options.delivery);
        let played = bed.session.play(play)?;
        drop(stalling);
        let (frames, of_frames) = (played.frames, prepared.frames);
        let (events, of_events) = (played.events, u64::from(of_events));
        if (frames, events) != (of_frames, of_events) {
            return Err(PlaybackError::Short { frames, of_frames, events, of_events });
        }
        let pcm = memory.read_pcm(bed)?;
        self.end(Step::Streaming, streaming, Instant::now());
        // Before the pins are closed: the counters are the card's session's.
        let card = bed.card().map(|card| {
            card.status().map_or_else(
                |error| {
                    let text = format!("the card does not answer on its control socket: {error}");
                    self.observer.event(&Event::Warning { text });
                    CardReport::default()
                },
                CardReport::from,
            )
        });
        pins.close(bed)?;
        memory.free(bed)?;
        Ok(Played { guest, device: name, driver_hash, pcm, events, statistics: played.statistics, card })
    }

    /// Writes the WAV files and compares.
    fn compare(&self, pcm: &Pcm, summary: &RenderSummary) -> Result<Option<Difference>, PlaybackError> {
        let offline_wav: &Path = &self.folder.file(OFFLINE_WAV);
        pcm.write_wav(&self.folder.file("guest.wav"))?;
        if let Some(out) = &self.test.out {
            pcm.write_wav(out)?;
        }
        let offline = Pcm::read_wav(offline_wav)?;
        let difference = difference(pcm, &offline);
        if difference.is_none() {
            // guest.wav holds the same.
            std::fs::remove_file(offline_wav).map_err(FileError::own("remove", offline_wav))?;
        }
        if offline.sha256() != summary.pcm_sha256 {
            self.observer
                .event(&Event::Warning { text: "the offline render's file is not what its summary says".into() });
        }
        Ok(difference)
    }

    /// Begins a step of the running test bed, and kills the process that the test says is killed there.
    fn enter(&self, step: Step, bed: &mut TestBed<'_>) {
        self.begin(step);
        if let Some(kill) = self.test.kill.filter(|kill| kill.at == step) {
            self.observer.event(&Event::Note { text: format!("killing {:?}, as the scenario says", kill.kill) });
            bed.kill(kill.kill);
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
