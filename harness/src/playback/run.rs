//! Runs a playback test: streams a song through the driver, and compares the PCM with the offline render.

use std::time::{Duration, Instant};

use card_control::Clock;
use guest_protocol::{Pace, Request, Statistics};

use super::capture::capture;
use super::device;
use super::error::{PlaybackError, PlaybackFailure};
use super::judge::{Judge, Judgement, MIDI_TOLERANCE_MS_DEFAULT, Reference, compare_midi};
use super::live::{LiveReport, PlayedLive, play_live};
use super::options::{LEADS_BEFORE_SONG, PlaybackTest};
use super::record::{FailedVerdict, Images, PassedVerdict, Record};
use super::verdict::{CardReport, DeviceReport, DriverReport, StepTime, Verdict};
use crate::event::{Event, Observer, Step, Timeline};
use crate::host::failure::{Class, Diagnosed};
use crate::host::file_error::FileError;
use crate::host::standstill::Standstills;
use crate::machine::{MachineError, Offer, Received};
use crate::provision::Artefacts;
use crate::sound::midi::{CHANNEL_GROUP, Song, TICKS_A_SECOND};
use crate::sound::pcm::{Difference, FRAME_BYTES, Pcm, PcmFormat, difference};
use crate::sound::render::{self, RenderOptions};
use crate::sound::render_once::{self, RenderOnce, RenderedOnce};
use crate::testbed::bug_check;
use crate::testbed::run_folder::RunFolder;
use crate::testbed::session::{SessionError, StartedDevice};
use crate::testbed::stall::Stalling;
use crate::testbed::violations::FindingsReport;
use crate::testbed::{
    BUG_CHECK_FILE, HANG_FILE, MusicFormat, PinOptions, Provisioned, RATE_DEFAULT, SCREEN, SongPins, StreamMemory,
    TestBed, TestBedBuilder, TestBedError, open_song_pins,
};

/// Lines of [`HANG_FILE`] that a failure shows: the report and the innermost functions.
const HANG_LINES: usize = 40;

/// Memory of the guest beside what a song needs, in bytes: the NT host, the driver's image and pool, and room.
const BASE_MEMORY: u64 = 96 << 20;

/// Lines of each log that a failure shows.
const TAIL_LINES: usize = 12;

/// The song's events, as the offline render reads them.
const EVENTS: &str = "events.txt";

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
    let mut findings = FindingsReport::default();
    let mut run = || -> Result<Verdict, PlaybackError> {
        let timeline = Timeline::new(folder.create_file("timeline.jsonl")?, observer);
        let run = Run {
            test,
            provisioned,
            folder,
            reproduce,
            observer: &timeline,
            steps: Vec::new(),
            offline: None,
            of_bank: Vec::new(),
            findings: &mut findings,
        };
        run.run()
    };
    let again = bug_check::again(test.conditions, reproduce);
    match run() {
        Ok(verdict) => {
            let verdict = Verdict { findings: findings.clone(), ..verdict };
            let class = (!verdict.passed()).then(|| verdict.class_of_failure());
            let passed = PassedVerdict { passed: verdict.passed(), class, verdict: &verdict, reproduce };
            folder
                .write_json("verdict.json", &passed)
                .map_err(|error| failure(error.into(), &again, provisioned, folder, findings.clone()))?;
            Ok(Verdict { findings, ..verdict })
        }
        Err(error) => {
            let failed = FailedVerdict {
                passed: false,
                class: error.class(),
                error: error.to_string(),
                remedy: error.remedy(),
                conditions: test.conditions,
                findings: &findings,
                reproduce,
            };
            // The error itself goes to the caller in any case.
            let _ = folder.write_json("verdict.json", &failed);
            Err(failure(error, &again, provisioned, folder, findings))
        }
    }
}

/// Returns what judges the driver of a device: the project's card has the synthesizer that renders offline, and another device
/// may say which bytes it received.
fn judge_of_device(bed: &mut TestBed<'_>) -> Judge {
    if bed.device_source().is_card() {
        return Judge::Offline;
    }
    let offers = bed.device_control().is_some_and(|control| control.offers(Offer::Bytes));
    if offers { Judge::MidiBytes { tolerance_ms: MIDI_TOLERANCE_MS_DEFAULT } } else { Judge::Plays }
}

/// Adds the evidence to an error; `again` says how to see a bug check again.
pub(crate) fn failure(
    error: PlaybackError,
    again: &str,
    provisioned: &Provisioned,
    folder: &RunFolder,
    findings: FindingsReport,
) -> Box<PlaybackFailure> {
    let mut evidence = String::new();
    if let Some(TestBedError::Session(SessionError::BugCheck(bug_check))) = error.testbed() {
        let Artefacts { driver, nt_host, .. } = &provisioned.artefacts;
        let places = bug_check::places(&bug_check.stack, Some(driver), Some(nt_host));
        let report = bug_check::report(bug_check, &places);
        let _ = folder.write(BUG_CHECK_FILE, report.clone() + again);
        evidence += &report;
    }
    let screen = folder.file(SCREEN);
    if screen.is_file() {
        evidence += &format!("--- the screen is {}\n", screen.display());
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
    for line in findings.lines() {
        evidence += &format!("{line}\n");
    }
    Box::new(PlaybackFailure { error, evidence, findings, run_folder: folder.path().into() })
}

/// The inputs of a playback test, ready before the guest plays.
struct Prepared {
    /// The song, with times as its file has them.
    song: Song,
    judge: Judge,
    /// The PCM to compare with, of a judge that has some.
    reference: Option<Reference>,
    /// Frames a second that are wanted, if a rate is.
    sample_rate: Option<u32>,
    started: Instant,
}

/// The guest, the device and the driver's image, as the guest names them.
struct Driver {
    guest: String,
    device: String,
    driver_hash: String,
}

/// The results of a guest that has played.
struct Played {
    /// The song with the times that the pin's format carries.
    song: Song,
    driver: Driver,
    pcm: Option<Pcm>,
    received: Option<Received>,
    events: u64,
    statistics: Statistics,
    card: Option<CardReport>,
    device_report: Option<DeviceReport>,
    live: Option<LiveReport>,
}

/// An offline render that was started for a format and a rate.
struct Offline {
    rendering: RenderOnce,
    music: MusicFormat,
    sample_rate: u32,
}

struct Run<'a> {
    test: &'a PlaybackTest,
    provisioned: &'a Provisioned,
    folder: &'a RunFolder,
    reproduce: &'a str,
    observer: &'a dyn Observer,
    steps: Vec<StepTime>,
    /// The offline render, of a judge that compares with it.
    offline: Option<Offline>,
    /// What was left out of the bank.
    of_bank: Vec<String>,
    /// What the guest has found without stopping.
    findings: &'a mut FindingsReport,
}

impl Run<'_> {
    fn run(mut self) -> Result<Verdict, PlaybackError> {
        let reference = match &self.test.judge {
            Some(Judge::Reference { wav, .. }) => Some(Reference::read(wav)?),
            _ => None,
        };
        let sample_rate = self.test.sample_rate.or(reference.as_ref().map(|reference| reference.sample_rate));
        let song = match self.test.card.clock {
            Clock::Lockstep => self.test.song.clone(),
            Clock::Realtime => self.test.song.delayed(LEADS_BEFORE_SONG * self.test.lead_ms),
        };
        // Most drivers have a DirectMusic pin, whose records are the longer ones.
        let music = self.test.stream.music.unwrap_or(MusicFormat::DirectMusic);
        let frames = song.frames(sample_rate.unwrap_or(RATE_DEFAULT), self.test.tail_ms);
        let records = MusicFormat::DirectMusic.records(&song.events).len() as u64;
        let memory = (BASE_MEMORY + records + frames * FRAME_BYTES).next_multiple_of(1 << 20);
        let builder = TestBedBuilder::new()
            .provisioned(self.provisioned.clone())
            .run_folder(self.folder)
            .card(&self.test.card)
            .memory(memory)
            .guest_log(&self.test.guest_log)
            .conditions(self.test.conditions)
            .violation_policy(&self.test.policy)
            .timeout(self.test.timeout)
            .observer(self.observer);

        let Artefacts { card, nt_host, driver, .. } = &self.provisioned.artefacts;
        let images = Images::hash(vec![card.clone(), nt_host.clone(), driver.clone()])?;
        let begun = self.begin(Step::Card);
        let card = builder.start_card()?;
        self.end(Step::Card, begun, Instant::now());
        let started = self.begin(Step::Firmware);
        let mut bed = card.start_machine()?;
        let judge = self.test.judge.clone().unwrap_or_else(|| judge_of_device(&mut bed));
        self.record(&bed, &judge, images)?;
        if judge == Judge::Offline && !self.test.capture {
            // It uses the second processor while the guest boots; the driver's pin most likely has this rate.
            self.render_offline(&song, music, sample_rate.unwrap_or(RATE_DEFAULT))?;
        }
        let prepared = Prepared { song, judge, reference, sample_rate, started };
        let verdict = self.judge_test_bed(&mut bed, &prepared);
        *self.findings = bed.findings();
        let standstills = bed.standstills();
        match verdict {
            Ok(verdict) => Ok(Verdict { standstills, ..verdict }),
            Err(error) => Err(error.after(standstills)),
        }
    }

    /// Starts the offline render of a song in a format at a rate, if it is not under way.
    fn render_offline(&mut self, song: &Song, music: MusicFormat, sample_rate: u32) -> Result<(), PlaybackError> {
        let is_this = |offline: &Offline| offline.sample_rate == sample_rate && offline.music == music;
        if self.offline.as_ref().is_some_and(is_this) {
            return Ok(());
        }
        // Another one ends first: it reads and writes the same files.
        self.offline = None;
        render::write_events(&music.song(song).events, &self.folder.file(EVENTS))?;
        let rendering = render_once::start(RenderOptions {
            card: self.provisioned.artefacts.card.clone(),
            events: self.folder.file(EVENTS),
            out: self.folder.file(OFFLINE_WAV),
            sample_rate,
            frames: song.frames(sample_rate, self.test.tail_ms),
            channel_groups: song.channel_groups(),
            bank: self.test.card.bank.clone(),
        })?;
        self.offline = Some(Offline { rendering, music, sample_rate });
        Ok(())
    }

    /// Plays on a test bed, judges, and shuts the test bed down.
    fn judge_test_bed(&mut self, bed: &mut TestBed<'_>, prepared: &Prepared) -> Result<Verdict, PlaybackError> {
        let qemu = bed.session.health.machine.version().to_owned();
        let played = self.play(bed, prepared);
        let Played { song, driver, pcm, received, events, statistics, card, device_report, live } = match played {
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
        if let Some(pcm) = &pcm {
            pcm.write_wav(&self.folder.file("guest.wav"))?;
            if let Some(out) = &self.test.out {
                pcm.write_wav(out)?;
            }
        }
        let Driver { guest, device, driver_hash } = driver;
        let pcm_sha256 = pcm.as_ref().map(Pcm::sha256);
        let judgement = self.judge(prepared, &song, pcm.as_ref().zip(pcm_sha256.as_deref()), received.as_ref())?;
        let ended = Instant::now();
        self.end(Step::Judging, judging, ended);
        let verdict_after = ended - prepared.started;

        self.enter(Step::ShutDown, bed);
        let begun = Instant::now();
        let rules = bed.shut_down().map_err(|error| bed.cause("shut down", error))?;
        self.end(Step::ShutDown, begun, Instant::now());

        Ok(Verdict {
            judgement,
            audible: pcm.as_ref().map(|pcm| pcm.peak() > 0),
            song: song.name,
            events,
            frames: pcm.as_ref().map_or(0, Pcm::frames),
            format: pcm.as_ref().map(|pcm| pcm.format),
            peak: pcm.as_ref().map_or(0, Pcm::peak),
            pcm_sha256,
            counters: statistics.into(),
            card,
            device_report,
            live,
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
            warnings: [prepared.song.notices.clone(), std::mem::take(&mut self.of_bank)].concat(),
            findings: FindingsReport::default(),
            rules,
        })
    }

    /// Records what runs, before it has done anything.
    fn record(&self, bed: &TestBed<'_>, judge: &Judge, images: Images) -> Result<(), FileError> {
        let processes = &bed.session.health;
        let record = Record {
            harness: concat!("dmus ", env!("CARGO_PKG_VERSION")),
            time: jiff::Timestamp::now().to_string(),
            arguments: crate::host::lossy::arguments(),
            reproduce: self.reproduce,
            song: &self.test.song.name,
            events: self.test.song.events.len(),
            sample_rate: self.test.sample_rate,
            judge: if self.test.capture { "capture" } else { judge.name() },
            conditions: self.test.conditions,
            policy: &self.test.policy,
            restarts: self.test.restarts,
            card: processes.device.command_line(),
            qemu: &processes.machine.command_line,
            qemu_version: processes.machine.version(),
            accelerator: &self.provisioned.accelerator,
            images: images.wait()?,
        };
        self.folder.write_json("command.json", &record)
    }

    fn play(&mut self, bed: &mut TestBed<'_>, prepared: &Prepared) -> Result<Played, PlaybackError> {
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
        let driver = Driver { guest, device: name, driver_hash };
        if self.test.capture {
            return self.capture_song(bed, prepared, &device, driver, ready);
        }
        self.play_song(bed, prepared, &device, driver, ready)
    }

    /// Brings the song in at the device, and takes what comes out of the capture pin.
    fn capture_song(
        &mut self,
        bed: &mut TestBed<'_>,
        prepared: &Prepared,
        device: &StartedDevice,
        driver: Driver,
        ready: Instant,
    ) -> Result<Played, PlaybackError> {
        let streaming = Instant::now();
        self.end(Step::DriverStart, ready, streaming);
        self.enter(Step::Streaming, bed);
        let before = bed.session.statistics()?;
        let (song, received, events, live) = match &self.test.live {
            Some(live) => {
                let PlayedLive { events, received, captured, report } = play_live(bed, device, live, self.observer)?;
                let name = report.source.display().to_string();
                (Song { name, events, ..prepared.song.clone() }, received, captured, Some(report))
            }
            None => {
                let (received, events) = capture(bed, device, &prepared.song)?;
                (prepared.song.clone(), received, events, None)
            }
        };
        let statistics = bed.session.statistics()?.since(&before);
        self.end(Step::Streaming, streaming, Instant::now());
        let (card, device_report) = (self.card_report(bed), device_report(bed)?);
        let received = Some(received);
        Ok(Played { song, driver, pcm: None, received, events, statistics, card, device_report, live })
    }

    /// Plays the song through the driver's pins.
    fn play_song(
        &mut self,
        bed: &mut TestBed<'_>,
        prepared: &Prepared,
        device: &StartedDevice,
        driver: Driver,
        ready: Instant,
    ) -> Result<Played, PlaybackError> {
        let options = self.test.stream;
        if options.piece_bytes != 0 {
            let request = Request::Allocators { piece_bytes: options.piece_bytes };
            bed.session.done("say how messages are cut", request)?;
        }
        let channel_groups = options.channel_group + self.test.song.channel_groups() - CHANNEL_GROUP;
        let pins = open_song_pins(
            &mut bed.session,
            device,
            PinOptions {
                music: options.music,
                channel_groups,
                sample_rate: prepared.sample_rate,
                without_wave: !prepared.judge.needs_pcm(),
            },
        )?;
        let frames = self.accept_format(prepared, &pins)?;
        // A song's events are bounded by its file's size, which is below 4 GiB.
        let of_events = prepared.song.events.len() as u32;
        let song = pins.music.song(&prepared.song);
        let records = match pins.music {
            MusicFormat::DirectMusic => pins.music.records(&song.on_group(options.channel_group).events),
            MusicFormat::Midi => pins.music.records(&song.events),
        };
        let memory = StreamMemory::prepare(bed, &records, of_events, frames)?;
        let streaming = Instant::now();
        self.end(Step::DriverStart, ready, streaming);

        self.enter(Step::Streaming, bed);
        let stalling = Stalling::begin(&self.test.stalls, &bed.session.health);
        let pace = match self.test.card.clock {
            Clock::Lockstep => Pace::Lockstep,
            Clock::Realtime => Pace::Realtime { lead_ms: self.test.lead_ms },
        };
        let played = match pins.sounding() {
            Some(pins) => bed.session.play(memory.play(&pins, self.test.quantum_frames, pace, options.delivery))?,
            None => {
                let tail = u64::from(self.test.tail_ms) * TICKS_A_SECOND / 1000;
                let duration = song.end.saturating_add(tail);
                bed.session.play_midi(memory.play_midi(pins.render, duration, pace, options.delivery))?
            }
        };
        drop(stalling);
        let of_frames = frames.map_or(0, |(frames, _)| frames);
        let (events, of_events) = (played.events, u64::from(of_events));
        if (played.frames, events) != (of_frames, of_events) {
            return Err(PlaybackError::Short { frames: played.frames, of_frames, events, of_events });
        }
        let pcm = match frames {
            Some((_, format)) => Some(Pcm::from_bytes(&memory.read_pcm(bed)?, format)),
            None => None,
        };
        let received = match &prepared.judge {
            Judge::MidiBytes { .. } => {
                let mut received = Received::default();
                device::receive(bed, &song.events, &mut received)?;
                Some(received)
            }
            _ => None,
        };
        self.end(Step::Streaming, streaming, Instant::now());
        // Before the pins are closed: the counters are the card's session's.
        let card = self.card_report(bed);
        pins.close(bed)?;
        memory.free(bed)?;
        // What the driver does wrong when its pins close counts too.
        let device_report = device_report(bed)?;
        Ok(Played {
            song,
            driver,
            pcm,
            received,
            events,
            statistics: played.statistics,
            card,
            device_report,
            live: None,
        })
    }

    /// Returns what the card counted and found, if the device is the card.
    fn card_report(&self, bed: &TestBed<'_>) -> Option<CardReport> {
        let status = bed.card()?.status();
        Some(status.map_or_else(
            |error| {
                let text = format!("the card does not answer on its control socket: {error}");
                self.observer.event(&Event::Warning { text });
                CardReport::default()
            },
            CardReport::from,
        ))
    }

    /// Checks that the judge can judge what the pins give. Returns the frames to render and their format, if there is PCM.
    fn accept_format(
        &mut self,
        prepared: &Prepared,
        pins: &SongPins,
    ) -> Result<Option<(u64, PcmFormat)>, PlaybackError> {
        let Some((_, format)) = pins.wave else { return Ok(None) };
        if let Some(reference) = &prepared.reference {
            reference.expect(format)?;
        }
        if prepared.judge == Judge::Offline {
            if format != PcmFormat::of_card(format.sample_rate) {
                return Err(PlaybackError::OfflineFormat(format));
            }
            self.render_offline(&prepared.song, pins.music, format.sample_rate)?;
        }
        Ok(Some((prepared.song.frames(format.sample_rate, self.test.tail_ms), format)))
    }

    /// Judges what was played; `pcm` comes with its hash.
    fn judge(
        &mut self,
        prepared: &Prepared,
        song: &Song,
        pcm: Option<(&Pcm, &str)>,
        received: Option<&Received>,
    ) -> Result<Judgement, PlaybackError> {
        if let Some(received) = received.filter(|_| self.test.capture) {
            return Ok(Judgement::Captured(compare_midi(&song.events, received, false, 0)));
        }
        Ok(match (&prepared.judge, pcm, received) {
            (Judge::Offline, Some((pcm, sha256)), _) => {
                let Some(Offline { rendering, .. }) = self.offline.take() else { return Ok(Judgement::Plays) };
                let mut offline = rendering.finish()?;
                let warnings = offline.rendered.warnings.clone();
                for text in &warnings {
                    self.observer.event(&Event::Warning { text: text.clone() });
                }
                self.of_bank = warnings;
                let difference = self.compare(pcm, sha256, &mut offline)?;
                Judgement::Offline { difference, offline_sha256: offline.rendered.summary.pcm_sha256 }
            }
            (Judge::Reference { wav, tolerance }, Some((pcm, _)), _) => {
                let Some(reference) = &prepared.reference else { return Ok(Judgement::Plays) };
                let comparison = reference.compare(pcm, *tolerance)?;
                Judgement::Reference { reference: wav.clone(), tolerance: *tolerance, comparison }
            }
            (Judge::MidiBytes { tolerance_ms }, _, Some(received)) => {
                // In lockstep events are handed over as fast as the driver takes them.
                let timed = self.test.card.clock == Clock::Realtime;
                Judgement::MidiBytes(compare_midi(&song.events, received, timed, *tolerance_ms))
            }
            _ => Judgement::Plays,
        })
    }

    /// Compares with the offline render by the hash of its samples, and sample by sample only where that differs: where it
    /// does not, guest.wav holds the same, and the render's file is removed unread.
    fn compare(
        &self,
        pcm: &Pcm,
        sha256: &str,
        rendered: &mut RenderedOnce,
    ) -> Result<Option<Difference>, PlaybackError> {
        if sha256 == rendered.rendered.summary.pcm_sha256 {
            rendered.remove_sound()?;
            return Ok(None);
        }
        rendered.expect_sound()?;
        let offline = Pcm::read_wav(&self.folder.file(OFFLINE_WAV))?;
        if offline.sha256() != rendered.rendered.summary.pcm_sha256 {
            self.observer
                .event(&Event::Warning { text: "the offline render's file is not what its summary says".into() });
        }
        Ok(difference(pcm, &offline))
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

/// Returns what a device of the user's counted and found, if it tells.
fn device_report(bed: &mut TestBed<'_>) -> Result<Option<DeviceReport>, PlaybackError> {
    Ok(bed.device_control().map(DeviceReport::of).transpose()?.flatten())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
