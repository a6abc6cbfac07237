//! `IAllocatorMXF`: where a stream's events come from and go back to.

#![allow(unsafe_code, reason = "drivers call the allocator through its vtable and pass events by address")]

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering};

use super::event_pool::EventPool;
use super::unpack::Fragment;
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, fatal, violation};
use crate::contract::watch;
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{EVENT_PACKAGE, INLINE_BYTES, KernelEvent};
use crate::portcls::com::guids::{GUID, IID_IALLOCATORMXF, IID_IMXF};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};
use crate::portcls::services::statistics;

/// Events of one stream's pool: a second of dense music, few enough that a miniport which keeps them is noticed.
const EVENTS: usize = 512;

/// Buffers of one stream's pool.
const BUFFERS: usize = 64;

/// Bytes of a buffer. Neither a page nor a power of two: miniports that assume either are noticed.
const BUFFER_BYTES: u16 = 1000;

/// Most attempts to take something that was not written to in the pool, if violations are only noted.
const TAKES_MAX: usize = 8;

/// `IAllocatorMXF`. Each stream has one of its own.
pub(crate) struct Allocator {
    pool: Lock<EventPool>,
    buffer_bytes: u16,
    piece_bytes: u16,
    /// Bits of [`starve`]: what drivers get none of.
    starved: AtomicU8,
    /// How many calls got nothing for that reason.
    failures: AtomicU32,
}

/// What an allocator does not give although its pool has some: it acts as if its pool were empty.
pub(crate) mod starve {
    /// Nothing.
    pub(crate) const NOTHING: u8 = 0;
    /// `GetMessage` fails.
    pub(crate) const EVENTS: u8 = 1;
    /// `GetBuffer` fails.
    pub(crate) const BUFFERS: u8 = 2;
}

/// Longest piece of a message in one event, for allocators that are made from now on; 0 for as long as a buffer.
static PIECE_BYTES: AtomicU16 = AtomicU16::new(0);

/// Sets how long a piece of a message goes into one event of allocators that are made from now on; 0 for the usual.
pub(crate) fn set_piece_bytes(bytes: u16) {
    PIECE_BYTES.store(bytes, Ordering::Relaxed);
}

impl Allocator {
    /// Makes an allocator with a full pool.
    pub(crate) fn create() -> Com<Self> {
        let piece_bytes = match PIECE_BYTES.load(Ordering::Relaxed) {
            0 => BUFFER_BYTES,
            bytes => bytes,
        };
        let buffer_bytes = if usize::from(piece_bytes) > INLINE_BYTES { piece_bytes } else { BUFFER_BYTES };
        let pool = EventPool::new(EVENTS, BUFFERS, buffer_bytes);
        POOLS.with(|pools| pools.push(pool.range()));
        Com::new(Self {
            pool: Lock::new(pool),
            buffer_bytes,
            piece_bytes,
            starved: AtomicU8::new(starve::NOTHING),
            failures: AtomicU32::new(0),
        })
    }

    /// Returns the bytes of a buffer.
    pub(crate) fn buffer_bytes(&self) -> u16 {
        self.buffer_bytes
    }

    /// Returns the longest piece of a message that goes into one event.
    pub(crate) fn piece_bytes(&self) -> u16 {
        self.piece_bytes
    }

    /// Withholds events, buffers, both, or nothing: bits of [`starve`].
    pub(crate) fn starve(&self, what: u8) {
        self.failures.store(0, Ordering::Relaxed);
        self.starved.store(what, Ordering::Relaxed);
    }

    /// Returns how many calls got nothing because of [`Allocator::starve`].
    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Makes the pool look empty to the driver. Whether it copes shows when it goes on (rule 58).
    fn starved<T>(&self) -> Option<T> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        rules::CAPTURE_EMPTY_POOL.held();
        None
    }

    fn is_starved_of(&self, what: u8) -> bool {
        self.starved.load(Ordering::Relaxed) & what != 0
    }

    /// Returns what a driver has filled an event with: its fields and its bytes.
    ///
    /// # Errors
    /// A [`Violation`] when it is no event of this allocator that is out, or its data is where it may not be.
    pub(crate) fn read(&self, event: *mut KernelEvent) -> Result<(KernelEvent, Vec<u8>), Violation> {
        self.pool.with(|pool| pool.read(event))
    }

    /// Returns how many events there are in all.
    pub(crate) fn capacity(&self) -> usize {
        self.pool.with(|pool| pool.capacity())
    }

    /// Returns how many events are not in the pool.
    pub(crate) fn events_out(&self) -> usize {
        self.pool.with(|pool| pool.events_out())
    }

    /// Buffers that are not in the pool.
    pub(crate) fn buffers_out(&self) -> usize {
        self.pool.with(|pool| pool.buffers_out())
    }

    /// Returns an event with a fragment in it, for the port to send. `None` when the pool has no event or buffer
    /// left.
    ///
    /// # Panics
    /// When the fragment is longer than a buffer.
    pub(crate) fn fill(&self, fragment: &Fragment<'_>, time: i64, channel_group: u16) -> Option<*mut KernelEvent> {
        assert!(
            !fragment.needs_buffer() || fragment.data.len() <= usize::from(self.buffer_bytes),
            "a piece fits a buffer"
        );
        self.take(|pool| {
            let Some(event) = pool.take_event()? else { return Ok(None) };
            let buffer = if fragment.needs_buffer() {
                match pool.take_buffer() {
                    Ok(Some(buffer)) => Some(buffer),
                    other => {
                        pool.take_back(event);
                        return other.map(|_| None);
                    }
                }
            } else {
                None
            };
            // SAFETY: event and buffer were just handed out; the fragment is no longer than a buffer, or fits the
            // event.
            unsafe {
                (*event).event_bytes = fragment.data.len() as u16;
                (*event).channel_group = channel_group;
                (*event).flags = fragment.flags;
                (*event).time = time;
                (*event).byte_position = crate::portcls::com::abi::BYTE_POSITION_NONE;
                if let Some(buffer) = buffer {
                    buffer.copy_from_nonoverlapping(fragment.data.as_ptr(), fragment.data.len());
                    (*event).data.buffer = buffer;
                } else {
                    let mut inline = [0; INLINE_BYTES];
                    inline[..fragment.data.len()].copy_from_slice(fragment.data);
                    (*event).data.inline = inline;
                }
            }
            pool.send(event);
            Ok(Some(event))
        })
    }

    /// Returns a package of these events, for the port to send. `None` when the pool has no event left.
    pub(crate) fn wrap(&self, children: *mut KernelEvent, time: i64, channel_group: u16) -> Option<*mut KernelEvent> {
        self.take(|pool| {
            let Some(event) = pool.take_event()? else { return Ok(None) };
            // SAFETY: just handed out.
            unsafe {
                (*event).flags = EVENT_PACKAGE;
                (*event).channel_group = channel_group;
                (*event).time = time;
                (*event).byte_position = crate::portcls::com::abi::BYTE_POSITION_NONE;
                (*event).data.package = children;
            }
            pool.send(event);
            Ok(Some(event))
        })
    }

    /// Stops, because a stream that was reported to keep events has kept so many that none is left.
    pub(crate) fn exhausted(&self) -> ! {
        fatal(
            "IMXF::PutMessage",
            Violation::new(
                rules::CONSERVATION,
                format!("the stream keeps events, and none of the {} is left to go on with", self.capacity()),
                "give every event to the allocator's PutMessage exactly once",
            ),
        )
    }

    /// Takes what `take` takes of the pool, and reports what was written to while it was there. `None` when the pool has
    /// none left.
    fn take<T>(&self, mut take: impl FnMut(&mut EventPool) -> Result<Option<T>, Violation>) -> Option<T> {
        for _ in 0..TAKES_MAX {
            match self.pool.with(&mut take) {
                Ok(taken) => return taken,
                Err(broken) => violation("IAllocatorMXF", broken),
            }
        }
        None
    }

    /// Checks that an event was not written to after it had been given back.
    pub(crate) fn check(&self) {
        if let Err(broken) = self.pool.with(|pool| pool.check()) {
            violation("IAllocatorMXF", broken);
        }
    }

    /// Takes back events that were never sent, as the port itself does when it discards.
    pub(crate) fn discard(&self, event: *mut KernelEvent) {
        self.take_back(event);
    }

    /// Takes back a chain of events. What is wrong with it is reported; what can be taken back then is. Returns the number of
    /// events, or nothing if something was wrong.
    fn take_back(&self, chain: *mut KernelEvent) -> Option<usize> {
        match self.pool.with(|pool| pool.give_back(chain)) {
            Ok(count) => Some(count),
            Err(broken) => {
                violation("IAllocatorMXF::PutMessage", anothers(self, chain).unwrap_or(broken));
                self.pool.with(|pool| pool.take_back(chain));
                None
            }
        }
    }
}

impl Class for Allocator {
    const NAME: &'static str = "IAllocatorMXF";
    const USED_AFTER_RELEASE: &'static Rule = rules::DESTROYED_STREAM;
    const INTERFACES: &'static [GUID] = &[IID_IMXF, IID_IALLOCATORMXF];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<Allocator>();
        static VTABLE: [Slot; 11] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(set_state as *const ()),
            Slot(put_message as *const ()),
            Slot(connect_output as *const ()),
            Slot(connect_output as *const ()),
            Slot(get_message as *const ()),
            Slot(get_buffer_size as *const ()),
            Slot(get_buffer as *const ()),
            Slot(put_buffer as *const ()),
        ];
        &VTABLE
    }

    fn released(object: &Object<Self>) {
        let own = object.pool.with(|pool| pool.range());
        POOLS.with(|pools| pools.retain(|pool| *pool != own));
    }
}

type This = *mut Object<Allocator>;

/// Checks that an event is taken or given back at `DISPATCH_LEVEL` at most; not in an interrupt service routine.
fn check_level(method: &'static str) {
    let level = irql::current();
    if level > DISPATCH_LEVEL {
        violation(
            method,
            Violation::new(
                rules::INTERRUPT_CALLS,
                format!("IAllocatorMXF::{method} is called at IRQL {level}"),
                "keep captured bytes in a ring of your own, and take events when PutMessage(NULL) asks for them",
            ),
        );
    }
}

/// Checks that `IMXF::PutMessage` is called at `DISPATCH_LEVEL`, as its page demands of every caller.
pub(super) fn check_put_level(who: &str) {
    let level = irql::current();
    if level < DISPATCH_LEVEL && watch::is_on() {
        violation(
            "IMXF::PutMessage",
            Violation::new(
                rules::IRQL,
                format!("PutMessage of {who} is called at IRQL {level}; its page demands DISPATCH_LEVEL"),
                "raise to DISPATCH_LEVEL around the call, or make it where a spin lock or a DPC has done so",
            ),
        );
    }
}

/// Accepts every state: the allocator has none.
unsafe extern "win64" fn set_state(_this: This, _state: i32) -> NTSTATUS {
    irql::passive("IAllocatorMXF", "SetState");
    STATUS_SUCCESS
}

/// Refuses `ConnectOutput` and `DisconnectOutput`: the allocator is where events end, and has no output.
unsafe extern "win64" fn connect_output(_this: This, _sink: PVOID) -> NTSTATUS {
    irql::passive("IAllocatorMXF", "ConnectOutput");
    STATUS_INVALID_DEVICE_REQUEST
}

unsafe extern "win64" fn put_message(this: This, event: *mut KernelEvent) -> NTSTATUS {
    check_level("PutMessage");
    check_put_level("the allocator");
    // SAFETY: the caller holds a reference.
    let allocator = unsafe { object(this) };
    let taken = allocator.take_back(event);
    // A sender that waits for events can go on.
    kernel::wake();
    match taken {
        Some(count) => {
            statistics::EVENTS_RETURNED.add(count as u64);
            rules::CONSERVATION.held();
            rules::EVENT_FIELDS.held();
            STATUS_SUCCESS
        }
        None => STATUS_INVALID_PARAMETER,
    }
}

/// Where the events of every allocator in use are.
static POOLS: Lock<Vec<Range<usize>>> = Lock::new(Vec::new());

/// Returns what is broken if an event that is not this allocator's is that of another stream (rule 35).
fn anothers(own: &Allocator, event: *mut KernelEvent) -> Option<Violation> {
    let address = event as usize;
    let own = own.pool.with(|pool| pool.range());
    let others = POOLS.with(|pools| pools.iter().any(|pool| *pool != own && pool.contains(&address)));
    others.then(|| {
        Violation::new(
            rules::STREAMS_APART,
            format!("the event at {event:p} is given to the allocator of another stream than it was put to"),
            "keep the allocator in the stream, not in the miniport, and give each event back to that of its own stream",
        )
    })
}

unsafe extern "win64" fn get_message(this: This, out: *mut *mut KernelEvent) -> NTSTATUS {
    check_level("GetMessage");
    if out.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller holds a reference.
    let allocator = unsafe { object(this) };
    let taken = if kernel::allocation_fails("IAllocatorMXF::GetMessage") {
        None
    } else if allocator.is_starved_of(starve::EVENTS) {
        allocator.starved()
    } else {
        allocator.take(EventPool::take_event)
    };
    // SAFETY: the caller's out parameter.
    unsafe { hand_out(out, taken) }
}

unsafe extern "win64" fn get_buffer_size(this: This) -> u16 {
    // SAFETY: the caller holds a reference. The size is constant, so no lock: this may be called at any IRQL.
    unsafe { object(this) }.buffer_bytes
}

unsafe extern "win64" fn get_buffer(this: This, out: *mut *mut u8) -> NTSTATUS {
    check_level("GetBuffer");
    if out.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller holds a reference.
    let allocator = unsafe { object(this) };
    let taken = if kernel::allocation_fails("IAllocatorMXF::GetBuffer") {
        None
    } else if allocator.is_starved_of(starve::BUFFERS) {
        allocator.starved()
    } else {
        allocator.take(EventPool::take_buffer)
    };
    // SAFETY: the caller's out parameter.
    unsafe { hand_out(out, taken) }
}

unsafe extern "win64" fn put_buffer(this: This, buffer: *mut u8) -> NTSTATUS {
    check_level("PutBuffer");
    // SAFETY: the caller holds a reference.
    let allocator = unsafe { object(this) };
    match allocator.pool.with(|pool| pool.give_back_buffer(buffer)) {
        Ok(()) => STATUS_SUCCESS,
        Err(broken) => {
            violation("IAllocatorMXF::PutBuffer", broken);
            allocator.pool.with(|pool| pool.take_back_buffer(buffer));
            STATUS_INVALID_PARAMETER
        }
    }
}

/// Writes what was taken, or null.
unsafe fn hand_out<T>(out: *mut *mut T, taken: Option<*mut T>) -> NTSTATUS {
    // SAFETY: by the caller.
    unsafe { out.write(taken.unwrap_or(core::ptr::null_mut())) };
    if taken.is_some() { STATUS_SUCCESS } else { STATUS_INSUFFICIENT_RESOURCES }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nt::status::success;

    #[test]
    fn puts_a_short_fragment_into_the_event_and_a_long_one_into_a_buffer() {
        let allocator = Allocator::create();
        let short = allocator.fill(&Fragment { flags: 0, data: &[1, 2, 3, 4, 5, 6, 7, 8] }, 7, 2).unwrap();
        // SAFETY: just filled.
        let content = unsafe { *short };
        assert_eq!((content.event_bytes, content.time, content.channel_group, content.flags), (8, 7, 2, 0));
        // SAFETY: a short event.
        assert_eq!(unsafe { content.data.inline }, [1, 2, 3, 4, 5, 6, 7, 8]);
        let long = allocator.fill(&Fragment { flags: 1, data: &[0x55; 1000] }, 7, 2).unwrap();
        // SAFETY: a long event with 1000 bytes.
        assert_eq!(unsafe { *(*long).data.buffer.add(999) }, 0x55);
        assert_eq!((allocator.events_out(), allocator.buffers_out()), (2, 1));
        allocator.discard(short);
        allocator.discard(long);
        assert_eq!((allocator.events_out(), allocator.buffers_out()), (0, 0));
    }

    #[test]
    fn returns_the_event_to_the_pool_when_no_buffer_is_free() {
        let allocator = Allocator::create();
        let long = Fragment { flags: 0, data: &[0x55; 9] };
        let filled: std::vec::Vec<_> = core::iter::from_fn(|| allocator.fill(&long, 0, 0)).collect();
        assert_eq!((filled.len(), allocator.events_out()), (BUFFERS, BUFFERS));
        filled.into_iter().for_each(|event| allocator.discard(event));
    }

    #[test]
    fn a_driver_allocates_and_frees_through_the_slots() {
        let allocator = Allocator::create();
        let mut event = core::ptr::null_mut();
        // SAFETY: a live object; the slots of IAllocatorMXF are those of dmusicks.h.
        unsafe {
            let slot = |slot: usize| allocator.as_raw().cast::<*const *const ()>().read().add(slot).read();
            let get: unsafe extern "win64" fn(PVOID, *mut *mut KernelEvent) -> NTSTATUS = core::mem::transmute(slot(7));
            let put: unsafe extern "win64" fn(PVOID, *mut KernelEvent) -> NTSTATUS = core::mem::transmute(slot(4));
            assert!(success(get(allocator.as_raw(), &raw mut event)));
            assert_eq!(allocator.events_out(), 1);
            let _raised = irql::Raised::to_dispatch();
            assert!(success(put(allocator.as_raw(), event)));
        }
        assert_eq!(allocator.events_out(), 0);
    }
}
