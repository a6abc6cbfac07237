//! The trace of the card: every act that a guest can see, in a ring file that outlives the process that writes it.
//!
//! The file is mapped into the card's process, so a record costs a few stores and no system call, and whatever is recorded is
//! in the file when the process is killed: its pages belong to the file. [`Writer`] writes it, any number of threads at a time;
//! [`Reader`] reads it, also while it is written, and believes nothing in it; [`describe()`] puts a record into words.
//!
//! # The file
//!
//! All numbers are little-endian. The file has [`HEADER_BYTES`] bytes of header, then [`Header::slots`] slots of [`SLOT_BYTES`]
//! bytes, and nothing else.
//!
//! | offset | bytes | header |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 2 | [`VERSION_MAJOR`]: a reader refuses another one |
//! | 10 | 2 | [`VERSION_MINOR`]: a higher one only adds kinds of records |
//! | 12 | 4 | [`HEADER_BYTES`] |
//! | 16 | 8 | the number of slots, a power of two |
//! | 24 | 4 | [`SLOT_BYTES`] |
//! | 28 | 4 | flags: bit 0 ([`FLAG_PCM`]), wave buffers have their PCM; bit 1 ([`FLAG_TSC`]), ticks are those of the processor's time-stamp counter, else nanoseconds |
//! | 32 | 8 | slots taken since the start; slot number *n* is at place *n* modulo the number of slots |
//! | 40 | 8 | slots among them that continue a record |
//! | 48 | 8 | records that were overwritten, in part or whole |
//! | 56 | 8 | ticks at the start |
//! | 64 | 8 | nanoseconds of the host's monotonic clock at the start |
//! | 72 | 8 | nanoseconds since 1970 at the start |
//! | 80 | 4 | the number of the process |
//! | 84 | 4 | the longest payload of a record in bytes |
//! | 128 | 64 | the program that writes, and its version: UTF-8, the rest zeroes |
//!
//! What is not listed is zero. A slot is three words of 64 bits:
//!
//! | offset | bytes | slot |
//! |---|---|---|
//! | 0 | 8 | ticks; in a slot that continues a record, 8 bytes of payload |
//! | 8 | 1 | [`Kind`]; bit 7 says that a payload follows; [`Kind::CONTINUES`] in a slot that continues a record |
//! | 9 | 1 | [`Source`] |
//! | 10 | 2 | a number by kind; in a slot that continues a record, how many came before it, modulo 65,536 |
//! | 12 | 4 | the seal: the complement of the low 32 bits of the slot's number |
//! | 16 | 8 | a number by kind, or (bit 7 of the kind) 3 bytes with the length of the payload, 1 byte and 4 bytes by kind; in a slot that continues a record, 8 bytes of payload |
//!
//! A common record is one slot. One with a payload of *n* bytes is followed by *n* / 16 slots, rounded up, that continue it.
//! The [kinds](Kind) and what their numbers and payloads mean are those of [`Act`].
//!
//! # What a reader may rely on
//!
//! A writer takes slots by one atomic addition, so records are in the order in which they were begun. It puts 0 in the place of
//! the second word of a slot first and the seal last. So a slot whose seal fits its number is whole; any other was being written
//! when the process ended, or is being written now, and counts as a gap. A thread that is stopped within a record while the
//! others go once around the ring may damage one record that it then writes over.
//!
//! # Marks of the guest
//!
//! Records of source [`Source::GUEST`] are not written by the card: the harness reads them from the memory of a guest that lends a ring of
//! marks, turns the guest's ticks into those of the host by the samples that it has of both, and writes them to a file of this format beside
//! the card's. That file begins with a record of kind [`Kind::GUEST_MARKS`], which says by how much their times can be wrong.
//!
//! # Time
//!
//! The header, and a record of kind [`Kind::CLOCK`] some hundred times a second while there are records, pair ticks with nanoseconds, with
//! the time that the reading took as the error. Between two pairs time is taken to be linear. Records of kind [`Kind::RENDERED`]
//! pair ticks with frames of the card.

mod act;
mod clock;
mod contents;
mod copy;
mod decode;
mod describe;
mod device_act;
mod guest_act;
mod header;
mod kind;
mod map;
mod payload;
mod reader;
mod registers;
mod slot;
mod start;
mod timeline;
mod trace_option;
mod voice;
mod writer;

pub use act::{Act, Head, Setup};
pub use card_spec::control::{RequestCode, Status};
pub use card_spec::diagnosis::Diagnosis;
pub use card_spec::notice::NoticeKind;
pub use card_spec::queue::Queue;
pub use card_spec::registers::{FILE as REGISTER_FILE, FILE_BYTES as REGISTER_FILE_BYTES};
pub use clock::HostMoment;
pub use contents::{Event, NoticeSpan, WaveSpan, answer_status, events, notice, queue_name, request_code, wave_span};
pub use copy::{TooLarge, copy};
pub use describe::{Detail, describe};
pub use device_act::{DMA_BYTES_MAX, DeviceAct};
pub use guest_act::{GuestAct, MarksSummary, Routine};
pub use header::{FLAG_PCM, FLAG_TSC, HEADER_BYTES, Header, MAGIC, VERSION_MAJOR, VERSION_MINOR};
pub use kind::{Kind, Source};
pub use payload::pcm_hash;
pub use reader::{Item, ReadError, Reader, Record};
pub use registers::{fields as register_fields, name as register_name};
pub use slot::SLOT_BYTES;
pub use start::{CardStart, memory_payload, regions};
pub use trace_option::{TraceOption, TraceOptionError};
pub use voice::VoiceStart;
pub use writer::{CreateError, SIZE_DEFAULT, SIZE_MAX, SIZE_MIN, Settings, Writer, Written};
