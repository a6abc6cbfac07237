//! The layouts of the x64 structures that a driver and PortCls share (portcls.h, ks.h, dmusicks.h).
//!
//! Written down apart from crate `portcls`, which drivers are built with, and asserted against the offsets that a C
//! compiler gives them.

use core::ffi::c_void;

use super::guids::GUID;

/// `PCFILTER_DESCRIPTOR`.
#[repr(C)]
pub(crate) struct FilterDescriptor {
    pub(crate) version: u32,
    pub(crate) automation: *const AutomationTable,
    pub(crate) pin_size: u32,
    pub(crate) pin_count: u32,
    pub(crate) pins: *const u8,
    pub(crate) node_size: u32,
    pub(crate) node_count: u32,
    pub(crate) nodes: *const u8,
    pub(crate) connection_count: u32,
    pub(crate) connections: *const Connection,
    pub(crate) category_count: u32,
    pub(crate) categories: *const GUID,
}

/// `PCPIN_DESCRIPTOR`.
#[repr(C)]
pub(crate) struct PinDescriptor {
    pub(crate) max_global: u32,
    pub(crate) max_filter: u32,
    pub(crate) min_filter: u32,
    pub(crate) automation: *const AutomationTable,
    pub(crate) ks: KsPinDescriptor,
}

/// `KSPIN_DESCRIPTOR`.
#[repr(C)]
pub(crate) struct KsPinDescriptor {
    pub(crate) interface_count: u32,
    pub(crate) interfaces: *const KsIdentifier,
    pub(crate) medium_count: u32,
    pub(crate) mediums: *const KsIdentifier,
    pub(crate) data_range_count: u32,
    pub(crate) data_ranges: *const *const DataFormat,
    pub(crate) data_flow: u32,
    pub(crate) communication: u32,
    pub(crate) category: *const GUID,
    pub(crate) name: *const GUID,
    pub(crate) constrained_count: u32,
    pub(crate) constrained: *const *const DataFormat,
}

/// `KSIDENTIFIER`: an interface, a medium, and the head of a property request.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KsIdentifier {
    pub(crate) set: GUID,
    pub(crate) id: u32,
    pub(crate) flags: u32,
}

/// `PCNODE_DESCRIPTOR`.
#[repr(C)]
pub(crate) struct NodeDescriptor {
    pub(crate) flags: u32,
    pub(crate) automation: *const AutomationTable,
    pub(crate) node_type: *const GUID,
    pub(crate) name: *const GUID,
}

/// `PCCONNECTION_DESCRIPTOR`, which is `KSTOPOLOGY_CONNECTION`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) from_node: u32,
    pub(crate) from_pin: u32,
    pub(crate) to_node: u32,
    pub(crate) to_pin: u32,
}

/// `PCFILTER_NODE`: the filter itself, where a node is named.
pub(crate) const FILTER_NODE: u32 = 0xFFFF_FFFF;

/// `PCAUTOMATION_TABLE`.
#[repr(C)]
pub(crate) struct AutomationTable {
    pub(crate) property_size: u32,
    pub(crate) property_count: u32,
    pub(crate) properties: *const u8,
    pub(crate) method_size: u32,
    pub(crate) method_count: u32,
    pub(crate) methods: *const u8,
    pub(crate) event_size: u32,
    pub(crate) event_count: u32,
    pub(crate) events: *const u8,
    pub(crate) reserved: u32,
}

/// `PCPROPERTY_ITEM`.
#[repr(C)]
pub(crate) struct PropertyItem {
    pub(crate) set: *const GUID,
    pub(crate) id: u32,
    pub(crate) flags: u32,
    pub(crate) handler: Option<unsafe extern "win64" fn(*mut PropertyRequest) -> i32>,
}

/// `PCPROPERTY_REQUEST`.
#[repr(C)]
pub(crate) struct PropertyRequest {
    pub(crate) major_target: *mut c_void,
    pub(crate) minor_target: *mut c_void,
    pub(crate) node: u32,
    pub(crate) item: *const PropertyItem,
    pub(crate) verb: u32,
    pub(crate) instance_size: u32,
    pub(crate) instance: *mut c_void,
    pub(crate) value_size: u32,
    pub(crate) value: *mut c_void,
    pub(crate) irp: *mut c_void,
}

/// `PCEVENT_ITEM`.
#[repr(C)]
pub(crate) struct EventItem {
    pub(crate) set: *const GUID,
    pub(crate) id: u32,
    pub(crate) flags: u32,
    pub(crate) handler: Option<unsafe extern "win64" fn(*mut EventRequest) -> i32>,
}

/// `PCEVENT_REQUEST`.
#[repr(C)]
pub(crate) struct EventRequest {
    pub(crate) major_target: *mut c_void,
    pub(crate) minor_target: *mut c_void,
    pub(crate) node: u32,
    pub(crate) item: *const EventItem,
    pub(crate) entry: *mut crate::ks::layout::KSEVENT_ENTRY,
    pub(crate) verb: u32,
    pub(crate) irp: *mut c_void,
}

/// `KSEVENT_TYPE_*` (ks.h), and the same values as `PCEVENT_ITEM_FLAG_*`.
pub(crate) mod event_type {
    /// Enable until it is disabled.
    pub(crate) const ENABLE: u32 = 1;
    /// Enable for one time.
    pub(crate) const ONESHOT: u32 = 2;
    /// Whether the event is there.
    pub(crate) const BASIC_SUPPORT: u32 = 0x200;
    /// The request names a node: `KSE_NODE`.
    pub(crate) const TOPOLOGY: u32 = 0x1000_0000;
}

/// `PCEVENT_VERB_*` (portcls.h).
pub(crate) mod event_verb {
    /// Begin.
    pub(crate) const ADD: u32 = 1;
    /// End.
    pub(crate) const REMOVE: u32 = 2;
    /// Whether it is there.
    pub(crate) const SUPPORT: u32 = 4;
}

/// `KSMETHOD_TYPE_*` (ks.h), and the same values as `PCMETHOD_ITEM_FLAG_*`: NONE, READ, WRITE, SOURCE, SEND,
/// SETSUPPORT, BASICSUPPORT.
pub(crate) const METHOD_FLAGS: u32 = 0x1 | 0x2 | 0x4 | 0x100 | 0x200;

/// `KSDATAFORMAT`, which is `KSDATARANGE`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataFormat {
    pub(crate) format_size: u32,
    pub(crate) flags: u32,
    pub(crate) sample_size: u32,
    pub(crate) reserved: u32,
    pub(crate) major: GUID,
    pub(crate) sub: GUID,
    pub(crate) specifier: GUID,
}

/// `KSATTRIBUTE_LIST`: stands in a pin's array of data ranges behind the range that it belongs to.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AttributeList {
    pub(crate) count: u32,
    pub(crate) attributes: *const *const Attribute,
}

/// `KSATTRIBUTE`, at the beginning of what may be longer.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) size: u32,
    pub(crate) flags: u32,
    pub(crate) attribute: GUID,
}

/// `KSATTRIBUTE_REQUIRED`.
pub(crate) const ATTRIBUTE_REQUIRED: u32 = 1;

/// `KSDATARANGE_ATTRIBUTES`, `KSDATARANGE_REQUIRED_ATTRIBUTES` and `KSDATAFORMAT_TEMPORAL_COMPRESSION`: the flags of a
/// data range (ks.h).
pub(crate) mod range_flags {
    /// The samples of the format depend on one another.
    pub(crate) const TEMPORAL_COMPRESSION: u32 = 1;
    /// A list of attributes follows.
    pub(crate) const ATTRIBUTES: u32 = 2;
    /// At least one of them is required.
    pub(crate) const REQUIRED_ATTRIBUTES: u32 = 4;
}

/// `sizeof(KSDATARANGE_MUSIC)`: a music range with specifier NONE.
pub(crate) const DATA_RANGE_MUSIC_BYTES: u32 = 96;

/// `sizeof(KSDATARANGE_AUDIO)`: an audio range with specifier WAVEFORMATEX.
pub(crate) const DATA_RANGE_AUDIO_BYTES: u32 = 88;

/// `WAVEFORMATEX`, packed as mmsystem.h packs it.
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaveFormatEx {
    pub(crate) tag: u16,
    pub(crate) channels: u16,
    pub(crate) samples_per_second: u32,
    pub(crate) bytes_per_second: u32,
    pub(crate) block_align: u16,
    pub(crate) bits: u16,
    pub(crate) extra: u16,
}

/// `DMUS_KERNEL_EVENT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct KernelEvent {
    pub(crate) reserved: u8,
    pub(crate) struct_bytes: u8,
    pub(crate) event_bytes: u16,
    pub(crate) channel_group: u16,
    pub(crate) flags: u16,
    pub(crate) time: i64,
    pub(crate) byte_position: u64,
    pub(crate) next: *mut KernelEvent,
    pub(crate) data: EventData,
}

/// `DMUS_KERNEL_EVENT.uData`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union EventData {
    pub(crate) inline: [u8; INLINE_BYTES],
    pub(crate) buffer: *mut u8,
    pub(crate) package: *mut KernelEvent,
}

/// Bytes of an event that are in the event itself: the size of a pointer (dmusicks.h).
pub(crate) const INLINE_BYTES: usize = size_of::<*mut u8>();

/// `DMUS_KEF_EVENT_INCOMPLETE`: a fragment; more follows.
pub(crate) const EVENT_INCOMPLETE: u16 = 1;

/// `DMUS_KEF_PACKAGE_EVENT`: the data is a list of events.
pub(crate) const EVENT_PACKAGE: u16 = 2;

/// `kBytePositionNone`.
pub(crate) const BYTE_POSITION_NONE: u64 = u64::MAX;

/// `DONT_HOLD_FOR_SEQUENCING`: the miniport orders events by time itself.
pub(crate) const DONT_HOLD_FOR_SEQUENCING: u64 = 0x8000_0000_0000_0000;

/// `DMUS_STREAM_TYPE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum StreamType {
    /// `DMUS_STREAM_MIDI_RENDER`.
    MidiRender = 0,
    /// `DMUS_STREAM_MIDI_CAPTURE`.
    MidiCapture = 1,
    /// `DMUS_STREAM_WAVE_SINK`.
    WaveSink = 2,
}

/// `KSSTATE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub(crate) enum KsState {
    /// `KSSTATE_STOP`.
    Stop = 0,
    /// `KSSTATE_ACQUIRE`.
    Acquire = 1,
    /// `KSSTATE_PAUSE`.
    Pause = 2,
    /// `KSSTATE_RUN`.
    Run = 3,
}

/// `KSPIN_DATAFLOW`.
pub(crate) mod data_flow {
    /// Into the filter.
    pub(crate) const IN: u32 = 1;
    /// Out of the filter.
    pub(crate) const OUT: u32 = 2;
}

/// `KSPIN_COMMUNICATION`.
pub(crate) mod communication {
    /// Not to be connected.
    pub(crate) const NONE: u32 = 0;
    /// Takes requests.
    pub(crate) const SINK: u32 = 1;
    /// A fixed connection to hardware.
    pub(crate) const BRIDGE: u32 = 4;
}

/// `KSPROPERTY_TYPE_*`, and the same values as `PCPROPERTY_ITEM_FLAG_*`.
pub(crate) mod property_type {
    /// Get.
    pub(crate) const GET: u32 = 1;
    /// Set.
    pub(crate) const SET: u32 = 2;
    /// What can be done with it.
    pub(crate) const BASIC_SUPPORT: u32 = 0x200;
    /// The request names a node: `KSNODEPROPERTY`.
    pub(crate) const TOPOLOGY: u32 = 0x1000_0000;
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<FilterDescriptor>() == 80);
    assert!(offset_of!(FilterDescriptor, pins) == 24);
    assert!(offset_of!(FilterDescriptor, nodes) == 40);
    assert!(offset_of!(FilterDescriptor, connections) == 56);
    assert!(offset_of!(FilterDescriptor, categories) == 72);
    assert!(size_of::<PinDescriptor>() == 112);
    assert!(offset_of!(PinDescriptor, automation) == 16);
    assert!(offset_of!(PinDescriptor, ks) == 24);
    assert!(size_of::<KsPinDescriptor>() == 88);
    assert!(offset_of!(KsPinDescriptor, data_ranges) == 40);
    assert!(offset_of!(KsPinDescriptor, category) == 56);
    assert!(offset_of!(KsPinDescriptor, constrained) == 80);
    assert!(size_of::<NodeDescriptor>() == 32);
    assert!(size_of::<Connection>() == 16);
    assert!(size_of::<AutomationTable>() == 56);
    assert!(offset_of!(AutomationTable, events) == 40);
    assert!(size_of::<PropertyItem>() == 24);
    assert!(size_of::<PropertyRequest>() == 72);
    assert!(offset_of!(PropertyRequest, instance) == 40);
    assert!(offset_of!(PropertyRequest, value) == 56);
    assert!(offset_of!(PropertyRequest, irp) == 64);
    assert!(size_of::<EventItem>() == 24);
    assert!(size_of::<EventRequest>() == 56);
    assert!(offset_of!(EventRequest, entry) == 32);
    assert!(offset_of!(EventRequest, irp) == 48);
    assert!(size_of::<DataFormat>() == 64);
    assert!(size_of::<WaveFormatEx>() == 18);
    assert!(size_of::<KernelEvent>() == 40);
    assert!(offset_of!(KernelEvent, time) == 8);
    assert!(offset_of!(KernelEvent, next) == 24);
    assert!(offset_of!(KernelEvent, data) == 32);
    assert!(size_of::<KsIdentifier>() == 24);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_equal_those_of_the_portcls_crate() {
        let ours = [
            ("PCFILTER_DESCRIPTOR", size_of::<FilterDescriptor>()),
            ("PCPIN_DESCRIPTOR", size_of::<PinDescriptor>()),
            ("KSPIN_DESCRIPTOR", size_of::<KsPinDescriptor>()),
            ("KSIDENTIFIER", size_of::<KsIdentifier>()),
            ("PCNODE_DESCRIPTOR", size_of::<NodeDescriptor>()),
            ("PCCONNECTION_DESCRIPTOR", size_of::<Connection>()),
            ("PCAUTOMATION_TABLE", size_of::<AutomationTable>()),
            ("PCPROPERTY_ITEM", size_of::<PropertyItem>()),
            ("PCPROPERTY_REQUEST", size_of::<PropertyRequest>()),
            ("KSDATAFORMAT", size_of::<DataFormat>()),
            ("KSDATARANGE_MUSIC", DATA_RANGE_MUSIC_BYTES as usize),
            ("KSDATARANGE_AUDIO", DATA_RANGE_AUDIO_BYTES as usize),
            ("WAVEFORMATEX", size_of::<WaveFormatEx>()),
            ("DMUS_KERNEL_EVENT", size_of::<KernelEvent>()),
        ];
        for (name, size) in ours {
            let found = portcls::layout::ALL.iter().find(|layout| layout.name == name);
            assert_eq!(found.map(|layout| layout.size.bits64), Some(size), "{name}");
        }
    }
}
