//! The objects that PortCls offers to a miniport, and the interfaces that all kinds of miniports share.

use core::ffi::c_void;

use crate::Opaque;
use crate::descriptor::PcFilterDescriptor;
use crate::guid::Guid;
use crate::interface::{IUnknown, IUnknownTable};
use crate::ks::KsDataRange;
use crate::resource::IResourceList;
use crate::status::NtStatus;

interface! {
    /// Something that is served from a deferred procedure call.
    IServiceSink, IServiceSinkTable: IUnknownTable {
        /// Serve. DISPATCH_LEVEL.
        3 request_service "RequestService" ();
    }
}

interface! {
    /// A group of sinks that a deferred procedure call serves together. It is a sink itself: `RequestService` (slot 3)
    /// may be called at any IRQL and queues the call; requests that come while it is queued collapse into one.
    IServiceGroup, IServiceGroupTable: IServiceSinkTable {
        /// Adds a sink and a reference to it. PASSIVE_LEVEL.
        4 add_member "AddMember" (sink: *mut IServiceSink) -> NtStatus;
        /// Removes a sink and the reference. PASSIVE_LEVEL.
        5 remove_member "RemoveMember" (sink: *mut IServiceSink);
        /// Prepares for delayed requests; to be called once before the next. At most DISPATCH_LEVEL.
        6 support_delayed_service "SupportDelayedService" ();
        /// Asks for service later: 100 ns units, relative if negative.
        7 request_delayed_service "RequestDelayedService" (delay: u64);
        /// Takes the delayed request back.
        8 cancel_delayed_service "CancelDelayedService" ();
    }
}

/// An interrupt service routine or a routine synchronised with one. As a service routine it runs at the device's IRQL
/// and answers success for "mine and handled", any failure for "not mine".
pub type InterruptSyncRoutine = unsafe extern "system" fn(sync: *mut IInterruptSync, context: *mut c_void) -> NtStatus;

/// `INTERRUPTSYNCMODE`: how several service routines on one interrupt take turns.
pub mod interrupt_sync_mode {
    /// Until one returns that the interrupt was its own.
    pub const NORMAL: u32 = 1;
    /// Each once.
    pub const ALL: u32 = 2;
    /// Whole rounds, until a round in which none returns that the interrupt was its own.
    pub const REPEAT: u32 = 3;
}

interface! {
    /// An interrupt.
    IInterruptSync, IInterruptSyncTable: IUnknownTable {
        /// Runs a routine at the device's IRQL. At most that IRQL.
        3 call_synchronized_routine "CallSynchronizedRoutine" (
            routine: InterruptSyncRoutine,
            context: *mut c_void,
        ) -> NtStatus;
        /// The `KINTERRUPT`. Any IRQL.
        4 get_kinterrupt "GetKInterrupt" () -> *mut Opaque;
        /// Connects. The service routine may run before this returns. PASSIVE_LEVEL.
        5 connect "Connect" () -> NtStatus;
        /// Disconnects. PASSIVE_LEVEL.
        6 disconnect "Disconnect" ();
        /// Adds a service routine, at the end or (`first` not 0) at the beginning. There is no way to remove it.
        7 register_service_routine "RegisterServiceRoutine" (
            routine: InterruptSyncRoutine,
            context: *mut c_void,
            first: u8,
        ) -> NtStatus;
    }
}

interface! {
    /// A DMA buffer (WaveCyclic's and WavePci's; DMus ports have none).
    IDmaChannel, IDmaChannelTable: IUnknownTable {
        /// Allocates the common buffer.
        3 allocate_buffer "AllocateBuffer" (bytes: u32, constraint: *mut i64) -> NtStatus;
        /// Frees it.
        4 free_buffer "FreeBuffer" ();
        /// Bytes of the last transfer.
        5 transfer_count "TransferCount" () -> u32;
        /// Largest buffer.
        6 maximum_buffer_size "MaximumBufferSize" () -> u32;
        /// Bytes allocated.
        7 allocated_buffer_size "AllocatedBufferSize" () -> u32;
        /// Bytes in use.
        8 buffer_size "BufferSize" () -> u32;
        /// Sets the bytes in use.
        9 set_buffer_size "SetBufferSize" (bytes: u32);
        /// The buffer's virtual address.
        10 system_address "SystemAddress" () -> *mut c_void;
        /// The buffer's physical address, through a hidden pointer: a C++ method that gives a structure by value does
        /// so in Microsoft's convention.
        11 physical_address "PhysicalAddress" (result: *mut i64) -> *mut i64;
        /// The `DMA_ADAPTER`.
        12 get_adapter_object "GetAdapterObject" () -> *mut Opaque;
        /// Copies samples into the buffer.
        13 copy_to "CopyTo" (destination: *mut c_void, source: *const c_void, bytes: u32);
        /// Copies samples out of the buffer.
        14 copy_from "CopyFrom" (destination: *mut c_void, source: *const c_void, bytes: u32);
    }
}

interface! {
    /// A slave DMA channel.
    IDmaChannelSlave, IDmaChannelSlaveTable: IDmaChannelTable {
        /// Starts.
        15 start "Start" (map_size: u32, write_to_device: u8) -> NtStatus;
        /// Stops.
        16 stop "Stop" () -> NtStatus;
        /// The counter.
        17 read_counter "ReadCounter" () -> u32;
        /// Waits for the terminal count.
        18 wait_for_tc "WaitForTC" (timeout: u32) -> NtStatus;
    }
}

interface! {
    /// A registry key. PASSIVE_LEVEL.
    IRegistryKey, IRegistryKeyTable: IUnknownTable {
        /// `ZwQueryKey`.
        3 query_key "QueryKey" (class: u32, information: *mut c_void, length: u32, result: *mut u32) -> NtStatus;
        /// `ZwEnumerateKey`.
        4 enumerate_key "EnumerateKey" (
            index: u32, class: u32, information: *mut c_void, length: u32, result: *mut u32,
        ) -> NtStatus;
        /// `ZwQueryValueKey`.
        5 query_value_key "QueryValueKey" (
            name: *mut Opaque, class: u32, information: *mut c_void, length: u32, result: *mut u32,
        ) -> NtStatus;
        /// `ZwEnumerateValueKey`.
        6 enumerate_value_key "EnumerateValueKey" (
            index: u32, class: u32, information: *mut c_void, length: u32, result: *mut u32,
        ) -> NtStatus;
        /// `ZwSetValueKey`.
        7 set_value_key "SetValueKey" (name: *mut Opaque, kind: u32, data: *mut c_void, length: u32) -> NtStatus;
        /// `RtlQueryRegistryValues`.
        8 query_registry_values "QueryRegistryValues" (table: *mut Opaque, context: *mut c_void) -> NtStatus;
        /// Opens or creates a key below.
        9 new_sub_key "NewSubKey" (
            out: *mut *mut IRegistryKey, outer: *mut IUnknown, access: u32, name: *mut Opaque, options: u32,
            disposition: *mut u32,
        ) -> NtStatus;
        /// Deletes the key.
        10 delete_key "DeleteKey" () -> NtStatus;
    }
}

interface! {
    /// A port driver object, from `PcNewPort`. PASSIVE_LEVEL.
    IPort, IPortTable: IUnknownTable {
        /// Binds the port to a miniport. Adapter and resources are passed on to the miniport's `Init` as they are.
        3 init "Init" (
            device: *mut Opaque, irp: *mut Opaque, miniport: *mut IUnknown, adapter: *mut IUnknown,
            resources: *mut IResourceList,
        ) -> NtStatus;
        /// `IoGetDeviceProperty` of the device.
        4 get_device_property "GetDeviceProperty" (
            property: u32, length: u32, buffer: *mut c_void, result: *mut u32,
        ) -> NtStatus;
        /// `PcNewRegistryKey` of the device.
        5 new_registry_key "NewRegistryKey" (
            out: *mut *mut IRegistryKey, outer: *mut IUnknown, kind: u32, access: u32, attributes: *mut Opaque,
            options: u32, disposition: *mut u32,
        ) -> NtStatus;
    }
}

interface! {
    /// A miniport. PASSIVE_LEVEL.
    IMiniport, IMiniportTable: IUnknownTable {
        /// Hands out the filter descriptor: a plain pointer, valid and constant as long as the miniport lives.
        3 get_description "GetDescription" (out: *mut *const PcFilterDescriptor) -> NtStatus;
        /// Finds the best format that two ranges share, or leaves it to the port (`STATUS_NOT_IMPLEMENTED`).
        4 data_range_intersection "DataRangeIntersection" (
            pin: u32, client: *const KsDataRange, own: *const KsDataRange, length: u32, result: *mut c_void,
            result_length: *mut u32,
        ) -> NtStatus;
    }
}

interface! {
    /// Tells PortCls' version.
    IPortClsVersion, IPortClsVersionTable: IUnknownTable {
        /// The version.
        3 get_version "GetVersion" () -> u32;
    }
}

interface! {
    /// A port's events.
    IPortEvents, IPortEventsTable: IUnknownTable {
        /// Adds a `KSEVENT_ENTRY`. PASSIVE_LEVEL.
        3 add_event_to_event_list "AddEventToEventList" (entry: *mut Opaque);
        /// Generates events. Any IRQL.
        4 generate_event_list "GenerateEventList" (
            set: *const Guid, id: u32, pin_event: i32, pin: u32, node_event: i32, node: u32,
        );
    }
}

interface! {
    /// Takes a subdevice away while the device runs.
    IUnregisterSubdevice, IUnregisterSubdeviceTable: IUnknownTable {
        /// Takes it away.
        3 unregister_subdevice "UnregisterSubdevice" (device: *mut Opaque, port: *mut IUnknown) -> NtStatus;
    }
}

interface! {
    /// Takes physical connections away while the device runs.
    IUnregisterPhysicalConnection, IUnregisterPhysicalConnectionTable: IUnknownTable {
        /// Between two subdevices.
        3 unregister_physical_connection "UnregisterPhysicalConnection" (
            device: *mut Opaque, from: *mut IUnknown, from_pin: u32, to: *mut IUnknown, to_pin: u32,
        ) -> NtStatus;
        /// To another adapter's filter.
        4 unregister_physical_connection_to_external "UnregisterPhysicalConnectionToExternal" (
            device: *mut Opaque, from: *mut IUnknown, from_pin: u32, to: *mut Opaque, to_pin: u32,
        ) -> NtStatus;
        /// From another adapter's filter.
        5 unregister_physical_connection_from_external "UnregisterPhysicalConnectionFromExternal" (
            device: *mut Opaque, from: *mut Opaque, from_pin: u32, to: *mut IUnknown, to_pin: u32,
        ) -> NtStatus;
    }
}

interface! {
    /// The interface by which a miniport edits its pins' instance counts.
    IPinCount, IPinCountTable: IUnknownTable {
        /// Edits the counts. PASSIVE_LEVEL.
        3 pin_count "PinCount" (
            pin: u32, filter_necessary: *mut u32, filter_current: *mut u32, filter_possible: *mut u32,
            global_current: *mut u32, global_possible: *mut u32,
        );
    }
}

interface! {
    /// The interface by which a miniport's music technology is chosen, before the port's `Init`.
    IMusicTechnology, IMusicTechnologyTable: IUnknownTable {
        /// Overwrites the technology in every music data range.
        3 set_technology "SetTechnology" (technology: *const Guid) -> NtStatus;
    }
}

/// Device-extension bytes that belong to PortCls: an adapter's own begin here (`PORT_CLASS_DEVICE_EXTENSION_SIZE`).
pub const DEVICE_EXTENSION_BYTES: usize = 64 * size_of::<usize>();
