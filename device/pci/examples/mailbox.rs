//! A mailbox card: MIDI bytes go to and from guest memory by DMA, a mailbox at a time. `mailbox.toml` has the registers.

use std::collections::VecDeque;
use std::process::ExitCode;

use vfio_user_card::{
    Access, Bar, Card, Description, Handle, Offers, Refusal, RegisterFile, RegisterTable, RegisterValue, Reset,
};
use vfio_user_card_trace::run;

/// Commands of `DOORBELL`.
const SEND: u64 = 1;
const RECEIVE: u64 = 2;

/// The largest mailbox.
const MAILBOX_MAX: u64 = 4096;

/// Bytes of input that wait for the driver.
const INPUT_MAX: usize = 4096;

pub(crate) struct Mailbox {
    handle: Handle,
    registers: RegisterFile,
    input: VecDeque<u8>,
}

impl Mailbox {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { registers: RegisterFile::new(table(), handle.clone()), handle, input: VecDeque::new() }
    }

    /// Carries out a command. Returns how many bytes it has moved; `None` where it is refused.
    fn command(&mut self, command: u64) -> Option<u64> {
        let (address, length) = (self.registers.get("ADDRESS"), self.registers.get("LENGTH.BYTES"));
        if self.registers.get("CONTROL.ENABLE") == 0 || length > MAILBOX_MAX {
            let detail = format!(
                "command {command} for {length} bytes; the card must be enabled, and moves {MAILBOX_MAX} at most"
            );
            self.handle.driver_error("refused-command", &detail);
            return None;
        }
        match command {
            SEND => {
                let mut bytes = vec![0; length as usize];
                self.handle.read_memory(address, &mut bytes).ok()?;
                self.handle.record_bytes(&bytes);
                Some(length)
            }
            RECEIVE => {
                let count = self.input.len().min(length as usize);
                let bytes: Vec<u8> = self.input.iter().copied().take(count).collect();
                self.handle.write_memory(address, &bytes).ok()?;
                self.input.drain(..count);
                Some(count as u64)
            }
            _ => {
                self.handle
                    .driver_error("unknown-command", &format!("command {command}; there are SEND 1 and RECEIVE 2"));
                None
            }
        }
    }

    /// Shows what has happened, and asserts the line for it.
    fn update(&mut self) {
        self.registers.set("STATUS.INPUT", (!self.input.is_empty()).into());
        let happened = self.registers.get("STATUS") != 0;
        self.handle.set_line(happened && self.registers.get("CONTROL.INTERRUPTS") == 1);
    }
}

impl Card for Mailbox {
    fn read(&mut self, access: Access) -> u64 {
        self.registers.read(access)
    }

    fn write(&mut self, access: Access, value: u64) {
        let written = self.registers.write(access, value);
        if let Some(doorbell) = written.filter(|written| written.name() == "DOORBELL") {
            let moved = self.command(doorbell.field("COMMAND"));
            self.registers.set("MOVED", moved.unwrap_or(0));
            self.registers.set(if moved.is_some() { "STATUS.DONE" } else { "STATUS.FAILED" }, 1);
        }
        self.update();
    }

    fn reset(&mut self, _: Reset) {
        self.registers.reset();
        self.input.clear();
    }

    fn registers(&self) -> Vec<RegisterValue> {
        self.registers.values(0)
    }

    fn offers(&self) -> Offers {
        Offers { bytes: true, midi_in: true, ..Offers::default() }
    }

    fn midi_in(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.registers.get("CONTROL.ENABLE") == 0 || self.input.len() + bytes.len() > INPUT_MAX {
            return Err(Refusal::Failed(format!("{} bytes: the card is off, or its input is full", bytes.len())));
        }
        self.input.extend(bytes);
        self.update();
        Ok(())
    }
}

/// Reads the table, which is a part of this program.
fn table() -> RegisterTable {
    RegisterTable::parse("mailbox.toml", include_str!("mailbox.toml")).expect("the table has no mistakes")
}

pub(crate) fn description() -> Description {
    let registers = Bar::memory(4096).registers(&table());
    Description::new("mailbox", 0x4242, 0x0402).class(4, 1, 0).bar(0, registers).interrupt_pin()
}

fn main() -> ExitCode {
    run(description(), Mailbox::new)
}
