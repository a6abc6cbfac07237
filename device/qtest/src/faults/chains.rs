//! Chains that are malformed, on every queue: heads, links, order, buffers, the available index.

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::{CHAIN_DESCRIPTORS_MAX, QUEUE_SIZE_MAX};
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows, on};
use crate::machine::BAR_BASE;
use crate::ram::RAM;
use crate::ring::{Descriptor, flag};

/// The first descriptor of those that are made by hand: far from those of requests that went before.
pub(super) const FIRST: u16 = 100;

/// Returns the flag of a descriptor that a queue's chains may begin with: what the card writes to is writable.
pub(super) fn direction(queue: Queue) -> u16 {
    if matches!(queue, Queue::MIDI_IN | Queue::EVENT) { flag::WRITE } else { 0 }
}

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("chains");
    for queue in Queue::ALL {
        links(&mut rows, queue);
        buffers(&mut rows, queue);
        indices(&mut rows, queue);
    }
    rows.done()
}

/// Puts descriptors at [`FIRST`] and behind, makes the chain available that begins at `head`, and provokes the queue.
pub(super) fn offer(driver: &mut Driver, queue: Queue, descriptors: &[Descriptor], head: u16) -> Result {
    for (index, descriptor) in descriptors.iter().enumerate() {
        driver.machine.ring(queue).describe((FIRST + index as u16) % QUEUE_SIZE_MAX, *descriptor)?;
    }
    driver.machine.ring(queue).publish(head)?;
    driver.provoke(queue)
}

fn links(rows: &mut Rows, queue: Queue) {
    let malformed = on(queue, Diagnosis::CHAIN_MALFORMED);
    let own = direction(queue);
    let mut link = |name: &str, count: u16, next: fn(u16) -> u16| {
        rows.add(format!("{queue}: {name}"), DriverState::Playing, malformed, move |d| {
            let address = d.machine.ram.allocate(16)?;
            let descriptors: Vec<Descriptor> = (0..count)
                .map(|index| Descriptor { address, length: 1, flags: own | flag::NEXT, next: next(index) })
                .collect();
            offer(d, queue, &descriptors, FIRST)
        });
    };
    link("next descriptor 128 of a table of 128", 1, |_| QUEUE_SIZE_MAX);
    link("next descriptor 65535", 1, |_| u16::MAX);
    link("descriptor that follows itself", 1, |_| FIRST);
    link("two descriptors in a loop", 2, |index| FIRST + 1 - index);
    link("loop over the whole table", QUEUE_SIZE_MAX, |index| (FIRST + index + 1) % QUEUE_SIZE_MAX);
    for head in [QUEUE_SIZE_MAX, u16::MAX] {
        rows.add(format!("{queue}: head {head} of a table of 128"), DriverState::Playing, malformed, move |d| {
            offer(d, queue, &[], head)
        });
    }
    let count = CHAIN_DESCRIPTORS_MAX as u16 + 1;
    rows.add(format!("{queue}: chain of {count} descriptors"), DriverState::Playing, malformed, move |d| {
        let address = d.machine.ram.allocate(16)?;
        let descriptors: Vec<Descriptor> = (0..count)
            .map(|index| Descriptor {
                address,
                length: 1,
                flags: own | if index + 1 < count { flag::NEXT } else { 0 },
                next: (FIRST + index + 1) % QUEUE_SIZE_MAX,
            })
            .collect();
        offer(d, queue, &descriptors, FIRST)
    });
    rows.add(
        format!("{queue}: writable descriptor before a readable one"),
        DriverState::Playing,
        on(queue, Diagnosis::CHAIN_ORDER),
        move |d| {
            let address = d.machine.ram.allocate(16)?;
            let first = Descriptor { address, length: 16, flags: flag::WRITE | flag::NEXT, next: FIRST + 1 };
            let second = Descriptor { address, length: 16, flags: 0, next: 0 };
            offer(d, queue, &[first, second], FIRST)
        },
    );
    let empty = match queue {
        // Without 16 writable bytes there is no answer.
        Queue::CONTROL | Queue::MIDI_IN | Queue::EVENT => Diagnosis::WRITABLE_TOO_SHORT,
        _ => Diagnosis::READABLE_TOO_SHORT,
    };
    rows.add(
        format!("{queue}: chain of descriptors without length"),
        DriverState::Playing,
        on(queue, empty),
        move |d| {
            let address = d.machine.ram.allocate(16)?;
            let first = Descriptor { address, length: 0, flags: own | flag::NEXT, next: FIRST + 1 };
            let second = Descriptor { address: 0, length: 0, flags: own, next: 0 };
            offer(d, queue, &[first, second], FIRST)
        },
    );
}

fn buffers(rows: &mut Rows, queue: Queue) {
    let own = direction(queue);
    let outside: [(&str, u64, u32); 8] = [
        ("past the end of memory", RAM, 16),
        ("across the end of memory", RAM - 8, 16),
        ("of 4 GiB less one byte", 0x20_0000, u32::MAX),
        ("at 2^63", 1 << 63, 16),
        ("whose end wraps to 0", 0xffff_ffff_ffff_fff0, 32),
        ("below 1 MiB, where ROMs are", 0xd_0000, 16),
        ("in the function's own BAR", u64::from(BAR_BASE), 16),
        ("in the firmware", 0xffff_fff0, 16),
    ];
    for (name, address, length) in outside {
        let expected = on(queue, Diagnosis::BUFFER_OUTSIDE_MEMORY);
        rows.add(format!("{queue}: buffer {name}"), DriverState::Playing, expected, move |d| {
            offer(d, queue, &[Descriptor { address, length, flags: own, next: 0 }], FIRST)
        });
    }
    rows.add(
        format!("{queue}: readable buffers of more than 4 GiB in all"),
        DriverState::Playing,
        on(queue, Diagnosis::LENGTH),
        move |d| offer(d, queue, &huge(0), FIRST),
    );
    // Too much writable room is no error; a missing readable part is.
    let expected = match queue {
        Queue::MIDI_IN | Queue::EVENT => Expected::NOTHING,
        _ => on(queue, Diagnosis::READABLE_TOO_SHORT),
    };
    rows.add(
        format!("{queue}: writable buffers of more than 4 GiB in all"),
        DriverState::Playing,
        expected,
        move |d| offer(d, queue, &huge(flag::WRITE), FIRST),
    );
}

/// Returns as many descriptors as a chain may have, each over nearly all of memory, with a sum above 2^32.
fn huge(direction: u16) -> Vec<Descriptor> {
    const START: u64 = 16 << 20;
    let count = CHAIN_DESCRIPTORS_MAX as u16;
    // The sum wraps to a little more than nothing in 32 bits.
    let length = (1_u64 << 32).div_ceil(u64::from(count)).next_multiple_of(4096);
    (0..count)
        .map(|index| Descriptor {
            address: RAM - length.min(RAM - START),
            length: length.min(RAM - START) as u32,
            flags: direction | if index + 1 < count { flag::NEXT } else { 0 },
            next: (FIRST + index + 1) % QUEUE_SIZE_MAX,
        })
        .collect()
}

fn indices(rows: &mut Rows, queue: Queue) {
    for (name, by) in [("129 ahead", QUEUE_SIZE_MAX + 1), ("32768 ahead", 0x8000), ("one back", u16::MAX)] {
        let expected = on(queue, Diagnosis::AVAILABLE_INDEX);
        rows.add(format!("{queue}: available index moves {name}"), DriverState::Playing, expected, move |d| {
            d.machine.ring(queue).jump(by)?;
            d.provoke(queue)
        });
    }
    // The entries hold earlier chains, or none.
    rows.add(
        format!("{queue}: available index moves by a whole ring"),
        DriverState::Playing,
        Expected::Anything,
        move |d| {
            d.machine.ring(queue).jump(QUEUE_SIZE_MAX)?;
            d.provoke(queue)
        },
    );
    let own = direction(queue);
    // Of zeroes: no answer fits, no length is 0, no request has a page.
    let expected = match queue {
        Queue::CONTROL => on(queue, Diagnosis::WRITABLE_TOO_SHORT),
        Queue::MIDI_OUT | Queue::WAVE => on(queue, Diagnosis::LENGTH),
        _ => Expected::NOTHING,
    };
    rows.add(format!("{queue}: one chain made available 128 times"), DriverState::Playing, expected, move |d| {
        let address = d.machine.ram.place(&[0; 4096])?;
        d.machine.ring(queue).describe(FIRST, Descriptor { address, length: 4096, flags: own, next: 0 })?;
        (0..QUEUE_SIZE_MAX).try_for_each(|_| d.machine.ring(queue).publish(FIRST))?;
        d.provoke(queue)
    });
}
