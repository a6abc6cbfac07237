//! The example: a mailbox card, as a driver and a harness see it.

#[path = "../../examples/mailbox.rs"]
#[allow(dead_code, reason = "`main` is the example's")]
mod example;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use crate::common::client::{DMA_MAP, EVENTFD, INTX, RESET, TRIGGER};
use crate::common::memory::{eventfd, file, read, signals};
use crate::common::served::Served;
use crate::wire;
use example::{Mailbox, description};
use serde_json::{Value, json};

/// Where the driver's mailbox is, and how long the memory is.
const MEMORY: u64 = 0x10_0000;
const MEMORY_BYTES: u64 = 0x2000;

/// A driver of the example, with its memory.
struct Driver {
    card: Served,
    memory: File,
}

impl Driver {
    fn new() -> Self {
        // Memory space and bus mastering.
        let mut card = Served::new(description(), Mailbox::new, 0x6);
        let memory = file(MEMORY_BYTES);
        card.client.ask_with(DMA_MAP, &wire!(32u32, 3u32, 0u64, MEMORY, MEMORY_BYTES), &[memory.as_fd()]).unwrap();
        Self { card, memory }
    }

    fn read(&mut self, offset: u64) -> u32 {
        u32::from_le_bytes(self.card.client.read(0, offset, 4).unwrap().try_into().unwrap())
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.card.client.write(0, offset, &value.to_le_bytes()).unwrap();
    }

    /// Rings the doorbell for a mailbox, and returns the status.
    fn command(&mut self, command: u32, address: u64, length: u32) -> u32 {
        self.card.client.write(0, 0x10, &address.to_le_bytes()).unwrap();
        self.write(0x18, length);
        self.write(0x0c, command);
        self.read(0x08)
    }

    fn registers(&mut self) -> Vec<String> {
        let answer = self.card.control.ask(&json!({"cmd": "registers"}));
        let text = |register: &Value| register["decoded"].as_str().unwrap().to_owned();
        answer["registers"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(text).collect()
    }
}

#[test]
fn moves_bytes_to_and_from_guest_memory_and_interrupts() {
    let mut driver = Driver::new();
    assert_eq!(driver.read(0), 0x4d42_4f58);
    let line = eventfd();
    driver.card.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&line]).unwrap();
    driver.write(0x04, 3);
    driver.memory.write_all_at(&[0x90, 60, 100], 0x40).unwrap();
    assert_eq!(driver.command(1, MEMORY + 0x40, 3), 1, "DONE");
    assert_eq!((driver.read(0x1c), signals(&line)), (3, 1));
    let taken = driver.card.control.ask(&json!({"cmd": "bytes"}));
    assert_eq!(taken["bytes"][0]["data"], json!("903c64"), "{taken}");

    driver.write(0x08, 1);
    assert_eq!(driver.read(0x08), 0, "a one clears DONE");
    assert_eq!(driver.card.control.ask(&json!({"cmd": "midi-in", "data": "803c40fe"})), json!({"ok": true}));
    assert_eq!(driver.read(0x08), 4, "INPUT");
    assert_eq!(driver.command(2, MEMORY + 0x80, 3), 5, "DONE, and one byte is left");
    assert_eq!(read(&driver.memory, 0x80, 4), [0x80, 60, 0x40, 0]);
    assert_eq!(driver.command(2, MEMORY, 100) & 4, 0, "the last byte is taken");
    assert_eq!((driver.read(0x1c), read(&driver.memory, 0, 1)), (1, vec![0xfe]));
    assert_eq!(driver.card.control.driver_errors(), [""; 0]);
}

#[test]
fn what_the_table_forbids_changes_nothing_and_is_the_drivers_error() {
    let mut driver = Driver::new();
    driver.write(0x00, 0);
    assert_eq!(driver.read(0x0c), 0);
    driver.write(0x04, 0xff);
    assert_eq!((driver.read(0x00), driver.read(0x04)), (0x4d42_4f58, 3));
    // Too wide, too narrow, between two registers.
    assert_eq!(driver.card.client.read(0, 0, 8).unwrap(), [0xff; 8]);
    assert_eq!(driver.card.client.read(0, 0, 1).unwrap(), [0xff]);
    assert_eq!(driver.card.client.read(0, 2, 4).unwrap(), [0xff; 4]);
    let found = ["read-only-register", "write-only-register", "reserved-bits", "access", "access", "access"];
    assert_eq!(driver.card.control.driver_errors(), found);
}

#[test]
fn refuses_commands_that_cannot_be_carried_out_and_says_why() {
    let mut driver = Driver::new();
    assert_eq!(driver.command(1, MEMORY, 1), 2, "it is not enabled");
    driver.write(0x04, 1);
    driver.write(0x08, 2);
    assert_eq!(driver.command(1, MEMORY, 4097), 2, "too long");
    assert_eq!(driver.command(3, MEMORY, 1), 2, "no such command");
    assert_eq!(driver.command(1, 0x1000, 1), 2, "no memory");
    let errors = driver.card.control.driver_errors();
    assert_eq!(errors, ["refused-command", "refused-command", "unknown-command", "dma-unmapped"]);
}

#[test]
fn shows_its_registers_decoded_and_a_look_changes_none() {
    let mut driver = Driver::new();
    driver.write(0x04, 1);
    driver.command(1, 0x1000, 1);
    let expected = [
        "ID = 0x4d424f58",
        "CONTROL = 0x00000001 (ENABLE)",
        "STATUS = 0x00000002 (FAILED)",
        "DOORBELL = 0x00000001 (COMMAND = SEND)",
        "ADDRESS = 0x0000000000001000",
        "LENGTH = 0x00000001 (BYTES = 0x1)",
        "MOVED = 0x00000000",
    ];
    assert_eq!(driver.registers(), expected);
    assert_eq!(driver.registers(), expected);
    driver.card.client.ask(RESET, &[]).unwrap();
    assert_eq!(driver.registers()[1], "CONTROL = 0x00000000");
}
