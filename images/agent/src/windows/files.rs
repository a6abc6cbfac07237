//! Files, programs, and the end of the system.
#![allow(unsafe_code, reason = "the system is behind a foreign interface")]

use alloc::string::String;
use alloc::vec::Vec;
use core::ptr::{null, null_mut};

use dmus_agent::system::{ProgramEnded, SystemError};

use super::api::{self, OwnedHandle, ProcessInformation, SecurityAttributes, StartupInfo, TokenPrivileges};
use super::{machine, text};

/// The exit code of a program that is ended when its time is over: `WAIT_TIMEOUT`.
const TIMED_OUT: u32 = 258;

/// `HANDLE_FLAG_INHERIT`, `STARTF_USESTDHANDLES`, `CREATE_NO_WINDOW`.
const INHERIT: u32 = 1;
const USE_HANDLES: u32 = 0x100;
const NO_WINDOW: u32 = 0x0800_0000;

/// `TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY`, `SE_PRIVILEGE_ENABLED`.
const TOKEN_ACCESS: u32 = 0x28;
const ENABLED: u32 = 2;

/// Units of a text with its variables replaced: the longest command line.
const EXPANDED_UNITS: u32 = 32_768;

/// How often a running program's output is looked at.
const POLL_MS: u32 = 10;

/// Replaces `%NAME%` by variables of the environment.
fn expand(source: &str) -> Result<String, SystemError> {
    let mut target = alloc::vec![0; EXPANDED_UNITS as usize];
    // SAFETY: a text that ends with a zero, and room for so many units.
    let units =
        unsafe { api::ExpandEnvironmentStringsW(text::wide(source).as_ptr(), target.as_mut_ptr(), EXPANDED_UNITS) };
    match units {
        0 => Err(api::last_error()),
        units if units > EXPANDED_UNITS => Err(SystemError(api::ERROR_INSUFFICIENT_BUFFER)),
        _ => Ok(text::narrow(&target)),
    }
}

/// Reads a part of a file.
pub(super) fn read(path: &str, offset: u64, bytes: u32) -> Result<(Vec<u8>, u64), SystemError> {
    let path = text::wide(&expand(path)?);
    // SAFETY: the path ends with a zero. A process that writes a log has it open, too.
    let file = unsafe {
        api::CreateFileW(
            path.as_ptr(),
            api::GENERIC_READ,
            api::FILE_SHARE_ALL,
            null(),
            api::OPEN_EXISTING,
            0,
            null_mut(),
        )
    };
    if file == api::INVALID_HANDLE {
        return Err(api::last_error());
    }
    let file = OwnedHandle(file);
    let mut length = 0;
    let mut buffer = alloc::vec![0; bytes as usize];
    let mut count = 0;
    // SAFETY: an open file, places for numbers, and room for so many bytes.
    unsafe {
        if api::GetFileSizeEx(file.0, &raw mut length) == 0
            || api::SetFilePointerEx(file.0, offset.cast_signed(), null_mut(), 0) == 0
            || api::ReadFile(file.0, buffer.as_mut_ptr(), bytes, &raw mut count, null_mut()) == 0
        {
            let error = api::last_error();
            if error.0 != api::ERROR_HANDLE_EOF {
                return Err(error);
            }
        }
    }
    buffer.truncate(count as usize);
    Ok((buffer, length.cast_unsigned()))
}

/// What a program writes.
struct Output {
    pipe: OwnedHandle,
    bytes: Vec<u8>,
    most: usize,
    cut: bool,
}

impl Output {
    /// Reads what is there. Returns whether there was something.
    fn read(&mut self) -> bool {
        let mut available = 0;
        // SAFETY: a place for a number; nothing is read.
        let there =
            unsafe { api::PeekNamedPipe(self.pipe.0, null_mut(), 0, null_mut(), &raw mut available, null_mut()) };
        if there == 0 || available == 0 {
            return false;
        }
        let mut buffer = [0; 4096];
        let mut count = 0;
        // SAFETY: room for so many bytes, some of which are there.
        unsafe { api::ReadFile(self.pipe.0, buffer.as_mut_ptr(), 4096, &raw mut count, null_mut()) };
        let taken = (count as usize).min(self.most - self.bytes.len());
        self.bytes.extend(&buffer[..taken]);
        self.cut |= taken < count as usize;
        count > 0
    }
}

/// Runs a program until it ends.
pub(super) fn run(line: &str, limit_ms: u32, most: usize) -> Result<ProgramEnded, SystemError> {
    let mut line = text::wide(&expand(line)?);
    let inherited =
        SecurityAttributes { length: size_of::<SecurityAttributes>() as u32, descriptor: null_mut(), inherit: 1 };
    let (mut ours, mut theirs) = (null_mut(), null_mut());
    // SAFETY: places for two handles.
    if unsafe { api::CreatePipe(&raw mut ours, &raw mut theirs, &raw const inherited, 0) } == 0 {
        return Err(api::last_error());
    }
    let (pipe, theirs) = (OwnedHandle(ours), OwnedHandle(theirs));
    let mut output = Output { pipe, bytes: Vec::new(), most, cut: false };
    // SAFETY: all zero are valid structures.
    let (mut startup, mut information): (StartupInfo, ProcessInformation) = unsafe { core::mem::zeroed() };
    startup.size = size_of::<StartupInfo>() as u32;
    startup.flags = USE_HANDLES;
    (startup.output, startup.error) = (theirs.0, theirs.0);
    // SAFETY: the line is ours to be written to; the structures are whole.
    let started = unsafe {
        api::SetHandleInformation(output.pipe.0, INHERIT, 0);
        api::CreateProcessW(
            null(),
            line.as_mut_ptr(),
            null(),
            null(),
            1,
            NO_WINDOW,
            null(),
            null(),
            &raw const startup,
            &raw mut information,
        )
    };
    if started == 0 {
        return Err(api::last_error());
    }
    drop(theirs);
    let (process, _thread) = (OwnedHandle(information.process), OwnedHandle(information.thread));
    let until = machine::ticks() + i64::from(limit_ms) * 10_000;
    // SAFETY: a handle of the process.
    while unsafe { api::WaitForSingleObject(process.0, POLL_MS) } != api::WAIT_OBJECT_0 {
        while output.read() {}
        if machine::ticks() > until {
            // SAFETY: a handle of the process.
            unsafe {
                api::TerminateProcess(process.0, TIMED_OUT);
                api::WaitForSingleObject(process.0, api::INFINITE);
            }
        }
    }
    while output.read() {}
    let mut code = 0;
    // SAFETY: a handle of the process, and a place for a number.
    if unsafe { api::GetExitCodeProcess(process.0, &raw mut code) } == 0 {
        return Err(api::last_error());
    }
    Ok(ProgramEnded { code, output: output.bytes, cut: output.cut })
}

/// Starts the system anew.
pub(super) fn reboot() -> Result<(), SystemError> {
    let mut token = null_mut();
    let mut privileges = TokenPrivileges { count: 1, luid: [0; 2], attributes: ENABLED };
    // SAFETY: places for a handle and an identifier; texts that end with a zero.
    unsafe {
        if api::OpenProcessToken(api::GetCurrentProcess(), TOKEN_ACCESS, &raw mut token) == 0 {
            return Err(api::last_error());
        }
        let token = OwnedHandle(token);
        let name = text::wide("SeShutdownPrivilege");
        if api::LookupPrivilegeValueW(null(), name.as_ptr(), &raw mut privileges.luid) == 0
            || api::AdjustTokenPrivileges(token.0, 0, &raw const privileges, 0, null_mut(), null_mut()) == 0
            || api::InitiateSystemShutdownW(null(), null(), 0, 1, 1) == 0
        {
            return Err(api::last_error());
        }
    }
    Ok(())
}
