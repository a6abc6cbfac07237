//! Pages of a BAR that a guest maps, and what a card learns of memory.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use crate::common::client::{DMA_MAP, DMA_UNMAP, GET_REGION_INFO, Raw};
use crate::common::memory::file;
use crate::common::{Bench, Call, PAGE, express, until};
use crate::wire;
use rustix::fs::{SealFlags, fcntl_add_seals};
use vfio_user_card::{NotMapped, Reset};

/// Asks for a region, with room for `room` bytes.
fn region(client: &mut Raw, index: u32, room: u32) -> (Vec<u8>, Vec<OwnedFd>) {
    client.send(GET_REGION_INFO, &wire!(room, 0u32, index, 0u32, 0u64, 0u64), 0, &[]);
    client.reply_with_fds()
}

#[test]
fn a_client_learns_which_pages_it_can_map() {
    let bench = Bench::with(express(), None);
    let mut client = bench.client();
    let (short, fds) = region(&mut client, 0, 32);
    assert!(fds.is_empty());
    assert_eq!(short, wire!(64u32, 7u32, 0u32, 0u32, 0x4000u64, 0u64), "read, write, mmap; it takes 64 bytes");
    let (whole, fds) = region(&mut client, 0, 64);
    let expected = [
        wire!(64u32, 15u32, 0u32, 32u32, 0x4000u64, 0u64),
        wire!(1u16, 1u16, 0u32, 1u32, 0u32, PAGE.start, PAGE.end - PAGE.start),
    ];
    assert_eq!(whole, expected.concat());
    assert_eq!(fds.len(), 1);
    let (plain, fds) = region(&mut client, 2, 64);
    assert_eq!((plain[4], fds.len()), (3, 0), "a BAR without mapped pages");
}

#[test]
fn card_and_guest_share_the_pages() {
    let bench = Bench::with(express(), None);
    let mut client = bench.client();
    let (_, mut fds) = region(&mut client, 0, 64);
    let guest = File::from(fds.remove(0));
    let pages = bench.handle.mapped(0).unwrap();
    pages.write(0x1010, b"from the card").unwrap();
    pages.store(0x1ffc, 0x1234_5678).unwrap();
    assert_eq!(crate::common::memory::read(&guest, 0x1010, 13), b"from the card");
    assert_eq!(crate::common::memory::read(&guest, 0x1ffc, 4), 0x1234_5678u32.to_le_bytes());
    guest.write_all_at(&7u32.to_le_bytes(), 0x1020).unwrap();
    assert_eq!(pages.load(0x1020), Ok(7));
    for (offset, bytes) in [(0, 4), (0xffe, 4), (0x1ffe, 4), (0x2000, 1), (u64::MAX, 4)] {
        let refused = Err(NotMapped { bar: 0, offset, bytes });
        assert_eq!(pages.read(offset, &mut vec![0; bytes]), refused, "{offset:#x}");
        assert_eq!(pages.write(offset, &vec![0; bytes]), refused, "{offset:#x}");
    }
    assert!(pages.load(0x1001).is_err() && pages.store(0x1002, 0).is_err(), "not aligned");
    assert!(bench.handle.mapped(2).is_none() && bench.handle.mapped(9).is_none());
    // A client can neither cut the file short, nor have the card keep more.
    assert!(guest.set_len(0x1000).is_err() && guest.set_len(0x8000).is_err());
    assert!(fcntl_add_seals(&guest, SealFlags::WRITE).is_err());
}

#[test]
fn messages_reach_the_pages_too() {
    let bench = Bench::with(express(), None);
    let mut client = bench.client();
    client.command(2);
    let pages = bench.handle.mapped(0).unwrap();
    pages.write(0x1000, b"0123456789").unwrap();
    assert_eq!(client.read(0, 0x1001, 7).unwrap(), b"1234567");
    client.write(0, 0x1003, b"xy").unwrap();
    let mut data = [0; 6];
    pages.read(0x1000, &mut data).unwrap();
    assert_eq!((&data, bench.calls()), (b"012xy5", vec![]), "the card is not called");
    client.command(0);
    assert_eq!(client.read(0, 0x1000, 4).unwrap(), [0xff; 4], "with memory space off");
    assert_eq!(bench.control().driver_errors(), ["access-while-off"]);
}

#[test]
fn the_card_learns_of_memory_and_of_bus_mastering() {
    let bench = Bench::with(express(), None);
    let mut client = bench.client();
    let memory = file(0x4000);
    let map = |client: &mut Raw, address: u64, bytes: u64| {
        client.ask_with(DMA_MAP, &wire!(32u32, 3u32, 0u64, address, bytes), &[memory.as_fd()]).unwrap();
    };
    map(&mut client, 0x1000, 0x1000);
    map(&mut client, 0x8000, 0x4000);
    client.command(6);
    client.command(7);
    client.command(2);
    client.ask(DMA_UNMAP, &wire!(24u32, 0u32, 0x1000u64, 0x1000u64)).unwrap();
    let expected = [
        Call::Mapped(0x1000, 0x1000),
        Call::Mapped(0x8000, 0x4000),
        Call::BusMaster(true),
        Call::BusMaster(false),
        Call::Unmapped(0x1000, 0x1000),
    ];
    assert_eq!(bench.all_calls(), expected);
    assert!(!bench.handle.is_bus_master());
    drop(client);
    let mut calls = Vec::new();
    until("the card is reset", || {
        calls.extend(bench.all_calls());
        (calls.len() == 2).then_some(())
    });
    assert_eq!(calls, [Call::Reset(Reset::Disconnected), Call::Unmapped(0x8000, 0x4000)]);
}
