//! Callback objects: drivers register routines on them, and a driver or the system notifies all that are registered.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::smp;
use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::nt::status::*;
use crate::nt::{NTSTATUS, OBJECT_ATTRIBUTES, PVOID};
use crate::rtl::string::text;

/// A routine that is called when the object is notified.
type CallbackFunction = unsafe extern "win64" fn(context: PVOID, argument1: PVOID, argument2: PVOID);

/// The callback objects that the system defines. It never notifies them: its time is not set, it does not sleep, and its
/// processors stay.
const OF_THE_SYSTEM: [&str; 3] = ["\\callback\\setsystemtime", "\\callback\\powerstate", "\\callback\\processoradd"];

/// What `OBJ_PERMANENT` does to an object of the driver's: it stays after its last reference.
const OBJ_PERMANENT: u32 = 0x10;

struct Callback {
    /// In lower case; empty for an object without a name.
    name: String,
    several: bool,
    permanent: bool,
    references: u32,
    registrations: Vec<Registration>,
}

#[derive(Clone, Copy)]
struct Registration {
    /// The address that its owner has for it.
    handle: u64,
    function: CallbackFunction,
    context: u64,
    /// How many notifications call it at this moment.
    running: u32,
}

/// Each object by its address.
static OBJECTS: Uninterrupted<Vec<(u64, Callback)>> = Uninterrupted::new(Vec::new());

/// Marks an address as an object's or a registration's: a byte that nothing else has.
fn new_address() -> u64 {
    Box::into_raw(Box::new(0u8)) as u64
}

fn free_address(address: u64) {
    // SAFETY: of `new_address`, and freed once: its entry is gone.
    drop(unsafe { Box::from_raw(address as *mut u8) });
}

/// Returns whether an address is a callback object's.
pub(crate) fn is_callback(object: PVOID) -> bool {
    OBJECTS.with(|objects| objects.iter().any(|(at, _)| *at == object as u64))
}

/// Takes a reference to a callback object.
pub(crate) fn reference(object: PVOID) {
    OBJECTS.with(|objects| {
        if let Some((_, found)) = objects.iter_mut().find(|(at, _)| *at == object as u64) {
            found.references += 1;
        }
    });
}

/// Gives a reference to a callback object up; with the last one it goes, unless it is permanent.
pub(crate) fn release(object: PVOID) {
    let gone = OBJECTS.with(|objects| {
        let index = objects.iter().position(|(at, _)| *at == object as u64)?;
        let found = &mut objects[index].1;
        found.references = found.references.saturating_sub(1);
        (found.references == 0 && !found.permanent).then(|| objects.swap_remove(index).0)
    });
    if let Some(address) = gone {
        free_address(address);
    }
}

/// Returns what drivers hold of callback objects, a line each, for the leak check.
#[must_use]
pub fn outstanding() -> Vec<String> {
    OBJECTS.with(|objects| {
        let held = objects.iter().filter(|(_, found)| !OF_THE_SYSTEM.contains(&found.name.as_str()));
        let held = held.map(|(at, found)| alloc::format!("the callback object {at:#x} '{}'", found.name));
        let registered = objects.iter().flat_map(|(_, found)| {
            found.registrations.iter().map(|own| alloc::format!("the registration {:#x} of a callback", own.handle))
        });
        held.chain(registered).collect()
    })
}

fn unknown(function: &'static str, object: u64) -> ! {
    verifier::stop(
        0x18,
        function,
        [0, object, 0, 0],
        format_args!("{object:#x} is no callback object or registration, or is gone: ExCreateCallback makes objects"),
    )
}

/// Finds a named object, or makes one.
fn open(name: &str, attributes: u32, create: bool, several: bool) -> Result<u64, NTSTATUS> {
    OBJECTS.with(|objects| {
        let named = objects.iter_mut().find(|(_, found)| !name.is_empty() && found.name == name);
        if let Some((address, found)) = named {
            found.references += 1;
            return Ok(*address);
        }
        let of_the_system = OF_THE_SYSTEM.contains(&name);
        if !create && !of_the_system {
            return Err(STATUS_OBJECT_NAME_NOT_FOUND);
        }
        let address = new_address();
        let new = Callback {
            name: name.into(),
            several: several || of_the_system,
            permanent: attributes & OBJ_PERMANENT != 0 || of_the_system,
            references: 1,
            registrations: Vec::new(),
        };
        objects.push((address, new));
        Ok(address)
    })
}

/// Runs `body` on a registration, if it is there.
fn with_registration<R>(handle: u64, body: impl FnOnce(&mut Registration) -> R) -> Option<R> {
    OBJECTS.with(|objects| {
        objects.iter_mut().flat_map(|(_, found)| &mut found.registrations).find(|own| own.handle == handle).map(body)
    })
}

export_functions! {
    /// Callback objects.
    pub static EXPORTS;

    /// Opens a callback object by its name, or makes one.
    [PASSIVE] fn ExCreateCallback(out: *mut PVOID, attributes: *const OBJECT_ATTRIBUTES, create: u8, several: u8) -> NTSTATUS {
        let name = (*attributes).ObjectName.as_ref().map(|name| text(name).to_lowercase()).unwrap_or_default();
        match open(&name, (*attributes).Attributes, create != 0, several != 0) {
            Ok(address) => { out.write(address as PVOID); STATUS_SUCCESS }
            Err(status) => { out.write(core::ptr::null_mut()); status }
        }
    }

    /// Registers a routine. Returns NULL where one is registered and the object takes no more.
    [APC] fn ExRegisterCallback(object: PVOID, function: CallbackFunction, context: PVOID) -> PVOID {
        let handle = new_address();
        let registered = OBJECTS.with(|objects| {
            let (_, found) = objects.iter_mut().find(|(at, _)| *at == object as u64)?;
            let free = found.several || found.registrations.is_empty();
            if free {
                found.references += 1;
                found.registrations.push(Registration { handle, function, context: context as u64, running: 0 });
            }
            Some(free)
        });
        match registered {
            Some(true) => handle as PVOID,
            Some(false) => { free_address(handle); core::ptr::null_mut() }
            None => unknown("ExRegisterCallback", object as u64),
        }
    }

    /// Undoes a registration, after a routine that is being called has returned.
    [APC] fn ExUnregisterCallback(registration: PVOID) {
        let handle = registration as u64;
        loop {
            match with_registration(handle, |own| own.running) {
                Some(0) => break,
                Some(_) => smp::while_spinning(),
                None => unknown("ExUnregisterCallback", handle),
            }
        }
        let object = OBJECTS.with(|objects| {
            objects.iter_mut().find_map(|(at, found)| {
                let index = found.registrations.iter().position(|own| own.handle == handle)?;
                found.registrations.remove(index);
                Some(*at)
            })
        });
        free_address(handle);
        if let Some(object) = object { release(object as PVOID) }
    }

    /// Calls what is registered, in the order of registration, at the caller's IRQL.
    [DISPATCH] fn ExNotifyCallback(object: PVOID, argument1: PVOID, argument2: PVOID) {
        let Some(handles) = OBJECTS.with(|objects| {
            let (_, found) = objects.iter().find(|(at, _)| *at == object as u64)?;
            Some(found.registrations.iter().map(|own| own.handle).collect::<Vec<_>>())
        }) else { unknown("ExNotifyCallback", object as u64) };
        for handle in handles {
            let begun = with_registration(handle, |own| { own.running += 1; (own.function, own.context) });
            if let Some((function, context)) = begun {
                crate::ke::driver_call::call("a callback routine", || function(context as PVOID, argument1, argument2));
                with_registration(handle, |own| own.running -= 1);
            }
        }
    }
}
