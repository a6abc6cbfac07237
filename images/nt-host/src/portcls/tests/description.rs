//! The filter descriptor of the test miniport.

#![allow(unsafe_code, reason = "descriptors are read by address, and handlers are called as a driver's")]

use alloc::boxed::Box;
use core::cell::{Cell, RefCell};
use std::vec::Vec;

use super::leak;
use crate::nt::status::{STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_SUCCESS};
use crate::nt::{NTSTATUS, PVOID};
use crate::portcls::com::abi::{
    AutomationTable, Connection, DataFormat, EventItem, EventRequest, FILTER_NODE, FilterDescriptor, NodeDescriptor,
    PinDescriptor, PropertyItem, PropertyRequest, communication, data_flow, event_type, event_verb, property_type,
};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::ks::formats;

/// The descriptor of the tests, with all that it points to, for the life of the process.
struct Description(FilterDescriptor);
// SAFETY: read only.
unsafe impl Sync for Description {}
// SAFETY: as above.
unsafe impl Send for Description {}

unsafe extern "win64" fn caps(request: *mut PropertyRequest) -> NTSTATUS {
    // SAFETY: the port's request.
    let request = unsafe { &mut *request };
    let room = core::mem::replace(&mut request.value_size, 8);
    match room {
        0 => STATUS_BUFFER_OVERFLOW,
        1..8 => STATUS_BUFFER_TOO_SMALL,
        _ => {
            // SAFETY: there is room for 8 bytes.
            unsafe { request.value.cast::<u64>().write_unaligned(u64::from(request.node)) };
            STATUS_SUCCESS
        }
    }
}

/// A set of events that the miniport of the tests has on its node.
pub(super) const EVENT_SET: GUID = GUID::from_u128(0x51D2_7A00_9E1B_4C63_8F05_2B61_C4D8_7E19);

std::thread_local! {
    /// The port's `IPortEvents`, for the handler; null: it puts entries on no list.
    pub(super) static PORT_EVENTS: Cell<PVOID> = const { Cell::new(core::ptr::null_mut()) };
    /// The verbs that the handler was called with.
    pub(super) static VERBS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "win64" fn take_up(request: *mut EventRequest) -> NTSTATUS {
    // SAFETY: the port's request.
    let request = unsafe { &*request };
    VERBS.with_borrow_mut(|verbs| verbs.push(request.verb));
    let events = PORT_EVENTS.get();
    if request.verb == event_verb::ADD && !events.is_null() {
        // SAFETY: slot 3 of IPortEvents is AddEventToEventList.
        unsafe {
            let add: unsafe extern "win64" fn(PVOID, PVOID) =
                core::mem::transmute(events.cast::<*const *const ()>().read().add(3).read());
            add(events, request.entry.cast());
        }
    }
    STATUS_SUCCESS
}

/// Returns the descriptor of the test miniport: a music pin, a wave pin, a synthesizer node.
pub(super) fn description() -> &'static FilterDescriptor {
    static DESCRIPTION: std::sync::LazyLock<Description> = std::sync::LazyLock::new(|| {
        // SAFETY: all zero is a valid value of these plain C structures.
        unsafe {
            let item = |id| PropertyItem {
                set: &guids::KSPROPSETID_SYNTH,
                id,
                flags: property_type::GET,
                handler: Some(caps),
            };
            let items = leak([item(2), item(3)]);
            let mut table: AutomationTable = core::mem::zeroed();
            (table.property_size, table.property_count, table.properties) = (24, 2, items.as_ptr().cast());
            let of_node = leak([EventItem {
                set: &EVENT_SET,
                id: 1,
                flags: event_type::ENABLE | event_type::ONESHOT,
                handler: Some(take_up),
            }]);
            (table.event_size, table.event_count, table.events) = (24, 1, of_node.as_ptr().cast());
            let music = DataFormat {
                format_size: 96,
                flags: 0,
                sample_size: 0,
                reserved: 0,
                major: guids::KSDATAFORMAT_TYPE_MUSIC,
                sub: guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC,
                specifier: guids::KSDATAFORMAT_SPECIFIER_NONE,
            };
            let mut range = formats::pcm(0, 2, 16)[..64].to_vec();
            range[..4].copy_from_slice(&88_u32.to_le_bytes());
            [2_u32, 16, 16, 11_025, 96_000, 0].iter().for_each(|word| range.extend(word.to_le_bytes()));
            let range: &'static [u64] = Box::leak(formats::aligned(&range));
            let pin = |ranges: *const *const DataFormat, flow, communication| {
                let mut pin: PinDescriptor = core::mem::zeroed();
                (pin.max_global, pin.max_filter) = (1, 1);
                (pin.ks.data_range_count, pin.ks.data_ranges) = (1, ranges);
                (pin.ks.data_flow, pin.ks.communication) = (flow, communication);
                pin
            };
            let music_ranges = leak([leak([music, music]).as_ptr() as usize]);
            let wave_ranges = leak([range.as_ptr() as usize]);
            let pins = leak([
                pin(music_ranges.as_ptr().cast(), data_flow::IN, communication::SINK),
                pin(wave_ranges.as_ptr().cast(), data_flow::OUT, 2),
            ]);
            let mut node: NodeDescriptor = core::mem::zeroed();
            (node.automation, node.node_type) = (Box::leak(Box::new(table)), &guids::KSNODETYPE_SYNTHESIZER);
            let node: *const NodeDescriptor = Box::leak(Box::new(node));
            let connection = |from_node, from_pin, to_node, to_pin| Connection { from_node, from_pin, to_node, to_pin };
            let connections = leak([connection(FILTER_NODE, 0, 0, 1), connection(0, 0, FILTER_NODE, 1)]);
            let categories = leak([guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_RENDER]);
            let mut filter: FilterDescriptor = core::mem::zeroed();
            (filter.pin_size, filter.pin_count, filter.pins) = (112, 2, pins.as_ptr().cast());
            (filter.node_size, filter.node_count, filter.nodes) = (32, 1, node.cast());
            (filter.connection_count, filter.connections) = (2, connections.as_ptr());
            (filter.category_count, filter.categories) = (2, categories.as_ptr());
            Description(filter)
        }
    });
    &DESCRIPTION.0
}
