//! A driver that gives work without end, or more than can be kept: resets and commands are answered meanwhile, and nothing
//! grows without bound. Through the card's process, its socket and its control socket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use card_spec::control::{DownloadResponse, PortParameters, RequestCode, Status, clock_sync, port_parameter};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{DOWNLOAD_BYTES_MAX, DOWNLOADS_MAX, FRAME_MAX, PROCESS_BYTES_MAX};
use card_spec::queue::{QUEUE_COUNT, Queue};
use dmus_card::fake::{Board, Driver, Machine, STREAM_RENDER, STREAM_WAVE, no_parameters};
use rustix::process::Signal;

use crate::common::process::WAIT_LIMIT;
use crate::common::{CardProcess, status};

/// How long the card may take to answer resets and commands, on a machine that runs a dozen of these tests at a time. On a quiet
/// one it takes some milliseconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

fn open(card: &CardProcess) -> Driver {
    let mut driver = Driver::new(card.machine());
    assert_eq!(driver.open().status, Status::OK);
    driver
}

/// Returns a request for all voices and channel groups.
fn everything() -> PortParameters {
    let mut requested = no_parameters();
    requested.valid = (port_parameter::VOICES | port_parameter::CHANNEL_GROUPS).into();
    requested.voices = 1000.into();
    requested.channel_groups = 64.into();
    requested
}

/// Sends `count` events of one frame.
fn flood(driver: &mut Driver, count: u32, event: impl Fn(u32) -> Vec<u8>) {
    let mut sent = 0;
    while sent < count {
        let batch: Vec<Vec<u8>> = (sent..(sent + 128).min(count)).map(&event).collect();
        let records: Vec<(i64, u16, &[u8])> = batch.iter().map(|message| (0, 0, message.as_slice())).collect();
        driver.send(STREAM_RENDER, &records);
        sent += batch.len() as u32;
    }
}

/// The largest download buffer.
const LARGEST: u32 = DOWNLOAD_BYTES_MAX;

type Event = fn(u32) -> Vec<u8>;

/// Events that cost much, each for all 64 channel groups.
const COSTLY: [(&str, Event); 4] = [
    ("note-on", |index| vec![0x90 | (index % 16) as u8, (index % 128) as u8, 100]),
    ("note-off", |index| vec![0x80 | (index % 16) as u8, (index % 128) as u8, 0]),
    ("controller", |index| vec![0xB0 | (index % 16) as u8, 121, 127]),
    ("General MIDI reset", |_| vec![0xF0, 0x7E, 0x7F, 0x09, 0x01, 0xF7]),
];

#[test]
fn answers_commands_reset_and_signal_amid_sixty_five_thousand_events_of_one_frame() {
    for (name, event) in COSTLY {
        for clock in ["lockstep", "realtime"] {
            let card = CardProcess::start(&["--clock", clock]);
            let mut control = card.control();
            let mut driver = open(&card);
            assert_eq!(driver.parameters(everything()).status, Status::OK);
            driver.play(48_000);
            if clock == "lockstep" {
                flood(&mut driver, 65_000, event);
            } else {
                // Late events play at once: the flood plays while it comes in.
                flood(&mut driver, 3_000, event);
            }
            driver.post_wave(STREAM_WAVE, 4800, 4800 * 4);
            for _ in 0..5 {
                let (_, time) = status(&mut control);
                assert!(time < ANSWER_LIMIT, "{name}, {clock}: the control socket took {time:?}");
            }
            let begun = Instant::now();
            driver.machine.reset();
            assert_eq!(driver.open().status, Status::OK);
            let time = begun.elapsed();
            assert!(time < ANSWER_LIMIT, "{name}, {clock}: reset and OPEN took {time:?}");
            assert_eq!(driver.parameters(everything()).status, Status::OK);
            driver.play(48_000);
            flood(&mut driver, 3_000, event);
            driver.post_wave(STREAM_WAVE, 4800, 4800 * 4);
            // Without a reset: OPEN is one.
            let begun = Instant::now();
            assert_eq!(driver.open().status, Status::OK);
            let time = begun.elapsed();
            assert!(time < ANSWER_LIMIT, "{name}, {clock}: OPEN took {time:?}");
            let ended = card.end_with(Signal::TERM);
            assert_eq!(ended.code, Some(0), "{name}, {clock}: {}", ended.log);
        }
    }
}

#[test]
fn counts_notes_without_a_voice_as_lost_and_plays_the_rest() {
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut driver = open(&card);
    driver.play(48_000);
    flood(&mut driver, 20_000, |index| vec![0x90, (index % 128) as u8, 100]);
    let wave = driver.record(480);
    assert!(wave.pcm.iter().any(|frame| *frame != [0, 0]));
    let lost = driver.machine.identity().counters.notes_lost.get();
    // Each event is for the two channel groups that a session has at first.
    assert!((38_000..40_000).contains(&lost), "{lost}");
}

/// `DMUS_DOWNLOADINFO` and a wave of so many samples, in a buffer of `size` bytes.
fn wave_download(id: u32, samples: u32, size: u32) -> Vec<u8> {
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let header = [words(&[0, 0, 1]), halves(&[1, 1]), words(&[48_000, 96_000]), halves(&[2, 16, 0, 0])].concat();
    let data = words(&[2 * samples]);
    let table = words(&[2, id, 2, size, 24, 24 + header.len() as u32]);
    let mut bytes = [table, header, data].concat();
    bytes.resize(size as usize, 7);
    bytes
}

#[test]
fn charges_a_download_what_it_holds_and_stays_within_the_bound_of_the_process() {
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut driver = open(&card);
    let mut held = 0;
    let mut bytes = wave_download(0, 4, LARGEST);
    for id in 0..DOWNLOADS_MAX as u32 {
        bytes[4..8].copy_from_slice(&id.to_le_bytes());
        if id == 128 {
            // 128 of the largest buffers are enough; small ones fill the table faster.
            bytes = wave_download(id, 4, 4096);
        }
        let response = driver.request(RequestCode::DLS_DOWNLOAD, &bytes);
        assert_eq!(response.status, Status::OK, "four samples each are little");
        held += 1;
        assert_eq!(response.read::<DownloadResponse>().reason.get(), 0);
    }
    assert_eq!(driver.request(RequestCode::DLS_DOWNLOAD, &bytes).status, Status::NO_RESOURCES);
    let resident = card.memory_kib("RssAnon") * 1024;
    println!("{resident} bytes for {held} downloads");
    assert!(resident < PROCESS_BYTES_MAX, "{resident} bytes for {held} downloads");
}

#[test]
fn bounds_the_memory_of_everything_that_a_driver_can_hold_at_once() {
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut driver = open(&card);
    assert_eq!(driver.parameters(everything()).status, Status::OK);
    driver.play(48_000);
    // Downloads as large as they are allowed to be, waiting events short and long, fragments, a FIFO, sounding voices.
    let mut held = 0;
    for id in 0..8 {
        let response = driver.request(RequestCode::DLS_DOWNLOAD, &wave_download(id, 2_000_000, LARGEST));
        held += u32::from(response.status == Status::OK);
    }
    assert_eq!(held, 4, "download memory holds four times four megabytes");
    flood(&mut driver, 1000, |index| vec![0x90, (index % 128) as u8, 100]);
    driver.record(60_000);
    let long = [&[0xF0][..], &[1; 3900], &[0xF7]].concat();
    for _ in 0..1200 {
        let bytes = driver.batch(STREAM_RENDER, &[(1 << 60, 1, &long)]);
        driver.send_raw(&bytes);
        if driver.machine.wait_at_most(Queue::MIDI_OUT, Duration::from_millis(200)).is_none() {
            break;
        }
    }
    let resident = card.memory_kib("RssAnon") * 1024;
    println!("{resident} bytes for everything");
    assert!(resident < PROCESS_BYTES_MAX, "{resident} bytes");
}

/// `DMUS_INSTRUMENT` that costs as much to read as a buffer can: 512 regions of one wave, each with the whole of a
/// chain of 64 articulations of 128 connections.
fn costly_instrument(patch: u32) -> Vec<u8> {
    const REGIONS: u32 = 512;
    const LINKS: u32 = 64;
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (first_link, list) = (1 + REGIONS, 1 + REGIONS + LINKS);
    let mut structures = vec![words(&[patch, 1, 0, 0, 0, 0])];
    for index in 1..=REGIONS {
        let next = if index == REGIONS { 0 } else { index + 1 };
        let region = [
            halves(&[0, 127, 0, 127, 0, 0]),
            words(&[first_link, 0, next]),
            halves(&[0, 0]),
            words(&[1, 0, 20]),
            halves(&[60, 0]),
            words(&[0, 0, 0, 0, 0, 0, 0]),
        ];
        structures.push(region.concat());
    }
    for index in 0..LINKS {
        let next = if index == LINKS - 1 { 0 } else { first_link + index + 1 };
        structures.push(words(&[list, 0, next]));
    }
    let connections = (0..128_u16).flat_map(|index| [halves(&[0x81, index, 3, 0]), words(&[1 << 16])].concat());
    structures.push([words(&[8, 128]), connections.collect()].concat());
    let mut offset = 16 + 4 * structures.len() as u32;
    let mut table = vec![3, 1000 + patch, structures.len() as u32, 0];
    for structure in &structures {
        table.push(offset);
        offset += structure.len() as u32;
    }
    table[3] = offset;
    [words(&table), structures.concat()].concat()
}

#[test]
fn a_change_of_parameters_with_costly_downloads_delays_neither_reset_nor_commands() {
    const INSTRUMENTS: usize = 50;
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut control = card.control();
    let mut driver = open(&card);
    assert_eq!(driver.request(RequestCode::DLS_DOWNLOAD, &wave_download(0, 4, 320)).status, Status::OK);
    let begun = Instant::now();
    for patch in 0..INSTRUMENTS as u32 {
        let response = driver.request(RequestCode::DLS_DOWNLOAD, &costly_instrument(patch));
        assert_eq!(response.status, Status::OK, "{:?}", response.read::<DownloadResponse>());
    }
    let cost = begun.elapsed();
    let mut requested = no_parameters();
    requested.valid = port_parameter::VOICES.into();
    let mut longest = Duration::ZERO;
    for round in 0..5_u32 {
        requested.voices = (100 + round).into();
        driver.send_parameters(requested);
        // The machine is paused: the answer to that waits until the card does not use the ring.
        let begun = Instant::now();
        let bases = driver.machine.stop();
        longest = longest.max(begun.elapsed());
        driver.machine.resume(bases);
        driver.machine.kick(Queue::CONTROL);
        assert_eq!(driver.wait_status(), Status::OK);
        assert_eq!(status(&mut control).0["session"]["downloads"], INSTRUMENTS + 1);
    }
    println!("reading the downloads took {cost:?}, a pause during a change of parameters {longest:?} at most");
    assert!(longest < cost / 2, "{longest:?}; the downloads took {cost:?}");
}

#[test]
fn limits_log_lines_whatever_the_driver_resets_in_between() {
    /// Longest log that this may make: some forty lines of some two hundred bytes.
    const LOG_BYTES_MAX: usize = 16 * 1024;
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut driver = open(&card);
    for round in 0..3000 {
        driver.open_declaring([7; QUEUE_COUNT]);
        if round % 300 == 0 {
            driver.machine.reset();
        }
    }
    let log = card.log();
    assert!(log.len() < LOG_BYTES_MAX, "{} bytes of log:\n{}", log.len(), &log[..2000]);
    assert!(log.contains("were not logged"), "the lines that were left out are counted:\n{log}");
    assert!(driver.machine.identity().first_error.code.get() == Diagnosis::QUEUE_SIZE_DECLARED.0);
}

#[test]
fn answers_reset_and_commands_while_a_processor_rewrites_rings() {
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut control = card.control();
    let mut driver = open(&card);
    driver.play(48_000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ram = driver.machine.ram.clone();
        let ram_start = ram.start();
        let first_rings = driver.machine.rings.clone();
        let stop = &stop;
        scope.spawn(move || {
            let mut number = 1_u32;
            while !stop.load(Ordering::Relaxed) {
                for ring in &first_rings {
                    number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ram.write(ring.available + 2, &(number as u16 % 300).to_le_bytes());
                    ram.write(ring.available + 4, &[(number >> 8) as u8 % 130; 64]);
                    ram.write(ring.descriptors, &[(number >> 16) as u8; 64]);
                    ram.write(ring.used + 2, &(number as u16).to_le_bytes());
                    ram.write(ram_start + u64::from(number % 4096), &number.to_le_bytes());
                }
            }
        });
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            // Onto the same rings each time.
            let begun = Instant::now();
            driver.machine.stop();
            longest = longest.max(begun.elapsed());
            driver.machine.start();
            for queue in Queue::ALL {
                driver.machine.kick(queue);
            }
        }
        let (_, time) = status(&mut control);
        stop.store(true, Ordering::Relaxed);
        println!("the longest of 100 resets took {longest:?}, the status {time:?}");
        assert!(longest < ANSWER_LIMIT && time < ANSWER_LIMIT, "{longest:?}, {time:?}");
    });
    driver.machine.reset();
    assert_eq!(driver.open().status, Status::OK);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
    assert_eq!(card.end_with(Signal::TERM).code, Some(0));
}

#[test]
fn refuses_a_sample_clock_at_the_end_of_the_range() {
    for clock in ["lockstep", "realtime"] {
        let card = CardProcess::start(&["--clock", clock]);
        let mut driver = open(&card);
        driver.play(48_000);
        driver.post_wave(STREAM_WAVE, 65_536, 262_144);
        for frame in [i64::MAX, i64::MAX - 1, FRAME_MAX + 1, -1, i64::MIN] {
            let response = driver.synchronise(clock_sync::START, 0, frame);
            assert_eq!(response.status, Status::INVALID_PARAMETER, "{frame:#x}");
        }
        for (time, frame) in [(i64::MIN, FRAME_MAX), (i64::MAX, 0), (0, FRAME_MAX), (i64::MAX, FRAME_MAX), (0, 0)] {
            assert_eq!(driver.synchronise(clock_sync::START, time, frame).status, Status::OK);
            for (time, frame) in [(i64::MIN, i64::MIN), (i64::MAX, i64::MIN), (i64::MIN, i64::MAX), (0, i64::MAX)] {
                assert_eq!(driver.synchronise(0, time, frame).status, Status::OK);
                driver.send(STREAM_RENDER, &[(i64::MIN, 1, &[0x90, 60, 1]), (i64::MAX, 1, &[0x90, 60, 1])]);
            }
            let before = card.processor_time();
            std::thread::sleep(Duration::from_millis(200));
            let used = card.processor_time() - before;
            assert!(used < Duration::from_millis(150), "{used:?} of 200 ms at frame {frame:#x}, {clock}");
        }
        assert!(card.log().is_empty() || !card.log().contains("defect"), "{}", card.log());
    }
}

#[test]
fn reports_errors_that_outlast_open_again_after_it() {
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut machine = card.machine();
    machine.features = 0;
    let mut driver = Driver::new(machine);
    for _ in 0..3 {
        assert_eq!(driver.open().status, Status::OK);
        let first = driver.machine.identity().first_error;
        assert_eq!(Diagnosis(first.code.get()), Diagnosis::VERSION_1_MISSING);
    }
}

#[test]
fn truncated_memory_parks_only_the_rings_in_it() {
    let card = CardProcess::start(&["--clock", "lockstep", "--persistent"]);
    let mut control = card.control();
    for kicked in Queue::ALL {
        let mut driver = open(&card);
        driver.play(48_000);
        let _ = driver.lend_status_page();
        driver.machine.ram.file().set_len(4096).unwrap();
        driver.machine.kick(kicked);
        let begun = Instant::now();
        while status(&mut control).0["diagnosis"]["by_code"]["MEMORY_LOST"].is_null() {
            assert!(begun.elapsed() < WAIT_LIMIT, "the loss is not noticed: {}", card.log());
            driver.machine.kick(kicked);
            std::thread::sleep(Duration::from_millis(5));
        }
        let first = driver.machine.identity().first_error;
        assert_eq!(Diagnosis(first.code.get()), Diagnosis::MEMORY_LOST, "{kicked}");
        assert_eq!(u64::from(first.got.get()) << 12, driver.machine.ram.start());
        driver.machine.stop();
        driver.machine.disconnect();
    }
    assert!(card.log().contains("has become shorter"), "{}", card.log());
    // The card serves a fresh machine without an error.
    let mut driver = open(&card);
    driver.play(48_000);
    assert_eq!(driver.record(64).header.frames.get(), 64);
    driver.machine.disconnect();
}

#[test]
fn a_request_under_way_when_the_machine_is_paused_is_carried_out_once() {
    let card = CardProcess::start(&["--clock", "lockstep"]);
    let mut driver = open(&card);
    let mut opened = 0;
    for stream in 2..18 {
        driver.send_open_stream(stream);
        let bases = driver.machine.stop();
        driver.machine.resume(bases);
        driver.machine.kick(Queue::CONTROL);
        assert_eq!(driver.wait_status(), Status::OK, "stream {stream}");
        opened += 1;
    }
    assert_eq!(opened, 16);
    let _: &Machine = &driver.machine;
}
