//! Properties: verbs, sizes, targets and values.
#![allow(unsafe_code, reason = "values are structures of C")]

mod common;

use card_spec::control::{RequestCode, Status};
use common::TestDriver;
use dmus_miniport::card::{Card, VOLUME_RANGE};
use dmus_miniport::fake::{Behaviour, FakeKernel, FakePendingRequest, deliver_interrupts, passive};
use dmus_miniport::format::PcmFormat;
use dmus_miniport::irql::Passive;
use dmus_miniport::property::{self, CallerMemory, Property, Request, SYNTH_GUID, SYNTH_NAME, Target};
use portcls::NtStatus;
use portcls::guid::{KSPROPSETID_Synth, KSPROPSETID_Synth_Dls};
use portcls::ks::{KsPropertyDescription, WaveFormatEx, verb};
use portcls::synth::{SynthCaps, SynthPortParams, SynthStats, caps_flag, port_parameter};

const STREAM: Target = Target { id: 0, time: 1000 };

/// A caller with good data at one address and bad data at another, and nothing else.
struct Memory;

const GOOD: u64 = 0x1_0000;
const BAD: u64 = 0x2_0000;

impl CallerMemory for Memory {
    fn is_readable(&self) -> bool {
        true
    }

    unsafe fn copy(&self, _: Passive, from: u64, to: *mut u8, bytes: usize) -> bool {
        if from != GOOD && from != BAD {
            return false;
        }
        // SAFETY: the caller's promise.
        unsafe { to.write_bytes(if from == GOOD { 1 } else { 2 }, bytes) };
        true
    }
}

/// Returns the verb that reads a property's value, or writes one.
fn value_verb(property: Property) -> u32 {
    if property.flags() & verb::GET != 0 { verb::GET } else { verb::SET }
}

/// A property request, with guard bytes behind the value.
struct PropertyCall {
    property: Property,
    verb: u32,
    node: u32,
    stream: Option<Target>,
    instance: Vec<u8>,
    size: usize,
    value: Vec<u8>,
    client: Option<FakePendingRequest>,
}

impl PropertyCall {
    fn new(property: Property, verb: u32) -> Self {
        let node = if property == Property::Volume { u32::MAX } else { 0 };
        let mut instance = vec![0; property.instance_bytes()];
        if property == Property::Download {
            instance = wide(64, GOOD);
        }
        let (size, value) = (property.value_bytes(), Vec::new());
        Self { property, verb, node, stream: Some(STREAM), instance, size, value, client: None }
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
            self.client,
            Request {
                property: self.property,
                verb: self.verb,
                node: self.node,
                stream: self.stream,
                instance: &self.instance,
                value: Some(&mut memory[..self.size]),
                value_size: &mut value_size,
                memory: &Memory,
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

/// Reads a structure from bytes.
fn value<T: Copy>(bytes: &[u8]) -> T {
    assert!(bytes.len() >= size_of::<T>());
    // SAFETY: long enough; structures of integers.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// Returns a structure's bytes.
fn bytes<T: Copy>(value: &T) -> Vec<u8> {
    // SAFETY: structures of integers without padding.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }.to_vec()
}

/// Makes a 64-bit caller's `SYNTH_BUFFER`.
fn wide(size: u32, address: u64) -> Vec<u8> {
    [&size.to_le_bytes()[..], &[0; 4], &address.to_le_bytes()].concat()
}

/// Makes a 32-bit caller's `SYNTH_BUFFER`.
fn narrow(size: u32, address: u32) -> Vec<u8> {
    [size.to_le_bytes(), address.to_le_bytes()].concat()
}

#[test]
fn every_get_follows_the_size_protocol() {
    let driver = TestDriver::new();
    for property in all().filter(|property| property.flags() & verb::GET != 0) {
        let needed = property.value_bytes();
        let ask = |size| PropertyCall { size, ..PropertyCall::new(property, verb::GET) }.of(&driver.card);
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
    let driver = TestDriver::new();
    for property in all() {
        let ask = |size| PropertyCall { size, ..PropertyCall::new(property, verb::BASICSUPPORT) }.of(&driver.card);
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
fn refuses_verbs_that_are_not_declared() {
    let driver = TestDriver::new();
    for property in all() {
        for wrong in [0, verb::GET, verb::SET, verb::GET | verb::SET, verb::GET | verb::BASICSUPPORT, 0x400] {
            if property.flags() & wrong == wrong && wrong.count_ones() == 1 {
                continue;
            }
            let (status, _, memory) = PropertyCall::new(property, wrong).of(&driver.card);
            assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST, "{property:?} {wrong:#x}");
            assert!(memory.iter().all(|byte| *byte == 0xaa));
        }
    }
}

#[test]
fn handles_properties_on_their_own_node_and_target_only() {
    let driver = TestDriver::new();
    for property in all() {
        for verb in [value_verb(property), verb::BASICSUPPORT] {
            let on_filter = PropertyCall { stream: None, ..PropertyCall::new(property, verb) }.of(&driver.card).0;
            assert_eq!(on_filter == NtStatus::SUCCESS, property == Property::Caps, "{property:?}");
            let on_both = property.set() != &KSPROPSETID_Synth && property.set() != &KSPROPSETID_Synth_Dls;
            let wrong_nodes = match property {
                Property::Volume => &[0, 1, 2][..],
                _ if on_both => &[1, 2],
                Property::Caps | Property::PortParameters | Property::ChannelGroups => &[u32::MAX, 2],
                _ => &[u32::MAX, 1, 2],
            };
            for &node in wrong_nodes {
                let status = PropertyCall { node, ..PropertyCall::new(property, verb) }.of(&driver.card).0;
                assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST, "{property:?} on node {node}");
            }
        }
    }
}

#[test]
fn refuses_instances_that_are_too_short() {
    let driver = TestDriver::new();
    for property in all().filter(|property| property.instance_bytes() != 0) {
        for length in [0, property.instance_bytes() - 1] {
            let status =
                PropertyCall { instance: vec![0; length], ..PropertyCall::new(property, verb::GET) }.of(&driver.card).0;
            assert_eq!(status, NtStatus::INVALID_PARAMETER, "{property:?}");
        }
    }
}

#[test]
fn handles_only_basic_support_and_sizes_without_a_started_card() {
    for property in all() {
        let mut size = property.value_bytes() as u32;
        let mut memory = vec![0; property.value_bytes()];
        let instance = vec![0; property.instance_bytes()];
        let node = if property == Property::Volume { u32::MAX } else { 0 };
        let request = Request {
            property,
            verb: value_verb(property),
            node,
            stream: Some(STREAM),
            instance: &instance,
            value: Some(&mut memory),
            value_size: &mut size,
            memory: &Memory,
        };
        assert_eq!(property::handle::<FakeKernel, _>(None, passive(), None, request), NtStatus::DEVICE_NOT_READY);
    }
}

#[test]
fn caps_have_the_cards_capabilities_that_the_driver_supports() {
    let driver = TestDriver::new();
    let (_, _, memory) = PropertyCall { stream: None, ..PropertyCall::new(Property::Caps, verb::GET) }.of(&driver.card);
    let caps: SynthCaps = value(&memory);
    assert_eq!(caps.guid, SYNTH_GUID);
    assert_eq!((caps.max_channel_groups, caps.max_voices, caps.max_audio_channels), (64, 1000, 2));
    let name: Vec<u16> = SYNTH_NAME.encode_utf16().collect();
    assert_eq!(caps.description[..name.len()], name);
    assert!(caps.description[name.len()..].iter().all(|unit| *unit == 0));
    assert_ne!(caps.flags & caps_flag::DLS, 0);
    assert_eq!(caps.flags & caps_flag::DLS2, 0, "the fake takes level 1 only");
    assert_eq!(caps.memory_size, driver.card.identity().download_memory.get());
}

#[test]
fn port_parameters_configure_the_card_and_return_altered_values() {
    let driver = TestDriver::with(Behaviour { groups_max: 16, ..Behaviour::default() });
    let ask = |groups, valid_params| {
        let wanted = SynthPortParams { valid_params, channel_groups: groups, ..SynthPortParams::default() };
        let (status, size, memory) =
            PropertyCall { instance: bytes(&wanted), ..PropertyCall::new(Property::PortParameters, verb::GET) }
                .of(&driver.card);
        assert_eq!(size, 28);
        (status, value::<SynthPortParams>(&memory))
    };
    let (status, parameters) = ask(8, port_parameter::CHANNELGROUPS);
    assert_eq!((status, parameters.channel_groups), (NtStatus::SUCCESS, 8));
    let (status, parameters) = ask(1000, port_parameter::CHANNELGROUPS);
    assert_eq!((status, parameters.channel_groups), (NtStatus::NOT_ALL_ASSIGNED, 16));
    assert_eq!(parameters.valid_params, port_parameter::CHANNELGROUPS);
    let (status, parameters) = ask(3, 0);
    assert_eq!(
        (status, parameters.channel_groups),
        (NtStatus::SUCCESS, 16),
        "a parameter that is not valid is returned"
    );
    assert_eq!((parameters.voices, parameters.sample_rate), (128, 48_000));
}

#[test]
fn channel_groups_are_read_back_as_set() {
    let driver = TestDriver::with(Behaviour { groups_max: 16, ..Behaviour::default() });
    let set = |groups: u32| {
        PropertyCall { value: bytes(&groups), ..PropertyCall::new(Property::ChannelGroups, verb::SET) }
            .of(&driver.card)
            .0
    };
    assert_eq!(set(5), NtStatus::SUCCESS);
    let (_, _, memory) = PropertyCall::new(Property::ChannelGroups, verb::GET).of(&driver.card);
    assert_eq!(value::<u32>(&memory), 5);
    assert_eq!(set(17), NtStatus::UNSUCCESSFUL);
}

#[test]
fn volume_and_boost_are_clamped_and_kept_apart() {
    let driver = TestDriver::new();
    for (property, asked, kept) in
        [(Property::Volume, -1_000_000, *VOLUME_RANGE.start()), (Property::VolumeBoost, 5000, *VOLUME_RANGE.end())]
    {
        let status = PropertyCall { value: bytes(&asked), ..PropertyCall::new(property, verb::SET) }.of(&driver.card).0;
        assert_eq!(status, NtStatus::SUCCESS);
        let (_, _, memory) = PropertyCall::new(property, verb::GET).of(&driver.card);
        assert_eq!(value::<i32>(&memory), kept);
    }
}

#[test]
fn latency_clock_statistics_and_priority_come_from_the_card() {
    let driver = TestDriver::new();
    let get = |property| PropertyCall::new(property, verb::GET).of(&driver.card).2;
    assert_eq!(value::<i64>(&get(Property::LatencyClock)), 51_000);
    assert_eq!(value::<SynthStats>(&get(Property::RunningStats)).voices, 7);
    assert_eq!(value::<u32>(&get(Property::VoicePriority)), 0x8000_000e);
}

#[test]
fn fails_without_a_value_when_the_card_refuses() {
    for (status, expected) in [
        (Status::INVALID_PARAMETER, NtStatus::INVALID_PARAMETER),
        (Status::INVALID_STATE, NtStatus::INVALID_DEVICE_STATE),
        (Status::NO_RESOURCES, NtStatus::INSUFFICIENT_RESOURCES),
        (Status::CARD_FAILED, NtStatus::IO_DEVICE_ERROR),
        (Status(0xdead), NtStatus::IO_DEVICE_ERROR),
    ] {
        let driver =
            TestDriver::with(Behaviour { refuses: Some((RequestCode::STATISTICS, status)), ..Behaviour::default() });
        let (answered, size, memory) = PropertyCall::new(Property::RunningStats, verb::GET).of(&driver.card);
        assert_eq!((answered, size), (expected, 0));
        assert!(memory.iter().all(|byte| *byte == 0xaa));
    }
}

fn download(driver: &TestDriver, instance: Vec<u8>, size: usize) -> (NtStatus, u32, Vec<u8>) {
    PropertyCall { instance, size, ..PropertyCall::new(Property::Download, verb::GET) }.of(&driver.card)
}

fn unload(driver: &TestDriver, handle: Vec<u8>) -> NtStatus {
    PropertyCall { size: handle.len(), value: handle, ..PropertyCall::new(Property::Unload, verb::SET) }
        .of(&driver.card)
        .0
}

#[test]
fn downloads_a_copy_of_the_callers_bytes() {
    let driver = TestDriver::new();
    for (instance, size) in [(wide(5000, GOOD), 16), (narrow(5000, GOOD as u32), 8)] {
        let (status, written, memory) = download(&driver, instance, size);
        assert_eq!((status, written as usize), (NtStatus::SUCCESS, size));
        let handle = value::<u32>(&memory);
        assert_eq!(driver.fake.with(|card| card.downloads[&handle].clone()), vec![1; 5000]);
        assert_eq!(value::<u32>(&memory[size / 2..]), 1, "Free");
    }
}

#[test]
fn unloads_each_handle_once() {
    let driver = TestDriver::new();
    for unloads_later in [false, true] {
        driver.fake.with(|card| card.behaviour.unloads_later = unloads_later);
        for narrow in [false, true] {
            let (_, _, memory) = download(&driver, wide(64, GOOD), 16);
            let handle = memory[..if narrow { 4 } else { 8 }].to_vec();
            assert_eq!(unload(&driver, handle.clone()), NtStatus::SUCCESS);
            assert_eq!(unload(&driver, handle), NtStatus::INVALID_PARAMETER);
        }
    }
    assert_eq!(unload(&driver, (1_u64 << 32 | 1).to_le_bytes().to_vec()), NtStatus::INVALID_PARAMETER);
    assert_eq!(unload(&driver, vec![1; 7]), NtStatus::BUFFER_TOO_SMALL);
}

#[test]
fn keeps_an_unload_pending_until_the_last_voice_has_ended() {
    let driver = TestDriver::with(Behaviour { unloads_later: true, ..Behaviour::default() });
    for narrow in [false, true] {
        let (_, _, memory) = download(&driver, wide(64, GOOD), 16);
        let handle = memory[..if narrow { 4 } else { 8 }].to_vec();
        let client = FakePendingRequest::default();
        let ask = |value: Vec<u8>| PropertyCall {
            size: value.len(),
            value,
            client: Some(client.clone()),
            ..PropertyCall::new(Property::Unload, verb::SET)
        };
        assert_eq!(ask(handle.clone()).of(&driver.card).0, NtStatus::PENDING);
        assert_eq!(client.completed(), None);
        assert_eq!(unload(&driver, handle.clone()), NtStatus::INVALID_PARAMETER, "the handle is no longer valid");
        driver.fake.end_unload(value::<u32>(&handle));
        deliver_interrupts(&driver.card);
        assert_eq!(client.completed(), Some(NtStatus::SUCCESS));
    }
}

#[test]
fn refuses_bad_addresses_sizes_and_data_of_downloads() {
    let driver = TestDriver::new();
    for (instance, expected) in [
        (wide(64, 0), NtStatus::ACCESS_VIOLATION),
        (wide(64, u64::MAX), NtStatus::ACCESS_VIOLATION),
        (wide(u32::MAX, GOOD), NtStatus::UNSUCCESSFUL),
        ((wide(64, BAD)), NtStatus::UNSUCCESSFUL),
        (vec![0; 12], NtStatus::INVALID_PARAMETER),
        (vec![], NtStatus::INVALID_PARAMETER),
    ] {
        assert_eq!(download(&driver, instance.clone(), 16).0, expected, "{instance:?}");
    }
    driver.fake.with(|card| {
        assert!(card.downloads.is_empty());
        card.behaviour.no_memory = true;
    });
    assert_eq!(download(&driver, wide(64, GOOD), 16).0, NtStatus::INSUFFICIENT_RESOURCES);
}

#[test]
fn unloads_a_streams_downloads_when_it_closes() {
    let driver = TestDriver::new();
    let (first, second) = (driver.render(), driver.render());
    for id in [first.id, second.id, first.id] {
        let stream = Some(Target { id, ..STREAM });
        assert_eq!(
            PropertyCall { stream, ..PropertyCall::new(Property::Download, verb::GET) }.of(&driver.card).0,
            NtStatus::SUCCESS
        );
    }
    first.close();
    assert_eq!(driver.fake.with(|card| card.downloads.len()), 1);
    second.close();
    assert_eq!(driver.fake.with(|card| card.downloads.len()), 0);
}

#[test]
fn keeps_the_memory_of_a_download_that_the_card_never_answers() {
    let driver = TestDriver::new();
    driver.fake.with(|card| card.behaviour.ignores_kicks[0] = true);
    assert_eq!(download(&driver, wide(8192, GOOD), 16).0, NtStatus::IO_TIMEOUT);
    // The fake panics when it is led to memory that has been freed.
    driver.fake.serve_kicks();
    driver.fake.with(|card| {
        assert_eq!(card.downloads.len(), 1);
        card.behaviour.ignores_kicks[0] = false;
    });
    assert_eq!(download(&driver, wide(64, GOOD), 16).0, NtStatus::SUCCESS);
}

#[test]
fn requires_no_bytes_appended_to_a_download() {
    let driver = TestDriver::new();
    let (status, size, memory) = PropertyCall::new(Property::Append, verb::GET).of(&driver.card);
    assert_eq!((status, size, value::<u32>(&memory)), (NtStatus::SUCCESS, 4, 0));
}

#[test]
fn returns_the_format_that_the_card_renders() {
    let driver = TestDriver::new();
    let ask = || PropertyCall { size: 40, ..PropertyCall::new(Property::WaveFormat, verb::GET) }.of(&driver.card);
    let (status, size, memory) = ask();
    assert_eq!((status, size), (NtStatus::SUCCESS, 18));
    let expected = WaveFormatEx {
        format_tag: 1,
        channels: 2,
        samples_per_sec: 48_000,
        avg_bytes_per_sec: 192_000,
        block_align: 4,
        bits_per_sample: 16,
        cb_size: 0,
    };
    assert_eq!(value::<WaveFormatEx>(&memory), expected);
    driver.card.open_wave(passive(), PcmFormat { sample_rate: 22_050, channels: 1 }).unwrap();
    let opened: WaveFormatEx = value(&ask().2);
    let expected =
        WaveFormatEx { channels: 1, samples_per_sec: 22_050, avg_bytes_per_sec: 44_100, block_align: 2, ..expected };
    assert_eq!(opened, expected);
}

#[test]
fn refuses_an_impossible_format_from_the_card() {
    for (sample_rate, audio_channels) in [(u32::MAX, 2), (0, 2), (48_000, 0), (48_000, 3), (48_000, u32::MAX)] {
        let driver = TestDriver::new();
        driver.fake.with(|card| {
            card.parameters.sample_rate = sample_rate.into();
            card.parameters.audio_channels = audio_channels.into();
        });
        let (status, size, _) = PropertyCall::new(Property::WaveFormat, verb::GET).of(&driver.card);
        assert_eq!((status, size), (NtStatus::DEVICE_PROTOCOL_ERROR, 0));
    }
}

#[test]
fn compacting_needs_no_value() {
    let driver = TestDriver::new();
    assert_eq!(PropertyCall::new(Property::Compact, verb::SET).of(&driver.card).0, NtStatus::SUCCESS);
}

#[test]
fn answers_feature_sets_with_and_without_the_node() {
    let driver = TestDriver::new();
    driver.run_wave();
    let memory_size = driver.card.identity().download_memory.get();
    for (property, expected) in [
        (Property::GmHardware, 1),
        (Property::Dls1, 1),
        (Property::Dls2, 0),
        (Property::Instrument2, 0),
        (Property::SampleMemorySize, memory_size),
        (Property::SamplePlaybackRate, 48_000),
        (Property::Effects, 0),
    ] {
        for node in [0, u32::MAX] {
            let (status, size, memory) =
                PropertyCall { node, ..PropertyCall::new(property, verb::GET) }.of(&driver.card);
            assert_eq!((status, size, value::<u32>(&memory)), (NtStatus::SUCCESS, 4, expected), "{property:?}");
        }
        assert_eq!(Property::find(property.set(), 0), Some(property));
        assert_eq!(Property::find(property.set(), 1), None);
    }
}

#[test]
fn effects_are_set_as_port_parameters_are() {
    let driver = TestDriver::new();
    let status =
        PropertyCall { value: bytes(&1_u32), ..PropertyCall::new(Property::Effects, verb::SET) }.of(&driver.card).0;
    assert_eq!(status, NtStatus::SUCCESS);
    let wanted = driver.fake.with(|card| card.requests.last().unwrap().clone());
    assert_eq!(wanted.code, RequestCode::PARAMETERS);
    assert_eq!(wanted.payload[..4], port_parameter::EFFECTS.to_le_bytes());
    assert_eq!(wanted.payload[20..24], 1_u32.to_le_bytes());
}

#[test]
fn the_capture_node_is_external_and_has_one_group() {
    let driver = TestDriver::new();
    let ask = |property, verb| PropertyCall { node: 1, ..PropertyCall::new(property, verb) };
    let (status, _, memory) = PropertyCall { stream: None, ..ask(Property::Caps, verb::GET) }.of(&driver.card);
    let caps: SynthCaps = value(&memory);
    assert_eq!((status, caps.flags, caps.max_channel_groups), (NtStatus::SUCCESS, caps_flag::EXTERNAL, 1));
    assert_ne!(caps.guid, SYNTH_GUID);
    for (valid_params, groups, expected) in [
        (0, 7, NtStatus::SUCCESS),
        (port_parameter::CHANNELGROUPS, 1, NtStatus::SUCCESS),
        (port_parameter::CHANNELGROUPS, 2, NtStatus::NOT_ALL_ASSIGNED),
        (port_parameter::VOICES, 1, NtStatus::NOT_ALL_ASSIGNED),
    ] {
        let wanted = SynthPortParams { valid_params, channel_groups: groups, ..SynthPortParams::default() };
        let instance = bytes(&wanted);
        let (status, _, memory) =
            PropertyCall { instance, ..ask(Property::PortParameters, verb::GET) }.of(&driver.card);
        let parameters = value::<SynthPortParams>(&memory);
        assert_eq!((status, parameters.channel_groups), (expected, 1));
        assert_eq!(parameters.valid_params, valid_params & port_parameter::CHANNELGROUPS);
    }
    assert_eq!(value::<u32>(&ask(Property::ChannelGroups, verb::GET).of(&driver.card).2), 1);
    for (groups, expected) in [(1_u32, NtStatus::SUCCESS), (2, NtStatus::UNSUCCESSFUL)] {
        let status =
            PropertyCall { value: bytes(&groups), ..ask(Property::ChannelGroups, verb::SET) }.of(&driver.card).0;
        assert_eq!(status, expected);
    }
    assert!(driver.fake.with(|card| card.requests.iter().all(|request| request.code != RequestCode::PARAMETERS)));
}
