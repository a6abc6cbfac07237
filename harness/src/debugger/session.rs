//! What the user wants of a debugger, and the session of one guest: its socket, its files, the sentences about it.

use std::path::{Path, PathBuf};

use guest_protocol::options::BREAK_ON;
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, PeFile64};

use super::break_at::BreakAt;
use super::break_on::BreakOn;
use super::error::DebuggerError;
use super::files::{Facts, write};
use super::lines::{DebugInformation, Lines};
use crate::host::file_error::FileError;
use crate::machine::stub::{Stub, StubSocket, Teller};

/// The name of the socket, where the user names none.
const SOCKET: &str = "gdb.sock";

/// What the user wants of a debugger.
#[derive(Clone, Debug)]
pub struct Debugging {
    /// Whether a debugger comes: the guest waits for it before its first instruction.
    pub attach: bool,
    /// The socket of QEMU's stub, if the user names it.
    pub socket: Option<StubSocket>,
    /// Lines of the driver's at which it stops, instead of in `DriverEntry`.
    pub break_at: Vec<BreakAt>,
    /// The rule at whose violation it stops.
    pub break_on: Option<BreakOn>,
    /// The checkout, by whose paths the project's own sources are found.
    pub root: Option<PathBuf>,
    /// The sources of the standard library, if they are there.
    pub library: Option<PathBuf>,
    /// The lldb that is here, if one is.
    pub lldb: Option<PathBuf>,
    /// Shows what happens.
    pub teller: Teller,
}

/// The images of a guest.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// The NT host.
    pub nt_host: &'a Path,
    /// The driver.
    pub driver: &'a Path,
}

/// The session of one guest.
#[derive(Debug)]
pub struct Session {
    stub: Stub,
    attach: bool,
    break_on: Option<BreakOn>,
    notes: Vec<String>,
}

impl Debugging {
    /// Prepares the session of one guest: checks the socket and the places, and writes the files into a folder. `sockets` is a folder
    /// for a socket that the user does not name.
    ///
    /// # Errors
    /// [`DebuggerError`] for a socket that cannot be used, a place that the driver has not, and files that cannot be written.
    pub fn prepare(&self, images: &Images<'_>, folder: &Path, sockets: &Path) -> Result<Session, DebuggerError> {
        self.prepare_for(images, folder, sockets, None)
    }

    /// Prepares the session of a guest that runs and has mapped its driver at an address, as [`prepare`](Self::prepare) does. Returns
    /// how a debugger is attached.
    ///
    /// # Errors
    /// [`DebuggerError`] as for [`prepare`](Self::prepare).
    pub fn prepare_running(
        &self,
        images: &Images<'_>,
        folder: &Path,
        mapped: Option<u64>,
    ) -> Result<String, DebuggerError> {
        Ok(self.prepare_for(images, folder, folder, mapped)?.stub.how_to_attach)
    }

    fn prepare_for(
        &self,
        images: &Images<'_>,
        folder: &Path,
        sockets: &Path,
        mapped: Option<u64>,
    ) -> Result<Session, DebuggerError> {
        let socket = self.socket.clone().unwrap_or_else(|| StubSocket::Unix(sockets.join(SOCKET))).absolute()?;
        socket.check()?;
        let lines = Lines::read(images.driver).map_err(FileError::input(images.driver))?;
        for place in &self.break_at {
            place.check(images.driver, &lines)?;
        }
        let (image_base, entry) = entry_of(images.driver)?;
        let facts = Facts {
            nt_host: absolute(images.nt_host)?,
            driver: absolute(images.driver)?,
            image_base,
            entry,
            socket: &socket,
            source_map: self.source_map(),
            break_at: &self.break_at,
            break_on: self.break_on,
            has_pdb: lines.from() == DebugInformation::Pdb,
            mapped,
        };
        let folder = absolute(folder)?;
        let written = write(&folder, &facts)?;
        let how_to_attach = written.commands(self.lldb.as_deref());
        let mut notes = Vec::new();
        if self.attach
            && let Some(reason) = lines.missing()
        {
            notes.push(format!(
                "{} shows no lines in a debugger: {reason}; the guest stops at its entry point",
                images.driver.display()
            ));
        }
        let stub = Stub {
            socket,
            wait: self.attach,
            pausable: self.break_on.is_some() && !self.attach,
            how_to_attach,
            teller: self.teller.clone(),
        };
        Ok(Session { stub, attach: self.attach, break_on: self.break_on, notes })
    }

    /// Returns which paths of the debug information are which folders here: the project's own image has paths of no machine.
    fn source_map(&self) -> Vec<(String, PathBuf)> {
        let map = |from: &str, to: Option<&PathBuf>| Some((from.to_owned(), std::path::absolute(to?).ok()?));
        [map("/dmus", self.root.as_ref()), map("/rust/library", self.library.as_ref())].into_iter().flatten().collect()
    }
}

impl Session {
    /// Returns the stub, for the machine.
    #[must_use]
    pub const fn stub(&self) -> &Stub {
        &self.stub
    }

    /// Returns the guest's options, lines of `name=value`: without a debugger the guest itself pauses at a violation.
    #[must_use]
    pub fn guest_options(&self) -> String {
        let rule = self.break_on.filter(|_| !self.attach);
        rule.map_or_else(String::new, |rule| format!("{BREAK_ON}={rule}\n"))
    }

    /// Says that the machine waits for a debugger, and how one is attached.
    pub fn announce(&self) {
        let Stub { teller, how_to_attach, .. } = &self.stub;
        self.notes.iter().for_each(|note| teller.tell(&format!("warning: {note}")));
        if self.attach {
            teller
                .tell(&format!("the guest waits for a debugger; time limits wait with it. Run one of:{how_to_attach}"));
        }
    }
}

/// Returns a path from the root: scripts are run in any folder.
fn absolute(path: &Path) -> Result<PathBuf, FileError> {
    std::path::absolute(path).map_err(FileError::input(path))
}

/// Returns the address that an image is linked for, and the offset of its entry point.
fn entry_of(driver: &Path) -> Result<(u64, u32), DebuggerError> {
    let bytes = std::fs::read(driver).map_err(FileError::input(driver))?;
    let image = |error: object::Error| DebuggerError::Image { driver: driver.into(), reason: error.to_string() };
    let file = PeFile64::parse(&*bytes).map_err(image)?;
    let header = file.nt_headers().optional_header();
    Ok((header.image_base(), header.address_of_entry_point()))
}
