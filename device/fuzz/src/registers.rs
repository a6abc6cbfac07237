//! Target `registers`: a driver that reads and writes registers and configuration space in any way, over vfio-user, and a
//! machine that maps memory, resets and takes interrupts in any way.
//!
//! A model of the datasheet goes along (`model.rs`, `config.rs`): it says what each access must return, and which errors the
//! card must diagnose.

mod client;
mod config;
mod machine;
mod model;

use card_control::Clock;
use card_spec::limits::QUEUE_SIZE_MAX;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::registers::{MSIX_BAR, REGISTERS, VECTORS};
use dmus_card::fake::Piece;
use parking_lot::Mutex;

use super::card::{Card, Served};
use super::guest::{FEATURES, Guest, Plan, RAM_LENGTH, RAM_START, SLOT};
use super::invariants::{Before, assert_closed, begin, open_descriptors};
use super::record::{Act, acts};
use client::CONFIG;
use machine::{Machine, Memory, Reset};

/// The verb of an act of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Verb {
    /// Reads register `number` of the datasheet's list, with its own width.
    ReadRegister,
    /// Writes `wide` to register `number` of the datasheet's list, with its own width.
    WriteRegister,
    /// Reads `number` bytes of region `which` at `wide`.
    Read,
    /// Writes data to region `which` at `wide`.
    Write,
    /// Reads `number` bytes at offset `wide` of BAR 0 through the window in configuration space.
    ReadWindow,
    /// Writes data in the same way.
    WriteWindow,
    /// Writes `number` to the command register.
    Command,
    /// Resets in way `which`: by the device status, the function, the power state, the machine, or a new connection.
    Reset,
    /// From the next start on ring `which` has `number` entries.
    Size,
    /// From the next start on part `number` of ring `which` is at `wide`; addresses below 4 GiB are offsets in guest memory.
    Place,
    /// Goes through all of start-up: features `wide`, the queues whose bit is set in `which`, and `number` as vectors.
    Start,
    /// Puts a request on the control ring and rings its doorbell. `number`: its code. Data: its payload.
    Request,
    /// Posts a buffer of `wide` bytes on queue `which` and rings the doorbell, `number` times.
    Buffers,
    /// Posts a wave buffer of `number` frames for stream `which` and rings the doorbell.
    Wave,
    /// Writes data to guest memory at offset `wide`.
    Poke,
    /// Maps memory of kind `which` at `wide`; `number` is its length in pages.
    Map,
    /// Takes back memory: `number` pages at `wide`; none for all.
    Unmap,
    /// Cuts the memory that can be cut to `number` bytes, or makes it whole.
    Cut,
    /// Sets up interrupts of index `which`: `number` has flags, first vector and how many.
    Interrupts,
    /// Waits until the card has returned what is on ring `which`, for a short time.
    Settle,
}

const VERBS: [Verb; 20] = [
    Verb::ReadRegister,
    Verb::WriteRegister,
    Verb::Read,
    Verb::Write,
    Verb::ReadWindow,
    Verb::WriteWindow,
    Verb::Command,
    Verb::Reset,
    Verb::Size,
    Verb::Place,
    Verb::Start,
    Verb::Request,
    Verb::Buffers,
    Verb::Wave,
    Verb::Poke,
    Verb::Map,
    Verb::Unmap,
    Verb::Cut,
    Verb::Interrupts,
    Verb::Settle,
];

/// Most acts of an input, so that one is over soon.
const ACTS_MAX: usize = 200;

/// Most starts of an input: each is some fifty accesses.
const STARTS_MAX: u32 = 12;

/// Most bytes of an access.
const ACCESS_MAX: usize = 512;

/// Most buffers of an act.
const BUFFERS_MAX: u32 = 16;

/// The state that outlasts an input.
struct Bench {
    card: Card,
    served: Served,
    guest: Guest,
    memory: Memory,
}

static BENCH: Mutex<Option<Bench>> = Mutex::new(None);

/// Executes an input, and checks each access, and that the card works as before.
///
/// # Panics
/// When the card has a defect.
pub fn drive(input: &[u8]) {
    let _turn = begin();
    let mut slot = BENCH.lock();
    // After a panic there is none, because its card may hang.
    let mut bench = slot.take().unwrap_or_else(|| {
        let card = Card::start(Clock::Lockstep);
        let served = card.serve_vfio_user();
        let mut bench = Bench { card, served, guest: Guest::new(), memory: Memory::new() };
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
    /// Runs a conforming driver in a machine of its own.
    fn run_conforming_driver(&mut self) {
        self.guest.restart();
        let mut machine = Machine::new(self.served.connect(), self.card.link(), &self.memory);
        machine.map_guest(&self.guest);
        machine.command(machine::COMMAND_ON);
        self.guest.run_conforming_driver(&mut machine);
        machine.finish(&self.guest);
    }

    fn play(&mut self, input: &[u8], before: &Before) {
        self.guest.restart();
        self.memory.restore();
        let mut machine = Machine::new(self.served.connect(), self.card.link(), &self.memory);
        machine.map_guest(&self.guest);
        let plan = self.guest.plan();
        let mut driver = Driver { machine, guest: &mut self.guest, served: &self.served, plan, starts: STARTS_MAX };
        for act in acts(input).take(ACTS_MAX) {
            driver.act(act);
            before.check();
        }
        driver.finish();
        self.memory.check();
    }
}

/// A driver, and the machine that it runs in.
struct Driver<'a> {
    machine: Machine<'a>,
    guest: &'a mut Guest,
    served: &'a Served,
    plan: [Plan; QUEUE_COUNT],
    /// How many more starts there may be.
    starts: u32,
}

impl Driver<'_> {
    fn act(&mut self, act: Act<'_>) {
        let queue = usize::from(act.which) % QUEUE_COUNT;
        let register = REGISTERS[act.number as usize % REGISTERS.len()];
        let (offset, width) = (u64::from(register.offset), usize::from(register.width));
        match VERBS[usize::from(act.kind) % VERBS.len()] {
            Verb::ReadRegister => self.machine.read(0, offset, width),
            Verb::WriteRegister => {
                let value = (act.wide as u32).to_le_bytes();
                self.machine.write(0, offset, &value[..width], self.guest);
            }
            Verb::Read => {
                self.machine.read(region(act.which), act.wide, act.number as usize % (ACCESS_MAX + 1));
            }
            Verb::Write => {
                let data = &act.data[..act.data.len().min(ACCESS_MAX)];
                self.machine.write(region(act.which), act.wide, data, self.guest);
            }
            Verb::ReadWindow => {
                self.machine.place_window(act.wide as u32, act.number, self.guest);
                let [.., data] = self.machine.config.window();
                self.machine.read(CONFIG, data as u64, 4);
            }
            Verb::WriteWindow => {
                self.machine.place_window(act.wide as u32, act.data.len() as u32, self.guest);
                let [.., data] = self.machine.config.window();
                let mut value = [0; 4];
                value.iter_mut().zip(act.data).for_each(|(to, from)| *to = *from);
                self.machine.write(CONFIG, data as u64, &value, self.guest);
            }
            Verb::Command => self.machine.write(CONFIG, 4, &(act.number as u16).to_le_bytes(), self.guest),
            Verb::Reset => self.reset(act.which),
            Verb::Size => self.plan[queue].size = act.number % (u32::from(u16::MAX) + 1),
            Verb::Place => self.plan[queue].parts[act.number as usize % 3] = address(act.wide),
            Verb::Start => self.start(act),
            Verb::Request => {
                self.make_room(Queue::CONTROL);
                self.own_write(|guest| _ = guest.offer_request(act.number, act.data));
                self.machine.doorbell(Queue::CONTROL.index(), self.guest);
            }
            Verb::Buffers => {
                self.own_write(|guest| {
                    for _ in 0..act.number % (BUFFERS_MAX + 1) {
                        let place = guest.place(&[]);
                        guest.rings[queue].offer(&[Piece::writable(place, (act.wide % (2 * SLOT)) as usize)]);
                    }
                });
                self.machine.doorbell(queue, self.guest);
            }
            Verb::Wave => {
                self.make_room(Queue::WAVE);
                let frames = act.number % 4096;
                self.own_write(|guest| guest.offer_wave(act.which.into(), frames, frames as usize * 4));
                self.machine.doorbell(Queue::WAVE.index(), self.guest);
            }
            Verb::Poke => {
                let at = act.wide % RAM_LENGTH;
                let room = (RAM_LENGTH - at).min(act.data.len() as u64) as usize;
                self.own_write(|guest| guest.ram.write(RAM_START + at, &act.data[..room]));
            }
            Verb::Map => self.machine.map(act.which, act.wide, u64::from(act.number), self.guest),
            Verb::Unmap => self.machine.unmap(act.wide, u64::from(act.number)),
            Verb::Cut => self.machine.memory.cut(act.number),
            Verb::Interrupts => {
                let [flags, start, count, _] = act.number.to_le_bytes();
                self.machine.interrupts(act.which % 5, flags, start, count % (VECTORS as u8 + 2));
            }
            Verb::Settle => self.machine.settle(self.guest, queue),
        }
    }

    /// Has the driver write to guest memory, where the card writes too.
    fn own_write(&mut self, write: impl FnOnce(&mut Guest)) {
        self.machine.end_rest(self.guest);
        write(self.guest);
        self.machine.begin_rest(self.guest);
    }

    fn reset(&mut self, way: u8) {
        let way = match way % 5 {
            0 => Reset::Status,
            1 => Reset::Function,
            2 => Reset::Power,
            3 => Reset::Machine,
            _ => {
                self.machine.reconnect(self.served, self.guest);
                self.machine.map_guest(self.guest);
                return;
            }
        };
        self.machine.reset(way, self.guest);
    }

    /// Starts the card as a driver does: status, features, queues.
    fn start(&mut self, act: Act<'_>) {
        let Some(left) = self.starts.checked_sub(1) else { return };
        self.starts = left;
        self.machine.command(machine::COMMAND_ON);
        self.own_write(Guest::forget_rings);
        let features = if act.wide == 0 { FEATURES } else { act.wide };
        let queues = std::array::from_fn(|queue| act.which >> queue & 1 != 0);
        let vector = |queue| (act.number >> (3 * queue) & 7) as u16;
        self.machine.start_with(features, &self.plan, queues, vector, self.guest);
    }

    /// Waits until a ring has room for another chain, or for as long as the card should need to make some.
    fn make_room(&mut self, queue: Queue) {
        if self.guest.under_way(queue.index()) > QUEUE_SIZE_MAX / 4 {
            self.machine.settle(self.guest, queue.index());
        }
    }

    /// Resets, reads everything, and disconnects.
    fn finish(mut self) {
        self.machine.reset(Reset::Machine, self.guest);
        self.machine.command(machine::COMMAND_ON);
        for register in REGISTERS {
            self.machine.read(0, register.offset.into(), register.width.into());
        }
        let bytes = self.machine.config.length();
        self.machine.read(CONFIG, 0, bytes);
        self.machine.finish(self.guest);
    }
}

/// Returns the region that a byte of an input stands for: mostly BAR 0, then configuration space and the BAR of MSI-X,
/// and others.
const fn region(byte: u8) -> u32 {
    match byte % 16 {
        0..=6 => 0,
        7..=11 => CONFIG,
        12..=13 => MSIX_BAR as u32,
        14 => 6,
        _ => 1,
    }
}

/// Returns an address as an input has it.
const fn address(wide: u64) -> u64 {
    if wide >> 32 == 0 { RAM_START + wide % RAM_LENGTH } else { wide }
}
