//! Buffers that overlap the rings, other buffers, or their own descriptors: the card reads next what it has written there.

use card_spec::control::RequestCode;
use card_spec::queue::Queue;

use super::rings::PARTS;
use crate::driver::{Driver, DriverState, NOTE_ON, NOTICE_BYTES, RENDER, WAVE};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows};
use crate::ring::Piece;

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("buffers that alias");
    // The meaning of the bytes to a ring is chance.
    for queue in Queue::ALL {
        for (part, name) in PARTS.into_iter().enumerate() {
            rows.add(format!("PCM over {queue}'s {name}"), DriverState::Playing, Expected::Anything, move |d| {
                let at = d.machine.ring(queue).plan.parts[part];
                d.send(RENDER, &[(0, 1, &[0x90, 60, 127]), (0, 1, &[0x90, 64, 127])])?;
                let pieces = d.wave_pieces(WAVE, 512, 2048)?;
                d.machine.ring(Queue::WAVE).offer(&[pieces[0], pieces[1], Piece::writable(at, 2048)])?;
                stir(d)
            });
        }
    }
    for (part, name) in PARTS.into_iter().enumerate() {
        rows.add(format!("answer over control's own {name}"), DriverState::Playing, Expected::Anything, move |d| {
            let at = d.machine.ring(Queue::CONTROL).plan.parts[part];
            let request = d.request_bytes(RequestCode::STATISTICS, &[]);
            let request = Piece::readable(d.machine.ram.place(&request)?, request.len() as u32);
            d.machine.ring(Queue::CONTROL).offer(&[request, Piece::writable(at, 64)])?;
            stir(d)
        });
        rows.add(
            format!("captured events over midi-in's own {name}"),
            DriverState::Playing,
            Expected::Anything,
            move |d| {
                let at = d.machine.ring(Queue::MIDI_IN).plan.parts[part];
                (0..64).try_for_each(|_| d.capture(&NOTE_ON))?;
                d.machine.ring(Queue::MIDI_IN).offer(&[Piece::writable(at, 2048)])?;
                d.provoke(Queue::MIDI_IN)?;
                stir(d)
            },
        );
        rows.add(
            format!("notices over the event queue's own {name}"),
            DriverState::Playing,
            Expected::Anything,
            move |d| {
                let at = d.machine.ring(Queue::EVENT).plan.parts[part];
                for _ in 0..32 {
                    d.machine.ring(Queue::EVENT).offer(&[Piece::writable(at, NOTICE_BYTES)])?;
                }
                d.provoke(Queue::EVENT)?;
                stir(d)
            },
        );
        rows.add(format!("batch that is midi-out's own {name}"), DriverState::Playing, Expected::Anything, move |d| {
            let at = d.machine.ring(Queue::MIDI_OUT).plan.parts[part];
            d.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(at, 2048)])?;
            stir(d)
        });
        rows.add(format!("request that is control's own {name}"), DriverState::Playing, Expected::Anything, move |d| {
            let at = d.machine.ring(Queue::CONTROL).plan.parts[part];
            let answer = d.machine.ram.allocate(256)?;
            d.machine.ring(Queue::CONTROL).offer(&[Piece::readable(at, 256), Piece::writable(answer, 256)])?;
            stir(d)
        });
    }
    rows.add("answer over its own request", DriverState::Playing, Expected::NOTHING, |d| {
        let request = d.request_bytes(RequestCode::STATISTICS, &[]);
        let at = d.machine.ram.place(&request)?;
        let pieces = [Piece::readable(at, request.len() as u32), Piece::writable(at, 64)];
        d.machine.ring(Queue::CONTROL).offer(&pieces)?;
        d.machine.kick(Queue::CONTROL)?;
        d.machine.wait(Queue::CONTROL).map(|_| ())
    });
    rows.add("PCM, header and request of a wave buffer in one place", DriverState::Playing, Expected::NOTHING, |d| {
        let pieces = d.wave_pieces(WAVE, 64, 256)?;
        let at = pieces[0].address;
        let chain = [pieces[0], Piece::writable(at, 32), Piece::writable(at, 256)];
        d.machine.ring(Queue::WAVE).offer(&chain)?;
        d.machine.kick(Queue::WAVE)?;
        d.machine.wait(Queue::WAVE).map(|_| ())
    });
    rows.add("one buffer for all queues of the card's", DriverState::Playing, Expected::NOTHING, |d| {
        let page = d.machine.ram.allocate(8192)?;
        let pieces = d.wave_pieces(WAVE, 1024, 4096)?;
        for queue in [Queue::MIDI_IN, Queue::EVENT] {
            d.machine.ring(queue).offer(&[Piece::writable(page, 4096)])?;
        }
        d.machine.ring(Queue::WAVE).offer(&[pieces[0], pieces[1], Piece::writable(page, 4096)])?;
        d.provoke(Queue::MIDI_IN)?;
        d.provoke(Queue::EVENT)?;
        d.machine.kick(Queue::WAVE)
    });
    rows.add(
        "chain whose buffer is its own descriptors, sixteen times over",
        DriverState::Playing,
        Expected::Anything,
        |d| {
            let table = d.machine.ring(Queue::WAVE).plan.parts[0];
            let pieces = d.wave_pieces(WAVE, 1024, 4096)?;
            let mut chain = vec![pieces[0], pieces[1]];
            chain.extend(std::iter::repeat_n(Piece::writable(table, 256), 16));
            d.machine.ring(Queue::WAVE).offer(&chain)?;
            stir(d)
        },
    );
    rows.done()
}

/// Kicks all queues a few times, so that the card reads what it has written.
fn stir(driver: &mut Driver) -> Result {
    for _ in 0..4 {
        Queue::ALL.into_iter().try_for_each(|queue| driver.machine.kick(queue))?;
        driver.machine.settle()?;
    }
    Ok(())
}
