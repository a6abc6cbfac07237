//! The control queue's client: one request at a time, waited for with a time-out.

use card_spec::control::{RequestCode, RequestHeader, ResponseHeader, Status};
use card_spec::limits;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::dma::Window;
use crate::exchange::{Exchange, Line, Unanswered};
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{DmaBuffer, Kernel};
use crate::lock::Gate;
use crate::ring::{Ring, RingAddresses, RingFault, Segment};

/// Descriptors of a chain: request and response.
pub const SHAPE: u16 = 2;

/// The queue.
pub const QUEUE: u16 = card_spec::queue::Queue::CONTROL.0;

/// Bytes of DMA memory for requests (first half) and responses (second half), but for downloads.
pub const BUFFER_BYTES: usize = 4096;

const HALF: usize = BUFFER_BYTES / 2;

/// How long the card may think about a request. The slowest is a download of [`limits::DOWNLOAD_BYTES_MAX`], which
/// takes some milliseconds.
const TIMEOUT_MILLISECONDS: u32 = 2000;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// The card did not answer in time. Until it does, it gets no other request.
    Timeout,
    /// The card broke the ring.
    Ring(RingFault),
    /// The answer is no answer: too short, another request's, or longer than it can be.
    BadAnswer,
    /// The request is larger than a request can be.
    TooLarge,
    /// There is no memory to send it from.
    NoMemory,
    /// The caller's memory cannot be read.
    Unreadable,
    /// The card refused.
    Refused(Status),
    /// The device is off.
    Off,
    /// The device is not there any more.
    Gone,
}

impl From<Unanswered> for ControlError {
    fn from(why: Unanswered) -> Self {
        match why {
            Unanswered::Late => Self::Timeout,
            Unanswered::Gone => Self::Gone,
            Unanswered::Ring(fault) => Self::Ring(fault),
        }
    }
}

/// A request's payload in memory of its own, which the card reads in place: for downloads.
pub struct Parcel<D> {
    memory: D,
    bytes: usize,
}

impl<D: DmaBuffer> Parcel<D> {
    /// Makes one of `bytes` bytes, which `fill` puts into it.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`], [`ControlError::NoMemory`]; [`ControlError::Unreadable`] when `fill` failed.
    pub fn new<K: Kernel<Dma = D>>(
        kernel: &K,
        level: Passive,
        bytes: usize,
        fill: impl FnOnce(&Window) -> bool,
    ) -> Result<Self, ControlError> {
        if bytes > limits::DOWNLOAD_BYTES_MAX as usize {
            return Err(ControlError::TooLarge);
        }
        let memory = kernel.allocate_dma(level, size_of::<RequestHeader>() + bytes).ok_or(ControlError::NoMemory)?;
        let parcel = Self { memory, bytes };
        if fill(&parcel.window().part(size_of::<RequestHeader>(), bytes)) {
            Ok(parcel)
        } else {
            Err(ControlError::Unreadable)
        }
    }

    /// Bytes of the payload.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The whole of its memory.
    #[allow(unsafe_code, reason = "the memory's life is what this file is about")]
    fn window(&self) -> Window {
        // SAFETY: the window is used while the parcel is borrowed, and by the device until it has returned the chain:
        // `transfer` tells whether it has, and its caller keeps the parcel if not.
        unsafe { Window::new(&self.memory) }
    }
}

/// What became of a parcel that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parcelled {
    /// The card has returned it.
    Returned,
    /// The card may still read it: it has to stay until [`Control::restart`] or the card's next answer.
    Lent,
}

/// What one request at a time needs.
struct Desk {
    buffer: Window,
    tag: u64,
}

/// The client.
pub struct Control<K: Kernel> {
    gate: Gate<K, Desk>,
    exchange: Exchange<K>,
    /// A download that was not answered in time: the card may still read it.
    parked: Gate<K, Option<Parcel<K::Dma>>>,
}

impl<K: Kernel> Control<K> {
    /// Makes the client on a ring and [`BUFFER_BYTES`] of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring, buffer: Window) -> Option<Self> {
        Some(Self {
            gate: Gate::new(kernel, level, Desk { buffer, tag: 0 })?,
            exchange: Exchange::new(kernel, level, ring)?,
            parked: Gate::new(kernel, level, None)?,
        })
    }

    /// Begins anew, after the device has been reset. Gives the ring's addresses.
    pub fn restart(&self, level: Passive) -> RingAddresses {
        self.gate.with(level, |_| {
            self.parked.with(level, |parked| drop(parked.take()));
            self.exchange.restart(level.into())
        })
    }

    /// How the card broke the ring, if it did.
    pub fn fault(&self, level: AtMostDispatch) -> Option<RingFault> {
        self.exchange.fault(level)
    }

    /// Looks for answers; from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) {
        self.exchange.service(level);
    }

    /// Asks; the answer has no payload.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn command<Q: IntoBytes + Immutable>(
        &self,
        level: Passive,
        line: &impl Line,
        code: RequestCode,
        request: &Q,
    ) -> Result<Status, ControlError> {
        self.request(level, line, code, request.as_bytes(), &mut [])
    }

    /// Asks; the answer's payload is an `A`. Gives the status too, which tells whether something was altered.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn query<Q: IntoBytes + Immutable, A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        line: &impl Line,
        code: RequestCode,
        request: &Q,
    ) -> Result<(Status, A), ControlError> {
        let mut answer = A::new_zeroed();
        let status = self.request(level, line, code, request.as_bytes(), answer.as_mut_bytes())?;
        Ok((status, answer))
    }

    fn request(
        &self,
        level: Passive,
        line: &impl Line,
        code: RequestCode,
        request: &[u8],
        answer: &mut [u8],
    ) -> Result<Status, ControlError> {
        if size_of::<RequestHeader>() + request.len() > HALF {
            return Err(ControlError::TooLarge);
        }
        self.gate.with(level, |desk| {
            self.settle(level)?;
            let outgoing = desk.buffer.part(0, HALF);
            outgoing.write_bytes(size_of::<RequestHeader>(), request);
            self.send(level, line, desk, &outgoing, code, request.len(), answer)
        })
    }

    /// Sends a parcel. The answer's payload is an `A`, whether the card refused or not.
    ///
    /// Whoever keeps the parcel must not drop it while it is [`Parcelled::Lent`]: [`park`](Self::park) takes it.
    ///
    /// # Errors
    /// [`ControlError`], and whose the parcel is now.
    pub fn transfer<A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        line: &impl Line,
        code: RequestCode,
        parcel: &Parcel<K::Dma>,
    ) -> Result<(Status, A), (ControlError, Parcelled)> {
        self.gate.with(level, |desk| {
            self.settle(level).map_err(|error| (error, Parcelled::Returned))?;
            let mut answer = A::new_zeroed();
            match self.send(level, line, desk, &parcel.window(), code, parcel.bytes, answer.as_mut_bytes()) {
                Ok(status) | Err(ControlError::Refused(status)) => Ok((status, answer)),
                Err(error @ (ControlError::Timeout | ControlError::Gone | ControlError::Ring(_))) => {
                    Err((error, Parcelled::Lent))
                }
                Err(error) => Err((error, Parcelled::Returned)),
            }
        })
    }

    /// Keeps a parcel that the card may still read until it cannot any more.
    pub fn park(&self, level: Passive, parcel: Parcel<K::Dma>) {
        self.parked.with(level, |parked| *parked = Some(parcel));
    }

    /// Takes back a request that was answered too late.
    fn settle(&self, level: Passive) -> Result<(), ControlError> {
        if self.exchange.settle(level.into())? {
            self.parked.with(level, |parked| drop(parked.take()));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, private to this file")]
    fn send(
        &self,
        level: Passive,
        line: &impl Line,
        desk: &mut Desk,
        outgoing: &Window,
        code: RequestCode,
        payload: usize,
        answer: &mut [u8],
    ) -> Result<Status, ControlError> {
        desk.tag += 1;
        let header = RequestHeader { code: code.0.into(), length: (payload as u32).into(), tag: desk.tag.into() };
        outgoing.write(0, &header);
        let incoming = desk.buffer.part(HALF, HALF);
        let chain = [
            Segment::readable(outgoing, size_of::<RequestHeader>() + payload),
            Segment::writable(&incoming, size_of::<ResponseHeader>() + answer.len()),
        ];

        let written = self.exchange.ask(level, line, &chain, TIMEOUT_MILLISECONDS)?;

        if written < size_of::<ResponseHeader>() {
            return Err(ControlError::BadAnswer);
        }
        let header: ResponseHeader = incoming.read(0);
        let length = header.length.get() as usize;
        if header.tag.get() != desk.tag || length > written.saturating_sub(size_of::<ResponseHeader>()) {
            return Err(ControlError::BadAnswer);
        }
        let status = Status(header.status.get());
        let accepted = matches!(status, Status::OK | Status::ALTERED | Status::PENDING);
        if length == answer.len() {
            incoming.read_bytes(size_of::<ResponseHeader>(), answer);
        } else if accepted {
            return Err(ControlError::BadAnswer);
        }
        if accepted { Ok(status) } else { Err(ControlError::Refused(status)) }
    }
}
