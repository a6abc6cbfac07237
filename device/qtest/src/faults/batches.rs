//! Event batches and events that are malformed in every field.

use card_spec::control::{RequestCode, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::event::{BatchHeader, event_flag};
use card_spec::limits::{BATCH_BYTES_MAX, CHANNEL_GROUPS_DEFAULT, SYSEX_BYTES_MAX};
use card_spec::queue::Queue;
use zerocopy::IntoBytes;

use crate::driver::{CAPTURE, Driver, DriverState, RENDER, WAVE, event_header};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows, on};
use crate::ring::Piece;

/// Bytes of a batch's header.
const HEADER: u32 = size_of::<BatchHeader>() as u32;

const ROW: fn(Diagnosis) -> Expected = |diagnosis| on(Queue::MIDI_OUT, diagnosis);

/// A note.
const NOTE: &[u8] = &[0x90, 60, 100];

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("event batches");
    headers(&mut rows);
    streams(&mut rows);
    records(&mut rows);
    midi(&mut rows);
    fragments(&mut rows);
    rows.done()
}

/// Sends a batch of one note with other numbers in its header.
fn with_header(rows: &mut Rows, name: &str, diagnosis: Diagnosis, change: fn(&mut BatchHeader, u32)) {
    rows.add(format!("batch {name}"), DriverState::Playing, ROW(diagnosis), move |d| {
        let mut bytes = d.batch(RENDER, &[(0, 1, NOTE)]);
        let mut header = BatchHeader {
            stream: RENDER.into(),
            count: 1.into(),
            length: (bytes.len() as u32).into(),
            sequence: 0.into(),
        };
        change(&mut header, bytes.len() as u32);
        bytes[..HEADER as usize].copy_from_slice(header.as_bytes());
        d.send_bytes(&bytes)
    });
}

fn headers(rows: &mut Rows) {
    for bytes in [1, 15] {
        rows.add(
            format!("batch of {bytes} bytes"),
            DriverState::Playing,
            ROW(Diagnosis::READABLE_TOO_SHORT),
            move |d| d.send_bytes(&vec![0; bytes]),
        );
    }
    rows.add(
        "batch in a buffer for the card to write",
        DriverState::Playing,
        ROW(Diagnosis::READABLE_TOO_SHORT),
        |d| {
            let page = d.machine.ram.allocate(4096)?;
            d.machine.ring(Queue::MIDI_OUT).offer(&[Piece::writable(page, 4096)])?;
            d.machine.kick(Queue::MIDI_OUT)?;
            d.machine.wait(Queue::MIDI_OUT).map(|_| ())
        },
    );
    with_header(rows, "of length 0", Diagnosis::LENGTH, |header, _| header.length = 0.into());
    with_header(rows, "of length 15", Diagnosis::LENGTH, |header, _| header.length = (HEADER - 1).into());
    with_header(rows, "longer than its buffer", Diagnosis::LENGTH, |header, bytes| header.length = (bytes + 1).into());
    with_header(rows, "of length 2^32 - 1", Diagnosis::LENGTH, |header, _| header.length = u32::MAX.into());
    with_header(rows, "that counts two events and has one", Diagnosis::EVENT_MALFORMED, |header, _| {
        header.count = 2.into();
    });
    with_header(rows, "that counts 2^32 - 1 events", Diagnosis::EVENT_MALFORMED, |header, _| {
        header.count = u32::MAX.into();
    });
    with_header(rows, "that ends in the header of its event", Diagnosis::EVENT_MALFORMED, |header, _| {
        header.length = (HEADER + 8).into();
    });
    with_header(rows, "that ends in the data of its event", Diagnosis::EVENT_MALFORMED, |header, _| {
        header.length = (HEADER + 17).into();
    });
    rows.add("batch longer than the largest", DriverState::Playing, ROW(Diagnosis::LENGTH), |d| {
        let mut bytes = d.batch(RENDER, &[]);
        let length = BATCH_BYTES_MAX + 1;
        bytes.resize(length as usize, 0);
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        let at = d.machine.ram.place(&bytes)?;
        d.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(at, length)])?;
        d.machine.kick(Queue::MIDI_OUT)?;
        d.machine.wait(Queue::MIDI_OUT).map(|_| ())
    });
    rows.add("batch in a buffer of seventeen pages", DriverState::Playing, ROW(Diagnosis::LENGTH), |d| {
        let length = 17 * BATCH_BYTES_MAX;
        let at = d.machine.ram.allocate(length.into())?;
        d.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(at, length)])?;
        d.machine.kick(Queue::MIDI_OUT)?;
        d.machine.wait(Queue::MIDI_OUT).map(|_| ())
    });
    rows.add("batch that counts no events and has one", DriverState::Playing, Expected::NOTHING, |d| {
        let mut bytes = d.batch(RENDER, &[(0, 1, NOTE)]);
        bytes[4..8].fill(0);
        d.send_bytes(&bytes)
    });
    rows.add("batches whose numbers jump", DriverState::Playing, Expected::NOTHING, |d| {
        for sequence in [7, 0, u32::MAX, 3] {
            let mut bytes = d.batch(RENDER, &[(0, 1, NOTE)]);
            bytes[12..16].copy_from_slice(&sequence.to_le_bytes());
            d.send_bytes(&bytes)?;
        }
        Ok(())
    });
}

fn streams(rows: &mut Rows) {
    rows.add("batch before OPEN", DriverState::Started, ROW(Diagnosis::NO_SESSION), |d| {
        d.send(RENDER, &[(0, 1, NOTE)])
    });
    rows.add("batch after CLOSE", DriverState::Playing, ROW(Diagnosis::NO_SESSION), |d| {
        d.request(RequestCode::CLOSE, &[])?;
        d.send(RENDER, &[(0, 1, NOTE)])
    });
    for (name, stream) in [
        ("stream 5, not open", 5),
        ("stream 18", 18),
        ("stream 2^32 - 1", u32::MAX),
        ("the wave stream", WAVE),
        ("the capture stream", CAPTURE),
    ] {
        rows.add(format!("batch for {name}"), DriverState::Playing, ROW(Diagnosis::STREAM), move |d| {
            d.send(stream, &[(0, 1, NOTE)])
        });
    }
    rows.add("batch for a stream in STOP", DriverState::Playing, ROW(Diagnosis::STREAM_STATE), |d| {
        d.state(RENDER, StreamState::STOP)?;
        d.send(RENDER, &[(0, 1, NOTE)])
    });
    rows.add(
        "batch of 2^32 - 1 events for a stream in STOP",
        DriverState::Playing,
        ROW(Diagnosis::STREAM_STATE),
        |d| {
            d.state(RENDER, StreamState::STOP)?;
            let mut bytes = d.batch(RENDER, &[(0, 1, NOTE)]);
            bytes[4..8].fill(0xff);
            d.send_bytes(&bytes)
        },
    );
    rows.add("batch for a stream that was closed", DriverState::Playing, ROW(Diagnosis::STREAM), |d| {
        d.close_stream(RENDER)?;
        d.send(RENDER, &[(0, 1, NOTE)])
    });
}

/// Sends a batch of one record: its header's group, flags and length, and its data.
fn record(driver: &mut Driver, group: u16, flags: u16, length: u16, data: &[u8]) -> Result {
    let mut bytes = driver.batch(RENDER, &[]);
    bytes.extend_from_slice(event_header(0, group, flags, length).as_bytes());
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let length = bytes.len() as u32;
    bytes[4..8].copy_from_slice(&1_u32.to_le_bytes());
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    driver.send_bytes(&bytes)
}

fn records(rows: &mut Rows) {
    let malformed = ROW(Diagnosis::EVENT_MALFORMED);
    rows.add("event without data", DriverState::Playing, malformed, |d| record(d, 1, 0, 0, NOTE));
    rows.add("event with one byte more than its batch", DriverState::Playing, malformed, |d| record(d, 1, 0, 9, NOTE));
    rows.add("event with 65535 bytes", DriverState::Playing, malformed, |d| record(d, 1, 0, u16::MAX, NOTE));
    for group in [CHANNEL_GROUPS_DEFAULT + 1, 0x8000, u16::MAX] {
        let expected = ROW(Diagnosis::EVENT_GROUP);
        rows.add(format!("event for group {group} of 2"), DriverState::Playing, expected, move |d| {
            record(d, group, 0, 3, NOTE)
        });
    }
    rows.add("event with unknown flags", DriverState::Playing, Expected::NOTHING, |d| {
        record(d, 1, !event_flag::INCOMPLETE, 3, NOTE)
    });
    rows.add("events at both ends of time, to every group", DriverState::Playing, Expected::NOTHING, |d| {
        d.send(RENDER, &[(i64::MIN, 0, NOTE), (i64::MAX, 0, NOTE), (-1, 1, NOTE), (1 << 62, 2, NOTE)])?;
        d.record(64).map(|_| ())
    });
    rows.add("one wrong event among good ones", DriverState::Playing, ROW(Diagnosis::EVENT_GROUP), |d| {
        d.send(RENDER, &[(0, 1, NOTE), (0, 9, NOTE), (0, 1, NOTE)])
    });
    rows.add("a wrong event in every place of a full batch", DriverState::Playing, ROW(Diagnosis::EVENT_MIDI), |d| {
        d.send(RENDER, &[(0, 1, &[0x90_u8, 60][..]); 170])
    });
}

fn midi(rows: &mut Rows) {
    let wrong: [(&str, &'static [u8]); 11] = [
        ("running status", &[60, 100]),
        ("note without velocity", &[0x90, 60]),
        ("note with a byte too many", &[0x90, 60, 100, 0]),
        ("note with velocity 128", &[0x90, 60, 128]),
        ("program change of three bytes", &[0xc0, 1, 2]),
        ("system exclusive without end", &[0xf0, 1]),
        ("system exclusive with a byte above 127", &[0xf0, 0x80, 0xf7]),
        ("end of system exclusive alone", &[0xf7]),
        ("undefined status f4", &[0xf4]),
        ("undefined status fd", &[0xfd]),
        ("two notes in one event", &[0x90, 60, 100, 0x90, 61, 100]),
    ];
    for (name, data) in wrong {
        rows.add(format!("event of {name}"), DriverState::Playing, ROW(Diagnosis::EVENT_MIDI), move |d| {
            d.send(RENDER, &[(0, 1, data)])
        });
    }
    rows.add("every controller at both ends, on every channel", DriverState::Playing, Expected::NOTHING, |d| {
        for channel in 0..16 {
            let messages: Vec<[u8; 3]> = (0..128).map(|number| [0xb0 | channel, number, 127 * (number & 1)]).collect();
            let events: Vec<(i64, u16, &[u8])> = messages.iter().map(|data| (0, 0, data.as_slice())).collect();
            d.send(RENDER, &events)?;
        }
        d.send(RENDER, &[(0, 0, NOTE)])?;
        d.record(64).map(|_| ())
    });
}

fn fragments(rows: &mut Rows) {
    rows.add(
        "system exclusive of more than 64 KiB in fragments",
        DriverState::Playing,
        ROW(Diagnosis::EVENT_MALFORMED),
        |d| {
            record(d, 1, event_flag::INCOMPLETE, 1, &[0xf0])?;
            for _ in 0..=SYSEX_BYTES_MAX / 4000 {
                record(d, 1, event_flag::INCOMPLETE, 4000, &[1; 4000])?;
            }
            Ok(())
        },
    );
    rows.add(
        "system exclusive without end on every group and stream",
        DriverState::Open,
        ROW(Diagnosis::EVENT_MALFORMED),
        |d| {
            use card_spec::control::{PortParameters, StreamKind, port_parameter};
            use zerocopy::FromZeros;
            let valid = port_parameter::CHANNEL_GROUPS.into();
            let requested = PortParameters { valid, channel_groups: 64.into(), ..PortParameters::new_zeroed() };
            d.request_with(RequestCode::PARAMETERS, &requested)?;
            d.open_stream(RENDER, StreamKind::RENDER)?;
            d.state(RENDER, StreamState::RUN)?;
            for group in 1..=64 {
                record(d, group, event_flag::INCOMPLETE, 1, &[0xf0])?;
                for _ in 0..4 {
                    record(d, group, event_flag::INCOMPLETE, 4000, &[1; 4000])?;
                }
            }
            Ok(())
        },
    );
    rows.add(
        "fragments that are no message when put together",
        DriverState::Playing,
        ROW(Diagnosis::EVENT_MIDI),
        |d| {
            record(d, 1, event_flag::INCOMPLETE, 2, &[0xf0, 1])?;
            record(d, 1, 0, 2, &[0x90, 60])
        },
    );
    rows.add("note amid the fragments of a message", DriverState::Playing, ROW(Diagnosis::EVENT_MIDI), |d| {
        record(d, 1, event_flag::INCOMPLETE, 2, &[0xf0, 1])?;
        record(d, 1, 0, 3, NOTE)
    });
}
