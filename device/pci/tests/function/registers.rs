//! Accesses to base address registers: which ones reach the card, and what happens to the others.

use crate::common::client::Raw;
use crate::common::{Bench, Call, READ_VALUE};
use rustix::io::Errno;
use vfio_user_card::Access;

fn awake(bench: &Bench) -> Raw {
    let mut client = bench.client();
    client.command(0x3);
    client
}

#[test]
fn an_allowed_access_reaches_the_card_as_it_is() {
    let bench = Bench::new();
    let mut client = awake(&bench);
    let accesses = [
        (0, 0, 1),
        (0, 1, 1),
        (0, 4, 2),
        (0, 4, 4),
        (0, 9, 2),
        (1, 0xff8, 8),
        (1, 0xffc, 4),
        (1, 2, 2),
        (1, 3, 1),
        (4, 0x1_0000, 8),
    ];
    for (bar, offset, width) in accesses {
        let access = Access { bar: bar as usize, offset, width: width as usize };
        let data = &READ_VALUE.to_le_bytes()[..width as usize];
        assert_eq!(client.read(bar, offset, width).unwrap(), data);
        client.write(bar, offset, data).unwrap();
        let value = READ_VALUE & u64::MAX >> (64 - 8 * width);
        assert_eq!(bench.calls(), [Call::Read(access), Call::Write(access, value)]);
    }
    assert_eq!(bench.control().driver_errors(), [""; 0]);
}

#[test]
fn another_access_reads_as_ones_changes_nothing_and_is_the_drivers_error() {
    let bench = Bench::new();
    let mut client = awake(&bench);
    let accesses = [
        (0, 0, 2, "the width"),
        (0, 2, 1, "bytes without a register"),
        (0, 1, 2, "the alignment"),
        (0, 6, 4, "the alignment, and beyond the rule's end"),
        (0, 4, 1, "a width between the allowed ones"),
        (0, 11, 2, "beyond the rule's end"),
        (1, 1, 2, "the alignment"),
        (1, 0, 3, "a width that no processor has"),
        (1, 0, 16, "a width that no processor has"),
        (2, 0, 8, "the width"),
    ];
    for (count, (bar, offset, width, what)) in accesses.into_iter().enumerate() {
        assert_eq!(client.read(bar, offset, width).unwrap(), vec![0xff; width as usize], "{what}");
        client.write(bar, offset, &vec![0; width as usize]).unwrap();
        assert_eq!(bench.calls(), [], "{what}");
        let status = bench.control().status();
        let errors = status["driver_errors"].as_array().unwrap();
        assert_eq!(errors.len(), 2 * (count + 1), "{what}: {status}");
        let detail = errors.last().unwrap()["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("{width}-byte write at BAR{bar}+{offset:#x}")), "{detail}");
        assert_eq!(errors.last().unwrap()["code"], "access");
    }
    // The same again is counted, and not listed again.
    client.read(0, 0, 2).unwrap();
    let status = bench.control().status();
    assert_eq!(status["driver_errors"].as_array().unwrap().len(), 2 * accesses.len());
    assert_eq!(status["counters"]["driver-errors"], 2 * accesses.len() + 1);
}

#[test]
fn a_bar_whose_space_is_off_does_not_answer() {
    let bench = Bench::new();
    let mut client = bench.client();
    for (bits, bar, answers) in [(0, 0, false), (0, 1, false), (1, 0, true), (1, 1, false), (2, 0, false), (2, 1, true)]
    {
        client.command(bits);
        let value = if answers { 0x11 } else { 0xff };
        assert_eq!(client.read(bar, 0, 1).unwrap(), [value], "command {bits:#x}, BAR {bar}");
    }
    assert_eq!(bench.control().driver_errors(), ["access-while-off"; 2], "one for each BAR");
}

#[test]
fn a_function_in_d3hot_does_not_answer() {
    let bench = Bench::new();
    let mut client = awake(&bench);
    let control = client.capability(1, 0) + 4;
    client.set_config(control, [3]);
    assert_eq!(client.read(1, 0, 4).unwrap(), [0xff; 4]);
    client.write(1, 0, &[1, 2, 3, 4]).unwrap();
    assert_eq!(bench.calls(), []);
    assert_eq!(bench.control().driver_errors(), ["access-while-off"; 2]);
}

#[test]
fn what_no_function_has_reads_as_ones() {
    let bench = Bench::new();
    let mut client = awake(&bench);
    let outside = [(0, 16, 1), (0, 15, 2), (1, 4095, 2), (1, u64::MAX, 2), (3, 0, 1), (5, 0, 4), (6, 0, 4), (8, 0, 4)];
    for (region, offset, width) in outside {
        let ones = vec![0xff; width as usize];
        assert_eq!(client.read(region, offset, width).unwrap(), ones, "region {region}, {offset:#x}");
        client.write(region, offset, &ones).unwrap();
    }
    assert_eq!(bench.calls(), []);
    assert_eq!(bench.control().driver_errors(), [""; 0], "a machine that does this is wrong, not its driver");
    let log = bench.control().ask(&serde_json::json!({"cmd": "log"}));
    assert!(log.to_string().contains("2-byte read at BAR1+0xfff"), "{log}");
    assert_eq!(client.read(9, 0, 4), Err(Errno::INVAL), "no vfio device has this region");
    assert_eq!(client.read(1, 0, 1).unwrap(), [0x11], "the connection goes on");
}
