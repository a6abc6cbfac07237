//! Events, which the guest sends without a request.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Bulk;

/// An event that the guest sends without a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The guest executes its first instructions.
    Entered,
    /// The guest lends a range of its memory for two rings ([`RingPlace::both`](crate::RingPlace::both)), whose counts are zero: it
    /// sends frames through the first from now on, and takes them from the second.
    Rings(Bulk),
    /// The guest is ready for requests.
    Ready,
    /// A log line of the guest's own, or the driver's `DbgPrint`.
    Log {
        /// The line's severity.
        level: Level,
        /// The module that logs.
        target: String,
        /// The text.
        text: String,
    },
    /// Progress of [`Request::Play`](crate::Request::Play).
    Progress {
        /// Frames rendered.
        frames: u64,
        /// Events delivered.
        events: u64,
    },
    /// The system has stopped. No frame follows.
    BugCheck(BugCheck),
    /// The driver allocates from a call stack that has not been seen since boot; only with
    /// [`options::ALLOCATIONS`](crate::options::ALLOCATIONS) or [`options::FAIL_ALLOCATION`](crate::options::FAIL_ALLOCATION).
    Allocation {
        /// Hash of stack and function, the same in every boot of the same image.
        hash: u64,
        /// The function that allocates: `ExAllocatePoolWithTag`, `PcNewPort`.
        function: String,
        /// The driver's part of the stack, innermost first.
        stack: Vec<StackFrame>,
        /// Whether the allocation was made to fail.
        failed: bool,
    },
    /// Something was found that did not stop the system: the first of its kind since boot.
    Finding(Finding),
    /// The finding of this id has been made so often since boot. Sent for what has changed, before each answer and before
    /// a bug check.
    FindingCount {
        /// [`Finding::id`].
        id: u32,
        /// How often, the first time included.
        count: u64,
    },
    /// The guest lends a range of its memory for [marks](crate::Mark), or has lent it before, and waits for samples of the harness's
    /// ticks there; only with [`options::MARKS`](crate::options::MARKS).
    Marks(Bulk),
}

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// A failure.
    Error,
    /// Something that is probably wrong.
    Warn,
    /// Normal operation.
    Info,
    /// Detail for debugging.
    Debug,
    /// Every step.
    Trace,
}

/// A bug check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BugCheck {
    /// The bug-check code, as Windows numbers them.
    pub code: u32,
    /// The code's name, such as `DRIVER_IRQL_NOT_LESS_OR_EQUAL`.
    pub name: String,
    /// The code's four parameters.
    pub parameters: [u64; 4],
    /// The number of the contract's rule that was violated, where a check of the guest found it.
    pub rule: Option<u16>,
    /// How many milliseconds the guest waited for the driver, where it stopped for that reason; a device that did not run
    /// meanwhile may be the cause.
    pub waited_ms: u32,
    /// What failed, on what, expected and found, and the remedy, for the driver's author.
    pub message: String,
    /// The kernel function that detected the violation, or that was running.
    pub function: String,
    /// IRQL at that moment.
    pub irql: u8,
    /// Return addresses, innermost first.
    pub stack: Vec<StackFrame>,
}

/// A return address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFrame {
    /// The address.
    pub address: u64,
    /// The module that contains it: the driver's file name or `nt-host`.
    pub module: Option<String>,
    /// Offset from the module's base.
    pub offset: u64,
}

/// A finding that did not stop the system. Findings of one kind, rule, function and IRQL are one, which is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The number of the finding since boot, from 0.
    pub id: u32,
    /// The kind.
    pub kind: FindingKind,
    /// The number of the rule or check, where there is one.
    pub rule: Option<u16>,
    /// The bug-check code with which the system would have stopped; 0 for a note.
    pub code: u32,
    /// What was found, and the remedy, for the driver's author.
    pub message: String,
    /// The function that found it.
    pub function: String,
    /// IRQL at that moment.
    pub irql: u8,
    /// Return addresses of the first time, innermost first.
    pub stack: Vec<StackFrame>,
}

/// The kind of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FindingKind {
    /// A violation of a rule that [`options::WAIVE`](crate::options::WAIVE) names.
    Waived,
    /// A violation that [`options::KEEP_GOING`](crate::options::KEEP_GOING) lets pass. The driver is wrong.
    Violation,
    /// An observation that no page forbids.
    Note,
}
