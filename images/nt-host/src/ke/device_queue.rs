//! Device queues, and the requests that `StartIo` routines take one by one.
#![allow(unsafe_code, reason = "queues of the Windows ABI")]

use core::ptr::null_mut;

use super::{level, list};
use crate::arch::cpu;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::{DEVICE_OBJECT, IRP, KDEVICE_QUEUE, LIST_ENTRY};
use crate::{containing_record, export_functions};

/// Type of a device queue.
const DEVICE_QUEUE_OBJECT: i16 = 20;

/// `KDEVICE_QUEUE_ENTRY`.
#[repr(C)]
pub struct Entry {
    list: LIST_ENTRY,
    key: u32,
    inserted: u8,
}

unsafe fn busy(queue: *mut KDEVICE_QUEUE) -> *mut u8 {
    // SAFETY: an export's argument; the byte is the structure's.
    unsafe { (&raw mut (*queue).Busy).cast() }
}

/// Inserts behind all whose key is not greater. A queue that was not busy becomes so, and the entry stays out.
unsafe fn insert(queue: *mut KDEVICE_QUEUE, entry: *mut Entry, key: Option<u32>) -> u8 {
    // SAFETY: an export's arguments.
    cpu::exclusively(|| unsafe {
        (*entry).inserted = 0;
        if let Some(key) = key {
            (*entry).key = key;
        }
        if busy(queue).read() == 0 {
            busy(queue).write(1);
            return 0;
        }
        let head = &raw mut (*queue).DeviceListHead;
        let mut at = head;
        if let Some(key) = key {
            at = (*head).Flink;
            while at != head && (*containing_record!(at, Entry, list)).key <= key {
                at = (*at).Flink;
            }
        }
        list::insert_before(at, &raw mut (*entry).list);
        (*entry).inserted = 1;
        1
    })
}

/// Takes the first entry whose key is at least `key`, or the first at all; without one the queue is busy no more.
unsafe fn remove(queue: *mut KDEVICE_QUEUE, key: u32) -> *mut Entry {
    // SAFETY: an export's arguments.
    cpu::exclusively(|| unsafe {
        let head = &raw mut (*queue).DeviceListHead;
        if list::is_empty(head) {
            busy(queue).write(0);
            return null_mut();
        }
        let mut at = (*head).Flink;
        while at != head && (*containing_record!(at, Entry, list)).key < key {
            at = (*at).Flink;
        }
        let entry = containing_record!(if at == head { (*head).Flink } else { at }, Entry, list);
        list::remove(&raw mut (*entry).list);
        (*entry).inserted = 0;
        entry
    })
}

/// Returns the packet that an entry is the queue entry of.
unsafe fn packet(entry: *mut Entry) -> *mut IRP {
    // SAFETY: entries of a device's queue are those of packets: `Tail.Overlay.DeviceQueueEntry`.
    unsafe { containing_record!(entry, IRP, Tail).cast() }
}

unsafe fn start(device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the export's device and a packet of its queue.
    unsafe {
        (*device).CurrentIrp = irp;
        if let Some(routine) = (*(*device).DriverObject).DriverStartIo {
            crate::ke::driver_call::call("DriverStartIo", || routine(device, irp));
        }
    }
}

unsafe fn start_next(device: *mut DEVICE_OBJECT, key: u32) {
    // SAFETY: an export's argument.
    unsafe {
        (*device).CurrentIrp = null_mut();
        let entry = remove(&raw mut (*device).DeviceQueue, key);
        if !entry.is_null() {
            start(device, packet(entry));
        }
    }
}

export_functions! {
    /// Device queues.
    pub static EXPORTS;

    /// Initialises a queue: not busy, empty.
    [ANY] fn KeInitializeDeviceQueue(queue: *mut KDEVICE_QUEUE) {
        super::resident::expect("KeInitializeDeviceQueue", "a device queue", queue);
        (*queue).Type = DEVICE_QUEUE_OBJECT;
        (*queue).Size = size_of::<KDEVICE_QUEUE>() as i16;
        (*queue).Lock = 0;
        (*queue).Busy = 0;
        list::init(&raw mut (*queue).DeviceListHead);
    }

    /// Inserts at the end, if the queue is busy; else it becomes so.
    [AT_DISPATCH] fn KeInsertDeviceQueue(queue: *mut KDEVICE_QUEUE, entry: *mut Entry) -> u8 { insert(queue, entry, None) }

    /// Inserts by key, if the queue is busy; else it becomes so.
    [AT_DISPATCH] fn KeInsertByKeyDeviceQueue(queue: *mut KDEVICE_QUEUE, entry: *mut Entry, key: u32) -> u8 { insert(queue, entry, Some(key)) }

    /// Takes the first entry; without one the queue is busy no more.
    [AT_DISPATCH] fn KeRemoveDeviceQueue(queue: *mut KDEVICE_QUEUE) -> *mut Entry { remove(queue, 0) }

    /// Takes the first entry from a key on; without one the queue is busy no more.
    [AT_DISPATCH] fn KeRemoveByKeyDeviceQueue(queue: *mut KDEVICE_QUEUE, key: u32) -> *mut Entry { remove(queue, key) }

    /// Returns the same, if the queue is busy.
    [AT_DISPATCH] fn KeRemoveByKeyDeviceQueueIfBusy(queue: *mut KDEVICE_QUEUE, key: u32) -> *mut Entry {
        if busy(queue).read() == 0 { null_mut() } else { remove(queue, key) }
    }

    /// Takes an entry out. Returns whether it was in.
    [DISPATCH] fn KeRemoveEntryDeviceQueue(_queue: *mut KDEVICE_QUEUE, entry: *mut Entry) -> u8 {
        cpu::exclusively(|| {
            let was = (*entry).inserted;
            if was != 0 {
                list::remove(&raw mut (*entry).list);
                (*entry).inserted = 0;
            }
            was
        })
    }

    /// Calls `StartIo` with a packet, or queues it while another is under way.
    [DISPATCH] fn IoStartPacket(device: *mut DEVICE_OBJECT, irp: *mut IRP, key: *const u32, cancel: Option<crate::nt::DRIVER_CANCEL>) {
        let old = level::raise(DISPATCH_LEVEL);
        if cancel.is_some() { (*irp).CancelRoutine = cancel }
        let entry = (&raw mut (*irp).Tail).cast::<Entry>();
        if insert(&raw mut (*device).DeviceQueue, entry, key.as_ref().copied()) == 0 {
            start(device, irp);
        }
        level::set(cpu::irql(), old);
    }

    /// Calls `StartIo` with the next packet.
    [AT_DISPATCH] fn IoStartNextPacket(device: *mut DEVICE_OBJECT, _cancelable: u8) { start_next(device, 0) }

    /// Calls `StartIo` with the next packet from a key on.
    [AT_DISPATCH] fn IoStartNextPacketByKey(device: *mut DEVICE_OBJECT, _cancelable: u8, key: u32) { start_next(device, key) }
}
