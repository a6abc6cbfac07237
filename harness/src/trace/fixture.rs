//! Traces for tests of this folder.

use card_trace::{Head, Queue, Reader, Record, SIZE_MIN, Settings, Source, Writer};

use super::read::Trace;
use crate::host::leftovers::Scratch;

/// Returns the trace of what `record` records.
pub(super) fn trace(record: impl FnOnce(&Writer)) -> Trace {
    let folder = Scratch::new().unwrap();
    let path = folder.path().join("card.trace");
    write(&path, record);
    assert!(Reader::open(&path).is_ok());
    Trace::read(folder.path()).unwrap()
}

/// Writes a trace of what `record` records.
pub(super) fn write(path: &std::path::Path, record: impl FnOnce(&Writer)) {
    record(&Writer::create(path, Settings { size: SIZE_MIN, pcm: false, program: "a test" }).unwrap());
}

/// Returns three records: a kick, a chain of the control queue without a payload, and a mark of the harness in slots 2 and 3.
pub(super) fn records() -> Vec<Record> {
    let trace = trace(|writer| {
        writer.record(Source::CARD, Head::kicked(Queue::CONTROL, 1));
        writer.record(Source::CARD, Head::chain_taken(Queue::CONTROL, 5, 16, false));
        writer.record_with(Source::HARNESS, Head::mark(), &[b"second take"]);
    });
    trace.records
}

/// Returns a batch of events of stream 1.
pub(super) fn batch(events: &[(i64, [u8; 3])]) -> Vec<u8> {
    let mut batch = Vec::new();
    for number in [1, events.len() as u32, 16 + 24 * events.len() as u32, 0] {
        batch.extend(number.to_le_bytes());
    }
    for (time, data) in events {
        batch.extend(time.to_le_bytes());
        batch.extend([1, 0, 0, 0, 3, 0, 0, 0]);
        batch.extend(data);
        batch.extend([0; 5]);
    }
    batch
}

/// Returns the header of a wave buffer.
pub(super) fn wave(position: u64, master_time: i64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(0_u32.to_le_bytes());
    header.extend(480_u32.to_le_bytes());
    header.extend(position.to_le_bytes());
    header.extend(master_time.to_le_bytes());
    header.extend(0_u64.to_le_bytes());
    header
}
