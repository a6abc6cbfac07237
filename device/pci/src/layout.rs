//! Where things are in configuration space (PCI Local Bus 3.0, 6.1 and 6.7; PCI Express 3.0, 7.2), and where a
//! function's capabilities go.

/// Bytes of a function's configuration space.
pub(crate) const CONFIG_BYTES: usize = 256;
/// Bytes of the configuration space of a function with a PCI Express capability.
pub(crate) const EXTENDED_CONFIG_BYTES: usize = 4096;

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
/// The expansion ROM's base address register: bit 0 lets the function decode it.
pub(crate) const ROM: usize = 0x30;
/// The pointer to the first capability.
pub(crate) const CAPABILITIES: usize = 0x34;
/// The interrupt line, which firmware writes for drivers.
pub(crate) const INTERRUPT_LINE: usize = 0x3c;
/// The interrupt pin: 1 is INTA.
pub(crate) const INTERRUPT_PIN: usize = 0x3d;
/// Where the first capability is: right after the header.
pub(crate) const FIRST_CAPABILITY: usize = 0x40;

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

/// MSI (PCI Local Bus 3.0, 6.8.1), with a 64-bit address.
pub(crate) mod msi {
    /// Bytes of the capability without masks.
    pub(crate) const BYTES: usize = 14;
    /// Bytes of the capability with masks.
    pub(crate) const MASKABLE_BYTES: usize = 24;
    /// The capability's identifier.
    pub(crate) const ID: u8 = 0x05;
    /// Where the control register is in the capability.
    pub(crate) const CONTROL: usize = 2;
    /// Where the message address is in the capability: 8 bytes, and 2 of message data.
    pub(crate) const ADDRESS: usize = 4;
    /// Where the message data is in the capability.
    pub(crate) const DATA: usize = 12;
    /// Where the mask bits are in the capability.
    pub(crate) const MASK: usize = 16;
    /// Where the pending bits are in the capability.
    pub(crate) const PENDING: usize = 20;
    /// The function uses MSI, and not its line.
    pub(crate) const ENABLE: u16 = 1;
    /// Where the logarithm of the vectors that the function has is in the control register.
    pub(crate) const CAPABLE_SHIFT: u32 = 1;
    /// Where the logarithm of the vectors that the driver has allocated is in the control register.
    pub(crate) const ALLOCATED_SHIFT: u32 = 4;
    /// The logarithms have three bits.
    pub(crate) const LOGARITHM: u16 = 7;
    /// The address has 64 bits.
    pub(crate) const WIDE: u16 = 1 << 7;
    /// Vectors have mask bits.
    pub(crate) const MASKABLE: u16 = 1 << 8;
}

/// PCI Express (PCI Express 3.0, 7.8), version 2.
pub(crate) mod express {
    /// Bytes of the capability.
    pub(crate) const BYTES: usize = 60;
    /// The capability's identifier.
    pub(crate) const ID: u8 = 0x10;
    /// Version 2, an endpoint.
    pub(crate) const FLAGS: u16 = 2;
    /// Where the device capabilities are in the capability.
    pub(crate) const DEVICE_CAPABILITIES: usize = 4;
    /// Payloads of 128 bytes; error reporting by role, which every function since 1.1 has.
    pub(crate) const ROLE_BASED_ERRORS: u32 = 1 << 15;
    /// Function-level reset is there.
    pub(crate) const FUNCTION_RESET: u32 = 1 << 28;
    /// Where the device control register is in the capability.
    pub(crate) const DEVICE_CONTROL: usize = 8;
    /// Relaxed ordering, no snoop, reads of 512 bytes: what it holds after a reset.
    pub(crate) const DEVICE_CONTROL_INITIAL: u16 = 0x2810;
    /// Error reporting, relaxed ordering, payload, no snoop, size of reads.
    pub(crate) const DEVICE_CONTROL_WRITABLE: u16 = 0x78ff;
    /// Writing it, in the upper byte, resets the function; it reads as 0.
    pub(crate) const INITIATE_RESET: u8 = 1 << 7;
    /// Where the device status register is in the capability.
    pub(crate) const DEVICE_STATUS: usize = 10;
    /// The errors that were detected; a write of 1 clears them.
    pub(crate) const DEVICE_STATUS_CLEARED_BY_ONE: u16 = 0xf;
    /// Where the link capabilities are in the capability.
    pub(crate) const LINK_CAPABILITIES: usize = 12;
    /// One lane of 2.5 GT/s.
    pub(crate) const LINK: u16 = 0x11;
    /// Where the link control register is in the capability.
    pub(crate) const LINK_CONTROL: usize = 16;
    /// Power management of the link, read completion boundary, common clock, extended synchronization.
    pub(crate) const LINK_CONTROL_WRITABLE: u16 = 0xcb;
    /// Where the link status register is in the capability.
    pub(crate) const LINK_STATUS: usize = 18;
    /// Where the second device capabilities are in the capability.
    pub(crate) const DEVICE_CAPABILITIES_2: usize = 36;
    /// Where the second device control register is in the capability.
    pub(crate) const DEVICE_CONTROL_2: usize = 40;
    /// Completion timeouts can be disabled.
    pub(crate) const TIMEOUT_DISABLE: u8 = 1 << 4;
    /// Where the second link capabilities are in the capability.
    pub(crate) const LINK_CAPABILITIES_2: usize = 44;
    /// 2.5 GT/s.
    pub(crate) const LINK_SPEEDS: u8 = 1 << 1;
    /// Where the second link control register is in the capability; it aims at 2.5 GT/s.
    pub(crate) const LINK_CONTROL_2: usize = 48;
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

/// Extended capabilities (PCI Express 3.0, 7.9).
pub(crate) mod extended {
    /// Where the first one is.
    pub(crate) const FIRST: usize = 0x100;
    /// Identifier, version and next pointer.
    pub(crate) const HEADER: usize = 4;
    /// Where the version is in the header.
    pub(crate) const VERSION_SHIFT: u32 = 16;
    /// Where the pointer to the next one is in the header.
    pub(crate) const NEXT_SHIFT: u32 = 20;
}

/// A capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Power management.
    Power,
    /// PCI Express.
    Express,
    /// MSI.
    Msi,
    /// MSI-X.
    Msix,
    /// Advanced features: function-level reset.
    FunctionReset,
    /// A vendor-specific one, by its index.
    Vendor(usize),
    /// An extended one, by its index.
    Extended(usize),
}

/// A capability and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) kind: Kind,
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
}

/// Places capabilities, of these kinds and sizes, in the order of their list, from `first` on.
pub(crate) fn place(first: usize, kinds: impl IntoIterator<Item = (Kind, usize)>) -> Vec<Placed> {
    let mut offset = first;
    let place = |(kind, bytes): (Kind, usize)| {
        let placed = Placed { kind, offset, bytes };
        offset += bytes.next_multiple_of(4);
        placed
    };
    kinds.into_iter().map(place).collect()
}
