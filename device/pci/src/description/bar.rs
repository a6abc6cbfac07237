//! Base address registers and their access rules.

use std::ops::Range;
use std::sync::Arc;

use crate::registers::{Register, RegisterTable};

/// The largest I/O BAR: a function may not take more (PCI Local Bus 3.0, 6.2.5.1).
pub const IO_BYTES_MAX: u64 = 256;

/// The unit of what a guest maps, and of what QEMU does.
pub const PAGE_BYTES: u64 = 4096;

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
    /// The registers, where a table has them.
    pub(crate) table: Option<RegisterTable>,
    /// What the guest maps, in order once it is [checked](super::Description::check).
    pub(crate) mapped: Vec<Range<u64>>,
}

impl Bar {
    const fn new(space: Space, bytes: u64) -> Self {
        Self { space, bytes, rules: Vec::new(), table: None, mapped: Vec::new() }
    }

    /// Describes I/O ports: a power of two, 4 to [`IO_BYTES_MAX`] bytes.
    #[must_use]
    pub const fn io(bytes: u64) -> Self {
        Self::new(Space::Io, bytes)
    }

    /// Describes memory that the firmware places below 4 GiB: a power of two, 16 bytes to 2 GiB.
    #[must_use]
    pub const fn memory(bytes: u64) -> Self {
        Self::new(Space::Memory { wide: false, prefetchable: false }, bytes)
    }

    /// Describes memory that can be placed anywhere: a power of two, 16 bytes to 1 TiB. It takes the next BAR's place too.
    #[must_use]
    pub const fn memory_64(bytes: u64) -> Self {
        Self::new(Space::Memory { wide: true, prefetchable: false }, bytes)
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

    /// Lets a guest map pages of a memory BAR: its accesses reach them without an exit, and not the card, which reads and
    /// writes the same bytes through [`Handle::mapped`](crate::Handle::mapped). `range` is whole pages of
    /// [`PAGE_BYTES`], with no register among them.
    ///
    /// A guest can write what it maps. The card takes nothing there for its own.
    #[must_use]
    pub fn map(mut self, range: Range<u64>) -> Self {
        self.mapped.push(range);
        self.mapped.sort_by_key(|range| range.start);
        self
    }

    /// Allows the accesses of a table: those that begin at a register and have its width. Diagnosis and [recorders](crate::Tap) call
    /// the registers by its names.
    #[must_use]
    pub fn registers(mut self, table: &RegisterTable) -> Self {
        self.table = Some(table.clone());
        table.registers().fold(self, |bar, register| {
            let widths = match register.bytes {
                1 => Widths::BYTE,
                2 => Widths::WORD,
                4 => Widths::DWORD,
                _ => Widths::QWORD,
            };
            bar.allow(register.offset..register.offset + register.bytes as u64, widths)
        })
    }

    /// Returns the register of the table that an access reaches.
    pub(crate) fn register(&self, offset: u64, width: usize, write: bool) -> Option<Arc<Register>> {
        let table = self.table.as_ref()?;
        table.index(offset, width, write).map(|index| table.shared(index))
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
