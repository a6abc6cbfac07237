//! The DMus port's interfaces (`dmusicks.h`).

use core::ffi::c_void;

use crate::ReferenceTime;
use crate::event::DmusKernelEvent;
use crate::interface::{IUnknown, IUnknownTable};
use crate::ks::{KsDataFormat, KsState};
use crate::resource::IResourceList;
use crate::services::{IMiniportTable, IPortTable, IServiceGroup};
use crate::status::NtStatus;

/// `DMUS_STREAM_TYPE`: what a stream carries.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmusStreamType(pub i32);

impl DmusStreamType {
    /// No stream.
    pub const INVALID: Self = Self(-1);
    /// Events to play.
    pub const MIDI_RENDER: Self = Self(0);
    /// Events captured.
    pub const MIDI_CAPTURE: Self = Self(1);
    /// Rendered PCM.
    pub const WAVE_SINK: Self = Self(2);
}

/// `SchedulePreFetch` of a miniport that schedules by itself: events are delivered as soon as they are there.
pub const DONT_HOLD_FOR_SEQUENCING: u64 = 0x8000_0000_0000_0000;

interface! {
    /// The DMus port driver.
    IPortDMus, IPortDMusTable: IPortTable {
        /// From a service routine: serve this group, or with null all of them. Any IRQL.
        6 notify "Notify" (group: *mut IServiceGroup);
        /// Names the miniport's group; to be called in `Init`, before the interrupt can come. PASSIVE_LEVEL.
        7 register_service_group "RegisterServiceGroup" (group: *mut IServiceGroup);
    }
}

interface! {
    /// The DMus miniport driver.
    IMiniportDMus, IMiniportDMusTable: IMiniportTable {
        /// Starts the device. `group` is given a reference for the port, or null. PASSIVE_LEVEL.
        5 init "Init" (
            adapter: *mut IUnknown, resources: *mut IResourceList, port: *mut IPortDMus,
            group: *mut *mut IServiceGroup,
        ) -> NtStatus;
        /// Never called by Windows.
        6 service "Service" ();
        /// Makes a stream. PASSIVE_LEVEL.
        7 new_stream "NewStream" (
            out: *mut *mut IMXF, outer: *mut IUnknown, pool: u32, pin: u32, kind: DmusStreamType,
            format: *const KsDataFormat, group: *mut *mut IServiceGroup, allocator: *mut IAllocatorMXF,
            clock: *mut IMasterClock, schedule_prefetch: *mut u64,
        ) -> NtStatus;
    }
}

interface! {
    /// A place that takes events.
    IMXF, IMXFTable: IUnknownTable {
        /// The new state. PASSIVE_LEVEL.
        3 set_state "SetState" (state: KsState) -> NtStatus;
        /// Takes an event, or a chain of them, and with it the duty to give it back to the allocator exactly once.
        /// Null is a request for service. DISPATCH_LEVEL.
        4 put_message "PutMessage" (event: *mut DmusKernelEvent) -> NtStatus;
        /// Says where a capture stream's events go. PASSIVE_LEVEL.
        5 connect_output "ConnectOutput" (sink: *mut IMXF) -> NtStatus;
        /// Ends that. PASSIVE_LEVEL.
        6 disconnect_output "DisconnectOutput" (sink: *mut IMXF) -> NtStatus;
    }
}

interface! {
    /// The allocator of a stream's events (`PutMessage`, slot 4). At most DISPATCH_LEVEL.
    IAllocatorMXF, IAllocatorMXFTable: IMXFTable {
        /// An event, zeroed but for its size.
        7 get_message "GetMessage" (out: *mut *mut DmusKernelEvent) -> NtStatus;
        /// Bytes of a buffer; constant. Only 16 bits of the result are defined.
        8 get_buffer_size "GetBufferSize" () -> u16;
        /// A buffer for long data.
        9 get_buffer "GetBuffer" (out: *mut *mut u8) -> NtStatus;
        /// Gives a buffer back that is in no event.
        10 put_buffer "PutBuffer" (buffer: *mut u8) -> NtStatus;
    }
}

interface! {
    /// The clock of all sequencing.
    IMasterClock, IMasterClockTable: IUnknownTable {
        /// The time. Any IRQL.
        3 get_time "GetTime" (out: *mut ReferenceTime) -> NtStatus;
    }
}

interface! {
    /// The interface of a wave-sink stream besides [`IMXF`], on the same virtual table.
    ISynthSinkDMus, ISynthSinkDMusTable: IMXFTable {
        /// Renders `length` frames, from frame `position`, into `buffer`. (The reference page has bytes; the public
        /// sample and user mode's `IDirectMusicSynth::Render` count frames.)
        7 render "Render" (buffer: *mut u8, length: u32, position: i64);
        /// Anchors the sample clock to master time. `start` (a `BOOL`) is set the first time in `RUN`.
        8 sync_to_master "SyncToMaster" (master_time: ReferenceTime, start: i32) -> NtStatus;
        /// The master time of a frame.
        9 sample_to_ref_time "SampleToRefTime" (sample: i64, out: *mut ReferenceTime) -> NtStatus;
        /// The frame at a master time.
        10 ref_time_to_sample "RefTimeToSample" (time: ReferenceTime, out: *mut i64) -> NtStatus;
    }
}

const _: () = assert!(size_of::<*mut c_void>() == size_of::<usize>());
