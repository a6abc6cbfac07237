//! The agent's program under Wine: the line, the service, the sequences of kernel streaming, the system's functions.
//!
//! `DMUS_WINE` names Wine's loader, `DMUS_AGENT` the program, `DMUS_ZLIB` the `zlib1.dll` that Debian's Wine loads; without the first
//! two the tests say what is missing and pass: the harness's test command sets them.

mod guest;
mod harness;
mod song;

use std::time::Duration;

use guest_protocol::{
    Caller, CapturedEvent, DataRange, Delivery, Event, FailureKind, Handle, KsState, Pace, PlayMidi, PropertyRequest,
    PropertyVerb, Reply, Request, StreamFormat, VERSION,
};

use guest::Guest;
use harness::Harness;

/// Records of a DirectMusic buffer: time in 100 ns units and message.
fn records(events: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (time, data) in events {
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(time.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(*data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open_filter(harness: &mut Harness) -> Handle {
    let Reply::FilterOpened { handle, .. } = harness.ask(Request::OpenFilter { subdevice: "DirectMusic".into() })
    else {
        panic!("the filter does not open")
    };
    handle
}

fn create(harness: &mut Harness, filter: Handle, pin: u32, format: StreamFormat) -> Handle {
    let Reply::PinCreated { handle, .. } = harness.ask(Request::CreatePin { filter, pin, format }) else {
        panic!("pin {pin} does not open")
    };
    handle
}

#[test]
fn a_song_reaches_the_driver_in_the_calls_of_a_music_client() {
    let Some(mut guest) = Guest::new("COM1") else { return };
    let mut agent = guest.serve();
    let mut harness = Harness::connect(&guest);
    let Reply::Hello { version: VERSION, guest: name, .. } = harness.ask(Request::Hello { version: VERSION }) else {
        panic!("another version")
    };
    assert!(name.starts_with("dmus-agent") && name.ends_with("64 bits"), "{name}");
    let Reply::DeviceStarted { device, subdevices, interfaces, .. } = harness.ask(Request::StartDevice) else {
        panic!("the device does not start")
    };
    assert!(device.starts_with("PCI\\VEN_1AF4&DEV_1067"), "{device}");
    assert_eq!((subdevices, interfaces.len()), (vec!["directmusic".to_owned()], 2));

    let Reply::FilterOpened { handle: filter, pins, nodes, .. } =
        harness.ask(Request::OpenFilter { subdevice: "DirectMusic".into() })
    else {
        panic!("the filter does not open")
    };
    assert_eq!(pins.iter().map(|pin| pin.flow_in).collect::<Vec<_>>(), [true, true, false, false, true]);
    assert_eq!(pins[0].data_ranges, [DataRange::Midi]);
    assert_eq!(pins[1].data_ranges, [DataRange::DirectMusic]);
    assert!(matches!(pins[2].data_ranges[..], [DataRange::Pcm { sample_rate_max: 96_000, channels: 2, bits: 16, .. }]));
    assert_eq!(pins[3].data_ranges, [DataRange::Midi, DataRange::DirectMusic]);
    assert_eq!(
        pins.iter().map(|pin| pin.not_streamed.is_some()).collect::<Vec<_>>(),
        [false, false, true, false, true]
    );
    assert_eq!(nodes.len(), 1);

    let pin = create(&mut harness, filter, 1, StreamFormat::DirectMusic);
    let song = [(0, &[0xc0, 5][..]), (50_000, &[0x90, 60, 100]), (50_000, &[0x90, 64, 100]), (900_000, &[0x80, 60, 0])];
    let bytes = records(&song);
    let Reply::Bulk(bulk) = harness.ask(Request::AllocateBulk { bytes: bytes.len() as u64 }) else {
        panic!("no memory")
    };
    assert_eq!(harness.ask(Request::WriteBulk { address: bulk.address, bytes: bytes.clone() }), Reply::Done);
    assert_eq!(harness.ask(Request::ReadBulk(bulk)), Reply::Bytes(bytes.clone()));
    let play = PlayMidi {
        render: pin,
        events: bulk,
        event_count: 4,
        duration: 1_000_000,
        pace: Pace::Realtime { lead_ms: 20 },
        delivery: Delivery::InOrder,
    };
    let Reply::Played { events: 4, statistics, .. } = harness.ask(Request::PlayMidi(play.clone())) else {
        panic!("not played")
    };
    assert_eq!((statistics.events_put, statistics.events_returned), (4, 4));
    assert_eq!(harness.ask(Request::SetState { pin, state: KsState::Stop }), Reply::Done);
    assert_eq!(harness.ask(Request::Close(pin)), Reply::Done);
    assert_eq!(harness.ask(Request::Close(filter)), Reply::Done);

    let log = guest.log();
    let calls: Vec<&str> = log.lines().filter(|line| !line.starts_with("open")).collect();
    let word = |line: &str, index: usize| line.split(' ').nth(index).unwrap().to_owned();
    let start = word(calls[4], 2);
    let expected = [
        "create 1 DIRECTMUSIC c0000000".to_owned(),
        "state 1 1".into(),
        "state 1 2".into(),
        "state 1 3".into(),
        // The records of 10 ms in one buffer, byte for byte as the harness wrote them, at the time of the master clock.
        format!("write 1 {start} {}", hex(&records(&song[..3]))),
        format!("write 1 {start} {}", hex(&records(&song[3..]))),
        "state 1 2".into(),
        "state 1 1".into(),
        "state 1 0".into(),
        "cancel 2001".into(),
        "close 2001".into(),
        "close 1000".into(),
    ];
    assert_eq!(calls, expected, "{log}");
    assert!(start.parse::<i64>().unwrap() > 0);
    assert_eq!(harness.ask(Request::Shutdown), Reply::Done);
    assert!(agent.wait().success());
}

#[test]
fn midi_pins_capture_properties_and_refusals() {
    let Some(mut guest) = Guest::new("COM2") else { return };
    let _agent = guest.serve();
    let mut harness = Harness::connect(&guest);
    harness.ask(Request::StartDevice);
    let filter = open_filter(&mut harness);

    // A MIDI pin's records count from one to the next, and the first from its buffer.
    let pin = create(&mut harness, filter, 0, StreamFormat::Midi);
    let midi = [0_u8, 0, 0, 0, 3, 0, 0, 0, 0x90, 60, 100, 0, 30, 0, 0, 0, 2, 0, 0, 0, 0xc0, 1, 0, 0];
    let Reply::Bulk(bulk) = harness.ask(Request::AllocateBulk { bytes: 24 }) else { panic!("no memory") };
    harness.ask(Request::WriteBulk { address: bulk.address, bytes: midi.to_vec() });
    let play = |event_count| {
        let (pace, delivery) = (Pace::Lockstep, Delivery::InOrder);
        Request::PlayMidi(PlayMidi { render: pin, events: bulk, event_count, duration: 400_000, pace, delivery })
    };
    let refused = harness.refused(play(3));
    assert!(
        refused.kind == FailureKind::Request && refused.message.contains("3 records were announced and 2"),
        "{refused:?}"
    );
    assert!(matches!(harness.ask(play(2)), Reply::Played { events: 2, .. }));
    let log = guest.log();
    let writes: Vec<Vec<&str>> =
        log.lines().filter(|line| line.starts_with("write")).map(|line| line.split(' ').collect()).collect();
    assert_eq!((writes[0][3], writes[1][3]), (&*hex(&midi[..12]), &*hex(&midi[12..])));
    assert_eq!(writes[0][2], writes[1][2], "the second record's 30 ms count from the first, which is at the start");

    // A capture pin gets buffers as soon as it runs, and what it fills comes back in order.
    let capture = create(&mut harness, filter, 3, StreamFormat::Midi);
    harness.ask(Request::SetState { pin: capture, state: KsState::Run });
    assert_eq!(harness.ask(Request::TakeCaptured { pin: capture }), Reply::Captured { events: vec![], discarded: 0 });
    harness.ask(Request::SetState { pin: capture, state: KsState::Stop });
    // The first buffer comes back empty; each of the others has a note 5 ms after the buffer's time.
    let note = CapturedEvent { time: 51_000, channel_group: 1, flags: 0, data: vec![0x90, 60, 100] };
    let captured = Reply::Captured { events: vec![note; 3], discarded: 0 };
    assert_eq!(harness.ask(Request::TakeCaptured { pin: capture }), captured);
    harness.ask(Request::Close(capture));
    assert_eq!(guest.log().lines().filter(|line| *line == "read 3").count(), 4);

    // Properties: of a node, of a set that is not there, of another caller than the agent.
    let property = |target, node, set: [u8; 16], id, caller| {
        let (instance, value) = (vec![], vec![0; 4]);
        Request::Property(PropertyRequest { caller, target, node, set, id, verb: PropertyVerb::Get, instance, value })
    };
    let synth = [0x25, 0xae, 0xdf, 0xfe, 0x6e, 0xe4, 0xd1, 0x11, 0xaa, 0xce, 0, 0, 0xf8, 0x75, 0xac, 0x12];
    let groups = harness.ask(property(pin, Some(0), synth, 4, Caller::User64));
    assert_eq!(groups, Reply::Property { status: 0, value: vec![2, 0, 0, 0], length: 4 });
    let unknown = harness.ask(property(filter, None, [9; 16], 4, Caller::User64));
    assert_eq!(unknown, Reply::Property { status: 0xc000_0225, value: vec![], length: 0 });
    assert_eq!(harness.refused(property(pin, None, synth, 4, Caller::Kernel)).kind, FailureKind::Unsupported);

    // What the driver refuses, and what no client can have.
    let pcm = StreamFormat::Pcm { sample_rate: 48_000, channels: 2, bits: 16 };
    let busy = harness.refused(Request::CreatePin { filter, pin: 0, format: StreamFormat::Midi });
    assert_eq!(busy.kind, FailureKind::Status(0xc007_0491), "ERROR_NO_MATCH: {busy:?}");
    assert_eq!(harness.refused(Request::CreatePin { filter, pin: 2, format: pcm }).kind, FailureKind::Unsupported);
    assert_eq!(harness.refused(Request::Close(filter)).kind, FailureKind::Request);
    assert_eq!(harness.refused(Request::SurpriseRemoval).kind, FailureKind::Unsupported);
    let log = guest.log();
    assert!(!log.contains("wrong"), "{log}");
}

#[test]
fn a_harness_that_goes_leaves_nothing_open_and_the_next_one_is_served() {
    let Some(mut guest) = Guest::new("COM3") else { return };
    let mut agent = guest.serve();
    let mut harness = Harness::connect(&guest);
    harness.ask(Request::StartDevice);
    let filter = open_filter(&mut harness);
    let pin = create(&mut harness, filter, 1, StreamFormat::DirectMusic);
    harness.ask(Request::SetState { pin, state: KsState::Run });
    drop(harness);

    let mut harness = Harness::connect(&guest);
    assert!(guest.log().ends_with("cancel 2001\nclose 2001\ncancel 1000\nclose 1000\n"), "{}", guest.log());
    assert_eq!(harness.refused(Request::Close(pin)).kind, FailureKind::Request);
    harness.ask(Request::StartDevice);
    open_filter(&mut harness);

    // The line is no cleaner than a machine's: firmware and debuggers write to it, and bytes are lost.
    harness.damage = 3;
    for bytes in [1, 5000, 30_000] {
        let Reply::Bulk(bulk) = harness.ask(Request::AllocateBulk { bytes }) else { panic!("no memory") };
        let data: Vec<u8> = (0..bytes).map(|byte| (byte * 7) as u8).collect();
        harness.ask(Request::WriteBulk { address: bulk.address, bytes: data.clone() });
        assert_eq!(harness.ask(Request::ReadBulk(bulk)), Reply::Bytes(data));
    }
    assert!(harness.counts().damaged + harness.counts().resent > 0, "{:?}", harness.counts());

    // An agent that is killed and started anew is another one, which the harness sees.
    agent.kill();
    let _again = guest.serve();
    harness.damage = 0;
    assert_eq!(harness.reconnected(), Event::Ready);
    assert_eq!(harness.refused(Request::Close(filter)).kind, FailureKind::Request);
}

#[test]
fn the_device_is_disabled_enabled_restarted_removed_and_its_driver_installed() {
    let Some(mut guest) = Guest::new("COM4") else { return };
    let _agent = guest.serve();
    let mut harness = Harness::connect(&guest);
    assert!(matches!(harness.ask(Request::DeviceProblem), Reply::DeviceProblem { problem: 0, status: 8, .. }));
    harness.ask(Request::StartDevice);
    open_filter(&mut harness);
    assert_eq!(harness.ask(Request::StopDevice), Reply::Done);
    assert!(matches!(harness.ask(Request::DeviceProblem), Reply::DeviceProblem { problem: 22, .. }));
    assert!(matches!(harness.ask(Request::StartDevice), Reply::DeviceStarted { .. }));
    assert!(matches!(harness.ask(Request::RestartDevice), Reply::DeviceStarted { .. }));
    let inf = Request::InstallDriver { inf: "D:\\dmuscard.inf".into(), hardware_id: "PCI\\VEN_1AF4&DEV_1067".into() };
    assert_eq!(harness.ask(inf), Reply::Installed { reboot: false });
    assert_eq!(harness.ask(Request::RemoveDevice), Reply::Done);
    let log = guest.log();
    let changes: Vec<&str> =
        log.lines().filter(|line| ["change", "remove", "install"].iter().any(|word| line.starts_with(word))).collect();
    assert_eq!(
        changes,
        ["change 2", "change 1", "change 3", "install D:\\dmuscard.inf PCI\\VEN_1AF4&DEV_1067", "remove"]
    );
    assert!(!log.contains("wrong"), "{log}");

    // Programs and files.
    let run = |line: &str, limit_ms| Request::RunProgram { line: line.into(), limit_ms };
    let Reply::ProgramEnded { code, output, cut } = harness.ask(run("%ComSpec% /c echo one& exit 7", 20_000)) else {
        panic!("not run")
    };
    assert_eq!((code, output.trim_ascii(), cut), (7, &b"one"[..], false));
    let Reply::ProgramEnded { code, .. } = harness.ask(run("%ComSpec% /c for /L %i in (1,0,2) do @rem", 300)) else {
        panic!("not run")
    };
    assert_eq!(code, 258, "it is ended when its time is over");
    assert!(matches!(harness.refused(run("no-such-program", 100)).kind, FailureKind::Status(0xc007_0002)));
    let read = |path: &str, offset, bytes| Request::ReadFile { path: path.into(), offset, bytes };
    std::fs::write(guest.folder().join("setupapi.log"), "0123456789").unwrap();
    let path = format!("{}\\setupapi.log", guest.windows_folder());
    assert_eq!(harness.ask(read(&path, 8, 100)), Reply::FilePart { bytes: b"89".to_vec(), length: 10 });
    assert_eq!(harness.ask(read(&path, 100, 100)), Reply::FilePart { bytes: vec![], length: 10 });
    assert!(matches!(harness.refused(read("%SystemRoot%\\no.log", 0, 1)).kind, FailureKind::Status(0xc007_0002)));
}

#[test]
fn as_a_service_it_is_installed_started_stopped_and_removed() {
    let Some(guest) = Guest::new("COM5") else { return };
    assert_eq!(guest.run(&["--install", "--port", "COM5", "--layer", &guest.windows_layer()]), Some(0));
    let mut harness = Harness::connect(&guest);
    assert!(matches!(harness.ask(Request::DeviceProblem), Reply::DeviceProblem { problem: 0, .. }));
    drop(harness);
    let query = |guest: &Guest| guest.wine(&["sc", "query", "dmus-agent"]);
    assert!(query(&guest).contains("RUNNING"), "{}", query(&guest));
    guest.wine(&["sc", "stop", "dmus-agent"]);
    let stopped = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        query(&guest).contains("STOPPED")
    });
    assert!(stopped, "{}", query(&guest));
    assert_eq!(guest.run(&["--remove"]), Some(0));
    assert_eq!(guest.run(&["--remove"]), Some(3), "there is no such service any more");
}

#[test]
fn a_wrong_command_line_or_layer_or_port_ends_with_a_code_of_its_own() {
    let Some(guest) = Guest::new("COM6") else { return };
    assert_eq!(guest.run(&["--nonsense"]), Some(2));
    assert_eq!(guest.run(&["--port"]), Some(2));
    assert_eq!(guest.run(&["--layer", "C:\\none.dll"]), Some(3));
    assert_eq!(guest.run(&["--layer", "version.dll"]), Some(3), "a library without the functions");
    assert_eq!(guest.run(&["--help"]), Some(0));
}
