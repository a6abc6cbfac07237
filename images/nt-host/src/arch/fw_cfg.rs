//! QEMU's firmware configuration device, by its DMA interface.
//!
//! Specification: QEMU `docs/specs/fw_cfg.rst`. Own code because the crate for it reads files a byte a port access;
//! one DMA transfer takes a driver image at once.
#![allow(unsafe_code, reason = "port access and DMA")]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use x86_64::instructions::port::Port;

use super::boot::DIRECT_MAP;

const SELECTOR_PORT: u16 = 0x510;
const DATA_PORT: u16 = 0x511;
const DMA_PORT_HIGH: u16 = 0x514;
const DMA_PORT_LOW: u16 = 0x518;
const SIGNATURE: u16 = 0x0000;
const INTERFACES: u16 = 0x0001;
const DIRECTORY: u16 = 0x0019;
const HAS_DMA: u8 = 2;
/// Bytes of the number of entries in the directory, before them.
const COUNT_BYTES: u32 = 4;
/// Bytes of an entry of the directory.
const ENTRY_BYTES: u32 = 64;
/// Largest file taken: a driver image; a larger one is a mistake in the command line.
const FILE_BYTES_MAX: u32 = 64 << 20;
/// Most files looked at, to end on a device that answers nonsense.
const FILES_MAX: u32 = 4096;
/// How often the transfer's completion is looked at before giving up; QEMU completes it before the port write returns.
const POLLS_MAX: u32 = 1_000_000;

/// Why a file could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FwCfgError {
    /// The machine is not QEMU, or was started without the device.
    #[error("the machine has no fw_cfg device with DMA")]
    Absent,
    /// No file of this name was given.
    #[error("QEMU was started without -fw_cfg name={0}")]
    NotFound(&'static str),
    /// The file is longer than any driver.
    #[error("the fw_cfg file {0} has {1} bytes, more than {FILE_BYTES_MAX}")]
    TooLarge(&'static str, u32),
    /// The device did not transfer.
    #[error("fw_cfg did not transfer the file {0}")]
    Transfer(&'static str),
}

#[repr(C)]
struct DmaAccess {
    control: u32,
    length: u32,
    address: u64,
}

fn select(key: u16) {
    // SAFETY: the device's selector port.
    unsafe { Port::<u16>::new(SELECTOR_PORT).write(key) }
}

fn read_bytes<const N: usize>() -> [u8; N] {
    let mut port = Port::<u8>::new(DATA_PORT);
    // SAFETY: the device's data port; reading past an item gives zeros.
    core::array::from_fn(|_| unsafe { port.read() })
}

fn present() -> bool {
    select(SIGNATURE);
    if read_bytes::<4>() != *b"QEMU" {
        return false;
    }
    select(INTERFACES);
    read_bytes::<1>()[0] & HAS_DMA != 0
}

/// Reads the whole file `name`.
///
/// # Errors
/// [`FwCfgError::Absent`] without the device, [`FwCfgError::NotFound`] without the file, [`FwCfgError::TooLarge`] for
/// more than [`FILE_BYTES_MAX`], [`FwCfgError::Transfer`] when the device does not deliver it.
pub fn file(name: &'static str) -> Result<Vec<u8>, FwCfgError> {
    if !present() {
        return Err(FwCfgError::Absent);
    }
    select(DIRECTORY);
    let count = u32::from_be_bytes(read_bytes()).min(FILES_MAX);
    // An entry is size, key, two bytes that are reserved, and the name.
    let directory = transfer(name, DIRECTORY, COUNT_BYTES + count * ENTRY_BYTES)?;
    let entries = directory[COUNT_BYTES as usize..].chunks_exact(ENTRY_BYTES as usize);
    let is_named = |entry: &&[u8]| entry[8..].split(|&byte| byte == 0).next() == Some(name.as_bytes());
    let Some(&[a, b, c, d, key_high, key_low, ..]) = entries.into_iter().find(is_named) else {
        return Err(FwCfgError::NotFound(name));
    };
    match u32::from_be_bytes([a, b, c, d]) {
        size if size > FILE_BYTES_MAX => Err(FwCfgError::TooLarge(name, size)),
        size => transfer(name, u16::from_be_bytes([key_high, key_low]), size),
    }
}

/// Returns how many processors the machine has.
#[must_use]
pub fn processors() -> u16 {
    const PROCESSORS: u16 = 5;
    if !present() {
        return 1;
    }
    select(PROCESSORS);
    u16::from_le_bytes(read_bytes())
}

/// Returns the physical address of memory on the host's heap, which the direct map holds whole.
fn physical<T>(memory: *mut T) -> Option<u64> {
    (memory as u64).checked_sub(DIRECT_MAP)
}

fn transfer(name: &'static str, key: u16, size: u32) -> Result<Vec<u8>, FwCfgError> {
    const READ: u32 = 2;
    const SELECT: u32 = 8;
    const ERROR: u32 = 1;
    let mut data = vec![0u8; size as usize];
    let address = physical(data.as_mut_ptr()).ok_or(FwCfgError::Transfer(name))?;
    // On the heap, whose physical addresses are known.
    let mut access = Box::new(DmaAccess {
        control: (u32::from(key) << 16 | READ | SELECT).to_be(),
        length: size.to_be(),
        address: address.to_be(),
    });
    let access = &raw mut *access;
    let access_address = physical(access).ok_or(FwCfgError::Transfer(name))?;
    // SAFETY: the device reads the access block and writes `size` bytes to the vector, which both outlive the loop.
    unsafe {
        core::sync::atomic::compiler_fence(core::sync::atomic::Ordering::SeqCst);
        Port::<u32>::new(DMA_PORT_HIGH).write(((access_address >> 32) as u32).to_be());
        Port::<u32>::new(DMA_PORT_LOW).write((access_address as u32).to_be());
        for _ in 0..POLLS_MAX {
            match u32::from_be((&raw const (*access).control).read_volatile()) {
                0 => return Ok(data),
                control if control & ERROR != 0 => break,
                _ => core::hint::spin_loop(),
            }
        }
    }
    Err(FwCfgError::Transfer(name))
}
