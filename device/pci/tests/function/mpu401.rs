//! The example: an MPU-401, as a driver and a harness see it.

#[path = "../../examples/mpu401.rs"]
#[allow(dead_code, reason = "`main` is the example's")]
mod example;

use crate::common::client::{EVENTFD, INTX, NONE, TRIGGER, UNMASK};
use crate::common::memory::{eventfd, signals};
use crate::common::served::Served;
use example::{Mpu401, description};
use serde_json::json;

/// A driver of the example.
struct Driver(Served);

impl Driver {
    fn new() -> Self {
        Self(Served::new(description(), Mpu401::new, 1))
    }

    fn read(&mut self, port: u64) -> u8 {
        self.0.client.read(0, port, 1).unwrap()[0]
    }

    fn write(&mut self, port: u64, value: u8) {
        self.0.client.write(0, port, &[value]).unwrap();
    }

    fn fault(&mut self, kind: &str) {
        let done = self.0.control.ask(&json!({"cmd": "inject-fault", "fault": {"kind": kind}}));
        assert_eq!(done, json!({"ok": true}));
    }

    /// Enters UART mode, as a driver does.
    fn open(&mut self) {
        for command in [0xff, 0x3f] {
            self.write(1, command);
            assert_eq!(self.read(1) & 0x80, 0, "the acknowledgement of {command:#x} waits");
            assert_eq!(self.read(0), 0xfe);
        }
        assert_eq!(self.read(1), 0xbf, "ready, and no input");
    }
}

#[test]
fn is_an_audio_device_with_two_ports_and_a_line() {
    let mut driver = Driver::new();
    assert_eq!(driver.0.client.config(0, 4), 0x0401_4242);
    assert_eq!(driver.0.client.config(8, 4) >> 8, 0x04_0100);
    assert_eq!(driver.0.client.config(0x3d, 1), 1);
    assert_eq!(driver.0.client.read(0, 0, 2).unwrap(), [0xff; 2]);
    assert_eq!(driver.0.control.driver_errors(), ["access"]);
}

#[test]
fn midi_bytes_of_the_driver_reach_the_harness() {
    let mut driver = Driver::new();
    driver.open();
    for byte in [0x90, 0x3c, 0x64] {
        assert_eq!(driver.read(1) & 0x40, 0);
        driver.write(0, byte);
    }
    let bytes = driver.0.control.ask(&json!({"cmd": "bytes"}));
    let data: String = bytes["bytes"].as_array().unwrap().iter().map(|entry| entry["data"].as_str().unwrap()).collect();
    assert_eq!(data, "903c64");
    assert_eq!(driver.0.control.status()["counters"]["received"], 3);
}

#[test]
fn input_interrupts_until_the_driver_has_read_it() {
    let mut driver = Driver::new();
    let line = eventfd();
    driver.0.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&line]).unwrap();
    let early = driver.0.control.ask(&json!({"cmd": "midi-in", "data": "903c64"}));
    assert_eq!(early["code"], "failed", "not before UART mode");
    driver.open();
    driver.0.client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
    signals(&line);
    assert_eq!(driver.0.control.ask(&json!({"cmd": "midi-in", "data": "903c64"})), json!({"ok": true}));
    assert_eq!(signals(&line), 1);
    for byte in [0x90, 0x3c] {
        assert_eq!(driver.read(0), byte);
        driver.0.client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
        assert_eq!(signals(&line), 1, "more input waits");
    }
    assert_eq!(driver.read(0), 0x64);
    driver.0.client.plain_irqs(INTX, NONE | UNMASK, 0, 1).unwrap();
    assert_eq!((signals(&line), driver.read(1)), (0, 0xbf));
    let long = "00".repeat(1025);
    assert_eq!(driver.0.control.ask(&json!({"cmd": "midi-in", "data": long}))["code"], "failed");
    assert_eq!(driver.read(1), 0xbf, "it has taken none");
}

#[test]
fn what_the_device_does_not_understand_is_the_drivers_error() {
    let mut driver = Driver::new();
    driver.write(0, 0x90);
    driver.write(1, 0xa5);
    driver.open();
    driver.write(1, 0x3f);
    assert_eq!(driver.read(1), 0xbf, "not acknowledged");
    assert_eq!(driver.0.control.driver_errors(), ["data-without-uart-mode", "unknown-command", "unknown-command"]);
}

#[test]
fn each_fault_shows_and_none_ends_it() {
    let mut driver = Driver::new();
    let faults = driver.0.control.ask(&json!({"cmd": "hello"}))["faults"].clone();
    assert_eq!(faults, json!(["none", "stuck-ack", "lost-interrupt", "no-device", "not-ready"]));

    driver.fault("stuck-ack");
    driver.write(1, 0xff);
    assert_eq!((driver.read(1), driver.read(0)), (0xbf, 0xff));
    driver.fault("none");
    driver.open();

    driver.fault("not-ready");
    assert_eq!(driver.read(1) & 0x40, 0x40);
    driver.write(0, 0x90);
    assert_eq!(driver.0.control.driver_errors(), ["data-not-ready"]);
    driver.fault("none");

    let line = eventfd();
    driver.0.client.set_irqs(INTX, EVENTFD | TRIGGER, 0, 1, &[&line]).unwrap();
    driver.fault("lost-interrupt");
    driver.0.control.ask(&json!({"cmd": "midi-in", "data": "f8"}));
    assert_eq!((signals(&line), driver.read(1) & 0x80), (0, 0), "input waits without an interrupt");
    driver.fault("none");
    assert_eq!(signals(&line), 1);
    assert_eq!(driver.read(0), 0xf8);

    driver.fault("no-device");
    assert_eq!((driver.read(0), driver.read(1)), (0xff, 0xff));
    driver.write(1, 0xff);
    driver.fault("none");
    assert_eq!(driver.read(1), 0xbf, "it has not seen the command");
}
