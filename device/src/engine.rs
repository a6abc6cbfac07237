//! The thread that the card lives on: it waits for kicks, for time, and for questions.

use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Instant;

use card_spec::queue::Queue;
use dls_synth::Bank;
use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use crate::bus::{Bus, SharedBus};
use crate::card::{Card, Options};
use crate::diagnosis::Registers;
use crate::identity::Identity;
use crate::line_out::LineOut;

/// Marks the wake-up descriptor among the kicks, which are marked with their queues' numbers.
const WAKE: u64 = u64::MAX;

/// Something to be done on the card's thread.
type Command = Box<dyn FnOnce(&mut Card) + Send>;

/// The card's thread is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the card has been shut down")]
pub struct Gone;

/// Makes the card's thread look around.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Wakes it.
    pub fn wake(&self) {
        // A full counter means that it will wake anyway.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// What the other threads have of the card.
#[derive(Clone)]
pub struct Link {
    /// Memory and rings.
    pub bus: SharedBus,
    /// What was found and counted.
    pub registers: Arc<Registers>,
    /// What a read of the device configuration answers.
    pub identity: Arc<Identity>,
    waker: Waker,
    commands: mpsc::Sender<Command>,
}

impl Link {
    /// Makes the card's thread look around.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Asks the card something, on its own thread, and waits for the answer.
    ///
    /// # Errors
    /// The card has been shut down, or failed at this.
    pub fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Card) -> T + Send + 'static) -> Result<T, Gone> {
        let (answer, wait) = mpsc::sync_channel(1);
        let command: Command = Box::new(move |card| {
            let _ = answer.send(question(card));
        });
        self.commands.send(command).map_err(|_| Gone)?;
        self.wake();
        wait.recv().map_err(|_| Gone)
    }
}

/// A card on its thread.
pub struct Engine {
    link: Link,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Card>,
}

impl Engine {
    /// Puts a card on a thread of its own.
    ///
    /// # Errors
    /// The host has no more threads or descriptors.
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
        let (commands, inbox) = mpsc::channel();
        let link = Link { bus, registers, identity, waker: Waker(Arc::clone(&wake)), commands };
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker { card, bus: Arc::clone(&link.bus), watched, wake, inbox, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new().name("card".into()).spawn(move || worker.run())?;
        Ok(Self { link, stop, thread })
    }

    /// What other threads need.
    #[must_use]
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Ends the thread. The line out, to be finished.
    ///
    /// # Errors
    /// The thread had ended by itself, which is a defect of the card.
    pub fn stop(self) -> Result<Option<LineOut>, Gone> {
        self.stop.store(true, Ordering::Release);
        self.link.wake();
        self.thread.join().map(|mut card| card.take_line_out()).map_err(|_| Gone)
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
        let mut events: Vec<epoll::Event> = Vec::with_capacity(Queue::ALL.len() + 1);
        let mut more = false;
        while !self.stop.load(Ordering::Acquire) {
            let now = Instant::now();
            let deadline = if more { Some(now) } else { self.card.deadline(now) };
            let timeout = deadline.map(|deadline| {
                let left = deadline.saturating_duration_since(now);
                Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
            });
            events.clear();
            match epoll::wait(&*self.watched, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => log::error!("waiting for kicks failed: {error}"),
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => {
                        let _ = rustix::io::read(&*self.wake, &mut [0; 8]);
                    }
                    queue => self.bus.lock().take_kicks(Queue(queue as u16)),
                }
            }
            while let Ok(command) = self.inbox.try_recv() {
                self.guarded(command);
                // What it has set off is done before the next question is answered.
                self.guarded(Card::service);
            }
            more = self.guarded(Card::service).unwrap_or(true);
        }
        self.card
    }

    /// Does something with the card. A panic costs the session, not the thread.
    fn guarded<T>(&mut self, act: impl FnOnce(&mut Card) -> T) -> Option<T> {
        let done = catch_unwind(AssertUnwindSafe(|| act(&mut self.card)));
        if done.is_err() {
            log::error!("the card failed and drops the session; this is a defect of the card, please report it");
            self.card.give_up_session();
        }
        done.ok()
    }
}
