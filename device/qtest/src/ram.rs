//! Guest memory, which QEMU and the card map too.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use crate::failure::{Failure, Result};

/// Guest memory in bytes.
pub const RAM: u64 = 64 << 20;

/// The first address that is allocated: the first megabyte belongs to the PC.
const FREE: u64 = 1 << 20;

/// A page.
const PAGE: u64 = 4096;

/// Guest memory.
#[derive(Clone, Debug)]
pub struct Ram {
    map: GuestMemoryMmap,
    file: Arc<File>,
    next: Arc<AtomicU64>,
}

impl Ram {
    /// Makes guest memory, zeroed. Where it is `sealed`, its file cannot become shorter.
    ///
    /// # Errors
    /// [`Failure::Host`], when the host refuses the memory.
    pub fn new(sealed: bool) -> Result<Self> {
        let host = |error: rustix::io::Errno| Failure::host("cannot make guest memory")(error.into());
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("card-qtest-memory", flags).map_err(host)?);
        ftruncate(&file, RAM).map_err(host)?;
        if sealed {
            fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).map_err(host)?;
        }
        let shared = file.try_clone().map_err(Failure::host("cannot duplicate the descriptor of guest memory"))?;
        let range = (GuestAddress(0), RAM as usize, Some(FileOffset::new(shared, 0)));
        let map = GuestMemoryMmap::from_ranges_with_files([range])
            .map_err(|error| Failure::host("guest memory cannot be mapped")(std::io::Error::other(error)))?;
        Ok(Self { map, file: Arc::new(file), next: Arc::new(AtomicU64::new(FREE)) })
    }

    /// Returns the path at which other processes of this user can open it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Changes the length of its file. Memory beyond its end must not be read or written until the file is whole again.
    ///
    /// # Errors
    /// [`Failure::Host`], when the host refuses, such as for a sealed file.
    pub fn set_file_length(&self, bytes: u64) -> Result {
        ftruncate(&*self.file, bytes)
            .map_err(|error| Failure::host(format!("guest memory cannot be cut to {bytes} bytes"))(error.into()))
    }

    /// Frees everything that was allocated.
    pub fn rewind(&self) {
        self.next.store(FREE, Ordering::Relaxed);
    }

    /// Allocates whole pages for `bytes` bytes, without clearing them.
    ///
    /// # Errors
    /// [`Failure::NoMemory`], when the memory is used up.
    pub fn allocate(&self, bytes: u64) -> Result<u64> {
        let pages = bytes.max(1).next_multiple_of(PAGE);
        let address = self.next.fetch_add(pages, Ordering::Relaxed);
        if address + pages > RAM { Err(Failure::NoMemory { bytes }) } else { Ok(address) }
    }

    /// Allocates pages with `bytes` in them.
    ///
    /// # Errors
    /// [`Failure::NoMemory`], when the memory is used up.
    pub fn place(&self, bytes: &[u8]) -> Result<u64> {
        let address = self.allocate(bytes.len() as u64)?;
        self.write(address, bytes)?;
        Ok(address)
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// [`Failure::NoMemory`], when the address is outside of memory.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result {
        let outside = |_| Failure::NoMemory { bytes: bytes.len() as u64 };
        self.map.write_slice(bytes, GuestAddress(address)).map_err(outside)
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// [`Failure::NoMemory`], when the address is outside of memory.
    pub fn read(&self, address: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let outside = |_| Failure::NoMemory { bytes: length as u64 };
        self.map.read_slice(&mut bytes, GuestAddress(address)).map_err(outside)?;
        Ok(bytes)
    }

    /// Writes a 16-bit number so that what was written before is seen before it.
    ///
    /// # Errors
    /// [`Failure::NoMemory`], when the address is outside of memory.
    pub fn publish(&self, address: u64, value: u16) -> Result {
        self.map
            .store(value.to_le(), GuestAddress(address), Ordering::SeqCst)
            .map_err(|_| Failure::NoMemory { bytes: size_of::<u16>() as u64 })
    }

    /// Reads a 16-bit number so that what is read after was written before it.
    ///
    /// # Errors
    /// [`Failure::NoMemory`], when the address is outside of memory.
    pub fn observe(&self, address: u64) -> Result<u16> {
        self.map
            .load(GuestAddress(address), Ordering::SeqCst)
            .map(u16::from_le)
            .map_err(|_| Failure::NoMemory { bytes: size_of::<u16>() as u64 })
    }
}
