//! Configuration space: what a driver reads and can change, and what follows from a change.

use std::ops::Range;

use crate::description::{Bar, Description, Space};
use crate::layout::{self, Kind, Placed, command, express, extended, features, msi, msix, power, status, vendor};

/// What a write to configuration space starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    pub(super) function_reset: bool,
    pub(super) power_reset: bool,
    /// The vendor-specific capabilities that were written, by index, and their bytes that the write reached.
    pub(super) vendor: Vec<(usize, Range<usize>)>,
}

/// A function's configuration space.
#[derive(Clone, Debug)]
pub(super) struct ConfigSpace {
    bytes: Vec<u8>,
    /// The bits that a write changes.
    writable: Vec<u8>,
    /// The bits that a write of 1 clears.
    cleared: Vec<u8>,
    /// The bytes after a reset.
    initial: Vec<u8>,
    capabilities: Vec<Placed>,
}

/// Bits of configuration space that show what goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Live {
    /// The state of the interrupt line.
    pub(super) line: bool,
    /// The MSI vectors whose message waits.
    pub(super) pending: u32,
}

/// What a driver has set up of MSI.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MsiState {
    pub(super) enabled: bool,
    /// How many messages the driver has allocated: a power of two.
    pub(super) allocated: u16,
    /// The vectors that are masked.
    pub(super) masked: u32,
}

impl ConfigSpace {
    /// Lays out a description that was [checked](Description::check).
    pub(super) fn new(description: &Description) -> Self {
        let zeroes = vec![0; description.config_bytes()];
        let mut space = Self {
            bytes: zeroes.clone(),
            writable: zeroes.clone(),
            cleared: zeroes.clone(),
            initial: zeroes,
            capabilities: description.capabilities(),
        };
        space.header(description);
        for (index, bar) in description.bars.iter().enumerate() {
            if let Some(bar) = bar {
                space.bar(index, bar);
            }
        }
        for index in 0..space.capabilities.len() {
            space.capability(index, description);
        }
        space.rom(description);
        space.extended(description);
        space.initial = space.bytes.clone();
        space
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn allow(&mut self, offset: usize, bits: &[u8]) {
        self.writable[offset..offset + bits.len()].copy_from_slice(bits);
    }

    fn header(&mut self, description: &Description) {
        self.put(layout::VENDOR_ID, &description.vendor.to_le_bytes());
        self.put(layout::DEVICE_ID, &description.device.to_le_bytes());
        let [base, sub, interface] = description.class;
        self.put(layout::REVISION, &[description.revision]);
        self.put(layout::CLASS, &[interface, sub, base]);
        self.put(layout::SUBSYSTEM_VENDOR, &description.subsystem.0.to_le_bytes());
        self.put(layout::SUBSYSTEM, &description.subsystem.1.to_le_bytes());
        let mut bits = command::BUS_MASTER | command::PARITY | command::SYSTEM_ERROR;
        for bar in description.bars.iter().flatten() {
            bits |= if bar.space == Space::Io { command::IO } else { command::MEMORY };
        }
        if description.pin {
            bits |= command::INTX_DISABLE;
            self.put(layout::INTERRUPT_PIN, &[1]);
        }
        self.allow(layout::COMMAND, &bits.to_le_bytes());
        self.allow(layout::CACHE_LINE, &[0xff]);
        self.allow(layout::LATENCY, &[0xff]);
        self.allow(layout::INTERRUPT_LINE, &[0xff]);
        self.cleared[layout::STATUS..layout::STATUS + 2].copy_from_slice(&status::CLEARED_BY_ONE.to_le_bytes());
        if let Some(first) = self.capabilities.first() {
            let pointer = first.offset as u8;
            self.put(layout::CAPABILITIES, &[pointer]);
            self.put(layout::STATUS, &status::CAPABILITIES.to_le_bytes());
        }
    }

    fn bar(&mut self, index: usize, bar: &Bar) {
        let offset = layout::BAR + 4 * index;
        // The address bits below the size read as 0: writing ones and reading back gives the size.
        let address = !(bar.bytes - 1);
        match bar.space {
            Space::Io => {
                self.put(offset, &1u32.to_le_bytes());
                self.allow(offset, &(address as u32 & !3).to_le_bytes());
            }
            Space::Memory { wide, prefetchable } => {
                let kind = u32::from(wide) << 2 | u32::from(prefetchable) << 3;
                self.put(offset, &kind.to_le_bytes());
                let bits = (address & !0xf).to_le_bytes();
                self.allow(offset, if wide { &bits[..] } else { &bits[..4] });
            }
        }
    }

    fn rom(&mut self, description: &Description) {
        if let Some(below) = description.rom_bytes().checked_sub(1) {
            // Bit 0 enables it; the address begins at bit 11.
            self.allow(layout::ROM, &(!(below as u32) | 1).to_le_bytes());
        }
    }

    fn extended(&mut self, description: &Description) {
        let placed = description.extended();
        for (index, Placed { offset, .. }) in placed.iter().enumerate() {
            let capability = &description.extended_capabilities[index];
            let next = placed.get(index + 1).map_or(0, |next| next.offset as u32);
            let version = u32::from(capability.version) << extended::VERSION_SHIFT;
            let header = u32::from(capability.id) | version | next << extended::NEXT_SHIFT;
            self.put(*offset, &header.to_le_bytes());
            self.put(offset + extended::HEADER, &capability.bytes);
            let writable = capability.writable.len().min(capability.bytes.len());
            self.allow(offset + extended::HEADER, &capability.writable[..writable]);
        }
    }

    fn express(&mut self, offset: usize, function_reset: bool) {
        let reset = if function_reset { express::FUNCTION_RESET } else { 0 };
        self.put(offset + 2, &express::FLAGS.to_le_bytes());
        self.put(offset + express::DEVICE_CAPABILITIES, &(express::ROLE_BASED_ERRORS | reset).to_le_bytes());
        self.put(offset + express::DEVICE_CONTROL, &express::DEVICE_CONTROL_INITIAL.to_le_bytes());
        self.allow(offset + express::DEVICE_CONTROL, &express::DEVICE_CONTROL_WRITABLE.to_le_bytes());
        let errors = express::DEVICE_STATUS_CLEARED_BY_ONE.to_le_bytes();
        self.cleared[offset + express::DEVICE_STATUS..][..2].copy_from_slice(&errors);
        self.put(offset + express::LINK_CAPABILITIES, &express::LINK.to_le_bytes());
        self.allow(offset + express::LINK_CONTROL, &express::LINK_CONTROL_WRITABLE.to_le_bytes());
        self.put(offset + express::LINK_STATUS, &express::LINK.to_le_bytes());
        self.put(offset + express::DEVICE_CAPABILITIES_2, &[express::TIMEOUT_DISABLE]);
        self.allow(offset + express::DEVICE_CONTROL_2, &[express::TIMEOUT_DISABLE]);
        self.put(offset + express::LINK_CAPABILITIES_2, &[express::LINK_SPEEDS]);
        self.put(offset + express::LINK_CONTROL_2, &[1]);
    }

    fn msi_capability(&mut self, offset: usize, vectors: u16, maskable: bool) {
        let mut control = (vectors.trailing_zeros() as u16) << msi::CAPABLE_SHIFT | msi::WIDE;
        if maskable {
            control |= msi::MASKABLE;
            let masks = u32::MAX >> (u32::BITS - u32::from(vectors));
            self.allow(offset + msi::MASK, &masks.to_le_bytes());
        }
        self.put(offset + msi::CONTROL, &control.to_le_bytes());
        let writable = msi::ENABLE | msi::LOGARITHM << msi::ALLOCATED_SHIFT;
        self.allow(offset + msi::CONTROL, &writable.to_le_bytes());
        self.allow(offset + msi::ADDRESS, &[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        self.allow(offset + msi::DATA, &[0xff; 2]);
    }

    fn capability(&mut self, index: usize, description: &Description) {
        let Placed { kind, offset, bytes } = self.capabilities[index];
        let next = self.capabilities.get(index + 1).map_or(0, |next| next.offset as u8);
        match kind {
            Kind::Power => {
                self.put(offset, &[power::ID, next]);
                self.put(offset + 2, &power::CAPABILITIES.to_le_bytes());
                self.allow(offset + power::CONTROL, &[power::STATE]);
            }
            Kind::Express => {
                self.put(offset, &[express::ID, next]);
                self.express(offset, description.function_reset);
            }
            Kind::Msi => {
                let Some(msi) = &description.msi else { return };
                self.put(offset, &[msi::ID, next]);
                self.msi_capability(offset, msi.vectors, msi.maskable);
            }
            Kind::Msix => {
                let Some(msix) = &description.msix else { return };
                self.put(offset, &[msix::ID, next]);
                self.put(offset + msix::CONTROL, &(msix.vectors - 1).to_le_bytes());
                self.allow(offset + msix::CONTROL, &(msix::ENABLE | msix::FUNCTION_MASK).to_le_bytes());
                let bar = msix.bar as u32;
                self.put(offset + msix::TABLE, &(msix.table as u32 | bar).to_le_bytes());
                self.put(offset + msix::PENDING, &(msix.pending as u32 | bar).to_le_bytes());
            }
            Kind::FunctionReset => {
                self.put(offset, &[features::ID, next, bytes as u8]);
                self.put(offset + features::CAPABILITIES, &[features::PENDING_AND_RESET]);
            }
            Kind::Vendor(number) => {
                let capability = &description.vendor_capabilities[number];
                self.put(offset, &[vendor::ID, next, bytes as u8]);
                self.put(offset + vendor::HEADER, &capability.bytes);
                let writable = capability.writable.len().min(capability.bytes.len());
                self.allow(offset + vendor::HEADER, &capability.writable[..writable]);
            }
            // Laid out apart, behind the first 256 bytes.
            Kind::Extended(_) => {}
        }
    }

    /// Returns to the state after power-on.
    pub(super) fn reset(&mut self) {
        self.bytes.clone_from(&self.initial);
    }

    /// Reads bytes; those beyond the end are all ones.
    pub(super) fn read(&self, offset: usize, data: &mut [u8], live: Live) {
        let pending = self.msi_pending();

        for (index, byte) in data.iter_mut().enumerate() {
            let at = offset.checked_add(index);
            *byte = at.and_then(|at| self.bytes.get(at)).copied().unwrap_or(0xff);
            if at == Some(layout::STATUS) && live.line {
                *byte |= status::INTERRUPT as u8;
            }
            let word = at.zip(pending).and_then(|(at, pending)| at.checked_sub(pending));
            if let Some(bits) = word.and_then(|byte| live.pending.to_le_bytes().get(byte).copied()) {
                *byte |= bits;
            }
        }
    }

    /// Writes bytes, as far as they can be changed; what is beyond the end is dropped.
    pub(super) fn write(&mut self, offset: usize, data: &[u8]) -> Effects {
        let mut effects = Effects::default();
        let state = self.power_state();
        for (offset, value) in (offset..self.bytes.len()).zip(data) {
            let (writable, cleared) = (self.writable[offset], self.cleared[offset]);
            let old = self.bytes[offset];
            self.bytes[offset] = (old & !writable | value & writable) & !(cleared & value);
        }
        let written = offset..offset.saturating_add(data.len());
        for Placed { kind, offset, bytes } in self.capabilities.clone() {
            match kind {
                Kind::Power => {
                    let asked = self.power_state();
                    if asked != power::D0 && asked != power::D3_HOT {
                        // A state that is not there: the write is discarded (PCI Power Management 1.2, 3.2.4).
                        let control = &mut self.bytes[offset + power::CONTROL];
                        *control = *control & !power::STATE | state;
                    }
                    effects.power_reset |= state == power::D3_HOT && self.power_state() == power::D0;
                }
                Kind::FunctionReset | Kind::Express => {
                    let (control, bit, there) = if kind == Kind::Express {
                        let capabilities = self.word(offset + express::DEVICE_CAPABILITIES + 2);
                        let there = u32::from(capabilities) << 16 & express::FUNCTION_RESET != 0;
                        (offset + express::DEVICE_CONTROL + 1, express::INITIATE_RESET, there)
                    } else {
                        (offset + features::CONTROL, features::INITIATE_RESET, true)
                    };
                    let value = control.checked_sub(written.start).and_then(|at| data.get(at));
                    effects.function_reset |= there && value.is_some_and(|value| value & bit != 0);
                }
                Kind::Vendor(index) => {
                    let body = offset + vendor::HEADER..offset + bytes;
                    effects.vendor.extend(common(&body, &written).map(|part| (index, part)));
                }
                Kind::Msi | Kind::Msix | Kind::Extended(_) => {}
            }
        }
        effects
    }

    /// Returns the vendor-specific capabilities that a read reaches, by index, and which of their bytes.
    pub(super) fn vendor_read(&self, offset: usize, bytes: usize) -> Vec<(usize, Range<usize>)> {
        let read = offset..offset.saturating_add(bytes);
        let reached = |placed: &Placed| match placed.kind {
            Kind::Vendor(index) => {
                let body = placed.offset + vendor::HEADER..placed.offset + placed.bytes;
                common(&body, &read).map(|part| (index, part))
            }
            _ => None,
        };
        self.capabilities.iter().filter_map(reached).collect()
    }

    /// Replaces the bytes of a vendor-specific capability.
    pub(super) fn set_vendor(&mut self, index: usize, bytes: &[u8]) {
        let found = self.capabilities.iter().find(|placed| placed.kind == Kind::Vendor(index));
        if let Some(offset) = found.map(|placed| placed.offset + vendor::HEADER) {
            self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Returns the bytes of a vendor-specific capability.
    pub(super) fn vendor(&self, index: usize) -> &[u8] {
        let found = self.capabilities.iter().find(|placed| placed.kind == Kind::Vendor(index));
        found.map_or(&[], |placed| &self.bytes[placed.offset + vendor::HEADER..placed.offset + placed.bytes])
    }

    fn word(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.bytes[offset], self.bytes[offset + 1]])
    }

    /// Returns whether bits of the command register are set.
    pub(super) fn command(&self, bits: u16) -> bool {
        self.word(layout::COMMAND) & bits == bits
    }

    fn find(&self, kind: Kind) -> Option<usize> {
        self.capabilities.iter().find(|placed| placed.kind == kind).map(|placed| placed.offset)
    }

    fn power_state(&self) -> u8 {
        self.find(Kind::Power).map_or(power::D0, |offset| self.bytes[offset + power::CONTROL] & power::STATE)
    }

    /// Returns whether the function is in D0, where its registers can be accessed.
    pub(super) fn powered(&self) -> bool {
        self.power_state() == power::D0
    }

    /// Returns whether MSI-X is enabled, and whether the whole function is masked.
    pub(super) fn msix(&self) -> (bool, bool) {
        let control = self.find(Kind::Msix).map_or(0, |offset| self.word(offset + msix::CONTROL));
        (control & msix::ENABLE != 0, control & msix::FUNCTION_MASK != 0)
    }

    /// Returns where the pending bits of MSI are, when its vectors have some.
    fn msi_pending(&self) -> Option<usize> {
        let offset = self.find(Kind::Msi)?;
        (self.word(offset + msi::CONTROL) & msi::MASKABLE != 0).then_some(offset + msi::PENDING)
    }

    /// Returns what the driver has set up of MSI.
    pub(super) fn msi(&self) -> MsiState {
        let Some(offset) = self.find(Kind::Msi) else { return MsiState::default() };
        let control = self.word(offset + msi::CONTROL);
        let logarithm = |shift: u32| control >> shift & msi::LOGARITHM;
        // A driver may not allocate more than there are.
        let allocated = logarithm(msi::ALLOCATED_SHIFT).min(logarithm(msi::CAPABLE_SHIFT));
        let mask = if control & msi::MASKABLE == 0 {
            0
        } else {
            let word = |at: usize| u32::from(self.word(offset + msi::MASK + at));
            word(0) | word(2) << 16
        };
        MsiState { enabled: control & msi::ENABLE != 0, allocated: 1 << allocated, masked: mask }
    }
}

/// Returns what two ranges have in common, from the start of the first; `None` when that is nothing.
fn common(body: &Range<usize>, access: &Range<usize>) -> Option<Range<usize>> {
    let (start, end) = (body.start.max(access.start), body.end.min(access.end));
    (start < end).then(|| start - body.start..end - body.start)
}
