//! What a step does on the host.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::{Spanned, Table};

/// A process of the test bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Process {
    /// The card.
    Card,
    /// QEMU.
    Qemu,
}

/// An act on the host: exactly one of its first five members.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostStep {
    /// Kill a process.
    pub kill: Option<Process>,
    /// Stop a process for a while.
    pub suspend: Option<SuspendStep>,
    /// A command of QEMU's monitor (QMP), such as `query-status`.
    pub qmp: Option<String>,
    /// A line of JSON for the card's control socket. A command that the card refuses fails the step.
    pub control: Option<String>,
    /// A command of the shell, in the folder of the scenario. `DMUS_RUN_FOLDER` names the run folder.
    pub shell: Option<String>,
    /// Arguments of the command of QEMU's monitor.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub arguments: Option<Table>,
    /// A text that the answer or the output must contain.
    pub output: Option<String>,
    /// The longest time of the command of the shell, in seconds.
    #[schemars(with = "Option<u32>", range(min = 1, max = 3_600))]
    pub limit_s: Option<Spanned<u32>>,
}

/// A process to stop for a while.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendStep {
    /// The process.
    pub process: Process,
    /// For how long, in milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub ms: u32,
}
