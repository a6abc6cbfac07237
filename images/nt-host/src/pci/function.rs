//! A function on the bus: its address, its identity, what it decodes.

use alloc::vec::Vec;
use core::fmt;

use pci_types::{EndpointHeader, HeaderType, PciAddress, PciHeader, PciPciBridgeHeader};

use super::config::{self, Ports};

/// Bus, device, function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Bus number.
    pub bus: u8,
    /// Device number, 0 to 31.
    pub device: u8,
    /// Function number, 0 to 7.
    pub function: u8,
}

impl From<Address> for PciAddress {
    fn from(Address { bus, device, function }: Address) -> Self {
        Self::new(0, bus, device, function)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus, self.device, self.function)
    }
}

/// What a base address register decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its index, 0 to 5.
    pub index: u8,
    /// I/O ports instead of memory.
    pub io: bool,
    /// 64 bits wide.
    pub wide: bool,
    /// Prefetchable memory.
    pub prefetchable: bool,
    /// Bytes or ports.
    pub size: u64,
    /// Where it is; 0 = nowhere.
    pub base: u64,
}

/// A function.
#[derive(Clone, Debug)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Subsystem vendor id.
    pub subsystem_vendor: u16,
    /// Subsystem id.
    pub subsystem: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass, programming interface.
    pub class: u32,
    /// Interrupt pin: 0 none, 1 to 4 INTA to INTD.
    pub pin: u8,
    /// Base address registers in order.
    pub bars: Vec<Bar>,
    /// The bridge that it is behind.
    pub behind: Option<Address>,
}

impl Function {
    /// Returns whether it is a bridge.
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        self.class >> 16 == 0x06
    }
}

const INTERRUPT_PIN: u32 = 0x3d;
/// What a function that is not there reads as its vendor.
const NO_VENDOR: u16 = 0xffff;
/// Base address registers of an endpoint.
const BARS: u8 = 6;
const COMMAND: u32 = 0x04;
const DECODE: u16 = 3;
/// Deepest nesting of bridges followed.
const DEPTH_MAX: usize = 8;

/// Finds all functions.
#[must_use]
pub fn enumerate() -> Vec<Function> {
    let mut functions = Vec::new();
    scan(0, None, 0, &mut functions);
    functions
}

fn scan(bus: u8, behind: Option<Address>, depth: usize, functions: &mut Vec<Function>) {
    for device in 0..32 {
        for function in 0..8 {
            let address = Address { bus, device, function };
            let header = PciHeader::new(address.into());
            if header.id(Ports).0 == NO_VENDOR {
                if function == 0 {
                    break;
                }
                continue;
            }
            functions.push(read(address, &header, behind));
            let has_more = header.has_multiple_functions(Ports);
            if depth < DEPTH_MAX
                && let Some(bridge) = PciPciBridgeHeader::from_header(header, Ports)
            {
                let secondary = bridge.secondary_bus_number(Ports);
                if secondary > bus {
                    scan(secondary, Some(address), depth + 1, functions);
                }
            }
            if function == 0 && !has_more {
                break;
            }
        }
    }
}

fn read(address: Address, header: &PciHeader, behind: Option<Address>) -> Function {
    let (vendor, device) = header.id(Ports);
    let (revision, base, sub, interface) = header.revision_and_class(Ports);
    let is_endpoint = header.header_type(Ports) == HeaderType::Endpoint;
    let endpoint = EndpointHeader::from_header(PciHeader::new(address.into()), Ports);
    let (subsystem, subsystem_vendor) = endpoint.map_or((0, 0), |endpoint| endpoint.subsystem(Ports));
    Function {
        address,
        vendor,
        device,
        subsystem_vendor,
        subsystem,
        revision,
        class: u32::from(base) << 16 | u32::from(sub) << 8 | u32::from(interface),
        pin: config::read_byte(address, INTERRUPT_PIN),
        bars: if is_endpoint { size_bars(address) } else { Vec::new() },
        behind,
    }
}

/// Sizes the registers by writing ones, decoding switched off meanwhile.
///
/// Own code: `pci_types` gives no size of ports, panics on a reserved type, and leaves decoding on.
fn size_bars(address: Address) -> Vec<Bar> {
    let command = config::read_word(address, COMMAND);
    config::write_word(address, COMMAND, command & !DECODE);
    let mut bars = Vec::new();
    let mut index = 0;
    while index < BARS {
        let offset = 0x10 + 4 * u32::from(index);
        let old = config::read(address, offset);
        config::write(address, offset, u32::MAX);
        let mask = config::read(address, offset);
        config::write(address, offset, old);
        let io = old & 1 != 0;
        let wide = !io && old >> 1 & 3 == 2;
        let mut base = u64::from(old & if io { !3 } else { !15 });
        let mut sized = u64::from(mask & if io { !3 } else { !15 });
        let mut is_there = sized != 0;
        if wide && index + 1 < BARS {
            let high = config::read(address, offset + 4);
            config::write(address, offset + 4, u32::MAX);
            sized |= u64::from(config::read(address, offset + 4)) << 32;
            // Of one of 4 GiB and more no bit of the low half can be set.
            is_there = sized != 0;
            config::write(address, offset + 4, high);
            base |= u64::from(high) << 32;
        } else if io {
            // The upper half may read as zero.
            sized |= 0xffff_ffff_ffff_0000;
        } else {
            sized |= 0xffff_ffff_0000_0000;
        }
        if is_there {
            bars.push(Bar { index, io, wide, prefetchable: !io && old & 8 != 0, size: sized.wrapping_neg(), base });
        }
        index += 1 + u8::from(wide);
    }
    config::write_word(address, COMMAND, command);
    bars
}
