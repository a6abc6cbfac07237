//! What configuration space must read as, by the PCI specifications and [`card_spec::registers`].

use card_spec::registers::{BAR, BAR_BYTES, MSIX_BAR, MSIX_BAR_BYTES};

/// Offsets of the header (PCI Local Bus 3.0, 6.1).
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BARS: usize = 0x10;
const CAPABILITIES: usize = 0x34;

/// Bits of the command register that this function has: memory, bus master, parity, SERR#, interrupt disable.
const COMMAND_BITS: u16 = 0x0546;
const MEMORY: u8 = 1 << 1;
const BUS_MASTER: u8 = 1 << 2;

/// Bit of the status register: the function asks for its interrupt line.
const INTERRUPT: u8 = 1 << 3;

/// Identifiers of capabilities.
const POWER: u8 = 0x01;
const VENDOR: u8 = 0x09;
const EXPRESS: u8 = 0x10;
const MSIX: u8 = 0x11;

/// The type of the capability that is a window to a BAR (virtio 1.2, section 4.1.4).
const WINDOW: u8 = 5;

/// Where the parts of the window are: BAR, offset, length, data.
const WINDOW_BAR: usize = 4;
const WINDOW_OFFSET: usize = 8;
const WINDOW_LENGTH: usize = 12;
const WINDOW_DATA: usize = 16;

/// An access to BAR 0 through the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Through {
    pub(super) offset: u64,
    pub(super) width: usize,
    /// What is written, in its low bytes.
    pub(super) value: u32,
}

/// What a write does besides changing bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effects {
    pub(super) through: Option<Through>,
    pub(super) reset: bool,
}

/// The model of configuration space.
pub(super) struct Config {
    bytes: Vec<u8>,
    initial: Vec<u8>,
    /// The bits that a write changes.
    writable: Vec<u8>,
    power: usize,
    express: usize,
    msix: usize,
    window: usize,
}

impl Config {
    /// Returns the model of a function whose configuration space reads as `initial` after power-on.
    ///
    /// # Panics
    /// When a capability is missing.
    pub(super) fn new(initial: Vec<u8>) -> Self {
        let found = |id: u8, kind: Option<u8>| {
            let mut at = usize::from(initial[CAPABILITIES]);
            // A list of capabilities of four bytes and more has less.
            for _ in 0..64 {
                if at == 0 {
                    break;
                }
                if initial[at] == id && kind.is_none_or(|kind| initial[at + 3] == kind) {
                    return at;
                }
                at = usize::from(initial[at + 1]);
            }
            panic!("configuration space has no capability {id:#x}");
        };
        let (power, express, msix, window) =
            (found(POWER, None), found(EXPRESS, None), found(MSIX, None), found(VENDOR, Some(WINDOW)));
        let mut writable = vec![0; initial.len()];
        let mut allow = |at: usize, bits: &[u8]| writable[at..at + bits.len()].copy_from_slice(bits);
        allow(COMMAND, &COMMAND_BITS.to_le_bytes());
        // Cache line, latency timer, interrupt line.
        [0x0c, 0x0d, 0x3c].into_iter().for_each(|at| allow(at, &[0xff]));
        for (bar, bytes) in [(BAR, BAR_BYTES), (MSIX_BAR, MSIX_BAR_BYTES)] {
            // Of 64 bits: the address goes on in the next register.
            allow(BARS + 4 * usize::from(bar), &(!u64::from(bytes - 1)).to_le_bytes());
        }
        allow(power + 4, &[3]);
        // Device control without the bit that resets, link control, second device control.
        allow(express + 8, &0x78ff_u16.to_le_bytes());
        allow(express + 16, &[0xcb]);
        allow(express + 40, &[0x10]);
        allow(msix + 2, &0xc000_u16.to_le_bytes());
        allow(window + WINDOW_BAR, &[0xff]);
        allow(window + WINDOW_OFFSET, &[0xff; 12]);
        Self { bytes: initial.clone(), initial, writable, power, express, msix, window }
    }

    /// Returns how many bytes there are.
    pub(super) const fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Returns where the control register of power management is.
    pub(super) const fn power_control(&self) -> usize {
        self.power + 4
    }

    /// Returns where device control is.
    pub(super) const fn device_control(&self) -> usize {
        self.express + 8
    }

    /// Returns where the window's BAR, offset, length and data are.
    pub(super) const fn window(&self) -> [usize; 4] {
        let at = self.window;
        [at + WINDOW_BAR, at + WINDOW_OFFSET, at + WINDOW_LENGTH, at + WINDOW_DATA]
    }

    /// Returns whether the function decodes its memory.
    pub(super) fn decodes(&self) -> bool {
        self.bytes[COMMAND] & MEMORY != 0 && self.bytes[self.power + 4] & 3 == 0
    }

    /// Returns whether bus mastering is on.
    pub(super) fn bus_master(&self) -> bool {
        self.bytes[COMMAND] & BUS_MASTER != 0
    }

    /// Returns whether MSI-X is enabled.
    pub(super) fn messages(&self) -> bool {
        self.bytes[self.msix + 3] & 0x80 != 0
    }

    /// Widens an access so that it has all of the window's data, or nothing of it: less would be an access to a register
    /// whose value is only partly in the reply.
    pub(super) fn whole(&self, offset: usize, bytes: usize) -> (usize, usize) {
        let data = self.window + WINDOW_DATA..self.window + WINDOW_DATA + 4;
        let end = offset + bytes;
        if end <= data.start || data.end <= offset || bytes == 0 {
            return (offset, bytes);
        }
        let (start, end) = (offset.min(data.start), end.max(data.end));
        (start, end - start)
    }

    /// Returns the access to BAR 0 that one to these bytes makes.
    pub(super) fn through(&self, offset: usize, bytes: usize) -> Option<Through> {
        let [bar, place, length, data] = self.window();
        let word = |at: usize| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|index| self.bytes[at + index]);
            u32::from_le_bytes([a, b, c, d])
        };
        let reaches = bytes > 0 && offset <= data && data + 4 <= offset + bytes;
        let width = word(length) as usize;
        (reaches && self.bytes[bar] == BAR && matches!(width, 1 | 2 | 4)).then(|| {
            let value = word(data) & (u32::MAX >> (32 - 8 * width as u32));
            Through { offset: word(place).into(), width, value }
        })
    }

    /// Replaces the window's data with what a read through it has found.
    pub(super) fn set_data(&mut self, value: [u8; 4]) {
        let [.., data] = self.window();
        self.bytes[data..data + 4].copy_from_slice(&value);
    }

    /// Writes.
    pub(super) fn write(&mut self, offset: usize, data: &[u8]) -> Effects {
        let power = self.power_control();
        let before = self.bytes[power] & 3;
        for (at, value) in (offset..self.bytes.len()).zip(data) {
            self.bytes[at] = self.bytes[at] & !self.writable[at] | value & self.writable[at];
        }
        if matches!(self.bytes[power] & 3, 1 | 2) {
            // D1 and D2 are not there (PCI Power Management 1.2, 3.2.4).
            self.bytes[power] = self.bytes[power] & !3 | before;
        }
        let woken = before == 3 && self.bytes[power] & 3 == 0;
        let initiate = (self.device_control() + 1).checked_sub(offset).and_then(|at| data.get(at));
        let reset = woken || initiate.is_some_and(|byte| byte & 0x80 != 0);
        Effects { through: self.through(offset, data.len()), reset }
    }

    /// Returns to the state after power-on.
    pub(super) fn reset(&mut self) {
        self.bytes.clone_from(&self.initial);
    }

    /// Checks what a read has returned. `line_may_be_up` leaves the interrupt status out.
    ///
    /// # Panics
    /// When it is not what it must be.
    pub(super) fn check(&self, offset: usize, data: &[u8], line_may_be_up: bool) {
        for (at, found) in (offset..).zip(data) {
            let expected = self.bytes.get(at).copied().unwrap_or(0xff);
            let free = if at == STATUS && line_may_be_up { INTERRUPT } else { 0 };
            assert_eq!(found & !free, expected & !free, "configuration space at {at:#x}");
        }
    }
}
