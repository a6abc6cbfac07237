//! Wave buffers that cannot be filled, or are posted in the wrong state.

use card_spec::control::{RequestCode, Status, StreamState};
use card_spec::diagnosis::Diagnosis;
use card_spec::limits::WAVE_BUFFER_BYTES_MAX;
use card_spec::queue::Queue;
use card_spec::wave::{WaveHeader, WaveStatus};

use crate::driver::{Driver, DriverState, RENDER, WAVE};
use crate::failure::{Result, expect};
use crate::fault::{Expected, Fault, Rows, on};
use crate::ring::Piece;

const ROW: fn(Diagnosis) -> Expected = |diagnosis| on(Queue::WAVE, diagnosis);

/// Waits for a buffer and expects that it was not filled.
fn refused(driver: &mut Driver) -> Result {
    let header = driver.wait_wave()?.header;
    expect("the buffer's status", &WaveStatus::REFUSED, &WaveStatus(header.status.get()))?;
    expect("its frames", &0, &header.frames.get())
}

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("wave buffers");
    rows.add("wave buffer before OPEN", DriverState::Started, ROW(Diagnosis::NO_SESSION), |d| {
        d.post_wave(WAVE, 64, 256)?;
        refused(d)
    });
    rows.add("wave buffer without a wave stream", DriverState::Open, ROW(Diagnosis::STREAM), |d| {
        d.post_wave(WAVE, 64, 256)?;
        refused(d)
    });
    for (name, stream) in [("the render stream", RENDER), ("stream 17, not open", 17), ("stream 2^32 - 1", u32::MAX)] {
        rows.add(format!("wave buffer for {name}"), DriverState::Playing, ROW(Diagnosis::STREAM), move |d| {
            d.post_wave(stream, 64, 256)?;
            refused(d)
        });
    }
    rows.add("wave buffer for no frames", DriverState::Playing, ROW(Diagnosis::PARAMETER), |d| {
        d.post_wave(WAVE, 0, 256)?;
        refused(d)
    });
    for (name, frames) in [
        ("one frame more than the largest", WAVE_BUFFER_BYTES_MAX / 4 + 1),
        ("2^30 frames, whose bytes are none in 32 bits", 1 << 30),
        ("2^32 - 1 frames", u32::MAX),
    ] {
        rows.add(format!("wave buffer for {name}"), DriverState::Playing, ROW(Diagnosis::LENGTH), move |d| {
            d.post_wave(WAVE, frames, WAVE_BUFFER_BYTES_MAX)?;
            refused(d)
        });
    }
    for (name, bytes) in [("a byte too short", 255), ("without room for a frame", 0)] {
        rows.add(format!("wave buffer {name}"), DriverState::Playing, ROW(Diagnosis::WRITABLE_TOO_SHORT), move |d| {
            d.post_wave(WAVE, 64, bytes)?;
            refused(d)
        });
    }
    let header = size_of::<WaveHeader>() as u32;
    for room in [0, 1, header - 1] {
        let name = format!("wave buffer with {room} bytes for header and frames");
        rows.add(name, DriverState::Playing, ROW(Diagnosis::WRITABLE_TOO_SHORT), move |d| {
            let mut pieces = d.wave_pieces(WAVE, 64, 0)?.to_vec();
            pieces.truncate(if room == 0 { 1 } else { 2 });
            if let Some(last) = pieces.get_mut(1) {
                last.length = room;
            }
            d.machine.ring(Queue::WAVE).offer(&pieces)?;
            d.machine.kick(Queue::WAVE)?;
            expect("bytes written", &0, &d.machine.wait(Queue::WAVE)?.1)
        });
    }
    for bytes in [0, 7] {
        let name = format!("wave buffer whose request has {bytes} bytes");
        rows.add(name, DriverState::Playing, ROW(Diagnosis::READABLE_TOO_SHORT), move |d| {
            let mut pieces = d.wave_pieces(WAVE, 64, 256)?;
            pieces[0].length = bytes;
            d.machine.ring(Queue::WAVE).offer(&pieces)?;
            d.machine.kick(Queue::WAVE)?;
            refused(d)
        });
    }
    rows.add("wave buffer whose request has a page", DriverState::Playing, ROW(Diagnosis::LENGTH), |d| {
        let mut pieces = d.wave_pieces(WAVE, 64, 256)?;
        pieces[0].length = 4096;
        d.machine.ring(Queue::WAVE).offer(&pieces)?;
        d.machine.kick(Queue::WAVE)?;
        d.machine.wait(Queue::WAVE).map(|_| ())
    });
    timely(&mut rows);
    rows.done()
}

fn timely(rows: &mut Rows) {
    for state in [StreamState::STOP, StreamState::ACQUIRE, StreamState::PAUSE] {
        let name = format!("wave buffer posted in {state}, and the stream closed");
        rows.add(name, DriverState::Playing, Expected::NOTHING, move |d| {
            d.state(WAVE, state)?;
            d.post_wave(WAVE, 64, 256)?;
            d.machine.settle()?;
            d.close_stream(WAVE)?.ended(Status::OK)?;
            let header = d.wait_wave()?.header;
            expect("the buffer's status", &WaveStatus::FLUSHED, &WaveStatus(header.status.get()))
        });
    }
    rows.add("64 wave buffers posted in PAUSE, then run, then stopped", DriverState::Playing, Expected::NOTHING, |d| {
        d.state(WAVE, StreamState::PAUSE)?;
        // Two descriptors a buffer: PCM behind the header.
        let pieces = d.wave_pieces(WAVE, 64, 256)?;
        for _ in 0..64 {
            d.machine.ring(Queue::WAVE).offer(&[pieces[0], Piece { length: 288, ..pieces[1] }])?;
        }
        d.machine.kick(Queue::WAVE)?;
        d.state(WAVE, StreamState::RUN)?;
        d.state(WAVE, StreamState::STOP)?;
        (0..64).try_for_each(|_| d.machine.wait(Queue::WAVE).map(|_| ()))
    });
    rows.add(
        "wave buffer in the smallest pieces that a chain may have",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            let pieces = d.wave_pieces(WAVE, 8, 256)?;
            let mut chain = vec![pieces[0]];
            chain.extend((0..32).map(|byte| Piece::writable(pieces[1].address + byte, 1)));
            chain.extend((0..33).map(|byte| Piece::writable(pieces[2].address + byte, 1)));
            d.machine.ring(Queue::WAVE).offer(&chain)?;
            d.machine.kick(Queue::WAVE)?;
            expect("bytes written", &64, &d.machine.wait(Queue::WAVE)?.1)
        },
    );
    rows.add("the largest wave buffer, sixty times", DriverState::Playing, Expected::NOTHING, |d| {
        (0..60).try_for_each(|_| d.record(WAVE_BUFFER_BYTES_MAX / 4).map(|_| ()))
    });
    rows.add(
        "ALL_SOUND_OFF between the halves of a buffer, a hundred times",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            for _ in 0..100 {
                d.send(RENDER, &[(0, 1, &[0x90, 60, 100])])?;
                d.post_wave(WAVE, 256, 1024)?;
                d.request(RequestCode::ALL_SOUND_OFF, &[])?.ended(Status::OK)?;
                d.wait_wave()?;
            }
            Ok(())
        },
    );
}
