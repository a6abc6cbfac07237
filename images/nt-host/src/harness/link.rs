//! Messages to the harness: whole frames, from any IRQL, in order.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use guest_protocol::{Event, Level, ToHost, encode, encode_message};

use crate::arch::serial;
use crate::arch::uninterrupted::Uninterrupted;

struct Outgoing {
    /// A frame is being written; what comes meanwhile waits here.
    busy: bool,
    waiting: VecDeque<Vec<u8>>,
}

static OUTGOING: Uninterrupted<Outgoing> = Uninterrupted::new(Outgoing { busy: false, waiting: VecDeque::new() });

/// The least bad level that is sent.
static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Sends a message. At any IRQL; a message that interrupts another follows it.
pub fn send(message: &ToHost) {
    if serial::is_reliable() {
        if let Ok(bytes) = encode_message(message) {
            serial::write_message(&bytes);
        }
        return;
    }
    let Ok(frame) = encode(message) else { return };
    let mut next = OUTGOING.with(|out| {
        if core::mem::replace(&mut out.busy, true) {
            out.waiting.push_back(frame);
            None
        } else {
            Some(frame)
        }
    });
    while let Some(frame) = next {
        serial::write(&frame);
        next = OUTGOING.with(|out| {
            let next = out.waiting.pop_front();
            out.busy = next.is_some();
            next
        });
    }
}

/// Sends an event.
pub fn send_event(event: Event) {
    send(&ToHost::Event(event));
}

/// Sends the last message of this guest's life, whatever was being sent.
pub fn send_last(event: Event) {
    if serial::is_reliable() {
        // Whole messages, whatever was being sent; the end waits until they have arrived.
        send_event(event);
        return;
    }
    let waiting = OUTGOING.with(|out| {
        out.busy = true;
        core::mem::take(&mut out.waiting)
    });
    for frame in waiting {
        serial::write(&[0]);
        serial::write(&frame);
    }
    if let Ok(frame) = encode(&ToHost::Event(event)) {
        // Ends a frame that was cut off.
        serial::write(&[0]);
        serial::write(&frame);
    }
}

/// Sets the least bad level that is sent.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Returns whether lines of this level are sent.
#[must_use]
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Sends a line for the log.
pub fn log(level: Level, target: &str, text: fmt::Arguments<'_>) {
    if enabled(level) {
        let mut line = String::new();
        // Writing to a string does not fail.
        let _ = line.write_fmt(text);
        send_event(Event::Log { level, target: target.into(), text: line });
    }
}

/// Sends a line for the log at `Info`, from the host itself.
#[macro_export]
macro_rules! info { ($($t:tt)*) => { $crate::harness::link::log(guest_protocol::Level::Info, "nt-host", format_args!($($t)*)) } }
/// Sends a line for the log at `Warn`, from the host itself.
#[macro_export]
macro_rules! warn { ($($t:tt)*) => { $crate::harness::link::log(guest_protocol::Level::Warn, "nt-host", format_args!($($t)*)) } }
/// Sends a line for the log at `Debug`, from the host itself.
#[macro_export]
macro_rules! debug { ($($t:tt)*) => { $crate::harness::link::log(guest_protocol::Level::Debug, "nt-host", format_args!($($t)*)) } }
