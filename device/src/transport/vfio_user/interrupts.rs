//! How a queue interrupts: by the line and the interrupt status, or by the message of its vector.

use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::registers::{NO_VECTOR, VECTORS};
use parking_lot::Mutex;
use vfio_user_card::Handle;

use crate::bus::ResetRequest;

/// Bit of the interrupt status: a queue interrupts (virtio 1.2, section 4.1.4.5).
const ISR_QUEUE: u8 = 1;

/// Bit of the interrupt status: the configuration interrupts, which a change of the device status does too (virtio 1.2,
/// sections 2.1.2 and 4.1.4.5).
const ISR_CONFIGURATION: u8 = 2;

/// Interrupt registers, which the driver and the queues reach from different threads.
pub(super) struct Interrupts {
    // Runtime glue.
    handle: Handle,

    // Guest-visible volatile state. The line follows the interrupt status under this lock.
    state: Mutex<State>,
}

struct State {
    status: u8,
    cause: u32,
    configuration: u16,
    queues: [u16; QUEUE_COUNT],
    needs_reset: bool,
}

impl State {
    const fn new() -> Self {
        Self { status: 0, cause: 0, configuration: NO_VECTOR, queues: [NO_VECTOR; QUEUE_COUNT], needs_reset: false }
    }
}

impl Interrupts {
    /// Returns interrupts of a function, as after power-on.
    pub(super) const fn new(handle: Handle) -> Self {
        Self { handle, state: Mutex::new(State::new()) }
    }

    /// Returns to the state after power-on, and deasserts the line.
    pub(super) fn reset(&self) {
        let mut state = self.state.lock();
        *state = State::new();
        self.handle.set_line(false);
    }

    /// Interrupts for a queue. False when the driver has given it no vector.
    pub(super) fn raise(&self, queue: Queue) -> bool {
        let mut state = self.state.lock();
        state.cause |= 1_u32.checked_shl(queue.0.into()).unwrap_or(0);
        if !self.handle.uses_messages() {
            state.status |= ISR_QUEUE;
            self.handle.set_line(true);
            return true;
        }
        let vector = state.queues.get(queue.index()).copied().unwrap_or(NO_VECTOR);
        if vector != NO_VECTOR {
            self.handle.trigger(vector);
        }
        vector != NO_VECTOR
    }

    /// Returns whether the device status has `DEVICE_NEEDS_RESET`.
    pub(super) fn needs_reset(&self) -> bool {
        self.state.lock().needs_reset
    }

    /// Reads the interrupt status, which clears it and deasserts the line.
    pub(super) fn take_status(&self) -> u8 {
        let mut state = self.state.lock();
        let status = std::mem::take(&mut state.status);
        self.handle.set_line(false);
        status
    }

    /// Returns the queues that have interrupted, a bit each.
    pub(super) fn cause(&self) -> u32 {
        self.state.lock().cause
    }

    /// Clears bits of the cause.
    pub(super) fn clear_cause(&self, bits: u32) {
        self.state.lock().cause &= !bits;
    }

    /// Returns the vector of a queue, or of the configuration.
    pub(super) fn vector(&self, queue: Option<Queue>) -> u16 {
        let state = self.state.lock();
        queue.map_or(state.configuration, |queue| state.queues.get(queue.index()).copied().unwrap_or(NO_VECTOR))
    }

    /// Sets the vector of a queue, or of the configuration. False when there is no such vector: then it is none.
    pub(super) fn set_vector(&self, queue: Option<Queue>, vector: u16) -> bool {
        let exists = vector < VECTORS || vector == NO_VECTOR;
        let vector = if exists { vector } else { NO_VECTOR };
        let mut state = self.state.lock();
        match queue {
            Some(queue) => state.queues.iter_mut().skip(queue.index()).take(1).for_each(|place| *place = vector),
            None => state.configuration = vector,
        }
        exists
    }
}

impl ResetRequest for Interrupts {
    fn request_reset(&self) {
        let mut state = self.state.lock();
        state.needs_reset = true;
        if !self.handle.uses_messages() {
            state.status |= ISR_CONFIGURATION;
            self.handle.set_line(true);
        } else if state.configuration != NO_VECTOR {
            self.handle.trigger(state.configuration);
        }
    }
}
