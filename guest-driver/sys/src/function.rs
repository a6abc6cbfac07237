//! The card's PCI function: its structures, mapped.
#![allow(unsafe_code, reason = "resources are structures that PortCls lends")]

use dmus_miniport::irql::Passive;
use dmus_miniport::log::Part;
use dmus_miniport::pci::{self, Bar, Structure, Structures};
use portcls::resource::{IResourceList, resource_type};
use portcls::{NtStatus, Opaque};

use crate::bus;
use crate::com::call;
use crate::kernel::{MappedRegisters, log};

/// The card's PCI function, from its configuration space.
pub(crate) struct Function {
    /// The driver's device object.
    pub(crate) device: *mut Opaque,
    pub(crate) physical_device: *mut Opaque,
    pub(crate) structures: Structures,
    bars: [Option<Bar>; 6],
}

// SAFETY: a device object may be named from any processor.
unsafe impl Send for Function {}

impl Function {
    /// Reads the function's configuration space.
    pub(crate) fn find(level: Passive, device: *mut Opaque, physical_device: *mut Opaque) -> Result<Self, NtStatus> {
        let mut config = bus::BusInterface::query(level, physical_device)?;
        let structures = pci::find(&mut config).map_err(|error| {
            log(&[Part::Text("the function is not the card: "), Part::Reason(error.into())]);
            NtStatus::NO_SUCH_DEVICE
        })?;
        let bars = core::array::from_fn(|index| pci::bar(&mut config, index as u8));
        Ok(Self { device, physical_device, structures, bars })
    }

    /// Maps a structure: finds the resource that is its BAR, and maps the translated part of it.
    ///
    /// # Safety
    /// `resources` is the list that the device was started with.
    pub(crate) unsafe fn map(
        &self,
        level: Passive,
        resources: *mut IResourceList,
        structure: Structure,
    ) -> Result<MappedRegisters, NtStatus> {
        let mismatch = NtStatus::DEVICE_CONFIGURATION_ERROR;
        let bar = self.bars.get(usize::from(structure.bar)).copied().flatten().ok_or(mismatch)?;
        // SAFETY: the caller's promise; as below.
        let count = unsafe { call!(resources, number_of_entries_of_type, resource_type::MEMORY) };
        for index in 0..count {
            // SAFETY: as above.
            let raw = unsafe { call!(resources, find_untranslated_entry, resource_type::MEMORY, index) };
            // SAFETY: as above.
            let translated = unsafe { call!(resources, find_translated_entry, resource_type::MEMORY, index) };
            if raw.is_null() || translated.is_null() {
                continue;
            }
            // SAFETY: memory entries of the list.
            let (raw, memory) = unsafe { ((*raw).data.memory, (*translated).data.memory) };
            if raw.start.cast_unsigned() != bar.address {
                continue;
            }
            if structure.offset + structure.length > memory.length {
                return Err(mismatch);
            }
            let address = memory.start + i64::from(structure.offset);
            return MappedRegisters::map(level, address, structure.length as usize)
                .ok_or(NtStatus::INSUFFICIENT_RESOURCES);
        }
        Err(mismatch)
    }
}
