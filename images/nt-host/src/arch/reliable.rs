//! A reliable line on COM1, for a guest that shares the port with the firmware and the loader that started it.
//!
//! What arrives is handed on as the frames of a port of its own, so that the agent reads one kind of line.
#![allow(unsafe_code, reason = "the processor's counter is read")]

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use guest_protocol::line::{Arrived, LineError, ReliableLine, Side};
use guest_protocol::{ToGuest, decode_message, encode};
use uart_16550::Uart16550;
use uart_16550::backend::PioBackend;

use super::clock;

/// Nanoseconds in a millisecond.
const MILLISECOND_NS: u64 = 1_000_000;
/// Bytes that are taken from the chip at a time: more than come in while packets are written.
const RECEIVED_MAX: usize = 4096;

/// The guest's end.
#[derive(Debug)]
pub(super) struct Reliable {
    line: ReliableLine,
    /// Bytes of packets that the chip has not taken.
    unsent: VecDeque<u8>,
    connected: bool,
}

/// What an exchange has brought.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Requests, as frames.
    pub(super) frames: Vec<u8>,
    /// Whether a harness has connected.
    pub(super) connected: bool,
}

impl Reliable {
    /// Begins a line with an epoch of its own.
    pub(super) fn new() -> Self {
        // SAFETY: reads a counter that each processor of 64 bits has, and changes nothing.
        let epoch = unsafe { core::arch::x86_64::_rdtsc() } as u32;
        Self { line: ReliableLine::new(Side::Guest, epoch), unsent: VecDeque::new(), connected: false }
    }

    /// Takes what has come in, and writes what is due, as much as the chip takes.
    pub(super) fn exchange(&mut self, uart: &mut Uart16550<PioBackend>) -> Taken {
        let now_ms = clock::ran() / MILLISECOND_NS;
        let mut bytes = Vec::new();
        while bytes.len() < RECEIVED_MAX
            && let Ok(byte) = uart.try_receive_byte()
        {
            bytes.push(byte);
        }
        let mut taken = Taken::default();
        for arrived in self.line.receive(&bytes, now_ms) {
            match arrived {
                Arrived::Connected { .. } => (self.connected, taken.connected) = (true, true),
                // Of another version of the protocol: the agent says so of a frame that is none.
                Arrived::Message(message) => {
                    match decode_message::<ToGuest>(&message).map(|message| encode(&message)) {
                        Some(Ok(frame)) => taken.frames.extend(frame),
                        _ => taken.frames.extend([0, 1, 0]),
                    }
                }
                Arrived::Text(_) => {}
            }
        }
        if self.unsent.is_empty() {
            self.unsent.extend(self.line.transmit(now_ms));
        }
        while let Some(&byte) = self.unsent.front()
            && uart.try_send_byte(byte).is_ok()
        {
            self.unsent.pop_front();
        }
        taken
    }

    /// Takes a message to send. Returns whether there was room for it; one that is too long for any line is dropped.
    pub(super) fn send(&mut self, message: &[u8]) -> bool {
        !matches!(self.line.send(message), Err(LineError::Full(_)))
    }

    /// Returns whether the chip has not taken all that is due.
    pub(super) fn is_writing(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Returns whether every message was acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        !self.line.is_connected() || (self.unsent.is_empty() && self.line.is_idle())
    }

    /// Returns whether a harness has connected since the last [`Reliable::take_connected`].
    pub(super) const fn has_connected(&self) -> bool {
        self.connected
    }

    /// Returns whether a harness has connected since the last call.
    pub(super) const fn take_connected(&mut self) -> bool {
        core::mem::replace(&mut self.connected, false)
    }
}
