//! The card as a PCI function of its own: what a driver finds in its registers, over vfio-user without QEMU.

#[path = "../../pci/tests/common/client.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod client;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use card_control::{Clock, InjectedFault};
use card_spec::diagnosis::Diagnosis;
use card_spec::identity::IdentityBlock;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::registers::{
    BAR_BYTES, CAUSE_DIAGNOSED, COMMON, DEVICE, DEVICE_ID, DIAGNOSIS_LATCHED, FILE, IDENT_VALUE, ISR, NO_VECTOR,
    NOTIFY, NOTIFY_MULTIPLIER, STATUS_PAGE, SUBSYSTEM_ID, VECTORS, common, device_status, file, state,
};
use card_spec::{PCI_VENDOR_ID, feature};
use client::{CONFIG, DMA_MAP, DMA_UNMAP, EVENTFD, INTX, MSIX, RESET, Raw, TRIGGER};
use dmus_card::card::{Engine, Link};
use dmus_card::options::Options;
use dmus_card::stop::Stop;
use dmus_card::trace::Trace;
use dmus_card::transport::vfio_user;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use tempfile::TempDir;
use vfio_user_card::ServeError;

use crate::wire;

/// How long something may take that takes milliseconds: a machine with many busy processes a processor makes it wait.
const SOON: Duration = Duration::from_secs(20);

/// Where guest memory begins, and how much there is.
const RAM: u64 = 0x10_0000;
const RAM_BYTES: u64 = 0x10_0000;

const ACKNOWLEDGED: u8 = device_status::ACKNOWLEDGE | device_status::DRIVER;
const NEGOTIATED: u8 = ACKNOWLEDGED | device_status::FEATURES_OK;
const UP: u8 = NEGOTIATED | device_status::DRIVER_OK;

/// A card that is served, and a client with guest memory.
pub(crate) struct Bench {
    client: Raw,
    memory: File,
    link: Link,
    stop: Stop,
    engine: Option<Engine>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::traced(Trace::default())
    }

    pub(crate) fn traced(trace: Trace) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card");
        let listener = UnixListener::bind(&path).unwrap();
        let bank = dls_synth::Bank::builtin();
        let options = Options { clock: Clock::Lockstep, voices: 32, render_block: 64 };
        let engine = Engine::start_traced(options, bank, None, trace).unwrap();
        let (link, stop) = (engine.link().clone(), Stop::new().unwrap());
        let thread = {
            let (link, stop) = (link.clone(), stop.clone());
            std::thread::spawn(move || vfio_user::serve(&link, listener, true, &stop))
        };
        let mut client = Raw::greeted(&path);
        let memory = File::from(memfd_create("guest-memory", MemfdFlags::CLOEXEC).unwrap());
        memory.set_len(RAM_BYTES).unwrap();
        client.ask_with(DMA_MAP, &wire!(32u32, 3u32, 0u64, RAM, RAM_BYTES), &[memory.as_fd()]).unwrap();
        client.command(6);
        Self { client, memory, link, stop, engine: Some(engine), thread: Some(thread), folder }
    }

    pub(crate) fn read(&mut self, offset: u32, bytes: u32) -> u32 {
        let mut value = self.client.read(0, offset.into(), bytes).unwrap();
        value.resize(4, 0);
        u32::from_le_bytes(value.try_into().unwrap())
    }

    pub(crate) fn write(&mut self, offset: u32, bytes: usize, value: u32) {
        self.client.write(0, offset.into(), &value.to_le_bytes()[..bytes]).unwrap();
    }

    fn status(&mut self) -> u8 {
        self.read(COMMON + common::DEVICE_STATUS, 1) as u8
    }

    fn set_status(&mut self, status: u8) {
        self.write(COMMON + common::DEVICE_STATUS, 1, status.into());
    }

    /// Accepts features, as far as `FEATURES_OK`.
    fn negotiate(&mut self, features: u64) -> u8 {
        self.set_status(0);
        self.set_status(ACKNOWLEDGED);
        for (select, bits) in [(0, features as u32), (1, (features >> 32) as u32)] {
            self.write(COMMON + common::DRIVER_FEATURE_SELECT, 4, select);
            self.write(COMMON + common::DRIVER_FEATURE, 4, bits);
        }
        self.set_status(NEGOTIATED);
        self.status()
    }

    /// Describes and enables a ring of eight entries, a page for each queue.
    fn ring(&mut self, queue: Queue) {
        let base = RAM + 0x1000 * u64::from(queue.0);
        self.write(COMMON + common::QUEUE_SELECT, 2, queue.0.into());
        self.write(COMMON + common::QUEUE_SIZE, 2, 8);
        for (register, address) in
            [(common::QUEUE_DESC, base), (common::QUEUE_DRIVER, base + 0x400), (common::QUEUE_DEVICE, base + 0x800)]
        {
            self.write(COMMON + register, 4, address as u32);
            self.write(COMMON + register + 4, 4, (address >> 32) as u32);
        }
        self.write(COMMON + common::QUEUE_ENABLE, 2, 1);
    }

    pub(crate) fn up(&mut self) {
        assert_eq!(self.negotiate(feature::VERSION_1), NEGOTIATED);
        for queue in Queue::ALL {
            self.ring(queue);
        }
        self.set_status(UP);
        assert_eq!(self.status(), UP);
    }

    /// Puts an empty request on the control queue and notifies it: the card refuses it, and interrupts.
    pub(crate) fn request(&mut self, number: u16) {
        use std::os::unix::fs::FileExt;
        let buffers = 0x8000_u64;
        let descriptor = |address: u64, length: u32, flags: u16, next: u16| wire!(address, length, flags, next);
        let table = [descriptor(RAM + buffers, 16, 1, 1), descriptor(RAM + buffers + 0x100, 64, 2, 0)].concat();
        self.memory.write_all_at(&table, 0).unwrap();
        self.memory.write_all_at(&wire!(0u16, number), 0x400).unwrap();
        self.write(NOTIFY, 2, 0);
        let memory = self.memory.try_clone().unwrap();
        until("the card returns the chain", || {
            let mut index = [0; 2];
            memory.read_exact_at(&mut index, 0x802).unwrap();
            (u16::from_le_bytes(index) == number).then_some(())
        });
    }

    fn diagnoses(&self) -> Vec<Diagnosis> {
        self.link.registers.history().recent.iter().map(|dated| dated.error.code).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.request();
        let served = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || served.is_ok_and(|served| served.is_ok()), "the server has failed");
        let _ = self.engine.take().unwrap().stop();
        assert!(self.folder.path().exists());
    }
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap()
}

fn signals(fd: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(fd, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}

#[test]
fn is_a_multimedia_audio_function_of_its_own() {
    let mut bench = Bench::new();
    let client = &mut bench.client;
    assert_eq!(client.config(0, 4), u32::from(DEVICE_ID) << 16 | u32::from(PCI_VENDOR_ID));
    assert_eq!(client.config(8, 4), 0x0401_0001);
    assert_eq!(client.config(0x2c, 4), u32::from(SUBSYSTEM_ID) << 16 | u32::from(PCI_VENDOR_ID));
    assert_eq!(client.config(0x3d, 1), 1, "INTA");
    let msix = client.capability(0x11, 0);
    assert_eq!(client.config(msix + 2, 2), u32::from(VECTORS) - 1);
    let express = client.capability(0x10, 0);
    assert_eq!(client.config(express + 4, 4) >> 28, 1, "function-level reset");
    // Types, BARs and offsets of the virtio structures.
    let structures: Vec<(u32, u32, u32)> = (0..5)
        .map(|nth| {
            let at = client.capability(9, nth);
            (client.config(at + 3, 1), client.config(at + 4, 1), client.config(at + 8, 4))
        })
        .collect();
    assert_eq!(structures, [(1, 0, COMMON), (2, 0, NOTIFY), (3, 0, ISR), (4, 0, DEVICE), (5, 0, 0)]);
}

#[test]
fn the_identity_block_is_read_only() {
    let mut bench = Bench::new();
    let block = bench.link.identity.read();
    assert_eq!(bench.read(DEVICE, 4), IDENT_VALUE);
    assert_eq!(bench.read(DEVICE + 8, 2), u32::from(block.length.get()));
    let generation = bench.read(COMMON + common::CONFIG_GENERATION, 1);
    assert_eq!(bench.read(COMMON + common::CONFIG_GENERATION, 1), generation, "nothing has changed");
    bench.write(DEVICE, 4, 0);
    assert_eq!(bench.read(DEVICE, 4), IDENT_VALUE);
    assert_eq!(bench.diagnoses(), [Diagnosis::CONFIG_WRITE]);
    assert_ne!(bench.read(COMMON + common::CONFIG_GENERATION, 1), generation, "the first error is in the block");
    assert_eq!(bench.read(DEVICE + size_of::<IdentityBlock>() as u32, 4), u32::MAX);
}

#[test]
fn an_access_that_no_register_takes_reads_as_ones_and_is_diagnosed() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(COMMON + common::DEVICE_FEATURE, 2), 0xffff);
    assert_eq!(bench.read(COMMON + common::QUEUE_SELECT, 4), u32::MAX);
    assert_eq!(bench.client.read(0, u64::from(COMMON + common::QUEUE_DESC), 8).unwrap(), [0xff; 8]);
    assert_eq!(bench.read(FILE + 0x18, 4), u32::MAX);
    bench.write(COMMON + common::DEVICE_STATUS, 2, 1);
    assert_eq!(bench.status(), 0);
    assert_eq!(bench.diagnoses(), [Diagnosis::REGISTER_ACCESS; 5]);
    bench.write(COMMON + common::NUM_QUEUES, 2, 1);
    bench.write(ISR, 1, 1);
    assert_eq!(bench.diagnoses()[5..], [Diagnosis::REGISTER_READ_ONLY; 2]);
    assert_eq!(bench.read(BAR_BYTES - 4, 4), 0xffff_ffff, "beyond the status page");
}

#[test]
fn features_are_agreed_on_before_the_driver_is_up() {
    let mut bench = Bench::new();
    bench.write(COMMON + common::DEVICE_FEATURE_SELECT, 4, 1);
    assert_eq!(bench.read(COMMON + common::DEVICE_FEATURE, 4), (feature::VERSION_1 >> 32) as u32);
    bench.write(COMMON + common::DEVICE_FEATURE_SELECT, 4, 2);
    assert_eq!(bench.read(COMMON + common::DEVICE_FEATURE, 4), 0);
    assert_eq!(bench.negotiate(feature::EVENT_IDX), ACKNOWLEDGED, "without VERSION_1");
    assert_eq!(bench.negotiate(feature::VERSION_1 | 1), ACKNOWLEDGED, "a feature that is not offered");
    assert_eq!(bench.diagnoses(), [Diagnosis::VERSION_1_MISSING, Diagnosis::REGISTER_VALUE]);
    bench.set_status(ACKNOWLEDGED | device_status::DRIVER_OK);
    assert_eq!(bench.status(), ACKNOWLEDGED, "up without features");
    assert_eq!(bench.negotiate(feature::VERSION_1), NEGOTIATED);
    bench.write(COMMON + common::DRIVER_FEATURE, 4, 0);
    assert_eq!(bench.read(COMMON + common::DRIVER_FEATURE, 4), 1, "what was agreed on stays");
    bench.set_status(device_status::ACKNOWLEDGE);
    assert_eq!(bench.status(), NEGOTIATED, "a status bit is cleared by a reset only");
    bench.set_status(0);
    assert_eq!((bench.status(), bench.read(COMMON + common::DRIVER_FEATURE_SELECT, 4)), (0, 0));
}

#[test]
fn queues_are_described_by_registers_and_kept_once_enabled() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(COMMON + common::NUM_QUEUES, 2), QUEUE_COUNT as u32);
    bench.negotiate(feature::VERSION_1);
    bench.ring(Queue::WAVE);
    assert_eq!(bench.read(COMMON + common::QUEUE_NOTIFY_OFF, 2), 3);
    assert_eq!(bench.read(COMMON + common::QUEUE_SIZE, 2), 8);
    assert_eq!(bench.read(COMMON + common::QUEUE_DRIVER, 4), (RAM + 0x3400) as u32);
    bench.write(COMMON + common::QUEUE_SIZE, 2, 16);
    bench.write(COMMON + common::QUEUE_ENABLE, 2, 0);
    let kept = (bench.read(COMMON + common::QUEUE_SIZE, 2), bench.read(COMMON + common::QUEUE_ENABLE, 2));
    assert_eq!(kept, (8, 1));
    bench.write(COMMON + common::QUEUE_SELECT, 2, 9);
    assert_eq!(bench.read(COMMON + common::QUEUE_SIZE, 2), 0, "there is no such queue");
    bench.write(COMMON + common::QUEUE_SIZE, 2, 16);
    bench.write(COMMON + common::QUEUE_SELECT, 2, 0);
    for (vector, expected) in [(VECTORS - 1, VECTORS - 1), (VECTORS, NO_VECTOR), (NO_VECTOR, NO_VECTOR)] {
        bench.write(COMMON + common::QUEUE_MSIX_VECTOR, 2, vector.into());
        assert_eq!(bench.read(COMMON + common::QUEUE_MSIX_VECTOR, 2), u32::from(expected), "vector {vector}");
    }
    assert_eq!(bench.diagnoses(), [Diagnosis::REGISTER_VALUE; 4]);
}

#[test]
fn a_queue_interrupts_by_the_line_until_the_status_is_read() {
    let mut bench = Bench::new();
    let line = event();
    bench.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&line]).unwrap();
    bench.up();
    bench.request(1);
    until("the line is asserted", || (signals(&line) == 1).then_some(()));
    assert_eq!(bench.client.config(6, 2) & 8, 8);
    assert_eq!(bench.read(FILE + file::CAUSE, 4) & 0x1f, 1);
    assert_eq!((bench.read(ISR, 1), bench.read(ISR, 1)), (1, 0), "reading clears");
    assert_eq!(bench.client.config(6, 2) & 8, 0);
    bench.write(FILE + file::CAUSE, 4, 2);
    assert_eq!(bench.read(FILE + file::CAUSE, 4) & 0x1f, 1, "only ones clear");
    bench.write(FILE + file::CAUSE, 4, 1);
    assert_eq!(bench.read(FILE + file::CAUSE, 4) & 0x1f, 0);
}

#[test]
fn a_queue_interrupts_by_the_message_of_its_vector() {
    let mut bench = Bench::new();
    let vectors: Vec<OwnedFd> = std::iter::repeat_with(event).take(VECTORS.into()).collect();
    let control = bench.client.capability(0x11, 0) + 2;
    bench.client.set_config(control, 0x8000u16.to_le_bytes());
    let fds: Vec<&OwnedFd> = vectors.iter().collect();
    bench.client.set_irqs(MSIX, EVENTFD | TRIGGER, 0, VECTORS.into(), &fds).unwrap();
    bench.negotiate(feature::VERSION_1);
    bench.write(COMMON + common::QUEUE_SELECT, 2, 0);
    bench.write(COMMON + common::QUEUE_MSIX_VECTOR, 2, 4);
    bench.ring(Queue::CONTROL);
    bench.set_status(UP);
    bench.request(1);
    until("the message is sent", || (signals(&vectors[4]) == 1).then_some(()));
    assert_eq!(bench.read(ISR, 1), 0, "the interrupt status is for the line");
    assert!([0, 1, 2, 3, 5].into_iter().all(|other| signals(&vectors[other]) == 0));
}

#[test]
fn a_device_that_needs_a_reset_says_so_and_serves_no_queue_until_then() {
    let mut bench = Bench::new();
    let line = event();
    bench.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&line]).unwrap();
    bench.up();
    bench.link.with_card(|card| card.inject(InjectedFault::NeedsReset {}, None)).unwrap().unwrap();
    until("the line is asserted", || (signals(&line) == 1).then_some(()));
    assert_eq!((bench.read(ISR, 1), bench.read(ISR, 1)), (2, 0), "the configuration interrupts");
    assert_eq!(bench.status(), UP | device_status::NEEDS_RESET);
    bench.write(NOTIFY, 2, 0);
    assert_eq!(signals(&line), 0);
    bench.set_status(0);
    assert_eq!(bench.status(), 0);
    bench.memory.set_len(0).unwrap();
    bench.memory.set_len(RAM_BYTES).unwrap();
    bench.up();
    bench.request(1);
    assert_eq!(bench.status(), UP);
}

#[test]
fn the_register_file_shows_diagnosis_counters_and_clocks() {
    let mut bench = Bench::new();
    assert_eq!(bench.read(FILE + file::IDENT, 4), IDENT_VALUE);
    assert_eq!(bench.read(FILE + file::VERSION, 4), 1 << 16);
    assert_eq!(bench.read(FILE + file::STATE, 4), state::BUS_MASTER | state::LOCKSTEP);
    bench.write(FILE + file::SCRATCH, 4, 0xdead_beef);
    assert_eq!(bench.read(FILE + file::SCRATCH, 4), 0xdead_beef);
    assert_eq!(bench.read(FILE + file::DIAGNOSIS, 4), 0);
    bench.up();
    let all = 0x1f << state::RING_SHIFT;
    assert_eq!(bench.read(FILE + file::STATE, 4), state::DRIVER_OK | state::BUS_MASTER | state::LOCKSTEP | all);
    bench.request(1);
    assert_eq!(bench.read(FILE + file::COUNTERS, 4), 1, "kicks");
    assert_eq!(bench.read(FILE + file::COUNTERS + 4, 4), 0);
    // An empty request: the card refuses it and says why.
    let code = bench.read(FILE + file::DIAGNOSIS, 4);
    assert_eq!(code & DIAGNOSIS_LATCHED, 1);
    assert_eq!(code >> 16, bench.read(FILE + file::ERROR, 4) & 0xffff);
    assert_eq!(bench.read(FILE + file::CAUSE, 4) & CAUSE_DIAGNOSED, CAUSE_DIAGNOSED);
    bench.write(FILE + file::CAUSE, 4, CAUSE_DIAGNOSED);
    assert_eq!(bench.read(FILE + file::CAUSE, 4) & CAUSE_DIAGNOSED, 0);
    bench.write(FILE + file::DIAGNOSIS, 4, 0);
    assert_eq!(bench.read(FILE + file::DIAGNOSIS, 4), code);
    bench.write(FILE + file::DIAGNOSIS, 4, DIAGNOSIS_LATCHED);
    assert_eq!((bench.read(FILE + file::DIAGNOSIS, 4), bench.read(FILE + file::ERROR, 4)), (0, 0));
    let time = |bench: &mut Bench| {
        u64::from(bench.read(FILE + file::CARD_TIME, 4)) | u64::from(bench.read(FILE + file::CARD_TIME + 4, 4)) << 32
    };
    let before = time(&mut bench);
    std::thread::sleep(Duration::from_millis(2));
    assert!(time(&mut bench) >= before + 20_000, "100 ns units");
    let page = bench.client.read(0, STATUS_PAGE.into(), 4).unwrap();
    assert_eq!(u32::from_le_bytes(page.try_into().unwrap()) % 2, 0, "the sequence lock is open");
}

#[test]
fn a_session_that_clears_the_errors_leaves_no_cause_behind() {
    let mut bench = Bench::new();
    // An error, which the driver takes note of, and then a start, which clears it.
    bench.write(ISR, 1, 0);
    assert_eq!(bench.read(FILE + file::CAUSE, 4), CAUSE_DIAGNOSED);
    bench.write(FILE + file::CAUSE, 4, CAUSE_DIAGNOSED);
    let cause = |bench: &mut Bench| bench.read(FILE + file::CAUSE, 4) & CAUSE_DIAGNOSED;
    bench.negotiate(feature::VERSION_1);
    bench.write(ISR, 1, 0);
    bench.write(FILE + file::CAUSE, 4, CAUSE_DIAGNOSED);
    bench.ring(Queue::CONTROL);
    bench.set_status(UP);
    assert_eq!(bench.read(FILE + file::DIAGNOSIS, 4), 0, "the start has cleared it");
    assert_eq!(cause(&mut bench), 0, "nothing was diagnosed since the cause was cleared");
    bench.write(ISR, 1, 0);
    assert_eq!(cause(&mut bench), CAUSE_DIAGNOSED, "as many errors as before the start");
}

#[test]
fn rings_rest_while_bus_mastering_is_off() {
    let mut bench = Bench::new();
    bench.up();
    bench.request(1);
    bench.client.command(2);
    assert_eq!(bench.read(FILE + file::STATE, 4) >> state::RING_SHIFT & 0x1f, 0);
    bench.client.command(6);
    assert_eq!(bench.read(FILE + file::STATE, 4) >> state::RING_SHIFT & 0x1f, 0x1f);
    bench.request(2);
    bench.client.command(2);
    bench.set_status(0);
    bench.up();
    assert!(bench.diagnoses().contains(&Diagnosis::BUS_MASTER_OFF));
}

#[test]
fn a_doorbell_of_a_queue_that_is_not_ready_is_diagnosed() {
    let mut bench = Bench::new();
    bench.write(NOTIFY, 2, 0);
    bench.negotiate(feature::VERSION_1);
    bench.ring(Queue::CONTROL);
    bench.write(NOTIFY, 2, 0);
    bench.set_status(UP);
    bench.write(NOTIFY + NOTIFY_MULTIPLIER, 2, 1);
    assert_eq!(bench.diagnoses(), [Diagnosis::QUEUE_NOT_READY], "the errors of before are cleared with the reset");
    bench.write(NOTIFY, 2, 3);
    assert_eq!(bench.diagnoses()[1..], [Diagnosis::REGISTER_VALUE], "another queue's number");
}

#[test]
fn a_ring_outside_of_memory_is_parked_and_the_connection_goes_on() {
    let mut bench = Bench::new();
    bench.negotiate(feature::VERSION_1);
    bench.ring(Queue::CONTROL);
    bench.write(COMMON + common::QUEUE_SELECT, 2, 1);
    bench.write(COMMON + common::QUEUE_DESC + 4, 4, 0xffff);
    bench.write(COMMON + common::QUEUE_ENABLE, 2, 1);
    bench.set_status(UP);
    assert!(bench.diagnoses().contains(&Diagnosis::RING_OUTSIDE_MEMORY));
    let state = bench.read(FILE + file::STATE, 4);
    assert_eq!((state >> state::RING_SHIFT & 0x1f, state >> state::PARKED_SHIFT & 0x1f), (1, 2));
    bench.request(1);
    // The machine takes the memory back under the rings.
    bench.client.ask(DMA_UNMAP, &wire!(24u32, 0u32, RAM, RAM_BYTES)).unwrap();
    bench.write(NOTIFY, 2, 0);
    assert_eq!(bench.read(FILE + file::IDENT, 4), IDENT_VALUE);
}

#[test]
fn each_reset_puts_all_registers_back() {
    let mut bench = Bench::new();
    let power = bench.client.capability(1, 0) + 4;
    let express = bench.client.capability(0x10, 0) + 8;
    let resets: [&dyn Fn(&mut Raw); 4] = [
        &|client| {
            client.write(0, (COMMON + common::DEVICE_STATUS).into(), &[0]).unwrap();
            // Bus mastering is not the device's, and stays; the last lines want it off.
            client.command(2);
        },
        &|client| client.set_config(express, 0xa810u16.to_le_bytes()),
        &|client| {
            client.set_config(power, [3]);
            client.set_config(power, [0]);
        },
        &|client| drop(client.ask(RESET, &[]).unwrap()),
    ];
    for reset in resets {
        bench.client.command(6);
        bench.up();
        bench.write(FILE + file::SCRATCH, 4, 7);
        reset(&mut bench.client);
        bench.client.command(2);
        assert_eq!((bench.status(), bench.read(FILE + file::SCRATCH, 4)), (0, 0));
        assert_eq!(bench.read(FILE + file::STATE, 4), state::LOCKSTEP);
    }
}

#[test]
fn registers_are_reached_through_the_window_in_configuration_space() {
    let mut bench = Bench::new();
    let window = bench.client.capability(9, 4);
    let place = |bench: &mut Bench, offset: u32, length: u32| {
        bench.client.set_config(window + 4, [0]);
        bench.client.set_config(window + 8, offset.to_le_bytes());
        bench.client.set_config(window + 12, length.to_le_bytes());
    };
    place(&mut bench, FILE + file::IDENT, 4);
    assert_eq!(bench.client.config(window + 16, 4), IDENT_VALUE);
    place(&mut bench, COMMON + common::DEVICE_STATUS, 1);
    bench.client.set_config(window + 16, [1]);
    assert_eq!(bench.status(), device_status::ACKNOWLEDGE);
    assert_eq!(bench.client.read(CONFIG, window + 16, 1).unwrap(), [1]);
}
