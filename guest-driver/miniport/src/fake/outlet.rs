//! An allocator and a sink for captured events.
#![allow(unsafe_code, reason = "events are the port's, linked by raw pointers")]

use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::vec::Vec;

use portcls::event::{BYTE_POSITION_NONE, DmusKernelEvent, EventData, INLINE_BYTES, event_flag};

use crate::irql::AtMostDispatch;
use crate::midi_in::Outlet;

/// An event that has reached the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedEvent {
    /// When it was captured, in 100 ns units.
    pub time: i64,
    /// Its channel group.
    pub channel_group: u16,
    /// More of it follows.
    pub incomplete: bool,
    /// Its data.
    pub data: Vec<u8>,
}

/// A bounded pool of events and buffers, and the events that have reached the sink. It panics when an event's data is
/// not where its length requires.
#[derive(Debug)]
pub struct FakeOutlet {
    /// Events left in the pool.
    pub events: Cell<usize>,
    /// Buffers left in the pool.
    pub buffers: Cell<usize>,
    /// Master time, if there is a clock.
    pub clock: Cell<Option<i64>>,
    buffer_bytes: usize,
    sunk: RefCell<Vec<CapturedEvent>>,
}

impl FakeOutlet {
    /// Makes a pool of `count` events and as many buffers of `buffer_bytes` bytes.
    #[must_use]
    pub fn new(count: usize, buffer_bytes: usize) -> Self {
        Self {
            events: Cell::new(count),
            buffers: Cell::new(count),
            clock: Cell::new(None),
            buffer_bytes,
            sunk: RefCell::default(),
        }
    }

    /// Returns the events that have reached the sink since the last call.
    pub fn sunk(&self) -> Vec<CapturedEvent> {
        self.sunk.take()
    }

    fn take_back(&self, event: *mut DmusKernelEvent) -> CapturedEvent {
        // SAFETY: made in `event`, and comes back once.
        let event = unsafe { Box::from_raw(event) };
        assert!(event.next_event.is_null() && event.flags & !event_flag::INCOMPLETE == 0);
        let length = usize::from(event.cb_event);
        let data = if length <= INLINE_BYTES {
            // SAFETY: short data is inside the event.
            let inline = unsafe { event.data.inline };
            inline[..length].to_vec()
        } else {
            // SAFETY: long data is in a buffer, made in `buffer`.
            let buffer = unsafe {
                let slice = core::ptr::slice_from_raw_parts_mut(event.data.buffer, self.buffer_bytes);
                Box::from_raw(slice)
            };
            self.buffers.set(self.buffers.get() + 1);
            buffer[..length].to_vec()
        };
        self.events.set(self.events.get() + 1);
        CapturedEvent {
            time: event.presentation_time,
            channel_group: event.channel_group,
            incomplete: event.flags & event_flag::INCOMPLETE != 0,
            data,
        }
    }
}

impl Outlet for FakeOutlet {
    fn event(&self, _: AtMostDispatch) -> *mut DmusKernelEvent {
        let Some(left) = self.events.get().checked_sub(1) else { return core::ptr::null_mut() };
        self.events.set(left);
        Box::into_raw(Box::new(DmusKernelEvent {
            reserved: 0,
            cb_struct: size_of::<DmusKernelEvent>() as u8,
            cb_event: 0,
            channel_group: 0,
            flags: 0,
            presentation_time: 0,
            byte_position: 0,
            next_event: core::ptr::null_mut(),
            data: EventData { buffer: core::ptr::null_mut() },
        }))
    }

    fn buffer(&self, _: AtMostDispatch) -> *mut u8 {
        let Some(left) = self.buffers.get().checked_sub(1) else { return core::ptr::null_mut() };
        self.buffers.set(left);
        let buffer: Box<[u8]> = std::vec![0xcc; self.buffer_bytes].into();
        Box::into_raw(buffer).cast()
    }

    fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    fn now(&self) -> Option<i64> {
        self.clock.get()
    }

    unsafe fn pass_on(&self, event: *mut DmusKernelEvent, _: AtMostDispatch) {
        // SAFETY: an event of ours.
        let position = unsafe { (*event).byte_position };
        assert_eq!(position, BYTE_POSITION_NONE);
        let event = self.take_back(event);
        assert!(!event.data.is_empty());
        self.sunk.borrow_mut().push(event);
    }

    unsafe fn give_back(&self, event: *mut DmusKernelEvent, _: AtMostDispatch) {
        self.take_back(event);
    }
}
