//! Waiting for something that is no dispatcher object: the code that changes it wakes the threads that wait for it, by
//! its address.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use crate::arch::cpu;
use crate::arch::uninterrupted::Uninterrupted;
use crate::ke::{event, wait};
use crate::nt::{KEVENT, object_type};

struct Room {
    changed: Box<KEVENT>,
    waiters: u32,
}
// SAFETY: reached exclusively; the event is a dispatcher object, reached through the functions for it.
#[allow(unsafe_code, reason = "an event in a table")]
unsafe impl Send for Room {}

static ROOMS: Uninterrupted<BTreeMap<u64, Room>> = Uninterrupted::new(BTreeMap::new());

/// Waits until `ready` returns true, which is called now and after each [`changed`], and may take what it finds:
/// nothing runs beside it.
#[allow(unsafe_code, reason = "waits for an event that lives as long as a thread waits for it")]
pub(super) fn wait_until(function: &'static str, address: u64, mut ready: impl FnMut() -> bool) {
    loop {
        let waits_for = cpu::exclusively(|| {
            if ready() {
                return None;
            }
            ROOMS.with(|rooms| {
                let room = rooms.entry(address).or_insert_with(|| Room {
                    changed: Box::new(KEVENT { Header: event::header(object_type::NOTIFICATION_EVENT, 0) }),
                    waiters: 0,
                });
                room.waiters += 1;
                room.changed.Header.SignalState = 0;
                Some(&raw mut *room.changed)
            })
        });
        let Some(changed) = waits_for else { return };
        // SAFETY: the event lives for as long as the room has waiters, and this is one.
        unsafe { wait::wait_one(function, changed.cast()) };
        ROOMS.with(|rooms| {
            if let Some(room) = rooms.get_mut(&address) {
                room.waiters -= 1;
                if room.waiters == 0 {
                    rooms.remove(&address);
                }
            }
        });
    }
}

/// Wakes the threads that wait for what is at an address, because it has changed. At most at `DISPATCH_LEVEL`.
#[allow(unsafe_code, reason = "signals an event that is in the table")]
pub(super) fn changed(address: u64) {
    cpu::exclusively(|| {
        let event = ROOMS.with(|rooms| rooms.get_mut(&address).map(|room| &raw mut *room.changed));
        if let Some(event) = event {
            // SAFETY: nothing runs beside this, so that the room is still there.
            unsafe { wait::signal(event.cast(), 1) };
        }
    });
}
