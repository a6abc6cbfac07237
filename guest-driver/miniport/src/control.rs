//! The control queue: requests of the driver, one at a time, each waited for with a time-out.

use card_spec::control::{RequestCode, RequestHeader, ResponseHeader, Status};
use card_spec::limits;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::dma::Window;
use crate::doorbell::Doorbell;
use crate::exchange::{Exchange, ExchangeError};
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{DmaBuffer, Kernel};
use crate::lock::Gate;
use crate::log::Reason;
use crate::ring::{Ring, RingAddresses, RingFault, Segment, Served};

/// Descriptors of a chain: request and response.
pub const SHAPE: u16 = 2;

/// The queue's number.
pub const QUEUE: u16 = card_spec::queue::Queue::CONTROL.0;

/// Bytes of common buffer for requests (first half) and responses (second half). Downloads have buffers of their own.
pub const BUFFER_BYTES: usize = 4096;

const HALF: usize = BUFFER_BYTES / 2;

/// How long the card may take for a request, in milliseconds. The slowest is a download of
/// [`limits::DOWNLOAD_BYTES_MAX`], which takes some milliseconds.
const TIMEOUT_MILLISECONDS: u32 = 2000;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// The card did not answer in time. Until it does, it gets no other request.
    Timeout,
    /// The card broke the ring.
    Ring(RingFault),
    /// The response is too short, another request's, or longer than it can be.
    BadAnswer,
    /// The request does not fit the buffer, or a download exceeds [`limits::DOWNLOAD_BYTES_MAX`].
    TooLarge,
    /// There is no memory for the request's payload.
    NoMemory,
    /// The caller's memory cannot be read.
    Unreadable,
    /// The card refused the request with this status.
    Refused(Status),
    /// The device has no power.
    Off,
    /// The device was removed.
    Gone,
}

impl From<ExchangeError> for ControlError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Timeout => Self::Timeout,
            ExchangeError::Gone => Self::Gone,
            ExchangeError::Ring(fault) => Self::Ring(fault),
        }
    }
}

impl From<ControlError> for Reason {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Timeout => Reason::plain("it does not answer in time"),
            ControlError::Ring(fault) => fault.into(),
            ControlError::BadAnswer => Reason::plain("its answer makes no sense"),
            ControlError::TooLarge => Reason::plain("the request is too large"),
            ControlError::NoMemory => Reason::plain("there is no memory"),
            ControlError::Unreadable => Reason::plain("the caller's memory cannot be read"),
            ControlError::Refused(status) => match status.name() {
                Some(name) => Reason::with(name, status.0.into()),
                None => Reason::with("it refuses", status.0.into()),
            },
            ControlError::Off => Reason::plain("it has no power"),
            ControlError::Gone => Reason::plain("it is not there any more"),
        }
    }
}

/// A download's data in a common buffer of its own, which the card reads in place.
pub struct PayloadBuffer<D> {
    memory: D,
    bytes: usize,
}

impl<D: DmaBuffer> PayloadBuffer<D> {
    /// Allocates a buffer for `bytes` bytes and has `fill` write them.
    ///
    /// # Errors
    /// [`ControlError::TooLarge`] beyond [`limits::DOWNLOAD_BYTES_MAX`]; [`ControlError::NoMemory`] when there is no
    /// common buffer; [`ControlError::Unreadable`] when `fill` returned false.
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
        let payload = Self { memory, bytes };
        if fill(&payload.window().part(size_of::<RequestHeader>(), bytes)) {
            Ok(payload)
        } else {
            Err(ControlError::Unreadable)
        }
    }

    /// Returns the number of bytes of the payload.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the whole of the memory: a request header, then the payload.
    #[allow(unsafe_code, reason = "the memory's life is what this file is about")]
    fn window(&self) -> Window {
        // SAFETY: the window is used while the buffer is borrowed, and by the device until it has returned the chain:
        // `transfer` returns whether it has, and its caller keeps the buffer if not.
        unsafe { Window::new(&self.memory) }
    }
}

/// Who may use a payload buffer after it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadOwner {
    /// The card has returned it.
    Driver,
    /// The card may still read it: it has to stay until [`Control::restart`] or the card's next response.
    Card,
}

/// A request's payload.
enum Payload<'a> {
    /// To be copied behind the request header.
    Copied(&'a [u8]),
    /// So many bytes that are there already.
    InPlace(usize),
}

/// The memory for the one request in flight.
struct RequestSlot {
    buffer: Window,
    tag: u64,
}

/// The control queue.
pub struct Control<K: Kernel> {
    slot: Gate<K, RequestSlot>,
    exchange: Exchange<K>,
    /// A download that was not answered in time: the card may still read it.
    retained: Gate<K, Option<PayloadBuffer<K::Dma>>>,
}

impl<K: Kernel> Control<K> {
    /// Makes the queue on a ring and [`BUFFER_BYTES`] of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring, buffer: Window) -> Option<Self> {
        Some(Self {
            slot: Gate::new(kernel, level, RequestSlot { buffer, tag: 0 })?,
            exchange: Exchange::new(kernel, level, QUEUE, ring)?,
            retained: Gate::new(kernel, level, None)?,
        })
    }

    /// Empties the ring after the device has been reset. Returns the ring's addresses.
    pub fn restart(&self, level: Passive) -> RingAddresses {
        self.slot.with(level, |_| {
            self.release_retained(level);
            self.exchange.restart(level.into())
        })
    }

    /// Takes responses. Called from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) -> Served {
        self.exchange.service(level)
    }

    /// Sends a request whose response has no payload. Returns the response's status.
    ///
    /// # Errors
    /// Every [`ControlError`] but [`ControlError::NoMemory`], [`ControlError::Unreadable`] and [`ControlError::Off`].
    pub fn command<Q: IntoBytes + Immutable>(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        code: RequestCode,
        request: &Q,
    ) -> Result<Status, ControlError> {
        self.request(level, doorbell, code, request.as_bytes(), &mut [])
    }

    /// Sends a request whose response's payload is an `A`. Returns the status too: it says whether the card altered
    /// something.
    ///
    /// # Errors
    /// As for [`command`](Self::command); [`ControlError::BadAnswer`] also when the payload has another length.
    pub fn query<Q: IntoBytes + Immutable, A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        code: RequestCode,
        request: &Q,
    ) -> Result<(Status, A), ControlError> {
        let mut answer = A::new_zeroed();
        let status = self.request(level, doorbell, code, request.as_bytes(), answer.as_mut_bytes())?;
        Ok((status, answer))
    }

    fn request(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        code: RequestCode,
        request: &[u8],
        answer: &mut [u8],
    ) -> Result<Status, ControlError> {
        if size_of::<RequestHeader>() + request.len() > HALF {
            return Err(ControlError::TooLarge);
        }
        self.slot.with(level, |slot| {
            let outgoing = slot.buffer.part(0, HALF);
            self.send(level, doorbell, slot, &outgoing, code, Payload::Copied(request), answer)
        })
    }

    /// Sends a payload buffer. The response's payload is an `A`, whether the card accepted the request or refused it.
    ///
    /// The caller must not drop the buffer while it is [`PayloadOwner::Card`]'s: [`retain`](Self::retain) takes it.
    ///
    /// # Errors
    /// As for [`command`](Self::command), but for [`ControlError::Refused`]; and who may use the buffer now.
    pub fn transfer<A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        code: RequestCode,
        payload: &PayloadBuffer<K::Dma>,
    ) -> Result<(Status, A), (ControlError, PayloadOwner)> {
        self.slot.with(level, |slot| {
            let mut answer = A::new_zeroed();
            let tag = slot.tag;
            let in_place = Payload::InPlace(payload.bytes);
            match self.send(level, doorbell, slot, &payload.window(), code, in_place, answer.as_mut_bytes()) {
                Ok(status) | Err(ControlError::Refused(status)) => Ok((status, answer)),
                Err(error @ (ControlError::Timeout | ControlError::Gone | ControlError::Ring(_)))
                    if slot.tag != tag =>
                {
                    Err((error, PayloadOwner::Card))
                }
                Err(error) => Err((error, PayloadOwner::Driver)),
            }
        })
    }

    /// Keeps a payload buffer that the card may still read for as long as it may.
    pub fn retain(&self, level: Passive, payload: PayloadBuffer<K::Dma>) {
        self.retained.with(level, |retained| *retained = Some(payload));
    }

    fn release_retained(&self, level: Passive) {
        self.retained.with(level, |retained| drop(retained.take()));
    }

    /// Sends a request from `outgoing`. Its tag is taken when the card gets the chain, and not before.
    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, private to this file")]
    fn send(
        &self,
        level: Passive,
        doorbell: &impl Doorbell,
        slot: &mut RequestSlot,
        outgoing: &Window,
        code: RequestCode,
        payload: Payload<'_>,
        answer: &mut [u8],
    ) -> Result<Status, ControlError> {
        let incoming = slot.buffer.part(HALF, HALF);
        let written = self.exchange.submit_and_wait(level, doorbell, TIMEOUT_MILLISECONDS, |late_came_back| {
            if late_came_back {
                self.release_retained(level);
            }
            let bytes = match payload {
                Payload::Copied(payload) => {
                    outgoing.write_bytes(size_of::<RequestHeader>(), payload);
                    payload.len()
                }
                Payload::InPlace(bytes) => bytes,
            };
            slot.tag += 1;
            let header = RequestHeader { code: code.0.into(), length: (bytes as u32).into(), tag: slot.tag.into() };
            outgoing.write(0, &header);
            [
                Segment::readable(outgoing, size_of::<RequestHeader>() + bytes),
                Segment::writable(&incoming, size_of::<ResponseHeader>() + answer.len()),
            ]
        })?;
        if written < size_of::<ResponseHeader>() {
            return Err(ControlError::BadAnswer);
        }
        let header: ResponseHeader = incoming.read(0);
        let length = header.length.get() as usize;
        if header.tag.get() != slot.tag || length > written.saturating_sub(size_of::<ResponseHeader>()) {
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
