//! Target `messages`: a vhost-user front-end that sends any bytes and any descriptors, shrinks files, and disconnects at any
//! time.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use card_control::Clock;
use card_spec::queue::QUEUE_COUNT;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::card::{Card, Connection};
use super::descriptors::{Attached, Kind, make};
use super::front_end::{FrontEnd, VERSION_1, message, request};
use super::guest::{ALL_QUEUES, FEATURES, Guest, PROTOCOL, RAM_LENGTH, start};
use super::invariants::{Before, assert_closed, assert_idle, begin, open_descriptors};
use super::record::{Act, acts};

/// The verb of an act of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verb {
    /// Sends a message. `number`: its code. `which`: its flags, without version 1. `wide`: in the low 32 bits, the
    /// length that its header says, 0 for the true one; in the high 32 bits, four [`Kind`]s of descriptors. Data: its
    /// body.
    Message,
    /// Sends data as raw bytes. `wide`: as for [`Message`](Self::Message).
    Bytes,
    /// Shares guest memory and starts all rings. `which` and the low byte of `number`: the [`Kind`]s of the kicks and
    /// calls. `wide`: the features, 0 for all.
    Start,
    /// Puts a request on the control ring and kicks. `number`: its code. Data: its payload.
    Request,
    /// Writes to a descriptor that was sent: the `which`th, `number` times.
    Kick,
    /// Cuts a file. `which`: 0 for guest memory, else the descriptor that was sent. `wide`: its new length.
    Cut,
    /// Makes a descriptor that was sent blocking again: the `which`th.
    Block,
    /// Reads the answers that are there.
    Listen,
    /// Waits until the card has answered a request, for a short time.
    Settle,
    /// Does the act before once more, `number` times.
    Again,
    /// Disconnects, whatever has been begun.
    Leave,
    /// Requests the card's stop, as a signal does, whatever has been begun.
    Stop,
}

const VERBS: [Verb; 12] = [
    Verb::Message,
    Verb::Bytes,
    Verb::Start,
    Verb::Request,
    Verb::Kick,
    Verb::Cut,
    Verb::Block,
    Verb::Listen,
    Verb::Settle,
    Verb::Again,
    Verb::Leave,
    Verb::Stop,
];

/// Most acts of an input, so that one is over soon.
const ACTS_MAX: usize = 200;

/// Most acts that [`Verb::Again`] adds, over an input.
const AGAIN_MAX: u32 = 1200;

/// Most descriptors that an input sends and keeps; beyond it none are attached.
const KEPT_MAX: usize = 300;

/// How long [`Verb::Settle`] waits at most.
const SETTLE: Duration = Duration::from_millis(2);

/// The state that outlasts an input.
struct Bench {
    card: Card,
    /// The guest whose memory can be cut.
    guest: Guest,
    conforming: Guest,
}

static BENCH: Mutex<Option<Bench>> = Mutex::new(None);

/// Executes an input, and checks that the card works as before.
///
/// # Panics
/// When the card has a defect.
pub fn drive(input: &[u8]) {
    let _turn = begin();
    let mut slot = BENCH.lock();
    // After a panic there is none, because its card may hang.
    let mut bench = slot.take().unwrap_or_else(|| {
        let mut bench = Bench { card: Card::start(Clock::Lockstep), guest: Guest::new(), conforming: Guest::new() };
        bench.run_conforming_driver();
        bench
    });
    let before = Before::look();
    let descriptors = open_descriptors();
    bench.play(input, &before);
    assert_closed(descriptors);
    bench.run_conforming_driver();
    before.check_end();
    *slot = Some(bench);
}

impl Bench {
    /// Runs a conforming driver behind a conforming front-end, over a connection of its own.
    fn run_conforming_driver(&mut self) {
        let (socket, connection) = self.card.connect();
        let mut front_end = FrontEnd::new(socket);
        self.conforming.introduce(&mut front_end);
        self.conforming.run_conforming_driver(&mut front_end);
        front_end.disconnect();
        connection.end();
    }

    fn play(&mut self, input: &[u8], before: &Before) {
        let (socket, connection) = self.card.connect();
        self.guest.restart();
        let mut front_end = FrontEnd::new(socket);
        front_end.say_number(request::SET_PROTOCOL_FEATURES, PROTOCOL, &[]);
        let mut peer = Peer {
            front_end,
            connection,
            guest: &mut self.guest,
            memory_is_whole: true,
            kept: Vec::new(),
            control_kick: None,
            may_spin: false,
            again: AGAIN_MAX,
        };
        let mut last = None;
        let mut flow = ControlFlow::Continue(());
        for act in acts(input).take(ACTS_MAX) {
            flow = peer.act(act, &mut last);
            before.check();
            if flow.is_break() {
                break;
            }
        }
        let memory_is_whole = peer.memory_is_whole;
        peer.finish(flow);
        if !memory_is_whole {
            self.guest = Guest::new();
        }
    }
}

struct Peer<'a> {
    front_end: FrontEnd,
    connection: Connection,
    guest: &'a mut Guest,
    /// Whether guest memory is whole, and may be touched.
    memory_is_whole: bool,
    /// Descriptors that were sent.
    kept: Vec<Attached>,
    /// Which of them is the kick of the control ring.
    control_kick: Option<usize>,
    /// Whether a kick was sent that is no event counter.
    may_spin: bool,
    /// How many more acts may be repeated.
    again: u32,
}

impl Peer<'_> {
    fn act<'d>(&mut self, act: Act<'d>, last: &mut Option<Act<'d>>) -> ControlFlow<Verb> {
        match VERBS[usize::from(act.kind) % VERBS.len()] {
            Verb::Again => {
                let Some(before) = *last else { return ControlFlow::Continue(()) };
                let times = act.number.min(self.again);
                self.again -= times;
                for _ in 0..times {
                    self.act(before, &mut None)?;
                }
                ControlFlow::Continue(())
            }
            verb => {
                *last = Some(act);
                self.once(verb, act)
            }
        }
    }

    fn once(&mut self, verb: Verb, act: Act<'_>) -> ControlFlow<Verb> {
        match verb {
            Verb::Message => {
                let claimed = match act.wide as u32 {
                    0 => act.data.len() as u32,
                    claimed => claimed,
                };
                let kick = act.number == request::SET_VRING_KICK;
                let bytes = message(act.number, u32::from(act.which) ^ VERSION_1, claimed, act.data);
                self.send(&bytes, kinds(act.wide), kick);
            }
            Verb::Bytes => self.send(act.data, kinds(act.wide), true),
            Verb::Start => self.start(act),
            Verb::Request if self.memory_is_whole => {
                self.guest.offer_request(act.number, act.data);
                if let Some(kick) = self.control_kick {
                    self.poke(kick);
                }
            }
            Verb::Kick => {
                for _ in 0..act.number % 64 {
                    self.poke(act.which.into());
                }
            }
            Verb::Cut => self.cut(act),
            Verb::Block => {
                if let Some(attached) = self.kept.get(usize::from(act.which)) {
                    let _ = rustix::io::ioctl_fionbio(&attached.file, false);
                }
            }
            Verb::Listen => {
                self.front_end.listen();
                self.front_end.skip_answers();
            }
            Verb::Settle if self.memory_is_whole => {
                let deadline = Instant::now() + SETTLE;
                while self.guest.rings[0].returned().is_none() && Instant::now() < deadline {
                    std::thread::yield_now();
                }
            }
            Verb::Request | Verb::Settle | Verb::Again => {}
            Verb::Leave | Verb::Stop => return ControlFlow::Break(verb),
        }
        ControlFlow::Continue(())
    }

    fn send(&mut self, bytes: &[u8], kinds: [Option<Kind>; 4], may_be_kick: bool) {
        let from = self.kept.len();
        for kind in kinds.into_iter().flatten().take(KEPT_MAX.saturating_sub(from)) {
            self.may_spin |= may_be_kick && kind != Kind::Event;
            self.kept.push(make(kind, self.guest.ram.file(), &self.front_end));
        }
        let files: Vec<BorrowedFd<'_>> = self.kept[from..].iter().map(|attached| attached.file.as_fd()).collect();
        self.front_end.send(bytes, &files);
        for attached in &self.kept[from..] {
            if let Some(length) = attached.cut {
                let _ = rustix::fs::ftruncate(&attached.file, length);
            }
        }
    }

    fn start(&mut self, act: Act<'_>) {
        let [kick, call] = [act.which, act.number as u8].map(|byte| Kind::of(byte).unwrap_or(Kind::Event));
        self.may_spin |= kick != Kind::Event;
        if self.kept.len() + 2 * QUEUE_COUNT > KEPT_MAX || !self.front_end.complete() {
            return;
        }
        let from = self.kept.len();
        for kind in [kick, call] {
            let made = (0..QUEUE_COUNT).map(|_| make(kind, self.guest.ram.file(), &self.front_end));
            self.kept.extend(made);
        }
        let files =
            [0, QUEUE_COUNT].map(|skip| std::array::from_fn(|index| self.kept[from + skip + index].file.as_fd()));
        let features = if act.wide == 0 { FEATURES } else { act.wide };
        self.guest.introduce(&mut self.front_end);
        let plan = self.guest.plan();
        start(&mut self.front_end, features, &plan, files);
        self.control_kick = Some(from);
    }

    fn poke(&self, which: usize) {
        let Some(attached) = self.kept.get(which).filter(|attached| attached.kind != Kind::Connection) else { return };
        // Some of them block.
        let mut ready = [PollFd::new(&attached.file, PollFlags::OUT)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut ready, Some(&now)).is_ok() && ready[0].revents().contains(PollFlags::OUT) {
            let _ = rustix::io::write(&attached.file, &1_u64.to_ne_bytes());
        }
    }

    fn cut(&mut self, act: Act<'_>) {
        let length = act.wide % RAM_LENGTH;
        match act.which.checked_sub(1) {
            None => {
                self.memory_is_whole = false;
                let _ = rustix::fs::ftruncate(self.guest.ram.file(), length);
            }
            Some(index) => {
                let Some(attached) = self.kept.get(usize::from(index)) else { return };
                // Guest memory may be among them.
                self.memory_is_whole = false;
                let _ = rustix::fs::ftruncate(&attached.file, length);
            }
        }
    }

    /// Ends the connection, after a last request unless the front-end disconnects, and waits for its end.
    fn finish(mut self, flow: ControlFlow<Verb>) {
        match flow {
            ControlFlow::Continue(()) => {
                if self.may_spin {
                    assert_idle();
                }
                if self.front_end.complete() {
                    self.front_end.catch_up();
                    // The input may have given up what the last requests need.
                    self.front_end.say_number(request::SET_PROTOCOL_FEATURES, PROTOCOL, &[]);
                    Guest::identity(&mut self.front_end);
                    self.front_end.stop_rings(ALL_QUEUES);
                    Guest::identity(&mut self.front_end);
                }
                self.front_end.disconnect();
                self.kept.clear();
            }
            ControlFlow::Break(Verb::Stop) => {
                self.connection.request_stop();
                self.connection.end();
                return;
            }
            ControlFlow::Break(_) => {
                self.front_end.disconnect();
                self.kept.clear();
            }
        }
        self.connection.end();
    }
}

/// Returns the kinds of descriptors that an act attaches.
fn kinds(wide: u64) -> [Option<Kind>; 4] {
    let [_, _, _, _, kinds @ ..] = wide.to_le_bytes();
    kinds.map(Kind::of)
}
