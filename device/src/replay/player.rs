//! Gives a card what was recorded, record by record.

use std::collections::BTreeSet;
use std::sync::Arc;

use card_control::{Clock, Command};
use card_spec::diagnosis::Diagnosis;
use card_spec::feature;
use card_spec::queue::Queue;
use card_trace::{Act, Record, Writer};
use dls_synth::Bank;
use parking_lot::Mutex;
use serde::Serialize;

use super::chain::RecordedChain;
use super::guest::Guest;
use super::recording::{Recording, RecordingError};
use super::ring::RecordedRing;
use super::wishes::{self, Wishes};
use crate::bus::{Bus, RingSetup, SharedBus};
use crate::card::{Card, Identity};
use crate::diagnosis::{Counter, DriverError, Registers};
use crate::options;
use crate::trace::Trace;
use crate::transport::vfio_user::Repeated;

/// Faults that need no occasion to strike: they strike when the card looks, and not with a chain.
const NO_OCCASION: [&str; 5] = ["spurious-interrupt", "interrupt-storm", "clock-jump", "lose-session", "needs-reset"];

/// How a recording is replayed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Injected faults are left out.
    pub without_faults: bool,
}

/// What a replay has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Records of the recording.
    pub records: usize,
    /// Chains that the card was given.
    pub chains: usize,
    /// Commands of the control socket that were carried out.
    pub commands: usize,
    /// Errors that the recorded transport had found, and that were reported as recorded.
    pub given: usize,
    /// Accesses to registers and configuration space that were made again.
    pub accesses: usize,
}

/// Replays a recording on a new card with this bank, which records in `writer`.
///
/// # Errors
/// [`RecordingError::Memory`] when the recording's guest memory cannot be made, [`RecordingError::NoStart`] when it does not say how its card
/// was started.
pub fn replay(
    recording: &Recording,
    bank: Arc<Bank>,
    writer: Writer,
    options: Options,
) -> Result<Replayed, RecordingError> {
    let start = recording.start().ok_or(RecordingError::NoStart)?;
    let records = recording.records();
    let trace = Trace::with(writer);
    trace.card(&start);
    let registers = Arc::new(Registers::traced(trace));
    let bus = Arc::new(Mutex::new(Bus::new(Arc::clone(&registers))));
    let card_options = options::Options {
        clock: if start.lockstep { Clock::Lockstep } else { Clock::Realtime },
        voices: start.voices,
        render_block: usize::try_from(start.render_block).unwrap_or(usize::MAX),
    };
    let card = Card::new(card_options, bank, Arc::clone(&bus), Arc::clone(&registers));
    let function = match start.vfio_user && records.iter().any(is_access) {
        true => Some(Repeated::new(&bus, &registers, Identity::new(card_options, Arc::clone(&registers)))?),
        false => None,
    };
    let mut player = Player {
        function,
        card,
        bus,
        registers,
        guest: Guest::map(std::iter::empty())?,
        rings: Queue::ALL.map(|_| None),
        wishes: Queue::ALL.map(|queue| Wishes::of(records, queue)),
        features: 0,
        offered: BTreeSet::new(),
        options,
        done: Replayed { records: records.len(), ..Replayed::default() },
    };
    for index in 0..records.len() {
        player.play(records, index)?;
    }
    Ok(player.done)
}

struct Player {
    /// The function over vfio-user, where accesses to it were recorded.
    function: Option<Repeated>,
    card: Card,
    bus: SharedBus,
    registers: Arc<Registers>,
    guest: Guest,
    rings: [Option<Arc<RecordedRing>>; Queue::ALL.len()],
    wishes: [Wishes; Queue::ALL.len()],
    features: u64,
    /// Records of chains that have been made available already.
    offered: BTreeSet<usize>,
    options: Options,
    done: Replayed,
}

impl Player {
    fn play(&mut self, records: &[Record], index: usize) -> Result<(), RecordingError> {
        let Some(record) = records.get(index) else { return Ok(()) };
        let act = record.act();
        match act {
            Act::Memory { regions } => {
                self.guest = Guest::map(card_trace::regions(regions))?;
                *self.bus.lock().memory_mut() = self.guest.memory();
            }
            Act::Features { features } => {
                self.features = features;
                self.bus.lock().set_features(features);
            }
            Act::Reset { .. } => {
                let mut bus = self.bus.lock();
                let next = records.iter().skip(index).skip(1).find(|record| !wishes::is_aside(record));
                match next.map(Record::act) {
                    // The first ring to start marks it, by the indices of all.
                    Some(Act::QueueStarted { .. }) => {
                        Queue::ALL.into_iter().for_each(|queue| bus.set_ring_base(queue, 0));
                    }
                    _ => {
                        bus.reset_device();
                        drop(bus);
                        if let Some(function) = &self.function {
                            function.reset_if_up();
                        }
                    }
                }
            }
            Act::QueueStarted { queue, setup, .. } => self.start_ring(queue, &setup),
            Act::QueueStopped { queue, .. } => {
                self.bus.lock().stop_ring(queue);
            }
            Act::Disconnected => {
                self.bus.lock().disconnect();
                if let Some(function) = &self.function {
                    function.disconnect();
                }
            }
            Act::Kicked { queue, kicks } => self.kick(queue, kicks.into(), record.number),
            Act::ChainTaken { queue, .. } => {
                self.offer_with_those_inside(records, index, queue);
                if strikes_at(records, index) {
                    self.card.step_faults();
                }
                self.card.step_queue(queue);
            }
            Act::FaultStruck { .. } => self.card.step_faults(),
            Act::Rendered { frame, .. } => self.card.step_to_frame(frame),
            Act::Skipped { frames } => self.card.step_over(frames),
            Act::Command { text } => self.command(text),
            Act::Interrupt { queue, .. } if self.is_late(queue, record.number) => {
                self.bus.lock().raise_next_scheduled();
            }
            Act::DriverError { code, queue, place, expected, got } => {
                self.found(DriverError { code: Diagnosis(code), queue, descriptor: place, expected, got });
            }
            Act::RegisterRead { .. } | Act::RegisterWrite { .. } | Act::ConfigRead { .. } | Act::ConfigWrite { .. } => {
                self.access(records, index, &act)?;
            }
            // What the card did, and what is beside it.
            _ => {}
        }
        Ok(())
    }

    /// Makes an access again. What the rings of the card do for it is recorded behind it, and done then.
    fn access(&mut self, records: &[Record], index: usize, act: &Act<'_>) -> Result<(), RecordingError> {
        let Some(function) = &self.function else { return Ok(()) };
        // Memory is recorded when the first ring starts, which is within the access that starts it.
        let mut within = records.iter().skip(index).skip(1).take_while(|record| !is_access(record)).map(Record::act);
        if let Some(regions) =
            within.find_map(|act| if let Act::Memory { regions } = act { Some(regions) } else { None })
        {
            function.set_memory(Guest::map(card_trace::regions(regions))?.memory());
        }
        match *act {
            Act::RegisterRead { offset, width, .. } => function.read(offset, width),
            Act::RegisterWrite { offset, width, value, .. } => function.write(offset, width, value),
            Act::ConfigRead { offset, width, .. } => function.read_config(offset, width),
            Act::ConfigWrite { offset, width, value } => function.write_config(offset, width, value),
            _ => return Ok(()),
        }
        self.done.accesses = self.done.accesses.saturating_add(1);
        Ok(())
    }

    /// Returns whether an injected fault raised the interrupt of this record by itself.
    fn is_late(&self, queue: Queue, record: u64) -> bool {
        self.wishes.get(queue.index()).is_some_and(|wishes| wishes.late.contains(&record))
    }

    fn start_ring(&mut self, queue: Queue, setup: &card_trace::Setup) {
        let setup = RingSetup {
            size: setup.size,
            base: setup.base as u16,
            descriptors: setup.descriptors,
            available: setup.available,
            used: setup.used,
        };
        let Some(wishes) = self.wishes.get_mut(queue.index()) else { return };
        let wanted = wishes.lives.pop_front().unwrap_or_default();
        let ring = RecordedRing::new(setup, self.guest.view().clone(), wanted, Arc::clone(&wishes.taken));
        let ring = Arc::new(ring);
        if let Some(place) = self.rings.get_mut(queue.index()) {
            *place = Some(Arc::clone(&ring));
        }
        self.bus.lock().start_ring(queue, setup, ring);
    }

    /// Counts kicks. How many of them find a ring empty depends on the host, so only those of a recorded storm are given to the ring.
    fn kick(&mut self, queue: Queue, kicks: u64, record: u64) {
        if self.wishes.get(queue.index()).is_some_and(|wishes| wishes.storms.contains(&record)) {
            self.bus.lock().kicked(queue, kicks);
        } else {
            self.registers.add(Counter::Kicks, kicks);
        }
    }

    /// Makes a chain available. While the card worked on a request it took the batches that were there before, and returned wave buffers:
    /// those are available too.
    fn offer_with_those_inside(&mut self, records: &[Record], index: usize, queue: Queue) {
        self.offer(records, index);
        if queue != Queue::CONTROL {
            return;
        }
        let mut inside = Vec::new();
        for (at, record) in records.iter().enumerate().skip(index).skip(1) {
            match record.act() {
                Act::ChainTaken { queue: Queue::CONTROL, .. } | Act::Rendered { .. } | Act::Reset { .. } => return,
                Act::QueueStopped { queue: Queue::CONTROL, .. } => return,
                Act::ChainTaken { .. } => inside.push(at),
                Act::ChainReturned { queue: Queue::CONTROL, .. } => break,
                Act::FaultStruck { text } if text.starts_with("stuck-command") => break,
                _ => {}
            }
        }
        for at in inside {
            self.offer(records, at);
        }
    }

    fn offer(&mut self, records: &[Record], index: usize) {
        let Some(act) = records.get(index).map(Record::act) else { return };
        let Act::ChainTaken { queue, head, .. } = act else { return };
        if !self.offered.insert(index) {
            return;
        }
        let mut after = records.iter().skip(index).skip(1).take(8).map(Record::act);
        let error = after.find_map(|act| match act {
            Act::DriverError { code, queue: Some(of), place, expected, got }
                if of == queue && place == u32::from(head) =>
            {
                Some(DriverError { code: Diagnosis(code), queue: Some(of), descriptor: place, expected, got })
            }
            _ => None,
        });
        let ring = self.rings.get(queue.index()).and_then(Option::as_ref);
        if let Some((chain, ring)) = RecordedChain::of(&act, error).zip(ring) {
            chain.offer(ring, &mut self.guest, self.features & feature::INDIRECT_DESC != 0);
            self.done.chains = self.done.chains.saturating_add(1);
        }
    }

    fn command(&mut self, text: &str) {
        let Ok(command) = Command::from_line(text.as_bytes()) else { return };
        match command {
            Command::InjectFault { .. } | Command::DisarmFaults {} if self.options.without_faults => return,
            // One that was refused is refused again.
            Command::InjectFault { fault, at } => {
                let _ = self.card.inject(fault, at);
            }
            Command::DisarmFaults {} => {
                self.card.disarm_faults();
            }
            Command::MidiIn { data, group, time } => {
                if let Ok(data) = hex::decode(data) {
                    let _ = self.card.capture(group, &data, time);
                }
            }
            _ => return,
        }
        self.done.commands = self.done.commands.saturating_add(1);
        self.registers.trace().command_text(text);
    }

    /// Reports what the recorded transport had found and no repeated access finds, because the replay has no transport.
    fn found(&mut self, error: DriverError) {
        match error.code {
            // The repeated access has found it.
            code if self.function.is_some() && is_of_registers(code) => {}
            Diagnosis::CONFIG_WRITE
            | Diagnosis::REGISTER_ACCESS
            | Diagnosis::REGISTER_VALUE
            | Diagnosis::REGISTER_READ_ONLY
            | Diagnosis::BUS_MASTER_OFF
            | Diagnosis::QUEUE_NOT_READY
            | Diagnosis::MEMORY_LOST => {
                self.registers.report(error);
                self.done.given = self.done.given.saturating_add(1);
            }
            Diagnosis::AVAILABLE_INDEX => {
                let Some(queue) = error.queue else { return };
                if let Some(ring) = self.rings.get(queue.index()).and_then(Option::as_ref) {
                    ring.run_ahead(error.got as u16);
                }
                self.card.step_queue(queue);
            }
            Diagnosis::RING_OUTSIDE_MEMORY
            | Diagnosis::RING_SIZE
            | Diagnosis::RING_MISALIGNED
            | Diagnosis::RING_OVERLAP
            | Diagnosis::MEMORY_NOT_SHARED => {
                let Some(queue) = error.queue else { return };
                // A ring that the bus has found wrong is parked by now; the transport found the others.
                let mut bus = self.bus.lock();
                if bus.ring_state(queue) != Err(error) {
                    bus.park_ring(queue, error);
                    self.done.given = self.done.given.saturating_add(1);
                }
            }
            _ => {}
        }
    }
}

/// Returns whether a record is of an access of a machine to the function.
fn is_access(record: &Record) -> bool {
    matches!(
        record.act(),
        Act::RegisterRead { .. } | Act::RegisterWrite { .. } | Act::ConfigRead { .. } | Act::ConfigWrite { .. }
    )
}

/// Returns whether an error is found at an access to a register or to configuration space.
fn is_of_registers(code: Diagnosis) -> bool {
    matches!(
        code,
        Diagnosis::CONFIG_WRITE
            | Diagnosis::REGISTER_ACCESS
            | Diagnosis::REGISTER_VALUE
            | Diagnosis::REGISTER_READ_ONLY
            | Diagnosis::BUS_MASTER_OFF
            | Diagnosis::QUEUE_NOT_READY
    )
}

/// Returns whether a fault strikes at the chain of record `index`: it was live when the card took that.
fn strikes_at(records: &[Record], index: usize) -> bool {
    let after = records.iter().skip(index).skip(1).map(Record::act);
    let mut work = after.take_while(|act| !matches!(act, Act::ChainTaken { .. } | Act::Rendered { .. }));
    work.any(|act| matches!(act, Act::FaultStruck { text } if !NO_OCCASION.iter().any(|kind| text.starts_with(kind))))
}
