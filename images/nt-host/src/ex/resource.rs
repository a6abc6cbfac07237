//! Executive resources: one thread that writes, or several that read.
#![allow(unsafe_code, reason = "objects of the Windows ABI")]

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::arch::uninterrupted::Uninterrupted;
use crate::contract::verifier;
use crate::export_functions;
use crate::ke::lock_order::{self, Holder};
use crate::ke::{event, thread, wait};
use crate::nt::status::*;
use crate::nt::{KEVENT, NTSTATUS, PVOID};

/// Bytes of an `ERESOURCE` on x64, which the driver reserves and this host does not use but for its address.
const RESOURCE_BYTES: usize = 104;
const RESOURCE_NOT_OWNED: u32 = 0xe3;

struct Resource {
    /// Threads that hold it, and how many times over.
    owners: BTreeMap<u64, u32>,
    exclusive: bool,
    /// Threads that wait: alone, and with others.
    waiting: [u32; 2],
    /// Signalled at each release; lives until the resource is deleted.
    released: Box<KEVENT>,
}
// SAFETY: reached exclusively.
unsafe impl Send for Resource {}

static RESOURCES: Uninterrupted<BTreeMap<u64, Resource>> = Uninterrupted::new(BTreeMap::new());

fn me() -> u64 {
    // SAFETY: no arguments.
    unsafe { thread::KeGetCurrentThread() as u64 }
}

fn not_initialised(function: &'static str, resource: PVOID) -> ! {
    verifier::stop(
        0xc4,
        function,
        [0x37, resource as u64, 0, 0],
        format_args!(
            "the resource at {resource:p} was never initialised with ExInitializeResourceLite, or was deleted"
        ),
    )
}

unsafe fn acquire(function: &'static str, resource: PVOID, exclusive: bool, wait: bool) -> bool {
    // What is taken with others waits for none but who has it alone, or wants to: Driver Verifier watches no resources at all.
    if wait && exclusive {
        lock_order::ordered(function, Holder::Thread(me()), resource as u64);
    }
    let count = |change: i32| {
        RESOURCES.with(|resources| {
            if let Some(found) = resources.get_mut(&(resource as u64)) {
                let waiting = &mut found.waiting[usize::from(!exclusive)];
                *waiting = waiting.saturating_add_signed(change);
            }
        });
    };
    loop {
        let taken = RESOURCES.with(|resources| {
            let found = resources.get_mut(&(resource as u64))?;
            let mine = found.owners.contains_key(&me());
            let free = found.owners.is_empty();
            let may = free || (mine && found.exclusive) || (!found.exclusive && !exclusive);
            if may {
                found.exclusive = if free { exclusive } else { found.exclusive };
                *found.owners.entry(me()).or_insert(0) += 1;
            }
            Some((may, found.exclusive, &raw mut *found.released))
        });
        let Some((may, alone, released)) = taken else { not_initialised(function, resource) };
        if may && alone {
            lock_order::acquired(Holder::Thread(me()), resource as u64);
        } else if may {
            lock_order::acquired_shared(Holder::Thread(me()), resource as u64);
        }
        if may || !wait {
            return may;
        }
        count(1);
        // SAFETY: the event lives as long as the resource, which a waiting driver must not delete.
        unsafe { wait::wait_one(function, released.cast()) };
        count(-1);
    }
}

unsafe fn release(function: &'static str, resource: PVOID, owner: u64) {
    let released = RESOURCES.with(|resources| {
        let found = resources.get_mut(&(resource as u64))?;
        let count = found.owners.get_mut(&owner)?;
        *count -= 1;
        if *count == 0 {
            found.owners.remove(&owner);
        }
        Some(&raw mut *found.released)
    });
    match released {
        Some(released) => {
            lock_order::released(Holder::Thread(owner), resource as u64);
            // SAFETY: as above.
            unsafe { wait::signal(released.cast(), 1) };
        }
        None => verifier::stop(
            RESOURCE_NOT_OWNED,
            function,
            [resource as u64, owner, 0, 0],
            format_args!("the resource at {resource:p} is released by a thread that does not hold it"),
        ),
    }
}

/// Returns how many threads wait: alone (0), with others (1).
fn waiting(resource: PVOID, kind: usize) -> u32 {
    RESOURCES.with(|all| all.get(&(resource as u64)).map_or(0, |found| found.waiting[kind]))
}

/// Gives what this thread holds to another owner, by whose address it is released.
fn give(function: &'static str, resource: PVOID, owner: u64) {
    let given = RESOURCES.with(|all| {
        let found = all.get_mut(&(resource as u64))?;
        let count = found.owners.remove(&me())?;
        *found.owners.entry(owner).or_insert(0) += count;
        Some(())
    });
    if given.is_none() {
        verifier::stop(
            RESOURCE_NOT_OWNED,
            function,
            [resource as u64, me(), 0, 0],
            format_args!("the resource at {resource:p} is given away by a thread that does not hold it"),
        );
    }
    lock_order::released(Holder::Thread(me()), resource as u64);
}

export_functions! {
    /// Executive resources.
    pub static EXPORTS;

    /// Initialises a resource.
    [DISPATCH] fn ExInitializeResourceLite(resource: PVOID) -> NTSTATUS {
        resource.cast::<u8>().write_bytes(0, RESOURCE_BYTES);
        let mut released = Box::new(KEVENT { Header: event::header(1, 0) });
        event::KeInitializeEvent(&raw mut *released, 1, 0);
        let new = Resource { owners: BTreeMap::new(), exclusive: false, waiting: [0; 2], released };
        RESOURCES.with(|resources| resources.insert(resource as u64, new));
        STATUS_SUCCESS
    }

    /// Ends a resource.
    [DISPATCH] fn ExDeleteResourceLite(resource: PVOID) -> NTSTATUS {
        match RESOURCES.with(|resources| resources.remove(&(resource as u64))) {
            Some(old) if old.owners.is_empty() => {
                lock_order::forget(&(resource as u64..resource as u64 + 1));
                STATUS_SUCCESS
            }
            Some(_) => verifier::stop(0xc4, "ExDeleteResourceLite", [0x38, resource as u64, 0, 0],
                format_args!("the resource at {resource:p} is deleted while it is held")),
            None => not_initialised("ExDeleteResourceLite", resource),
        }
    }

    /// Takes a resource alone.
    [APC] fn ExAcquireResourceExclusiveLite(resource: PVOID, wait: u8) -> u8 {
        u8::from(acquire("ExAcquireResourceExclusiveLite", resource, true, wait != 0))
    }

    /// Takes a resource with others.
    [APC] fn ExAcquireResourceSharedLite(resource: PVOID, wait: u8) -> u8 {
        u8::from(acquire("ExAcquireResourceSharedLite", resource, false, wait != 0))
    }

    /// Takes a resource shared, before exclusive waiters: there is no order of service here.
    [APC] fn ExAcquireSharedStarveExclusive(resource: PVOID, wait: u8) -> u8 {
        u8::from(acquire("ExAcquireSharedStarveExclusive", resource, false, wait != 0))
    }

    /// Takes a resource shared, after exclusive waiters.
    [APC] fn ExAcquireSharedWaitForExclusive(resource: PVOID, wait: u8) -> u8 {
        u8::from(acquire("ExAcquireSharedWaitForExclusive", resource, false, wait != 0))
    }

    /// Keeps asynchronous procedure calls away and takes a resource alone.
    [APC] fn ExEnterCriticalRegionAndAcquireResourceExclusive(resource: PVOID) -> PVOID {
        thread::KeEnterCriticalRegion();
        acquire("ExEnterCriticalRegionAndAcquireResourceExclusive", resource, true, true);
        thread::KeGetCurrentThread()
    }

    /// Keeps asynchronous procedure calls away and takes a resource with others.
    [APC] fn ExEnterCriticalRegionAndAcquireResourceShared(resource: PVOID) -> PVOID {
        thread::KeEnterCriticalRegion();
        acquire("ExEnterCriticalRegionAndAcquireResourceShared", resource, false, true);
        thread::KeGetCurrentThread()
    }

    /// Keeps asynchronous procedure calls away and takes a resource with others, after exclusive waiters.
    [APC] fn ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(resource: PVOID) -> PVOID {
        thread::KeEnterCriticalRegion();
        acquire("ExEnterCriticalRegionAndAcquireSharedWaitForExclusive", resource, false, true);
        thread::KeGetCurrentThread()
    }

    /// Returns how many threads wait to have a resource alone.
    [DISPATCH] fn ExGetExclusiveWaiterCount(resource: PVOID) -> u32 { waiting(resource, 0) }

    /// Returns how many threads wait to have a resource with others.
    [DISPATCH] fn ExGetSharedWaiterCount(resource: PVOID) -> u32 { waiting(resource, 1) }

    /// Makes an address of the system's the owner of what this thread holds.
    [APC] fn ExSetResourceOwnerPointer(resource: PVOID, owner: PVOID) { give("ExSetResourceOwnerPointer", resource, owner as u64) }

    /// Makes an address of the system's the owner of what this thread holds.
    [APC] fn ExSetResourceOwnerPointerEx(resource: PVOID, owner: PVOID, _flags: u32) {
        give("ExSetResourceOwnerPointerEx", resource, owner as u64);
    }

    /// Gives a resource back and lets asynchronous procedure calls in again.
    [APC] fn ExReleaseResourceAndLeaveCriticalRegion(resource: PVOID) {
        release("ExReleaseResourceAndLeaveCriticalRegion", resource, me());
        thread::KeLeaveCriticalRegion();
    }

    /// Lets others in beside the thread that had a resource alone.
    [DISPATCH] fn ExConvertExclusiveToSharedLite(resource: PVOID) {
        let released = RESOURCES.with(|all| {
            let found = all.get_mut(&(resource as u64)).filter(|found| found.exclusive && found.owners.contains_key(&me()))?;
            found.exclusive = false;
            Some(&raw mut *found.released)
        });
        match released {
            Some(released) => wait::signal(released.cast(), 1),
            None => verifier::stop(RESOURCE_NOT_OWNED, "ExConvertExclusiveToSharedLite", [resource as u64, me(), 0, 0],
                format_args!("the resource at {resource:p} is not held alone by this thread")),
        }
    }

    /// Initialises a resource again that no thread holds.
    [DISPATCH] fn ExReinitializeResourceLite(resource: PVOID) -> NTSTATUS {
        ExDeleteResourceLite(resource);
        ExInitializeResourceLite(resource)
    }

    /// Gives a resource back.
    [DISPATCH] fn ExReleaseResourceLite(resource: PVOID) { release("ExReleaseResourceLite", resource, me()) }

    /// Gives a resource back for a thread.
    [DISPATCH] fn ExReleaseResourceForThreadLite(resource: PVOID, owner: u64) {
        release("ExReleaseResourceForThreadLite", resource, owner);
    }

    /// Returns whether this thread holds a resource alone.
    [DISPATCH] fn ExIsResourceAcquiredExclusiveLite(resource: PVOID) -> u8 {
        u8::from(RESOURCES.with(|all| all.get(&(resource as u64)).is_some_and(|found| found.exclusive && found.owners.contains_key(&me()))))
    }

    /// Returns how many times over this thread holds a resource.
    [DISPATCH] fn ExIsResourceAcquiredSharedLite(resource: PVOID) -> u32 {
        RESOURCES.with(|all| all.get(&(resource as u64)).and_then(|found| found.owners.get(&me()).copied()).unwrap_or(0))
    }
}
