//! An allocator that records every event that it has given out, and in which state.
#![allow(unsafe_code, reason = "events are linked by raw pointers, as the port's are")]

use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::vec::Vec;

use portcls::event::{BYTE_POSITION_NONE, DmusKernelEvent, EventData, INLINE_BYTES, event_flag};

use crate::irql::AtMostDispatch;
use crate::kernel::EventAllocator;

/// An event's fields when it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Given {
    cb_event: u16,
    buffer: usize,
    is_package: bool,
}

/// The events that are out.
#[derive(Debug, Default)]
struct AllocatorState {
    given: Mutex<BTreeMap<usize, Given>>,
}

/// An allocator. It panics when an event comes back twice, or with a field changed that the allocator relies on.
#[derive(Clone, Copy, Debug)]
pub struct FakeAllocator(&'static AllocatorState);

impl AllocatorState {
    fn give(&self, event: DmusKernelEvent) -> *mut DmusKernelEvent {
        let is_long = !event.is_short() && !event.is_package();
        let given = Given {
            cb_event: event.cb_event,
            // SAFETY: a long event's data is a pointer.
            buffer: if is_long { unsafe { event.data.buffer as usize } } else { 0 },
            is_package: event.is_package(),
        };
        let event = Box::into_raw(Box::new(event));
        self.given.lock().unwrap().insert(event as usize, given);
        event
    }

    fn take_back(&self, event: *mut DmusKernelEvent) {
        let given = self.given.lock().unwrap().remove(&(event as usize));
        let given = given.expect("an event came back that is not out");
        // SAFETY: made by `give`, and out until now.
        let event = unsafe { Box::from_raw(event) };
        assert_eq!(event.cb_struct, size_of::<DmusKernelEvent>() as u8, "cbStruct is the allocator's");
        assert_eq!(event.is_package(), given.is_package, "an event does not become a package, nor cease to be one");
        if event.is_package() {
            // SAFETY: a package's data is a pointer.
            self.take_back_chain(unsafe { event.data.package });
        } else {
            assert_eq!(event.cb_event, given.cb_event, "the allocator relies on cbEvent");
            if given.buffer != 0 {
                // SAFETY: a long event's data is a pointer.
                assert_eq!(unsafe { event.data.buffer } as usize, given.buffer, "the buffer is the allocator's");
                let bytes = core::ptr::slice_from_raw_parts_mut(given.buffer as *mut u8, given.cb_event.into());
                // SAFETY: made in `FakeAllocator::event`.
                drop(unsafe { Box::from_raw(bytes) });
            }
        }
    }

    fn take_back_chain(&self, mut chain: *mut DmusKernelEvent) {
        while !chain.is_null() {
            // SAFETY: the chain's events are out.
            let next = unsafe { (*chain).next_event };
            self.take_back(chain);
            chain = next;
        }
    }
}

impl FakeAllocator {
    /// Makes an allocator that lives as long as the test process: streams count no reference to it.
    #[must_use]
    pub fn leaked() -> Self {
        Self(Box::leak(Box::default()))
    }

    /// Returns how many events are out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.0.given.lock().unwrap().len()
    }

    /// Makes an event with data, inside or in a buffer as its length requires.
    #[must_use]
    pub fn event(&self, time: i64, channel_group: u16, flags: u16, data: &[u8]) -> *mut DmusKernelEvent {
        let content = if data.len() <= INLINE_BYTES {
            let mut inline = [0; INLINE_BYTES];
            inline[..data.len()].copy_from_slice(data);
            EventData { inline }
        } else {
            let buffer: Box<[u8]> = data.into();
            EventData { buffer: Box::into_raw(buffer).cast() }
        };
        self.0.give(Self::raw(time, channel_group, flags, data.len() as u16, content))
    }

    /// Makes an event with a complete message for channel group 1.
    #[must_use]
    pub fn message(&self, time: i64, data: &[u8]) -> *mut DmusKernelEvent {
        self.event(time, 1, event_flag::COMPLETE, data)
    }

    /// Makes an event whose length requires a buffer, without one.
    #[must_use]
    pub fn event_without_buffer(&self, cb_event: u16) -> *mut DmusKernelEvent {
        let content = EventData { buffer: core::ptr::null_mut() };
        let event = self.0.give(Self::raw(0, 1, 0, cb_event, content));
        // No buffer is to come back.
        self.0.given.lock().unwrap().get_mut(&(event as usize)).unwrap().buffer = 0;
        event
    }

    /// Makes a package of events.
    #[must_use]
    pub fn package(&self, events: &[*mut DmusKernelEvent]) -> *mut DmusKernelEvent {
        let content = EventData { package: Self::chain(events) };
        self.0.give(Self::raw(0, 1, event_flag::PACKAGE, 0, content))
    }

    /// Links events to a chain.
    #[must_use]
    pub fn chain(events: &[*mut DmusKernelEvent]) -> *mut DmusKernelEvent {
        for pair in events.windows(2) {
            // SAFETY: events that are out, and the caller's.
            unsafe { (*pair[0]).next_event = pair[1] };
        }
        events.first().copied().unwrap_or(core::ptr::null_mut())
    }

    /// Makes a chain of events, each with a complete message for channel group 1.
    #[must_use]
    pub fn messages(&self, messages: &[(i64, &[u8])]) -> *mut DmusKernelEvent {
        let events: Vec<_> = messages.iter().map(|(time, data)| self.message(*time, data)).collect();
        Self::chain(&events)
    }

    const fn raw(time: i64, channel_group: u16, flags: u16, cb_event: u16, data: EventData) -> DmusKernelEvent {
        DmusKernelEvent {
            reserved: 0,
            cb_struct: size_of::<DmusKernelEvent>() as u8,
            cb_event,
            channel_group,
            flags,
            presentation_time: time,
            byte_position: BYTE_POSITION_NONE,
            next_event: core::ptr::null_mut(),
            data,
        }
    }
}

impl EventAllocator for FakeAllocator {
    unsafe fn give_back(&self, events: *mut DmusKernelEvent, _: AtMostDispatch) {
        self.0.take_back_chain(events);
    }
}
