//! Where things are in configuration space (PCI Local Bus 3.0, 6.1 and 6.7), and where a function's capabilities go.

use crate::description::Description;

/// Bytes of a function's configuration space.
pub(crate) const CONFIG_BYTES: usize = 256;

pub(super) const VENDOR_ID: usize = 0x00;
pub(super) const DEVICE_ID: usize = 0x02;
pub(super) const COMMAND: usize = 0x04;
pub(super) const STATUS: usize = 0x06;
pub(super) const REVISION: usize = 0x08;
pub(super) const CLASS: usize = 0x09;
pub(super) const CACHE_LINE: usize = 0x0c;
pub(super) const LATENCY: usize = 0x0d;
pub(super) const BAR: usize = 0x10;
pub(super) const SUBSYSTEM_VENDOR: usize = 0x2c;
pub(super) const SUBSYSTEM: usize = 0x2e;
pub(super) const CAPABILITIES: usize = 0x34;
pub(super) const INTERRUPT_LINE: usize = 0x3c;
pub(super) const INTERRUPT_PIN: usize = 0x3d;
/// Where the first capability is: right after the header.
const FIRST_CAPABILITY: usize = 0x40;

/// Bits of the command register (PCI Local Bus 3.0, 6.2.2).
pub(crate) mod command {
    pub(crate) const IO: u16 = 1 << 0;
    pub(crate) const MEMORY: u16 = 1 << 1;
    pub(crate) const BUS_MASTER: u16 = 1 << 2;
    pub(crate) const PARITY: u16 = 1 << 6;
    pub(crate) const SYSTEM_ERROR: u16 = 1 << 8;
    pub(crate) const INTX_DISABLE: u16 = 1 << 10;
}

/// Bits of the status register (PCI Local Bus 3.0, 6.2.3).
pub(super) mod status {
    pub(crate) const INTERRUPT: u16 = 1 << 3;
    pub(crate) const CAPABILITIES: u16 = 1 << 4;
    /// The bits that a write of 1 clears: parity errors and aborts.
    pub(crate) const CLEARED_BY_ONE: u16 = 1 << 8 | 0x1f << 11;
}

/// Power management (PCI Power Management 1.2, 3.2).
pub(super) mod power {
    pub(crate) const ID: u8 = 0x01;
    /// Version 3, no auxiliary current, neither D1 nor D2, no wake event.
    pub(crate) const CAPABILITIES: u16 = 3;
    /// Where the control register is in the capability.
    pub(crate) const CONTROL: usize = 4;
    /// The power state in the control register.
    pub(crate) const STATE: u8 = 3;
    pub(crate) const D0: u8 = 0;
    pub(crate) const D3_HOT: u8 = 3;
}

/// MSI-X (PCI Local Bus 3.0, 6.8.2).
pub(super) mod msix {
    pub(crate) const ID: u8 = 0x11;
    pub(crate) const CONTROL: usize = 2;
    pub(crate) const TABLE: usize = 4;
    pub(crate) const PENDING: usize = 8;
    pub(crate) const FUNCTION_MASK: u16 = 1 << 14;
    pub(crate) const ENABLE: u16 = 1 << 15;
}

/// Advanced Features (PCI ECN "Advanced Capabilities for Conventional PCI").
pub(super) mod features {
    pub(crate) const ID: u8 = 0x13;
    pub(crate) const CAPABILITIES: usize = 3;
    /// Transaction pending is reported, function-level reset is there.
    pub(crate) const PENDING_AND_RESET: u8 = 3;
    pub(crate) const CONTROL: usize = 4;
    /// Writing it resets the function; it reads as 0.
    pub(crate) const INITIATE_RESET: u8 = 1;
}

/// Vendor-specific capabilities (PCI Local Bus 3.0, appendix H).
pub(super) mod vendor {
    pub(crate) const ID: u8 = 0x09;
    /// Identifier, next pointer and length.
    pub(crate) const HEADER: usize = 3;
}

/// A capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Power,
    Msix,
    FunctionReset,
    Vendor(usize),
}

/// A capability and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) kind: Kind,
    pub(super) offset: usize,
    pub(super) bytes: usize,
}

/// Returns the capabilities that a description has, in the order of their list.
pub(super) fn capabilities(description: &Description) -> Vec<Placed> {
    let mut kinds = Vec::new();
    if description.power {
        kinds.push((Kind::Power, 8));
    }
    if description.msix.is_some() {
        kinds.push((Kind::Msix, 12));
    }
    if description.function_reset {
        kinds.push((Kind::FunctionReset, 6));
    }
    for (index, capability) in description.vendor_capabilities.iter().enumerate() {
        kinds.push((Kind::Vendor(index), vendor::HEADER + capability.bytes.len()));
    }
    let mut offset = FIRST_CAPABILITY;
    let place = |(kind, bytes): (Kind, usize)| {
        let placed = Placed { kind, offset, bytes };
        offset += bytes.next_multiple_of(4);
        placed
    };
    kinds.into_iter().map(place).collect()
}

/// Returns where the last capability ends.
pub(crate) fn capabilities_end(description: &Description) -> usize {
    capabilities(description).last().map_or(FIRST_CAPABILITY, |last| last.offset + last.bytes)
}
