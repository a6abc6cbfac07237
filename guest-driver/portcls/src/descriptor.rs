//! The descriptors of a miniport's filter: pins, nodes, connections, automation (`portcls.h`).
#![allow(unsafe_code, reason = "descriptors are constant tables of pointers, shared between processors")]

use core::ffi::c_void;

use crate::Opaque;
use crate::guid::Guid;
use crate::interface::IUnknown;
use crate::ks::KsDataRange;
use crate::status::NtStatus;

/// A filter (`PCFILTER_DESCRIPTOR`). Item sizes are strides: multiples of 8, at least the structure's size.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcFilterDescriptor {
    /// 0.
    pub version: u32,
    /// The filter's own properties, or null.
    pub automation_table: *const PcAutomationTable,
    /// Stride of `pins`.
    pub pin_size: u32,
    /// Number of pins.
    pub pin_count: u32,
    /// The pins.
    pub pins: *const PcPinDescriptor,
    /// Stride of `nodes`.
    pub node_size: u32,
    /// Number of nodes.
    pub node_count: u32,
    /// The nodes.
    pub nodes: *const PcNodeDescriptor,
    /// Number of connections.
    pub connection_count: u32,
    /// The connections.
    pub connections: *const PcConnectionDescriptor,
    /// Number of categories.
    pub category_count: u32,
    /// The categories: an array of GUIDs, not of pointers.
    pub categories: *const Guid,
}

layout! { PcFilterDescriptor = "PCFILTER_DESCRIPTOR", 80 / 48 {
    version = "Version", 0 / 0;
    automation_table = "AutomationTable", 8 / 4;
    pin_size = "PinSize", 16 / 8;
    pin_count = "PinCount", 20 / 12;
    pins = "Pins", 24 / 16;
    node_size = "NodeSize", 32 / 20;
    node_count = "NodeCount", 36 / 24;
    nodes = "Nodes", 40 / 28;
    connection_count = "ConnectionCount", 48 / 32;
    connections = "Connections", 56 / 36;
    category_count = "CategoryCount", 64 / 40;
    categories = "Categories", 72 / 44;
} }

/// A pin factory (`PCPIN_DESCRIPTOR`). Of the counts, 0 means never and `u32::MAX` unlimited.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcPinDescriptor {
    /// Most instances over all filters.
    pub max_global_instance_count: u32,
    /// Most instances in a filter.
    pub max_filter_instance_count: u32,
    /// Fewest instances for the filter to work.
    pub min_filter_instance_count: u32,
    /// The pin's properties, or null.
    pub automation_table: *const PcAutomationTable,
    /// The pin as kernel streaming sees it.
    pub ks_pin: KsPinDescriptor,
}

layout! { PcPinDescriptor = "PCPIN_DESCRIPTOR", 112 / 64 {
    max_global_instance_count = "MaxGlobalInstanceCount", 0 / 0;
    max_filter_instance_count = "MaxFilterInstanceCount", 4 / 4;
    min_filter_instance_count = "MinFilterInstanceCount", 8 / 8;
    automation_table = "AutomationTable", 16 / 12;
    ks_pin = "KsPinDescriptor", 24 / 16;
} }

/// A pin as kernel streaming sees it (`KSPIN_DESCRIPTOR`).
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct KsPinDescriptor {
    /// Number of interfaces; PortCls ignores them.
    pub interfaces_count: u32,
    /// The interfaces.
    pub interfaces: *const c_void,
    /// Number of mediums; none means standard device I/O.
    pub mediums_count: u32,
    /// The mediums.
    pub mediums: *const c_void,
    /// Number of data ranges.
    pub data_ranges_count: u32,
    /// The data ranges: an array of pointers.
    pub data_ranges: *const *const KsDataRange,
    /// [`data_flow`].
    pub data_flow: u32,
    /// [`communication`].
    pub communication: u32,
    /// The pin category (`KSCATEGORY_*`, `KSNODETYPE_*`), or null.
    pub category: *const Guid,
    /// Its name, or null.
    pub name: *const Guid,
    /// 0.
    pub constrained_data_ranges_count: u32,
    /// Null.
    pub constrained_data_ranges: *const *const KsDataRange,
}

layout! { KsPinDescriptor = "KSPIN_DESCRIPTOR", 88 / 48 {
    interfaces_count = "InterfacesCount", 0 / 0;
    interfaces = "Interfaces", 8 / 4;
    mediums_count = "MediumsCount", 16 / 8;
    mediums = "Mediums", 24 / 12;
    data_ranges_count = "DataRangesCount", 32 / 16;
    data_ranges = "DataRanges", 40 / 20;
    data_flow = "DataFlow", 48 / 24;
    communication = "Communication", 52 / 28;
    category = "Category", 56 / 32;
    name = "Name", 64 / 36;
    constrained_data_ranges_count = "ConstrainedDataRangesCount", 72 / 40;
    constrained_data_ranges = "ConstrainedDataRanges", 80 / 44;
} }

/// `KSPIN_DATAFLOW`.
pub mod data_flow {
    /// Into the filter.
    pub const IN: u32 = 1;
    /// Out of the filter.
    pub const OUT: u32 = 2;
}

/// `KSPIN_COMMUNICATION`.
pub mod communication {
    /// None: a bridge to hardware.
    pub const NONE: u32 = 0;
    /// The pin receives requests.
    pub const SINK: u32 = 1;
    /// The pin sends requests.
    pub const SOURCE: u32 = 2;
    /// Either.
    pub const BOTH: u32 = 3;
    /// A bridge.
    pub const BRIDGE: u32 = 4;
}

/// A node (`PCNODE_DESCRIPTOR`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcNodeDescriptor {
    /// 0.
    pub flags: u32,
    /// Its properties, or null.
    pub automation_table: *const PcAutomationTable,
    /// The node type (`KSNODETYPE_*`).
    pub kind: *const Guid,
    /// Its name, or null: then the kind's.
    pub name: *const Guid,
}

layout! { PcNodeDescriptor = "PCNODE_DESCRIPTOR", 32 / 16 {
    flags = "Flags", 0 / 0;
    automation_table = "AutomationTable", 8 / 4;
    kind = "Type", 16 / 8;
    name = "Name", 24 / 12;
} }

/// The node number that denotes the filter itself (`PCFILTER_NODE`); the pin is then a pin factory.
pub const FILTER_NODE: u32 = u32::MAX;

/// A node's first input pin (`KSNODEPIN_STANDARD_IN`).
pub const NODE_PIN_IN: u32 = 1;

/// A node's first output pin (`KSNODEPIN_STANDARD_OUT`).
pub const NODE_PIN_OUT: u32 = 0;

/// A connection (`PCCONNECTION_DESCRIPTOR`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcConnectionDescriptor {
    /// A node, or [`FILTER_NODE`].
    pub from_node: u32,
    /// Its pin.
    pub from_node_pin: u32,
    /// A node, or [`FILTER_NODE`].
    pub to_node: u32,
    /// Its pin.
    pub to_node_pin: u32,
}

layout! { PcConnectionDescriptor = "PCCONNECTION_DESCRIPTOR", 16 / 16 {
    from_node = "FromNode", 0 / 0;
    from_node_pin = "FromNodePin", 4 / 4;
    to_node = "ToNode", 8 / 8;
    to_node_pin = "ToNodePin", 12 / 12;
} }

/// Handlers of properties, methods and events (`PCAUTOMATION_TABLE`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcAutomationTable {
    /// Stride of `properties`.
    pub property_item_size: u32,
    /// Number of properties.
    pub property_count: u32,
    /// The properties.
    pub properties: *const PcPropertyItem,
    /// Stride of `methods`.
    pub method_item_size: u32,
    /// Number of methods.
    pub method_count: u32,
    /// The methods.
    pub methods: *const PcMethodItem,
    /// Stride of `events`.
    pub event_item_size: u32,
    /// Number of events.
    pub event_count: u32,
    /// The events.
    pub events: *const PcEventItem,
    /// 0.
    pub reserved: u32,
}

layout! { PcAutomationTable = "PCAUTOMATION_TABLE", 56 / 40 {
    property_item_size = "PropertyItemSize", 0 / 0;
    property_count = "PropertyCount", 4 / 4;
    properties = "Properties", 8 / 8;
    method_item_size = "MethodItemSize", 16 / 12;
    method_count = "MethodCount", 20 / 16;
    methods = "Methods", 24 / 20;
    event_item_size = "EventItemSize", 32 / 24;
    event_count = "EventCount", 36 / 28;
    events = "Events", 40 / 32;
    reserved = "Reserved", 48 / 36;
} }

/// Handles a property request. PASSIVE_LEVEL, in the caller's process.
pub type PropertyHandler = unsafe extern "system" fn(request: *mut PcPropertyRequest) -> NtStatus;

/// A property (`PCPROPERTY_ITEM`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcPropertyItem {
    /// Its set.
    pub set: *const Guid,
    /// Its id in the set.
    pub id: u32,
    /// The verbs that it has: bits of [`verb`](crate::ks::verb).
    pub flags: u32,
    /// Its handler.
    pub handler: Option<PropertyHandler>,
}

layout! { PcPropertyItem = "PCPROPERTY_ITEM", 24 / 16 {
    set = "Set", 0 / 0;
    id = "Id", 8 / 4;
    flags = "Flags", 12 / 8;
    handler = "Handler", 16 / 12;
} }

/// A request for a property (`PCPROPERTY_REQUEST`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcPropertyRequest {
    /// The miniport.
    pub major_target: *mut IUnknown,
    /// The stream, for a request on a pin; else null.
    pub minor_target: *mut IUnknown,
    /// The node, or `u32::MAX`.
    pub node: u32,
    /// The item that matched.
    pub property_item: *const PcPropertyItem,
    /// [`verb`](crate::ks::verb).
    pub verb: u32,
    /// Bytes of `instance`.
    pub instance_size: u32,
    /// The data behind the property's header, or null.
    pub instance: *mut c_void,
    /// Bytes of `value`; on success, bytes written.
    pub value_size: u32,
    /// The value.
    pub value: *mut c_void,
    /// The request's IRP.
    pub irp: *mut Opaque,
}

layout! { PcPropertyRequest = "PCPROPERTY_REQUEST", 72 / 40 {
    major_target = "MajorTarget", 0 / 0;
    minor_target = "MinorTarget", 8 / 4;
    node = "Node", 16 / 8;
    property_item = "PropertyItem", 24 / 12;
    verb = "Verb", 32 / 16;
    instance_size = "InstanceSize", 36 / 20;
    instance = "Instance", 40 / 24;
    value_size = "ValueSize", 48 / 28;
    value = "Value", 56 / 32;
    irp = "Irp", 64 / 36;
} }

/// A method (`PCMETHOD_ITEM`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcMethodItem {
    /// Its set.
    pub set: *const Guid,
    /// Its id in the set.
    pub id: u32,
    /// Its verbs.
    pub flags: u32,
    /// Its handler.
    pub handler: Option<unsafe extern "system" fn(request: *mut PcMethodRequest) -> NtStatus>,
}

layout! { PcMethodItem = "PCMETHOD_ITEM", 24 / 16 {
    set = "Set", 0 / 0;
    id = "Id", 8 / 4;
    flags = "Flags", 12 / 8;
    handler = "Handler", 16 / 12;
} }

/// A request for a method (`PCMETHOD_REQUEST`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcMethodRequest {
    /// The miniport.
    pub major_target: *mut IUnknown,
    /// The stream, or null.
    pub minor_target: *mut IUnknown,
    /// The node, or `u32::MAX`.
    pub node: u32,
    /// The item that matched.
    pub method_item: *const PcMethodItem,
    /// The verb.
    pub verb: u32,
}

layout! { PcMethodRequest = "PCMETHOD_REQUEST", 40 / 20 {
    major_target = "MajorTarget", 0 / 0;
    minor_target = "MinorTarget", 8 / 4;
    node = "Node", 16 / 8;
    method_item = "MethodItem", 24 / 12;
    verb = "Verb", 32 / 16;
} }

/// An event (`PCEVENT_ITEM`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcEventItem {
    /// Its set.
    pub set: *const Guid,
    /// Its id in the set.
    pub id: u32,
    /// Its flags.
    pub flags: u32,
    /// Its handler.
    pub handler: Option<unsafe extern "system" fn(request: *mut PcEventRequest) -> NtStatus>,
}

layout! { PcEventItem = "PCEVENT_ITEM", 24 / 16 {
    set = "Set", 0 / 0;
    id = "Id", 8 / 4;
    flags = "Flags", 12 / 8;
    handler = "Handler", 16 / 12;
} }

/// A request for an event (`PCEVENT_REQUEST`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PcEventRequest {
    /// The miniport.
    pub major_target: *mut IUnknown,
    /// The stream, or null.
    pub minor_target: *mut IUnknown,
    /// The node, or `u32::MAX`.
    pub node: u32,
    /// The item that matched.
    pub event_item: *const PcEventItem,
    /// The `KSEVENT_ENTRY`.
    pub event_entry: *mut Opaque,
    /// 0 none, 1 add, 2 remove, 4 support.
    pub verb: u32,
    /// The request's IRP.
    pub irp: *mut Opaque,
}

layout! { PcEventRequest = "PCEVENT_REQUEST", 56 / 28 {
    major_target = "MajorTarget", 0 / 0;
    minor_target = "MinorTarget", 8 / 4;
    node = "Node", 16 / 8;
    event_item = "EventItem", 24 / 12;
    event_entry = "EventEntry", 32 / 16;
    verb = "Verb", 40 / 20;
    irp = "Irp", 48 / 24;
} }

macro_rules! constant_tables {
    ($($name:ident),*) => { $(
        // SAFETY: such a table is never written after it was made, and what it points to is constant too: sharing it
        // shares nothing that changes.
        unsafe impl Sync for $name {}
    )* };
}
constant_tables!(PcFilterDescriptor, PcPinDescriptor, PcNodeDescriptor, PcAutomationTable, PcPropertyItem);
