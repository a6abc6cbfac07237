//! The life of the program: in a console, or as a service.
#![allow(unsafe_code, reason = "the service manager is behind a foreign interface")]

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use dmus_agent::serve::{self, End};

use super::api::{self, ServiceStatus, ServiceTableEntry};
use super::layer::Layer;
use super::machine::{self, Machine};
use super::options::{self, Action, Options, USAGE};
use super::serial::Serial;
use super::text;

/// The service's name, and its name for people.
const SERVICE: &str = "dmus-agent";
const SERVICE_DISPLAY: &str = "DirectMusic test agent";

/// Exit codes: a wrong command line, what the system refuses, a port that is missing or fails.
const USAGE_ERROR: u32 = 2;
const SYSTEM_ERROR: u32 = 3;
const PORT_ERROR: u32 = 4;

/// How long the program waits for its port before it tries it again: another program may have it for a while.
const PORT_RETRY_MS: u32 = 1000;

/// How often it tries.
const PORT_TRIES: u32 = 60;

/// `SERVICE_WIN32_OWN_PROCESS`, `SERVICE_AUTO_START`, `SERVICE_ERROR_NORMAL`, `SERVICE_ALL_ACCESS`, `SC_MANAGER_ALL_ACCESS`.
const OWN_PROCESS: u32 = 0x10;
const AUTO_START: u32 = 2;
const ERROR_NORMAL: u32 = 1;
const SERVICE_ALL: u32 = 0xf01ff;
const MANAGER_ALL: u32 = 0xf003f;

/// `SERVICE_STOPPED`, `SERVICE_STOP_PENDING`, `SERVICE_RUNNING`; `SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN`.
const STOPPED: u32 = 1;
const STOP_PENDING: u32 = 3;
const RUNNING: u32 = 4;
const ACCEPTED: u32 = 5;

/// `SERVICE_CONTROL_STOP`, `SERVICE_CONTROL_SHUTDOWN`.
const CONTROL_STOP: u32 = 1;
const CONTROL_SHUTDOWN: u32 = 5;

/// `ERROR_SERVICE_SPECIFIC_ERROR`.
const SPECIFIC_ERROR: u32 = 1066;

/// `STD_ERROR_HANDLE`.
const STANDARD_ERROR: u32 = -12_i32 as u32;

/// Whether the service manager wants the end.
static STOP: AtomicBool = AtomicBool::new(false);

/// The handle by which the service reports its state to the service manager.
static STATUS: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(null_mut());

/// Prints a line to the console; a service has none.
pub(super) fn print(line: fmt::Arguments<'_>) {
    let line = format!("{line}\r\n");
    let mut written = 0;
    // SAFETY: bytes of a text, and a place for a number. What cannot be printed cannot be reported either.
    unsafe {
        let console = api::GetStdHandle(STANDARD_ERROR);
        api::WriteFile(console, line.as_ptr(), line.len() as u32, &raw mut written, null_mut());
    }
}

/// Runs the program. Returns its exit code.
pub(super) fn main() -> u32 {
    let words = options::words(&options::command_line());
    let options = match Options::parse(words.get(1..).unwrap_or_default()) {
        Ok(options) => options,
        Err(error) => {
            print(format_args!("dmus-agent: {error}\r\n{USAGE}"));
            return USAGE_ERROR;
        }
    };
    match options.action {
        Action::Help => {
            print(format_args!("{USAGE}"));
            0
        }
        Action::Serve => serve(&options),
        Action::Service => as_service(),
        Action::Install => said("the service is not installed", install(&options)),
        Action::Remove => said("the service is not removed", remove()),
    }
}

fn said(what: &str, result: Result<(), dmus_agent::system::SystemError>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            print(format_args!("dmus-agent: {what}: {error}"));
            SYSTEM_ERROR
        }
    }
}

/// Serves the harness until it asks for the end or the service manager does. A port that fails is opened again.
fn serve(options: &Options) -> u32 {
    let layer = match Layer::load(options.layer.as_deref()) {
        Ok(layer) => layer,
        Err((name, error)) => {
            print(format_args!("dmus-agent: {name} cannot be loaded: {error}"));
            return SYSTEM_ERROR;
        }
    };
    let mut machine = Machine { layer };
    let mut tries = 0;
    loop {
        let mut port = match Serial::open(&options.port) {
            Ok(port) => port,
            Err(error) => {
                tries += 1;
                if tries == PORT_TRIES || STOP.load(Ordering::Relaxed) {
                    print(format_args!("dmus-agent: {} cannot be opened: {error}", options.port));
                    return PORT_ERROR;
                }
                // SAFETY: waits.
                unsafe { api::Sleep(PORT_RETRY_MS) };
                continue;
            }
        };
        // SAFETY: reads a number of the process.
        let process = unsafe { api::GetCurrentProcessId() };
        let epoch = serve::epoch(&[machine::ticks().cast_unsigned(), process.into(), tries.into()]);
        match serve::serve(&mut machine, &mut port, &options.config, epoch, || STOP.load(Ordering::Relaxed)) {
            End::Asked => return 0,
            End::Port(error) => {
                print(format_args!("dmus-agent: {} fails: {error}", options.port));
                tries += 1;
                if tries >= PORT_TRIES {
                    return PORT_ERROR;
                }
                // SAFETY: waits.
                unsafe { api::Sleep(PORT_RETRY_MS) };
            }
        }
    }
}

fn as_service() -> u32 {
    let name = text::wide(SERVICE);
    let table = [
        ServiceTableEntry { name: name.as_ptr(), main: Some(service_main) },
        ServiceTableEntry { name: null(), main: None },
    ];
    // SAFETY: a table that ends with an empty entry. Returns when the service has stopped.
    if unsafe { api::StartServiceCtrlDispatcherW(table.as_ptr()) } != 0 {
        return 0;
    }
    let error = api::last_error();
    if error.0 == api::ERROR_FAILED_SERVICE_CONTROLLER_CONNECT {
        print(format_args!("dmus-agent: --service is for the service manager: run it without"));
        return USAGE_ERROR;
    }
    print(format_args!("dmus-agent: the service manager: {error}"));
    SYSTEM_ERROR
}

fn tell(state: u32, code: u32) {
    let status = ServiceStatus {
        kind: OWN_PROCESS,
        state,
        accepted: if state == RUNNING { ACCEPTED } else { 0 },
        exit_code: if code == 0 { 0 } else { SPECIFIC_ERROR },
        specific_exit_code: code,
        check_point: 0,
        wait_hint: 5000,
    };
    // SAFETY: the handle that the service manager gave, and a whole structure.
    unsafe { api::SetServiceStatus(STATUS.load(Ordering::Relaxed), &raw const status) };
}

unsafe extern "system" fn service_main(_: u32, _: *mut *mut u16) {
    // SAFETY: a name that ends with a zero, and a function that lives as long as the process.
    let handle = unsafe { api::RegisterServiceCtrlHandlerW(text::wide(SERVICE).as_ptr(), control) };
    STATUS.store(handle, Ordering::Relaxed);
    tell(RUNNING, 0);
    let words = options::words(&options::command_line());
    let code = Options::parse(words.get(1..).unwrap_or_default()).map_or(USAGE_ERROR, |options| serve(&options));
    tell(STOPPED, code);
}

unsafe extern "system" fn control(code: u32) {
    if matches!(code, CONTROL_STOP | CONTROL_SHUTDOWN) {
        STOP.store(true, Ordering::Relaxed);
        tell(STOP_PENDING, 0);
    } else {
        tell(if STOP.load(Ordering::Relaxed) { STOP_PENDING } else { RUNNING }, 0);
    }
}

/// A handle of the service manager's.
struct ServiceHandle(api::Handle);

impl ServiceHandle {
    fn new(handle: api::Handle) -> Result<Self, dmus_agent::system::SystemError> {
        if handle.is_null() { Err(api::last_error()) } else { Ok(Self(handle)) }
    }
}

impl Drop for ServiceHandle {
    fn drop(&mut self) {
        // SAFETY: its only owner.
        unsafe { api::CloseServiceHandle(self.0) };
    }
}

fn manager() -> Result<ServiceHandle, dmus_agent::system::SystemError> {
    // SAFETY: this machine's manager.
    ServiceHandle::new(unsafe { api::OpenSCManagerW(null(), null(), MANAGER_ALL) })
}

fn install(options: &Options) -> Result<(), dmus_agent::system::SystemError> {
    let mut path = [0; 1024];
    // SAFETY: room for so many units.
    if unsafe { api::GetModuleFileNameW(null_mut(), path.as_mut_ptr(), 1024) } == 0 {
        return Err(api::last_error());
    }
    let line: String = options.service_line(&text::narrow(&path));
    let manager = manager()?;
    let (name, display, line) = (text::wide(SERVICE), text::wide(SERVICE_DISPLAY), text::wide(&line));
    // SAFETY: texts that end with a zero; the account is LocalSystem.
    let service = ServiceHandle::new(unsafe {
        api::CreateServiceW(
            manager.0,
            name.as_ptr(),
            display.as_ptr(),
            SERVICE_ALL,
            OWN_PROCESS,
            AUTO_START,
            ERROR_NORMAL,
            line.as_ptr(),
            null(),
            null_mut(),
            null(),
            null(),
            null(),
        )
    })?;
    // SAFETY: a service of the manager's.
    if unsafe { api::StartServiceW(service.0, 0, null()) } == 0 { Err(api::last_error()) } else { Ok(()) }
}

fn remove() -> Result<(), dmus_agent::system::SystemError> {
    let manager = manager()?;
    // SAFETY: a name that ends with a zero.
    let service =
        ServiceHandle::new(unsafe { api::OpenServiceW(manager.0, text::wide(SERVICE).as_ptr(), SERVICE_ALL) })?;
    // SAFETY: a service of the manager's; a running one goes when it stops.
    if unsafe { api::DeleteService(service.0) } == 0 { Err(api::last_error()) } else { Ok(()) }
}
