//! Buffers that the card needs and does not get, or that are too small: queues midi-in and event.

use card_control::Command;
use card_control::answer::Done;
use card_spec::control::{RequestCode, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::event::{BatchHeader, record_bytes};
use card_spec::limits::CAPTURED_EVENTS_MAX;
use card_spec::queue::Queue;

use crate::driver::{CAPTURE, Driver, DriverState, NOTE_ON, NOTICE_BYTES};
use crate::failure::{Result, expect};
use crate::fault::{Expected, Fault, Rows, on};
use crate::ring::Piece;

/// The least room for a batch with one event.
const BATCH_BYTES: u32 = (size_of::<BatchHeader>() + record_bytes(3)) as u32;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("buffers for the card");
    for (queue, least) in [(Queue::MIDI_IN, BATCH_BYTES), (Queue::EVENT, NOTICE_BYTES)] {
        for bytes in [1, least / 2, least - 1] {
            let expected = on(queue, Diagnosis::WRITABLE_TOO_SHORT);
            let name = format!("{queue}: buffer of {bytes} bytes, where {least} are needed");
            rows.add(name, DriverState::Playing, expected, move |d| post(d, queue, bytes, 1));
        }
        rows.add(
            format!("{queue}: as many tiny buffers as the ring holds"),
            DriverState::Playing,
            on(queue, Diagnosis::WRITABLE_TOO_SHORT),
            move |d| post(d, queue, 8, 128),
        );
        let expected = on(queue, Diagnosis::LENGTH);
        rows.add(format!("{queue}: buffer for the card to read"), DriverState::Playing, expected, move |d| {
            let page = d.machine.ram.allocate(4096)?;
            d.machine.ring(queue).offer(&[Piece::readable(page, 4096)])?;
            d.provoke(queue)
        });
        rows.add(format!("{queue}: buffer in single bytes"), DriverState::Playing, Expected::NOTHING, move |d| {
            let page = d.machine.ram.allocate(4096)?;
            let pieces: Vec<Piece> = (0..u64::from(least)).map(|byte| Piece::writable(page + byte, 1)).collect();
            d.machine.ring(queue).offer(&pieces)?;
            d.provoke(queue)?;
            expect("bytes written", &least, &d.machine.wait(queue)?.1)
        });
    }
    rows.add(
        "midi-in: no buffer while twice as many events come in as are kept",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            let command = Command::midi_in(&NOTE_ON, 1);
            let mut refused = 0;
            for _ in 0..2 * CAPTURED_EVENTS_MAX {
                refused += usize::from(d.machine.card.command::<Done>(&command)?.is_err());
            }
            expect("events that were refused", &CAPTURED_EVENTS_MAX, &refused)
        },
    );
    rows.add(
        "midi-in: the capture stream stops with events and buffers waiting",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            (0..100).try_for_each(|_| d.capture(&NOTE_ON))?;
            d.state(CAPTURE, StreamState::STOP)?;
            let page = d.machine.ram.allocate(4096)?;
            d.machine.ring(Queue::MIDI_IN).offer(&[Piece::writable(page, 4096)])?;
            d.machine.kick(Queue::MIDI_IN)?;
            d.state(CAPTURE, StreamState::RUN)?;
            d.capture(&[0x80, 60, 64])?;
            d.machine.wait(Queue::MIDI_IN).map(|_| ())
        },
    );
    let expected = on(Queue::CONTROL, Diagnosis::UNKNOWN_REQUEST);
    rows.add("event: no buffer while a thousand errors are found", DriverState::Playing, expected, |d| {
        (0..1000).try_for_each(|_| d.request(RequestCode(0x7777), &[]).map(|_| ()))
    });
    rows.add("event: a buffer for every one of a hundred underruns", DriverState::Playing, Expected::NOTHING, |d| {
        let page = d.machine.ram.allocate(4096)?;
        for _ in 0..100 {
            d.machine.ring(Queue::EVENT).offer(&[Piece::writable(page, NOTICE_BYTES)])?;
        }
        d.machine.kick(Queue::EVENT)?;
        d.underrun()?;
        expect("bytes written", &NOTICE_BYTES, &d.machine.wait(Queue::EVENT)?.1)
    });
    rows.done()
}

/// Posts `count` buffers of `bytes` bytes each, and gives the card data for them.
fn post(driver: &mut Driver, queue: Queue, bytes: u32, count: usize) -> Result {
    let page = driver.machine.ram.allocate(4096)?;
    for _ in 0..count {
        driver.machine.ring(queue).offer(&[Piece::writable(page, bytes)])?;
    }
    driver.provoke(queue)
}
