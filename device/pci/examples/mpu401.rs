//! An MPU-401 on the PCI bus: a MIDI port in UART mode, with two I/O ports and an interrupt line. `mpu401.toml` has the ports.
//!
//! Programming model: Roland, MPU-401 technical reference, 1985, the part on UART mode.

use std::collections::VecDeque;
use std::process::ExitCode;

use vfio_user_card::{
    Access, Bar, Card, Description, Fault, Handle, Offers, Refusal, RegisterFile, RegisterTable, RegisterValue, Reset,
    Written,
};
use vfio_user_card_trace::run;

const COMMAND_RESET: u8 = 0xff;
const COMMAND_UART: u8 = 0x3f;
const ACKNOWLEDGE: u8 = 0xfe;

/// Bytes that wait for the driver: a third of a second of a busy cable, so that a slow harness loses nothing.
const INPUT_MAX: usize = 1024;

/// The faults that it can inject. `none` ends them all.
const FAULTS: &[&str] = &["none", "stuck-ack", "lost-interrupt", "no-device", "not-ready"];

/// What is wrong with the device on purpose.
#[derive(Default)]
struct Faults {
    /// Commands are not acknowledged.
    stuck_ack: bool,
    /// Input raises no interrupt.
    lost_interrupt: bool,
    /// No port answers.
    no_device: bool,
    /// It is never ready for a byte.
    not_ready: bool,
}

/// The device.
pub(crate) struct Mpu401 {
    handle: Handle,
    registers: RegisterFile,
    uart: bool,
    input: VecDeque<u8>,
    faults: Faults,
    received: u64,
    lost: u64,
    commands: u64,
}

impl Mpu401 {
    pub(crate) fn new(handle: Handle) -> Self {
        let registers = RegisterFile::new(table(), handle.clone());
        let (input, faults) = (VecDeque::new(), Faults::default());
        Self { handle, registers, uart: false, input, faults, received: 0, lost: 0, commands: 0 }
    }

    /// Shows whether a byte waits, and asserts the line as long as one does.
    fn update(&mut self) {
        self.registers.set("DATA", self.input.front().copied().unwrap_or(0xff).into());
        self.registers.set("STATUS.NO_INPUT", self.input.is_empty().into());
        self.registers.set("STATUS.NOT_READY", self.faults.not_ready.into());
        self.handle.set_line(!self.input.is_empty() && !self.faults.lost_interrupt && !self.faults.no_device);
    }

    fn push(&mut self, byte: u8) {
        if self.input.len() < INPUT_MAX {
            self.input.push_back(byte);
        } else {
            self.lost += 1;
        }
    }

    fn command(&mut self, command: u8) {
        self.commands += 1;
        match command {
            COMMAND_RESET => {
                self.uart = false;
                self.input.clear();
            }
            COMMAND_UART if !self.uart => self.uart = true,
            _ => {
                let mode = if self.uart { "UART mode, which takes a reset only" } else { "normal mode" };
                let detail = format!("command {command:#04x} in {mode}; this device knows reset 0xff and UART 0x3f");
                return self.handle.driver_error("unknown-command", &detail);
            }
        }
        if !self.faults.stuck_ack {
            self.push(ACKNOWLEDGE);
        }
    }

    fn data(&mut self, byte: u8) {
        if !self.uart {
            let detail = format!("MIDI byte {byte:#04x} before the command 0x3f has entered UART mode");
            self.handle.driver_error("data-without-uart-mode", &detail);
        } else if self.faults.not_ready {
            let detail = format!("MIDI byte {byte:#04x} while the status port says that none is taken");
            self.handle.driver_error("data-not-ready", &detail);
        } else {
            self.received += 1;
            self.handle.record_bytes(&[byte]);
        }
    }
}

impl Card for Mpu401 {
    fn read(&mut self, access: Access) -> u64 {
        if self.faults.no_device {
            return u64::MAX;
        }
        let value = self.registers.read(access);
        if self.registers.table().at(access.offset, access.width, false).is_some_and(|read| read.name == "DATA") {
            self.input.pop_front();
        }
        self.update();
        value
    }

    fn write(&mut self, access: Access, value: u64) {
        if self.faults.no_device {
            return;
        }
        let written = self.registers.write(access, value);
        match written.as_ref().map(Written::name) {
            Some("DATA") => self.data(value as u8),
            _ => self.command(value as u8),
        }
        self.update();
    }

    fn reset(&mut self, _: Reset) {
        // Faults and counters belong to the harness, and stay.
        self.uart = false;
        self.input.clear();
        self.update();
    }

    fn registers(&self) -> Vec<RegisterValue> {
        self.registers.values(0)
    }

    fn offers(&self) -> Offers {
        Offers { bytes: true, midi_in: true, faults: FAULTS }
    }

    fn midi_in(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if !self.uart {
            return Err(Refusal::Failed("the driver has not entered UART mode: MIDI input is not passed on".into()));
        }
        if self.input.len() + bytes.len() > INPUT_MAX {
            let free = INPUT_MAX - self.input.len();
            return Err(Refusal::Failed(format!("{} bytes; there is room for {free} now", bytes.len())));
        }
        self.input.extend(bytes);
        self.update();
        Ok(())
    }

    fn inject_fault(&mut self, fault: &Fault) -> Result<(), Refusal> {
        match fault.kind.as_str() {
            "stuck-ack" => self.faults.stuck_ack = true,
            "lost-interrupt" => self.faults.lost_interrupt = true,
            "no-device" => self.faults.no_device = true,
            "not-ready" => self.faults.not_ready = true,
            _ => self.faults = Faults::default(),
        }
        self.update();
        Ok(())
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("commands", self.commands), ("received", self.received), ("input-lost", self.lost)]
    }
}

/// Reads the table, which is a part of this program.
fn table() -> RegisterTable {
    RegisterTable::parse("mpu401.toml", include_str!("mpu401.toml")).expect("the table has no mistakes")
}

/// An audio device with its two ports in BAR 0, and the line INTA.
pub(crate) fn description() -> Description {
    let ports = Bar::io(16).registers(&table());
    Description::new("mpu401", 0x4242, 0x0401).class(4, 1, 0).bar(0, ports).interrupt_pin()
}

fn main() -> ExitCode {
    run(description(), Mpu401::new)
}
