//! `IResourceList`: the resources that a device was given, found by type and number.

#![allow(unsafe_code, reason = "resource lists are C structures of a length that they tell, and COM objects")]

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::alteration::{self, Alteration};
use super::call_faults;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
};
use crate::nt::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_LIST, CM_RESOURCE_TYPE_DEVICE_PRIVATE, CM_RESOURCE_TYPE_DMA,
    CM_RESOURCE_TYPE_INTERRUPT, CM_RESOURCE_TYPE_MEMORY, CM_RESOURCE_TYPE_PORT, NTSTATUS, PVOID,
};
use crate::portcls::com::guids::{GUID, IID_IRESOURCELIST};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};

/// Bytes of a `CM_RESOURCE_LIST` before its first descriptor (wdm.h, packed to 4).
const LIST_HEADER_BYTES: usize = 20;

/// A resource as the bus sees it and as the processor sees it.
#[derive(Clone, Copy)]
struct Entry {
    translated: CM_PARTIAL_RESOURCE_DESCRIPTOR,
    untranslated: CM_PARTIAL_RESOURCE_DESCRIPTOR,
}

/// Two arrays of descriptors in the form of `CM_RESOURCE_LIST`, whose addresses drivers may keep.
struct Content {
    entries: usize,
    translated: Box<[u32]>,
    untranslated: Box<[u32]>,
}

// SAFETY: plain numbers.
unsafe impl Send for Content {}

/// `IResourceList`.
pub(crate) struct ResourceList {
    room: usize,
    content: Lock<Content>,
}

impl ResourceList {
    /// Makes a list of what PnP gives: both lists of one length, translated and not. Null is an empty list.
    ///
    /// # Safety
    /// Each pointer is null or a `CM_RESOURCE_LIST` with one full descriptor.
    pub(crate) unsafe fn from_lists(
        translated: *const CM_RESOURCE_LIST,
        untranslated: *const CM_RESOURCE_LIST,
    ) -> Com<Self> {
        // SAFETY: by the caller.
        let (translated, untranslated) = unsafe { (descriptors(translated), descriptors(untranslated)) };
        let entries = translated.into_iter().zip(untranslated);
        let entries = entries.map(|(translated, untranslated)| Entry { translated, untranslated }).collect();
        let entries = altered(entries, alteration::alteration());
        let list = Self::empty(entries.len());
        entries.into_iter().for_each(|entry| _ = list.add(entry));
        Com::new(list)
    }

    /// Returns an empty list with room for so many entries.
    pub(crate) fn sublist(room: usize) -> Com<Self> {
        Com::new(Self::empty(room))
    }

    fn empty(room: usize) -> Self {
        Self {
            room,
            content: Lock::new(Content { entries: 0, translated: empty_list(room), untranslated: empty_list(room) }),
        }
    }

    fn add(&self, entry: Entry) -> NTSTATUS {
        self.content.with(|content| {
            if content.entries == self.room {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            let index = content.entries;
            content.entries += 1;
            write_descriptor(&mut content.translated, index, entry.translated);
            write_descriptor(&mut content.untranslated, index, entry.untranslated);
            STATUS_SUCCESS
        })
    }

    /// Makes a list with one range of I/O ports.
    #[cfg(test)]
    pub(crate) fn with_ports(start: i64, length: u32) -> Com<Self> {
        let descriptor = CM_PARTIAL_RESOURCE_DESCRIPTOR {
            Type: CM_RESOURCE_TYPE_PORT,
            ShareDisposition: 0,
            Flags: 0,
            u: crate::nt::CM_RESOURCE { Memory: crate::nt::CM_RANGE { Start: start, Length: length } },
        };
        let list = Self::empty(1);
        list.add(Entry { translated: descriptor, untranslated: descriptor });
        Com::new(list)
    }

    /// Returns how many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.content.with(|content| content.entries)
    }

    /// Returns how many entries there are of a type.
    pub(crate) fn count(&self, kind: i32) -> u32 {
        self.content.with(|content| {
            let of_type = (0..content.entries).filter(|&index| is_of_type(&content.translated, index, kind));
            of_type.count() as u32
        })
    }

    /// Returns the n-th entry of a type in the translated list.
    pub(crate) fn translated(&self, kind: i32, number: u32) -> Option<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
        self.find(kind, number).map(|(index, content)| {
            // SAFETY: the index is below the number of entries, and the list lives as long as `self`.
            unsafe { descriptor_at(content.translated, index).read_unaligned() }
        })
    }

    /// Returns the place of the n-th entry of a type, and where both lists are. The boxes never move while the object
    /// lives.
    fn find(&self, kind: i32, number: u32) -> Option<(usize, Addresses)> {
        self.content.with(|content| {
            let index = (0..content.entries)
                .filter(|&index| is_of_type(&content.translated, index, kind))
                .nth(number as usize)?;
            Some((index, Addresses::of(content)))
        })
    }
}

/// Bytes of a range of memory that is too short for anything.
const SHORT_BYTES: u32 = 16;

/// `CmResourceTypeBusNumber`, `CmResourceTypeMemoryLarge` (wdm.h).
const CM_RESOURCE_TYPE_BUS_NUMBER: u8 = 6;
const CM_RESOURCE_TYPE_MEMORY_LARGE: u8 = 7;

/// Types of descriptors that are not for drivers of PCI functions.
const STRANGERS: [u8; 3] = [CM_RESOURCE_TYPE_DEVICE_PRIVATE, CM_RESOURCE_TYPE_BUS_NUMBER, CM_RESOURCE_TYPE_DMA];

/// Returns the resources as a probe wants them.
fn altered(mut entries: Vec<Entry>, alteration: Alteration) -> Vec<Entry> {
    let is = |entry: &Entry, kinds: &[u8]| kinds.contains(&entry.translated.Type);
    let interrupt = &[CM_RESOURCE_TYPE_INTERRUPT];
    let registers = &[CM_RESOURCE_TYPE_PORT, CM_RESOURCE_TYPE_MEMORY, CM_RESOURCE_TYPE_MEMORY_LARGE];
    match alteration {
        Alteration::None => {}
        Alteration::Empty => entries.clear(),
        Alteration::NoInterrupt => entries.retain(|entry| !is(entry, interrupt)),
        Alteration::NoRegisters => entries.retain(|entry| !is(entry, registers)),
        Alteration::Short => {
            for entry in entries.iter_mut().filter(|entry| is(entry, registers)) {
                entry.translated.u.Memory.Length = SHORT_BYTES;
                entry.untranslated.u.Memory.Length = SHORT_BYTES;
            }
        }
        Alteration::Reversed => entries.reverse(),
        Alteration::Strangers => {
            let stranger = |kind: &u8| {
                // SAFETY: all zero is a valid value of a plain C structure.
                let mut descriptor: CM_PARTIAL_RESOURCE_DESCRIPTOR = unsafe { core::mem::zeroed() };
                descriptor.Type = *kind;
                Entry { translated: descriptor, untranslated: descriptor }
            };
            let own = core::mem::take(&mut entries);
            for entry in own {
                entries.extend(STRANGERS.iter().map(stranger));
                entries.push(entry);
            }
        }
    }
    entries
}

/// Where the two lists of a [`Content`] are.
struct Addresses {
    translated: *mut u32,
    untranslated: *mut u32,
}

impl Addresses {
    fn of(content: &mut Content) -> Self {
        Self { translated: content.translated.as_mut_ptr(), untranslated: content.untranslated.as_mut_ptr() }
    }
}

/// Returns the descriptors of a list.
///
/// # Safety
/// The pointer is null or a `CM_RESOURCE_LIST` with one full descriptor.
unsafe fn descriptors(list: *const CM_RESOURCE_LIST) -> Vec<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
    if list.is_null() {
        return Vec::new();
    }
    let words = list.cast::<u32>().cast_mut();
    // SAFETY: by the caller; word 4 is `PartialResourceList.Count`.
    unsafe {
        let count = words.add(4).read_unaligned() as usize;
        (0..count).map(|index| descriptor_at(words, index).read_unaligned()).collect()
    }
}

/// Returns a `CM_RESOURCE_LIST` with one full descriptor of no entries, and room.
fn empty_list(room: usize) -> Box<[u32]> {
    let bytes = LIST_HEADER_BYTES + room * size_of::<CM_PARTIAL_RESOURCE_DESCRIPTOR>();
    let mut words = alloc::vec![0; bytes.div_ceil(4)].into_boxed_slice();
    words[0] = 1; // Count of full descriptors
    words[1] = crate::nt::INTERFACE_TYPE_PCI_BUS as u32;
    words[3] = 0x0001_0001; // Version 1, Revision 1
    words
}

/// Returns the address of a descriptor in a list.
fn descriptor_at(list: *mut u32, index: usize) -> *mut CM_PARTIAL_RESOURCE_DESCRIPTOR {
    list.cast::<u8>().wrapping_add(LIST_HEADER_BYTES + index * size_of::<CM_PARTIAL_RESOURCE_DESCRIPTOR>()).cast()
}

fn write_descriptor(list: &mut [u32], index: usize, descriptor: CM_PARTIAL_RESOURCE_DESCRIPTOR) {
    let words = LIST_HEADER_BYTES / 4 + (index + 1) * size_of::<CM_PARTIAL_RESOURCE_DESCRIPTOR>() / 4;
    assert!(words <= list.len(), "an entry is only written where the list has room");
    // SAFETY: the descriptor ends inside the slice; its fields are packed.
    unsafe { descriptor_at(list.as_mut_ptr(), index).write_unaligned(descriptor) };
    list[4] = index as u32 + 1;
}

fn is_of_type(list: &[u32], index: usize, kind: i32) -> bool {
    list[LIST_HEADER_BYTES / 4 + index * size_of::<CM_PARTIAL_RESOURCE_DESCRIPTOR>() / 4] & 0xFF == kind as u32
}

impl Class for ResourceList {
    const NAME: &'static str = "IResourceList";
    const INTERFACES: &'static [GUID] = &[IID_IRESOURCELIST];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<ResourceList>();
        static VTABLE: [Slot; 11] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(number_of_entries as *const ()),
            Slot(number_of_entries_of_type as *const ()),
            Slot(find_translated_entry as *const ()),
            Slot(find_untranslated_entry as *const ()),
            Slot(add_entry as *const ()),
            Slot(add_entry_from_parent as *const ()),
            Slot(translated_list as *const ()),
            Slot(untranslated_list as *const ()),
        ];
        &VTABLE
    }
}

type This = *mut Object<ResourceList>;

unsafe extern "win64" fn number_of_entries(this: This) -> u32 {
    irql::passive("IResourceList", "NumberOfEntries");
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.len() as u32
}

unsafe extern "win64" fn number_of_entries_of_type(this: This, kind: i32) -> u32 {
    irql::passive("IResourceList", "NumberOfEntriesOfType");
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.count(kind)
}

unsafe extern "win64" fn find_translated_entry(
    this: This,
    kind: i32,
    number: u32,
) -> *mut CM_PARTIAL_RESOURCE_DESCRIPTOR {
    irql::passive("IResourceList", "FindTranslatedEntry");
    // SAFETY: the caller holds a reference.
    let found = unsafe { object(this) }.find(kind, number);
    found.map_or(core::ptr::null_mut(), |(index, lists)| descriptor_at(lists.translated, index))
}

unsafe extern "win64" fn find_untranslated_entry(
    this: This,
    kind: i32,
    number: u32,
) -> *mut CM_PARTIAL_RESOURCE_DESCRIPTOR {
    irql::passive("IResourceList", "FindUntranslatedEntry");
    // SAFETY: the caller holds a reference.
    let found = unsafe { object(this) }.find(kind, number);
    found.map_or(core::ptr::null_mut(), |(index, lists)| descriptor_at(lists.untranslated, index))
}

unsafe extern "win64" fn add_entry(
    this: This,
    translated: *const CM_PARTIAL_RESOURCE_DESCRIPTOR,
    untranslated: *const CM_PARTIAL_RESOURCE_DESCRIPTOR,
) -> NTSTATUS {
    irql::passive("IResourceList", "AddEntry");
    if kernel::allocation_fails("IResourceList::AddEntry") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if translated.is_null() || untranslated.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller holds a reference and passes descriptors.
    unsafe {
        object(this).add(Entry { translated: translated.read_unaligned(), untranslated: untranslated.read_unaligned() })
    }
}

unsafe extern "win64" fn add_entry_from_parent(this: This, parent: PVOID, kind: i32, number: u32) -> NTSTATUS {
    irql::passive("IResourceList", "AddEntryFromParent");
    if kernel::allocation_fails("IResourceList::AddEntryFromParent") {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the caller passes a list of ours or nothing valid, which is found.
    let Some(parent) = (unsafe { Com::<ResourceList>::from_borrowed(parent) }) else {
        return STATUS_INVALID_PARAMETER;
    };
    let Some((index, lists)) = parent.find(kind, number) else { return STATUS_OBJECT_NAME_NOT_FOUND };
    // SAFETY: the parent is held, so its lists live; the caller holds a reference to this list.
    unsafe {
        object(this).add(Entry {
            translated: descriptor_at(lists.translated, index).read_unaligned(),
            untranslated: descriptor_at(lists.untranslated, index).read_unaligned(),
        })
    }
}

unsafe extern "win64" fn translated_list(this: This) -> *mut u32 {
    irql::passive("IResourceList", "TranslatedList");
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.content.with(|content| Addresses::of(content).translated)
}

unsafe extern "win64" fn untranslated_list(this: This) -> *mut u32 {
    irql::passive("IResourceList", "UntranslatedList");
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.content.with(|content| Addresses::of(content).untranslated)
}

#[cfg(target_os = "none")]
crate::export_functions! {
    /// What makes resource lists.
    pub(crate) static EXPORTS;

    /// Makes a list of the resources that PnP gave.
    [PASSIVE] fn PcNewResourceList(out: *mut PVOID, outer: PVOID, _pool: i32, translated: *const CM_RESOURCE_LIST, untranslated: *const CM_RESOURCE_LIST) -> NTSTATUS {
        if out.is_null() || !outer.is_null() {
            return STATUS_INVALID_PARAMETER;
        }
        if call_faults::must_fail("PcNewResourceList") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        out.write(ResourceList::from_lists(translated, untranslated).into_raw());
        STATUS_SUCCESS
    }

    /// Makes an empty list with room for some of a parent's entries.
    [PASSIVE] fn PcNewResourceSublist(out: *mut PVOID, outer: PVOID, _pool: i32, parent: PVOID, room: u32) -> NTSTATUS {
        if out.is_null() || !outer.is_null() || room == 0 || Com::<ResourceList>::from_borrowed(parent).is_none() {
            return STATUS_INVALID_PARAMETER;
        }
        if call_faults::must_fail("PcNewResourceSublist") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        out.write(ResourceList::sublist(room as usize).into_raw());
        STATUS_SUCCESS
    }
}

/// Returns whether an object that a driver passes is a resource list of ours; a reference to it.
pub(crate) fn list(pointer: PVOID) -> Option<Com<ResourceList>> {
    // SAFETY: an unknown pointer is not found among the live objects.
    unsafe { Com::from_borrowed(pointer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nt::CM_RESOURCE;
    use crate::nt::status::success;

    fn entry(kind: u8, mark: u32) -> Entry {
        let descriptor = |mark| CM_PARTIAL_RESOURCE_DESCRIPTOR {
            Type: kind,
            ShareDisposition: 0,
            Flags: 0,
            u: CM_RESOURCE { DevicePrivate: [mark, 0, 0] },
        };
        Entry { translated: descriptor(mark), untranslated: descriptor(mark + 1) }
    }

    fn mark(descriptor: CM_PARTIAL_RESOURCE_DESCRIPTOR) -> u32 {
        // SAFETY: written as this member above.
        (unsafe { descriptor.u.DevicePrivate })[0]
    }

    #[test]
    fn entries_are_found_by_type_and_number() {
        let list = ResourceList::empty(4);
        for (kind, mark) in
            [(0x83, 9), (CM_RESOURCE_TYPE_MEMORY, 10), (CM_RESOURCE_TYPE_INTERRUPT, 20), (CM_RESOURCE_TYPE_MEMORY, 30)]
        {
            assert!(success(list.add(entry(kind, mark))));
        }
        assert_eq!((list.len(), list.count(3), list.count(2), list.count(4)), (4, 2, 1, 0));
        assert_eq!(list.translated(3, 1).map(mark), Some(30));
        assert!(list.translated(3, 2).is_none());
    }

    #[test]
    fn refuses_entries_beyond_a_full_list() {
        let list = ResourceList::empty(1);
        assert_eq!(list.add(entry(3, 1)), STATUS_SUCCESS);
        assert_eq!(list.add(entry(3, 2)), STATUS_INSUFFICIENT_RESOURCES);
    }

    #[test]
    fn lays_out_a_list_as_wdm_defines_it() {
        let parent = ResourceList::empty(2);
        parent.add(entry(3, 10));
        parent.add(entry(2, 20));
        let lists = parent.content.with(Addresses::of);
        // SAFETY: a list of ours.
        let copy = unsafe { ResourceList::from_lists(lists.translated.cast(), lists.untranslated.cast()) };
        assert_eq!((copy.len(), copy.translated(2, 0).map(mark)), (2, Some(20)));
    }
}
