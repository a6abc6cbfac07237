//! Batches of events.

use card_spec::event::{BatchHeader, EventHeader, record_bytes};
use zerocopy::FromBytes;

use super::Detail;

/// Most lines of events of one batch: as many as the least events that the largest batch holds.
const EVENTS_MAX: u32 = 256;

/// Describes a batch; with [`Detail::Full`] each event has a line.
pub(super) fn describe(bytes: &[u8], detail: Detail) -> String {
    let Ok((header, _)) = BatchHeader::read_from_prefix(bytes) else {
        return format!("{} bytes, too few for a batch", bytes.len());
    };
    let count = header.count.get();
    let events = if count == 1 { "event" } else { "events" };
    let mut text = format!("batch {} of stream {}: {count} {events}", header.sequence, header.stream);
    if detail < Detail::Full && count != 1 {
        return text;
    }
    let mut offset = size_of::<BatchHeader>();
    for index in 0..count.min(EVENTS_MAX) {
        let rest = bytes.get(offset..).unwrap_or_default();
        let read = EventHeader::read_from_prefix(rest).ok();
        let event = read.and_then(|(event, data)| Some((event, data.get(..usize::from(event.length.get()))?)));
        let Some((event, data)) = event else {
            text += &format!("\nevent {index} runs past the batch");
            break;
        };
        let line = format!("at {} group {}: {}", event.time, event.channel_group, hex(data));
        text += &if count == 1 { format!(", {line}") } else { format!("\n{line}") };
        offset = offset.saturating_add(record_bytes(data.len()));
    }
    text
}

/// Most bytes of a message that are shown.
const SHOWN: usize = 16;

fn hex(data: &[u8]) -> String {
    let shown: Vec<String> = data.iter().take(SHOWN).map(|byte| format!("{byte:02x}")).collect();
    let more = data.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(" ") } else { format!("{} and {more} bytes", shown.join(" ")) }
}
