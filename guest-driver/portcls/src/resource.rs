//! A device's resources, as PortCls hands them to `StartDevice`.

use crate::interface::IUnknownTable;
use crate::status::NtStatus;

/// `CM_RESOURCE_TYPE`: the kind of a resource, an `int`.
pub mod resource_type {
    /// I/O ports.
    pub const PORT: i32 = 1;
    /// An interrupt.
    pub const INTERRUPT: i32 = 2;
    /// A range of memory.
    pub const MEMORY: i32 = 3;
    /// A DMA channel.
    pub const DMA: i32 = 4;
    /// A bus number.
    pub const BUS_NUMBER: i32 = 6;
    /// A range of memory longer than 4 GiB.
    pub const MEMORY_LARGE: i32 = 7;
}

/// Bits of [`CmPartialResourceDescriptor::flags`] for an interrupt.
pub mod interrupt_flag {
    /// Level-sensitive is the absence of this bit: it means edge-triggered.
    pub const LATCHED: u16 = 1;
    /// Message-signalled.
    pub const MESSAGE: u16 = 2;
    /// A policy is included.
    pub const POLICY_INCLUDED: u16 = 4;
}

/// One resource (`CM_PARTIAL_RESOURCE_DESCRIPTOR`).
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub struct CmPartialResourceDescriptor {
    /// [`resource_type`].
    pub kind: u8,
    /// `CM_SHARE_DISPOSITION`: 1 device-exclusive, 2 driver-exclusive, 3 shared.
    pub share_disposition: u8,
    /// The value, of the structure that the type requires.
    pub flags: u16,
    /// The value, of the structure that the type requires.
    pub data: CmResourceData,
}

/// The fields of a resource, by its type.
#[repr(C, packed(4))]
#[derive(Clone, Copy)]
pub union CmResourceData {
    /// Ports and memory.
    pub memory: CmMemory,
    /// Interrupts, translated.
    pub interrupt: CmInterrupt,
}

/// A range of ports or memory.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug)]
pub struct CmMemory {
    /// Its physical address.
    pub start: i64,
    /// Its length in bytes.
    pub length: u32,
}

/// An interrupt.
#[repr(C, packed(4))]
#[derive(Clone, Copy, Debug)]
pub struct CmInterrupt {
    /// Its level: the IRQL of its service routine.
    pub level: u32,
    /// Its vector.
    pub vector: u32,
    /// The processors that take it.
    pub affinity: usize,
}

layout! { CmPartialResourceDescriptor = "CM_PARTIAL_RESOURCE_DESCRIPTOR", 20 / 16 {
    kind = "Type", 0 / 0;
    share_disposition = "ShareDisposition", 1 / 1;
    flags = "Flags", 2 / 2;
    data = "u", 4 / 4;
} }

interface! {
    /// A list of resources, translated and untranslated side by side. Indices count within a type.
    IResourceList, IResourceListTable: IUnknownTable {
        /// All entries. PASSIVE_LEVEL, like the rest.
        3 number_of_entries "NumberOfEntries" () -> u32;
        /// Entries of a type.
        4 number_of_entries_of_type "NumberOfEntriesOfType" (kind: i32) -> u32;
        /// A translated entry, or null.
        5 find_translated_entry "FindTranslatedEntry" (kind: i32, index: u32) -> *mut CmPartialResourceDescriptor;
        /// An untranslated entry, or null.
        6 find_untranslated_entry "FindUntranslatedEntry" (kind: i32, index: u32) -> *mut CmPartialResourceDescriptor;
        /// Adds an entry.
        7 add_entry "AddEntry" (
            translated: *mut CmPartialResourceDescriptor,
            untranslated: *mut CmPartialResourceDescriptor,
        ) -> NtStatus;
        /// Adds an entry of another list.
        8 add_entry_from_parent "AddEntryFromParent" (parent: *mut IResourceList, kind: i32, index: u32) -> NtStatus;
        /// The `CM_RESOURCE_LIST` of translated resources.
        9 translated_list "TranslatedList" () -> *mut core::ffi::c_void;
        /// The `CM_RESOURCE_LIST` of untranslated resources.
        10 untranslated_list "UntranslatedList" () -> *mut core::ffi::c_void;
    }
}

impl core::fmt::Debug for CmPartialResourceDescriptor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CmPartialResourceDescriptor")
            .field("kind", &{ self.kind })
            .field("share_disposition", &{ self.share_disposition })
            .field("flags", &{ self.flags })
            .finish_non_exhaustive()
    }
}
