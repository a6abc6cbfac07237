//! Describes a card's PCI function: identity, base address registers with their access rules, capabilities.

mod bar;
mod check;
mod error;

use std::ops::Range;

pub(crate) use bar::Space;
pub use bar::{Bar, IO_BYTES_MAX, PAGE_BYTES, Widths};
pub use error::DescriptionError;

use crate::layout::{self, Kind, Placed};

/// The base address registers of a function (PCI Local Bus 3.0, 6.2.5).
pub(crate) const BARS: usize = 6;

/// The most MSI-X vectors of a function (PCI Local Bus 3.0, 6.8.2).
pub const VECTORS_MAX: u16 = 2048;

/// The most MSI vectors of a function (PCI Local Bus 3.0, 6.8.1).
pub const MSI_VECTORS_MAX: u16 = 32;

/// The longest expansion ROM: QEMU reads it with one message, which holds this much.
pub const ROM_BYTES_MAX: usize = 1 << 20;

/// The smallest expansion ROM's register (PCI Local Bus 3.0, 6.2.5.2).
const ROM_BYTES_MIN: usize = 2048;

/// An MSI capability, with a 64-bit address.
#[derive(Clone, Copy, Debug)]
pub struct Msi {
    /// A power of two, 1 to [`MSI_VECTORS_MAX`]. A driver may allocate fewer; then several vectors share a message.
    pub vectors: u16,
    /// Each vector has a mask bit and a pending bit.
    pub maskable: bool,
}

/// An MSI-X capability: how many vectors, and where in a memory BAR its table and pending bits are.
#[derive(Clone, Copy, Debug)]
pub struct Msix {
    /// 1 to [`VECTORS_MAX`].
    pub vectors: u16,
    /// The memory BAR that holds both structures.
    pub bar: usize,
    /// Where the table begins, in bytes; a multiple of 8. It takes 16 bytes a vector.
    pub table: u64,
    /// Where the pending bits begin, in bytes; a multiple of 8. They take 8 bytes for each 64 vectors.
    pub pending: u64,
}

impl Msix {
    /// Returns the bytes of the BAR that the table has.
    pub(crate) fn table_range(&self) -> Range<u64> {
        self.table..self.table.saturating_add(16 * u64::from(self.vectors))
    }

    /// Returns the bytes of the BAR that the pending bits have.
    pub(crate) fn pending_range(&self) -> Range<u64> {
        self.pending..self.pending.saturating_add(8 * u64::from(self.vectors).div_ceil(64))
    }
}

/// A vendor-specific capability.
#[derive(Clone, Debug)]
pub(crate) struct Vendor {
    pub(crate) bytes: Vec<u8>,
    pub(crate) writable: Vec<u8>,
}

/// An extended capability.
#[derive(Clone, Debug)]
pub(crate) struct Extended {
    pub(crate) id: u16,
    pub(crate) version: u8,
    pub(crate) bytes: Vec<u8>,
    pub(crate) writable: Vec<u8>,
}

/// The description of a card's PCI function.
#[derive(Clone, Debug)]
pub struct Description {
    pub(crate) name: String,
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    pub(crate) subsystem: (u16, u16),
    pub(crate) class: [u8; 3],
    pub(crate) revision: u8,
    pub(crate) bars: [Option<Bar>; BARS],
    /// The index of a BAR that was given and does not exist.
    misplaced: Option<usize>,
    pub(crate) rom: Vec<u8>,
    pub(crate) pin: bool,
    pub(crate) msi: Option<Msi>,
    pub(crate) msix: Option<Msix>,
    pub(crate) power: bool,
    pub(crate) express: bool,
    pub(crate) function_reset: bool,
    pub(crate) vendor_capabilities: Vec<Vendor>,
    pub(crate) extended_capabilities: Vec<Extended>,
}

impl Description {
    /// Describes a function with this vendor and device id, and nothing else. `name` is what harness and log call it.
    #[must_use]
    pub fn new(name: &str, vendor: u16, device: u16) -> Self {
        Self {
            name: name.to_owned(),
            vendor,
            device,
            subsystem: (vendor, device),
            class: [0xff, 0, 0],
            revision: 0,
            bars: Default::default(),
            misplaced: None,
            rom: Vec::new(),
            pin: false,
            msi: None,
            msix: None,
            power: false,
            express: false,
            function_reset: false,
            vendor_capabilities: Vec::new(),
            extended_capabilities: Vec::new(),
        }
    }

    /// Sets subsystem vendor and subsystem id, which are the function's own else.
    #[must_use]
    pub const fn subsystem(mut self, vendor: u16, id: u16) -> Self {
        self.subsystem = (vendor, id);
        self
    }

    /// Sets base class, subclass and programming interface, such as 4, 1, 0 for an audio device.
    #[must_use]
    pub const fn class(mut self, base: u8, sub: u8, interface: u8) -> Self {
        self.class = [base, sub, interface];
        self
    }

    /// Sets the revision id.
    #[must_use]
    pub const fn revision(mut self, revision: u8) -> Self {
        self.revision = revision;
        self
    }

    /// Adds a base address register, 0 to 5.
    #[must_use]
    pub fn bar(mut self, index: usize, bar: Bar) -> Self {
        match self.bars.get_mut(index) {
            Some(place) => *place = Some(bar),
            None => self.misplaced = Some(index),
        }
        self
    }

    /// Adds an expansion ROM with this image, 1 to [`ROM_BYTES_MAX`] bytes. What follows the image up to the next power of
    /// two reads as ones.
    #[must_use]
    pub fn rom(mut self, image: &[u8]) -> Self {
        self.rom = image.to_vec();
        self
    }

    /// Adds the interrupt pin INTA.
    #[must_use]
    pub const fn interrupt_pin(mut self) -> Self {
        self.pin = true;
        self
    }

    /// Adds MSI. A driver uses it, MSI-X or the line, and never two of them.
    #[must_use]
    pub const fn msi(mut self, msi: Msi) -> Self {
        self.msi = Some(msi);
        self
    }

    /// Adds MSI-X.
    #[must_use]
    pub const fn msix(mut self, msix: Msix) -> Self {
        self.msix = Some(msix);
        self
    }

    /// Adds power management: D0 and D3hot, with a reset on the way back.
    #[must_use]
    pub const fn power_management(mut self) -> Self {
        self.power = true;
        self
    }

    /// Makes it an endpoint of PCI Express, with 4096 bytes of configuration space. QEMU shows it as one that is
    /// integrated into the root complex when it is on the root bus.
    #[must_use]
    pub const fn express(mut self) -> Self {
        self.express = true;
        self
    }

    /// Adds function-level reset: by the capability of PCI Express, or else by that of Advanced Features.
    #[must_use]
    pub const fn function_reset(mut self) -> Self {
        self.function_reset = true;
        self
    }

    /// Adds a vendor-specific capability: the bytes after its length, and which of their bits a driver can change (those
    /// that `writable` has set; it may be shorter).
    #[must_use]
    pub fn vendor_capability(mut self, bytes: &[u8], writable: &[u8]) -> Self {
        self.vendor_capabilities.push(Vendor { bytes: bytes.to_vec(), writable: writable.to_vec() });
        self
    }

    /// Adds an extended capability of an [endpoint of PCI Express](Self::express): its identifier, its version (4 bits), the
    /// bytes after its header, and which of their bits a driver can change (those that `writable` has set; it may be
    /// shorter). A device serial number is `(3, 1, &number, &[])`.
    #[must_use]
    pub fn extended_capability(mut self, id: u16, version: u8, bytes: &[u8], writable: &[u8]) -> Self {
        let (bytes, writable) = (bytes.to_vec(), writable.to_vec());
        self.extended_capabilities.push(Extended { id, version: version & 0xf, bytes, writable });
        self
    }

    /// Returns the length of the configuration space in bytes.
    pub(crate) const fn config_bytes(&self) -> usize {
        if self.express { layout::EXTENDED_CONFIG_BYTES } else { layout::CONFIG_BYTES }
    }

    /// Returns the bytes that the expansion ROM's register covers, which are 0 when there is none.
    pub(crate) fn rom_bytes(&self) -> usize {
        if self.rom.is_empty() { 0 } else { self.rom.len().next_power_of_two().max(ROM_BYTES_MIN) }
    }

    /// Returns the extended capabilities and where they are, in the order of their list.
    pub(crate) fn extended(&self) -> Vec<Placed> {
        let bytes = |capability: &Extended| layout::extended::HEADER + capability.bytes.len();
        let kinds = self.extended_capabilities.iter().enumerate();
        layout::place(layout::extended::FIRST, kinds.map(|(index, found)| (Kind::Extended(index), bytes(found))))
    }

    /// Returns the capabilities and where they are, in the order of their list.
    pub(crate) fn capabilities(&self) -> Vec<Placed> {
        let mut kinds = Vec::new();
        if self.power {
            kinds.push((Kind::Power, layout::power::BYTES));
        }
        if self.express {
            kinds.push((Kind::Express, layout::express::BYTES));
        }
        if let Some(msi) = &self.msi {
            kinds.push((Kind::Msi, if msi.maskable { layout::msi::MASKABLE_BYTES } else { layout::msi::BYTES }));
        }
        if self.msix.is_some() {
            kinds.push((Kind::Msix, layout::msix::BYTES));
        }
        if self.function_reset && !self.express {
            kinds.push((Kind::FunctionReset, layout::features::BYTES));
        }
        for (index, capability) in self.vendor_capabilities.iter().enumerate() {
            kinds.push((Kind::Vendor(index), layout::vendor::HEADER + capability.bytes.len()));
        }
        layout::place(layout::FIRST_CAPABILITY, kinds)
    }
}
