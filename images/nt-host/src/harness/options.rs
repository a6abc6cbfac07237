//! The options that the harness starts a guest with: the `fw_cfg` file of `name=value` lines.

use alloc::string::String;
use alloc::vec::Vec;

use guest_protocol::{Level, options as option};

#[cfg(target_os = "none")]
use crate::arch::uninterrupted::Uninterrupted;

/// The options; unknown names are kept for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Instead of serving, loop this many million iterations and leave.
    pub calibrate: Option<u64>,
    /// The least bad level of log lines that are sent.
    pub log: Level,
    /// Which function of the PCI bus is the driver's, as `vendor:device` in hexadecimal, where there are several.
    pub device: Option<DeviceChoice>,
    /// The resources of a device that no bus enumerates.
    pub resources: Vec<Resource>,
    /// Report every stack of the driver that allocates.
    pub allocations: bool,
    /// The stack whose allocation fails, by its hash in hexadecimal.
    pub fail_allocation: Option<u64>,
    /// What the delays between processors are drawn from.
    pub seed: Option<u64>,
    /// How the device interrupts.
    pub interrupts: Interrupts,
    /// How many messages the system has for the device, 1 to [`option::MESSAGES_MAX`].
    pub messages: u16,
    /// Where 64-bit base addresses are placed.
    pub bars: Bars,
    /// The Windows that the guest poses as.
    pub windows: Windows,
    /// What the system's time counts.
    pub time: Time,
    /// Whether the driver is watched. Without, the host does what Windows does without Driver Verifier: to measure what
    /// watching costs.
    pub verifier: bool,
    /// The rules and checks whose violations do not stop the system, by number.
    pub waived: Vec<u16>,
    /// Whether no violation stops the system after which it can go on.
    pub keep_going: bool,
    /// At which violation the machine pauses.
    pub break_on: Option<BreakOn>,
    /// Whether the guest marks what it does, in a ring that it lends.
    pub marks: bool,
    /// How messages pass on COM1.
    pub line: Line,
}

/// How messages pass on COM1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Line {
    /// As frames, through rings where the harness takes them: the port is the guest's own.
    #[default]
    Frames,
    /// On a reliable line, as in a system whose firmware and loader write to the port too.
    Reliable,
}

/// The driver's device, where the harness names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A PCI function.
    Function {
        /// The vendor's id.
        vendor: u16,
        /// The device's id.
        device: u16,
        /// Its number among those with the same ids, from 0 in order of address; `None` for the only one.
        number: Option<usize>,
    },
    /// A device that no bus enumerates.
    Root,
}

/// A resource of a device that no bus enumerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// I/O ports.
    Port {
        /// The first.
        start: u16,
        /// How many.
        length: u16,
    },
    /// Memory.
    Memory {
        /// Its physical address.
        start: u64,
        /// Bytes.
        length: u32,
    },
    /// A line of the ISA bus.
    Irq {
        /// Its number.
        line: u8,
        /// Level-sensitive, not edge-triggered.
        level: bool,
    },
    /// A DMA channel.
    Dma {
        /// Its number.
        channel: u8,
    },
}

/// How the driver's device interrupts, as its INF and the system decide on Windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interrupts {
    /// By its line, which other devices may share: without `MSISupported` in the INF.
    #[default]
    Line,
    /// By messages of its own, as many as it has: with `MSISupported`.
    Message,
}

/// Where 64-bit base addresses are placed. Those of 32 bits are below 4 GiB in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bars {
    /// Below 4 GiB, with the others.
    #[default]
    Below4G,
    /// Above 4 GiB: a driver that keeps 32 bits of an address loses its device.
    Above4G,
}

/// A Windows that the guest can pose as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Its version: major, minor and build.
    pub version: (u32, u32, u32),
    /// The number of its interfaces (`NTDDI_*` of sdkddkver.h).
    pub interfaces: u32,
}

impl Windows {
    /// Windows 10 22H2, whose interfaces are those of build 19041 and its successors.
    pub const TEN: Self = Self { version: (10, 0, 19045), interfaces: 0x0a00_0008 };

    /// Returns the last build of a version, by its name.
    fn named(name: &str) -> Option<Self> {
        let (version, interfaces) = match name {
            "6.1" => ((6, 1, 7601), 0x0601_0000),
            "6.2" => ((6, 2, 9200), 0x0602_0000),
            "6.3" => ((6, 3, 9600), 0x0603_0000),
            "10.0" => return Some(Self::TEN),
            _ => return None,
        };
        Some(Self { version, interfaces })
    }
}

/// What the system's time counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// What the machine's clocks show, which go on while the machine is stopped: a device in real time does not wait.
    #[default]
    Shown,
    /// Only what the machine runs, for a device whose time depends on events alone: however long a host stops the
    /// machine, no time-out of a driver runs out.
    Run,
}

/// At which violation the machine pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakOn {
    /// At each violation of the rule or check with this number.
    Rule(u16),
    /// At each violation, and at each bug check.
    Any,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            calibrate: None,
            log: Level::Info,
            device: None,
            resources: Vec::new(),
            allocations: false,
            fail_allocation: None,
            seed: None,
            interrupts: Interrupts::Line,
            messages: option::MESSAGES_MAX,
            bars: Bars::Below4G,
            windows: Windows::TEN,
            time: Time::Shown,
            verifier: true,
            waived: Vec::new(),
            keep_going: false,
            break_on: None,
            marks: false,
            line: Line::Frames,
        }
    }
}

/// A line that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{0}` is none that this guest knows")]
pub struct UnknownOption(pub String);

impl Options {
    /// Reads the file.
    ///
    /// # Errors
    /// [`UnknownOption`] with the first line that is not `name=value` with a known name and a value of its kind.
    pub fn parse(text: &str) -> Result<Self, UnknownOption> {
        let mut options = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            options.set(line).ok_or_else(|| UnknownOption(line.into()))?;
        }
        Ok(options)
    }

    fn set(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once('=')?;
        match name {
            option::CALIBRATE => self.calibrate = Some(value.parse().ok()?),
            option::LOG => {
                self.log = match value {
                    "error" => Level::Error,
                    "warn" => Level::Warn,
                    "info" => Level::Info,
                    "debug" => Level::Debug,
                    "trace" => Level::Trace,
                    _ => return None,
                }
            }
            option::DEVICE => {
                self.device = Some(device_choice(value)?);
            }
            option::RESOURCE => self.resources.push(resource(value)?),
            option::ALLOCATIONS => self.allocations = if value == "report" { true } else { return None },
            option::FAIL_ALLOCATION => self.fail_allocation = Some(u64::from_str_radix(value, 16).ok()?),
            option::SEED => self.seed = Some(u64::from_str_radix(value, 16).ok()?),
            option::INTERRUPTS => {
                self.interrupts = match value {
                    "line" => Interrupts::Line,
                    "message" => Interrupts::Message,
                    _ => return None,
                }
            }
            option::MESSAGES => {
                self.messages = value.parse().ok().filter(|count| (1..=option::MESSAGES_MAX).contains(count))?;
            }
            option::BARS => {
                self.bars = match value {
                    "below-4g" => Bars::Below4G,
                    "above-4g" => Bars::Above4G,
                    _ => return None,
                }
            }
            option::WINDOWS => self.windows = Windows::named(value)?,
            option::TIME => {
                self.time = match value {
                    "shown" => Time::Shown,
                    "run" => Time::Run,
                    _ => return None,
                }
            }
            option::VERIFIER => {
                self.verifier = match value {
                    "on" => true,
                    "off" => false,
                    _ => return None,
                }
            }
            option::WAIVE => {
                self.waived = value.split(',').map(|number| number.parse().ok()).collect::<Option<_>>()?;
            }
            option::BREAK_ON => {
                self.break_on = Some(match value {
                    option::BREAK_ON_ANY => BreakOn::Any,
                    number => BreakOn::Rule(number.parse().ok().filter(|number| *number > 0)?),
                });
            }
            option::KEEP_GOING => {
                self.keep_going = match value {
                    "on" => true,
                    "off" => false,
                    _ => return None,
                }
            }
            option::MARKS => {
                self.marks = match value {
                    "on" => true,
                    "off" => false,
                    _ => return None,
                }
            }
            option::LINE => {
                self.line = match value {
                    "frames" => Line::Frames,
                    "reliable" => Line::Reliable,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// Reads the value of [`option::DEVICE`].
fn device_choice(value: &str) -> Option<DeviceChoice> {
    if value == option::ROOT_DEVICE {
        return Some(DeviceChoice::Root);
    }
    let mut parts = value.split(':');
    let mut id = || u16::from_str_radix(parts.next()?, 16).ok();
    let (vendor, device) = (id()?, id()?);
    let number = match parts.next() {
        Some(number) => Some(number.parse().ok()?),
        None => None,
    };
    parts.next().is_none().then_some(DeviceChoice::Function { vendor, device, number })
}

/// Reads the value of [`option::RESOURCE`].
fn resource(value: &str) -> Option<Resource> {
    let (kind, value) = value.split_once(':')?;
    let span = || {
        let (start, length) = value.split_once('+')?;
        Some((u64::from_str_radix(start, 16).ok()?, u32::from_str_radix(length, 16).ok()?))
    };
    Some(match kind {
        "port" => {
            let (start, length) = span()?;
            Resource::Port { start: u16::try_from(start).ok()?, length: u16::try_from(length).ok()? }
        }
        "memory" => {
            let (start, length) = span()?;
            Resource::Memory { start, length }
        }
        "irq" => {
            let (line, trigger) = value.split_once(':')?;
            let level = match trigger {
                "level" => true,
                "edge" => false,
                _ => return None,
            };
            Resource::Irq { line: line.parse().ok().filter(|line| *line < ISA_LINES)?, level }
        }
        "dma" => Resource::Dma { channel: value.parse().ok()? },
        _ => return None,
    })
}

/// Interrupt lines of the ISA bus.
const ISA_LINES: u8 = 16;

/// The options of this boot.
#[cfg(target_os = "none")]
static CURRENT: Uninterrupted<Option<Options>> = Uninterrupted::new(None);

/// Sets the options of this boot.
#[cfg(target_os = "none")]
pub fn set_current(options: Options) {
    CURRENT.with(|slot| *slot = Some(options));
}

/// Returns the options of this boot.
#[cfg(target_os = "none")]
#[must_use]
pub fn current() -> Options {
    CURRENT.with(|options| options.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_values() {
        let function = |number| Some(DeviceChoice::Function { vendor: 0x1af4, device: 0x1067, number });
        let options = Options::parse("calibrate=300\nlog=debug\n\ndevice=1af4:1067\n").unwrap();
        let expected =
            Options { calibrate: Some(300), log: Level::Debug, device: function(None), ..Options::default() };
        assert_eq!(options, expected);
        assert_eq!(Options::parse("device=1af4:1067:2\n").unwrap().device, function(Some(2)));
        let older = Options::parse("windows=6.1\n").unwrap().windows;
        assert_eq!((older.version, older.interfaces), ((6, 1, 7601), 0x0601_0000));
        assert!(Options::parse("windows=6.0\n").is_err());
        let root = Options::parse("device=root\nresource=port:330+2\nresource=irq:5:edge\nresource=dma:1\n").unwrap();
        assert_eq!(root.device, Some(DeviceChoice::Root));
        let resources = [
            Resource::Port { start: 0x330, length: 2 },
            Resource::Irq { line: 5, level: false },
            Resource::Dma { channel: 1 },
        ];
        assert_eq!(root.resources, resources);
        let allocations = Options::parse("allocations=report\nfail-allocation=00ff\n").unwrap();
        assert_eq!(allocations, Options { allocations: true, fail_allocation: Some(255), ..Options::default() });
        let message = Options::parse("interrupts=message\n").unwrap();
        assert_eq!(message, Options { interrupts: Interrupts::Message, ..Options::default() });
        let placed = Options::parse("messages=1\nbars=above-4g\n").unwrap();
        assert_eq!(placed, Options { messages: 1, bars: Bars::Above4G, ..Options::default() });
        assert_eq!(Options::parse("time=run\n").unwrap(), Options { time: Time::Run, ..Options::default() });
        assert_eq!(Options::parse("").unwrap(), Options::default());
        assert!(Options::default().verifier, "a driver is watched unless an option says not to");
        assert!(!Options::parse("verifier=off").unwrap().verifier);
        let lenient = Options::parse("waive=33,105\nkeep-going=on").unwrap();
        assert_eq!((lenient.waived, lenient.keep_going), ([33, 105].into(), true));
        assert_eq!(Options::parse("break-on=39").unwrap().break_on, Some(BreakOn::Rule(39)));
        assert!(Options::parse("marks=on").unwrap().marks && !Options::default().marks);
        assert_eq!(Options::parse("break-on=any").unwrap().break_on, Some(BreakOn::Any));
    }

    #[test]
    fn refuses_an_unknown_option_and_names_it() {
        for line in [
            "calibrate=many",
            "log=loud",
            "device=1af4",
            "device=1af4:1067:1:2",
            "device=1af4:1067:x",
            "resource=port:330",
            "resource=port:10000+2",
            "resource=irq:16:edge",
            "resource=irq:5",
            "resource=lamp:1",
            "speed=fast",
            "allocations=yes",
            "fail-allocation=xyz",
            "seed=later",
            "interrupts=loud",
            "messages=0",
            "messages=9",
            "bars=high",
            "time=fast",
            "verifier=maybe",
            "waive=",
            "waive=33;105",
            "waive=70000",
            "keep-going=maybe",
            "break-on=0",
            "break-on=some",
            "marks=maybe",
            "calibrate",
        ] {
            assert_eq!(Options::parse(line), Err(UnknownOption(line.into())), "{line}");
        }
    }
}
