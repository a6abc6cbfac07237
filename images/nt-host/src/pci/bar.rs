//! Places base addresses that firmware left at zero.

use alloc::vec::Vec;

use super::function::{Bar, Function};
use super::{config, routing};
use crate::arch::PAGE_SIZE;
use crate::base::ranges::Ranges;

/// Between the ECAM window that q35 firmware puts at 0xb000_0000 and the I/O APIC.
const MEMORY_WINDOW: core::ops::Range<u64> = 0xc000_0000..0xfe80_0000;
/// Above the ports of the chipset.
const PORT_WINDOW: core::ops::Range<u64> = 0xc000..0x1_0000;

/// Places what is nowhere, and switches decoding on for what was placed.
#[must_use]
pub fn place(mut functions: Vec<Function>) -> Vec<Function> {
    let (mut memory, mut ports) = windows();
    exclude(&functions, &mut memory, &mut ports);
    for function in &mut functions {
        // Behind a bridge an address works only if the bridge forwards it, which firmware decides.
        if function.behind.is_some() || function.is_bridge() {
            continue;
        }
        let address = function.address;
        for bar in function.bars.iter_mut().filter(|bar| bar.base == 0) {
            let free = if bar.io { &mut ports } else { &mut memory };
            let Some(base) = free_base(bar, free) else {
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

fn windows() -> (Ranges, Ranges) {
    let (mut memory, mut ports) = (Ranges::new(), Ranges::new());
    memory.insert(MEMORY_WINDOW);
    ports.insert(PORT_WINDOW);
    (memory, ports)
}

/// Takes what functions decode out of what is free.
fn exclude(functions: &[Function], memory: &mut Ranges, ports: &mut Ranges) {
    for bar in functions.iter().flat_map(|function| &function.bars).filter(|bar| bar.base != 0) {
        let range = bar.base..bar.base + bar.size;
        if bar.io { ports.remove(range) } else { memory.remove(range) }
    }
}

/// Returns the size of a base address on pages of its own, so that a mapping shows one function only.
fn free_base(bar: &Bar, free: &mut Ranges) -> Option<u64> {
    let align = if bar.io { bar.size } else { bar.size.max(PAGE_SIZE) };
    free.allocate(align, align, u64::MAX)
}

/// Gives each base address of a function another place, away from where anything of `all` is now. The function must not
/// decode meanwhile.
#[must_use]
pub fn relocate(function: &Function, all: &[Function]) -> Function {
    let mut moved = function.clone();
    // Behind a bridge an address works only if the bridge forwards it.
    if function.behind.is_some() || function.is_bridge() {
        return moved;
    }
    let (mut memory, mut ports) = windows();
    exclude(all, &mut memory, &mut ports);
    for bar in moved.bars.iter_mut().filter(|bar| bar.base != 0) {
        let free = if bar.io { &mut ports } else { &mut memory };
        if let Some(base) = free_base(bar, free) {
            bar.base = base;
            write(moved.address, bar);
        }
    }
    moved
}

fn write(address: super::Address, bar: &Bar) {
    let offset = 0x10 + 4 * u32::from(bar.index);
    config::write(address, offset, bar.base as u32);
    if bar.wide {
        config::write(address, offset + 4, (bar.base >> 32) as u32);
    }
}
