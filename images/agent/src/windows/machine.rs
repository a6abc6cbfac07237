//! The system, as a session needs it.
#![allow(unsafe_code, reason = "the system is behind a foreign interface")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use dmus_agent::guid::Guid;
use dmus_agent::system::{
    Buffers, Completion, DeviceChange, DeviceState, ProgramEnded, RawHandle, System, SystemError,
};

use super::kernel_streaming::{self, Sent};
use super::layer::Layer;
use super::{api, devices, files};

/// 100 ns units in a second.
const SECOND: i128 = 10_000_000;

/// Returns the time of the performance counter in 100 ns units.
pub(super) fn ticks() -> i64 {
    let (mut count, mut frequency) = (0, 1);
    // SAFETY: places for two numbers.
    unsafe {
        api::QueryPerformanceCounter(&raw mut count);
        api::QueryPerformanceFrequency(&raw mut frequency);
    }
    i64::try_from(i128::from(count) * SECOND / i128::from(frequency.max(1))).unwrap_or(i64::MAX)
}

/// The system.
pub(super) struct Machine {
    pub(super) layer: Layer,
}

impl System for Machine {
    type Request = Sent;

    fn name(&self) -> String {
        // SAFETY: all zero is valid.
        let mut version: api::OsVersionInfo = unsafe { core::mem::zeroed() };
        version.size = size_of::<api::OsVersionInfo>() as u32;
        // SAFETY: a structure of the size that it says.
        unsafe { api::GetVersionExW(&raw mut version) };
        let width = 8 * size_of::<usize>();
        format!("Windows {}.{}.{}, {width} bits", version.major, version.minor, version.build)
    }

    fn memory(&self) -> u64 {
        // SAFETY: all zero is valid.
        let mut status: api::MemoryStatus = unsafe { core::mem::zeroed() };
        status.length = size_of::<api::MemoryStatus>() as u32;
        // SAFETY: a structure of the size that it says.
        unsafe { api::GlobalMemoryStatusEx(&raw mut status) };
        status.total_physical
    }

    fn now(&self) -> i64 {
        ticks()
    }

    fn interfaces(&mut self, category: &Guid) -> Result<Vec<String>, SystemError> {
        devices::interfaces(&self.layer, category)
    }

    fn open(&mut self, path: &str) -> Result<RawHandle, SystemError> {
        kernel_streaming::open(&self.layer, path)
    }

    fn close(&mut self, handle: RawHandle) {
        // SAFETY: a handle of the session's, which forgets it.
        unsafe { (self.layer.close_handle)(kernel_streaming::handle(handle)) };
    }

    fn create_pin(&mut self, filter: RawHandle, connect: &[u8], for_writing: bool) -> Result<RawHandle, SystemError> {
        kernel_streaming::create_pin(&self.layer, filter, connect, for_writing)
    }

    fn begin(&mut self, handle: RawHandle, code: u32, buffers: Buffers) -> Sent {
        kernel_streaming::begin(&self.layer, handle, code, buffers)
    }

    fn completed(&mut self, request: &Sent) -> Option<Completion> {
        kernel_streaming::completed(request)
    }

    fn finish(&mut self, request: Sent) -> Buffers {
        kernel_streaming::finish(request)
    }

    fn abandon(&mut self, request: Sent) {
        kernel_streaming::abandon(request);
    }

    fn cancel(&mut self, handle: RawHandle) {
        // SAFETY: a handle of the session's; every request was sent by this thread.
        unsafe { (self.layer.cancel_io)(kernel_streaming::handle(handle)) };
    }

    fn run(&mut self, line: &str, limit_ms: u32, output_bytes_max: usize) -> Result<ProgramEnded, SystemError> {
        files::run(line, limit_ms, output_bytes_max)
    }

    fn read_file(&mut self, path: &str, offset: u64, bytes: u32) -> Result<(Vec<u8>, u64), SystemError> {
        files::read(path, offset, bytes)
    }

    fn devices(&mut self, hardware_id: &str) -> Result<Vec<DeviceState>, SystemError> {
        devices::devices(&self.layer, hardware_id)
    }

    fn change_device(&mut self, instance: &str, change: DeviceChange) -> Result<bool, SystemError> {
        devices::change(&self.layer, instance, change)
    }

    fn remove_device(&mut self, instance: &str) -> Result<(), SystemError> {
        devices::remove(&self.layer, instance)
    }

    fn install(&mut self, inf: &str, hardware_id: &str) -> Result<bool, SystemError> {
        devices::install(&self.layer, inf, hardware_id)
    }

    fn reboot(&mut self) -> Result<(), SystemError> {
        files::reboot()
    }
}
