//! Seeds of target `registers`.

use card_spec::control::RequestCode;
use card_spec::feature;
use card_spec::queue::Queue;
use card_spec::registers::{
    COMMON, DEVICE, DIAGNOSIS_LATCHED, FILE, ISR, NOTIFY, REGISTERS, STATUS_PAGE, common, device_status, file,
};

use super::super::record::Act;
use super::super::registers::Verb;
use super::Seed;
use super::rings::{open, queue_sizes};

/// Bytes of an input's region: BAR 0, configuration space, the BAR of MSI-X, the expansion ROM, a BAR that is not there.
const BAR_0: u8 = 0;
const CONFIG: u8 = 7;
const BAR_MSIX: u8 = 12;
const ROM: u8 = 14;
const NO_BAR: u8 = 15;

/// Every queue, as bits.
const ALL: u8 = 0x1f;

/// An address that is no offset in guest memory, and outside it.
const OUTSIDE: u64 = 1 << 44;

/// Ways to reset the card.
const STATUS_0: u8 = 0;
const FUNCTION: u8 = 1;
const POWER: u8 = 2;
const MACHINE: u8 = 3;
const CONNECTION: u8 = 4;

/// An input that is being written.
#[derive(Default)]
struct Script(Vec<u8>);

impl Script {
    fn act(mut self, verb: Verb, which: u8, number: u32, wide: u64, data: &[u8]) -> Self {
        Act { kind: verb as u8, which, number, wide, data }.write(&mut self.0);
        self
    }

    /// Reads every register of the datasheet.
    fn look(mut self) -> Self {
        for number in 0..REGISTERS.len() as u32 {
            self = self.act(Verb::ReadRegister, 0, number, 0, &[]);
        }
        self
    }

    fn read(self, region: u8, offset: u64, bytes: u32) -> Self {
        self.act(Verb::Read, region, bytes, offset, &[])
    }

    fn write(self, region: u8, offset: u64, data: &[u8]) -> Self {
        self.act(Verb::Write, region, 0, offset, data)
    }

    fn common(self, register: u32, data: &[u8]) -> Self {
        self.write(BAR_0, (COMMON + register).into(), data)
    }

    fn command(self, bits: u32) -> Self {
        self.act(Verb::Command, 0, bits, 0, &[])
    }

    fn reset(self, way: u8) -> Self {
        self.act(Verb::Reset, way, 0, 0, &[])
    }

    fn start(self, queues: u8) -> Self {
        self.act(Verb::Start, queues, 0, 0, &[])
    }

    fn request(self, code: RequestCode, payload: &[u8]) -> Self {
        self.act(Verb::Request, 0, code.0, 0, payload).act(Verb::Settle, 0, 0, 0, &[])
    }

    fn open(self) -> Self {
        self.request(RequestCode::OPEN, &open(queue_sizes()))
    }

    fn end(self, name: &'static str) -> Seed {
        (name, self.0)
    }
}

/// Accesses that no register takes, beside some that one does.
fn wrong_widths() -> Script {
    let mut script = Script::default().command(2);
    for offset in [COMMON, COMMON + 0x10, COMMON + 0x14, COMMON + 0x20, ISR, DEVICE, NOTIFY, FILE, FILE + 0x40] {
        for bytes in [1, 2, 3, 4, 8, 16] {
            script = script.read(BAR_0, offset.into(), bytes).read(BAR_0, u64::from(offset) + 1, bytes);
        }
    }
    script
}

fn every_register_written() -> Script {
    let mut script = Script::default().command(6);
    for number in 0..REGISTERS.len() as u32 {
        script = script.act(Verb::WriteRegister, 0, number, 1, &[]);
    }
    script.look()
}

fn beyond() -> Script {
    let page = u64::from(STATUS_PAGE);
    Script::default()
        .command(6)
        .write(BAR_0, page, &[1; 64])
        .read(BAR_0, page, 64)
        .read(BAR_0, page - 2, 4)
        .read(BAR_0, 0x6000, 4)
        .read(BAR_0, 0x7ffe, 4)
        .read(BAR_0, u64::MAX, 4)
        .write(BAR_0, u64::MAX - 3, &[0; 4])
        .read(BAR_0, 0, 0)
        .read(BAR_MSIX, 0, 16)
        .write(BAR_MSIX, 12, &[1, 0, 0, 0])
        .read(BAR_MSIX, 0x800, 8)
        .read(ROM, 0, 4)
        .read(NO_BAR, 0, 4)
        .write(NO_BAR, 0, &[0; 4])
}

fn features() -> Script {
    let select = |script: Script, half: u32, bits: u32| {
        script
            .common(common::DRIVER_FEATURE_SELECT, &half.to_le_bytes())
            .common(common::DRIVER_FEATURE, &bits.to_le_bytes())
    };
    let acknowledged = device_status::ACKNOWLEDGE | device_status::DRIVER;
    let script = Script::default().command(2).common(common::DEVICE_STATUS, &[acknowledged]);
    // Without VERSION_1, then with a feature that is not offered, then right.
    let script = script.common(common::DEVICE_STATUS, &[acknowledged | device_status::FEATURES_OK]);
    let script = select(script, 1, 3).common(common::DEVICE_STATUS, &[acknowledged | device_status::FEATURES_OK]);
    let script = select(script, 1, (feature::VERSION_1 >> 32) as u32);
    let script = select(script, 2, 1).common(common::DEVICE_STATUS, &[acknowledged | device_status::DRIVER_OK]);
    let script = script.common(common::DEVICE_STATUS, &[acknowledged | device_status::FEATURES_OK]);
    select(script, 0, 7).common(common::DEVICE_STATUS, &[device_status::ACKNOWLEDGE]).look()
}

fn diagnosis() -> Script {
    let script = Script::default().command(2).read(BAR_0, 0x3c, 4).look();
    let latched = DIAGNOSIS_LATCHED.to_le_bytes();
    let script = script.write(BAR_0, (FILE + file::DIAGNOSIS).into(), &latched).look();
    let script = script.write(BAR_0, (FILE + file::CAUSE).into(), &[0xff; 4]).look();
    script.write(BAR_0, ISR.into(), &[1]).look()
}

fn session() -> Script {
    let script = Script::default().start(ALL).open().look();
    let script = script.act(Verb::Wave, 1, 64, 0, &[]).act(Verb::Buffers, 2, 4, 512, &[]).look();
    script.reset(STATUS_0).look().start(ALL).open().reset(CONNECTION).look()
}

fn resets() -> Script {
    [FUNCTION, POWER, MACHINE, CONNECTION, STATUS_0].into_iter().fold(Script::default(), |script, way| {
        let script = script.start(ALL).open().act(Verb::Buffers, 4, 8, 256, &[]);
        script.reset(way).read(CONFIG, 0, 256).read(BAR_0, 0, 4)
    })
}

fn bus_mastering() -> Script {
    let script = Script::default().start(ALL).open().command(2).look();
    let script = script.act(Verb::Buffers, 4, 8, 256, &[]).request(RequestCode::OPEN, &[0; 40]).look();
    script.command(6).act(Verb::Settle, 0, 0, 0, &[]).look().command(0).read(BAR_0, 0, 4).command(6).look()
}

fn windows() -> Script {
    let mut script = Script::default();
    for (offset, bytes) in [(0x14, 1), (0x4000, 4), (0x12, 2), (0x4098, 4), (0x3c, 4), (0x5000, 4), (0, 3), (0, 8)] {
        script = script.act(Verb::ReadWindow, 0, bytes, offset, &[]);
    }
    script = script.act(Verb::WriteWindow, 0, 0, 0x400c, &[1, 2, 3, 4]).act(Verb::WriteWindow, 0, 0, 0x14, &[1]);
    script.read(CONFIG, 0, 512).write(CONFIG, 0, &[0xff; 256]).read(CONFIG, 0, 512)
}

fn memory() -> Script {
    let script = Script::default().start(ALL).act(Verb::Unmap, 0, 1, 0, &[]).request(RequestCode::OPEN, &[]);
    let script = script.act(Verb::Map, 0, 0, 0, &[]).start(ALL).open();
    let script = (1..6).fold(script, |script, kind| script.act(Verb::Map, kind, 3, u64::from(kind) << 16, &[]));
    // Rings in memory that is cut, read only, and nowhere.
    let cut = (8 << 20) + (3 << 16);
    let place = |script: Script, part: u32, at: u64| script.act(Verb::Place, Queue::CONTROL.0 as u8, part, at, &[]);
    let script = place(place(script, 1, 0x20_0000), 2, OUTSIDE | cut).start(ALL).act(Verb::Cut, 0, 1, 0, &[]);
    let script = script.request(RequestCode::OPEN, &[]).look().act(Verb::Unmap, 0, 0, 0, &[]).look();
    script.act(Verb::Size, 0, 48, 0, &[]).start(ALL).look()
}

fn interrupts() -> Script {
    let script = Script::default().act(Verb::Interrupts, 0, 0x0001_0024, 0, &[]).start(ALL).open().look();
    let script = script.act(Verb::Interrupts, 2, 0x0006_0024, 0, &[]);
    // MSI-X: enabled, a vector for each queue, then masked.
    let script = script.write(CONFIG, 0xb6, &[0, 0x80]).act(Verb::Start, ALL, 0o43210, 0, &[]).open().look();
    script.write(BAR_MSIX, 12, &[1, 0, 0, 0]).request(RequestCode::OPEN, &[]).read(BAR_MSIX, 0x800, 8)
}

/// Returns the seeds.
#[must_use]
pub fn all() -> Vec<Seed> {
    vec![
        wrong_widths().end("wrong_widths"),
        every_register_written().end("every_register_written"),
        beyond().end("beyond"),
        features().end("features"),
        diagnosis().end("diagnosis"),
        session().end("session"),
        resets().end("resets"),
        bus_mastering().end("bus_mastering"),
        windows().end("windows"),
        memory().end("memory"),
        interrupts().end("interrupts"),
    ]
}
