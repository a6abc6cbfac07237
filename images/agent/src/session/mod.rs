//! A session: the harness's requests in order, and the handles that they opened.

mod memory;
mod pins;
mod play;
mod properties;

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use guest_protocol::{
    BulkAccess, DevicePower, DriverInfo, Failure, FailureKind, Handle, LINE_BULK_BYTES_MAX, RegisteredInterface, Reply,
    Request, Statistics, VERSION,
};
use sha2::{Digest as _, Sha256};

use self::memory::Ranges;
use self::pins::{Filter, Pin};
use crate::guid::CATEGORIES;
use crate::outlet::Outlet;
use crate::system::{DeviceChange, DeviceState, RawHandle, System, SystemError};

/// `CM_PROB_DISABLED`.
const PROBLEM_DISABLED: u32 = 22;

/// How long a device may take to show its interfaces after it was enabled, in 100 ns units.
const INTERFACES_LIMIT: i64 = 100_000_000;

/// Whose driver the agent drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The beginning of the device's hardware id: `PCI\VEN_1AF4&DEV_1067`.
    pub hardware_id: String,
    /// The path of the driver's image; `%NAME%` is replaced by variables of the environment.
    pub driver: String,
}

/// An open handle.
enum Open<R> {
    Filter(Filter),
    Pin(Pin<R>),
}

/// A session.
pub struct Session<R> {
    config: Config,
    handles: BTreeMap<u32, Open<R>>,
    last_handle: u32,
    ranges: Ranges,
    /// Property requests whose answers have not been taken, and the raw handle that each is of.
    pending: BTreeMap<u32, properties::Pending<R>>,
    /// The filters by the name of their subdevice.
    filters: Vec<(String, String)>,
    counts: Statistics,
}

/// Returns a failure of the harness's request.
fn request(message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Request, message: message.into() }
}

/// Returns what this kind of guest cannot do.
fn unsupported(message: impl Into<String>) -> Failure {
    Failure { kind: FailureKind::Unsupported, message: message.into() }
}

/// Returns a failure with a system's error, as the `NTSTATUS` that ntstatus.h has for it (`FACILITY_NTWIN32`).
fn failed(what: impl core::fmt::Display, error: SystemError) -> Failure {
    let status = if error.0 >> 16 == 0 { 0xc007_0000 | error.0 } else { error.0 };
    Failure { kind: FailureKind::Status(status), message: format!("{what}: system {error}") }
}

/// Returns the failure of a driver's status.
fn status(what: impl Into<String>, status: u32) -> Failure {
    Failure { kind: FailureKind::Status(status), message: what.into() }
}

fn no_handle(handle: Handle) -> Failure {
    request(format!("handle {} is not open", handle.0))
}

impl<R> Session<R> {
    /// Creates a session without open handles.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            handles: BTreeMap::new(),
            last_handle: 0,
            ranges: Ranges::default(),
            pending: BTreeMap::new(),
            filters: Vec::new(),
            counts: Statistics::default(),
        }
    }

    /// Serves a request of the harness.
    ///
    /// # Errors
    /// The [`Failure`] that is the answer.
    pub fn answer<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
        what: Request,
    ) -> Result<Reply, Failure> {
        match what {
            Request::Hello { version } => hello(system, version),
            Request::LoadDriver => self.load_driver(system),
            Request::StartDevice => self.start_device(system, outlet),
            Request::RestartDevice => self.restart_device(system, outlet),
            Request::StopDevice => self.stop_device(system),
            // The system unloads a driver whose last device is stopped.
            Request::UnloadDriver => Ok(Reply::DriverUnloaded),
            Request::OpenFilter { subdevice } => self.open_filter(system, outlet, &subdevice),
            Request::CreatePin { filter, pin, format } => self.create_pin(system, filter, pin, format),
            Request::SetState { pin, state } => self.set_state(system, outlet, pin, state).map(|()| Reply::Done),
            Request::Property(property) => self.property(system, outlet, &property),
            Request::BeginProperty(property) => self.begin_property(system, &property),
            Request::TakeProperty(handle) => self.take_property(system, handle),
            Request::CancelProperty(handle) => self.cancel_property(system, handle),
            Request::AllocateBulk { bytes } => self.ranges.allocate(bytes).map(Reply::Bulk),
            Request::FreeBulk(bulk) => self.ranges.free(bulk).map(|()| Reply::Done),
            Request::ReadBulk(bulk) => self.ranges.line_bytes(bulk).map(|bytes| Reply::Bytes(bytes.to_vec())),
            Request::WriteBulk { address, bytes } => self.ranges.write(address, &bytes).map(|()| Reply::Done),
            Request::HashBulk(bulk) => self.ranges.bytes(bulk).map(|bytes| Reply::Hash(Sha256::digest(bytes).into())),
            Request::MapUser { bulk, caller } => {
                properties::check_caller(caller)?;
                // The agent is the process.
                self.ranges.bytes(bulk).map(|_| Reply::UserMapping { address: bulk.address })
            }
            Request::PlayMidi(play) => self.play_midi(system, outlet, &play),
            Request::TakeCaptured { pin } => self.take_captured(system, pin),
            Request::Close(handle) => self.close(system, handle).map(|()| Reply::Done),
            Request::Statistics => Ok(Reply::Statistics(self.counts)),
            Request::Shutdown | Request::Reboot => Ok(Reply::Done),
            Request::RunProgram { line, limit_ms } => {
                let ended = system
                    .run(&line, limit_ms, LINE_BULK_BYTES_MAX as usize)
                    .map_err(|error| failed(format!("{line} does not start"), error))?;
                Ok(Reply::ProgramEnded { code: ended.code, output: ended.output, cut: ended.cut })
            }
            Request::ReadFile { path, offset, bytes } => {
                let read = system.read_file(&path, offset, bytes.min(LINE_BULK_BYTES_MAX));
                let (bytes, length) = read.map_err(|error| failed(format!("{path} cannot be read"), error))?;
                Ok(Reply::FilePart { bytes, length })
            }
            Request::InstallDriver { inf, hardware_id } => {
                let installed = system.install(&inf, &hardware_id);
                let reboot = installed.map_err(|error| {
                    failed(format!("{inf} does not install for {hardware_id}: setupapi.dev.log has the reason"), error)
                })?;
                Ok(Reply::Installed { reboot })
            }
            Request::RemoveDevice => {
                self.close_all(system);
                let device = self.device(system)?;
                system
                    .remove_device(&device.instance)
                    .map_err(|error| failed(format!("{} is not removed", device.instance), error))?;
                Ok(Reply::Done)
            }
            Request::DeviceProblem => {
                let DeviceState { instance, status, problem } = self.device(system)?;
                Ok(Reply::DeviceProblem { instance, status, problem })
            }
            Request::SetPower(DevicePower::D0 | DevicePower::D1 | DevicePower::D2 | DevicePower::D3) => {
                Err(unsupported("the system sets a device's power by itself: no program asks for it"))
            }
            Request::Play(_) | Request::PlayOn(_) => {
                Err(unsupported(format!("PCM is judged at the card's line-out: {}", pins::NO_WAVE)))
            }
            Request::Contract | Request::RunProbe(_) => {
                Err(unsupported("rules are checked by the NT host; here Driver Verifier checks"))
            }
            Request::Allocators { piece_bytes: 0 } => Ok(Reply::Done),
            Request::Allocators { .. } => Err(unsupported("the port cuts messages as it does")),
            Request::ConnectCapture { .. } => Err(unsupported("the port connects capture streams by itself")),
            Request::Starve { .. } => Err(unsupported("the port's allocator is out of reach")),
            Request::SurpriseRemoval => {
                Err(unsupported("a device is unplugged by QEMU, not by a program in the guest"))
            }
            Request::Peek { .. } | Request::Poke { .. } | Request::Inspect(_) => {
                Err(unsupported("the kernel's memory is out of a program's reach"))
            }
        }
    }

    /// Closes every handle, and frees every range.
    pub fn close_all<S: System<Request = R>>(&mut self, system: &mut S) {
        while let Some((&handle, _)) = self.handles.iter().rev().find(|(_, open)| matches!(open, Open::Pin(_))) {
            let _ = self.close(system, Handle(handle));
        }
        for (_, open) in core::mem::take(&mut self.handles) {
            if let Open::Filter(filter) = open {
                system.cancel(filter.raw);
                system.close(filter.raw);
            }
        }
        for (_, pending) in core::mem::take(&mut self.pending) {
            pending.give_up(system);
        }
        self.ranges = Ranges::default();
    }

    fn insert(&mut self, open: Open<R>) -> Handle {
        self.last_handle += 1;
        self.handles.insert(self.last_handle, open);
        Handle(self.last_handle)
    }

    fn raw(&self, handle: Handle) -> Result<RawHandle, Failure> {
        match self.handles.get(&handle.0) {
            Some(Open::Filter(filter)) => Ok(filter.raw),
            Some(Open::Pin(pin)) => Ok(pin.raw),
            None => Err(no_handle(handle)),
        }
    }

    /// Returns the one device that the agent is for.
    fn device<S: System<Request = R>>(&self, system: &mut S) -> Result<DeviceState, Failure> {
        let id = &self.config.hardware_id;
        let devices = system.devices(id).map_err(|error| failed("the devices cannot be listed", error))?;
        devices.into_iter().next().ok_or_else(|| Failure {
            kind: FailureKind::NoDevice,
            message: format!("no present device has the hardware id {id}"),
        })
    }

    /// Reads the driver's image as it is installed.
    fn load_driver<S: System<Request = R>>(&self, system: &mut S) -> Result<Reply, Failure> {
        let path = &self.config.driver;
        let (mut hash, mut offset) = (Sha256::new(), 0);
        loop {
            let read = system.read_file(path, offset, LINE_BULK_BYTES_MAX);
            let (bytes, length) = read.map_err(|error| Failure {
                kind: FailureKind::Image,
                message: format!("{path} cannot be read ({error}): is the driver installed?"),
            })?;
            hash.update(&bytes);
            offset += bytes.len() as u64;
            if bytes.is_empty() || offset >= length {
                let (file_bytes, sha256) = (offset as u32, hash.finalize().into());
                return Ok(Reply::DriverLoaded(DriverInfo {
                    file_bytes,
                    sha256,
                    base: 0,
                    image_bytes: 0,
                    imports: Vec::new(),
                }));
            }
        }
    }

    fn start_device<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
    ) -> Result<Reply, Failure> {
        let device = self.device(system)?;
        if device.problem == PROBLEM_DISABLED {
            self.change(system, &device, DeviceChange::Enable)?;
        }
        self.started(system, outlet)
    }

    fn restart_device<S: System<Request = R>>(
        &mut self,
        system: &mut S,
        outlet: &mut dyn Outlet,
    ) -> Result<Reply, Failure> {
        self.close_all(system);
        let device = self.device(system)?;
        self.change(system, &device, DeviceChange::Restart)?;
        self.started(system, outlet)
    }

    fn stop_device<S: System<Request = R>>(&mut self, system: &mut S) -> Result<Reply, Failure> {
        self.close_all(system);
        let device = self.device(system)?;
        self.change(system, &device, DeviceChange::Disable)?;
        let after = self.device(system)?;
        if after.problem == PROBLEM_DISABLED {
            return Ok(Reply::Done);
        }
        Err(request(format!(
            "{} has problem {} after it was disabled, not {PROBLEM_DISABLED}",
            after.instance, after.problem
        )))
    }

    fn change<S: System<Request = R>>(
        &self,
        system: &mut S,
        device: &DeviceState,
        change: DeviceChange,
    ) -> Result<(), Failure> {
        let changed = system.change_device(&device.instance, change);
        match changed.map_err(|error| failed(format!("{}: {change:?} fails", device.instance), error))? {
            false => Ok(()),
            true => Err(request(format!(
                "{}: {change:?} waits for a reboot: a handle is open, or the driver refuses",
                device.instance
            ))),
        }
    }

    /// Describes the device once it shows its interfaces.
    fn started<S: System<Request = R>>(&mut self, system: &mut S, outlet: &mut dyn Outlet) -> Result<Reply, Failure> {
        let until = system.now() + INTERFACES_LIMIT;
        let interfaces = loop {
            let found = self.find_filters(system)?;
            if !found.is_empty() || system.now() > until {
                break found;
            }
            outlet.pump(50);
        };
        let device = self.device(system)?;
        if device.problem != 0 || interfaces.is_empty() {
            return Err(Failure {
                kind: FailureKind::NoDevice,
                message: format!(
                    "{} has status {:#x}, problem {}, and {} device interfaces",
                    device.instance,
                    device.status,
                    device.problem,
                    interfaces.len()
                ),
            });
        }
        Ok(Reply::DeviceStarted {
            device: device.instance,
            resources: Vec::new(),
            subdevices: self.filters.iter().map(|(name, _)| name.clone()).collect(),
            interfaces,
            install: None,
        })
    }

    /// Finds the device's filters. A path ends in `#{category}\reference`, and begins with the device's instance id.
    fn find_filters<S: System<Request = R>>(&mut self, system: &mut S) -> Result<Vec<RegisteredInterface>, Failure> {
        let of_device = self.config.hardware_id.replace('\\', "#").to_ascii_lowercase();
        let mut interfaces = Vec::new();
        self.filters.clear();
        for category in CATEGORIES {
            let paths =
                system.interfaces(&category).map_err(|error| failed("device interfaces cannot be listed", error))?;
            for path in paths {
                if !path.to_ascii_lowercase().contains(&of_device) {
                    continue;
                }
                let reference = path.rsplit_once("}\\").map_or("", |(_, reference)| reference).to_owned();
                interfaces.push(RegisteredInterface { class: category, reference: reference.clone() });
                if !self.filters.iter().any(|(name, _)| name.eq_ignore_ascii_case(&reference)) {
                    self.filters.push((reference, path));
                }
            }
        }
        Ok(interfaces)
    }
}

fn hello<S: System>(system: &S, version: u16) -> Result<Reply, Failure> {
    if version != VERSION {
        return Err(request(format!(
            "the harness speaks version {version} of the guest protocol and this agent version {VERSION}: build both from one tree"
        )));
    }
    Ok(Reply::Hello {
        version: VERSION,
        guest: format!("dmus-agent {} on {}", env!("CARGO_PKG_VERSION"), system.name()),
        memory: system.memory(),
        bulk: BulkAccess::Line,
    })
}
