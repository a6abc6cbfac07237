//! The host's side of the DirectMusic card: everything that a program needs in order to start the card, watch it, drive
//! it, and understand how it ended.
//!
//! | module | what it defines |
//! |---|---|
//! | [`command`], [`answer`], [`status`] | the protocol of the control socket, both directions |
//! | [`fault`] | the faults that the card injects on command |
//! | [`event_list`] | the text format that the offline render reads |
//! | [`render`] | the JSON that the offline render prints |
//! | [`exit`] | the exit codes of the card's process |
//! | [`log`] | the log lines that a supervisor recognises |
//! | [`qemu`], [`transport`] | QEMU's options for the card, and how it is attached |
//!
//! # The control socket
//!
//! A unix stream socket (`--control PATH`). Each line in is one JSON object with a `cmd`; each line out is its answer,
//! `{"ok":true, ...}` or `{"ok":false,"error":"..."}`, in order.
//!
//! | `cmd` | further members | answer |
//! |---|---|---|
//! | `status` | | [`Status`] |
//! | `stats` | | [`Statistics`](status::Statistics) |
//! | `voices` | | [`Voices`](answer::Voices): the voices that sound |
//! | `mark` | `text` | puts a mark into the trace |
//! | `record` | `on` | stops the recording of the trace, or goes on with it; a record tells where |
//! | `advance` | `frames` | lockstep only: renders so many frames; [`Advanced`](answer::Advanced) |
//! | `events` | | takes the events that the card took from the driver since the last such command, from before a reset too; [`TakenEvents`](answer::TakenEvents) |
//! | `midi-in` | `data`: a MIDI message in hexadecimal; `group`: from 1, default 1; `time`: 100 ns units of master time, default now | captures the message for the driver |
//! | `inject-fault` | `fault`: an [`InjectedFault`]; `at`: a [`Trigger`], default now | arms the fault; `status` tells when it has struck |
//! | `disarm-faults` | | disarms what has not struck; [`Disarmed`](answer::Disarmed) |
//! | `shutdown` | | ends the card; QEMU does not survive that |
//!
//! ```text
//! > {"cmd":"advance","frames":480}
//! < {"ok":true,"position":960}
//! ```
//!
//! # Injected faults
//!
//! | `kind` | further members | what the card does, once |
//! |---|---|---|
//! | `lost-interrupt` | `queue` | returns a chain and does not interrupt for it |
//! | `late-interrupt` | `queue`, `milliseconds` | interrupts so much later |
//! | `spurious-interrupt` | `queue` | interrupts without a chain |
//! | `interrupt-storm` | `queue`, `interrupts` | interrupts so often without a chain, every [`STORM_PERIOD`](limits::STORM_PERIOD) |
//! | `short-dma` | `queue` | writes half of what the chain gets, and says so in the used ring |
//! | `failed-dma` | `queue` | writes nothing, and says so in the used ring |
//! | `misplaced-dma` | `queue` | writes [`MISPLACED_BYTES`](limits::MISPLACED_BYTES) bytes too far on in the chain, and does not say so |
//! | `corrupt-used-ring` | `queue`, `corruption`: `used-id`, `used-length` or `used-index` | returns the chain wrongly |
//! | `stuck-command` | `request`: default any | takes a control request and never returns it |
//! | `failing-command` | `request`: default any; `status`: default `card-failed` | answers a control request with that status, and does nothing |
//! | `refused-download` | | answers a download as if memory was full |
//! | `clock-jump` | `frames`: negative is backwards | moves the sample clock |
//! | `lose-session` | | drops the session, and notices say so |
//! | `needs-reset` | | sets `DEVICE_NEEDS_RESET` and serves no queue until the device is reset; over vfio-user only |
//!
//! `at` is `{"event":N}`, `{"frame":N}` or `{"time":N}`. Then the fault is *live*: those with `queue`, `request` or a
//! download in the table strike with the next interrupt, chain or request of their kind, spurious interrupts, storms and
//! the last three at once. A frame or time that the sample clock has passed already is refused, as are more than
//! [`ARMED_FAULTS_MAX`](limits::ARMED_FAULTS_MAX) armed faults and numbers beyond the bounds of [`limits`].
//!
//! ```text
//! > {"cmd":"inject-fault","fault":{"kind":"short-dma","queue":3},"at":{"frame":48000}}
//! < {"ok":true}
//! ```
//!
//! # Limits
//!
//! A client that keeps to none of this costs the card one connection for a while, and other clients nothing:
//!
//! | limit | when it is exceeded |
//! |---|---|
//! | a line has at most [`LINE_BYTES_MAX`](limits::LINE_BYTES_MAX) bytes | an answer says so, the rest of the line is dropped, the connection is closed |
//! | a line is complete [`LINE_TIME_MAX`](limits::LINE_TIME_MAX) after its first byte | an answer says so, the connection is closed |
//! | an answer is read within [`ANSWER_TIME_MAX`](limits::ANSWER_TIME_MAX) | the connection is closed |
//! | at most [`CONNECTIONS_MAX`](limits::CONNECTIONS_MAX) connections are open | the one that has been idle for the longest time is closed for the new one, with an answer that says so; one that is being answered is never closed, and when all are the new one is refused with an answer |
//! | one `advance` is for at most [`ADVANCE_FRAMES_MAX`](limits::ADVANCE_FRAMES_MAX) frames | the answer is an error |

pub mod answer;
pub mod command;
pub mod event_list;
pub mod exit;
pub mod fault;
pub mod guard;
pub mod limits;
pub mod log;
pub mod qemu;
pub mod render;
pub mod sandbox;
pub mod status;
pub mod transport;

pub use answer::AnswerError;
pub use command::Command;
pub use exit::ExitCode;
pub use fault::{FailureStatus, FaultStatus, InjectedFault, RequestName, Trigger, UsedRingCorruption};
pub use sandbox::Sandbox;
pub use status::{Clock, Status};
pub use transport::Transport;

/// The name of the card's program. Every message of a failure on its standard error begins with it and a colon.
pub const PROGRAM: &str = "vhost-device-dmus";
