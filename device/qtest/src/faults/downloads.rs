//! DLS downloads that are malformed in every field, too large, or too many.

use card_spec::control::{DownloadResponse, PortParameters, RequestCode, Status, port_parameter};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{DOWNLOAD_BYTES_MAX, DOWNLOAD_MEMORY_BYTES, DOWNLOADS_MAX};
use card_spec::queue::Queue;
use zerocopy::FromZeros;

use crate::driver::{Driver, DriverState, RESPONSE_HEADER};
use crate::failure::{Failure, Result, expect, expect_at_most};
use crate::fault::{Expected, Fault, Rows, on};

/// `DMUS_DOWNLOADINFO.dwDLType` of an instrument of DLS level 2, and of a wave.
const INSTRUMENT: u32 = 3;
const WAVE: u32 = 2;

/// `DMUS_DOWNLOADINFO.dwDLType` of a wave's articulation.
const WAVE_ARTICULATION: u32 = 4;

/// Bytes of private memory by which downloads may let the card grow: the download memory of its identity block, the copy
/// of a request, and as much again for the allocator.
const GROWTH_MAX: u64 = 2 * (DOWNLOAD_MEMORY_BYTES as u64 + DOWNLOAD_BYTES_MAX as u64);

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("downloads");
    malformed(&mut rows);
    many(&mut rows);
    rows.done()
}

/// `DMUS_DOWNLOADINFO`, the offset table and structures in table order.
pub(super) fn buffer(kind: u32, id: u32, structures: &[Vec<u8>]) -> Vec<u8> {
    let mut offset = 16 + 4 * structures.len();
    let mut head = vec![kind, id, structures.len() as u32, 0];
    for structure in structures {
        head.push(offset as u32);
        offset += structure.len().next_multiple_of(4);
    }
    head[3] = offset as u32;
    let mut bytes = words(&head);
    for structure in structures {
        bytes.extend_from_slice(structure);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn halves(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// `DMUS_WAVE` of so many samples, 16 bits, mono, 48 kHz.
pub(super) fn wave(id: u32, samples: usize) -> Vec<u8> {
    let data = [words(&[2 * samples as u32]), vec![0x11; 2 * samples]].concat();
    buffer(WAVE, id, &[wave_header(1, 48_000, 16), data])
}

/// Returns its header: index of the next extension, copyright, of its data, and a `WAVEFORMATEX`.
fn wave_header(channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let frame = channels.wrapping_mul(bits / 8);
    [
        words(&[0, 0, 1]),
        halves(&[1, channels]),
        words(&[rate, rate.wrapping_mul(frame.into())]),
        halves(&[frame, bits, 0, 0]),
    ]
    .concat()
}

/// `DMUS_REGION` over all keys: the index of the next one, of its articulation, and the wave's id.
fn region(next: u32, articulation: u32, wave: u32) -> Vec<u8> {
    [
        halves(&[0, 127, 0, 127, 0, 0]),
        words(&[articulation, next, 0]),
        halves(&[0, 0]),
        words(&[1, wave, 20]),
        halves(&[60, 0]),
        words(&[0, 0, 0, 0, 0, 0, 0]),
    ]
    .concat()
}

/// Sends a download buffer.
fn send(driver: &mut Driver, bytes: &[u8]) -> Result<(Status, DownloadResponse)> {
    let response = driver.request(RequestCode::DLS_DOWNLOAD, bytes)?;
    let answer = if response.payload.is_empty() { DownloadResponse::new_zeroed() } else { response.read()? };
    Ok((response.status, answer))
}

/// Sends a download buffer that must be accepted, and returns its handle.
pub(super) fn take(driver: &mut Driver, bytes: &[u8]) -> Result<u32> {
    let (status, answer) = send(driver, bytes)?;
    expect("a download's status", &Status::OK, &status)?;
    Ok(answer.handle.get())
}

fn malformed(rows: &mut Rows) {
    let mut bad = |name: &str, reason: u32, make: fn() -> Vec<u8>| {
        let expected = on(Queue::CONTROL, Diagnosis::DOWNLOAD);
        rows.add(format!("download {name}"), DriverState::Open, expected, move |d| {
            let (status, answer) = send(d, &make())?;
            expect("its status", &Status::MALFORMED, &status)?;
            expect("its reason", &reason, &answer.reason.get())?;
            expect("its handle", &0, &answer.handle.get())
        });
    };
    bad("of no bytes", 1, Vec::new);
    bad("of fifteen bytes", 1, || vec![0; 15]);
    bad("that says a size of 15", 1, || patched(12, 15));
    bad("that says a size of 2^32 - 1", 1, || patched(12, u32::MAX));
    bad("with an empty offset table", 2, || patched(8, 0));
    bad("with 2^30 entries in its offset table", 2, || patched(8, 1 << 30));
    bad("with 2^32 - 1 entries in its offset table", 2, || patched(8, u32::MAX));
    bad("whose first offset points into the table", 2, || patched(16, 16));
    bad("whose second offset is odd", 2, || patched(20, 41));
    bad("whose second offset is beyond its end", 3, || patched(20, 0x1000_0000));
    bad("of kind 0", 8, || patched(0, 0));
    bad("of kind 2^32 - 1", 8, || patched(0, u32::MAX));
    bad("of a wave whose data has index 9 of 2", 4, || patched(24 + 8, 9));
    bad("of a wave whose data is longer than the buffer", 3, || {
        let mut bytes = wave(1, 10);
        let at = 24 + wave_header(1, 48_000, 16).len();
        bytes[at..at + 4].fill(0xff);
        bytes
    });
    bad("of a wave of three channels", 7, || buffer(WAVE, 1, &[wave_header(3, 48_000, 16), words(&[4, 0])]));
    bad("of a wave of 7 bits", 7, || buffer(WAVE, 1, &[wave_header(1, 48_000, 7), words(&[4, 0])]));
    bad("of a wave of 0 Hz", 7, || buffer(WAVE, 1, &[wave_header(1, 0, 16), words(&[4, 0])]));
    bad("of a wave cut off in its format", 3, || buffer(WAVE, 1, &[words(&[0, 0, 1])]));
    bad("of an instrument whose wave is not there", 6, || {
        buffer(INSTRUMENT, 9, &[words(&[0, 1, 0, 0, 0, 0]), region(0, 0, 77)])
    });
    bad("of an instrument whose regions loop", 5, || {
        buffer(INSTRUMENT, 9, &[words(&[0, 1, 0, 0, 0, 0]), region(1, 0, 77)])
    });
    bad("of an instrument whose region has index 50", 4, || buffer(INSTRUMENT, 9, &[words(&[0, 50, 0, 0, 0, 0])]));
    bad("of an instrument whose region is cut off", 3, || {
        buffer(INSTRUMENT, 9, &[words(&[0, 1, 0, 0, 0, 0]), words(&[0, 0])])
    });
    bad("of an instrument whose articulations loop", 5, || {
        buffer(INSTRUMENT, 9, &[words(&[0, 0, 1, 0, 0, 0]), words(&[0, 0, 1])])
    });
    bad("of an instrument with 2^32 - 1 connections", 3, || {
        buffer(INSTRUMENT, 9, &[words(&[0, 0, 1, 0, 0, 0]), words(&[2, 0, 0]), words(&[8, u32::MAX])])
    });
    bad("of a wave's articulation without buffers", 10, || {
        buffer(WAVE_ARTICULATION, 9, &[[words(&[1, 0, 0, 0]), halves(&[0, 0])].concat(), words(&[0])])
    });
    bad("of a wave's articulation with 2^31 buffers", 3, || {
        buffer(WAVE_ARTICULATION, 9, &[[words(&[1, 0, 1 << 31, 0]), halves(&[0, 0])].concat(), words(&[0])])
    });
    rows.add(
        "download one byte longer than the largest",
        DriverState::Open,
        on(Queue::CONTROL, Diagnosis::LENGTH),
        |d| {
            let (status, _) = send(d, &vec![0; DOWNLOAD_BYTES_MAX as usize + 1])?;
            expect("its status", &Status::MALFORMED, &status)
        },
    );
}

/// Returns a small wave with one word changed.
fn patched(at: usize, word: u32) -> Vec<u8> {
    let mut bytes = wave(1, 10);
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    bytes
}

/// Sends `count` downloads, and checks that the card does not grow beyond its download memory.
fn bounded(driver: &mut Driver, count: usize, mut make: impl FnMut(u32) -> Vec<u8>) -> Result {
    let before = driver.machine.card.process().resident()?.private;
    let mut taken = 0;
    for id in 0..count as u32 {
        match send(driver, &make(id))?.0 {
            Status::OK => taken += 1,
            Status::NO_RESOURCES => {}
            status => {
                let (what, expected) = ("a download's status".into(), "OK or NO_RESOURCES".into());
                return Err(Failure::Unexpected { what, expected, found: status.to_string() });
            }
        }
    }
    let after = driver.machine.card.process().resident()?.private;
    expect("at least one is taken", &true, &(taken > 0))?;
    expect_at_most("bytes that the card has grown by", GROWTH_MAX, after.saturating_sub(before))
}

fn many(rows: &mut Rows) {
    rows.add("1536 downloads of 4 MiB with four samples each", DriverState::Open, Expected::NOTHING, |d| {
        // The size is the buffer's: the structures are small, and what follows them means nothing. The requests differ in
        // their ids only, so only those are written again.
        let mut bytes = wave(0, 4);
        bytes.resize(DOWNLOAD_BYTES_MAX as usize, 0);
        bytes[12..16].copy_from_slice(&DOWNLOAD_BYTES_MAX.to_le_bytes());
        bounded(d, DOWNLOADS_MAX, |id| {
            bytes[4..8].copy_from_slice(&id.to_le_bytes());
            bytes.clone()
        })
    });
    rows.add(
        "downloads of 2 MiB of samples until there is no room, and ten more",
        DriverState::Open,
        Expected::NOTHING,
        |d| bounded(d, 18, |id| wave(id, 1 << 20)),
    );
    rows.add("more downloads of one sample than there may be", DriverState::Open, Expected::NOTHING, |d| {
        bounded(d, DOWNLOADS_MAX + 64, |id| wave(id, 1))
    });
    rows.add("one wave downloaded 2000 times under one id", DriverState::Open, Expected::NOTHING, |d| {
        bounded(d, 2000, |_| wave(7, 100))
    });
    rows.add("instruments of 512 regions until there is no room", DriverState::Open, Expected::NOTHING, |d| {
        take(d, &wave(77, 100))?;
        bounded(d, 200, |id| {
            let mut structures = vec![words(&[id, 1, 0, 0, 0, 0])];
            structures.extend((1..=512).map(|number| region(if number < 512 { number + 1 } else { 0 }, 0, 77)));
            buffer(INSTRUMENT, 1000 + id, &structures)
        })
    });
    rows.add("downloads and unloads in turn, a thousand times", DriverState::Open, Expected::NOTHING, |d| {
        let before = d.machine.card.process().resident()?.private;
        for id in 0..1000 {
            let handle = take(d, &wave(id, 10_000))?;
            let handle = card_spec::control::DownloadHandle { handle: handle.into(), reserved: 0.into() };
            d.request_with(RequestCode::DLS_UNLOAD, &handle)?.ended(Status::OK)?;
        }
        let after = d.machine.card.process().resident()?.private;
        expect_at_most("bytes that the card has grown by", GROWTH_MAX, after.saturating_sub(before))
    });
    rows.add(
        "PARAMETERS with as many costly instruments as fit, and a reset meanwhile",
        DriverState::Open,
        Expected::NOTHING,
        |d| {
            take(d, &wave(77, 100))?;
            // Each with an articulation of as many connections as are kept, for as many regions as there may be.
            let connections = [words(&[8, 128]), vec![0; 128 * 12]].concat();
            let mut structures = vec![words(&[0, 1, 513, 0, 0, 0])];
            structures.extend((1..=512).map(|number| region(if number < 512 { number + 1 } else { 0 }, 513, 77)));
            structures.extend([words(&[514, 0, 0]), connections]);
            let mut bytes = buffer(INSTRUMENT, 1000, &structures);
            let first = 16 + 4 * structures.len();
            for id in 0..441_u32 {
                bytes[4..8].copy_from_slice(&(1000 + id).to_le_bytes());
                bytes[first..first + 4].copy_from_slice(&id.to_le_bytes());
                if send(d, &bytes)?.0 == Status::NO_RESOURCES {
                    break;
                }
            }
            let valid = port_parameter::VOICES.into();
            let requested = PortParameters { valid, voices: 999.into(), ..PortParameters::new_zeroed() };
            let request = d.request_bytes(RequestCode::PARAMETERS, zerocopy::IntoBytes::as_bytes(&requested));
            d.post_request(&request, RESPONSE_HEADER + 64)?;
            // Reads of the identity block and the reset are answered meanwhile.
            d.machine.identity()?;
            d.machine.set_status(0)
        },
    );
}
