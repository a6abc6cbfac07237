//! The ports of the rest of a sound card, and their miniports: Topology, WaveCyclic, WavePci and WaveRT. What their
//! streams are made of is not stated here: this crate is for music.

use core::ffi::c_void;

use crate::Opaque;
use crate::interface::IUnknown;
use crate::ks::KsDataFormat;
use crate::resource::IResourceList;
use crate::services::{IDmaChannel, IDmaChannelSlave, IMiniportTable, IPort, IPortTable, IServiceGroup};
use crate::status::NtStatus;
use crate::wdm::DeviceDescription;

interface! {
    /// The miniport of a topology filter, which has no streams. PASSIVE_LEVEL.
    IMiniportTopology, IMiniportTopologyTable: IMiniportTable {
        /// Brings the miniport up. The port is an `IPortTopology`, which adds nothing to [`IPort`].
        5 init "Init" (adapter: *mut IUnknown, resources: *mut IResourceList, port: *mut IPort) -> NtStatus;
    }
}

interface! {
    /// The port of a wave device with one cyclic buffer.
    IPortWaveCyclic, IPortWaveCyclicTable: IPortTable {
        /// Asks for the service of a group. Any IRQL.
        6 notify "Notify" (group: *mut IServiceGroup);
        /// Makes a channel of the system's DMA controller.
        7 new_slave_dma_channel "NewSlaveDmaChannel" (
            out: *mut *mut IDmaChannelSlave, outer: *mut IUnknown, resources: *mut IResourceList, index: u32,
            longest: u32, demand_mode: u8, speed: u32,
        ) -> NtStatus;
        /// Makes a channel of the device's own.
        8 new_master_dma_channel "NewMasterDmaChannel" (
            out: *mut *mut IDmaChannel, outer: *mut IUnknown, resources: *mut IResourceList, longest: u32, bits32: u8,
            bits64: u8, width: u32, speed: u32,
        ) -> NtStatus;
    }
}

interface! {
    /// The miniport of a wave device with one cyclic buffer. PASSIVE_LEVEL.
    IMiniportWaveCyclic, IMiniportWaveCyclicTable: IMiniportTable {
        /// Brings the miniport up.
        5 init "Init" (
            adapter: *mut IUnknown, resources: *mut IResourceList, port: *mut IPortWaveCyclic,
        ) -> NtStatus;
        /// Opens a stream, an `IMiniportWaveCyclicStream`, with its buffer and the group that its interrupts serve.
        6 new_stream "NewStream" (
            stream: *mut *mut c_void, outer: *mut IUnknown, pool: u32, pin: u32, capture: u8,
            format: *const KsDataFormat, channel: *mut *mut IDmaChannel, group: *mut *mut IServiceGroup,
        ) -> NtStatus;
    }
}

interface! {
    /// The port of a wave device with scatter-gather DMA.
    IPortWavePci, IPortWavePciTable: IPortTable {
        /// Asks for the service of a group. Any IRQL.
        6 notify "Notify" (group: *mut IServiceGroup);
        /// Makes a channel of the device's own.
        7 new_master_dma_channel "NewMasterDmaChannel" (
            out: *mut *mut IDmaChannel, outer: *mut IUnknown, pool: u32, resources: *mut IResourceList,
            scatter_gather: u8, bits32: u8, bits64: u8, ignore_count: u8, width: u32, speed: u32, longest: u32,
            port: u32,
        ) -> NtStatus;
    }
}

interface! {
    /// The miniport of a wave device with scatter-gather DMA. PASSIVE_LEVEL but for `Service`.
    IMiniportWavePci, IMiniportWavePciTable: IMiniportTable {
        /// Brings the miniport up, and puts its service group out with a reference.
        5 init "Init" (
            adapter: *mut IUnknown, resources: *mut IResourceList, port: *mut IPortWavePci,
            group: *mut *mut IServiceGroup,
        ) -> NtStatus;
        /// Opens a stream, an `IMiniportWavePciStream`, for the port's `IPortWavePciStream`.
        6 new_stream "NewStream" (
            stream: *mut *mut c_void, outer: *mut IUnknown, pool: u32, port_stream: *mut c_void, pin: u32, capture: u8,
            format: *const KsDataFormat, channel: *mut *mut IDmaChannel, group: *mut *mut IServiceGroup,
        ) -> NtStatus;
        /// Serves the miniport's group. DISPATCH_LEVEL.
        7 service "Service" ();
    }
}

interface! {
    /// The miniport of a wave device whose buffer its clients share. PASSIVE_LEVEL.
    IMiniportWaveRT, IMiniportWaveRTTable: IMiniportTable {
        /// Brings the miniport up. The port is an `IPortWaveRT`, which adds nothing to [`IPort`].
        5 init "Init" (adapter: *mut IUnknown, resources: *mut IResourceList, port: *mut IPort) -> NtStatus;
        /// Opens a stream, an `IMiniportWaveRTStream`, for the port's `IPortWaveRTStream`.
        6 new_stream "NewStream" (
            stream: *mut *mut c_void, port_stream: *mut Opaque, pin: u32, capture: u8, format: *const KsDataFormat,
        ) -> NtStatus;
        /// Describes the device's DMA.
        7 get_device_description "GetDeviceDescription" (description: *mut DeviceDescription) -> NtStatus;
    }
}
