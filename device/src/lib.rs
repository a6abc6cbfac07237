//! The virtual DirectMusic card: a PCI synthesizer card for QEMU, as a process of its own.
//!
//! # Modules
//!
//! | module | what it is |
//! |---|---|
//! | [`session`] | the state from one `OPEN` to the next: streams, time, synthesizer, output FIFO, notices |
//! | [`queues`] | a handler for each of the five queues |
//! | [`card`] | the card, and the thread that it runs on; it knows no transport |
//! | [`bus`] | guest memory, rings, interrupts: the bus between a transport and the card |
//! | [`diagnosis`] | what the card finds wrong with a driver |
//! | [`transport`] | vhost-user, and the socket that it is spoken on |
//! | [`control_socket`] | the server of [`card_control`]'s protocol |
//! | [`trace`] | what a guest can see, recorded |
//! | [`replay`] | a recording, given to a card without QEMU |
//! | [`sandbox`] | what each thread may ask of the kernel |
//! | [`cli`] | the command line: arguments, exit codes, offline render, stems, banks |
//! | `fake` | a front-end and a driver in this process, for tests (feature `fake`) |
//!
//! # Threads
//!
//! Each connection has a thread for the guard, which owns the front-end's socket, and those of the framework: one that answers
//! the guard, and a worker, which serves the queues. The card's thread renders and executes commands, in slices of a few
//! milliseconds, between which it looks at resets and the request to stop. Worker and card's thread work on the card by turns,
//! and the worker does not wait for its turn. All share the [`bus`] under a lock
//! that is held for the copy of one chain or one batch of events, never while a request is carried out or a frame
//! rendered, and the [`diagnosis`] registers, which any thread may read at any time. A watchdog reports the card's
//! thread if it stalls all the same. No guest can end a thread: errors are answers and diagnoses, a panic, which is a defect
//! of this program, costs the session and nothing else, and guest memory that is cut short becomes zeroed memory and a
//! diagnosis.

pub mod bus;
pub mod card;
pub mod cli;
pub mod control_socket;
pub mod diagnosis;
#[cfg(feature = "fake")]
pub mod fake;
pub mod log_limit;
pub mod options;
pub mod queues;
pub mod replay;
pub mod sandbox;
pub mod session;
pub mod stop;
pub mod trace;
pub mod transport;
