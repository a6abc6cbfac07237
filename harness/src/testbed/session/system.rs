//! Requests to a guest with a whole system: its programs, its files, the driver's installation, Driver Verifier.

use std::time::Duration;

use guest_protocol::{LINE_BULK_BYTES_MAX, Reply, Request};

use super::conversation::Session;
use super::error::SessionError;
use super::requests::unexpected;
use crate::machine::Health;

/// Longest file that is fetched over the line: some minutes. A dump of memory is read from its disk.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// What the time for a program leaves for its answer on the way.
const ANSWER_TIME: Duration = Duration::from_secs(2);

/// Exit codes of `verifier.exe` that mean success: done, and done with a reboot to come.
const VERIFIER_DONE: [u32; 2] = [0, 2];

/// A program of the guest's that has ended.
#[derive(Clone, Debug)]
pub struct ProgramEnded {
    /// Its exit code.
    pub code: u32,
    /// What it wrote.
    pub output: String,
}

/// The system's view of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProblem {
    /// Its device instance id.
    pub instance: String,
    /// The status flags (`DN_*`).
    pub status: u32,
    /// The problem code (`CM_PROB_*`); 0 for none.
    pub problem: u32,
}

impl<H: Health> Session<'_, H> {
    /// Runs a program in the guest for as long as a step may take.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn run_program(&mut self, line: &str) -> Result<ProgramEnded, SessionError> {
        let step = format!("run {line}");
        let limit_ms = u32::try_from(self.limit().saturating_sub(ANSWER_TIME).as_millis()).unwrap_or(u32::MAX);
        match self.call(&step, Request::RunProgram { line: line.into(), limit_ms }, |_, _| {})? {
            Reply::ProgramEnded { code, output, .. } => {
                Ok(ProgramEnded { code, output: String::from_utf8_lossy(&output).into_owned() })
            }
            other => Err(unexpected(&step, &other)),
        }
    }

    /// Reads a file of the guest.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`]; [`SessionError::Protocol`] for a file beyond 32 MiB.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>, SessionError> {
        let step = format!("read {path}");
        let mut file = Vec::new();
        loop {
            let request =
                Request::ReadFile { path: path.into(), offset: file.len() as u64, bytes: LINE_BULK_BYTES_MAX };
            match self.call(&step, request, |_, _| {})? {
                Reply::FilePart { length, .. } if length > FILE_BYTES_MAX => {
                    let what =
                        format!("it has {length} bytes, more than are fetched over the line: read it from its disk");
                    return Err(SessionError::Protocol { step, what });
                }
                Reply::FilePart { bytes, length } => {
                    // A log may grow meanwhile; what is not there any more is not waited for.
                    let is_last = bytes.is_empty();
                    file.extend(bytes);
                    if is_last || file.len() as u64 >= length {
                        return Ok(file);
                    }
                }
                other => return Err(unexpected(&step, &other)),
            }
        }
    }

    /// Installs a driver for every device with a hardware id. Returns whether the system wants to be started anew first.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn install_driver(&mut self, inf: &str, hardware_id: &str) -> Result<bool, SessionError> {
        let step = format!("install {inf}");
        let request = Request::InstallDriver { inf: inf.into(), hardware_id: hardware_id.into() };
        match self.call(&step, request, |_, _| {})? {
            Reply::Installed { reboot } => Ok(reboot),
            other => Err(unexpected(&step, &other)),
        }
    }

    /// Reads status and problem code of the device.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`].
    pub fn device_problem(&mut self) -> Result<DeviceProblem, SessionError> {
        const STEP: &str = "read the device's problem code";
        match self.call(STEP, Request::DeviceProblem, |_, _| {})? {
            Reply::DeviceProblem { instance, status, problem } => Ok(DeviceProblem { instance, status, problem }),
            other => Err(unexpected(STEP, &other)),
        }
    }

    /// Has Driver Verifier check a driver with its standard settings from the next start of the system on.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`]; [`SessionError::Protocol`] with the words of `verifier.exe`, where it refuses.
    pub fn set_verifier(&mut self, driver: &str) -> Result<(), SessionError> {
        let line = format!("verifier.exe /standard /driver {driver}");
        let ended = self.run_program(&line)?;
        if VERIFIER_DONE.contains(&ended.code) {
            return Ok(());
        }
        Err(SessionError::Protocol {
            step: line,
            what: format!("it ends with {}: {}", ended.code, ended.output.trim()),
        })
    }

    /// Checks that Driver Verifier checks a driver now: `verifier /query` names the drivers that are loaded and verified.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`]; [`SessionError::Protocol`] with the words of `verifier.exe`, where it does not.
    pub fn expect_verifier(&mut self, driver: &str) -> Result<(), SessionError> {
        const LINE: &str = "verifier.exe /query";
        let ended = self.run_program(LINE)?;
        if ended.code == 0 && ended.output.to_ascii_lowercase().contains(&driver.to_ascii_lowercase()) {
            return Ok(());
        }
        let what =
            format!("Driver Verifier does not check {driver}: it ends with {}: {}", ended.code, ended.output.trim());
        Err(SessionError::Protocol { step: LINE.into(), what })
    }

    /// Starts the guest's system anew, and waits until it is ready again.
    ///
    /// # Errors
    /// [`SessionError`], as for [`Session::call`] and [`Session::ready`].
    pub fn reboot(&mut self) -> Result<(), SessionError> {
        self.done("start the guest's system anew", Request::Reboot)?;
        self.ready().map(drop)
    }
}
