//! The x64 structures of kernel streaming that drivers and `ks.sys` share (ks.h).

#![allow(non_camel_case_types, non_snake_case, reason = "the header's names")]

use crate::nt::{FILE_OBJECT, GUID, IRP, KDPC, LIST_ENTRY, NTSTATUS, PVOID};

/// `KSEVENTF_*`: how a client is notified.
pub mod notification {
    /// An event, by handle.
    pub const EVENT_HANDLE: u32 = 0x01;
    /// A semaphore, by handle.
    pub const SEMAPHORE_HANDLE: u32 = 0x02;
    /// An event.
    pub const EVENT_OBJECT: u32 = 0x04;
    /// A semaphore.
    pub const SEMAPHORE_OBJECT: u32 = 0x08;
    /// A DPC.
    pub const DPC: u32 = 0x10;
    /// A work item.
    pub const WORKITEM: u32 = 0x20;
}

/// `KSEVENTDATA`. Its union as three words: the object, then what its kind says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct KSEVENTDATA {
    /// One of [`notification`].
    pub NotificationType: u32,
    /// The event, semaphore, DPC or work item.
    pub Object: usize,
    /// `Increment` and, in its upper half, a semaphore's `Adjustment`; or `WorkQueueType`.
    pub Detail: usize,
    /// `Reserved`.
    pub Reserved: usize,
}

/// `KSEVENT_ENTRY_*`: flags of an entry.
pub mod entry_flag {
    /// Discarded: it waits for its last user.
    pub const DELETED: u32 = 1;
    /// For one time.
    pub const ONESHOT: u32 = 2;
    /// With data.
    pub const BUFFERED: u32 = 4;
}

/// `KSEVENT_ENTRY`: one enabled event.
#[repr(C)]
pub struct KSEVENT_ENTRY {
    /// Its place on a list.
    pub ListEntry: LIST_ENTRY,
    /// What is signalled.
    pub Object: PVOID,
    /// `DpcItem` or `BufferItem`.
    pub Item: PVOID,
    /// The notification that the client asks for.
    pub EventData: *mut KSEVENTDATA,
    /// One of [`notification`].
    pub NotificationType: u32,
    /// The set that it was found in.
    pub EventSet: *const KSEVENT_SET,
    /// The item that it was found in.
    pub EventItem: *const KSEVENT_ITEM,
    /// The handle that it was enabled on.
    pub FileObject: *mut FILE_OBJECT,
    /// How many a semaphore is released by.
    pub SemaphoreAdjustment: u32,
    /// Reserved.
    pub Reserved: u32,
    /// [`entry_flag`].
    pub Flags: u32,
}

/// `PFNKSADDEVENT`.
pub type AddEvent = unsafe extern "win64" fn(*mut IRP, *mut KSEVENTDATA, *mut KSEVENT_ENTRY) -> NTSTATUS;
/// `PFNKSREMOVEEVENT`.
pub type RemoveEvent = unsafe extern "win64" fn(*mut FILE_OBJECT, *mut KSEVENT_ENTRY);
/// `PFNKSHANDLER`: the request is a `KSIDENTIFIER` with what follows, the data what the request is about.
pub type Handler = unsafe extern "win64" fn(*mut IRP, PVOID, PVOID) -> NTSTATUS;
/// `PFNKSGENERATEEVENTCALLBACK`.
pub type Generate = unsafe extern "win64" fn(PVOID, *mut KSEVENT_ENTRY) -> u8;

/// `KSEVENT_ITEM`.
#[repr(C)]
pub struct KSEVENT_ITEM {
    /// The event's id in its set.
    pub EventId: u32,
    /// Bytes that a request must have at least, `KSEVENTDATA` included.
    pub DataInput: u32,
    /// Bytes that an entry has behind `KSEVENT_ENTRY`.
    pub ExtraEntryData: u32,
    /// Begins.
    pub AddHandler: Option<AddEvent>,
    /// Ends.
    pub RemoveHandler: Option<RemoveEvent>,
    /// Whether it is there.
    pub SupportHandler: Option<Handler>,
}

/// `KSEVENT_SET`.
#[repr(C)]
pub struct KSEVENT_SET {
    /// The set.
    pub Set: *const GUID,
    /// How many items.
    pub EventsCount: u32,
    /// The items.
    pub EventItem: *const KSEVENT_ITEM,
}

/// `KSPROPERTY_ITEM`.
#[repr(C)]
pub struct KSPROPERTY_ITEM {
    /// The property's id in its set.
    pub PropertyId: u32,
    /// `GetPropertyHandler`, or `GetSupported`, which is then 0 or 1.
    pub GetPropertyHandler: usize,
    /// Bytes that a request has at least, `KSPROPERTY` included.
    pub MinProperty: u32,
    /// Bytes that its data has at least.
    pub MinData: u32,
    /// `SetPropertyHandler`, or `SetSupported`.
    pub SetPropertyHandler: usize,
    /// Values, or null.
    pub Values: PVOID,
    /// How many relations.
    pub RelationsCount: u32,
    /// Relations, or null.
    pub Relations: PVOID,
    /// Answers BASICSUPPORT, or null.
    pub SupportHandler: Option<Handler>,
    /// Bytes of the property where it is serialised.
    pub SerializedSize: u32,
}

/// `KSPROPERTY_SET`.
#[repr(C)]
pub struct KSPROPERTY_SET {
    /// The set.
    pub Set: *const GUID,
    /// How many items.
    pub PropertiesCount: u32,
    /// The items.
    pub PropertyItem: *const KSPROPERTY_ITEM,
    /// How many items of the fast table.
    pub FastIoCount: u32,
    /// The fast table.
    pub FastIoTable: PVOID,
}

/// `KSMETHOD_ITEM`.
#[repr(C)]
pub struct KSMETHOD_ITEM {
    /// The method's id in its set.
    pub MethodId: u32,
    /// `MethodHandler`, or `MethodSupported`.
    pub MethodHandler: usize,
    /// Bytes that a request has at least, `KSMETHOD` included.
    pub MinMethod: u32,
    /// Bytes that its data has at least.
    pub MinData: u32,
    /// Answers BASICSUPPORT, or null.
    pub SupportHandler: Option<Handler>,
    /// `KSMETHOD_TYPE_*`.
    pub Flags: u32,
}

/// `KSMETHOD_SET`.
#[repr(C)]
pub struct KSMETHOD_SET {
    /// The set.
    pub Set: *const GUID,
    /// How many items.
    pub MethodsCount: u32,
    /// The items.
    pub MethodItem: *const KSMETHOD_ITEM,
    /// How many items of the fast table.
    pub FastIoCount: u32,
    /// The fast table.
    pub FastIoTable: PVOID,
}

/// `KSDPC_ITEM`.
#[repr(C)]
pub struct KSDPC_ITEM {
    /// The DPC.
    pub Dpc: KDPC,
    /// Its users.
    pub ReferenceCount: u32,
    /// Guards both.
    pub AccessLock: usize,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<KSEVENTDATA>() == 32);
    assert!(offset_of!(KSEVENTDATA, Object) == 8);
    assert!(size_of::<KSEVENT_ENTRY>() == 88);
    assert!(offset_of!(KSEVENT_ENTRY, EventData) == 32);
    assert!(offset_of!(KSEVENT_ENTRY, NotificationType) == 40);
    assert!(offset_of!(KSEVENT_ENTRY, EventSet) == 48);
    assert!(offset_of!(KSEVENT_ENTRY, FileObject) == 64);
    assert!(offset_of!(KSEVENT_ENTRY, Flags) == 80);
    assert!(size_of::<KSEVENT_ITEM>() == 40);
    assert!(size_of::<KSEVENT_SET>() == 24);
    assert!(size_of::<KSPROPERTY_ITEM>() == 72);
    assert!(offset_of!(KSPROPERTY_ITEM, SetPropertyHandler) == 24);
    assert!(offset_of!(KSPROPERTY_ITEM, SupportHandler) == 56);
    assert!(size_of::<KSPROPERTY_SET>() == 40);
    assert!(size_of::<KSMETHOD_ITEM>() == 40);
    assert!(size_of::<KSMETHOD_SET>() == 40);
};
