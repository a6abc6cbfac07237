//! Reads a descriptor from the driver's memory, and checks the form of its structures (rules 25 and 26).

#![allow(unsafe_code, reason = "descriptors are the driver's memory, read by address")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{DataRange, Event, Filter, Node, Pin, Property};
use crate::contract::note::note;
use crate::contract::violation::Violation;
use crate::contract::{rules, services};
use crate::portcls::com::abi::{
    AutomationTable, DATA_RANGE_AUDIO_BYTES, DATA_RANGE_MUSIC_BYTES, DataFormat, EventItem, FilterDescriptor,
    METHOD_FLAGS, NodeDescriptor, PinDescriptor, PropertyItem, communication, data_flow, event_type,
};
use crate::portcls::com::guids::{self, GUID, Printed};

/// enough that a wild count is found before the memory behind it is read.
const ITEMS_MAX: u32 = 256;

/// Longest data range that is read.
const DATA_RANGE_BYTES_MAX: u32 = 4096;

impl Filter {
    /// Reads a descriptor and checks its form (rules 25 and 26).
    ///
    /// # Errors
    /// The [`Violation`] of the first of the two rules that is broken.
    ///
    /// # Safety
    /// The pointer, and every pointer in the descriptor that its counts make meaningful, can be read.
    pub(crate) unsafe fn read(descriptor: *const FilterDescriptor) -> Result<Self, Violation> {
        // SAFETY: by the caller, here and in all that is called below.
        unsafe {
            let raw = descriptor.read();
            form(raw.version == 0, || format!("PCFILTER_DESCRIPTOR.Version is {}, not 0", raw.version))?;
            let pins = items::<PinDescriptor>("Pins", raw.pin_size, raw.pin_count, raw.pins)?;
            let nodes = items::<NodeDescriptor>("Nodes", raw.node_size, raw.node_count, raw.nodes)?;
            Ok(Self {
                properties: properties("the filter", raw.automation)?,
                events: events("the filter", raw.automation)?,
                pins: pins.enumerate().map(|(id, pin)| read_pin(id, &pin.read())).collect::<Result<_, _>>()?,
                nodes: nodes.enumerate().map(|(id, node)| read_node(id, &node.read())).collect::<Result<_, _>>()?,
                connections: array("Connections", raw.connection_count, raw.connections)?,
                categories: array("Categories", raw.category_count, raw.categories)?,
            })
        }
    }
}

fn form(holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation::new(
            rules::DESCRIPTOR_SIZES,
            what(),
            "fill the descriptor with sizeof of the structures, and counts that match the arrays",
        ))
    }
}

fn pin_broken(what: String) -> Violation {
    Violation::new(
        rules::PIN_DESCRIPTORS,
        what,
        "compare the pin with the example of the data-range page for its format",
    )
}

/// Returns the elements of an array with a stride, of which each begins with a `T`.
unsafe fn items<T>(
    name: &'static str,
    stride: u32,
    count: u32,
    first: *const u8,
) -> Result<impl Iterator<Item = *const T>, Violation> {
    form(count <= ITEMS_MAX, || format!("{name} has {count} elements, above {ITEMS_MAX}"))?;
    form((count == 0) == first.is_null(), || format!("{name} counts {count} and points to {first:p}"))?;
    form(count == 0 || (stride as usize >= size_of::<T>() && stride.is_multiple_of(8)), || {
        format!("{name} has elements of {stride} bytes: not at least {} and a multiple of 8", size_of::<T>())
    })?;
    Ok((0..count as usize).map(move |index| first.wrapping_add(index * stride as usize).cast()))
}

/// Returns the elements of an array without a stride.
unsafe fn array<T: Copy>(name: &'static str, count: u32, first: *const T) -> Result<Vec<T>, Violation> {
    form(count <= ITEMS_MAX, || format!("{name} has {count} elements, above {ITEMS_MAX}"))?;
    form((count == 0) == first.is_null(), || format!("{name} counts {count} and points to {first:p}"))?;
    // SAFETY: by the caller there are `count` elements.
    Ok((0..count as usize).map(|index| unsafe { first.add(index).read_unaligned() }).collect())
}

unsafe fn properties(owner: &str, table: *const AutomationTable) -> Result<Vec<Property>, Violation> {
    if table.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: by the caller.
    unsafe {
        let table = table.read();
        form(table.reserved == 0, || format!("the automation table of {owner} has Reserved {}", table.reserved))?;
        items::<PropertyItem>("Properties", table.property_size, table.property_count, table.properties)?
            .map(|item| {
                let content = item.read();
                form(!content.set.is_null(), || format!("a property of {owner} has no Set"))?;
                form(content.handler.is_some(), || format!("property {} of {owner} has no Handler", content.id))?;
                Ok(Property { item, set: content.set.read_unaligned(), id: content.id, flags: content.flags })
            })
            .collect()
    }
}

/// Returns the events of an automation table, and a look at its methods.
unsafe fn events(owner: &str, table: *const AutomationTable) -> Result<Vec<Event>, Violation> {
    let whole = |holds: bool, what: &str, id: u32| {
        if holds {
            return Ok(());
        }
        Err(Violation::new(
            services::EVENT_ITEMS,
            format!("{what} {id} of {owner}"),
            "give every item its set, its handler, and the flags of its kind: PCMETHOD_ITEM_FLAG_*, PCEVENT_ITEM_FLAG_*",
        ))
    };
    if table.is_null() {
        return Ok(Vec::new());
    }
    // SAFETY: by the caller.
    unsafe {
        let table = table.read();
        for item in items::<PropertyItem>("Methods", table.method_size, table.method_count, table.methods)? {
            let content = item.read();
            whole(!content.set.is_null(), "no Set in method", content.id)?;
            whole(content.handler.is_some(), "no Handler in method", content.id)?;
            whole(content.flags & !METHOD_FLAGS == 0, "unknown Flags in method", content.id)?;
        }
        items::<EventItem>("Events", table.event_size, table.event_count, table.events)?
            .map(|item| {
                let content = item.read();
                let enables = event_type::ENABLE | event_type::ONESHOT;
                whole(!content.set.is_null(), "no Set in event", content.id)?;
                whole(content.handler.is_some(), "no Handler in event", content.id)?;
                whole(
                    content.flags & !(enables | event_type::BASIC_SUPPORT) == 0,
                    "unknown Flags in event",
                    content.id,
                )?;
                whole(content.flags & enables != 0, "neither ENABLE nor ONESHOT among the Flags of event", content.id)?;
                Ok(Event { item, set: content.set.read_unaligned(), id: content.id, flags: content.flags })
            })
            .collect()
    }
}

unsafe fn read_node(id: usize, raw: &NodeDescriptor) -> Result<Node, Violation> {
    form(raw.flags == 0, || format!("node {id} has Flags {:#x}, not 0", raw.flags))?;
    form(!raw.node_type.is_null(), || format!("node {id} has no Type"))?;
    // SAFETY: by the caller.
    unsafe {
        Ok(Node {
            node_type: raw.node_type.read_unaligned(),
            name: optional(raw.name),
            properties: properties(&format!("node {id}"), raw.automation)?,
            events: events(&format!("node {id}"), raw.automation)?,
        })
    }
}

unsafe fn read_pin(id: usize, raw: &PinDescriptor) -> Result<Pin, Violation> {
    // SAFETY: by the caller.
    unsafe {
        let ks = &raw.ks;
        let ranges = array("DataRanges", ks.data_range_count, ks.data_ranges)?
            .into_iter()
            .map(|range| read_range(id, range))
            .collect::<Result<Vec<_>, _>>()?;
        let pin = Pin {
            max_global: raw.max_global,
            max_filter: raw.max_filter,
            min_filter: raw.min_filter,
            properties: properties(&format!("pin {id}"), raw.automation)?,
            events: events(&format!("pin {id}"), raw.automation)?,
            interfaces: array("Interfaces", ks.interface_count, ks.interfaces)?,
            mediums: array("Mediums", ks.medium_count, ks.mediums)?,
            ranges,
            data_flow: ks.data_flow,
            communication: ks.communication,
            category: optional(ks.category),
            name: optional(ks.name),
        };
        check_pin(id, &pin)?;
        Ok(pin)
    }
}

/// Checks flow, communication, ranges and instance counts of a pin (rule 26).
pub(super) fn check_pin(id: usize, pin: &Pin) -> Result<(), Violation> {
    if !matches!(pin.data_flow, data_flow::IN | data_flow::OUT) {
        return Err(pin_broken(format!("pin {id} has DataFlow {}, neither IN (1) nor OUT (2)", pin.data_flow)));
    }
    if pin.communication > communication::BRIDGE {
        return Err(pin_broken(format!("pin {id} has Communication {}, above BRIDGE (4)", pin.communication)));
    }
    if pin.ranges.is_empty() && !pin.is_bridge() {
        return Err(pin_broken(format!("pin {id} has no data range")));
    }
    let (min, filter, global) = (pin.min_filter, pin.max_filter, pin.max_global);
    if min > filter || filter > global {
        return Err(pin_broken(format!(
            "pin {id} has instance counts {min} (least), {filter} (filter), {global} (global): not ascending"
        )));
    }
    if pin.is_bridge() && filter != 0 {
        note(
            rules::PIN_DESCRIPTORS,
            "IMiniport::GetDescription",
            format!("pin {id} cannot be connected (Communication {}) but allows {filter} instances", pin.communication),
        );
    }
    Ok(())
}

unsafe fn read_range(pin: usize, range: *const DataFormat) -> Result<DataRange, Violation> {
    if range.is_null() {
        return Err(pin_broken(format!("pin {pin} has a null data range")));
    }
    // SAFETY: by the caller.
    let format = unsafe { range.read_unaligned() };
    let size = format.format_size;
    if !(size_of::<DataFormat>() as u32..=DATA_RANGE_BYTES_MAX).contains(&size) {
        return Err(pin_broken(format!(
            "pin {pin} has a data range with FormatSize {size}, below {}",
            size_of::<DataFormat>()
        )));
    }
    let needed = if format.major == guids::KSDATAFORMAT_TYPE_AUDIO
        && format.specifier == guids::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX
    {
        DATA_RANGE_AUDIO_BYTES
    } else if format.major == guids::KSDATAFORMAT_TYPE_MUSIC
        && (format.sub == guids::KSDATAFORMAT_SUBTYPE_MIDI || format.sub == guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC)
        && format.specifier == guids::KSDATAFORMAT_SPECIFIER_NONE
    {
        DATA_RANGE_MUSIC_BYTES
    } else {
        size_of::<DataFormat>() as u32
    };
    if size < needed {
        return Err(pin_broken(format!(
            "pin {pin} has a data range of subformat {} with FormatSize {size}, not {needed}",
            Printed(&format.sub)
        )));
    }
    // SAFETY: by the caller there are as many bytes as FormatSize says.
    let bytes = unsafe { core::slice::from_raw_parts(range.cast::<u8>(), size as usize) }.to_vec();
    Ok(DataRange { format, bytes, address: range as usize })
}

unsafe fn optional(guid: *const GUID) -> Option<GUID> {
    // SAFETY: by the caller, what is not null can be read.
    (!guid.is_null()).then(|| unsafe { guid.read_unaligned() })
}
