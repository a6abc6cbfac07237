//! The serial port: opened overlapped, without flow control.
#![allow(unsafe_code, reason = "the system is behind a foreign interface")]

use alloc::boxed::Box;
use alloc::format;
use core::ptr::{null, null_mut};

use dmus_agent::serve::Port;
use dmus_agent::system::SystemError;

use super::api::{self, Handle, Overlapped, OwnedHandle};
use super::{machine, text};

/// Bytes that the driver's queues hold each way: the line's window many times over.
const QUEUE_BYTES: u32 = 64 << 10;

/// `DCB`: `fBinary`, `fDtrControl` and `fRtsControl` enabled; no flow control, no parity.
const DCB_FLAGS: u32 = 1 | 1 << 4 | 1 << 12;

/// `PURGE_RXCLEAR` and `PURGE_TXCLEAR`.
const PURGE_BOTH: u32 = 8 | 4;

/// Bytes that are read at once.
const READ_BYTES: usize = 4096;

/// How long a read sleeps where nothing is there: a tick of the system's clock, in effect.
const POLL_MS: u32 = 1;

/// 100 ns units in a millisecond.
const TICKS_A_MILLISECOND: i64 = 10_000;

/// Time after which a write counts as failed: a port that nothing reads.
const WRITE_LIMIT_MS: u32 = 30_000;

/// An open serial port.
pub(super) struct Serial {
    file: OwnedHandle,
    event: OwnedHandle,
    read: Box<Reading>,
    write: OwnedHandle,
}

/// A read that waits for bytes, from one call to the next: to cancel it would lose some.
struct Reading {
    request: Overlapped,
    bytes: [u8; READ_BYTES],
    begun: bool,
}

impl Serial {
    /// Opens a port by its name.
    pub(super) fn open(name: &str) -> Result<Self, SystemError> {
        let path = text::wide(&format!("\\\\.\\{name}"));
        // SAFETY: the name ends with a zero.
        let file = unsafe {
            api::CreateFileW(
                path.as_ptr(),
                api::GENERIC_READ | api::GENERIC_WRITE,
                0,
                null(),
                api::OPEN_EXISTING,
                api::FILE_FLAG_OVERLAPPED,
                null_mut(),
            )
        };
        if file == api::INVALID_HANDLE {
            return Err(api::last_error());
        }
        let file = OwnedHandle(file);
        // SAFETY: all zero is a valid DCB, which the system fills in.
        let mut dcb: api::Dcb = unsafe { core::mem::zeroed() };
        dcb.length = size_of::<api::Dcb>() as u32;
        // SAFETY: an open port, and a structure of the length that it says.
        if unsafe { api::GetCommState(file.0, &raw mut dcb) } == 0 {
            return Err(api::last_error());
        }
        dcb.baud_rate = 115_200;
        dcb.flags = DCB_FLAGS;
        (dcb.byte_size, dcb.parity, dcb.stop_bits) = (8, 0, 0);
        // SAFETY: as above. The queues' length is a wish.
        unsafe {
            api::SetupComm(file.0, QUEUE_BYTES, QUEUE_BYTES);
            if api::SetCommState(file.0, &raw const dcb) == 0 {
                return Err(api::last_error());
            }
            api::PurgeComm(file.0, PURGE_BOTH);
        }
        // A read returns at once with what is there, or, as Wine has it, as soon as something is.
        let timeouts = api::CommTimeouts {
            read_interval: u32::MAX,
            read_multiplier: 0,
            read_constant: 0,
            write_multiplier: 0,
            write_constant: WRITE_LIMIT_MS,
        };
        // SAFETY: an open port and a whole structure.
        if unsafe { api::SetCommTimeouts(file.0, &raw const timeouts) } == 0 {
            return Err(api::last_error());
        }
        let read = Box::new(Reading { request: overlapped(null_mut()), bytes: [0; READ_BYTES], begun: false });
        Ok(Self { file, event: OwnedHandle::event()?, read, write: OwnedHandle::event()? })
    }

    /// Reads what is there, or waits for a read that was begun.
    fn read_once(&mut self, buffer: &mut [u8], milliseconds: u32) -> Result<usize, SystemError> {
        let reading = &mut *self.read;
        if !reading.begun {
            reading.request = overlapped(self.event.0);
            let (bytes, most) = (reading.bytes.as_mut_ptr(), buffer.len().min(READ_BYTES) as u32);
            // SAFETY: buffer and structure stay where they are until the request has completed, which `drop` waits for.
            let started = unsafe { api::ReadFile(self.file.0, bytes, most, null_mut(), &raw mut reading.request) };
            if started == 0 {
                let error = api::last_error();
                if error.0 != api::ERROR_IO_PENDING {
                    return Err(error);
                }
            }
            reading.begun = true;
        }
        // SAFETY: an event of its own.
        if unsafe { api::WaitForSingleObject(self.event.0, milliseconds) } != api::WAIT_OBJECT_0 {
            return Ok(0);
        }
        reading.begun = false;
        let mut count = 0;
        // SAFETY: the request that was started with this structure, which has completed.
        if unsafe { api::GetOverlappedResult(self.file.0, &raw mut reading.request, &raw mut count, 0) } == 0 {
            return Err(api::last_error());
        }
        let count = (count as usize).min(buffer.len());
        buffer[..count].copy_from_slice(&reading.bytes[..count]);
        Ok(count)
    }

    /// Waits for an overlapped request.
    fn result(&self, started: i32, overlapped: &mut Overlapped) -> Result<usize, SystemError> {
        if started == 0 {
            let error = api::last_error();
            if error.0 != api::ERROR_IO_PENDING {
                return Err(error);
            }
        }
        let mut bytes = 0;
        // SAFETY: the request that was started with this structure.
        match unsafe { api::GetOverlappedResult(self.file.0, &raw mut *overlapped, &raw mut bytes, 1) } {
            0 => Err(api::last_error()),
            _ => Ok(bytes as usize),
        }
    }
}

const fn overlapped(event: Handle) -> Overlapped {
    Overlapped { internal: 0, internal_high: 0, offset: 0, offset_high: 0, event }
}

impl Port for Serial {
    fn read(&mut self, buffer: &mut [u8], milliseconds: u32) -> Result<usize, SystemError> {
        let until = machine::ticks() + i64::from(milliseconds) * TICKS_A_MILLISECOND;
        loop {
            let count = self.read_once(buffer, milliseconds)?;
            if count > 0 || machine::ticks() >= until {
                return Ok(count);
            }
            // SAFETY: waits.
            unsafe { api::Sleep(POLL_MS) };
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SystemError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let mut request = overlapped(self.write.0);
            // SAFETY: as for reading.
            let started =
                unsafe { api::WriteFile(self.file.0, rest.as_ptr(), rest.len() as u32, null_mut(), &raw mut request) };
            let written = self.result(started, &mut request)?;
            if written == 0 {
                // What did not get through is sent again by the line.
                return Ok(());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        (machine::ticks() / TICKS_A_MILLISECOND).cast_unsigned()
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        if self.read.begun {
            let mut count = 0;
            // SAFETY: the request of this port and thread, whose end is waited for: its memory goes afterwards.
            unsafe {
                api::CancelIo(self.file.0);
                api::GetOverlappedResult(self.file.0, &raw mut self.read.request, &raw mut count, 1);
            }
        }
    }
}
