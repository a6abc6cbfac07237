//! The card's queues and status page, in one common buffer.

use card_spec::queue::{QUEUE_COUNT, Queue};

use super::error::CardError;
use crate::control::{self, Control};
use crate::dma::Window;
use crate::event_queue::{self, EventQueue};
use crate::irql::Passive;
use crate::kernel::{DmaBuffer, Kernel};
use crate::midi_in::{self, MidiIn};
use crate::midi_out::{self, MidiOut};
use crate::ring::{RING_BYTES, Ring};
use crate::transport::Transport;
use crate::wave::{self, Wave};

/// Descriptors of a chain of each queue.
const SHAPES: [u16; QUEUE_COUNT] = [control::SHAPE, midi_out::SHAPE, midi_in::SHAPE, wave::SHAPE, event_queue::SHAPE];

/// The queues of a started card.
pub(super) struct Queues<K: Kernel> {
    pub(super) control: Control<K>,
    pub(super) midi_out: MidiOut<K>,
    pub(super) midi_in: MidiIn<K>,
    pub(super) wave: Wave<K>,
    pub(super) event_queue: EventQueue<K>,
    pub(super) status_page: Window,
    /// The size of each ring, in descriptors.
    pub(super) sizes: [u16; QUEUE_COUNT],
    /// The common buffer of everything above; dropped after the card has been reset.
    _memory: K::Dma,
}

impl<K: Kernel> Queues<K> {
    /// Allocates the common buffer, makes each queue on its part, and enables it.
    pub(super) fn new(kernel: &K, level: Passive, transport: &Transport<K>) -> Result<Self, CardError> {
        let mut sizes = [0; QUEUE_COUNT];
        for queue in Queue::ALL {
            sizes[queue.index()] = transport.queue_size(queue.0, SHAPES[queue.index()])?;
        }
        let batches = midi_out::BATCH_BYTES * usize::from(sizes[Queue::MIDI_OUT.index()]);
        let parts = [
            RING_BYTES * QUEUE_COUNT,
            control::BUFFER_BYTES,
            batches.next_multiple_of(4096),
            midi_in::BUFFER_BYTES,
            wave::BUFFER_BYTES,
            event_queue::BUFFER_BYTES,
            4096,
        ];
        let memory = kernel.allocate_dma(level, parts.iter().sum()).ok_or(CardError::NoMemory)?;
        if memory.len() < parts.iter().sum() {
            return Err(CardError::NoMemory);
        }
        #[allow(unsafe_code, reason = "the one place where the card's memory is divided")]
        // SAFETY: the card keeps the memory until it is dropped, and every window with it.
        let whole = unsafe { Window::new(&memory) };
        let mut at = 0;
        let [rings, control_buffer, batch_buffer, capture_buffer, wave_buffer, notice_buffer, status_page] =
            parts.map(|bytes| {
                at += bytes;
                whole.part(at - bytes, bytes)
            });

        let event_idx = transport.event_idx();
        let make = |queue: Queue| {
            let index = queue.index();
            let memory = rings.part(RING_BYTES * index, RING_BYTES);
            let ring = Ring::new(memory, sizes[index], SHAPES[index], event_idx).ok_or(CardError::NoMemory)?;
            transport.enable_queue(queue.0, sizes[index], ring.addresses())?;
            Ok::<_, CardError>(ring)
        };
        // `let .. else`, and not `ok_or(..)?`: a kernel stack has no room for more copies of the queues.
        let Some(control) = Control::new(kernel, level, make(Queue::CONTROL)?, control_buffer) else {
            return Err(CardError::NoMemory);
        };
        let Some(midi_out) = MidiOut::new(kernel, level, make(Queue::MIDI_OUT)?, batch_buffer) else {
            return Err(CardError::NoMemory);
        };
        let midi_in = MidiIn::new(kernel, make(Queue::MIDI_IN)?, capture_buffer);
        let Some(wave) = Wave::new(kernel, level, make(Queue::WAVE)?, wave_buffer) else {
            return Err(CardError::NoMemory);
        };
        let event_queue = EventQueue::new(kernel, make(Queue::EVENT)?, notice_buffer);
        Ok(Self { control, midi_out, midi_in, wave, event_queue, status_page, sizes, _memory: memory })
    }
}
