//! A processor that rewrites rings and buffers in shared memory while the card reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use card_control::Command;
use card_control::answer::{Advanced, Done};
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState, NOTE_ON, RENDER, WAVE};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows};
use crate::judge::RESET_LIMIT;
use crate::ram::{RAM, Ram};
use crate::ring::{Descriptor, Piece, RingPlan};

/// How long a race goes on.
const RACE: Duration = Duration::from_millis(150);

/// The memory that a racing processor writes.
#[derive(Clone, Copy, Debug)]
enum Race {
    /// Descriptors: addresses, lengths, flags and links.
    Descriptors,
    /// The available index, forwards as the card follows.
    Index,
    /// The available index, anywhere.
    Jumps,
    /// Everything in all parts.
    Everything,
}

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("a second processor");
    for queue in Queue::ALL {
        for (race, name) in [
            (Race::Descriptors, "the descriptors"),
            (Race::Index, "the available index, ever forwards"),
            (Race::Jumps, "the available index, to and fro"),
            (Race::Everything, "all of the ring"),
        ] {
            rows.add(
                format!("{queue}: another processor rewrites {name}"),
                DriverState::Playing,
                Expected::Anything,
                move |d| run(d, queue, race),
            );
        }
    }
    rows.add("another processor rewrites requests and batches", DriverState::Playing, Expected::Anything, |d| {
        let page = d.machine.ram.allocate(4096)?;
        let ram = d.machine.ram.clone();
        beside(
            d,
            move |random| ram.write(page + random % 4000, &random.to_le_bytes()).is_ok(),
            |d| {
                let answer = Piece::writable(page + 2048, 1024);
                d.machine.ring(Queue::CONTROL).offer(&[Piece::readable(page, 64), answer])?;
                d.machine.ring(Queue::MIDI_OUT).offer(&[Piece::readable(page, 1024)])?;
                d.machine.kick(Queue::CONTROL)?;
                d.machine.kick(Queue::MIDI_OUT)
            },
        )
    });
    rows.done()
}

/// Has another thread write while this one kicks; then resets the device while that goes on.
fn run(driver: &mut Driver, queue: Queue, race: Race) -> Result {
    let ring = driver.machine.ring(queue).plan;
    let ram = driver.machine.ram.clone();
    // Chains that the card can serve on every queue.
    let page = driver.machine.ram.allocate(4096)?;
    for _ in 0..16 {
        driver.machine.ring(queue).offer(&[Piece::readable(page, 16), Piece::writable(page + 64, 2048)])?;
    }
    let mut index = 0_u16;
    let write = move |random: u64| scribble(&ram, ring, race, random, &mut index).is_ok();
    beside(driver, write, move |d| {
        d.machine.kick(queue)?;
        match queue {
            Queue::MIDI_IN => d.machine.card.command::<Done>(&Command::midi_in(&NOTE_ON, 1)).map(|_| ()),
            Queue::EVENT => d.machine.card.command::<Advanced>(&Command::Advance { frames: 24_000 }).map(|_| ()),
            Queue::WAVE => {
                let pieces = d.wave_pieces(WAVE, 64, 256)?;
                d.machine.ring(Queue::WAVE).offer(&pieces).map(|_| ())
            }
            Queue::MIDI_OUT => {
                let batch = d.batch(RENDER, &[(0, 1, &[0x90, 60, 100])]);
                d.post_batch(&batch)
            }
            _ => Ok(()),
        }
    })
}

fn scribble(ram: &Ram, ring: RingPlan, race: Race, random: u64, index: &mut u16) -> Result {
    let [descriptors, available, used] = ring.parts;
    match race {
        Race::Descriptors => {
            let descriptor = Descriptor {
                address: random.rotate_left(17) % (RAM + 0x10_0000),
                length: (random >> 40) as u32 & 0xffff,
                flags: (random >> 8) as u16 & 7,
                next: (random >> 16) as u16 % (QUEUE_SIZE_MAX + 8),
            };
            ram.write(descriptors + 16 * (random % u64::from(QUEUE_SIZE_MAX)), &descriptor.bytes())
        }
        Race::Index => {
            // Never more ahead than the ring holds, if the card keeps up.
            *index = ram.observe(used + 2)?.wrapping_add(QUEUE_SIZE_MAX);
            ram.publish(available + 2, *index)
        }
        Race::Jumps => ram.publish(available + 2, random as u16),
        Race::Everything => {
            let part = ring.parts[random as usize % 3];
            ram.write(part + (random >> 8) % 1020, &random.rotate_left(29).to_le_bytes())
        }
    }
}

/// Runs `act` again and again while another thread does `write` with random numbers; and, while that goes on, resets
/// the device, which must not wait for it.
fn beside(
    driver: &mut Driver,
    mut write: impl FnMut(u64) -> bool + Send,
    mut act: impl FnMut(&mut Driver) -> Result,
) -> Result {
    /// Any but 0, for `xorshift`.
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut random = SEED;
            while !stopped.load(Ordering::Relaxed) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if !write(random) {
                    break;
                }
            }
        });
        let raced = race(driver, &mut act);
        stop.store(true, Ordering::Relaxed);
        raced
    })
}

fn race(driver: &mut Driver, act: &mut impl FnMut(&mut Driver) -> Result) -> Result {
    let begun = Instant::now();
    while begun.elapsed() < RACE {
        act(driver)?;
    }
    driver.machine.card.status()?;
    let begun = Instant::now();
    driver.machine.set_status(0)?;
    let took = begun.elapsed();
    let what = "milliseconds of a reset against a racing processor";
    crate::failure::expect_at_most(what, RESET_LIMIT.as_millis(), took.as_millis())
}
