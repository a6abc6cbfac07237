//! The filter descriptors of the MPU-401 miniports. Each miniport has one of its own: `IMusicTechnology` writes to the
//! data ranges.

#![allow(unsafe_code, reason = "descriptors are C structures that point to one another")]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::synth_node;
use crate::portcls::com::abi::{
    AutomationTable, Connection, DataFormat, FILTER_NODE, FilterDescriptor, KsPinDescriptor, NodeDescriptor,
    PinDescriptor, PropertyItem, communication, data_flow,
};
use crate::portcls::com::guids::{self, GUID};
use crate::portcls::kernel::lock::Lock;

/// Which pins a miniport has beside those to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pins {
    /// Pins to send to, and a pin that captures.
    Both,
    /// A pin that captures.
    Capture,
}

/// Which streams a miniport has on its pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Streams {
    /// Of events: DirectMusic pins too, with a synthesizer node each (midi-and-directmusic-filters).
    Events,
    /// Of bytes.
    Bytes,
}

/// `KSDATARANGE_MUSIC` (ksmedia.h).
#[repr(C, align(8))]
struct MusicRange {
    range: DataFormat,
    technology: GUID,
    channels: u32,
    notes: u32,
    channel_mask: u32,
}

/// All 16 channels.
const ALL_CHANNELS: u32 = 0xFFFF;

/// `KSNODEPIN_STANDARD_OUT` and `KSNODEPIN_STANDARD_IN` (ksmedia.h).
const NODE_OUT: u32 = 0;
const NODE_IN: u32 = 1;

/// What a pin is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    flow: u32,
    bridge: bool,
    subs: &'static [GUID],
}

const MIDI: &[GUID] = &[guids::KSDATAFORMAT_SUBTYPE_MIDI];
const DIRECTMUSIC: &[GUID] = &[guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC];
const EITHER: &[GUID] = &[guids::KSDATAFORMAT_SUBTYPE_MIDI, guids::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC];
const CABLE: &[GUID] = &[guids::KSDATAFORMAT_SUBTYPE_MIDI_BUS];

/// Returns the pins in their order; the MIDI pin comes before the DirectMusic pin
/// (exposing-your-synthesizer-as-a-legacy-device). The pins to the device come last.
fn kinds(pins: Pins, streams: Streams) -> Vec<Kind> {
    let to = |subs| Kind { flow: data_flow::IN, bridge: false, subs };
    let from = |subs| Kind { flow: data_flow::OUT, bridge: false, subs };
    let mut kinds = Vec::new();
    if pins == Pins::Both {
        kinds.push(to(MIDI));
        if streams == Streams::Events {
            kinds.push(to(DIRECTMUSIC));
        }
    }
    kinds.push(from(if streams == Streams::Events { EITHER } else { MIDI }));
    if pins == Pins::Both {
        kinds.push(Kind { flow: data_flow::OUT, bridge: true, subs: CABLE });
    }
    kinds.push(Kind { flow: data_flow::IN, bridge: true, subs: CABLE });
    kinds
}

/// Returns the connections: clients' pins to the pin to the device, and the pin from the device to clients', through a
/// synthesizer node on each way where there are nodes.
fn connections(kinds: &[Kind], streams: Streams) -> Vec<Connection> {
    let mut made: Vec<Connection> = Vec::new();
    let mut node = 0;
    for flow in [data_flow::IN, data_flow::OUT] {
        let with = |bridge: bool| {
            let pins = kinds.iter().enumerate().filter(move |(_, kind)| kind.bridge == bridge);
            pins.filter(move |(_, kind)| (kind.flow == flow) != bridge).map(|(id, _)| id as u32).collect::<Vec<_>>()
        };
        let (clients, cables) = (with(false), with(true));
        let (from, to) = if flow == data_flow::IN { (clients, cables) } else { (cables, clients) };
        if from.is_empty() || to.is_empty() {
            continue;
        }
        if streams == Streams::Bytes {
            made.extend(
                from.iter().flat_map(|from| to.iter().map(|to| connection((FILTER_NODE, *from), (FILTER_NODE, *to)))),
            );
            continue;
        }
        made.extend(from.iter().map(|pin| connection((FILTER_NODE, *pin), (node, NODE_IN))));
        made.extend(to.iter().map(|pin| connection((node, NODE_OUT), (FILTER_NODE, *pin))));
        node += 1;
    }
    made
}

fn connection((from_node, from_pin): (u32, u32), (to_node, to_pin): (u32, u32)) -> Connection {
    Connection { from_node, from_pin, to_node, to_pin }
}

/// A descriptor, and everything that it points to.
pub(crate) struct Description {
    filter: Box<FilterDescriptor>,
    kinds: Vec<Kind>,
    ranges: Lock<Box<[MusicRange]>>,
    _lists: Box<[*const DataFormat]>,
    _pins: Box<[PinDescriptor]>,
    _nodes: Box<[NodeDescriptor]>,
    _automation: Box<AutomationTable>,
    _items: Box<[PropertyItem]>,
    _connections: Box<[Connection]>,
    _categories: Box<[GUID]>,
}

// SAFETY: nothing is written after it is made but the data ranges, behind their lock; every pointer is to a box of its
// own.
unsafe impl Send for Description {}
// SAFETY: as above.
unsafe impl Sync for Description {}

impl Description {
    /// Makes the descriptor of a miniport.
    pub(crate) fn new(pins: Pins, streams: Streams) -> Self {
        let kinds = kinds(pins, streams);
        let ranges: Box<[MusicRange]> = kinds.iter().flat_map(|kind| kind.subs.iter().map(range)).collect();
        let lists: Box<[*const DataFormat]> = ranges.iter().map(|range| &raw const range.range).collect();
        let mut first = 0;
        let descriptors: Box<[PinDescriptor]> = kinds
            .iter()
            .map(|kind| {
                let pin = pin(kind, &lists[first..first + kind.subs.len()]);
                first += kind.subs.len();
                pin
            })
            .collect();
        let items = synth_node::items();
        let automation = Box::new(synth_node::automation(&items));
        let connections = connections(&kinds, streams).into_boxed_slice();
        let nodes = connections.iter().map(|connection| connection.to_node).filter(|node| *node != FILTER_NODE).max();
        let nodes: Box<[NodeDescriptor]> = (0..nodes.map_or(0, |node| node + 1))
            .map(|_| NodeDescriptor {
                flags: 0,
                automation: &raw const *automation,
                node_type: &guids::KSNODETYPE_SYNTHESIZER,
                name: core::ptr::null(),
            })
            .collect();
        let mut categories = vec![guids::KSCATEGORY_AUDIO];
        if pins == Pins::Both {
            categories.push(guids::KSCATEGORY_RENDER);
        }
        categories.push(guids::KSCATEGORY_CAPTURE);
        let categories = categories.into_boxed_slice();
        let filter = Box::new(FilterDescriptor {
            version: 0,
            automation: core::ptr::null(),
            pin_size: size_of::<PinDescriptor>() as u32,
            pin_count: descriptors.len() as u32,
            pins: descriptors.as_ptr().cast(),
            node_size: size_of::<NodeDescriptor>() as u32,
            node_count: nodes.len() as u32,
            nodes: if nodes.is_empty() { core::ptr::null() } else { nodes.as_ptr().cast() },
            connection_count: connections.len() as u32,
            connections: connections.as_ptr(),
            category_count: categories.len() as u32,
            categories: categories.as_ptr(),
        });
        Self {
            filter,
            kinds,
            ranges: Lock::new(ranges),
            _lists: lists,
            _pins: descriptors,
            _nodes: nodes,
            _automation: automation,
            _items: items,
            _connections: connections,
            _categories: categories,
        }
    }

    /// Returns the descriptor.
    pub(crate) fn filter(&self) -> *const FilterDescriptor {
        &raw const *self.filter
    }

    /// Returns whether clients can open a pin, and if so whether it captures.
    pub(crate) fn captures(&self, pin: u32) -> Option<bool> {
        self.kinds.get(pin as usize).filter(|kind| !kind.bridge).map(|kind| kind.flow == data_flow::OUT)
    }

    /// Returns whether a format is one of a pin's: of music, whole, and of a subtype of the pin.
    ///
    /// # Safety
    /// The format is null, or as long as its `FormatSize` says and at least that field long.
    pub(crate) unsafe fn carries(&self, pin: u32, format: *const DataFormat) -> bool {
        let Some(kind) = self.kinds.get(pin as usize) else { return false };
        // SAFETY: by the caller; the rest of the structure is read when it is there.
        unsafe {
            !format.is_null()
                && (*format).format_size as usize >= size_of::<DataFormat>()
                && (*format).major == guids::KSDATAFORMAT_TYPE_MUSIC
                && kind.subs.contains(&(*format).sub)
        }
    }

    /// Overwrites the technology in each range of music.
    pub(crate) fn set_technology(&self, technology: GUID) {
        self.ranges.with(|ranges| ranges.iter_mut().for_each(|range| range.technology = technology));
    }
}

/// Returns the data range of a subtype.
fn range(sub: &GUID) -> MusicRange {
    let music = *sub != guids::KSDATAFORMAT_SUBTYPE_MIDI_BUS;
    let bytes = if music { size_of::<MusicRange>() } else { size_of::<DataFormat>() };
    MusicRange {
        range: DataFormat {
            format_size: bytes as u32,
            flags: 0,
            sample_size: 0,
            reserved: 0,
            major: guids::KSDATAFORMAT_TYPE_MUSIC,
            sub: *sub,
            specifier: guids::KSDATAFORMAT_SPECIFIER_NONE,
        },
        technology: guids::KSMUSIC_TECHNOLOGY_PORT,
        channels: 0,
        notes: 0,
        channel_mask: ALL_CHANNELS,
    }
}

fn pin(kind: &Kind, ranges: &[*const DataFormat]) -> PinDescriptor {
    let instances = u32::from(!kind.bridge);
    PinDescriptor {
        max_global: instances,
        max_filter: instances,
        min_filter: 0,
        automation: core::ptr::null(),
        ks: KsPinDescriptor {
            interface_count: 0,
            interfaces: core::ptr::null(),
            medium_count: 0,
            mediums: core::ptr::null(),
            data_range_count: ranges.len() as u32,
            data_ranges: ranges.as_ptr(),
            data_flow: kind.flow,
            communication: if kind.bridge { communication::BRIDGE } else { communication::SINK },
            category: &guids::KSCATEGORY_AUDIO,
            name: core::ptr::null(),
            constrained_count: 0,
            constrained: core::ptr::null(),
        },
    }
}

const _: () = assert!(size_of::<MusicRange>() == crate::portcls::com::abi::DATA_RANGE_MUSIC_BYTES as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portcls::com::kind::Kind;
    use crate::portcls::ks::descriptor::Filter;

    #[test]
    fn descriptors_keep_the_rules_that_drivers_keep() {
        for pins in [Pins::Both, Pins::Capture] {
            for streams in [Streams::Events, Streams::Bytes] {
                let description = Description::new(pins, streams);
                // SAFETY: all that it points to lives as long as it does.
                let filter = unsafe { Filter::read(description.filter()) }.unwrap();
                filter.check(Kind::DMus).unwrap();
                assert!(filter.pins.iter().any(|pin| pin.data_flow == data_flow::OUT), "{pins:?} {streams:?}");
            }
        }
    }

    #[test]
    fn clients_open_pins_and_not_cables() {
        let description = Description::new(Pins::Both, Streams::Events);
        assert_eq!(
            [0, 1, 2, 3, 4, 5].map(|pin| description.captures(pin)),
            [Some(false), Some(false), Some(true), None, None, None]
        );
    }
}
