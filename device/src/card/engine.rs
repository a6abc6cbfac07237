//! Runs the card on a thread of its own, which waits for kicks, for time, and for commands.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use card_spec::queue::{QUEUE_COUNT, Queue};
use dls_synth::Bank;
use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::activity::{Activity, Task};
use super::device::Card;
use super::identity::Identity;
use super::line_out::LineOut;
use crate::bus::{Bus, SharedBus};
use crate::diagnosis::Registers;
use crate::log_limited;
use crate::options::Options;

/// Marks the wake-up descriptor among the kicks, which are marked with their queues' numbers.
const WAKE: u64 = u64::MAX;

/// The time away from its loop's head after which the card's thread counts as stalled. A slice of work takes
/// some milliseconds; the rest is for a host that runs other processes.
pub const STALL: Duration = Duration::from_secs(1);

/// The interval at which the watchdog checks the thread.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// The time that a command waits for its result: a number of turns of equal length. Counting turns leaves out the
/// time in which the host does not let this process run.
const ANSWER_TURNS: u32 = 50;
const ANSWER_TURN: Duration = Duration::from_millis(100);

/// The longest time for the card's thread to end. It looks after every slice of work; a thread that takes longer
/// stalls, and is left to the end of the process.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The interval at which the end of the thread is polled.
const STOP_POLL: Duration = Duration::from_millis(1);

/// Most commands that are executed before the queues are served. Each connection of the control socket waits for its
/// answer, so there are never many.
const COMMANDS_MAX: usize = 64;

/// Descriptors that can be ready at a time: one for each queue, and the wake-up.
const EVENTS_MAX: usize = QUEUE_COUNT + 1;

/// A command that is executed on the card's thread.
type Command = Box<dyn FnOnce(&mut Card) + Send>;

/// Why a command has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It has ended.
    #[error("the card has been shut down")]
    Gone,
    /// It is stalled.
    #[error(
        "the card's thread does not answer: it has been {task} for {} ms; this is a defect of the card, please report it",
        busy.as_millis()
    )]
    Stalled {
        /// Its current task.
        task: Task,
        /// The time since its last turn.
        busy: Duration,
    },
}

/// Wakes the card's thread.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Wakes the thread.
    pub fn wake(&self) {
        // A full counter means that it will wake anyway.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// The other threads' access to the card.
#[derive(Clone)]
pub struct Link {
    /// Memory and rings.
    pub bus: SharedBus,
    /// Diagnosis and counters.
    pub registers: Arc<Registers>,
    /// The device configuration.
    pub identity: Arc<Identity>,
    /// The current task of the card's thread.
    pub activity: Arc<Activity>,
    waker: Waker,
    commands: mpsc::Sender<Command>,
}

impl Link {
    /// Wakes the card's thread, so that it looks at the bus.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Executes `action` on the card's thread, and waits for its result.
    ///
    /// # Errors
    /// [`NoAnswer::Gone`] when the card has been shut down or has failed at the action, [`NoAnswer::Stalled`] when its
    /// thread does not execute it within five seconds.
    pub fn with_card<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Card) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (answer, wait) = mpsc::sync_channel(1);
        let command: Command = Box::new(move |card| {
            let _ = answer.send(action(card));
        });
        self.commands.send(command).map_err(|_| NoAnswer::Gone)?;
        self.wake();
        for _ in 0..ANSWER_TURNS {
            match wait.recv_timeout(ANSWER_TURN) {
                Ok(answer) => return Ok(answer),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(NoAnswer::Gone),
            }
        }
        Err(self.stalled())
    }

    fn stalled(&self) -> NoAnswer {
        let busy = self.activity.busy_for().unwrap_or_default();
        NoAnswer::Stalled { task: self.activity.task(), busy }
    }
}

/// A card on its thread.
pub struct Engine {
    link: Link,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Card>,
    watchdog: JoinHandle<()>,
}

impl Engine {
    /// Starts a card on a thread of its own.
    ///
    /// # Errors
    /// The host's error, when it has no more threads or descriptors.
    pub fn start(options: Options, bank: Arc<Bank>, line_out: Option<LineOut>) -> io::Result<Self> {
        let registers = Arc::new(Registers::new());
        let watched = Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        epoll::add(&*watched, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let bus = Arc::new(Mutex::new(Bus::new(Arc::clone(&registers), Arc::clone(&watched))));
        let identity = Arc::new(Identity::new(options, Arc::clone(&registers)));
        let mut card = Card::new(options, bank, Arc::clone(&bus), Arc::clone(&registers));
        if let Some(line_out) = line_out {
            card.set_line_out(line_out);
        }
        let activity = Arc::clone(&card.activity);
        let (commands, inbox) = mpsc::channel();
        let waker = Waker(Arc::clone(&wake));
        let link = Link { bus, registers, identity, activity: Arc::clone(&activity), waker, commands };
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker { card, bus: Arc::clone(&link.bus), watched, wake, inbox, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new().name("card".into()).spawn(move || worker.run())?;
        let watchdog = {
            let stop = Arc::clone(&stop);
            std::thread::Builder::new().name("watchdog".into()).spawn(move || watch(&activity, &stop))?
        };
        Ok(Self { link, stop, thread, watchdog })
    }

    /// Returns what other threads need.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Ends the thread, and returns the line out, to be finished.
    ///
    /// # Errors
    /// Both are defects of the card: [`NoAnswer::Gone`] when the thread had ended by itself, [`NoAnswer::Stalled`] when it
    /// does not end.
    pub fn stop(self) -> Result<Option<LineOut>, NoAnswer> {
        self.stop.store(true, Ordering::Release);
        self.link.wake();
        self.watchdog.thread().unpark();
        let begun = Instant::now();
        while !self.thread.is_finished() {
            if begun.elapsed() > STOP_MAX {
                return Err(self.link.stalled());
            }
            std::thread::sleep(STOP_POLL);
        }
        let _ = self.watchdog.join();
        self.thread.join().map(|mut card| card.take_line_out()).map_err(|_| NoAnswer::Gone)
    }
}

/// Reports a card's thread that stalls, once each time that it does.
fn watch(activity: &Activity, stop: &AtomicBool) {
    let mut named = false;
    while !stop.load(Ordering::Acquire) {
        let slept = Instant::now();
        std::thread::park_timeout(WATCH_EVERY);
        // A host that did not let this thread run did not let the other one run either.
        let host_stalled = slept.elapsed() > WATCH_EVERY.saturating_mul(2);
        let stalled = activity.busy_for().filter(|busy| *busy >= STALL && !host_stalled);
        if let Some(busy) = stalled.filter(|_| !named) {
            let (task, busy) = (activity.task(), busy.as_millis());
            log_limited!(
                log::Level::Error,
                "the card's thread has been {task} for {busy} ms; the host is overloaded, or this is a defect of the card"
            );
        }
        named = stalled.is_some();
    }
}

struct Worker {
    card: Card,
    bus: SharedBus,
    watched: Arc<OwnedFd>,
    wake: Arc<OwnedFd>,
    inbox: mpsc::Receiver<Command>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self) -> Card {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        let mut more = false;
        while !self.stop.load(Ordering::Acquire) {
            self.card.activity.enter(Task::Waiting);
            let now = Instant::now();
            let deadline = if more { Some(now) } else { self.card.deadline(now) };
            let timeout = deadline.map(|deadline| {
                let left = deadline.saturating_duration_since(now);
                Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
            });
            events.clear();
            match epoll::wait(&*self.watched, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => log_limited!(log::Level::Error, "waiting for kicks failed: {error}"),
            }
            self.card.activity.turn();
            self.card.activity.enter(Task::Command);
            for event in &events {
                match event.data.u64() {
                    WAKE => {
                        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
                    }
                    queue => self.bus.lock().take_kicks(Queue(queue as u16)),
                }
            }
            for _ in 0..COMMANDS_MAX {
                let Ok(command) = self.inbox.try_recv() else { break };
                self.card.activity.turn();
                self.card.activity.enter(Task::Command);
                self.guarded(command);
                // The work that it has caused is done before the next command.
                self.guarded(Card::service);
            }
            more = self.guarded(Card::service).unwrap_or(true);
        }
        self.card
    }

    /// Executes `act`. A panic costs the session, not the thread.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Card) -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(|| act(&mut self.card)));
        if done.is_err() {
            log_limited!(
                log::Level::Error,
                "the card failed and drops the session; this is a defect of the card, please report it"
            );
            self.card.give_up_session();
        }
        done.ok()
    }
}
