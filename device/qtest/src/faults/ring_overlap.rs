//! Parts of rings that share memory, so that a write to one changes the other.

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;

use super::rings::PARTS;
use crate::driver::{Driver, DriverState};
use crate::failure::Result;
use crate::fault::{Fault, Rows, on};
use crate::machine::status;
use crate::ring::{Piece, part_bytes};

/// Parts of one ring.
const PAIRS: [(usize, usize); 3] = [(0, 1), (0, 2), (1, 2)];

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("rings that overlap");
    for queue in Queue::ALL {
        for (first, second) in PAIRS {
            let name = format!("{queue}: {} and {} at one address", PARTS[first], PARTS[second]);
            rows.add(name, DriverState::Reset, on(queue, Diagnosis::RING_OVERLAP), move |d| {
                within(d, queue, first, second, 0)
            });
        }
    }
    for (queue, (first, second)) in [Queue::MIDI_OUT, Queue::WAVE, Queue::EVENT].into_iter().zip(PAIRS) {
        let name = format!("{queue}: {} begins in the last bytes of the {}", PARTS[second], PARTS[first]);
        rows.add(name, DriverState::Reset, on(queue, Diagnosis::RING_OVERLAP), move |d| {
            let offset = (part_bytes(first, QUEUE_SIZE_MAX) - 1) & !3;
            within(d, queue, first, second, offset)
        });
    }
    for queue in Queue::ALL {
        // Where the ring resumes, the used index is the available index, and each chain that is returned makes another one
        // available.
        let name = format!("{queue}: one ring is both, and resumes with a chain more");
        rows.add(name, DriverState::Reset, on(queue, Diagnosis::RING_OVERLAP), move |d| {
            within(d, queue, 1, 2, 0)?;
            if queue != Queue::CONTROL {
                d.open()?;
                d.play()?;
                d.provoke(queue)?;
            }
            d.machine.settle()?;
            let running = d.machine.status()?;
            d.machine.set_status(running & !status::DRIVER_OK)?;
            d.machine.ring(queue).jump(1)?;
            d.machine.set_status(running)?;
            d.provoke(queue)
        });
    }
    // The diagnosis names the ring that is set up later.
    for (first, out) in PARTS.into_iter().enumerate() {
        for (second, wave) in PARTS.into_iter().enumerate() {
            let name = format!("wave's {wave} at midi-out's {out}");
            rows.add(name, DriverState::Reset, on(Queue::WAVE, Diagnosis::RING_OVERLAP), move |d| {
                between(d, (Queue::MIDI_OUT, first), (Queue::WAVE, second), 0)
            });
        }
    }
    for (index, first) in Queue::ALL.into_iter().enumerate() {
        for second in Queue::ALL.into_iter().skip(index + 1) {
            let name = format!("{first} and {second} are given the same ring");
            rows.add(name, DriverState::Reset, on(second, Diagnosis::RING_OVERLAP), move |d| {
                let mut set_up = d.machine.set_up();
                set_up.rings[second.index()] = set_up.rings[first.index()];
                d.machine.start_as(&set_up)?;
                d.machine.ring(first).offer(&[])?;
                d.machine.ring(first).jump(1)?;
                d.machine.kick(first)?;
                d.machine.kick(second)
            });
        }
    }
    rows.add(
        "the event queue's descriptor table begins in the last bytes of control's used ring",
        DriverState::Reset,
        on(Queue::EVENT, Diagnosis::RING_OVERLAP),
        |d| {
            let offset = (part_bytes(2, QUEUE_SIZE_MAX) - 1) & !15;
            between(d, (Queue::CONTROL, 2), (Queue::EVENT, 0), offset)
        },
    );
    rows.done()
}

/// Puts one part of a ring into another of the same ring, and makes a chain available.
fn within(driver: &mut Driver, queue: Queue, first: usize, second: usize, offset: u64) -> Result {
    let mut set_up = driver.machine.set_up();
    let plan = &mut set_up.rings[queue.index()];
    plan.parts[second] = plan.parts[first] + offset;
    driver.machine.start_as(&set_up)?;
    kick_with_a_chain(driver, queue)
}

/// Puts a part of a ring into a part of another one, and makes a chain available on both.
fn between(driver: &mut Driver, first: (Queue, usize), second: (Queue, usize), offset: u64) -> Result {
    let mut set_up = driver.machine.set_up();
    set_up.rings[second.0.index()].parts[second.1] = set_up.rings[first.0.index()].parts[first.1] + offset;
    driver.machine.start_as(&set_up)?;
    kick_with_a_chain(driver, first.0)?;
    kick_with_a_chain(driver, second.0)
}

fn kick_with_a_chain(driver: &mut Driver, queue: Queue) -> Result {
    let page = driver.machine.ram.allocate(64)?;
    driver.machine.ring(queue).offer(&[Piece::readable(page, 16), Piece::writable(page + 16, 48)])?;
    driver.machine.kick(queue)
}
