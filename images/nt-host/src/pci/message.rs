//! Message-signalled interrupts: a function's MSI-X table, and the vectors that its messages carry.
//!
//! Specification: PCI Local Bus 3.0, section 6.8.2 (MSI-X capability and table).
#![allow(unsafe_code, reason = "a memory-mapped table")]

use core::sync::atomic::{AtomicU8, Ordering};

use super::config;
use super::function::Function;
use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Access, Caching};
use crate::arch::uninterrupted::Uninterrupted;
use crate::arch::{PAGE_SIZE, apic, pages_spanning, window};
use crate::nt::KIRQL;
use crate::nt::irql::DEVICE_LEVEL_MAX;

/// The level of all messages: above those of the lines, which take the levels below it.
pub const LEVEL: KIRQL = DEVICE_LEVEL_MAX;
/// Most messages of a function: as many as a level has vectors, halved so that a restart can give others.
pub use guest_protocol::options::MESSAGES_MAX;

const CAPABILITY_LIST: u32 = 0x34;
const STATUS: u32 = 0x06;
const HAS_CAPABILITIES: u16 = 1 << 4;
const MSIX: u8 = 0x11;
/// A list cannot be longer, however a device links it (`pci_types` follows it without a bound): each entry takes at
/// least four bytes of the 192 above the header.
const CAPABILITIES_MAX: usize = 48;
/// Message control, in the capability: table size less one, function mask, enable.
const CONTROL: u32 = 2;
const TABLE_SIZE: u16 = 0x7ff;
const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
/// Where the table is, in the capability: base address register in the low three bits, offset in the rest.
const TABLE: u32 = 4;
const ENTRY_BYTES: u64 = 16;
const ENTRY_MASKED: u32 = 1;
/// The direct map shows device registers below this.
const DIRECT_MAP_END: u64 = 1 << 32;

/// A mapping of registers that the direct map does not show.
#[derive(Clone, Copy)]
struct View {
    at: u64,
    bytes: u64,
}

/// Where the device's table is seen, if that is above 4 GiB. There is one device.
static VIEW: Uninterrupted<Option<View>> = Uninterrupted::new(None);

/// Returns where registers are seen, until the next call. `None` when there is no memory for page tables.
fn view(physical: u64, bytes: u64) -> Option<u64> {
    let before = VIEW.with(Option::take);
    if let Some(View { at, bytes }) = before {
        for page in (at..at + bytes).step_by(PAGE_SIZE as usize) {
            paging::unmap(page);
        }
        window::DEVICE.release(at, bytes);
    }
    if physical + bytes <= DIRECT_MAP_END {
        return Some(DIRECT_MAP + physical);
    }
    let offset = physical % PAGE_SIZE;
    let bytes = pages_spanning(offset + bytes);
    let at = window::DEVICE.reserve(bytes)?;
    if paging::map_range(at, physical - offset, bytes, Access::ReadWrite, Caching::Uncached).is_err() {
        window::DEVICE.release(at, bytes);
        return None;
    }
    VIEW.with(|view| *view = Some(View { at, bytes }));
    Some(at + offset)
}

/// Which half of the level's vectors is used now.
static HALF: AtomicU8 = AtomicU8::new(0);

/// Returns the vector of the first message.
#[must_use]
pub fn first_vector() -> u8 {
    (LEVEL << 4) | (HALF.load(Ordering::Relaxed) * MESSAGES_MAX as u8)
}

/// Makes messages carry other vectors from now on. None may be connected.
pub fn renumber() {
    HALF.store(HALF.load(Ordering::Relaxed) ^ 1, Ordering::Relaxed);
}

/// A function's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its capability in configuration space.
    capability: u32,
    /// Where it is seen.
    at: u64,
    /// Its entries.
    pub entries: u16,
}

/// Returns a function's table, if it has one where it can be reached.
#[must_use]
pub fn table(function: &Function) -> Option<Table> {
    let capability = capability(function)?;
    let entries = (config::read_word(function.address, capability + CONTROL) & TABLE_SIZE) + 1;
    let place = config::read(function.address, capability + TABLE);
    let bar = function.bars.iter().find(|bar| u32::from(bar.index) == place & 7 && !bar.io && bar.base != 0)?;
    let address = bar.base + u64::from(place & !7);
    let bytes = u64::from(entries) * ENTRY_BYTES;
    if address + bytes > bar.base + bar.size {
        return None;
    }
    Some(Table { capability, at: view(address, bytes)?, entries })
}

/// Returns how many messages a device gets of those that it is to have: all, or, where the system has fewer, exactly one
/// ("Introduction to Message-Signaled Interrupts").
#[must_use]
pub const fn granted(wanted: u16, available: u16) -> u16 {
    if wanted <= available { wanted } else { 1 }
}

fn capability(function: &Function) -> Option<u32> {
    if config::read_word(function.address, STATUS) & HAS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = u32::from(config::read_byte(function.address, CAPABILITY_LIST) & !3);
    for _ in 0..CAPABILITIES_MAX {
        if at == 0 {
            return None;
        }
        if config::read_byte(function.address, at) == MSIX {
            return Some(at);
        }
        at = u32::from(config::read_byte(function.address, at + 1) & !3);
    }
    None
}

impl Table {
    fn write(&self, entry: u16, word: u64, value: u32) {
        let at = self.at + u64::from(entry) * ENTRY_BYTES + 4 * word;
        // SAFETY: within the table, which is seen there as long as it is the device's.
        unsafe { (at as *mut u32).write_volatile(value) }
    }

    /// Turns messages on, each masked: from here on the function uses no line. The function must decode its memory.
    pub fn enable(&self, function: &Function) {
        let control = self.capability + CONTROL;
        let value = config::read_word(function.address, control);
        config::write_word(function.address, control, value | ENABLE | MASK_ALL);
        for entry in 0..self.entries {
            self.mask(entry);
        }
        config::write_word(function.address, control, (value | ENABLE) & !MASK_ALL);
    }

    /// Turns messages off.
    pub fn disable(&self, function: &Function) {
        let control = self.capability + CONTROL;
        let value = config::read_word(function.address, control);
        config::write_word(function.address, control, value & !(ENABLE | MASK_ALL));
    }

    /// Makes an entry interrupt at a vector of the processor that takes devices' interrupts.
    pub fn unmask(&self, entry: u16, vector: u8) {
        let address = apic::message_address();
        self.write(entry, 0, address as u32);
        self.write(entry, 1, (address >> 32) as u32);
        self.write(entry, 2, vector.into());
        self.write(entry, 3, 0);
    }

    /// Keeps an entry from interrupting; the function remembers that it wanted to.
    pub fn mask(&self, entry: u16) {
        self.write(entry, 3, ENTRY_MASKED);
    }
}
