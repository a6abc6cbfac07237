//! What is recorded: the numbers and payloads of records.

use card_spec::queue::Queue;

use crate::device_act::DeviceAct;
use crate::guest_act::GuestAct;
use crate::kind::{Kind, PAYLOAD};
use crate::start::CardStart;
use crate::voice::VoiceStart;

/// Bit of a record's byte by kind, with a payload: the payload is cut.
pub(crate) const CUT: u8 = 1 << 7;

/// Bit of a record's byte by kind, of accesses: no register takes the access.
pub(crate) const REFUSED: u8 = 1 << 6;

/// Bit of a record's byte by kind, of chains: the chain is malformed.
const MALFORMED: u8 = 1 << 6;

/// The queue of a record that is of no queue.
pub(crate) const NO_QUEUE: u8 = 0x3f;

/// A record as it is put into its first slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub(crate) kind: u8,
    pub(crate) small: u16,
    pub(crate) value: u64,
}

/// A ring, as its transport hands it to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Entries.
    pub size: u32,
    /// The available index to begin with.
    pub base: u32,
    /// Guest-physical address of the descriptor table.
    pub descriptors: u64,
    /// Guest-physical address of the available ring.
    pub available: u64,
    /// Guest-physical address of the used ring.
    pub used: u64,
}

/// Bytes of a [`Setup`] in a payload.
const SETUP_BYTES: usize = 32;

impl Setup {
    /// Returns the payload of [`Kind::QUEUE_STARTED`].
    #[must_use]
    pub fn payload(&self) -> [u8; SETUP_BYTES] {
        let sizes = u64::from(self.size) | u64::from(self.base) << 32;
        let mut payload = [0; SETUP_BYTES];
        let words = [sizes, self.descriptors, self.available, self.used];
        for (to, from) in payload.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *to = from.to_le_bytes();
        }
        payload
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let [sizes, descriptors, available, used] = *payload.first_chunk::<SETUP_BYTES>()?.as_chunks::<8>().0 else {
            return None;
        };
        let sizes = u64::from_le_bytes(sizes);
        Some(Self {
            size: sizes as u32,
            base: (sizes >> 32) as u32,
            descriptors: u64::from_le_bytes(descriptors),
            available: u64::from_le_bytes(available),
            used: u64::from_le_bytes(used),
        })
    }
}

impl Head {
    #[inline]
    const fn new(kind: Kind, small: u16, value: u64) -> Self {
        Self { kind: kind.0, small, value }
    }

    /// Returns a head with these numbers.
    #[inline]
    pub(crate) const fn plain(kind: Kind, small: u16, value: u64) -> Self {
        Self::new(kind, small, value)
    }

    /// Returns a head with a byte and a number by kind in its last word.
    #[inline]
    pub(crate) const fn parted(kind: Kind, small: u16, byte: u8, number: u32) -> Self {
        Self::new(kind, small, (byte as u64) << 24 | (number as u64) << 32)
    }

    /// Adds the length of a payload, and the mark of one that is cut.
    #[inline]
    pub(crate) const fn with_payload(mut self, length: u32, cut: u8) -> Self {
        self.kind |= PAYLOAD;
        self.value |= length as u64 & 0x00ff_ffff | (cut as u64) << 24;
        self
    }

    /// Returns the head of [`Act::Clock`].
    #[inline]
    pub(crate) const fn clock(nanoseconds: u64, error: u16) -> Self {
        Self::new(Kind::CLOCK, error, nanoseconds)
    }

    /// Returns the head of [`Act::Rendered`].
    #[must_use]
    #[inline]
    pub fn rendered(frame: i64, voices: u32) -> Self {
        Self::new(Kind::RENDERED, u16::try_from(voices).unwrap_or(u16::MAX), frame as u64)
    }

    /// Returns the head of [`Act::VoiceEnded`].
    #[must_use]
    #[inline]
    pub const fn voice_ended(lane: u16, frame: i64) -> Self {
        Self::new(Kind::VOICE_ENDED, lane, frame as u64)
    }

    /// Returns the head of [`Act::Recording`].
    #[must_use]
    #[inline]
    pub const fn recording(on: bool) -> Self {
        Self::new(Kind::RECORDING, on as u16, 0)
    }

    /// Returns the head of [`Act::StatusPage`].
    #[must_use]
    #[inline]
    pub const fn status_page(frame: u64, sequence: u32) -> Self {
        Self::new(Kind::STATUS_PAGE, sequence as u16, frame)
    }

    /// Returns the head of an access: [`Act::RegisterRead`], [`Act::RegisterWrite`], [`Act::ConfigRead`] or [`Act::ConfigWrite`], by
    /// its kind. `taken` tells whether a register takes it.
    #[must_use]
    #[inline]
    pub fn access(kind: Kind, offset: u64, width: usize, value: u64, taken: bool) -> Self {
        let width = u8::try_from(width).unwrap_or(0) & (REFUSED - 1);
        let offset = u16::try_from(offset).unwrap_or(u16::MAX);
        Self::parted(kind, offset, width | if taken { 0 } else { REFUSED }, value as u32)
    }

    /// Returns the head of [`Act::IdentityRead`].
    #[must_use]
    #[inline]
    pub fn identity_read(offset: u32, bytes: u64) -> Self {
        Self::new(Kind::IDENTITY_READ, u16::try_from(offset).unwrap_or(u16::MAX), bytes)
    }

    /// Returns the head of [`Act::Features`].
    #[must_use]
    #[inline]
    pub const fn features(features: u64) -> Self {
        Self::new(Kind::FEATURES, 0, features)
    }

    /// Returns the head of [`Act::QueueStarted`]; its payload is that of a [`Setup`].
    #[must_use]
    #[inline]
    pub const fn queue_started(queue: Queue, error: u16) -> Self {
        Self::parted(Kind::QUEUE_STARTED, error, queue.0 as u8 & NO_QUEUE, 0)
    }

    /// Returns the head of [`Act::QueueStopped`].
    #[must_use]
    #[inline]
    pub const fn queue_stopped(queue: Queue, next: u16) -> Self {
        Self::parted(Kind::QUEUE_STOPPED, next, queue.0 as u8 & NO_QUEUE, 0)
    }

    /// Returns the head of [`Act::Kicked`].
    #[must_use]
    #[inline]
    pub fn kicked(queue: Queue, kicks: u64) -> Self {
        Self::parted(Kind::KICKED, 0, queue.0 as u8 & NO_QUEUE, u32::try_from(kicks).unwrap_or(u32::MAX))
    }

    /// Returns the head of [`Act::Reset`].
    #[must_use]
    #[inline]
    pub const fn reset(resets: u64) -> Self {
        Self::new(Kind::RESET, 0, resets)
    }

    /// Returns the head of [`Act::Disconnected`].
    #[must_use]
    #[inline]
    pub const fn disconnected() -> Self {
        Self::new(Kind::DISCONNECTED, 0, 0)
    }

    /// Returns the head of [`Act::ChainTaken`]; its payload, if it has one, is the readable part.
    #[must_use]
    #[inline]
    pub fn chain_taken(queue: Queue, head: u16, writable: u64, malformed: bool) -> Self {
        let byte = queue.0 as u8 & NO_QUEUE | if malformed { MALFORMED } else { 0 };
        Self::parted(Kind::CHAIN_TAKEN, head, byte, u32::try_from(writable).unwrap_or(u32::MAX))
    }

    /// Returns the head of [`Act::ChainReturned`]; its payload, if it has one, is what was written.
    #[must_use]
    #[inline]
    pub const fn chain_returned(queue: Queue, head: u16, written: u32) -> Self {
        Self::parted(Kind::CHAIN_RETURNED, head, queue.0 as u8 & NO_QUEUE, written)
    }

    /// Returns the head of [`Act::WaveReturned`]; its payload is hash, header and PCM.
    #[must_use]
    #[inline]
    pub const fn wave_returned(queue: Queue, head: u16, written: u32) -> Self {
        Self::parted(Kind::WAVE_RETURNED, head, queue.0 as u8 & NO_QUEUE, written)
    }

    /// Returns the head of [`Act::Interrupt`].
    #[must_use]
    #[inline]
    pub const fn interrupt(queue: Queue, raised: bool) -> Self {
        Self::parted(Kind::INTERRUPT, 0, queue.0 as u8 & NO_QUEUE, raised as u32)
    }

    /// Returns the head of [`Act::FaultStruck`]; its payload is the text.
    #[must_use]
    #[inline]
    pub const fn fault_struck() -> Self {
        Self::new(Kind::FAULT_STRUCK, 0, 0)
    }

    /// Returns the head of [`Act::DriverError`]; its payload is three numbers of 4 bytes.
    #[must_use]
    #[inline]
    pub const fn driver_error(code: u16, queue: Option<Queue>) -> Self {
        let byte = match queue {
            Some(queue) => queue.0 as u8 & NO_QUEUE,
            None => NO_QUEUE,
        };
        Self::parted(Kind::DRIVER_ERROR, code, byte, 0)
    }

    /// Returns the head of [`Act::Card`]; its payload is that of a [`CardStart`].
    #[must_use]
    #[inline]
    pub const fn card() -> Self {
        Self::new(Kind::CARD, 0, 0)
    }

    /// Returns the head of [`Act::Skipped`].
    #[must_use]
    #[inline]
    pub const fn skipped(frames: u64) -> Self {
        Self::new(Kind::SKIPPED, 0, frames)
    }

    /// Returns the head of [`Act::Memory`]; its payload is address and length of each region.
    #[must_use]
    #[inline]
    pub const fn memory() -> Self {
        Self::new(Kind::MEMORY, 0, 0)
    }

    /// Returns the head of [`Act::Command`]; its payload is the command.
    #[must_use]
    #[inline]
    pub const fn command() -> Self {
        Self::new(Kind::COMMAND, 0, 0)
    }

    /// Returns the head of [`Act::Mark`]; its payload is the text.
    #[must_use]
    #[inline]
    pub const fn mark() -> Self {
        Self::new(Kind::MARK, 0, 0)
    }
}

/// What has happened, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'r> {
    /// Ticks were paired with nanoseconds.
    Clock {
        /// Nanoseconds of the host's monotonic clock.
        nanoseconds: u64,
        /// Ticks that the reading took.
        error: u16,
    },
    /// Frames were rendered.
    Rendered {
        /// The next frame.
        frame: i64,
        /// Voices that sound.
        voices: u16,
    },
    /// A voice sounds.
    VoiceStarted(VoiceStart),
    /// A voice does not sound any more.
    VoiceEnded {
        /// Its lane.
        lane: u16,
        /// The frame before which it has ended: the card looks behind each block that it renders.
        frame: i64,
    },
    /// A client of the control socket has switched recording.
    Recording {
        /// Whether the card records from here on. What it did between is not in the trace.
        on: bool,
    },
    /// The status page was written, to the page that the driver lends or to the one of the transport.
    StatusPage {
        /// The next frame.
        frame: u64,
        /// Low 16 bits of its sequence number; 0 where only the transport has a page.
        sequence: u16,
    },
    /// A register was read.
    RegisterRead {
        /// The offset in BAR 0; 0xffff for any beyond.
        offset: u16,
        /// Bytes.
        width: u8,
        /// The value, its low 32 bits.
        value: u32,
        /// Whether a register takes the access.
        taken: bool,
    },
    /// A register was written.
    RegisterWrite {
        /// The offset in BAR 0; 0xffff for any beyond.
        offset: u16,
        /// Bytes.
        width: u8,
        /// The value, its low 32 bits.
        value: u32,
        /// Whether a register takes the access.
        taken: bool,
    },
    /// Configuration space was read.
    ConfigRead {
        /// The offset.
        offset: u16,
        /// Bytes.
        width: u8,
        /// The value, its low 32 bits.
        value: u32,
    },
    /// Configuration space was written.
    ConfigWrite {
        /// The offset.
        offset: u16,
        /// Bytes.
        width: u8,
        /// The value, its low 32 bits.
        value: u32,
    },
    /// The identity block was read as a whole, over vhost-user.
    IdentityRead {
        /// The first byte.
        offset: u16,
        /// How many bytes.
        bytes: u64,
    },
    /// The driver accepted features.
    Features {
        /// Their bits.
        features: u64,
    },
    /// A ring was handed to the card.
    QueueStarted {
        /// Its queue.
        queue: Queue,
        /// The code of the error that parks it; 0 when it runs.
        error: u16,
        /// The ring.
        setup: Setup,
    },
    /// A ring was taken back.
    QueueStopped {
        /// Its queue.
        queue: Queue,
        /// The index to resume from.
        next: u16,
    },
    /// The driver notified a queue.
    Kicked {
        /// The queue.
        queue: Queue,
        /// How often.
        kicks: u32,
    },
    /// The card started.
    Card(CardStart<'r>),
    /// Frames were not rendered, because the host did not run the card in time.
    Skipped {
        /// How many.
        frames: u64,
    },
    /// The transport has described guest memory.
    Memory {
        /// Address and length of each region ([`regions`](crate::regions)).
        regions: &'r [u8],
    },
    /// A client of the control socket has changed the card.
    Command {
        /// The command, as the control socket takes it.
        text: &'r str,
    },
    /// The device was reset.
    Reset {
        /// The number of resets so far.
        resets: u64,
    },
    /// The transport has disconnected.
    Disconnected,
    /// The card took a chain.
    ChainTaken {
        /// Its queue.
        queue: Queue,
        /// Index of its head descriptor.
        head: u16,
        /// Bytes that can be written to it.
        writable: u32,
        /// Whether it is malformed. Then nothing of it was read.
        malformed: bool,
        /// Its readable part.
        request: &'r [u8],
        /// Whether `request` is cut.
        cut: bool,
    },
    /// The card returned a chain.
    ChainReturned {
        /// Its queue.
        queue: Queue,
        /// Index of its head descriptor.
        head: u16,
        /// The used length.
        written: u32,
        /// What was written.
        answer: &'r [u8],
        /// Whether `answer` is cut.
        cut: bool,
    },
    /// The card returned a wave buffer with frames in it.
    WaveReturned {
        /// Its queue.
        queue: Queue,
        /// Index of its head descriptor.
        head: u16,
        /// The used length.
        written: u32,
        /// The header of the buffer ([`WaveHeader`](card_spec::wave::WaveHeader)).
        header: &'r [u8; 32],
        /// The [hash](crate::pcm_hash) of the PCM.
        hash: u64,
        /// The PCM; empty unless the file's flags say that it is recorded.
        pcm: &'r [u8],
        /// Whether `pcm` is cut.
        cut: bool,
    },
    /// The card interrupted for a queue.
    Interrupt {
        /// The queue.
        queue: Queue,
        /// Whether the driver takes an interrupt for it.
        raised: bool,
    },
    /// An injected fault struck.
    FaultStruck {
        /// The fault, in words.
        text: &'r str,
    },
    /// The card found an error of the driver.
    DriverError {
        /// Its code ([`Diagnosis`](card_spec::diagnosis::Diagnosis)).
        code: u16,
        /// The queue, if it is on one.
        queue: Option<Queue>,
        /// The place, as the datasheet defines it for the code.
        place: u32,
        /// What was expected.
        expected: u32,
        /// What was found.
        got: u32,
    },
    /// A mark.
    Mark {
        /// The text.
        text: &'r str,
    },
    /// A device whose registers the format does not know.
    Device(DeviceAct<'r>),
    /// The guest that runs the driver.
    Guest(GuestAct),
    /// A kind that this version does not know, or a payload that does not fit the kind.
    Unknown {
        /// The kind.
        kind: Kind,
        /// The number.
        number: u16,
        /// The last word.
        value: u64,
        /// The payload.
        payload: &'r [u8],
    },
}

impl<'r> Act<'r> {
    /// Reads a record of a kind. What does not fit the kind is [`Act::Unknown`].
    #[must_use]
    pub(crate) fn read(kind: Kind, small: u16, value: u64, payload: &'r [u8]) -> Self {
        let unknown = Self::Unknown { kind, number: small, value, payload };
        Self::known(kind, small, value, payload).unwrap_or(unknown)
    }

    fn known(kind: Kind, small: u16, value: u64, payload: &'r [u8]) -> Option<Self> {
        let byte = (value >> 24) as u8;
        let number = (value >> 32) as u32;
        let queue = Queue((byte & NO_QUEUE).into());
        let cut = byte & CUT != 0;
        let (width, taken) = (byte & (REFUSED - 1), byte & REFUSED == 0);
        let text = || std::str::from_utf8(payload).ok();
        Some(match kind {
            Kind::CLOCK => Self::Clock { nanoseconds: value, error: small },
            Kind::RENDERED => Self::Rendered { frame: value as i64, voices: small },
            Kind::VOICE_STARTED => Self::VoiceStarted(VoiceStart::read(small, byte, number, payload)?),
            Kind::VOICE_ENDED => Self::VoiceEnded { lane: small, frame: value as i64 },
            Kind::RECORDING => Self::Recording { on: small != 0 },
            Kind::STATUS_PAGE => Self::StatusPage { frame: value, sequence: small },
            Kind::REGISTER_READ => Self::RegisterRead { offset: small, width, value: number, taken },
            Kind::REGISTER_WRITE => Self::RegisterWrite { offset: small, width, value: number, taken },
            Kind::CONFIG_READ => Self::ConfigRead { offset: small, width, value: number },
            Kind::CONFIG_WRITE => Self::ConfigWrite { offset: small, width, value: number },
            Kind::IDENTITY_READ => Self::IdentityRead { offset: small, bytes: value },
            Kind::FEATURES => Self::Features { features: value },
            Kind::QUEUE_STARTED => Self::QueueStarted { queue, error: small, setup: Setup::read(payload)? },
            Kind::QUEUE_STOPPED => Self::QueueStopped { queue, next: small },
            Kind::KICKED => Self::Kicked { queue, kicks: number },
            Kind::RESET => Self::Reset { resets: value },
            Kind::CARD => Self::Card(CardStart::read(payload)?),
            Kind::SKIPPED => Self::Skipped { frames: value },
            Kind::MEMORY => Self::Memory { regions: payload },
            Kind::COMMAND => Self::Command { text: text()? },
            Kind::DISCONNECTED => Self::Disconnected,
            Kind::CHAIN_TAKEN | Kind::CHAIN_TAKEN_WITH => {
                let malformed = byte & MALFORMED != 0;
                Self::ChainTaken { queue, head: small, writable: number, malformed, request: payload, cut }
            }
            Kind::CHAIN_RETURNED | Kind::CHAIN_RETURNED_WITH => {
                Self::ChainReturned { queue, head: small, written: number, answer: payload, cut }
            }
            Kind::WAVE_RETURNED => {
                let (hash, rest) = payload.split_first_chunk::<8>()?;
                let (header, pcm) = rest.split_first_chunk::<32>()?;
                let hash = u64::from_le_bytes(*hash);
                Self::WaveReturned { queue, head: small, written: number, header, hash, pcm, cut }
            }
            Kind::INTERRUPT => Self::Interrupt { queue, raised: number != 0 },
            Kind::FAULT_STRUCK => Self::FaultStruck { text: text()? },
            Kind::DRIVER_ERROR => {
                let [place, expected, got] = *payload.first_chunk::<12>()?.as_chunks::<4>().0 else { return None };
                let queue = (queue.0 != NO_QUEUE.into()).then_some(queue);
                let [place, expected, got] = [place, expected, got].map(u32::from_le_bytes);
                Self::DriverError { code: small, queue, place, expected, got }
            }
            Kind::MARK => Self::Mark { text: text()? },
            _ => match GuestAct::read(kind, small, value, payload) {
                Some(act) => Self::Guest(act),
                None => Self::Device(DeviceAct::read(kind, value, payload)?),
            },
        })
    }

    /// Returns the queue that it is of, if it is of one.
    #[must_use]
    pub const fn queue(&self) -> Option<Queue> {
        match *self {
            Self::QueueStarted { queue, .. }
            | Self::QueueStopped { queue, .. }
            | Self::Kicked { queue, .. }
            | Self::ChainTaken { queue, .. }
            | Self::ChainReturned { queue, .. }
            | Self::WaveReturned { queue, .. }
            | Self::Interrupt { queue, .. } => Some(queue),
            Self::DriverError { queue, .. } => queue,
            _ => None,
        }
    }
}
