//! Object references.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use super::{device, named_event};
use crate::contract::verifier;
use crate::ex::callback;
use crate::export_functions;
use crate::ke::{handle, thread};
use crate::nt::status::*;
use crate::nt::{HANDLE, NTSTATUS, PVOID, object_type};

unsafe fn reference(function: &'static str, object: PVOID) {
    if device::is_device(object) {
        // SAFETY: checked.
        unsafe { device::reference(object.cast()) };
    } else if is_thread(object) {
        // SAFETY: checked.
        unsafe { thread::reference(object) };
    } else if callback::is_callback(object) {
        callback::reference(object);
    } else if !named_event::is_event(object) {
        unknown(function, object)
    }
}

unsafe fn dereference(function: &'static str, object: PVOID) {
    if device::is_device(object) {
        // SAFETY: checked.
        unsafe { device::release(object.cast()) };
    } else if is_thread(object) {
        // SAFETY: checked.
        unsafe { thread::release(object) };
    } else if callback::is_callback(object) {
        callback::release(object);
    } else if !named_event::is_event(object) {
        unknown(function, object)
    }
}

fn is_thread(object: PVOID) -> bool {
    crate::arch::paging::accessible(object as u64, 8, false)
        // SAFETY: mapped.
        && unsafe { object.cast::<u8>().read() } == object_type::THREAD
}

fn unknown(function: &'static str, object: PVOID) -> ! {
    verifier::stop(
        0x18,
        function,
        [0, object as u64, 0, 0],
        format_args!(
            "{object:p} is no object that this guest knows (a device, a thread, an event or a callback object), or was deleted"
        ),
    )
}

export_functions! {
    /// Objects.
    pub static EXPORTS;

    /// Takes a reference.
    [DISPATCH] fn ObfReferenceObject(object: PVOID) -> i64 { reference("ObfReferenceObject", object); 1 }

    /// Gives a reference up.
    [DISPATCH] fn ObfDereferenceObject(object: PVOID) -> i64 { dereference("ObfDereferenceObject", object); 0 }

    /// Takes a reference, with a tag.
    [DISPATCH] fn ObfReferenceObjectWithTag(object: PVOID, _tag: u32) -> i64 { reference("ObfReferenceObjectWithTag", object); 1 }

    /// Gives a reference up, with a tag.
    [DISPATCH] fn ObfDereferenceObjectWithTag(object: PVOID, _tag: u32) -> i64 { dereference("ObfDereferenceObjectWithTag", object); 0 }

    /// Gives a reference up later.
    [ANY] fn ObDereferenceObjectDeferDelete(object: PVOID) { dereference("ObDereferenceObjectDeferDelete", object) }

    /// Takes a reference by pointer.
    [DISPATCH] fn ObReferenceObjectByPointer(object: PVOID, _access: u32, _kind: PVOID, _mode: i8) -> NTSTATUS {
        reference("ObReferenceObjectByPointer", object);
        STATUS_SUCCESS
    }

    /// Takes a reference by pointer, with a tag.
    [DISPATCH] fn ObReferenceObjectByPointerWithTag(object: PVOID, _access: u32, _kind: PVOID, _mode: i8, _tag: u32) -> NTSTATUS {
        reference("ObReferenceObjectByPointerWithTag", object);
        STATUS_SUCCESS
    }

    /// Gives a reference up later, with a tag.
    [ANY] fn ObDereferenceObjectDeferDeleteWithTag(object: PVOID, _tag: u32) { dereference("ObDereferenceObjectDeferDeleteWithTag", object) }

    /// Takes a reference by handle, with a tag.
    [PASSIVE] fn ObReferenceObjectByHandleWithTag(handle: HANDLE, access: u32, kind: PVOID, mode: i8, _tag: u32, object: *mut PVOID,
        information: PVOID) -> NTSTATUS { ObReferenceObjectByHandle(handle, access, kind, mode, object, information) }

    /// Takes a reference by handle.
    [PASSIVE] fn ObReferenceObjectByHandle(handle: HANDLE, _access: u32, _kind: PVOID, _mode: i8, object: *mut PVOID,
        _information: PVOID) -> NTSTATUS {
        match handle::get(handle) {
            Some(handle::Object::Thread(thread)) => {
                thread::reference(thread);
                object.write(thread);
                STATUS_SUCCESS
            },
            Some(handle::Object::Event(name)) => match named_event::event_of(&name) {
                Some(event) => { object.write(event); STATUS_SUCCESS }
                None => STATUS_INVALID_HANDLE,
            },
            Some(handle::Object::Key(_) | handle::Object::Directory(_) | handle::Object::Link(_)) => STATUS_OBJECT_TYPE_MISMATCH,
            None => STATUS_INVALID_HANDLE,
        }
    }

    /// Closes a handle.
    [PASSIVE] fn ZwClose(handle: HANDLE) -> NTSTATUS {
        match handle::close(handle) {
            Some(object) => named_event::closed(&object),
            None => {
                verifier::broken(None, 0xc4, "ZwClose", [handle as u64, 0, 0, 0],
                    format_args!("{handle:p} is no open handle: it was closed before, or never opened"));
                return STATUS_INVALID_HANDLE;
            }
        }
        STATUS_SUCCESS
    }

    /// Closes a handle.
    [PASSIVE] fn ObCloseHandle(handle: HANDLE, _mode: i8) -> NTSTATUS { ZwClose(handle) }
}
