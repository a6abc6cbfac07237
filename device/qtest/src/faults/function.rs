//! The PCI function itself: its configuration space, BARs, bus mastering, message interrupts, the identity block.

use card_spec::diagnosis::Diagnosis;
use card_spec::identity::{IdentityBlock, MAGIC};
use card_spec::queue::Queue;

use crate::driver::{Driver, DriverState, RENDER, WAVE};
use crate::failure::{Result, expect};
use crate::fault::{Expected, Fault, Rows};
use crate::machine::{BAR_BASE, common};

/// The command register (PCI 3.0, section 6.2.2).
const COMMAND: u32 = 4;
/// The first BAR register.
const BARS: u32 = 0x10;
/// Memory accesses are answered.
const MEMORY: u32 = 2;
/// The function may reach memory.
const BUS_MASTER: u32 = 4;
/// Message interrupts are on, in the first word of the MSI-X capability.
const MSIX_ENABLE: u32 = 1 << 31;
/// All of them are masked.
const MSIX_MASK: u32 = 1 << 30;

const WRITTEN: Expected = Expected::First(Diagnosis::CONFIG_WRITE, None);

/// Returns the rows of this kind.
pub(super) fn rows() -> Vec<Fault> {
    let mut rows = Rows::of("PCI function");
    identity(&mut rows);
    bars(&mut rows);
    messages(&mut rows);
    rows.done()
}

fn identity(rows: &mut Rows) {
    for width in [1, 2, 4, 8] {
        rows.add(format!("writes to the identity block in {width} bytes"), DriverState::Open, WRITTEN, move |d| {
            let at = d.machine.structures.device;
            for offset in [0, 0x3c, 0x40, 0x98] {
                d.machine.qemu.write(at + offset, width, u64::MAX)?;
            }
            let identity = d.machine.identity()?;
            expect("the magic", &MAGIC, &identity.magic)?;
            expect("writes that were counted", &true, &(identity.first_error.count.get() >= 4))
        });
    }
    rows.add("writes to the identity block before it was ever read", DriverState::Reset, Expected::NOTHING, |d| {
        let at = d.machine.structures.device;
        d.machine.qemu.write(at, 4, 0)?;
        // A driver that starts afterwards finds no error.
        d.start()
    });
    rows.add("writes past the end of the identity block", DriverState::Open, Expected::NOTHING, |d| {
        let at = d.machine.structures.device + size_of::<IdentityBlock>() as u64;
        (0..64).try_for_each(|offset| d.machine.qemu.write(at + 4 * offset, 4, u64::MAX))
    });
    rows.add(
        "reads of the identity block in every width, past its end too",
        DriverState::Open,
        Expected::NOTHING,
        |d| {
            let at = d.machine.structures.device;
            for width in [1, 2, 4, 8] {
                for offset in 0..size_of::<IdentityBlock>() as u64 + 16 {
                    d.machine.qemu.read(at + offset, width)?;
                }
            }
            Ok(())
        },
    );
    rows.add(
        "reads of the interrupt status, a thousand times while it plays",
        DriverState::Playing,
        Expected::NOTHING,
        |d| {
            for _ in 0..20 {
                d.post_wave(WAVE, 64, 256)?;
                for _ in 0..50 {
                    d.machine.isr()?;
                }
                d.wait_wave()?;
            }
            Ok(())
        },
    );
}

/// Plays, changes the function, and leaves the change to the recovery.
fn while_playing(rows: &mut Rows, name: &str, act: fn(&mut Driver) -> Result) {
    rows.add(format!("{name} while it plays"), DriverState::Playing, Expected::NOTHING, move |d| {
        d.send(RENDER, &[(0, 1, &[0x90, 60, 100])])?;
        d.post_wave(WAVE, 60_000, 240_000)?;
        act(d)
    });
}

fn bars(rows: &mut Rows) {
    rows.add("starts with bus mastering off", DriverState::Reset, Expected::NOTHING, |d| {
        d.machine.qemu.config_write(COMMAND, MEMORY)?;
        d.start()?;
        d.machine.qemu.config_write(COMMAND, MEMORY | BUS_MASTER)
    });
    while_playing(rows, "bus mastering is turned off", |d| d.machine.qemu.config_write(COMMAND, MEMORY));
    while_playing(rows, "bus mastering is turned off and on", |d| {
        d.machine.qemu.config_write(COMMAND, MEMORY)?;
        d.machine.qemu.config_write(COMMAND, MEMORY | BUS_MASTER)?;
        Queue::ALL.into_iter().try_for_each(|queue| d.machine.kick(queue))
    });
    while_playing(rows, "memory accesses are turned off", |d| {
        d.machine.qemu.config_write(COMMAND, BUS_MASTER)?;
        Queue::ALL.into_iter().try_for_each(|queue| d.machine.kick(queue))
    });
    while_playing(rows, "the function is turned off", |d| d.machine.qemu.config_write(COMMAND, 0));
    while_playing(rows, "the command register is all ones", |d| d.machine.qemu.config_write(COMMAND, u32::MAX));
    while_playing(rows, "bus mastering is turned off and on fifty times", |d| {
        for _ in 0..50 {
            d.machine.qemu.config_write(COMMAND, MEMORY)?;
            d.machine.qemu.config_write(COMMAND, MEMORY | BUS_MASTER)?;
        }
        Ok(())
    });
    while_playing(rows, "the BARs are moved", |d| {
        for bar in 0..6 {
            d.machine.qemu.config_write(BARS + 4 * bar, BAR_BASE + 0x800_0000 + bar * 0x10_0000)?;
        }
        // The old place answers nothing any more.
        Queue::ALL.into_iter().try_for_each(|queue| d.machine.kick(queue))
    });
    while_playing(rows, "the BARs are put onto guest memory", |d| {
        (0..6).try_for_each(|bar| d.machine.qemu.config_write(BARS + 4 * bar, 0x20_0000 + bar * 0x10_0000))
    });
    while_playing(rows, "the BARs are put onto each other", |d| {
        (0..6).try_for_each(|bar| d.machine.qemu.config_write(BARS + 4 * bar, BAR_BASE))
    });
    while_playing(rows, "the BARs are sized", |d| {
        for bar in 0..6 {
            d.machine.qemu.config_write(BARS + 4 * bar, u32::MAX)?;
            d.machine.qemu.config_read(BARS + 4 * bar)?;
        }
        Ok(())
    });
    while_playing(rows, "every register of the configuration space is all ones", |d| {
        // But for the window to the structures, which has a row of its own.
        let window = d.machine.structures.window;
        let registers = (0..64).map(|register| 4 * register);
        for register in registers.filter(|register| !(window..window + 20).contains(register)) {
            d.machine.qemu.config_write(register, u32::MAX)?;
        }
        for register in 0..64 {
            d.machine.qemu.config_write(4 * register, 0)?;
        }
        Ok(())
    });
    while_playing(rows, "the window to the structures points at nothing", |d| {
        let window = d.machine.structures.window;
        for (bar, offset, length) in
            [(0, 0, 4), (2, 0x3ffe, 4), (2, u32::MAX - 3, 4), (2, 0, 3), (7, 0, 4), (2, 0x2000, 0)]
        {
            d.machine.qemu.config_write(window + 4, bar)?;
            d.machine.qemu.config_write(window + 8, offset)?;
            d.machine.qemu.config_write(window + 12, length)?;
            d.machine.qemu.config_read(window + 16)?;
            d.machine.qemu.config_write(window + 16, u32::MAX)?;
        }
        Ok(())
    });
}

fn messages(rows: &mut Rows) {
    for vector in [0, 1, 5, 0x7fff, 0xffff] {
        rows.add(
            format!("every queue has message {vector:#x} of one"),
            DriverState::Reset,
            Expected::NOTHING,
            move |d| {
                d.machine.qemu.config_write(d.machine.structures.msix, MSIX_ENABLE)?;
                d.machine.set_common(common::CONFIG_MSIX_VECTOR, 2, vector)?;
                for queue in Queue::ALL {
                    d.machine.set_common(common::QUEUE_SELECT, 2, queue.0.into())?;
                    d.machine.set_common(common::QUEUE_MSIX_VECTOR, 2, vector)?;
                }
                d.start()?;
                d.open()?;
                d.play()?;
                d.record(64).map(|_| ())
            },
        );
    }
    rows.add("the messages' table is all ones", DriverState::Playing, Expected::NOTHING, |d| {
        with_message(d, u64::MAX, u32::MAX)
    });
    rows.add("messages go to a page of memory", DriverState::Playing, Expected::NOTHING, |d| {
        let page = d.machine.ram.allocate(4096)?;
        with_message(d, page, 0x1234_5678)
    });
    // The message is the available index, among others.
    rows.add("messages go to the wave ring's available index", DriverState::Playing, Expected::Anything, |d| {
        let at = d.machine.ring(Queue::WAVE).plan.parts[1];
        with_message(d, at, 0x7777_0000)
    });
    rows.add("messages go to the function's own doorbell", DriverState::Playing, Expected::Anything, |d| {
        let at = d.machine.doorbell(Queue::WAVE);
        with_message(d, at, Queue::WAVE.0.into())
    });
    rows.add("messages are turned on and off while it plays", DriverState::Playing, Expected::NOTHING, |d| {
        for round in 0..100 {
            let how = [MSIX_ENABLE, MSIX_ENABLE | MSIX_MASK, MSIX_MASK, 0][round % 4];
            d.machine.qemu.config_write(d.machine.structures.msix, how)?;
            d.record(16)?;
        }
        Ok(())
    });
}

/// Turns message interrupts on with this message, and has the card raise some.
fn with_message(driver: &mut Driver, address: u64, data: u32) -> Result {
    let table = driver.machine.structures.msix_table;
    for (word, value) in [address as u32, (address >> 32) as u32, data, 0].into_iter().enumerate() {
        driver.machine.qemu.write(table + 4 * word as u64, 4, value.into())?;
    }
    driver.machine.qemu.config_write(driver.machine.structures.msix, MSIX_ENABLE)?;
    driver.machine.set_common(common::QUEUE_SELECT, 2, Queue::WAVE.0.into())?;
    driver.machine.set_common(common::QUEUE_MSIX_VECTOR, 2, 0)?;
    for _ in 0..20 {
        driver.post_wave(WAVE, 16, 64)?;
        driver.machine.settle()?;
    }
    Ok(())
}
