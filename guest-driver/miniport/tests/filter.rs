//! The filter descriptor keeps the rules of PortCls, and the INF agrees with it.
#![allow(unsafe_code, reason = "descriptors are tables of pointers")]

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::LazyLock;

use dmus_miniport::filter::{Description, Handlers, SUBDEVICE_NAME, accepts};
use dmus_miniport::format::StreamFormat;
use dmus_miniport::topology::{INSTANCES, PIN_CAPTURE, PIN_DIRECTMUSIC, PIN_JACK, PIN_MIDI};
use portcls::NtStatus;
use portcls::descriptor::{
    FILTER_NODE, NODE_PIN_IN, NODE_PIN_OUT, PcConnectionDescriptor, PcFilterDescriptor, PcNodeDescriptor,
    PcPinDescriptor, PcPropertyItem, PcPropertyRequest, PropertyHandler, communication, data_flow,
};
use portcls::dmus::DmusStreamType;
use portcls::guid::{self, Guid};
use portcls::ks::{KsDataRange, KsDataRangeMusic, verb};
use portcls::synth::synth_property;

struct Test;

unsafe extern "system" fn handler(_: *mut PcPropertyRequest) -> NtStatus {
    NtStatus::SUCCESS
}

impl Handlers for Test {
    const PROPERTY: PropertyHandler = handler;
}

/// A description that stays.
struct Described(NonNull<Description<Test>>);

// SAFETY: what is described is not changed any more.
unsafe impl Sync for Described {}
// SAFETY: as above.
unsafe impl Send for Described {}

impl Described {
    fn new() -> Self {
        let place = Box::leak(Box::new(MaybeUninit::<Description<Test>>::uninit()));
        Description::describe(place);
        Self(NonNull::from(place).cast())
    }
}

impl std::ops::Deref for Described {
    type Target = PcFilterDescriptor;

    fn deref(&self) -> &PcFilterDescriptor {
        // SAFETY: described, and never freed.
        unsafe { &*Description::descriptor(self.0) }
    }
}

static DESCRIPTOR: LazyLock<Described> = LazyLock::new(Described::new);

fn table<T>(items: *const T, count: u32) -> &'static [T] {
    assert!(!items.is_null());
    // SAFETY: a constant table of the descriptor's.
    unsafe { core::slice::from_raw_parts(items, count as usize) }
}

fn pins() -> &'static [PcPinDescriptor] {
    table(DESCRIPTOR.pins, DESCRIPTOR.pin_count)
}

fn nodes() -> &'static [PcNodeDescriptor] {
    table(DESCRIPTOR.nodes, DESCRIPTOR.node_count)
}

fn connections() -> &'static [PcConnectionDescriptor] {
    table(DESCRIPTOR.connections, DESCRIPTOR.connection_count)
}

fn categories() -> &'static [Guid] {
    table(DESCRIPTOR.categories, DESCRIPTOR.category_count)
}

fn ranges(pin: &PcPinDescriptor) -> Vec<&'static KsDataRange> {
    let pointers = table(pin.ks_pin.data_ranges, pin.ks_pin.data_ranges_count);
    // SAFETY: constants of the descriptor's.
    pointers.iter().map(|range| unsafe { &**range }).collect()
}

#[test]
fn strides_are_the_structures_sizes_and_multiples_of_8() {
    assert_eq!(DESCRIPTOR.version, 0);
    assert_eq!((DESCRIPTOR.pin_size, DESCRIPTOR.node_size), (112, 32));
}

#[test]
fn every_pin_keeps_the_rules() {
    for pin in pins() {
        assert!([data_flow::IN, data_flow::OUT].contains(&pin.ks_pin.data_flow));
        assert!(pin.ks_pin.communication <= communication::BRIDGE);
        assert!(pin.min_filter_instance_count <= pin.max_filter_instance_count);
        assert!(pin.max_filter_instance_count <= pin.max_global_instance_count);
        for range in ranges(pin) {
            let expected = match range.specifier {
                guid::KSDATAFORMAT_SPECIFIER_NONE if range.sub_format == guid::KSDATAFORMAT_SUBTYPE_MIDI_BUS => 64,
                guid::KSDATAFORMAT_SPECIFIER_NONE => 96,
                guid::KSDATAFORMAT_SPECIFIER_WAVEFORMATEX => 88,
                other => panic!("{other}"),
            };
            assert_eq!(range.format_size, expected);
        }
    }
}

#[test]
fn the_legacy_pin_comes_before_the_directmusic_pin() {
    let carries = |pin: u32| ranges(&pins()[pin as usize])[0].sub_format;
    assert_eq!(carries(PIN_MIDI), guid::KSDATAFORMAT_SUBTYPE_MIDI);
    assert_eq!(carries(PIN_DIRECTMUSIC), guid::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC);
    const { assert!(PIN_MIDI < PIN_DIRECTMUSIC) };
}

#[test]
fn connects_every_pin_from_a_source_to_a_sink() {
    let pin_flow = |pin: u32| pins()[pin as usize].ks_pin.data_flow;
    for connection in connections() {
        if connection.from_node == FILTER_NODE {
            assert_eq!(pin_flow(connection.from_node_pin), data_flow::IN);
        } else {
            assert!(connection.from_node < DESCRIPTOR.node_count);
            assert_eq!(connection.from_node_pin, NODE_PIN_OUT);
        }
        if connection.to_node == FILTER_NODE {
            assert_eq!(pin_flow(connection.to_node_pin), data_flow::OUT);
        } else {
            assert!(connection.to_node < DESCRIPTOR.node_count);
            assert_eq!(connection.to_node_pin, NODE_PIN_IN);
        }
    }
    for pin in 0..DESCRIPTOR.pin_count {
        let is_end = |node, end| node == FILTER_NODE && end == pin;
        assert!(connections().iter().any(|c| is_end(c.from_node, c.from_node_pin) || is_end(c.to_node, c.to_node_pin)));
    }
}

#[test]
fn opens_the_capture_pin_for_capture_streams_only() {
    let (capture, jack) = (&pins()[PIN_CAPTURE as usize], &pins()[PIN_JACK as usize]);
    assert_eq!((capture.ks_pin.data_flow, capture.ks_pin.communication), (data_flow::OUT, communication::SINK));
    let formats: Vec<_> = ranges(capture).iter().map(|range| range.sub_format).collect();
    assert_eq!(formats, [guid::KSDATAFORMAT_SUBTYPE_MIDI, guid::KSDATAFORMAT_SUBTYPE_DIRECTMUSIC]);
    assert_eq!((jack.ks_pin.data_flow, jack.ks_pin.communication), (data_flow::IN, communication::NONE));
    assert_eq!((jack.max_global_instance_count, jack.max_filter_instance_count), (0, 0));
    let kinds = [DmusStreamType::MIDI_RENDER, DmusStreamType::MIDI_CAPTURE, DmusStreamType::WAVE_SINK];
    for kind in kinds {
        for format in [StreamFormat::Midi, StreamFormat::DirectMusic] {
            assert_eq!(accepts(PIN_CAPTURE, kind, format), kind == DmusStreamType::MIDI_CAPTURE);
            assert!(!accepts(PIN_JACK, kind, format));
        }
        assert_eq!(accepts(PIN_MIDI, kind, StreamFormat::Midi), kind == DmusStreamType::MIDI_RENDER);
    }
}

#[test]
fn describes_the_instances_that_the_miniport_counts() {
    let declared: Vec<u32> = pins().iter().map(|pin| pin.max_filter_instance_count).collect();
    assert_eq!(declared, INSTANCES);
}

/// Returns the technology of every music range.
fn technologies(descriptor: &PcFilterDescriptor) -> Vec<Guid> {
    let pins = table(descriptor.pins, descriptor.pin_count);
    let of_pin = |pin: &PcPinDescriptor| ranges(pin).into_iter().map(core::ptr::from_ref).collect::<Vec<_>>();
    let music = pins.iter().flat_map(of_pin).filter(|range| {
        // SAFETY: ranges of the descriptor's.
        unsafe { (**range).format_size == 96 }
    });
    // SAFETY: as long as a music range.
    music.map(|range| unsafe { (*range.cast::<KsDataRangeMusic>()).technology }).collect()
}

#[test]
fn sets_the_technology_of_all_music_ranges_of_one_miniport_only() {
    let (one, other) = (Described::new(), Described::new());
    let usual = technologies(&other);
    assert_eq!(usual.len(), 4);
    for technology in [guid::KSMUSIC_TECHNOLOGY_SWSYNTH, guid::KSMUSIC_TECHNOLOGY_FMSYNTH] {
        // SAFETY: described, and never freed.
        assert!(unsafe { Description::set_technology(one.0, &technology) });
        assert_eq!(technologies(&one), [technology; 4]);
    }
    // SAFETY: described, and never freed.
    assert!(!unsafe { Description::set_technology(one.0, &guid::KSDATAFORMAT_TYPE_MUSIC) });
    assert_eq!(technologies(&one), [guid::KSMUSIC_TECHNOLOGY_FMSYNTH; 4]);
    assert_eq!(technologies(&other), usual);
}

#[test]
fn the_synthesizer_node_has_the_properties_that_directmusic_needs() {
    let [node, capture] = nodes() else { panic!("two nodes") };
    // SAFETY: constants of the descriptor's.
    let of_capture = unsafe { (*capture.kind, (*capture.automation_table).property_count) };
    assert_eq!(of_capture, (guid::KSNODETYPE_SYNTHESIZER, 3));
    // SAFETY: constants of the descriptor's.
    let (kind, automation) = unsafe { (*node.kind, &*node.automation_table) };
    assert_eq!(kind, guid::KSNODETYPE_SYNTHESIZER);
    assert_eq!(automation.property_item_size as usize, size_of::<PcPropertyItem>());
    let items = table(automation.properties, automation.property_count);
    for id in [synth_property::CAPS, synth_property::PORTPARAMETERS, synth_property::CHANNELGROUPS] {
        let item = items.iter().find(|item| item.id == id).expect("the property is there");
        // SAFETY: a constant of the descriptor's.
        assert_eq!(unsafe { *item.set }, guid::KSPROPSETID_Synth);
        assert_ne!(item.flags & verb::GET, 0);
        assert!(item.handler.is_some());
    }
}

#[test]
fn audio_comes_before_render_and_audio_device_is_left_to_the_system() {
    let place = |category| categories().iter().position(|c| *c == category);
    assert!(place(guid::KSCATEGORY_AUDIO).unwrap() < place(guid::KSCATEGORY_RENDER).unwrap());
    assert!(place(guid::KSCATEGORY_AUDIO).unwrap() < place(guid::KSCATEGORY_CAPTURE).unwrap());
    assert!(place(guid::KSCATEGORY_SYNTHESIZER).is_some());
    assert_eq!(place(guid::KSCATEGORY_AUDIO_DEVICE), None);
}

const INF: &str = include_str!("../../inf/dmuscard.inf");

/// Returns the value of a key in the INF's strings.
fn inf_string(key: &str) -> &'static str {
    let line = INF.lines().find(|line| line.split('=').next().is_some_and(|name| name.trim() == key));
    line.unwrap_or_else(|| panic!("{key} is in the INF")).split('"').nth(1).unwrap()
}

#[test]
fn the_inf_registers_the_categories_of_the_filter_under_the_subdevices_name() {
    assert_eq!(inf_string("KSNAME_DirectMusic"), SUBDEVICE_NAME);
    let mut interfaces: Vec<String> = INF
        .lines()
        .filter_map(|line| line.strip_prefix("AddInterface = %"))
        .map(|line| {
            let (category, rest) = line.split_once('%').unwrap();
            assert!(rest.starts_with(",%KSNAME_DirectMusic%,"), "{line}");
            inf_string(category).to_lowercase()
        })
        .collect();
    let mut expected: Vec<String> = categories().iter().map(|category| format!("{{{category}}}")).collect();
    interfaces.sort();
    expected.sort();
    assert_eq!(interfaces, expected);
}

#[test]
fn the_inf_matches_the_cards_full_identities() {
    use card_spec::registers;
    let id = |device: u16, subsystem: u16, vendor: u16, revision: u8| {
        let function = card_spec::PCI_VENDOR_ID;
        format!("PCI\\VEN_{function:04X}&DEV_{device:04X}&SUBSYS_{subsystem:04X}{vendor:04X}&REV_{revision:02X}\r\n")
    };
    let ids = [
        id(card_spec::PCI_DEVICE_ID, card_spec::PCI_SUBSYSTEM_ID, card_spec::PCI_VENDOR_ID, 1),
        id(registers::DEVICE_ID, registers::SUBSYSTEM_ID, registers::SUBSYSTEM_VENDOR_ID, registers::REVISION),
    ];
    for id in ids {
        assert_eq!(INF.matches(&id).count(), 3, "{id}, in each section of models");
    }
    assert!(INF.is_ascii());
    assert!(INF.lines().count() > 50 && INF.matches("\r\n").count() == INF.lines().count(), "lines end as Windows' do");
}

#[test]
fn the_inf_has_the_switch_for_message_signalled_interrupts_and_leaves_it_off() {
    let values: Vec<&str> =
        INF.lines().filter(|line| !line.starts_with(';') && line.contains("MSISupported")).collect();
    let key = r#"HKR,"Interrupt Management\MessageSignaledInterruptProperties""#;
    assert_eq!(values, [format!("{key},MSISupported,0x00010001,0")]);
    assert!(
        INF.contains("[Card.NT.HW]\r\nAddReg = Card.Interrupts\r\n"),
        "the values belong to the device's hardware key"
    );
}
