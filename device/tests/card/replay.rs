//! Recordings, replayed on a card without a front-end: what the recorded card did, the replayed one does again.

use std::fs;
use std::path::Path;

use card_spec::control::{Status, StreamKind, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;
use card_spec::registers::{COMMON, FILE, common, file};
use card_trace::{Act, CardStart, Item, Reader, Record, SIZE_DEFAULT, Settings, Writer, wave_span};
use dmus_card::fake::{Board, Descriptor, Driver, Machine, Piece, STREAM_RENDER, STREAM_WAVE, flag};
use dmus_card::replay::{Options, Recording};
use dmus_card::trace::Trace;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::process::{Control, Running, place, program, run, wait_until};
use crate::vfio_user::Bench;

const NOTE: [u8; 3] = [0x90, 60, 100];
const CAPTURE: u32 = 7;

/// Records what a driver and a client of the control socket do to a card, and returns the folder with `card.trace` in it.
fn record(options: &[&str], act: impl FnOnce(&mut Driver<Machine>, &mut Control)) -> TempDir {
    let folder = TempDir::new().unwrap();
    let [socket, control, trace] = ["card", "control", "card.trace"].map(|name| place(&folder, name).0);
    let mut command = program();
    command.arg("--socket-path").arg(&socket).arg("--control").arg(&control).arg("--trace").arg(&trace).args(options);
    let mut card = Running::start(&mut command);
    let mut driver = Driver::new(Machine::connect(&socket));
    driver.open();
    let mut client = Control::connect(&control);
    act(&mut driver, &mut client);
    card.0.kill().unwrap();
    wait_until("the card is gone", || !card.is_running());
    // Its front-end has nothing to say good-bye to.
    std::mem::forget(driver);
    folder
}

/// Replays a recording with these options, and returns what the program says.
fn replay(folder: &TempDir, options: &[&str]) -> Value {
    let [recording, replayed] = ["card.trace", "replayed.trace"].map(|name| place(folder, name).1);
    let words: Vec<&str> =
        ["replay", &recording, "--out", &replayed, "--json"].into_iter().chain(options.iter().copied()).collect();
    let (code, text, error) = run(&words);
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&text).unwrap()
}

fn records(folder: &TempDir, name: &str) -> Vec<Record> {
    let items = Reader::open(&folder.path().join(name)).unwrap().read_all().unwrap().1;
    let of = |item| match item {
        Item::Record(record) => record,
        Item::Gap { slots } => panic!("{slots} slots are not whole"),
    };
    items.into_iter().map(of).collect()
}

/// Returns what a card did to a queue, or of its own, without what depends on the host's time.
fn acts(records: &[Record], queue: Option<Queue>) -> Vec<String> {
    let of = |record: &Record| {
        let act = record.act();
        let line = match act {
            Act::WaveReturned { head, written, header, hash, .. } => {
                format!("{head} {written} {:?} {hash:x}", wave_span(header).unwrap())
            }
            // The card time of notices and unfilled buffers.
            Act::ChainReturned { queue: Queue::EVENT | Queue::WAVE, head, written, answer, .. } => {
                format!("{head} {written} {}", hex::encode(&answer[..answer.len().saturating_sub(8)]))
            }
            Act::ChainReturned { head, written, answer, .. } => format!("{head} {written} {}", hex::encode(answer)),
            Act::Interrupt { .. } | Act::DriverError { .. } | Act::FaultStruck { .. } => format!("{act:?}"),
            Act::ChainTaken { .. } | Act::Reset { .. } | Act::QueueStarted { .. } => format!("{act:?}"),
            _ => return None,
        };
        (act.queue() == queue).then_some(line)
    };
    records.iter().filter_map(of).collect()
}

#[track_caller]
fn assert_same(folder: &TempDir) {
    let (recorded, replayed) = (records(folder, "card.trace"), records(folder, "replayed.trace"));
    for queue in Queue::ALL.into_iter().map(Some).chain([None]) {
        let (left, right) = (acts(&recorded, queue), acts(&replayed, queue));
        let equal = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
        let context = |all: &[String]| all[equal.saturating_sub(2)..all.len().min(equal + 3)].to_vec();
        assert_eq!(left, right, "{queue:?} differs after {equal}: {:#?} and {:#?}", context(&left), context(&right));
    }
}

fn count(records: &[Record], fits: impl Fn(&Act<'_>) -> bool) -> usize {
    records.iter().filter(|record| fits(&record.act())).count()
}

/// Plays some music: notes at times that are no multiples of a block, and buffers of other sizes than blocks.
fn play(driver: &mut Driver<Machine>, rounds: i64) {
    driver.play(48_000);
    for round in 0..rounds {
        let time = round * 103_000;
        driver.machine.ring(Queue::MIDI_OUT).request_interrupt();
        driver.send(
            STREAM_RENDER,
            &[(time, 1, &NOTE), (time + 41_111, 2, &[0x90, 64, 90]), (time + 90_007, 1, &[0x80, 60, 0])],
        );
        driver.machine.ring(Queue::WAVE).request_interrupt();
        driver.record(479);
    }
}

#[test]
fn a_session_is_replayed_with_the_same_answers_interrupts_and_sound() {
    let folder = record(&["--clock", "lockstep"], |driver, client| {
        for _ in 0..4 {
            let notice = driver.machine.ram().allocate(64);
            driver.machine.ring(Queue::EVENT).offer(&[Piece::writable(notice, 64)]);
        }
        driver.machine.kick(Queue::EVENT);
        play(driver, 20);
        // A request between a batch and a buffer, a stream that stops with a buffer posted, a capture.
        driver.send(STREAM_RENDER, &[(3_000_000, 1, &[0xb0, 7, 20])]);
        assert_eq!(driver.state(STREAM_WAVE, StreamState::PAUSE).status, Status::OK);
        driver.post_wave(STREAM_WAVE, 100, 400);
        assert_eq!(driver.state(STREAM_WAVE, StreamState::STOP).status, Status::OK);
        assert_eq!(driver.open_stream(CAPTURE, StreamKind::CAPTURE, 0, 0).status, Status::OK);
        assert_eq!(driver.state(CAPTURE, StreamState::RUN).status, Status::OK);
        let page = driver.machine.ram().allocate(4096);
        driver.machine.ring(Queue::MIDI_IN).offer(&[Piece::writable(page, 4096)]);
        driver.machine.kick(Queue::MIDI_IN);
        assert_eq!(client.command(&json!({"cmd": "midi-in", "data": "903c64"}))["ok"], json!(true));
        driver.machine.wait(Queue::MIDI_IN);
        // A second life of the device.
        driver.machine.reset();
        driver.open();
        play(driver, 3);
    });
    let done = replay(&folder, &[]);
    assert_eq!((done["given"].clone(), done["commands"].clone()), (json!(0), json!(1)));
    assert_same(&folder);
    let replayed = records(&folder, "replayed.trace");
    assert_eq!(count(&replayed, |act| matches!(act, Act::WaveReturned { .. })), 23);
    assert!(count(&replayed, |act| matches!(act, Act::Interrupt { raised: true, .. })) > 23);
    assert_eq!(count(&replayed, |act| matches!(act, Act::Reset { .. })), 2);
    // What a replay leaves is a recording itself.
    fs::rename(folder.path().join("replayed.trace"), folder.path().join("card.trace")).unwrap();
    replay(&folder, &[]);
    assert_same(&folder);
}

#[test]
fn injected_faults_strike_where_they_struck() {
    let folder = record(&["--clock", "lockstep"], |driver, client| {
        let mut inject = |fault: Value, at: Value| {
            let answer = client.command(&json!({"cmd": "inject-fault", "fault": fault, "at": at}));
            assert_eq!(answer["ok"], json!(true), "{answer}");
        };
        inject(json!({"kind": "clock-jump", "frames": 777}), json!({"frame": 2000}));
        inject(json!({"kind": "clock-jump", "frames": -300}), json!({"frame": 3200}));
        inject(json!({"kind": "short-dma", "queue": 3}), json!({"event": 9}));
        inject(json!({"kind": "lost-interrupt", "queue": 1}), json!({"event": 4}));
        inject(json!({"kind": "failing-command"}), json!({"frame": 3500}));
        play(driver, 12);
        assert_eq!(driver.state(STREAM_RENDER, StreamState::PAUSE).status, Status::CARD_FAILED);
        assert_eq!(driver.state(STREAM_RENDER, StreamState::PAUSE).status, Status::OK);
    });
    replay(&folder, &[]);
    assert_same(&folder);
    let struck = |name| count(&records(&folder, name), |act| matches!(act, Act::FaultStruck { .. }));
    assert_eq!((struck("card.trace"), struck("replayed.trace")), (5, 5));
    // The same without the faults sounds otherwise: the clock does not jump.
    replay(&folder, &["--without-faults"]);
    assert_eq!(struck("replayed.trace"), 0);
    let wave = |name| acts(&records(&folder, name), Some(Queue::WAVE));
    assert_ne!(wave("card.trace"), wave("replayed.trace"));
}

#[test]
fn what_a_driver_did_wrong_is_found_again() {
    let folder = record(&["--clock", "lockstep"], |driver, _| {
        play(driver, 2);
        // An event for a group that is not there, half a message, a stream that is not open.
        driver.send(STREAM_RENDER, &[(0, 999, &NOTE)]);
        driver.send(STREAM_RENDER, &[(0, 1, &[0x90, 60])]);
        driver.send(77, &[(0, 1, &NOTE)]);
        // A request of an unknown code, and one that is cut.
        driver.request_raw(&[0xee, 0xee, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1], 64);
        driver.request_raw(&[1, 0, 0, 0], 64);
        // Chains that are wrong themselves.
        let ram = driver.machine.ram().clone();
        let page = ram.allocate(4096);
        let beyond = Piece::readable(ram.end() - 4, 64);
        for pieces in [
            vec![beyond],
            vec![Piece::writable(page, 16), Piece::readable(page, 8)],
            vec![Piece::readable(page, 1 << 25)],
        ] {
            driver.machine.ring(Queue::MIDI_OUT).offer(&pieces);
            driver.machine.kick(Queue::MIDI_OUT);
            driver.machine.wait(Queue::MIDI_OUT);
        }
        for table in [
            vec![Descriptor { address: page, length: 8, flags: flag::NEXT, next: 0 }],
            vec![
                Descriptor { address: page, length: 8, flags: flag::NEXT, next: 1 },
                Descriptor { address: page, length: 8, flags: flag::NEXT, next: 9 },
            ],
        ] {
            driver.machine.ring(Queue::MIDI_OUT).offer_indirect(&table);
            driver.machine.kick(Queue::MIDI_OUT);
            driver.machine.wait(Queue::MIDI_OUT);
        }
        // Last: the ring is parked.
        let size = driver.machine.ring(Queue::MIDI_OUT).size();
        driver.machine.ring(Queue::MIDI_OUT).set_available_index(size * 3);
        driver.machine.kick(Queue::MIDI_OUT);
        driver.record(480);
    });
    let done = replay(&folder, &[]);
    assert_eq!(done["given"], json!(0), "the replay finds all of them by itself");
    assert_same(&folder);
    let codes: Vec<Diagnosis> = records(&folder, "replayed.trace")
        .iter()
        .filter_map(
            |record| if let Act::DriverError { code, .. } = record.act() { Some(Diagnosis(code)) } else { None },
        )
        .collect();
    for code in [
        Diagnosis::EVENT_GROUP,
        Diagnosis::EVENT_MIDI,
        Diagnosis::STREAM,
        Diagnosis::UNKNOWN_REQUEST,
        Diagnosis::READABLE_TOO_SHORT,
        Diagnosis::BUFFER_OUTSIDE_MEMORY,
        Diagnosis::CHAIN_ORDER,
        Diagnosis::CHAIN_MALFORMED,
        Diagnosis::AVAILABLE_INDEX,
    ] {
        assert!(codes.contains(&code), "{code} is not in {codes:?}");
    }
}

#[test]
fn a_card_in_real_time_is_replayed_by_its_frames() {
    let folder = record(&[], |driver, _| {
        driver.play(48_000);
        driver.send(STREAM_RENDER, &[(100_000, 1, &NOTE), (400_000, 1, &[0x80, 60, 0])]);
        for _ in 0..6 {
            driver.record(480);
        }
    });
    replay(&folder, &[]);
    assert_same(&folder);
}

#[test]
fn recordings_that_cannot_be_replayed_are_refused_with_a_sentence() {
    let folder = record(&["--clock", "lockstep"], |driver, _| play(driver, 1));
    let whole = fs::read(folder.path().join("card.trace")).unwrap();
    let refused = |name: &str, bytes: &[u8], options: &[&str]| {
        let (path, text) = place(&folder, name);
        fs::write(path, bytes).unwrap();
        let out = place(&folder, "none.trace").1;
        let words: Vec<&str> = ["replay", &text, "--out", &out].into_iter().chain(options.iter().copied()).collect();
        let (code, _, error) = run(&words);
        (code, error)
    };
    let (code, error) = refused("cut.trace", &whole[..whole.len() / 2], &[]);
    assert!(code == 8 && error.contains("cut short"), "{code} {error}");
    let mut other = whole.clone();
    other[8] = 9;
    let (code, error) = refused("other.trace", &other, &[]);
    assert!(code == 8 && error.contains(&format!("version 9.{}", card_trace::VERSION_MINOR)), "{code} {error}");
    let (code, error) = refused("text.trace", b"not a trace", &[]);
    assert!(code == 8 && error.contains("cut short"), "{code} {error}");
    let bank = place(&folder, "other.dls").1;
    let mut bytes = dls_synth::builtin::FILE.to_vec();
    bytes.extend(b"junk\x04\0\0\0????");
    let size = (bytes.len() as u32 - 8).to_le_bytes();
    bytes[4..8].copy_from_slice(&size);
    fs::write(&bank, bytes).unwrap();
    let (code, error) = refused("good.trace", &whole, &["--bank", &bank]);
    assert!(
        code == 8 && error.contains("was made with the bank built-in") && error.contains("--bank"),
        "{code} {error}"
    );
    let (code, _, error) = run(&["replay", "/nowhere/x.trace", "--out", &place(&folder, "none.trace").1]);
    assert!(code == 8 && error.contains("/nowhere/x.trace"), "{code} {error}");
    assert!(Path::new(&place(&folder, "good.trace").1).exists());
}

/// Returns accesses to registers and what is wrong with them, without registers that tell what queues do meanwhile.
fn accesses(records: &[Record]) -> Vec<String> {
    let of = |record: &Record| match record.act() {
        Act::RegisterRead { offset, .. }
            if card_trace::register_name(offset.into()).is_some_and(|name| name == "ISR") =>
        {
            None
        }
        act @ (Act::RegisterRead { .. }
        | Act::RegisterWrite { .. }
        | Act::ConfigWrite { .. }
        | Act::DriverError { .. }) => Some(format!("{act:?}")),
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

#[test]
fn accesses_to_registers_are_made_again_with_the_same_values_and_the_same_errors() {
    let folder = TempDir::new().unwrap();
    let settings = Settings { size: SIZE_DEFAULT, pcm: false, program: card_control::PROGRAM };
    let trace = Trace::with(Writer::create(&folder.path().join("card.trace"), settings).unwrap());
    trace.card(&CardStart {
        lockstep: true,
        vfio_user: true,
        voices: 32,
        render_block: 64,
        bank_bytes: 0,
        bank_sha256: [0; 32],
        bank: "built-in",
    });
    let mut bench = Bench::traced(trace);
    bench.up();
    bench.request(1);
    // A scratch register, a width that no register takes, one that cannot be written, a queue that is not there.
    bench.write(FILE + file::SCRATCH, 4, 0xdead_beef);
    assert_eq!(bench.read(FILE + file::SCRATCH, 4), 0xdead_beef);
    bench.read(FILE + file::SCRATCH, 2);
    bench.write(COMMON + common::NUM_QUEUES, 2, 9);
    bench.write(COMMON + common::QUEUE_SELECT, 2, 77);
    bench.write(COMMON + common::QUEUE_SIZE, 2, 8);
    let error = bench.read(FILE + file::ERROR, 4);
    // The driver resets the device.
    bench.write(COMMON + common::DEVICE_STATUS, 1, 0);
    assert_eq!(bench.read(FILE + file::SCRATCH, 4), 0);
    drop(bench);

    let bytes = fs::read(folder.path().join("card.trace")).unwrap();
    let recording = Recording::read(bytes, "card.trace").unwrap();
    let writer = Writer::create(&folder.path().join("replayed.trace"), settings).unwrap();
    let done = dmus_card::replay::replay(&recording, dls_synth::Bank::builtin(), writer, Options::default()).unwrap();
    assert!(done.accesses > 50 && done.given == 0, "{done:?}");
    let (recorded, replayed) =
        (accesses(&records(&folder, "card.trace")), accesses(&records(&folder, "replayed.trace")));
    let wrong = recorded.iter().filter(|line| line.starts_with("DriverError")).count();
    assert!(wrong >= 4 && error != 0, "{recorded:#?}");
    assert_eq!(recorded, replayed);
    assert_same(&folder);
}
