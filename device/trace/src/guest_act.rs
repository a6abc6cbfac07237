//! Acts of the guest that runs the driver, which the harness has read from the guest's marks.

use crate::act::{Act, Head};
use crate::kind::{Kind, Source};
use crate::reader::Record;
use crate::slot::Slot;

/// Bytes of the payload of [`Kind::GUEST_MARKS`].
const MARKS_BYTES: usize = 48;

/// Bit of a routine's word: its place is an offset in the driver's image.
const IN_DRIVER: u64 = 1 << 55;

/// Bits of a routine's place: those of an address that is not its sign.
const PLACE: u64 = (1 << 48) - 1;

/// A routine of the driver, or of another module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Routine {
    /// Its offset in the driver's image, or the low 48 bits of its address.
    pub place: u64,
    /// Whether the place is such an offset.
    pub in_driver: bool,
}

impl Routine {
    fn word(self, vector: u8) -> u64 {
        self.place & PLACE | if self.in_driver { IN_DRIVER } else { 0 } | u64::from(vector) << 56
    }

    const fn read(word: u64) -> Self {
        Self { place: word & PLACE, in_driver: word & IN_DRIVER != 0 }
    }
}

impl std::fmt::Display for Routine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.in_driver, self.place) {
            (true, place) => write!(f, "driver+{place:#x}"),
            // Addresses of the system's half have all higher bits set.
            (false, place) if place >> 47 != 0 => write!(f, "{:#x}", place | !PLACE),
            (false, place) => write!(f, "{place:#x}"),
        }
    }
}

/// What is known of the guest's marks as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarksSummary {
    /// How often the guest's ticks were paired with the host's.
    pub samples: u32,
    /// Most ticks of the host by which the time of a mark can be wrong.
    pub error_ticks: u64,
    /// The same in nanoseconds.
    pub error_ns: u64,
    /// Marks that follow.
    pub marks: u64,
    /// Marks that later ones have overwritten.
    pub overwritten: u64,
    /// Places of the ring that hold no whole mark: one was being written, or something else has written there.
    pub unread: u64,
}

/// What has happened in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestAct {
    /// The harness has read the guest's marks, which follow.
    Marks(MarksSummary),
    /// The IRQL of a processor changes.
    Irql {
        /// The processor.
        processor: u8,
        /// The old level.
        old: u8,
        /// The new one.
        new: u8,
    },
    /// An interrupt service routine is called, or returns.
    Isr {
        /// The processor.
        processor: u8,
        /// Whether it is called.
        begins: bool,
        /// The interrupt's vector.
        vector: u8,
        /// When it is called, the IRQL that it runs at; when it returns, 1 if it has claimed the interrupt.
        level: u8,
        /// The routine.
        routine: Routine,
    },
    /// A deferred procedure call begins, or ends.
    Dpc {
        /// The processor.
        processor: u8,
        /// Whether it begins.
        begins: bool,
        /// Its routine.
        routine: Routine,
    },
    /// An event is about to be handed to the driver's `IMXF::PutMessage`.
    PutMessage {
        /// The processor.
        processor: u8,
        /// The first byte of its data.
        first: u8,
        /// Its presentation time in 100 ns units.
        time: i64,
    },
    /// That call has returned.
    PutEnd {
        /// The processor.
        processor: u8,
        /// How many events it was given.
        events: u32,
        /// Its `NTSTATUS`.
        status: u32,
    },
    /// The driver holds more pool than ever before.
    PoolPeak {
        /// The processor.
        processor: u8,
        /// Bytes.
        bytes: u64,
    },
}

impl GuestAct {
    fn head(&self) -> Head {
        let small = |processor: u8, other: u8| u16::from(processor) | u16::from(other) << 8;
        match *self {
            Self::Marks(_) => Head::plain(Kind::GUEST_MARKS, 0, MARKS_BYTES as u64),
            Self::Irql { processor, old, new } => {
                Head::plain(Kind::GUEST_IRQL, small(processor, 0), u64::from(old) | u64::from(new) << 8)
            }
            Self::Isr { processor, begins, vector, level, routine } => {
                let kind = if begins { Kind::ISR_BEGIN } else { Kind::ISR_END };
                Head::plain(kind, small(processor, level), routine.word(vector))
            }
            Self::Dpc { processor, begins, routine } => {
                let kind = if begins { Kind::DPC_BEGIN } else { Kind::DPC_END };
                Head::plain(kind, small(processor, 0), routine.word(0))
            }
            Self::PutMessage { processor, first, time } => {
                Head::plain(Kind::PUT_MESSAGE, small(processor, first), time.cast_unsigned())
            }
            Self::PutEnd { processor, events, status } => {
                Head::plain(Kind::PUT_END, small(processor, 0), u64::from(status) | u64::from(events) << 32)
            }
            Self::PoolPeak { processor, bytes } => Head::plain(Kind::POOL_PEAK, small(processor, 0), bytes),
        }
    }

    fn payload(&self) -> Vec<u8> {
        let Self::Marks(summary) = self else { return Vec::new() };
        let MarksSummary { samples, error_ticks, error_ns, marks, overwritten, unread } = *summary;
        let words = [samples.into(), error_ticks, error_ns, marks, overwritten, unread];
        words.map(u64::to_le_bytes).as_flattened().to_vec()
    }

    /// Reads a record of a kind; `None` for a kind that is not the guest's, or a payload that does not fit.
    pub(crate) fn read(kind: Kind, small: u16, value: u64, payload: &[u8]) -> Option<Self> {
        let (processor, other) = (small as u8, (small >> 8) as u8);
        let routine = Routine::read(value);
        Some(match kind {
            Kind::GUEST_MARKS => {
                let words = payload.first_chunk::<MARKS_BYTES>()?.as_chunks::<8>().0;
                let [samples, error_ticks, error_ns, marks, overwritten, unread] = *words else { return None };
                let words = [error_ticks, error_ns, marks, overwritten, unread].map(u64::from_le_bytes);
                let [error_ticks, error_ns, marks, overwritten, unread] = words;
                let samples = u32::try_from(u64::from_le_bytes(samples)).ok()?;
                Self::Marks(MarksSummary { samples, error_ticks, error_ns, marks, overwritten, unread })
            }
            Kind::GUEST_IRQL => Self::Irql { processor, old: value as u8, new: (value >> 8) as u8 },
            Kind::ISR_BEGIN | Kind::ISR_END => Self::Isr {
                processor,
                begins: kind == Kind::ISR_BEGIN,
                vector: (value >> 56) as u8,
                level: other,
                routine,
            },
            Kind::DPC_BEGIN | Kind::DPC_END => Self::Dpc { processor, begins: kind == Kind::DPC_BEGIN, routine },
            Kind::PUT_MESSAGE => Self::PutMessage { processor, first: other, time: value.cast_signed() },
            Kind::PUT_END => Self::PutEnd { processor, events: (value >> 32) as u32, status: value as u32 },
            Kind::POOL_PEAK => Self::PoolPeak { processor, bytes: value },
            _ => return None,
        })
    }

    /// Returns the processor that it happened on; `None` for what is of none.
    #[must_use]
    pub const fn processor(&self) -> Option<u8> {
        match *self {
            Self::Marks(_) => None,
            Self::Irql { processor, .. }
            | Self::Isr { processor, .. }
            | Self::Dpc { processor, .. }
            | Self::PutMessage { processor, .. }
            | Self::PutEnd { processor, .. }
            | Self::PoolPeak { processor, .. } => Some(processor),
        }
    }

    /// Puts it into words.
    pub(crate) fn describe(&self) -> String {
        let text = match *self {
            Self::Marks(MarksSummary { samples, error_ticks, error_ns, marks, overwritten, unread }) => {
                return format!(
                    "{marks} marks of the guest follow, their times at most {error_ticks} ticks ({error_ns} ns) wrong by {samples} samples; \
                     {overwritten} overwritten, {unread} not whole"
                );
            }
            Self::Irql { old, new, .. } => format!("IRQL {old} to {new}"),
            Self::Isr { begins: true, vector, level, routine, .. } => {
                format!("ISR {routine} begins at IRQL {level}, vector {vector:#04x}")
            }
            Self::Isr { begins: false, vector, level, routine, .. } => {
                let end = if level == 0 { "does not claim" } else { "claims" };
                format!("ISR {routine} {end} the interrupt of vector {vector:#04x}")
            }
            Self::Dpc { begins, routine, .. } => format!("DPC {routine} {}", if begins { "begins" } else { "ends" }),
            Self::PutMessage { first, time, .. } => format!("PutMessage {first:02x}... at {time}"),
            Self::PutEnd { events, status, .. } => format!("PutMessage of {events} events answers {status:#010x}"),
            Self::PoolPeak { bytes, .. } => format!("the driver holds {bytes} bytes of pool, the most so far"),
        };
        match self.processor() {
            Some(processor) => format!("processor {processor}: {text}"),
            None => text,
        }
    }
}

impl<'r> From<GuestAct> for Act<'r> {
    fn from(act: GuestAct) -> Self {
        Self::Guest(act)
    }
}

impl Record {
    /// Returns the record of what happened in the guest at some ticks of the host; it has no number and no time yet.
    #[must_use]
    pub fn of_guest(ticks: u64, act: &GuestAct) -> Self {
        let Head { kind, small, value } = act.head();
        Self::new(0, &Slot { first: ticks, kind, source: Source::GUEST.0, small, last: value }, act.payload())
    }

    /// Returns the record that pairs ticks of the host with nanoseconds of its monotonic clock.
    #[must_use]
    pub fn of_clock(ticks: u64, nanoseconds: u64) -> Self {
        let Head { kind, small, value } = Head::clock(nanoseconds, 0);
        Self::new(0, &Slot { first: ticks, kind, source: Source::HARNESS.0, small, last: value }, Vec::new())
    }

    /// Returns the ticks at which it was made.
    #[must_use]
    pub const fn ticks(&self) -> u64 {
        self.ticks
    }
}
