//! The filter: its pins, its synthesizer node, how they are connected, and which properties they have.
//!
//! ```text
//!  pin 0  MIDI ─────────┐
//!                       ├─► node 0 synthesizer ─► pin 2  PCM
//!  pin 1  DirectMusic ──┘
//!  pin 4  jack ────────────────────────────────► pin 3  captured MIDI
//! ```
//!
//! The legacy pin has the lower number, so that the system's MIDI drivers find it first. The card's PCM comes back
//! into host memory, so there is a wave pin where a card with a jack would have a bridge.

use core::ptr;

use card_spec::limits::{SAMPLE_RATE_MAX, SAMPLE_RATE_MIN};
use portcls::Guid;
use portcls::descriptor::{
    FILTER_NODE, KsPinDescriptor, NODE_PIN_IN, NODE_PIN_OUT, PcAutomationTable, PcConnectionDescriptor,
    PcFilterDescriptor, PcNodeDescriptor, PcPinDescriptor, PcPropertyItem, PropertyHandler, communication, data_flow,
};
use portcls::dmus::DmusStreamType;
use portcls::guid;
use portcls::ks::{KsDataRange, KsDataRangeAudio, KsDataRangeMusic};

use crate::format::{BITS, CHANNELS_MAX, StreamFormat};
use crate::midi_out;
use crate::property::{self, Property};

/// The subdevice's name: `PcRegisterSubdevice`'s, and the INF's reference string.
pub const SUBDEVICE_NAME: &str = "DirectMusic";

/// The legacy MIDI render pin.
pub const PIN_MIDI: u32 = 0;

/// The DirectMusic render pin.
pub const PIN_DIRECTMUSIC: u32 = 1;

/// The wave pin.
pub const PIN_WAVE: u32 = 2;

/// The capture pin. Not every card captures: opening it tells.
pub const PIN_CAPTURE: u32 = 3;

/// Where captured MIDI comes in: a bridge, which is never opened.
pub const PIN_JACK: u32 = 4;

/// How many pins there are.
pub const PINS: usize = 5;

/// The synthesizer node.
pub const NODE_SYNTHESIZER: u32 = 0;

/// Instances of each render pin.
pub const RENDER_INSTANCES: u32 = 4;

/// Instances of the wave pin: it owns the sample clock.
pub const WAVE_INSTANCES: u32 = 1;

/// Instances of the capture pin.
pub const CAPTURE_INSTANCES: u32 = 1;

/// The most instances of each pin.
pub const INSTANCES: [u32; PINS] = [RENDER_INSTANCES, RENDER_INSTANCES, WAVE_INSTANCES, CAPTURE_INSTANCES, 0];

const _: () = assert!(2 * RENDER_INSTANCES as usize == midi_out::STREAMS);

const MUSIC_RANGE_BYTES: u32 = size_of::<KsDataRangeMusic>() as u32;

const fn music_range(sub_format: Guid, technology: Guid) -> KsDataRangeMusic {
    KsDataRangeMusic {
        range: KsDataRange {
            format_size: MUSIC_RANGE_BYTES,
            flags: 0,
            sample_size: 0,
            reserved: 0,
            major_format: guid::KSDATAFORMAT_TYPE_MUSIC,
            sub_format,
            specifier: guid::KSDATAFORMAT_SPECIFIER_NONE,
        },
        technology,
        channels: 0,
        notes: 0,
        channel_mask: 0xffff,
    }
}

static MIDI_RANGE: KsDataRangeMusic = music_range(guid::KSDATAFORMAT_SUBTYPE_MIDI, guid::KSMUSIC_TECHNOLOGY_WAVETABLE);
static DIRECTMUSIC_RANGE: KsDataRangeMusic =
    music_range(guid::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC, guid::KSMUSIC_TECHNOLOGY_WAVETABLE);
static CAPTURE_RANGE: KsDataRangeMusic = music_range(guid::KSDATAFORMAT_SUBTYPE_MIDI, guid::KSMUSIC_TECHNOLOGY_PORT);

static JACK_RANGE: KsDataRange = KsDataRange {
    format_size: size_of::<KsDataRange>() as u32,
    flags: 0,
    sample_size: 0,
    reserved: 0,
    major_format: guid::KSDATAFORMAT_TYPE_MUSIC,
    sub_format: guid::KSDATAFORMAT_SUBTYPE_MIDI_BUS,
    specifier: guid::KSDATAFORMAT_SPECIFIER_NONE,
};

/// What the wave pin carries.
pub static PCM_RANGE: KsDataRangeAudio = KsDataRangeAudio {
    range: KsDataRange {
        format_size: size_of::<KsDataRangeAudio>() as u32,
        flags: 0,
        sample_size: 0,
        reserved: 0,
        major_format: guid::KSDATAFORMAT_TYPE_AUDIO,
        sub_format: guid::KSDATAFORMAT_SUBTYPE_PCM,
        specifier: guid::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX,
    },
    maximum_channels: CHANNELS_MAX as u32,
    minimum_bits_per_sample: BITS as u32,
    maximum_bits_per_sample: BITS as u32,
    minimum_sample_frequency: SAMPLE_RATE_MIN,
    maximum_sample_frequency: SAMPLE_RATE_MAX,
};

static CATEGORY_AUDIO: Guid = guid::KSCATEGORY_AUDIO;
static NAME_MIDI: Guid = guid::KSAUDFNAME_MIDI;
static SYNTHESIZER: Guid = guid::KSNODETYPE_SYNTHESIZER;

/// Audio before render: some enumerators look at the first only.
static CATEGORIES: [Guid; 4] =
    [guid::KSCATEGORY_AUDIO, guid::KSCATEGORY_RENDER, guid::KSCATEGORY_CAPTURE, guid::KSCATEGORY_SYNTHESIZER];

static CONNECTIONS: [PcConnectionDescriptor; 4] = [
    PcConnectionDescriptor {
        from_node: FILTER_NODE,
        from_node_pin: PIN_MIDI,
        to_node: NODE_SYNTHESIZER,
        to_node_pin: NODE_PIN_IN,
    },
    PcConnectionDescriptor {
        from_node: FILTER_NODE,
        from_node_pin: PIN_DIRECTMUSIC,
        to_node: NODE_SYNTHESIZER,
        to_node_pin: NODE_PIN_IN,
    },
    PcConnectionDescriptor {
        from_node: NODE_SYNTHESIZER,
        from_node_pin: NODE_PIN_OUT,
        to_node: FILTER_NODE,
        to_node_pin: PIN_WAVE,
    },
    PcConnectionDescriptor {
        from_node: FILTER_NODE,
        from_node_pin: PIN_JACK,
        to_node: FILTER_NODE,
        to_node_pin: PIN_CAPTURE,
    },
];

/// A pointer in a constant table.
#[repr(transparent)]
struct Pointer<T>(*const T);

#[allow(unsafe_code, reason = "constant tables of pointers are shared between processors")]
// SAFETY: it points to a constant.
unsafe impl<T: Sync> Sync for Pointer<T> {}

static MIDI_RANGES: [Pointer<KsDataRange>; 1] = [Pointer((&raw const MIDI_RANGE).cast())];
static DIRECTMUSIC_RANGES: [Pointer<KsDataRange>; 1] = [Pointer((&raw const DIRECTMUSIC_RANGE).cast())];
static CAPTURE_RANGES: [Pointer<KsDataRange>; 1] = [Pointer((&raw const CAPTURE_RANGE).cast())];
static JACK_RANGES: [Pointer<KsDataRange>; 1] = [Pointer(&raw const JACK_RANGE)];
static PCM_RANGES: [Pointer<KsDataRange>; 1] = [Pointer((&raw const PCM_RANGE).cast())];

const fn ks_pin(
    ranges: &'static [Pointer<KsDataRange>; 1],
    data_flow: u32,
    communication: u32,
    name: *const Guid,
) -> KsPinDescriptor {
    KsPinDescriptor {
        interfaces_count: 0,
        interfaces: ptr::null(),
        mediums_count: 0,
        mediums: ptr::null(),
        data_ranges_count: ranges.len() as u32,
        data_ranges: ranges.as_ptr().cast(),
        data_flow,
        communication,
        category: &raw const CATEGORY_AUDIO,
        name,
        constrained_data_ranges_count: 0,
        constrained_data_ranges: ptr::null(),
    }
}

const fn automation(properties: &'static [PcPropertyItem]) -> PcAutomationTable {
    PcAutomationTable {
        property_item_size: size_of::<PcPropertyItem>() as u32,
        property_count: properties.len() as u32,
        properties: properties.as_ptr(),
        method_item_size: 0,
        method_count: 0,
        methods: ptr::null(),
        event_item_size: 0,
        event_count: 0,
        events: ptr::null(),
        reserved: 0,
    }
}

const fn items<const N: usize>(properties: &[Property; N], handler: PropertyHandler) -> [PcPropertyItem; N] {
    let mut items = [PcPropertyItem { set: ptr::null(), id: 0, flags: 0, handler: Some(handler) }; N];
    let mut i = 0;
    while i < N {
        let property = properties[i];
        items[i].set = property.set();
        items[i].id = property.id();
        items[i].flags = property.flags();
        i += 1;
    }
    items
}

/// Who handles the filter's properties.
pub trait Handlers: 'static {
    /// The handler of every property.
    const PROPERTY: PropertyHandler;
}

/// The filter descriptor for some handlers.
pub struct Filter<H>(core::marker::PhantomData<H>);

impl<H: Handlers> Filter<H> {
    const NODE_PROPERTIES: &'static [PcPropertyItem] = &items(&property::OF_NODE, H::PROPERTY);
    const PIN_PROPERTIES: &'static [PcPropertyItem] = &items(&property::OF_PIN, H::PROPERTY);
    const NODE_AUTOMATION: &'static PcAutomationTable = &automation(Self::NODE_PROPERTIES);
    const PIN_AUTOMATION: &'static PcAutomationTable = &automation(Self::PIN_PROPERTIES);

    const PINS: &'static [PcPinDescriptor; PINS] = &[
        PcPinDescriptor {
            max_global_instance_count: RENDER_INSTANCES,
            max_filter_instance_count: RENDER_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: Self::PIN_AUTOMATION,
            ks_pin: ks_pin(&MIDI_RANGES, data_flow::IN, communication::SINK, &raw const NAME_MIDI),
        },
        PcPinDescriptor {
            max_global_instance_count: RENDER_INSTANCES,
            max_filter_instance_count: RENDER_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: Self::PIN_AUTOMATION,
            ks_pin: ks_pin(&DIRECTMUSIC_RANGES, data_flow::IN, communication::SINK, ptr::null()),
        },
        PcPinDescriptor {
            max_global_instance_count: WAVE_INSTANCES,
            max_filter_instance_count: WAVE_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: ptr::null(),
            ks_pin: ks_pin(&PCM_RANGES, data_flow::OUT, communication::SOURCE, ptr::null()),
        },
        PcPinDescriptor {
            max_global_instance_count: INSTANCES[PIN_CAPTURE as usize],
            max_filter_instance_count: INSTANCES[PIN_CAPTURE as usize],
            min_filter_instance_count: 0,
            automation_table: ptr::null(),
            ks_pin: ks_pin(&CAPTURE_RANGES, data_flow::OUT, communication::SINK, &raw const NAME_MIDI),
        },
        PcPinDescriptor {
            max_global_instance_count: INSTANCES[PIN_JACK as usize],
            max_filter_instance_count: INSTANCES[PIN_JACK as usize],
            min_filter_instance_count: 0,
            automation_table: ptr::null(),
            ks_pin: ks_pin(&JACK_RANGES, data_flow::IN, communication::NONE, ptr::null()),
        },
    ];

    const NODES: &'static [PcNodeDescriptor; 1] = &[PcNodeDescriptor {
        flags: 0,
        automation_table: Self::NODE_AUTOMATION,
        kind: &raw const SYNTHESIZER,
        name: ptr::null(),
    }];

    /// The descriptor.
    pub const DESCRIPTOR: PcFilterDescriptor = PcFilterDescriptor {
        version: 0,
        automation_table: ptr::null(),
        pin_size: size_of::<PcPinDescriptor>() as u32,
        pin_count: Self::PINS.len() as u32,
        pins: Self::PINS.as_ptr(),
        node_size: size_of::<PcNodeDescriptor>() as u32,
        node_count: Self::NODES.len() as u32,
        nodes: Self::NODES.as_ptr(),
        connection_count: CONNECTIONS.len() as u32,
        connections: (&raw const CONNECTIONS).cast(),
        category_count: CATEGORIES.len() as u32,
        categories: (&raw const CATEGORIES).cast(),
    };
}

/// Whether a pin can be opened for such a stream and format.
#[must_use]
pub fn accepts(pin: u32, kind: DmusStreamType, format: StreamFormat) -> bool {
    matches!(
        (pin, kind, format),
        (PIN_MIDI, DmusStreamType::MIDI_RENDER, StreamFormat::Midi)
            | (PIN_DIRECTMUSIC, DmusStreamType::MIDI_RENDER, StreamFormat::DirectMusic)
            | (PIN_WAVE, DmusStreamType::WAVE_SINK, StreamFormat::Pcm(_))
            | (PIN_CAPTURE, DmusStreamType::MIDI_CAPTURE, StreamFormat::Midi)
    )
}
