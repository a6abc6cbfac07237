//! Which interrupts the device has been given: its line, or messages of its own.

use alloc::format;
use alloc::string::String;

use super::message::{self, Table};
use super::{Function, reach, routing};
use crate::arch::apic;
use crate::arch::uninterrupted::Uninterrupted;
use crate::harness::options::{self, Interrupts};

/// What a device interrupts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// A line, level-triggered, which others may share.
    Line {
        /// The I/O APIC's pin.
        pin: u32,
        /// The vector that it interrupts at.
        vector: u8,
    },
    /// A line of the ISA bus, which no other device has.
    IsaLine {
        /// The I/O APIC's pin.
        pin: u32,
        /// The vector that it interrupts at.
        vector: u8,
        /// Level-sensitive, not edge-triggered.
        level: bool,
    },
    /// Messages, edge-triggered and not shared, at vectors in a row.
    Messages {
        /// The function's table.
        table: Table,
        /// The vector of its first message.
        first: u8,
        /// How many.
        count: u16,
    },
}

static ASSIGNED: Uninterrupted<Option<Assigned>> = Uninterrupted::new(None);

/// Returns a device the line of the ISA bus that it was given by hand.
pub fn assign_isa(line: u8, level: bool) -> Assigned {
    let given = Assigned::IsaLine { pin: line.into(), vector: routing::vector_of_isa(line), level };
    ASSIGNED.with(|slot| *slot = Some(given));
    given
}

/// Returns a function its interrupts, as the options or its INF say: a function without messages has its line.
/// `inf_messages` is the most that its INF wants, if it wants any; a function is to have no more than it has entries.
pub fn assign(function: &Function, inf_messages: Option<u16>) -> Option<Assigned> {
    let options = options::current();
    let limit = inf_messages.or((options.interrupts == Interrupts::Message).then_some(u16::MAX));
    let table = limit.and_then(|_| message::table(function));
    if limit.is_some() && table.is_none() {
        crate::warn!("{} has no MSI-X table that this guest reaches: it interrupts by its line", function.address);
    }
    let given = match table {
        Some(table) => {
            let wanted = table.entries.min(limit.unwrap_or(u16::MAX)).max(1);
            let count = message::granted(wanted, options.messages);
            if count < wanted {
                crate::info!(
                    "{}: {wanted} messages are wanted, and the system has {}: it gets one",
                    function.address,
                    options.messages
                );
            }
            Some(Assigned::Messages { table, first: message::first_vector(), count })
        }
        None => routing::io_apic_pin(function)
            .and_then(|pin| Some(Assigned::Line { pin, vector: routing::vector_of(pin)? })),
    };
    ASSIGNED.with(|slot| *slot = given);
    reach::set(Some(function.address));
    given
}

/// Returns what the device has been given.
#[must_use]
pub fn assigned() -> Option<Assigned> {
    ASSIGNED.with(|given| *given)
}

/// Forgets the interrupts of a device that is gone.
pub fn release() {
    ASSIGNED.with(|given| *given = None);
    reach::set(None);
}

/// Turns the messages of a device on, each masked, or off: it starts or stops.
pub fn turn(function: &Function, on: bool) {
    if let Some(Assigned::Messages { table, .. }) = assigned() {
        if on { table.enable(function) } else { table.disable(function) }
    }
}

impl Assigned {
    /// Returns whether it is edge-triggered, which the WDK calls latched.
    #[must_use]
    pub const fn is_latched(&self) -> bool {
        matches!(self, Self::Messages { .. } | Self::IsaLine { level: false, .. })
    }

    /// Returns whether it interrupts at this vector.
    #[must_use]
    pub fn has(&self, vector: u8) -> bool {
        self.entry(vector).is_some()
    }

    /// Returns by number which of its interrupts a vector belongs to.
    #[must_use]
    pub fn entry(&self, vector: u8) -> Option<u16> {
        match *self {
            Self::Line { vector: only, .. } | Self::IsaLine { vector: only, .. } => (only == vector).then_some(0),
            Self::Messages { first, count, .. } => {
                vector.checked_sub(first).map(u16::from).filter(|entry| *entry < count)
            }
        }
    }

    /// Lets it interrupt at a vector of its own.
    pub fn route(&self, vector: u8) {
        match *self {
            Self::Line { pin, .. } | Self::IsaLine { pin, level: true, .. } => {
                apic::route(pin, vector, apic::Trigger::LevelLow);
            }
            Self::IsaLine { pin, level: false, .. } => apic::route(pin, vector, apic::Trigger::Edge),
            Self::Messages { table, .. } => {
                if let Some(entry) = self.entry(vector) {
                    table.unmask(entry, vector);
                }
            }
        }
    }

    /// Keeps it from interrupting at a vector of its own.
    pub fn silence(&self, vector: u8) {
        match *self {
            Self::Line { pin, .. } | Self::IsaLine { pin, .. } => apic::mask(pin),
            Self::Messages { table, .. } => {
                if let Some(entry) = self.entry(vector) {
                    table.mask(entry);
                }
            }
        }
    }

    /// Returns a description for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match *self {
            Self::Line { pin, vector } => {
                format!("interrupt line {pin}, vector {vector:#x}, level-sensitive, shared")
            }
            Self::IsaLine { pin, vector, level } => {
                let how = if level { "level-sensitive" } else { "latched" };
                format!("interrupt line {pin} of the ISA bus, vector {vector:#x}, {how}")
            }
            Self::Messages { first, count, table } => {
                format!("{count} of {} message interrupts, vectors from {first:#x}, latched", table.entries)
            }
        }
    }
}
