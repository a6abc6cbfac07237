//! QEMU and the card, or the device in its place, together: how they start, how they leave, and which of them ended first.
//!
//! A machine is put together with its card here, and only here it is decided which process is blamed for an end. A
//! thread waits for both ends, so that their order is known however late it is needed.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use guest_protocol::exit;
use rustix::event::{PollFd, PollFlags, poll};

use super::card::Replacement;
use super::card_exit::{CARD_LEFT, CARD_LOST_CONNECTION};
use super::death::{Death, Ends, Part, is_crash, may_follow_card};
use super::error::MachineError;
use super::health::{Health, LostDevice};
use super::memory::GuestMemory;
use super::qemu::{Boot, Machine, MachineDevice, MachineOptions, VFIO_USER, guest_exit};
use super::qmp::Answers;
use super::running_device::RunningDevice;
use super::screen_watch::ScreenWatch;
use crate::host::ended::Ended;
use crate::host::interrupt;
use crate::host::limits::LimitError;
use crate::host::standstill;

/// The longest time for a process to become waitable after the other has noticed its end: the kernel closes its sockets
/// first and frees its memory in between, which takes long on a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// The longest time for QEMU to answer on its monitor after its card has ended with a status that also means that QEMU
/// has gone.
const WORD: Duration = Duration::from_millis(700);

/// The longest time for a card to follow a QEMU that did not end for want of it, so that the message can tell its end
/// too.
const FOLLOWS: Duration = Duration::from_millis(300);

/// The interval at which a wait checks whether a process has ended.
const POLL: Duration = Duration::from_millis(2);

/// The longest time for a device of the user's to make a machine: QEMU reads its configuration space and resets it.
const DEVICE_LIMIT: Duration = Duration::from_secs(60);

/// The reason of a shutdown by the guest, as QEMU's event gives it.
const BY_GUEST: &str = "guest-shutdown";

/// The longest time until the order of two known ends is known too.
const ORDER: Duration = Duration::from_secs(1);

/// The processes of a machine: QEMU and the card.
#[derive(Debug)]
pub struct Processes {
    /// Watches for standstills of both processes. It is dropped before them.
    pub standstills: standstill::Watch,
    /// QEMU.
    pub machine: Machine,
    /// The card, or the device in its place.
    pub device: RunningDevice,
    watch: Watch,
    /// The name of the device, if it is a vfio-user server.
    server: Option<String>,
    /// Whether QEMU and the device take turns: the guest has one processor.
    take_turns: bool,
    found: Option<Death>,
    /// Whether QEMU has started a guest.
    started: bool,
    /// Whether a test is about to kill the card: its end is no death until another one takes its place.
    card_expendable: bool,
    /// Looks at the screen of a guest that starts from a disk.
    screen: Option<ScreenWatch>,
    /// Whether the harness has had QEMU quit.
    quit_sent: bool,
}

/// When each process was seen to end, and which was seen to end alone.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    card: Option<Instant>,
    qemu: Option<Instant>,
    first: Option<Part>,
}

/// Waits for the ends of both processes.
#[derive(Debug)]
struct Watch(Arc<(Mutex<Seen>, Condvar)>);

impl Watch {
    fn start(card: Option<OwnedFd>, qemu: OwnedFd) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let watch = Self(shared.clone());
        // The thread ends with the processes, which end with their owner at the latest.
        std::thread::Builder::new()
            .name("deaths".into())
            .spawn(move || wait_for_both(card.as_ref(), &qemu, &shared))?;
        Ok(watch)
    }

    /// Returns what was seen when both have ended, or what has been seen after [`ORDER`].
    fn both(&self) -> Seen {
        let (seen, changed) = &*self.0;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |seen: &mut Seen| seen.card.is_none() || seen.qemu.is_none();
        let waited = changed.wait_timeout_while(seen, ORDER, missing);
        *waited.map_or_else(|poisoned| poisoned.into_inner().0, |(seen, _)| seen)
    }
}

fn wait_for_both(card: Option<&OwnedFd>, qemu: &OwnedFd, shared: &(Mutex<Seen>, Condvar)) {
    let (mut card_ended, mut qemu_ended) = (card.is_none(), false);
    while !(card_ended && qemu_ended) {
        let mut waiting: Vec<(Part, PollFd<'_>)> = Vec::with_capacity(2);
        if let Some(card) = card.filter(|_| !card_ended) {
            waiting.push((Part::Card, PollFd::new(card, PollFlags::IN)));
        }
        if !qemu_ended {
            waiting.push((Part::Qemu, PollFd::new(qemu, PollFlags::IN)));
        }
        let mut descriptors: Vec<PollFd<'_>> = waiting.iter().map(|(_, descriptor)| descriptor.clone()).collect();
        match poll(&mut descriptors, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            // Without this thread the order of ends is unknown, and the logs of the processes decide.
            Err(_) => return,
        }
        let now = Instant::now();
        let ended: Vec<Part> = waiting
            .iter()
            .zip(&descriptors)
            .filter(|(_, descriptor)| !descriptor.revents().is_empty())
            .map(|((part, _), _)| *part)
            .collect();
        let mut seen = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let ([alone], None, None) = (&*ended, seen.card, seen.qemu) {
            seen.first = Some(*alone);
        }
        for part in ended {
            match part {
                Part::Card => (card_ended, seen.card) = (true, Some(now)),
                Part::Qemu => (qemu_ended, seen.qemu) = (true, Some(now)),
            }
        }
        shared.1.notify_all();
    }
}

fn watch_standstills(device: &RunningDevice, machine: &Machine, take_turns: bool) -> standstill::Watch {
    standstill::Watch::begin(device.watched().into_iter().chain([machine.watched()]).collect(), take_turns)
}

impl Processes {
    /// Starts QEMU with a device that listens, if it has a process, and waits until QEMU's monitor answers.
    ///
    /// # Errors
    /// [`MachineError::CardNotStarted`] or [`MachineError::QemuNotStarted`] for the process that ended;
    /// [`MachineError::DeviceRefused`] and [`MachineError::DeviceSilent`] for a device of the user's with which QEMU makes
    /// no machine; the other variants for what the host refused or the user interrupted.
    pub fn start(
        options: &MachineOptions,
        memory: GuestMemory,
        boot: &Boot<'_>,
        device: RunningDevice,
    ) -> Result<Self, MachineError> {
        let resource = |source| MachineError::Resource { what: "a watch over the processes", source };
        let machine = Machine::spawn(options, memory, boot)?;
        let watch = Watch::start(device.pidfd().map_err(resource)?, machine.pidfd().map_err(resource)?);
        let take_turns = options.processors == 1;
        let standstills = watch_standstills(&device, &machine, take_turns);
        let watch = watch.map_err(resource)?;
        let server = match &options.device {
            MachineDevice::VfioUser { name, .. } => Some(name.clone()),
            _ => None,
        };
        let screen = options.disks.is_some().then(|| ScreenWatch::new(boot.scratch));
        let mut processes = Self {
            standstills,
            machine,
            device,
            watch,
            server,
            take_turns,
            found: None,
            started: false,
            card_expendable: false,
            screen,
            quit_sent: false,
        };
        let device = &mut processes.device;
        device.note_limits();
        let is_card = device.card().is_some();
        let begun = Instant::now();
        let in_time = || is_card || begun.elapsed() < DEVICE_LIMIT;
        match processes.machine.connect(&mut || device.ended().is_none() && in_time() && !interrupt::requested()) {
            Ok(()) => {
                processes.started = true;
                Ok(processes)
            }
            Err(_) if interrupt::requested() => Err(MachineError::Interrupted),
            Err(_) if !in_time() && processes.machine.ended().is_none() && processes.device.ended().is_none() => {
                let (device, tail) = (options.device.name().to_owned(), processes.machine.tail());
                Err(MachineError::DeviceSilent { device, seconds: DEVICE_LIMIT.as_secs(), tail })
            }
            Err(error) => Err(processes.not_started(&error, &options.device)),
        }
    }

    /// Takes over the card that was started in the dead one's place, and watches it from then on.
    ///
    /// # Errors
    /// [`MachineError::Resource`] where it cannot be watched.
    pub fn adopt_card(&mut self, replacement: Replacement) -> Result<(), MachineError> {
        let resource = |source| MachineError::Resource { what: "a watch over the processes", source };
        let RunningDevice::Card(card) = &mut self.device else { return Ok(()) };
        card.adopt(replacement);
        let (device, machine) = (&self.device, &self.machine);
        self.watch =
            Watch::start(device.pidfd().map_err(resource)?, machine.pidfd().map_err(resource)?).map_err(resource)?;
        self.standstills = watch_standstills(device, machine, self.take_turns);
        self.card_expendable = false;
        Ok(())
    }

    /// Has the card's end be no death from now on, because a test is about to kill it, until another card takes its place.
    pub fn expect_card_to_be_lost(&mut self) {
        self.card_expendable = true;
    }

    /// Returns why QEMU's monitor did not answer.
    fn not_started(&mut self, error: &std::io::Error, device: &MachineDevice) -> MachineError {
        let begun = Instant::now();
        while begun.elapsed() < GRACE && self.machine.ended().is_none() && self.device.ended().is_none() {
            std::thread::sleep(POLL);
        }
        let Some(death) = self.death() else {
            let tail = self.machine.tail();
            return MachineError::QemuNotStarted { ended: error.to_string(), tail, from_outside: false };
        };
        if let Some(limit) = self.limit() {
            return limit.during(format!("{} did not start ({})", death.who(), death.ended)).into();
        }
        let words = self.machine.tail();
        match death.part {
            Part::Card => MachineError::CardNotStarted { death: Box::new(death) },
            Part::Qemu if device.is_refused(death.ended, &words) => {
                let of_qemu = matches!(device, MachineDevice::Qemu { .. });
                MachineError::DeviceRefused { device: device.name().to_owned(), words, of_qemu }
            }
            Part::Qemu => MachineError::QemuNotStarted {
                ended: death.first_line(),
                tail: words,
                from_outside: death.from_outside(),
            },
        }
    }

    /// Waits until QEMU has ended after the guest shut down, and the device after QEMU. `end_device` is called in between, so that a
    /// device that can be told to end need not be waited for.
    ///
    /// # Errors
    /// [`LeaveError`] for a process that ended in another way, or not at all.
    pub fn leave(&mut self, limit: Duration, end_device: impl FnOnce()) -> Result<(), LeaveError> {
        let (begun, stood_still) = (Instant::now(), self.stood_still());
        // A card that has left because QEMU is about to end is right: that shows when QEMU has ended.
        let lost = self.card_expendable;
        if self.machine.starts_from_disk() && self.machine.ended().is_none() {
            // The agent has ended; its system stays on, and nothing that it has written is kept.
            self.quit_sent = true;
            self.machine.quit();
        }
        while self.machine.ended().is_none() && (lost || self.device.ended().is_none_or(|ended| ended == CARD_LEFT)) {
            if interrupt::requested() {
                return Err(LeaveError::Interrupted);
            }
            if begun.elapsed() >= limit + self.stood_still().saturating_sub(stood_still) {
                return Err(LeaveError::StillThere);
            }
            std::thread::sleep(POLL);
        }
        let by_command = self.quit_sent && self.machine.ended() == Some(Ended::Exit(0));
        if !by_command && self.machine.ended().and_then(guest_exit) != Some(exit::COMPLETED) {
            return Err(self.death().map_or(LeaveError::StillThere, |death| LeaveError::Died(Box::new(death))));
        }
        if self.card_expendable {
            self.device.stop();
            return Ok(());
        }
        end_device();
        let is_card = self.device.card().is_some();
        let Some(ended) = self.device.wait(if is_card { GRACE } else { FOLLOWS }) else {
            // QEMU has gone, and the device has nothing more to log.
            self.device.stop();
            return Ok(());
        };
        let in_order = match &self.device {
            RunningDevice::Card(_) => ended == CARD_LEFT && self.device.saw_qemu_leave() != Some(false),
            // Its exit status is its own affair; a crash is not.
            _ => !is_crash(ended),
        };
        if in_order { Ok(()) } else { Err(LeaveError::Died(Box::new(self.tell(Part::Card)))) }
    }

    /// Decides which death was first, once at least one process has ended.
    fn decide(&mut self) -> Option<Death> {
        match self.device {
            RunningDevice::Card(_) if !self.card_expendable => self.decide_with_card(),
            RunningDevice::Process(_) => self.decide_with_device(),
            RunningDevice::Card(_) | RunningDevice::NotOurs => {
                let ended = self.machine.ended().is_some();
                if !ended {
                    self.machine.note_limits();
                }
                ended.then(|| self.tell(Part::Qemu))
            }
        }
    }

    /// Decides where the device is a vfio-user server of the user's: QEMU survives its device, so that only the device can
    /// follow QEMU.
    fn decide_with_device(&mut self) -> Option<Death> {
        match (self.machine.ended(), self.device.ended()) {
            (None, None) => {
                self.machine.note_limits();
                self.device.note_limits();
                None
            }
            // A QEMU that has not started refuses the device that has gone.
            (_, Some(ended)) if !self.started && self.is_missed(ended) => Some(self.tell(Part::Card)),
            // The kernel closes the sockets of a QEMU that ends before its end shows.
            (None, Some(_)) if !self.qemu_is_ending() => Some(self.tell(Part::Card)),
            (_, device) => {
                if device.is_none() {
                    self.device.wait(FOLLOWS);
                }
                let seen = self.watch.both();
                let long_before = |card: Instant, qemu: Instant| qemu.saturating_duration_since(card) > WORD;
                let first = seen.card.zip(seen.qemu).is_some_and(|(card, qemu)| long_before(card, qemu));
                let crashed = seen.first == Some(Part::Card) && self.device.ended().is_some_and(is_crash);
                Some(self.tell(if first || crashed { Part::Card } else { Part::Qemu }))
            }
        }
    }

    /// Tells whether a QEMU that has not started ends for want of a device that ended like this: a device ends in order
    /// when QEMU has refused something else.
    fn is_missed(&mut self, device: Ended) -> bool {
        device != CARD_LEFT || self.machine.wait(GRACE).is_none() || self.machine.tail().contains(VFIO_USER)
    }

    /// Decides where the device is the card.
    fn decide_with_card(&mut self) -> Option<Death> {
        match (self.machine.ended(), self.device.ended()) {
            (None, None) => {
                self.machine.note_limits();
                self.device.note_limits();
                return None;
            }
            // The card ends with this status when QEMU has left, too.
            (None, Some(CARD_LEFT | CARD_LOST_CONNECTION)) if !self.qemu_is_ending() => {
                return Some(self.tell(Part::Card));
            }
            (None, Some(_)) if self.machine.ended().is_none() && !self.card_may_have_followed() => {
                return Some(self.tell(Part::Card));
            }
            (None, Some(_)) => {
                self.machine.wait(GRACE);
            }
            (Some(qemu), None) => {
                // A card that has not ended by then lives, and will not follow: QEMU had not connected to it yet.
                let suspected = may_follow_card(qemu, self.started);
                self.device.wait(match (suspected, self.machine.missed_card()) {
                    (true, true) => GRACE,
                    (true, false) => WORD,
                    (false, _) => FOLLOWS,
                });
            }
            (Some(_), Some(_)) => {}
        }
        let (Some(qemu), Some(card)) = (self.machine.ended(), self.device.ended()) else {
            let part = if self.machine.ended().is_some() { Part::Qemu } else { Part::Card };
            return Some(self.tell(part));
        };
        let ends = Ends {
            qemu,
            card,
            first: self.watch.both().first,
            card_saw_qemu_leave: self.device.saw_qemu_leave(),
            qemu_missed_card: self.machine.missed_card(),
            started: self.started,
        };
        Some(self.tell(ends.first_death()))
    }

    fn card_may_have_followed(&mut self) -> bool {
        matches!(self.device.ended(), Some(CARD_LEFT | CARD_LOST_CONNECTION))
    }

    /// Tells whether a QEMU is about to end whose card has ended with a status that also means that QEMU has gone: then
    /// it answers no more. After a card that logged that QEMU had disconnected, the wait is longer.
    fn qemu_is_ending(&mut self) -> bool {
        let begun = Instant::now();
        if self.started {
            match self.machine.answers(WORD) {
                Answers::Yes => return false,
                Answers::Closed => return true,
                Answers::Silent => {}
            }
        }
        let limit = if self.device.saw_qemu_leave() == Some(true) { GRACE } else { WORD };
        let rest = limit.saturating_sub(begun.elapsed());
        self.machine.wait(rest).is_some()
    }

    /// Describes how a process ended and what followed.
    fn tell(&mut self, part: Part) -> Death {
        let (card, qemu) = (self.device.ended(), self.machine.ended());
        let ended = match part {
            Part::Card => card,
            Part::Qemu => qemu,
        };
        let mut death = Death::of(part, ended.unwrap_or(Ended::Exit(0)));
        death.by_debugger = part == Part::Qemu && self.machine.ended_by_debugger();
        death.device = self.device.name().map(ToOwned::to_owned);
        if let (Some(card), Some(qemu)) = (card, qemu) {
            let seen = self.watch.both();
            let between = |first: Option<Instant>, then: Option<Instant>| {
                first.zip(then).map_or(Duration::ZERO, |(first, then)| then.saturating_duration_since(first))
            };
            death.followed = Some(match part {
                Part::Card => (qemu, between(seen.card, seen.qemu)),
                Part::Qemu => (card, between(seen.qemu, seen.card)),
            });
        }
        death.last_words = (self.device.tail(), self.machine.tail());
        death.stopped_by = match part {
            Part::Card => self.device.stopped_by(),
            Part::Qemu => self.machine.stopped_by(),
        };
        death
    }
}

/// Why a machine has not left after the guest shut down.
#[derive(Clone, Debug)]
pub enum LeaveError {
    /// A process ended in another way.
    Died(Box<Death>),
    /// QEMU still runs.
    StillThere,
    /// The user interrupted the wait.
    Interrupted,
}

impl Health for Processes {
    fn death(&mut self) -> Option<Death> {
        if self.found.is_none() {
            self.found = self.decide();
        }
        self.found.clone()
    }

    fn lost_device(&mut self) -> Option<LostDevice> {
        let device = self.server.clone()?;
        let words = self.machine.lost_device()?;
        // A server that dies closes its socket before its end shows.
        self.device.wait(FOLLOWS);
        if self.death().is_some() { None } else { Some(LostDevice { device, words }) }
    }

    fn crash(&mut self) -> Option<String> {
        self.screen.as_mut()?.crash(&mut self.machine)
    }

    fn is_off(&mut self) -> bool {
        self.machine.starts_from_disk()
            && self.machine.ended() == Some(Ended::Exit(0))
            && self.machine.shutdown_reason().as_deref() == Some(BY_GUEST)
    }

    fn limit(&mut self) -> Option<LimitError> {
        self.device.limit_reached().or_else(|| self.machine.limit_reached())
    }

    fn stood_still(&self) -> Duration {
        self.standstills.total() + self.machine.paused()
    }
}
