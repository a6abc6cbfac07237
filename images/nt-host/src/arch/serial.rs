//! COM1: the line to the harness. Sending polls and works at any IRQL; receiving is by interrupt.
//!
//! Once rings are lent to the harness, bytes pass through them, and the line says only that there are some. On a reliable line, packets
//! pass instead of frames.
#![allow(unsafe_code, reason = "an I/O port that this module owns")]

use alloc::collections::VecDeque;

use guest_protocol::{Bulk, DOORBELL};
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::{FifoTriggerLevel, IER};
use uart_16550::{Config, Uart16550};
use x86_64::instructions::port::PortReadOnly;

use super::reliable::Reliable;
use super::rings::{self, RingReader, RingWriter};
use super::uninterrupted::Uninterrupted;
use super::{apic, clock, cpu, trap};

const COM1: u16 = 0x3f8;
/// I/O APIC pin of ISA interrupt 4.
const COM1_PIN: u32 = 4;
/// How long the transmitter may stay full before the guest stops sending: the harness does not read.
const SEND_TIMEOUT_NS: u64 = 20_000_000_000;
/// How often [`drain`] looks, some seconds' worth; polls and not time, because the clock may not run yet.
const DRAIN_POLLS: u32 = 5_000_000;
/// The line status register (16550 data sheet, LSR), counted from the port.
const LINE_STATUS: u16 = 5;
/// LSR bit 6: holding and shift register are empty.
const TRANSMITTER_EMPTY: u8 = 1 << 6;
/// Polls between two looks at the clock.
const POLLS_PER_LOOK: u32 = 10_000;
/// Most bytes kept for a slow reader; the harness sends one small request at a time.
const RECEIVED_MAX: usize = 1 << 20;

struct Line {
    uart: Option<Uart16550<PioBackend>>,
    received: VecDeque<u8>,
    rings: Option<(RingWriter, RingReader)>,
    reliable: Option<Reliable>,
}

static LINE: Uninterrupted<Line> =
    Uninterrupted::new(Line { uart: None, received: VecDeque::new(), rings: None, reliable: None });

/// Sets the port up for sending.
pub fn init() {
    // SAFETY: the standard port of COM1, used by this module only.
    let uart = unsafe { Uart16550::new_port(COM1) }.ok().and_then(|mut uart| {
        // The first byte interrupts: with a higher level a short request waits for the chip's time-out.
        let fifo_trigger_level = Some(FifoTriggerLevel::One);
        let config = Config { interrupts: IER::empty(), fifo_trigger_level, ..Config::default() };
        uart.init(config).ok().map(|()| uart)
    });
    LINE.with(|line| line.uart = uart);
}

/// Allocates rings. The harness must have been told of the range before [`use_rings`]; `None` without memory.
pub fn lend_rings() -> Option<Bulk> {
    rings::allocate()
}

/// Lets bytes pass through the rings in a range from now on.
pub fn use_rings(range: Bulk) {
    LINE.with(|line| line.rings = rings::open(range));
}

/// What runs when bytes have been received: at the IRQL of the serial line's interrupt.
static ON_RECEIVED: Uninterrupted<Option<fn()>> = Uninterrupted::new(None);

/// Lets received bytes interrupt; each time that some have arrived, `on_received` runs.
pub fn enable_receive(on_received: fn()) {
    ON_RECEIVED.with(|slot| *slot = Some(on_received));
    trap::set_handler(trap::SERIAL_VECTOR, |_| receive());
    apic::route(COM1_PIN, trap::SERIAL_VECTOR, apic::Trigger::Edge);
    LINE.with(|line| {
        if let Some(uart) = &mut line.uart {
            uart.enable_interrupts(IER::DATA_READY);
        }
    });
    receive();
}

fn receive() {
    let any = LINE.with(|line| {
        let Some(uart) = &mut line.uart else { return false };
        let before = line.received.len();
        if let Some(reliable) = &mut line.reliable {
            let taken = reliable.exchange(uart);
            line.received.extend(taken.frames);
            return taken.connected || line.received.len() != before;
        }
        while let Ok(byte) = uart.try_receive_byte() {
            if line.received.len() < RECEIVED_MAX {
                line.received.push_back(byte);
            }
        }
        if let Some((_, ring)) = &mut line.rings {
            ring.take(RECEIVED_MAX.saturating_sub(line.received.len()), |bytes| line.received.extend(bytes));
        }
        line.received.len() != before
    });
    if any && let Some(on_received) = ON_RECEIVED.with(|slot| *slot) {
        on_received();
    }
}

/// Takes received bytes, as many as there are and fit.
pub fn read(buffer: &mut [u8]) -> usize {
    LINE.with(|line| {
        let n = buffer.len().min(line.received.len());
        for (slot, byte) in buffer.iter_mut().zip(line.received.drain(..n)) {
            *slot = byte;
        }
        n
    })
}

/// Returns whether bytes are waiting, or a harness that has connected.
#[must_use]
pub fn readable() -> bool {
    LINE.with(|line| !line.received.is_empty() || line.reliable.as_ref().is_some_and(Reliable::has_connected))
}

/// Makes the line a reliable one, on which messages pass as packets.
pub fn use_reliable_line() {
    LINE.with(|line| line.reliable = Some(Reliable::new()));
}

/// Returns whether the line is a reliable one.
#[must_use]
pub fn is_reliable() -> bool {
    LINE.with(|line| line.reliable.is_some())
}

/// Returns whether a harness has connected on a reliable line since the last call, and writes what is due there: call it a few times a
/// second.
pub fn take_connected() -> bool {
    receive();
    LINE.with(|line| line.reliable.as_mut().is_some_and(Reliable::take_connected))
}

/// Sends a message on a reliable line; works at any IRQL. What the harness does not take for a long time ends the guest, as of [`write`].
pub fn write_message(message: &[u8]) {
    let mut taken = false;
    poll(|| {
        LINE.with(|line| {
            let (Some(uart), Some(reliable)) = (&mut line.uart, &mut line.reliable) else { return true };
            taken = taken || reliable.send(message);
            let frames = reliable.exchange(uart).frames;
            line.received.extend(frames);
            taken && !reliable.is_writing()
        })
    });
}

/// Waits until the harness has acknowledged every message on a reliable line. Not for ever: the harness may have gone.
fn acknowledged() {
    for _ in 0..DRAIN_POLLS {
        let idle = LINE.with(|line| {
            let (Some(uart), Some(reliable)) = (&mut line.uart, &mut line.reliable) else { return true };
            reliable.exchange(uart);
            reliable.is_idle()
        });
        if idle {
            return;
        }
    }
}

/// Waits until what was sent has left the chip: QEMU drops the rest when the machine ends. Not for ever: the guest
/// may leave because the harness does not read.
pub fn drain() {
    acknowledged();
    let mut line_status = PortReadOnly::<u8>::new(COM1 + LINE_STATUS);
    for _ in 0..DRAIN_POLLS {
        // SAFETY: reading the line status of COM1 clears error bits that are not used, and nothing else.
        if unsafe { line_status.read() } & TRANSMITTER_EMPTY != 0 {
            return;
        }
    }
}

/// Sends bytes; works at any IRQL. Leaves the machine if the harness does not read them for a long time.
pub fn write(bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut taken = None;
        poll(|| {
            taken = LINE.with(|line| line.rings.as_mut().map(|(ring, _)| ring.put(rest)));
            taken != Some(0)
        });
        let Some(taken) = taken else {
            rest.iter().for_each(|&byte| send(byte));
            return;
        };
        rest = &rest[taken..];
        send(DOORBELL);
    }
}

/// Sends a byte on the line itself.
fn send(byte: u8) {
    poll(|| LINE.with(|line| line.uart.as_mut().is_none_or(|uart| uart.try_send_byte(byte).is_ok())));
}

/// Polls until `is_done`. Leaves the machine if that takes long.
fn poll(mut is_done: impl FnMut() -> bool) {
    let mut deadline = None;
    let mut polls = 0;
    while !is_done() {
        polls += 1;
        if polls % POLLS_PER_LOOK == 0 {
            let now = clock::ran();
            if now > *deadline.get_or_insert(now + SEND_TIMEOUT_NS) {
                cpu::exit(guest_protocol::exit::GUEST_FAILED);
            }
        }
    }
}
