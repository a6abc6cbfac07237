//! Resources of a device that no bus enumerates, as a jumper or the old ISA bus gave them.

use std::fmt;
use std::str::FromStr;

use guest_protocol::exit;
use serde::{Deserialize, Serialize};

/// Ports that the machine or the harness uses: first, last, by whom.
const TAKEN_PORTS: [(u16, u16, &str); 13] = [
    (0x00, 0x1f, "the DMA controller"),
    (0x20, 0x21, "the interrupt controller"),
    (0x40, 0x43, "the timer"),
    (0x60, 0x64, "the keyboard controller"),
    (0x70, 0x71, "the clock"),
    (0x80, 0x92, "the DMA controller's pages"),
    (0xa0, 0xa1, "the interrupt controller"),
    (0xc0, 0xdf, "the second DMA controller"),
    (exit::PORT, exit::PORT + 3, "the harness, for the guest's exit"),
    (0x3f8, 0x3ff, "the harness, for the guest's serial line"),
    (0x510, 0x51b, "QEMU's firmware configuration"),
    (0xcf8, 0xcff, "PCI configuration"),
    (0xc000, 0xffff, "PCI functions"),
];

/// Interrupt lines that the machine or the harness uses.
const TAKEN_LINES: [(u8, &str); 5] = [
    (0, "the timer"),
    (2, "the second interrupt controller"),
    (4, "the harness, for the guest's serial line"),
    (8, "the clock"),
    (13, "the processor"),
];

/// The memory that the ISA bus shows a device's cards in: between conventional memory and the first megabyte's end.
const ISA_MEMORY: std::ops::Range<u64> = 0xa_0000..0x10_0000;

/// The DMA channel that joins the two controllers.
const CASCADE_CHANNEL: u8 = 4;

/// Most resources of a device: a `CM_RESOURCE_LIST` of a real one has some ten.
const RESOURCES_MAX: usize = 32;

/// A resource of a device that no bus enumerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Resource {
    /// I/O ports.
    Port {
        /// The first.
        start: u16,
        /// How many.
        length: u16,
    },
    /// Memory of the device.
    Memory {
        /// Its physical address.
        start: u64,
        /// Bytes.
        length: u32,
    },
    /// An interrupt line of the ISA bus.
    Irq {
        /// The line, 0 to 15.
        line: u8,
        /// Level-sensitive, not edge-triggered as on ISA.
        level: bool,
    },
    /// A channel of the DMA controllers.
    Dma {
        /// The channel, 0 to 7.
        channel: u8,
    },
}

/// Text that is no resource that a device can have in this machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// The text has another form.
    #[error(
        "`{0}` is no resource: write port=START+COUNT, memory=START+BYTES, irq=LINE, irq=LINE:level or dma=CHANNEL"
    )]
    Form(String),
    /// The numbers are none that the machine has.
    #[error("`{text}`: {why}")]
    Range {
        /// The resource.
        text: String,
        /// The bound.
        why: String,
    },
    /// The machine or the harness uses it.
    #[error("`{text}` is used by {by}")]
    Taken {
        /// The resource.
        text: String,
        /// The user of it.
        by: &'static str,
    },
    /// Two resources are the same, or overlap.
    #[error("`{0}` and `{1}` overlap")]
    Overlap(String, String),
    /// There are more than a device has.
    #[error("a device has at most {RESOURCES_MAX} resources")]
    TooMany,
}

/// Reads resources that are separated by commas, such as `port=0x330+2,irq=5`.
///
/// # Errors
/// [`ResourceError`] for text of another form, and for resources that this machine does not have to give.
pub fn resources(text: &str) -> Result<Vec<Resource>, ResourceError> {
    let all = text.split(',').map(str::parse).collect::<Result<Vec<Resource>, _>>()?;
    check(&all)?;
    Ok(all)
}

/// Checks resources that were read one by one against each other.
///
/// # Errors
/// [`ResourceError::Overlap`] and [`ResourceError::TooMany`].
pub fn check(all: &[Resource]) -> Result<(), ResourceError> {
    if all.len() > RESOURCES_MAX {
        return Err(ResourceError::TooMany);
    }
    for (index, one) in all.iter().enumerate() {
        if let Some(other) = all[..index].iter().find(|other| one.overlaps(other)) {
            return Err(ResourceError::Overlap(other.to_string(), one.to_string()));
        }
    }
    Ok(())
}

impl Resource {
    /// Returns it as an option of the guest has it.
    #[must_use]
    pub fn option(&self) -> String {
        match self {
            Self::Port { start, length } => format!("port:{start:x}+{length:x}"),
            Self::Memory { start, length } => format!("memory:{start:x}+{length:x}"),
            Self::Irq { line, level } => format!("irq:{line}:{}", if *level { "level" } else { "edge" }),
            Self::Dma { channel } => format!("dma:{channel}"),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ranges =
            |one: u64, length: u64, other: u64, other_length: u64| one < other + other_length && other < one + length;
        match (*self, *other) {
            (Self::Port { start, length }, Self::Port { start: other, length: other_length }) => {
                ranges(start.into(), length.into(), other.into(), other_length.into())
            }
            (Self::Memory { start, length }, Self::Memory { start: other, length: other_length }) => {
                ranges(start, length.into(), other, other_length.into())
            }
            // A device of the ISA bus has one line here: the guest gives each driver one interrupt.
            (Self::Irq { .. }, Self::Irq { .. }) => true,
            (Self::Dma { channel }, Self::Dma { channel: other }) => channel == other,
            _ => false,
        }
    }
}

/// Reads a number: decimal, or hexadecimal with `0x`.
fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

impl FromStr for Resource {
    type Err = ResourceError;

    fn from_str(text: &str) -> Result<Self, ResourceError> {
        let text = text.trim();
        let form = || ResourceError::Form(text.into());
        let range = |why: &str| ResourceError::Range { text: text.into(), why: why.into() };
        let (kind, value) = text.split_once('=').ok_or_else(form)?;
        let span = || {
            let (start, length) = value.split_once('+').ok_or_else(form)?;
            let (start, length) = (number(start).ok_or_else(form)?, number(length).ok_or_else(form)?);
            if length == 0 {
                return Err(range("the length is at least 1"));
            }
            Ok((start, length))
        };
        match kind {
            "port" => {
                let (start, length) = span()?;
                let last = start.checked_add(length - 1).filter(|last| *last <= u64::from(u16::MAX));
                let last = last.ok_or_else(|| range("ports are 0 to 0xffff"))?;
                let taken =
                    TAKEN_PORTS.iter().find(|(from, to, _)| start <= u64::from(*to) && u64::from(*from) <= last);
                if let Some((_, _, by)) = taken {
                    return Err(ResourceError::Taken { text: text.into(), by });
                }
                // Both fit: the last port does, and port 0 is the DMA controller's.
                Ok(Self::Port { start: start as u16, length: length as u16 })
            }
            "memory" => {
                let (start, length) = span()?;
                let end = start.checked_add(length).ok_or_else(|| range("the range has no end"))?;
                if start < ISA_MEMORY.start || ISA_MEMORY.end < end {
                    return Err(range(&format!(
                        "memory of a device is within {:#x}..{:#x}; the rest is the guest's, or PCI's",
                        ISA_MEMORY.start, ISA_MEMORY.end
                    )));
                }
                // The window is shorter than 4 GiB.
                Ok(Self::Memory { start, length: length as u32 })
            }
            "irq" => {
                let (line, level) = match value.split_once(':') {
                    None => (value, false),
                    Some((line, "level")) => (line, true),
                    Some((line, "edge")) => (line, false),
                    Some(_) => return Err(form()),
                };
                let line = number(line).ok_or_else(form)?;
                let line = u8::try_from(line).ok().filter(|line| *line < 16);
                let line = line.ok_or_else(|| range("interrupt lines are 0 to 15"))?;
                if let Some((_, by)) = TAKEN_LINES.iter().find(|(taken, _)| *taken == line) {
                    return Err(ResourceError::Taken { text: text.into(), by });
                }
                Ok(Self::Irq { line, level })
            }
            "dma" => {
                let channel = number(value).ok_or_else(form)?;
                let channel = u8::try_from(channel).ok().filter(|channel| *channel < 8);
                match channel.ok_or_else(|| range("DMA channels are 0 to 7"))? {
                    CASCADE_CHANNEL => Err(ResourceError::Taken { text: text.into(), by: "the second DMA controller" }),
                    channel => Ok(Self::Dma { channel }),
                }
            }
            _ => Err(form()),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { start, length } => write!(f, "port={start:#x}+{length}"),
            Self::Memory { start, length } => write!(f, "memory={start:#x}+{length:#x}"),
            Self::Irq { line, level } => write!(f, "irq={line}{}", if *level { ":level" } else { "" }),
            Self::Dma { channel } => write!(f, "dma={channel}"),
        }
    }
}

impl From<Resource> for String {
    fn from(resource: Resource) -> Self {
        resource.to_string()
    }
}

impl TryFrom<String> for Resource {
    type Error = ResourceError;

    fn try_from(text: String) -> Result<Self, ResourceError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resources_as_old_cards_had_them() {
        let all = resources("port=0x330+2,irq=5,dma=1,memory=0xd0000+0x1000").unwrap();
        let expected = [
            Resource::Port { start: 0x330, length: 2 },
            Resource::Irq { line: 5, level: false },
            Resource::Dma { channel: 1 },
            Resource::Memory { start: 0xd_0000, length: 0x1000 },
        ];
        assert_eq!(all, expected);
        assert_eq!(resources("irq=9:level").unwrap(), [Resource::Irq { line: 9, level: true }]);
        for resource in all {
            assert_eq!(resource.to_string().parse(), Ok(resource));
        }
    }

    #[test]
    fn refuses_what_the_machine_does_not_have_to_give() {
        for (text, expected) in [
            ("port=0x330", "is no resource"),
            ("port=0x330+0", "at least 1"),
            ("port=0xffff+2", "0 to 0xffff"),
            ("port=0xc000+2", "PCI functions"),
            ("port=0x3f0+16", "serial line"),
            ("port=0xf0+8", "exit"),
            ("irq=4", "serial line"),
            ("irq=16", "0 to 15"),
            ("irq=5:sometimes", "is no resource"),
            ("dma=4", "second DMA controller"),
            ("dma=8", "0 to 7"),
            ("memory=0x1000000+0x1000", "the guest's"),
            ("memory=0xffffffffffffffff+2", "no end"),
            ("port=0x330+2,port=0x331+1", "overlap"),
            ("irq=5,irq=7", "overlap"),
            ("", "is no resource"),
            ("port=-1+2", "is no resource"),
            ("irq=+5", "is no resource"),
            ("irq=5,", "is no resource"),
        ] {
            let error = resources(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let many: Vec<String> = (0..=RESOURCES_MAX).map(|at| format!("port={:#x}+1", 0x400 + at)).collect();
        assert_eq!(resources(&many.join(",")), Err(ResourceError::TooMany));
    }
}
