//! A reader of traces that were changed: an error or fewer records, and never more than there were.

use card_spec::queue::Queue;
use card_trace::{
    Detail, HEADER_BYTES, Head, Item, Kind, Reader, SIZE_MIN, Settings, Source, VoiceStart, Writer, copy, describe,
};
use card_trace::{GuestAct, MarksSummary, Record, Routine};

/// The numbers of a generator by Marsaglia, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

fn trace() -> Vec<u8> {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("card.trace");
    let writer = Writer::create(&path, Settings { size: SIZE_MIN, pcm: false, program: "a test" }).unwrap();
    let mut request = vec![1_u8, 0, 0, 0, 24, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 1, 0, 0, 0];
    request.resize(40, 5);
    let batch = [
        1_u8, 0, 0, 0, 2, 0, 0, 0, 80, 0, 0, 0, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0x90, 60,
        100,
    ];
    for index in 0..700 {
        writer.record(Source::CARD, Head::access(Kind::REGISTER_READ, index, 4, 1, true));
        writer.record_with(Source::CARD, Head::chain_taken(Queue::CONTROL, 1, 16, false), &[&request]);
        writer.record_with(Source::CARD, Head::chain_taken(Queue::MIDI_OUT, 1, 0, false), &[&batch]);
        writer.record_with(Source::CARD, Head::chain_returned(Queue::CONTROL, 1, 30), &[&request]);
        let (lane, frame) = (index as u16, index as i64);
        let voice = VoiceStart { lane, group: 0, channel: 1, note: 60, velocity: 100, instrument: 5, frame };
        writer.record_with(Source::CARD, voice.head(), &[&voice.payload()]);
        writer.record(Source::CARD, Head::voice_ended(lane, frame + 480));
    }
    std::fs::read(path).unwrap()
}

#[test]
fn no_change_of_a_file_makes_the_reader_panic_or_find_more_than_it_holds() {
    let whole = trace();
    let slots = (whole.len() - HEADER_BYTES) / 24;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=dice.roll(40) {
            // Half of the changes in the fields of the header, of which there are few.
            let at = if dice.roll(2) == 0 { dice.roll(128) } else { dice.roll(bytes.len()) };
            bytes[at] ^= 1 << dice.roll(8);
        }
        if dice.roll(4) == 0 {
            bytes.truncate(dice.roll(bytes.len()));
        }
        let Ok((_, items)) = Reader::of_bytes(bytes).and_then(Reader::read_all) else { continue };
        read += 1;
        let records = items.iter().filter_map(|item| if let Item::Record(record) = item { Some(record) } else { None });
        let mut count = 0;
        for record in records {
            count += 1;
            for detail in [Detail::Raw, Detail::Names, Detail::Full] {
                assert!(!describe(&record.act(), detail).is_empty());
            }
        }
        assert!(count <= slots, "{count} records in {slots} slots");
    }
    assert!(read > 10, "only {read} of the changed files were read: the rest were refused by their headers");
}

#[test]
fn records_are_described_with_names_and_members() {
    let items = Reader::of_bytes(trace()).unwrap().read_all().unwrap().1;
    let lines: Vec<String> = items
        .iter()
        .filter_map(
            |item| if let Item::Record(record) = item { Some(describe(&record.act(), Detail::Full)) } else { None },
        )
        .collect();
    let has = |text: &str| assert!(lines.iter().any(|line| line.contains(text)), "{text}: {:#?}", &lines[..8]);
    has("control takes chain 1: OPEN session 0x505050505050505, ABI 1.0\ntag 0x909090909090909, 24 bytes of payload");
    has("midi-out takes chain 1: batch 0 of stream 1: 2 events\nat ");
    has("group 1: 90 3c 64\nevent 1 runs past the batch");
    has("control returns chain 1: ALTERED, 24 bytes, tag 0x909090909090909");
}

#[test]
fn no_change_of_a_file_of_marks_makes_the_reader_panic_or_a_record_without_words() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("card.trace");
    drop(Writer::create(&path, Settings { size: SIZE_MIN, pcm: false, program: "a test" }).unwrap());
    let header = Reader::open(&path).unwrap().header().clone();
    let routine = Routine { place: 0x1234, in_driver: true };
    let acts = [
        GuestAct::Marks(MarksSummary::default()),
        GuestAct::Irql { processor: 1, old: 2, new: 9 },
        GuestAct::Isr { processor: 0, begins: true, vector: 0x91, level: 9, routine },
        GuestAct::Dpc { processor: 0, begins: false, routine },
        GuestAct::PutMessage { processor: 0, first: 0x90, time: 5 },
        GuestAct::PutEnd { processor: 0, events: 1, status: 0 },
        GuestAct::PoolPeak { processor: 0, bytes: 4096 },
    ];
    let records: Vec<Record> = (0..100).flat_map(|at| acts.map(|act| Record::of_guest(at, &act))).collect();
    let whole = copy(&header, &records).unwrap();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for _ in 0..300 {
        let mut bytes = whole.clone();
        for _ in 0..=dice.roll(60) {
            // In the slots, of which the first hold the records.
            let at = HEADER_BYTES + dice.roll(24 * 800);
            bytes[at] ^= 1 << dice.roll(8);
        }
        let (_, items) = Reader::of_bytes(bytes).unwrap().read_all().unwrap();
        for item in &items {
            let Item::Record(record) = item else { continue };
            assert!(!describe(&record.act(), Detail::Full).is_empty());
        }
    }
}
