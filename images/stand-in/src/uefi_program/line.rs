//! COM1, past the firmware: text while it runs, and frames after it has gone.
#![allow(unsafe_code, reason = "an I/O port that this module owns")]

use alloc::format;

use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};

/// The port of COM1.
const COM1: u16 = 0x3f8;

fn uart() -> Option<Uart16550<PioBackend>> {
    // SAFETY: the standard port of COM1; the firmware's console writes to it too, which only mixes text with text.
    unsafe { Uart16550::new_port(COM1) }.ok()
}

/// Sets the port up.
pub(super) fn init() {
    if let Some(mut uart) = uart() {
        // A machine without the port says nothing.
        let _ = uart.init(Config::default());
    }
}

/// Sends bytes.
pub(super) fn send(bytes: &[u8]) {
    if let Some(mut uart) = uart() {
        uart.send_bytes_exact(bytes);
    }
}

/// Sends a message as `setup.cmd` does, on a line of its own.
pub(super) fn say(words: &str) {
    send(format!("\r\ndmus-setup: {words}\r\n").as_bytes());
}

/// Receives what has come in; returns how many bytes.
pub(super) fn receive(buffer: &mut [u8]) -> usize {
    uart().map_or(0, |mut uart| uart.receive_bytes(buffer))
}
