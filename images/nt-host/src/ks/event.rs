//! Events of kernel streaming: enabled by a client, kept on a driver's list, generated, disabled.

#![allow(unsafe_code, reason = "entries, lists and handlers are the driver's")]

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;
use core::cell::UnsafeCell;

use super::layout::{KSEVENT_ENTRY, KSEVENT_ITEM, KSEVENT_SET, KSEVENTDATA, entry_flag, notification};
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::services;
use crate::contract::violation::{Violation, fatal};
use crate::ex::fast_mutex::{
    ExAcquireFastMutex, ExAcquireFastMutexUnsafe, ExReleaseFastMutex, ExReleaseFastMutexUnsafe,
};
use crate::ex::resource::{ExAcquireResourceExclusiveLite, ExReleaseResourceLite};
use crate::ke::dpc::KeInsertQueueDpc;
use crate::ke::event::{KeReleaseMutex, KeReleaseSemaphore, KeSetEvent};
use crate::ke::spin_lock::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};
use crate::ke::wait::KeWaitForSingleObject;
use crate::ke::work::ExQueueWorkItem;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::*;
use crate::nt::{FILE_OBJECT, GUID, IRP, KDPC, LIST_ENTRY, NTSTATUS, PVOID};
use crate::{alloc_faults, arch, ke};

/// `KSEVENTS_LOCKTYPE` (ks.h): how a list of events is guarded.
mod lock {
    /// `KSEVENTS_SPINLOCK`.
    pub(super) const SPINLOCK: i32 = 1;
    /// `KSEVENTS_MUTEX`.
    pub(super) const MUTEX: i32 = 2;
    /// `KSEVENTS_FMUTEX`.
    pub(super) const FMUTEX: i32 = 3;
    /// `KSEVENTS_FMUTEX_UNSAFE`.
    pub(super) const FMUTEX_UNSAFE: i32 = 4;
    /// `KSEVENTS_INTERRUPT`.
    pub(super) const INTERRUPT: i32 = 5;
    /// `KSEVENTS_ERESOURCE`.
    pub(super) const ERESOURCE: i32 = 6;
}

/// `KSEVENT_TYPE_*` (ks.h).
mod kind {
    /// `KSEVENT_TYPE_ENABLE`.
    pub(super) const ENABLE: u32 = 1;
    /// `KSEVENT_TYPE_ONESHOT`.
    pub(super) const ONESHOT: u32 = 2;
    /// `KSEVENT_TYPE_ENABLE_BUFFERED`.
    pub(super) const ENABLE_BUFFERED: u32 = 4;
    /// `KSEVENT_TYPE_SET_SUPPORT`.
    pub(super) const SET_SUPPORT: u32 = 0x100;
    /// `KSEVENT_TYPE_BASIC_SUPPORT`.
    pub(super) const BASIC_SUPPORT: u32 = 0x200;
    /// `KSEVENT_TYPE_TOPOLOGY`.
    pub(super) const TOPOLOGY: u32 = 0x1000_0000;
}

/// Bytes of `KSEVENT`, and of `KSE_NODE`.
const KSEVENT_BYTES: usize = 24;
const KSE_NODE_BYTES: usize = 32;

/// Entries that were made here and not freed, by address, with how many bytes follow each.
static ENTRIES: Uninterrupted<Vec<(usize, usize)>> = Uninterrupted::new(Vec::new());

/// Entries that were generated above `DISPATCH_LEVEL`, for the DPC.
static PENDING: Uninterrupted<VecDeque<usize>> = Uninterrupted::new(VecDeque::new());

struct Dpc(UnsafeCell<KDPC>);
// SAFETY: only passed to the kernel's functions.
unsafe impl Sync for Dpc {}
// SAFETY: all zero until it is initialised, before it is queued first.
static DPC: Dpc = Dpc(UnsafeCell::new(unsafe { core::mem::zeroed() }));

/// Returns whether an event can be enabled with the notification that a client asks for. Handles are not: no process in
/// this guest has one for an event.
pub(crate) fn check_notification(data: &KSEVENTDATA) -> NTSTATUS {
    match data.NotificationType {
        notification::EVENT_OBJECT | notification::SEMAPHORE_OBJECT | notification::DPC | notification::WORKITEM
            if data.Object != 0 =>
        {
            STATUS_SUCCESS
        }
        notification::EVENT_HANDLE | notification::SEMAPHORE_HANDLE => STATUS_INVALID_HANDLE,
        _ => STATUS_INVALID_PARAMETER,
    }
}

/// Tells the client of an entry. At most at `DISPATCH_LEVEL`.
///
/// # Safety
/// The entry is enabled, and what its data names lives.
pub(crate) unsafe fn signal(entry: *mut KSEVENT_ENTRY) -> NTSTATUS {
    // SAFETY: by the caller.
    unsafe {
        let data = *(*entry).EventData;
        let object = data.Object as PVOID;
        match data.NotificationType {
            notification::EVENT_OBJECT => _ = KeSetEvent(object.cast(), data.Detail as i32, 0),
            notification::SEMAPHORE_OBJECT => {
                _ = KeReleaseSemaphore(object.cast(), data.Detail as i32, (data.Detail >> 32) as i32, 0);
            }
            notification::DPC => _ = KeInsertQueueDpc(object.cast(), data.Detail as PVOID, core::ptr::null_mut()),
            notification::WORKITEM => ExQueueWorkItem(object.cast(), data.Detail as i32),
            _ => return STATUS_INVALID_PARAMETER,
        }
    }
    STATUS_SUCCESS
}

/// Generates one event now, or from a DPC above `DISPATCH_LEVEL`.
unsafe fn generate(entry: *mut KSEVENT_ENTRY) -> NTSTATUS {
    // SAFETY: by the caller the entry is enabled.
    unsafe {
        if (*entry).Flags & entry_flag::DELETED != 0 {
            discarded("KsGenerateEvent", entry);
        }
        if arch::cpu::irql() > DISPATCH_LEVEL {
            PENDING.with(|pending| pending.push_back(entry as usize));
            if (*DPC.0.get()).DeferredRoutine.is_none() {
                crate::ke::dpc::KeInitializeDpc(DPC.0.get(), Some(generate_pending), core::ptr::null_mut());
            }
            KeInsertQueueDpc(DPC.0.get(), core::ptr::null_mut(), core::ptr::null_mut());
            return STATUS_SUCCESS;
        }
        let status = signal(entry);
        if (*entry).Flags & entry_flag::ONESHOT != 0 {
            unlink(entry);
        }
        status
    }
}

unsafe extern "win64" fn generate_pending(_dpc: *mut KDPC, _context: PVOID, _first: PVOID, _second: PVOID) {
    // With the queue held: a discarded entry is taken off it first.
    PENDING.with(|pending| {
        for entry in pending.drain(..) {
            // SAFETY: as above.
            unsafe { signal(entry as *mut KSEVENT_ENTRY) };
        }
    });
}

/// Takes an entry off its list, if it is on one; it is then on none.
pub(crate) unsafe fn unlink(entry: *mut KSEVENT_ENTRY) {
    // SAFETY: by the caller the entry and its neighbours live.
    unsafe {
        let place = &raw mut (*entry).ListEntry;
        if !(*place).Flink.is_null() {
            ke::list::remove(place);
        }
        place.write(LIST_ENTRY { Flink: core::ptr::null_mut(), Blink: core::ptr::null_mut() });
    }
}

fn discarded(function: &str, entry: *mut KSEVENT_ENTRY) -> ! {
    fatal(
        function,
        Violation::new(
            services::DISCARDED,
            format!("the event entry at {entry:p} was discarded, or is none"),
            "take an entry off its list when KsDisableEvent or KsFreeEventList has it removed, and do not use it again",
        ),
    )
}

/// Makes an entry for a client.
pub(crate) fn create(extra: usize, data: &KSEVENTDATA, flags: u32) -> *mut KSEVENT_ENTRY {
    let words = (size_of::<KSEVENT_ENTRY>() + extra + size_of::<KSEVENTDATA>()).div_ceil(8);
    let memory = Vec::leak(alloc::vec![0_u64; words]).as_mut_ptr();
    let entry = memory.cast::<KSEVENT_ENTRY>();
    let data_at = memory.wrapping_add(words - size_of::<KSEVENTDATA>() / 8).cast::<KSEVENTDATA>();
    // SAFETY: both are in what was just allocated.
    unsafe {
        data_at.write(*data);
        (*entry).EventData = data_at;
        (*entry).NotificationType = data.NotificationType;
        (*entry).Object = data.Object as PVOID;
        (*entry).Flags = flags;
    }
    ENTRIES.with(|entries| entries.push((entry as usize, words)));
    entry
}

/// Frees an entry: it is on no list, and is not generated any more.
///
/// # Safety
/// It is not used any more.
pub(crate) unsafe fn free(function: &str, entry: *mut KSEVENT_ENTRY) {
    PENDING.with(|pending| pending.retain(|&other| other != entry as usize));
    let found = ENTRIES.with(|entries| {
        let index = entries.iter().position(|(address, _)| *address == entry as usize)?;
        Some(entries.swap_remove(index).1)
    });
    let Some(words) = found else { discarded(function, entry) };
    // SAFETY: made by `create` of so many words; by the caller it is not used any more.
    unsafe {
        unlink(entry);
        drop(Vec::from_raw_parts(entry.cast::<u64>(), words, words));
    }
}

/// Returns whether this is an entry that was made and not freed.
pub(crate) fn is_entry(entry: *mut KSEVENT_ENTRY) -> bool {
    ENTRIES.with(|entries| entries.iter().any(|(address, _)| *address == entry as usize))
}

/// Returns how many entries are enabled.
#[must_use]
pub fn outstanding() -> usize {
    ENTRIES.with(|entries| entries.len())
}

/// Runs `body` with a driver's list locked as it says. The interrupt's lock is the driver's interrupt itself.
unsafe fn locked<R>(kind: i32, guard: PVOID, body: impl FnOnce() -> R) -> R {
    // SAFETY: by the caller the lock is of this kind.
    unsafe {
        match kind {
            lock::SPINLOCK => {
                let before = KeAcquireSpinLockRaiseToDpc(guard.cast());
                let result = body();
                KeReleaseSpinLock(guard.cast(), before);
                result
            }
            lock::MUTEX => {
                KeWaitForSingleObject(guard.cast(), 0, 0, 0, core::ptr::null_mut());
                let result = body();
                KeReleaseMutex(guard.cast(), 0);
                result
            }
            lock::FMUTEX => {
                ExAcquireFastMutex(guard.cast());
                let result = body();
                ExReleaseFastMutex(guard.cast());
                result
            }
            lock::FMUTEX_UNSAFE => {
                ExAcquireFastMutexUnsafe(guard.cast());
                let result = body();
                ExReleaseFastMutexUnsafe(guard.cast());
                result
            }
            lock::ERESOURCE => {
                crate::ke::thread::KeEnterCriticalRegion();
                ExAcquireResourceExclusiveLite(guard.cast(), 1);
                let result = body();
                ExReleaseResourceLite(guard.cast());
                crate::ke::thread::KeLeaveCriticalRegion();
                result
            }
            lock::INTERRUPT => {
                let interrupt = guard.cast::<crate::nt::KINTERRUPT>();
                let before = crate::ke::interrupt::KeAcquireInterruptSpinLock(interrupt);
                let result = body();
                crate::ke::interrupt::KeReleaseInterruptSpinLock(interrupt, before);
                result
            }
            _ => body(),
        }
    }
}

/// Returns the entries of a driver's list. Its lock is held.
unsafe fn entries(list: *mut LIST_ENTRY) -> Vec<*mut KSEVENT_ENTRY> {
    let mut found = Vec::new();
    // SAFETY: by the caller the list is whole; an entry begins with its place.
    unsafe {
        let mut place = (*list).Flink;
        while place != list {
            let entry = place.cast::<KSEVENT_ENTRY>();
            if !is_entry(entry) {
                discarded("the list of events", entry);
            }
            found.push(entry);
            place = (*place).Flink;
        }
    }
    found
}

/// Calls an entry's handler for its end and frees it.
unsafe fn end(function: &str, file: *mut FILE_OBJECT, entry: *mut KSEVENT_ENTRY) {
    // SAFETY: by the caller the entry is the driver's, and enabled.
    unsafe {
        match (*entry).EventItem.as_ref().and_then(|item| item.RemoveHandler) {
            // The handler takes it off the list.
            Some(remove) => crate::ke::driver_call::call("PFNKSREMOVEEVENT", || remove(file, entry)),
            None => unlink(entry),
        }
        (*entry).Flags |= entry_flag::DELETED;
        free(function, entry);
    }
}

/// A request as an IRP brings it.
struct Request {
    set: GUID,
    id: u32,
    flags: u32,
    input: *const u8,
    data: *mut KSEVENTDATA,
    data_bytes: usize,
    file: *mut FILE_OBJECT,
}

unsafe fn request(irp: *mut IRP) -> Result<Request, NTSTATUS> {
    // SAFETY: by the caller the IRP is one for IOCTL_KS_ENABLE_EVENT.
    unsafe {
        let location = &*crate::io::irp::current_stack(irp);
        let parameters = location.Parameters.DeviceIoControl;
        let (input, input_bytes) = (parameters.Type3InputBuffer.cast::<u8>(), parameters.InputBufferLength.0 as usize);
        if input_bytes < KSEVENT_BYTES || input.is_null() {
            return Err(STATUS_INVALID_BUFFER_SIZE);
        }
        let header = input.cast::<GUID>().read_unaligned();
        let word = |at: usize| input.add(at).cast::<u32>().read_unaligned();
        let flags = word(20);
        if flags & kind::TOPOLOGY != 0 && input_bytes < KSE_NODE_BYTES {
            return Err(STATUS_INVALID_BUFFER_SIZE);
        }
        Ok(Request {
            set: header,
            id: word(16),
            flags: flags & !kind::TOPOLOGY,
            input,
            data: (*irp).UserBuffer.cast(),
            data_bytes: parameters.OutputBufferLength.0 as usize,
            file: location.FileObject,
        })
    }
}

unsafe fn enable(
    irp: *mut IRP,
    sets: (u32, *const KSEVENT_SET),
    list: *mut LIST_ENTRY,
    guard: (i32, PVOID),
) -> NTSTATUS {
    // SAFETY: by the caller; sets, items and list are the driver's.
    unsafe {
        let request = match request(irp) {
            Ok(request) => request,
            Err(status) => return status,
        };
        let mut found = (0..sets.0 as usize).map(|index| &*sets.1.add(index));
        let Some(set) = found.find(|set| (*set.Set) == request.set) else { return STATUS_PROPSET_NOT_FOUND };
        if request.flags & kind::SET_SUPPORT != 0 {
            return STATUS_SUCCESS;
        }
        let mut items = (0..set.EventsCount as usize).map(|index| set.EventItem.add(index));
        let Some(item) = items.find(|item| (**item).EventId == request.id) else { return STATUS_NOT_FOUND };
        let content: &KSEVENT_ITEM = &*item;
        if request.flags & kind::BASIC_SUPPORT != 0 {
            return match content.SupportHandler {
                Some(support) => support(irp, request.input.cast_mut().cast(), request.data.cast()),
                None => STATUS_SUCCESS,
            };
        }
        if request.flags & (kind::ENABLE | kind::ONESHOT | kind::ENABLE_BUFFERED) == 0 {
            return STATUS_INVALID_PARAMETER;
        }
        if request.data.is_null() || request.data_bytes < content.DataInput.max(32) as usize {
            return STATUS_BUFFER_TOO_SMALL;
        }
        let data = request.data.read_unaligned();
        let usable = check_notification(&data);
        if !success(usable) {
            return usable;
        }
        if alloc_faults::fails("KsEnableEvent") {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let mut flags = 0;
        if request.flags & kind::ONESHOT != 0 {
            flags |= entry_flag::ONESHOT;
        }
        if request.flags & kind::ENABLE_BUFFERED != 0 {
            flags |= entry_flag::BUFFERED;
        }
        let entry = create(content.ExtraEntryData as usize, &data, flags);
        (*entry).EventSet = set;
        (*entry).EventItem = item;
        (*entry).FileObject = request.file;
        let status = match content.AddHandler {
            Some(add) => crate::ke::driver_call::call("PFNKSADDEVENT", || add(irp, request.data, entry)),
            None if list.is_null() => STATUS_INVALID_PARAMETER,
            None => {
                locked(guard.0, guard.1, || ke::list::insert_before(list, &raw mut (*entry).ListEntry));
                STATUS_SUCCESS
            }
        };
        if !success(status) {
            free("KsEnableEvent", entry);
        }
        status
    }
}

crate::export_functions! {
    /// Events.
    pub(crate) static EXPORTS;

    /// Enables an event that a client asks for, by the driver's tables.
    [PASSIVE] fn KsEnableEvent(irp: *mut IRP, count: u32, sets: *const KSEVENT_SET, list: *mut LIST_ENTRY, kind: i32, guard: PVOID) -> NTSTATUS {
        enable(irp, (count, sets), list, (kind, guard))
    }

    /// Disables the event whose data the request names, or with none all of its handle's.
    [PASSIVE] fn KsDisableEvent(irp: *mut IRP, list: *mut LIST_ENTRY, kind: i32, guard: PVOID) -> NTSTATUS {
        let location = &*crate::io::irp::current_stack(irp);
        let parameters = location.Parameters.DeviceIoControl;
        let (data, bytes) = (parameters.Type3InputBuffer.cast::<KSEVENTDATA>(), parameters.InputBufferLength.0 as usize);
        if bytes == 0 {
            KsFreeEventList(location.FileObject, list, kind, guard);
            return STATUS_SUCCESS;
        }
        if data.is_null() || bytes < size_of::<KSEVENTDATA>() {
            return STATUS_INVALID_BUFFER_SIZE;
        }
        let wanted = data.read_unaligned();
        let found = locked(kind, guard, || {
            let all = entries(list).into_iter();
            let mut own = all.filter(|entry| (**entry).FileObject == location.FileObject);
            own.find(|entry| *(**entry).EventData == wanted)
        });
        match found {
            Some(entry) => {
                end("KsDisableEvent", location.FileObject, entry);
                STATUS_SUCCESS
            }
            None => STATUS_NOT_FOUND,
        }
    }

    /// Ends every event of a handle.
    [PASSIVE] fn KsFreeEventList(file: *mut FILE_OBJECT, list: *mut LIST_ENTRY, kind: i32, guard: PVOID) {
        let own: Vec<_> = locked(kind, guard, || entries(list).into_iter().filter(|entry| (**entry).FileObject == file).collect());
        for entry in own {
            end("KsFreeEventList", file, entry);
        }
    }

    /// Generates an event whose list is locked.
    [ANY] fn KsGenerateEvent(entry: *mut KSEVENT_ENTRY) -> NTSTATUS {
        if !is_entry(entry) {
            discarded("KsGenerateEvent", entry);
        }
        generate(entry)
    }

    /// Generates an event with data. No client in this guest asks for the data.
    [ANY] fn KsGenerateDataEvent(entry: *mut KSEVENT_ENTRY, _bytes: u32, _data: PVOID) -> NTSTATUS {
        if !is_entry(entry) {
            discarded("KsGenerateDataEvent", entry);
        }
        generate(entry)
    }

    /// Generates the events of a list that are of a set and an id.
    [ANY] fn KsGenerateEventList(set: *const GUID, id: u32, list: *mut LIST_ENTRY, kind: i32, guard: PVOID) {
        locked(kind, guard, || {
            for entry in entries(list) {
                let of_set = set.is_null() || (*entry).EventSet.as_ref().is_some_and(|own| *own.Set == *set);
                let of_id = (*entry).EventItem.as_ref().is_none_or(|item| item.EventId == id);
                if of_set && of_id {
                    generate(entry);
                }
            }
        });
    }

    /// Frees an entry that the driver has taken off its list.
    [DISPATCH] fn KsDiscardEvent(entry: *mut KSEVENT_ENTRY) {
        free("KsDiscardEvent", entry);
    }
}
