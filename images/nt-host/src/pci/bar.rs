//! Places base addresses that firmware left at zero, and 64-bit ones above 4 GiB where the options say so.

use alloc::vec::Vec;

use super::function::{Bar, Function};
use super::{config, routing};
use crate::arch::{PAGE_SIZE, paging};
use crate::base::ranges::Ranges;
use crate::harness::options::{self, Bars};

/// Between the ECAM window that q35 firmware puts at 0xb000_0000 and the I/O APIC.
const MEMORY_WINDOW: core::ops::Range<u64> = 0xc000_0000..0xfe80_0000;
/// Where a PC's firmware has 64-bit memory, above what RAM this guest is given: q35's window of 32 GiB (`pci-hole64-size`). QEMU
/// forwards to the bus whatever no RAM is at.
const HIGH_MEMORY_WINDOW: core::ops::Range<u64> = 0x8_0000_0000..0x10_0000_0000;
/// What 32 bits reach.
const FOUR_GIB: u64 = 1 << 32;
/// The command register, and its bits that have a function decode ports and memory.
const COMMAND: u32 = 0x04;
const DECODE: u16 = 3;
/// Above the ports of the chipset.
const PORT_WINDOW: core::ops::Range<u64> = 0xc000..0x1_0000;

/// Places what is nowhere, and what 64-bit memory is to be above 4 GiB and is not.
#[must_use]
pub fn place(mut functions: Vec<Function>) -> Vec<Function> {
    let above = options::current().bars == Bars::Above4G;
    if above && !reaches_high_memory() {
        crate::warn!(
            "the processor's physical addresses end below {:#x}: no BAR is above 4 GiB",
            HIGH_MEMORY_WINDOW.end
        );
    }
    let above = above && reaches_high_memory();
    let mut free = Free::besides(&functions);
    for function in &mut functions {
        let address = function.address;
        // Behind a bridge an address works only if the bridge forwards it, which firmware decides.
        if function.behind.is_some() || function.is_bridge() {
            if above && function.bars.iter().any(|bar| bar.wide) {
                crate::warn!("{address} is behind a bridge: its 64-bit BARs stay where the firmware has them");
            }
            continue;
        }
        let moves = |bar: &Bar| bar.base == 0 || (above && bar.wide && bar.base < FOUR_GIB);
        for bar in function.bars.iter_mut().filter(|bar| moves(bar)) {
            let Some(base) = free.base(bar, above) else {
                crate::warn!("no addresses left for BAR {} of {address}", bar.index);
                continue;
            };
            bar.base = base;
            write(address, bar);
        }
        routing::prepare(function);
    }
    functions
}

/// Returns whether the processor has addresses for the window above 4 GiB.
fn reaches_high_memory() -> bool {
    paging::physical_end() >= HIGH_MEMORY_WINDOW.end
}

/// Addresses that no function decodes.
struct Free {
    memory: Ranges,
    high_memory: Ranges,
    ports: Ranges,
}

impl Free {
    /// Returns all but what functions decode.
    fn besides(functions: &[Function]) -> Self {
        let mut free = Self { memory: Ranges::new(), high_memory: Ranges::new(), ports: Ranges::new() };
        free.memory.insert(MEMORY_WINDOW);
        free.high_memory.insert(HIGH_MEMORY_WINDOW);
        free.ports.insert(PORT_WINDOW);
        for bar in functions.iter().flat_map(|function| &function.bars).filter(|bar| bar.base != 0) {
            let range = bar.base..bar.base + bar.size;
            if bar.io {
                free.ports.remove(range);
            } else {
                free.memory.remove(range.clone());
                free.high_memory.remove(range);
            }
        }
        free
    }

    /// Returns a place for a base address, of 64 bits above 4 GiB if `above` says so, on pages of its own, so that a mapping
    /// shows one function only.
    fn base(&mut self, bar: &Bar, above: bool) -> Option<u64> {
        let align = if bar.io { bar.size } else { bar.size.max(PAGE_SIZE) };
        let free = match (bar.io, bar.wide && above) {
            (true, _) => &mut self.ports,
            (false, true) => &mut self.high_memory,
            (false, false) => &mut self.memory,
        };
        free.allocate(align, align, u64::MAX)
    }
}

/// Gives each base address of a function another place on the same side of 4 GiB, away from where anything of `all` is
/// now. The function must not decode meanwhile.
#[must_use]
pub fn relocate(function: &Function, all: &[Function]) -> Function {
    let mut moved = function.clone();
    // Behind a bridge an address works only if the bridge forwards it.
    if function.behind.is_some() || function.is_bridge() {
        return moved;
    }
    let mut free = Free::besides(all);
    for bar in moved.bars.iter_mut().filter(|bar| bar.base != 0) {
        if let Some(base) = free.base(bar, bar.base >= FOUR_GIB) {
            bar.base = base;
            write(moved.address, bar);
        }
    }
    moved
}

/// Writes a base address while the function does not decode: half of one of 64 bits may be where something else is.
fn write(address: super::Address, bar: &Bar) {
    let offset = 0x10 + 4 * u32::from(bar.index);
    let command = config::read_word(address, COMMAND);
    config::write_word(address, COMMAND, command & !DECODE);
    config::write(address, offset, bar.base as u32);
    if bar.wide {
        config::write(address, offset + 4, (bar.base >> 32) as u32);
    }
    config::write_word(address, COMMAND, command);
}
