//! An endpoint of PCI Express: its capabilities, its expansion ROM, MSI.

use std::os::fd::OwnedFd;

use crate::common::client::{CONFIG, EVENTFD, GET_IRQ_INFO, GET_REGION_INFO, MSI, NONE, Raw, TRIGGER};
use crate::common::memory::{eventfd, signals};
use crate::common::{Bench, Call, ROM, express};
use crate::wire;
use vfio_user_card::{Bar, Description, DescriptionError, Msi, ROM_BYTES_MAX, Reset, Server, Sockets, Widths};

const EXPRESS: u8 = 0x10;
const MSI_CAPABILITY: u8 = 5;
const ROM_REGION: u32 = 6;

fn bench() -> Bench {
    Bench::with(express(), None)
}

#[test]
fn has_4096_bytes_of_configuration_space_with_extended_capabilities() {
    let bench = bench();
    let mut client = bench.client();
    let info = client.ask(GET_REGION_INFO, &wire!(32u32, 0u32, CONFIG, 0u32, 0u64, 0u64)).unwrap();
    assert_eq!(info[16..24], 4096u64.to_ne_bytes());
    assert_eq!(client.config(0x100, 4), 0x10c1_0003, "a serial number, version 1, and the next at 0x10c");
    assert_eq!(client.read(CONFIG, 0x104, 8).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(client.config(0x10c, 4), 0x0001_000b, "a vendor-specific one, the last");
    client.set_config(0x10c, [0xff; 16]);
    assert_eq!(client.config(0x10c, 4), 0x0001_000b);
    assert_eq!(client.read(CONFIG, 0x110, 12).unwrap()[3..6], [0xaa, 0xff, 0xaa], "its one writable byte");
    assert_eq!(client.config(0xffc, 4), 0);
    assert_eq!(client.read(CONFIG, 0xffe, 4).unwrap(), [0, 0, 0xff, 0xff]);
}

#[test]
fn shows_an_endpoint_whose_control_register_resets_the_function() {
    let bench = bench();
    let mut client = bench.client();
    let at = client.capability(EXPRESS, 0);
    assert_eq!(client.config(at + 2, 2), 2, "version 2, an endpoint");
    assert_eq!(client.config(at + 4, 4), 1 << 15 | 1 << 28, "errors by role; function-level reset");
    assert_eq!(client.config(at + 8, 2), 0x2810);
    client.command(7);
    client.set_config(at + 8, 0x7fffu16.to_le_bytes());
    assert_eq!(client.config(at + 8, 2), 0x78ff);
    assert_eq!(bench.calls(), []);
    client.set_config(at + 8, 0xa810u16.to_le_bytes());
    assert_eq!(bench.calls(), [Call::Reset(Reset::Function)]);
    assert_eq!((client.config(at + 8, 2), client.config(4, 2)), (0x2810, 0), "the bit reads as 0");
    let plain = Bench::with(Description::new("plain", 1, 2).express(), None);
    let mut client = plain.client();
    let at = client.capability(EXPRESS, 0);
    assert_eq!(client.config(at + 4, 4), 1 << 15);
    client.set_config(at + 9, [0xff]);
    assert_eq!(plain.calls(), [], "a function without the reset");
}

#[test]
fn shows_the_image_of_its_expansion_rom() {
    let bench = bench();
    let mut client = bench.client();
    assert_eq!(client.config(0x30, 4), 0);
    client.set_config(0x30, [0xff; 4]);
    assert_eq!(client.config(0x30, 4), 0xffff_f801, "2 KiB, and the bit that enables it");
    let info = client.ask(GET_REGION_INFO, &wire!(32u32, 0u32, ROM_REGION, 0u32, 0u64, 0u64)).unwrap();
    assert_eq!((info[4], &info[16..24]), (1, &2048u64.to_ne_bytes()[..]), "it can be read");
    let image = client.read(ROM_REGION, 0, 2048).unwrap();
    assert_eq!(&image[..ROM.len()], ROM);
    assert!(image[ROM.len()..].iter().all(|byte| *byte == 0xff));
    client.write(ROM_REGION, 0, &[0; 4]).unwrap();
    assert_eq!(client.read(ROM_REGION, 0, 2048).unwrap(), image);
    assert_eq!(client.read(ROM_REGION, u64::MAX, 4).unwrap(), [0xff; 4]);
}

/// Connects all vectors of MSI, and enables `allocated` of them.
fn messages(client: &mut Raw, allocated: u16) -> Vec<OwnedFd> {
    let fds: Vec<OwnedFd> = std::iter::repeat_with(eventfd).take(8).collect();
    client.set_irqs(MSI, EVENTFD | TRIGGER, 0, 8, &fds.iter().collect::<Vec<_>>()).unwrap();
    client.command(6);
    let control = client.capability(MSI_CAPABILITY, 0) + 2;
    client.set_config(control, (1 | (allocated.trailing_zeros() as u16) << 4).to_le_bytes());
    fds
}

fn counts(fds: &[OwnedFd]) -> Vec<u64> {
    fds.iter().map(signals).collect()
}

#[test]
fn each_vector_of_msi_sends_its_message() {
    let bench = bench();
    let mut client = bench.client();
    let info = client.ask(GET_IRQ_INFO, &wire!(16u32, 0u32, MSI, 0u32)).unwrap();
    assert_eq!(info[12..], 8u32.to_ne_bytes());
    let at = client.capability(MSI_CAPABILITY, 0);
    assert_eq!(client.config(at + 2, 2), 3 << 1 | 1 << 7 | 1 << 8, "eight vectors, 64 bits, masks");
    bench.handle.trigger(1);
    let fds = messages(&mut client, 8);
    assert_eq!(counts(&fds), [0, 1, 0, 0, 0, 0, 0, 0], "it has waited");
    assert!(bench.handle.uses_messages());
    for vector in 0..8 {
        bench.handle.trigger(vector);
    }
    assert_eq!(counts(&fds), [1; 8]);
    bench.handle.trigger(8);
    bench.handle.set_line(true);
    assert_eq!(counts(&fds), [0; 8], "there is no ninth vector, and the line is not used");
    client.plain_irqs(MSI, NONE | TRIGGER, 3, 1).unwrap();
    assert_eq!(counts(&fds), [0, 0, 0, 1, 0, 0, 0, 0], "a test of the client");
}

#[test]
fn vectors_share_messages_when_the_driver_allocates_fewer() {
    let bench = bench();
    let mut client = bench.client();
    let fds = messages(&mut client, 2);
    for vector in 0..8 {
        bench.handle.trigger(vector);
    }
    assert_eq!(counts(&fds), [4, 4, 0, 0, 0, 0, 0, 0]);
    let control = client.capability(MSI_CAPABILITY, 0) + 2;
    client.set_config(control, (1u16 | 7 << 4).to_le_bytes());
    bench.handle.trigger(7);
    assert_eq!(counts(&fds), [0, 0, 0, 0, 0, 0, 0, 1], "more than there are is all of them");
}

#[test]
fn a_masked_vector_of_msi_is_pending() {
    let bench = bench();
    let mut client = bench.client();
    let fds = messages(&mut client, 8);
    let at = client.capability(MSI_CAPABILITY, 0);
    client.set_config(at + 16, [0xff; 4]);
    assert_eq!(client.config(at + 16, 4), 0xff, "a mask bit for each vector");
    bench.handle.trigger(5);
    bench.handle.trigger(5);
    assert_eq!((counts(&fds), client.config(at + 20, 4)), (vec![0; 8], 1 << 5));
    client.set_config(at + 16, [0xdf]);
    assert_eq!(counts(&fds), [0, 0, 0, 0, 0, 1, 0, 0], "once");
    assert_eq!(client.config(at + 20, 4), 0);
    client.command(2);
    bench.handle.trigger(5);
    assert_eq!(counts(&fds), [0; 8], "without bus mastering");
    client.command(6);
    assert_eq!(counts(&fds)[5], 1);
}

#[test]
fn descriptions_that_cannot_be_are_refused() {
    let base = || Description::new("card", 1, 2);
    let paged = |bar: Bar| base().bar(0, bar);
    let mapped = |description: Description| match refusal(description) {
        DescriptionError::Mapped { reason, .. } => reason,
        other => panic!("{other}"),
    };
    assert_eq!(refusal(base().msi(Msi { vectors: 3, maskable: false })), DescriptionError::Msi { vectors: 3 });
    assert_eq!(refusal(base().msi(Msi { vectors: 64, maskable: false })), DescriptionError::Msi { vectors: 64 });
    assert_eq!(
        refusal(base().rom(&vec![0; ROM_BYTES_MAX + 1])),
        DescriptionError::RomTooLong { bytes: ROM_BYTES_MAX + 1 }
    );
    assert_eq!(refusal(base().extended_capability(3, 1, &[0; 8], &[])), DescriptionError::NotExpress);
    let long = base().express().extended_capability(3, 1, &[0; 4000], &[]);
    assert_eq!(refusal(long), DescriptionError::CapabilitiesTooLong { bytes: 4260, most: 4096 });
    assert!(mapped(paged(Bar::memory(0x1000).map(0..0x800))).contains("whole pages"));
    assert!(mapped(paged(Bar::memory(0x1000).map(0..0x2000))).contains("whole pages"));
    assert!(mapped(paged(Bar::io(16).map(0..16))).contains("memory BAR"));
    assert!(mapped(paged(Bar::memory(0x4000).map(0..0x2000).map(0x1000..0x3000))).contains("overlaps"));
    let registers = Bar::memory(0x4000).allow(0xffc..0x1004, Widths::DWORD).map(0x1000..0x2000);
    assert!(mapped(paged(registers)).contains("registers"));
}

/// Returns why a description is refused.
fn refusal(description: Description) -> DescriptionError {
    let folder = tempfile::tempdir().unwrap();
    let sockets = Sockets { socket: folder.path().join("vfio"), control: None };
    match Server::bind(description, &sockets) {
        Err(vfio_user_card::ServeError::Description(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}
