//! The trace of a card's process: what a driver does is in it, and what it costs in the status.

use card_spec::control::{RequestCode, RequestHeader};
use card_spec::queue::Queue;
use card_spec::registers::ISR;
use card_trace::{Act, Detail, Item, Reader, Record, SIZE_DEFAULT, Settings, Source, VoiceStart, Writer, describe};
use dmus_card::fake::{Driver, Machine, STREAM_RENDER};
use dmus_card::trace::Trace;
use serde_json::json;
use zerocopy::FromBytes;

use tempfile::TempDir;

use crate::common::process::{Control, Running, place, program, run, wait_until};
use crate::vfio_user::Bench;

fn records(path: &std::path::Path) -> Vec<Record> {
    let items = Reader::open(path).unwrap().read_all().unwrap().1;
    let of = |item| match item {
        Item::Record(record) => record,
        Item::Gap { slots } => panic!("{slots} slots are not whole"),
    };
    items.into_iter().map(of).collect()
}

#[test]
fn a_killed_card_leaves_what_its_driver_did_in_order() {
    let folder = TempDir::new().unwrap();
    let [socket, control, trace] = ["card", "control", "trace"].map(|name| place(&folder, name).0);
    let mut command = program();
    command.arg("--socket-path").arg(&socket).arg("--control").arg(&control).args(["--clock", "lockstep"]);
    let mut card = Running::start(command.arg("--trace").arg(&trace));
    let mut driver = Driver::new(Machine::connect(&socket));
    driver.open();
    let mut client = Control::connect(&control);
    assert_eq!(client.command(&json!({"cmd": "mark", "text": "take 2"}))["ok"], json!(true));
    let status = client.command(&json!({"cmd": "status"}));
    assert!(status["trace"]["records"].as_u64().unwrap() > 10, "{status}");
    assert_eq!(status["trace"]["lost"], json!(0));
    card.0.kill().unwrap();
    wait_until("the card is gone", || !card.is_running());

    let records = records(&trace);
    let acts: Vec<Act<'_>> = records.iter().map(Record::act).collect();
    let find = |what: &str, fits: &dyn Fn(&Act<'_>) -> bool| {
        acts.iter().position(fits).unwrap_or_else(|| panic!("no {what} in {acts:#?}"))
    };
    let is_open = |request: &[u8]| {
        RequestHeader::read_from_prefix(request).is_ok_and(|(header, _)| header.code.get() == RequestCode::OPEN.0)
    };
    let places = [
        find("reset", &|act| matches!(act, Act::Reset { resets: 1 })),
        find("start of control", &|act| matches!(act, Act::QueueStarted { queue: Queue::CONTROL, error: 0, .. })),
        find("kick", &|act| matches!(act, Act::Kicked { queue: Queue::CONTROL, .. })),
        find("OPEN", &|act| matches!(act, Act::ChainTaken { request, .. } if is_open(request))),
        find(
            "answer",
            &|act| matches!(act, Act::ChainReturned { queue: Queue::CONTROL, answer, .. } if answer.len() == 56),
        ),
        find("interrupt", &|act| matches!(act, Act::Interrupt { queue: Queue::CONTROL, raised: true })),
        find("mark", &|act| matches!(act, Act::Mark { text: "take 2" })),
    ];
    assert!(places.is_sorted(), "{places:?}");
    assert_eq!(records[places[6]].source, Source::HARNESS);
}

#[test]
fn a_function_s_registers_and_configuration_space_are_recorded() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("card.trace");
    let settings = Settings { size: SIZE_DEFAULT, pcm: false, program: "a test" };
    let mut bench = Bench::traced(Trace::with(Writer::create(&path, settings).unwrap()));
    bench.up();
    bench.request(1);
    assert_eq!(bench.read(ISR, 1) & 1, 1);
    bench.read(ISR + 1, 1);

    let records = records(&path);
    let lines: Vec<String> = records.iter().map(|record| describe(&record.act(), Detail::Names)).collect();
    let mut from = 0;
    // In this order, with others between.
    for line in [
        "write configuration space+0x004 = 0x0006",
        "write device_status = 0x00 (reset)",
        "write device_status = 0x0f (ACKNOWLEDGE DRIVER FEATURES_OK DRIVER_OK)",
        "write notify[control] = 0x0000",
        "kick of control",
        "control takes chain 0: ",
        "interrupt of control",
        "read  ISR = 0x01",
        "read  BAR 0+0x1001, 1 bytes, 0xffffffff: no register takes it",
    ] {
        let found = lines[from..].iter().position(|other| other.starts_with(line));
        from += found.unwrap_or_else(|| panic!("no `{line}` behind line {from} of {lines:#?}")) + 1;
    }
}

#[test]
fn a_mark_needs_a_trace_and_a_trace_needs_room() {
    let folder = TempDir::new().unwrap();
    let [socket, control] = ["card", "control"].map(|name| place(&folder, name).0);
    let mut command = program();
    command.arg("--socket-path").arg(&socket).arg("--control").arg(&control);
    let _card = Running::start(&mut command);
    let answer = Control::connect(&control).command(&json!({"cmd": "mark", "text": "x"}));
    assert!(answer["error"].as_str().unwrap().contains("--trace"), "{answer}");

    let (code, _, error) = run(&["--socket-path", "/nowhere/card", "--trace", "a,size=1"]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("`1` is no size"), "{error}");
    let (_, other) = place(&folder, "other");
    let (code, _, error) = run(&["--socket-path", &other, "--trace", "/dev/full"]);
    assert_eq!(code, 5, "{error}");
    assert!(error.contains("no regular file"), "{error}");
}

#[test]
fn a_voice_is_listed_while_it_sounds_and_its_start_and_end_are_recorded() {
    let folder = TempDir::new().unwrap();
    let [socket, control, trace] = ["card", "control", "trace"].map(|name| place(&folder, name).0);
    let mut command = program();
    command.arg("--socket-path").arg(&socket).arg("--control").arg(&control).args(["--clock", "lockstep"]);
    let _card = Running::start(command.arg("--trace").arg(&trace));
    let mut client = Control::connect(&control);
    let none = client.command(&json!({"cmd": "voices"}));
    assert_eq!((&none["position"], &none["voices"]), (&json!(null), &json!([])));
    let mut driver = Driver::new(Machine::connect(&socket));
    driver.open();
    driver.play(48_000);
    // Frame 100, in the second channel group; program 5 before it, and another one behind it at the same time.
    let at = 100 * 10_000_000 / 48_000 + 1;
    driver.send(
        STREAM_RENDER,
        &[(0, 2, &[0xc3, 5]), (at, 2, &[0x93, 60, 90]), (at, 2, &[0xc3, 6]), (4 * at, 2, &[0x83, 60, 0])],
    );
    driver.record(300);
    let voices = client.command(&json!({"cmd": "voices"}));
    let voice = &voices["voices"][0];
    let is = ["group", "channel", "note", "velocity", "program", "frame"].map(|name| voice[name].as_i64().unwrap());
    assert_eq!(is, [1, 3, 60, 90, 5, 100], "{voices}");
    assert_eq!((&voice["held"], &voices["position"]), (&json!(true), &json!(300)));
    driver.record(200);
    assert_eq!(client.command(&json!({"cmd": "voices"}))["voices"][0]["held"], json!(false));
    // The release of any instrument of the bank is shorter.
    driver.record(48_000);
    driver.record(48_000);
    driver.record(48_000);
    assert_eq!(client.command(&json!({"cmd": "voices"}))["voices"], json!([]));

    let records = records(&trace);
    let started: Vec<VoiceStart> = records
        .iter()
        .filter_map(|record| if let Act::VoiceStarted(voice) = record.act() { Some(voice) } else { None })
        .collect();
    let ended: Vec<(u16, i64)> = records
        .iter()
        .filter_map(
            |record| if let Act::VoiceEnded { lane, frame } = record.act() { Some((lane, frame)) } else { None },
        )
        .collect();
    assert!(!started.is_empty() && ended.len() == started.len(), "{started:?} {ended:?}");
    for voice in &started {
        let is = (voice.group, voice.channel, voice.note, voice.velocity, voice.instrument, voice.frame);
        assert_eq!(is, (1, 3, 60, 90, 5, 100));
        assert!(ended.iter().any(|(lane, frame)| *lane == voice.lane && *frame > 400), "{ended:?}");
    }
}

#[test]
fn a_recording_that_is_switched_off_says_so_and_is_not_replayed() {
    let folder = TempDir::new().unwrap();
    let [socket, control, trace] = ["card", "control", "trace"].map(|name| place(&folder, name).0);
    let mut command = program();
    command.arg("--socket-path").arg(&socket).arg("--control").arg(&control).args(["--clock", "lockstep"]);
    let mut card = Running::start(command.arg("--trace").arg(&trace));
    let mut driver = Driver::new(Machine::connect(&socket));
    driver.open();
    let mut client = Control::connect(&control);
    let mut switch = |on: bool| assert_eq!(client.command(&json!({"cmd": "record", "on": on}))["ok"], json!(true));
    switch(true);
    switch(false);
    switch(false);
    driver.play(48_000);
    driver.record(300);
    switch(true);
    driver.record(300);
    card.0.kill().unwrap();
    wait_until("the card is gone", || !card.is_running());

    let records = records(&trace);
    let switched: Vec<bool> = records
        .iter()
        .filter_map(|record| if let Act::Recording { on } = record.act() { Some(on) } else { None })
        .collect();
    assert_eq!(switched, [false, true], "what changes nothing is no record");
    let off = records.iter().position(|record| record.act() == (Act::Recording { on: false })).unwrap();
    assert_eq!(records[off + 1].act(), Act::Recording { on: true }, "nothing is recorded between");
    let waves = records.iter().filter(|record| matches!(record.act(), Act::WaveReturned { .. })).count();
    assert_eq!(waves, 1, "only the buffer behind it is recorded");

    let (_, out) = place(&folder, "out");
    let (code, _, error) = run(&["replay", &trace.to_string_lossy(), "--out", &out]);
    assert_eq!(code, 8, "{error}");
    assert!(error.contains(&format!("record {}", records[off].number)) && error.contains("trace off"), "{error}");
}
