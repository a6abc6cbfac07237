//! Mapped memory whose file becomes shorter.

mod common;

use std::sync::Arc;

use common::memory::file;
use vfio_user_card::sigbus::{Watch, losses};
use vm_memory::{Bytes, FileOffset, MmapRegion, VolatileMemory};

#[test]
fn memory_that_is_cut_short_becomes_zeroes_and_is_lost() {
    let (cut, whole) = (file(0x2000), file(0x2000));
    let map = |file: &std::fs::File| {
        let offset = FileOffset::new(file.try_clone().unwrap(), 0);
        Watch::new(Arc::new(MmapRegion::from_file(offset, 0x2000).unwrap())).unwrap()
    };
    let (lost, kept) = (map(&cut), map(&whole));
    for watch in [&lost, &kept] {
        watch.region().as_volatile_slice().write_slice(b"full", 0x1800).unwrap();
    }
    let before = losses();
    cut.set_len(0x1000).unwrap();
    assert!(!lost.is_lost(), "nothing has touched it");
    let mut data = *b"????";
    lost.region().as_volatile_slice().read_slice(&mut data, 0x1800).unwrap();
    assert_eq!((data, lost.is_lost(), losses()), ([0; 4], true, before + 1));
    lost.region().as_volatile_slice().write_slice(b"late", 0x1800).unwrap();
    kept.region().as_volatile_slice().read_slice(&mut data, 0x1800).unwrap();
    assert_eq!((&data, kept.is_lost()), (b"full", false));
}
