//! A trace for Wireshark: pcapng with a link type for private use, each record with its words as a comment.
//!
//! Source: IETF, "PCAP Next Generation (pcapng) Capture File Format", draft-ietf-opsawg-pcapng.

use card_trace::{Detail, describe};

use super::read::Trace;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// `LINKTYPE_USER0`: a record as 1 byte kind, 1 byte source, 2 bytes number, 8 bytes last word, and its payload.
const LINK_TYPE: u16 = 147;
const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_NAME: u16 = 2;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_APPLICATION: u16 = 4;
/// Time stamps in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Returns the bytes of a capture file.
#[must_use]
pub fn pcapng(trace: &Trace) -> Vec<u8> {
    let mut file = Vec::new();
    let mut section = Vec::new();
    section.extend(BYTE_ORDER_MAGIC.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    // The length of the section is not said.
    section.extend(u64::MAX.to_le_bytes());
    option(&mut section, OPTION_APPLICATION, trace.header.program.as_bytes());
    option(&mut section, OPTION_END, &[]);
    block(&mut file, SECTION_HEADER, &section);

    let mut interface = Vec::new();
    interface.extend(LINK_TYPE.to_le_bytes());
    interface.extend(0_u16.to_le_bytes());
    // No limit on the length of a packet.
    interface.extend(0_u32.to_le_bytes());
    option(&mut interface, OPTION_NAME, b"DirectMusic card");
    option(&mut interface, OPTION_RESOLUTION, &[NANOSECONDS]);
    option(&mut interface, OPTION_END, &[]);
    block(&mut file, INTERFACE, &interface);

    for record in &trace.records {
        let (number, last, payload) = record.raw();
        let mut data = vec![record.kind.0, record.source.0];
        data.extend(number.to_le_bytes());
        data.extend(last.to_le_bytes());
        data.extend(payload);
        let time = trace.header.since_epoch.saturating_add_signed(record.time);
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let mut packet = Vec::new();
        packet.extend(0_u32.to_le_bytes());
        packet.extend(((time >> 32) as u32).to_le_bytes());
        packet.extend((time as u32).to_le_bytes());
        packet.extend(length.to_le_bytes());
        packet.extend(length.to_le_bytes());
        padded(&mut packet, &data);
        option(&mut packet, OPTION_COMMENT, describe(&record.act(), Detail::Names).as_bytes());
        option(&mut packet, OPTION_END, &[]);
        block(&mut file, PACKET, &packet);
    }
    file
}

fn padded(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(bytes);
    into.resize(into.len().next_multiple_of(4), 0);
}

fn option(into: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    into.extend(code.to_le_bytes());
    into.extend((value.len() as u16).to_le_bytes());
    padded(into, value);
}

fn block(into: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() + 12) as u32;
    into.extend(kind.to_le_bytes());
    into.extend(length.to_le_bytes());
    into.extend(body);
    into.extend(length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture::trace;

    #[test]
    fn blocks_follow_each_other_and_have_their_length_at_both_ends() {
        let trace = trace(|writer| {
            for text in ["a", "four", "more than a chunk of it"] {
                writer.record_with(card_trace::Source::HARNESS, card_trace::Head::mark(), &[text.as_bytes()]);
            }
        });
        let file = pcapng(&trace);
        let word = |at: usize| u32::from_le_bytes(*file[at..].first_chunk().unwrap());
        let mut kinds = Vec::new();
        let mut at = 0;
        while at < file.len() {
            let length = word(at + 4) as usize;
            assert!(length.is_multiple_of(4) && word(at + length - 4) as usize == length);
            kinds.push(word(at));
            at += length;
        }
        assert_eq!(kinds, [SECTION_HEADER, INTERFACE, PACKET, PACKET, PACKET]);
    }
}
