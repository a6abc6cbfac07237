//! Where things are in configuration space (PCI Local Bus 3.0, 6.1 and 6.7), and where a function's capabilities go.

/// Bytes of a function's configuration space.
pub(crate) const CONFIG_BYTES: usize = 256;

/// The vendor id.
pub(crate) const VENDOR_ID: usize = 0x00;
/// The device id.
pub(crate) const DEVICE_ID: usize = 0x02;
/// The command register.
pub(crate) const COMMAND: usize = 0x04;
/// The status register.
pub(crate) const STATUS: usize = 0x06;
/// The revision id.
pub(crate) const REVISION: usize = 0x08;
/// Programming interface, subclass and base class.
pub(crate) const CLASS: usize = 0x09;
/// The cache line size.
pub(crate) const CACHE_LINE: usize = 0x0c;
/// The latency timer.
pub(crate) const LATENCY: usize = 0x0d;
/// The first base address register.
pub(crate) const BAR: usize = 0x10;
/// The subsystem's vendor id.
pub(crate) const SUBSYSTEM_VENDOR: usize = 0x2c;
/// The subsystem id.
pub(crate) const SUBSYSTEM: usize = 0x2e;
/// The pointer to the first capability.
pub(crate) const CAPABILITIES: usize = 0x34;
/// The interrupt line, which firmware writes for drivers.
pub(crate) const INTERRUPT_LINE: usize = 0x3c;
/// The interrupt pin: 1 is INTA.
pub(crate) const INTERRUPT_PIN: usize = 0x3d;
/// Where the first capability is: right after the header.
const FIRST_CAPABILITY: usize = 0x40;

/// Bits of the command register (PCI Local Bus 3.0, 6.2.2).
pub(crate) mod command {
    /// I/O space is decoded.
    pub(crate) const IO: u16 = 1 << 0;
    /// Memory space is decoded.
    pub(crate) const MEMORY: u16 = 1 << 1;
    /// The function may access memory and send messages.
    pub(crate) const BUS_MASTER: u16 = 1 << 2;
    /// Parity errors are answered.
    pub(crate) const PARITY: u16 = 1 << 6;
    /// SERR# may be driven.
    pub(crate) const SYSTEM_ERROR: u16 = 1 << 8;
    /// The interrupt line may not be asserted.
    pub(crate) const INTX_DISABLE: u16 = 1 << 10;
}

/// Bits of the status register (PCI Local Bus 3.0, 6.2.3).
pub(crate) mod status {
    /// The function asks for its interrupt line.
    pub(crate) const INTERRUPT: u16 = 1 << 3;
    /// There is a list of capabilities.
    pub(crate) const CAPABILITIES: u16 = 1 << 4;
    /// The bits that a write of 1 clears: parity errors and aborts.
    pub(crate) const CLEARED_BY_ONE: u16 = 1 << 8 | 0x1f << 11;
}

/// Power management (PCI Power Management 1.2, 3.2).
pub(crate) mod power {
    /// Bytes of the capability.
    pub(crate) const BYTES: usize = 8;
    /// The capability's identifier.
    pub(crate) const ID: u8 = 0x01;
    /// Version 3, no auxiliary current, neither D1 nor D2, no wake event.
    pub(crate) const CAPABILITIES: u16 = 3;
    /// Where the control register is in the capability.
    pub(crate) const CONTROL: usize = 4;
    /// The power state in the control register.
    pub(crate) const STATE: u8 = 3;
    /// Working.
    pub(crate) const D0: u8 = 0;
    /// Off, with configuration space alive.
    pub(crate) const D3_HOT: u8 = 3;
}

/// MSI-X (PCI Local Bus 3.0, 6.8.2).
pub(crate) mod msix {
    /// Bytes of the capability.
    pub(crate) const BYTES: usize = 12;
    /// The capability's identifier.
    pub(crate) const ID: u8 = 0x11;
    /// Where the control register is in the capability.
    pub(crate) const CONTROL: usize = 2;
    /// Where BAR and offset of the table are in the capability.
    pub(crate) const TABLE: usize = 4;
    /// Where BAR and offset of the pending bits are in the capability.
    pub(crate) const PENDING: usize = 8;
    /// All vectors are masked.
    pub(crate) const FUNCTION_MASK: u16 = 1 << 14;
    /// The function uses MSI-X, and not its line.
    pub(crate) const ENABLE: u16 = 1 << 15;
}

/// Advanced Features (PCI ECN "Advanced Capabilities for Conventional PCI").
pub(crate) mod features {
    /// Bytes of the capability.
    pub(crate) const BYTES: usize = 6;
    /// The capability's identifier.
    pub(crate) const ID: u8 = 0x13;
    /// Where the features are in the capability.
    pub(crate) const CAPABILITIES: usize = 3;
    /// Transaction pending is reported, function-level reset is there.
    pub(crate) const PENDING_AND_RESET: u8 = 3;
    /// Where the control register is in the capability.
    pub(crate) const CONTROL: usize = 4;
    /// Writing it resets the function; it reads as 0.
    pub(crate) const INITIATE_RESET: u8 = 1;
}

/// Vendor-specific capabilities (PCI Local Bus 3.0, appendix H).
pub(crate) mod vendor {
    /// The capability's identifier.
    pub(crate) const ID: u8 = 0x09;
    /// Identifier, next pointer and length.
    pub(crate) const HEADER: usize = 3;
}

/// A capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Power management.
    Power,
    /// MSI-X.
    Msix,
    /// Advanced features: function-level reset.
    FunctionReset,
    /// A vendor-specific one, by its index.
    Vendor(usize),
}

/// A capability and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
}

/// Places capabilities, of these kinds and sizes, in the order of their list.
pub(crate) fn place(kinds: impl IntoIterator<Item = (Kind, usize)>) -> Vec<Placed> {
    let mut offset = FIRST_CAPABILITY;
    let place = |(kind, bytes): (Kind, usize)| {
        let placed = Placed { kind, offset, bytes };
        offset += bytes.next_multiple_of(4);
        placed
    };
    kinds.into_iter().map(place).collect()
}
