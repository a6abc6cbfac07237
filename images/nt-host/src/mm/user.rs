//! The user half of the address space: what a process that asks the driver for something would have mapped.
//!
//! There is one simulated process at a time, 64-bit or 32-bit. Its memory is there only while a thread works for it at
//! its own level: in interrupt service routines, in deferred procedure calls and in system threads the whole lower
//! half of the address space is empty, where Windows would show whatever process happens to run.
#![allow(unsafe_code, reason = "memory of a simulated process")]

use super::exposed;
use crate::arch::boot::DIRECT_MAP;
use crate::arch::paging::{self, Caching, NoTables};
use crate::arch::{PAGE_SIZE, frames, pages_spanning, window};
use crate::ke::process::Process;

/// Returns where the memory of a process is mapped.
fn window_of(process: Process) -> &'static window::Window {
    match process {
        Process::Narrow => &window::USER_NARROW,
        Process::System | Process::Wide => &window::USER_WIDE,
    }
}

/// Memory of the simulated process that goes with this value.
#[derive(Debug)]
pub struct UserMemory {
    process: Process,
    page: u64,
    pages: u64,
    address: u64,
    bytes: u64,
    owned: bool,
}

impl UserMemory {
    /// Makes a buffer with contents, which ends where a page ends; the page behind it is never mapped. `align` is a
    /// power of two up to a page: what is not a multiple of it long ends a little before the page does.
    #[must_use]
    pub fn new(process: Process, contents: &[u8], align: u64) -> Option<Self> {
        let bytes = contents.len() as u64;
        let pages = pages_spanning(bytes.max(1));
        let page = window_of(process).reserve(pages)?;
        let mut memory =
            Self { process, page, pages: 0, address: page + pages - bytes.next_multiple_of(align), bytes, owned: true };
        while memory.pages < pages {
            let frame = frames::allocate()?;
            if map_page(page + memory.pages, frame, true).is_err() {
                frames::free(frame, PAGE_SIZE);
                return None;
            }
            memory.pages += PAGE_SIZE;
        }
        memory.write(0, contents);
        Some(memory)
    }

    /// Returns a range of physical memory, which stays its owner's.
    ///
    /// # Errors
    /// [`NoTables`] when there is no memory for page tables, or no address left.
    pub fn of_physical(process: Process, physical: u64, bytes: u64) -> Result<Self, NoTables> {
        let (first, offset) = (physical - physical % PAGE_SIZE, physical % PAGE_SIZE);
        let pages = pages_spanning(offset + bytes.max(1));
        let page = window_of(process).reserve(pages).ok_or(NoTables)?;
        let mut memory = Self { process, page, pages: 0, address: page + offset, bytes, owned: false };
        while memory.pages < pages {
            map_page(page + memory.pages, first + memory.pages, true)?;
            memory.pages += PAGE_SIZE;
        }
        Ok(memory)
    }

    /// Returns where the process has it.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Returns whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Lets the process only read it.
    ///
    /// # Errors
    /// [`NoTables`] when there is no memory for page tables; the memory is then partly not mapped.
    pub fn make_read_only(&self) -> Result<(), NoTables> {
        for page in (self.page..self.page + self.pages).step_by(PAGE_SIZE as usize) {
            if let Some(frame) = paging::unmap(page) {
                map_page(page, frame, false)?;
            }
        }
        Ok(())
    }

    /// Writes contents, in any context.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write(&mut self, offset: u64, contents: &[u8]) {
        assert!(offset + contents.len() as u64 <= self.bytes, "beyond the end of user memory");
        for (index, &byte) in contents.iter().enumerate() {
            // SAFETY: the frame is mapped by this value and is seen through the direct map.
            unsafe { self.byte(offset + index as u64).write(byte) };
        }
    }

    /// Returns the contents, in any context.
    #[must_use]
    pub fn read(&self) -> alloc::vec::Vec<u8> {
        // SAFETY: as above.
        (0..self.bytes).map(|offset| unsafe { self.byte(offset).read() }).collect()
    }

    fn byte(&self, offset: u64) -> *mut u8 {
        let physical = paging::physical(self.address + offset).expect("user memory is mapped while it exists");
        (DIRECT_MAP + physical) as *mut u8
    }
}

impl Drop for UserMemory {
    fn drop(&mut self) {
        for page in (self.page..self.page + self.pages).step_by(PAGE_SIZE as usize) {
            if let Some(frame) = paging::unmap(page)
                && self.owned
            {
                exposed::free(frame);
            }
        }
        if self.pages > 0 {
            window_of(self.process).release(self.page, self.pages);
        }
    }
}

fn map_page(address: u64, physical: u64, write: bool) -> Result<(), NoTables> {
    let access = if write { paging::Access::UserReadWrite } else { paging::Access::UserRead };
    paging::map(address, physical, access, Caching::Cached)
}
