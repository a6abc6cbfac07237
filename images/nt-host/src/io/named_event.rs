//! Objects with names: events that drivers share, directories, links. They last while a handle is open, or until they
//! are made temporary.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::ptr::null_mut;

use super::names;
use crate::arch::uninterrupted::Uninterrupted;
use crate::export_functions;
use crate::ke::event;
use crate::ke::handle::{self, Object};
use crate::nt::object_type::{NOTIFICATION_EVENT, SYNCHRONIZATION_EVENT};
use crate::nt::status::*;
use crate::nt::{HANDLE, KEVENT, NTSTATUS, OBJECT_ATTRIBUTES, PVOID, UNICODE_STRING};
use crate::rtl::string::text;

struct Named {
    event: Box<KEVENT>,
    handles: u32,
}
// SAFETY: an event is reached by the kernel's functions, which exclude each other.
unsafe impl Send for Named {}

static EVENTS: Uninterrupted<BTreeMap<String, Named>> = Uninterrupted::new(BTreeMap::new());
/// Directories that drivers made, each with its handles and whether it is permanent.
static DIRECTORIES: Uninterrupted<BTreeMap<String, (u32, bool)>> = Uninterrupted::new(BTreeMap::new());

/// `OBJ_PERMANENT`.
const PERMANENT: u32 = 0x10;
/// `OBJ_OPENIF`.
const OPEN_IF: u32 = 0x80;

/// Gives up what a closed handle held.
pub(crate) fn closed(object: &Object) {
    match object {
        Object::Event(name) => EVENTS.with(|events| {
            if let Some(found) = events.get_mut(name) {
                found.handles -= 1;
                if found.handles == 0 {
                    events.remove(name);
                }
            }
        }),
        Object::Directory(name) => DIRECTORIES.with(|all| {
            if let Some((handles, permanent)) = all.get_mut(name) {
                *handles -= 1;
                if *handles == 0 && !*permanent {
                    all.remove(name);
                }
            }
        }),
        Object::Thread(_) | Object::Key(_) | Object::Link(_) => {}
    }
}

/// Returns whether an address is that of an event with a name. Its handles keep it, so that references are not counted.
pub(crate) fn is_event(object: PVOID) -> bool {
    EVENTS.with(|events| events.values().any(|found| core::ptr::eq(&raw const *found.event, object.cast())))
}

/// Returns the event of a name.
pub(crate) fn event_of(name: &str) -> Option<PVOID> {
    EVENTS.with(|events| events.get_mut(name).map(|found| (&raw mut *found.event).cast()))
}

/// Opens an event by its name, or makes one, signalled.
unsafe fn create_event(name: *const UNICODE_STRING, out: *mut HANDLE, kind: u8) -> *mut KEVENT {
    // SAFETY: an export's arguments.
    unsafe {
        let name = text(&*name).to_lowercase();
        let opened = EVENTS.with(|events| {
            let found = events.entry(name.clone()).or_insert_with(|| {
                let mut event = Box::new(KEVENT { Header: event::header(kind, 1) });
                event::KeInitializeEvent(&raw mut *event, kind.into(), 1);
                Named { event, handles: 0 }
            });
            found.handles += 1;
            &raw mut *found.event
        });
        out.write(handle::open(Object::Event(name)));
        opened
    }
}

/// Returns the full name in attributes.
unsafe fn full_name(attributes: *const OBJECT_ATTRIBUTES) -> Result<String, NTSTATUS> {
    // SAFETY: an export's argument.
    unsafe {
        let name = (*attributes).ObjectName.as_ref().map(|name| text(name)).unwrap_or_default();
        if (*attributes).RootDirectory.is_null() {
            return if name.starts_with('\\') { Ok(name) } else { Err(STATUS_OBJECT_PATH_SYNTAX_BAD) };
        }
        match handle::get((*attributes).RootDirectory) {
            Some(Object::Directory(root)) => Ok(alloc::format!("{root}\\{name}")),
            Some(_) => Err(STATUS_OBJECT_TYPE_MISMATCH),
            None => Err(STATUS_INVALID_HANDLE),
        }
    }
}

export_functions! {
    /// Objects with names.
    pub static EXPORTS;

    /// Makes or opens a notification event by its name.
    [PASSIVE] fn IoCreateNotificationEvent(name: *const UNICODE_STRING, out: *mut HANDLE) -> *mut KEVENT {
        create_event(name, out, NOTIFICATION_EVENT)
    }

    /// Makes or opens a synchronization event by its name.
    [PASSIVE] fn IoCreateSynchronizationEvent(name: *const UNICODE_STRING, out: *mut HANDLE) -> *mut KEVENT {
        create_event(name, out, SYNCHRONIZATION_EVENT)
    }

    /// Opens an event by its name.
    [PASSIVE] fn ZwOpenEvent(out: *mut HANDLE, _access: u32, attributes: *const OBJECT_ATTRIBUTES) -> NTSTATUS {
        let name = match full_name(attributes) {
            Ok(name) => name.to_lowercase(),
            Err(status) => return status,
        };
        let found = EVENTS.with(|events| events.get_mut(&name).map(|found| found.handles += 1));
        if found.is_none() { return STATUS_OBJECT_NAME_NOT_FOUND }
        out.write(handle::open(Object::Event(name)));
        STATUS_SUCCESS
    }

    /// Makes a directory of objects.
    [PASSIVE] fn ZwCreateDirectoryObject(out: *mut HANDLE, _access: u32, attributes: *const OBJECT_ATTRIBUTES) -> NTSTATUS {
        let name = match full_name(attributes) {
            Ok(name) => name.to_lowercase(),
            Err(status) => return status,
        };
        let flags = (*attributes).Attributes;
        let opened = DIRECTORIES.with(|all| match all.get_mut(&name) {
            Some(_) if flags & OPEN_IF == 0 => Err(STATUS_OBJECT_NAME_COLLISION),
            Some((handles, _)) => { *handles += 1; Ok(STATUS_OBJECT_NAME_EXISTS) }
            None => { all.insert(name.clone(), (1, flags & PERMANENT != 0)); Ok(STATUS_SUCCESS) }
        });
        match opened {
            Ok(status) => { out.write(handle::open(Object::Directory(name))); status }
            Err(status) => { out.write(null_mut()); status }
        }
    }

    /// Lets a permanent object go with its last handle.
    [PASSIVE] fn ZwMakeTemporaryObject(object: HANDLE) -> NTSTATUS {
        match handle::get(object) {
            Some(Object::Directory(name)) => DIRECTORIES.with(|all| if let Some((_, permanent)) = all.get_mut(&name) { *permanent = false }),
            Some(_) => {}
            None => return STATUS_INVALID_HANDLE,
        }
        STATUS_SUCCESS
    }

    /// Opens a symbolic link by its name.
    [PASSIVE] fn ZwOpenSymbolicLinkObject(out: *mut HANDLE, _access: u32, attributes: *const OBJECT_ATTRIBUTES) -> NTSTATUS {
        let name = match full_name(attributes) {
            Ok(name) => name,
            Err(status) => return status,
        };
        if names::link_target(&name).is_none() { return STATUS_OBJECT_NAME_NOT_FOUND }
        out.write(handle::open(Object::Link(name)));
        STATUS_SUCCESS
    }

    /// Reads what a symbolic link leads to.
    [PASSIVE] fn ZwQuerySymbolicLinkObject(link: HANDLE, target: *mut UNICODE_STRING, needed: *mut u32) -> NTSTATUS {
        let name = match handle::get(link) {
            Some(Object::Link(name)) => name,
            Some(_) => return STATUS_OBJECT_TYPE_MISMATCH,
            None => return STATUS_INVALID_HANDLE,
        };
        let Some(found) = names::link_target(&name) else { return STATUS_OBJECT_NAME_NOT_FOUND };
        let bytes = 2 * found.encode_utf16().count() as u32;
        if let Some(needed) = needed.as_mut() { *needed = bytes }
        if u32::from((*target).MaximumLength) < bytes { return STATUS_BUFFER_TOO_SMALL }
        for (index, unit) in found.encode_utf16().enumerate() { (*target).Buffer.add(index).write(unit) }
        (*target).Length = bytes as u16;
        STATUS_SUCCESS
    }
}
