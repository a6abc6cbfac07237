//! Requests of the harness.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::handle::Handle;
use crate::inspection::{Book, Space};
use crate::memory::Bulk;
use crate::probe::Probe;
use crate::property::{Caller, PropertyRequest};
use crate::stream::{KsState, Play, PlayMidi, StreamFormat};

/// A request to the guest. Each variant names its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Opens the session; the first request. → [`Reply::Hello`](crate::Reply::Hello)
    Hello {
        /// [`VERSION`](crate::VERSION) of the harness.
        version: u16,
    },
    /// Loads the driver image, resolves its imports and calls `DriverEntry`.
    /// → [`Reply::DriverLoaded`](crate::Reply::DriverLoaded)
    LoadDriver,
    /// Finds the driver's device, calls `AddDevice` and sends `IRP_MN_START_DEVICE`.
    /// → [`Reply::DeviceStarted`](crate::Reply::DeviceStarted)
    StartDevice,
    /// Opens a filter by the name of its subdevice. → [`Reply::FilterOpened`](crate::Reply::FilterOpened)
    OpenFilter {
        /// The name given to `PcRegisterSubdevice`.
        subdevice: String,
    },
    /// Creates a pin. → [`Reply::PinCreated`](crate::Reply::PinCreated)
    CreatePin {
        /// The filter.
        filter: Handle,
        /// The pin factory.
        pin: u32,
        /// The data format to connect with.
        format: StreamFormat,
    },
    /// Sets a pin's state (`KSPROPERTY_CONNECTION_STATE`), through all states between.
    /// → [`Reply::Done`](crate::Reply::Done)
    SetState {
        /// The pin.
        pin: Handle,
        /// The state.
        state: KsState,
    },
    /// Sends a property request and waits until the driver completes it. → [`Reply::Property`](crate::Reply::Property)
    Property(PropertyRequest),
    /// Reserves physically contiguous guest memory, zeroed. → [`Reply::Bulk`](crate::Reply::Bulk)
    AllocateBulk {
        /// Length in bytes.
        bytes: u64,
    },
    /// Frees a range of [`Request::AllocateBulk`]. → [`Reply::Done`](crate::Reply::Done)
    FreeBulk(Bulk),
    /// Streams events into a render pin and PCM out of a wave pin, both brought to `RUN` and back to `STOP`.
    /// [`Event::Progress`](crate::Event::Progress) is sent a few times a second. → [`Reply::Played`](crate::Reply::Played)
    Play(Play),
    /// Closes a pin or filter. → [`Reply::Done`](crate::Reply::Done)
    Close(Handle),
    /// Closes every handle and sends `IRP_MN_REMOVE_DEVICE`. → [`Reply::Done`](crate::Reply::Done)
    StopDevice,
    /// Calls the driver's `DriverUnload`, then checks for what the driver still holds.
    /// → [`Reply::DriverUnloaded`](crate::Reply::DriverUnloaded)
    UnloadDriver,
    /// Reads the guest's counters. → [`Reply::Statistics`](crate::Reply::Statistics)
    Statistics,
    /// Leaves by `isa-debug-exit` after answering. → [`Reply::Done`](crate::Reply::Done)
    Shutdown,
    /// Reads the rules of the contract, and how often each was checked since boot.
    /// → [`Reply::Contract`](crate::Reply::Contract)
    Contract,
    /// Drives the driver through the calls of a probe. A violation ends in a bug check.
    /// → [`Reply::ProbePassed`](crate::Reply::ProbePassed)
    RunProbe(Probe),
    /// Sets the longest part of a message that one event takes, for pins that are opened from now on: longer messages are
    /// sent in fragments, and allocators' buffers have this length where it exceeds an event's inline data.
    /// → [`Reply::Done`](crate::Reply::Done)
    Allocators {
        /// Bytes, at least 1; 0 selects the guest's default.
        piece_bytes: u16,
    },
    /// Takes the events that a capture pin has captured since the last such request.
    /// → [`Reply::Captured`](crate::Reply::Captured)
    TakeCaptured {
        /// The pin.
        pin: Handle,
    },
    /// Connects the port's sink to a capture stream, or disconnects it: opening connects, closing disconnects.
    /// → [`Reply::Done`](crate::Reply::Done)
    ConnectCapture {
        /// The pin.
        pin: Handle,
        /// Connect, not disconnect.
        connected: bool,
    },
    /// Empties a pin's allocator, or refills it. → [`Reply::Done`](crate::Reply::Done)
    Starve {
        /// The pin.
        pin: Handle,
        /// What the allocator no longer has.
        what: Starvation,
    },
    /// Sets the device's power state as the system does: streams pause on the way down and resume on the way up.
    /// → [`Reply::Done`](crate::Reply::Done)
    SetPower(DevicePower),
    /// Sends `IRP_MN_STOP_DEVICE`, then `IRP_MN_START_DEVICE` with the same resources, without a removal between.
    /// → [`Reply::DeviceStarted`](crate::Reply::DeviceStarted)
    RestartDevice,
    /// Removes the device: its registers read all ones from now on, and `IRP_MN_SURPRISE_REMOVAL` is sent. Handles stay
    /// open. → [`Reply::Done`](crate::Reply::Done)
    SurpriseRemoval,
    /// Maps a part of a range at a user-mode address of this kind of caller.
    /// → [`Reply::UserMapping`](crate::Reply::UserMapping)
    MapUser {
        /// The part, within a range of [`Request::AllocateBulk`].
        bulk: Bulk,
        /// The caller, which is a process.
        caller: Caller,
    },
    /// Sends a property request without waiting for a driver that keeps it pending.
    /// → [`Reply::Property`](crate::Reply::Property) or [`Reply::PropertyPending`](crate::Reply::PropertyPending)
    BeginProperty(PropertyRequest),
    /// Takes the answer of a pending property request, if the driver has completed it.
    /// → [`Reply::Property`](crate::Reply::Property) or [`Reply::PropertyPending`](crate::Reply::PropertyPending)
    TakeProperty(Handle),
    /// Cancels a pending property request, as the system does when a client goes away. → [`Reply::Done`](crate::Reply::Done)
    CancelProperty(Handle),
    /// Plays as [`Request::Play`] does, but leaves both pins in `RUN`. → [`Reply::Played`](crate::Reply::Played)
    PlayOn(Play),
    /// Streams events into a render pin whose filter gives no PCM. The pin is brought to `RUN` and left there, so that the
    /// device can send what it still holds; [`Request::SetState`] stops it. → [`Reply::Played`](crate::Reply::Played)
    PlayMidi(PlayMidi),
    /// Reads memory, ports or registers, in accesses of a width. An address that is not mapped is refused and does no harm; a
    /// register does what reading it does. → [`Reply::Bytes`](crate::Reply::Bytes)
    Peek {
        /// What the address is in.
        space: Space,
        /// The address, which the width divides.
        address: u64,
        /// Bytes, at most [`PEEK_BYTES_MAX`](crate::PEEK_BYTES_MAX); the width divides them.
        bytes: u32,
        /// Bytes of an access: 1, 2, 4 or 8.
        width: u8,
    },
    /// Writes memory, a port or a register, in one access. → [`Reply::Done`](crate::Reply::Done)
    Poke {
        /// What the address is in.
        space: Space,
        /// The address, which the width divides.
        address: u64,
        /// The value.
        value: u64,
        /// Bytes of the access: 1, 2, 4 or 8.
        width: u8,
    },
    /// Reads a part of the guest's books. → [`Reply::Inspected`](crate::Reply::Inspected)
    Inspect(Book),
    /// Reads a part of a range of [`Request::AllocateBulk`], at most [`LINE_BULK_BYTES_MAX`](crate::LINE_BULK_BYTES_MAX) bytes.
    /// → [`Reply::Bytes`](crate::Reply::Bytes)
    ReadBulk(Bulk),
    /// Writes into a range of [`Request::AllocateBulk`], at most [`LINE_BULK_BYTES_MAX`](crate::LINE_BULK_BYTES_MAX) bytes.
    /// → [`Reply::Done`](crate::Reply::Done)
    WriteBulk {
        /// Where.
        address: u64,
        /// What.
        bytes: Vec<u8>,
    },
    /// Hashes a part of a range of [`Request::AllocateBulk`]. → [`Reply::Hash`](crate::Reply::Hash)
    HashBulk(Bulk),
    /// Runs a program in the guest until it ends, or ends it after a time. → [`Reply::ProgramEnded`](crate::Reply::ProgramEnded)
    RunProgram {
        /// The command line; `%NAME%` is replaced by variables of the environment.
        line: String,
        /// The time, in milliseconds.
        limit_ms: u32,
    },
    /// Reads a part of a file of the guest. → [`Reply::FilePart`](crate::Reply::FilePart)
    ReadFile {
        /// Its path; `%NAME%` is replaced by variables of the environment.
        path: String,
        /// The offset of the first byte.
        offset: u64,
        /// Bytes, at most [`LINE_BULK_BYTES_MAX`](crate::LINE_BULK_BYTES_MAX).
        bytes: u32,
    },
    /// Installs the driver of an INF for every device with a hardware id. → [`Reply::Installed`](crate::Reply::Installed)
    InstallDriver {
        /// The path of the INF in the guest.
        inf: String,
        /// The hardware id: `PCI\VEN_1AF4&DEV_1067`.
        hardware_id: String,
    },
    /// Removes the device from the system's books, as a device manager does; it is found again by a scan.
    /// → [`Reply::Done`](crate::Reply::Done)
    RemoveDevice,
    /// Reads status and problem code of the device. → [`Reply::DeviceProblem`](crate::Reply::DeviceProblem)
    DeviceProblem,
    /// Starts the system anew after answering; the guest is then heard of with another epoch of its line.
    /// → [`Reply::Done`](crate::Reply::Done)
    Reboot,
}

/// What [`Request::Starve`] takes from an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Starvation {
    /// Nothing; what was taken is returned.
    Nothing,
    /// All buffers.
    Buffers,
    /// All events.
    Events,
}

/// A device power state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DevicePower {
    /// Fully on.
    D0,
    /// Light sleep.
    D1,
    /// Deeper sleep.
    D2,
    /// Off.
    D3,
}
