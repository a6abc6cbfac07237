//! Guest memory that is cut short, or was never shared: each on a machine of its own, which cannot be used afterwards.

use card_spec::diagnosis::Diagnosis;
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState, RENDER, WAVE};
use crate::failure::Result;
use crate::fault::{After, Expected, Fault, Rows, on};
use crate::machine::Kind;
use crate::ram::RAM;
use crate::ring::Piece;

/// The last megabyte of memory, which is cut off.
const LOST: u64 = RAM - (1 << 20);

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("memory that is not there");
    let lost = Expected::First(Diagnosis::MEMORY_LOST, None);
    let mut cut = |name: &str, act: fn(&mut Driver) -> Result| {
        let row = rows.add(format!("memory is cut short under {name}"), DriverState::Playing, lost, move |d| {
            act(d)?;
            d.machine.ram.set_file_length(LOST)?;
            Queue::ALL.into_iter().try_for_each(|queue| d.machine.kick(queue))?;
            d.machine.settle()?;
            // Whole again, so that QEMU and this process can read it: the card does not map it any more.
            d.machine.ram.set_file_length(RAM)
        });
        (row.kind, row.after) = (Kind::Unsealed, After::Replaced);
    };
    cut("a request", |d| {
        d.machine.ring(Queue::CONTROL).offer(&[Piece::readable(LOST, 64), Piece::writable(LOST + 64, 64)]).map(|_| ())
    });
    cut("a batch", |d| d.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(LOST, 64)]).map(|_| ()));
    cut("a wave buffer", |d| {
        let pieces = d.wave_pieces(WAVE, 64, 256)?;
        let chain = [pieces[0], pieces[1], Piece::writable(LOST, 256)];
        d.machine.ring(Queue::WAVE).offer(&chain).map(|_| ())
    });
    cut("a status page", |d| {
        use card_spec::control::{RequestCode, StatusPageLoan};
        d.request_with(RequestCode::STATUS_PAGE, &StatusPageLoan { address: LOST.into() })?;
        d.send(RENDER, &[(0, 1, &[0x90, 60, 100])])?;
        let pieces = d.wave_pieces(WAVE, 64, 256)?;
        d.machine.ring(Queue::WAVE).offer(&pieces).map(|_| ())
    });
    let row = rows.add("memory is cut short under the rings", DriverState::Reset, lost, |d| {
        let mut set_up = d.machine.set_up();
        let mut at = LOST;
        for ring in &mut set_up.rings {
            for part in &mut ring.parts {
                (*part, at) = (at, at + 4096);
            }
        }
        d.machine.start_as(&set_up)?;
        d.machine.settle()?;
        d.machine.ram.set_file_length(LOST)?;
        Queue::ALL.into_iter().try_for_each(|queue| d.machine.kick(queue))?;
        d.machine.settle()?;
        d.machine.ram.set_file_length(RAM)
    });
    (row.kind, row.after) = (Kind::Unsealed, After::Replaced);
    let row = rows.add(
        "memory is not shared with the card",
        DriverState::Reset,
        on(Queue::CONTROL, Diagnosis::MEMORY_NOT_SHARED),
        Driver::start,
    );
    (row.kind, row.after) = (Kind::Unshared, After::Replaced);
    rows.done()
}
