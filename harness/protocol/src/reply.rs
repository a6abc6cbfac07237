//! Replies of the guest, and failures of requests.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::driver::{DriverInfo, Import, PinFactory};
use crate::handle::Handle;
use crate::inspection::Inspection;
use crate::installation::RegisteredInterface;
use crate::memory::{Bulk, BulkAccess};
use crate::probe::{Figure, RuleState};
use crate::statistics::Statistics;
use crate::stream::CapturedEvent;

/// A reply to a request that succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The request has been carried out and returns no value.
    Done,
    /// The guest introduces itself.
    Hello {
        /// [`VERSION`](crate::VERSION) of the guest.
        version: u16,
        /// Name and version of the guest, for display: `nt-host 0.2.0`.
        guest: String,
        /// Guest-physical memory in bytes.
        memory: u64,
        /// How the harness reaches ranges of [`Request::AllocateBulk`](crate::Request::AllocateBulk).
        bulk: BulkAccess,
    },
    /// `DriverEntry` succeeded.
    DriverLoaded(DriverInfo),
    /// The device has started.
    DeviceStarted {
        /// PCI address and ids, for display: `00:03.0 1af4:1067`.
        device: String,
        /// The resources that the device was given, one per line, for display.
        resources: Vec<String>,
        /// The subdevices that the driver registered.
        subdevices: Vec<String>,
        /// The device interfaces that the driver registered.
        interfaces: Vec<RegisteredInterface>,
        /// The index of what the INF installs for the device, where there is an INF with a model for it.
        install: Option<u16>,
    },
    /// The filter is open.
    FilterOpened {
        /// The filter's handle.
        handle: Handle,
        /// Its pin factories, in order of id.
        pins: Vec<PinFactory>,
        /// Its nodes' types, as GUIDs are stored in memory.
        nodes: Vec<[u8; 16]>,
        /// Whether the guest has a data path for the streams of this kind of filter. Without one its pins are described,
        /// its properties answered, and no pin opens.
        data_path: bool,
    },
    /// The pin is open.
    PinCreated {
        /// The pin's handle.
        handle: Handle,
        /// The `SchedulePreFetch` that the miniport returned, in 100 ns units.
        schedule_prefetch: u64,
    },
    /// The driver completed the property request.
    Property {
        /// `NTSTATUS`.
        status: u32,
        /// The value, with the length that the driver returned.
        value: Vec<u8>,
        /// The length that the driver returned, which with `STATUS_BUFFER_OVERFLOW` is the length needed.
        length: u32,
    },
    /// The memory has been reserved.
    Bulk(Bulk),
    /// The stream has been played.
    Played {
        /// Frames in the PCM range.
        frames: u64,
        /// Events given to the miniport.
        events: u64,
        /// Counters over the playback.
        statistics: Statistics,
    },
    /// The driver is unloaded and has released everything.
    DriverUnloaded,
    /// Counters since boot.
    Statistics(Statistics),
    /// The contract, in order of rules.
    Contract(Vec<RuleState>),
    /// The probe has run without a violation.
    ProbePassed {
        /// Counts of the probe, by name.
        figures: Vec<Figure>,
    },
    /// Captured events.
    Captured {
        /// Events that reached the port's sink, in order.
        events: Vec<CapturedEvent>,
        /// Events that went to the allocator instead of a sink since the pin was opened.
        discarded: u64,
    },
    /// The range is mapped.
    UserMapping {
        /// Its user-mode address.
        address: u64,
    },
    /// The driver keeps the property request pending; the handle is valid until the answer has been taken.
    PropertyPending(Handle),
    /// What was read.
    Bytes(Vec<u8>),
    /// What the guest has in its books.
    Inspected(Inspection),
    /// SHA-256 of a range.
    Hash([u8; 32]),
    /// A program has ended.
    ProgramEnded {
        /// Its exit code.
        code: u32,
        /// What it wrote to standard output and standard error, at most [`LINE_BULK_BYTES_MAX`](crate::LINE_BULK_BYTES_MAX) bytes.
        output: Vec<u8>,
        /// Whether it wrote more, which is dropped.
        cut: bool,
    },
    /// A part of a file, and the length of the whole.
    FilePart {
        /// The bytes; fewer than were asked for at the end of the file.
        bytes: Vec<u8>,
        /// The file's length.
        length: u64,
    },
    /// The system's view of the device.
    DeviceProblem {
        /// Its device instance id.
        instance: String,
        /// The status flags (`DN_*`).
        status: u32,
        /// The problem code (`CM_PROB_*`); 0 for none.
        problem: u32,
    },
    /// The driver is installed; whether the system wants to be started anew first.
    Installed {
        /// Whether it does.
        reboot: bool,
    },
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// What failed, on what, and the remedy, for display.
    pub message: String,
}

/// What a message about missing imports says of each that a younger Windows has, before that Windows.
pub const CAME_WITH: &str = "it came with Windows";

/// The kind of a failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The request is invalid in this state: an unknown handle, or a wrong order.
    Request,
    /// The driver image cannot be loaded.
    Image,
    /// The driver imports functions that this guest does not export; all of them are listed.
    MissingImports(Vec<Import>),
    /// No device matches.
    NoDevice,
    /// The driver returned this `NTSTATUS`.
    Status(u32),
    /// The guest has not enough memory.
    Memory,
    /// A time-out ran out.
    Timeout,
    /// The driver needs a part of Windows that this guest does not have.
    NotHosted,
    /// This kind of guest cannot do that, whatever the driver; a case that needs it is skipped with this reason.
    Unsupported,
}
