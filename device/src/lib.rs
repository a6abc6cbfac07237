//! The virtual DirectMusic card: a PCI synthesizer card for QEMU, as a process of its own.
//!
//! # Where is what
//!
//! | module | what it is |
//! |---|---|
//! | [`card`], [`session`], [`render`] | the card itself; it knows no socket |
//! | `queues` | what it does with each of the five queues, one file a queue |
//! | [`bus`] | guest memory, rings, interrupts: what lies between a transport and the card |
//! | [`diagnosis`] | what it finds wrong with a driver |
//! | [`socket`] | the transport: vhost-user |
//! | [`engine`], [`slice`], [`activity`] | the thread that the card lives on, its measure of work, and what it is doing |
//! | [`control_socket`] | how a host's test harness watches the card and moves its time |
//! | [`signal_exit`] | the end of the process after a signal, in time whatever its threads do |
//! | [`offline`] | the same card without a machine: a list of events in, a WAV file out |
//! | [`stems`] | the same song, channel by channel |
//! | [`bank`] | instrument banks on the command line |
//! | [`fake`] | the other side: a driver and its machine in this process, for tests |
//!
//! # Threads
//!
//! The transport's thread owns the socket and answers it. The card's thread takes requests and renders, in slices of a few
//! milliseconds, between which it looks at resets, commands and the request to stop. They share the [`bus`] under a lock
//! that is held for the copy of one chain or one batch of events, never while a request is carried out or a frame
//! rendered, and the [`diagnosis`] registers, which any thread may read at any time. A watchdog names the card's thread
//! if it stalls all the same. No thread can be ended by a guest: errors are answers and diagnoses, a panic, which would be a defect of this program,
//! costs the session and nothing else, and guest memory that is cut short becomes zeroed memory and a diagnosis.

pub mod activity;
pub mod args;
pub mod bank;
pub mod bus;
pub mod capture;
pub mod card;
pub mod clock;
pub mod control_socket;
pub mod diagnosis;
pub mod engine;
pub mod exit;
pub mod fake;
pub mod fault;
pub mod identity;
pub mod line_out;
pub mod log_limit;
pub mod notices;
pub mod offline;
pub mod output;
mod queues;
pub mod render;
pub mod session;
pub mod session_synth;
pub mod signal_exit;
pub mod slice;
pub mod socket;
pub mod statistics;
pub mod status;
pub mod stems;
pub mod stop;
pub mod stream;
pub mod sysex;
pub mod timeline;
pub mod whole_file;

pub use queues::CaptureError;
