//! The table `[matrix]`: the values of each axis, and single combinations of values.

use std::path::PathBuf;

use card_control::{Clock, Sandbox, Transport};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::document::Guest;
use super::seed::Seed;
use crate::machine::conditions::{Bars, Interrupts, Windows};

/// A value of an axis, as names of cases have it.
trait Value {
    /// Returns its text.
    fn text(&self) -> String;
}

/// Implements [`Value`] by `Display`.
macro_rules! displayed {
    ($($type:ty),+) => { $(impl Value for $type { fn text(&self) -> String { self.to_string() } })+ };
}

/// Implements [`Value`] by a method `name`.
macro_rules! named {
    ($($type:ty),+) => { $(impl Value for $type { fn text(&self) -> String { self.name().to_owned() } })+ };
}

displayed!(String, bool, u8, u32, Seed);
named!(Transport, Clock, Sandbox, Bars, Interrupts, Windows, Guest);

impl Value for PathBuf {
    fn text(&self) -> String {
        self.display().to_string()
    }
}

/// Defines the axes once, in the order of a case's name, for the lists of the matrix and for single combinations.
macro_rules! axes {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $list:literal, $one:literal;)+) => {
        /// The table `[matrix]`: a case for each combination of one value of each list.
        #[derive(Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Matrix {
            $($(#[doc = $doc])+ #[schemars(with = $list)] pub(super) $name: Vec<Spanned<$type>>,)+
            /// How many cases to make of each combination, numbered from 1.
            #[schemars(with = "Option<u32>")]
            pub(super) repeat: Option<Spanned<u32>>,
            /// Combinations to add: a case for each table. What a table does not name is as without a matrix.
            #[schemars(with = "Vec<Combination>")]
            pub(super) include: Vec<Spanned<Combination>>,
            /// Combinations to leave out: every case that has all the values of a table.
            #[schemars(with = "Vec<Combination>")]
            pub(super) exclude: Vec<Spanned<Combination>>,
        }

        /// At most one value of each axis.
        #[derive(Clone, Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct Combination {
            $($(#[doc = $doc])+ #[schemars(with = $one)] pub(super) $name: Option<Spanned<$type>>,)+
            /// The number of the repetition, from 1.
            #[schemars(with = "Option<u32>")]
            pub(super) repeat: Option<Spanned<u32>>,
        }

        /// The names of the axes, in the order of a case's name.
        pub(super) const AXES: &[&str] = &[$(stringify!($name),)+ REPEAT];

        impl Matrix {
            /// Returns the number of values of each axis.
            pub(super) fn lengths(&self) -> Vec<usize> {
                let repeat = self.repeat.as_ref().map_or(0, |count| *count.get_ref() as usize);
                vec![$(self.$name.len(),)+ repeat]
            }

            /// Returns the combination of one value of each axis, by its place in its list.
            pub(super) fn combination(&self, places: &[usize]) -> Combination {
                let mut places = places.iter().copied();
                let mut next = || places.next().unwrap_or_default();
                Combination {
                    $($name: self.$name.get(next()).cloned(),)+
                    repeat: self.repeat.as_ref().and_then(|count| {
                        let number = u32::try_from(next()).ok()? + 1;
                        Some(Spanned::new(count.span(), number))
                    }),
                }
            }
        }

        impl Combination {
            /// Returns its values with the names of their axes.
            pub(super) fn values(&self) -> Vec<(&'static str, String)> {
                let mut values = Vec::new();
                $(values.extend(self.$name.as_ref().map(|value| (stringify!($name), value.get_ref().text())));)+
                values.extend(self.repeat.as_ref().map(|number| (REPEAT, number.get_ref().to_string())));
                values
            }
        }
    };
}

/// The axis of repetitions, which is a number and no list.
pub(super) const REPEAT: &str = "repeat";

axes! {
    /// The song: a built-in one or a file.
    song: String = "Vec<String>", "Option<String>";
    /// The driver image.
    driver: PathBuf = "Vec<PathBuf>", "Option<PathBuf>";
    /// The C++ driver, or a variant of one, that is built from sources.
    cpp_driver: String = "Vec<String>", "Option<String>";
    /// The guest.
    guest: Guest = "Vec<Guest>", "Option<Guest>";
    /// How the card is attached to QEMU.
    transport: Transport = "Vec<Transport>", "Option<Transport>";
    /// Whether a guard in a process of its own stands between QEMU and the card.
    guard: bool = "Vec<bool>", "Option<bool>";
    /// Whether the card's process is confined.
    sandbox: Sandbox = "Vec<Sandbox>", "Option<Sandbox>";
    /// Where 64-bit base addresses are.
    bars: Bars = "Vec<Bars>", "Option<Bars>";
    /// The Windows that the guest poses as.
    windows: Windows = "Vec<Windows>", "Option<Windows>";
    /// The kind of the device's interrupts.
    interrupts: Interrupts = "Vec<Interrupts>", "Option<Interrupts>";
    /// How many messages the system has for the device.
    messages: u8 = "Vec<u8>", "Option<u8>";
    /// Processors of the guest.
    processors: u8 = "Vec<u8>", "Option<u8>";
    /// The number of restarts of the device before the song.
    restarts: u8 = "Vec<u8>", "Option<u8>";
    /// Whether interrupts, DPCs and calls are delayed.
    delays: bool = "Vec<bool>", "Option<bool>";
    /// The seed of the delays, in hexadecimal.
    seed: Seed = "Vec<Seed>", "Option<Seed>";
    /// The card's clock.
    clock: Clock = "Vec<Clock>", "Option<Clock>";
    /// The card's bank.
    bank: PathBuf = "Vec<PathBuf>", "Option<PathBuf>";
    /// The card's render block, in frames.
    render_block: u32 = "Vec<u32>", "Option<u32>";
    /// Frames a second.
    sample_rate: u32 = "Vec<u32>", "Option<u32>";
    /// Frames of a request to the wave stream.
    quantum: u32 = "Vec<u32>", "Option<u32>";
    /// Silence after the song, in milliseconds.
    tail_ms: u32 = "Vec<u32>", "Option<u32>";
    /// Under the realtime clock: how long before its time an event is handed over, in milliseconds.
    lead_ms: u32 = "Vec<u32>", "Option<u32>";
}

/// The axes of a test that plays no song.
const AXES_WITHOUT_SONG: &[&str] = &[
    "driver",
    "cpp_driver",
    "guest",
    "transport",
    "sandbox",
    "bars",
    "windows",
    "interrupts",
    "messages",
    "processors",
    "seed",
    "sample_rate",
];

impl Matrix {
    /// Returns the first axis that a test without a song does not have, if it lists one.
    pub(super) fn axis_of_songs(&self) -> Option<&'static str> {
        let listed = AXES.iter().zip(self.lengths()).filter(|(_, length)| *length > 0).map(|(name, _)| *name);
        let combined = self.include.iter().flat_map(|table| table.get_ref().values()).map(|(name, _)| name);
        listed.chain(combined).find(|name| !AXES_WITHOUT_SONG.contains(name))
    }

    /// Returns the axes of a test that plays no song, for messages.
    pub(super) fn axes_without_song() -> String {
        AXES_WITHOUT_SONG.join(", ")
    }
}
