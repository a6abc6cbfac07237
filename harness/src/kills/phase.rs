//! What is killed, by which signal, and while a run does what.

use rustix::process::Signal;
use serde::Serialize;
use signal_hook::low_level::signal_name;

use crate::event::Step;

/// A process to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// The harness.
    Harness,
    /// The card.
    Card,
    /// QEMU.
    Qemu,
}

impl Process {
    /// Every process, in the order of the kills.
    pub(super) const ALL: [Self; 3] = [Self::Harness, Self::Card, Self::Qemu];

    /// Returns the name that tables show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Harness => "harness",
            Self::Card => "card",
            Self::Qemu => "qemu",
        }
    }

    /// Returns an option of its command line that no other child of the harness has.
    pub(super) const fn option(self) -> &'static str {
        match self {
            Self::Harness => "",
            Self::Card => "--control",
            Self::Qemu => "-qmp",
        }
    }
}

/// The signals: those that a process can handle first.
pub(super) const SIGNALS: [Signal; 5] = [Signal::TERM, Signal::INT, Signal::KILL, Signal::SEGV, Signal::ABORT];

/// Returns a signal's name, such as `SIGTERM`.
pub(super) fn name_of(signal: Signal) -> &'static str {
    signal_name(signal.as_raw()).unwrap_or("an unnamed signal")
}

/// The phase of a run in which a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// A step of a demo; the kill comes within so many milliseconds of it.
    Demo(Step, u64),
    /// The prompt, with the device started and nothing to do.
    Prompt,
    /// A probe of the contract.
    Contract,
    /// A benchmark, which has no card.
    Bench,
}

/// All phases. A step's milliseconds are a part of what it takes; a kill that comes later meets the next step, which is as good.
pub(super) const PHASES: [Phase; 10] = [
    Phase::Demo(Step::Streaming, 250),
    Phase::Prompt,
    Phase::Demo(Step::Firmware, 100),
    Phase::Contract,
    Phase::Demo(Step::DriverStart, 250),
    Phase::Demo(Step::ShutDown, 25),
    Phase::Demo(Step::Card, 2),
    Phase::Demo(Step::Kernel, 12),
    Phase::Bench,
    Phase::Demo(Step::Judging, 10),
];

/// Milliseconds into the prompt, a probe and a benchmark within which a process is killed.
const PROMPT_MS: u64 = 300;
const CONTRACT_MS: u64 = 500;
const BENCH_MS: u64 = 250;

impl Phase {
    /// Returns the name that tables show.
    pub(super) fn name(self) -> String {
        match self {
            Self::Demo(step, _) => step_name(step),
            Self::Prompt => "prompt, idle".into(),
            Self::Contract => "contract, capture".into(),
            Self::Bench => "bench, nt-host".into(),
        }
    }

    /// Returns the milliseconds after its beginning within which a process is killed.
    pub(super) const fn milliseconds(self) -> u64 {
        match self {
            Self::Demo(_, milliseconds) => milliseconds,
            Self::Prompt => PROMPT_MS,
            Self::Contract => CONTRACT_MS,
            Self::Bench => BENCH_MS,
        }
    }
}

/// Returns the name of a demo's step.
pub(super) fn step_name(step: Step) -> String {
    let name = serde_json::to_value(step).unwrap_or_default();
    format!("demo, {}", name.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_each_process_by_each_common_signal_in_the_first_nine() {
        let mut seen: Vec<(Process, &str)> =
            (0..9).map(|index| (Process::ALL[index % 3], name_of(SIGNALS[index / 3 % SIGNALS.len()]))).collect();
        seen.dedup();
        assert_eq!(seen.len(), 9);
        assert!(seen.iter().all(|(_, name)| ["SIGTERM", "SIGINT", "SIGKILL"].contains(name)));
    }
}
