//! The wave queue: PCM that the card renders into the driver's common buffer, one request at a time.

use card_spec::limits::WAVE_BUFFER_BYTES_MAX;
use card_spec::wave::{WaveHeader, WaveRequest, WaveStatus};
use zerocopy::FromZeros;

use crate::dma::Window;
use crate::doorbell::Doorbell;
use crate::exchange::{Exchange, ExchangeError};
use crate::format::PcmFormat;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::Kernel;
use crate::lock::Gate;
use crate::log::Reason;
use crate::ring::{Ring, RingAddresses, RingFault, Segment, Served};

/// Descriptors of a chain: request, header, pages.
pub const SHAPE: u16 = 3;

/// The queue's number.
pub const QUEUE: u16 = card_spec::queue::Queue::WAVE.0;

/// Bytes of PCM in one request: a sixth of a second of 16-bit stereo at 96 kHz, and eight times the usual pull of
/// 20 ms at 48 kHz.
pub const PCM_BYTES: usize = 64 * 1024;

const _: () = assert!(PCM_BYTES <= WAVE_BUFFER_BYTES_MAX as usize);

/// Bytes of common buffer for the queue: a page for request and header, and the PCM.
pub const BUFFER_BYTES: usize = 4096 + PCM_BYTES;

const HEADER_AT: usize = 64;
const PCM_AT: usize = 4096;

/// How much longer than its frames last a request may take, in milliseconds. In real time a buffer comes back when its
/// last frame is due.
const MARGIN_MILLISECONDS: u32 = 1000;

/// The result of a wave request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendered {
    /// The card rendered all frames.
    Frames {
        /// The sample clock at the first frame.
        position: u64,
        /// An underrun lost frames before this one.
        after_underrun: bool,
    },
    /// The stream does not run; the buffer is silence.
    Flushed,
    /// The card refused the request; the buffer is silence.
    Refused,
    /// The card did not answer in time; the buffer is silence.
    Timeout,
    /// The card was removed; the buffer is silence.
    Gone,
    /// The card broke the ring; the buffer is silence.
    Ring(RingFault),
    /// The card's answer has a wrong length, frame count or status; the buffer is silence.
    BadAnswer,
}

impl From<ExchangeError> for Rendered {
    fn from(why: ExchangeError) -> Self {
        match why {
            ExchangeError::Timeout => Self::Timeout,
            ExchangeError::Gone => Self::Gone,
            ExchangeError::Ring(fault) => Self::Ring(fault),
        }
    }
}

impl From<Rendered> for Reason {
    fn from(rendered: Rendered) -> Self {
        match rendered {
            Rendered::Frames { position, .. } => Reason::with("frames were lost before this one", position),
            Rendered::Flushed => Reason::plain("silence, for the stream does not run"),
            Rendered::Refused => Reason::plain("silence, for the card refuses"),
            Rendered::Timeout => Reason::plain("silence, for the card does not answer in time"),
            Rendered::Gone => Reason::plain("silence, for the card is not there any more"),
            Rendered::Ring(fault) => fault.into(),
            Rendered::BadAnswer => Reason::plain("silence, for the card's answer makes no sense"),
        }
    }
}

/// The wave queue.
pub struct Wave<K: Kernel> {
    buffer: Gate<K, Window>,
    exchange: Exchange<K>,
}

impl<K: Kernel> Wave<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring, buffer: Window) -> Option<Self> {
        Some(Self { buffer: Gate::new(kernel, level, buffer)?, exchange: Exchange::new(kernel, level, QUEUE, ring)? })
    }

    /// Empties the ring after the device has been reset. Returns the ring's addresses.
    pub fn restart(&self, level: Passive) -> RingAddresses {
        self.buffer.with(level, |_| self.exchange.restart(level.into()))
    }

    /// Takes returned buffers. Called from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) -> Served {
        self.exchange.service(level)
    }

    /// Has the card render into `pcm`, which holds whole frames and at most [`PCM_BYTES`]. Fills it with silence unless
    /// all frames came.
    pub fn render(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        stream: u32,
        format: PcmFormat,
        pcm: &mut [u8],
    ) -> Rendered {
        let frames = format.frames(pcm.len());
        let milliseconds = format.milliseconds(frames).saturating_add(MARGIN_MILLISECONDS);
        let rendered = self.buffer.with(level, |buffer| {
            let request = WaveRequest { stream: stream.into(), frames: frames.into() };
            let rendered = match self.request(level, doorbell, buffer, &request, pcm.len(), milliseconds) {
                Ok(rendered) => rendered,
                Err(error) => error.into(),
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

    fn request(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        buffer: &Window,
        request: &WaveRequest,
        bytes: usize,
        milliseconds: u32,
    ) -> Result<Rendered, ExchangeError> {
        let outgoing = buffer.part(0, size_of::<WaveRequest>());
        let header = buffer.part(HEADER_AT, size_of::<WaveHeader>());
        let pages = buffer.part(PCM_AT, PCM_BYTES);
        let written = self.exchange.submit_and_wait(level, doorbell, milliseconds, |_| {
            outgoing.write(0, request);
            // What a card leaves there that writes elsewhere is no answer: it has no frames.
            header.write(0, &WaveHeader::new_zeroed());
            [
                Segment::readable(&outgoing, size_of::<WaveRequest>()),
                Segment::writable(&header, size_of::<WaveHeader>()),
                Segment::writable(&pages, bytes),
            ]
        })?;
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
