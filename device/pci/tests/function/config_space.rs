//! Configuration space: what a driver reads, and which bits it can change.

use crate::common::client::{CONFIG, RESET};
use crate::common::{Bench, Call};
use vfio_user_card::Reset;

const COMMAND: u64 = 4;
const STATUS: u64 = 6;
const POWER: u8 = 1;
const VENDOR: u8 = 9;
const MSIX: u8 = 0x11;
const FEATURES: u8 = 0x13;

#[test]
fn shows_the_identity_that_was_described() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.config(0, 4), 0x1001_4242);
    assert_eq!(client.config(8, 4), 0x0401_5509);
    assert_eq!(client.config(0x2c, 4), 0x1002_4243);
    assert_eq!(client.config(0x0e, 1), 0, "a header of type 0, one function");
    assert_eq!(client.config(0x3d, 1), 1, "INTA");
    assert_eq!(client.config(0x30, 4), 0, "no expansion ROM");
    assert_eq!(client.config(STATUS, 2), 0x10, "a capability list and nothing else");
}

#[test]
fn read_only_bytes_keep_their_values() {
    let bench = Bench::new();
    let mut client = bench.client();
    let before = client.read(CONFIG, 0, 256).unwrap();
    for value in [0xffu8, 0] {
        client.set_config(0, [value; 4]);
        client.set_config(8, [value; 4]);
        client.set_config(0x0e, [value; 2]);
        client.set_config(0x28, [value; 0x14]);
        client.set_config(0x3d, [value; 3]);
        assert_eq!(client.read(CONFIG, 0, 256).unwrap(), before, "after writing {value:#x}");
    }
}

#[test]
fn the_command_register_has_the_bits_that_mean_something_here() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.command(0xffff);
    assert_eq!(client.config(COMMAND, 2), 0x0547, "I/O, memory, bus master, parity, SERR, INTx disable");
    client.command(0);
    assert_eq!(client.config(COMMAND, 2), 0);
    let plain = Bench::with(vfio_user_card::Description::new("plain", 1, 2), None);
    let mut client = plain.client();
    client.command(0xffff);
    assert_eq!(client.config(COMMAND, 2), 0x0144, "neither I/O nor memory nor a line");
    assert_eq!(client.config(STATUS, 2), 0, "no capability list");
    assert_eq!(client.config(0x34, 1), 0);
}

#[test]
fn a_bar_tells_its_size_when_ones_are_written() {
    let bench = Bench::new();
    let mut client = bench.client();
    for (bar, kind, size) in [(0, 1, !0xf), (1, 0, !0xfff), (2, 0, !0xf), (3, 0, 0), (4, 0xc, !0xf_ffff), (5, 0, !0)] {
        let offset = 0x10 + 4 * bar;
        let initial = if bar == 5 { 0 } else { kind };
        assert_eq!(client.config(offset, 4), initial, "BAR {bar} at first");
        client.set_config(offset, [0xff; 4]);
        assert_eq!(client.config(offset, 4), size | kind, "BAR {bar}: size and kind");
        client.set_config(offset, 0x1234_5678u32.to_le_bytes());
        assert_eq!(client.config(offset, 4), 0x1234_5678 & size | kind, "BAR {bar}: an address");
    }
    // One byte at a time, as a driver may.
    client.set_config(0x13, [0xab]);
    assert_eq!(client.config(0x10, 4), 0xab34_5671);
}

#[test]
fn bytes_beyond_configuration_space_read_as_ones_and_take_nothing() {
    let bench = Bench::new();
    let mut client = bench.client();
    assert_eq!(client.read(CONFIG, 254, 4).unwrap(), [0, 0, 0xff, 0xff]);
    assert_eq!(client.read(CONFIG, u64::MAX - 1, 4).unwrap(), [0xff; 4]);
    client.set_config(254, [1; 4]);
    client.set_config(u64::MAX - 1, [1; 4]);
    assert_eq!(client.read(CONFIG, 254, 2).unwrap(), [0, 0]);
}

#[test]
fn capabilities_form_a_list_within_the_256_bytes() {
    let bench = Bench::new();
    let mut client = bench.client();
    let mut ids = Vec::new();
    let mut at = client.config(0x34, 1);
    while at != 0 {
        assert!(at >= 0x40 && at.is_multiple_of(4), "a capability at {at:#x}");
        ids.push(client.config(at.into(), 1) as u8);
        at = client.config(u64::from(at) + 1, 1);
    }
    assert_eq!(ids, [POWER, MSIX, FEATURES, VENDOR, VENDOR]);
    let msix = client.capability(MSIX, 0);
    assert_eq!(client.config(msix + 2, 2), u32::from(crate::common::VECTORS) - 1);
    assert_eq!(client.config(msix + 4, 4), crate::common::TABLE as u32 | 4);
    assert_eq!(client.config(msix + 8, 4), crate::common::PENDING as u32 | 4);
    client.set_config(msix + 2, [0xff; 10]);
    assert_eq!(
        client.config(msix + 2, 2),
        0xc000 | (u32::from(crate::common::VECTORS) - 1),
        "enable and function mask"
    );
    assert_eq!(client.config(msix + 4, 4), crate::common::TABLE as u32 | 4);
}

#[test]
fn a_vendor_capability_changes_where_it_is_writable_and_the_card_learns_it() {
    let bench = Bench::new();
    let mut client = bench.client();
    let (first, second) = (client.capability(VENDOR, 0), client.capability(VENDOR, 1));
    assert_eq!(client.config(first + 2, 1), 8, "its length, header included");
    client.set_config(first + 3, [0xff; 5]);
    let written = [1, 0xf2, 3, 0xff, 5];
    assert_eq!(client.read(CONFIG, first + 3, 5).unwrap(), written);
    assert_eq!(bench.calls(), [Call::Capability(0, written.to_vec())]);
    client.set_config(second + 3, [0; 5]);
    assert_eq!(client.read(CONFIG, second + 3, 5).unwrap(), b"fixed");
    assert_eq!(bench.calls(), [Call::Capability(1, b"fixed".to_vec())]);
    client.set_config(first, [0; 3]);
    assert_eq!(bench.calls(), [], "the header is not the card's");
}

#[test]
fn a_return_from_d3hot_resets_the_function() {
    let bench = Bench::new();
    let mut client = bench.client();
    let control = client.capability(POWER, 0) + 4;
    client.command(0x7);
    for absent in [1, 2] {
        client.set_config(control, [absent]);
        assert_eq!(client.config(control, 1), 0, "D{absent} is not there, and the write is discarded");
    }
    client.set_config(control, [3]);
    assert_eq!(client.config(control, 1), 3);
    assert_eq!(client.config(COMMAND, 2), 7, "configuration space stays in D3hot");
    assert_eq!(bench.calls(), []);
    client.set_config(control, [0]);
    assert_eq!(bench.calls(), [Call::Reset(Reset::Power)]);
    assert_eq!((client.config(control, 1), client.config(COMMAND, 2)), (0, 0));
}

#[test]
fn a_function_level_reset_resets_everything() {
    let bench = Bench::new();
    let mut client = bench.client();
    let features = client.capability(FEATURES, 0);
    assert_eq!(client.config(features + 2, 2), 0x0306, "its length; transaction pending and reset are there");
    client.command(0x7);
    client.set_config(0x10, 0xc000u32.to_le_bytes());
    client.set_config(features + 4, [0]);
    assert_eq!(bench.calls(), [], "a write of 0 does nothing");
    // As part of a longer write.
    client.set_config(features, [0xff, 0xff, 0xff, 0xff, 1, 0]);
    assert_eq!(bench.calls(), [Call::Reset(Reset::Function)]);
    assert_eq!((client.config(COMMAND, 2), client.config(0x10, 4)), (0, 1));
    assert_eq!(client.config(features + 4, 2), 0, "it reads as 0");
}

#[test]
fn a_machine_reset_resets_everything() {
    let bench = Bench::new();
    let mut client = bench.client();
    let fresh = client.read(CONFIG, 0, 256).unwrap();
    client.command(0x7);
    client.set_config(0x3c, [11]);
    client.ask(RESET, &[]).unwrap();
    assert_eq!(client.read(CONFIG, 0, 256).unwrap(), fresh);
    assert_eq!(bench.calls(), [Call::Reset(Reset::Machine)]);
    assert_eq!(bench.control().status()["counters"]["resets"], 1);
}
