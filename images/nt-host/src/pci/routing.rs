//! From a function's interrupt pin to an I/O APIC pin and a vector.
//!
//! Specification: Intel ICH9 datasheet, 10.1.45 (device interrupt route registers) and 13.1 (PIRQ routing). In APIC
//! mode PIRQA to PIRQH are I/O APIC pins 16 to 23. Devices 25 to 31 of bus 0 have route registers in the root complex
//! register block; the chipset routes all other devices of bus 0 to PIRQE to PIRQH in rotation (QEMU's
//! `hw/isa/lpc_ich9.c` does, and its ACPI tables say the same), and a bridge rotates the pins of what is behind it.
#![allow(unsafe_code, reason = "memory-mapped route registers")]

use core::sync::atomic::{AtomicU8, Ordering};

use super::function::{Address, Function};
use super::{config, functions};
use crate::arch::boot::DIRECT_MAP;
use crate::nt::KIRQL;
use crate::nt::irql::DEVICE_LEVEL_MIN;

/// First I/O APIC pin of the PCI lines.
const FIRST_PIN: u32 = 16;
/// How many PCI lines there are.
const LINES: u32 = 8;
/// In a level's sixteen vectors, the first that is used for its line.
const FIRST_IN_LEVEL: u8 = 2;
/// How many of them take turns.
const TURNS: u8 = 8;
/// Which one of them it is now.
static TURN: AtomicU8 = AtomicU8::new(0);

/// Lines interrupt at other vectors of their levels from now on. None may be connected.
pub fn renumber() {
    TURN.store((TURN.load(Ordering::Relaxed) + 1) % TURNS, Ordering::Relaxed);
}

const LPC: Address = Address { bus: 0, device: 31, function: 0 };
/// Root complex base address in the LPC bridge's configuration space; bit 0 enables it.
const RCBA: u32 = 0xf0;

/// Returns the I/O APIC pin of a function's interrupt pin.
#[must_use]
pub fn io_apic_pin(function: &Function) -> Option<u32> {
    let mut pin = u32::from(function.pin.checked_sub(1)?) & 3;
    let mut at = function.address;
    let mut behind = function.behind;
    while let Some(bridge) = behind {
        pin = (pin + u32::from(at.device)) % 4;
        at = bridge;
        behind = functions().iter().find(|other| other.address == bridge).and_then(|other| other.behind);
    }
    Some(FIRST_PIN + line(u32::from(at.device), pin))
}

fn line(device: u32, pin: u32) -> u32 {
    match device {
        // The bridge to conventional PCI: its lines are PIRQE to PIRQH.
        30 => pin + 4,
        25..=31 => u32::from(route_register(device) >> (4 * pin)) & 7,
        _ => (device + pin) % 4 + 4,
    }
}

/// What the route registers hold after reset: INTA to PIRQA and so on.
const ROUTE_DEFAULT: u16 = 0x3210;

/// Returns the offset of DnnIR: 0x3140 for device 31 up to 0x3150 for device 25; device 30's pins are fixed.
fn route_register(device: u32) -> u16 {
    let offset = match device {
        31 => 0x3140,
        29 => 0x3144,
        28 => 0x3146,
        27 => 0x3148,
        26 => 0x314c,
        25 => 0x3150,
        _ => return ROUTE_DEFAULT,
    };
    let base = config::read(LPC, RCBA);
    if base & 1 == 0 {
        return ROUTE_DEFAULT;
    }
    let address = DIRECT_MAP + u64::from(base & !0x3fff) + offset;
    // SAFETY: the block is enabled at this address, below 4 GiB and so in the direct map.
    unsafe { (address as *const u16).read_volatile() }
}

/// Returns the vector of an I/O APIC pin: each PCI line has a device level of its own.
#[must_use]
pub fn vector_of(pin: u32) -> Option<u8> {
    let line = pin.checked_sub(FIRST_PIN).filter(|line| *line < LINES)?;
    Some((DEVICE_LEVEL_MIN + line as KIRQL) << 4 | (FIRST_IN_LEVEL + TURN.load(Ordering::Relaxed)))
}

/// Returns the vector of a line of the ISA bus. The device that has it is the only one of the driver's, so that it may have
/// the level of a PCI line.
#[must_use]
pub fn vector_of_isa(line: u8) -> u8 {
    (DEVICE_LEVEL_MIN + line % LINES as u8) << 4 | (FIRST_IN_LEVEL + TURN.load(Ordering::Relaxed))
}

/// Writes the line into the function's interrupt line register, where drivers of old look.
pub fn prepare(function: &Function) {
    if let Some(pin) = io_apic_pin(function) {
        config::write_byte(function.address, 0x3c, pin as u8);
    }
}
