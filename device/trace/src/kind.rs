//! The kinds of records, and what records.

#[cfg(doc)]
use crate::device_act::DeviceAct;

/// Bit of a kind: a payload follows.
pub(crate) const PAYLOAD: u8 = 1 << 7;

/// The kind of a record, its bit 7 included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($(#[$meta:meta])* $name:ident = $value:expr, $text:literal;)*) => {
        impl Kind {
            $($(#[$meta])* pub const $name: Self = Self($value);)*

            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns its name in filters and in JSON; `None` for one that this version does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self { $(Self::$name => Some($text),)* _ => None }
            }
        }
    };
}

kinds! {
    /// [`Act::Clock`](crate::Act::Clock): the number is the error in ticks, the last word the nanoseconds.
    CLOCK = 0x01, "clock";
    /// [`Act::Rendered`](crate::Act::Rendered): the number is that of voices, the last word the next frame.
    RENDERED = 0x02, "rendered";
    /// [`Act::StatusPage`](crate::Act::StatusPage): the number is the low 16 bits of the sequence, the last word the frame.
    STATUS_PAGE = 0x03, "status-page";
    /// [`Act::Skipped`](crate::Act::Skipped): the last word is the number of frames.
    SKIPPED = 0x04, "skipped";
    /// [`Act::Card`](crate::Act::Card). Payload: see [`CardStart`](crate::CardStart).
    CARD = 0x05 | PAYLOAD, "card";
    /// [`Act::VoiceStarted`](crate::Act::VoiceStarted): the number is the voice's lane, the byte the note, the 4 bytes the instrument. Payload: 8 bytes frame,
    /// 2 bytes channel group, 1 byte channel, 1 byte velocity.
    VOICE_STARTED = 0x06 | PAYLOAD, "voice-started";
    /// [`Act::VoiceEnded`](crate::Act::VoiceEnded): the number is the voice's lane, the last word the frame.
    VOICE_ENDED = 0x07, "voice-ended";
    /// [`Act::Recording`](crate::Act::Recording): the number is 1 for on and 0 for off.
    RECORDING = 0x08, "recording";
    /// [`Act::RegisterRead`](crate::Act::RegisterRead): the number is the offset in BAR 0. In the last word, from bit 0: 24 bits zero, 8 bits width and bit 6
    /// for an access that no register takes, 32 bits value.
    REGISTER_READ = 0x10, "register-read";
    /// [`Act::RegisterWrite`](crate::Act::RegisterWrite): as for [`REGISTER_READ`](Self::REGISTER_READ).
    REGISTER_WRITE = 0x11, "register-write";
    /// [`DeviceAct::Register`]: as for [`REGISTER_READ`](Self::REGISTER_READ). Payload: 8 bytes offset, 8 bytes value, 1 byte base address
    /// register, and UTF-8.
    REGISTER_READ_WITH = 0x10 | PAYLOAD, "register-read";
    /// [`DeviceAct::Register`] of a write.
    REGISTER_WRITE_WITH = 0x11 | PAYLOAD, "register-write";
    /// [`Act::ConfigRead`](crate::Act::ConfigRead): as for [`REGISTER_READ`](Self::REGISTER_READ), with the offset in configuration space.
    CONFIG_READ = 0x12, "config-read";
    /// [`Act::ConfigWrite`](crate::Act::ConfigWrite): as for [`CONFIG_READ`](Self::CONFIG_READ).
    CONFIG_WRITE = 0x13, "config-write";
    /// [`Act::IdentityRead`](crate::Act::IdentityRead): the number is the offset, the last word the number of bytes.
    IDENTITY_READ = 0x14, "identity-read";
    /// [`Act::Features`](crate::Act::Features): the last word has the feature bits.
    FEATURES = 0x20, "features";
    /// [`Act::QueueStarted`](crate::Act::QueueStarted): the number is the code of the error that parks the ring, or 0; the byte is the queue. Payload: 4
    /// bytes size, 4 bytes index to begin with, three addresses of 8 bytes.
    QUEUE_STARTED = 0x21 | PAYLOAD, "queue-started";
    /// [`Act::QueueStopped`](crate::Act::QueueStopped): the number is the index to resume from; the byte is the queue.
    QUEUE_STOPPED = 0x22, "queue-stopped";
    /// [`Act::Kicked`](crate::Act::Kicked): the byte is the queue, the 4 bytes the kicks.
    KICKED = 0x23, "kicked";
    /// [`Act::Reset`](crate::Act::Reset): the last word is the number of resets.
    RESET = 0x24, "reset";
    /// [`DeviceAct::Reset`]: the 4 bytes are the number of resets. Payload: UTF-8.
    RESET_WITH = 0x24 | PAYLOAD, "reset";
    /// [`Act::Disconnected`](crate::Act::Disconnected).
    DISCONNECTED = 0x25, "disconnected";
    /// [`Act::Memory`](crate::Act::Memory). Payload: for each region 8 bytes guest-physical address and 8 bytes length.
    MEMORY = 0x26 | PAYLOAD, "memory";
    /// [`Act::ChainTaken`](crate::Act::ChainTaken) without anything to read: the number is the head; the byte is the queue, with bit 6 for a malformed chain;
    /// the 4 bytes are the writable bytes.
    CHAIN_TAKEN = 0x30, "chain-taken";
    /// [`Act::ChainTaken`](crate::Act::ChainTaken). Payload: the readable part.
    CHAIN_TAKEN_WITH = 0x30 | PAYLOAD, "chain-taken";
    /// [`Act::ChainReturned`](crate::Act::ChainReturned) with nothing written: the number is the head; the byte is the queue, the 4 bytes the used length.
    CHAIN_RETURNED = 0x31, "chain-returned";
    /// [`Act::ChainReturned`](crate::Act::ChainReturned). Payload: what was written.
    CHAIN_RETURNED_WITH = 0x31 | PAYLOAD, "chain-returned";
    /// [`Act::WaveReturned`](crate::Act::WaveReturned): as for [`CHAIN_RETURNED_WITH`](Self::CHAIN_RETURNED_WITH). Payload: the hash of the PCM in 8 bytes, the
    /// header of the buffer in 32 bytes, and the PCM if the file's flags say so.
    WAVE_RETURNED = 0x32 | PAYLOAD, "wave-returned";
    /// [`Act::Interrupt`](crate::Act::Interrupt): the byte is the queue, the 4 bytes 1 if an interrupt was raised and 0 if the driver takes none.
    INTERRUPT = 0x38, "interrupt";
    /// [`DeviceAct::Interrupt`]. Payload: UTF-8.
    INTERRUPT_WITH = 0x38 | PAYLOAD, "interrupt";
    /// [`DeviceAct::Midi`] of bytes that the driver has sent. Payload: the bytes.
    MIDI_SENT = 0x34 | PAYLOAD, "midi-sent";
    /// [`DeviceAct::Midi`] of bytes at the device's input. Payload: the bytes.
    MIDI_RECEIVED = 0x35 | PAYLOAD, "midi-received";
    /// [`DeviceAct::Dma`] of a read: bit 6 of the byte says that it failed. Payload: 8 bytes address, 8 bytes length, and the first
    /// bytes of the data.
    DMA_READ = 0x3c | PAYLOAD, "dma-read";
    /// [`DeviceAct::Dma`] of a write.
    DMA_WRITE = 0x3d | PAYLOAD, "dma-write";
    /// [`Act::FaultStruck`](crate::Act::FaultStruck). Payload: the fault, as UTF-8.
    FAULT_STRUCK = 0x40 | PAYLOAD, "fault-struck";
    /// [`Act::DriverError`](crate::Act::DriverError): the number is the code, the byte the queue or `0x3f`. Payload: three numbers of 4 bytes, the place, what
    /// was expected and what was found.
    DRIVER_ERROR = 0x41 | PAYLOAD, "driver-error";
    /// [`Act::Command`](crate::Act::Command). Payload: the command as one JSON object, as UTF-8.
    COMMAND = 0x42 | PAYLOAD, "command";
    /// [`DeviceAct::DriverError`]. Payload: UTF-8.
    DEVICE_ERROR = 0x43 | PAYLOAD, "driver-error";
    /// [`Act::Mark`](crate::Act::Mark). Payload: UTF-8.
    MARK = 0x48 | PAYLOAD, "mark";
    /// [`DeviceAct::Log`]. Payload: UTF-8.
    LOG = 0x49 | PAYLOAD, "log";
    /// [`GuestAct::Marks`](crate::GuestAct::Marks). Payload: samples, the error in ticks and in nanoseconds, marks that follow, marks that were
    /// overwritten, and places without a whole mark, 8 bytes each.
    GUEST_MARKS = 0x60 | PAYLOAD, "guest-marks";
    /// [`GuestAct::Irql`](crate::GuestAct::Irql): the low byte of the number is the processor. The last word has the old level in its low byte, and the
    /// new one in the next.
    GUEST_IRQL = 0x61, "irql";
    /// [`GuestAct::Isr`](crate::GuestAct::Isr) that is called: the low byte of the number is the processor, the high byte the IRQL. In the last word, from bit 0:
    /// 48 bits place of the routine, bit 55 for an offset in the driver, 8 bits vector.
    ISR_BEGIN = 0x62, "isr-begin";
    /// [`GuestAct::Isr`](crate::GuestAct::Isr) that returns: as for [`ISR_BEGIN`](Self::ISR_BEGIN), with 1 for the IRQL if it has claimed the interrupt.
    ISR_END = 0x63, "isr-end";
    /// [`GuestAct::Dpc`](crate::GuestAct::Dpc) that begins: as for [`ISR_BEGIN`](Self::ISR_BEGIN), without IRQL and vector.
    DPC_BEGIN = 0x64, "dpc-begin";
    /// [`GuestAct::Dpc`](crate::GuestAct::Dpc) that ends.
    DPC_END = 0x65, "dpc-end";
    /// [`GuestAct::PutMessage`](crate::GuestAct::PutMessage): the low byte of the number is the processor, the high byte the first byte of the event. The last word
    /// is its presentation time.
    PUT_MESSAGE = 0x66, "put-message";
    /// [`GuestAct::PutEnd`](crate::GuestAct::PutEnd): the low byte of the number is the processor. The last word has the status in its low half, the
    /// number of events in its high half.
    PUT_END = 0x67, "put-end";
    /// [`GuestAct::PoolPeak`](crate::GuestAct::PoolPeak): the low byte of the number is the processor, the last word the bytes.
    POOL_PEAK = 0x68, "pool-peak";
    /// In a slot that continues a record.
    CONTINUES = 0x7f, "continues";
}

/// What has recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub u8);

impl Source {
    /// The card.
    pub const CARD: Self = Self(0);
    /// The harness, or another client of the control socket.
    pub const HARNESS: Self = Self(1);
    /// The guest. The harness writes its records to a file of their own, with ticks of the host.
    pub const GUEST: Self = Self(2);

    /// Returns its name; `None` for one that this version does not know.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::CARD => Some("card"),
            Self::HARNESS => Some("harness"),
            Self::GUEST => Some("guest"),
            _ => None,
        }
    }
}
