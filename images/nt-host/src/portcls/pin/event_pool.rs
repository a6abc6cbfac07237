//! The bounded pool of events and buffers behind an allocator, and its accounting: what is out, and what came back.
//!
//! Everything that a stream gives back is checked before it is believed. What is in the pool is filled with a
//! pattern, so that a write after the event was given back is found when it is next handed out.

#![allow(unsafe_code, reason = "events are shared with drivers by address, and their data is a C union")]

use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::ptr::NonNull;

use crate::contract::violation::Violation;
use crate::contract::{rules, watch};
use crate::portcls::com::abi::{EVENT_PACKAGE, EventData, INLINE_BYTES, KernelEvent};

/// What free events and buffers are filled with: no valid pointer, no valid flags.
const POISON: u8 = 0xDB;

/// Guard bytes behind each buffer.
const GUARD_BYTES: usize = 8;

/// How deep packages may be nested. DirectMusic itself never nests them; the bound keeps a wild list finite.
const PACKAGE_DEPTH_MAX: usize = 8;

/// Where an event is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whereabouts {
    /// In the pool, poisoned.
    Free,
    /// Handed out empty, to be filled by the caller.
    Out,
    /// Filled by the port and sent to a stream: these must come back unchanged.
    /// `data` is null for what has none of the pool's.
    Sent { event_bytes: u16, flags: u16, data: *mut u8 },
}

/// Where a buffer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BufferState {
    /// In the pool, poisoned.
    Free,
    /// Handed out.
    Out,
}

/// A pool of a fixed number of events and a fixed number of buffers of one size.
pub(crate) struct EventPool {
    /// Raw, because drivers hold addresses into it across calls.
    events: NonNull<[KernelEvent]>,
    whereabouts: Vec<Whereabouts>,
    free_events: Vec<usize>,
    /// Raw for the same reason.
    buffers: NonNull<[u8]>,
    buffer_states: Vec<BufferState>,
    free_buffers: Vec<usize>,
    buffer_bytes: u16,
    /// What is in the pool is poisoned and looked at.
    watched: bool,
}

// SAFETY: the raw pointers inside the events are only compared and followed under the pool's own checks; the pool is
// owned by one allocator object, which locks it.
unsafe impl Send for EventPool {}

impl EventPool {
    /// Makes a full pool.
    pub(crate) fn new(events: usize, buffers: usize, buffer_bytes: u16) -> Self {
        let empty = KernelEvent {
            reserved: 0,
            struct_bytes: 0,
            event_bytes: 0,
            channel_group: 0,
            flags: 0,
            time: 0,
            byte_position: 0,
            next: core::ptr::null_mut(),
            data: EventData { inline: [0; INLINE_BYTES] },
        };
        let mut pool = Self {
            events: NonNull::from(Box::leak(vec![empty; events].into_boxed_slice())),
            whereabouts: vec![Whereabouts::Free; events],
            free_events: (0..events).rev().collect(),
            buffers: NonNull::from(Box::leak(
                vec![POISON; buffers * (usize::from(buffer_bytes) + GUARD_BYTES)].into_boxed_slice(),
            )),
            buffer_states: vec![BufferState::Free; buffers],
            free_buffers: (0..buffers).rev().collect(),
            buffer_bytes,
            watched: watch::is_on(),
        };
        for index in 0..events {
            pool.poison_event(index);
        }
        pool
    }

    /// Returns where the events are.
    pub(crate) fn range(&self) -> Range<usize> {
        let first = self.events.cast::<KernelEvent>().as_ptr() as usize;
        first..first + self.events.len() * size_of::<KernelEvent>()
    }

    /// Returns how many events there are.
    pub(crate) fn capacity(&self) -> usize {
        self.events.len()
    }

    /// Returns how many events are not in the pool.
    pub(crate) fn events_out(&self) -> usize {
        self.events.len() - self.free_events.len()
    }

    /// Buffers that are not in the pool.
    pub(crate) fn buffers_out(&self) -> usize {
        self.buffer_states.len() - self.free_buffers.len()
    }

    /// Hands out an event: zeroed, with `cbStruct` set. `None` when the pool is empty.
    ///
    /// # Errors
    /// A [`Violation`] of rule 40 when the event was written to while it was in the pool.
    pub(crate) fn take_event(&mut self) -> Result<Option<*mut KernelEvent>, Violation> {
        let Some(index) = self.free_events.pop() else { return Ok(None) };
        let event = self.event(index);
        if let Err(broken) = self.check_free(index) {
            // Found once: the next caller gets it.
            self.free_event(index);
            return Err(broken);
        }
        // SAFETY: the event belongs to this pool and is free, so no stream holds it by right; any bit pattern is valid
        // as bytes.
        let bytes = unsafe { core::slice::from_raw_parts_mut(event.cast::<u8>(), size_of::<KernelEvent>()) };
        bytes.fill(0);
        // SAFETY: as above.
        unsafe { (*event).struct_bytes = size_of::<KernelEvent>() as u8 };
        self.whereabouts[index] = Whereabouts::Out;
        Ok(Some(event))
    }

    /// Checks that an event in the pool was not written to.
    ///
    /// # Errors
    /// A [`Violation`] of rule 40 when the event was written to.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        self.free_events.iter().try_for_each(|&index| self.check_free(index))
    }

    fn check_free(&self, index: usize) -> Result<(), Violation> {
        if !self.watched {
            return Ok(());
        }
        let event = self.event(index);
        // SAFETY: the event is in this pool; any bit pattern is valid as bytes.
        let bytes = unsafe { core::slice::from_raw_parts(event.cast::<u8>(), size_of::<KernelEvent>()) };
        match bytes.iter().position(|&byte| byte != POISON) {
            None => Ok(()),
            Some(offset) => Err(Violation::new(
                rules::CONSERVATION,
                format!("the event at {event:p} was written to at offset {offset} after it had been given back"),
                "forget an event once PutMessage of its allocator has taken it",
            )),
        }
    }

    /// Hands out a buffer, zeroed. `None` when there is none.
    ///
    /// # Errors
    /// A [`Violation`] of rule 40 when the buffer was written to while it was in the pool.
    pub(crate) fn take_buffer(&mut self) -> Result<Option<*mut u8>, Violation> {
        let Some(index) = self.free_buffers.pop() else { return Ok(None) };
        let bytes = self.buffer_bytes_at(index * self.stride(), usize::from(self.buffer_bytes));
        let written = if self.watched { bytes.iter().position(|&byte| byte != POISON) } else { None };
        if let Some(offset) = written {
            // Found once: the next caller gets it.
            bytes.fill(POISON);
            self.free_buffers.push(index);
            return Err(Violation::new(
                rules::CONSERVATION,
                format!("buffer {index} was written to at offset {offset} after it had been given back"),
                "forget a buffer once its event, or the buffer itself, has been given back",
            ));
        }
        bytes.fill(0);
        let address = bytes.as_mut_ptr();
        self.buffer_states[index] = BufferState::Out;
        Ok(Some(address))
    }

    /// Notes that the port sends this event, filled, to a stream.
    pub(crate) fn send(&mut self, event: *mut KernelEvent) {
        if let Some(index) = self.index_of(event) {
            let content = &self.content(index);
            self.whereabouts[index] = Whereabouts::Sent {
                event_bytes: content.event_bytes,
                flags: content.flags,
                data: if is_long(content) { data_pointer(content) } else { core::ptr::null_mut() },
            };
        }
    }

    /// Returns what is in an event that is out: its fields and its bytes.
    ///
    /// # Errors
    /// A [`Violation`] of rule 57 when it is not out, or says that its data is in what is no buffer of this pool, or is
    /// longer than one.
    pub(crate) fn read(&self, event: *mut KernelEvent) -> Result<(KernelEvent, Vec<u8>), Violation> {
        let index = self.check_event(event)?;
        let content = self.content(index);
        if content.flags & EVENT_PACKAGE != 0 {
            return Ok((content, Vec::new()));
        }
        let length = usize::from(content.event_bytes);
        if !is_long(&content) {
            // SAFETY: a short event's data is its inline member; any bits are a value.
            return Ok((content, unsafe { content.data.inline }[..length].to_vec()));
        }
        let buffer = data_pointer(&content);
        let offset = (buffer as usize).wrapping_sub(self.buffers.cast::<u8>().as_ptr() as usize);
        let is_ours = offset < self.buffers.len() && offset.is_multiple_of(self.stride());
        let is_out = is_ours && self.buffer_states[offset / self.stride()] == BufferState::Out;
        if !is_out || length > usize::from(self.buffer_bytes) {
            return Err(Violation::new(
                rules::CAPTURED_EVENTS,
                format!(
                    "an event of {length} bytes has its data at {buffer:p}, which is {}",
                    if is_out { "a shorter buffer" } else { "no buffer that GetBuffer gave and that is still out" }
                ),
                "take a buffer from GetBuffer for more than 8 bytes, and put no more into it than GetBufferSize says",
            ));
        }
        Ok((content, self.buffer_bytes_at(offset, length).to_vec()))
    }

    /// Takes back a chain of events with all that hangs on them. Returns their number.
    ///
    /// # Errors
    /// A [`Violation`] when an event is not this pool's, comes back a second time, or was changed where it may not be.
    pub(crate) fn give_back(&mut self, chain: *mut KernelEvent) -> Result<usize, Violation> {
        self.give_back_at(chain, 0)
    }

    fn give_back_at(&mut self, chain: *mut KernelEvent, depth: usize) -> Result<usize, Violation> {
        let mut count = 0;
        let mut event = chain;
        while !event.is_null() {
            let index = self.check_event(event)?;
            let content = self.content(index);
            if content.flags & EVENT_PACKAGE != 0 {
                if depth == PACKAGE_DEPTH_MAX {
                    return Err(Violation::new(
                        rules::CONSERVATION,
                        format!("packages are nested more than {PACKAGE_DEPTH_MAX} deep at {event:p}"),
                        "set uData.pPackageEvt to NULL when the children have been unlinked",
                    ));
                }
                // Marked first: a package that contains itself is then found as given back twice.
                self.free_event(index);
                // SAFETY: for a package `uData` is read as its pointer member; any bits are a value.
                count += self.give_back_at(unsafe { content.data.package }, depth + 1)?;
            } else {
                // Sent without a buffer, it has none to come back with.
                let never_had_one = data_pointer(&content).is_null()
                    && matches!(self.whereabouts[index], Whereabouts::Sent { event_bytes, data, .. }
                        if data.is_null() && event_bytes == content.event_bytes);
                if is_long(&content) && !never_had_one {
                    self.free_buffer_at(data_pointer(&content))?;
                }
                self.free_event(index);
            }
            count += 1;
            event = content.next;
        }
        Ok(count)
    }

    /// Takes back what of a chain is this pool's and out, whatever [`give_back`](Self::give_back) found wrong with it, up to
    /// the first event that is not. Returns the number of events.
    pub(crate) fn take_back(&mut self, chain: *mut KernelEvent) -> usize {
        let mut count = 0;
        let mut events = vec![chain];
        while let Some(event) = events.pop() {
            let Some(index) = self.index_of(event).filter(|&index| self.whereabouts[index] != Whereabouts::Free) else {
                continue;
            };
            let content = self.content(index);
            // Freed first: one that leads back to itself is then found as free.
            let data = match self.whereabouts[index] {
                Whereabouts::Sent { data, .. } => data,
                _ if is_long(&content) => data_pointer(&content),
                _ => core::ptr::null_mut(),
            };
            self.free_event(index);
            if content.flags & EVENT_PACKAGE != 0 {
                // SAFETY: for a package `uData` is read as its pointer member; any bits are a value.
                events.push(unsafe { content.data.package });
            } else if !data.is_null() {
                self.take_back_buffer(data);
            }
            events.push(content.next);
            count += 1;
        }
        count
    }

    /// Takes back a buffer that is this pool's and out, whatever was written behind it.
    pub(crate) fn take_back_buffer(&mut self, buffer: *mut u8) {
        let offset = (buffer as usize).wrapping_sub(self.buffers.cast::<u8>().as_ptr() as usize);
        let index = offset / self.stride();
        if offset < self.buffers.len()
            && offset.is_multiple_of(self.stride())
            && self.buffer_states[index] == BufferState::Out
        {
            self.buffer_bytes_at(offset, self.stride()).fill(POISON);
            self.buffer_states[index] = BufferState::Free;
            self.free_buffers.push(index);
        }
    }

    /// Takes back a buffer that was handed out and never hung on an event.
    ///
    /// # Errors
    /// A [`Violation`] when the buffer is not this pool's, or not out.
    pub(crate) fn give_back_buffer(&mut self, buffer: *mut u8) -> Result<(), Violation> {
        self.free_buffer_at(buffer)
    }

    /// Checks that an event is out of this pool and looks as it must.
    fn check_event(&self, event: *mut KernelEvent) -> Result<usize, Violation> {
        let Some(index) = self.index_of(event) else {
            return Err(Violation::new(
                rules::CONSERVATION,
                format!("{event:p} is no event of this allocator"),
                "give an event back to the allocator of its own stream, with pNextEvt NULL or another such event",
            ));
        };
        let content = &self.content(index);
        let sent = match self.whereabouts[index] {
            Whereabouts::Free => {
                return Err(Violation::new(
                    rules::CONSERVATION,
                    format!("the event at {event:p} is given back a second time"),
                    "clear pNextEvt or uData.pPackageEvt before a part of a chain goes back on its own",
                ));
            }
            Whereabouts::Out => None,
            Whereabouts::Sent { event_bytes, flags, data } => Some((event_bytes, flags, data)),
        };
        if content.reserved != 0 || usize::from(content.struct_bytes) != size_of::<KernelEvent>() {
            return Err(Violation::new(
                rules::EVENT_FIELDS,
                format!(
                    "the event at {event:p} comes back with bReserved {} and cbStruct {}, not 0 and {}",
                    content.reserved,
                    content.struct_bytes,
                    size_of::<KernelEvent>()
                ),
                "leave bReserved and cbStruct alone: they are the allocator's",
            ));
        }
        if let Some((event_bytes, flags, data)) = sent
            && self.watched
            && !data.is_null()
            && (content.event_bytes != event_bytes
                || content.flags & EVENT_PACKAGE != 0
                || data_pointer(content) != data)
        {
            return Err(Violation::new(
                rules::EVENT_FIELDS,
                format!(
                    "the event at {event:p} was sent with cbEvent {event_bytes}, usFlags {flags:#x}, pbData {data:p} and comes back \
                     with cbEvent {}, usFlags {:#x}, pbData {:p}",
                    content.event_bytes,
                    content.flags,
                    data_pointer(content)
                ),
                "keep a read position of your own; cbEvent and pbData of a long event say which buffer to recycle",
            ));
        }
        Ok(index)
    }

    fn free_event(&mut self, index: usize) {
        self.whereabouts[index] = Whereabouts::Free;
        self.poison_event(index);
        self.free_events.push(index);
    }

    fn free_buffer_at(&mut self, buffer: *mut u8) -> Result<(), Violation> {
        let offset = (buffer as usize).wrapping_sub(self.buffers.cast::<u8>().as_ptr() as usize);
        if offset >= self.buffers.len() || !offset.is_multiple_of(self.stride()) {
            return Err(Violation::new(
                rules::EVENT_FIELDS,
                format!("{buffer:p} is no buffer of this allocator"),
                "hang only what GetBuffer gave on an event longer than a pointer",
            ));
        }
        let index = offset / self.stride();
        if self.buffer_states[index] == BufferState::Free {
            return Err(Violation::new(
                rules::CONSERVATION,
                format!("the buffer at {buffer:p} is given back a second time"),
                "give a buffer back with its event, or by PutBuffer, not both",
            ));
        }
        let end = offset + usize::from(self.buffer_bytes);
        let guard = self.buffer_bytes_at(end, GUARD_BYTES);
        let written = if self.watched { guard.iter().position(|&byte| byte != POISON) } else { None };
        if let Some(past) = written {
            return Err(Violation::new(
                rules::EVENT_FIELDS,
                format!(
                    "the buffer at {buffer:p} was written to {past} bytes past its end of {} bytes",
                    self.buffer_bytes
                ),
                "ask GetBufferSize; it is not a page",
            ));
        }
        if self.watched {
            self.buffer_bytes_at(offset, usize::from(self.buffer_bytes)).fill(POISON);
        }
        self.buffer_states[index] = BufferState::Free;
        self.free_buffers.push(index);
        Ok(())
    }

    fn poison_event(&mut self, index: usize) {
        if !self.watched {
            return;
        }
        // SAFETY: the event is in this pool and is free; any bit pattern is valid for its fields.
        unsafe { self.event(index).cast::<u8>().write_bytes(POISON, size_of::<KernelEvent>()) };
    }

    fn event(&self, index: usize) -> *mut KernelEvent {
        assert!(index < self.events.len(), "indices come from this pool's own lists");
        // SAFETY: the index is below the length.
        unsafe { self.events.cast::<KernelEvent>().as_ptr().add(index) }
    }

    fn content(&self, index: usize) -> KernelEvent {
        // SAFETY: the event is in this pool; any bit pattern is valid for its fields.
        unsafe { self.event(index).read() }
    }

    #[expect(clippy::mut_from_ref, reason = "the memory is not the pool's struct; callers use one slice at a time")]
    fn buffer_bytes_at(&self, offset: usize, length: usize) -> &mut [u8] {
        assert!(offset + length <= self.buffers.len(), "offsets come from this pool's own lists");
        // SAFETY: the range is inside the allocation; the slice lives no longer than the caller's statement, while
        // the borrower of the buffer has given it back or has not got it yet.
        unsafe { core::slice::from_raw_parts_mut(self.buffers.cast::<u8>().as_ptr().add(offset), length) }
    }

    fn index_of(&self, event: *mut KernelEvent) -> Option<usize> {
        let offset = (event as usize).checked_sub(self.events.cast::<KernelEvent>().as_ptr() as usize)?;
        let index = offset / size_of::<KernelEvent>();
        (offset.is_multiple_of(size_of::<KernelEvent>()) && index < self.events.len()).then_some(index)
    }

    fn stride(&self) -> usize {
        usize::from(self.buffer_bytes) + GUARD_BYTES
    }
}

impl Drop for EventPool {
    fn drop(&mut self) {
        // A driver that was reported to keep some may still write to it.
        if self.events_out() > 0 || self.buffers_out() > 0 {
            return;
        }
        // SAFETY: both came from leaked boxes of just this type and length, and are freed once; nothing is out.
        unsafe {
            drop(Box::from_raw(self.events.as_ptr()));
            drop(Box::from_raw(self.buffers.as_ptr()));
        }
    }
}

/// Returns whether an event's bytes are in a buffer. The package bit comes first: a package's `cbEvent` is no byte
/// count.
fn is_long(event: &KernelEvent) -> bool {
    event.flags & EVENT_PACKAGE == 0 && usize::from(event.event_bytes) > INLINE_BYTES
}

fn data_pointer(event: &KernelEvent) -> *mut u8 {
    // SAFETY: reading the pointer member of `uData`; any bits are a value, and it is only compared here.
    unsafe { event.data.buffer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portcls::com::abi::EVENT_INCOMPLETE;

    fn pool() -> EventPool {
        EventPool::new(4, 2, 24)
    }

    fn short(pool: &mut EventPool) -> *mut KernelEvent {
        let event = pool.take_event().unwrap().unwrap();
        // SAFETY: just handed out.
        unsafe { (*event).event_bytes = 3 };
        event
    }

    #[test]
    fn takes_back_what_can_be_taken_back_after_a_violation() {
        let mut pool = pool();
        let first = long(&mut pool, 20);
        let second = short(&mut pool);
        // SAFETY: just handed out.
        unsafe {
            (*first).next = second;
            (*second).struct_bytes = 1;
        }
        pool.send(first);
        // SAFETY: as above.
        unsafe { (*first).event_bytes = 3 };
        assert_eq!(pool.give_back(first).unwrap_err().rule.number, 41);
        assert_eq!(pool.take_back(first), 2, "the changed field, and the other event's");
        assert_eq!((pool.events_out(), pool.buffers_out()), (0, 0));
        assert_eq!(pool.take_back(first), 0, "it is in the pool");
        let looped = short(&mut pool);
        // SAFETY: just handed out.
        unsafe { (*looped).next = looped };
        assert_eq!(pool.take_back(looped), 1);
    }

    #[test]
    fn an_event_that_was_written_to_in_the_pool_is_found_once() {
        let mut pool = pool();
        let event = short(&mut pool);
        pool.give_back(event).unwrap();
        // SAFETY: the memory is the pool's.
        unsafe { (*event).flags = 7 };
        assert_eq!(pool.take_event().unwrap_err().rule.number, 40);
        assert_eq!(pool.take_event().unwrap(), Some(event));
    }

    fn long(pool: &mut EventPool, bytes: u16) -> *mut KernelEvent {
        let event = pool.take_event().unwrap().unwrap();
        let buffer = pool.take_buffer().unwrap().unwrap();
        // SAFETY: just handed out.
        unsafe {
            (*event).event_bytes = bytes;
            (*event).flags = EVENT_INCOMPLETE;
            (*event).data.buffer = buffer;
        }
        event
    }

    #[test]
    fn an_event_is_handed_out_zeroed_with_its_size_set() {
        let mut pool = pool();
        // SAFETY: just handed out.
        let event = unsafe { *pool.take_event().unwrap().unwrap() };
        assert_eq!((event.reserved, event.struct_bytes, event.event_bytes, event.flags), (0, 40, 0, 0));
        assert!(event.next.is_null());
    }

    #[test]
    fn the_pool_is_bounded_and_recovers() {
        let mut pool = pool();
        let events: Vec<_> = (0..4).map(|_| short(&mut pool)).collect();
        assert_eq!(pool.take_event(), Ok(None));
        for event in events {
            assert_eq!(pool.give_back(event), Ok(1));
        }
        assert_eq!(pool.events_out(), 0);
        assert!(pool.take_event().unwrap().is_some());
    }

    #[test]
    fn a_chain_comes_back_whole_with_its_buffers() {
        let mut pool = pool();
        let (first, second, third) = (short(&mut pool), long(&mut pool, 9), short(&mut pool));
        // SAFETY: all three are out.
        unsafe {
            (*first).next = second;
            (*second).next = third;
        }
        assert_eq!(pool.give_back(first), Ok(3));
        assert_eq!((pool.events_out(), pool.buffers_out()), (0, 0));
    }

    #[test]
    fn a_package_comes_back_with_its_children() {
        let mut pool = pool();
        let (package, child) = (short(&mut pool), long(&mut pool, 24));
        // SAFETY: both are out.
        unsafe {
            (*package).flags = EVENT_PACKAGE;
            (*package).data.package = child;
        }
        assert_eq!(pool.give_back(package), Ok(2));
        assert_eq!((pool.events_out(), pool.buffers_out()), (0, 0));
    }

    #[test]
    fn a_package_that_contains_itself_breaks_rule_40() {
        let mut pool = pool();
        let package = short(&mut pool);
        // SAFETY: it is out.
        unsafe {
            (*package).flags = EVENT_PACKAGE;
            (*package).data.package = package;
        }
        assert_eq!(pool.give_back(package).unwrap_err().rule.number, 40);
    }

    #[test]
    fn freeing_twice_breaks_rule_40() {
        let mut pool = pool();
        let event = short(&mut pool);
        pool.give_back(event).unwrap();
        assert_eq!(pool.give_back(event).unwrap_err().rule.number, 40);
    }

    #[test]
    fn a_foreign_event_breaks_rule_40() {
        let mut pool = pool();
        let mut other = EventPool::new(1, 0, 24);
        let event = short(&mut other);
        assert_eq!(pool.give_back(event).unwrap_err().rule.number, 40);
    }

    #[test]
    fn writing_to_a_freed_event_breaks_rule_40() {
        let mut pool = pool();
        let event = short(&mut pool);
        pool.give_back(event).unwrap();
        // SAFETY: the memory is the pool's; this is the very mistake that the pool looks for.
        unsafe { (*event).next = core::ptr::null_mut() };
        assert_eq!(pool.check().unwrap_err().rule.number, 40);
        assert_eq!(pool.take_event().unwrap_err().rule.number, 40);
    }

    #[test]
    fn a_long_event_that_comes_back_shortened_breaks_rule_41() {
        let mut pool = pool();
        let event = long(&mut pool, 20);
        pool.send(event);
        // SAFETY: it is out.
        unsafe { (*event).event_bytes = 3 };
        assert_eq!(pool.give_back(event).unwrap_err().rule.number, 41);
    }

    #[test]
    fn a_foreign_buffer_breaks_rule_41() {
        let mut pool = pool();
        let event = short(&mut pool);
        let mut own = [0_u8; 16];
        // SAFETY: it is out.
        unsafe {
            (*event).event_bytes = 16;
            (*event).data.buffer = own.as_mut_ptr();
        }
        assert_eq!(pool.give_back(event).unwrap_err().rule.number, 41);
    }

    #[test]
    fn writing_past_a_buffers_end_breaks_rule_41() {
        let mut pool = pool();
        let buffer = pool.take_buffer().unwrap().unwrap();
        // SAFETY: the guard bytes are the pool's; this is the very mistake that the pool looks for.
        unsafe { buffer.add(24).write(0) };
        assert_eq!(pool.give_back_buffer(buffer).unwrap_err().rule.number, 41);
    }

    #[test]
    fn changing_the_structure_size_breaks_rule_41() {
        let mut pool = pool();
        let event = short(&mut pool);
        // SAFETY: it is out.
        unsafe { (*event).struct_bytes = 32 };
        assert_eq!(pool.give_back(event).unwrap_err().rule.number, 41);
    }

    #[test]
    fn a_buffer_without_an_event_can_be_given_back_alone() {
        let mut pool = pool();
        let buffer = pool.take_buffer().unwrap().unwrap();
        assert_eq!(pool.give_back_buffer(buffer), Ok(()));
        assert_eq!(pool.give_back_buffer(buffer).unwrap_err().rule.number, 40);
    }
}
