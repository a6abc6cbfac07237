//! The ring: what is written is read, whatever the process and the other threads do.

use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;

use card_spec::queue::Queue;
use card_trace::{
    Act, CardStart, DMA_BYTES_MAX, Detail, DeviceAct, FLAG_PCM, GuestAct, HEADER_BYTES, Head, HostMoment, Item, Kind,
    MarksSummary, ReadError, Reader, Record, Routine, SIZE_MIN, SLOT_BYTES, Settings, Setup, Source, VoiceStart,
    Writer, copy, describe, memory_payload, pcm_hash, regions,
};
use tempfile::TempDir;

const SETTINGS: Settings<'_> = Settings { size: SIZE_MIN, pcm: false, program: "a test 1.0" };

fn place() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("card.trace");
    (folder, path)
}

/// Returns the records without those of clocks, and the slots in gaps.
fn read(path: &std::path::Path) -> (Vec<Record>, u64) {
    let (_, items) = Reader::open(path).unwrap().read_all().unwrap();
    let mut gaps = 0;
    let records = items.into_iter().filter_map(|item| match item {
        Item::Record(record) => (record.kind != Kind::CLOCK).then_some(record),
        Item::Gap { slots } => {
            gaps += slots;
            None
        }
    });
    (records.collect(), gaps)
}

#[test]
fn every_kind_of_record_is_read_as_it_was_written() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, Settings { pcm: true, ..SETTINGS }).unwrap();
    let setup = Setup { size: 128, base: 7, descriptors: 0x1000, available: 0x2000, used: 0xffff_ffff_0000 };
    let pcm = [1_u8, 2, 3, 4, 5];
    let header = [9_u8; 32];
    let card = Source::CARD;
    writer.record(card, Head::rendered(-5, 100_000));
    writer.record(card, Head::status_page(77, 0x1_0002));
    writer.record(card, Head::access(Kind::REGISTER_READ, 0x4010, 4, 0xdead_beef, true));
    writer.record(card, Head::access(Kind::REGISTER_WRITE, 0x12345, 8, 1, false));
    writer.record(card, Head::access(Kind::CONFIG_WRITE, 4, 2, 6, true));
    writer.record(card, Head::identity_read(4, 156));
    writer.record(card, Head::features(0x1_3000_0000));
    writer.record_with(card, Head::queue_started(Queue::WAVE, 2), &[&setup.payload()]);
    writer.record(card, Head::queue_stopped(Queue::EVENT, 65_535));
    writer.record(card, Head::kicked(Queue::MIDI_OUT, 3));
    writer.record(card, Head::reset(9));
    writer.record(card, Head::disconnected());
    writer.record(card, Head::chain_taken(Queue::EVENT, 65_535, 40, true));
    writer.record_with(card, Head::chain_taken(Queue::CONTROL, 3, 16, false), &[b"request of more than a chunk"]);
    writer.record(card, Head::chain_returned(Queue::MIDI_OUT, 5, 0));
    writer.record_with(card, Head::chain_returned(Queue::CONTROL, 3, 20), &[b"answer", b"", b" in parts"]);
    writer.record_with(card, Head::wave_returned(Queue::WAVE, 1, 37), &[&pcm_hash(&pcm).to_le_bytes(), &header, &pcm]);
    writer.record(card, Head::interrupt(Queue::WAVE, true));
    writer.record_with(card, Head::fault_struck(), &["lost interrupt".as_bytes()]);
    let numbers = [1_u32, 2, 3].map(u32::to_le_bytes);
    writer.record_with(card, Head::driver_error(0x21, None), &[numbers.as_flattened()]);
    let start = CardStart {
        lockstep: true,
        vfio_user: false,
        voices: 64,
        render_block: 256,
        bank_bytes: 12_345,
        bank_sha256: [7; 32],
        bank: "of a test",
    };
    writer.record_with(card, Head::card(), &[&start.payload()]);
    writer.record(card, Head::skipped(96_000));
    let memory = memory_payload(&[(0, 0xa0000), (0x1_0000_0000, 1 << 30)]);
    writer.record_with(card, Head::memory(), &[&memory]);
    writer.record_with(Source::HARNESS, Head::command(), &[br#"{"cmd":"disarm-faults"}"#]);
    writer.record_with(Source::HARNESS, Head::mark(), &["take \u{266b} 1".as_bytes()]);
    let voice =
        VoiceStart { lane: 300, group: 999, channel: 9, note: 127, velocity: 1, instrument: 0x8000_0205, frame: -480 };
    writer.record_with(card, voice.head(), &[&voice.payload()]);
    writer.record(card, Head::voice_ended(300, 96_000));
    writer.record(Source::HARNESS, Head::recording(false));

    let (records, gaps) = read(&path);
    let acts: Vec<Act<'_>> = records.iter().map(Record::act).collect();
    assert_eq!(gaps, 0);
    assert_eq!(
        acts,
        [
            Act::Rendered { frame: -5, voices: u16::MAX },
            Act::StatusPage { frame: 77, sequence: 2 },
            Act::RegisterRead { offset: 0x4010, width: 4, value: 0xdead_beef, taken: true },
            Act::RegisterWrite { offset: 0xffff, width: 8, value: 1, taken: false },
            Act::ConfigWrite { offset: 4, width: 2, value: 6 },
            Act::IdentityRead { offset: 4, bytes: 156 },
            Act::Features { features: 0x1_3000_0000 },
            Act::QueueStarted { queue: Queue::WAVE, error: 2, setup },
            Act::QueueStopped { queue: Queue::EVENT, next: 65_535 },
            Act::Kicked { queue: Queue::MIDI_OUT, kicks: 3 },
            Act::Reset { resets: 9 },
            Act::Disconnected,
            Act::ChainTaken {
                queue: Queue::EVENT,
                head: 65_535,
                writable: 40,
                malformed: true,
                request: b"",
                cut: false
            },
            Act::ChainTaken {
                queue: Queue::CONTROL,
                head: 3,
                writable: 16,
                malformed: false,
                request: b"request of more than a chunk",
                cut: false
            },
            Act::ChainReturned { queue: Queue::MIDI_OUT, head: 5, written: 0, answer: b"", cut: false },
            Act::ChainReturned { queue: Queue::CONTROL, head: 3, written: 20, answer: b"answer in parts", cut: false },
            Act::WaveReturned {
                queue: Queue::WAVE,
                head: 1,
                written: 37,
                header: &header,
                hash: pcm_hash(&pcm),
                pcm: &pcm,
                cut: false
            },
            Act::Interrupt { queue: Queue::WAVE, raised: true },
            Act::FaultStruck { text: "lost interrupt" },
            Act::DriverError { code: 0x21, queue: None, place: 1, expected: 2, got: 3 },
            Act::Card(start),
            Act::Skipped { frames: 96_000 },
            Act::Memory { regions: &memory },
            Act::Command { text: r#"{"cmd":"disarm-faults"}"# },
            Act::Mark { text: "take \u{266b} 1" },
            Act::VoiceStarted(voice),
            Act::VoiceEnded { lane: 300, frame: 96_000 },
            Act::Recording { on: false },
        ]
    );
    assert_eq!(regions(&memory).collect::<Vec<_>>(), [(0, 0xa0000), (0x1_0000_0000, 1 << 30)]);
    assert_eq!(records.last().unwrap().source, Source::HARNESS);
    let times: Vec<i64> = records.iter().map(|record| record.time).collect();
    assert!(times.is_sorted() && times[0] >= 0, "{times:?}");
    assert_eq!(Reader::open(&path).unwrap().header().flags & FLAG_PCM, FLAG_PCM);
}

#[test]
fn chosen_records_are_copied_as_they_were_recorded() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    for number in 0..3000_u32 {
        let text = format!("mark number {number} {}", "x".repeat(number as usize % 40));
        writer.record_with(Source::HARNESS, Head::mark(), &[text.as_bytes()]);
        writer.record(Source::CARD, Head::kicked(Queue::WAVE, number.into()));
    }
    let (header, items) = Reader::open(&path).unwrap().read_all().unwrap();
    let all = items.into_iter().filter_map(|item| if let Item::Record(record) = item { Some(record) } else { None });
    let chosen: Vec<Record> = all.filter(|record| record.number % 3 == 0).collect();
    assert!(chosen.len() > 100, "the ring holds enough to choose from");
    let file = copy(&header, &chosen).unwrap();
    let (again, items) = Reader::of_bytes(file).unwrap().read_all().unwrap();
    let read: Vec<&Record> =
        items.iter().map(|item| if let Item::Record(record) = item { record } else { panic!("a gap") }).collect();
    assert_eq!(
        read.iter().map(|record| record.act()).collect::<Vec<_>>(),
        chosen.iter().map(Record::act).collect::<Vec<_>>()
    );
    assert_eq!((again.program, again.flags, again.overwritten), (header.program, header.flags, 0));
    let mark = chosen.iter().find(|record| record.kind == Kind::MARK).unwrap();
    let other = mark.with_payload(b"another".to_vec()).unwrap();
    assert_eq!((other.act(), other.time), (Act::Mark { text: "another" }, mark.time));
    let kick = chosen.iter().find(|record| record.kind == Kind::KICKED).unwrap();
    assert_eq!(kick.with_payload(vec![1]), None, "a kick has no payload");
}

#[test]
fn threads_lose_no_record_and_mix_none() {
    const THREADS: u64 = 4;
    const EACH: u64 = 400;
    let (_folder, path) = place();
    let writer = Writer::create(&path, Settings { size: 1 << 20, ..SETTINGS }).unwrap();
    let start = Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (writer, start) = (&writer, &start);
            scope.spawn(move || {
                start.wait();
                for index in 0..EACH {
                    let bytes = [thread as u8; 100];
                    writer.record_with(Source::CARD, Head::mark(), &[&bytes[..index as usize % 100]]);
                    writer.record(Source(thread as u8 + 8), Head::reset(index));
                }
            });
        }
    });
    let (records, gaps) = read(&path);
    assert_eq!((records.len() as u64, gaps), (2 * THREADS * EACH, 0));
    for thread in 0..THREADS {
        let of: Vec<u64> = records
            .iter()
            .filter(|record| record.source == Source(thread as u8 + 8))
            .map(|record| if let Act::Reset { resets } = record.act() { resets } else { panic!("{record:?}") })
            .collect();
        assert_eq!(of, (0..EACH).collect::<Vec<_>>());
    }
    let mixed =
        records.iter().filter_map(|record| if let Act::Mark { text } = record.act() { Some(text) } else { None });
    for text in mixed {
        assert!(text.bytes().all(|byte| Some(&byte) == text.as_bytes().first()), "{text:?}");
    }
}

#[test]
fn a_full_ring_keeps_the_latest_records_and_counts_the_others() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    for index in 0..10_000 {
        writer.record_with(
            Source::CARD,
            Head::mark(),
            &[format!("mark number {index}, longer than one chunk").as_bytes()],
        );
    }
    let (records, _) = read(&path);
    let last = records.last().map(Record::act);
    assert_eq!(last, Some(Act::Mark { text: "mark number 9999, longer than one chunk" }));
    let written = writer.written();
    assert!(written.records >= 10_000);
    let clocks = written.records - 10_000;
    let kept = records.len() as u64;
    // Records of clocks are few; each is before or after the edge of the ring.
    assert!((10_000 - kept..=10_000 - kept + clocks).contains(&written.overwritten), "{written:?}, {kept} kept");
    for (index, record) in records.iter().enumerate() {
        let number = 10_000 - records.len() + index;
        assert_eq!(record.act(), Act::Mark { text: &format!("mark number {number}, longer than one chunk") });
    }
}

#[test]
fn a_payload_that_is_too_long_is_cut_and_says_so() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    let long = vec![7; 100_000];
    writer.record_with(Source::CARD, Head::chain_taken(Queue::CONTROL, 0, 0, false), &[&long]);
    let (records, _) = read(&path);
    let Act::ChainTaken { request, cut, .. } = records[0].act() else { panic!("{records:?}") };
    assert!(cut && request.len() < long.len() && long.starts_with(request));
}

#[test]
fn a_record_that_was_not_finished_is_a_gap_and_ends_nothing() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    for index in 0..20 {
        writer.record(Source::CARD, Head::reset(index));
    }
    drop(writer);
    let mut bytes = fs::read(&path).unwrap();
    // The seals of two slots.
    for slot in [7, 8] {
        bytes[HEADER_BYTES + slot * SLOT_BYTES + 12] ^= 1;
    }
    let (_, items) = Reader::of_bytes(bytes).unwrap().read_all().unwrap();
    let gaps: Vec<usize> =
        items.iter().enumerate().filter(|(_, item)| **item == Item::Gap { slots: 2 }).map(|(at, _)| at).collect();
    assert_eq!((items.len(), gaps), (19, vec![7]));
}

#[test]
fn a_trace_is_followed_while_it_is_written() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    let resets = |items: &[Item]| -> Vec<u64> {
        let of = |item: &Item| match item {
            Item::Record(record) => match record.act() {
                Act::Reset { resets } => Some(resets),
                _ => None,
            },
            Item::Gap { .. } => None,
        };
        items.iter().filter_map(of).collect()
    };
    assert!(reader.read_new().unwrap().is_empty());
    writer.record(Source::CARD, Head::reset(1));
    assert_eq!(resets(&reader.read_new().unwrap()), [1]);
    // More than the ring holds between two looks.
    for index in 0..20_000 {
        writer.record(Source::CARD, Head::reset(index));
    }
    let items = reader.read_new().unwrap();
    assert!(matches!(items[0], Item::Gap { slots } if slots > 17_000), "{:?}", items[0]);
    assert_eq!(resets(&items).last(), Some(&19_999));
}

#[test]
fn a_trace_is_followed_while_another_thread_writes() {
    const RECORDS: u64 = 50_000;
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    let (mut last, mut read) = (None, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..RECORDS).for_each(|index| writer.record(Source::CARD, Head::reset(index))));
        while last != Some(RECORDS - 1) {
            for item in reader.read_new().unwrap() {
                let Item::Record(record) = item else { continue };
                let Act::Reset { resets } = record.act() else { continue };
                assert!(last.is_none_or(|last| resets > last), "{resets} after {last:?}");
                (last, read) = (Some(resets), read + 1);
            }
        }
    });
    assert!(read > 0 && reader.header().records() >= RECORDS, "{read}");
}

#[test]
fn what_is_no_trace_is_refused_with_the_reason() {
    let (_folder, path) = place();
    drop(Writer::create(&path, SETTINGS).unwrap());
    let whole = fs::read(&path).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        Reader::of_bytes(bytes).unwrap_err()
    };
    assert!(matches!(Reader::of_bytes(Vec::new()), Err(ReadError::Short { got: 0, .. })));
    assert!(matches!(Reader::of_bytes(whole[..whole.len() - 1].to_vec()), Err(ReadError::Short { .. })));
    assert!(matches!(with(0, b'X'), ReadError::Magic));
    assert!(matches!(with(8, 2), ReadError::Version { major: 2, .. }));
    for at in [12, 16, 24, 39, 48 - 1, 87] {
        assert!(matches!(with(at, 0x7d), ReadError::Field { .. }), "byte {at}");
    }
    assert!(matches!(Reader::open(&path.with_extension("none")), Err(ReadError::File(_))));
}

#[test]
fn a_trace_takes_the_place_of_a_file_and_of_nothing_else() {
    let (folder, path) = place();
    fs::write(&path, "old").unwrap();
    drop(Writer::create(&path, SETTINGS).unwrap());
    assert_eq!(Reader::open(&path).unwrap().header().program, "a test 1.0");
    let error = Writer::create(folder.path(), SETTINGS).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
    let error = Writer::create(&path, Settings { size: 1, ..SETTINGS }).unwrap_err();
    assert!(error.to_string().contains("65536"), "{error}");
}

#[test]
fn acts_of_a_device_are_read_as_they_were_written_and_say_what_the_device_says() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    let long = [7_u8; 300];
    let acts = [
        DeviceAct::Register {
            write: true,
            bar: 5,
            offset: 1 << 40,
            width: 8,
            value: u64::MAX,
            taken: true,
            words: "DATA = 0xffffffffffffffff",
        },
        DeviceAct::Register { write: false, bar: 0, offset: 2, width: 4, value: 9, taken: false, words: "" },
        DeviceAct::Reset { resets: 3, by: "function-level" },
        DeviceAct::Interrupt { words: "vector 2" },
        DeviceAct::Dma { write: false, address: 0x1000, bytes: 3, data: &[1, 2, 3], failed: false },
        DeviceAct::Dma { write: true, address: u64::MAX, bytes: 16, data: &[], failed: true },
        DeviceAct::Midi { sent: true, data: &[0x90, 60, 100] },
        DeviceAct::Midi { sent: false, data: &[] },
        DeviceAct::DriverError { words: "late: 5 ms" },
        DeviceAct::Log { line: "a machine has connected" },
    ];
    acts.iter().for_each(|act| writer.record_device(Source::CARD, act));
    writer.record_device(
        Source::CARD,
        &DeviceAct::Dma { write: true, address: 1, bytes: 300, data: &long, failed: false },
    );
    let (records, gaps) = read(&path);
    let read_back: Vec<Act<'_>> = records.iter().map(Record::act).collect();
    let mut expected: Vec<Act<'_>> = acts.into_iter().map(Act::Device).collect();
    let data = &long[..DMA_BYTES_MAX];
    expected.push(Act::Device(DeviceAct::Dma { write: true, address: 1, bytes: 300, data, failed: false }));
    assert_eq!((read_back, gaps), (expected, 0));
    let lines: Vec<String> = records.iter().map(|record| describe(&record.act(), Detail::Names)).collect();
    assert_eq!(lines[0], "write DATA = 0xffffffffffffffff");
    assert_eq!(lines[1], "read  BAR 0+0x0002, 4 bytes, 0x9: no register takes it");
    assert_eq!(lines[4], "DMA read  3 bytes at 0x1000: 01 02 03");
    assert!(lines[10].ends_with("07 ..."), "{}", lines[10]);
    assert_eq!(describe(&records[0].act(), Detail::Raw), "write BAR 5+0x10000000000 = 0xffffffffffffffff");
    let names: Vec<_> = records.iter().map(|record| record.kind.name().unwrap()).collect();
    let kinds = ["register-write", "register-read", "reset", "interrupt", "dma-read", "dma-write"];
    assert_eq!(names[..6], kinds);
}

#[test]
fn records_of_the_guest_are_read_as_they_were_made_at_their_ticks() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, SETTINGS).unwrap();
    writer.record(Source::CARD, Head::reset(1));
    let header = Reader::open(&path).unwrap().header().clone();
    let summary = MarksSummary { samples: 2, error_ticks: 3, error_ns: 4, marks: 5, overwritten: u64::MAX, unread: 6 };
    let driver = Routine { place: 0x1234, in_driver: true };
    let system = Routine { place: 0x8000_0001_2345, in_driver: false };
    let acts = [
        GuestAct::Marks(summary),
        GuestAct::Irql { processor: 1, old: 2, new: 15 },
        GuestAct::Isr { processor: 0, begins: true, vector: 0x91, level: 9, routine: driver },
        GuestAct::Isr { processor: 255, begins: false, vector: 0x91, level: 1, routine: driver },
        GuestAct::Dpc { processor: 1, begins: true, routine: system },
        GuestAct::Dpc { processor: 1, begins: false, routine: system },
        GuestAct::PutMessage { processor: 0, first: 0xf0, time: i64::MIN },
        GuestAct::PutEnd { processor: 0, events: 16, status: 0xc000_0001 },
        GuestAct::PoolPeak { processor: 0, bytes: u64::MAX },
    ];
    let now = HostMoment::now();
    let records: Vec<Record> =
        (now.ticks..).step_by(1000).zip(&acts).map(|(at, act)| Record::of_guest(at, act)).collect();
    let bytes = copy(&header, records.iter().chain([&Record::of_clock(now.ticks, now.nanoseconds)])).unwrap();
    let (_, items) = Reader::of_bytes(bytes).unwrap().read_all().unwrap();
    let read: Vec<&Record> = items
        .iter()
        .filter_map(|item| match item {
            Item::Record(record) if record.kind != Kind::CLOCK => Some(record),
            _ => None,
        })
        .collect();
    assert_eq!(read.iter().map(|record| record.act()).collect::<Vec<_>>(), acts.map(Act::Guest));
    assert!(read.iter().all(|record| record.source == Source::GUEST && record.time >= 0));
    let lines: Vec<String> = read.iter().map(|record| describe(&record.act(), Detail::Names)).collect();
    assert_eq!(lines[2], "processor 0: ISR driver+0x1234 begins at IRQL 9, vector 0x91");
    assert_eq!(lines[4], "processor 1: DPC 0xffff800000012345 begins");
    assert!(lines[0].contains("at most 3 ticks (4 ns) wrong by 2 samples"), "{}", lines[0]);
}
