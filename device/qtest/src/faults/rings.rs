//! Rings of invalid sizes and at invalid addresses.

use card_spec::diagnosis::Diagnosis;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState};
use crate::failure::Result;
use crate::fault::{Expected, Fault, Rows, on};
use crate::machine::{BAR_BASE, common};
use crate::ram::RAM;
use crate::ring::{RingPlan, part_bytes};

/// The parts of a ring, for names.
pub(super) const PARTS: [&str; 3] = ["descriptor table", "available ring", "used ring"];

/// Their alignments (virtio 1.2, section 2.7).
const ALIGNMENTS: [u64; 3] = [16, 2, 4];

/// Sets the device up with one ring changed.
pub(super) fn start_with(driver: &mut Driver, queue: Queue, change: impl FnOnce(&mut RingPlan)) -> Result {
    let mut set_up = driver.machine.set_up();
    change(&mut set_up.rings[queue.index()]);
    driver.machine.start_as(&set_up)
}

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("ring set-up");
    for queue in Queue::ALL {
        for size in [48, 3, 127] {
            rows.add(
                format!("{queue}: ring of {size} entries"),
                DriverState::Reset,
                on(queue, Diagnosis::RING_SIZE),
                move |d| start_with(d, queue, |plan| plan.size = size),
            );
        }
        for (part, name) in PARTS.into_iter().enumerate() {
            let off = ALIGNMENTS[part] / 2;
            let expected = on(queue, Diagnosis::RING_MISALIGNED);
            rows.add(
                format!("{queue}: {name} {off} bytes off its alignment"),
                DriverState::Reset,
                expected,
                move |d| start_with(d, queue, |plan| plan.parts[part] += off),
            );
        }
    }
    for size in [0, 256, 1024, 0xffff] {
        // Over vhost-user QEMU leaves the size as it was.
        rows.add(
            format!("ring of {size} entries, which QEMU ignores"),
            DriverState::Reset,
            Expected::NOTHING,
            move |d| {
                let mut set_up = d.machine.set_up();
                set_up.rings[Queue::CONTROL.index()].size = size;
                d.machine.start_as(&set_up)?;
                d.machine.set_common(common::QUEUE_SELECT, 2, Queue::CONTROL.0.into())?;
                if d.machine.common(common::QUEUE_SIZE, 2)? == u64::from(size) {
                    // Without QEMU in between the card has it, and parks the ring.
                    return Ok(());
                }
                d.machine.ring(Queue::CONTROL).plan.size = QUEUE_SIZE_MAX;
                d.open().map(|_| ())
            },
        );
    }
    outside(&mut rows);
    legal(&mut rows);
    rows.done()
}

fn outside(rows: &mut Rows) {
    let places: [(&str, u64); 9] = [
        ("a page past the end of memory", RAM + 0x1000),
        ("at the top of the address space", 0xffff_ffff_ffff_f000),
        ("at 32 GiB", 0x8_0000_0000),
        ("above 2^52", 1 << 60),
        ("below 1 MiB, where ROMs are", 0xd_0000),
        ("in the function's own BAR", u64::from(BAR_BASE)),
        ("in the hole for PCI", 0xe080_0000),
        ("in the interrupt controller", 0xfec0_0000),
        ("in the firmware", 0xffff_c000),
    ];
    // Each place with each part, and the queues in turn.
    let mut queues = Queue::ALL.into_iter().cycle();
    for (place, address) in places {
        for (part, name) in PARTS.into_iter().enumerate() {
            let queue = queues.next().unwrap_or(Queue::CONTROL);
            // Where QEMU cannot map a part at all it starts no ring, and sends the card nothing.
            let expected = Expected::FirstOrKept(Diagnosis::RING_OUTSIDE_MEMORY, Some(queue));
            rows.add(format!("{queue}: {name} {place}"), DriverState::Reset, expected, move |d| {
                start_with(d, queue, |plan| plan.parts[part] = address)
            });
        }
    }
    for (part, name) in PARTS.into_iter().enumerate() {
        let queue = queues.next().unwrap_or(Queue::CONTROL);
        let expected = Expected::FirstOrKept(Diagnosis::RING_OUTSIDE_MEMORY, Some(queue));
        rows.add(format!("{queue}: {name} that crosses the end of memory"), DriverState::Reset, expected, move |d| {
            start_with(d, queue, |plan| plan.parts[part] = RAM - 16)
        });
    }
    // One that QEMU does not keep from the card, on every queue.
    for queue in Queue::ALL {
        let expected = on(queue, Diagnosis::RING_OUTSIDE_MEMORY);
        rows.add(format!("{queue}: whole ring past the end of memory"), DriverState::Reset, expected, move |d| {
            start_with(d, queue, |plan| plan.parts = [RAM + 0x1000, RAM + 0x2000, RAM + 0x3000])
        });
    }
}

/// Rings at unusual addresses that are valid.
fn legal(rows: &mut Rows) {
    rows.add("ring that ends with the last byte of memory", DriverState::Reset, Expected::NOTHING, |d| {
        let size = QUEUE_SIZE_MAX;
        let used = (RAM - part_bytes(2, size)) & !3;
        let descriptors = (used - 0x1000 - part_bytes(0, size)) & !15;
        let available = used - 0x1000;
        d.machine.ram.write(descriptors, &vec![0; (RAM - descriptors) as usize])?;
        start_with(d, Queue::CONTROL, |plan| plan.parts = [descriptors, available, used])?;
        d.open().map(|_| ())
    });
    rows.add("available and used ring in the first pages of memory", DriverState::Reset, Expected::NOTHING, |d| {
        d.machine.ram.write(0, &[0; 3 * 4096])?;
        start_with(d, Queue::CONTROL, |plan| (plan.parts[1], plan.parts[2]) = (0x1000, 0x2000))?;
        d.open().map(|_| ())
    });
    rows.add("parts of all rings that touch without a gap", DriverState::Reset, Expected::NOTHING, |d| {
        let mut at = d.machine.ram.place(&[0; 5 * 4096])?;
        let mut set_up = d.machine.set_up();
        for plan in &mut set_up.rings {
            for (part, alignment) in ALIGNMENTS.into_iter().enumerate() {
                at = at.next_multiple_of(alignment);
                plan.parts[part] = at;
                at += part_bytes(part, plan.size);
            }
        }
        d.machine.start_as(&set_up)?;
        d.open().map(|_| ())
    });
    rows.add("used ring that holds the index from before a reset", DriverState::Reset, Expected::NOTHING, |d| {
        for queue in Queue::ALL {
            let used = d.machine.ring(queue).plan.parts[2];
            d.machine.ram.publish(used + 2, 500)?;
        }
        d.start()?;
        let used = d.machine.ring(Queue::CONTROL).plan.parts[2];
        d.machine.ram.publish(used + 2, 0)?;
        d.open().map(|_| ())
    });
}
