//! What happens at a card, act by act: the place where a recorder listens.
//!
//! The crate writes no file of acts itself. A recorder implements [`Tap`], in whatever format its tools read.

use std::fmt;
use std::sync::Arc;

use crate::card::{Access, Reset};
use crate::dma::DmaError;
use crate::registers::Register;

/// An act at a function.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Act<'a> {
    /// The driver has accessed a BAR.
    Register {
        /// Where.
        access: Access,
        /// It has written, and not read.
        write: bool,
        /// The value.
        value: u64,
        /// The register of the BAR's [table](crate::Bar::registers), if it has one there.
        register: Option<&'a Register>,
        /// Whether a register takes the access.
        taken: bool,
    },
    /// The driver, or the machine for it, has read configuration space.
    ConfigRead {
        /// The first byte.
        offset: usize,
        /// What was read.
        data: &'a [u8],
    },
    /// The driver, or the machine for it, writes configuration space.
    ConfigWrite {
        /// The first byte.
        offset: usize,
        /// What is written.
        data: &'a [u8],
    },
    /// The card has changed its interrupt line.
    Line {
        /// It is asserted now.
        asserted: bool,
    },
    /// The card has triggered a vector.
    Message {
        /// The vector.
        vector: u16,
    },
    /// The card has read guest memory.
    MemoryRead {
        /// The guest-physical address.
        address: u64,
        /// What was read; of an access that failed, only its length counts.
        data: &'a [u8],
        /// Why it failed.
        error: Option<&'a DmaError>,
    },
    /// The card has written guest memory.
    MemoryWrite {
        /// The guest-physical address.
        address: u64,
        /// What was to be written.
        data: &'a [u8],
        /// Why it failed.
        error: Option<&'a DmaError>,
    },
    /// The card is reset.
    Reset {
        /// By what.
        reset: Reset,
        /// How often it has been.
        resets: u64,
    },
    /// The driver has sent MIDI bytes.
    Sent(&'a [u8]),
    /// MIDI bytes have arrived at the card's input.
    Received(&'a [u8]),
    /// The card has found an error of the driver. Of equal ones there is one act.
    DriverError {
        /// Its code.
        code: &'a str,
        /// The sentence.
        detail: &'a str,
    },
    /// A line of the card's log.
    Log(&'a str),
    /// A mark of a client of the control socket.
    Mark(&'a str),
}

/// A recorder of acts. It is called by any thread, with locks of the function held, so it must not call the card, and should not wait.
pub trait Tap: fmt::Debug + Send + Sync {
    /// Records an act, which has just happened or is about to.
    fn act(&self, act: &Act<'_>);
}

/// The recorder of a function, if it has one. Without, an act is one comparison.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taps(Option<Arc<dyn Tap>>);

impl Taps {
    /// Returns the recorder of a function, if there is one.
    pub(crate) const fn new(tap: Option<Arc<dyn Tap>>) -> Self {
        Self(tap)
    }

    /// Returns whether anything records.
    pub(crate) const fn listens(&self) -> bool {
        self.0.is_some()
    }

    /// Has the recorder, if there is one, hear an act.
    pub(crate) fn act(&self, act: &Act<'_>) {
        if let Some(tap) = &self.0 {
            tap.act(act);
        }
    }
}
