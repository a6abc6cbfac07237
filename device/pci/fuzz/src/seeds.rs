//! Inputs to begin with: what QEMU says, and what it never would.

use super::record::Act;

macro_rules! wire {
    ($($value:expr),* $(,)?) => {{
        let mut bytes: Vec<u8> = Vec::new();
        $(bytes.extend_from_slice(&$value.to_ne_bytes());)*
        bytes
    }};
}

const DMA_MAP: u8 = 2;
const DMA_UNMAP: u8 = 3;
const DEVICE_INFO: u8 = 4;
const REGION_INFO: u8 = 5;
const IRQ_INFO: u8 = 7;
const SET_IRQS: u8 = 8;
const READ: u8 = 9;
const WRITE: u8 = 10;
const RESET: u8 = 13;
const CONFIG: u32 = 7;

#[derive(Default)]
struct Input(Vec<u8>);

impl Input {
    fn act(&mut self, verb: u8, which: u8, number: u32, wide: u64, data: &[u8]) {
        Act { verb, which, number, wide, data }.write(&mut self.0);
    }

    fn send(&mut self, command: u8, payload: &[u8]) {
        self.act(0, command, 0, 0, payload);
    }

    /// With the descriptors that two bytes stand for.
    fn send_with(&mut self, command: u8, payload: &[u8], fds: [u8; 2]) {
        self.act(0, command, u32::from_le_bytes([0, 0, fds[0], fds[1]]), 0, payload);
    }

    fn write(&mut self, region: u32, offset: u64, data: &[u8]) {
        let mut payload = wire!(offset, region, data.len() as u32);
        payload.extend_from_slice(data);
        self.send(WRITE, &payload);
    }
}

/// What QEMU sends when it starts, and what a driver does then.
fn machine() -> Input {
    let mut input = Input::default();
    input.send_with(DMA_MAP, &wire!(32u32, 3u32, 0u64, 0u64, 0x1_0000u64), [1, 0]);
    input.send(DMA_MAP, &wire!(32u32, 1u32, 0u64, 0xf_0000u64, 0x1_0000u64));
    input.send(DEVICE_INFO, &wire!(16u32, 0u32, 0u32, 0u32));
    for index in 0..9u32 {
        input.send(REGION_INFO, &wire!(96u32, 0u32, index, 0u32, 0u64, 0u64));
    }
    for index in 0..5u32 {
        input.send(IRQ_INFO, &wire!(16u32, 0u32, index, 0u32));
    }
    input.send(READ, &wire!(0u64, CONFIG, 256u32));
    input.send(READ, &wire!(0u64, 6u32, 4096u32));
    input.send(RESET, &[]);
    input.write(CONFIG, 4, &[7, 4]);
    input
}

fn interrupts() -> Input {
    let mut input = machine();
    for (index, count) in [(0u32, 1u32), (1, 2), (2, 2)] {
        input.send_with(SET_IRQS, &wire!(20u32, 0x24u32, index, 0u32, count), [3, if count > 1 { 4 } else { 0 }]);
        input.send(SET_IRQS, &[wire!(20u32, 0xau32, index, 0u32, count), vec![1; count as usize]].concat());
        input.send(SET_IRQS, &wire!(20u32, 0x11u32, index, 0u32, count));
        input.send(SET_IRQS, &wire!(20u32, 0x21u32, index, 0u32, 0u32));
    }
    // MSI-X: enabled, an entry of the table, the pending bits.
    input.write(CONFIG, 0x9a, &[0xff, 0xff]);
    input.write(4, 0, &[0; 16]);
    input.act(2, 1, 1, 0x100, b"by the card");
    input.send(READ, &wire!(0x800u64, 4u32, 8u32));
    input.send_with(SET_IRQS, &wire!(20u32, 0x14u32, 0u32, 0u32, 1u32), [10, 0]);
    input
}

fn memory() -> Input {
    let mut input = machine();
    input.write(2, 8, &0x100u32.to_le_bytes());
    input.write(2, 0x10, &0xfff0u32.to_le_bytes());
    input.act(3, 0, 0x1001, 0, &[]);
    input.act(2, 1, 0, 0x1000, &[1; 64]);
    input.write(2, 8, &0x2000u32.to_le_bytes());
    input.send(DMA_UNMAP, &wire!(24u32, 0u32, 0u64, 0x1_0000u64));
    input.write(2, 8, &0u32.to_le_bytes());
    input.send_with(DMA_MAP, &wire!(32u32, 3u32, 0x1000u64, u64::MAX - 0xfff, 0xfffu64), [2, 0]);
    input.send(DMA_UNMAP, &wire!(24u32, 4u32, 0u64, 0u64));
    input
}

fn registers() -> Input {
    let mut input = machine();
    for (region, offset, width) in [(0u32, 0u64, 1u32), (1, 0x1000, 64), (1, 0xfff, 2), (2, 1 << 39, 8), (3, 0, 4)] {
        input.send(READ, &wire!(offset, region, width));
        input.write(region, offset, &vec![1; width as usize]);
    }
    // Express: a reset; power: D3hot, and back.
    input.write(CONFIG, 0x51, &[0x80]);
    input.write(CONFIG, 0x44, &[3]);
    input.write(CONFIG, 0x44, &[0]);
    input.write(CONFIG, 0, &[0xff; 256]);
    input
}

fn broken() -> Input {
    let mut input = Input::default();
    input.send(1, b"\0\0\0\0{}\0");
    input.send(200, &[0; 40]);
    input.send_with(DMA_MAP, &wire!(32u32, 3u32, 0u64, 0u64, 1u64), [1, 2]);
    input.act(0, READ, 1, 0, &wire!(0u64, CONFIG, 4u32));
    input.act(5, 0, 0, 0, &[]);
    input.act(0, READ, 2, 1 << 20, &wire!(0u64, CONFIG, 4u32));
    input.act(5, 0, 0, 0, &[]);
    input.act(1, 0, 0, 0, &[0xff; 40]);
    input
}

/// Returns the seeds, with the names of their files.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    let seeds = [
        ("machine", machine()),
        ("interrupts", interrupts()),
        ("memory", memory()),
        ("registers", registers()),
        ("broken", broken()),
    ];
    seeds.into_iter().map(|(name, input)| (name, input.0)).collect()
}
