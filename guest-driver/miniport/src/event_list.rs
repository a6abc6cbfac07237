//! Lists of events, linked by the events' own pointers: nothing is allocated.
//!
//! An event belongs to exactly one list, or to its allocator. The allocator finds a long event's buffer by `cb_event`
//! and gets it back with the event, so neither is changed here. A package is unpacked when it arrives: its events take
//! its place, and the empty wrapper goes back at once, with its link to them cut.
#![allow(unsafe_code, reason = "events are the port's, linked by raw pointers")]

use core::ptr;

use portcls::event::{DmusKernelEvent, INLINE_BYTES, event_flag};

/// A list of events.
#[derive(Debug)]
pub struct EventList {
    head: *mut DmusKernelEvent,
    tail: *mut DmusKernelEvent,
}

// SAFETY: the events of a list belong to the list's owner.
unsafe impl Send for EventList {}

/// The fields of an event that the driver uses.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Its presentation time, in 100 ns units of master time.
    pub time: i64,
    /// Its channel group.
    pub channel_group: u16,
    /// More of the message follows in a later event.
    pub incomplete: bool,
    /// Its data.
    pub data: &'a [u8],
}

impl EventList {
    /// Makes an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: ptr::null_mut(), tail: ptr::null_mut() }
    }

    /// Returns whether it has no event.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a chain without unpacking its packages.
    ///
    /// # Safety
    /// `chain` is null or a chain of valid events, ended by null, that no other code uses.
    pub unsafe fn append_chain(&mut self, chain: *mut DmusKernelEvent) {
        if chain.is_null() {
            return;
        }
        if self.tail.is_null() {
            self.head = chain;
        } else {
            // SAFETY: the tail is an event of this list.
            unsafe { (*self.tail).next_event = chain };
        }
        let mut last = chain;
        // SAFETY: valid events up to null, as the caller promises.
        while let Some(next) = ptr::NonNull::new(unsafe { (*last).next_event }) {
            last = next.as_ptr();
        }
        self.tail = last;
    }

    /// Appends a chain with its packages unpacked, in order. Empty wrappers are appended to `done`.
    ///
    /// # Safety
    /// As for [`append_chain`](Self::append_chain), packages' chains included.
    pub unsafe fn append_unpacked(&mut self, chain: *mut DmusKernelEvent, done: &mut Self) {
        let mut rest = chain;
        while !rest.is_null() {
            let event = rest;
            // SAFETY: a valid event that no other code uses, as the caller promises.
            let header = unsafe { &mut *event };
            rest = header.next_event;
            header.next_event = ptr::null_mut();
            if header.is_package() {
                // SAFETY: a package's data is its list. Read before it is cut off.
                let children = unsafe { header.data.package };
                header.data.package = ptr::null_mut();
                header.cb_event = 0;
                done.push(event);
                if !children.is_null() {
                    let mut inner = Self::new();
                    // SAFETY: the package's chain, which the caller promises for.
                    unsafe { inner.append_chain(children) };
                    // SAFETY: `inner` is not empty, so its tail is an event.
                    unsafe { (*inner.tail).next_event = rest };
                    rest = inner.head;
                }
            } else {
                self.push(event);
            }
        }
    }

    /// Returns the first event.
    #[must_use]
    pub fn first(&self) -> Option<Event<'_>> {
        // SAFETY: the events of a list are valid and the list's alone.
        let event = unsafe { self.head.as_ref()? };
        let length = usize::from(event.cb_event);
        let data: &[u8] = if length <= INLINE_BYTES {
            // SAFETY: short data is inside the event; every bit pattern is bytes.
            unsafe { event.data.inline.get(..length).unwrap_or_default() }
        } else {
            // SAFETY: long data is in a buffer.
            let buffer = unsafe { event.data.buffer };
            if buffer.is_null() {
                &[]
            } else {
                // SAFETY: the buffer holds `cb_event` bytes and belongs to the event.
                unsafe { core::slice::from_raw_parts(buffer, length) }
            }
        };
        Some(Event {
            time: event.presentation_time,
            channel_group: event.channel_group,
            incomplete: event.flags & event_flag::INCOMPLETE != 0,
            data,
        })
    }

    /// Moves the first event to the end of another list.
    pub fn move_first(&mut self, to: &mut Self) {
        if self.head.is_null() {
            return;
        }
        let event = self.head;
        // SAFETY: an event of this list.
        let header = unsafe { &mut *event };
        self.head = core::mem::replace(&mut header.next_event, ptr::null_mut());
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        to.push(event);
    }

    /// Moves all events to the end of another list.
    pub fn move_all(&mut self, to: &mut Self) {
        if self.head.is_null() {
            return;
        }
        if to.tail.is_null() {
            to.head = self.head;
        } else {
            // SAFETY: an event of the other list.
            unsafe { (*to.tail).next_event = self.head };
        }
        to.tail = self.tail;
        *self = Self::new();
    }

    /// Returns the events as a chain.
    #[must_use]
    pub fn into_chain(self) -> *mut DmusKernelEvent {
        self.head
    }

    fn push(&mut self, event: *mut DmusKernelEvent) {
        if self.tail.is_null() {
            self.head = event;
        } else {
            // SAFETY: an event of this list.
            unsafe { (*self.tail).next_event = event };
        }
        self.tail = event;
    }
}

impl Default for EventList {
    fn default() -> Self {
        Self::new()
    }
}
