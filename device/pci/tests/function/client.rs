//! The client of the crate `vfio_user`, which others wrote, understands the server.

use std::os::fd::AsRawFd;

use crate::common::memory::{eventfd, file, read, signals};
use crate::common::{Bench, READ_VALUE, VECTORS};
use vfio_user::Client;

#[test]
fn the_client_of_vfio_user_finds_regions_and_interrupts() {
    let bench = Bench::new();
    let mut client = Client::new(&bench.socket()).unwrap();
    let bytes: Vec<u64> = (0..9).map(|index| client.region(index).unwrap().size).collect();
    assert_eq!(bytes, [16, 4096, 16, 0, 1 << 20, 0, 0, 256, 0]);
    assert!((0..9).all(|index| client.region(index).unwrap().sparse_areas.is_empty()));
    let counts: Vec<u32> = (0..5).map(|index| client.get_irq_info(index).unwrap().count).collect();
    assert_eq!(counts, [1, 0, u32::from(VECTORS), 1, 0]);
    // Event, maskable, automasked; event, maskable, not resizable.
    assert_eq!(client.get_irq_info(0).unwrap().flags, 0b0111);
    assert_eq!(client.get_irq_info(2).unwrap().flags, 0b1011);
}

#[test]
fn the_client_of_vfio_user_drives_the_card() {
    let bench = Bench::new();
    let mut client = Client::new(&bench.socket()).unwrap();
    client.reset().unwrap();
    let mut id = [0; 4];
    client.region_read(7, 0, &mut id).unwrap();
    assert_eq!(id, [0x42, 0x42, 0x01, 0x10]);
    client.region_write(7, 4, &[6, 0]).unwrap();
    let mut value = [0; 4];
    client.region_read(1, 8, &mut value).unwrap();
    assert_eq!(value, READ_VALUE.to_le_bytes()[..4]);

    let memory = file(0x2000);
    client.dma_map(0, 0x8000, 0x2000, memory.as_raw_fd()).unwrap();
    // A register of the card: it writes to the address.
    client.region_write(2, 8, &0x8100u32.to_le_bytes()).unwrap();
    assert_eq!(read(&memory, 0x100, 19), b"written by the card");
    client.dma_unmap(0x8000, 0x2000).unwrap();
    client.region_write(2, 8, &0x8100u32.to_le_bytes()).unwrap();
    assert_eq!(bench.control().driver_errors(), ["dma-unmapped"]);

    let line = eventfd();
    client.set_irqs(0, 0x24, 0, 1, &[line.as_raw_fd()]).unwrap();
    client.region_write(2, 4, &1u32.to_le_bytes()).unwrap();
    assert_eq!(signals(&line), 1);
    client.shutdown().unwrap();
}
