//! The wave stream: PCM that the card renders into a buffer of the driver's, one request at a time.

use card_spec::limits::WAVE_BUFFER_BYTES_MAX;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};

use crate::dma::Window;
use crate::exchange::{Exchange, Line, Unanswered};
use crate::format::PcmFormat;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::lock::Gate;
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
    /// The card is not there any more: silence.
    Gone,
    /// The card broke the ring: silence.
    Ring(RingFault),
    /// The card's answer makes no sense: silence.
    BadAnswer,
}

impl From<Unanswered> for Rendered {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Late => Self::Timeout,
            Unanswered::Gone => Self::Gone,
            Unanswered::Ring(fault) => Self::Ring(fault),
        }
    }
}

/// The queue.
pub struct Wave<K: Kernel> {
    buffer: Gate<K, Window>,
    exchange: Exchange<K>,
}

impl<K: Kernel> Wave<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring, buffer: Window) -> Option<Self> {
        Some(Self { buffer: Gate::new(kernel, level, buffer)?, exchange: Exchange::new(kernel, level, ring)? })
    }

    /// Begins anew, after the device has been reset. Gives the ring's addresses.
    pub fn restart(&self, level: Passive) -> RingAddresses {
        self.buffer.with(level, |_| self.exchange.restart(level.into()))
    }

    /// How the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.exchange.fault(level)
    }

    /// Looks for returned buffers; from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) {
        self.exchange.service(level);
    }

    /// Has the card render into `pcm`, which holds whole frames and at most [`PCM_BYTES`]. Unless all frames came, it
    /// is filled with silence.
    pub fn render(&self, level: Passive, line: &impl Line, stream: u32, format: PcmFormat, pcm: &mut [u8]) -> Rendered {
        let frames = format.frames(pcm.len());
        let milliseconds = format.milliseconds(frames).saturating_add(MARGIN_MILLISECONDS);
        let rendered = self.buffer.with(level, |buffer| {
            let request = WaveRequest { stream: stream.into(), frames: frames.into() };
            let rendered = match self.ask(level, line, buffer, &request, pcm.len(), milliseconds) {
                Ok(rendered) => rendered,
                Err(why) => why.into(),
            };
            if matches!(rendered, Rendered::Frames { .. }) {
                buffer.read_bytes(PCM_AT, pcm);
            }
            rendered
        });
        if !matches!(rendered, Rendered::Frames { .. }) {
            pcm.fill(0);
        }
        rendered
    }

    fn ask(
        &self,
        level: Passive,
        line: &impl Line,
        buffer: &Window,
        request: &WaveRequest,
        bytes: usize,
        milliseconds: u32,
    ) -> Result<Rendered, Unanswered> {
        self.exchange.settle(level.into())?;
        let outgoing = buffer.part(0, size_of::<WaveRequest>());
        let header = buffer.part(HEADER_AT, size_of::<WaveHeader>());
        let pages = buffer.part(PCM_AT, PCM_BYTES);
        outgoing.write(0, request);
        let chain = [
            Segment::readable(&outgoing, size_of::<WaveRequest>()),
            Segment::writable(&header, size_of::<WaveHeader>()),
            Segment::writable(&pages, bytes),
        ];
        let written = self.exchange.ask(level, line, &chain, milliseconds)?;
        if written < size_of::<WaveHeader>() {
            return Ok(Rendered::BadAnswer);
        }
        let answer: WaveHeader = header.read(0);
        let complete = answer.frames == request.frames && written == size_of::<WaveHeader>() + bytes;
        Ok(match WaveStatus(answer.status.get()) {
            status @ (WaveStatus::OK | WaveStatus::AFTER_UNDERRUN) if complete => Rendered::Frames {
                position: answer.position.get(),
                after_underrun: status == WaveStatus::AFTER_UNDERRUN,
            },
            WaveStatus::FLUSHED => Rendered::Flushed,
            WaveStatus::REFUSED => Rendered::Refused,
            _ => Rendered::BadAnswer,
        })
    }
}
