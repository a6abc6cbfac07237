//! The example: a mailbox card, as a driver and a harness see it.

#[path = "../../examples/mailbox.rs"]
#[allow(dead_code, reason = "`main` is the example's")]
mod example;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use card_trace::{Act, Detail, Item, Reader, describe};
use vfio_user_card::Tap;
use vfio_user_card_trace::Recorder;

use crate::common::client::{DMA_MAP, EVENTFD, INTX, RESET, TRIGGER, UNMASK};
use crate::common::memory::{eventfd, file, read, signal, signals, wait};
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
        Self::recorded(None)
    }

    fn recorded(tap: Option<Arc<dyn Tap>>) -> Self {
        // Memory space and bus mastering.
        let mut card = Served::recorded(description(), Mailbox::new, 0x6, tap);
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

#[test]
fn the_diagnosis_keeps_the_first_error_with_its_access_through_resets() {
    let mut driver = Driver::new();
    let none = json!({"ok": true, "count": 0, "first": null, "codes": {}});
    assert_eq!(driver.card.control.ask(&json!({"cmd": "diagnosis"})), none);
    driver.write(0x04, 1);
    driver.command(1, 0x1000, 3);
    driver.command(1, 0x2000, 3);
    driver.write(0x00, 7);
    driver.card.client.ask(RESET, &[]).unwrap();
    let found = driver.card.control.ask(&json!({"cmd": "diagnosis", "clear": true}));
    let first = &found["first"];
    assert_eq!(first["code"], "dma-unmapped");
    assert_eq!(first["detail"], "DMA of 3 bytes at 0x1000, which is not memory from 0x1000 on");
    assert_eq!(first["during"], "write of DOORBELL = 0x00000001 (COMMAND = SEND)");
    assert!(first["time_ns"].as_u64().is_some() && first["resets"] == json!(0), "{found}");
    assert_eq!((&found["count"], &found["codes"]), (&json!(3), &json!({"dma-unmapped": 2, "read-only-register": 1})));
    assert_eq!(driver.card.control.ask(&json!({"cmd": "diagnosis"})), none);
    let malformed = driver.card.control.ask(&json!({"cmd": "diagnosis", "clear": "yes"}));
    assert_eq!(malformed["code"], "malformed", "{malformed}");
}

#[test]
fn an_interrupt_that_is_handled_and_not_cleared_is_the_drivers_error() {
    let mut driver = Driver::new();
    let (line, unmask) = (eventfd(), eventfd());
    driver.card.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&line]).unwrap();
    driver.card.client.set_irqs(INTX, EVENTFD | UNMASK, 0, 1, &[&unmask]).unwrap();
    driver.write(0x04, 3);
    driver.command(1, MEMORY, 1);
    let mut interrupts = 0;
    while driver.card.control.driver_errors().is_empty() {
        // QEMU's part: the line is unmasked after each interrupt, and asserted still.
        for _ in 0..500 {
            interrupts += wait(&line);
            signal(&unmask);
        }
    }
    assert_eq!(driver.card.control.driver_errors(), ["interrupt-storm"]);
    assert!(interrupts >= 9_999, "{interrupts} interrupts");
}

#[test]
fn a_recorder_hears_every_act_in_words_and_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device.trace");
    let recorder = Recorder::open(&format!("{},size=64K", path.display()), "mailbox").unwrap();
    let mut driver = Driver::recorded(Some(Arc::new(recorder)));
    assert_eq!(driver.card.control.ask(&json!({"cmd": "mark", "text": "it begins"})), json!({"ok": true}));
    driver.write(0x04, 3);
    driver.memory.write_all_at(&[0x90, 60, 100], 0x40).unwrap();
    driver.command(1, MEMORY + 0x40, 3);
    driver.write(0x08, 1);
    driver.card.control.ask(&json!({"cmd": "midi-in", "data": "fe"}));
    driver.command(2, 0x1000, 3);
    driver.card.client.read(0, 2, 4).unwrap();
    driver.card.client.ask(RESET, &[]).unwrap();

    let (header, items) = Reader::open(&path).unwrap().read_all().unwrap();
    assert!(header.program.starts_with("mailbox, vfio-user-card "), "{}", header.program);
    let records = items.iter().filter_map(|item| match item {
        // The clock is recorded when some time has passed, which depends on the host.
        Item::Record(record) if !matches!(record.act(), Act::Clock { .. }) => {
            Some(describe(&record.act(), Detail::Names))
        }
        Item::Record(_) | Item::Gap { .. } => None,
    });
    let lines: Vec<String> = records.skip_while(|line| line != "mark: it begins").skip(1).collect();
    let expected = [
        "write CONTROL = 0x00000003 (ENABLE, INTERRUPTS)",
        "write ADDRESS = 0x0000000000100040",
        "write LENGTH = 0x00000003 (BYTES = 0x3)",
        "write DOORBELL = 0x00000001 (COMMAND = SEND)",
        "DMA read  3 bytes at 0x100040: 90 3c 64",
        "MIDI sent: 90 3c 64",
        "interrupt: line asserted",
        "read  STATUS = 0x00000001 (DONE)",
        "write STATUS = 0x00000001 (DONE)",
        "interrupt: line deasserted",
        "MIDI received: fe",
        "interrupt: line asserted",
        "write ADDRESS = 0x0000000000001000",
        "write LENGTH = 0x00000003 (BYTES = 0x3)",
        "write DOORBELL = 0x00000002 (COMMAND = RECEIVE)",
        "DMA write 1 bytes at 0x1000: failed",
        "driver error dma-unmapped: DMA of 1 bytes at 0x1000, which is not memory from 0x1000 on",
        "read  STATUS = 0x00000006 (FAILED, INPUT)",
        "driver error access: 4-byte read at BAR0+0x2: no register takes it",
        "read  BAR 0+0x0002, 4 bytes, 0xffffffff: no register takes it",
        "reset number 1, by the machine",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_trace_that_cannot_be_made_is_refused_with_its_reason() {
    let error = |option: &str| Recorder::open(option, "mailbox").unwrap_err().to_string();
    assert_eq!(error("x,pcm"), "`pcm` is for wave buffers of the DirectMusic card; leave it out");
    assert!(error("x,size=1").contains("`1` is no size"), "{}", error("x,size=1"));
    assert!(error("/no/folder/x").starts_with("cannot make a trace of "), "{}", error("/no/folder/x"));
}
