//! What a session needs of the system that it runs on.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::guid::Guid;

/// A handle of the system's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawHandle(pub usize);

/// The completion of an I/O request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// `NTSTATUS`.
    pub status: u32,
    /// `Information`: bytes, as a rule.
    pub information: usize,
}

impl Completion {
    /// Returns whether it succeeded; a warning did not.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.status >> 30 == 0
    }
}

/// The memory of an I/O request, which the driver may use until it completes the request.
#[derive(Debug, Default)]
pub struct Buffers {
    /// The input.
    pub input: Box<[u8]>,
    /// The output, or the headers of a stream.
    pub output: Box<[u8]>,
    /// What a header points to.
    pub data: Box<[u8]>,
}

/// A program that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramEnded {
    /// Its exit code.
    pub code: u32,
    /// What it wrote, up to the limit.
    pub output: Vec<u8>,
    /// Whether it wrote more.
    pub cut: bool,
}

/// A device in the system's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceState {
    /// Its device instance id.
    pub instance: String,
    /// `DN_*`.
    pub status: u32,
    /// `CM_PROB_*`; 0 for none.
    pub problem: u32,
}

/// A change of a device's state (`DICS_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChange {
    /// Enables it.
    Enable,
    /// Disables it.
    Disable,
    /// Stops it and starts it again.
    Restart,
}

/// A system error: a Win32 code, or one of setup's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {0:#x}")]
pub struct SystemError(pub u32);

/// The system. All calls are of one thread.
pub trait System {
    /// An I/O request that has been sent.
    type Request;

    /// Returns the name and version of the system, for display.
    fn name(&self) -> String;
    /// Returns the bytes of memory.
    fn memory(&self) -> u64;
    /// Returns the time of a steady clock in 100 ns units.
    fn now(&self) -> i64;
    /// Returns the paths of the present device interfaces of a category.
    ///
    /// # Errors
    /// The system's.
    fn interfaces(&mut self, category: &Guid) -> Result<Vec<String>, SystemError>;
    /// Opens a device interface for overlapped reading and writing.
    ///
    /// # Errors
    /// The system's.
    fn open(&mut self, path: &str) -> Result<RawHandle, SystemError>;
    /// Closes a filter or pin.
    fn close(&mut self, handle: RawHandle);
    /// Calls `KsCreatePin`, for writing or for reading.
    ///
    /// # Errors
    /// The system's.
    fn create_pin(&mut self, filter: RawHandle, connect: &[u8], for_writing: bool) -> Result<RawHandle, SystemError>;
    /// Sends an I/O control request.
    fn begin(&mut self, handle: RawHandle, code: u32, buffers: Buffers) -> Self::Request;
    /// Returns the completion of a request, if it has completed.
    fn completed(&mut self, request: &Self::Request) -> Option<Completion>;
    /// Takes the memory of a completed request.
    fn finish(&mut self, request: Self::Request) -> Buffers;
    /// Gives up a request that the driver keeps: its memory stays, for the driver may still use it.
    fn abandon(&mut self, request: Self::Request);
    /// Cancels every request of a handle.
    fn cancel(&mut self, handle: RawHandle);
    /// Runs a program until it ends, or ends it after a time.
    ///
    /// # Errors
    /// The system's; none of the program's.
    fn run(&mut self, line: &str, limit_ms: u32, output_bytes_max: usize) -> Result<ProgramEnded, SystemError>;
    /// Reads a part of a file. Returns it with the file's length.
    ///
    /// # Errors
    /// The system's.
    fn read_file(&mut self, path: &str, offset: u64, bytes: u32) -> Result<(Vec<u8>, u64), SystemError>;
    /// Returns the present devices with a hardware id that begins so, without regard to case.
    ///
    /// # Errors
    /// The system's.
    fn devices(&mut self, hardware_id: &str) -> Result<Vec<DeviceState>, SystemError>;
    /// Changes a device's state. Returns whether the system wants to be started anew for it.
    ///
    /// # Errors
    /// The system's.
    fn change_device(&mut self, instance: &str, change: DeviceChange) -> Result<bool, SystemError>;
    /// Removes a device from the books.
    ///
    /// # Errors
    /// The system's.
    fn remove_device(&mut self, instance: &str) -> Result<(), SystemError>;
    /// Installs a driver. Returns whether the system wants to be started anew first.
    ///
    /// # Errors
    /// The system's.
    fn install(&mut self, inf: &str, hardware_id: &str) -> Result<bool, SystemError>;
    /// Starts the system anew.
    ///
    /// # Errors
    /// The system's.
    fn reboot(&mut self) -> Result<(), SystemError>;
}
