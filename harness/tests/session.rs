//! The session with a guest, tested against a fake guest.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use dmus::event::Silent;
use dmus::host::ended::Ended;
use dmus::host::failure::{Class, Diagnosed};
use dmus::machine::{Death, GuestMemory, Health, NoProcesses, Part};
use dmus::sound::midi::write_records;
use dmus::sound::pcm::FRAME_BYTES;
use dmus::testbed::fake::{FakeGuest, Fault, directmusic_pins};
use dmus::testbed::session::{GUEST_BYTES_MAX, Session, SessionError};
use dmus::testbed::{MusicFormat, PinOptions, TestBedError};
use dmus::testbed::{open_pins, open_song_pins};
use guest_protocol::{BugCheck, Bulk, DataRange, Pace, PinFactory, Play, Request};

const LIMIT: Duration = Duration::from_secs(60);

fn guest(
    fault: Option<Fault>,
    filters: Vec<(String, Vec<PinFactory>)>,
) -> (Session<'static, NoProcesses>, GuestMemory) {
    guest_with(NoProcesses, fault, filters)
}

fn guest_with<H: Health>(
    health: H,
    fault: Option<Fault>,
    filters: Vec<(String, Vec<PinFactory>)>,
) -> (Session<'static, H>, GuestMemory) {
    let memory = GuestMemory::new(64 << 20).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let fake = FakeGuest { memory: memory.share().unwrap(), driver_sha256: [7; 32], filters, fault };
    // The thread ends when the session is dropped.
    drop(fake.serve(theirs));
    (Session::new(ours, health, LIMIT, None, &Silent).unwrap(), memory)
}

fn filters() -> Vec<(String, Vec<PinFactory>)> {
    vec![("Topology".into(), Vec::new()), ("Music".into(), directmusic_pins())]
}

/// Drives the fake guest as far as a stream.
fn play(session: &mut Session<'static, NoProcesses>, memory: &GuestMemory) -> Result<Vec<u8>, SessionError> {
    play_within(LIMIT, session, memory)
}

/// Does so with a limit for the last step.
fn play_within<H: Health>(
    limit: Duration,
    session: &mut Session<'static, H>,
    memory: &GuestMemory,
) -> Result<Vec<u8>, SessionError> {
    session.ready()?;
    session.hello()?;
    let device = session.start_device()?;
    let pins = open_pins(session, &device, 48_000).expect("the fake has the pins");
    let song = dmus::sound::songs::ALL[0].song().unwrap();
    let records = write_records(&song.events);
    let frames = song.frames(48_000, 0);
    let events = session.allocate(records.len() as u64)?;
    let pcm = session.allocate(frames * FRAME_BYTES)?;
    memory.write(events, &records).unwrap();
    session.set_limit(limit);
    let played = session.play(Play {
        render: pins.render,
        wave: pins.wave,
        events: Bulk { address: events.address, length: records.len() as u64 },
        event_count: song.events.len() as u32,
        pcm,
        frames,
        quantum_frames: 480,
        pace: Pace::Lockstep,
        delivery: guest_protocol::Delivery::InOrder,
    })?;
    assert_eq!(played.events, song.events.len() as u64);
    Ok(memory.read(pcm).unwrap())
}

#[test]
fn streams_records_in_and_pcm_out_through_guest_memory() {
    let (mut session, memory) = guest(None, filters());
    let pcm = play(&mut session, &memory).unwrap();
    // The fake writes an event's first and last byte at its frame; of several at one frame the last stays.
    for event in dmus::sound::songs::ALL[0].song().unwrap().events.windows(2) {
        let frame = |time: u64| time * 48_000 / 10_000_000;
        if frame(event[0].time) != frame(event[1].time) {
            let at = (frame(event[0].time) * FRAME_BYTES) as usize;
            assert_eq!(pcm[at..at + 2], [event[0].bytes[0], *event[0].bytes.last().unwrap()]);
        }
    }
    session.unload_driver().unwrap();
    session.done("shut down", Request::Shutdown).unwrap();
}

#[test]
fn finds_pins_by_their_data_ranges() {
    let mut swapped = directmusic_pins();
    swapped.reverse();
    let (mut session, _memory) = guest(None, vec![("Any".into(), swapped)]);
    session.ready().unwrap();
    let device = session.start_device().unwrap();
    let pins = open_pins(&mut session, &device, 44_100).unwrap();
    // The fake's handles name the pin factory: 100 times the filter plus the pin.
    assert_eq!((pins.render.0 % 100, pins.wave.0 % 100), (0, 1));
}

#[test]
fn lists_the_pins_of_a_driver_that_lacks_the_needed_ones() {
    let (mut session, _memory) = guest(None, vec![("Any".into(), directmusic_pins())]);
    session.ready().unwrap();
    let device = session.start_device().unwrap();
    let error = open_pins(&mut session, &device, 8_000).unwrap_err();
    assert_eq!(error.class(), Class::TestFailed);
    assert!(error.to_string().contains("Any, pin 1: out"), "{error}");
}

fn midi_pins() -> Vec<PinFactory> {
    let pin = |flow_in| PinFactory {
        flow_in,
        communication: 1,
        instances: 1,
        data_ranges: vec![DataRange::Midi],
        not_streamed: None,
    };
    vec![pin(false), pin(true)]
}

#[test]
fn plays_through_a_midi_pin_where_no_filter_has_better_ones() {
    let wanted = PinOptions { without_wave: true, ..PinOptions::default() };
    let open = |filters: Vec<(String, Vec<PinFactory>)>, options| {
        let (mut session, _memory) = guest(None, filters);
        session.ready().unwrap();
        let device = session.start_device().unwrap();
        open_song_pins(&mut session, &device, options)
    };
    let pins = open(vec![("Midi".into(), midi_pins())], wanted).unwrap();
    assert_eq!((pins.music, pins.render.0 % 100, pins.wave.is_none()), (MusicFormat::Midi, 1, true));
    // PCM is better than none, and DirectMusic than MIDI.
    let mut sounding = midi_pins();
    sounding.push(directmusic_pins().swap_remove(1));
    let filters = vec![("Midi".into(), midi_pins()), ("Sound".into(), sounding.clone())];
    let pins = open(filters, wanted).unwrap();
    assert_eq!((pins.music, pins.wave.is_some()), (MusicFormat::Midi, true));
    let filters = vec![("Sound".into(), sounding), ("Music".into(), directmusic_pins())];
    let pins = open(filters, wanted).unwrap();
    assert_eq!((pins.music, pins.wave.is_some()), (MusicFormat::DirectMusic, true));
    // A judge that needs PCM, and a format that no pin carries.
    let error = open(vec![("Midi".into(), midi_pins())], PinOptions::default()).unwrap_err();
    assert!(error.remedy().is_some_and(|remedy| remedy.contains("--judge midi-bytes")), "{error}");
    let only = PinOptions { music: Some(MusicFormat::DirectMusic), ..wanted };
    assert!(matches!(open(vec![("Midi".into(), midi_pins())], only), Err(TestBedError::NoPins { .. })));
}

#[test]
fn refuses_more_channel_groups_than_the_synthesizer_says_it_has() {
    let (mut session, _memory) = guest(None, filters());
    session.ready().unwrap();
    let device = session.start_device().unwrap();
    // The fake's filter has no synthesizer node, and so one group.
    let two = PinOptions { channel_groups: 2, ..PinOptions::default() };
    let error = open_song_pins(&mut session, &device, two).unwrap_err();
    assert_eq!(error.class(), Class::BadInput);
    assert!(error.to_string().contains("2 channel groups are needed"), "{error}");
}

#[test]
fn fails_a_driver_that_opens_a_wave_pin_as_music() {
    let (mut session, _memory) = guest(Some(Fault::OpensAnything), filters());
    session.ready().unwrap();
    let device = session.start_device().unwrap();
    let error = open_pins(&mut session, &device, 48_000).unwrap_err();
    assert_eq!(error.class(), Class::TestFailed);
    assert!(error.to_string().contains("opened pin 1 as DirectMusic"), "{error}");
}

#[test]
fn passes_a_bug_check_on_unchanged() {
    let bug_check = BugCheck {
        code: 0xd1,
        name: "DRIVER_IRQL_NOT_LESS_OR_EQUAL".into(),
        parameters: [1, 2, 3, 4],
        rule: None,
        waited_ms: 0,
        message: "m".into(),
        function: "f".into(),
        irql: 5,
        stack: Vec::new(),
    };
    let (mut session, memory) = guest(Some(Fault::BugCheckAtPlay(Box::new(bug_check.clone()))), filters());
    let error = play(&mut session, &memory).unwrap_err();
    assert_eq!(error.class(), Class::GuestCrashed);
    let SessionError::BugCheck(found) = error else { panic!("{error}") };
    assert_eq!(*found, bug_check);
}

#[test]
fn times_out_on_a_guest_that_hangs() {
    let (mut session, memory) = guest(Some(Fault::HangAtPlay), filters());
    let error = play_within(Duration::from_millis(300), &mut session, &memory).unwrap_err();
    assert_eq!(error.class(), Class::Timeout);
    assert!(error.to_string().contains("stream the song"), "{error}");
}

/// A machine that its host stalls for a second.
struct Stalled(std::time::Instant);

impl Stalled {
    const FOR: Duration = Duration::from_secs(1);
}

impl Health for Stalled {
    fn death(&mut self) -> Option<Death> {
        None
    }

    fn stood_still(&self) -> Duration {
        self.0.elapsed().min(Self::FOR)
    }
}

#[test]
fn does_not_count_standstills_of_the_host_as_time_of_a_step() {
    let begun = std::time::Instant::now();
    let (mut session, memory) = guest_with(Stalled(begun), Some(Fault::HangAtPlay), filters());
    let error = play_within(Duration::from_millis(300), &mut session, &memory).unwrap_err();
    assert_eq!(error.class(), Class::Timeout);
    assert!(begun.elapsed() >= Stalled::FOR, "it was given up after {:?}", begun.elapsed());
}

#[test]
fn does_not_wait_on_a_line_that_has_ended() {
    let begun = std::time::Instant::now();
    let (mut session, memory) = guest(Some(Fault::EndAtPlay), filters());
    assert!(play(&mut session, &memory).is_err());
    assert!(begun.elapsed() < LIMIT, "it waited for the step's whole time");
}

#[test]
fn refuses_another_version_of_the_protocol_and_names_both() {
    let (mut session, _memory) = guest(Some(Fault::OtherVersion), filters());
    session.ready().unwrap();
    let error = session.hello().unwrap_err().to_string();
    let (ours, theirs) = (guest_protocol::VERSION, guest_protocol::VERSION + 1);
    assert!(error.contains(&format!("version {theirs}")) && error.contains(&format!("version {ours}")), "{error}");
}

#[test]
fn refuses_a_reply_to_no_request() {
    let (mut session, _memory) = guest(Some(Fault::WrongAnswer), filters());
    session.ready().unwrap();
    let error = session.hello().unwrap_err();
    assert_eq!(error.class(), Class::HarnessBug);
}

/// A machine with a process that has died.
struct DeadProcess(Death);

impl Health for DeadProcess {
    fn death(&mut self) -> Option<Death> {
        Some(self.0.clone())
    }
}

#[test]
fn blames_the_process_that_ended_first() {
    let cases = [
        (Death::of(Part::Card, Ended::Signal(9)), Class::CardDied),
        (Death::of(Part::Qemu, Ended::Signal(6)), Class::QemuFailed),
        (Death::of(Part::Qemu, Ended::Exit(1)), Class::QemuFailed),
        // A signal stopped it.
        (Death { stopped_by: Some("SIGTERM".into()), ..Death::of(Part::Qemu, Ended::Exit(0)) }, Class::QemuFailed),
        // A reset under -no-reboot, the guest's own exits, and one that no guest of the project has.
        (Death::of(Part::Qemu, Ended::Exit(0)), Class::GuestCrashed),
        (Death::of(Part::Qemu, Ended::Exit(35)), Class::GuestCrashed),
        (Death::of(Part::Qemu, Ended::Exit(37)), Class::GuestCrashed),
        (Death::of(Part::Qemu, Ended::Exit(0x55)), Class::GuestCrashed),
    ];
    for (death, class) in cases {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut session = Session::new(ours, DeadProcess(death.clone()), LIMIT, None, &Silent).unwrap();
        let error = session.ready().unwrap_err();
        assert_eq!(error.class(), class, "{death:?}: {error}");
    }
}

#[test]
fn reads_the_last_report_although_the_line_has_ended() {
    let bug_check = BugCheck {
        code: 0x7e,
        name: "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED".into(),
        parameters: [0; 4],
        rule: None,
        waited_ms: 0,
        message: String::new(),
        function: String::new(),
        irql: 0,
        stack: Vec::new(),
    };
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let event = guest_protocol::ToHost::Event(guest_protocol::Event::BugCheck(bug_check));
    std::io::Write::write_all(&mut theirs, &guest_protocol::encode(&event).unwrap()).unwrap();
    drop(theirs);
    let mut session =
        Session::new(ours, DeadProcess(Death::of(Part::Qemu, Ended::Exit(35))), LIMIT, None, &Silent).unwrap();
    let SessionError::BugCheck(found) = session.ready().unwrap_err() else { panic!("the report was lost") };
    assert_eq!(found.code, 0x7e);
}

#[test]
fn takes_a_reply_that_is_read_after_qemu_has_ended() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let line = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        let event = guest_protocol::ToHost::Event(guest_protocol::Event::Ready);
        std::io::Write::write_all(&mut theirs, &guest_protocol::encode(&event).unwrap()).unwrap();
        // The line ends.
    });
    let gone = DeadProcess(Death::of(Part::Qemu, Ended::Exit(33)));
    let mut session = Session::new(ours, gone, LIMIT, None, &Silent).unwrap();
    session.ready().unwrap();
    line.join().unwrap();
    assert_eq!(session.hello().unwrap_err().class(), Class::GuestCrashed);
}

#[test]
fn collects_what_the_guest_found_without_stopping() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let finding = guest_protocol::Finding {
        id: 0,
        kind: guest_protocol::FindingKind::Waived,
        rule: Some(33),
        code: 0xc4,
        message: "it succeeds".into(),
        function: "IMiniportDMus::NewStream".into(),
        irql: 0,
        stack: Vec::new(),
    };
    let events = [
        guest_protocol::Event::Finding(finding),
        guest_protocol::Event::FindingCount { id: 0, count: 41 },
        guest_protocol::Event::FindingCount { id: 9, count: 1 },
        guest_protocol::Event::Ready,
    ];
    for event in events {
        let message = guest_protocol::encode(&guest_protocol::ToHost::Event(event)).unwrap();
        std::io::Write::write_all(&mut theirs, &message).unwrap();
    }
    let mut session = Session::new(ours, NoProcesses, LIMIT, None, &Silent).unwrap();
    session.ready().unwrap();
    let found: Vec<_> = session.collected.iter().map(|counted| (counted.finding.rule, counted.count)).collect();
    assert_eq!(found, [(Some(33), 41)]);
}

#[test]
fn blames_the_card_for_what_a_guest_reports_after_its_death() {
    let bug_check = BugCheck {
        code: 0xd1,
        name: "DRIVER_IRQL_NOT_LESS_OR_EQUAL".into(),
        parameters: [0; 4],
        rule: None,
        message: String::new(),
        function: String::new(),
        irql: 2,
        stack: Vec::new(),
        waited_ms: 0,
    };
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let event = guest_protocol::ToHost::Event(guest_protocol::Event::BugCheck(bug_check));
    std::io::Write::write_all(&mut theirs, &guest_protocol::encode(&event).unwrap()).unwrap();
    let dead = DeadProcess(Death::of(Part::Card, Ended::Signal(9)));
    let mut session = Session::new(ours, dead, LIMIT, None, &Silent).unwrap();
    assert_eq!(session.ready().unwrap_err().class(), Class::CardDied);
}

/// A card that dies while the guest talks on.
struct DiesLater(std::time::Instant);

impl Health for DiesLater {
    fn death(&mut self) -> Option<Death> {
        let later = self.0.elapsed() > Duration::from_millis(300);
        later.then(|| Death::of(Part::Card, Ended::Signal(9)))
    }
}

/// How long the guest talks.
const TALKS: Duration = Duration::from_secs(5);

#[test]
fn notices_a_death_although_the_guest_is_never_silent() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let talker = std::thread::spawn(move || {
        let event = guest_protocol::ToHost::Event(guest_protocol::Event::Entered);
        let message = guest_protocol::encode(&event).unwrap();
        let begun = std::time::Instant::now();
        while begun.elapsed() < TALKS && std::io::Write::write_all(&mut theirs, &message).is_ok() {
            // Without a sleep, which a busy machine stretches to a silence.
            let said = std::time::Instant::now();
            while said.elapsed() < Duration::from_micros(200) {
                std::hint::spin_loop();
            }
        }
    });
    let begun = std::time::Instant::now();
    let mut session = Session::new(ours, DiesLater(begun), LIMIT, None, &Silent).unwrap();
    assert_eq!(session.ready().unwrap_err().class(), Class::CardDied);
    assert!(begun.elapsed() < TALKS, "it was noticed after {:?}", begun.elapsed());
    drop(session);
    talker.join().unwrap();
}

/// Sends the same message all the time, as fast as the line takes it, until the line is closed.
fn endless(mut line: UnixStream, message: guest_protocol::ToHost) -> std::thread::JoinHandle<()> {
    let message = guest_protocol::encode(&message).unwrap();
    std::thread::spawn(move || while std::io::Write::write_all(&mut line, &message).is_ok() {})
}

#[test]
fn bounds_the_time_and_the_log_of_a_guest_that_never_stops_talking() {
    let log = guest_protocol::Event::Log {
        level: guest_protocol::Level::Info,
        target: "driver.sys".into(),
        text: "x".repeat(400),
    };
    for event in [log, guest_protocol::Event::Entered, guest_protocol::Event::Progress { frames: 0, events: 0 }] {
        let folder = tempfile::tempdir().unwrap();
        let console = folder.path().join("console");
        let (ours, theirs) = UnixStream::pair().unwrap();
        let talker = endless(theirs, guest_protocol::ToHost::Event(event));
        let file = std::fs::File::create(&console).unwrap();
        let mut session = Session::new(ours, NoProcesses, Duration::from_secs(1), Some(file), &Silent).unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(session.ready().unwrap_err().class(), Class::Timeout);
        assert_eq!(session.hello().unwrap_err().class(), Class::Timeout);
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        drop(session);
        talker.join().unwrap();
        let kept = std::fs::metadata(&console).unwrap().len();
        // Each line has its level, target and end beside what is counted.
        assert!(kept < 2 * GUEST_BYTES_MAX, "{kept} bytes");
    }
}

/// A machine whose processes logged that they had reached a limit.
struct Limited;

impl Health for Limited {
    fn death(&mut self) -> Option<Death> {
        None
    }

    fn limit(&mut self) -> Option<dmus::host::limits::LimitError> {
        dmus::host::limits::of_text("Error enabling host notifiers: 24")
    }
}

#[test]
fn blames_the_host_for_a_refusal_after_a_process_reached_a_limit() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut session = Session::new(ours, Limited, LIMIT, None, &Silent).unwrap();
    let failure = guest_protocol::Failure {
        kind: guest_protocol::FailureKind::Status(0xc000_00b5),
        message: "IRP_MN_START_DEVICE returned STATUS_IO_TIMEOUT".into(),
    };
    let refused = SessionError::Refused { step: "start the device".into(), failure };
    let error = session.cause("start the device", TestBedError::from(refused));
    assert_eq!(error.class(), Class::Host);
    assert!(error.to_string().contains("RLIMIT_NOFILE") && error.to_string().contains("STATUS_IO_TIMEOUT"), "{error}");
    assert!(error.remedy().is_some_and(|remedy| remedy.starts_with("ulimit -n ")));
}
