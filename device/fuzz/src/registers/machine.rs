//! The machine between driver and card, and the check of each access against the models.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use card_spec::diagnosis::Diagnosis;
use card_spec::identity::IdentityBlock;
use card_spec::queue::{QUEUE_COUNT, Queue};
use card_spec::registers::{
    BAR_BYTES, CAUSE_DIAGNOSED, COMMON, DEVICE, DEVICE_BYTES, DIAGNOSIS_CODE_SHIFT, DIAGNOSIS_LATCHED, FILE, NOTIFY,
    NOTIFY_MULTIPLIER, STATUS_PAGE, STATUS_PAGE_BYTES, VECTORS, common, device_status, file, state,
};
use dmus_card::card::Link;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, memfd_create};
use zerocopy::{FromBytes, IntoBytes};

use super::super::card::Served;
use super::super::guest::{DriverAccess, FEATURES, Guest, PAGE, Plan, RAM_LENGTH, RAM_START};
use super::client::{CONFIG, Client, command};
use super::config::{Config, Through};
use super::model::{Expected, Model};

/// The command register of a driver that works: memory and bus mastering.
pub(super) const COMMAND_ON: u16 = 6;

/// Widths of accesses that reach the card.
const WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// Pages of the memory that can be cut, and of that which the card may not write.
const PAGES: u64 = 4;

/// What the memory that the card may not write holds.
const CANARY: u8 = 0xc5;

/// Where the memory that can be cut is mapped, if an input maps it below 4 GiB.
const ELSEWHERE: u64 = RAM_START + 2 * RAM_LENGTH;

/// Most times that an input's guest memory is compared: each is some hundred KiB.
const RESTS_MAX: u32 = 24;

/// How long to wait at most for the card to return chains, where it may well not.
const SETTLE: Duration = Duration::from_millis(2);

/// How long to wait for that over an input.
const SETTLE_ALL: Duration = Duration::from_millis(50);

/// A way to reset the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// Device status 0.
    Status,
    /// Function-level reset.
    Function,
    /// D3hot and back.
    Power,
    /// The machine's.
    Machine,
}

/// Memory of the machine besides the guest's.
pub(super) struct Memory {
    /// The card may read it, and not write.
    canary: File,
    /// The card may use its pages but the first and the last.
    framed: File,
    /// The machine cuts it.
    cut: File,
}

impl Memory {
    /// Makes it.
    ///
    /// # Panics
    /// When the host has none.
    pub(super) fn new() -> Self {
        let file = || File::from(memfd_create("machine", MemfdFlags::CLOEXEC).expect("a memory file"));
        let memory = Self { canary: file(), framed: file(), cut: file() };
        memory.restore();
        memory
    }

    /// Makes it as it was.
    pub(super) fn restore(&self) {
        use std::os::unix::fs::FileExt;
        let bytes = vec![CANARY; (PAGES * PAGE) as usize];
        for file in [&self.canary, &self.framed, &self.cut] {
            file.write_all_at(&bytes, 0).expect("memory can be written");
        }
    }

    /// Cuts the memory that can be cut.
    pub(super) fn cut(&self, bytes: u32) {
        self.cut
            .set_len(if bytes.is_multiple_of(3) { PAGES * PAGE } else { u64::from(bytes) % (PAGES * PAGE) })
            .expect("a memory file takes any length");
    }

    /// Checks that the card has written only what it may.
    ///
    /// # Panics
    /// When it has not.
    pub(super) fn check(&self) {
        use std::os::unix::fs::FileExt;
        let page = |file: &File, page: u64| {
            let mut bytes = vec![0; PAGE as usize];
            file.read_exact_at(&mut bytes, page * PAGE).expect("memory can be read");
            bytes
        };
        for index in 0..PAGES {
            assert!(
                page(&self.canary, index).iter().all(|byte| *byte == CANARY),
                "the card writes what it may read only"
            );
        }
        for index in [0, PAGES - 1] {
            assert!(page(&self.framed, index).iter().all(|byte| *byte == CANARY), "the card writes beside a mapping");
        }
    }
}

/// Guest memory while the card must leave it alone.
struct Rest(Vec<(u64, Vec<u8>)>);

/// What is known of the identity block's generation.
#[derive(Clone, Copy)]
struct Generation {
    value: Option<u8>,
    block: IdentityBlock,
}

/// What the card knows before an access.
struct Seen {
    /// Errors since the process started.
    errors: u64,
    /// The card's time.
    since: u64,
    block: IdentityBlock,
}

/// The machine.
pub(super) struct Machine<'a> {
    client: Client,
    link: Link,
    pub(super) memory: &'a Memory,
    pub(super) config: Config,
    model: Model,
    /// The high word that the card has latched: the least and the most that it may be, where that is known.
    latched: Option<(u32, u32)>,
    generation: Option<Generation>,
    /// How many errors there were when the cause was last cleared; `None` when the card has found some meanwhile.
    acknowledged: Option<u64>,
    card_time: u64,
    rest: Option<Rest>,
    rests: u32,
    settle_left: Duration,
    stuck: [Option<u16>; QUEUE_COUNT],
}

impl<'a> Machine<'a> {
    /// Returns a machine that has just been switched on.
    pub(super) fn new(stream: UnixStream, link: &Link, memory: &'a Memory) -> Self {
        let mut client = Client::new(stream);
        let initial = client.read(CONFIG, 0, 4096).expect("configuration space can be read");
        let mut machine = Self {
            client,
            link: link.clone(),
            memory,
            config: Config::new(initial),
            model: Model::new(Diagnosis::NONE),
            latched: None,
            generation: None,
            acknowledged: None,
            card_time: 0,
            rest: None,
            rests: RESTS_MAX,
            settle_left: SETTLE_ALL,
            stuck: [None; QUEUE_COUNT],
        };
        let errors = link.registers.total();
        machine.forget(errors);
        machine
    }

    /// Waits until the card's own thread has done what it had begun, and begins with the state after power-on. `errors` is how
    /// many there were at the reset: what the thread has found since is a cause that the reset has not cleared.
    fn forget(&mut self, errors: u64) {
        for _ in 0..2 {
            self.link.with_card(|_| ()).expect("the card's thread answers");
        }
        let registers = &self.link.registers;
        self.model.reset(Diagnosis(registers.first_error().code.get()), registers.total() == errors);
        self.acknowledged = (registers.total() == errors).then_some(errors);
        (self.latched, self.generation) = (None, None);
    }

    /// Maps the guest's memory.
    pub(super) fn map_guest(&mut self, guest: &Guest) {
        let file = guest.ram.file();
        self.dma_map(3, 0, RAM_START, RAM_LENGTH, Some(file)).expect("guest memory can be mapped");
    }

    fn dma_map(&mut self, flags: u32, offset: u64, at: u64, bytes: u64, file: Option<&File>) -> rustix::io::Result<()> {
        let head = [32_u32, flags].map(u32::to_ne_bytes).concat();
        let payload = [head, [offset, at, bytes].map(u64::to_ne_bytes).concat()].concat();
        let files: Vec<BorrowedFd<'_>> = file.map(AsFd::as_fd).into_iter().collect();
        self.client.ask(command::DMA_MAP, &payload, &files).map(drop)
    }

    /// Maps memory of a kind, which may fail.
    pub(super) fn map(&mut self, kind: u8, at: u64, pages: u64, guest: &Guest) {
        let at = if at >> 32 == 0 { ELSEWHERE + at % RAM_LENGTH / PAGE * PAGE } else { at };
        let bytes = (pages % (PAGES + 1)) * PAGE;
        let memory = self.memory;
        let _ = match kind % 6 {
            0 => self.dma_map(3, 0, RAM_START, RAM_LENGTH, Some(guest.ram.file())),
            1 => self.dma_map(1, 0, at, bytes, Some(&memory.canary)),
            2 => self.dma_map(3, PAGE, at, bytes.min((PAGES - 2) * PAGE), Some(&memory.framed)),
            3 => self.dma_map(3, 0, at, bytes, Some(&memory.cut)),
            4 => self.dma_map(3, 0, at, bytes, None),
            // Beyond the end of the file, and with flags that are not there.
            _ => self.dma_map(pages as u32, pages, at, u64::MAX - at, Some(&memory.cut)),
        };
    }

    /// Takes memory back, which may fail.
    pub(super) fn unmap(&mut self, at: u64, pages: u64) {
        let at = if at >> 32 == 0 { RAM_START + at / PAGE * PAGE } else { at };
        let (flags, at, bytes) = match pages {
            0 => (2_u32, 0, 0),
            1 => (0, RAM_START, RAM_LENGTH),
            pages => (0, at, pages * PAGE),
        };
        let payload = [[24_u32, flags].map(u32::to_ne_bytes).concat(), [at, bytes].map(u64::to_ne_bytes).concat()];
        let _ = self.client.ask(command::DMA_UNMAP, &payload.concat(), &[]);
    }

    /// Sets interrupts up, which may fail.
    pub(super) fn interrupts(&mut self, index: u8, flags: u8, start: u8, count: u8) {
        let events: Vec<OwnedFd> = if flags & 4 == 0 {
            Vec::new()
        } else {
            (0..count)
                .map(|_| eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd"))
                .collect()
        };
        let files: Vec<BorrowedFd<'_>> = events.iter().map(AsFd::as_fd).collect();
        let words = [20, u32::from(flags), index.into(), start.into(), count.into()];
        let mut payload = words.map(u32::to_ne_bytes).concat();
        if flags & 2 != 0 {
            payload.resize(payload.len() + usize::from(count), 1);
        }
        let _ = self.client.ask(command::SET_IRQS, &payload, &files);
    }

    /// Writes the command register.
    pub(super) fn command(&mut self, bits: u16) {
        let was = self.config.bus_master();
        let data = bits.to_le_bytes();
        assert!(self.client.write(CONFIG, 4, &data), "the command register can be written");
        self.config.write(4, &data);
        self.model.bus_master = self.config.bus_master();
        if !was {
            // The card may use memory from now on.
            self.rest = None;
        }
    }

    /// Reads from a region, and checks what comes back.
    ///
    /// # Panics
    /// When it is not what it must be.
    pub(super) fn read(&mut self, region: u32, offset: u64, bytes: usize) {
        match region {
            CONFIG => self.read_config(offset, bytes),
            0 => self.read_registers(offset, bytes),
            _ => {
                let data = self.client.read(region, offset, bytes);
                assert_eq!(data.is_some(), bytes > 0, "only a read of nothing is an error");
                let (data, there) = (data.unwrap_or_default(), u64::from(card_spec::registers::MSIX_BAR_BYTES));
                if region != u32::from(card_spec::registers::MSIX_BAR)
                    || offset.checked_add(bytes as u64).is_none_or(|end| end > there)
                    || !self.config.decodes()
                {
                    assert!(data.iter().all(|byte| *byte == 0xff), "region {region} has nothing at {offset:#x}");
                }
            }
        }
    }

    /// Looks at what the card knows, before an access.
    fn look(&self) -> Seen {
        let registers = &self.link.registers;
        Seen { errors: registers.total(), since: registers.card_time(), block: self.link.identity.read() }
    }

    fn read_registers(&mut self, offset: u64, bytes: usize) {
        let reached = self.reached(offset, bytes);
        let (seen, up) = (self.look(), self.model.is_up());
        let (expected, codes) = match reached {
            Reached::Card => self.model.read(offset, bytes),
            Reached::Pages | Reached::Nothing => (Expected::Ones, Vec::new()),
        };
        let data = self.client.read(0, offset, bytes);
        assert_eq!(data.is_some(), bytes > 0, "only a read of nothing is an error");
        let Some(data) = data else { return };
        self.check_errors(seen.errors, &codes, up);
        match reached {
            Reached::Pages => {}
            Reached::Nothing => assert!(data.iter().all(|byte| *byte == 0xff), "nothing takes the read at {offset:#x}"),
            Reached::Card => self.check(expected, offset, &data, &seen),
        }
    }

    fn read_config(&mut self, offset: u64, bytes: usize) {
        let (offset, bytes) = self.whole(offset, bytes);
        let (seen, up) = (self.look(), self.model.is_up());
        let through = usize::try_from(offset).ok().and_then(|offset| self.config.through(offset, bytes));
        let read = through.map(|Through { offset, width, .. }| (self.model.read(offset, width), offset, width));
        let data = self.client.read(CONFIG, offset, bytes);
        assert_eq!(data.is_some(), bytes > 0, "only a read of nothing is an error");
        let Some(data) = data else { return };
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(((expected, codes), offset, width)) = read {
            self.check_errors(seen.errors, &codes, up);
            let [.., place] = self.config.window();
            let mut value = [0; 4];
            value.copy_from_slice(&data[place - at..place - at + 4]);
            self.check(expected, offset, &value[..width], &seen);
            let above = if expected == Expected::Ones { 0xff } else { 0 };
            assert!(
                value[width..].iter().all(|byte| *byte == above),
                "the window's data beyond {width} bytes: {value:x?}"
            );
            self.config.set_data(value);
        } else {
            self.check_errors(seen.errors, &[], up);
        }
        if at < usize::MAX - bytes {
            self.config.check(at, &data, self.model.is_up());
        }
    }

    /// Widens an access to configuration space, see [`Config::whole`].
    fn whole(&self, offset: u64, bytes: usize) -> (u64, usize) {
        match usize::try_from(offset) {
            Ok(at) if at < self.config.length() => {
                let (at, bytes) = self.config.whole(at, bytes);
                (at as u64, bytes)
            }
            _ => (offset, bytes),
        }
    }

    /// Returns where an access to BAR 0 goes.
    fn reached(&self, offset: u64, bytes: usize) -> Reached {
        let page = u64::from(STATUS_PAGE)..u64::from(STATUS_PAGE + STATUS_PAGE_BYTES);
        match offset.checked_add(bytes as u64) {
            Some(end) if end <= BAR_BYTES.into() && self.config.decodes() => {
                if page.start <= offset && end <= page.end {
                    Reached::Pages
                } else if end <= page.start && WIDTHS.contains(&bytes) {
                    Reached::Card
                } else {
                    Reached::Nothing
                }
            }
            _ => Reached::Nothing,
        }
    }

    /// Checks that exactly these errors were diagnosed, in this order; at least these while the driver was or is up.
    fn check_errors(&self, before: u64, codes: &[Diagnosis], was_up: bool) {
        let history = self.link.registers.history();
        let new = history.total - before;
        if was_up || self.model.is_up() {
            assert!(new >= codes.len() as u64, "{codes:?} must be diagnosed, and {new} errors were");
            return;
        }
        assert_eq!(new, codes.len() as u64, "{codes:?} must be diagnosed, and these were: {:?}", history.recent.last());
        let last = history.recent.iter().rev().take(codes.len()).rev().map(|dated| dated.error.code);
        assert!(last.eq(codes.iter().copied()), "{codes:?} must be diagnosed, and {:?} were", history.recent);
    }

    fn check(&mut self, expected: Expected, offset: u64, data: &[u8], seen: &Seen) {
        let Seen { errors, since, block } = seen;
        let mut word = [0; 4];
        word.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let value = u32::from_le_bytes(word);
        let (up, at) = (self.model.is_up(), format!("BAR 0+{offset:#x}"));
        match expected {
            Expected::Value(right) => assert_eq!(value, right, "{at}"),
            Expected::Ones => assert!(data.iter().all(|byte| *byte == 0xff), "{at}: no register takes this, {data:x?}"),
            Expected::Within(bits) => assert_eq!(value & !bits, 0, "{at}: {value:#x}"),
            Expected::Cause => self.check_cause(value, *errors),
            Expected::Identity(place) => {
                self.saw(block, None);
                if !up {
                    assert_eq!(data, &block.as_bytes()[place..place + data.len()], "{at}: the identity block");
                }
            }
            Expected::Generation => self.saw(block, Some(data[0])),
            Expected::State => self.check_state(value),
            Expected::Diagnosis => {
                let latched = value & DIAGNOSIS_LATCHED != 0;
                assert_eq!(value >> DIAGNOSIS_CODE_SHIFT != 0, latched, "{at}: {value:#x}");
                assert_eq!(value & 0xffff & !DIAGNOSIS_LATCHED, 0, "{at}: {value:#x}");
            }
            Expected::Word { at, latched } => self.check_word(at, latched, value, *since, block),
        }
        if let Some(place) = offset.checked_sub(FILE.into()).filter(|_| data.len() == 4)
            && !matches!(expected, Expected::Ones | Expected::Word { .. })
            && place < u64::from(card_spec::registers::FILE_BYTES)
        {
            self.latched = None;
        }
    }

    /// Checks the cause while the driver is up. `errors` is how many there were before the read.
    fn check_cause(&self, value: u32, errors: u64) {
        let queues = (1 << QUEUE_COUNT) - 1;
        assert_eq!(value & !(queues | CAUSE_DIAGNOSED), 0, "CAUSE {value:#x}");
        if let Some(acknowledged) = self.acknowledged
            && self.link.registers.total() == errors
        {
            let diagnosed = value & CAUSE_DIAGNOSED != 0;
            assert_eq!(
                diagnosed,
                errors != acknowledged,
                "CAUSE {value:#x}: {errors} errors, {acknowledged} acknowledged"
            );
        }
    }

    /// Checks the generation: it is another one exactly when the identity block is.
    fn saw(&mut self, block: &IdentityBlock, value: Option<u8>) {
        // While the driver is up the block may change between two looks at it.
        if self.model.is_up() {
            self.generation = None;
            return;
        }
        let changed = |before: &Generation| u8::from(before.block.as_bytes() != block.as_bytes());
        let expected = self.generation.and_then(|before| Some(before.value?.wrapping_add(changed(&before))));
        if let (Some(expected), Some(value)) = (expected, value) {
            assert_eq!(value, expected, "the generation of the device configuration");
        }
        self.generation = Some(Generation { value: value.or(expected), block: *block });
    }

    fn check_state(&self, value: u32) {
        let set = |bit: u32| value & bit != 0;
        assert_eq!(set(state::DRIVER_OK), self.model.is_up(), "STATE {value:#x}: driver-ok");
        assert_eq!(set(state::BUS_MASTER), self.config.bus_master(), "STATE {value:#x}: bus-master");
        assert_eq!(set(state::MSIX), self.config.messages(), "STATE {value:#x}: msi-x");
        assert!(set(state::LOCKSTEP), "STATE {value:#x}: lockstep");
        let all = (1 << QUEUE_COUNT) - 1;
        let (running, parked) = (value >> state::RING_SHIFT & all, value >> state::PARKED_SHIFT & all);
        let known = state::DRIVER_OK | state::BUS_MASTER | state::MSIX | state::LOCKSTEP;
        let rest = value & !known & !(all << state::RING_SHIFT) & !(all << state::PARKED_SHIFT);
        assert_eq!(rest, 0, "STATE {value:#x}");
        let enabled =
            (0..).zip(&self.model.queues).fold(0, |bits, (index, queue)| bits | u32::from(queue.enabled) << index);
        if !self.model.is_up() {
            assert_eq!((running, parked), (0, 0), "STATE {value:#x}: rings of a driver that is not up");
        } else if !self.config.bus_master() {
            assert_eq!(running, 0, "STATE {value:#x}: rings run with bus mastering off");
        } else {
            assert_eq!((running | parked, running & parked), (enabled, 0), "STATE {value:#x}: enabled {enabled:#x}");
        }
    }

    /// Checks a word of what the card counts, times and diagnoses. `block` is the identity block from before the read, `since`
    /// the card's time.
    fn check_word(&mut self, at: u32, latched: bool, value: u32, since: u64, block: &IdentityBlock) {
        let now = self.link.registers.card_time();
        if latched {
            if let Some((least, most)) = self.latched {
                assert!(
                    (least..=most).contains(&value),
                    "the high word at FILE+{at:#x}: {value:#x}, of {least:#x} to {most:#x}"
                );
            }
            return;
        }
        let bytes = match at {
            file::ERROR..file::COUNTERS => Some((block.first_error.as_bytes(), file::ERROR)),
            file::COUNTERS..file::MASTER_CLOCK => Some((block.counters.as_bytes(), file::COUNTERS)),
            _ => None,
        };
        let low = at.is_multiple_of(8) && !(file::ERROR..file::ERROR + 0x10).contains(&at);
        let word = |at: u32| {
            let (bytes, start) = bytes?;
            let bytes = bytes.get((at - start) as usize..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes))
        };
        self.latched = None;
        match at {
            file::CARD_TIME => {
                let passed = u64::from(value.wrapping_sub(since as u32));
                assert!(passed <= now - since, "CARD_TIME {value:#x}, of {since:#x} to {now:#x}");
                let time = since + passed;
                assert!(time >= self.card_time, "CARD_TIME goes back, from {:#x} to {time:#x}", self.card_time);
                self.card_time = time;
                self.latched = Some(((time >> 32) as u32, (time >> 32) as u32));
            }
            _ if at == file::CARD_TIME + 4 => {
                let range = (since >> 32) as u32..=(now >> 32) as u32;
                assert!(range.contains(&value), "CARD_TIME_high {value:#x}, of {range:x?}");
            }
            _ if self.model.is_up() => {}
            file::MASTER_CLOCK.. => {
                assert_eq!(value, 0, "FILE+{at:#x} without a session");
                self.latched = low.then_some((0, 0));
            }
            _ => {
                assert_eq!(Some(value), word(at), "FILE+{at:#x}");
                self.latched = if low { word(at + 4).map(|high| (high, high)) } else { None };
            }
        }
    }

    /// Writes to a region, and checks what the card diagnoses.
    ///
    /// # Panics
    /// When it is not what it must be.
    pub(super) fn write(&mut self, region: u32, offset: u64, data: &[u8], guest: &Guest) {
        match region {
            CONFIG => self.write_config(offset, data, guest),
            0 => self.write_registers(offset, data, guest),
            _ => assert_eq!(
                self.client.write(region, offset, data),
                !data.is_empty(),
                "only a write of nothing is an error"
            ),
        }
    }

    fn write_registers(&mut self, offset: u64, data: &[u8], guest: &Guest) {
        let (before, was_up) = (self.link.registers.total(), self.model.is_up());
        let mut word = [0; 4];
        word.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
        let (codes, reset, acknowledges) = match self.reached(offset, data.len()) {
            Reached::Card => {
                let value = u32::from_le_bytes(word);
                let (codes, reset) = self.model.write(offset, data.len(), value);
                (codes, reset, acknowledges(offset, data.len(), value))
            }
            Reached::Pages | Reached::Nothing => (Vec::new(), false, false),
        };
        self.end_rest_if_up(was_up, guest);
        assert_eq!(self.client.write(0, offset, data), !data.is_empty(), "only a write of nothing is an error");
        self.check_errors(before, &codes, was_up);
        self.acknowledge(acknowledges, before);
        self.after(reset, before + codes.len() as u64, guest);
    }

    fn write_config(&mut self, offset: u64, data: &[u8], guest: &Guest) {
        let (offset, bytes) = {
            let (at, bytes) = self.whole(offset, data.len());
            let mut whole = vec![0; bytes];
            let shift = (offset - at) as usize;
            whole[shift..shift + data.len()].copy_from_slice(data);
            (at, whole)
        };
        let (before, was_up) = (self.link.registers.total(), self.model.is_up());
        let was_master = self.config.bus_master();
        let effects = usize::try_from(offset).map(|at| self.config.write(at, &bytes)).unwrap_or_default();
        let (codes, mut reset) = effects
            .through
            .map_or((Vec::new(), false), |Through { offset, width, value }| self.model.write(offset, width, value));
        if !was_master && self.config.bus_master() {
            self.end_rest(guest);
        }
        self.end_rest_if_up(was_up, guest);
        assert_eq!(self.client.write(CONFIG, offset, &bytes), !bytes.is_empty(), "only a write of nothing is an error");
        self.check_errors(before, &codes, was_up);
        let acknowledges = |Through { offset, width, value }| acknowledges(offset, width, value);
        self.acknowledge(effects.through.is_some_and(acknowledges), before);
        if effects.reset {
            self.config.reset();
            reset = true;
        }
        self.model.bus_master = self.config.bus_master();
        self.after(reset, before + codes.len() as u64, guest);
    }

    /// Notes that the driver has cleared the cause, if it has. `errors` is how many there were before.
    fn acknowledge(&mut self, cleared: bool, errors: u64) {
        if cleared {
            self.acknowledged = (self.link.registers.total() == errors).then_some(errors);
        }
    }

    /// Compares guest memory a last time before the driver is up.
    fn end_rest_if_up(&mut self, was_up: bool, guest: &Guest) {
        if !was_up && self.model.is_up() {
            self.end_rest(guest);
        }
    }

    /// Looks at what a write has done: from a reset on, and while bus mastering is off, the card leaves memory alone. `errors` is
    /// how many there must be.
    fn after(&mut self, reset: bool, errors: u64, guest: &Guest) {
        if reset {
            self.begin_rest_now(guest);
            self.forget(errors);
        }
        self.begin_rest(guest);
    }

    /// Remembers guest memory, if the card must leave it alone now.
    pub(super) fn begin_rest(&mut self, guest: &Guest) {
        if self.rest.is_none() && !(self.model.is_up() && self.config.bus_master()) {
            self.begin_rest_now(guest);
        }
    }

    fn begin_rest_now(&mut self, guest: &Guest) {
        let Some(left) = self.rests.checked_sub(1) else { return };
        self.rests = left;
        self.rest = Some(Rest(guest.written_by_card().map(|(at, bytes)| (at, guest.ram.read(at, bytes))).to_vec()));
    }

    /// Checks that the card has left memory alone since then.
    ///
    /// # Panics
    /// When it has not.
    pub(super) fn end_rest(&mut self, guest: &Guest) {
        let Some(Rest(areas)) = self.rest.take() else { return };
        for (at, before) in areas {
            let now = guest.ram.read(at, before.len());
            let differs = before.iter().zip(&now).position(|(before, now)| before != now);
            assert_eq!(differs, None, "the card has written to memory at {at:#x} that it must leave alone");
        }
    }

    /// Sets the window in configuration space to bytes of BAR 0.
    pub(super) fn place_window(&mut self, offset: u32, bytes: u32, guest: &Guest) {
        let [bar, place, length, _] = self.config.window();
        self.write(CONFIG, bar as u64, &[card_spec::registers::BAR], guest);
        self.write(CONFIG, place as u64, &offset.to_le_bytes(), guest);
        self.write(CONFIG, length as u64, &bytes.to_le_bytes(), guest);
    }

    /// Rings a doorbell.
    pub(super) fn doorbell(&mut self, queue: usize, guest: &Guest) {
        let offset = NOTIFY + NOTIFY_MULTIPLIER * queue as u32;
        self.write(0, offset.into(), &(queue as u16).to_le_bytes(), guest);
    }

    fn common(&mut self, register: u32, value: &[u8], guest: &Guest) {
        self.write(0, (COMMON + register).into(), value, guest);
    }

    fn set_status(&mut self, status: u8, guest: &Guest) {
        self.common(common::DEVICE_STATUS, &[status], guest);
        self.read(0, (COMMON + common::DEVICE_STATUS).into(), 1);
    }

    /// Starts the card as a driver does.
    pub(super) fn start_with(
        &mut self,
        features: u64,
        plan: &[Plan; QUEUE_COUNT],
        queues: [bool; QUEUE_COUNT],
        vector: impl Fn(usize) -> u16,
        guest: &Guest,
    ) {
        let acknowledged = device_status::ACKNOWLEDGE | device_status::DRIVER;
        self.set_status(0, guest);
        self.set_status(acknowledged, guest);
        for (select, half) in [(0_u32, features as u32), (1, (features >> 32) as u32)] {
            self.common(common::DRIVER_FEATURE_SELECT, &select.to_le_bytes(), guest);
            self.common(common::DRIVER_FEATURE, &half.to_le_bytes(), guest);
        }
        self.set_status(acknowledged | device_status::FEATURES_OK, guest);
        for (index, ring) in plan.iter().enumerate().filter(|(index, _)| queues[*index]) {
            self.common(common::QUEUE_SELECT, &(index as u16).to_le_bytes(), guest);
            self.common(common::QUEUE_SIZE, &(ring.size as u16).to_le_bytes(), guest);
            let places = [common::QUEUE_DESC, common::QUEUE_DRIVER, common::QUEUE_DEVICE];
            for (register, address) in places.into_iter().zip(ring.parts) {
                self.common(register, &(address as u32).to_le_bytes(), guest);
                self.common(register + 4, &((address >> 32) as u32).to_le_bytes(), guest);
            }
            self.common(common::QUEUE_MSIX_VECTOR, &vector(index).to_le_bytes(), guest);
            self.common(common::QUEUE_ENABLE, &1_u16.to_le_bytes(), guest);
        }
        self.set_status(acknowledged | device_status::FEATURES_OK | device_status::DRIVER_OK, guest);
    }

    /// Resets in some way.
    pub(super) fn reset(&mut self, way: Reset, guest: &Guest) {
        match way {
            Reset::Status => self.set_status(0, guest),
            Reset::Function => {
                let at = self.config.device_control() + 1;
                self.write(CONFIG, at as u64, &[0x80], guest);
            }
            Reset::Power => {
                let at = self.config.power_control() as u64;
                self.write(CONFIG, at, &[3], guest);
                self.write(CONFIG, at, &[0], guest);
            }
            Reset::Machine => {
                let errors = self.link.registers.total();
                self.client.ask(command::RESET, &[], &[]).expect("the card takes the machine's reset");
                self.config.reset();
                self.model.bus_master = false;
                self.after(true, errors, guest);
            }
        }
    }

    /// Disconnects, and connects again: the machine was switched off.
    pub(super) fn reconnect(&mut self, served: &Served, guest: &Guest) {
        let errors = self.link.registers.total();
        self.client.disconnect();
        self.client = Client::new(served.connect());
        self.config.reset();
        self.model.bus_master = false;
        self.after(true, errors, guest);
    }

    /// Waits until the card has returned what is on a ring, for a short time.
    pub(super) fn settle(&mut self, guest: &Guest, queue: usize) {
        let mut left = guest.under_way(queue);
        if left == 0 || self.stuck[queue] == Some(left) {
            return;
        }
        let begin = Instant::now();
        let most = SETTLE.min(self.settle_left);
        while left != 0 && begin.elapsed() < most {
            std::thread::yield_now();
            left = guest.under_way(queue);
        }
        self.stuck[queue] = (left != 0).then_some(left);
        self.settle_left = self.settle_left.saturating_sub(begin.elapsed());
    }

    /// Disconnects.
    pub(super) fn finish(mut self, guest: &Guest) {
        self.end_rest(guest);
        self.client.disconnect();
    }
}

/// Returns whether a write to BAR 0 clears the cause that an error was diagnosed.
fn acknowledges(offset: u64, width: usize, value: u32) -> bool {
    offset == u64::from(FILE + file::CAUSE) && width == 4 && value & CAUSE_DIAGNOSED != 0
}

/// Where an access to BAR 0 goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// To the card's registers, or where it has none.
    Card,
    /// To pages that the guest can map.
    Pages,
    /// Nowhere.
    Nothing,
}

impl DriverAccess for Machine<'_> {
    fn start(&mut self, guest: &Guest, plan: &[Plan; QUEUE_COUNT]) {
        self.start_with(FEATURES, plan, [true; QUEUE_COUNT], |queue| queue as u16 % VECTORS, guest);
    }

    fn kick(&mut self, guest: &Guest, queue: Queue) {
        self.doorbell(queue.index(), guest);
    }

    fn identity(&mut self) -> IdentityBlock {
        let mut bytes = Vec::new();
        for at in (0..DEVICE_BYTES).step_by(4) {
            bytes.extend(self.client.read(0, (DEVICE + at).into(), 4).expect("the identity block can be read"));
        }
        IdentityBlock::read_from_bytes(&bytes).expect("an identity block's length")
    }
}
