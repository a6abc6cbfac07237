//! What tools need of payloads: codes, events and spans, without the bytes around them.

use std::fmt;

use card_spec::control::{RequestCode, RequestHeader, ResponseHeader, Status};
use card_spec::diagnosis::Diagnosis;
use card_spec::event::{BatchHeader, EventHeader, record_bytes};
use card_spec::notice::{Notice, NoticeKind};
use card_spec::queue::Queue;
use card_spec::wave::{WaveHeader, WaveStatus};
use zerocopy::FromBytes;

/// An event of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'r> {
    /// The stream of the batch.
    pub stream: u32,
    /// Its time in 100 ns units of the master clock.
    pub time: i64,
    /// Its channel group; 0 means all.
    pub group: u16,
    /// Its message.
    pub data: &'r [u8],
}

/// Returns the events of a batch, as far as the batch holds them.
pub fn events(batch: &[u8]) -> impl Iterator<Item = Event<'_>> {
    let header = BatchHeader::read_from_prefix(batch).ok().map(|(header, _)| header);
    let (stream, count) = header.map_or((0, 0), |header| (header.stream.get(), header.count.get()));
    let mut offset = size_of::<BatchHeader>();
    (0..count).map_while(move |_| {
        let (event, data) = EventHeader::read_from_prefix(batch.get(offset..)?).ok()?;
        let data = data.get(..usize::from(event.length.get()))?;
        offset = offset.saturating_add(record_bytes(data.len()));
        Some(Event { stream, time: event.time.get(), group: event.channel_group.get(), data })
    })
}

/// The frames of a wave buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaveSpan {
    /// The name of its status.
    pub status: WaveStatus,
    /// The first frame.
    pub position: u64,
    /// How many frames.
    pub frames: u32,
    /// Master time of the first frame in 100 ns units.
    pub master_time: i64,
}

/// Returns the frames that the header of a wave buffer tells of.
#[must_use]
pub fn wave_span(header: &[u8]) -> Option<WaveSpan> {
    let (header, _) = WaveHeader::read_from_prefix(header).ok()?;
    Some(WaveSpan {
        status: WaveStatus(header.status.get()),
        position: header.position.get(),
        frames: header.frames.get(),
        master_time: header.master_time.get(),
    })
}

/// A notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeSpan {
    /// Its kind.
    pub kind: NoticeKind,
    /// The stream that it is about.
    pub stream: u32,
    /// Its value, as the kind defines it.
    pub value: u64,
    /// The error that it is about, if it is about one.
    pub code: Diagnosis,
}

impl fmt::Display for NoticeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "notice {}, stream {}, value {}", self.kind, self.stream, self.value)?;
        if self.kind == NoticeKind::DIAGNOSED { write!(f, ", {}", self.code) } else { Ok(()) }
    }
}

/// Returns what a notice says, without its number and time.
#[must_use]
pub fn notice(bytes: &[u8]) -> Option<NoticeSpan> {
    let (notice, _) = Notice::read_from_prefix(bytes).ok()?;
    Some(NoticeSpan {
        kind: NoticeKind(notice.kind.get()),
        stream: notice.stream.get(),
        value: notice.value.get(),
        code: Diagnosis(notice.code.get()),
    })
}

/// Returns the header and the payload of a request.
pub(crate) fn request_header(bytes: &[u8]) -> Option<(RequestHeader, &[u8])> {
    RequestHeader::read_from_prefix(bytes).ok()
}

/// Returns the code of a request.
#[must_use]
pub fn request_code(request: &[u8]) -> Option<RequestCode> {
    request_header(request).map(|(header, _)| RequestCode(header.code.get()))
}

/// Returns the status of an answer of the control queue.
#[must_use]
pub fn answer_status(answer: &[u8]) -> Option<Status> {
    ResponseHeader::read_from_prefix(answer).ok().map(|(header, _)| Status(header.status.get()))
}

/// Returns the name of a queue, as the harness and the card's log use it.
#[must_use]
pub fn queue_name(queue: Queue) -> String {
    match queue {
        Queue::CONTROL => "control".into(),
        Queue::MIDI_OUT => "midi-out".into(),
        Queue::MIDI_IN => "midi-in".into(),
        Queue::WAVE => "wave".into(),
        Queue::EVENT => "event".into(),
        Queue(other) => format!("queue {other}"),
    }
}
