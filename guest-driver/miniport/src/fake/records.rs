//! Requests and batches that the fake card has taken.

use std::vec::Vec;

use card_spec::control::RequestCode;
use card_spec::event::{BatchHeader, EventHeader, event_flag, record_bytes};
use card_spec::limits;
use zerocopy::FromBytes;

/// A request that the card has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its code.
    pub code: RequestCode,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// An event that the card has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlayedEvent {
    /// Its presentation time, in 100 ns units of master time.
    pub time: i64,
    /// Its channel group.
    pub channel_group: u16,
    /// More of it follows.
    pub incomplete: bool,
    /// Its data.
    pub data: Vec<u8>,
}

/// A batch that the card has taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The stream.
    pub stream: u32,
    /// The number of the batch, counted by the driver.
    pub sequence: u32,
    /// The events.
    pub events: Vec<PlayedEvent>,
}

/// Reads a batch from the bytes of a chain, and checks that it is well-formed.
pub(super) fn parse_batch(bytes: &[u8]) -> Batch {
    let (header, mut rest) = BatchHeader::read_from_prefix(bytes).unwrap();
    assert_eq!(header.length.get() as usize, bytes.len(), "the length is the batch's");
    assert!(bytes.len() <= limits::BATCH_BYTES_MAX as usize);
    let mut events = Vec::new();
    for _ in 0..header.count.get() {
        let (record, data) = EventHeader::read_from_prefix(rest).unwrap();
        let length = usize::from(record.length.get());
        assert!(length != 0, "an event has data");
        events.push(PlayedEvent {
            time: record.time.get(),
            channel_group: record.channel_group.get(),
            incomplete: record.flags.get() & event_flag::INCOMPLETE != 0,
            data: data[..length].to_vec(),
        });
        rest = &rest[record_bytes(length)..];
    }
    assert!(rest.is_empty(), "nothing but records");
    Batch { stream: header.stream.get(), sequence: header.sequence.get(), events }
}
