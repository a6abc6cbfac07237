//! The private connection to a back-end.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use vhost::vhost_user::message::{FrontendReq, VhostUserProtocolFeatures, VhostUserVringState};
use vm_memory::ByteValued;

use crate::limits::RINGS_MAX;
use crate::loss::Loss;
use crate::offer::{OWN, Offer, PROTOCOL_FEATURES};
use crate::wire::{Gone, Message, NEED_REPLY, REPLY, Until, VERSION, VERSION_1, transmit};

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The back-end is gone.
    Lost(Loss),
    /// The guard is to end.
    Stopped,
}

/// How long and for what a request waits.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    pub(crate) stop: BorrowedFd<'a>,
    pub(crate) limit: Duration,
}

impl<'a> Patience<'a> {
    fn begin(self) -> Until<'a> {
        Until { stop: self.stop, deadline: Instant::now().checked_add(self.limit) }
    }
}

/// A back-end that has connected, and has not answered yet.
#[derive(Debug)]
pub(crate) struct Candidate {
    socket: UnixStream,
    /// When it counts as silent.
    pub(crate) deadline: Instant,
}

/// A back-end.
#[derive(Debug)]
pub(crate) struct Backend {
    socket: UnixStream,
    /// Whether it acknowledges.
    acknowledges: bool,
    /// The deadline of a heartbeat that was not answered yet.
    beat: Option<Instant>,
    /// When it has last answered.
    pub(crate) heard: Instant,
    /// The features that it was given.
    pub(crate) features: Option<u64>,
    /// It has a memory table of this connection.
    pub(crate) has_memory: bool,
}

fn broken(gone: Gone, request: FrontendReq) -> Broken {
    let request = request.into();
    match gone {
        Gone::Disconnected => Broken::Lost(Loss::Disconnected { request: Some(request) }),
        Gone::TimedOut => Broken::Lost(Loss::Silent { request }),
        Gone::Failed(error) => Broken::Lost(Loss::Socket(error)),
        Gone::Stopped => Broken::Stopped,
    }
}

fn answer(socket: &UnixStream, until: Until<'_>, code: FrontendReq) -> Result<Message, Broken> {
    let message = Message::receive(socket, until).map_err(|gone| broken(gone, code))?;
    let is_answer = message.code == u32::from(code) && message.flags & (VERSION | REPLY) == VERSION_1 | REPLY;
    if is_answer && message.length == message.body.len() {
        Ok(message)
    } else {
        Err(Broken::Lost(Loss::BadAnswer { request: code.into() }))
    }
}

fn number(message: &Message, code: FrontendReq) -> Result<u64, Broken> {
    message.read().ok_or(Broken::Lost(Loss::BadAnswer { request: code.into() }))
}

impl Candidate {
    /// Sends the first request to a back-end; its answer is not waited for.
    pub(crate) fn greet(socket: UnixStream, patience: Patience<'_>) -> Result<Self, Broken> {
        let until = patience.begin();
        let code = FrontendReq::GET_FEATURES;
        transmit(&socket, until, (code.into(), VERSION_1), &[], &[]).map_err(|gone| broken(gone, code))?;
        Ok(Self { socket, deadline: until.deadline.unwrap_or_else(Instant::now) })
    }

    /// Takes the back-end up, after it has begun to answer: claims it, and negotiates protocol features, those of `acknowledged`
    /// among them.
    pub(crate) fn take_up(self, patience: Patience<'_>, acknowledged: u64) -> Result<(Backend, Offer), Broken> {
        let code = FrontendReq::GET_FEATURES;
        let features = number(&answer(&self.socket, patience.begin(), code)?, code)?;
        let mut backend = Backend {
            socket: self.socket,
            acknowledges: false,
            beat: None,
            heard: Instant::now(),
            features: None,
            has_memory: false,
        };
        // A framework that serves several connections in turn keeps the owner, and ends the connection at a second one.
        backend.send(patience, FrontendReq::RESET_OWNER, VERSION_1, &[], &[])?;
        let mut offer = Offer { features, protocol: 0, rings: RINGS_MAX as u64, slots: 0 };
        if features & PROTOCOL_FEATURES != 0 {
            offer.protocol = backend.ask_number(patience, FrontendReq::GET_PROTOCOL_FEATURES)?;
            backend.acknowledge_protocol(patience, &offer, acknowledged)?;
            if offer.protocol & VhostUserProtocolFeatures::MQ.bits() != 0 {
                offer.rings = backend.ask_number(patience, FrontendReq::GET_QUEUE_NUM)?.min(RINGS_MAX as u64);
            }
            if offer.protocol & VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS.bits() != 0 {
                offer.slots = backend.ask_number(patience, FrontendReq::GET_MAX_MEM_SLOTS)?;
            }
        }
        backend.tell(patience, FrontendReq::SET_OWNER, &[], &[])?;
        Ok((backend, offer))
    }
}

impl AsFd for Candidate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Backend {
    /// Gives it the protocol features that the front-end has acknowledged, and those that the guard uses.
    pub(crate) fn acknowledge_protocol(
        &mut self,
        patience: Patience<'_>,
        offer: &Offer,
        acknowledged: u64,
    ) -> Result<(), Broken> {
        let features = (acknowledged | OWN) & offer.protocol;
        self.send(patience, FrontendReq::SET_PROTOCOL_FEATURES, VERSION_1, &features.to_ne_bytes(), &[])?;
        self.acknowledges = features & VhostUserProtocolFeatures::REPLY_ACK.bits() != 0;
        Ok(())
    }

    fn send(
        &mut self,
        patience: Patience<'_>,
        code: FrontendReq,
        flags: u32,
        body: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> Result<(), Broken> {
        transmit(&self.socket, patience.begin(), (code.into(), flags), body, files).map_err(|gone| broken(gone, code))
    }

    /// Sends a request that has no answer of its own, and returns how the back-end acknowledges it: 0 is success.
    pub(crate) fn tell(
        &mut self,
        patience: Patience<'_>,
        code: FrontendReq,
        body: &[u8],
        files: &[BorrowedFd<'_>],
    ) -> Result<u64, Broken> {
        self.finish_beat(patience)?;
        if !self.acknowledges {
            self.send(patience, code, VERSION_1, body, files)?;
            return Ok(0);
        }
        self.send(patience, code, VERSION_1 | NEED_REPLY, body, files)?;
        let answer = self.answer(patience.begin(), code)?;
        number(&answer, code)
    }

    /// Sends a request and returns its answer.
    pub(crate) fn ask(&mut self, patience: Patience<'_>, code: FrontendReq, body: &[u8]) -> Result<Message, Broken> {
        self.finish_beat(patience)?;
        self.send(patience, code, VERSION_1, body, &[])?;
        self.answer(patience.begin(), code)
    }

    fn ask_number(&mut self, patience: Patience<'_>, code: FrontendReq) -> Result<u64, Broken> {
        number(&self.ask(patience, code, &[])?, code)
    }

    fn answer(&mut self, until: Until<'_>, code: FrontendReq) -> Result<Message, Broken> {
        let answer = answer(&self.socket, until, code)?;
        self.heard = Instant::now();
        Ok(answer)
    }

    /// Stops a ring, after it was disabled if that is to be done, and returns where it goes on.
    pub(crate) fn stop_ring(&mut self, patience: Patience<'_>, index: u32, disable: bool) -> Result<u16, Broken> {
        if disable && self.features.is_some() {
            let body = VhostUserVringState::new(index, 0);
            self.tell(patience, FrontendReq::SET_VRING_ENABLE, body.as_slice(), &[])?;
        }
        let code = FrontendReq::GET_VRING_BASE;
        let answer = self.ask(patience, code, VhostUserVringState::new(index, 0).as_slice())?;
        let state: VhostUserVringState = answer.read().ok_or(Broken::Lost(Loss::BadAnswer { request: code.into() }))?;
        Ok(state.num as u16)
    }

    /// Sends a heartbeat, unless one is out.
    pub(crate) fn beat(&mut self, patience: Patience<'_>) -> Result<(), Broken> {
        if self.beat.is_none() {
            self.send(patience, FrontendReq::GET_FEATURES, VERSION_1, &[], &[])?;
            self.beat = patience.begin().deadline;
        }
        Ok(())
    }

    /// Returns when the heartbeat that is out has to be answered.
    pub(crate) const fn beat_deadline(&self) -> Option<Instant> {
        self.beat
    }

    /// Reads the answer to the heartbeat that is out. Without one, there is nothing to be read but the connection's end.
    pub(crate) fn hear(&mut self, patience: Patience<'_>) -> Result<(), Broken> {
        if self.beat.is_some() {
            return self.finish_beat(patience);
        }
        let code = FrontendReq::GET_FEATURES;
        match Message::receive(&self.socket, patience.begin()) {
            Err(Gone::Disconnected) => Err(Broken::Lost(Loss::Disconnected { request: None })),
            Err(gone) => Err(broken(gone, code)),
            Ok(message) => Err(Broken::Lost(Loss::BadAnswer { request: message.code })),
        }
    }

    fn finish_beat(&mut self, patience: Patience<'_>) -> Result<(), Broken> {
        let Some(deadline) = self.beat.take() else { return Ok(()) };
        let until = Until { stop: patience.stop, deadline: Some(deadline) };
        self.answer(until, FrontendReq::GET_FEATURES).map(drop)
    }
}
