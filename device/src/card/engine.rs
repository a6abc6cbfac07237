//! Runs the card: a thread of its own renders and executes commands, and the transports' threads serve the queues.
//!
//! They work on the card by turns. A thread that serves a kick never waits for its turn: the one that has the card ends its
//! slice and serves the queues instead. In lockstep it also renders a short wave buffer itself, for to wake the card's thread takes longer.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use card_spec::queue::Queue;
use dls_synth::Bank;
use parking_lot::{Mutex, MutexGuard};

use super::activity::{Activity, Task};
use super::bell::Bell;
use super::device::Card;
use super::identity::Identity;
use super::line_out::LineOut;
use crate::bus::{Bus, SharedBus};
use crate::diagnosis::Registers;
use crate::log_limited;
use crate::options::Options;
use crate::sandbox::{self, Role};
use crate::trace::Trace;

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

/// The card, and the bell of its thread.
struct Desk {
    card: Mutex<Card>,
    kicked: Arc<AtomicBool>,
    bell: Bell,
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
    /// The card on its thread; `None` where a replay steps it.
    desk: Option<Arc<Desk>>,
    commands: mpsc::Sender<Command>,
}

impl Link {
    /// Returns the access to a bus and registers whose card a replay steps: kicks are not counted, and nothing is served.
    pub(crate) fn stepped(bus: SharedBus, registers: Arc<Registers>, identity: Arc<Identity>) -> Self {
        let (commands, _) = mpsc::channel();
        Self { bus, registers, identity, activity: Arc::default(), desk: None, commands }
    }

    /// Wakes the card's thread, so that it looks at the bus.
    pub fn wake(&self) {
        if let Some(desk) = &self.desk {
            desk.bell.ring();
        }
    }

    /// Counts kicks of a queue, and serves the queues on the calling thread. It never waits for the card: if another
    /// thread works on it, that thread ends its slice and serves them.
    pub fn kicked(&self, queue: Queue, kicks: u64) {
        if self.desk.is_some() {
            self.bus.lock().kicked(queue, kicks);
            self.serve_queues();
        }
    }

    /// Serves the queues on the calling thread, as [`kicked`](Self::kicked) does.
    pub fn serve_queues(&self) {
        let Some(desk) = &self.desk else { return };
        // Before the try, so that a thread which has the card sees it, or the try succeeds.
        desk.kicked.store(true, Ordering::SeqCst);
        let Some(mut card) = desk.card.try_lock() else {
            desk.bell.ring();
            return;
        };
        let activity = Arc::clone(&card.activity);
        activity.turn();
        let mut more = guarded(&mut card, Card::serve_queues).unwrap_or(true);
        if more && card.fills_at_once() {
            // To wake the card's thread would take longer than it takes to render so little.
            more = guarded(&mut card, Card::service).unwrap_or(true);
        }
        let deadline = card.deadline(Instant::now());
        activity.enter(Task::Waiting);
        drop(card);
        if more || desk.kicked.load(Ordering::SeqCst) {
            desk.bell.ring();
        } else if let Some(deadline) = deadline {
            desk.bell.ring_before(deadline);
        }
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
    thread: JoinHandle<()>,
    watchdog: JoinHandle<()>,
}

impl Engine {
    /// Starts a card on a thread of its own.
    ///
    /// # Errors
    /// The host's error, when it has no more threads or descriptors.
    pub fn start(options: Options, bank: Arc<Bank>, line_out: Option<LineOut>) -> io::Result<Self> {
        Self::start_traced(options, bank, line_out, Trace::default())
    }

    /// Starts a card as [`start`](Self::start) does, which records in `trace`.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_traced(
        options: Options,
        bank: Arc<Bank>,
        line_out: Option<LineOut>,
        trace: Trace,
    ) -> io::Result<Self> {
        let registers = Arc::new(Registers::traced(trace));
        let bus = Arc::new(Mutex::new(Bus::new(Arc::clone(&registers))));
        let identity = Arc::new(Identity::new(options, Arc::clone(&registers)));
        let role = if line_out.is_some() { Role::CardWithLineOut } else { Role::Card };
        let mut card = Card::new(options, bank, Arc::clone(&bus), Arc::clone(&registers));
        if let Some(line_out) = line_out {
            card.set_line_out(line_out);
        }
        let activity = Arc::clone(&card.activity);
        let kicked = Arc::clone(&card.kicked);
        let (commands, inbox) = mpsc::channel();
        let desk = Arc::new(Desk { card: Mutex::new(card), kicked, bell: Bell::default() });
        let (worker_desk, desk) = (Arc::clone(&desk), Some(desk));
        let link = Link { bus, registers, identity, activity: Arc::clone(&activity), desk, commands };
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker { desk: worker_desk, inbox, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new().name("card".into()).spawn(move || {
            sandbox::enter(role);
            worker.run();
        })?;
        let watchdog = {
            let stop = Arc::clone(&stop);
            std::thread::Builder::new().name("watchdog".into()).spawn(move || {
                sandbox::enter(Role::Watchdog);
                watch(&activity, &stop);
            })?
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
        self.thread.join().map_err(|_| NoAnswer::Gone)?;
        Ok(self.link.desk.as_ref().and_then(|desk| desk.card.lock().take_line_out()))
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
    desk: Arc<Desk>,
    inbox: mpsc::Receiver<Command>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(self) {
        while !self.stop.load(Ordering::Acquire) {
            self.desk.bell.wait();
            let mut more = true;
            while more && !self.stop.load(Ordering::Acquire) {
                more = self.turn();
            }
        }
    }

    /// Executes the commands that wait, and works for a slice. True when there is more.
    fn turn(&self) -> bool {
        let mut card = self.desk.card.lock();
        let activity = Arc::clone(&card.activity);
        for _ in 0..COMMANDS_MAX {
            let Ok(command) = self.inbox.try_recv() else { break };
            activity.turn();
            activity.enter(Task::Command);
            guarded(&mut card, command);
            // The work that it has caused is done before the next command.
            guarded(&mut card, Card::service);
        }
        activity.turn();
        let more = guarded(&mut card, Card::service).unwrap_or(true);
        self.desk.bell.set_alarm(card.deadline(Instant::now()));
        activity.enter(Task::Waiting);
        MutexGuard::unlock_fair(card);
        more || self.desk.kicked.load(Ordering::SeqCst)
    }
}

/// Executes `act`. A panic costs the session, not the thread.
fn guarded<T>(card: &mut Card, act: impl FnOnce(&mut Card) -> T) -> Option<T> {
    let done = catch_unwind(AssertUnwindSafe(|| act(card)));
    if done.is_err() {
        log_limited!(
            log::Level::Error,
            "the card failed and drops the session; this is a defect of the card, please report it"
        );
        card.give_up_session();
    }
    done.ok()
}
