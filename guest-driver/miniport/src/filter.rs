//! The filter's descriptor: pins, nodes, connections and properties, as PortCls has them described.
//!
//! Each miniport has a description of its own, because its maker may choose its music technology.
#![allow(unsafe_code, reason = "a description is tables of pointers to each other")]

use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU32, Ordering};

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
use crate::property::{self, Property};
use crate::topology::{
    CAPTURE_INSTANCES, NODE_CAPTURE, NODE_SYNTHESIZER, PIN_CAPTURE, PIN_DIRECTMUSIC, PIN_JACK, PIN_MIDI, PIN_WAVE,
    PINS, RENDER_INSTANCES, WAVE_INSTANCES,
};

/// The subdevice's name: `PcRegisterSubdevice`'s, and the INF's reference string.
pub const SUBDEVICE_NAME: &str = "DirectMusic";

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

/// The music ranges: that of the legacy pin, that of the DirectMusic pin, and two of the capture pin.
const MUSIC_RANGES: [KsDataRangeMusic; 4] = [
    music_range(guid::KSDATAFORMAT_SUBTYPE_MIDI, guid::KSMUSIC_TECHNOLOGY_WAVETABLE),
    music_range(guid::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC, guid::KSMUSIC_TECHNOLOGY_WAVETABLE),
    music_range(guid::KSDATAFORMAT_SUBTYPE_MIDI, guid::KSMUSIC_TECHNOLOGY_PORT),
    music_range(guid::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC, guid::KSMUSIC_TECHNOLOGY_PORT),
];

/// Returns which of the music ranges are a pin's: the index of the first, and their number.
const fn music_ranges_of(pin: u32) -> Option<(usize, u32)> {
    match pin {
        PIN_MIDI => Some((0, 1)),
        PIN_DIRECTMUSIC => Some((1, 1)),
        PIN_CAPTURE => Some((2, 2)),
        _ => None,
    }
}

/// The music technologies that may be chosen.
const TECHNOLOGIES: [Guid; 5] = [
    guid::KSMUSIC_TECHNOLOGY_PORT,
    guid::KSMUSIC_TECHNOLOGY_SQSYNTH,
    guid::KSMUSIC_TECHNOLOGY_FMSYNTH,
    guid::KSMUSIC_TECHNOLOGY_WAVETABLE,
    guid::KSMUSIC_TECHNOLOGY_SWSYNTH,
];

static JACK_RANGE: KsDataRange = KsDataRange {
    format_size: size_of::<KsDataRange>() as u32,
    flags: 0,
    sample_size: 0,
    reserved: 0,
    major_format: guid::KSDATAFORMAT_TYPE_MUSIC,
    sub_format: guid::KSDATAFORMAT_SUBTYPE_MIDI_BUS,
    specifier: guid::KSDATAFORMAT_SPECIFIER_NONE,
};

/// The data range of the wave pin.
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

/// Audio before render: some enumerators read the first category only.
static CATEGORIES: [Guid; 4] =
    [guid::KSCATEGORY_AUDIO, guid::KSCATEGORY_RENDER, guid::KSCATEGORY_CAPTURE, guid::KSCATEGORY_SYNTHESIZER];

static CONNECTIONS: [PcConnectionDescriptor; 5] = [
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
        to_node: NODE_CAPTURE,
        to_node_pin: NODE_PIN_IN,
    },
    PcConnectionDescriptor {
        from_node: NODE_CAPTURE,
        from_node_pin: NODE_PIN_OUT,
        to_node: FILTER_NODE,
        to_node_pin: PIN_CAPTURE,
    },
];

/// A pointer in a constant table.
#[repr(transparent)]
struct Pointer<T>(*const T);

// SAFETY: it points to a constant.
unsafe impl<T: Sync> Sync for Pointer<T> {}

static JACK_RANGES: [Pointer<KsDataRange>; 1] = [Pointer(&raw const JACK_RANGE)];
static PCM_RANGES: [Pointer<KsDataRange>; 1] = [Pointer((&raw const PCM_RANGE).cast())];

const fn ks_pin(
    ranges: &'static [Pointer<KsDataRange>],
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

/// Names the handler of the filter's properties.
pub trait Handlers: 'static {
    /// The handler of every property.
    const PROPERTY: PropertyHandler;
}

/// A filter's descriptor and the tables that it points to. It must not move after [`Description::describe`].
pub struct Description<H> {
    descriptor: PcFilterDescriptor,
    pins: [PcPinDescriptor; PINS],
    music: [KsDataRangeMusic; MUSIC_RANGES.len()],
    music_pointers: [*const KsDataRange; MUSIC_RANGES.len()],
    handlers: core::marker::PhantomData<H>,
}

impl<H: Handlers> Description<H> {
    const NODE_PROPERTIES: &'static [PcPropertyItem] = &items(&property::OF_NODE, H::PROPERTY);
    const CAPTURE_PROPERTIES: &'static [PcPropertyItem] = &items(&property::OF_CAPTURE_NODE, H::PROPERTY);
    const PIN_PROPERTIES: &'static [PcPropertyItem] = &items(&property::OF_PIN, H::PROPERTY);
    const NODE_AUTOMATION: &'static PcAutomationTable = &automation(Self::NODE_PROPERTIES);
    const CAPTURE_AUTOMATION: &'static PcAutomationTable = &automation(Self::CAPTURE_PROPERTIES);
    const PIN_AUTOMATION: &'static PcAutomationTable = &automation(Self::PIN_PROPERTIES);

    /// The pins without their music ranges.
    const PINS: [PcPinDescriptor; PINS] = [
        PcPinDescriptor {
            max_global_instance_count: RENDER_INSTANCES,
            max_filter_instance_count: RENDER_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: Self::PIN_AUTOMATION,
            ks_pin: ks_pin(&[], data_flow::IN, communication::SINK, &raw const NAME_MIDI),
        },
        PcPinDescriptor {
            max_global_instance_count: RENDER_INSTANCES,
            max_filter_instance_count: RENDER_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: Self::PIN_AUTOMATION,
            ks_pin: ks_pin(&[], data_flow::IN, communication::SINK, ptr::null()),
        },
        PcPinDescriptor {
            max_global_instance_count: WAVE_INSTANCES,
            max_filter_instance_count: WAVE_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: ptr::null(),
            ks_pin: ks_pin(&PCM_RANGES, data_flow::OUT, communication::SOURCE, ptr::null()),
        },
        PcPinDescriptor {
            max_global_instance_count: CAPTURE_INSTANCES,
            max_filter_instance_count: CAPTURE_INSTANCES,
            min_filter_instance_count: 0,
            automation_table: ptr::null(),
            ks_pin: ks_pin(&[], data_flow::OUT, communication::SINK, &raw const NAME_MIDI),
        },
        PcPinDescriptor {
            max_global_instance_count: 0,
            max_filter_instance_count: 0,
            min_filter_instance_count: 0,
            automation_table: ptr::null(),
            ks_pin: ks_pin(&JACK_RANGES, data_flow::IN, communication::NONE, ptr::null()),
        },
    ];

    const NODES: &'static [PcNodeDescriptor; 2] = &[
        PcNodeDescriptor {
            flags: 0,
            automation_table: Self::NODE_AUTOMATION,
            kind: &raw const SYNTHESIZER,
            name: ptr::null(),
        },
        PcNodeDescriptor {
            flags: 0,
            automation_table: Self::CAPTURE_AUTOMATION,
            kind: &raw const SYNTHESIZER,
            name: ptr::null(),
        },
    ];

    /// Writes a description to where it stays.
    pub fn describe(place: &mut MaybeUninit<Self>) {
        let (mut pins, music) = (Self::PINS, MUSIC_RANGES);
        let this = place.as_mut_ptr();
        // SAFETY: fields of the description are named, not read.
        let (own_pins, own_music, own_pointers) =
            unsafe { (&raw mut (*this).pins, &raw mut (*this).music, &raw mut (*this).music_pointers) };
        let (own_music, own_pointers) =
            (own_music.cast::<KsDataRangeMusic>(), own_pointers.cast::<*const KsDataRange>());
        for (number, pin) in (0..).zip(&mut pins) {
            if let Some((first, count)) = music_ranges_of(number) {
                // `wrapping_add` stays inside: the ranges of every pin are among them.
                pin.ks_pin.data_ranges = own_pointers.wrapping_add(first);
                pin.ks_pin.data_ranges_count = count;
            }
        }
        let descriptor = PcFilterDescriptor {
            version: 0,
            automation_table: ptr::null(),
            pin_size: size_of::<PcPinDescriptor>() as u32,
            pin_count: PINS as u32,
            pins: own_pins.cast(),
            node_size: size_of::<PcNodeDescriptor>() as u32,
            node_count: Self::NODES.len() as u32,
            nodes: Self::NODES.as_ptr(),
            connection_count: CONNECTIONS.len() as u32,
            connections: (&raw const CONNECTIONS).cast(),
            category_count: CATEGORIES.len() as u32,
            categories: (&raw const CATEGORIES).cast(),
        };
        let music_pointers = core::array::from_fn(|index| own_music.wrapping_add(index).cast_const().cast());
        // SAFETY: the place is the caller's.
        unsafe { this.write(Self { descriptor, pins, music, music_pointers, handlers: core::marker::PhantomData }) };
    }

    /// Returns the descriptor that the port gets.
    ///
    /// # Safety
    /// `this` has been described, and is alive.
    #[must_use]
    pub const unsafe fn descriptor(this: NonNull<Self>) -> *const PcFilterDescriptor {
        // SAFETY: the caller's promise.
        unsafe { &raw const (*this.as_ptr()).descriptor }
    }

    /// Sets the technology of every music range. False: there is no such technology.
    ///
    /// # Safety
    /// `this` has been described, and is alive.
    #[must_use]
    pub unsafe fn set_technology(this: NonNull<Self>, technology: &Guid) -> bool {
        if !TECHNOLOGIES.contains(technology) {
            return false;
        }
        // SAFETY: the caller's promise; a field is named, not read.
        let ranges = unsafe { &raw mut (*this.as_ptr()).music }.cast::<KsDataRangeMusic>();
        let bytes = technology.to_bytes();
        let (words, _) = bytes.as_chunks::<4>();
        for index in 0..MUSIC_RANGES.len() {
            // SAFETY: one of the ranges.
            let place = unsafe { &raw mut (*ranges.add(index)).technology }.cast::<u32>();
            for (at, word) in words.iter().enumerate() {
                // SAFETY: a GUID is four aligned words, and a client that reads it meanwhile reads whole words.
                unsafe { AtomicU32::from_ptr(place.add(at)) }.store(u32::from_le_bytes(*word), Ordering::Relaxed);
            }
        }
        true
    }
}

/// Returns whether a pin can be opened for a stream of this kind and format.
#[must_use]
pub fn accepts(pin: u32, kind: DmusStreamType, format: StreamFormat) -> bool {
    matches!(
        (pin, kind, format),
        (PIN_MIDI, DmusStreamType::MIDI_RENDER, StreamFormat::Midi)
            | (PIN_DIRECTMUSIC, DmusStreamType::MIDI_RENDER, StreamFormat::DirectMusic)
            | (PIN_WAVE, DmusStreamType::WAVE_SINK, StreamFormat::Pcm(_))
            | (PIN_CAPTURE, DmusStreamType::MIDI_CAPTURE, StreamFormat::Midi | StreamFormat::DirectMusic)
    )
}
