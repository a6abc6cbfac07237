//! The wave stream: PCM that the card renders into a buffer of the driver's, one request at a time.

use card_spec::limits::WAVE_BUFFER_BYTES_MAX;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};

use crate::dma::Window;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{Kernel, Signal};
use crate::lock::{Gate, Spin};
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// Descriptors of a chain: request, header, pages.
pub const SHAPE: u16 = 3;

/// The queue.
pub const QUEUE: u16 = card_spec::queue::Queue::WAVE.0;

/// Bytes of PCM asked for at once: a sixth of a second of 16-bit stereo at 96 kHz, and eight times the usual pull of
/// 20 ms at 48 kHz.
pub const PCM_BYTES: usize = 64 * 1024;

const _: () = assert!(PCM_BYTES <= WAVE_BUFFER_BYTES_MAX as usize);

/// Bytes of DMA memory: a page for request and header, and the PCM.
pub const BUFFER_BYTES: usize = 4096 + PCM_BYTES;

const HEADER_AT: usize = 64;
const PCM_AT: usize = 4096;

/// How much longer than the frames last the card may take. In real time a buffer comes back when its last frame is due.
const MARGIN_MILLISECONDS: u32 = 1000;

/// How long one wait is before the ring is looked at without an interrupt.
const SLICE_MILLISECONDS: u32 = 20;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// All frames are there; the first is the sample clock's `position`.
    Frames {
        /// The sample clock at the first frame.
        position: u64,
        /// Frames were lost before it.
        after_underrun: bool,
    },
    /// The stream does not run: silence.
    Flushed,
    /// The card refused the request: silence.
    Refused,
    /// The card did not answer in time: silence.
    Timeout,
    /// The card broke the ring: silence.
    Ring(RingFault),
    /// The card's answer makes no sense: silence.
    BadAnswer,
}

struct Exchange {
    buffer: Window,
    /// A request that was not answered in time is still the card's.
    stuck: bool,
}

/// The queue.
pub struct Wave<K: Kernel> {
    gate: Gate<K, Exchange>,
    ring: Spin<K, Ring>,
    signal: K::Signal,
}

impl<K: Kernel> Wave<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring, buffer: Window) -> Option<Self> {
        Some(Self {
            gate: Gate::new(kernel, level, Exchange { buffer, stuck: false })?,
            ring: Spin::new(kernel, ring),
            signal: kernel.signal(level)?,
        })
    }

    /// Begins anew, after the device has been reset. Gives the ring's addresses.
    pub fn restart(&self, level: Passive) -> RingAddresses {
        self.gate.with(level, |exchange| {
            exchange.stuck = false;
            self.ring.with(level.into(), |ring| {
                ring.restart();
                ring.addresses()
            })
        })
    }

    /// Looks for returned buffers; from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) {
        if self.ring.with(level, |ring| ring.in_flight() != 0 && ring.want_interrupts(true)) {
            self.signal.set(level);
        }
    }

    /// Has the card render into `pcm`, which holds whole frames and at most [`PCM_BYTES`]. Unless all frames came, it
    /// is filled with silence.
    pub fn render(
        &self,
        level: Passive,
        kick: &dyn Fn(),
        stream: u32,
        frame_bytes: usize,
        sample_rate: u32,
        pcm: &mut [u8],
    ) -> Rendered {
        let frames = (pcm.len() / frame_bytes) as u32;
        let milliseconds = (u64::from(frames) * 1000 / u64::from(sample_rate)) as u32 + MARGIN_MILLISECONDS;
        let rendered = self.gate.with(level, |exchange| {
            let rendered = self.exchange(level, kick, exchange, stream, frames, pcm.len(), milliseconds);
            if matches!(rendered, Rendered::Frames { .. }) {
                exchange.buffer.read_bytes(PCM_AT, pcm);
            }
            rendered
        });
        if !matches!(rendered, Rendered::Frames { .. }) {
            pcm.fill(0);
        }
        rendered
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, private to this file")]
    fn exchange(
        &self,
        level: Passive,
        kick: &dyn Fn(),
        exchange: &mut Exchange,
        stream: u32,
        frames: u32,
        bytes: usize,
        milliseconds: u32,
    ) -> Rendered {
        if exchange.stuck {
            if self.ring.with(level.into(), |ring| ring.reap()).is_none() {
                return Rendered::Timeout;
            }
            exchange.stuck = false;
        }
        let request = exchange.buffer.part(0, size_of::<WaveRequest>());
        let header = exchange.buffer.part(HEADER_AT, size_of::<WaveHeader>());
        let pages = exchange.buffer.part(PCM_AT, PCM_BYTES);
        request.write(0, &WaveRequest { stream: stream.into(), frames: frames.into() });

        let chain = [
            Segment::readable(&request, size_of::<WaveRequest>()),
            Segment::writable(&header, size_of::<WaveHeader>()),
            Segment::writable(&pages, bytes),
        ];
        self.signal.clear(level.into());
        let wants_kick = self.ring.with(level.into(), |ring| {
            ring.want_interrupts(true);
            ring.submit(0, &chain);
            ring.needs_kick()
        });
        if wants_kick {
            kick();
        }
        let mut waited = 0;
        let written = loop {
            let (returned, fault) = self.ring.with(level.into(), |ring| (ring.reap(), ring.fault()));
            if let Some(fault) = fault {
                return Rendered::Ring(fault);
            }
            if let Some(returned) = returned {
                break returned.written as usize;
            }
            if waited >= milliseconds {
                exchange.stuck = true;
                return Rendered::Timeout;
            }
            if !self.signal.wait(level, SLICE_MILLISECONDS) {
                waited += SLICE_MILLISECONDS;
            }
        };

        if written < size_of::<WaveHeader>() {
            return Rendered::BadAnswer;
        }
        let answer: WaveHeader = header.read(0);
        let complete = answer.frames.get() == frames && written == size_of::<WaveHeader>() + bytes;
        match WaveStatus(answer.status.get()) {
            status @ (WaveStatus::OK | WaveStatus::AFTER_UNDERRUN) if complete => Rendered::Frames {
                position: answer.position.get(),
                after_underrun: status == WaveStatus::AFTER_UNDERRUN,
            },
            WaveStatus::FLUSHED => Rendered::Flushed,
            WaveStatus::REFUSED => Rendered::Refused,
            _ => Rendered::BadAnswer,
        }
    }
}
