//! Places base addresses that firmware left at zero.

use alloc::vec::Vec;

use super::function::{Bar, Function};
use super::{config, routing};
use crate::mm::PAGE_SIZE;
use crate::ranges::Ranges;

/// Between the ECAM window that q35 firmware puts at 0xb000_0000 and the I/O APIC.
const MEMORY_WINDOW: core::ops::Range<u64> = 0xc000_0000..0xfe80_0000;
/// Above the ports of the chipset.
const PORT_WINDOW: core::ops::Range<u64> = 0xc000..0x1_0000;

/// Places what is nowhere, and switches decoding on for what was placed.
#[must_use]
pub fn place(mut functions: Vec<Function>) -> Vec<Function> {
    let (mut memory, mut ports) = (Ranges::new(), Ranges::new());
    memory.insert(MEMORY_WINDOW);
    ports.insert(PORT_WINDOW);
    for bar in functions.iter().flat_map(|function| &function.bars).filter(|bar| bar.base != 0) {
        let range = bar.base..bar.base + bar.size;
        if bar.io { ports.remove(range) } else { memory.remove(range) }
    }
    for function in &mut functions {
        // Behind a bridge an address works only if the bridge forwards it, which firmware decides.
        if function.behind.is_some() || function.is_bridge() {
            continue;
        }
        let address = function.address;
        for bar in function.bars.iter_mut().filter(|bar| bar.base == 0) {
            let free = if bar.io { &mut ports } else { &mut memory };
            // A page of its own for each, so that a mapping shows one function only.
            let align = if bar.io { bar.size } else { bar.size.max(PAGE_SIZE) };
            let Some(base) = free.allocate(align, align, u64::MAX) else {
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

fn write(address: super::Address, bar: &Bar) {
    let offset = 0x10 + 4 * u32::from(bar.index);
    config::write(address, offset, bar.base as u32);
    if bar.wide {
        config::write(address, offset + 4, (bar.base >> 32) as u32);
    }
}
