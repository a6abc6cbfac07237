//! Indirect descriptors and their tables, on every queue.

use card_spec::diagnosis::Diagnosis;
use card_spec::feature::{EVENT_IDX, VERSION_1};
use card_spec::queue::Queue;

use super::chains::{FIRST, direction, offer};
use super::features::start_with;
use crate::driver::{Driver, DriverState};
use crate::failure::Result;
use crate::fault::{Fault, Rows, on};
use crate::ram::RAM;
use crate::ring::{Descriptor, flag};

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("indirect descriptors");
    for queue in Queue::ALL {
        places(&mut rows, queue);
        tables(&mut rows, queue);
        rows.add(
            format!("{queue}: indirect descriptor, though the feature was not accepted"),
            DriverState::Reset,
            on(queue, Diagnosis::INDIRECT_NOT_NEGOTIATED),
            move |d| {
                start_with(d, VERSION_1 | EVENT_IDX)?;
                d.open()?;
                d.play()?;
                let table = [Descriptor { address: 0x20_0000, length: 64, flags: direction(queue), next: 0 }];
                through(d, queue, &table, |head| head)
            },
        );
    }
    rows.done()
}

/// Offers a chain in an indirect table, through a head that the row changes.
fn through(
    driver: &mut Driver,
    queue: Queue,
    table: &[Descriptor],
    change: impl FnOnce(Descriptor) -> Descriptor,
) -> Result {
    let bytes: Vec<u8> = table.iter().flat_map(Descriptor::bytes).collect();
    let address = driver.machine.ram.place(&bytes)?;
    let head = Descriptor { address, length: bytes.len() as u32, flags: flag::INDIRECT, next: 0 };
    offer(driver, queue, &[change(head), Descriptor { address, length: 16, flags: 0, next: 0 }], FIRST)
}

fn places(rows: &mut Rows, queue: Queue) {
    let outside = [
        ("past the end of memory", RAM),
        ("across the end of memory", RAM - 8),
        ("at 2^63", 1 << 63),
        ("below 1 MiB, where ROMs are", 0xd_0000),
    ];
    for (name, address) in outside {
        let expected = on(queue, Diagnosis::INDIRECT_OUTSIDE_MEMORY);
        rows.add(format!("{queue}: indirect table {name}"), DriverState::Playing, expected, move |d| {
            offer(d, queue, &[Descriptor { address, length: 16, flags: flag::INDIRECT, next: 0 }], FIRST)
        });
    }
    rows.add(
        format!("{queue}: indirect descriptor with NEXT"),
        DriverState::Playing,
        on(queue, Diagnosis::INDIRECT_WITH_NEXT),
        move |d| {
            let table = [Descriptor { address: 0x20_0000, length: 64, flags: direction(queue), next: 0 }];
            through(d, queue, &table, |head| Descriptor { flags: flag::INDIRECT | flag::NEXT, next: FIRST + 1, ..head })
        },
    );
}

fn tables(rows: &mut Rows, queue: Queue) {
    let malformed = on(queue, Diagnosis::CHAIN_MALFORMED);
    let own = direction(queue);
    let plain = move |next: u16, more: u16| Descriptor { address: 0x20_0000, length: 1, flags: own | more, next };
    for length in [0, 15, 17] {
        rows.add(format!("{queue}: indirect table of {length} bytes"), DriverState::Playing, malformed, move |d| {
            through(d, queue, &[plain(0, 0), plain(0, 0)], |head| Descriptor { length, ..head })
        });
    }
    let outside = on(queue, Diagnosis::INDIRECT_OUTSIDE_MEMORY);
    rows.add(format!("{queue}: indirect table of 4 GiB less 16 bytes"), DriverState::Playing, outside, move |d| {
        through(d, queue, &[plain(0, 0)], |head| Descriptor { length: u32::MAX - 15, ..head })
    });
    rows.add(format!("{queue}: indirect table in an indirect table"), DriverState::Playing, malformed, move |d| {
        let inner = d.machine.ram.place(&plain(0, 0).bytes())?;
        let outer = Descriptor { address: inner, length: 16, flags: flag::INDIRECT, next: 0 };
        through(d, queue, &[outer], |head| head)
    });
    rows.add(format!("{queue}: link out of the indirect table"), DriverState::Playing, malformed, move |d| {
        through(d, queue, &[plain(1, flag::NEXT)], |head| head)
    });
    rows.add(format!("{queue}: loop in the indirect table"), DriverState::Playing, malformed, move |d| {
        through(d, queue, &[plain(1, flag::NEXT), plain(0, flag::NEXT)], |head| head)
    });
    rows.add(
        format!("{queue}: indirect table of 4096 linked descriptors"),
        DriverState::Playing,
        malformed,
        move |d| {
            let table: Vec<Descriptor> =
                (0..4096).map(|index| plain(index + 1, if index < 4095 { flag::NEXT } else { 0 })).collect();
            through(d, queue, &table, |head| head)
        },
    );
}
