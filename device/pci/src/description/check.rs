//! Checks a description.

use std::ops::Range;

use super::{
    Bar, Description, DescriptionError, IO_BYTES_MAX, MSI_VECTORS_MAX, Msix, PAGE_BYTES, ROM_BYTES_MAX, Space,
    VECTORS_MAX,
};
use crate::layout::{self, Placed};

/// The smallest and largest memory BARs. A 32-bit one of 4 GiB cannot be placed; above 1 TiB no firmware places one.
const MEMORY_BYTES: [u64; 3] = [16, 1 << 31, 1 << 40];

impl Description {
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
        if let Some(msi) = self.msi.filter(|msi| !msi.vectors.is_power_of_two() || msi.vectors > MSI_VECTORS_MAX) {
            return Err(DescriptionError::Msi { vectors: msi.vectors });
        }
        if self.rom.len() > ROM_BYTES_MAX {
            return Err(DescriptionError::RomTooLong { bytes: self.rom.len() });
        }
        if !self.extended_capabilities.is_empty() && !self.express {
            return Err(DescriptionError::NotExpress);
        }
        let end = |placed: &[Placed]| placed.last().map_or(0, |last| last.offset + last.bytes);
        let (bytes, extended) = (end(&self.capabilities()), end(&self.extended()));
        if bytes > layout::CONFIG_BYTES {
            return Err(DescriptionError::CapabilitiesTooLong { bytes, most: layout::CONFIG_BYTES });
        }
        if extended > layout::EXTENDED_CONFIG_BYTES {
            let most = layout::EXTENDED_CONFIG_BYTES;
            return Err(DescriptionError::CapabilitiesTooLong { bytes: extended, most });
        }
        Ok(())
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
        if let Some(rule) = bar.rules.iter().find(|rule| rule.range.is_empty() || rule.range.end > bar.bytes) {
            return Err(DescriptionError::RuleOutside { index, range: rule.range.clone() });
        }
        self.check_mapped(index, bar)
    }

    fn check_mapped(&self, index: usize, bar: &Bar) -> Result<(), DescriptionError> {
        let whole = |range: &Range<u64>| {
            let pages = range.start.is_multiple_of(PAGE_BYTES) && range.end.is_multiple_of(PAGE_BYTES);
            pages && !range.is_empty() && range.end <= bar.bytes && bar.space != Space::Io
        };
        let msix = self.msix.filter(|msix| msix.bar == index);
        let taken: Vec<Range<u64>> = (msix.iter().flat_map(|msix| [msix.table_range(), msix.pending_range()]))
            .chain(bar.rules.iter().map(|rule| rule.range.clone()))
            .collect();
        let mut end = 0;
        for range in &bar.mapped {
            let reason = if !whole(range) {
                "is not of whole pages of 4096 bytes in a memory BAR"
            } else if range.start < end {
                "overlaps another mapped range"
            } else if taken.iter().any(|taken| taken.start < range.end && range.start < taken.end) {
                "holds registers or MSI-X structures, which a guest's accesses would not reach"
            } else {
                end = range.end;
                continue;
            };
            return Err(DescriptionError::Mapped { index, range: range.clone(), reason });
        }
        Ok(())
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
