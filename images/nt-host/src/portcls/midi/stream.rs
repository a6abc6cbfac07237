//! The port's side of an `IMiniportMidiStream`: what waits to be written, what has been read, and the sink in the
//! stream's service group.

#![allow(unsafe_code, reason = "streams are called by slot number; DPC and timer are addresses shared with the kernel")]

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};

use super::parser::Parser;
use crate::contract::midi;
use crate::contract::violation::{Violation, violation};
use crate::harness::stopwatch::{self, Mark};
use crate::nt::irql::DISPATCH_LEVEL;
use crate::nt::status::{STATUS_IO_DEVICE_ERROR, STATUS_SUCCESS, success};
use crate::nt::{KDPC, KTIMER, NTSTATUS, PVOID};
use crate::portcls::com::abi::KernelEvent;
use crate::portcls::com::guids::{GUID, IID_ISERVICESINK};
use crate::portcls::com::object::{Class, Com, Object, Slot, object, unknown};
use crate::portcls::com::slots;
use crate::portcls::kernel::irql::Raised;
use crate::portcls::kernel::lock::Lock;
use crate::portcls::kernel::{self, irql};

/// When a busy device is tried again, relative: 1 ms, the port's timer resolution (the latency-clock page).
const RETRY: i64 = -10_000;

/// How long `Write` may answer success and no byte, 100 ns units: at 31,250 baud a device that works sends 9,000 bytes in that
/// time, more than such a device's queue holds.
const STALL_LIMIT: i64 = 30_000_000;

/// Buffers of `Read` are of these sizes, in turn: one byte, an odd number, some messages.
const READ_SIZES: [usize; 5] = [64, 1, 3, 16, 250];

/// Bytes behind a buffer of `Read` that the driver may not touch, and what they are filled with.
const GUARD_BYTES: usize = 16;
const GUARD: u8 = 0xA9;

/// Most bytes that one service may bring: more than ten minutes of a MIDI cable.
const SERVED_MAX: usize = 1 << 21;

/// Most pieces that wait for the client. More are dropped and counted, as a client that reads too slowly loses them.
const WAITING_MAX: usize = 1 << 16;

/// What a count is before the call: a driver that does not write it is noticed.
const UNWRITTEN: u32 = u32::MAX;

/// `NotificationTimer`.
const NOTIFICATION_TIMER: i32 = 0;

/// Takes an event back whose bytes are written, or are not wanted any more.
pub(crate) type GiveBack = Box<dyn Fn(*mut KernelEvent) + Send + Sync>;

/// An event on its way to the device.
struct Outgoing {
    /// The event, by address: the head of a chain.
    event: usize,
    /// Its bytes, a message or piece each, that are not written.
    pieces: VecDeque<Vec<u8>>,
    /// How many bytes of the first are.
    written: usize,
}

/// A message, or a piece of one, that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// When it was read.
    pub(crate) time: i64,
    /// The message goes on in the next piece.
    pub(crate) incomplete: bool,
    /// Its bytes.
    pub(crate) data: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    parser: Parser,
    pieces: Vec<Incoming>,
    dropped: u64,
}

/// The port's side of a stream of bytes. It is the `IServiceSink` that the stream is served by.
pub(crate) struct MidiStream {
    /// The stream, by address; the pin holds it, and retires this object before it gives it up.
    stream: usize,
    captures: bool,
    give_back: GiveBack,
    outgoing: Lock<VecDeque<Outgoing>>,
    /// One caller at a time writes; what comes meanwhile it writes too.
    writing: AtomicBool,
    more: AtomicBool,
    /// Since when the device takes nothing; 0: it does.
    stalled: AtomicI64,
    refused: AtomicI32,
    /// The stream is in RUN.
    flows: AtomicBool,
    /// Service was requested while the stream did not flow.
    missed: AtomicBool,
    inbox: Lock<Inbox>,
    dpc: UnsafeCell<KDPC>,
    timer: UnsafeCell<KTIMER>,
}

// SAFETY: DPC and timer are the kernel's to synchronise; they are only passed to its functions.
unsafe impl Send for MidiStream {}
// SAFETY: as above.
unsafe impl Sync for MidiStream {}

impl MidiStream {
    /// Makes the port's side of a stream in STOP.
    pub(crate) fn create(stream: PVOID, captures: bool, give_back: GiveBack) -> Com<Self> {
        let this = Com::new(Self {
            stream: stream as usize,
            captures,
            give_back,
            outgoing: Lock::new(VecDeque::new()),
            writing: AtomicBool::new(false),
            more: AtomicBool::new(false),
            stalled: AtomicI64::new(0),
            refused: AtomicI32::new(STATUS_SUCCESS),
            flows: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            inbox: Lock::new(Inbox::default()),
            // SAFETY: all zero is a valid value of plain C structures; the kernel initialises them below.
            dpc: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            // SAFETY: as above.
            timer: UnsafeCell::new(unsafe { core::mem::zeroed() }),
        });
        // SAFETY: the structures are in the object, which stays where it is and outlives its timer and its DPC.
        unsafe {
            kernel::KeInitializeDpc(this.dpc.get(), Some(try_again), this.as_raw());
            kernel::KeInitializeTimerEx(this.timer.get(), NOTIFICATION_TIMER);
        }
        this
    }

    /// Returns whether the stream brings data.
    pub(crate) fn captures(&self) -> bool {
        self.captures
    }

    /// Lets data flow, or does not any more.
    pub(crate) fn set_flows(&self, flows: bool) {
        self.flows.store(flows, Ordering::Release);
        if !flows {
            self.stalled.store(0, Ordering::Relaxed);
            return;
        }
        if !self.captures || self.missed.swap(false, Ordering::AcqRel) {
            self.serve();
        }
    }

    /// Takes an event whose messages are to be written; it is given back when they are.
    pub(crate) fn put(&self, event: *mut KernelEvent, pieces: Vec<Vec<u8>>) {
        let entry = Outgoing { event: event as usize, pieces: pieces.into(), written: 0 };
        self.outgoing.with(|outgoing| outgoing.push_back(entry));
        self.write_all();
    }

    /// Gives back what has not been written, and forgets what has come in of a message.
    pub(crate) fn discard(&self) {
        self.cancel_retry();
        while let Some(entry) = self.outgoing.with(VecDeque::pop_front) {
            (self.give_back)(entry.event as *mut KernelEvent);
        }
        self.missed.store(false, Ordering::Relaxed);
        self.inbox.with(|inbox| inbox.parser.reset());
    }

    /// Returns the first failure that `Write` returned.
    pub(crate) fn refused(&self) -> Option<NTSTATUS> {
        let status = self.refused.load(Ordering::Relaxed);
        (!success(status)).then_some(status)
    }

    /// Returns what has come in since the last time.
    pub(crate) fn take(&self) -> Vec<Incoming> {
        self.inbox.with(|inbox| core::mem::take(&mut inbox.pieces))
    }

    /// Returns how much of what came in found no room with the client, or was no MIDI: data that no status byte
    /// precedes.
    pub(crate) fn dropped(&self) -> u64 {
        self.inbox.with(|inbox| inbox.dropped + inbox.parser.strays())
    }

    /// Does what a served stream needs: writes on, or reads.
    pub(crate) fn serve(&self) {
        if !self.flows.load(Ordering::Acquire) {
            self.missed.store(true, Ordering::Release);
        } else if self.captures {
            self.read_all();
        } else {
            self.write_all();
        }
    }

    /// Writes what waits, until nothing does or the device takes no more.
    fn write_all(&self) {
        self.more.store(true, Ordering::SeqCst);
        while !self.writing.swap(true, Ordering::SeqCst) {
            self.more.store(false, Ordering::SeqCst);
            while self.flows.load(Ordering::Acquire) && self.write_next() {
                // Each turn has written a piece.
                core::hint::spin_loop();
            }
            self.writing.store(false, Ordering::SeqCst);
            // Another caller that found this one writing has left the rest to it.
            if !self.more.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Writes what is next. Returns whether more can be written now.
    fn write_next(&self) -> bool {
        let next = self.outgoing.with(|outgoing| {
            let entry = outgoing.front()?;
            Some(entry.pieces.front().map(|piece| piece[entry.written..].to_vec()))
        });
        let Some(piece) = next else { return false };
        let Some(piece) = piece else {
            self.finish_event();
            return true;
        };
        let (status, written) = self.write(&piece);
        if !success(status) {
            let _ = self.refused.compare_exchange(STATUS_SUCCESS, status, Ordering::Relaxed, Ordering::Relaxed);
            self.finish_event();
            return true;
        }
        if written == 0 && !piece.is_empty() {
            self.note_stalled();
            self.retry_soon();
            return false;
        }
        self.stalled.store(0, Ordering::Relaxed);
        self.outgoing.with(|outgoing| {
            let Some(entry) = outgoing.front_mut() else { return };
            entry.written += written;
            if entry.pieces.front().is_some_and(|piece| entry.written >= piece.len()) {
                entry.pieces.pop_front();
                entry.written = 0;
            }
        });
        true
    }

    /// Takes the first event out, and gives it back.
    fn finish_event(&self) {
        if let Some(entry) = self.outgoing.with(VecDeque::pop_front) {
            (self.give_back)(entry.event as *mut KernelEvent);
        }
    }

    /// Calls `Write`, and checks its count (rules 306 and 307).
    fn write(&self, piece: &[u8]) -> (NTSTATUS, usize) {
        let given = piece.len() as u32;
        let mut written = UNWRITTEN;
        let raised = Raised::to_dispatch();
        // SAFETY: the pin holds the stream; the bytes and the count live for the call.
        let status =
            unsafe { slots::midi_stream::write(self.stream as PVOID, piece.as_ptr(), given, &raw mut written) };
        drop(raised);
        if !success(status) {
            return (status, 0);
        }
        let broken = if written == UNWRITTEN {
            Some((midi::WRITE_COUNT, format!("it succeeds on {given} bytes and does not write BytesWritten")))
        } else if written > given {
            Some((midi::WRITE_COUNT, format!("it got {given} bytes and puts out that it took {written}")))
        } else if written < given && !written.is_multiple_of(4) {
            Some((midi::WRITE_PART, format!("it got {given} bytes and took {written}")))
        } else {
            None
        };
        if let Some((rule, what)) = broken {
            violation(
                "IMiniportMidiStream::Write",
                Violation::new(
                    rule,
                    what,
                    "write to BytesWritten how many bytes the device took: all, fewer but a multiple of four, or 0 while it is busy",
                ),
            );
        } else {
            midi::WRITE_COUNT.held();
            midi::WRITE_PART.held();
            if written > 0 {
                midi::WRITE_PROGRESS.held();
            }
        }
        (status, written.min(given) as usize)
    }

    /// Notes that the device took nothing (rule 308).
    fn note_stalled(&self) {
        let now = kernel::ran().max(1);
        let since = match self.stalled.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now,
            Err(since) => since,
        };
        if now - since > STALL_LIMIT {
            violation(
                "IMiniportMidiStream::Write",
                Violation::new(
                    midi::WRITE_PROGRESS,
                    format!("it has answered success and 0 bytes for {} s", (now - since) / 10_000_000),
                    "tell a busy device from a broken one: fail with STATUS_IO_DEVICE_ERROR when the device takes nothing any more",
                ),
            );
            self.stalled.store(0, Ordering::Relaxed);
        }
    }

    /// Sets the timer that tries a busy device again.
    fn retry_soon(&self) {
        // SAFETY: initialised when the object was made; `retire` takes both back before the object goes.
        unsafe { kernel::KeSetTimerEx(self.timer.get(), RETRY, 0, self.dpc.get()) };
    }

    fn cancel_retry(&self) {
        // SAFETY: as above.
        unsafe {
            kernel::KeCancelTimer(self.timer.get());
            kernel::KeRemoveQueueDpc(self.dpc.get());
        }
    }

    /// Reads until the device has no more (rules 309 and 310).
    fn read_all(&self) {
        let mut served = 0;
        for size in READ_SIZES.into_iter().cycle() {
            if !self.flows.load(Ordering::Acquire) {
                return;
            }
            let bytes = self.read(size);
            if bytes.is_empty() {
                return;
            }
            served += bytes.len();
            if served > SERVED_MAX {
                violation(
                    "IMiniportMidiStream::Read",
                    Violation::new(
                        midi::READ_END,
                        format!("one service has brought {served} bytes, and it puts out more with every call"),
                        "put out 0 bytes when the device has no more; take each byte out of the queue that is copied",
                    ),
                );
                return;
            }
            self.take_in(&bytes);
        }
    }

    fn read(&self, size: usize) -> Vec<u8> {
        let mut buffer = vec![GUARD; size + GUARD_BYTES];
        let mut count = UNWRITTEN;
        let raised = Raised::to_dispatch();
        // SAFETY: the pin holds the stream; the buffer is longer than it says.
        let status =
            unsafe { slots::midi_stream::read(self.stream as PVOID, buffer.as_mut_ptr(), size as u32, &raw mut count) };
        drop(raised);
        if status == STATUS_IO_DEVICE_ERROR {
            return Vec::new();
        }
        let remedy =
            "copy at most BufferLength bytes, write to BytesRead how many, and succeed with 0 when there are none";
        if !success(status) {
            violation(
                "IMiniportMidiStream::Read",
                Violation::new(
                    midi::READ_END,
                    format!("a capture stream in RUN answers Read with {status:#010x}"),
                    remedy,
                ),
            );
            return Vec::new();
        }
        let behind = buffer[size..].iter().any(|byte| *byte != GUARD);
        let what = if count == UNWRITTEN {
            Some(format!("it succeeds with a buffer of {size} bytes and does not write BytesRead"))
        } else if count as usize > size {
            Some(format!("the buffer has {size} bytes, and it puts out that it read {count}"))
        } else if behind {
            Some(format!("it writes behind the buffer of {size} bytes"))
        } else {
            None
        };
        if let Some(what) = what {
            violation("IMiniportMidiStream::Read", Violation::new(midi::READ_COUNT, what, remedy));
        } else {
            midi::READ_COUNT.held();
            if count == 0 {
                midi::READ_END.held();
            }
        }
        buffer.truncate(if count == UNWRITTEN { 0 } else { size.min(count as usize) });
        buffer
    }

    /// Cuts what came in into messages, for the client.
    fn take_in(&self, bytes: &[u8]) {
        let time = kernel::interrupt_time().cast_signed();
        let arrived = self.inbox.with(|inbox| {
            let Inbox { parser, pieces, dropped } = inbox;
            let before = pieces.len();
            for piece in bytes.iter().flat_map(|byte| parser.push(*byte)).flatten() {
                if pieces.len() < WAITING_MAX {
                    pieces.push(Incoming { time, incomplete: piece.incomplete, data: piece.data });
                } else {
                    *dropped += 1;
                }
            }
            pieces.len() > before
        });
        if arrived {
            stopwatch::mark(Mark::Arrived, kernel::nanoseconds);
            kernel::wake();
        }
    }

    /// Ends all use of the stream: when this returns, no service and no timer calls it. At `PASSIVE_LEVEL`, when the sink
    /// has left its groups.
    pub(crate) fn retire(&self) {
        self.set_flows(false);
        self.discard();
        kernel::flush_dpcs();
        // One that ran until then may have set the timer once more.
        self.cancel_retry();
    }
}

/// Tries a busy device again: the timer's DPC.
unsafe extern "win64" fn try_again(_dpc: *mut KDPC, context: PVOID, _first: PVOID, _second: PVOID) {
    // SAFETY: the context is the object that the DPC is in, which retires before it goes.
    unsafe { object(context.cast::<Object<MidiStream>>()) }.write_all();
}

impl Class for MidiStream {
    const NAME: &'static str = "IServiceSink (MIDI stream)";
    const INTERFACES: &'static [GUID] = &[IID_ISERVICESINK];

    fn vtable() -> &'static [Slot] {
        const UNKNOWN: [Slot; 3] = unknown::<MidiStream>();
        static VTABLE: [Slot; 4] = [UNKNOWN[0], UNKNOWN[1], UNKNOWN[2], Slot(request_service as *const ())];
        &VTABLE
    }
}

unsafe extern "win64" fn request_service(this: *mut Object<MidiStream>) {
    stopwatch::mark(Mark::Served, kernel::nanoseconds);
    irql::at_most(DISPATCH_LEVEL, "IServiceSink", "RequestService");
    // SAFETY: the caller holds a reference.
    unsafe { object(this) }.serve();
}
