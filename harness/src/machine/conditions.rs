//! The conditions of a guest that decide the order of concurrent events, and the options that repeat them.

use std::fmt;

use card_control::Clock;
use guest_protocol::options::{BARS, INTERRUPTS, LOG, MESSAGES, SEED, TIME, VERIFIER, WINDOWS};
use schemars::JsonSchema;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

/// The conditions of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Processors, 1 or 2: the second takes the card's interrupts and runs their DPCs.
    pub processors: u8,
    /// The seed of the delays of interrupts, DPCs and calls on each processor; `None` for no delays.
    pub seed: Option<u64>,
    /// Whether the guest verifies the driver, as Driver Verifier does. It is off only to measure its cost.
    pub verifier: bool,
    /// The kind of the card's interrupts.
    pub interrupts: Interrupts,
    /// How many messages the system has for the card, 1 to 8; `None` for as many as it can. A card that is to have more gets
    /// one.
    pub messages: Option<u8>,
    /// Where the card's 64-bit base addresses are.
    pub bars: Bars,
    /// The Windows that the guest poses as.
    pub windows: Windows,
    /// Whether the guest marks what it does, beside the trace of a card.
    pub marks: bool,
}

/// The Windows that the NT host poses as: an older one lacks the functions that are younger by their pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
pub enum Windows {
    /// Windows 7.
    #[serde(rename = "6.1")]
    #[value(name = "6.1")]
    Seven,
    /// Windows 8.
    #[serde(rename = "6.2")]
    #[value(name = "6.2")]
    Eight,
    /// Windows 8.1.
    #[serde(rename = "6.3")]
    #[value(name = "6.3")]
    EightOne,
    /// Windows 10.
    #[default]
    #[serde(rename = "10.0")]
    #[value(name = "10.0")]
    Ten,
}

impl Windows {
    /// Returns the name in the guest's options, scenarios and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seven => "6.1",
            Self::Eight => "6.2",
            Self::EightOne => "6.3",
            Self::Ten => "10.0",
        }
    }
}

/// Where the 64-bit base addresses of PCI functions are placed; those of 32 bits are below 4 GiB in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
pub enum Bars {
    /// Below 4 GiB, as most firmware places them.
    #[default]
    #[serde(rename = "below-4g")]
    #[value(name = "below-4g")]
    Below4G,
    /// Above 4 GiB, as firmware places them that decodes above 4 GiB.
    #[serde(rename = "above-4g")]
    #[value(name = "above-4g")]
    Above4G,
}

impl Bars {
    /// Returns the name in the guest's options, scenarios and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Below4G => "below-4g",
            Self::Above4G => "above-4g",
        }
    }
}

/// The kind of the card's interrupts; on Windows, a driver's INF decides it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Interrupts {
    /// By its interrupt line, which it shares with another device: without `MSISupported`.
    #[default]
    Line,
    /// By MSI-X messages of its own: with `MSISupported`. As many as it has where no INF says how many.
    Message,
}

impl Interrupts {
    /// Returns the name in the guest's options, scenarios and command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Message => "message",
        }
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            processors: 1,
            seed: None,
            verifier: true,
            interrupts: Interrupts::Line,
            messages: None,
            bars: Bars::Below4G,
            windows: Windows::Ten,
            marks: true,
        }
    }
}

impl Conditions {
    /// Returns the lines of options that the guest reads, for a level of its log and the clock of its card. In lockstep the
    /// guest's time excludes the time in which the host did not run it: nothing else in the machine follows the host's clock.
    #[must_use]
    pub fn guest_options(self, log: &str, clock: Clock) -> String {
        let mut lines = vec![(LOG, log.to_owned())];
        if clock == Clock::Lockstep {
            lines.push((TIME, "run".into()));
        }
        lines.extend(self.seed.map(|seed| (SEED, format!("{seed:x}"))));
        if !self.verifier {
            lines.push((VERIFIER, "off".into()));
        }
        if self.interrupts != Interrupts::Line {
            lines.push((INTERRUPTS, self.interrupts.name().into()));
        }
        lines.extend(self.messages.map(|count| (MESSAGES, count.to_string())));
        if self.bars != Bars::Below4G {
            lines.push((BARS, self.bars.name().into()));
        }
        if self.windows != Windows::Ten {
            lines.push((WINDOWS, self.windows.name().into()));
        }
        lines.into_iter().map(|(option, value)| format!("{option}={value}\n")).collect()
    }

    /// Returns the options that a command line needs beside the scenario for the same conditions, with a space before each;
    /// empty for the default ones. The scenario names how the card interrupts and where its base addresses are.
    #[must_use]
    pub fn arguments(self) -> String {
        let processors =
            if self.processors == 1 { String::new() } else { format!(" --processors {}", self.processors) };
        let seed = self.seed.map_or_else(String::new, |seed| format!(" --seed {seed:x}"));
        processors + &seed
    }

    /// Returns why only the NT host has these conditions; `None` where a guest of another kind has them, too.
    #[must_use]
    pub fn only_nt_host(self) -> Option<&'static str> {
        let reasons = [
            (self.seed.is_some(), "the NT host delays interrupts, DPCs and calls"),
            (!self.verifier, "the NT host leaves a driver unchecked"),
            (
                self.interrupts != Interrupts::Line,
                "the driver's INF decides how the card interrupts in a system of its own",
            ),
            (self.messages.is_some(), "a system of its own decides how many messages it has"),
            (self.bars != Bars::Below4G, "the firmware places base addresses of a system of its own"),
            (self.windows != Windows::Ten, "the NT host poses as another Windows"),
        ];
        reasons.into_iter().find_map(|(only, reason)| only.then_some(reason))
    }

    /// Returns the seed as a command line takes it.
    #[must_use]
    pub fn seed_text(self) -> Option<String> {
        self.seed.map(|seed| format!("{seed:x}"))
    }

    /// Returns whether there is one processor and no delay, so that a report need not name them.
    #[must_use]
    pub fn are_usual(self) -> bool {
        self.processors == 1 && self.seed.is_none()
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.processors == 1 { "" } else { "s" };
        write!(f, "{} processor{plural}, ", self.processors)?;
        match self.seed {
            Some(seed) => write!(f, "delays from seed {seed:x}"),
            None => f.write_str("no delays"),
        }
    }
}

/// Writes `processors` and, where there are delays, `seed` as a command line takes it; of the rest what is not usual, as a scenario has it.
impl Serialize for Conditions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let further = [
            self.interrupts != Interrupts::Line,
            self.messages.is_some(),
            self.bars != Bars::Below4G,
            self.windows != Windows::Ten,
        ];
        let further = further.into_iter().filter(|unusual| *unusual).count();
        let mut fields = serializer.serialize_struct("Conditions", 1 + usize::from(self.seed.is_some()) + further)?;
        fields.serialize_field("processors", &self.processors)?;
        match self.seed_text() {
            Some(seed) => fields.serialize_field("seed", &seed)?,
            None => fields.skip_field("seed")?,
        }
        if self.interrupts != Interrupts::Line {
            fields.serialize_field("interrupts", self.interrupts.name())?;
        }
        if let Some(messages) = self.messages {
            fields.serialize_field("messages", &messages)?;
        }
        if self.bars != Bars::Below4G {
            fields.serialize_field("bars", self.bars.name())?;
        }
        if self.windows != Windows::Ten {
            fields.serialize_field("windows", self.windows.name())?;
        }
        fields.end()
    }
}

/// Reads a seed from a command line: hexadecimal digits, with or without `0x`.
///
/// # Errors
/// Text that names the expected form, when the seed has another one.
pub fn read_seed(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16)
        .ok()
        .filter(|_| !digits.starts_with('+'))
        .ok_or_else(|| "a seed is 1 to 16 hexadecimal digits, such as 1f".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAYED: Conditions = Conditions {
        processors: 2,
        seed: Some(0x1f),
        verifier: true,
        interrupts: Interrupts::Line,
        messages: None,
        bars: Bars::Below4G,
        windows: Windows::Ten,
        marks: true,
    };

    #[test]
    fn names_the_seed_and_the_options_that_repeat_it() {
        assert_eq!(serde_json::to_string(&DELAYED).unwrap(), r#"{"processors":2,"seed":"1f"}"#);
        assert_eq!(DELAYED.arguments(), " --processors 2 --seed 1f");
        assert_eq!(DELAYED.to_string(), "2 processors, delays from seed 1f");
        assert_eq!(read_seed(&DELAYED.seed_text().unwrap()), Ok(0x1f));
    }

    #[test]
    fn needs_no_option_for_default_conditions() {
        let default = Conditions::default();
        assert_eq!((default.arguments().as_str(), default.are_usual()), ("", true));
        assert_eq!(serde_json::to_string(&default).unwrap(), r#"{"processors":1}"#);
        assert_eq!(default.to_string(), "1 processor, no delays");
        assert_eq!(default.guest_options("info", Clock::Realtime), "log=info\n");
    }

    #[test]
    fn writes_the_options_of_the_guest() {
        assert_eq!(DELAYED.guest_options("warn", Clock::Lockstep), "log=warn\ntime=run\nseed=1f\n");
        let by_message = Conditions { interrupts: Interrupts::Message, ..Conditions::default() };
        assert_eq!(by_message.guest_options("info", Clock::Realtime), "log=info\ninterrupts=message\n");
        let placed = Conditions { messages: Some(1), bars: Bars::Above4G, ..Conditions::default() };
        assert_eq!(placed.guest_options("info", Clock::Realtime), "log=info\nmessages=1\nbars=above-4g\n");
        assert_eq!(
            Conditions { verifier: false, ..DELAYED }.guest_options("warn", Clock::Realtime),
            "log=warn\nseed=1f\nverifier=off\n"
        );
    }

    #[test]
    fn reads_a_hexadecimal_seed_only() {
        assert_eq!(read_seed("0x5eed"), Ok(0x5eed));
        assert_eq!(read_seed("ffffffffffffffff"), Ok(u64::MAX));
        for wrong in ["", "0x", "later", "-1", "+1", "1f ", "10000000000000000"] {
            assert!(read_seed(wrong).unwrap_err().contains("hexadecimal"), "{wrong}");
        }
    }
}
