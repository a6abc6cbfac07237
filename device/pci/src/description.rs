//! Describes a card's PCI function: identity, base address registers with their access rules, capabilities.

use std::ops::Range;

use crate::layout::{self, Kind, Placed};

/// The base address registers of a function (PCI Local Bus 3.0, 6.2.5).
pub(crate) const BARS: usize = 6;

/// The most MSI-X vectors of a function (PCI Local Bus 3.0, 6.8.2).
pub const VECTORS_MAX: u16 = 2048;

/// The largest I/O BAR: a function may not take more (PCI Local Bus 3.0, 6.2.5.1).
pub const IO_BYTES_MAX: u64 = 256;

/// The smallest and largest memory BARs. A 32-bit one of 4 GiB cannot be placed; above 1 TiB no firmware places one.
const MEMORY_BYTES: [u64; 3] = [16, 1 << 31, 1 << 40];

/// A set of access widths, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths(u8);

impl Widths {
    /// One byte.
    pub const BYTE: Self = Self(1);
    /// Two bytes.
    pub const WORD: Self = Self(2);
    /// Four bytes.
    pub const DWORD: Self = Self(4);
    /// Eight bytes.
    pub const QWORD: Self = Self(8);
    /// Every width that a function can be accessed with.
    pub const ALL: Self = Self(15);

    /// Adds other widths.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether it has `width`.
    #[must_use]
    pub fn has(self, width: usize) -> bool {
        u8::try_from(width).is_ok_and(|width| width.is_power_of_two() && self.0 & width != 0)
    }
}

/// What kind of BAR it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Io,
    Memory { wide: bool, prefetchable: bool },
}

/// Which accesses registers take.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) range: Range<u64>,
    pub(crate) widths: Widths,
    pub(crate) aligned: bool,
}

/// A base address register.
///
/// Without a rule it takes every naturally aligned access; with rules, only those that lie in the range of one and have
/// one of its widths. What is not allowed reads as all ones, changes nothing, and counts as an error of the driver.
#[derive(Clone, Debug)]
pub struct Bar {
    pub(crate) space: Space,
    pub(crate) bytes: u64,
    pub(crate) rules: Vec<Rule>,
}

impl Bar {
    /// Describes I/O ports: a power of two, 4 to [`IO_BYTES_MAX`] bytes.
    #[must_use]
    pub const fn io(bytes: u64) -> Self {
        Self { space: Space::Io, bytes, rules: Vec::new() }
    }

    /// Describes memory that the firmware places below 4 GiB: a power of two, 16 bytes to 2 GiB.
    #[must_use]
    pub const fn memory(bytes: u64) -> Self {
        Self { space: Space::Memory { wide: false, prefetchable: false }, bytes, rules: Vec::new() }
    }

    /// Describes memory that can be placed anywhere: a power of two, 16 bytes to 1 TiB. It takes the next BAR's place too.
    #[must_use]
    pub const fn memory_64(bytes: u64) -> Self {
        Self { space: Space::Memory { wide: true, prefetchable: false }, bytes, rules: Vec::new() }
    }

    /// Says that reads of the memory have no side effects. It has no meaning for I/O ports.
    #[must_use]
    pub const fn prefetchable(mut self) -> Self {
        if let Space::Memory { wide, .. } = self.space {
            self.space = Space::Memory { wide, prefetchable: true };
        }
        self
    }

    /// Allows naturally aligned accesses of these widths to these bytes.
    #[must_use]
    pub fn allow(mut self, range: Range<u64>, widths: Widths) -> Self {
        self.rules.push(Rule { range, widths, aligned: true });
        self
    }

    /// Allows accesses of these widths to these bytes, at any address.
    #[must_use]
    pub fn allow_unaligned(mut self, range: Range<u64>, widths: Widths) -> Self {
        self.rules.push(Rule { range, widths, aligned: false });
        self
    }

    /// Returns whether an access is allowed.
    pub(crate) fn allows(&self, offset: u64, width: usize) -> bool {
        let bytes = width as u64;
        let Some(end) = offset.checked_add(bytes).filter(|end| *end <= self.bytes) else { return false };
        if !Widths::ALL.has(width) {
            return false;
        }
        let aligned = offset.is_multiple_of(bytes);
        if self.rules.is_empty() {
            return aligned;
        }
        self.rules.iter().any(|rule| {
            rule.range.start <= offset && end <= rule.range.end && rule.widths.has(width) && (aligned || !rule.aligned)
        })
    }
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
    pub(crate) pin: bool,
    pub(crate) msix: Option<Msix>,
    pub(crate) power: bool,
    pub(crate) function_reset: bool,
    pub(crate) vendor_capabilities: Vec<Vendor>,
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
            pin: false,
            msix: None,
            power: false,
            function_reset: false,
            vendor_capabilities: Vec::new(),
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

    /// Adds the interrupt pin INTA.
    #[must_use]
    pub const fn interrupt_pin(mut self) -> Self {
        self.pin = true;
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

    /// Adds function-level reset, by the Advanced Features capability.
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

    /// Checks what a function must keep so that firmware and driver find what is described.
    ///
    /// # Errors
    /// [`DescriptionError`]: the first thing that cannot be.
    pub(crate) fn check(&self) -> Result<(), DescriptionError> {
        if let Some(index) = self.misplaced {
            return Err(DescriptionError::NoSuchBar(index));
        }
        for (index, bar) in self.bars.iter().enumerate() {
            if let Some(bar) = bar {
                self.check_bar(index, bar)?;
            }
        }
        if let Some(msix) = &self.msix {
            self.check_msix(msix)?;
        }
        let bytes = self.capabilities().last().map_or(0, |last| last.offset + last.bytes);
        if bytes > layout::CONFIG_BYTES {
            return Err(DescriptionError::CapabilitiesTooLong { bytes });
        }
        Ok(())
    }

    /// Returns the capabilities and where they are, in the order of their list.
    pub(crate) fn capabilities(&self) -> Vec<Placed> {
        let mut kinds = Vec::new();
        if self.power {
            kinds.push((Kind::Power, layout::power::BYTES));
        }
        if self.msix.is_some() {
            kinds.push((Kind::Msix, layout::msix::BYTES));
        }
        if self.function_reset {
            kinds.push((Kind::FunctionReset, layout::features::BYTES));
        }
        for (index, capability) in self.vendor_capabilities.iter().enumerate() {
            kinds.push((Kind::Vendor(index), layout::vendor::HEADER + capability.bytes.len()));
        }
        layout::place(kinds)
    }

    fn check_bar(&self, index: usize, bar: &Bar) -> Result<(), DescriptionError> {
        let [least, most_32, most_64] = MEMORY_BYTES;
        let sizes = match bar.space {
            Space::Io => 4..=IO_BYTES_MAX,
            Space::Memory { wide: false, .. } => least..=most_32,
            Space::Memory { wide: true, .. } => least..=most_64,
        };
        if !bar.bytes.is_power_of_two() || !sizes.contains(&bar.bytes) {
            let (least, most) = sizes.into_inner();
            return Err(DescriptionError::BarSize { index, bytes: bar.bytes, least, most });
        }
        if matches!(bar.space, Space::Memory { wide: true, .. }) && !matches!(self.bars.get(index + 1), Some(None)) {
            return Err(DescriptionError::NoPlaceForUpperHalf(index));
        }
        match bar.rules.iter().find(|rule| rule.range.is_empty() || rule.range.end > bar.bytes) {
            Some(rule) => Err(DescriptionError::RuleOutside { index, range: rule.range.clone() }),
            None => Ok(()),
        }
    }

    fn check_msix(&self, msix: &Msix) -> Result<(), DescriptionError> {
        let (table, pending) = (msix.table_range(), msix.pending_range());
        let wrong = |reason| Err(DescriptionError::Msix { reason });
        if !(1..=VECTORS_MAX).contains(&msix.vectors) {
            return wrong("it needs 1 to 2048 vectors");
        }
        let Some(Some(Bar { space: Space::Memory { .. }, bytes, .. })) = self.bars.get(msix.bar) else {
            return wrong("its BAR must be a memory BAR of this function");
        };
        if !msix.table.is_multiple_of(8) || !msix.pending.is_multiple_of(8) {
            return wrong("table and pending bits must begin at multiples of 8");
        }
        if table.end.max(pending.end) > (*bytes).min(1 << 32) {
            return wrong("table and pending bits must lie in the BAR, within its first 4 GiB");
        }
        if table.start < pending.end && pending.start < table.end {
            return wrong("table and pending bits overlap");
        }
        Ok(())
    }
}

/// What of a description cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// A function has six base address registers.
    #[error("BAR {0} does not exist; a function has BARs 0 to 5")]
    NoSuchBar(usize),
    /// A size that a BAR cannot have.
    #[error("BAR {index} cannot have {bytes} bytes; it needs a power of two from {least} to {most}")]
    BarSize {
        /// The BAR.
        index: usize,
        /// Its size.
        bytes: u64,
        /// The smallest size of its kind.
        least: u64,
        /// The largest size of its kind.
        most: u64,
    },
    /// A 64-bit BAR's upper half takes the place of the next BAR.
    #[error("BAR {0} is a 64-bit BAR: the next one must exist, and be free for its upper half")]
    NoPlaceForUpperHalf(usize),
    /// An access rule that allows nothing, or bytes that are not there.
    #[error("BAR {index} has an access rule for {range:#x?}, which is empty or outside of it")]
    RuleOutside {
        /// The BAR.
        index: usize,
        /// The rule's bytes.
        range: Range<u64>,
    },
    /// An MSI-X capability that cannot be.
    #[error("MSI-X: {reason}")]
    Msix {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The capabilities do not fit.
    #[error(
        "the capabilities end at byte {bytes} of configuration space, which has 256; shorten the vendor-specific ones"
    )]
    CapabilitiesTooLong {
        /// Where they would end.
        bytes: usize,
    },
}
