//! Acts of a device whose registers this format does not know: their recorder says what they mean.
//!
//! A ring that has gone round has no beginning, and the table of a device's registers is the device's own. So each access carries
//! its words with it, a few slots of them.

use crate::act::{Act, CUT, Head, NO_QUEUE, REFUSED};
use crate::kind::{Kind, Source};
use crate::writer::Writer;

/// Most bytes of a device's DMA that a record keeps: two lines of a table, or a few messages.
pub const DMA_BYTES_MAX: usize = 256;

/// Bytes before the words of an access: its offset, its value, and the base address register.
const ACCESS_BYTES: usize = 17;

/// Bytes before the data of a transfer: its address and its length.
const DMA_BYTES: usize = 16;

/// What has happened at a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAct<'r> {
    /// A register was read or written.
    Register {
        /// It was written.
        write: bool,
        /// The base address register, 0 to 5.
        bar: u8,
        /// The first byte, from the start of the BAR.
        offset: u64,
        /// Bytes: 1, 2, 4 or 8.
        width: u8,
        /// The value.
        value: u64,
        /// Whether a register takes the access.
        taken: bool,
        /// The register with its value and fields; empty where the device has no words for it.
        words: &'r str,
    },
    /// The device was reset.
    Reset {
        /// The number of resets so far.
        resets: u32,
        /// By what, in words.
        by: &'r str,
    },
    /// The device has changed its interrupt line, or sends a message.
    Interrupt {
        /// Which of them, in words.
        words: &'r str,
    },
    /// The device has read guest memory, or written it.
    Dma {
        /// It was written.
        write: bool,
        /// The guest-physical address.
        address: u64,
        /// Bytes of the transfer.
        bytes: u64,
        /// The first of them, at most [`DMA_BYTES_MAX`]; none of a transfer that failed.
        data: &'r [u8],
        /// Whether it failed.
        failed: bool,
    },
    /// MIDI bytes went through the device.
    Midi {
        /// From the driver to the cable, and not the other way.
        sent: bool,
        /// The bytes.
        data: &'r [u8],
    },
    /// The device found an error of the driver.
    DriverError {
        /// Its code and what was found, in words.
        words: &'r str,
    },
    /// A line of the device's log.
    Log {
        /// The line.
        line: &'r str,
    },
}

impl Writer {
    /// Writes a record of a device.
    pub fn record_device(&self, source: Source, act: &DeviceAct<'_>) {
        match *act {
            DeviceAct::Register { write, bar, offset, width, value, taken, words } => {
                let kind = if write { Kind::REGISTER_WRITE } else { Kind::REGISTER_READ };
                let head = Head::access(kind, offset, width.into(), value, taken);
                let parts = [&offset.to_le_bytes()[..], &value.to_le_bytes(), &[bar], words.as_bytes()];
                self.record_with(source, head, &parts);
            }
            DeviceAct::Reset { resets, by } => {
                self.record_with(source, Head::parted(Kind::RESET, 0, 0, resets), &[by.as_bytes()]);
            }
            DeviceAct::Interrupt { words } => {
                self.record_with(source, Head::parted(Kind::INTERRUPT, 0, NO_QUEUE, 1), &[words.as_bytes()]);
            }
            DeviceAct::Dma { write, address, bytes, data, failed } => {
                let kind = if write { Kind::DMA_WRITE } else { Kind::DMA_READ };
                let head = Head::parted(kind, 0, if failed { REFUSED } else { 0 }, 0);
                let data = data.get(..DMA_BYTES_MAX).unwrap_or(data);
                self.record_with(source, head, &[&address.to_le_bytes(), &bytes.to_le_bytes(), data]);
            }
            DeviceAct::Midi { sent, data } => {
                let kind = if sent { Kind::MIDI_SENT } else { Kind::MIDI_RECEIVED };
                self.record_with(source, Head::parted(kind, 0, 0, 0), &[data]);
            }
            DeviceAct::DriverError { words } => {
                self.record_with(source, Head::parted(Kind::DEVICE_ERROR, 0, NO_QUEUE, 0), &[words.as_bytes()]);
            }
            DeviceAct::Log { line } => {
                self.record_with(source, Head::parted(Kind::LOG, 0, 0, 0), &[line.as_bytes()]);
            }
        }
    }
}

impl<'r> DeviceAct<'r> {
    /// Reads a record of a kind of a device's; `None` for other kinds, and for a payload that does not fit.
    pub(crate) fn read(kind: Kind, value: u64, payload: &'r [u8]) -> Option<Self> {
        let byte = (value >> 24) as u8;
        let number = (value >> 32) as u32;
        let text = |bytes: &'r [u8]| std::str::from_utf8(bytes).ok();
        let word = |at: usize| payload.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word));
        Some(match kind {
            Kind::REGISTER_READ_WITH | Kind::REGISTER_WRITE_WITH => Self::Register {
                write: kind == Kind::REGISTER_WRITE_WITH,
                bar: *payload.get(ACCESS_BYTES.checked_sub(1)?)?,
                offset: word(0)?,
                width: byte & (REFUSED - 1),
                value: word(8)?,
                taken: byte & REFUSED == 0,
                words: text(payload.get(ACCESS_BYTES..)?)?,
            },
            Kind::RESET_WITH => Self::Reset { resets: number, by: text(payload)? },
            Kind::INTERRUPT_WITH => Self::Interrupt { words: text(payload)? },
            Kind::DMA_READ | Kind::DMA_WRITE => Self::Dma {
                write: kind == Kind::DMA_WRITE,
                address: word(0)?,
                bytes: word(8)?,
                data: payload.get(DMA_BYTES..)?,
                failed: byte & REFUSED != 0,
            },
            Kind::MIDI_SENT | Kind::MIDI_RECEIVED => Self::Midi { sent: kind == Kind::MIDI_SENT, data: payload },
            // Text that is cut may end within a character.
            _ if byte & CUT != 0 => return None,
            Kind::DEVICE_ERROR => Self::DriverError { words: text(payload)? },
            Kind::LOG => Self::Log { line: text(payload)? },
            _ => return None,
        })
    }

    /// Puts it into words; `names` says whether the recorder's words are used.
    pub(crate) fn describe(&self, names: bool) -> String {
        match *self {
            Self::Register { write, bar, offset, width, value, taken, words } => {
                let verb = if write { "write" } else { "read " };
                if !taken {
                    return format!("{verb} BAR {bar}+{offset:#06x}, {width} bytes, {value:#x}: no register takes it");
                }
                let digits = usize::from(width.clamp(1, 8)).saturating_mul(2).saturating_add(2);
                if names && !words.is_empty() {
                    format!("{verb} {words}")
                } else {
                    format!("{verb} BAR {bar}+{offset:#06x} = {value:#0digits$x}")
                }
            }
            Self::Reset { resets, by } => format!("reset number {resets}, {by}"),
            Self::Interrupt { words } => format!("interrupt: {words}"),
            Self::Dma { write, address, bytes, data, failed } => {
                let verb = if write { "DMA write" } else { "DMA read " };
                let mut text = format!("{verb} {bytes} bytes at {address:#x}");
                if failed {
                    text += ": failed";
                } else if !data.is_empty() {
                    text += &format!(": {}{}", hex(data), if bytes > data.len() as u64 { " ..." } else { "" });
                }
                text
            }
            Self::Midi { sent, data } => {
                format!("MIDI {}: {}", if sent { "sent" } else { "received" }, hex(data))
            }
            Self::DriverError { words } => format!("driver error {words}"),
            Self::Log { line } => format!("log: {line}"),
        }
    }

    /// Puts it into words that two runs of one driver have in common: without addresses, which a driver chooses. `None` for what tells
    /// nothing of the driver.
    #[must_use]
    pub fn meaning(&self) -> Option<String> {
        match *self {
            Self::Log { .. } => None,
            Self::Dma { write, bytes, data, failed, .. } => {
                let verb = if write { "DMA write" } else { "DMA read" };
                Some(format!("{verb} {bytes} bytes{}: {}", if failed { ", failed" } else { "" }, hex(data)))
            }
            _ => Some(self.describe(true)),
        }
    }
}

impl<'r> From<DeviceAct<'r>> for Act<'r> {
    fn from(act: DeviceAct<'r>) -> Self {
        Self::Device(act)
    }
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}
