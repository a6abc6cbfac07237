//! The control queue's client: one request at a time, waited for with a time-out.

use card_spec::control::{RequestCode, RequestHeader, ResponseHeader, Status};
use card_spec::limits;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::dma::Window;
use crate::irql::{AtMostDispatch, Passive};
use crate::kernel::{DmaBuffer, Kernel, Signal};
use crate::lock::{Gate, Spin};
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

/// How long one wait is before the ring is looked at without an interrupt: so a lost interrupt costs time, not the
/// session.
const SLICE_MILLISECONDS: u32 = 20;

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
struct Exchange {
    buffer: Window,
    tag: u64,
    /// A request that was not answered in time is still the card's.
    stuck: bool,
}

/// The client.
pub struct Control<K: Kernel> {
    gate: Gate<K, Exchange>,
    ring: Spin<K, Ring>,
    signal: K::Signal,
    /// A download that was not answered in time: the card may still read it.
    parked: Gate<K, Option<Parcel<K::Dma>>>,
}

impl<K: Kernel> Control<K> {
    /// Makes the client on a ring and [`BUFFER_BYTES`] of memory. `None`: no memory.
    pub fn new(kernel: &K, level: Passive, ring: Ring, buffer: Window) -> Option<Self> {
        Some(Self {
            gate: Gate::new(kernel, level, Exchange { buffer, tag: 0, stuck: false })?,
            ring: Spin::new(kernel, ring),
            signal: kernel.signal(level)?,
            parked: Gate::new(kernel, level, None)?,
        })
    }

    /// Begins anew, after the device has been reset. Gives the ring's addresses.
    pub fn restart(&self, level: Passive) -> RingAddresses {
        self.gate.with(level, |exchange| {
            exchange.stuck = false;
            self.parked.with(level, |parked| drop(parked.take()));
            self.ring.with(level.into(), |ring| {
                ring.restart();
                ring.addresses()
            })
        })
    }

    /// Looks for answers; from the deferred procedure call.
    pub fn service(&self, level: AtMostDispatch) {
        if self.ring.with(level, |ring| ring.in_flight() != 0 && ring.want_interrupts(true)) {
            self.signal.set(level);
        }
    }

    /// Asks; the answer has no payload.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn command<Q: IntoBytes + Immutable>(
        &self,
        level: Passive,
        kick: &dyn Fn(),
        code: RequestCode,
        request: &Q,
    ) -> Result<Status, ControlError> {
        self.exchange(level, kick, code, request.as_bytes(), &mut [])
    }

    /// Asks; the answer's payload is an `A`. Gives the status too, which tells whether something was altered.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn query<Q: IntoBytes + Immutable, A: FromBytes + IntoBytes>(
        &self,
        level: Passive,
        kick: &dyn Fn(),
        code: RequestCode,
        request: &Q,
    ) -> Result<(Status, A), ControlError> {
        let mut answer = A::new_zeroed();
        let status = self.exchange(level, kick, code, request.as_bytes(), answer.as_mut_bytes())?;
        Ok((status, answer))
    }

    fn exchange(
        &self,
        level: Passive,
        kick: &dyn Fn(),
        code: RequestCode,
        request: &[u8],
        answer: &mut [u8],
    ) -> Result<Status, ControlError> {
        if size_of::<RequestHeader>() + request.len() > HALF {
            return Err(ControlError::TooLarge);
        }
        self.gate.with(level, |exchange| {
            self.settle(level, exchange)?;
            let outgoing = exchange.buffer.part(0, HALF);
            outgoing.write_bytes(size_of::<RequestHeader>(), request);
            self.send(level, kick, exchange, &outgoing, code, request.len(), answer)
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
        kick: &dyn Fn(),
        code: RequestCode,
        parcel: &Parcel<K::Dma>,
    ) -> Result<(Status, A), (ControlError, Parcelled)> {
        self.gate.with(level, |exchange| {
            self.settle(level, exchange).map_err(|error| (error, Parcelled::Returned))?;
            let mut answer = A::new_zeroed();
            match self.send(level, kick, exchange, &parcel.window(), code, parcel.bytes, answer.as_mut_bytes()) {
                Ok(status) | Err(ControlError::Refused(status)) => Ok((status, answer)),
                Err(error @ (ControlError::Timeout | ControlError::Ring(_))) => Err((error, Parcelled::Lent)),
                Err(error) => Err((error, Parcelled::Returned)),
            }
        })
    }

    /// Keeps a parcel that the card may still read until it cannot any more.
    pub fn park(&self, level: Passive, parcel: Parcel<K::Dma>) {
        self.parked.with(level, |parked| *parked = Some(parcel));
    }

    /// Takes back a request that was answered too late.
    fn settle(&self, level: Passive, exchange: &mut Exchange) -> Result<(), ControlError> {
        if exchange.stuck {
            let (returned, fault) = self.ring.with(level.into(), |ring| (ring.reap().is_some(), ring.fault()));
            if let Some(fault) = fault {
                return Err(ControlError::Ring(fault));
            }
            if !returned {
                return Err(ControlError::Timeout);
            }
            exchange.stuck = false;
            self.parked.with(level, |parked| drop(parked.take()));
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one exchange, private to this file")]
    fn send(
        &self,
        level: Passive,
        kick: &dyn Fn(),
        exchange: &mut Exchange,
        outgoing: &Window,
        code: RequestCode,
        payload: usize,
        answer: &mut [u8],
    ) -> Result<Status, ControlError> {
        exchange.tag += 1;
        let header = RequestHeader { code: code.0.into(), length: (payload as u32).into(), tag: exchange.tag.into() };
        outgoing.write(0, &header);
        let incoming = exchange.buffer.part(HALF, HALF);
        let chain = [
            Segment::readable(outgoing, size_of::<RequestHeader>() + payload),
            Segment::writable(&incoming, size_of::<ResponseHeader>() + answer.len()),
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
                return Err(ControlError::Ring(fault));
            }
            if let Some(returned) = returned {
                break returned.written as usize;
            }
            if waited >= TIMEOUT_MILLISECONDS {
                exchange.stuck = true;
                return Err(ControlError::Timeout);
            }
            if !self.signal.wait(level, SLICE_MILLISECONDS) {
                waited += SLICE_MILLISECONDS;
            }
        };

        if written < size_of::<ResponseHeader>() {
            return Err(ControlError::BadAnswer);
        }
        let header: ResponseHeader = incoming.read(0);
        let length = header.length.get() as usize;
        if header.tag.get() != exchange.tag || length > written - size_of::<ResponseHeader>() {
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
