//! Configuration space by the ports of configuration mechanism 1.
#![allow(unsafe_code, reason = "port access")]

use pci_types::{ConfigRegionAccess, PciAddress};
use x86_64::instructions::port::Port;

use super::Address;
use crate::arch::cpu::exclusively;

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;

/// Size of the space that this mechanism reaches.
pub const CONFIG_BYTES: u32 = 256;

fn select(address: Address, offset: u32) {
    let value = 1 << 31
        | u32::from(address.bus) << 16
        | u32::from(address.device) << 11
        | u32::from(address.function) << 8
        | (offset & 0xfc);
    // SAFETY: the standard configuration ports.
    unsafe { Port::<u32>::new(ADDRESS_PORT).write(value) }
}

/// Reads an aligned 32-bit register.
#[must_use]
pub fn read(address: Address, offset: u32) -> u32 {
    exclusively(|| {
        select(address, offset);
        // SAFETY: as above.
        unsafe { Port::<u32>::new(DATA_PORT).read() }
    })
}

/// Writes an aligned 32-bit register.
pub fn write(address: Address, offset: u32, value: u32) {
    exclusively(|| {
        select(address, offset);
        // SAFETY: as above.
        unsafe { Port::<u32>::new(DATA_PORT).write(value) }
    });
}

/// Configuration space, for the crate that decodes its headers.
#[derive(Clone, Copy, Debug)]
pub struct Ports;

impl ConfigRegionAccess for Ports {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        read(address.into(), offset.into())
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        write(address.into(), offset.into(), value);
    }
}

impl From<PciAddress> for Address {
    fn from(address: PciAddress) -> Self {
        Self { bus: address.bus(), device: address.device(), function: address.function() }
    }
}

/// Reads a byte.
#[must_use]
pub fn read_byte(address: Address, offset: u32) -> u8 {
    (read(address, offset) >> (8 * (offset & 3))) as u8
}

/// Reads an aligned 16-bit register.
#[must_use]
pub fn read_word(address: Address, offset: u32) -> u16 {
    (read(address, offset) >> (8 * (offset & 2))) as u16
}

/// Writes a byte and nothing beside it: status bits next to it clear when written.
pub fn write_byte(address: Address, offset: u32, value: u8) {
    exclusively(|| {
        select(address, offset);
        // SAFETY: as above; the data port's bytes are ports of their own.
        unsafe { Port::<u8>::new(DATA_PORT + (offset & 3) as u16).write(value) }
    });
}

/// Writes an aligned 16-bit register.
pub fn write_word(address: Address, offset: u32, value: u16) {
    exclusively(|| {
        select(address, offset);
        // SAFETY: as above.
        unsafe { Port::<u16>::new(DATA_PORT + (offset & 2) as u16).write(value) }
    });
}
