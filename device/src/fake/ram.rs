//! Guest memory that a fake machine shares with the card.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

/// A page.
const PAGE: u64 = 4096;

/// One range of guest memory, in a file that can be shared.
#[derive(Clone)]
pub struct Ram {
    map: GuestMemoryMmap,
    file: Arc<File>,
    start: u64,
    length: u64,
    next: Arc<AtomicU64>,
}

impl Ram {
    /// Returns `length` bytes of guest memory at guest-physical address `start`, in an anonymous file of their own.
    ///
    /// # Panics
    /// When the host has no memory for it.
    #[must_use]
    pub fn anonymous(start: u64, length: u64) -> Self {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("fake-guest-memory", flags).expect("a memory file"));
        file.set_len(length).expect("room for guest memory");
        Self::of_file(file, start, length, start)
    }

    /// Returns guest memory from `start` on, which `file` holds from its beginning; pages from `free` on are given out by
    /// [`allocate`](Self::allocate).
    ///
    /// # Panics
    /// When the file cannot be mapped.
    #[must_use]
    pub fn of_file(file: File, start: u64, length: u64, free: u64) -> Self {
        let shared = file.try_clone().expect("a second descriptor");
        let range = (GuestAddress(start), length as usize, Some(FileOffset::new(shared, 0)));
        let map = GuestMemoryMmap::from_ranges_with_files([range]).expect("guest memory to be mapped");
        Self { map, file: Arc::new(file), start, length, next: Arc::new(AtomicU64::new(free)) }
    }

    /// Returns where it begins.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// Returns the first address behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Returns its length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Returns the file that holds it.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Allocates whole pages for `bytes` bytes, zeroed at first and never given out again.
    ///
    /// # Panics
    /// When there are none left.
    #[must_use]
    pub fn allocate(&self, bytes: usize) -> u64 {
        let pages = (bytes as u64).next_multiple_of(PAGE);
        let address = self.next.fetch_add(pages, Ordering::Relaxed);
        assert!(address + pages <= self.end(), "the fake machine's memory is used up");
        address
    }

    /// Allocates pages with `bytes` in them.
    #[must_use]
    pub fn place(&self, bytes: &[u8]) -> u64 {
        let address = self.allocate(bytes.len().max(1));
        self.write(address, bytes);
        address
    }

    /// Writes bytes.
    ///
    /// # Panics
    /// When the address is outside of memory.
    pub fn write(&self, address: u64, bytes: &[u8]) {
        self.map.write_slice(bytes, GuestAddress(address)).expect("an address in guest memory");
    }

    /// Reads bytes.
    ///
    /// # Panics
    /// When the address is outside of memory.
    #[must_use]
    pub fn read(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.map.read_slice(&mut bytes, GuestAddress(address)).expect("an address in guest memory");
        bytes
    }

    /// Writes a 16-bit number so that what was written before is seen before it.
    pub(super) fn publish(&self, address: u64, value: u16) {
        self.map.store(value.to_le(), GuestAddress(address), Ordering::SeqCst).expect("an address in guest memory");
    }

    /// Reads a 16-bit number so that what is read after was written before it.
    pub(super) fn observe(&self, address: u64) -> u16 {
        u16::from_le(self.map.load(GuestAddress(address), Ordering::SeqCst).expect("an address in guest memory"))
    }
}
