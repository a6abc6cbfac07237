//! A miniport's filter descriptor, read once, checked against its documentation, and kept as plain data.

#![allow(unsafe_code, reason = "descriptors are C structures that point to one another")]

mod check;
mod fingerprint;
mod read;

pub(crate) use fingerprint::fingerprint;

use alloc::vec::Vec;

use crate::portcls::com::abi::{
    Connection, DataFormat, EventItem, KsIdentifier, PropertyItem, communication, data_flow,
};
use crate::portcls::com::guids::GUID;

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
    /// Its attributes, each whole.
    pub(crate) attributes: Vec<Vec<u8>>,
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
    /// Returns whether a data range of the pin has this format.
    pub(crate) fn carries(&self, major: &GUID, sub: &GUID) -> bool {
        self.ranges.iter().any(|range| range.format.major == *major && range.format.sub == *sub)
    }

    /// Returns whether the pin can carry this format, by a data range that has it or a wildcard in its place.
    pub(crate) fn can_carry(&self, major: &GUID, sub: &GUID) -> bool {
        let fits = |offered: &GUID, wanted: &GUID| offered == wanted || *offered == GUID::default();
        self.ranges.iter().any(|range| fits(&range.format.major, major) && fits(&range.format.sub, sub))
    }

    /// Returns whether data flows into the filter.
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

#[cfg(test)]
pub(crate) mod tests {
    use std::vec;

    use super::check::{NODE_IN, NODE_OUT, SYNTH_CAPS, SYNTH_PORTPARAMETERS};
    use super::read::check_pin;
    use super::*;
    use crate::contract::note::taken_notes;
    use crate::portcls::com::abi::{
        Attribute, AttributeList, DATA_RANGE_MUSIC_BYTES, FILTER_NODE, FilterDescriptor, PinDescriptor, communication,
        data_flow, property_type,
    };
    use crate::portcls::com::guids;
    use crate::portcls::com::kind::Kind;

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
        DataRange { format, bytes: vec![0; 96], address: 0, attributes: vec![] }
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

    /// Returns a filter with a MIDI pin, a DirectMusic pin, a bridge, and a synthesizer between.
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
        filter.check(Kind::DMus).expect_err("a rule is broken").rule.number
    }

    fn passes(change: impl FnOnce(&mut Filter)) {
        let mut filter = synthesizer();
        change(&mut filter);
        assert_eq!(filter.check(Kind::DMus), Ok(()));
    }

    #[test]
    fn a_hardware_synthesizer_as_the_guide_describes_it_passes() {
        assert_eq!(synthesizer().check(Kind::DMus), Ok(()));
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
    fn sysaudios_category_breaks_rule_30_and_another_order_is_noted() {
        assert_eq!(broken(|filter| filter.categories.push(guids::KSCATEGORY_AUDIO_DEVICE)), 30);
        passes(|filter| filter.categories.clear());
        passes(|filter| filter.categories.swap(0, 1));
        assert!(taken_notes()[0].contains("rule 30: KSCATEGORY_RENDER stands before"));
    }

    #[test]
    fn a_filter_that_only_captures_passes() {
        passes(|filter| {
            filter.pins[0].data_flow = data_flow::OUT;
            filter.pins[2].data_flow = data_flow::IN;
            filter.pins.remove(1);
            filter.nodes.clear();
            let edge = |from_pin, to_pin| Connection { from_node: FILTER_NODE, from_pin, to_node: FILTER_NODE, to_pin };
            filter.connections = vec![edge(1, 0)];
        });
    }

    #[test]
    fn a_directmusic_pin_may_lead_to_its_synthesizer_through_other_nodes() {
        let other = guids::KSCATEGORY_AUDIO;
        let detour = |node_type| {
            move |filter: &mut Filter| {
                filter.nodes.push(Node { node_type, name: None, properties: vec![], events: vec![] });
                filter.connections[1].to_node = 1;
                let edge = Connection { from_node: 1, from_pin: NODE_OUT, to_node: 0, to_pin: NODE_IN };
                filter.connections.push(edge);
            }
        };
        passes(detour(other));
        assert_eq!(
            broken(|filter| {
                detour(other)(filter);
                filter.connections.pop();
            }),
            28
        );
    }

    /// Returns a filter of bridge pins with one control between.
    fn mixer() -> Filter {
        let mut filter = synthesizer();
        filter.pins.truncate(2);
        for (pin, flow) in filter.pins.iter_mut().zip([data_flow::IN, data_flow::OUT]) {
            (pin.max_global, pin.max_filter) = (0, 0);
            (pin.data_flow, pin.communication) = (flow, communication::NONE);
        }
        filter.nodes[0].node_type = guids::KSNODETYPE_SYNTHESIZER;
        filter.nodes[0].properties.clear();
        filter.connections.truncate(1);
        filter.categories = vec![guids::KSCATEGORY_TOPOLOGY];
        filter
    }

    fn number_of(filter: &Filter, kind: Kind) -> Result<(), u16> {
        filter.check(kind).map_err(|broken| broken.rule.number)
    }

    #[test]
    fn the_rules_of_music_are_not_for_other_filters() {
        assert_eq!(number_of(&mixer(), Kind::Topology), Ok(()));
        assert_eq!(number_of(&mixer(), Kind::DMus), Err(27));
    }

    #[test]
    fn a_pin_of_a_topology_filter_that_can_be_instantiated_breaks_rule_322() {
        let mut filter = mixer();
        (filter.pins[0].max_global, filter.pins[0].max_filter) = (1, 1);
        assert_eq!(number_of(&filter, Kind::Topology), Err(322));
    }

    #[test]
    fn categories_of_another_kind_of_filter_break_rule_323() {
        let mut filter = mixer();
        assert_eq!(number_of(&filter, Kind::WaveRt), Err(323));
        filter.categories = vec![guids::KSCATEGORY_AUDIO];
        assert_eq!(number_of(&filter, Kind::WaveRt), Ok(()));
        assert_eq!(number_of(&filter, Kind::Topology), Err(323));
        filter.categories.push(guids::KSCATEGORY_AUDIO_DEVICE);
        assert_eq!(number_of(&filter, Kind::WavePci), Err(323));
    }

    #[test]
    fn a_filter_without_categories_has_those_of_its_port() {
        let mut filter = synthesizer();
        filter.categories.clear();
        assert_eq!(number_of(&filter.of(Kind::DMus), Kind::DMus), Ok(()));
        let mut filter = mixer();
        filter.categories.clear();
        assert_eq!(filter.of(Kind::Topology).categories, [guids::KSCATEGORY_AUDIO, guids::KSCATEGORY_TOPOLOGY]);
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

    /// Reads a filter of one pin whose range has these flags and is followed by this list, if there is one. Returns the
    /// attributes of the range, or the number of the rule that is broken.
    fn with_attributes(flags: u32, attributes: Option<&[Option<Attribute>]>) -> Result<Vec<Vec<u8>>, u16> {
        let addresses: Option<Vec<*const Attribute>> = attributes.map(|all| {
            all.iter().map(|attribute| attribute.as_ref().map_or(core::ptr::null(), core::ptr::from_ref)).collect()
        });
        let list = addresses.as_ref().map(|of| AttributeList {
            count: of.len() as u32,
            attributes: if of.is_empty() { core::ptr::null() } else { of.as_ptr() },
        });
        // Two, because a music range is longer than its fixed part.
        let music = [DataFormat { format_size: 96, flags, ..range(guids::KSDATAFORMAT_SUBTYPE_MIDI).format }; 2];
        let entries = [
            (&raw const music).cast::<DataFormat>(),
            list.as_ref().map_or(core::ptr::null(), |list| core::ptr::from_ref(list).cast()),
        ];
        let mut pins = [core::mem::MaybeUninit::<PinDescriptor>::zeroed()];
        // SAFETY: all zero is a valid value of plain C structures.
        let pin = unsafe { pins[0].assume_init_mut() };
        (pin.max_global, pin.max_filter) = (1, 1);
        (pin.ks.data_range_count, pin.ks.data_ranges) = (1 + u32::from(list.is_some()), entries.as_ptr());
        (pin.ks.data_flow, pin.ks.communication) = (data_flow::IN, communication::SINK);
        // SAFETY: as above.
        let mut filter: FilterDescriptor = unsafe { core::mem::zeroed() };
        (filter.pin_size, filter.pin_count, filter.pins) = (112, 1, pins.as_ptr().cast());
        // SAFETY: the descriptor points to what is above.
        let read = unsafe { Filter::read(&raw const filter) };
        read.map(|filter| filter.pins[0].ranges[0].attributes.clone()).map_err(|broken| broken.rule.number)
    }

    #[test]
    fn attributes_follow_the_range_that_says_so_and_are_whole() {
        let attribute = |size, flags| Some(Attribute { size, flags, attribute: guids::KSCATEGORY_AUDIO });
        let (optional, required) = (attribute(24, 0), attribute(24, 1));
        let count =
            |flags, of: Option<Vec<Option<Attribute>>>| with_attributes(flags, of.as_deref()).map(|found| found.len());
        assert_eq!(count(0, None), Ok(0));
        assert_eq!(count(2, Some(vec![optional])), Ok(1));
        assert_eq!(count(6, Some(vec![optional, required])), Ok(2));
        for (flags, of) in [
            (2, None),
            (2, Some(vec![])),
            (2, Some(vec![None])),
            (2, Some(vec![attribute(20, 0)])),
            (2, Some(vec![attribute(24, 2)])),
            (2, Some(vec![required])),
            (6, Some(vec![optional])),
            (4, None),
            (8, None),
        ] {
            assert_eq!(count(flags, of), Err(211), "flags {flags}");
        }
    }

    #[test]
    fn a_pin_without_the_standard_medium_breaks_rule_210_and_interfaces_are_noted() {
        let own = KsIdentifier { set: guids::KSCATEGORY_AUDIO, id: 1, flags: 0 };
        let standard = KsIdentifier { set: guids::KSMEDIUMSETID_STANDARD, id: 0, flags: 0 };
        let check = |change: &dyn Fn(&mut Pin)| {
            let mut pin = pin(guids::KSDATAFORMAT_SUBTYPE_MIDI, data_flow::IN, communication::SINK);
            change(&mut pin);
            check_pin(0, &pin).map_err(|broken| broken.rule.number)
        };
        assert_eq!(check(&|pin| pin.mediums = vec![own]), Err(210));
        assert_eq!(check(&|pin| pin.mediums = vec![own, standard]), Ok(()));
        assert!(taken_notes().is_empty());
        assert_eq!(check(&|pin| pin.interfaces = vec![own]), Ok(()));
        assert!(taken_notes()[0].contains("rule 210"));
    }
}
