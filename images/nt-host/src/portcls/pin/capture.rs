//! A capture pin: the port's sink, to which a capture stream sends what the device has taken in.

#![allow(unsafe_code, reason = "drivers call the sink through its vtable and pass events by address")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::allocator::{Allocator, check_put_level};
use super::bytes::Bytes;
use super::{Pin, clock};
use crate::contract::rules::{self, Rule};
use crate::contract::violation::{Violation, violation};
use crate::harness::stopwatch::{self, Mark};
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS, success};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{EVENT_INCOMPLETE, EVENT_PACKAGE, KernelEvent};
use crate::portcls::com::guids::{GUID, IID_IMXF};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};

/// Most events that wait for the client. More are dropped and counted, as a client that reads too slowly loses them.
const WAITING_MAX: usize = 1 << 16;

/// An event as it was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// Presentation time: when it came in.
    pub(crate) time: i64,
    /// `usChannelGroup`.
    pub(crate) channel_group: u16,
    /// `usFlags`.
    pub(crate) flags: u16,
    /// Its bytes.
    pub(crate) data: Vec<u8>,
}

struct Inbox {
    events: Vec<Captured>,
    /// When the last event came in; at first, when the stream was opened.
    last: i64,
}

/// The sink: an `IMXF` that takes events and sends them nowhere but to the client.
pub(crate) struct CaptureSink {
    allocator: Com<Allocator>,
    connected: AtomicBool,
    /// The stream is in PAUSE or RUN, or on its way up to there or down from there.
    flows: AtomicBool,
    inbox: Lock<Inbox>,
    dropped: AtomicU64,
}

impl CaptureSink {
    /// Makes a sink that is not connected, for a stream of this allocator.
    pub(crate) fn create(allocator: Com<Allocator>) -> Com<Self> {
        Com::new(Self {
            allocator,
            connected: AtomicBool::new(false),
            flows: AtomicBool::new(false),
            inbox: Lock::new(Inbox { events: Vec::new(), last: clock::now() }),
            dropped: AtomicU64::new(0),
        })
    }

    /// Returns whether events may come.
    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Release);
    }

    /// Returns whether it is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Returns whether the stream's state lets events flow. Returns what was before.
    pub(crate) fn set_flows(&self, flows: bool) -> bool {
        self.flows.swap(flows, Ordering::AcqRel)
    }

    /// Returns what has come since the last time.
    pub(crate) fn take(&self) -> Vec<Captured> {
        self.inbox.with(|inbox| core::mem::take(&mut inbox.events))
    }

    /// Returns how many events found no room in the inbox.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes captured events in, and reports what is wrong with them. Those that the pool does not know are left.
    fn accept(&self, first: *mut KernelEvent) {
        let broken = |broken| violation("IMXF::PutMessage", broken);
        let late = |rule: &'static Rule, what: &str, remedy| broken(Violation::new(rule, String::from(what), remedy));
        if !self.is_connected() {
            late(
                rules::CAPTURE_OUTPUT,
                "an event reaches a sink that is not connected",
                "send to the sink between ConnectOutput and DisconnectOutput; DisconnectOutput returns when the sink is not used any more; \
                 at other times give events to the allocator",
            );
            return self.allocator.discard(first);
        }
        if !self.flows.load(Ordering::Acquire) {
            late(
                rules::CAPTURE_STATES,
                "an event reaches the sink while the stream is in STOP or ACQUIRE",
                "discard what the device captures below PAUSE, and what was captured before SetState",
            );
            return self.allocator.discard(first);
        }
        let mut event = first;
        // What follows the packages whose events are being read.
        let mut behind = Vec::new();
        let mut sound = true;
        // A chain longer than the pool leads back to itself, which shows when it is given back.
        for _ in 0..self.allocator.capacity() {
            while event.is_null()
                && let Some(next) = behind.pop()
            {
                event = next;
            }
            if event.is_null() {
                break;
            }
            let (content, data) = match self.allocator.read(event) {
                Ok(read) => read,
                Err(wrong) => {
                    broken(wrong);
                    sound = false;
                    break;
                }
            };
            if content.flags == EVENT_PACKAGE {
                behind.push(content.next);
                // SAFETY: for a package `uData` is read as its pointer member; any bits are a value.
                event = unsafe { content.data.package };
                continue;
            }
            let now = clock::now();
            let last = self.inbox.with(|inbox| core::mem::replace(&mut inbox.last, content.time));
            if let Err(wrong) = check(&content, &data, last, now) {
                broken(wrong);
                sound = false;
            }
            let captured =
                Captured { time: content.time, channel_group: content.channel_group, flags: content.flags, data };
            let kept = self.inbox.with(|inbox| {
                let room = inbox.events.len() < WAITING_MAX;
                if room {
                    inbox.events.push(captured);
                }
                room
            });
            self.dropped.fetch_add(u64::from(!kept), Ordering::Relaxed);
            event = content.next;
        }
        if sound {
            [rules::CAPTURE_OUTPUT, rules::CAPTURE_STATES, rules::CAPTURED_EVENTS].iter().for_each(|rule| rule.held());
        }
        self.allocator.discard(first);
    }
}

/// Checks the form of a captured event (rule 57).
fn check(content: &KernelEvent, data: &[u8], last: i64, now: i64) -> Result<(), Violation> {
    let broken = |what: String| {
        Err(Violation::new(
            rules::CAPTURED_EVENTS,
            what,
            "a whole message is COMPLETE, anything else INCOMPLETE; up to 8 bytes are in the event, more in a buffer of GetBuffer; \
             the time is the master clock's when the data came in",
        ))
    };
    if content.flags & !EVENT_INCOMPLETE != 0 {
        return broken(format!("a captured event has usFlags {:#x}", content.flags));
    }
    if data.is_empty() {
        return broken("a captured event has no data".into());
    }
    if content.flags & EVENT_INCOMPLETE == 0 && !is_whole_message(data) {
        return broken(format!("a captured event is marked complete, and {data:02x?} is not one whole MIDI message"));
    }
    if content.time < last {
        return broken(format!(
            "a captured event is at {}, before the one of {last} that came before it",
            content.time
        ));
    }
    if content.time > now {
        return broken(format!("a captured event is at {}, and it is only {now}", content.time));
    }
    Ok(())
}

/// Returns whether the bytes are one MIDI message with its status byte.
fn is_whole_message(data: &[u8]) -> bool {
    let (Some(&status), Some(&last)) = (data.first(), data.last()) else { return false };
    let length = match status {
        0x00..=0x7F | 0xF7 => return false,
        0xF0 => return data.len() > 1 && last == 0xF7 && data[1..data.len() - 1].iter().all(|byte| *byte < 0x80),
        0xC0..=0xDF | 0xF1 | 0xF3 => 2,
        0xF4..=0xFF => 1,
        _ => 3,
    };
    data.len() == length && data[1..].iter().all(|byte| *byte < 0x80)
}

impl Class for CaptureSink {
    const NAME: &'static str = "IMXF (the port's capture sink)";
    const INTERFACES: &'static [GUID] = &[IID_IMXF];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<CaptureSink>();
        static VTABLE: [Slot; 7] = [
            UNKNOWN[0],
            UNKNOWN[1],
            UNKNOWN[2],
            Slot(set_state as *const ()),
            Slot(put_message as *const ()),
            Slot(no_output as *const ()),
            Slot(no_output as *const ()),
        ];
        &VTABLE
    }
}

type This = *mut Object<CaptureSink>;

/// Accepts every state: the port sets the stream's.
unsafe extern "win64" fn set_state(_this: This, _state: i32) -> NTSTATUS {
    irql::passive("IMXF", "SetState");
    STATUS_SUCCESS
}

/// Refuses `ConnectOutput` and `DisconnectOutput`: events end here.
unsafe extern "win64" fn no_output(_this: This, _sink: PVOID) -> NTSTATUS {
    irql::passive("IMXF", "ConnectOutput");
    STATUS_INVALID_DEVICE_REQUEST
}

unsafe extern "win64" fn put_message(this: This, event: *mut KernelEvent) -> NTSTATUS {
    stopwatch::mark(Mark::Arrived, kernel::nanoseconds);
    let level = irql::current();
    if level > DISPATCH_LEVEL {
        violation(
            "IMXF::PutMessage",
            Violation::new(
                rules::INTERRUPT_CALLS,
                format!("the capture sink is called at IRQL {level}"),
                "keep captured bytes in a ring of your own, and send events when PutMessage(NULL) asks for them",
            ),
        );
    }
    check_put_level("the capture sink");
    // SAFETY: the caller holds a reference, or has the sink from ConnectOutput and not yet had DisconnectOutput.
    unsafe { object(this) }.accept(event);
    STATUS_SUCCESS
}

impl Pin {
    /// Connects the port's sink to a capture stream, or disconnects it, if it is not so already.
    pub(crate) fn connect_capture(&self, connect: bool) {
        let Some(sink) = self.capture.as_ref().filter(|sink| sink.is_connected() != connect) else { return };
        if connect {
            sink.set_connected(true);
        }
        // SAFETY: the pin holds both.
        let (method, status) = unsafe {
            if connect {
                ("IMXF::ConnectOutput", slots::mxf::connect_output(self.minor_target(), sink.as_raw()))
            } else {
                ("IMXF::DisconnectOutput", slots::mxf::disconnect_output(self.minor_target(), sink.as_raw()))
            }
        };
        if !connect {
            sink.set_connected(false);
        }
        if !success(status) {
            violation(
                method,
                Violation::new(
                    rules::CAPTURE_OUTPUT,
                    format!("a capture stream answers {method} with {status:#010x}"),
                    "accept one sink at a time, and give the one that is connected up when asked to",
                ),
            );
        }
    }

    /// Returns what a capture stream has brought since the last time. `None` for other streams.
    pub(crate) fn take_captured(&self) -> Option<Vec<Captured>> {
        self.capture.as_ref().map(|sink| sink.take()).or_else(|| self.bytes.as_ref()?.take())
    }

    /// Returns how many captured events found no room with the client.
    pub(crate) fn captured_dropped(&self) -> u64 {
        let of_bytes = self.bytes.as_ref().map_or(0, Bytes::dropped);
        self.capture.as_ref().map_or(of_bytes, |sink| sink.dropped())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_whole_messages_from_pieces() {
        for whole in [&[0x90, 60, 100][..], &[0xC5, 1], &[0xF8], &[0xF0, 1, 2, 0xF7], &[0xF2, 1, 2], &[0xF0, 0xF7]] {
            assert!(is_whole_message(whole), "{whole:x?}");
        }
        for piece in
            [&[60, 100][..], &[0x90, 60], &[0x90, 60, 100, 61, 100], &[0xF0, 1, 2], &[0xF7], &[], &[0x90, 0x90, 0]]
        {
            assert!(!is_whole_message(piece), "{piece:x?}");
        }
    }

    #[test]
    fn the_time_of_captured_events_ascends_and_is_not_in_the_future() {
        // SAFETY: all zero is a valid value of a plain C structure.
        let mut event: KernelEvent = unsafe { core::mem::zeroed() };
        event.time = 50;
        assert!(check(&event, &[0xF8], 50, 50).is_ok());
        for (last, now) in [(51, 60), (40, 49)] {
            assert_eq!(check(&event, &[0xF8], last, now).unwrap_err().rule.number, 57);
        }
        event.flags = EVENT_PACKAGE | EVENT_INCOMPLETE;
        assert!(check(&event, &[0xF8], 0, 100).is_err());
    }
}
