//! Properties: verbs, sizes, targets and values.
#![allow(unsafe_code, reason = "values are structures of C")]

mod common;

use card_spec::control::{RequestCode, Status};
use common::Rig;
use dmus_miniport::card::{Card, VOLUME_RANGE};
use dmus_miniport::fake::{Behaviour, FakeKernel, passive};
use dmus_miniport::property::{self, Property, Request, SYNTH_GUID, SYNTH_NAME};
use portcls::NtStatus;
use portcls::ks::{KsPropertyDescription, verb};
use portcls::synth::{SynthCaps, SynthPortParams, SynthStats, port_parameter};

/// Asks, with a guard behind the value that must stay as it is.
struct Ask {
    property: Property,
    verb: u32,
    node: u32,
    stream_time: Option<i64>,
    instance: Vec<u8>,
    size: usize,
    value: Vec<u8>,
}

impl Ask {
    fn new(property: Property, verb: u32) -> Self {
        let node = if property == Property::Volume { u32::MAX } else { 0 };
        let instance = vec![0; property.instance_bytes()];
        Self {
            property,
            verb,
            node,
            stream_time: Some(1000),
            instance,
            size: property.value_bytes(),
            value: Vec::new(),
        }
    }

    fn of(self, card: &Card<FakeKernel>) -> (NtStatus, u32, Vec<u8>) {
        const GUARD: usize = 64;
        let mut memory = self.value;
        memory.resize(self.size, 0xaa);
        memory.resize(self.size + GUARD, 0xcc);
        let mut value_size = self.size as u32;
        let status = property::handle(
            Some(card),
            passive(),
            Request {
                property: self.property,
                verb: self.verb,
                node: self.node,
                stream_time: self.stream_time,
                instance: &self.instance,
                value: Some(&mut memory[..self.size]),
                value_size: &mut value_size,
            },
        );
        assert!(memory[self.size..].iter().all(|byte| *byte == 0xcc), "nothing is written behind the value");
        memory.truncate(self.size);
        (status, value_size, memory)
    }
}

fn all() -> impl Iterator<Item = Property> {
    property::OF_NODE.into_iter().chain(property::OF_PIN)
}

/// A structure from bytes.
fn value<T: Copy>(bytes: &[u8]) -> T {
    assert!(bytes.len() >= size_of::<T>());
    // SAFETY: long enough; structures of integers.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// A structure as bytes.
fn bytes<T: Copy>(value: &T) -> Vec<u8> {
    // SAFETY: structures of integers without padding.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }.to_vec()
}

#[test]
fn every_get_follows_the_size_protocol() {
    let rig = Rig::new();
    for property in all() {
        let needed = property.value_bytes();
        let ask = |size| Ask { size, ..Ask::new(property, verb::GET) }.of(&rig.card);
        let (status, size, _) = ask(0);
        assert_eq!((status, size as usize), (NtStatus::BUFFER_OVERFLOW, needed), "{property:?}");
        let (status, _, memory) = ask(needed - 1);
        assert_eq!(status, NtStatus::BUFFER_TOO_SMALL, "{property:?}");
        assert!(memory.iter().all(|byte| *byte == 0xaa), "{property:?}");
        for room in [needed, needed + 100] {
            let (status, size, memory) = ask(room);
            assert_eq!((status, size as usize), (NtStatus::SUCCESS, needed), "{property:?}");
            assert!(memory[needed..].iter().all(|byte| *byte == 0xaa), "{property:?}");
        }
    }
}

#[test]
fn every_basic_support_follows_its_size_protocol() {
    let rig = Rig::new();
    for property in all() {
        let ask = |size| Ask { size, ..Ask::new(property, verb::BASICSUPPORT) }.of(&rig.card);
        assert_eq!(ask(0).0, NtStatus::BUFFER_OVERFLOW);
        let (status, size, memory) = ask(4);
        assert_eq!((status, size), (NtStatus::SUCCESS, 4));
        assert_eq!(value::<u32>(&memory), property.flags());
        for between in [1, 3, 5, 39] {
            assert_eq!(ask(between).0, NtStatus::BUFFER_TOO_SMALL, "{between}");
        }
        for room in [40, 100] {
            let (status, size, memory) = ask(room);
            assert_eq!((status, size), (NtStatus::SUCCESS, 40));
            let description: KsPropertyDescription = value(&memory);
            assert_eq!((description.access_flags, description.description_size), (property.flags(), 40));
        }
    }
}

#[test]
fn verbs_that_are_not_declared_are_refused_and_touch_nothing() {
    let rig = Rig::new();
    for property in all() {
        for wrong in [0, verb::SET, verb::GET | verb::SET, verb::GET | verb::BASICSUPPORT, 0x400] {
            if property.flags() & verb::SET != 0 && wrong == verb::SET {
                continue;
            }
            let (status, _, memory) = Ask::new(property, wrong).of(&rig.card);
            assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST, "{property:?} {wrong:#x}");
            assert!(memory.iter().all(|byte| *byte == 0xaa));
        }
    }
}

#[test]
fn properties_are_answered_on_their_own_node_and_target_only() {
    let rig = Rig::new();
    for property in all() {
        for verb in [verb::GET, verb::BASICSUPPORT] {
            let on_filter = Ask { stream_time: None, ..Ask::new(property, verb) }.of(&rig.card).0;
            assert_eq!(on_filter == NtStatus::SUCCESS, property == Property::Caps, "{property:?}");
            let wrong_node = if property == Property::Volume { 0 } else { u32::MAX };
            for node in [wrong_node, 1] {
                let status = Ask { node, ..Ask::new(property, verb) }.of(&rig.card).0;
                assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST, "{property:?} on node {node}");
            }
        }
    }
}

#[test]
fn instances_that_are_too_short_are_not_read() {
    let rig = Rig::new();
    for property in all().filter(|property| property.instance_bytes() != 0) {
        for length in [0, property.instance_bytes() - 1] {
            let status = Ask { instance: vec![0; length], ..Ask::new(property, verb::GET) }.of(&rig.card).0;
            assert_eq!(status, NtStatus::INVALID_PARAMETER, "{property:?}");
        }
    }
}

#[test]
fn without_a_started_card_nothing_is_answered_but_what_needs_none() {
    for property in all() {
        let mut size = property.value_bytes() as u32;
        let mut memory = vec![0; property.value_bytes()];
        let instance = vec![0; property.instance_bytes()];
        let node = if property == Property::Volume { u32::MAX } else { 0 };
        let request = Request {
            property,
            verb: verb::GET,
            node,
            stream_time: Some(0),
            instance: &instance,
            value: Some(&mut memory),
            value_size: &mut size,
        };
        assert_eq!(property::handle::<FakeKernel>(None, passive(), request), NtStatus::DEVICE_NOT_READY);
    }
}

#[test]
fn caps_say_what_the_card_is_and_nothing_that_the_driver_has_not() {
    let rig = Rig::new();
    let (_, _, memory) = Ask { stream_time: None, ..Ask::new(Property::Caps, verb::GET) }.of(&rig.card);
    let caps: SynthCaps = value(&memory);
    assert_eq!(caps.guid, SYNTH_GUID);
    assert_eq!((caps.max_channel_groups, caps.max_voices, caps.max_audio_channels), (64, 1000, 2));
    let name: Vec<u16> = SYNTH_NAME.encode_utf16().collect();
    assert_eq!(caps.description[..name.len()], name);
    assert!(caps.description[name.len()..].iter().all(|unit| *unit == 0));
    let downloads = property::OF_NODE.iter().any(|property| property.set() != Property::Caps.set());
    assert_eq!(caps.flags & portcls::synth::caps_flag::DLS != 0, downloads, "DLS is claimed with its properties");
}

#[test]
fn port_parameters_configure_the_card_and_tell_what_was_changed() {
    let rig = Rig::with(Behaviour { groups_max: 16, ..Behaviour::default() });
    let ask = |groups, valid_params| {
        let wanted = SynthPortParams { valid_params, channel_groups: groups, ..SynthPortParams::default() };
        let (status, size, memory) =
            Ask { instance: bytes(&wanted), ..Ask::new(Property::PortParameters, verb::GET) }.of(&rig.card);
        assert_eq!(size, 28);
        (status, value::<SynthPortParams>(&memory))
    };
    let (status, parameters) = ask(8, port_parameter::CHANNELGROUPS);
    assert_eq!((status, parameters.channel_groups), (NtStatus::SUCCESS, 8));
    let (status, parameters) = ask(1000, port_parameter::CHANNELGROUPS);
    assert_eq!((status, parameters.channel_groups), (NtStatus::NOT_ALL_ASSIGNED, 16));
    assert_eq!(parameters.valid_params, port_parameter::CHANNELGROUPS);
    let (status, parameters) = ask(3, 0);
    assert_eq!((status, parameters.channel_groups), (NtStatus::SUCCESS, 16), "what is not meant is told");
    assert_eq!((parameters.voices, parameters.sample_rate), (128, 48_000));
}

#[test]
fn channel_groups_go_round() {
    let rig = Rig::with(Behaviour { groups_max: 16, ..Behaviour::default() });
    let set =
        |groups: u32| Ask { value: bytes(&groups), ..Ask::new(Property::ChannelGroups, verb::SET) }.of(&rig.card).0;
    assert_eq!(set(5), NtStatus::SUCCESS);
    let (_, _, memory) = Ask::new(Property::ChannelGroups, verb::GET).of(&rig.card);
    assert_eq!(value::<u32>(&memory), 5);
    assert_eq!(set(17), NtStatus::UNSUCCESSFUL);
}

#[test]
fn volume_and_boost_are_clamped_and_kept_apart() {
    let rig = Rig::new();
    for (property, asked, kept) in
        [(Property::Volume, -1_000_000, *VOLUME_RANGE.start()), (Property::VolumeBoost, 5000, *VOLUME_RANGE.end())]
    {
        let status = Ask { value: bytes(&asked), ..Ask::new(property, verb::SET) }.of(&rig.card).0;
        assert_eq!(status, NtStatus::SUCCESS);
        let (_, _, memory) = Ask::new(property, verb::GET).of(&rig.card);
        assert_eq!(value::<i32>(&memory), kept);
    }
}

#[test]
fn latency_clock_statistics_and_priority_come_from_the_card() {
    let rig = Rig::new();
    let get = |property| Ask::new(property, verb::GET).of(&rig.card).2;
    assert_eq!(value::<i64>(&get(Property::LatencyClock)), 51_000);
    assert_eq!(value::<SynthStats>(&get(Property::RunningStats)).voices, 7);
    assert_eq!(value::<u32>(&get(Property::VoicePriority)), 0x8000_000e);
}

#[test]
fn what_the_card_refuses_is_a_failure_with_no_value() {
    for (status, expected) in [
        (Status::INVALID_PARAMETER, NtStatus::INVALID_PARAMETER),
        (Status::INVALID_STATE, NtStatus::INVALID_DEVICE_STATE),
        (Status::NO_RESOURCES, NtStatus::INSUFFICIENT_RESOURCES),
        (Status::CARD_FAILED, NtStatus::IO_DEVICE_ERROR),
        (Status(0xdead), NtStatus::IO_DEVICE_ERROR),
    ] {
        let rig = Rig::with(Behaviour { refuses: Some((RequestCode::STATISTICS, status)), ..Behaviour::default() });
        let (answered, size, memory) = Ask::new(Property::RunningStats, verb::GET).of(&rig.card);
        assert_eq!((answered, size), (expected, 0));
        assert!(memory.iter().all(|byte| *byte == 0xaa));
    }
}
