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
    pub device: Option<(u16, u16)>,
    /// Report every stack of the driver that allocates.
    pub allocations: bool,
    /// The stack whose allocation fails, by its hash in hexadecimal.
    pub fail_allocation: Option<u64>,
    /// What the delays between processors are drawn from.
    pub seed: Option<u64>,
    /// How the device interrupts.
    pub interrupts: Interrupts,
    /// What the system's time counts.
    pub time: Time,
    /// Whether the driver is watched. Without, the host does what Windows does without Driver Verifier: to measure what
    /// watching costs.
    pub verifier: bool,
    /// The rules and checks whose violations do not stop the system, by number.
    pub waived: Vec<u16>,
    /// Whether no violation stops the system after which it can go on.
    pub keep_going: bool,
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

impl Default for Options {
    fn default() -> Self {
        Self {
            calibrate: None,
            log: Level::Info,
            device: None,
            allocations: false,
            fail_allocation: None,
            seed: None,
            interrupts: Interrupts::Line,
            time: Time::Shown,
            verifier: true,
            waived: Vec::new(),
            keep_going: false,
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
                let (vendor, device) = value.split_once(':')?;
                self.device = Some((u16::from_str_radix(vendor, 16).ok()?, u16::from_str_radix(device, 16).ok()?));
            }
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
            option::KEEP_GOING => {
                self.keep_going = match value {
                    "on" => true,
                    "off" => false,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

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
        let options = Options::parse("calibrate=300\nlog=debug\n\ndevice=1af4:1067\n").unwrap();
        let expected =
            Options { calibrate: Some(300), log: Level::Debug, device: Some((0x1af4, 0x1067)), ..Options::default() };
        assert_eq!(options, expected);
        let allocations = Options::parse("allocations=report\nfail-allocation=00ff\n").unwrap();
        assert_eq!(allocations, Options { allocations: true, fail_allocation: Some(255), ..Options::default() });
        let message = Options::parse("interrupts=message\n").unwrap();
        assert_eq!(message, Options { interrupts: Interrupts::Message, ..Options::default() });
        assert_eq!(Options::parse("time=run\n").unwrap(), Options { time: Time::Run, ..Options::default() });
        assert_eq!(Options::parse("").unwrap(), Options::default());
        assert!(Options::default().verifier, "a driver is watched unless an option says not to");
        assert!(!Options::parse("verifier=off").unwrap().verifier);
        let lenient = Options::parse("waive=33,105\nkeep-going=on").unwrap();
        assert_eq!((lenient.waived, lenient.keep_going), ([33, 105].into(), true));
    }

    #[test]
    fn refuses_an_unknown_option_and_names_it() {
        for line in [
            "calibrate=many",
            "log=loud",
            "device=1af4",
            "speed=fast",
            "allocations=yes",
            "fail-allocation=xyz",
            "seed=later",
            "interrupts=loud",
            "time=fast",
            "verifier=maybe",
            "waive=",
            "waive=33;105",
            "waive=70000",
            "keep-going=maybe",
            "calibrate",
        ] {
            assert_eq!(Options::parse(line), Err(UnknownOption(line.into())), "{line}");
        }
    }
}
