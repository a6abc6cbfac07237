//! A miniport's filter descriptor, read once, checked against its documentation, and kept as plain data.

#![allow(unsafe_code, reason = "descriptors are C structures that point to one another")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::contract::violation::Violation;
use crate::contract::{rules, services};
use crate::portcls::com::abi::{
    AutomationTable, Connection, DATA_RANGE_AUDIO_BYTES, DATA_RANGE_MUSIC_BYTES, DataFormat, EventItem, FILTER_NODE,
    FilterDescriptor, KsIdentifier, METHOD_FLAGS, NodeDescriptor, PinDescriptor, PropertyItem, communication,
    data_flow, event_type, property_type,
};
use crate::portcls::com::guids::{self, GUID, Printed};

/// Most pins, nodes, connections, categories and property items that a descriptor may name: far above any real one, low
/// enough that a wild count is found before the memory behind it is read.
const ITEMS_MAX: u32 = 256;

/// Longest data range that is read.
const DATA_RANGE_BYTES_MAX: u32 = 4096;

/// `SYNTH_CAPS` in KSPROPSETID_Synth (dmusprop.h).
const SYNTH_CAPS: u32 = 2;

/// `SYNTH_PORTPARAMETERS` in KSPROPSETID_Synth (dmusprop.h).
const SYNTH_PORTPARAMETERS: u32 = 3;

/// `KSNODEPIN_STANDARD_OUT` and `_IN` (ksmedia.h).
const NODE_OUT: u32 = 0;
const NODE_IN: u32 = 1;

/// A property that a miniport handles.
#[derive(Clone, Copy)]
pub(crate) struct Property {
    /// The item in the driver's table.
    pub(crate) item: *const PropertyItem,
    /// Its set.
    pub(crate) set: GUID,
    /// Its id in the set.
    pub(crate) id: u32,
    /// Its verbs: bits of [`property_type`].
    pub(crate) flags: u32,
}

// SAFETY: the item is only read, and lives as long as the driver's image.
unsafe impl Send for Property {}
// SAFETY: as above.
unsafe impl Sync for Property {}

/// An event that a miniport handles.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    /// The item in the driver's table.
    pub(crate) item: *const EventItem,
    /// Its set.
    pub(crate) set: GUID,
    /// Its id in the set.
    pub(crate) id: u32,
    /// Its verbs: bits of [`event_type`].
    pub(crate) flags: u32,
}

// SAFETY: the item is only read, and lives as long as the driver's image.
unsafe impl Send for Event {}
// SAFETY: as above.
unsafe impl Sync for Event {}

/// A data range, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataRange {
    /// The fixed part.
    pub(crate) format: DataFormat,
    /// Every byte, the fixed part included, as many as `FormatSize` says.
    pub(crate) bytes: Vec<u8>,
    /// Where the driver keeps it.
    pub(crate) address: usize,
}

/// A pin factory.
pub(crate) struct Pin {
    pub(crate) max_global: u32,
    pub(crate) max_filter: u32,
    pub(crate) min_filter: u32,
    pub(crate) properties: Vec<Property>,
    pub(crate) events: Vec<Event>,
    pub(crate) interfaces: Vec<KsIdentifier>,
    pub(crate) mediums: Vec<KsIdentifier>,
    pub(crate) ranges: Vec<DataRange>,
    pub(crate) data_flow: u32,
    pub(crate) communication: u32,
    pub(crate) category: Option<GUID>,
    pub(crate) name: Option<GUID>,
}

impl Pin {
    /// Whether the pin can carry this format.
    pub(crate) fn carries(&self, major: &GUID, sub: &GUID) -> bool {
        self.ranges.iter().any(|range| range.format.major == *major && range.format.sub == *sub)
    }

    /// Whether data flows into the filter.
    pub(crate) fn flows_in(&self) -> bool {
        self.data_flow == data_flow::IN
    }

    fn is_bridge(&self) -> bool {
        matches!(self.communication, communication::NONE | communication::BRIDGE)
    }
}

/// A node.
pub(crate) struct Node {
    pub(crate) node_type: GUID,
    pub(crate) name: Option<GUID>,
    pub(crate) properties: Vec<Property>,
    pub(crate) events: Vec<Event>,
}

/// A whole filter.
pub(crate) struct Filter {
    pub(crate) properties: Vec<Property>,
    pub(crate) events: Vec<Event>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) connections: Vec<Connection>,
    pub(crate) categories: Vec<GUID>,
}

impl Filter {
    /// Reads a descriptor and checks its form (rules 25 and 26).
    ///
    /// # Errors
    /// The first rule that is broken.
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

    /// Checks what the parts mean to one another (rules 27 to 30).
    ///
    /// # Errors
    /// The first rule that is broken.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        self.check_music_pins()?;
        self.check_connections()?;
        self.check_synthesizers()?;
        self.check_categories()
    }

    fn check_music_pins(&self) -> Result<(), Violation> {
        let sink_for = |sub: &GUID| {
            self.pins.iter().position(|pin| {
                pin.data_flow == data_flow::IN
                    && pin.communication == communication::SINK
                    && pin.carries(&guids::KSDATAFORMAT_TYPE_MUSIC, sub)
            })
        };
        let midi = sink_for(&guids::KSDATAFORMAT_SUBTYPE_MIDI);
        let directmusic = sink_for(&guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
        match (midi, directmusic) {
            (None, None) => Err(Violation::new(
                rules::MUSIC_PIN,
                "no pin with flow IN and communication SINK has a MIDI or DirectMusic data range",
                "offer a pin with KSDATAFORMAT_TYPE_MUSIC that clients can send to",
            )),
            (Some(midi), Some(directmusic)) if midi > directmusic => Err(Violation::new(
                rules::MUSIC_PIN,
                format!("the MIDI pin is pin {midi}, after the DirectMusic pin {directmusic}"),
                "put the MIDI pin first, or WDMAud does not find it",
            )),
            _ => Ok(()),
        }
    }

    fn check_connections(&self) -> Result<(), Violation> {
        for (index, connection) in self.connections.iter().enumerate() {
            self.check_end(index, connection.from_node, connection.from_pin, data_flow::IN, NODE_OUT)?;
            self.check_end(index, connection.to_node, connection.to_pin, data_flow::OUT, NODE_IN)?;
        }
        for node in 0..self.nodes.len() as u32 {
            if !self.connections.iter().any(|connection| connection.from_node == node || connection.to_node == node) {
                return Err(connection_broken(format!("node {node} has no connection")));
            }
        }
        for (pin, factory) in self.pins.iter().enumerate() {
            let directmusic =
                factory.carries(&guids::KSDATAFORMAT_TYPE_MUSIC, &guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
            if directmusic && !self.meets_synthesizer(pin as u32, factory.data_flow) {
                return Err(connection_broken(format!(
                    "the DirectMusic pin {pin} is not connected to a node of type KSNODETYPE_SYNTHESIZER"
                )));
            }
        }
        Ok(())
    }

    /// One end of a connection is a filter pin of the given flow, or a node's pin on the given side.
    fn check_end(&self, index: usize, node: u32, pin: u32, flow: u32, side: u32) -> Result<(), Violation> {
        if node == FILTER_NODE {
            let Some(factory) = self.pins.get(pin as usize) else {
                return Err(connection_broken(format!(
                    "connection {index} names filter pin {pin}, which does not exist"
                )));
            };
            if factory.data_flow != flow {
                return Err(connection_broken(format!(
                    "connection {index} uses filter pin {pin} against its direction, which is {}",
                    if factory.data_flow == data_flow::IN { "IN" } else { "OUT" }
                )));
            }
        } else if node as usize >= self.nodes.len() {
            return Err(connection_broken(format!("connection {index} names node {node}, which does not exist")));
        } else if (pin == NODE_IN) != (side == NODE_IN) && (pin == NODE_OUT || pin == NODE_IN) {
            return Err(connection_broken(format!(
                "connection {index} uses pin {pin} of node {node} against its direction"
            )));
        }
        Ok(())
    }

    fn meets_synthesizer(&self, pin: u32, flow: u32) -> bool {
        self.connections.iter().any(|connection| {
            let (filter, filter_pin, node) = if flow == data_flow::IN {
                (connection.from_node, connection.from_pin, connection.to_node)
            } else {
                (connection.to_node, connection.to_pin, connection.from_node)
            };
            filter == FILTER_NODE
                && filter_pin == pin
                && self.nodes.get(node as usize).is_some_and(|node| node.node_type == guids::KSNODETYPE_SYNTHESIZER)
        })
    }

    fn check_synthesizers(&self) -> Result<(), Violation> {
        for (index, node) in self.nodes.iter().enumerate() {
            if node.node_type != guids::KSNODETYPE_SYNTHESIZER {
                continue;
            }
            for (id, name) in
                [(SYNTH_CAPS, "KSPROPERTY_SYNTH_CAPS"), (SYNTH_PORTPARAMETERS, "KSPROPERTY_SYNTH_PORTPARAMETERS")]
            {
                let offered = node.properties.iter().any(|property| {
                    property.set == guids::KSPROPSETID_SYNTH
                        && property.id == id
                        && property.flags & property_type::GET != 0
                });
                if !offered {
                    return Err(Violation::new(
                        rules::SYNTHESIZER_NODE,
                        format!("node {index} is a synthesizer without {name} for GET"),
                        "list the property, with PCPROPERTY_ITEM_FLAG_GET, in the node's automation table",
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_categories(&self) -> Result<(), Violation> {
        let at = |category: &GUID| self.categories.iter().position(|entry| entry == category);
        let broken = |what: &str| {
            Err(Violation::new(rules::CATEGORIES, what, "list KSCATEGORY_AUDIO first, then what the filter does"))
        };
        if at(&guids::KSCATEGORY_AUDIO_DEVICE).is_some() {
            return broken("KSCATEGORY_AUDIO_DEVICE is among the categories; it is SysAudio's");
        }
        match (at(&guids::KSCATEGORY_AUDIO), at(&guids::KSCATEGORY_RENDER)) {
            (None, _) => broken("KSCATEGORY_AUDIO is not among the categories"),
            (Some(audio), Some(render)) if render < audio => broken("KSCATEGORY_RENDER stands before KSCATEGORY_AUDIO"),
            _ => Ok(()),
        }
    }
}

/// A sum over everything that a descriptor leads to, to see whether it stays the same.
///
/// # Safety
/// As [`Filter::read`].
pub(crate) unsafe fn fingerprint(descriptor: *const FilterDescriptor) -> Result<u64, Violation> {
    // SAFETY: by the caller.
    let filter = unsafe { Filter::read(descriptor) }?;
    let mut sum = Fnv::new();
    sum.properties(&filter.properties);
    sum.events(&filter.events);
    for pin in &filter.pins {
        sum.words(&[pin.max_global, pin.max_filter, pin.min_filter, pin.data_flow, pin.communication]);
        sum.properties(&pin.properties);
        sum.events(&pin.events);
        pin.ranges.iter().for_each(|range| sum.bytes(&range.bytes));
        pin.category.iter().chain(&pin.name).for_each(|guid| sum.bytes(&guids::to_bytes(guid)));
        pin.interfaces.iter().chain(&pin.mediums).for_each(|identifier| {
            sum.bytes(&guids::to_bytes(&identifier.set));
            sum.words(&[identifier.id, identifier.flags]);
        });
    }
    for node in &filter.nodes {
        sum.bytes(&guids::to_bytes(&node.node_type));
        node.name.iter().for_each(|guid| sum.bytes(&guids::to_bytes(guid)));
        sum.properties(&node.properties);
        sum.events(&node.events);
    }
    for connection in &filter.connections {
        sum.words(&[connection.from_node, connection.from_pin, connection.to_node, connection.to_pin]);
    }
    filter.categories.iter().for_each(|guid| sum.bytes(&guids::to_bytes(guid)));
    Ok(sum.0)
}

/// FNV-1a, 64 bits.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
        }
    }

    fn words(&mut self, words: &[u32]) {
        words.iter().for_each(|word| self.bytes(&word.to_le_bytes()));
    }

    fn properties(&mut self, properties: &[Property]) {
        for property in properties {
            self.bytes(&guids::to_bytes(&property.set));
            self.words(&[property.id, property.flags]);
            self.bytes(&(property.item as usize).to_le_bytes());
        }
    }
}

impl Fnv {
    fn events(&mut self, events: &[Event]) {
        for event in events {
            self.bytes(&guids::to_bytes(&event.set));
            self.words(&[event.id, event.flags]);
            self.bytes(&(event.item as usize).to_le_bytes());
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

fn connection_broken(what: String) -> Violation {
    Violation::new(
        rules::CONNECTIONS,
        what,
        "connect filter IN pins or node outputs to node inputs or filter OUT pins, and each DirectMusic pin to its synthesizer",
    )
}

/// The elements of an array with a stride, of which each begins with a `T`.
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

/// The elements of an array without a stride.
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

/// The events of an automation table, and a look at its methods.
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

fn check_pin(id: usize, pin: &Pin) -> Result<(), Violation> {
    if !matches!(pin.data_flow, data_flow::IN | data_flow::OUT) {
        return Err(pin_broken(format!("pin {id} has DataFlow {}, neither IN (1) nor OUT (2)", pin.data_flow)));
    }
    if pin.communication > communication::BRIDGE {
        return Err(pin_broken(format!("pin {id} has Communication {}, above BRIDGE (4)", pin.communication)));
    }
    if pin.ranges.is_empty() {
        return Err(pin_broken(format!("pin {id} has no data range")));
    }
    let (min, filter, global) = (pin.min_filter, pin.max_filter, pin.max_global);
    if min > filter || filter > global {
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

#[cfg(test)]
pub(crate) mod tests {
    use std::vec;

    use super::*;

    fn range(sub: GUID) -> DataRange {
        let format = DataFormat {
            format_size: DATA_RANGE_MUSIC_BYTES,
            flags: 0,
            sample_size: 0,
            reserved: 0,
            major: guids::KSDATAFORMAT_TYPE_MUSIC,
            sub,
            specifier: guids::KSDATAFORMAT_SPECIFIER_NONE,
        };
        DataRange { format, bytes: vec![0; 96], address: 0 }
    }

    fn pin(sub: GUID, data_flow: u32, communication: u32) -> Pin {
        let instances = u32::from(communication == communication::SINK);
        Pin {
            max_global: instances,
            max_filter: instances,
            min_filter: 0,
            properties: vec![],
            events: vec![],
            interfaces: vec![],
            mediums: vec![],
            ranges: vec![range(sub)],
            data_flow,
            communication,
            category: None,
            name: None,
        }
    }

    fn property(id: u32) -> Property {
        Property { item: core::ptr::null(), set: guids::KSPROPSETID_SYNTH, id, flags: property_type::GET }
    }

    /// MIDI pin, DirectMusic pin, bridge, and a synthesizer between.
    pub(crate) fn synthesizer() -> Filter {
        let connection = |from_node, from_pin, to_node, to_pin| Connection { from_node, from_pin, to_node, to_pin };
        Filter {
            properties: vec![],
            events: vec![],
            pins: vec![
                pin(guids::KSDATAFORMAT_SUBTYPE_MIDI, data_flow::IN, communication::SINK),
                pin(guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC, data_flow::IN, communication::SINK),
                pin(guids::KSDATAFORMAT_SUBTYPE_PCM, data_flow::OUT, communication::NONE),
            ],
            nodes: vec![Node {
                node_type: guids::KSNODETYPE_SYNTHESIZER,
                name: None,
                properties: vec![property(SYNTH_CAPS), property(SYNTH_PORTPARAMETERS)],
                events: vec![],
            }],
            connections: vec![
                connection(FILTER_NODE, 0, 0, NODE_IN),
                connection(FILTER_NODE, 1, 0, NODE_IN),
                connection(0, NODE_OUT, FILTER_NODE, 2),
            ],
            categories: vec![guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_RENDER],
        }
    }

    fn broken(change: impl FnOnce(&mut Filter)) -> u16 {
        let mut filter = synthesizer();
        change(&mut filter);
        filter.check().expect_err("a rule is broken").rule.number
    }

    #[test]
    fn a_hardware_synthesizer_as_the_guide_describes_it_passes() {
        assert_eq!(synthesizer().check(), Ok(()));
    }

    #[test]
    fn a_midi_pin_after_the_directmusic_pin_breaks_rule_27() {
        assert_eq!(broken(|filter| filter.pins.swap(0, 1)), 27);
        assert_eq!(broken(|filter| filter.pins.drain(..2).for_each(drop)), 27);
    }

    #[test]
    fn connections_to_nowhere_or_backwards_break_rule_28() {
        assert_eq!(broken(|filter| filter.connections[0].from_pin = 9), 28);
        assert_eq!(broken(|filter| filter.connections[0].to_node = 1), 28);
        assert_eq!(broken(|filter| filter.connections[0].from_pin = 2), 28);
        assert_eq!(broken(|filter| filter.connections[2].from_pin = NODE_IN), 28);
        assert_eq!(broken(|filter| filter.connections.truncate(1)), 28);
    }

    #[test]
    fn a_synthesizer_without_its_two_properties_breaks_rule_29() {
        assert_eq!(broken(|filter| filter.nodes[0].properties.truncate(1)), 29);
        assert_eq!(broken(|filter| filter.nodes[0].properties[0].flags = property_type::SET), 29);
    }

    #[test]
    fn categories_out_of_order_break_rule_30() {
        assert_eq!(broken(|filter| filter.categories.swap(0, 1)), 30);
        assert_eq!(broken(|filter| filter.categories.clear()), 30);
        assert_eq!(broken(|filter| filter.categories.push(guids::KSCATEGORY_AUDIO_DEVICE)), 30);
    }

    #[test]
    fn a_pin_with_impossible_counts_or_flow_breaks_rule_26() {
        let number = |change: fn(&mut Pin)| {
            let mut pin = pin(guids::KSDATAFORMAT_SUBTYPE_MIDI, data_flow::IN, communication::SINK);
            change(&mut pin);
            check_pin(0, &pin).map_err(|broken| broken.rule.number)
        };
        assert_eq!(number(|_| ()), Ok(()));
        assert_eq!(number(|pin| pin.data_flow = 3), Err(26));
        assert_eq!(number(|pin| pin.communication = 5), Err(26));
        assert_eq!(number(|pin| pin.ranges.clear()), Err(26));
        assert_eq!(number(|pin| pin.min_filter = 2), Err(26));
        assert_eq!(number(|pin| pin.communication = communication::BRIDGE), Err(26));
    }

    #[test]
    fn a_descriptor_is_read_from_memory_as_c_lays_it_out() {
        let music = DataFormat { format_size: 96, ..range(guids::KSDATAFORMAT_SUBTYPE_MIDI).format };
        let music = [music, music];
        let ranges = [&raw const music[0]];
        let mut pins = [core::mem::MaybeUninit::<PinDescriptor>::zeroed()];
        // SAFETY: all zero is a valid value of plain C structures.
        let pin = unsafe { pins[0].assume_init_mut() };
        (pin.max_global, pin.max_filter) = (1, 1);
        (pin.ks.data_range_count, pin.ks.data_ranges) = (1, ranges.as_ptr());
        (pin.ks.data_flow, pin.ks.communication) = (data_flow::IN, communication::SINK);
        // SAFETY: as above.
        let mut filter: FilterDescriptor = unsafe { core::mem::zeroed() };
        (filter.pin_size, filter.pin_count, filter.pins) = (112, 1, pins.as_ptr().cast());
        // SAFETY: the descriptor points to what is above.
        let read = |filter: &FilterDescriptor| unsafe { Filter::read(filter) }.map_err(|broken| broken.rule.number);
        let got = read(&filter).ok().unwrap();
        assert_eq!(got.pins[0].ranges[0].format.sub, guids::KSDATAFORMAT_SUBTYPE_MIDI);
        assert_eq!(got.pins[0].ranges[0].bytes.len(), 96);

        filter.pin_size = 100;
        assert_eq!(read(&filter).err(), Some(25));
        filter.pin_size = 112;
        filter.version = 1;
        assert_eq!(read(&filter).err(), Some(25));
        filter.version = 0;
        filter.node_count = 1;
        assert_eq!(read(&filter).err(), Some(25));
    }
}
