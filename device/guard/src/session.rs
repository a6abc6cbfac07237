//! One connection of a front-end: its loop, and what is known about both sides.

mod memory;
mod recovery;
mod requests;
mod rings;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use log::Level;
use rustix::event::{PollFd, PollFlags};
use vhost::vhost_user::message::FrontendReq;

use crate::backend::{Backend, Broken, Candidate, Patience};
use crate::finding::{Finding, Outcome};
use crate::judge::Wrong;
use crate::limits::CONFIG_BYTES_MAX;
use crate::log_limit::log_limited;
use crate::memory::Table;
use crate::offer::Offer;
use crate::ring::Ring;
use crate::settings::{Ended, Settings};
use crate::wire::{Gone, Until, wait_for};

/// The pause after the first attempt to reach a back-end that fails. Each that follows is twice as long.
const RECONNECT_MIN: Duration = Duration::from_millis(10);

/// The sockets for requests of the back-end, in the order of their fields.
const CHANNELS: [FrontendReq; 2] = [FrontendReq::SET_BACKEND_REQ_FD, FrontendReq::GPU_SET_SOCKET];

/// What a connection of a front-end is made of.
pub(crate) struct Session<'a> {
    // Fixed.
    settings: &'a Settings,
    front_end: UnixStream,
    stop: BorrowedFd<'a>,

    // The back-end.
    candidate: Option<Candidate>,
    backend: Option<Backend>,
    /// What the first back-end offers, which is what the front-end goes on with.
    offer: Option<Offer>,
    /// What the back-end of now offers.
    current: Offer,
    retry_at: Instant,
    retry_pause: Duration,
    /// When the kicks are looked at next.
    look_at: Instant,
    /// Its worker empties kicks; a back-end that polls does not.
    reads_kicks: bool,

    // What the front-end has said.
    owned: bool,
    features: Option<u64>,
    protocol: u64,
    memory: Table,
    rings: Vec<Ring>,
    channels: [Option<OwnedFd>; 2],

    // What was learned.
    /// The configuration, as far as it was read.
    config: Box<[u8; CONFIG_BYTES_MAX]>,
    shared_memory: Option<Vec<u8>>,
    /// The largest ring with which no back-end has ended.
    ring_size: u32,
    /// The largest size of each ring, by index, that a back-end has taken.
    taken: BTreeMap<usize, u32>,
    /// Requests at which a back-end has ended.
    fatal: BTreeSet<u32>,
}

/// What a wait has shown.
#[derive(Clone, Copy, Default)]
struct Ready {
    stop: bool,
    front_end: bool,
    backend: bool,
    newcomer: bool,
}

impl<'a> Session<'a> {
    /// Returns a session with a front-end that has said nothing, and without a back-end.
    pub(crate) fn new(settings: &'a Settings, front_end: UnixStream, stop: BorrowedFd<'a>) -> Self {
        let now = Instant::now();
        Self {
            settings,
            front_end,
            stop,
            candidate: None,
            backend: None,
            offer: None,
            current: Offer { features: 0, protocol: 0, rings: 0, slots: 0 },
            retry_at: now,
            retry_pause: RECONNECT_MIN,
            look_at: now,
            reads_kicks: settings.reads_kicks,
            owned: false,
            features: None,
            protocol: 0,
            memory: Table::default(),
            rings: Vec::new(),
            channels: [None, None],
            config: Box::new([0; CONFIG_BYTES_MAX]),
            shared_memory: None,
            ring_size: settings.limits.ring_size,
            taken: BTreeMap::new(),
            fatal: BTreeSet::new(),
        }
    }

    /// Serves until the front-end disconnects, or the guard is to end.
    pub(crate) fn run(mut self) -> io::Result<Ended> {
        let gone = loop {
            if let Err(gone) = self.turn() {
                break gone;
            }
        };
        match gone {
            Gone::Disconnected => {
                // A framework that serves several connections in turn would go on with these rings.
                let _ = self.stop_all();
                Ok(Ended::Disconnected)
            }
            Gone::Stopped => Ok(Ended::Stopped),
            Gone::TimedOut => Err(io::ErrorKind::TimedOut.into()),
            Gone::Failed(error) => Err(error),
        }
    }

    fn turn(&mut self) -> Result<(), Gone> {
        let ready = self.wait()?;
        if ready.stop {
            return Err(Gone::Stopped);
        }
        self.tend(ready)?;
        if !ready.front_end {
            return Ok(());
        }
        // Before the first back-end only the end of the connection is waited for.
        if self.offer.is_none() { Err(Gone::Disconnected) } else { self.answer_next() }
    }

    fn wait(&self) -> Result<Ready, Gone> {
        let front_end = if self.offer.is_some() { PollFlags::IN | PollFlags::RDHUP } else { PollFlags::RDHUP };
        let stop = PollFd::from_borrowed_fd(self.stop, PollFlags::IN);
        let front_end = PollFd::from_borrowed_fd(self.front_end.as_fd(), front_end);
        let backend = self.backend.as_ref().map(AsFd::as_fd).or(self.candidate.as_ref().map(AsFd::as_fd));
        let is_newcomer = backend.is_none();
        // After a failure a pause comes first, or a descriptor that cannot be accepted would keep this busy.
        let is_due = Instant::now() >= self.retry_at;
        let other = backend.or_else(|| self.settings.connector.announces().filter(|_| is_due));
        let deadline = self.deadline();
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let [stop, front_end, other] = if let Some(other) = other {
            let mut watched = [stop, front_end, PollFd::from_borrowed_fd(other, PollFlags::IN)];
            wait_for(&mut watched, Some(deadline)).map_err(Gone::Failed)?;
            watched.each_ref().map(is_ready)
        } else {
            let mut watched = [stop, front_end];
            wait_for(&mut watched, Some(deadline)).map_err(Gone::Failed)?;
            let [stop, front_end] = watched.each_ref().map(is_ready);
            [stop, front_end, false]
        };
        Ok(Ready { stop, front_end, backend: other && !is_newcomer, newcomer: other && is_newcomer })
    }

    /// Returns when there is something to do without a message.
    fn deadline(&self) -> Instant {
        let limits = &self.settings.limits;
        match (&self.backend, &self.candidate) {
            (Some(backend), _) => {
                let beat = backend
                    .beat_deadline()
                    .or_else(|| backend.heard.checked_add(limits.heartbeat))
                    .unwrap_or(self.look_at);
                if self.rings.iter().any(Ring::is_running) { beat.min(self.look_at) } else { beat }
            }
            (None, Some(candidate)) => candidate.deadline,
            (None, None) if self.settings.connector.announces().is_none() => self.retry_at,
            // A back-end that comes is seen then.
            (None, None) => {
                let now = Instant::now();
                if now < self.retry_at { self.retry_at } else { now.checked_add(limits.heartbeat).unwrap_or(now) }
            }
        }
    }

    fn patience(&self) -> Patience<'a> {
        Patience { stop: self.stop, limit: self.settings.limits.answer }
    }

    /// Waits for the front-end without a limit: it decides when it goes on.
    const fn unhurried(&self) -> Until<'a> {
        Until { stop: self.stop, deadline: None }
    }

    /// Does something with the back-end. `None` when there is none, or when it was lost meanwhile.
    fn with_backend<T>(
        &mut self,
        act: impl FnOnce(&mut Backend, Patience<'a>) -> Result<T, Broken>,
    ) -> Result<Option<T>, Gone> {
        let patience = self.patience();
        let Some(backend) = &mut self.backend else { return Ok(None) };
        match act(backend, patience) {
            Ok(done) => Ok(Some(done)),
            Err(Broken::Stopped) => Err(Gone::Stopped),
            Err(Broken::Lost(loss)) => {
                self.lose(loss);
                Ok(None)
            }
        }
    }

    /// Reports what is wrong.
    fn report(&self, request: u32, ring: Option<usize>, wrong: Wrong, outcome: Outcome) {
        let Wrong { field, fault, expected, got, other } = wrong;
        let ring = ring.map(|ring| ring as u32);
        let finding = Finding { request, ring, field, fault, expected, got, other, outcome };
        log_limited!(Level::Warn, "{finding}");
        self.settings.report(&finding);
    }
}
