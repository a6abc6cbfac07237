//! The card's view of guest memory.

use crate::common::client::{DMA_MAP, DMA_UNMAP, Raw};
use crate::common::memory::{file, read};
use crate::common::{Bench, Call};
use crate::wire;
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::AsFd;
use vfio_user_card::{DmaError, Reset};

const READ: u32 = 1;
const WRITE: u32 = 2;
const MASTER: u16 = 4;

fn map(client: &mut Raw, flags: u32, address: u64, bytes: u64, memory: Option<(&File, u64)>) -> Result<(), Errno> {
    let offset = memory.map_or(0, |(_, offset)| offset);
    let fds: Vec<_> = memory.iter().map(|(file, _)| file.as_fd()).collect();
    client.ask_with(DMA_MAP, &wire!(32u32, flags, offset, address, bytes), &fds).map(|_| ())
}

fn unmap(client: &mut Raw, flags: u32, address: u64, bytes: u64) -> Result<Vec<u8>, Errno> {
    client.ask(DMA_UNMAP, &wire!(24u32, flags, address, bytes))
}

#[test]
fn the_card_reads_and_writes_what_is_mapped() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x5000);
    client.command(MASTER);
    map(&mut client, READ | WRITE, 0x10_0000, 0x2000, Some((&memory, 0x1000))).unwrap();
    bench.handle.write_memory(0x10_0ffe, b"over a page").unwrap();
    assert_eq!(read(&memory, 0x1ffe, 11), b"over a page");
    let mut data = [0; 4];
    bench.handle.read_memory(0x10_1005, &mut data).unwrap();
    assert_eq!(&data, b"page");
    // The last byte is there, and the next is not.
    bench.handle.write_memory(0x10_1fff, b"x").unwrap();
    let beyond = bench.handle.write_memory(0x10_1fff, b"xy").unwrap_err();
    assert!(matches!(beyond, DmaError::Unmapped { at: 0x10_2000, .. }), "{beyond}");
    assert_eq!(bench.control().driver_errors(), ["dma-unmapped"]);
    bench.handle.write_memory(0, b"").unwrap();
}

#[test]
fn an_access_may_cross_regions_that_touch() {
    let bench = Bench::new();
    let mut client = bench.client();
    let (low, high) = (file(0x1000), file(0x1000));
    client.command(MASTER);
    map(&mut client, READ | WRITE, 0x2000, 0x1000, Some((&high, 0))).unwrap();
    map(&mut client, READ | WRITE, 0x1000, 0x1000, Some((&low, 0))).unwrap();
    bench.handle.write_memory(0x1ffd, b"abcdef").unwrap();
    assert_eq!((read(&low, 0xffd, 3), read(&high, 0, 3)), (b"abc".to_vec(), b"def".to_vec()));
    let mut data = [0; 6];
    bench.handle.read_memory(0x1ffd, &mut data).unwrap();
    assert_eq!(&data, b"abcdef");
}

#[test]
fn an_address_without_memory_is_an_error() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x1000);
    client.command(MASTER);
    map(&mut client, READ | WRITE, 0x1000, 0x1000, Some((&memory, 0))).unwrap();
    for address in [0, 0xfff, 0x2000, u64::MAX, u64::MAX - 1] {
        let mut data = [0; 4];
        assert!(matches!(bench.handle.read_memory(address, &mut data), Err(DmaError::Unmapped { .. })), "{address:#x}");
        assert!(matches!(bench.handle.write_memory(address, &data), Err(DmaError::Unmapped { .. })), "{address:#x}");
    }
    unmap(&mut client, 0, 0x1000, 0x1000).unwrap();
    assert!(matches!(bench.handle.write_memory(0x1000, b"x"), Err(DmaError::Unmapped { .. })));
}

#[test]
fn bus_mastering_must_be_on() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x1000);
    map(&mut client, READ | WRITE, 0, 0x1000, Some((&memory, 0))).unwrap();
    let refused = |bench: &Bench| matches!(bench.handle.write_memory(0, b"x"), Err(DmaError::BusMasterOff { .. }));
    assert!(refused(&bench), "after power-on");
    client.command(MASTER);
    assert!(!refused(&bench));
    client.command(0);
    assert!(refused(&bench));
    client.command(MASTER);
    client.ask(crate::common::client::RESET, &[]).unwrap();
    assert!(refused(&bench), "after a reset");
    assert_eq!(bench.control().driver_errors(), ["dma-without-bus-master"]);
}

#[test]
fn memory_is_read_and_written_as_its_flags_say() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x2000);
    client.command(MASTER);
    map(&mut client, READ, 0, 0x1000, Some((&memory, 0))).unwrap();
    map(&mut client, WRITE, 0x1000, 0x1000, Some((&memory, 0x1000))).unwrap();
    let mut data = [0; 2];
    bench.handle.read_memory(0, &mut data).unwrap();
    bench.handle.write_memory(0x1000, &data).unwrap();
    assert!(matches!(bench.handle.write_memory(0, &data), Err(DmaError::Protected { write: true, .. })));
    assert!(matches!(bench.handle.read_memory(0xfff, &mut data), Err(DmaError::Protected { address: 0x1000, .. })));
    assert_eq!(bench.control().driver_errors(), ["dma-protected"; 2]);
}

#[test]
fn memory_that_is_not_shared_is_an_error_with_a_remedy() {
    let bench = Bench::new();
    let mut client = bench.client();
    client.command(MASTER);
    map(&mut client, READ | WRITE, 0, 0x1000, None).unwrap();
    let error = bench.handle.write_memory(0, b"x").unwrap_err();
    assert!(matches!(error, DmaError::NotShared { .. }) && error.to_string().contains("share=on"), "{error}");
    assert_eq!(bench.control().driver_errors(), [""; 0], "the driver can do nothing about it");
}

#[test]
fn a_file_that_was_cut_short_is_an_error() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x2000);
    client.command(MASTER);
    map(&mut client, READ | WRITE, 0, 0x2000, Some((&memory, 0))).unwrap();
    memory.set_len(0x1000).unwrap();
    let mut data = [0; 4];
    assert!(matches!(bench.handle.read_memory(0x1ffc, &mut data), Err(DmaError::Host { .. })));
    bench.handle.read_memory(0xffc, &mut data).unwrap();
}

#[test]
fn an_impossible_region_is_refused() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x2000);
    map(&mut client, READ, 0x4000, 0x2000, Some((&memory, 0))).unwrap();
    let mut check = |address, bytes, offset, errno, what: &str| {
        let mapped = map(&mut client, READ, address, bytes, Some((&memory, offset)));
        assert_eq!(mapped, Err(errno), "{what}");
    };
    for (address, bytes) in [(0x4000, 0x1000), (0x3fff, 2), (0x5fff, 1), (0x5000, 0x2000), (0x3000, 0x1001)] {
        check(address, bytes, 0, Errno::EXIST, "an overlap");
    }
    check(0, 0, 0, Errno::INVAL, "no bytes");
    check(u64::MAX, 2, 0, Errno::INVAL, "beyond the address space");
    check(0, 0x2001, 0, Errno::INVAL, "beyond the file");
    check(0, 1, u64::MAX, Errno::INVAL, "an offset beyond all files");
    let pipe = std::io::pipe().unwrap();
    let fds = [pipe.0.as_fd(), pipe.1.as_fd()];
    let payload = wire!(32u32, READ, 0u64, 0u64, 1u64);
    assert_eq!(client.ask_with(DMA_MAP, &payload, &fds[..1]), Err(Errno::INVAL), "a pipe");
    assert_eq!(client.ask_with(DMA_MAP, &payload, &fds), Err(Errno::INVAL), "two descriptors");
    for (address, bytes) in [(0x4000, 0x1000), (0x4001, 0x1fff), (0, 0x2000)] {
        assert_eq!(unmap(&mut client, 0, address, bytes), Err(Errno::NOENT));
    }
    assert_eq!(unmap(&mut client, 2, 0x4000, 0x2000), Err(Errno::OPNOTSUPP), "dirty pages");
    assert_eq!(unmap(&mut client, 0, 0x4000, 0x2000).unwrap(), wire!(24u32, 0u32, 0x4000u64, 0x2000u64));
}

#[test]
fn all_memory_is_unmapped_at_once_and_when_the_client_disconnects() {
    let bench = Bench::new();
    let mut client = bench.client();
    let memory = file(0x1000);
    client.command(MASTER);
    for address in [0, 0x1000] {
        map(&mut client, READ | WRITE, address, 0x1000, Some((&memory, 0))).unwrap();
    }
    unmap(&mut client, 4, 0, 0).unwrap();
    assert!(matches!(bench.handle.write_memory(0, b"x"), Err(DmaError::Unmapped { .. })));
    map(&mut client, READ | WRITE, 0, 0x1000, Some((&memory, 0))).unwrap();
    drop(client);
    crate::common::until("the card is reset", || {
        bench.calls().contains(&Call::Reset(Reset::Disconnected)).then_some(())
    });
    let mut client = bench.client();
    client.command(MASTER);
    assert!(matches!(bench.handle.write_memory(0, b"x"), Err(DmaError::Unmapped { .. })));
}
