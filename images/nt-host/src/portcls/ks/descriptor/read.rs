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
    ATTRIBUTE_REQUIRED, Attribute, AttributeList, AutomationTable, DATA_RANGE_AUDIO_BYTES, DATA_RANGE_MUSIC_BYTES,
    DataFormat, EventItem, FilterDescriptor, KsIdentifier, METHOD_FLAGS, NodeDescriptor, PinDescriptor, PropertyItem,
    communication, data_flow, event_type, range_flags,
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
    form(count == 0 || !first.is_null(), || format!("{name} counts {count} and points to {first:p}"))?;
    form(count == 0 || (stride as usize >= size_of::<T>() && stride.is_multiple_of(8)), || {
        format!("{name} has elements of {stride} bytes: not at least {} and a multiple of 8", size_of::<T>())
    })?;
    Ok((0..count as usize).map(move |index| first.wrapping_add(index * stride as usize).cast()))
}

/// Returns the elements of an array without a stride.
unsafe fn array<T: Copy>(name: &'static str, count: u32, first: *const T) -> Result<Vec<T>, Violation> {
    form(count <= ITEMS_MAX, || format!("{name} has {count} elements, above {ITEMS_MAX}"))?;
    form(count == 0 || !first.is_null(), || format!("{name} counts {count} and points to {first:p}"))?;
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
                whole(content.flags != 0, "no Flags in event", content.id)?;
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
        let mut entries = array("DataRanges", ks.data_range_count, ks.data_ranges)?.into_iter();
        let mut ranges = Vec::new();
        while let Some(entry) = entries.next() {
            let mut range = read_range(id, entry)?;
            if range.format.flags & range_flags::ATTRIBUTES != 0 {
                range.attributes = read_attributes(id, &range.format, entries.next())?;
            }
            ranges.push(range);
        }
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
    // ULONG(-1) is no limit.
    if min > filter || (filter > global && filter != u32::MAX) {
        return Err(pin_broken(format!(
            "pin {id} has instance counts {min} (least), {filter} (filter), {global} (global): not ascending"
        )));
    }
    if pin.is_bridge() && filter != 0 {
        return Err(pin_broken(format!(
            "pin {id} cannot be connected (Communication {}) but allows {filter} instances",
            pin.communication
        )));
    }
    check_reachable(id, pin)
}

/// Checks that clients get to a pin that they may connect to: by the standard medium (rule 210). The list of interfaces
/// is ignored in all cases.
fn check_reachable(id: usize, pin: &Pin) -> Result<(), Violation> {
    if pin.is_bridge() {
        return Ok(());
    }
    let is_standard = |identifier: &KsIdentifier, set: &GUID| identifier.set == *set && identifier.id == 0;
    if !pin.mediums.is_empty() && !pin.mediums.iter().any(|medium| is_standard(medium, &guids::KSMEDIUMSETID_STANDARD))
    {
        return Err(Violation::new(
            services::PIN_MEDIUMS,
            format!("pin {id} has {} mediums, and KSMEDIUM_STANDARD_DEVIO is not among them", pin.mediums.len()),
            "leave the list of mediums empty, which means KSMEDIUM_STANDARD_DEVIO, or put that into it",
        ));
    }
    if !pin.interfaces.is_empty()
        && !pin.interfaces.iter().any(|interface| is_standard(interface, &guids::KSINTERFACESETID_STANDARD))
    {
        note(
            services::PIN_MEDIUMS,
            "IMiniport::GetDescription",
            format!("pin {id} has interfaces, and not KSINTERFACE_STANDARD_STREAMING; the port ignores the list"),
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
    let known = range_flags::TEMPORAL_COMPRESSION | range_flags::ATTRIBUTES | range_flags::REQUIRED_ATTRIBUTES;
    let list = range_flags::ATTRIBUTES | range_flags::REQUIRED_ATTRIBUTES;
    if format.flags & !known != 0 {
        return Err(attributes_broken(format!("pin {pin} has a data range with Flags {:#x}", format.flags)));
    }
    if format.flags & list == range_flags::REQUIRED_ATTRIBUTES {
        return Err(attributes_broken(format!(
            "pin {pin} has a data range with KSDATARANGE_REQUIRED_ATTRIBUTES and without KSDATARANGE_ATTRIBUTES"
        )));
    }
    Ok(DataRange { format, bytes, address: range as usize, attributes: Vec::new() })
}

fn attributes_broken(what: String) -> Violation {
    Violation::new(
        services::RANGE_ATTRIBUTES,
        what,
        "after a range with KSDATARANGE_ATTRIBUTES put the address of a KSATTRIBUTE_LIST into the array, counted in \
         DataRangesCount; otherwise clear Flags",
    )
}

/// Reads the list of attributes that follows a data range in the pin's array (rule 211).
unsafe fn read_attributes(
    pin: usize,
    range: &DataFormat,
    entry: Option<*const DataFormat>,
) -> Result<Vec<Vec<u8>>, Violation> {
    let broken = |what: &str| attributes_broken(format!("pin {pin}: {what}"));
    let Some(list) = entry.filter(|entry| !entry.is_null()) else {
        return Err(broken("a data range has KSDATARANGE_ATTRIBUTES, and no list follows it in the array"));
    };
    // SAFETY: by the caller what follows is a list; that it is none shows by its count.
    let list = unsafe { list.cast::<AttributeList>().read_unaligned() };
    if !(1..=ITEMS_MAX).contains(&list.count) || list.attributes.is_null() {
        return Err(broken(&format!(
            "the list of attributes has Count {} and its array is at {:p}",
            list.count, list.attributes
        )));
    }
    let mut required = false;
    let mut attributes = Vec::new();
    for index in 0..list.count as usize {
        // SAFETY: by the caller the array has so many entries.
        let attribute = unsafe { list.attributes.add(index).read_unaligned() };
        if attribute.is_null() {
            return Err(broken(&format!("attribute {index} is null")));
        }
        // SAFETY: by the caller, an attribute.
        let content = unsafe { attribute.read_unaligned() };
        if !(size_of::<Attribute>() as u32..=DATA_RANGE_BYTES_MAX).contains(&content.size) {
            return Err(broken(&format!(
                "attribute {index} has Size {}, below {}",
                content.size,
                size_of::<Attribute>()
            )));
        }
        if content.flags & !ATTRIBUTE_REQUIRED != 0 {
            return Err(broken(&format!("attribute {index} has Flags {:#x}", content.flags)));
        }
        required |= content.flags & ATTRIBUTE_REQUIRED != 0;
        // SAFETY: by the caller the attribute is as long as it says.
        attributes.push(unsafe { core::slice::from_raw_parts(attribute.cast::<u8>(), content.size as usize) }.to_vec());
    }
    if required != (range.flags & range_flags::REQUIRED_ATTRIBUTES != 0) {
        return Err(broken(if required {
            "an attribute is required, and the range has no KSDATARANGE_REQUIRED_ATTRIBUTES"
        } else {
            "the range has KSDATARANGE_REQUIRED_ATTRIBUTES, and no attribute is required"
        }));
    }
    Ok(attributes)
}

unsafe fn optional(guid: *const GUID) -> Option<GUID> {
    // SAFETY: by the caller, what is not null can be read.
    (!guid.is_null()).then(|| unsafe { guid.read_unaligned() })
}
