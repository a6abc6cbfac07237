//! What the guard finds wrong with a message of the front-end.

use std::fmt;

use vhost::vhost_user::message::FrontendReq;

/// Something wrong with a message, or with a ring that messages have described.
///
/// A guest chooses ring sizes, ring addresses and features; the rest comes from the front-end itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The number of the request that the finding is about, or that brought it to light.
    pub request: u32,
    /// The index of the ring, if the finding is about one.
    pub ring: Option<u32>,
    /// The part of the message that is wrong.
    pub field: Field,
    /// What is wrong with it.
    pub fault: Fault,
    /// The value that would have been right; [`Fault`] says how to read it.
    pub expected: u64,
    /// The value that was found.
    pub got: u64,
    /// The ring and the part of it that the field overlaps, for [`Fault::Overlap`] of rings.
    pub other: Option<(u32, Field)>,
    /// What the guard has done.
    pub outcome: Outcome,
}

/// A part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Field {
    /// The request's number.
    Code,
    /// The flags of the header.
    Flags,
    /// The length of the body in bytes.
    Length,
    /// The attached file descriptors.
    Descriptors,
    /// A set of feature bits.
    Features,
    /// The index of a ring.
    Index,
    /// The number of descriptors of a ring.
    Size,
    /// The index at which a ring goes on.
    Base,
    /// Whether a ring is enabled.
    Enable,
    /// The address of a ring's descriptor table.
    DescriptorTable,
    /// The address of a ring's available ring.
    AvailableRing,
    /// The address of a ring's used ring.
    UsedRing,
    /// The flags of a ring's addresses.
    AddressFlags,
    /// A ring's kick descriptor.
    Kick,
    /// A ring's call descriptor.
    Call,
    /// A ring's error descriptor.
    Error,
    /// A region of guest memory.
    Region,
    /// The range of configuration space.
    Config,
    /// The socket for requests of the back-end.
    BackendChannel,
}

/// What is wrong with a [`Field`], and how `expected` and `got` of a [`Finding`] are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The request has no meaning in the protocol. `got` is its number.
    Unknown,
    /// The request, or the feature bits in `got`, were not offered. `expected` are the bits that were.
    NotOffered,
    /// The request depends on the protocol feature in `expected`, which the front-end has not acknowledged; `got` is what it has.
    NotNegotiated,
    /// A second one is not allowed. Both numbers are counts.
    Repeated,
    /// The value is not `expected`.
    Mismatch,
    /// The value is above `expected`, the greatest that is possible.
    TooLarge,
    /// The value is zero.
    Zero,
    /// The value is no power of two. `expected` is the next smaller one.
    NotPowerOfTwo,
    /// The address is not a multiple of `expected`.
    Misaligned,
    /// The bytes are not in guest memory. `expected` is the length in bytes that was needed, `got` the address.
    OutsideMemory,
    /// The front-end has described no guest memory. QEMU does so when its memory is not shared (`share=on`).
    NoMemory,
    /// The bytes are also those of another part, ring or region, which begins at `expected`.
    Overlap,
    /// The ring has not been given this field.
    Missing,
    /// The ring runs, and this must not change meanwhile.
    Running,
    /// The descriptor leads to something else, or cannot be used. Both numbers are 0.
    Unusable,
    /// The descriptor is also that of ring `expected`; one of them would take the other's events.
    Shared,
    /// Descriptors were lost, because this process may have no more.
    Lost,
    /// The back-end has refused it. `got` is its answer.
    Refused,
    /// An earlier back-end has ended at such a message.
    EndsBackend,
    /// The back-end that ran the ring is gone, and the driver has not reset the device.
    AwaitsReset,
}

/// What the guard has done about a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The message was answered and did not reach the back-end.
    Withheld,
    /// The message was passed on, and the back-end has refused it.
    Relayed,
    /// The message was passed on without what is wrong.
    Corrected,
    /// The ring is out of use until it is set up again.
    Parked,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vhost-user request {}", RequestName(self.request))?;
        if let Some(ring) = self.ring {
            write!(f, ", ring {ring}")?;
        }
        let Self { field, fault, expected, got, .. } = self;
        write!(f, ": {} ", field.name())?;
        match fault {
            Fault::Unknown => write!(f, "{got} is not known")?,
            Fault::NotOffered => write!(f, "{got:#x} is not offered, only {expected:#x} is")?,
            Fault::NotNegotiated => write!(f, "needs protocol feature {expected:#x}, acknowledged is {got:#x}")?,
            Fault::Repeated => write!(f, "is repeated")?,
            Fault::Mismatch => write!(f, "is {got:#x}, expected {expected:#x}")?,
            Fault::TooLarge => write!(f, "is {got}, expected at most {expected}")?,
            Fault::Zero => write!(f, "is zero")?,
            Fault::NotPowerOfTwo => write!(f, "is {got}, expected a power of two")?,
            Fault::Misaligned => write!(f, "is {got:#x}, expected a multiple of {expected}")?,
            Fault::OutsideMemory => write!(f, "at {got:#x}, {expected} bytes, is not in guest memory")?,
            Fault::NoMemory => write!(f, "at {got:#x}: no guest memory is shared; give QEMU's memory share=on")?,
            Fault::Overlap => {
                write!(f, "at {got:#x} overlaps what begins at {expected:#x}")?;
                if let Some((ring, field)) = self.other {
                    write!(f, ", the {} of ring {ring}", field.name())?;
                }
            }
            Fault::Missing => write!(f, "is missing")?,
            Fault::Running => write!(f, "changes from {expected:#x} to {got:#x} while the ring runs")?,
            Fault::Unusable => write!(f, "is not usable")?,
            Fault::Shared => write!(f, "is also that of ring {expected}")?,
            Fault::Lost => write!(f, "were lost; raise the limit of this process (ulimit -n)")?,
            Fault::Refused => write!(f, "is refused by the back-end ({got})")?,
            Fault::EndsBackend => write!(f, "has ended a back-end before")?,
            Fault::AwaitsReset => write!(f, "waits for a reset by the driver, because the back-end was lost")?,
        }
        f.write_str(match self.outcome {
            Outcome::Withheld => "; withheld from the back-end",
            Outcome::Relayed => "; answered as done",
            Outcome::Corrected => "; passed on without it",
            Outcome::Parked => "; the ring is parked",
        })
    }
}

impl Field {
    /// Returns the field's name in a message for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Code => "the request",
            Self::Flags => "header flags",
            Self::Length => "body length",
            Self::Descriptors => "file descriptors",
            Self::Features => "feature set",
            Self::Index => "ring index",
            Self::Size => "ring size",
            Self::Base => "ring base",
            Self::Enable => "enable",
            Self::DescriptorTable => "descriptor table",
            Self::AvailableRing => "available ring",
            Self::UsedRing => "used ring",
            Self::AddressFlags => "address flags",
            Self::Kick => "kick descriptor",
            Self::Call => "call descriptor",
            Self::Error => "error descriptor",
            Self::Region => "memory region",
            Self::Config => "configuration range",
            Self::BackendChannel => "back-end channel",
        }
    }
}

/// Writes a request's name as the protocol has it, or its number.
pub(crate) struct RequestName(pub(crate) u32);

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match FrontendReq::try_from(self.0) {
            Ok(code) => write!(f, "{code:?}"),
            Err(_) => write!(f, "{}", self.0),
        }
    }
}
