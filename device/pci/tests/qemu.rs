//! Cards in QEMU: what a guest sees through `vfio-user-pci`.

mod common;

use std::path::Path;
use std::process::{Child, Command};

use common::control::Control;
use common::qemu::Qemu;
use common::{Bench, Call, PAGE, PENDING, READ_VALUE, TABLE, until};
use serde_json::json;
use vfio_user_card::{Access, Reset};

/// Where the tests put the BARs, as firmware would.
const PORTS: u16 = 0xc000;
const MEMORY: u64 = 0xe000_0000;
const REGISTERS: u64 = 0xe000_1000;
const WIDE: u64 = 0xe010_0000;
/// The input of the interrupt controller that INTA of device 4 has on q35.
const LINE: usize = 20;
/// Guest memory that the tests use.
const RAM: u64 = 0x20_0000;

/// Starts a machine, and gives the recorder's BARs addresses.
fn machine(bench: &Bench) -> Qemu {
    let mut qemu = Qemu::start(bench.folder.path(), &bench.socket());
    place(&mut qemu);
    bench.calls();
    qemu
}

fn place(qemu: &mut Qemu) {
    qemu.set_config(0x10, 4, PORTS.into());
    qemu.set_config(0x14, 4, MEMORY as u32);
    qemu.set_config(0x18, 4, REGISTERS as u32);
    qemu.set_config(0x20, 4, WIDE as u32);
    qemu.set_config(0x24, 4, (WIDE >> 32) as u32);
    qemu.set_config(4, 2, 7);
}

/// Puts a message into a vector's table entry: a write of `data` to guest memory.
fn set_vector(qemu: &mut Qemu, vector: u64, address: u64, data: u32, masked: bool) {
    let entry = WIDE + TABLE + 16 * vector;
    qemu.write(entry, 4, address);
    qemu.write(entry + 4, 4, 0);
    qemu.write(entry + 8, 4, data.into());
    qemu.write(entry + 12, 4, masked.into());
}

fn wait_word(qemu: &mut Qemu, address: u64, value: u64) {
    until("the message arrives", || (qemu.read(address, 4) == value).then_some(()));
}

#[test]
fn a_guest_sees_the_function_that_was_described() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    assert_eq!(qemu.config(0, 4), 0x1001_4242);
    assert_eq!(qemu.config(8, 4), 0x0401_5509);
    assert_eq!(qemu.config(0x2c, 4), 0x1002_4243);
    assert_eq!(qemu.config(0x3d, 1), 1);
    for (bar, kind, size) in
        [(0u8, 1, !0xf), (1, 0, !0xfff), (2, 0, !0xf), (3, 0, 0), (4, 0xc, !0xf_ffff), (5, 0, !0u32)]
    {
        qemu.set_config(0x10 + 4 * bar, 4, !0);
        assert_eq!(qemu.config(0x10 + 4 * bar, 4), size | kind, "BAR {bar}");
    }
    let vendor = qemu.capability(9);
    qemu.set_config(vendor + 4, 1, 0xff);
    assert_eq!(qemu.config(vendor + 4, 4), 0x0504_03f2);
    assert!(bench.calls().contains(&Call::Capability(0, vec![1, 0xf2, 3, 4, 5])));
    let (msix, power) = (qemu.capability(0x11), qemu.capability(1));
    assert_eq!(qemu.config(msix + 2, 2), u32::from(common::VECTORS) - 1);
    assert_eq!(qemu.config(power + 4, 2), 0);
}

#[test]
fn each_access_of_a_guest_reaches_the_card_as_it_is() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    for (bar, offset, width) in [(0, 0u64, 1), (0, 4, 2), (0, 4, 4), (1, 3, 1), (1, 6, 2), (1, 0xffc, 4), (1, 8, 8)] {
        let access = Access { bar, offset, width };
        let value = READ_VALUE & u64::MAX >> (64 - 8 * width);
        if bar == 0 {
            assert_eq!(u64::from(qemu.input(PORTS + offset as u16, width)), value);
            qemu.output(PORTS + offset as u16, width, value as u32);
        } else {
            assert_eq!(qemu.read(MEMORY + offset, width), value);
            qemu.write(MEMORY + offset, width, value);
        }
        // Writes are posted; a read of configuration space comes after them.
        qemu.config(0, 4);
        assert_eq!(bench.calls(), [Call::Read(access), Call::Write(access, value)], "{access:?}");
    }
    assert_eq!(qemu.input(PORTS, 2), 0xffff, "a width that these ports do not take");
    assert_eq!(bench.control().driver_errors(), ["access"]);
}

#[test]
fn the_line_is_asserted_until_the_card_deasserts_it() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    assert_eq!(qemu.config(6, 2) & 8, 0);
    qemu.write(REGISTERS + 4, 4, 1);
    qemu.wait_line(LINE, true);
    assert_eq!(qemu.config(6, 2) & 8, 8, "the interrupt status");
    // An access to a BAR ends QEMU's interrupt; the line is still asserted, so it comes again.
    qemu.read(MEMORY, 4);
    qemu.wait_line(LINE, true);
    qemu.write(REGISTERS + 4, 4, 0);
    qemu.wait_line(LINE, false);
    assert_eq!(qemu.config(6, 2) & 8, 0);
    // Disabled, it waits.
    qemu.set_config(4, 2, 0x407);
    qemu.write(REGISTERS + 4, 4, 1);
    assert_eq!(qemu.config(6, 2) & 8, 8);
    qemu.command("clock_step 1000000");
    assert!(!qemu.lines[LINE]);
    qemu.set_config(4, 2, 7);
    qemu.wait_line(LINE, true);
}

#[test]
fn each_vector_sends_its_own_message() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    let msix = qemu.capability(0x11);
    for vector in [0, 3, 69] {
        set_vector(&mut qemu, vector, RAM + 4 * vector, 0x100 + vector as u32, false);
    }
    qemu.set_config(msix + 2, 2, 0x8000);
    for vector in [0, 3, 69] {
        qemu.write(REGISTERS, 4, vector);
        wait_word(&mut qemu, RAM + 4 * vector, 0x100 + vector);
    }
    assert_eq!(qemu.read(RAM + 4, 4), 0, "vector 1 has sent nothing");
    assert_eq!(bench.control().status()["interrupts"], 3);
}

#[test]
fn a_masked_message_waits_and_arrives_when_it_is_unmasked() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    let msix = qemu.capability(0x11);
    set_vector(&mut qemu, 2, RAM, 0x55, false);
    qemu.set_config(msix + 2, 2, 0x8000);
    // The whole function.
    qemu.set_config(msix + 2, 2, 0xc000);
    qemu.write(REGISTERS, 4, 2);
    until("the pending bit is set", || (qemu.read(WIDE + PENDING, 8) & 4 != 0).then_some(()));
    assert_eq!(qemu.read(RAM, 4), 0);
    qemu.set_config(msix + 2, 2, 0x8000);
    wait_word(&mut qemu, RAM, 0x55);
    // One vector, in QEMU's table.
    qemu.write(RAM, 4, 0);
    qemu.write(WIDE + TABLE + 2 * 16 + 12, 4, 1);
    qemu.write(REGISTERS, 4, 2);
    qemu.command("clock_step 1000000");
    assert_eq!(qemu.read(RAM, 4), 0);
    qemu.write(WIDE + TABLE + 2 * 16 + 12, 4, 0);
    wait_word(&mut qemu, RAM, 0x55);
}

#[test]
fn the_card_copies_to_guest_memory() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    qemu.write(REGISTERS + 8, 4, RAM + 0xffc);
    until("the card has written", || (qemu.read(RAM + 0xffc, 8) == u64::from_le_bytes(*b"written ")).then_some(()));
    let mut data = [0; 19];
    bench.handle.read_memory(RAM + 0xffc, &mut data).unwrap();
    assert_eq!(&data, b"written by the card");
    // Firmware is memory that nothing may write; above the memory there is none; and bus mastering can be off.
    qemu.write(REGISTERS + 8, 4, 0xffff_f000);
    qemu.write(REGISTERS + 8, 4, 0x0800_0000);
    qemu.set_config(4, 2, 3);
    qemu.write(REGISTERS + 8, 4, RAM);
    qemu.config(0, 4);
    assert_eq!(bench.control().driver_errors(), ["dma-protected", "dma-unmapped", "dma-without-bus-master"]);
}

#[test]
fn resets_of_machine_and_function_reach_the_card() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    qemu.reset();
    until("the card is reset", || bench.calls().contains(&Call::Reset(Reset::Machine)).then_some(()));
    assert_eq!(qemu.config(4, 2) & 7, 0);
    place(&mut qemu);
    assert_eq!(qemu.read(MEMORY, 4), READ_VALUE & 0xffff_ffff, "it works again");
    bench.calls();
    let features = qemu.capability(0x13);
    qemu.set_config(features + 4, 1, 1);
    assert_eq!(bench.calls(), [Call::Reset(Reset::Function)]);
    let power = qemu.capability(1);
    qemu.set_config(power + 4, 2, 3);
    qemu.set_config(power + 4, 2, 0);
    assert_eq!(bench.calls(), [Call::Reset(Reset::Power)]);
}

#[test]
fn the_card_serves_one_machine_after_the_other() {
    let bench = Bench::new();
    for round in 1..=3 {
        let mut qemu = machine(&bench);
        assert_eq!(qemu.read(MEMORY, 4), READ_VALUE & 0xffff_ffff, "round {round}");
        qemu.write(REGISTERS + 4, 4, 1);
        qemu.wait_line(LINE, true);
        qemu.kill();
        until("the card is reset", || bench.calls().contains(&Call::Reset(Reset::Disconnected)).then_some(()));
    }
}

#[test]
fn the_machine_outlives_its_card() {
    let bench = Bench::new();
    let mut qemu = machine(&bench);
    bench.stop.request();
    until("the card is gone", || (qemu.read(MEMORY, 4) == 0xffff_ffff).then_some(()));
    qemu.write(MEMORY, 4, 7);
    assert_eq!(qemu.read(RAM, 4), 0, "QEMU is alive");
}

/// Starts a machine with an endpoint of PCI Express, and gives its BARs addresses.
fn express_machine(bench: &Bench) -> Qemu {
    let mut qemu = Qemu::start(bench.folder.path(), &bench.socket());
    qemu.set_config(0x10, 4, MEMORY as u32);
    qemu.set_config(0x18, 4, (MEMORY + 0x1_0000) as u32);
    qemu.set_config(4, 2, 7);
    bench.calls();
    qemu
}

#[test]
fn a_guest_reads_a_mapped_page_without_asking_the_card() {
    let bench = Bench::with(common::express(), None);
    let mut qemu = express_machine(&bench);
    let pages = bench.handle.mapped(0).unwrap();
    for round in 1..=3u32 {
        pages.store(PAGE.start + 8, 0x1234_0000 + round).unwrap();
        assert_eq!(qemu.read(MEMORY + PAGE.start + 8, 4), u64::from(0x1234_0000 + round));
    }
    qemu.write(MEMORY + PAGE.start + 0x10, 4, 0x55);
    assert_eq!(pages.load(PAGE.start + 0x10), Ok(0x55));
    assert_eq!(bench.calls(), []);
    // Beside the page are the card's registers.
    assert_eq!(qemu.read(MEMORY + 8, 4), READ_VALUE & 0xffff_ffff);
    assert_eq!(bench.calls().len(), 1);
    // While the line is asserted, QEMU sends messages for the page.
    qemu.write(MEMORY + 0x1_0004, 4, 1);
    qemu.wait_line(LINE, true);
    assert_eq!(qemu.read(MEMORY + PAGE.start + 8, 4), 0x1234_0003);
    // The pages outlive a stopped card: QEMU keeps its mapping.
    qemu.write(MEMORY + 0x1_0004, 4, 0);
    qemu.wait_line(LINE, false);
    assert_eq!(qemu.read(MEMORY + PAGE.start + 8, 4), 0x1234_0003);
}

#[test]
fn a_guest_resets_an_endpoint_and_uses_its_msi() {
    let bench = Bench::with(common::express(), None);
    let mut qemu = express_machine(&bench);
    let (express, msi) = (qemu.capability(0x10), qemu.capability(5));
    assert_eq!(qemu.config(express + 2, 2) & 0xf, 2);
    assert_eq!(qemu.config(express + 4, 4) >> 28 & 1, 1, "function-level reset");
    // Eight messages that write 0x40 to 0x47.
    qemu.set_config(msi + 4, 4, RAM as u32);
    qemu.set_config(msi + 12, 2, 0x40);
    qemu.set_config(msi + 2, 2, 1 | 3 << 4);
    for vector in [0, 5, 7] {
        qemu.write(MEMORY + 0x1_0000, 4, vector);
        wait_word(&mut qemu, RAM, 0x40 + vector);
    }
    bench.calls();
    let control = qemu.config(express + 8, 2);
    qemu.set_config(express + 8, 2, control | 0x8000);
    assert_eq!(bench.calls(), [Call::Reset(Reset::Function)]);
}

#[test]
fn a_guest_reads_the_expansion_rom() {
    let bench = Bench::with(common::express(), None);
    let mut qemu = express_machine(&bench);
    qemu.set_config(0x30, 4, (MEMORY + 0x2_0000) as u32 | 1);
    assert_eq!(qemu.read(MEMORY + 0x2_0000, 2), 0xaa55);
    assert_eq!(qemu.read(MEMORY + 0x2_0000 + common::ROM.len() as u64, 1), 0xff);
}

#[test]
fn a_card_that_is_killed_is_a_card_that_was_pulled_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut example = Example::start(folder.path());
    let mut qemu = Qemu::start(folder.path(), &folder.path().join("vfio"));
    qemu.set_config(0x10, 4, PORTS.into());
    qemu.set_config(4, 2, 1);
    assert_eq!(qemu.input(PORTS + 1, 1), 0xbf);
    example.0.kill().unwrap();
    example.0.wait().unwrap();
    until("the card is gone", || (qemu.input(PORTS + 1, 1) == 0xff).then_some(()));
    qemu.output(PORTS, 1, 0x90);
    assert_eq!(qemu.config(4, 2), 0xffff, "configuration space too, as far as QEMU asks the card for it");
    assert_eq!(qemu.read(RAM, 4), 0, "QEMU is alive");
}

/// The example, as a process.
struct Example(Child);

impl Example {
    fn start(folder: &Path) -> Self {
        let built = Command::new(env!("CARGO"))
            // Not of the package: its dependencies would have fewer features than those of the workspace's tests, and be built again.
            .args(["build", "--quiet", "--workspace", "--example", "mpu401", "--message-format=json"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let program = String::from_utf8(built.stdout).unwrap().lines().find_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(message["executable"].as_str()?.to_owned())
        });
        let child = Command::new(program.expect("cargo names the program"))
            .args([folder.join("vfio"), folder.join("control")])
            .spawn()
            .unwrap();
        let example = Self(child);
        until("the example listens", || folder.join("control").exists().then_some(()));
        example
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_guest_plays_and_captures_over_the_mpu401() {
    let folder = tempfile::tempdir().unwrap();
    let mut example = Example::start(folder.path());
    let mut control = Control::connect(&folder.path().join("control"));
    let mut qemu = Qemu::start(folder.path(), &folder.path().join("vfio"));
    assert_eq!(qemu.config(0, 4), 0x0401_4242);
    qemu.set_config(0x10, 4, PORTS.into());
    qemu.set_config(4, 2, 1);
    for command in [0xff, 0x3f] {
        assert_eq!(qemu.input(PORTS + 1, 1), 0xbf);
        qemu.output(PORTS + 1, 1, command);
        qemu.wait_line(LINE, true);
        assert_eq!(qemu.input(PORTS, 1), 0xfe);
    }
    for byte in [0x90, 0x3c, 0x64] {
        qemu.output(PORTS, 1, byte);
    }
    assert_eq!(qemu.input(PORTS + 1, 1), 0xbf);
    qemu.wait_line(LINE, false);
    let bytes = control.ask(&json!({"cmd": "bytes"}));
    let data: Vec<&str> = bytes["bytes"].as_array().unwrap().iter().map(|e| e["data"].as_str().unwrap()).collect();
    assert_eq!(data.concat(), "903c64");
    assert_eq!(control.ask(&json!({"cmd": "midi-in", "data": "803c"})), json!({"ok": true}));
    qemu.wait_line(LINE, true);
    assert_eq!([0; 3].map(|_| qemu.input(PORTS, 1)), [0x80, 0x3c, 0xff]);
    qemu.wait_line(LINE, false);
    assert_eq!(control.status()["driver_errors"], json!([]));
    drop(qemu);
    assert_eq!(control.ask(&json!({"cmd": "shutdown"})), json!({"ok": true}));
    assert!(example.0.wait().unwrap().success());
    assert!(!folder.path().join("vfio").exists() && !folder.path().join("control").exists());
}
