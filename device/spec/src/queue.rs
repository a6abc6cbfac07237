//! The five queues (virtio 1.2, section 2.7: split virtqueues).

use crate::open_enum;

open_enum! {
    /// A queue's number.
    Queue: u16 {
        /// Request and response: a chain of one readable part ([`RequestHeader`](crate::control::RequestHeader) and
        /// payload) and one writable part ([`ResponseHeader`](crate::control::ResponseHeader) and payload).
        CONTROL = 0,
        /// Driver to card: a readable [event batch](crate::event::BatchHeader).
        MIDI_OUT = 1,
        /// Card to driver: a writable buffer that the card fills with an [event batch](crate::event::BatchHeader) of
        /// captured events.
        MIDI_IN = 2,
        /// Card to driver: a readable [`WaveRequest`](crate::wave::WaveRequest), then a writable
        /// [`WaveHeader`](crate::wave::WaveHeader) and the pages that the card renders into.
        WAVE = 3,
        /// Card to driver: a writable [`Notice`](crate::notice::Notice).
        EVENT = 4,
    }
}

/// Number of queues.
pub const QUEUE_COUNT: usize = 5;

impl Queue {
    /// Every queue, in order of number.
    pub const ALL: [Self; QUEUE_COUNT] = [Self::CONTROL, Self::MIDI_OUT, Self::MIDI_IN, Self::WAVE, Self::EVENT];

    /// Returns the place of this queue in arrays of [`QUEUE_COUNT`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
